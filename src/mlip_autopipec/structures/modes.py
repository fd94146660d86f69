"""Normal modes of a molecule, and molecules displaced along them.

Normal mode sampling is that of Smith, Isayev and Roitberg (Chem. Sci. 8, 3192, 2017): each mode is a harmonic
oscillator, and each structure draws its share of their thermal energy. Here the amplitudes are those of the quantum
oscillator, hbar/(2 omega) coth(hbar omega / 2kT) for the mean square of a mass-weighted coordinate: never narrower
than the zero-point motion, and the classical kT/omega^2 for soft modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from mlip_autopipec.frames import closest_contact, new_frame
from mlip_autopipec.structures.placing import molecules, shares
from mlip_autopipec.structures.task import Task

Array = NDArray[np.float64]

STEP_ANGSTROM = 0.01
"""Displacement of the finite differences: errors of third order stay below 1 % for stretches, noise of a surrogate in
single precision (1e-5 eV/A) below 15 cm-1."""
DISPLACEMENT_MAX_ANGSTROM = 0.3
"""No atom moves farther along one mode: straight displacements stand for a turn (of a methyl group) only so far."""
SOFT_PER_CM = 10.0
"""Imaginary modes below this are noise of the finite differences and not worth a word."""
_TRIES = 20

# hbar omega in eV of a mode with a curvature of 1 eV/A^2/amu
_EV_PER_ROOT_CURVATURE = units._hbar * 1e10 / np.sqrt(units._e * units._amu)


@dataclass(frozen=True)
class NormalModes:
    """Vibrations of a molecule about its relaxed shape, softest first.

    Attributes:
        curvatures: M second derivatives along mass-weighted coordinates, eV/A^2/amu; negative ones are imaginary modes.
        displacements: (M, N, 3), movement of each atom in A per A amu^1/2 of the mode's coordinate.
    """

    curvatures: Array
    displacements: Array

    @property
    def wavenumbers_per_cm(self) -> Array:
        """Wavenumbers in cm-1; imaginary ones are negative."""
        energies = _EV_PER_ROOT_CURVATURE * np.sqrt(np.abs(self.curvatures))
        return np.asarray(np.sign(self.curvatures) * energies / units.invcm)

    def amplitudes(self, temperature_k: float) -> Array:
        """Root-mean-square coordinate of each mode (A amu^1/2) at a temperature, capped.

        An imaginary mode is taken with |omega|. Twice the amplitude moves no atom by more than
        `DISPLACEMENT_MAX_ANGSTROM`.
        """
        curvature = np.maximum(np.abs(self.curvatures), 1e-8)
        quantum = _EV_PER_ROOT_CURVATURE * np.sqrt(curvature)
        mean_square = quantum / 2 / np.tanh(quantum / (2 * units.kB * temperature_k)) / curvature
        return np.asarray(np.minimum(np.sqrt(mean_square), self._caps() / 2))

    def displaced(self, temperature_k: float, share: float, random: np.random.Generator) -> Array:
        """A random displacement (N, 3) in A: normal coordinates from their distribution, times the root of `share`.

        Args:
            share: part of the energy of the temperature, 0 to 1.
        """
        coordinates = random.normal(size=len(self.curvatures)) * self.amplitudes(temperature_k)
        coordinates = np.clip(coordinates, -self._caps(), self._caps()) * np.sqrt(share)
        return np.asarray(np.einsum("m,mik->ik", coordinates, self.displacements))

    def _caps(self) -> Array:
        farthest = np.linalg.norm(self.displacements, axis=2).max(axis=1)
        return np.asarray(DISPLACEMENT_MAX_ANGSTROM / farthest)


def find_modes(molecule: Atoms, calculator: Calculator) -> NormalModes:
    """Normal modes of a molecule from central differences of forces: 6 evaluations per atom.

    Translations and rotations are projected out (Eckart, Phys. Rev. 47, 552, 1935): 3N - 6 modes are left, 3N - 5 of a
    linear molecule, none of an atom.
    """
    mass = np.repeat(molecule.get_masses(), 3)
    vibrating = _without_rigid_motion(molecule)
    if vibrating.shape[1] == 0:
        return NormalModes(np.zeros(0), np.zeros((0, len(molecule), 3)))
    hessian = _hessian(molecule, calculator) / np.sqrt(mass[:, None] * mass[None])
    curvatures, inside = np.linalg.eigh(vibrating.T @ hessian @ vibrating)
    weighted = (vibrating @ inside).T / np.sqrt(mass)
    return NormalModes(curvatures, weighted.reshape(len(curvatures), len(molecule), 3))


def normal_modes(task: Task, parents: list[Atoms], number: int) -> list[Atoms]:
    """Molecules displaced along all their normal modes at once, with shares of the energy spread evenly from 0 to 1.

    The temperature is `mode_temperature_k`. Atoms have no modes and give no frames.
    """
    found = [parent for parent in molecules(parents) if len(parent) > 1]
    frames = []
    for parent, wanted in zip(found, shares(number, len(found)), strict=True):
        if wanted == 0:
            continue
        modes = find_modes(parent, task.calculator)
        imaginary = [f"{-w:.0f}i" for w in modes.wavenumbers_per_cm if w < -SOFT_PER_CM]
        said = f", imaginary modes ({' '.join(imaginary)} cm-1) with |omega|" if imaginary else ""
        random = task.random("normal_modes", parent.info["uid"])
        temperature = task.settings.mode_temperature_k
        for k in range(wanted):
            moved = _physical(parent, modes, temperature, (k + 1) / wanted, random, task)
            if moved is not None:
                origin = f"normal modes {temperature:g} K, share {(k + 1) / wanted:.2f}{said}"
                frames.append(new_frame(moved, origin=origin, config_type="normal_mode", like=parent))
    return frames


def _physical(
    parent: Atoms, modes: NormalModes, temperature_k: float, share: float, random: np.random.Generator, task: Task
) -> Atoms | None:
    moved: Atoms = parent.copy()
    for _ in range(_TRIES):
        moved.positions = parent.positions + modes.displaced(temperature_k, share, random)
        if closest_contact(moved)[0] >= task.settings.minimum_distance_fraction:
            return moved
    return None


def _hessian(molecule: Atoms, calculator: Calculator) -> Array:
    """Second derivatives of the energy, (3N, 3N), eV/A^2, symmetrised."""
    moving = Atoms(numbers=molecule.numbers, positions=molecule.positions, cell=molecule.cell, pbc=molecule.pbc)
    moving.calc = calculator
    rows = []
    for k in range(3 * len(molecule)):
        forces = []
        for sign in (1, -1):
            moving.positions = molecule.positions
            moving.positions[k // 3, k % 3] += sign * STEP_ANGSTROM
            forces.append(moving.get_forces().ravel())
        rows.append((forces[1] - forces[0]) / (2 * STEP_ANGSTROM))
    second = np.array(rows, dtype=float)
    return np.asarray((second + second.T) / 2)


def _without_rigid_motion(molecule: Atoms) -> Array:
    """Orthonormal columns (3N, M) that span all mass-weighted displacements but translations and rotations."""
    root = np.sqrt(molecule.get_masses())[:, None]
    about = molecule.positions - molecule.get_center_of_mass()
    rigid = [root * axis for axis in np.eye(3)]
    rigid += [root * np.cross(axis, about) for axis in np.eye(3)]
    vectors, lengths, _ = np.linalg.svd(np.array(rigid).reshape(6, -1).T, full_matrices=True)
    # A linear molecule turns about two axes only: its third length is 0 but for rounding and a relaxation's tolerance.
    extent = float(lengths.max())
    number = int((lengths > 1e-3 * extent).sum())
    return np.asarray(vectors[:, number:])
