"""Which structures are the same: told from distances between atoms, whatever the cell, origin and orientation.

Each atom has a row: its distances to the nearest atoms of every element, in order. Structures are the same when the
rows of one can be paired with those of the other so that no distance differs by more than a tolerance. These are the
pointwise distance distributions of Widdowson and Kurlin (NeurIPS 35, 2022, "Resolving the data ambiguity for periodic
crystals"), here by element: they do not depend on how a crystal is written, change no faster than the atoms move, and
tell apart all structures in general position. Their means (average minimum distances, Widdowson et al., MATCH 87, 529,
2022) differ no more than they do, and rule most pairs out at once.

Mirror images are the same: their energy is, and a potential gives them the same by construction.
Directions with vacuum are taken as open: a molecule is the same in a box of any size, a slab under any vacuum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd, lcm

import numpy as np
from ase import Atoms
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from mlip_autopipec.frames import pairs, plane_distances

# Tighter than the smallest rattle worth a label and far above the digits that a file keeps.
SAME_GEOMETRY_ANGSTROM = 0.01
# Relaxed twice from different starts, a crystal's distances differ by about 1 % (0.06 A in the farthest shell kept);
# fcc and hcp, the nearest pair of prototypes, differ by 0.1 of the bond length.
SAME_CRYSTAL_ANGSTROM = 0.15

_NEIGHBOURS = 60  # in a row, of all elements: a sphere as large as a cell of 60 atoms, beyond two shells
_NEIGHBOURS_OF_ELEMENT = 6  # at least, of a rare element


@dataclass(frozen=True)
class Fingerprint:
    """Rows of distances of a structure.

    Attributes:
        kind: number of open directions and amount of each element, (number, amount) pairs: counts of a molecule,
            the reduced formula of what is periodic.
        rows: by atomic number, distances in A, (atoms of the element, neighbours).
    """

    kind: tuple[int, tuple[tuple[int, int], ...]]
    rows: dict[int, np.ndarray]

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean rows of all elements in one array, A."""
        return np.concatenate([self.rows[number].mean(axis=0) for number in sorted(self.rows)])

    def same(self, other: Fingerprint, tolerance_angstrom: float) -> bool:
        """Whether all atoms can be paired with no distance differing by more than the tolerance (A)."""
        if self.kind != other.kind or (len(self.mean) and np.abs(self.mean - other.mean).max() > tolerance_angstrom):
            return False
        return all(_paired(rows, other.rows[number], tolerance_angstrom) for number, rows in self.rows.items())


def fingerprint(atoms: Atoms) -> Fingerprint:
    """Distances by which a structure is told from others; `atoms` has a cell."""
    opened, open_directions = _opened(atoms)
    elements, counts = np.unique(atoms.numbers, return_counts=True)
    if open_directions == 3:
        divisor, rows = 1, _all_distances(opened, elements)
    else:
        divisor = gcd(*map(int, counts))
        wanted = np.maximum(np.rint(_NEIGHBOURS * counts / len(atoms)).astype(int), _NEIGHBOURS_OF_ELEMENT)
        rows = _nearest_distances(opened, elements, wanted)
    kind = tuple((int(number), int(count) // divisor) for number, count in zip(elements, counts, strict=True))
    return Fingerprint((open_directions, kind), rows)


def same_structure(a: Atoms, b: Atoms, tolerance_angstrom: float = SAME_GEOMETRY_ANGSTROM) -> bool:
    """Whether two structures are the same but for cell, origin, orientation, handedness and order of atoms.

    Args:
        tolerance_angstrom: largest difference of a distance. SAME_GEOMETRY_ANGSTROM: duplicates as data, strained or
            rattled copies differ; SAME_CRYSTAL_ANGSTROM: the same crystal after two relaxations.
    """
    return fingerprint(a).same(fingerprint(b), tolerance_angstrom)


def without_duplicates(
    frames: Sequence[Atoms], tolerance_angstrom: float = SAME_GEOMETRY_ANGSTROM
) -> tuple[list[Atoms], int]:
    """Frames in order, without those that are the same as an earlier one, and how many were removed."""
    kept: list[Atoms] = []
    known: dict[tuple[int, tuple[tuple[int, int], ...]], list[Fingerprint]] = {}
    for frame in frames:
        one = fingerprint(frame)
        alike = known.setdefault(one.kind, [])
        if not any(one.same(other, tolerance_angstrom) for other in alike):
            alike.append(one)
            kept.append(frame)
    return kept, len(frames) - len(kept)


def _opened(atoms: Atoms) -> tuple[Atoms, int]:
    """A copy that is not periodic where there is vacuum, cut there, and the number of such directions."""
    cell = atoms.cell
    if abs(cell.volume) < 1e-6 or not atoms.pbc.any():
        return Atoms(numbers=atoms.numbers, positions=atoms.positions), 3
    is_open = (plane_distances(atoms) == 0) | ~atoms.pbc
    scaled = atoms.get_scaled_positions(wrap=False)
    for direction in np.flatnonzero(is_open & atoms.pbc):
        wrapped = scaled[:, direction] % 1.0
        order = np.sort(wrapped)
        gaps = np.diff(np.append(order, order[0] + 1.0))
        start = order[(int(np.argmax(gaps)) + 1) % len(order)]  # the first atom beyond the vacuum
        scaled[:, direction] = (wrapped - start + 1e-9) % 1.0
    copy = Atoms(numbers=atoms.numbers, scaled_positions=scaled, cell=cell, pbc=~is_open)
    return copy, int(is_open.sum())


def _all_distances(atoms: Atoms, elements: np.ndarray) -> dict[int, np.ndarray]:
    """Rows of a molecule or cluster: the distances of each atom to all others, in order, element by element."""
    distances = cdist(atoms.positions, atoms.positions)
    rows = {}
    for number in elements:
        of_element = np.flatnonzero(atoms.numbers == number)
        parts = []
        for other in elements:
            block = np.sort(distances[np.ix_(of_element, np.flatnonzero(atoms.numbers == other))], axis=1)
            parts.append(block[:, 1:] if other == number else block)  # not to itself
        rows[int(number)] = np.hstack(parts)
    return rows


def _nearest_distances(atoms: Atoms, elements: np.ndarray, wanted: np.ndarray) -> dict[int, np.ndarray]:
    """Rows of something periodic: the distances of each atom to the `wanted` nearest of each element."""
    count = len(elements)
    volume = abs(atoms.cell.volume)
    share = np.bincount(np.searchsorted(elements, atoms.numbers), minlength=count) / len(atoms)
    cutoff = 1.1 * float((3 * volume * (wanted / share).max() / (4 * np.pi * len(atoms))) ** (1 / 3))
    while True:
        first, second, distance = pairs(atoms, cutoff)
        group = first * count + np.searchsorted(elements, atoms.numbers[second])
        found = np.bincount(group, minlength=len(atoms) * count).reshape(len(atoms), count)
        if (found >= wanted).all():
            break
        cutoff *= 1.25
    order = np.lexsort((distance, group))
    distance = distance[order]
    starts = np.concatenate([[0], np.cumsum(found.ravel())[:-1]]).reshape(len(atoms), count)
    blocks = [distance[starts[:, k, None] + np.arange(wanted[k])] for k in range(count)]
    rows = np.hstack(blocks)
    return {int(number): rows[atoms.numbers == number] for number in elements}


def _paired(a: np.ndarray, b: np.ndarray, tolerance_angstrom: float) -> bool:
    """Whether rows can be paired one to one (after repeating those of the smaller cell) within the tolerance."""
    if a.shape[1] == 0:
        return True
    number = lcm(len(a), len(b))
    differences = cdist(a, b, "chebyshev")
    if (differences.min(axis=0) > tolerance_angstrom).any() or (differences.min(axis=1) > tolerance_angstrom).any():
        return False
    repeated = np.repeat(np.repeat(differences, number // len(a), axis=0), number // len(b), axis=1)
    # Pairs above the tolerance cost one each and the others nothing: the best pairing has none if there is one.
    too_far = (repeated > tolerance_angstrom).astype(float)
    return bool(too_far[linear_sum_assignment(too_far)].sum() == 0)
