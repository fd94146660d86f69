"""Monte Carlo moves of the cell at a pressure, between blocks of molecular dynamics at constant volume.

A move deforms cell and atoms together: h' = h exp(s), with s = ln(V'/V)/3 (a volume move) or s symmetric and without a
trace (a shape move), s as likely as -s. Such moves are symmetric in ln V, and the ensemble of constant pressure has the
weight V^N exp(-(U + PV)/kT) dV = V^(N+1) exp(...) d ln V, so that a move is taken with the probability
min(1, exp(-(dU + P dV)/kT + (N+1) ln(V'/V))) (Frenkel and Smit, Understanding Molecular Simulation, 2nd ed., ch.
5.4). For shapes this is the ensemble with det(h)^-2 dh V^N (Martyna, Tobias and Klein, J. Chem. Phys. 101, 4177,
1994). Momenta stay: they know nothing of the volume. Only energies are asked of the surrogate, no stress, so that a
surrogate with wrong stresses still samples its own equation of state.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms, units

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.config.walks import Walk
from mlip_autopipec.exploration.deform import deform, shape_length, stretch
from mlip_autopipec.exploration.ensembles import molecular_dynamics
from mlip_autopipec.exploration.kinds import State, Stepper
from mlip_autopipec.exploration.trials import Place, accepted, energy_ev, rate, trial_energy_ev

INTERVAL_STEPS = 5  # MD steps between two rounds: a round of two energies and a force costs about a third of them
MOVES_PER_ROUND = 2
# Detailed balance holds only while the sizes of the moves stay: they are tuned in this first part of the walk.
TUNED_PART = 0.2
ACCEPTANCE = 0.4  # aimed at; anything between 0.2 and 0.6 moves through volumes about as fast
_TUNING_GAIN = 0.3
# Walls, in volume of the start and length of the shape strain: a hot walker at no pressure boils away, and a liquid
# does not resist shear, so that its cell would become a needle. Between them is all that a condensed phase does.
VOLUME_LIMITS, SHAPE_LIMIT = (0.6, 1.6), 0.35
_STIFFNESS_EV_PER_ANGSTROM3 = 0.3  # about 50 GPa, for the first guess of the sizes only


class Cells:
    """Constant-volume dynamics of another stepper, with trial moves of the cell.

    Args:
        atoms: the start; its cell is what the walls are measured from.
        dynamics: makes the MD steps. It may not keep forces of its own from one call to the next.
        temperature_k: temperature of the Metropolis rule, that of the dynamics.
        pressure_gpa: outer pressure, GPa.
        shapes: every second move is one of the shape.
        steps: MD steps of the whole walk, of which the first fifth tunes the sizes of the moves.
        minimum_distance_fraction: trials with atoms nearer than this part of the radii's sum are refused.
        volume_limits: walls, as parts of the start's volume.
        shape_limit: wall, as length of the shape strain.
    """

    def __init__(
        self,
        atoms: Atoms,
        dynamics: Stepper,
        *,
        temperature_k: float,
        pressure_gpa: float,
        shapes: bool,
        steps: int,
        minimum_distance_fraction: float,
        volume_limits: tuple[float, float] = VOLUME_LIMITS,
        shape_limit: float = SHAPE_LIMIT,
    ) -> None:
        self.dynamics = dynamics
        self.thermal_ev = units.kB * temperature_k
        self.pressure = pressure_gpa * units.GPa
        self.shapes = shapes
        self.tuned_steps = TUNED_PART * steps
        self.minimum_distance_fraction = minimum_distance_fraction
        self.volume_limits, self.shape_limit = volume_limits, shape_limit
        self._start_cell = atoms.cell.array.copy()
        spread = np.sqrt(self.thermal_ev / (_STIFFNESS_EV_PER_ANGSTROM3 * atoms.get_volume()))
        self._sizes = np.array([2 * spread, spread])  # of volume moves (ln V) and of shape moves
        self._done = 0
        self._since_round = 0
        self._tried = np.zeros(2, dtype=np.int64)  # after the tuning
        self._accepted = np.zeros(2, dtype=np.int64)
        self._at_walls = 0

    @property
    def ensemble(self) -> str:
        """Which moves between which dynamics."""
        moves = "volume and shape" if self.shapes else "volume"
        return f"NPT, Monte Carlo moves of the {moves}, {self.dynamics.ensemble} between them"

    def begin(self, atoms: Atoms, random: np.random.Generator) -> None:
        """Make the start ready for the dynamics."""
        self.dynamics.begin(atoms, random)

    def advance(self, atoms: Atoms, steps: int, random: np.random.Generator) -> None:
        """Make `steps` MD steps with the moves that fall due.

        Raises:
            WalkEnded: the energy between the moves is not a number.
        """
        left = steps
        while left:
            block = min(left, INTERVAL_STEPS - self._since_round)
            self.dynamics.advance(atoms, block, random)
            left -= block
            self._done += block
            self._since_round += block
            if self._since_round == INTERVAL_STEPS:
                self._since_round = 0
                self.round(atoms, random)

    def round(self, atoms: Atoms, random: np.random.Generator) -> None:
        """Try the moves of one round."""
        energy = energy_ev(atoms)
        for _ in range(MOVES_PER_ROUND):
            energy = self._move(atoms, energy, random)

    def _move(self, atoms: Atoms, energy: float, random: np.random.Generator) -> float:
        """Try one move, and give the energy (eV) after it."""
        which = int(self.shapes and random.random() < 0.5)
        if which:
            log_volume, shape = 0.0, self._sizes[1] * random.standard_normal(5) / np.sqrt(5)
        else:
            log_volume, shape = float(self._sizes[0] * random.standard_normal()), np.zeros(5)
        before, volume = Place(atoms), atoms.get_volume()
        deform(atoms, stretch(log_volume, shape))
        trial = float("inf")
        if self._within_walls(atoms):
            trial = trial_energy_ev(atoms, self.minimum_distance_fraction)
        else:
            self._at_walls += 1
        work = trial - energy + self.pressure * volume * np.expm1(log_volume)
        taken = accepted(-work / self.thermal_ev + (len(atoms) + 1) * log_volume, random)
        if self._done <= self.tuned_steps:
            self._sizes[which] *= np.exp(_TUNING_GAIN * (taken - ACCEPTANCE))
        else:
            self._tried[which] += 1
            self._accepted[which] += taken
        if taken:
            return trial
        before.restore(atoms)
        return energy

    def _within_walls(self, atoms: Atoms) -> bool:
        low, high = self.volume_limits
        if not low <= atoms.get_volume() / abs(np.linalg.det(self._start_cell)) <= high:
            return False
        return shape_length(atoms.cell.array, self._start_cell) <= self.shape_limit

    def state(self) -> dict[str, np.ndarray | float]:
        """Everything that decides the next step, besides atoms and random numbers."""
        return {
            "start_cell": self._start_cell.copy(),
            "sizes": self._sizes.copy(),
            "done": self._done,
            "since_round": self._since_round,
            "tried": self._tried.copy(),
            "accepted": self._accepted.copy(),
            "at_walls": self._at_walls,
            **{f"md_{key}": value for key, value in self.dynamics.state().items()},
        }

    def restore(self, state: State) -> None:
        """Go on from a `state()`."""
        self._start_cell, self._sizes = np.array(state["start_cell"]), np.array(state["sizes"])
        self._done, self._since_round = int(state["done"]), int(state["since_round"])
        self._tried, self._accepted = np.array(state["tried"]), np.array(state["accepted"])
        self._at_walls = int(state["at_walls"])
        self.dynamics.restore({key[3:]: value for key, value in state.items() if key.startswith("md_")})

    def notes(self) -> dict[str, Any]:
        """Moves tried and their acceptance since the tuning, their sizes, and how often a wall was in the way."""
        notes = self.dynamics.notes() | {
            "cell_moves_tried": int(self._tried.sum()),
            "cell_moves_at_walls": self._at_walls,
        }
        for k, name in enumerate(["volume", "shape"][: 1 + self.shapes]):
            notes[f"{name}_acceptance"] = rate(self._accepted[k], self._tried[k])
            notes[f"{name}_move_size"] = round(float(self._sizes[k]), 5)
        return notes


def cells(atoms: Atoms, settings: Exploration, plan: Walk) -> Cells:
    """The stepper of the walkers named cells. Shapes move unless the barostat is isotropic."""
    return Cells(
        atoms,
        molecular_dynamics(atoms, settings, replace(plan, may_change_cell=False)),
        temperature_k=plan.temperature_k,
        pressure_gpa=plan.pressure_gpa,
        shapes=settings.barostat != "isotropic",
        steps=plan.steps,
        minimum_distance_fraction=settings.minimum_distance_fraction,
    )
