"""Finished labels on disk: a frame's label stands in `<batch>/<frame>.json`, and is never made again.

The workflow declares only the records of its jobs as outputs. Whatever happens to those, a label counts as finished
when its file names the same structure and was made on the same potential energy surface.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ase import Atoms

from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import InputFileError
from mlip_autopipec.labelling.collect import name_of
from mlip_autopipec.labelling.costs import Cost
from mlip_autopipec.labelling.labeller import Label, read_label, write_label
from mlip_autopipec.labelling.ledger import BUDGET, CUT_OFF, Ledger, Line
from mlip_autopipec.labelling.surfaces import differences

BY_LIMITS = ("atoms_too_close", "force_too_large")  # outcomes that an engine gives for the configuration's limits


class Store:
    """The labels of one batch, and the ledger that all batches share."""

    def __init__(self, folder: Path, batch: str, settings: Labelling) -> None:
        """`folder` is the run's `labeled`, with a folder for each batch."""
        self.folder, self.batch, self.settings = Path(folder), batch, settings
        self.ledger = Ledger(self.folder)
        self._surface = settings.surface()
        self._limits = {
            "minimum_distance_fraction": settings.minimum_distance_fraction,
            "maximum_force_ev_per_angstrom": settings.maximum_force_ev_per_angstrom,
            "elements": sorted(settings.pseudopotentials),
        }

    def label_file(self, name: str) -> Path:
        """Where the label of a frame stands."""
        return self.folder / self.batch / f"{name}.json"

    def work_folder(self, name: str) -> Path:
        """Where its runs are."""
        return self.folder / self.batch / name

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Alone with one frame: a batch job of a killed run may still be at it."""
        folder = self.work_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w", encoding="utf-8") as handle:
            with suppress(OSError):  # file systems without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def finished(self, frame: Atoms) -> Label | None:
        """The label of this structure on this surface; None when it is still to be made.

        A label without a surface was refused before anything ran. One that lay beyond the budget is to be made, and one
        that a limit refused is to be judged again when limits have changed.
        """
        label = self._read(name_of(frame))
        if label is None or (_refused_by_limits(label) and label.settings.get("limits") != self._limits):
            return None
        same = label.uid in (None, frame.info["uid"])
        surface = label.settings.get("surface", self._surface)
        return label if same and not differences(surface, self._surface) and label.kind != BUDGET else None

    def to_judge_again(self, frame: Atoms) -> bool:
        """Whether its runs are there and only the limits have changed that refused their result."""
        label = self._read(name_of(frame))
        if label is None or label.output_file is None or self.finished(frame) is not None:
            return False
        there = (self.work_folder(name_of(frame)) / label.output_file).is_file()
        surface = label.settings.get("surface")
        alike = surface is not None and not differences(surface, self._surface)
        return there and _refused_by_limits(label) and alike

    def _read(self, name: str) -> Label | None:
        try:
            return read_label(self.label_file(name))
        except InputFileError:
            return None

    def keep(self, frame: Atoms, label: Label, cost: Cost, **more: Any) -> None:
        """Write down a label that is final: raw output, its file, which makes it finished, and last the ledger's line,
        which `adopt` enters when a kill came between.
        """
        name = name_of(frame)
        target = self.label_file(name)
        replaced, before = target.exists(), self._read(name)
        if _refused_by_limits(label):
            label = label.model_copy(update={"settings": {**label.settings, "limits": self._limits}})
        with atomic_path(target.with_suffix(".pwo")) as temporary:
            source = self.work_folder(name) / label.output_file if label.output_file is not None else None
            if source is not None and source.is_file():
                shutil.copyfile(source, temporary)
            else:
                temporary.write_text(f"No {label.engine} run: {label.reason}\n", encoding="utf-8")
        if self.settings.core_hours_max is not None:
            more |= {"budget_core_hours": self.settings.core_hours_max}
        line = self._line(name, label, cost, final=True, replaced=replaced, **more)
        if before is not None and before.attempts and _runs(before) == _runs(label):  # read again, not run again
            line |= {"core_seconds": 0.0, "wasted_core_seconds": 0.0}
        write_label(target, label)
        self.ledger.finished(line)

    def note(self, frame: Atoms, label: Label, cost: Cost, **more: Any) -> None:
        """Write down a run that gave no label and will be tried again."""
        self.ledger.finished(self._line(name_of(frame), label, cost, final=False, **more))

    def adopt(self, frame: Atoms, label: Label, cost: Cost) -> None:
        """Enter a finished label that the ledger does not know (of an older version, or its file was deleted)."""
        name = name_of(frame)
        if not self.ledger.knows(self.batch, name):
            self.ledger.finished(self._line(name, label, cost, final=True))

    def forget_attempts(self, frame: Atoms) -> None:
        """Remove the runs of a finished label whose file is gone: it is to be made anew, not read again."""
        name = name_of(frame)
        if self.ledger.knows(self.batch, name) and not self.label_file(name).exists():
            for folder in self.work_folder(name).iterdir():
                if folder.is_dir():
                    shutil.rmtree(folder, ignore_errors=True)

    def note_cut_off(self, frame: Atoms, cost: Cost) -> None:
        """Enter the time that was lost when this label was last ended with its job: from the first file of its runs to
        the last sign of life.
        """
        name = name_of(frame)
        times = [path.stat().st_mtime for path in self.work_folder(name).glob("attempt_*/*") if path.is_file()]
        if not times or not self.ledger.was_cut_off(self.batch, name):
            return
        seconds = round(cost.ranks * (max(times) - min(times)), 3)
        line: Line = {
            "batch": self.batch, "frame": name, "natoms": len(frame), "outcome": CUT_OFF, "kind": "infrastructure",
            "final": False, "core_seconds": seconds, "wasted_core_seconds": seconds, "rungs": 0, "ranks": cost.ranks,
            "estimate_seconds": round(cost.seconds, 3), "time": time.time(),
        }  # fmt: skip
        self.ledger.finished(line)

    def _line(self, name: str, label: Label, cost: Cost, **more: Any) -> Line:
        spent, wasted = label.spent_core_seconds, label.wasted_core_seconds
        times = [round(attempt.wall_seconds, 3) for attempt in label.attempts]
        # Attempts that an earlier try of the job made are in the label again, and in the ledger already.
        for line in self.ledger.lines():
            before = line.get("attempt_wall_seconds")
            if (line["batch"], line["frame"]) == (self.batch, name) and before and before == times[: len(before)]:
                spent, wasted = spent - line["core_seconds"], wasted - line["wasted_core_seconds"]
        return {
            "batch": self.batch,
            "frame": name,
            "natoms": label.natoms,
            "outcome": label.outcome,
            "kind": label.kind,
            "core_seconds": round(max(spent, 0.0), 3),
            "wasted_core_seconds": round(max(wasted, 0.0), 3),
            "rungs": label.further_attempts,
            "ranks": max(label.ranks, 1),
            "estimate_seconds": round(cost.seconds, 3),
            "time": time.time(),
            **more,
            **({} if more.get("final", True) else {"attempt_wall_seconds": times}),
        }


def _refused_by_limits(label: Label) -> bool:
    """Whether other limits might let it pass."""
    return not label.accepted and (bool(label.settings.get("before_any_run")) or label.outcome in BY_LIMITS)


def _runs(label: Label) -> list[tuple[str, float]]:
    return [(attempt.folder, attempt.wall_seconds) for attempt in label.attempts]
