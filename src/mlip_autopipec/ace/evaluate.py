"""Energies, forces, strain derivatives and basis projections of structures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.ace import kernels
from mlip_autopipec.ace.basis import Basis
from mlip_autopipec.ace.neighbours import Neighbours, find_neighbours
from mlip_autopipec.ace.potential import Potential

Array = NDArray[np.float64]

VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])
"""Row and column of xx, yy, zz, yz, xz, xy."""


@dataclass(frozen=True)
class Evaluation:
    """Result of a potential on a structure of N atoms.

    Attributes:
        energies: (N,) in eV.
        forces: (N, 3) in eV/Angstrom.
        strain_derivative: (6,) dE/dstrain in eV, Voigt xx, yy, zz, yz, xz, xy; divided by the volume it is ASE's
            stress, with opposite sign the virial.
    """

    energies: Array
    forces: Array
    strain_derivative: Array

    @property
    def energy(self) -> float:
        """Total energy in eV."""
        return float(self.energies.sum())


def neighbours_of(source: Potential | Basis, atoms: Atoms) -> Neighbours:
    """Neighbours within the cutoffs of a potential or basis; see `find_neighbours` for the errors."""
    count = len(source.elements)
    cutoffs = np.array([[source.bonds[i, j].cutoff for j in range(count)] for i in range(count)])
    return find_neighbours(atoms, source.elements, cutoffs, shortest=source.spline_step)


def evaluate(potential: Potential, atoms: Atoms, neighbours: Neighbours | None = None) -> Evaluation:
    """Energies per atom, forces and strain derivative.

    Raises:
        DataError: unknown element, positions that are not finite, atoms too close.
    """
    near = neighbours_of(potential, atoms) if neighbours is None else neighbours
    energies, forces, strain = np.zeros(len(atoms)), np.zeros((len(atoms), 3)), np.zeros((3, 3))
    for mu, (tables, coefficients) in enumerate(potential.compiled):
        chosen = np.flatnonzero(near.central == mu)
        if len(chosen):
            kernels.energies_forces(
                tables, coefficients, chosen, near.start, near.atom, near.vectors, near.distances, near.species,
                energies, forces, strain,
            )  # fmt: skip
    return Evaluation(energies, forces, ((strain + strain.T) / 2)[VOIGT])


def project(basis: Basis, atoms: Atoms, neighbours: Neighbours | None = None) -> list[tuple[NDArray[np.int64], Array]]:
    """Values B of the basis functions, per central species: (atom numbers (n,), values (n, functions)).

    The columns are in evaluator order, as active sets need them. Errors as `evaluate`.
    """
    near = neighbours_of(basis, atoms) if neighbours is None else neighbours
    found = []
    for mu, tables in enumerate(basis.compiled):
        chosen = np.flatnonzero(near.central == mu)
        values = np.zeros((len(chosen), basis.counts[mu]))
        if len(chosen):
            kernels.projections(tables, chosen, near.start, near.vectors, near.distances, near.species, values)
        found.append((chosen, values))
    return found
