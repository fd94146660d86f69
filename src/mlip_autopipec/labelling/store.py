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


class Store:
    """The labels of one batch, and the ledger that all batches share."""

    def __init__(self, folder: Path, batch: str, settings: Labelling) -> None:
        """`folder` is the run's `labeled`, with a folder for each batch."""
        self.folder, self.batch, self.settings = Path(folder), batch, settings
        self.ledger = Ledger(self.folder)
        self._surface = settings.surface()

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

        A label without a surface was refused before anything ran. One that lay beyond the budget is to be made.
        """
        try:
            label = read_label(self.label_file(name_of(frame)))
        except InputFileError:
            return None
        same = label.uid in (None, frame.info["uid"])
        surface = label.settings.get("surface", self._surface)
        return label if same and surface == self._surface and label.kind != BUDGET else None

    def keep(self, frame: Atoms, label: Label, cost: Cost, **more: Any) -> None:
        """Write down a label that is final: raw output, ledger, and last its file, which makes it finished."""
        name = name_of(frame)
        target = self.label_file(name)
        replaced = target.exists()
        with atomic_path(target.with_suffix(".pwo")) as temporary:
            source = self.work_folder(name) / label.output_file if label.output_file is not None else None
            if source is not None and source.is_file():
                shutil.copyfile(source, temporary)
            else:
                temporary.write_text(f"No {label.engine} run: {label.reason}\n", encoding="utf-8")
        self.ledger.finished(self._line(name, label, cost, final=True, replaced=replaced, **more))
        write_label(target, label)

    def note(self, frame: Atoms, label: Label, cost: Cost) -> None:
        """Write down a run that gave no label and will be tried again."""
        self.ledger.finished(self._line(name_of(frame), label, cost, final=False))

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
        ranks = max(label.ranks, 1)
        spent = label.core_seconds or label.wall_seconds * ranks
        wasted = sum(attempt.wall_seconds for attempt in label.attempts if attempt.outcome != "ok") * ranks
        wasted = min(wasted, spent) if label.accepted else spent
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
            "rungs": max(0, len(label.attempts) - max(1, len(label.states))),
            "ranks": ranks,
            "estimate_seconds": round(cost.seconds, 3),
            "time": time.time(),
            **more,
            **({} if more.get("final", True) else {"attempt_wall_seconds": times}),
        }
