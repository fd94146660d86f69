"""The course of one walk: blocks of steps, guards after each, the frames kept, and the state to go on from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, compare_atoms

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.config.walks import Walk
from mlip_autopipec.dynamics import Guards, exploded
from mlip_autopipec.errors import DataError
from mlip_autopipec.exploration.evaluations import Evaluations
from mlip_autopipec.exploration.kinds import KINDS, Stepper, WalkEnded
from mlip_autopipec.exploration.progress import Reporter
from mlip_autopipec.exploration.shape import shape
from mlip_autopipec.exploration.streams import Stream
from mlip_autopipec.features import structure_vector
from mlip_autopipec.frames import PLANE_DISTANCES, START_TYPE, new_frame, plane_gaps
from mlip_autopipec.seeds import generator

_STEPPER, _RESULT = "stepper_", "result_"
# A frame keeps its start's k-point mesh while its lattice planes are no nearer than this part of the start's: points
# are at most a quarter farther apart than asked. All that strains and volumes of a crystal do is within.
MESH_FITS = 0.8


class Invariants(Protocol):
    """The surrogate's own description of atoms, found on the way of an evaluation."""

    def last(self) -> np.ndarray:
        """(atoms, features) of the latest evaluation."""


class Course:
    """One walk.

    Every block of steps draws from a generator of its own, made from the seed, the walker's name and the step: no
    random number is remembered where a walk can be resumed.

    Args:
        start: where it starts; a copy is moved.
        seed, config_type: with the plan's name they decide everything random; the latter is the type of the frames.

    Attributes:
        done: steps made.
        stopped: why it ended before its time; '' if it did not.
    """

    def __init__(
        self,
        start: Atoms,
        calculator: Calculator,
        settings: Exploration,
        plan: Walk,
        *,
        seed: int,
        config_type: str,
        invariants: Invariants | None,
    ) -> None:
        self._start, self._settings, self._plan = start, settings, plan
        self._seed, self._config_type, self._invariants = seed, config_type, invariants
        self._guards = Guards(settings.minimum_distance_fraction, settings.maximum_force_ev_per_angstrom)
        self._evaluations = Evaluations(calculator)
        self._stepper: Stepper | None = None
        self._atoms = Atoms(numbers=start.numbers, positions=start.positions, cell=start.cell, pbc=start.pbc)
        self._atoms.info = dict(start.info)
        self._atoms.calc = self._evaluations
        self.done, self.stopped = 0, ""
        self._resumed_from, self._seconds_before, self._began = 0, 0.0, time.monotonic()

    def go(self, stream: Stream, reporter: Reporter) -> None:
        """Begin, or go on from what `stream` holds, and walk to the end."""
        state = stream.open()
        self.stopped = self._guarded(lambda: self._take_up(state))
        reporter.begin(self.done, stream.frames)
        stepper = self._stepper
        while stepper is not None and not self.stopped and self.done < self._plan.steps:
            self.stopped = self._guarded(lambda: self._block(stepper))
            if not self.stopped and getattr(stepper, "keep", True):
                self._keep(stepper, stream, reporter)

    def _guarded(self, action: Callable[[], str]) -> str:
        """Why the walk cannot go on after this action, in words; '' when it can."""
        try:
            return action()
        except (WalkEnded, DataError) as end:  # the latter from a calculator that refuses a frame: atoms too near
            return str(end)
        except (ValueError, RuntimeError) as error:
            if not exploded(self._atoms, self._guards):
                raise
            return f"the atoms flew apart or together: {error}"

    def _random(self, *moment: object) -> np.random.Generator:
        return generator(self._seed, self._config_type, self._plan.name, *moment)

    def _take_up(self, state: Mapping[str, np.ndarray]) -> str:
        self._stepper = KINDS[self._plan.kind].stepper(self._atoms, self._settings, self._plan)
        if state:
            self._restore(self._stepper, state)
            return ""
        self._stepper.begin(self._atoms, self._random("start"))
        return self._guards.trouble(self._atoms)

    def _block(self, stepper: Stepper) -> str:
        steps = min(self._settings.interval_steps, self._plan.steps - self.done)
        made = stepper.advance(self._atoms, steps, self._random("step", self.done))
        self.done += steps if made is None else made
        return self._guards.trouble(self._atoms) if getattr(stepper, "keep", True) else ""

    def _keep(self, stepper: Stepper, stream: Stream, reporter: Reporter) -> None:
        atoms = self._atoms
        energy = float(atoms.get_potential_energy())
        frame = new_frame(
            atoms,
            origin=self._origin(stepper),
            config_type=self._config_type,
            parent=self._start.info["uid"],
            like=self._start if KINDS[self._plan.kind].keeps_mesh and self._mesh_fits() else None,
            surrogate_energy=energy,
            **{START_TYPE: self._start.info["config_type"]},
        )
        stream.append(frame, self._vector())
        self._evaluations.forget()
        reporter.seen(self.done, atoms, energy, stream.frames)
        if stream.due():
            stream.save(self._state(stepper), reporter.progress)

    def _mesh_fits(self) -> bool:
        """Whether the start's mesh is fine enough for the cell as it is now: some cells are crushed or flow."""
        known = self._start.info.get(PLANE_DISTANCES)
        return known is None or bool((plane_gaps(self._atoms)[1] >= MESH_FITS * np.asarray(known)).all())

    def _origin(self, stepper: Stepper) -> str:
        """What made a frame, in words that end in 'step <n>': frames of one origin are one trajectory."""
        words = [Path(self._settings.surrogate).name]
        words += [self._plan.kind] if self._plan.kind != "md" else []
        temperature_k = getattr(stepper, "temperature_k", self._plan.temperature_k)
        words += [f"{temperature_k:.0f} K"] if temperature_k else []
        words += [f"{self._plan.pressure_gpa:g} GPa"] if _at_pressure(stepper) else []
        return " ".join([*words, "walker", self._plan.name, "step", str(self.done)])

    def _vector(self) -> np.ndarray | None:
        if self._invariants is None:
            return None
        self._evaluations.see(self._atoms)
        return structure_vector(self._invariants.last(), self._atoms.numbers)

    def _state(self, stepper: Stepper) -> dict[str, Any]:
        atoms = self._atoms
        state: dict[str, Any] = {
            "done": self.done,
            "seconds": self._seconds(),
            "evaluations": self._evaluations.count,
            "numbers": atoms.numbers,
            "positions": atoms.positions,
            "momenta": atoms.get_momenta(),
            "cell": atoms.cell.array,
        }
        state |= {_STEPPER + name: value for name, value in stepper.state().items()}
        seen, results = self._evaluations.save()
        if seen is not None and not compare_atoms(seen, atoms):
            state |= {_RESULT + name: value for name, value in results.items()}
        return state

    def _restore(self, stepper: Stepper, state: Mapping[str, np.ndarray]) -> None:
        atoms = self._atoms
        self.done = self._resumed_from = int(state["done"])
        self._seconds_before = float(state["seconds"])
        self._evaluations.count = int(state["evaluations"])
        stepper.restore(_of(_STEPPER, state))
        atoms.numbers[:] = state["numbers"]
        atoms.set_cell(state["cell"])
        atoms.set_positions(state["positions"])
        atoms.set_momenta(state["momenta"])
        results = {name: value if value.ndim else value.item() for name, value in _of(_RESULT, state).items()}
        if results:
            self._evaluations.put_back((atoms.copy(), results))

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._began

    def record(self) -> dict[str, Any]:
        """What became of the walk."""
        found = shape(self._start)
        notes = self._stepper.notes() if self._stepper else {}
        return {
            "pressure_gpa": self._plan.pressure_gpa if _at_pressure(self._stepper) else None,
            "ensemble": self._stepper.ensemble if self._stepper else "",
            "start": self._start.info["uid"],
            "start_type": self._start.info["config_type"],
            "shape": found.kind,
            "gap_angstrom": round(found.gap_angstrom, 2),
            "steps_done": self.done,
            "stopped": self.stopped,
            "evaluations": self._evaluations.count,
            "resumed_from_step": self._resumed_from,
            "seconds": round(self._seconds(), 2),
            "warnings": notes.pop("warnings", []),
            "notes": notes,
        }


def _at_pressure(stepper: Stepper | None) -> bool:
    return stepper is not None and stepper.ensemble.startswith("NPT")


def _of(prefix: str, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
