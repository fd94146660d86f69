"""How well a potential knows how wrong it is: calibration on held-out labels, coverage on the test set, a committee."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any, cast

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr

from mlip_autopipec.ace import ACECalculator, ACEPotential, Basis, design_rows, write_yace, write_yaml
from mlip_autopipec.ace.posterior import Deviation, Law, Posterior
from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.dimers import shortest_distances
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ENERGY, FORCES, ISOLATED_ATOM, read_frames
from mlip_autopipec.potential import baseline_of, load_potential, references_of
from mlip_autopipec.seeds import generator
from mlip_autopipec.training.core import cores_of, repulsive_draw
from mlip_autopipec.training.delta import Target, subtract
from mlip_autopipec.training.folds import assign
from mlip_autopipec.training.noise import Floor
from mlip_autopipec.training.pressed import pressed_cores
from mlip_autopipec.training.triangles import Triangles

Array = NDArray[np.float64]

ONE_SIGMA, TWO_SIGMA = 0.6827, 0.9545
"""Parts of a Gaussian within one and two standard deviations."""
BINS = 10
POWERS = (0.25, 2.0)
"""Between these the power of a law is looked for; few labels must not make it absurd."""
SYMMETRY = 1e-6


@dataclass(frozen=True)
class Errors:
    """Errors of predictions, and what the fit's covariance says of them before calibration.

    Attributes:
        energy: (frames,) error of the total energy, eV.
        energy_part: (frames,) standard deviation from the covariance, eV.
        atoms: (frames,) number of atoms.
        force: (M, 3) errors of the forces on all atoms, eV/A.
        force_part: (M, 3) standard deviation from the covariance, eV/A.
    """

    energy: Array
    energy_part: Array
    atoms: Array
    force: Array
    force_part: Array

    @classmethod
    def of(cls, parts: Iterable[tuple[float, Array, Deviation]]) -> Errors:
        """From energy error, force errors (N, 3) and `Posterior.parameter_deviation` of each frame."""
        found = list(parts)
        return cls(
            np.array([energy for energy, _, _ in found]),
            np.array([part.energy_ev for _, _, part in found]),
            np.array([float(len(force)) for _, force, _ in found]),
            np.concatenate([force for _, force, _ in found]) if found else np.zeros((0, 3)),
            np.concatenate([part.forces_ev_per_angstrom for _, _, part in found]) if found else np.zeros((0, 3)),
        )

    @property
    def told(self) -> NDArray[np.bool_]:
        """(M, 3) whether a force component is anything to be told: symmetry does not make it zero."""
        return self.force_part > SYMMETRY * _rms(self.force_part) if self.force_part.size else self.force_part > 0

    def expected(self, posterior: Posterior) -> tuple[Array, Array]:
        """Standard deviations (frames,) of the energies and (M, 3) of the forces that the posterior expects."""
        root = np.sqrt(self.atoms)
        return root * posterior.energy_law(self.energy_part / root), posterior.force_law(self.force_part)


def held_out_errors(triangles: Triangles, targets: Sequence[Target]) -> Errors:
    """Errors of every frame by the fit that had not seen its fold.

    Raises:
        DataError: there are not two folds, or the factor is of no training.
    """
    choice = triangles.choice
    if choice is None or len(triangles.folds) < 2:
        raise DataError("a factor of at least two folds, with the choice that was trained, is needed to calibrate.")
    obstacle = triangles.obstacle(targets)
    if obstacle:
        raise DataError(f"factor and dataset do not belong together: {obstacle}.")
    folds = assign([target.frame for target in targets], triangles.folds_asked)
    parts: list[tuple[float, Array, Deviation]] = []
    for fold in triangles.folds:
        fit = triangles.solve(choice, without=fold)
        posterior = Posterior.of_fit(fit.solution, fit.basis.number_of_functions, choice.energy_weight)
        members = [target for target, one in zip(targets, folds, strict=True) if one == fold]
        parts += _parts(fit.basis, posterior, members)
    return Errors.of(parts)


def _parts(basis: Basis, posterior: Posterior, targets: Sequence[Target]) -> Iterator[tuple[float, Array, Deviation]]:
    for target in targets:
        rows = design_rows(basis, target.frame)
        force = (rows.forces @ posterior.coefficients).reshape(-1, 3) - target.forces
        energy = float(rows.energy @ posterior.coefficients) - target.energy_ev
        yield energy, force, posterior.parameter_deviation(rows)


def calibrated(posterior: Posterior, errors: Errors) -> Posterior:
    """The posterior whose laws make the errors most likely (Gaussian maximum likelihood), without a constant noise.

    Draws are widened so that they scatter on the whole as much as is to be expected of the forces.
    """
    root = np.sqrt(errors.atoms)
    energy = most_likely(errors.energy / root, errors.energy_part / root)
    force = most_likely(errors.force.ravel(), errors.force_part.ravel())
    scale = _rms(force(errors.force_part)) / _rms(errors.force_part) if errors.force_part.any() else 1.0
    return replace(posterior, energy_law=energy, force_law=force, draw_scale=scale)


def most_likely(error: Array, part: Array) -> Law:
    """Scale and power for which errors are likeliest, with standard deviation scale * part^power.

    Components that symmetry makes zero (a part below 1e-6 of the typical one) say nothing and are left out.
    """
    typical = _rms(part) if len(part) else 0.0
    told = part > SYMMETRY * typical
    if not told.any() or not np.any(error[told]):
        return Law(1.0, 1.0, 0.0)
    logs, squares = np.log(part[told] / typical), error[told] ** 2

    def best_scale(power: float) -> float:
        return float(np.mean(squares * np.exp(-2 * power * logs)))  # of the squared error, at the typical part

    def cost(power: float) -> float:
        return float(np.log(best_scale(power)) + 2 * power * np.mean(logs))

    power = float(minimize_scalar(cost, bounds=POWERS, method="bounded").x)
    return Law(float(np.sqrt(best_scale(power)) / typical**power), power, 0.0)


def coverage(errors: Errors, posterior: Posterior) -> dict[str, Any]:
    """Parts of the errors within one and two expected standard deviations, and how large both are.

    Force components that symmetry makes zero are left out: they are always within.
    """
    energy, force = errors.expected(posterior)
    told = errors.told
    if not told.any():
        return {"frames": len(errors.energy)}
    true, force = errors.force[told], force[told]
    return {
        "frames": len(errors.energy),
        "energy_within_one": float(np.mean(np.abs(errors.energy) <= energy)),
        "energy_within_two": float(np.mean(np.abs(errors.energy) <= 2 * energy)),
        "force_within_one": float(np.mean(np.abs(true) <= force)),
        "force_within_two": float(np.mean(np.abs(true) <= 2 * force)),
        "energy_rmse_mev_per_atom": _rms(1e3 * errors.energy / errors.atoms),
        "energy_expected_mev_per_atom": _rms(1e3 * energy / errors.atoms),
        "force_rmse_mev_per_angstrom": _rms(1e3 * true),
        "force_expected_mev_per_angstrom": _rms(1e3 * force),
    }


def reliability(errors: Errors, posterior: Posterior) -> dict[str, list[float]]:
    """Expected against true force errors (root mean square, meV/A), in groups of like expectation."""
    _, force = errors.expected(posterior)
    told = errors.told
    force, true = force[told], errors.force[told]
    groups = [group for group in np.array_split(np.argsort(force), BINS) if len(group)]
    return {
        "expected_mev_per_angstrom": [_rms(1e3 * force[group]) for group in groups],
        "true_mev_per_angstrom": [_rms(1e3 * true[group]) for group in groups],
    }


def ranking(errors: Errors, posterior: Posterior, gammas: Sequence[Array]) -> dict[str, float | None]:
    """Spearman's rank correlation of true errors with what foretells them: 1 ranks them all, 0 none.

    Args:
        gammas: extrapolation grades of the atoms of each frame, in order.
    """
    energy, force = errors.expected(posterior)
    size, foretold = np.linalg.norm(errors.force, axis=1), np.linalg.norm(force, axis=1)
    per_atom = np.abs(errors.energy) / errors.atoms
    grades, largest = np.concatenate(gammas) if len(gammas) else np.zeros(0), [float(g.max()) for g in gammas]
    return {
        "force_by_deviation": _spearman(size, foretold),
        "force_by_gamma": _spearman(size, grades),
        "energy_by_deviation": _spearman(per_atom, energy / errors.atoms),
        "energy_by_gamma": _spearman(per_atom, largest),
    }


def assess(
    calculator: ACECalculator, triangles: Triangles, dataset: Sequence[Atoms], test: Sequence[Atoms]
) -> tuple[Posterior, dict[str, Any]]:
    """Calibrate the posterior of a potential on held-out training labels and measure it on the test set.

    Args:
        calculator: with posterior and active set.
        triangles: the training's factor.
        dataset, test: labelled frames.

    Returns:
        The calibrated posterior, and the record: ``calibration``, ``held_out`` and ``test`` (coverage before and
        after), ``reliability``, ``ranking`` and ``cpu_us_per_atom`` of a deviation. With one fold nothing can be held
        out: ``calibration`` is null and the posterior is the fit's own.

    Raises:
        DataError: dataset and factor do not belong together.
    """
    potential, posterior = calculator.potential, calculator.posterior
    if not isinstance(potential, ACEPotential) or posterior is None:
        raise DataError("calibration needs the B-basis form of a potential with its posterior.")
    said = potential.metadata
    references, baseline = references_of(said), baseline_of(said)
    known = subtract(list(dataset), references, baseline)
    asked = subtract([f for f in test if ENERGY in f.info and FORCES in f.arrays], references, baseline)
    record: dict[str, Any] = {"expected_within": {"one": ONE_SIGMA, "two": TWO_SIGMA}, "calibration": None}
    better = posterior
    if len(triangles.folds) > 1:
        held_out = held_out_errors(triangles, known)
        better = calibrated(posterior, held_out)
        record["calibration"] = {
            "energy_scale_ev": better.energy_law.scale,
            "energy_power": better.energy_law.power,
            "force_scale_ev_per_angstrom": better.force_law.scale,
            "force_power": better.force_law.power,
            "draw_scale": better.draw_scale,
        }
        record["held_out"] = {"before": coverage(held_out, posterior), "after": coverage(held_out, better)}
    on_test = Errors.of(_parts(potential.basis, posterior, asked))
    record["test"] = {"before": coverage(on_test, posterior), "after": coverage(on_test, better)}
    if asked:
        record["reliability"] = reliability(on_test, better)
        record["ranking"] = ranking(on_test, better, [calculator.gamma(t.frame) for t in asked])
        begun = process_time()
        for target in asked:
            better.deviation(potential.basis, target.frame)
        record["cpu_us_per_atom"] = 1e6 * (process_time() - begun) / sum(len(t.frame) for t in asked)
    return better, record


def measure(
    potential: Sequence[str], factor: str, dataset: str, test: str, calibrated_posterior: str,
    committee: Sequence[tuple[str, str]], seed: int, noise: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Calibrate the posterior of a potential, draw its committee and write both.

    Args:
        potential: its .yaml, .asi and posterior (.npz).
        factor: the training's factor.
        dataset, test: labelled frames, training and test.
        calibrated_posterior: where the posterior goes.
        committee: where each member goes (.yaml, .yace).
        seed: of the run.
        noise: record of the label noise. The posterior that is written expects no smaller errors; the coverage of
            the record is without it, because test labels have the same settings.

    Returns:
        The record of `assess` with ``label_noise`` and with ``committee``: how far its members disagree on the test
        set, and how many of them let a pair attract below the data, alone or in a frame.

    Raises:
        InputFileError, DataError: a file is missing or damaged, or they do not belong together.
    """
    yaml, asi, posterior = potential
    calculator = load_potential(yaml, asi, posterior)
    known, asked = read_frames(dataset), read_frames(test)
    better, record = assess(calculator, Triangles.load(factor), known, asked)
    ace = cast(ACEPotential, calculator.potential)
    floor = Floor.of(noise)
    floor.under(better).save(calibrated_posterior)
    record["label_noise"] = floor.record()
    baseline, shortest = baseline_of(ace.metadata), shortest_distances(known, ace.basis.cutoff)
    cores = cores_of(ace.basis, baseline, shortest) | pressed_cores(ace.basis, baseline, shortest, known)
    wide = better.draw_scale * better.factor
    draws = [repulsive_draw(c, wide, cores) for c in better.draws(len(committee), generator(seed, "committee"))]
    for number, (coefficients, (member, contracted)) in enumerate(zip(draws, committee, strict=True), start=1):
        said = ace.metadata | {"committee_member": f"{number} of {len(committee)}"}
        drawn = ACEPotential(ace.basis, coefficients, said)
        with atomic_path(member) as first, atomic_path(contracted) as second:
            write_yaml(first, drawn)
            write_yace(second, drawn)
    record["committee"] = {
        "members": len(committee),
        "attracting": sum(any(core.attracts_at(c) is not None for core in cores.values()) for c in draws),
        **spread_of([load_potential(member) for member, _ in committee], asked),
    }
    return record


def spread_of(members: Sequence[ACECalculator], frames: Sequence[Atoms]) -> dict[str, float | None]:
    """How far the members of a committee disagree on labelled frames (root mean square of standard deviations)."""
    if len(members) < 2:
        return {"energy_mev_per_atom": None, "force_mev_per_angstrom": None}
    energies, forces = [], []
    for frame in frames:
        if frame.info.get("config_type") == ISOLATED_ATOM:
            continue
        found = []
        for member in members:
            copy = frame.copy()
            copy.calc = member
            found.append((copy.get_potential_energy() / len(frame), copy.get_forces()))
        energies.append(float(np.std([energy for energy, _ in found], ddof=1)))
        forces.append(np.std([force for _, force in found], axis=0, ddof=1).ravel())
    if not energies:
        return {"energy_mev_per_atom": None, "force_mev_per_angstrom": None}
    return {
        "energy_mev_per_atom": _rms(1e3 * np.array(energies)),
        "force_mev_per_angstrom": _rms(1e3 * np.concatenate(forces)),
    }


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _spearman(first: Any, second: Any) -> float | None:
    """None where it has no meaning: fewer than three values, or one that never changes."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)
