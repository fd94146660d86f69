"""Relaxation paths: random arrangements of the start's atoms, relaxed by the surrogate, again and again.

Ionic crystals hardly leave their lattice in MD below melting; relaxations from random arrangements go through the
coordinations, defects and amorphous forms between (random search in the manner of AIRSS, Pickard and Needs, J. Phys.:
Condens. Matter 23, 053201, 2011; its use for training data: Bernstein, Csanyi and Deringer, npj Comput. Mater. 5, 99,
2019). Positions and cell relax together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms, units

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.config.walks import Walk
from mlip_autopipec.errors import DataError
from mlip_autopipec.exploration.fire import Fire, generalised_force
from mlip_autopipec.exploration.kinds import State, WalkEnded
from mlip_autopipec.exploration.scramble import scramble, shortest_distances
from mlip_autopipec.frames import closest_contact

FALL_EV_PER_ATOM = 0.05  # a frame is kept whenever the enthalpy fell this far: dense where the path is steep
# Frames more than this above the start are not kept: 3 kB times 6000 K, above all that other walkers meet. Random
# arrangements begin at up to 6 eV/atom, and a choice by diversity would spend its labels there. A path that ends up as
# far below the start has found a hole of the surrogate.
WINDOW_EV_PER_ATOM = 1.5
CONVERGED_EV_PER_ANGSTROM = 0.05
# A path ends, too, when this many evaluations together gained less than this: the rest is the crystal's own fine print.
PATIENCE, GAIN_EV_PER_ATOM = 25, 0.003
EVALUATIONS_MAX = 200  # of one path
VOLUME_LIMITS = (0.4, 2.5)  # of the start's volume; beyond, the cell collapses or flies apart
FAILURES_MAX = 20  # paths in a row that came to nothing
_ENDS = ("converged", "flat", "long", "collapsed", "flew apart", "no number", "no room")
_GOOD_ENDS = _ENDS[:3]


class Paths:
    """Relaxation after relaxation; a step is one evaluation of energy, forces and stress.

    Attributes:
        keep: whether the frame that `advance` left is one to keep: sound, its forces below the limit and its enthalpy
            at most 1.5 eV/atom above the start's.
        temperature_k: none.

    Args:
        atoms: the start: its atoms are rearranged, its distances and volume are the measure.
        pressure_gpa: outer pressure of the relaxations, GPa.
        minimum_distance_fraction: a path ends where atoms come nearer than this part of the radii's sum.
        maximum_force_ev_per_angstrom: frames above it are not kept.
    """

    ensemble = "relaxation of random arrangements, positions and cell"
    temperature_k = 0.0

    def __init__(
        self,
        atoms: Atoms,
        *,
        pressure_gpa: float,
        minimum_distance_fraction: float,
        maximum_force_ev_per_angstrom: float,
    ) -> None:
        self.pressure = pressure_gpa * units.GPa
        self.minimum_distance_fraction = minimum_distance_fraction
        self.maximum_force = maximum_force_ev_per_angstrom
        self.keep = False
        self._distances = shortest_distances(atoms)
        self._volume = float(atoms.get_volume())
        self._start_ev = np.nan  # enthalpy of the start, eV/atom
        self._fire = Fire()
        self._path = np.zeros(0)  # enthalpies of the path so far, eV/atom; empty: a new one is due
        self._kept_ev = np.inf  # enthalpy of the latest frame kept, eV/atom
        self._ends = np.zeros(len(_ENDS), dtype=np.int64)
        self._failures = 0  # in a row
        self._fall_ev = 0.0  # sum of what the paths lost, eV/atom

    def begin(self, atoms: Atoms, random: np.random.Generator) -> None:
        """Find the enthalpy of the start; the first call of `advance` rearranges the atoms.

        Raises:
            WalkEnded, DataError: the surrogate has none.
        """
        generalised_force(atoms, self.pressure)  # one evaluation gives all
        self._start_ev = (atoms.get_potential_energy() + self.pressure * self._volume) / len(atoms)

    def advance(self, atoms: Atoms, steps: int, random: np.random.Generator) -> int:
        """Relax on by at most `steps` evaluations, or to where the enthalpy has fallen by 0.05 eV/atom.

        A path that has ended makes place for the next. Only a frame to keep ends the call early.

        Returns:
            The number of evaluations made, 1 to `steps`.

        Raises:
            WalkEnded: one path after another came to nothing.
        """
        for made in range(1, steps + 1):
            if len(self._path) == 0:
                self._rearrange(atoms, random)
            else:
                self._fire.step(atoms, generalised_force(atoms, self.pressure))
            fell = self._judge(atoms)
            if self.keep and (fell or made == steps):
                self._kept_ev = self._enthalpy_ev
                return made
        return steps

    def _rearrange(self, atoms: Atoms, random: np.random.Generator) -> None:
        while True:
            try:
                cell, places = scramble(
                    atoms.numbers, self._volume, self._distances, self.minimum_distance_fraction, random
                )
                break
            except DataError:
                self._end("no room")
        atoms.set_cell(cell)
        atoms.positions = places
        atoms.set_momenta(None)
        self._fire, self._kept_ev = Fire(), np.inf

    def _judge(self, atoms: Atoms) -> bool:
        """Evaluate the frame, end the path if it is to end, and say whether the frame is one to stop at."""
        self.keep = False
        if not closest_contact(atoms)[0] >= self.minimum_distance_fraction:
            return self._end("collapsed")
        if not VOLUME_LIMITS[0] <= atoms.get_volume() / self._volume <= VOLUME_LIMITS[1]:
            return self._end("flew apart")
        try:
            force = generalised_force(atoms, self.pressure)
            enthalpy = atoms.get_potential_energy() + self.pressure * atoms.get_volume()
        except DataError:
            return self._end("collapsed")
        except WalkEnded:  # so `Evaluations` says it
            return self._end("no number")
        self._enthalpy_ev = float(enthalpy) / len(atoms)
        above = self._enthalpy_ev - self._start_ev
        if above < -WINDOW_EV_PER_ATOM:
            return self._end("collapsed")
        largest = float(np.linalg.norm(force[: len(atoms)], axis=1).max())
        self.keep = largest <= self.maximum_force and not above > WINDOW_EV_PER_ATOM
        self._path = np.append(self._path, self._enthalpy_ev)
        if np.linalg.norm(force, axis=1).max() <= CONVERGED_EV_PER_ANGSTROM:
            return self._end("converged")
        if len(self._path) > PATIENCE and self._path[-PATIENCE - 1] - self._enthalpy_ev < GAIN_EV_PER_ATOM:
            return self._end("flat")
        if len(self._path) >= EVALUATIONS_MAX:
            return self._end("long")
        return self._kept_ev - self._enthalpy_ev >= FALL_EV_PER_ATOM

    def _end(self, why: str) -> bool:
        """End the path; True when its last frame is sound.

        Raises:
            WalkEnded: too many in a row came to nothing.
        """
        self._ends[_ENDS.index(why)] += 1
        good = why in _GOOD_ENDS
        self._failures = 0 if good else self._failures + 1
        self._fall_ev += float(self._path[0] - self._path[-1]) if good else 0.0
        self._path = np.zeros(0)
        if self._failures >= FAILURES_MAX:
            counts = ", ".join(f"{end}: {n}" for end, n in zip(_ENDS, self._ends, strict=True) if n)
            raise WalkEnded(f"{FAILURES_MAX} random arrangements in a row came to nothing ({counts})")
        return good

    def state(self) -> dict[str, np.ndarray | float]:
        """Everything that decides the next step, besides atoms and random numbers."""
        return {
            "volume": self._volume,
            "start_ev": self._start_ev,
            "pairs": np.array(list(self._distances), dtype=np.int64),
            "distances": np.array(list(self._distances.values())),
            "velocity": self._fire.velocity.copy(),
            "fire": self._fire.numbers.copy(),
            "path": self._path.copy(),
            "kept_ev": self._kept_ev,
            "ends": self._ends.copy(),
            "failures": self._failures,
            "fall_ev": self._fall_ev,
        }

    def restore(self, state: State) -> None:
        """Go on from a `state()`."""
        self._volume, self._start_ev = float(state["volume"]), float(state["start_ev"])
        self._kept_ev, self._fall_ev = float(state["kept_ev"]), float(state["fall_ev"])
        pairs = [(int(a), int(b)) for a, b in np.asarray(state["pairs"])]
        self._distances = dict(zip(pairs, np.asarray(state["distances"]).tolist(), strict=True))
        self._fire.velocity, self._fire.numbers = np.array(state["velocity"]), np.array(state["fire"])
        self._path, self._ends = np.array(state["path"]), np.array(state["ends"])
        self._failures = int(state["failures"])

    def notes(self) -> dict[str, Any]:
        """Number of paths that have ended, how they ended, and what a good one lost on the way (eV/atom)."""
        good = int(self._ends[: len(_GOOD_ENDS)].sum())
        return {
            "pressure_gpa": round(self.pressure / units.GPa, 6),
            "paths": int(self._ends.sum()),
            "paths_ended": {end: int(n) for end, n in zip(_ENDS, self._ends, strict=True) if n},
            "mean_fall_ev_per_atom": round(self._fall_ev / good, 3) if good else None,
        }


def paths(atoms: Atoms, settings: Exploration, plan: Walk) -> Paths:
    """The stepper of the walkers named paths."""
    return Paths(
        atoms,
        pressure_gpa=plan.pressure_gpa,
        minimum_distance_fraction=settings.minimum_distance_fraction,
        maximum_force_ev_per_angstrom=settings.maximum_force_ev_per_angstrom,
    )
