"""Neighbours of every atom, sorted by species, with the checks that turn bad structures into clear messages.

Cell lists: M. P. Allen, D. J. Tildesley, Computer Simulation of Liquids, 2nd ed. (2017), 5.3.2. Candidates up to the
cutoffs plus a skin are kept as numbers of atom and image, so that they serve until an atom has moved half the skin.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numba import njit
from numpy.typing import NDArray

from mlip_autopipec.ace.lanes import List
from mlip_autopipec.ace.threads import ordered
from mlip_autopipec.errors import DataError, nearest

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK = 1024
"""Atoms per task of the search."""


class Pairs(NamedTuple):
    """Neighbours of the atoms first..last in full; those of atom first + k are entries start[k]..start[k + 1].

    Attributes:
        start: (atoms + 1,).
        atom: (P,) the neighbour's atom number.
        vectors: (P, 3) r_j - r_i in Angstrom.
        distances: (P,) in Angstrom.
        species: (P,) species number of the neighbour.
    """

    start: Ints
    atom: Ints
    vectors: Array
    distances: Array
    species: Ints


@dataclass(frozen=True)
class Neighbours:
    """Candidates of every atom within the cutoffs plus `skin`, for this cell.

    Attributes:
        start: (N + 1,) entries of atom i are start[i]..start[i + 1], sorted by species.
        atom: (P,) atom number.
        image: (P,) row of `images`.
        images: (K, 3) whole lattice translations.
        inside: (N, 3) whole lattice translations that were taken off each atom's position.
        central: (N,) species number of every atom.
        cutoffs: (species, species) in Angstrom, by central and neighbour.
        shortest: distance in Angstrom below which a pair is refused.
        skin: in Angstrom.
        positions, cell, pbc: of the structure that was searched.
    """

    start: Ints
    atom: NDArray[np.int32]
    image: NDArray[np.int32]
    images: Array
    inside: Array
    central: Ints
    cutoffs: Array
    shortest: float
    skin: float
    positions: Array
    cell: Array
    pbc: NDArray[np.bool_]

    def serves(self, atoms: Atoms) -> bool:
        """Whether the candidates still hold all neighbours of `atoms`, which have the species of the searched ones."""
        if len(atoms) != len(self.positions) or not np.array_equal(atoms.pbc, self.pbc):
            return False
        if not np.array_equal(atoms.cell.array, self.cell):
            return False
        moved = atoms.positions - self.positions
        return bool((np.einsum("ij,ij->i", moved, moved) <= (self.skin / 2) ** 2).all())  # False for NaN

    def at(self, atoms: Atoms) -> List:
        """The candidates with the positions of `atoms` (as searched, or moved by less than half the skin)."""
        cell = atoms.cell.complete().array
        positions = np.ascontiguousarray(atoms.positions - self.inside @ cell)
        images = np.ascontiguousarray(self.images @ cell)
        return List(self.start, self.atom, self.image, positions, images, self.central, self.shortest)

    def pairs(self, atoms: Atoms, first: int = 0, last: int | None = None) -> Pairs:
        """The neighbours within the cutoffs of the atoms first..last (all)."""
        last = len(self.positions) if last is None else last
        found = Pairs(*_expand(self.at(atoms), self.cutoffs, first, last))
        if len(found.distances) and found.distances.min() < self.shortest:
            k = int(found.distances.argmin())
            i = first + int(np.searchsorted(found.start, k, side="right")) - 1
            raise too_close(i, int(found.atom[k]), float(found.distances[k]), self.shortest)
        return found


def too_close(i: int, j: int, distance: float, shortest: float) -> DataError:
    """The error for two atoms below the tables."""
    return DataError(
        f"atoms {i} and {j} are {distance:.2g} Angstrom apart, below the {shortest:.2g} Angstrom where the tables "
        "begin. Remove one of them, or add a core repulsion to what moved them there."
    )


def species_numbers(atoms: Atoms, elements: tuple[str, ...]) -> Ints:
    """Index of every atom's element in `elements`.

    Raises:
        DataError: an element that the potential does not know.
    """
    index = np.full(len(chemical_symbols), -1, dtype=np.int64)
    index[[atomic_numbers[symbol] for symbol in elements]] = np.arange(len(elements))
    found: Ints = index[atoms.numbers]
    if (found < 0).any():
        unknown = sorted({chemical_symbols[z] for z in atoms.numbers[found < 0]})
        raise DataError(
            f"the structure has {', '.join(unknown)}, the potential knows only {', '.join(elements)}."
            f"{nearest(unknown[0], elements)} Use a potential trained on all elements of the structure."
        )
    return found


def check_finite(atoms: Atoms) -> None:
    """Raise DataError for positions or a cell that are not finite numbers."""
    bad = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
    if len(bad):
        raise DataError(
            f"position of atom {bad[0]} is {atoms.positions[bad[0]].tolist()} Angstrom: not a finite number."
        )
    if not np.isfinite(atoms.cell.array).all():
        raise DataError("the cell has entries that are not finite numbers.")


def find_neighbours(
    atoms: Atoms,
    elements: tuple[str, ...],
    cutoffs: Array,
    shortest: float = 1e-3,
    skin: float = 0.0,
    threads: int | None = None,
) -> Neighbours:
    """Candidates within `cutoffs[central, neighbour]` + `skin` (Angstrom).

    Raises:
        DataError: no atom, unknown element, a position or cell that is not finite, a cell without volume.
    """
    if not len(atoms):
        raise DataError("the structure has no atoms.")
    central = species_numbers(atoms, elements)
    check_finite(atoms)
    cell = atoms.cell.complete().array
    volume = abs(float(np.linalg.det(cell)))
    if volume < 1e-6:
        raise DataError(f"the cell has no volume: {atoms.cell.array.tolist()} Angstrom.")
    reach = float(cutoffs.max()) + skin
    pbc = np.asarray(atoms.pbc, dtype=np.bool_)
    fractional = np.linalg.solve(cell.T, atoms.positions.T).T
    inside = np.where(pbc, np.floor(fractional), 0.0)
    fractional -= inside
    low = np.where(pbc, 0.0, fractional.min(axis=0))
    span = np.where(pbc, 1.0, np.maximum(fractional.max(axis=0) - low, 1e-9))
    heights = span * volume / np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    bins = np.maximum(1, np.minimum(2 * heights / reach, 1000.0).astype(np.int64))
    while bins.prod() > max(64, 2 * len(atoms)):
        bins[bins.argmax()] = (bins.max() + 1) // 2
    around = np.ceil(reach / (heights / bins)).astype(np.int64)
    around = np.where(pbc, around, np.minimum(around, bins - 1))
    # The farthest image that a bin can meet, on each side.
    far = np.where(pbc, (around + bins - 1) // bins, 0)
    images = np.stack(np.meshgrid(*(np.arange(-f, f + 1) for f in far), indexing="ij"), axis=-1).reshape(-1, 3)
    where = np.clip(((fractional - low) / span * bins).astype(np.int64), 0, bins - 1)
    number = ((where[:, 0] * bins[1] + where[:, 1]) * bins[2] + where[:, 2]) * len(elements) + central
    order = np.argsort(number, kind="stable")
    drawer_start = np.searchsorted(number[order], np.arange(bins.prod() * len(elements) + 1))
    positions = np.ascontiguousarray((atoms.positions - inside @ cell).T)
    limits = np.ascontiguousarray((cutoffs + skin) ** 2)
    search = _Bins(
        positions[:, order].copy(), order, central, where, bins, around, far,
        np.ascontiguousarray(images @ cell), drawer_start, positions, limits, pbc,
    )  # fmt: skip
    counts = np.zeros((len(atoms), len(elements)), dtype=np.int64)
    tasks = [(begin, min(begin + CHUNK, len(atoms))) for begin in range(0, len(atoms), CHUNK)]
    for _ in ordered(lambda t: _count(search, t[0], t[1], counts), tasks, threads):
        pass
    ends = np.concatenate([[0], np.cumsum(counts.ravel())])
    start = np.ascontiguousarray(ends[:: len(elements)])
    first = np.ascontiguousarray(ends[:-1].reshape(counts.shape))
    atom, image = np.empty(start[-1], dtype=np.int32), np.empty(start[-1], dtype=np.int32)
    for _ in ordered(lambda t: _write(search, t[0], t[1], counts, first, atom, image), tasks, threads):
        pass
    return Neighbours(
        start, atom, image, images.astype(float), inside, central, cutoffs, shortest, skin,
        atoms.positions.copy(), atoms.cell.array.copy(), pbc.copy(),
    )  # fmt: skip


class _Bins(NamedTuple):
    """Atoms sorted into the bins of a cell list; a drawer is the part of a bin with one species."""

    sorted_positions: Array  # (3, N)
    order: Ints
    species: Ints
    where: Ints  # (N, 3) bin of every atom
    bins: Ints  # (3,)
    around: Ints  # (3,) bins to look at in each direction
    far: Ints  # (3,) largest image number
    images: Array  # (K, 3) Angstrom
    drawer_start: Ints
    positions: Array  # (3, N)
    limits: Array  # (species, species) squared distances
    pbc: NDArray[np.bool_]


@njit(cache=True, error_model="numpy", nogil=True)
def _boxes(s: _Bins, i, boxes):
    """Bins around atom i that exist, as rows (bin, image) of `boxes`; returns their number."""
    n0, n1, n2 = s.bins
    found = 0
    for d0 in range(-s.around[0], s.around[0] + 1):
        b0 = s.where[i, 0] + d0
        s0 = b0 // n0
        if s0 != 0 and not s.pbc[0]:
            continue
        for d1 in range(-s.around[1], s.around[1] + 1):
            b1 = s.where[i, 1] + d1
            s1 = b1 // n1
            if s1 != 0 and not s.pbc[1]:
                continue
            for d2 in range(-s.around[2], s.around[2] + 1):
                b2 = s.where[i, 2] + d2
                s2 = b2 // n2
                if s2 != 0 and not s.pbc[2]:
                    continue
                boxes[found, 0] = ((b0 - s0 * n0) * n1 + b1 - s1 * n1) * n2 + b2 - s2 * n2
                boxes[found, 1] = (
                    ((s0 + s.far[0]) * (2 * s.far[1] + 1) + s1 + s.far[1]) * (2 * s.far[2] + 1) + s2 + s.far[2]
                )
                found += 1
    return found


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def _count(s: _Bins, begin, end, counts):
    """Sets counts[i, species] of the atoms begin..end."""
    species_count = s.limits.shape[0]
    boxes = np.empty(((2 * s.around + 1).prod(), 2), dtype=np.int64)
    x, y, z = s.sorted_positions[0], s.sorted_positions[1], s.sorted_positions[2]
    for i in range(begin, end):
        for b in range(_boxes(s, i, boxes)):
            k = boxes[b, 1]
            tx = s.positions[0, i] - s.images[k, 0]
            ty = s.positions[1, i] - s.images[k, 1]
            tz = s.positions[2, i] - s.images[k, 2]
            for nu in range(species_count):
                drawer = boxes[b, 0] * species_count + nu
                limit = s.limits[s.species[i], nu]
                hits = 0
                for e in range(s.drawer_start[drawer], s.drawer_start[drawer + 1]):
                    dx, dy, dz = x[e] - tx, y[e] - ty, z[e] - tz
                    hits += 1 if dx * dx + dy * dy + dz * dz < limit else 0
                counts[i, nu] += hits
        counts[i, s.species[i]] -= 1  # itself


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def _write(s: _Bins, begin, end, counts, first, atom, image):
    """Writes the candidates of the atoms begin..end, those of species nu from first[i, nu]."""
    species_count = s.limits.shape[0]
    boxes = np.empty(((2 * s.around + 1).prod(), 2), dtype=np.int64)
    x, y, z = s.sorted_positions[0], s.sorted_positions[1], s.sorted_positions[2]
    home = len(s.images) // 2
    most = 2
    for i in range(begin, end):
        most = max(most, counts[i].max() + 2)
    others, at = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    for i in range(begin, end):
        found = _boxes(s, i, boxes)
        for nu in range(species_count):
            limit = s.limits[s.species[i], nu]
            n = 0
            for b in range(found):
                k = boxes[b, 1]
                tx = s.positions[0, i] - s.images[k, 0]
                ty = s.positions[1, i] - s.images[k, 1]
                tz = s.positions[2, i] - s.images[k, 2]
                drawer = boxes[b, 0] * species_count + nu
                for e in range(s.drawer_start[drawer], s.drawer_start[drawer + 1]):
                    dx, dy, dz = x[e] - tx, y[e] - ty, z[e] - tz
                    j = s.order[e]
                    others[n], at[n] = j, k
                    near = dx * dx + dy * dy + dz * dz < limit
                    n += 1 if near and (j != i or k != home) else 0  # always written, so that nothing is guessed
            o = first[i, nu]
            for e in range(n):
                atom[o + e], image[o + e] = others[e], at[e]


@njit(cache=True, error_model="numpy", nogil=True)
def _expand(near: List, cutoffs, first, last):
    """Arrays of `Pairs` for the atoms first..last."""
    size = near.start[last] - near.start[first]
    start = np.zeros(last - first + 1, dtype=np.int64)
    atom, species = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    vectors, distances = np.empty((size, 3)), np.empty(size)
    n = 0
    for i in range(first, last):
        for e in range(near.start[i], near.start[i + 1]):
            j, s = near.atom[e], near.image[e]
            r2 = 0.0
            for c in range(3):
                d = near.positions[j, c] + near.images[s, c] - near.positions[i, c]
                vectors[n, c] = d
                r2 += d * d
            mu = near.species[j]
            cutoff = cutoffs[near.species[i], mu]
            if r2 < cutoff * cutoff:
                atom[n], species[n], distances[n] = j, mu, np.sqrt(r2)
                n += 1
        start[i - first + 1] = n
    return start, atom[:n], vectors[:n], distances[:n], species[:n]
