"""No finished label is made twice, whatever happens to the run or to Snakemake's files: shown by counting pw.x."""

import json
import shutil
from collections import Counter

import pytest
import yaml
from running import QUICKSTART, counting_pw, killed_when, needs_pw, snakemake

pytestmark = [pytest.mark.pipeline, needs_pw, pytest.mark.timeout(1200)]

TARGET = "results/quickstart/validation/eos_dft.extxyz"
POINTS = 9


class Labels:
    """The cells of an equation of state (nine labels, half a second each at least), made with a pw.x that counts."""

    def __init__(self, folder):
        self.folder = folder
        self.batch = folder / "results" / "quickstart" / "labeled" / "eos"
        self.starts_file = folder / "starts"
        self.config = yaml.safe_load(QUICKSTART.read_text())
        self.config["labelling"] |= {"ecutwfc_ry": 12, "kmesh": [1, 1, 1], "kshift": [0, 0, 0]}
        self.config["labelling"]["command"] = str(counting_pw(folder, self.starts_file, seconds=0.5))
        self.config["validation"]["eos_points"] = POINTS

    def write(self, **labelling):
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump({**self.config, "labelling": self.config["labelling"] | labelling}))
        return path

    def run(self, *options, **labelling):
        done = snakemake(self.folder, self.write(**labelling), TARGET, options=options)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def starts(self):
        """How often pw.x was started on each cell."""
        lines = self.starts_file.read_text().split()
        return Counter(line.split("/labeled/eos/")[1].split("/")[0] for line in lines if "/labeled/eos/" in line)

    def finished(self):
        return {path.stem: path.stat().st_mtime_ns for path in self.batch.glob("*.json")}

    def planned(self, **labelling):
        """Rules and numbers of jobs of a dry run."""
        rows = [line.split() for line in self.run("--dry-run", **labelling).splitlines()]
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """A run that was killed in the middle of its labels and then finished."""
    made = Labels(tmp_path_factory.mktemp("labels"))
    killed_when(made.folder, made.write(), lambda: len(made.finished()) >= 3, target=TARGET)
    made.before, made.starts_before = made.finished(), made.starts()
    made.output = made.run()
    return made


def test_after_a_kill_only_unfinished_labels_are_made(labels):
    assert 3 <= len(labels.before) < POINTS
    after = labels.starts()
    for name, when in labels.before.items():
        assert after[name] == labels.starts_before[name], f"{name} was run again"
        assert labels.finished()[name] == when
    assert len(labels.finished()) == POINTS
    assert all(after[f"v{k}"] >= 1 for k in range(POINTS))
    lines = [json.loads(line) for line in (labels.batch.parent / "ledger.jsonl").read_text().splitlines()]
    final = [line["frame"] for line in lines if line["batch"] == "eos" and line["final"]]
    assert sorted(final) == sorted(labels.finished())


def test_the_same_again_does_nothing(labels):
    assert "Nothing to be done" in labels.run()


@pytest.mark.parametrize("change", ["record", "records", "seconds_per_job", "forcerun"])
def test_no_finished_label_is_made_again_when(labels, change):
    before = labels.starts(), labels.finished()
    options, more = (), {}
    if change == "record":
        (labels.batch / "jobs" / "0.json").unlink()
        options = ("--forcerun", "collect_eos")
    elif change == "records":
        shutil.rmtree(labels.batch / "jobs")
        shutil.rmtree(labels.folder / ".snakemake")
        options = ("--forcerun", "collect_eos")
    elif change == "seconds_per_job":
        more = {"seconds_per_job": 1}
        options = ("--forcerun", "collect_eos")
    else:
        options = ("--forcerun", "label")
    done = labels.run(*options, **more)
    assert "Labelling eos" in done
    assert (labels.starts(), labels.finished()) == before
    labels.run()
    assert (labels.starts(), labels.finished()) == before


def test_a_label_that_is_deleted_is_made_again_and_no_other(labels):
    before = labels.starts()
    (labels.batch / "v4.json").unlink()
    assert labels.planned()["label"] == 1
    labels.run()
    assert labels.starts() - before == Counter({"v4": 1})
    assert "Nothing to be done" in labels.run()


def test_other_physics_makes_all_labels_anew_and_how_pw_is_run_none(labels):
    assert "Nothing to be done" in labels.run(electron_maxstep=70, max_seconds=3000, ranks_max=2)
    planned = labels.planned(ecutwfc_ry=13)
    assert planned["label"] == 4 + 1  # the cells in as many jobs as there are at least, and the isolated atom


def test_other_limits_judge_labels_again_without_running_any(labels):
    before = labels.starts()
    planned = labels.planned(maximum_force_ev_per_angstrom=40)
    assert planned["collect_eos"] == 1
    labels.run(maximum_force_ev_per_angstrom=40)
    assert labels.starts() == before
    assert "Nothing to be done" in labels.run(maximum_force_ev_per_angstrom=40)
    labels.run()
    assert labels.starts() == before


def test_a_paused_run_says_why_once_more_at_its_end(tmp_path):
    pw = counting_pw(tmp_path, tmp_path / "starts")
    pw.write_text(f'#!/bin/sh\ncase $PWD in */labeled/*) kill -9 $$;; esac\nexec {shutil.which("pw.x")} "$@"\n')
    config = yaml.safe_load(QUICKSTART.read_text())
    config["labelling"] |= {"command": str(pw), "infrastructure_failures_max": 1}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    done = snakemake(tmp_path, path, "results/quickstart/labeled/atoms/jobs/0.json")
    assert done.returncode == 1
    why = "Labelling is paused: 1 labels in a row failed for reasons of the machine (atoms/Si)"
    assert done.stdout.strip().splitlines()[-1].startswith(why)
    assert done.stdout.count(why) == 2  # in the log of the job where it happened, and at the end
    assert "was stopped in this run; why stands in results/quickstart/labeled/stopped.json" in done.stdout


def test_a_job_is_asked_for_by_its_record(labels):
    record = labels.batch / "jobs" / "0.json"
    assert {row["outcome"] for row in json.loads(record.read_text())["frames"]} == {"ok"}
    record.unlink()
    done = snakemake(labels.folder, labels.write(), str(record.relative_to(labels.folder)))
    assert done.returncode == 0, done.stdout
    assert record.exists()
