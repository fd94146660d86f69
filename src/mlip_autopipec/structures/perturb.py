"""Changes to a crystal: volume, the six strains, random displacements."""

from __future__ import annotations

import numpy as np
from ase import Atoms

VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")


def scale_volume(atoms: Atoms, relative_change: float) -> Atoms:
    """A copy whose volume is (1 + relative_change) times the old one, all edges scaled alike."""
    scaled: Atoms = atoms.copy()
    scaled.set_cell(atoms.cell.array * (1.0 + relative_change) ** (1 / 3), scale_atoms=True)
    return scaled


def strain(atoms: Atoms, voigt: np.ndarray) -> Atoms:
    """A copy under a symmetric strain.

    Args:
        voigt: strain components xx, yy, zz, yz, xz, xy; the last three are engineering shears (twice the tensor's).
    """
    xx, yy, zz, yz, xz, xy = np.asarray(voigt, dtype=float)
    tensor = np.array([[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]])
    strained: Atoms = atoms.copy()
    strained.set_cell(atoms.cell.array @ (np.eye(3) + tensor), scale_atoms=True)
    return strained


def rattle(atoms: Atoms, amplitude_angstrom: float, random: np.random.Generator) -> Atoms:
    """A copy with normally distributed displacements of exactly this root-mean-square length per atom (A).

    The centre of mass stays where it was.
    """
    moves = random.normal(size=(len(atoms), 3))
    if len(atoms) > 1:
        moves -= moves.mean(axis=0)
    moves *= amplitude_angstrom / np.sqrt((moves**2).sum(axis=1).mean())
    rattled: Atoms = atoms.copy()
    rattled.positions += moves
    return rattled
