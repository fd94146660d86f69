"""Our trainer: a linear ACE by regularised least squares; hyperparameters are searched; active set and posterior."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ase import Atoms

from mlip_autopipec.ace import ACECalculator, ACEPotential, active_sets, write_asi, write_yace, write_yaml
from mlip_autopipec.ace.posterior import Posterior
from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.config.full import Training
from mlip_autopipec.dimers import shortest_distances
from mlip_autopipec.errors import InputFileError
from mlip_autopipec.frames import ISOLATED_ATOM
from mlip_autopipec.metrics import EV_PER_ANGSTROM3_IN_GPA, by_type, compare, summarise
from mlip_autopipec.potential import load_potential, metadata
from mlip_autopipec.repulsion import Repulsion, chosen_baseline, pair_name
from mlip_autopipec.training.core import attracts_at, cores_of, with_repulsive_pairs
from mlip_autopipec.training.delta import Target, isolated_atom_energies, subtract
from mlip_autopipec.training.noise import Floor
from mlip_autopipec.training.pressed import pressed_cores
from mlip_autopipec.training.search import STORED, allowed_bases, cutoffs, search
from mlip_autopipec.training.triangles import Choice, Fit, Triangles
from mlip_autopipec.training.two_densities import EMBEDDING, TOLD, refine


def train(
    frames: list[Atoms],
    settings: Training,
    yaml: Path,
    yace: Path,
    asi: Path,
    *,
    factor: Path | None = None,
    previous: Path | None = None,
    posterior: Path | None = None,
    noise: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Fit energies, forces and stresses together and write the files of the potential.

    Rows are weighted: energy_weight / sqrt(N) for the total energy, 1 for a force component, stress_weight / sqrt(N)
    for dE/dstrain. The prior damps functions of high degree, its strength is chosen by the evidence
    (MacKay 1992; van der Oord et al., npj Comput. Mater. 9, 168, 2023). Basis, cutoff, energy weight and prior are
    chosen by the errors on held-out trajectories (`search`).

    Args:
        frames: labelled frames, isolated atoms among them.
        settings: the config's section `training`.
        yaml, yace, asi: where the potential is written.
        factor: where the triangles are written, for the next generation, the family and the uncertainty.
        previous: triangles of an earlier training; labels that it has cost nothing. The result is the same without.
        posterior: where the posterior of the coefficients is written.
        noise: record of the label noise; the search gives no reward for errors below it.

    Returns:
        The record: basis, weights, regularisation, what was searched and why it was chosen, errors on the training
        data, warnings.

    Raises:
        DataError: a label is not a number, or there are too few atoms for the smallest basis.
    """
    start = time.process_time()
    references, warnings = isolated_atom_energies(frames, settings.reference_energies_ev)
    atoms = count_atoms(frames, references)
    baseline = chosen_baseline(settings, sorted(atoms))
    targets = subtract(frames, references, baseline)
    triangles, gathered = gather(targets, settings, atoms, previous)
    floor = Floor.of(noise)
    found = search(triangles, atoms, settings, floor)
    warnings = warnings + [said for said in found.left_out if "too few for the smallest basis" in said]
    triangles.choice = found.roles[settings.potential].choice
    solved = time.process_time()
    fit, core = repulsive_fit(triangles, triangles.choice, targets, baseline)
    potential = ACEPotential(fit.basis, fit.coefficients, metadata(references, baseline, trainer="mlip-autopipec"))
    second: dict[str, Any] = {}
    if settings.densities == 2:
        potential, second = second_density(potential, triangles, fit, targets, baseline, core, settings)
    more = write_potential(potential, targets, yaml, yace, asi)
    if posterior is not None:
        Posterior.of_fit(fit.solution, fit.basis.number_of_functions, fit.choice.energy_weight).save(posterior)
    if factor is not None:
        triangles.save(factor)
    written = time.process_time()
    compared = compare([t.frame for t in targets], load_potential(yaml))
    return {
        "trainer": settings.trainer,
        "role": settings.potential,
        "why": found.why[settings.potential],
        "functions": fit.basis.number_of_functions,
        "densities": potential.embeddings[0].densities,
        "degrees": list(fit.choice.degrees),
        "cutoff_angstrom": fit.choice.cutoff_angstrom,
        "environments": sum(len(t.frame) for t in targets),
        "frames": len(targets),
        **more,
        "reference_energies_ev": references,
        "ridge": fit.solution.ridge,
        "log_evidence": fit.log_evidence,
        "noise_ev_per_angstrom": fit.solution.noise,
        "stress_offset_gpa": fit.stress_offset * EV_PER_ANGSTROM3_IN_GPA if _stressed(targets, settings) else None,
        "energy_weight": fit.choice.energy_weight,
        "stress_weight": fit.choice.stress_weight,
        "prior_power": fit.choice.prior_power,
        "repulsion_of_pairs": core,
        "second_density": second,
        "search": found.record(),
        "label_noise": floor.record(),
        "factor": gathered,
        "train": summarise(compared) | {"functions": fit.basis.number_of_functions},
        "train_by_type": by_type(compared),
        "cpu_seconds": {
            "rows": gathered["cpu_seconds"],
            "search": sum(point.cpu_seconds for point in found.points),
            "fit_and_files": written - solved,
            "all_but_errors": written - start,
        },
        "warnings": warnings,
    }


def count_atoms(frames: Sequence[Atoms], references_ev: dict[str, float]) -> dict[str, int]:
    """Number of atoms by element in the frames that are fitted; elements in alphabetical order."""
    counts = Counter(s for frame in frames if not _isolated(frame) for s in frame.symbols)
    return {symbol: counts[symbol] for symbol in sorted(references_ev) if counts[symbol]}


def gather(
    targets: Sequence[Target], settings: Training, atoms: dict[str, int], previous: Path | None
) -> tuple[Triangles, dict[str, Any]]:
    """The triangles of all targets: appended to those of `previous` where that is possible, else made anew.

    Returns:
        The triangles, and a record: how many frames were appended to how many, or why all rows were made anew.
    """
    start = time.process_time()
    ladder, _ = allowed_bases(atoms, settings)
    stored, _ = allowed_bases(atoms, settings, STORED)
    triangles, reason = None, "there is no earlier factor"
    if previous is not None and previous.is_file():
        try:
            triangles = Triangles.load(previous)
        except InputFileError as error:
            reason = error.problem
        else:
            reason = _difference(triangles, settings, atoms, ladder) or triangles.obstacle(targets)
    if triangles is None or reason:
        triangles = Triangles.empty(list(atoms), cutoffs(settings), stored, settings.folds)
    kept = len(triangles.uids)
    appended = triangles.append(targets)
    return triangles, {
        "frames_kept": kept,
        "frames_appended": appended,
        "rebuilt_because": reason,
        "folds": {fold: triangles.frames_in(fold) for fold in triangles.folds},
        "cpu_seconds": time.process_time() - start,
    }


def _difference(old: Triangles, settings: Training, atoms: dict[str, int], ladder: list[tuple[int, ...]]) -> str:
    """Why triangles of other settings cannot be used, in words; '' if they can."""
    layout = next(iter(old.layouts.values()))
    if layout.elements != tuple(atoms):
        return f"its elements are {', '.join(layout.elements)}"
    if list(old.layouts) != cutoffs(settings):
        return f"its cutoffs are {list(old.layouts)} A"
    if old.folds_asked != settings.folds:
        return f"it has {old.folds_asked} folds"
    if list(old.ladder) != [tuple(d) for d in settings.degrees][: len(old.ladder)]:
        return "its bases are others"
    if len(old.ladder) < len(ladder):
        return "the data have grown enough for a larger basis"
    return ""


def repulsive_fit(
    triangles: Triangles, choice: Choice, targets: Sequence[Target], baseline: Repulsion | None
) -> tuple[Fit, dict[str, Any]]:
    """The fit of a choice to all labels, in which every pair repels below the data; and what that took."""
    basis, frames = triangles.basis(choice), [t.frame for t in targets]
    shortest = shortest_distances(frames, basis.cutoff)
    pressed = pressed_cores(basis, baseline, shortest, frames)
    return with_repulsive_pairs(lambda rows: triangles.solve(choice, more=rows), basis, baseline, shortest, pressed)


def second_density(
    linear: ACEPotential,
    triangles: Triangles,
    fit: Fit,
    targets: Sequence[Target],
    baseline: Repulsion | None,
    repulsion: dict[str, Any],
    settings: Training,
) -> tuple[ACEPotential, dict[str, Any]]:
    """The potential with two densities where that is better and as repulsive, else the linear one; and the record.

    Args:
        fit, repulsion: the linear fit and what `repulsive_fit` said of it.
    """
    frames = [target.frame for target in targets]
    shortest = {name: one["shortest_distance_angstrom"] for name, one in repulsion.items()}
    cores = cores_of(fit.basis, baseline, shortest) | pressed_cores(fit.basis, baseline, shortest, frames)
    pairs = [one for core in cores.values() for one in core.virtual_forces(fit.solution.noise, TOLD)]
    coefficients, record = refine(targets, triangles, fit, settings.density_iterations, pairs)
    if coefficients is None:
        return linear, record
    better = replace(linear, coefficients=coefficients, embeddings=(EMBEDDING,) * len(linear.elements))
    calculator = ACECalculator(better, baseline=baseline)
    for core in cores.values():
        at = attracts_at(calculator, core)
        if at is not None and core.attracts_at(fit.coefficients) is None:
            reason = f"with two densities {pair_name(*core.pair)} attracts at {at:.2f} A, nearer than any in the data"
            return linear, record | {"kept": False, "reason": f"{reason}: the linear fit is kept"}
    return better, record


def write_potential(
    potential: ACEPotential, targets: Sequence[Target], yaml: Path, yace: Path, asi: Path
) -> dict[str, Any]:
    """Write the three files of a potential; returns what the active set says for the record."""
    active = active_sets(potential.basis, [t.frame for t in targets])
    with atomic_path(yaml) as y, atomic_path(yace) as c, atomic_path(asi) as a:
        write_yaml(y, potential)
        write_yace(c, potential)
        write_asi(a, {symbol: one.inverse for symbol, one in active.items()})
    return {"directions_without_data": {symbol: one.virtual for symbol, one in active.items()}}


def _stressed(targets: Sequence[Target], settings: Training) -> bool:
    return settings.stress_weight > 0 and any(target.strain_derivative_ev is not None for target in targets)


def _isolated(frame: Atoms) -> bool:
    return bool(frame.info.get("config_type") == ISOLATED_ATOM)
