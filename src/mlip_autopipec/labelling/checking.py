"""Runs that check labels, the noise's and the reviews': in the ledger and within the budget like labels themselves."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms

from mlip_autopipec.artifacts import read_json
from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import MlipError
from mlip_autopipec.frames import read_frames
from mlip_autopipec.labelling.campaign import LEAST_SECONDS, time_limit, wants_more
from mlip_autopipec.labelling.cells import Cell, label_files, read_cells
from mlip_autopipec.labelling.collect import name_of
from mlip_autopipec.labelling.costs import Cost
from mlip_autopipec.labelling.engines import make_labeller
from mlip_autopipec.labelling.forecast import fit
from mlip_autopipec.labelling.jobs import RETRIES, costs
from mlip_autopipec.labelling.labeller import Label, Labeller, read_label, unlabelled
from mlip_autopipec.labelling.ledger import BUDGET, BUDGET_SPENT, NOISE, REVIEW, Ledger
from mlip_autopipec.labelling.noise import measure
from mlip_autopipec.labelling.review import review_generation

PathLike = str | os.PathLike[str]


@dataclass
class Checking:
    """What the runs of one job share.

    Attributes:
        ledger: of the run.
        batch: their name in it, 'noise' or 'review'.
        cells: the frames that may be run, for the estimates.
        seconds: wall time of the job, s; None: no limit.
        attempt: 1 for the first try of the job.
    """

    ledger: Ledger
    batch: str
    cells: Sequence[Cell]
    seconds: float | None = None
    attempt: int = 1
    failed: dict[str, str] = field(default_factory=dict)
    over_budget: dict[str, str] = field(default_factory=dict)
    _start: float = field(default_factory=time.monotonic)

    def make(self, settings: Labelling) -> Labeller:
        """The engine with these settings, every run of which is entered.

        Raises:
            ConfigError, ConfigurationFault: as `engines.make_labeller`.
        """
        return _Entered(self, make_labeller(settings), settings)

    def left(self, settings: Labelling) -> float:
        """Wall time for one run, s."""
        if self.seconds is None:
            return settings.max_seconds
        return min(settings.max_seconds, self.seconds - (time.monotonic() - self._start))

    def try_again(self) -> None:
        """Ask for another try of the job.

        Raises:
            MlipError: runs failed for the machine's reasons, and there is another try.
        """
        if self.failed and self.attempt <= RETRIES:
            told = "; ".join(f"{name}: {reason}" for name, reason in self.failed.items())
            raise MlipError(
                f"runs that check labels failed for reasons of the machine (try {self.attempt} of {RETRIES + 1}; "
                f"finished ones are kept): {told}"
            )


class _Entered:
    """A labeller whose runs go into the ledger, and are not started beyond the budget."""

    def __init__(self, checking: Checking, inner: Labeller, settings: Labelling) -> None:
        self.name = inner.name
        one_state = settings.model_copy(update={"magnetic_states": settings.magnetic_states[:1]})

        @functools.wraps(inner.label)  # with its signature: whether it takes `states` is asked
        def label(atoms: Atoms, workdir: Path, *, ranks: int = 1, seconds: float | None = None, **more: Any) -> Label:
            cost = _cost(atoms, checking.cells, one_state if more.get("states") else settings)
            return _run(checking, inner, settings, cost, atoms, workdir, **more)

        self.label: Callable[..., Label] = label


def _run(
    checking: Checking, inner: Labeller, settings: Labelling, cost: Cost, atoms: Atoms, workdir: Path, **more: Any
) -> Label:
    name, ledger = name_of(atoms), checking.ledger
    seconds = checking.left(settings)
    if seconds < LEAST_SECONDS:
        checking.failed[name] = "not started: the job's time is over"
        return unlabelled(atoms, "not_started", "infrastructure", checking.failed[name], inner.name)
    key = {"batch": checking.batch, "frame": name, "ranks": cost.ranks}
    wanted = cost.seconds * fit(ledger.lines()).factor(cost.seconds)
    refusal = ledger.start(key | {"estimate_core_seconds": wanted}, settings.core_hours_max)
    if refusal is not None:
        checking.over_budget[name] = refusal.reason
        return unlabelled(atoms, BUDGET_SPENT, BUDGET, refusal.reason, inner.name)
    began = time.monotonic()
    label: Label | None = None
    try:
        label = inner.label(atoms, workdir, ranks=cost.ranks, seconds=seconds, **more)
    finally:
        # Attempts that an earlier try made are read again and were entered then: what counts is this call's time.
        spent = round(cost.ranks * (time.monotonic() - began), 3)
        done = label is not None and label.kind != "infrastructure"
        ledger.finished(
            key
            | {
                "natoms": len(atoms),
                "outcome": "error" if label is None else label.outcome,
                "kind": "configuration" if label is None else label.kind,
                "final": done or checking.attempt > RETRIES,
                "wants_more": label is not None and checking.attempt <= RETRIES and wants_more(label),
                "core_seconds": spent,
                "wasted_core_seconds": 0.0 if label is not None and label.accepted else spent,
                "rungs": 0 if label is None else label.further_attempts,
                "estimate_seconds": round(cost.seconds, 3),
                "time": time.time(),
            }
        )
    if label.kind == "infrastructure":
        checking.failed[name] = label.reason
    return label


def _cost(atoms: Atoms, cells: Sequence[Cell], settings: Labelling) -> Cost:
    name = name_of(atoms)
    return costs([next(cell for cell in cells if cell.name == name)], settings)[0]


def measure_noise(
    frames: PathLike,
    review: PathLike,
    settings: Labelling,
    labeled: PathLike,
    *,
    seed: int,
    minutes: float | None = None,
    attempt: int = 1,
) -> dict[str, Any]:
    """The noise of a generation's labels; see `noise.measure`.

    Args:
        frames: of the generation.
        review: of its labels.
        labeled: the run's `labeled`.
        minutes, attempt: of the job.

    Raises:
        MlipError: runs failed for the machine's reasons, and there is another try.
    """
    checking = Checking(Ledger(Path(labeled)), NOISE, read_cells(frames), time_limit(minutes), attempt)
    said = read_json(review)
    labels = {path.stem: read_label(path) for path in label_files(frames)}
    labels |= {name: read_label(Path(review).parent / where) for name, where in said["corrected"].items()}
    record = measure(
        read_frames(frames),
        labels,
        settings,
        Path(labeled) / "noise",
        seed=seed,
        make_labeller=checking.make,
        leave_out=[row["name"] for row in said["flagged"]],
    )
    checking.try_again()
    if not record["measured"] and checking.over_budget:
        record["reason"] = next(iter(checking.over_budget.values()))
    return record


def review_labels(
    frames: Sequence[PathLike],
    before: Sequence[PathLike],
    settings: Labelling,
    folder: PathLike,
    *,
    minutes: float | None = None,
    attempt: int = 1,
) -> dict[str, Any]:
    """The review of a generation; see `review.review_generation`.

    Args:
        frames: of all generations so far.
        folder: of this generation's labels, in the run's `labeled`.
        minutes, attempt: of the job.

    Raises:
        MlipError: as `measure_noise`.
    """
    cells = [cell for path in frames for cell in read_cells(path)]
    checking = Checking(Ledger(Path(folder).parent), REVIEW, cells, time_limit(minutes), attempt)
    labels = [label for path in frames for label in label_files(path)]
    record = review_generation(frames, labels, before, settings, folder, make_labeller=checking.make)
    checking.try_again()
    return record
