"""Rows of the linear least-squares problem: energy, forces and stress of a structure per basis function."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.ace import kernels
from mlip_autopipec.ace.basis import Basis
from mlip_autopipec.ace.evaluate import VOIGT, neighbours_of
from mlip_autopipec.ace.threads import ordered, thread_count

Array = NDArray[np.float64]


class DesignRows(NamedTuple):
    """Rows of one structure with N atoms; columns are the functions, species after species (`Basis.columns`).

    rows @ coefficients gives the total energy (eV), the forces (eV/Angstrom) and dE/dstrain (eV), which is the
    volume times ASE's stress (the virial with opposite sign).

    Attributes:
        energy: (F,).
        forces: (3N, F), rows x, y, z of atom 0, then atom 1, ...
        strain: (6, F), Voigt xx, yy, zz, yz, xz, xy.
        per_atom: (N, F) values B; columns of other central species are 0.
    """

    energy: Array
    forces: Array
    strain: Array
    per_atom: Array


def design_rows(basis: Basis, atoms: Atoms, threads: int | None = None) -> DesignRows:
    """Rows of the design matrix for one structure.

    Args:
        basis: the functions.
        atoms: the structure.
        threads: number of threads, which share the functions; None: environment variable MLIP_NUM_THREADS, or 1.

    Raises:
        DataError: unknown element, positions that are not finite, atoms too close.
    """
    near = neighbours_of(basis, atoms, threads=threads)
    pairs = near.pairs(atoms)
    count, size = len(atoms), basis.number_of_functions
    per_atom = np.zeros((count, size))
    forces, strain = np.zeros((size, 3 * count)), np.zeros((size, 3, 3))
    for mu, tables in enumerate(basis.compiled):
        chosen = np.flatnonzero(near.central == mu)
        columns = basis.columns(mu)
        if not len(chosen) or columns.start == columns.stop:
            continue
        values = np.zeros((len(chosen), basis.counts[mu]))
        parts = np.linspace(0, basis.counts[mu], thread_count(threads) + 1).astype(int)
        rows = partial(
            kernels.design, tables, chosen, pairs.start, pairs.atom, pairs.vectors, pairs.distances, pairs.species,
            values, forces[columns], strain[columns],
        )  # fmt: skip
        for _ in ordered(lambda part, rows=rows: rows(*part), pairwise(parts), threads):  # type: ignore[misc]
            pass
        per_atom[chosen, columns] = values
    symmetric = (strain + strain.transpose(0, 2, 1)) / 2
    voigt = symmetric[:, VOIGT[0], VOIGT[1]]
    return DesignRows(per_atom.sum(axis=0), np.ascontiguousarray(forces.T), np.ascontiguousarray(voigt.T), per_atom)


class AtomRows(NamedTuple):
    """What one atom's basis functions give: values, and forces and strain derivatives of its energy alone.

    Attributes:
        species: number of the atom's element.
        neighbours: (m,) atoms that its energy depends on, itself first.
        values: (F,) its functions, F = `Basis.counts[species]`.
        forces: (3m, F) on the neighbours, x, y, z of the first, then the second, ...
        strain: (6, F) dE/dstrain, Voigt.
    """

    species: int
    neighbours: NDArray[np.int64]
    values: Array
    forces: Array
    strain: Array


def atom_rows(basis: Basis, atoms: Atoms) -> Iterator[AtomRows]:
    """The design matrix atom by atom, for models that are not linear in its functions. Errors as `design_rows`."""
    near = neighbours_of(basis, atoms)
    pairs = near.pairs(atoms)
    for i, mu in enumerate(near.central):
        own = slice(pairs.start[i], pairs.start[i + 1])
        others = np.setdiff1d(pairs.atom[own], [i])
        local = np.where(pairs.atom[own] == i, 0, 1 + np.searchsorted(others, pairs.atom[own]))
        count = len(others) + 1
        values = np.zeros((1, basis.counts[mu]))
        forces, strain = np.zeros((basis.counts[mu], 3 * count)), np.zeros((basis.counts[mu], 3, 3))
        kernels.design(
            basis.compiled[mu], np.zeros(1, dtype=np.int64), np.array([0, len(local)]), local, pairs.vectors[own],
            pairs.distances[own], pairs.species[own], values, forces, strain, 0, basis.counts[mu],
        )  # fmt: skip
        symmetric = (strain + strain.transpose(0, 2, 1)) / 2
        yield AtomRows(int(mu), np.append(i, others), values[0], forces.T, symmetric[:, VOIGT[0], VOIGT[1]].T)
