"""Molecular dynamics of a walker: constant volume or constant pressure, at one temperature or along a ramp."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms, units
from scipy.linalg import logm

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.config.walks import Walk
from mlip_autopipec.exploration.kinds import State, WalkEnded
from mlip_autopipec.exploration.shape import shape
from mlip_autopipec.integrators import Barostat, Bath, set_velocities, step

RAMPS = ("heat", "quench")
FLUIDS = ("melt", "amorphous", "condensed")  # starts whose cell has no shape of its own
HELD_PART = 0.2  # of a quench is spent in the heat, to forget the crystal
# A cell sheared by more than this (largest deviatoric logarithmic strain) flows. Bain's path from bcc to fcc takes
# 0.23, after which a crystal may still vibrate; a melt with a free shape goes on for ever.
FLOWING = 0.3
EVAPORATED, CRUSHED = 2.0, 1 / 3  # volumes, relative to the start, beyond which nothing is learned
STRAIN_OF_THE_TRIAL = 0.01  # of the volume, to estimate the bulk modulus
BULK_MODULI_GPA = (1.0, 1000.0)  # beyond, the start is far from rest, and a stiff crystal would overshoot: 50 is taken
USUAL_BULK_MODULUS_GPA = 50.0


def molecular_dynamics(atoms: Atoms, settings: Exploration, plan: Walk) -> MolecularDynamics:
    """The dynamics of a plan from this start (with its calculator).

    The cell moves where the plan and the config allow it and the start is surely a bulk. `auto` moves all its strains
    if the start is a crystal that keeps its temperature, and its size alone on ramps (which melt) and in fluids.
    """
    return MolecularDynamics(atoms, settings, plan)


class MolecularDynamics:
    """A `Stepper`: see `integrators`.

    Attributes:
        ensemble: in words.
        temperature_k: of the latest step, K.
        moves_cell: whether it runs at constant pressure.
    """

    def __init__(self, atoms: Atoms, settings: Exploration, plan: Walk) -> None:
        self._plan, self._settings = plan, settings
        self._bath = Bath(settings.thermostat, settings.friction_per_ps)
        self._start_cell = atoms.cell.array.copy()
        self._warnings: list[str] = []
        self.moves_cell = self._may_move(atoms)
        self._full = self.moves_cell and plan.kind not in RAMPS and settings.barostat != "isotropic"
        if settings.barostat == "auto":
            self._full = self._full and atoms.info.get("config_type") not in FLUIDS
        self._done = 0
        self._flowed_at = -1
        self._bulk_modulus_gpa = USUAL_BULK_MODULUS_GPA
        self.temperature_k = plan.temperature_k

    def _may_move(self, atoms: Atoms) -> bool:
        found = shape(atoms)
        if not self._plan.may_change_cell or self._settings.barostat == "none":
            return False
        if found.grey:
            self._warnings.append(
                f"a gap of {found.gap_angstrom:.1f} A may be vacuum or a wide space in a crystal: the cell stays"
            )
        if found.is_surely_bulk and "stress" not in atoms.calc.implemented_properties:
            self._warnings.append("the surrogate gives no stress: the cell stays")
            return False
        return found.is_surely_bulk

    @property
    def pressure_gpa(self) -> float | None:
        """The pressure aimed at, GPa; None at constant volume."""
        return self._plan.pressure_gpa if self.moves_cell else None

    @property
    def ensemble(self) -> str:
        """In words, e.g. 'NPT Langevin, full cell'."""
        bath = self._settings.thermostat.capitalize()
        return f"NPT {bath}, {'full' if self._full else 'isotropic'} cell" if self.moves_cell else f"NVT {bath}"

    def begin(self, atoms: Atoms, random: np.random.Generator) -> None:
        """Draw velocities; estimate the bulk modulus where the cell moves."""
        set_velocities(atoms, self._plan.temperature_k, random)
        if self.moves_cell:
            self._bulk_modulus_gpa = bulk_modulus_gpa(atoms)

    def advance(self, atoms: Atoms, steps: int, random: np.random.Generator) -> None:
        """Make so many time steps.

        Raises:
            WalkEnded: the matter evaporates or is crushed.
        """
        for _ in range(steps):
            self._done += 1
            self.temperature_k = self.temperature_at(self._done)
            step(atoms, self._settings.timestep_fs, self.temperature_k, self._bath, self._barostat(), random)
        if self.moves_cell:
            self._watch_the_cell(atoms)

    def temperature_at(self, done: int) -> float:
        """Temperature of a step, K: on ramps it goes evenly; a quench stays hot for its first fifth."""
        plan = self._plan
        if plan.temperature_end_k is None:
            return plan.temperature_k
        held = HELD_PART * plan.steps if plan.kind == "quench" else 0.0
        part = min(1.0, max(0.0, (done - held) / max(1.0, plan.steps - held)))
        return plan.temperature_k + (plan.temperature_end_k - plan.temperature_k) * part

    def _barostat(self) -> Barostat | None:
        if not self.moves_cell:
            return None
        s = self._settings
        return Barostat(self._plan.pressure_gpa, s.barostat_time_fs, self._bulk_modulus_gpa, self._full)

    def _watch_the_cell(self, atoms: Atoms) -> None:
        change = np.linalg.solve(self._start_cell, atoms.cell.array)
        volume = abs(float(np.linalg.det(change)))
        if not CRUSHED < volume < EVAPORATED:
            what = "evaporates" if volume > 1 else "is crushed"
            raise WalkEnded(f"the volume is {volume:.2f} of the start's: it {what} at this temperature and pressure")
        if self._full and self._flowed_at < 0 and shear(change) > FLOWING:
            self._full, self._flowed_at = False, self._done

    def state(self) -> dict[str, np.ndarray | float]:
        """Steps done, since when the cell flows (-1: it does not), the bulk modulus (GPa)."""
        return {"done": self._done, "flowed_at": self._flowed_at, "bulk_modulus_gpa": self._bulk_modulus_gpa}

    def restore(self, state: State) -> None:
        """Take up a state of `state`."""
        self._done, self._flowed_at = int(state["done"]), int(state["flowed_at"])
        self._bulk_modulus_gpa = float(state["bulk_modulus_gpa"])
        self.temperature_k = self.temperature_at(self._done)
        self._full = self._full and self._flowed_at < 0

    def notes(self) -> dict[str, Any]:
        """`warnings`; the bulk modulus estimated for the barostat, and when the cell began to flow."""
        found: dict[str, Any] = {"warnings": list(self._warnings)} if self._warnings else {}
        if self.moves_cell:
            found["bulk_modulus_gpa"] = round(self._bulk_modulus_gpa, 2)
        if self._flowed_at >= 0:
            found["cell_flowed_at_step"] = self._flowed_at
        return found


def shear(change: np.ndarray) -> float:
    """Largest deviatoric logarithmic strain of a change of cells (3, 3)."""
    strain = 0.5 * np.real(logm(change @ change.T))
    values = np.linalg.eigvalsh(strain)
    return float(np.abs(values - values.mean()).max())


def bulk_modulus_gpa(atoms: Atoms) -> float:
    """A rough bulk modulus (GPa) from the pressures at one per cent less and more volume, atoms moving along.

    50 GPa where that makes no sense: it only sets how fast a barostat works.
    """
    pressures = []
    for change in (-STRAIN_OF_THE_TRIAL, STRAIN_OF_THE_TRIAL):
        trial = atoms.copy()
        trial.set_cell(atoms.cell.array * (1 + change) ** (1 / 3), scale_atoms=True)
        trial.calc = atoms.calc
        pressures.append(-np.trace(trial.get_stress(voigt=False)) / 3 / units.GPa)
    found = (pressures[0] - pressures[1]) / (2 * STRAIN_OF_THE_TRIAL)
    low, high = BULK_MODULI_GPA
    return float(found) if low < found < high else USUAL_BULK_MODULUS_GPA
