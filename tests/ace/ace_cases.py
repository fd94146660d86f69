"""Potentials and structures that the ACE tests share."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk

from mlip_autopipec.ace import ACEPotential, Basis


def potential_for(basis: Basis, seed: int = 0) -> ACEPotential:
    """Random, smoothly decaying coefficients."""
    rng = np.random.default_rng(seed)
    return ACEPotential(basis, rng.normal(size=basis.number_of_functions) / basis.smoothness**0.5, {"made_by": "test"})


def rattled(atoms: Atoms, amplitude: float, seed: int) -> Atoms:
    """Displaced and sheared copy."""
    moved = atoms.copy()
    moved.rattle(amplitude, seed=seed)
    strain = 0.05 * np.random.default_rng(seed).normal(size=(3, 3))
    moved.set_cell(moved.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return moved


def silicon() -> Atoms:
    return bulk("Si", cubic=True)


def copper_gold() -> Atoms:
    """Four Au and four Cu, mixed on rocksalt sites."""
    atoms = bulk("CuAu", "rocksalt", a=5.2, cubic=True)
    atoms.symbols[:] = ["Au", "Cu", "Au", "Cu", "Cu", "Au", "Cu", "Au"]
    return atoms
