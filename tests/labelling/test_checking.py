"""Runs that check labels: entered into the ledger, within the budget, tried again where the machine failed."""

import json

import numpy as np
import pytest
from ase.build import bulk

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import MlipError
from mlip_autopipec.frames import new_frame, write_frames
from mlip_autopipec.labelling import checking
from mlip_autopipec.labelling.audit import audit
from mlip_autopipec.labelling.checking import measure_noise, review_labels
from mlip_autopipec.labelling.forecast import fit
from mlip_autopipec.labelling.labeller import Label, write_label
from mlip_autopipec.labelling.ledger import Ledger

VALUES = {
    "pseudo_dir": [], "pseudopotentials": {"Fe": "Fe.UPF"}, "ecutwfc_ry": 20, "ecutrho_ry": 80,
    "kspacing_per_angstrom": 0.5, "smearing": "gaussian", "degauss_ry": 0.01, "nspin": 2,
    "starting_magnetization": {"Fe": 0.4}, "magnetic_states": ["high", "low"], "noise_labels": 2,
}  # fmt: skip


def settings(**change):
    return Labelling(**(VALUES | change))


def label_of(frame, moment, **change):
    values = {
        "accepted": True, "outcome": "ok", "kind": "ok", "reason": "", "natoms": len(frame), "uid": frame.info["uid"],
        "energy_ev": -100.0 * len(frame), "forces": [(0.5, 0, 0), (-0.5, 0, 0)], "stress": (0.0,) * 6, "engine": "fake",
        "magmoms": [moment] * len(frame), "branch": "high",
    }  # fmt: skip
    return Label(**(values | change))


class Engine:
    """Gives labels, but for frames in `ends`, which end so in the order of their runs."""

    name = "fake"

    def __init__(self):
        self.started, self.ends, self.lower = [], {}, 0.0

    def label(self, atoms, workdir, *, ranks=1, seconds=None, states=None):
        self.started.append((atoms.info["uid"], ranks, seconds))
        kinds = self.ends.get(atoms.info["uid"], [])
        if kinds:
            kind = kinds.pop(0)
            nothing = {"energy_ev": None, "forces": None, "stress": None, "magmoms": None}
            return label_of(atoms, 2.2, accepted=False, kind=kind, outcome=kind, reason=f"it was {kind}", **nothing)
        return label_of(atoms, 2.2, energy_ev=-100.0 * len(atoms) - self.lower, settings={"surface": self.surface})


class Bench:
    """Twelve labelled cells of iron; the moment of the last one has collapsed."""

    def __init__(self, folder, monkeypatch):
        self.labeled, self.file = folder / "labeled", folder / "frames" / "gen0.extxyz"
        self.frames = []
        for seed in range(12):
            atoms = bulk("Fe", a=2.85, cubic=True)
            atoms.rattle(0.02, seed=seed)
            self.frames.append(new_frame(atoms, origin="t", config_type="rattle"))
        write_frames(self.file, self.frames)
        self.names = [frame.info["uid"] for frame in self.frames]
        for frame in self.frames:
            moment = 0.01 if frame is self.frames[-1] else 2.2
            write_label(self.labeled / "gen0" / f"{frame.info['uid']}.json", label_of(frame, moment))
        self.review = folder / "review.json"
        self.review.write_text(json.dumps({"flagged": [], "corrected": {}}))
        self.engine = Engine()
        monkeypatch.setattr(checking, "make_labeller", self.make)

    def make(self, config):
        self.engine.surface = config.surface()
        return self.engine

    def noise(self, config=None, **more):
        return measure_noise(self.file, self.review, config or settings(), self.labeled, seed=1, **more)

    def reviewed(self, config=None, **more):
        return review_labels([self.file], [], config or settings(), self.labeled / "gen0", **more)

    def lines(self):
        return [(line["batch"], line["kind"], line["final"]) for line in Ledger(self.labeled).lines()]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


def test_runs_for_the_noise_are_entered_with_what_they_cost_and_were_estimated_at(bench):
    record = bench.noise()
    assert record["measured"]
    assert len(bench.engine.started) == 2
    lines = Ledger(bench.labeled).lines()
    assert bench.lines() == [("noise", "ok", True)] * 2
    assert all(line["core_seconds"] >= 0 and line["estimate_seconds"] > 0 for line in lines)
    assert Ledger(bench.labeled).running_core_hours() == 0.0
    assert fit(lines).labels == 0  # of other settings: they say nothing of labels to come
    bench.noise()
    assert len(bench.engine.started) == 2  # kept, and not entered again
    assert len(bench.lines()) == 2


def test_beyond_the_budget_the_noise_is_not_measured_and_says_so(bench):
    ledger = Ledger(bench.labeled)
    ledger.finished({"batch": "gen0", "frame": "f", "core_seconds": 3600.0})
    record = bench.noise(settings(core_hours_max=1.0))
    assert bench.engine.started == []
    assert not record["measured"]
    assert "the budget of 1 core-hours (labelling.core_hours_max) is spent" in record["reason"]
    assert bench.noise(settings(core_hours_max=100.0))["measured"]


def test_a_run_that_the_machine_spoilt_is_tried_again_and_given_up_in_the_end(bench):
    bench.noise()
    name = bench.engine.started[0][0]
    for path in (bench.labeled / "noise").glob("*.json"):
        path.unlink()
    bench.engine.ends = {name: ["infrastructure"] * 3}
    for attempt in (1, 2):
        with pytest.raises(MlipError, match=f"try {attempt} of 3.*it was infrastructure"):
            bench.noise(attempt=attempt)
    record = bench.noise(attempt=3)
    assert record["failed"] == [{"name": name, "reason": "it was infrastructure"}]
    assert len(record["frames"]) == 1
    assert [one[0] for one in bench.engine.started].count(name) == 4


def test_a_collapsed_moment_is_tried_again_within_the_budget_and_entered(bench):
    bench.engine.lower = 0.5
    (bench.labeled / "ledger.jsonl").write_text(
        json.dumps({"batch": "gen0", "frame": "f", "kind": "ok", "final": True, "core_seconds": 3600.0}) + "\n"
    )
    record = bench.reviewed(settings(core_hours_max=1.0))
    assert bench.engine.started == []
    assert record["corrected"] == {}
    assert record["flagged"] == []
    assert "is spent" in record["warnings"][0]
    assert "the label stands" in record["warnings"][0]
    record = bench.reviewed()
    assert list(record["corrected"]) == bench.names[-1:]
    assert bench.lines()[1:] == [("review", "ok", True)]


def test_a_review_whose_retry_the_machine_spoilt_is_made_again(bench):
    bench.engine.ends = {bench.names[-1]: ["infrastructure"] * 3}
    with pytest.raises(MlipError, match="try 1 of 3"):
        bench.reviewed()
    bench.reviewed(attempt=2 + 1)
    assert bench.lines() == [("review", "infrastructure", False), ("review", "infrastructure", True)]


def test_runs_get_no_more_time_than_their_job_has_left(bench, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    bench.noise(minutes=5)
    assert all(250 < seconds <= 300 for _, _, seconds in bench.engine.started)
    for path in (bench.labeled / "noise").glob("*.json"):
        path.unlink()
    with pytest.raises(MlipError, match="time is over"):
        bench.noise(minutes=0.1)
    assert len(bench.engine.started) == 2


def test_long_runs_get_more_ranks_where_that_is_allowed(bench):
    bench.noise(settings(ranks_max=4, max_seconds=60))
    assert {ranks for _, ranks, _ in bench.engine.started} == {4}


def test_the_audit_tells_checks_apart_from_labels_that_were_lost(bench):
    bench.noise()
    path = bench.labeled / "ledger.jsonl"
    path.write_text(path.read_text().replace('"core_seconds": ', '"core_seconds": 7'))
    assert np.isclose(audit({}, ledger=path)["cut_off_core_hours"], 0.0)
    assert Ledger(bench.labeled).spent_core_hours() > 0
