"""Langevin molecular dynamics that stops at the first sign of trouble and says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import closest_contact
from mlip_autopipec.integrators import Bath, set_velocities, step

FLOWN_ANGSTROM = 1e5  # nothing diffuses that far in a walk


@dataclass(frozen=True)
class Thermostat:
    """How the atoms are moved: temperature (K), time step (fs), Langevin friction (1/ps).

    With `temperature_end_k` the temperature goes evenly from the first to that one.
    """

    temperature_k: float
    timestep_fs: float
    friction_per_ps: float
    temperature_end_k: float | None = None

    def at(self, part: float) -> float:
        """Temperature (K) when this part (0 to 1) of a run is done."""
        end = self.temperature_k if self.temperature_end_k is None else self.temperature_end_k
        return self.temperature_k + (end - self.temperature_k) * part


@dataclass(frozen=True)
class Guards:
    """When a walker stops: distance as a fraction of the sum of covalent radii, force in eV/A."""

    minimum_distance_fraction: float
    maximum_force_ev_per_angstrom: float = np.inf

    def trouble(self, atoms: Atoms) -> str:
        """What is wrong with this frame, in words; '' when nothing is."""
        if flown(atoms):
            return "an atom flew away"
        ratio, distance = closest_contact(atoms)
        if ratio < self.minimum_distance_fraction:
            return (
                f"two atoms are {distance:.2f} A apart, {ratio:.2f} of the sum of their covalent radii "
                f"(limit {self.minimum_distance_fraction})"
            )
        force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
        if not force <= self.maximum_force_ev_per_angstrom:
            return f"a force of {force:.1f} eV/A (limit {self.maximum_force_ev_per_angstrom})"
        return ""


def exploded(atoms: Atoms, guards: Guards) -> bool:
    """Whether an error of a calculator is told by atoms that have flown apart or together."""
    return flown(atoms) or closest_contact(atoms)[0] < guards.minimum_distance_fraction


def flown(atoms: Atoms) -> bool:
    """Whether a position is no number, or so far away that searches for neighbours would not end."""
    return not np.abs(atoms.positions).max(initial=0.0) < FLOWN_ANGSTROM


def run(
    atoms: Atoms,
    calculator: Calculator,
    thermostat: Thermostat,
    guards: Guards,
    *,
    steps: int,
    interval: int,
    random: np.random.Generator,
    visit: Callable[[int, Atoms], str],
) -> tuple[int, str]:
    """Run constant-volume Langevin dynamics from Maxwell-Boltzmann velocities.

    Args:
        atoms: start; a copy is moved.
        visit: called with step and atoms every `interval` steps, the start included, after the guards were asked;
            returns a reason to stop, or ''.
        random: feeds velocities and thermostat.

    Returns:
        The number of steps made and the reason for stopping early ('' when all were made).
    """
    moving = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    moving.calc = calculator
    bath = Bath("langevin", thermostat.friction_per_ps)
    set_velocities(moving, thermostat.temperature_k, random)
    done = 0
    while True:
        try:
            reason = guards.trouble(moving) or visit(done, moving)
            if reason or done >= steps:
                return done, reason
            block = min(interval, steps - done)
            for k in range(done + 1, done + block + 1):
                step(moving, thermostat.timestep_fs, thermostat.at(k / steps), bath, None, random)
            done += block
        except DataError as error:  # a calculator that refuses a frame, e.g. atoms nearer than its table
            return done, str(error)
        except (ValueError, RuntimeError) as error:  # what calculators raise for coordinates that have exploded
            if not exploded(moving, guards):
                raise
            return done, f"the atoms flew apart or together: {error}"
