"""FIRE, a minimiser that can be put down and taken up again bit by bit, on positions and cell together.

Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), with the parameters given there. ASE's minimiser keeps the cell it
began with in a filter and cannot be resumed; here the cell is deformed by increments, and there is nothing to keep but
the velocities.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from mlip_autopipec.exploration.deform import deform

_MIXING, _LONGER, _SHORTER, _LESS_MIXING, _PATIENCE = 0.1, 1.1, 0.5, 0.99, 5
_TIMESTEP, _TIMESTEP_MAX = 0.1, 1.0  # in ASE's unit of time for atoms of mass 1
STEP_ANGSTROM = 0.1  # root mean square step of the atoms and the cell, at most


class Fire:
    """Velocities and time step of one relaxation.

    The cell counts as three more atoms whose place is the number of atoms times the logarithmic strain, so that its
    force is the virial per atom.
    """

    def __init__(self) -> None:
        self.velocity = np.zeros((0, 3))  # (N + 3) x 3; empty before the first step
        self.numbers = np.array([_TIMESTEP, _MIXING, 0.0])  # time step, mixing, good steps in a row

    def step(self, atoms: Atoms, force: np.ndarray) -> None:
        """Move atoms and cell in place by one step along `force` (see `generalised_force`), (N + 3) x 3, eV/A."""
        timestep, mixing, good = self.numbers
        if len(self.velocity) == 0:
            self.velocity = np.zeros_like(force)
        elif np.vdot(force, self.velocity) > 0:
            along = force * np.linalg.norm(self.velocity) / np.linalg.norm(force)
            self.velocity = (1 - mixing) * self.velocity + mixing * along
            if good > _PATIENCE:
                timestep, mixing = min(timestep * _LONGER, _TIMESTEP_MAX), mixing * _LESS_MIXING
            good += 1
        else:
            self.velocity = np.zeros_like(force)
            timestep, mixing, good = timestep * _SHORTER, _MIXING, 0
        self.velocity = self.velocity + timestep * force
        move = timestep * self.velocity
        longest = STEP_ANGSTROM * np.sqrt(len(atoms))
        move *= min(1.0, longest / max(float(np.linalg.norm(move)), 1e-300))
        self.numbers = np.array([timestep, mixing, good])
        strain = move[len(atoms) :] / len(atoms)
        values, vectors = np.linalg.eigh((strain + strain.T) / 2)
        deform(atoms, (vectors * np.exp(values)) @ vectors.T)
        atoms.positions += move[: len(atoms)]


def generalised_force(atoms: Atoms, pressure_ev_per_angstrom3: float) -> np.ndarray:
    """Forces on the atoms and, as three more rows, minus virial and pressure per atom: (N + 3) x 3, eV/A."""
    stress = atoms.get_stress(voigt=False) + pressure_ev_per_angstrom3 * np.eye(3)
    return np.vstack([atoms.get_forces(), -atoms.get_volume() * stress / len(atoms)])
