"""The trainer `pacemaker`: nonlinear ACE by the real program, begun at our linear solution, delivered in our files.

Formats and keys: manual of pacemaker (python-ace 0.3); Y. Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021);
A. Bochkarev et al., Phys. Rev. Materials 6, 013804 (2022) for the fit and the ladder.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml as yaml_format
from ase import Atoms

from mlip_autopipec.ace import ACEPotential, active_sets, read_yaml, write_asi, write_yace, write_yaml
from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.config.full import Training
from mlip_autopipec.dimers import shortest_distances
from mlip_autopipec.errors import ConfigurationFault, MlipError
from mlip_autopipec.metrics import by_type, compare, summarise
from mlip_autopipec.potential import REFERENCES, baseline_of, load_potential, metadata
from mlip_autopipec.training import linear_ace, pacemaker_dataset
from mlip_autopipec.training.core import FLOOR_EV_PER_ANGSTROM, Core, VirtualForce, attracts_at, cores_of
from mlip_autopipec.training.delta import Target, subtract
from mlip_autopipec.training.pacemaker_program import find_program, last_words, run
from mlip_autopipec.training.two_densities import EMBEDDING, SLOPE_AT_0

NAME = "pacemaker"
INPUT, ARRAYS, DATASET, METRICS = "input.yaml", "frames.npz", "dataset.pckl.gzip", "metrics.txt"
START, TARGET, OUTPUT = "start.yaml", "target.yaml", "output_potential.yaml"
_ATOMS_TIMES_FUNCTIONS = 500_000  # in one evaluation: 2 GB (3.5 kB each, measured with 78 and 299 functions)
_DENSE_HESSIAN_PARAMETERS = 2000  # BFGS keeps their square in memory and updates it; beyond, L-BFGS-B
_GRADIENT_TOLERANCE = 1e-12  # the loss of a good start is 1e-5 and less: SciPy's 1e-5 would end the fit at once
_SECOND_DENSITY = 0.01  # of the first: small enough to change the start by 1 meV/atom, large enough to grow
_CORE_ERROR = 0.3  # relative error that counts as much as the noise of a force: the core is kept in shape, not fixed


def check(settings: Training) -> None:
    """Look for pacemaker before the first job.

    Raises:
        ConfigurationFault: the program or a part of its environment is missing.
    """
    find_program(settings.pacemaker_command)


def train(frames: list[Atoms], settings: Training, yaml: Path, yace: Path, asi: Path, **more: Any) -> dict[str, Any]:
    """Fit with pacemaker and write the three files of the potential.

    The linear solution (trainer `linear-ace`, same data and weights) is the start; pacemaker then fits its
    coefficients and the radial functions together. Its loss gets the linear fit's trade-off between energies and
    forces; it ignores stresses. What it works in stays beside the potential, in `<name>.pacemaker`.

    All three files are written by us from the `.yaml` that pacemaker leaves: `.yace` equals that of `pace_yaml2yace`,
    and the active set is chosen from all atoms, with an inverse that also sees directions which no atom excites
    (`pace_activeset` leaves out atoms with large errors unless told otherwise, and is blind to such directions).

    Args:
        frames: labelled frames, isolated atoms among them.
        settings: the config's section `training`.
        yaml, yace, asi: where the potential is written.
        more: what only other trainers use.

    Returns:
        The record, as of `linear-ace`, with `start` (the linear solution), `fit` (what pacemaker did) and
        `program_versions`.

    Raises:
        ConfigurationFault: pacemaker is missing, or it left no potential that can be used.
        DataError: the frames cannot be trained on.
    """
    program = find_program(settings.pacemaker_command)
    folder = yaml.with_name(f"{yaml.stem}.pacemaker").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    linear, start = _write_start(frames, settings, folder)
    energy_weight = float(start["energy_weight"])
    warnings = list(start["warnings"])
    ladder = settings.pacemaker_ladder_step if (folder / TARGET).is_file() else 0
    if ladder != settings.pacemaker_ladder_step:
        warnings.append("the chosen basis is the smallest of training.degrees: no ladder was climbed.")
    references, baseline = json.loads(linear.metadata[REFERENCES]), baseline_of(linear.metadata)
    targets = subtract(frames, references, baseline)  # as in the linear fit
    condensed = [target.frame for target in targets]
    cores = cores_of(linear.basis, baseline, shortest_distances(condensed, linear.basis.cutoff))
    pairs = [force for core in cores.values() for force in kept_core(core, linear, start["noise_ev_per_angstrom"])]
    write_arrays(folder / ARRAYS, targets, pairs)
    largest = max(map(len, condensed))
    batch = max(1, _ATOMS_TIMES_FUNCTIONS // (largest * max(linear.basis.counts)))
    write_input(folder, settings, energy_weight, number_of_parameters(linear, settings.densities), batch, ladder)

    began = time.monotonic()
    ended = run([*program.python, pacemaker_dataset.__file__, ARRAYS, DATASET], folder, settings.pacemaker_max_seconds)
    if ended:
        raise ConfigurationFault(
            f"pacemaker's Python {ended} when it wrote the dataset ('{last_words(folder)}')",
            f"See {folder}. Is its environment that of envs/pacemaker.yaml?",
        )
    ended = run([*program.command, "--no-predict", INPUT], folder, settings.pacemaker_max_seconds)
    history = read_metrics(folder / METRICS)
    fitted, source = find_potential(folder, {int(row["nfuncs"]) for row in history})
    if ended or source != OUTPUT:
        warnings.append(
            f"pacemaker {ended or 'wrote no ' + OUTPUT}: the potential is its interim one ({source}) "
            f"after {len(history)} iterations, not its final one."
        )

    said = metadata(references, baseline, trainer=NAME, pacemaker_version=program.versions["pacemaker"])
    potential = replace(fitted, metadata=said)
    active = active_sets(potential.basis, condensed)
    with atomic_path(yaml) as y, atomic_path(yace) as c, atomic_path(asi) as a:
        write_yaml(y, potential)
        write_yace(c, potential)
        write_asi(a, {symbol: one.inverse for symbol, one in active.items()})

    calculator = load_potential(yaml)
    compared = compare(condensed, calculator)
    attracting = {name: attracts_at(calculator, core) for name, core in cores.items()}
    warnings += [
        f"{name} attracts at {at:.2f} A, nearer than any pair in the data: label close pairs, or take "
        "training.trainer = 'linear-ace'."
        for name, at in attracting.items()
        if at is not None
    ]
    errors, functions = summarise(compared), potential.basis.number_of_functions
    if misfit(errors, energy_weight) > misfit(start["train"], energy_weight):
        warnings.append(
            "pacemaker's potential fits the training data worse than the linear one it could have begun with: "
            "give it more iterations, or no ladder, or take training.trainer = 'linear-ace'."
        )
    return {
        "trainer": NAME,
        "functions": functions,
        "densities": settings.densities,
        "degrees": start["degrees"],
        "cutoff_angstrom": start["cutoff_angstrom"],
        "environments": sum(len(frame) for frame in condensed),
        "frames": len(condensed),
        "directions_without_data": {symbol: one.virtual for symbol, one in active.items()},
        "reference_energies_ev": references,
        "energy_weight": energy_weight,
        "repulsion_of_pairs": {
            name: {
                "shortest_distance_angstrom": core.below_angstrom,
                "attracts_at_angstrom": attracting[name],
            }
            for name, core in cores.items()
        },
        "start": {key: start[key] for key in ("functions", "degrees", "train")},
        "fit": {
            "potential": source,
            "iterations": len(history),
            "parameters": int(history[-1]["ncoefs"]) if history else None,
            "loss_first": history[0]["loss"] if history else None,
            "loss_last": history[-1]["loss"] if history else None,
            "wall_seconds": round(time.monotonic() - began, 1),
            "folder": folder.name,
        },
        "program_versions": program.versions,
        "train": errors | {"functions": functions},
        "train_by_type": by_type(compared),
        "warnings": warnings,
    }


def misfit(errors: dict[str, Any], energy_weight: float) -> float:
    """The linear fit's weighted square error per atom (eV^2/A^2), from a summary of errors."""
    energy, force = errors["energy_rmse_mev_per_atom"] / 1e3, errors["force_rmse_mev_per_angstrom"] / 1e3
    return float((energy_weight * energy) ** 2 + 3 * force**2)


def kept_core(core: Core, linear: ACEPotential, noise_ev_per_angstrom: float) -> list[VirtualForce]:
    """Virtual forces that hold a pair nearer than the data to what the linear solution makes of it, which repels.

    Without them nothing would keep the radial functions from turning around where no data are. They cost nothing at
    the start.
    """
    forces = core.rows @ linear.coefficients
    weights = noise_ev_per_angstrom / (_CORE_ERROR * np.maximum(forces + core.baseline, FLOOR_EV_PER_ANGSTROM))
    return [
        VirtualForce(atoms, core.direction, float(weight), float(force))
        for atoms, weight, force in zip(core.structures, weights, forces, strict=True)
    ]


def _write_start(frames: list[Atoms], settings: Training, folder: Path) -> tuple[ACEPotential, dict[str, Any]]:
    """Write the linear solution as `start.yaml`; for a ladder it is `target.yaml`, and `start.yaml` the solution with
    the smallest basis, unless that was chosen. Returns the linear solution and its record.
    """
    one = settings.model_copy(update={"densities": 1})
    record = linear_ace.train(frames, one, folder / START, folder / "start.yace", folder / "start.asi")
    linear = read_yaml(folder / START)
    written = [folder / START]
    if settings.pacemaker_ladder_step and list(record["degrees"]) != list(settings.degrees[0]):
        written.append((folder / START).rename(folder / TARGET))
        same = {"cutoff_angstrom": record["cutoff_angstrom"], "cutoff_factors": [1.0]}
        smallest = one.model_copy(update={"degrees": settings.degrees[:1], **same})
        linear_ace.train(frames, smallest, folder / START, folder / "start.yace", folder / "start.asi")
    if settings.densities == 2:
        for path in written:
            add_second_density(path)
            read_yaml(path)  # what cannot be read now cannot be read after the fit either
    return linear, record


def number_of_parameters(linear: ACEPotential, densities: int) -> int:
    """How many numbers pacemaker will fit: coefficients of every density, and radial coefficients of every pair."""
    pairs = {tuple(sorted(pair)): bond.coefficients.size for pair, bond in linear.bonds.items()}
    return densities * linear.basis.number_of_functions + sum(pairs.values())


def add_second_density(path: Path) -> None:
    """Give the linear potential in `path` a second density under a square root, E = rho_1 + F(rho_2), F ~ 1.25 rho_2.

    rho_2 starts at a hundredth of rho_1, which is lowered by as much: the energies stay the same to first order.
    """
    data = yaml_format.load(path.read_text(encoding="utf-8"), Loader=yaml_format.CSafeLoader)
    for block in data["species"]:
        if "ndensityi" in block:
            block |= {"ndensityi": 2, "npoti": EMBEDDING.name, "parameters": list(EMBEDDING.parameters)}
        for function in block["nbody"]:
            (c,) = function["c"]
            function["c"] = [c * (1 - SLOPE_AT_0 * _SECOND_DENSITY), c * _SECOND_DENSITY]
    path.write_text(yaml_format.dump(data, Dumper=yaml_format.CSafeDumper, sort_keys=False), encoding="utf-8")


def write_arrays(path: Path, targets: list[Target], pairs: Sequence[VirtualForce] = ()) -> None:
    """Frames, targets and weights as arrays (`pacemaker_dataset.py` says which), without pickled objects.

    An energy counts as often as its frame has atoms, a force once, and the virtual force of a pair by the square of
    its weight, on one of its atoms: with weights that pacemaker scales to sum 1, `kappa` alone is the trade-off.
    """
    told = [(v.atoms, v.force_ev_per_angstrom * np.array([[-1.0, 0, 0], [1.0, 0, 0]]), v.weight**2) for v in pairs]
    frames = [t.frame for t in targets] + [atoms for atoms, _, _ in told]
    names = [str(t.frame.info.get("uid", k)) for k, t in enumerate(targets)]
    weights = [np.ones(len(t.frame)) for t in targets] + [np.array([0.0, weight]) for _, _, weight in told]
    np.savez(
        path,
        natoms=np.array([len(frame) for frame in frames]),
        numbers=np.concatenate([frame.numbers for frame in frames]),
        positions=np.concatenate([frame.positions for frame in frames]),
        cells=np.array([frame.cell.array for frame in frames]),
        pbc=np.array([frame.pbc for frame in frames]),
        energies=np.array([t.energy_ev for t in targets] + [0.0] * len(told)),
        forces=np.concatenate([t.forces for t in targets] + [forces for _, forces, _ in told]),
        energy_weights=np.array([float(len(t.frame)) for t in targets] + [0.0] * len(told)),
        force_weights=np.concatenate(weights),
        names=np.array(names + [f"pair{k}" for k in range(len(told))]),
    )


def write_input(
    folder: Path, settings: Training, energy_weight: float, parameters: int, batch: int, ladder: int
) -> None:
    """Write `input.yaml`.

    pacemaker minimises (1 - kappa) sum w_E (dE/N)^2 + kappa sum w_F dF^2 with weights of sum 1. The linear fit
    minimises energy_weight^2 sum dE^2/N + sum dF^2: with w_E ~ N and w_F ~ 1 they agree at
    kappa = 1 / (1 + energy_weight^2).

    Args:
        energy_weight: what the linear fit chose, A.
        parameters: how many will be fitted; they choose the optimiser.
        batch: frames in one evaluation.
        ladder: functions added in a step, or 0.
    """
    fit: dict[str, Any] = {
        "loss": {"kappa": 1.0 / (1.0 + energy_weight**2), "L1_coeffs": 0.0, "L2_coeffs": 0.0},
        "optimizer": "BFGS" if parameters <= _DENSE_HESSIAN_PARAMETERS else "L-BFGS-B",
        "maxiter": settings.pacemaker_maxiter,
        "options": {"gtol": _GRADIENT_TOLERANCE},
    }
    potential: Any = START
    if ladder:
        fit |= {"ladder_step": ladder, "ladder_type": "power_order"}
        potential = {"filename": TARGET, "initial_potential": START, "reset": True}
    given = {
        "cutoff": settings.cutoff_angstrom * max(settings.cutoff_factors),
        "seed": 1,  # of noise, which is not asked for
        "potential": potential,
        "data": {"filename": DATASET},
        "fit": fit,
        "backend": {"evaluator": "tensorpot", "batch_size": batch, "display_step": 20},
    }
    (folder / INPUT).write_text(yaml_format.safe_dump(given, sort_keys=False), encoding="utf-8")


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Rows of pacemaker's `metrics.txt`, one per iteration; a last line that is cut off is left out, no file is []."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    names = lines[0].replace("#", " ").split() if lines else []
    rows = []
    for line in lines[1:]:
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            continue
        if names and len(values) == len(names):
            rows.append(dict(zip(names, values, strict=True)))
    return rows


def find_potential(folder: Path, sizes: set[int]) -> tuple[ACEPotential, str]:
    """The final potential, or else the newest whole interim one, and the name of its file.

    Args:
        sizes: numbers of functions that the fit has had: a file that was cut off while it was written has another.

    Raises:
        ConfigurationFault: there is none.
    """
    interim = sorted(folder.glob("interim_potential_*.yaml"), key=lambda p: p.stat().st_mtime, reverse=True)
    problems = []
    for path in [folder / OUTPUT, *interim]:
        if not path.is_file():
            continue
        try:
            potential = read_yaml(path)
        except MlipError as error:
            problems.append(str(error))
            continue
        if potential.basis.number_of_functions in sizes:
            return potential, path.name
        problems.append(f"{path.name} is cut off")
    raise ConfigurationFault(
        f"pacemaker left no potential that can be used ('{last_words(folder)}'; {'; '.join(problems) or 'no file'})",
        f"See its output in {folder}; training.pacemaker_max_seconds may be too short",
    )
