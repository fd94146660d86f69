"""The audit counts what labels say of themselves, and what was doubted afterwards."""

import json

import pytest

from mlip_autopipec.artifacts import write_json
from mlip_autopipec.labelling.audit import audit
from mlip_autopipec.labelling.labeller import Attempt, Label, write_label


def attempt(outcome="ok", seconds=10.0, **changed):
    return Attempt(
        folder="attempt_1", outcome=outcome, reason="", wall_seconds=seconds, changed=changed,
        why="charge sloshing: gentler mixing" if changed else "first attempt", stopped_early=outcome == "sloshing",
    )  # fmt: skip


def label(accepted=True, kind="ok", outcome="ok", attempts=(), ranks=1, **more):
    numbers = {"energy_ev": -1.0, "forces": [(0.0, 0.0, 0.0)], "stress": (0.0,) * 6} if accepted else {}
    wall = sum(one.wall_seconds for one in attempts)
    return Label(
        accepted=accepted, outcome=outcome, kind=kind, reason="", natoms=1, engine="espresso", engine_version="7.3",
        attempts=list(attempts), wall_seconds=wall, core_seconds=wall * ranks, ranks=ranks, **numbers, **more,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    labels = {
        "a": label(attempts=[attempt()]),
        "b": label(attempts=[attempt("sloshing", 20.0), attempt(seconds=30.0, mixing_beta=0.3)], ranks=2),
        "c": label(
            False, "physics", "scf_not_converged", [attempt("sloshing", 40.0), attempt("x", 5, mixing_beta=0.3)]
        ),
        "d": label(False, "structure", "duplicate"),
        "e": label(False, "budget", "budget_spent"),
        "f": label(
            attempts=[attempt()],
            branch="high",
            states=[
                {"name": "high", "energy_ev": -1.0, "outcome": "ok", "kept": True},
                {"name": "low", "energy_ev": None, "outcome": "scf_not_converged", "kept": False},
                {"name": "antiferro", "outcome": "not_tried", "kept": False},
            ],
        ),
    }
    paths = []
    for name, one in labels.items():
        paths.append(tmp_path / f"{name}.json")
        write_label(paths[-1], one)
    return tmp_path, paths


def test_classes_rungs_states_and_hours_are_counted(run):
    _, paths = run
    found = audit({"gen0": paths[:5], "test": paths[5:]}, budget_core_hours=3.0)
    assert found["by_class"] == {
        "ok": 3, "physics": 1, "structure": 1, "configuration": 0, "infrastructure": 0, "budget": 1,
    }  # fmt: skip
    assert found["by_batch"][1]["ok"] == 1
    assert found["rungs"] == [
        {"rung": "mixing_beta 0.3", "used": 2, "helped": 1, "why": "charge sloshing: gentler mixing"}
    ]
    assert found["recovered"] == 1
    assert found["stopped_early"] == 2
    assert found["core_hours"] * 3600 == pytest.approx(10 + 2 * 50 + 45 + 10)
    assert found["wasted_core_hours"] * 3600 == pytest.approx(2 * 20 + 45)
    assert found["states"] == [
        {"state": "high", "tried": 1, "converged": 1, "kept": 1},
        {"state": "low", "tried": 1, "converged": 0, "kept": 0},
    ]
    assert found["branches"] == {"high": 1}
    assert found["engines"] == {"espresso 7.3": 3}
    assert found["budget_core_hours"] == 3.0


def test_a_label_that_was_doubted_later_counts_as_quarantined(run):
    folder, paths = run
    row = {"name": "a", "config_type": "rattle", "outcome": "energy_outlier", "kind": "physics", "reason": "off"}
    write_json(folder / "dataset.json", {"quarantine": [row]})
    found = audit({"gen0": paths[:2]}, collected=[folder / "dataset.json"])
    assert found["by_class"]["physics"] == 1
    assert found["outcomes"] == {"energy_outlier": 1, "ok": 1}


def test_runs_that_were_lost_with_their_job_are_in_the_ledger_alone(run):
    folder, paths = run
    lines = [{"core_seconds": 10.0}, {"core_seconds": 7.0, "outcome": "cut_off"}]
    text = "\n".join(map(json.dumps, lines)) + '\n{"core_sec'
    (folder / "ledger.jsonl").write_text(text, encoding="utf-8")
    found = audit({"gen0": paths[:1]}, ledger=folder / "ledger.jsonl")
    assert found["cut_off_core_hours"] * 3600 == pytest.approx(7.0)
    assert found["wasted_core_hours"] * 3600 == pytest.approx(7.0)


def test_a_test_set_on_another_surface_than_the_dataset_is_told(run):
    folder, _ = run
    paths = []
    for name, cutoff in (("g", 20.0), ("h", 20.0), ("t", 25.0), ("x", 25.0)):
        paths.append(folder / f"{name}.json")
        write_label(paths[-1], label(accepted=name != "x", settings={"surface": {"ecutwfc_ry": cutoff}}))
    assert audit({"gen0": paths[:2], "test": paths[3:]})["mixed_settings"] == "", "one was not accepted"
    found = audit({"gen0": paths[:2], "test": paths[2:]})
    assert found["mixed_settings"] == "ecutwfc_ry: 20.0 and 25.0 (labels: gen0 2 and test 1)"
