"""Neighbours of every atom, sorted by species, with the checks that turn bad structures into clear messages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray

from mlip_autopipec.errors import DataError, nearest

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Neighbours(NamedTuple):
    """Neighbours of atom i are entries start[i]..start[i+1], sorted by species.

    Attributes:
        start: (N + 1,).
        atom: (P,) the neighbour's atom number.
        vectors: (P, 3) r_j - r_i in Angstrom.
        distances: (P,) in Angstrom.
        species: (P,) species number of the neighbour.
        central: (N,) species number of every atom.
    """

    start: Ints
    atom: Ints
    vectors: Array
    distances: Array
    species: Ints
    central: Ints


def species_numbers(atoms: Atoms, elements: tuple[str, ...]) -> Ints:
    """Index of every atom's element in `elements`.

    Raises:
        DataError: an element that the potential does not know.
    """
    known = {symbol: k for k, symbol in enumerate(elements)}
    unknown = sorted(set(atoms.symbols) - set(known))
    if unknown:
        raise DataError(
            f"the structure has {', '.join(unknown)}, the potential knows only {', '.join(elements)}."
            f"{nearest(unknown[0], elements)} Use a potential trained on all elements of the structure."
        )
    return np.array([known[symbol] for symbol in atoms.symbols], dtype=np.int64)


def find_neighbours(atoms: Atoms, elements: tuple[str, ...], cutoffs: Array, shortest: float = 1e-3) -> Neighbours:
    """Neighbours within `cutoffs[central, neighbour]` (Angstrom), closer ones than `shortest` refused.

    Raises:
        DataError: unknown element, a position or cell that is not finite, or two atoms closer than `shortest`.
    """
    central = species_numbers(atoms, elements)
    positions = atoms.positions
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(bad):
        raise DataError(f"position of atom {bad[0]} is {positions[bad[0]].tolist()} Angstrom: not a finite number.")
    if not np.isfinite(atoms.cell.array).all():
        raise DataError("the cell has entries that are not finite numbers.")
    i, j, d, vectors = _pairs(atoms, float(cutoffs.max()))
    species = central[j]
    inside = d < cutoffs[central[i], species]
    if not inside.all():
        i, j, d, vectors, species = i[inside], j[inside], d[inside], vectors[inside], species[inside]
    if len(d) and d.min() < shortest:
        k = int(d.argmin())
        raise DataError(
            f"atoms {i[k]} and {j[k]} are {d[k]:.2g} Angstrom apart, below the {shortest:.2g} Angstrom where the "
            "tables begin. Remove one of them, or add a core repulsion to what moved them there."
        )
    if len(elements) > 1:
        order = np.lexsort((species, i))
        i, j, d, vectors, species = i[order], j[order], d[order], vectors[order], species[order]
    start = np.searchsorted(i, np.arange(len(atoms) + 1))
    return Neighbours(start, j, np.ascontiguousarray(vectors), d, species, central)


def _pairs(atoms: Atoms, cutoff: float) -> tuple[Ints, Ints, Array, Array]:
    """Pairs (i, j, distance, r_j - r_i) within `cutoff`, sorted by i.

    Along open directions the cell is replaced by one that holds all atoms, because matscipy assumes that atoms lie
    inside the cell there.
    """
    if not len(atoms):
        raise DataError("the structure has no atoms.")
    cell = atoms.cell.complete().array.copy()
    positions = atoms.positions
    if not atoms.pbc.all():
        for axis in np.flatnonzero(~atoms.pbc):
            cell[axis] /= np.linalg.norm(cell[axis])
        fractional = np.linalg.solve(cell.T, positions.T)
        origin = np.zeros(3)
        for axis in np.flatnonzero(~atoms.pbc):
            low, high = fractional[axis].min(), fractional[axis].max()
            origin += (low - 1.0) * cell[axis]
            cell[axis] *= high - low + 2.0
        positions = positions - origin
    if abs(np.linalg.det(cell)) < 1e-6:
        raise DataError(f"the cell has no volume: {atoms.cell.array.tolist()} Angstrom.")
    i, j, d, vectors = neighbour_list(
        "ijdD", positions=np.ascontiguousarray(positions), cell=cell, pbc=atoms.pbc, cutoff=cutoff
    )
    return i.astype(np.int64), j.astype(np.int64), d, vectors
