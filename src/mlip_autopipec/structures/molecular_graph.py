"""The molecule as a graph: which atoms are bonded, and what hangs on either end of a bond."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

BOND_RATIO = 1.3
"""Atoms nearer than this times the sum of covalent radii (Cordero 2008) are bonded: F2 is at 1.24, the nearest pairs
that are not bonded (across cyclobutane) at 1.41."""


def bonds(atoms: Atoms) -> list[tuple[int, int]]:
    """Bonded pairs of a molecule that lies whole in its box, lower index first."""
    radii = covalent_radii[atoms.numbers]
    apart = np.linalg.norm(atoms.positions[:, None] - atoms.positions[None], axis=2)
    near = apart < BOND_RATIO * (radii[:, None] + radii[None])
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(near, k=1)), strict=True)]


def neighbours(number: int, pairs: list[tuple[int, int]]) -> list[list[int]]:
    """The bonded atoms of each of `number` atoms."""
    found: list[list[int]] = [[] for _ in range(number)]
    for i, j in pairs:
        found[i].append(j)
        found[j].append(i)
    return found


def branch(near: list[list[int]], root: int, start: int) -> NDArray[np.bool_] | None:
    """The atoms that hang on `root` through its neighbour `start`, `start` among them; None where that is a ring.

    Args:
        near: bonded atoms of each atom.

    Returns:
        A mask (N,), or None when another way leads from `start` back to `root`.
    """
    reached = np.zeros(len(near), dtype=bool)
    waiting = [start]
    while waiting:
        atom = waiting.pop()
        if reached[atom]:
            continue
        reached[atom] = True
        for other in near[atom]:
            if other == root and atom != start:
                return None
            if other != root:
                waiting.append(other)
    return reached


def fragments(number: int, pairs: list[tuple[int, int]]) -> list[list[int]]:
    """Atoms of each connected part, the part of the first atom first."""
    near, left, parts = neighbours(number, pairs), set(range(number)), []
    while left:
        part: set[int] = set()
        waiting = [min(left)]
        while waiting:
            atom = waiting.pop()
            if atom not in part:
                part.add(atom)
                waiting += near[atom]
        left -= part
        parts.append(sorted(part))
    return parts


def shape(numbers: NDArray[np.int_], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """All distances (A), sorted within each pair of species: alike for what is turned, mirrored or renumbered."""
    upper = np.triu_indices(len(numbers), k=1)
    apart = np.linalg.norm(positions[upper[0]] - positions[upper[1]], axis=1)
    low, high = np.sort([numbers[upper[0]], numbers[upper[1]]], axis=0)
    return np.asarray(apart[np.lexsort((apart, high, low))])
