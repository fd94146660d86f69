"""Attempts on one frame from one starting state, one after another, until one ends well or nothing is left to try."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ase import Atoms

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso.earlier import (
    SAVED,
    STOP,
    XML,
    Earlier,
    Record,
    has_density,
    keep_density_alone,
    key_of,
    move_density,
    write_record,
)
from mlip_autopipec.labelling.espresso.failures import lacks_memory, mend, refined, unwritable
from mlip_autopipec.labelling.espresso.input import pw_input
from mlip_autopipec.labelling.espresso.magnetic import State
from mlip_autopipec.labelling.espresso.output import PwResult, read_pw_output
from mlip_autopipec.labelling.espresso.process import Ended, run_process
from mlip_autopipec.labelling.espresso.recovery import Rung, less_memory, next_rung
from mlip_autopipec.labelling.espresso.settings import EspressoSettings, valence_electrons
from mlip_autopipec.labelling.espresso.trend import Watcher
from mlip_autopipec.labelling.espresso.verdict import Limits, Verdict, judge
from mlip_autopipec.labelling.labeller import Attempt

RUNGS_MAX = 5  # further attempts that a failure of the physics is worth
RERUNS_MAX = 2  # after failures of the machine; they do not count as rungs
# Of the time left, for pw.x to end its iteration and write its density (checked between iterations only), or to
# compute forces and stress: a twentieth, and of short times more.
RESERVE_FRACTION, SHORT_FRACTION, SHORT_SECONDS = 0.05, 0.25, 10.0
LEAST_SECONDS = 1.0  # with less time than this nothing is begun


class Ending(NamedTuple):
    """How the attempts from one starting state ended: verdict, last run and its folder."""

    verdict: Verdict
    result: PwResult | None = None
    folder: str | None = None


@dataclass
class Route:
    """The way up from one starting state.

    Attributes:
        following: the next attempt; None where the ladder is at its end.
        rungs, reruns: how many more are allowed after failures of the physics and of the machine.
        failure: the last one of the physics: result, verdict, whether it left a density.
        ending: of the attempts so far.
    """

    state: State
    following: Rung | None = None
    rungs: int = RUNGS_MAX
    reruns: int = RERUNS_MAX
    tried: list[Rung] = field(default_factory=list)
    failure: tuple[PwResult, Verdict, bool] | None = None
    ending: Ending = field(default_factory=lambda: Ending(Verdict("not_tried", "infrastructure", "not tried", False)))


@dataclass
class Climb:
    """The attempts on one frame. `attempts` grows by each of them, whatever state they start from.

    Attributes:
        words: the command that starts pw.x in an attempt's folder.
        seconds: wall time for all attempts of this call.
        shared: several states share it, and one that it cut short is not judged by what it had reached.
    """

    atoms: Atoms
    settings: EspressoSettings
    limits: Limits
    workdir: Path
    words: list[str]
    seconds: float
    shared: bool = False
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.seconds
        self._earlier = Earlier(self.workdir)
        self._electrons = valence_electrons(self.atoms, self.settings)

    @property
    def of_job(self) -> bool:
        """Whether it is the job's time that is counted, so that another job may go on."""
        return self.seconds < self.settings.max_seconds

    @property
    def time_words(self) -> str:
        """Whose time it is."""
        return "the job's time" if self.of_job else "the time of the label (labelling.max_seconds)"

    def left(self) -> float:
        """Wall time that is left, s; 0 where it is too little to begin anything."""
        left = self._deadline - time.monotonic()
        return left if left >= LEAST_SECONDS else 0.0

    def close(self) -> None:
        """Remove the attempts of an earlier call that were not used again."""
        self._earlier.forget()

    def from_state(self, state: State) -> Ending:
        """Climb the ladder from one starting state, to its end or the end of the time.

        Raises:
            ConfigurationFault: the set-up is wrong for every frame.
        """
        route = self.first(state)
        self.further(route)
        return self.end(route)

    def first(self, state: State) -> Route:
        """Make the first attempt from a starting state, again where the machine failed.

        An atom with whole occupations converges at once or hardly ever: it gets no further one.

        Raises:
            ConfigurationFault: the set-up is wrong for every frame.
        """
        route = Route(state, Rung(why=_first_words(state)), rungs=0 if state.whole else RUNGS_MAX)
        self._step(route)
        while route.following is not None and route.ending.verdict.kind == "infrastructure" and self.left():
            self._step(route)
        return route

    def further(self, route: Route, in_vain: Callable[[Ending], bool] | None = None) -> None:
        """Climb on, as long as there is time and `in_vain` does not say that the state cannot be the one to keep."""
        while route.following is not None:
            if in_vain is not None and route.ending.verdict.kind == "physics" and in_vain(route.ending):
                route.following = None
            elif self.left():
                self._step(route)
            else:
                break

    def end(self, route: Route) -> Ending:
        """How it ended; where only the time was over and another job may go on, that is what the verdict says."""
        verdict, result, folder = route.ending
        wanted = route.following is not None and (self.of_job or self.shared)
        if folder is not None and not wanted and verdict.outcome != "stopped":
            shutil.rmtree(self.workdir / folder / SAVED.parent, ignore_errors=True)
        if wanted and verdict.kind == "physics" and not self.left():
            verdict = Verdict("stopped", "infrastructure", f"{self.time_words} was over: {verdict.reason}", False)
        return Ending(verdict, result, folder)

    def _step(self, route: Route) -> None:
        """Make the attempt that follows, and find what follows it."""
        rung = route.following or Rung()
        folder = self.workdir / f"attempt_{len(self.attempts) + 1}"
        try:
            verdict, result, record = self._attempt(route, rung, folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            route.ending = Ending(Verdict("tempdir", "infrastructure", unwritable(folder, error), False))
            route.following = None
            return
        route.tried.append(rung)
        if verdict.kind == "configuration":
            if route.failure is None:
                raise ConfigurationFault(f"{verdict.reason} (in {folder})", mend(verdict))
            verdict = route.failure[1]  # the set-up was good before: pw.x refused what the rung changed
        elif verdict.kind == "physics":
            route.failure = result, verdict, record.saved
        following: Rung | None = None
        if verdict.kind == "infrastructure" and route.reruns:
            following, route.reruns = _after_machine(verdict, record, route.tried), route.reruns - 1
        elif verdict.kind == "physics" and route.failure is not None and route.rungs:
            route.rungs -= 1
            following = self._next(route.failure, route.tried, last=not route.rungs)
        if verdict.outcome == "stopped" or (following is not None and following.restart):
            keep_density_alone(folder)
        else:  # wavefunctions and density of every frame fill a disk
            shutil.rmtree(folder / SAVED.parent, ignore_errors=True)
        route.following, route.ending = following, Ending(verdict, result, folder.name)

    def _next(self, failure: tuple[PwResult, Verdict, bool], tried: list[Rung], *, last: bool) -> Rung | None:
        result, verdict, saved = failure
        rung = next_rung(
            result,
            verdict,
            tried,
            electrons=self._electrons,
            maxstep=self.settings.electron_maxstep,
            saved=saved,
        )
        return replace(rung, last=rung.last or last) if rung else None

    def _attempt(self, route: Route, rung: Rung, folder: Path) -> tuple[Verdict, PwResult, Record]:
        """Make one attempt, or read it where an earlier call made the same one and it ended."""
        state, before = route.state, route.ending.folder
        changes = {**rung.changes, **({"startingpot": "file"} if rung.restart else {})}
        allowed = max(self.left(), LEAST_SECONDS)
        reserve = max(RESERVE_FRACTION * allowed, min(SHORT_FRACTION * allowed, SHORT_SECONDS))
        inside = max(int(allowed - reserve), 1)
        text = pw_input(self.atoms, self.settings, state=state, changes=changes, max_seconds=inside)
        key = key_of(text, self.words)
        while record := self._earlier.take(key, folder):
            result = _read(folder, record.ended)
            verdict = self._verdict(result, record.ended, folder)
            if verdict.kind != "infrastructure" or verdict.outcome == "stopped":
                self._note(state, rung, changes, folder, verdict, result, record.ended)
                return verdict, result, record
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if rung.restart and not (before is not None and move_density(self.workdir / before, folder)):
            changes = dict(rung.changes)  # the density is gone: from the beginning
            text = pw_input(self.atoms, self.settings, state=state, changes=changes, max_seconds=inside)
        (folder / "pw.in").write_text(text, encoding="utf-8")
        watch = None if rung.last else Watcher(folder / "pw.out")
        ended = run_process(self.words, folder, allowed, watch, folder / STOP)
        result = _read(folder, ended)
        verdict = self._verdict(result, ended, folder)
        if not verdict.usable and (folder / SAVED / XML).is_file():
            shutil.copyfile(folder / SAVED / XML, folder / XML)  # to judge it alike when it is read again
        record = Record(key, ended, has_density(folder))
        write_record(folder, record)
        self._note(state, rung, changes, folder, verdict, result, ended)
        return verdict, result, record

    def _verdict(self, result: PwResult, ended: Ended, folder: Path) -> Verdict:
        if ended.stopped:
            words = f"{ended.stopped}; stopped early after {result.text.iterations} iterations"
            return Verdict("scf_not_converged", "physics", words, False)
        limit = "the job's time limit" if self.of_job else "labelling.max_seconds"
        return refined(judge(result, self.atoms, self.limits), result, ended, folder, self.seconds, limit)

    def _note(
        self,
        state: State,
        rung: Rung,
        changes: dict[str, Any],
        folder: Path,
        verdict: Verdict,
        result: PwResult,
        ended: Ended,
    ) -> None:
        self.attempts.append(
            Attempt(
                folder=folder.name,
                changed=changes,
                why=rung.why,
                outcome=verdict.rejected_by or verdict.outcome,
                reason=verdict.reason,
                scf_iterations=result.text.iterations,
                cpu_seconds=result.text.cpu_seconds,
                wall_seconds=round(ended.wall_seconds, 3),
                exit_code=ended.exit_code,
                state=state.name,
                stopped_early=ended.stopped is not None,
                memory_mb=ended.memory_mb,
            )
        )


def _first_words(state: State) -> str:
    if state.total is None:
        return f"first attempt: {state.why}" if state.why else "first attempt"
    smeared = "" if state.whole else ", occupations smeared"
    return f"isolated atom with a moment of {state.total} Bohr magnetons{smeared}"


def _after_machine(verdict: Verdict, record: Record, tried: list[Rung]) -> Rung | None:
    """What follows a failure of the machine: the same again, with less memory where that may be the reason."""
    last = tried[-1]
    if verdict.outcome == "stopped":  # an earlier call's time was over, and this one has its own
        words = "the time of the job before was over: on from the density reached"
        return Rung(last.changes, words, restart=True, last=last.last) if record.reused and record.saved else None
    if record.ended.timed_out:
        return None
    if lacks_memory(verdict, record.ended, certain=len(tried) == 1):
        return less_memory(tried, verdict.reason)
    return replace(last, why=f"the same again: {verdict.reason}")


def _read(folder: Path, ended: Ended) -> PwResult:
    xml = next((path for path in (folder / SAVED / XML, folder / XML) if path.is_file()), None)
    return read_pw_output(
        folder / "pw.out",
        exit_code=ended.exit_code,
        stderr=folder / "pw.err",
        crash=folder / "CRASH",
        xml=xml,
    )
