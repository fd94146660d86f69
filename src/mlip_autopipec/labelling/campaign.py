"""One job of the campaign: label its frames, keep every verdict, stop when the set-up or the machine is at fault."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms

from mlip_autopipec.artifacts import read_json, write_json
from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import ConfigurationFault, DataError, MlipError
from mlip_autopipec.frames import read_frames
from mlip_autopipec.labelling.cells import read_cells
from mlip_autopipec.labelling.collect import find_frame, name_of
from mlip_autopipec.labelling.costs import Cost
from mlip_autopipec.labelling.engines import make_labeller
from mlip_autopipec.labelling.forecast import fit
from mlip_autopipec.labelling.jobs import RETRIES, by_name
from mlip_autopipec.labelling.labeller import Label, Labeller, unlabelled
from mlip_autopipec.labelling.ledger import BUDGET, BUDGET_SPENT, STOPPED
from mlip_autopipec.labelling.prechecks import Known, Limits, precheck, refused
from mlip_autopipec.labelling.store import Store

PathLike = str | os.PathLike[str]
FIRST = ("atoms", "eos")  # what nothing can do without
TRAINING = "gen"  # batches of training labels begin so; the others are few and never refused for the budget
LEAST_SECONDS = 30.0  # a label is not started with less time left in its job
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_BATCH_SYSTEMS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID")


@dataclass
class Campaign:
    """What the frames of one job share.

    Attributes:
        threads: cores of the job; `threads // ranks` labels run at a time.
        seconds: wall time of the job, s; None: no limit.
        attempt: 1 for the first try of the job.
        refused: outcome and reason of frames that are not worth a run, by name.
    """

    store: Store
    settings: Labelling
    labeller: Labeller
    costs: Mapping[str, Cost]
    threads: int = 1
    seconds: float | None = None
    attempt: int = 1
    refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)
    _unwritable: set[str] = field(default_factory=set)
    _fault: ConfigurationFault | None = None
    _stopped: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _start: float = field(default_factory=time.monotonic)

    def run(self, frames: Sequence[Atoms]) -> None:
        """Label all of them that have no label yet.

        Raises:
            ConfigurationFault: the set-up is wrong for every frame, or the machine failed several times in a row: no
                job of this run labels any more.
            MlipError: some labels failed for the machine's reasons, or time ran out; a retry makes only those.
        """
        ranks = max((self.costs[name_of(frame)].ranks for frame in frames), default=1)
        workers = max(1, min(self.threads // ranks, len(frames)))
        if workers == 1:
            for frame in frames:
                self._label(frame)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(self._label, frames))
        if self._fault is not None:
            raise self._fault
        if self._stopped:
            raise MlipError(self._stopped)
        if self._failed:
            told = "; ".join(f"{name}: {reason}" for name, reason in list(self._failed.items())[:5])
            raise MlipError(
                f"{len(self._failed)} of {len(frames)} labels of this job got no result for reasons of the machine "
                f"(try {self.attempt} of {RETRIES + 1}; finished labels are kept): {told}"
            )

    def _label(self, frame: Atoms) -> None:
        name = name_of(frame)
        if self._fault is not None:
            return
        try:
            if (stopped := self.store.folder / STOPPED).exists():
                self._stopped = f"Labelling was stopped in this run; why stands in {stopped}"
                return
            with self.store.alone(name):
                self._label_alone(frame, name)
        except ConfigurationFault as fault:
            with self._lock:
                self._stop(fault)
        except OSError as error:
            with self._lock:
                self._files_failed(name, error)

    def _label_alone(self, frame: Atoms, name: str) -> None:
        cost = self.costs[name]
        if self.store.finished(frame) is not None:
            return
        if name in self.refused:
            self.store.keep(frame, refused(frame, *self.refused[name], self.labeller.name), cost)
            return
        left = self._seconds_left()
        if left is not None and left < LEAST_SECONDS:
            self._failed[name] = "not started: the job's time is over"
            return
        self.store.forget_attempts(frame)
        self.store.note_cut_off(frame, cost)
        free = not self.store.batch.startswith(TRAINING) or self.store.to_judge_again(frame)
        budget = None if free else self.settings.core_hours_max
        wanted = cost.seconds
        if budget is not None:
            wanted *= fit(self.store.ledger.lines()).factor(cost.seconds)
        start = {"batch": self.store.batch, "frame": name, "ranks": cost.ranks, "estimate_core_seconds": wanted}
        refusal = self.store.ledger.start(start, budget)
        if refusal is not None:
            label = unlabelled(frame, BUDGET_SPENT, BUDGET, refusal.reason, self.labeller.name)
            self.store.keep(frame, label, cost, would_be_core_hours=refusal.core_hours)
            return
        seconds = self.settings.max_seconds if left is None else min(self.settings.max_seconds, left)
        label = self.labeller.label(frame, self.store.work_folder(name), ranks=cost.ranks, seconds=seconds)
        self._judge(frame, name, label, cost)

    def _judge(self, frame: Atoms, name: str, label: Label, cost: Cost) -> None:
        """Keep the label, unless the machine failed and there is another try."""
        if label.kind != "infrastructure":
            self.store.keep(frame, label, cost)
            self._unwritable.clear()
            return
        last_try = self.attempt > RETRIES
        if not last_try and wants_more(label):  # which the next try has: no sign of a broken machine
            self.store.note(frame, label, cost, wants_more=True)
            self._failed[name] = label.reason
            return
        most = self.settings.infrastructure_failures_max
        with self._lock:
            failures = self.store.ledger.machine_failures_in_a_row()
            here = f"{self.store.batch}/{name}"
            if len({*failures, here}) >= most:
                self.store.note(frame, label, cost)
                raise ConfigurationFault(
                    f"Labelling is paused: {len({*failures, here})} labels in a row failed for reasons of the machine "
                    f"({', '.join([*failures, here][-most:])}). The last one: {label.reason}",
                    f"Look into {self.store.work_folder(name)}, mend the machine or labelling.command, and run again: "
                    "finished labels are kept (labelling.infrastructure_failures_max sets how many are borne)",
                )
        if not last_try:
            self.store.note(frame, label, cost)
            self._failed[name] = label.reason
        elif self.store.batch in FIRST:
            self.store.note(frame, label, cost)
            raise ConfigurationFault(
                f"One of the first DFT runs ({self.store.batch} {name}) failed for reasons of the machine, "
                f"{RETRIES + 1} times: {label.reason}",
                f"Look at the files in {self.store.work_folder(name)}, mend labelling.command or the machine, and run "
                "again",
            )
        else:
            self.store.keep(frame, label, cost)

    def _seconds_left(self) -> float | None:
        return None if self.seconds is None else self.seconds - (time.monotonic() - self._start)

    def _stop(self, fault: ConfigurationFault) -> None:
        if self._fault is None:
            self._fault = fault
            stopped = self.store.folder / STOPPED
            with suppress(OSError):
                if not stopped.exists():
                    write_json(stopped, {"problem": fault.problem, "mend": fault.mend})
            with suppress(OSError):  # a full disk may still take a name
                stopped.touch()

    def _files_failed(self, name: str, error: OSError) -> None:
        """A file could not be written or read: not even the ledger may tell other jobs."""
        words = f"{error.strerror or error}: {error.filename or self.store.folder}"
        self._failed[name] = f"files cannot be written or read ({words})"
        self._unwritable.add(name)
        if error.errno in DISK_FULL:
            problem = f"the disk is full ({words})"
        elif len(self._unwritable) >= self.settings.infrastructure_failures_max:
            problem = f"{len(self._unwritable)} labels in a row failed for reasons of the machine ({words})"
        else:
            return
        mend = f"Mend it in {self.store.folder.resolve()} and run again: finished labels are kept"
        self._stop(ConfigurationFault(f"Labelling is paused: {problem}", mend))


def label_job(
    frames_file: PathLike,
    names: Sequence[str],
    settings: Labelling,
    *,
    folder: PathLike,
    batch: str,
    threads: int = 1,
    minutes: float | None = None,
    attempt: int = 1,
    earlier_files: Sequence[PathLike] = (),
) -> dict[str, Any]:
    """Label the frames of one job and return its record: each frame with its identity and outcome.

    Args:
        frames_file: frames of the batch; its name is the batch's.
        folder: the run's `labeled`.
        minutes: time limit of the job; regarded inside a batch system only.
        earlier_files: frames of earlier generations.

    Raises:
        ConfigurationFault, MlipError: as `Campaign.run`.
        DataError: a name has no frame.
    """
    everything = read_frames(frames_file)
    store = Store(Path(folder), batch, settings)
    frames = [find_frame(everything, name) for name in names]
    costs = by_name(read_cells(frames_file), settings)
    labels = {name_of(frame): store.finished(frame) for frame in frames}
    if None in labels.values():
        Campaign(
            store,
            settings,
            make_labeller(settings),
            costs,
            threads=threads,
            seconds=time_limit(minutes),
            attempt=attempt,
            refused=_not_worth_it(everything, names, store, earlier_files) if batch.startswith(TRAINING) else {},
        ).run(frames)
    for frame in frames:
        if (label := labels[name_of(frame)]) is not None:
            store.adopt(frame, label, costs[name_of(frame)])
    return {"batch": batch, "frames": [_row(store, frame) for frame in frames]}


def wants_more(label: Label) -> bool:
    """Whether time or memory ran out, of which a retry of the job has more."""
    return label.outcome in ("out_of_memory", "stopped") or "did not end within" in label.reason


def time_limit(minutes: float | None) -> float | None:
    """Seconds of a job, which a batch system alone ends."""
    return 60.0 * minutes if minutes and any(map(os.environ.get, _BATCH_SYSTEMS)) else None


def _not_worth_it(
    everything: Sequence[Atoms], names: Sequence[str], store: Store, earlier_files: Sequence[PathLike]
) -> dict[str, tuple[str, str]]:
    """Frames that get no run, with outcome and reason: among them those that were there before, in an earlier
    generation, where a run told something of them, or further up in the same file.
    """
    known, limits = Known(), Limits.of(store.settings)
    for path in earlier_files:
        before = Store(store.folder, Path(path).stem, store.settings)
        for frame in read_frames(path):
            if _was_told(before.finished(frame)):
                known.add(frame)
    found: dict[str, tuple[str, str]] = {}
    for frame in everything:
        if name_of(frame) in names and (verdict := precheck(frame, known, limits)) is not None:
            found[name_of(frame)] = verdict
        known.add(frame)
    return found


def _was_told(label: Label | None) -> bool:
    """Whether a run gave a label, or would end the same again; not where the machine failed or nothing was run."""
    return (
        label is not None and label.kind in ("ok", "physics", "structure") and not label.settings.get("before_any_run")
    )


def _row(store: Store, frame: Atoms) -> dict[str, Any]:
    label = read_json(store.label_file(name_of(frame)))
    if label["uid"] not in (None, frame.info["uid"]):
        raise DataError(f"the label of {name_of(frame)} is of another structure. Delete that label and run again")
    return {
        "name": name_of(frame),
        "uid": frame.info["uid"],
        "accepted": label["accepted"],
        "outcome": label["outcome"],
    }
