"""The cost ledger: one line of JSON for each run of a label, and what was started or refused beside it.

`ledger.jsonl` holds a line per label that came to an end: batch, frame, natoms, outcome, kind, final (false: it will be
tried again), core_seconds, wasted_core_seconds (of attempts that gave nothing), rungs, ranks, estimate_seconds; and
where it applies replaced (its file was there), wants_more (time or memory, which its retry has), budget_core_hours, and
would_be_core_hours (what was refused for the budget).
`started.jsonl` holds starts of labels and of the whole run. Both are only ever appended to,
under one lock, by all jobs of a run; a line that a kill left torn is passed over. Standard library alone: the
workflow's input functions read both.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

Line = dict[str, Any]
BUDGET: Final = "budget"  # kind of a label that was not started because the budget was spent
BUDGET_SPENT = "budget_spent"  # its outcome
CHECKS = NOISE, REVIEW = "noise", "review"  # batches of the runs that check labels
CUT_OFF = "cut_off"  # outcome of a label that was ended together with its job
STOPPED = "stopped.json"  # why no label may start any more in this run


class Refusal(NamedTuple):
    """Why a label may not start, and what would be spent with it."""

    reason: str
    core_hours: float


@dataclass(frozen=True)
class Ledger:
    """The two files in a run's `labeled` folder."""

    folder: Path

    @property
    def path(self) -> Path:
        """Finished runs of labels."""
        return self.folder / "ledger.jsonl"

    @property
    def starts(self) -> Path:
        """Starts."""
        return self.folder / "started.jsonl"

    def lines(self) -> Sequence[Line]:
        """Finished runs of labels, in order."""
        return _read(self.path)

    def events(self) -> Sequence[Line]:
        """Starts of labels and of the run, in order."""
        return _read(self.starts)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among all jobs of the run (where the file system has locks)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".ledger.lock", "w", encoding="utf-8") as handle:
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def finished(self, line: Line) -> None:
        """Add the end of a label."""
        with self.locked():
            _append(self.path, line)

    def run_started(self) -> None:
        """A new run begins: failures of the machine before it no longer count, and labels may start again."""
        if not self.folder.exists():
            return
        with self.locked():
            (self.folder / STOPPED).unlink(missing_ok=True)
            _append(self.starts, {"event": "run", "time": time.time()})

    def start(self, line: Line, budget_core_hours: float | None) -> Refusal | None:
        """Write down that a label starts, unless it would take more than is left of the budget.

        What labels that run now are estimated to take counts as spent, so that many jobs together keep to it.

        Args:
            line: batch, frame, ranks and estimate_core_seconds.

        Returns:
            None, or why it may not start.
        """
        with self.locked():
            if budget_core_hours is not None:
                spent, running = self.spent_core_hours(), self.running_core_hours(except_for=_key(line))
                wanted = line["estimate_core_seconds"] / 3600
                if spent + running + wanted > budget_core_hours:
                    return Refusal(
                        f"the budget of {budget_core_hours:g} core-hours (labelling.core_hours_max) is spent: "
                        f"{spent:.3g} by finished labels, {running:.3g} by labels that run, and this one would take "
                        f"about {wanted:.3g}",
                        spent + running + wanted,
                    )
            _append(self.starts, {**line, "event": "start", "time": time.time()})
            return None

    def knows(self, batch: str, frame: str) -> bool:
        """Whether a final end of this label is written down."""
        return bool(_ends(self, batch, [frame]))

    def was_cut_off(self, batch: str, frame: str) -> bool:
        """Whether the last start of this label has no end."""
        key = (batch, frame)
        starts = (e for e in self.events() if e.get("event") == "start" and _key(e) == key)
        started = max((e.get("time", 0.0) for e in starts), default=0.0)
        return bool(started > max((line.get("time", 0.0) for line in self.lines() if _key(line) == key), default=0.0))

    def spent_core_hours(self) -> float:
        """Core-hours of all labels that ended: isolated atoms, test, equation of state and checks are among them."""
        return sum(float(line.get("core_seconds", 0.0)) for line in self.lines()) / 3600

    def running_core_hours(self, except_for: tuple[str, str] | None = None) -> float:
        """Estimated core-hours of labels that were started and have not ended."""
        ended: dict[tuple[str, str], float] = {}
        for line in self.lines():
            ended[_key(line)] = float(line.get("time", 0.0))
        running: dict[tuple[str, str], float] = {}
        latest_run = 0.0
        for event in self.events():
            when = event.get("time", 0.0)
            if event.get("event") == "run":
                running.clear()  # whatever ran before was ended with its run
                latest_run = when
            elif event.get("event") == "start" and when > max(ended.get(_key(event), 0.0), latest_run):
                running[_key(event)] = float(event.get("estimate_core_seconds", 0.0))
        running.pop(except_for or ("", ""), None)
        return sum(running.values()) / 3600

    def machine_failures_in_a_row(self) -> list[str]:
        """Frames, each once, that failed for the machine's reasons since anything else happened in this run; not those
        that wanted more time or memory (`wants_more`) and will get it.
        """
        since = max((event.get("time", 0.0) for event in self.events() if event.get("event") == "run"), default=0.0)
        frames: list[str] = []
        for line in reversed(self.lines()):
            if line.get("outcome") == CUT_OFF or line.get("wants_more", False):
                continue
            if line.get("kind") != "infrastructure" or line.get("time", 0.0) < since:
                break
            name = "/".join(_key(line))
            if name not in frames:
                frames.append(name)
        return frames[::-1]


def why_stopped(labeled: str | os.PathLike[str]) -> str:
    """Why no label of a run may start any more, and the mend; '' when they may."""
    path = Path(labeled) / STOPPED
    if not path.exists():
        return ""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return f"{told['problem']}. {told['mend']}"
    except (OSError, ValueError, KeyError, TypeError):  # the disk took the file and nothing in it
        return (
            f"Labelling is paused: the reason could not be written to {path}; most likely the disk is full. Free some "
            "space and run again: finished labels are kept"
        )


def turns(ledger: Ledger, batch: str, names: Sequence[str], budget_core_hours: float | None) -> int:
    """How often labels of these frames were asked for anew after they were there: by deleting a label's JSON, or by a
    larger budget for one that was refused.

    The workflow keeps it among a job's parameters: a change makes the job run again. It does not change while a job
    runs: what a label that ends adds to the earlier turns is what asked for it before.
    """
    return sum(
        earlier + _asked_for(ledger.folder / batch / f"{name}.json", refused_at, budget_core_hours)
        for name, (earlier, refused_at) in _ends(ledger, batch, names).items()
    )


def _asked_for(path: Path, refused_at: float | None, budget_core_hours: float | None) -> bool:
    return not path.exists() or _fits_now(refused_at, budget_core_hours)


def _fits_now(refused_at: float | None, budget_core_hours: float | None) -> bool:
    return refused_at is not None and (budget_core_hours is None or budget_core_hours > refused_at)


def _ends(ledger: Ledger, batch: str, names: Sequence[str]) -> dict[str, tuple[int, float | None]]:
    """By frame that came to a final end: earlier turns, and the core-hours at which it was refused, if it is."""
    table = _table(os.fspath(ledger.folder), *_state(ledger.path))
    return {name: table[batch, name] for name in names if (batch, name) in table}


@lru_cache(maxsize=8)
def _table(folder: str, _time: int, _size: int) -> dict[tuple[str, str], tuple[int, float | None]]:
    table: dict[tuple[str, str], tuple[int, float | None]] = {}
    for line in Ledger(Path(folder)).lines():
        if line.get("final", True):
            turn = 0
            if _key(line) in table:
                earlier, refused_at = table[_key(line)]
                deleted = not line.get("replaced", False)
                turn = earlier + (deleted or _fits_now(refused_at, line.get("budget_core_hours")))
            table[_key(line)] = (turn, line.get("would_be_core_hours"))
    return table


def _key(line: Line) -> tuple[str, str]:
    return str(line["batch"]), str(line["frame"])


def _state(path: Path) -> tuple[int, int]:
    try:
        state = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return state.st_mtime_ns, state.st_size


def _read(path: Path) -> Sequence[Line]:
    """Lines of a ledger's file that are whole."""
    return _parsed(os.fspath(path), *_state(path))


@lru_cache(maxsize=8)
def _parsed(path: str, _time: int, size: int) -> Sequence[Line]:
    if not size:
        return ()
    lines = []
    with open(path, encoding="utf-8", errors="replace") as handle:
        for text in handle:
            with suppress(ValueError):  # torn by a kill
                line = json.loads(text)
                if isinstance(line, dict) and (line.get("event") == "run" or {"batch", "frame"} <= line.keys()):
                    lines.append(line)
    return tuple(lines)


def _append(path: Path, line: Line) -> None:
    """One line, on disk before this returns; a torn last line of a killed job is closed first."""
    with open(path, "ab+") as handle:
        if handle.seek(0, os.SEEK_END):
            handle.seek(-1, os.SEEK_END)
            torn = handle.read(1) != b"\n"
            if torn:
                handle.write(b"\n")
        handle.write(json.dumps(line).encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())
