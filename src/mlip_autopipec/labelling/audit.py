"""What became of all labels of a run: counts by class, what recovery did, hours spent and wasted, what was doubted."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlip_autopipec.artifacts import read_json
from mlip_autopipec.labelling.labeller import Attempt, Label, read_label
from mlip_autopipec.labelling.ledger import CHECKS
from mlip_autopipec.labelling.surfaces import mixture

PathLike = str | os.PathLike[str]
CLASSES = ("ok", "physics", "structure", "configuration", "infrastructure", "budget")
_NOT_RUNGS = ("tot_magnetization", "occupations")  # what makes a state of an isolated atom


def audit(
    labels: Mapping[str, Sequence[PathLike]],
    *,
    collected: Sequence[PathLike] = (),
    reviews: Sequence[PathLike] = (),
    noise: PathLike | None = None,
    ledger: PathLike | None = None,
    budget_core_hours: float | None = None,
) -> dict[str, Any]:
    """Count everything that labels say of themselves.

    Args:
        labels: label files by batch ('gen0', 'test', 'eos', 'atoms').
        collected: records of `collect`: what was quarantined after the engine had accepted it counts as quarantined.
        reviews: of the generations, in order.
        noise: record of `noise.measure`.
        ledger: `ledger.jsonl`; what it tells of runs whose files are gone counts as spent.
        budget_core_hours: the configuration's.

    Returns:
        The record; its keys are documented with `summary.json` (`report.audit`).

    Raises:
        InputFileError: a file is missing or damaged.
    """
    doubted = {
        (row["name"], row["config_type"] == "IsolatedAtom"): row
        for path in collected
        for row in read_json(path)["quarantine"]
    }
    found = [(batch, Path(path).stem, read_label(path)) for batch, paths in labels.items() for path in map(str, paths)]
    read_reviews = [read_json(path) for path in reviews]
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    outcomes: Counter[str] = Counter()
    for batch, name, label in found:
        row = doubted.get((name, batch == "atoms")) if label.accepted else None
        kind = str(row["kind"]) if row is not None else label.kind
        rows[batch][kind] += 1
        outcomes[str(row.get("outcome", kind)) if row is not None else label.outcome] += 1
    every = [label for _, _, label in found]
    again = sum(float(row.get("core_seconds", 0.0)) for one in read_reviews for row in one.get("retries", []))
    tight = read_json(noise) if noise is not None else None
    spent, wasted = _hours(every)
    more = _lost(ledger, spent) if ledger is not None else 0.0
    return {
        "labels": len(every),
        "by_class": {kind: sum(row[kind] for row in rows.values()) for kind in CLASSES},
        "outcomes": dict(outcomes.most_common()),
        "by_batch": [
            {
                "batch": batch,
                "labels": len(paths),
                **{kind: rows[batch][kind] for kind in CLASSES},
                **dict(
                    zip(
                        ("core_hours", "wasted_core_hours"),
                        _hours([label for b, _, label in found if b == batch]),
                        strict=True,
                    )
                ),
            }
            for batch, paths in labels.items()
        ],
        "core_hours": spent + more,
        "wasted_core_hours": wasted + more,
        "cut_off_core_hours": more,
        "retry_core_hours": again / 3600,
        "noise_core_hours": sum(row["core_seconds"] for row in tight["frames"]) / 3600 if tight is not None else 0.0,
        "budget_core_hours": budget_core_hours,
        "recovered": sum(label.accepted and _rungs_of(label) > 0 for label in every),
        "rungs": _rungs(every),
        "stopped_early": sum(attempt.stopped_early for label in every for attempt in label.attempts),
        "mixed_settings": _mixed_settings({b: [one for c, _, one in found if c == b] for b in labels}),
        "engines": dict(Counter(f"{one.engine} {one.engine_version or ''}".strip() for one in every if one.accepted)),
        "branches": dict(Counter(label.branch for label in every if label.accepted and label.branch)),
        "states": _states(every),
        "review": _review(read_reviews),
        "noise": tight,
    }


def _mixed_settings(batches: Mapping[str, Sequence[Label]]) -> str:
    """How the settings of accepted labels differ, and in which batches; '' where all are on one surface."""
    every = [one.settings.get("surface") for labels in batches.values() for one in labels if one.accepted]
    if not (mixed := mixture(every)):
        return ""
    first = next(surface for surface in every if surface is not None)
    alike = {
        name: sum(not mixture([first, one.settings.get("surface")]) for one in labels if one.accepted)
        for name, labels in batches.items()
    }
    others = {name: sum(one.accepted for one in labels) - alike[name] for name, labels in batches.items()}
    told = (", ".join(f"{name} {count}" for name, count in one.items() if count) for one in (alike, others))
    return f"{mixed} (labels: {' and '.join(told)})"


def _hours(labels: Sequence[Label]) -> tuple[float, float]:
    """Core-hours spent, and those of attempts that gave nothing."""
    spent = wasted = 0.0
    for label in labels:
        spent += label.spent_core_seconds
        wasted += label.wasted_core_seconds
    return spent / 3600, wasted / 3600


def _lost(ledger: PathLike, spent: float) -> float:
    """Core-hours of runs that left a line in the ledger but no label file: cut off, or repeated after a failure."""
    known = 0.0
    if not Path(ledger).is_file():
        return 0.0
    with open(ledger, encoding="utf-8", errors="replace") as handle:
        for line in handle:
            with suppress(ValueError, TypeError, AttributeError):  # torn by a kill
                one = json.loads(line)
                known += 0.0 if one.get("batch") in CHECKS else float(one.get("core_seconds", 0.0))
    return max(known / 3600 - spent, 0.0)


def _rungs_of(label: Label) -> int:
    return sum(bool(_changes(attempt)) for attempt in label.attempts)


def _changes(attempt: Attempt) -> str:
    told = {key: value for key, value in attempt.changed.items() if key not in _NOT_RUNGS}
    return ", ".join(f"{key} {value}" for key, value in sorted(told.items()))


def _rungs(labels: Sequence[Label]) -> list[dict[str, Any]]:
    """Every kind of further attempt: how often it was made, and how often it ended well."""
    used: Counter[str] = Counter()
    helped: Counter[str] = Counter()
    why: dict[str, str] = {}
    for label in labels:
        for number, attempt in enumerate(label.attempts):
            rung = _changes(attempt)
            if not rung and number and attempt.why.startswith("the same again"):
                rung = "the same again"
            if rung:
                used[rung] += 1
                helped[rung] += attempt.outcome == "ok"
                why.setdefault(rung, attempt.why)
    return [
        {"rung": rung, "used": count, "helped": helped[rung], "why": why[rung]} for rung, count in used.most_common()
    ]


def _states(labels: Sequence[Label]) -> list[dict[str, Any]]:
    """Starting states of the moments: how often each was tried, gave an energy and was kept."""
    tried: Counter[str] = Counter()
    energy: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for label in labels:
        for one in label.states:
            if one.get("outcome") == "not_tried":
                continue
            name = str(one.get("name"))
            tried[name] += 1
            energy[name] += one.get("energy_ev") is not None
            kept[name] += bool(one.get("kept"))
    return [
        {"state": name, "tried": count, "converged": energy[name], "kept": kept[name]} for name, count in tried.items()
    ]


def _review(reviews: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not reviews:
        return None
    latest = reviews[-1]
    return {
        "judged": latest["judged"],
        "not_judged": len(latest["not_judged"]),
        "method": latest["method"],
        "flagged": [
            {key: row[key] for key in ("name", "config_type", "outcome", "reason")} for row in latest["flagged"]
        ],
        "corrected": sorted({name for one in reviews for name in one["corrected"]}),
        "confirmed": sorted({name for one in reviews for name in one["confirmed"]}),
    }
