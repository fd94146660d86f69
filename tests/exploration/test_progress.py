"""A person can see how far the walkers of a run are, and what became of those that ended."""

import json
import time

from ase.build import bulk

from mlip_autopipec.config.walks import Walk
from mlip_autopipec.exploration import progress
from mlip_autopipec.exploration.__main__ import main
from mlip_autopipec.exploration.progress import Reporter


def run_of(times, monkeypatch, steps=100):
    """What is said in a walk whose steps end at these times, s."""
    clock = iter([0.0, 0.0, *times])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    said = []
    reporter = Reporter(Walk("T0300-0", "md", 300.0, steps), said.append)
    reporter.begin(0)
    for number in range(1, len(times) + 1):
        reporter.seen(number, bulk("Cu", cubic=True), -14.0, number)
    return said, reporter.progress


def test_a_line_comes_for_each_tenth_but_at_most_every_ten_seconds(monkeypatch):
    said, last = run_of([1.0 * k for k in range(1, 101)], monkeypatch)
    assert len(said) == 10
    assert said[4] == (
        "T0300-0 (MD, 300 K): step 50 of 100 (50%), 0 K, -3.500 eV/atom, 11.76 A^3/atom, 50 frames, 50 s left"
    )
    assert last["seconds_left"] == 0
    assert len(run_of([0.05 * k for k in range(1, 101)], monkeypatch)[0]) == 0
    assert len(run_of([7.0 * k for k in range(1, 101)], monkeypatch, steps=100_000)[0]) == 11  # once a minute


def test_the_table_tells_what_runs_what_is_done_and_what_stopped(tmp_path, capsys):
    explored = tmp_path / "explored"
    (explored / "T0300-0.extxyz.part").mkdir(parents=True)
    (explored / "heat-0.extxyz.part").mkdir()
    (explored / "T0900-0.extxyz.part").mkdir()
    _, so_far = run_of_real(25, 100)
    (explored / "T0300-0.extxyz.part" / "progress.json").write_text(json.dumps(so_far))
    silent = so_far | {"updated": time.time() - 7200}
    (explored / "T0900-0.extxyz.part" / "progress.json").write_text(json.dumps(silent))
    good = {
        "ensemble": "NVT Langevin",
        "frames": 40,
        "seconds": 125.0,
        "stopped": "",
        "steps_done": 400,
        "warnings": [],
    }
    bad = good | {"stopped": "two atoms are 0.5 A apart", "steps_done": 120, "warnings": ["a grey gap"]}
    (explored / "T0300-1.json").write_text(json.dumps(good))
    (explored / "strains-0.json").write_text(json.dumps(bad))
    assert main([str(tmp_path)]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["explored/T0300-0"].startswith("25%, ")
    assert " left" in lines["explored/T0300-0"]
    assert "step 25 of 100, 25 frames" in lines["explored/T0300-0"]
    assert lines["explored/T0900-0"].startswith("25%, silent for 2.0 h")
    assert lines["explored/heat-0"].split("  ")[0] == "running"
    assert lines["explored/T0300-1"].startswith("finished")
    assert "NVT Langevin, 40 frames in 2 min" in lines["explored/T0300-1"]
    assert lines["explored/strains-0"].startswith("stopped at step 120")
    assert "two atoms are 0.5 A apart" in lines["explored/strains-0"]
    assert "a grey gap" in lines["explored/strains-0"]


def run_of_real(done, steps):
    reporter = Reporter(Walk("T0300-0", "md", 300.0, steps), lambda line: None)
    reporter.begin(0)
    reporter.seen(done, bulk("Cu", cubic=True), -14.0, done)
    return None, reporter.progress


def test_a_folder_that_is_no_run_is_said(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main([]) == 2
    assert main([str(tmp_path)]) == 0
    assert "No walker has begun" in capsys.readouterr().out
