"""Labels that were interrupted: attempts that ended are not made again, and a run goes on where its time was over."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from espresso_frames import ALUMINIUM, SILICON, aluminium_slab, fake_pw, fake_section, needs_pw, silicon

from mlip_autopipec.labelling.espresso import ladder
from mlip_autopipec.labelling.espresso.earlier import RECORD, Earlier, Record, key_of, write_record
from mlip_autopipec.labelling.espresso.magnetic import State
from mlip_autopipec.labelling.espresso.process import Ended
from mlip_autopipec.labelling.espresso.run import EspressoLabeller
from mlip_autopipec.labelling.labeller import Label

# Energy and forces of one frame reached by two ways, at 1e-9 Ry per atom.
ENERGY_EV_PER_ATOM, FORCE_EV_PER_ANGSTROM = 1e-5, 1e-3


def same_label(one: Label, other: Label) -> None:
    assert one.energy_ev is not None
    assert one.energy_ev == pytest.approx(other.energy_ev, abs=ENERGY_EV_PER_ATOM * one.natoms)
    assert one.forces is not None
    for force, expected in zip(one.forces, other.forces or [], strict=True):
        assert force == pytest.approx(expected, abs=FORCE_EV_PER_ANGSTROM)


def test_the_key_of_an_attempt_is_its_input_without_the_time(tmp_path: Path) -> None:
    one, other = "a = 1\n  max_seconds = 10\n", "a = 1\n  max_seconds = 99\n"
    assert key_of(one, ["pw.x"]) == key_of(other, ["pw.x"])
    assert key_of(one, ["pw.x"]) != key_of("a = 2\n  max_seconds = 10\n", ["pw.x"])
    assert key_of(one, ["pw.x"]) != key_of(one, ["mpirun", "pw.x"])


def test_attempts_without_a_whole_record_are_removed(tmp_path: Path) -> None:
    for number, record in enumerate(("", "{", '{"key": "k", "saved": false, "ended": {"unknown": 1}}'), start=1):
        (tmp_path / f"attempt_{number}").mkdir()
        (tmp_path / f"attempt_{number}" / RECORD).write_text(record)
    (tmp_path / "attempt_4" / "tmp").mkdir(parents=True)
    (tmp_path / "attempt_10").mkdir()
    write_record(tmp_path / "attempt_10", Record("k", Ended(0, False, 1.0), saved=False))
    earlier = Earlier(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["earlier_4"]
    assert earlier.take("other", tmp_path / "attempt_1") is None
    record = earlier.take("k", tmp_path / "attempt_1")
    assert record == Record("k", Ended(0, False, 1.0), saved=False, reused=True)
    assert earlier.take("k", tmp_path / "attempt_2") is None
    earlier.forget()
    assert [path.name for path in tmp_path.iterdir()] == ["attempt_1"]


def test_what_was_put_aside_by_a_call_that_was_killed_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "attempt_1").mkdir()
    write_record(tmp_path / "attempt_1", Record("k", Ended(0, False, 1.0), saved=False))
    Earlier(tmp_path)
    (tmp_path / "attempt_1").mkdir()
    write_record(tmp_path / "attempt_1", Record("l", Ended(2, False, 1.0), saved=False))
    third = Earlier(tmp_path)
    assert third.take("l", tmp_path / "attempt_1") is not None
    assert third.take("k", tmp_path / "attempt_2") is not None


@needs_pw
def test_finished_attempts_are_read_and_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labeller = EspressoLabeller.from_config(SILICON)
    first = labeller.label(silicon(), tmp_path)
    monkeypatch.setattr(ladder, "run_process", lambda *_: pytest.fail("a finished attempt was run again"))
    again = labeller.label(silicon(), tmp_path)
    assert again.model_copy(update={"last_band_occupation": first.last_band_occupation}) == first, "XML is not kept"
    changed = EspressoLabeller.from_config({**SILICON, "ecutwfc_ry": 18.0, "ecutrho_ry": 72.0})
    with pytest.raises(pytest.fail.Exception, match="run again"):
        changed.label(silicon(), tmp_path)


def test_failures_of_the_machine_are_run_again(tmp_path: Path) -> None:
    section = {**fake_section(tmp_path), "command": fake_pw(tmp_path, "echo run >> ../../count; exit 9")}
    labeller = EspressoLabeller.from_config(section)
    for _ in range(2):
        label = labeller.label(silicon(), tmp_path / "work")
        assert [attempt.folder for attempt in label.attempts] == ["attempt_1", "attempt_2", "attempt_3"]
    assert len((tmp_path / "count").read_text().split()) == 6


@needs_pw
def test_label_goes_on_from_its_density_where_the_time_of_a_job_was_over(tmp_path: Path) -> None:
    section = {**ALUMINIUM, "mixing_beta": 0.3, "electron_maxstep": 80}
    labeller, slab = EspressoLabeller.from_config(section), aluminium_slab()
    slab.rattle(0.05, seed=1)
    whole = labeller.label(slab, tmp_path / "whole")
    assert whole.accepted
    (attempt,) = whole.attempts
    part = labeller.label(slab, tmp_path / "parts", seconds=max(0.6 * attempt.wall_seconds, 3.0))
    assert (part.accepted, part.kind, part.outcome) == (False, "infrastructure", "stopped")
    assert "the job's time limit" in part.reason
    assert "on from the density reached" in part.reason
    assert not list((tmp_path / "parts").rglob("*.wfc*")), "the density is kept, wavefunctions are not"
    label = labeller.label(slab, tmp_path / "parts")
    assert label.accepted, label.reason
    stopped, rest = label.attempts
    assert (stopped.outcome, rest.changed) == ("stopped", {"startingpot": "file"})
    assert rest.scf_iterations < attempt.scf_iterations
    assert not list((tmp_path / "parts").rglob("charge-density*")), "scratch files of a label are removed"
    same_label(label, whole)


@needs_pw
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a child die with its parent")
def test_killed_labeller_leaves_no_process_and_its_frame_is_labelled_by_the_next(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from espresso_frames import SILICON, silicon\n"
        "from mlip_autopipec.labelling.espresso.run import EspressoLabeller\n"
        "EspressoLabeller.from_config(SILICON).label(silicon(), Path(sys.argv[2]))\n"
    )
    words = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / "work")]
    with subprocess.Popen(words, env={**os.environ}) as parent:
        output = tmp_path / "work" / "attempt_1" / "pw.out"
        deadline = time.monotonic() + 60
        while "iteration #  2" not in (output.read_text() if output.exists() else "") and time.monotonic() < deadline:
            time.sleep(0.02)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    time.sleep(0.5)
    running = [path for path in Path("/proc").glob("[0-9]*/cwd") if str(tmp_path) in _target(path)]
    assert running == []
    assert "JOB DONE" not in output.read_text()
    label = EspressoLabeller.from_config(SILICON).label(silicon(), tmp_path / "work")
    assert label.accepted
    assert len(label.attempts) == 1
    assert re.search(r"JOB DONE", output.read_text())
    left = {path.name for path in (tmp_path / "work").rglob("*") if path.is_file()}
    assert left == {"pw.in", "pw.out", "pw.err", RECORD}


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def test_folders_can_be_made_again_after_their_disk_was_cleaned(tmp_path: Path) -> None:
    section = {**fake_section(tmp_path), "command": fake_pw(tmp_path, "exit 9")}
    labeller = EspressoLabeller.from_config(section)
    labeller.label(silicon(), tmp_path / "work")
    shutil.rmtree(tmp_path / "work")
    assert not labeller.label(silicon(), tmp_path / "work").accepted


def test_time_is_left_for_pw_to_end_by_itself(tmp_path: Path) -> None:
    section: dict[str, Any] = {**fake_section(tmp_path), "command": fake_pw(tmp_path, "exit 9"), "max_seconds": 7200}
    EspressoLabeller.from_config(section).label(silicon(), tmp_path / "work", seconds=1000.0)
    said = re.search(r"max_seconds = (\d+)", (tmp_path / "work" / "attempt_1" / "pw.in").read_text())
    assert said is not None
    assert 900 <= int(said[1]) <= 950


@needs_pw
def test_starting_states_that_a_job_had_no_time_for_are_tried_by_the_next(tmp_path: Path) -> None:
    labeller = EspressoLabeller.from_config(SILICON)
    states = [State("one", why="first"), State("two", why="second")]

    def slow(climb: ladder.Climb, state: State) -> ladder.Route:
        route = original(climb, state)
        climb._deadline = time.monotonic()
        return route

    original = ladder.Climb.first
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder.Climb, "first", slow)
        label = labeller.label(silicon(), tmp_path, states=states, seconds=100.0)
    assert (label.accepted, label.kind, label.outcome) == (False, "infrastructure", "stopped")
    assert "state two" in label.reason
    label = labeller.label(silicon(), tmp_path, states=states, seconds=200.0)
    assert label.accepted
    assert [one["name"] for one in label.states] == ["one", "two"]
    assert (tmp_path / "attempt_1" / "pw.out").is_file()
