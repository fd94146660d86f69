"""A label on disk: whole, finite, and the same when it is read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mlip_autopipec.errors import InputFileError
from mlip_autopipec.labelling.labeller import Attempt, Label, read_label, write_label


def label(**changes: Any) -> Label:
    values: dict[str, Any] = {
        "accepted": True,
        "outcome": "ok",
        "kind": "ok",
        "reason": "converged",
        "natoms": 2,
        "energy_ev": -215.5,
        "forces": [(0.1, 0.0, -0.2), (-0.1, 0.0, 0.2)],
        "stress": (0.01, 0.01, 0.01, 0.0, 0.0, 0.0),
        "magmoms": [1.0, -1.0],
        "attempts": [Attempt(folder="attempt_1", outcome="ok", reason="", changed={"mixing_beta": 0.3})],
        "engine": "espresso",
        **changes,
    }
    return Label(**values)


def test_label_survives_its_file(tmp_path: Path) -> None:
    write_label(tmp_path / "a.json", label())
    assert read_label(tmp_path / "a.json") == label()


@pytest.mark.parametrize(
    "changes",
    [
        {"energy_ev": float("nan")},
        {"energy_ev": None},
        {"forces": [(0.1, 0.0, -0.2)]},
        {"forces": [(0.1, 0.0, -0.2), (0.0, float("inf"), 0.0)]},
        {"stress": None},
        {"magmoms": [1.0]},
        {"accepted": False, "kind": "physics"},
    ],
)
def test_label_is_whole_and_finite_or_not_a_label(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        label(**changes)


@pytest.mark.parametrize("damage", ["cut", "force", "empty"])
def test_damaged_label_file_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.json"
    write_label(path, label())
    text = path.read_text(encoding="utf-8")
    if damage == "force":
        data = json.loads(text)
        data["forces"].pop()
        path.write_text(json.dumps(data))
    else:
        path.write_text(text[: len(text) // 2] if damage == "cut" else "")
    with pytest.raises(InputFileError, match="Delete it"):
        read_label(path)


def test_a_label_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    old = {"accepted": False, "outcome": "truncated", "kind": "infrastructure", "reason": "killed", "natoms": 2}
    attempt = {"folder": "attempt_1", "outcome": "truncated", "reason": "killed"}
    path = tmp_path / "label.json"
    path.write_text(json.dumps({**old, "engine": "espresso", "attempts": [attempt]}))
    label = read_label(path)
    assert (label.branch, label.states, label.ranks) == (None, [], 1)
    assert (label.attempts[0].state, label.attempts[0].stopped_early) == (None, False)
