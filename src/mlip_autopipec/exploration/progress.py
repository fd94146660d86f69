"""How far a walk is: lines in its log, and a small file for `python -m mlip_autopipec.exploration`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ase import Atoms

from mlip_autopipec.config.walks import Walk
from mlip_autopipec.integrators import kinetic_temperature_k

SAY_EVERY_S = 10.0  # lines come at most that often ...
SAY_EVERY_PART = 0.1  # ... each such part of the walk ...
SAY_AT_LEAST_EVERY_S = 60.0  # ... and of long walks more often


class Reporter:
    """Says how a walk goes.

    Args:
        say: told a line at most every 10 s: for each tenth of the walk, and every minute.

    Attributes:
        progress: of the latest frame, JSON-able.
    """

    def __init__(self, plan: Walk, say: Callable[[str], None]) -> None:
        self._plan, self._say = plan, say
        self.progress: dict[str, Any] = {}
        self.begin(0)

    def begin(self, done: int, frames: int = 0) -> None:
        """The walk goes on from this step, with so many frames."""
        self._began, self._from, self._frames = time.monotonic(), done, frames
        self._said, self._said_at = done, self._began
        if done:
            self._say(f"{self._plan.name} ({self._plan.words}) goes on from step {done}")

    def seen(self, done: int, atoms: Atoms, energy_ev: float, frames: int) -> None:
        """A frame was kept at this step."""
        now = time.monotonic()
        left_s = (now - self._began) / (done - self._from) * (self._plan.steps - done)
        self.progress = {
            "walker": self._plan.name,
            "does": self._plan.words,
            "step": done,
            "steps": self._plan.steps,
            "frames": frames,
            "temperature_k": round(kinetic_temperature_k(atoms), 1),
            "energy_ev_per_atom": round(energy_ev / len(atoms), 5),
            "volume_angstrom3_per_atom": round(abs(atoms.cell.volume) / len(atoms), 3),
            "seconds_left": round(left_s, 1),
            "seconds_per_frame": round((now - self._began) / max(1, frames - self._frames), 3),
            "updated": time.time(),
        }
        since = now - self._said_at
        if since >= SAY_EVERY_S and (
            done - self._said >= SAY_EVERY_PART * self._plan.steps or since >= SAY_AT_LEAST_EVERY_S
        ):
            self._said, self._said_at = done, now
            self._say(line(self.progress))


def line(progress: dict[str, Any]) -> str:
    """How far a walk is, in one line."""
    part = progress["step"] / progress["steps"]
    return (
        f"{progress['walker']} ({progress['does']}): step {progress['step']} of {progress['steps']} ({part:.0%}), "
        f"{progress['temperature_k']:.0f} K, {progress['energy_ev_per_atom']:.3f} eV/atom, "
        f"{progress['volume_angstrom3_per_atom']:.2f} A^3/atom, {progress['frames']} frames, "
        f"{duration(progress['seconds_left'])} left"
    )


def last_line(record: dict[str, Any]) -> str:
    """What became of a walk, in one line."""
    ended = f"stopped at step {record['steps_done']}: {record['stopped']}" if record["stopped"] else "done"
    warned = "".join(f"; {warning}" for warning in record["warnings"])
    return f"{record['walker']}: {ended}; {record['frames']} frames in {duration(record['seconds'])}{warned}"


def duration(seconds: float) -> str:
    """A length of time for a person, e.g. '40 s', '12 min', '3.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
