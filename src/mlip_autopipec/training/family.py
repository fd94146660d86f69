"""Fast, balanced and accurate potentials of one dataset, with their errors and costs side by side."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from mlip_autopipec.ace import ACEPotential, read_yaml
from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.metrics import compare, summarise
from mlip_autopipec.potential import baseline_of, load_potential, references_of
from mlip_autopipec.training.delta import Target, subtract
from mlip_autopipec.training.linear_ace import repulsive_fit, write_potential
from mlip_autopipec.training.search import ROLES
from mlip_autopipec.training.triangles import Choice, Triangles

TWO_DENSITIES = "two densities"
"""Name of the potential among its family where it is not linear; the others are."""
TIMED_ATOMS = 1000
TIMED_STEPS = 5


def family(
    factor: Path, record: Mapping[str, Any], potential: Path, frames: list[Atoms], test: list[Atoms], folder: Path
) -> dict[str, Any]:
    """Write `{fast,balanced,accurate}.{yaml,yace,asi}` to `folder` and measure each.

    The points were chosen by the search of the training; the member of the potential's own role is that potential.
    The test set is measured on, never chosen by.

    Args:
        factor: triangles of the training.
        record: of the training.
        potential: B-basis file of the training: its reference energies and baseline are taken over.
        frames, test: labelled frames.

    Returns:
        ``role``: which one is the potential; ``members``: by role its choice, ``train`` and ``test`` errors,
        ``held_out_...`` errors and ``cpu_us_per_atom`` of energy and forces on this machine.

    Raises:
        DataError: factor, record and dataset do not belong together.
    """
    triangles, said = Triangles.load(factor), read_yaml(potential).metadata
    baseline = baseline_of(said)
    targets = subtract(frames, references_of(said), baseline)
    members: dict[str, Any] = {}
    made: dict[Choice, tuple[dict[str, Path], dict[str, Any]]] = {}
    for role in ROLES:
        point = record["search"]["roles"][role]
        choice = Choice(
            tuple(point["degrees"]), point["cutoff_angstrom"], point["energy_weight"],
            record["stress_weight"], point["prior_power"],
        )  # fmt: skip
        files = {kind: folder / f"{role}.{kind}" for kind in ("yaml", "yace", "asi")}
        if choice in made:  # two roles may fall to one potential
            for kind, path in files.items():
                with atomic_path(path) as temporary:
                    shutil.copyfile(made[choice][0][kind], temporary)
        else:
            fit, _ = repulsive_fit(triangles, choice, targets, baseline)
            write_potential(ACEPotential(fit.basis, fit.coefficients, dict(said)), targets, **files)
            made[choice] = files, _measured(load_potential(files["yaml"]), targets, test)
        members[role] = point | {"why": record["search"]["why"][role]} | made[choice][1]
    second = record["second_density"]
    if not second.get("kept"):
        return {"role": record["role"], "members": members}
    own = dict.fromkeys(("held_out_energy_rmse_mev_per_atom", "held_out_force_rmse_mev_per_angstrom"))
    measured = _measured(load_potential(potential), targets, test)
    members[TWO_DENSITIES] = members[record["role"]] | own | {"why": second["reason"]} | measured
    return {"role": TWO_DENSITIES, "members": members}


def _measured(calculator: Calculator, targets: Sequence[Target], test: list[Atoms]) -> dict[str, Any]:
    return {
        "train": summarise(compare([t.frame for t in targets], calculator)),
        "test": summarise(compare(test, calculator)),
        "cpu_us_per_atom": cpu_us_per_atom(calculator, max((t.frame for t in targets), key=len)),
    }


def cpu_us_per_atom(calculator: Calculator, frame: Atoms, steps: int = TIMED_STEPS) -> float:
    """CPU time in microseconds per atom of energy and forces, neighbour list included: best of some moved copies.

    All threads are counted, so that their number hardly matters.
    """
    repeats = int(np.ceil((TIMED_ATOMS / len(frame)) ** (1 / 3)))
    atoms = frame.copy()
    if frame.pbc.all():
        atoms = atoms.repeat(repeats)
    atoms.calc = calculator
    random = np.random.default_rng(0)
    atoms.get_forces()
    spent = []
    for _ in range(steps):
        atoms.positions += random.normal(scale=0.01, size=atoms.positions.shape)
        start = time.process_time()
        atoms.get_forces()
        spent.append(time.process_time() - start)
    return 1e6 * float(np.min(spent)) / len(atoms)
