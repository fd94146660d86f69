"""Molecules and tasks that the tests of the molecular generators share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from mlip_autopipec.config.full import Structures
from mlip_autopipec.frames import new_frame
from mlip_autopipec.structures.placing import in_box
from mlip_autopipec.structures.task import Task

VACUUM = 8.0


def task(
    amounts: dict[str, float], calculator: Callable[[], Calculator] = EMT, *, seed: int = 1, meant: str = "", **settings
) -> Task:
    chosen = {
        "atoms_max": 40,
        "vacuum_angstrom": VACUUM,
        "minimum_distance_fraction": 0.7,
        "mode_temperature_k": 1000.0,
        "cluster_sizes": [2, 3, 4],
        "condensed_molecules": 8,
        **settings,
    }
    formula = "".join(f"{symbol}{amount:g}" for symbol, amount in amounts.items())
    return Task(
        formula, amounts, ("molecular",), Structures.model_construct(**chosen), seed, calculator, molecule=meant
    )


def amounts_of(atoms: Atoms) -> dict[str, float]:
    symbols = atoms.get_chemical_symbols()
    return {symbol: float(symbols.count(symbol)) for symbol in symbols}


def parent(atoms: Atoms | str) -> Atoms:
    """A molecule of ASE's table (near its relaxed shape), or these atoms, as a parent."""
    shape = molecule(atoms) if isinstance(atoms, str) else atoms
    return new_frame(
        in_box(shape, VACUUM, cubic=True), origin="test", config_type="molecule", prototype=shape.get_chemical_formula()
    )


def gap_to_images(atoms: Atoms) -> float:
    """Smallest free length (A) along the edges of an orthogonal box, between the atoms and their images."""
    return float((atoms.cell.lengths() - np.ptp(atoms.positions, axis=0)).min())
