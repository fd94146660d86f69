"""A walk through strains: a random walk of volume and shape, with a thermal shake of the atoms at every stop.

What plain dynamics at one pressure never meets: elastic and large strains in all six components together, at
temperature. The walk is reflected at its bounds and visits all strains between them alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.config.walks import Walk
from mlip_autopipec.exploration.deform import deform, stretch
from mlip_autopipec.exploration.ensembles import molecular_dynamics
from mlip_autopipec.exploration.kinds import State, Stepper

# Relative change of volume: what pressures of a tenth of the bulk modulus do, thermal expansion up to melting (5 to
# 8 %) and melting itself (about 5 %); equations of state are fitted within it.
VOLUME_MAX = 0.12
# Engineering shear strain: just below where perfect crystals of metals give way (Cu 0.137, Al 0.200: Ogata, Li and Yip,
# Science 298, 807, 2002), and twice what starting structures have.
SHEAR_MAX = 0.12
_SHAPE_MAX = SHEAR_MAX / np.sqrt(2)


class Strains:
    """Stops of constant-volume dynamics; before each the cell is strained on, and velocities are drawn anew.

    The strain is counted from the start's cell. Velocities are new because the work of straining would heat.

    Args:
        atoms: the start.
        dynamics: makes the MD steps of a stop; its `begin` draws velocities.
        stop_steps: MD steps of a stop.
        steps: MD steps of the whole walk: strides are such that a walk of this length gets across the bounds.
    """

    def __init__(self, atoms: Atoms, dynamics: Stepper, *, stop_steps: int, steps: int) -> None:
        self.dynamics = dynamics
        self.stop_steps = stop_steps
        # A free walk of n strides of length s comes as far as s sqrt(n): twice the bound, and a few strides at least.
        stops = max(1.0, steps / stop_steps)
        self._stride = float(min(0.5, 2.0 / np.sqrt(stops)))  # in units of the bounds
        self._strain = np.zeros(6)  # ln V and shape, in units of their bounds
        self._start_cell = atoms.cell.array.copy()
        self._since_stop = stop_steps
        self._widest = np.zeros(3)  # smallest and largest relative volume change, largest shear
        self._stops = 0

    @property
    def ensemble(self) -> str:
        """The ensemble of the dynamics and how far the strain goes."""
        return f"{self.dynamics.ensemble} at strains up to {VOLUME_MAX:.0%} of volume and {SHEAR_MAX:.0%} of shear"

    def begin(self, atoms: Atoms, random: np.random.Generator) -> None:
        """Make the start ready for the dynamics."""
        self.dynamics.begin(atoms, random)

    def advance(self, atoms: Atoms, steps: int, random: np.random.Generator) -> None:
        """Make `steps` MD steps with the strains that fall due."""
        left = steps
        while left:
            if self._since_stop == self.stop_steps:
                self._since_stop = 0
                self._strain_on(atoms, random)
            block = min(left, self.stop_steps - self._since_stop)
            self.dynamics.advance(atoms, block, random)
            left -= block
            self._since_stop += block

    def _strain_on(self, atoms: Atoms, random: np.random.Generator) -> None:
        """One stride of the walk, refused when it leaves the bounds (so that all strains inside are as likely)."""
        stride = self._stride * random.standard_normal(6) / np.sqrt([1, 5, 5, 5, 5, 5])
        trial = self._strain + stride
        if abs(trial[0]) <= 1 and np.linalg.norm(trial[1:]) <= 1:
            self._strain = trial
        log_volume = float(np.log1p(VOLUME_MAX) * self._strain[0])
        cell = self._start_cell @ stretch(log_volume, _SHAPE_MAX * self._strain[1:])
        deform(atoms, np.linalg.solve(atoms.cell.array, cell))
        self.dynamics.begin(atoms, random)
        change = float(np.expm1(log_volume))
        shear = SHEAR_MAX * float(np.linalg.norm(self._strain[1:]))
        low, high, most = self._widest
        self._widest = np.array([min(low, change), max(high, change), max(most, shear)])
        self._stops += 1

    def state(self) -> dict[str, np.ndarray | float]:
        """Everything that decides the next step, besides atoms and random numbers."""
        return {
            "start_cell": self._start_cell.copy(),
            "strain": self._strain.copy(),
            "since_stop": self._since_stop,
            "widest": self._widest.copy(),
            "stops": self._stops,
            **{f"md_{key}": value for key, value in self.dynamics.state().items()},
        }

    def restore(self, state: State) -> None:
        """Go on from a `state()`."""
        self._start_cell, self._strain = np.array(state["start_cell"]), np.array(state["strain"])
        self._since_stop, self._stops = int(state["since_stop"]), int(state["stops"])
        self._widest = np.array(state["widest"])
        self.dynamics.restore({key[3:]: value for key, value in state.items() if key.startswith("md_")})

    def notes(self) -> dict[str, Any]:
        """Number of stops, and the widest strains among them (relative)."""
        low, high, shear = (round(float(value), 4) for value in self._widest)
        return self.dynamics.notes() | {"stops": self._stops, "volume_strains": [low, high], "shear_strain_max": shear}


def strains(atoms: Atoms, settings: Exploration, plan: Walk) -> Strains:
    """The stepper of the walkers named strains: a frame is kept at the end of every stop."""
    dynamics = molecular_dynamics(atoms, settings, replace(plan, may_change_cell=False))
    return Strains(atoms, dynamics, stop_steps=settings.interval_steps, steps=plan.steps)
