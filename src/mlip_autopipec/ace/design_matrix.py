"""Rows of the linear least-squares problem: energy, forces and stress of a structure per basis function."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.ace import kernels
from mlip_autopipec.ace.basis import Basis
from mlip_autopipec.ace.evaluate import VOIGT, neighbours_of

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


def design_rows(basis: Basis, atoms: Atoms) -> DesignRows:
    """Rows of the design matrix for one structure.

    Raises:
        DataError: unknown element, positions that are not finite, atoms too close.
    """
    near = neighbours_of(basis, atoms)
    count, size = len(atoms), basis.number_of_functions
    per_atom = np.zeros((count, size))
    forces, strain = np.zeros((size, 3 * count)), np.zeros((size, 3, 3))
    for mu, tables in enumerate(basis.compiled):
        chosen = np.flatnonzero(near.central == mu)
        columns = basis.columns(mu)
        if not len(chosen) or columns.start == columns.stop:
            continue
        values = np.zeros((len(chosen), basis.counts[mu]))
        kernels.design(
            tables, chosen, near.start, near.atom, near.vectors, near.distances, near.species,
            values, forces[columns], strain[columns],
        )  # fmt: skip
        per_atom[chosen, columns] = values
    symmetric = (strain + strain.transpose(0, 2, 1)) / 2
    voigt = symmetric[:, VOIGT[0], VOIGT[1]]
    return DesignRows(per_atom.sum(axis=0), np.ascontiguousarray(forces.T), np.ascontiguousarray(voigt.T), per_atom)
