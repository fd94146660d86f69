"""Logs, locks, and the words at the start and end of a run."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ase.build import bulk

from mlip_autopipec import console
from mlip_autopipec.errors import MlipError
from mlip_autopipec.frames import new_frame, write_frames
from mlip_autopipec.labelling.cells import read_cells


def test_frame_names_are_read_without_parsing_structures(tmp_path):
    frames = [new_frame(bulk("Si"), origin="has uid=fabc inside name=evil", config_type="a", name="v0")]
    frames.append(new_frame(bulk("Ge"), origin="t", config_type="a"))
    write_frames(tmp_path / "f.extxyz", frames)
    assert [cell.name for cell in read_cells(tmp_path / "f.extxyz")] == ["v0", frames[1].info["uid"]]
    write_frames(tmp_path / "none.extxyz", [])
    assert read_cells(tmp_path / "none.extxyz") == ()


def run(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


def test_a_users_mistake_ends_a_job_with_one_message_and_no_traceback(tmp_path):
    code = "import sys; from mlip_autopipec.console import job; from mlip_autopipec.errors import ConfigError\n"
    code += "with job(sys.argv[1]):\n    print('working'); raise ConfigError('a.b', 3, 'too small', 'Write 4.')"
    done = run(code, tmp_path / "logs" / "x.log")
    log = (tmp_path / "logs" / "x.log").read_text()
    assert done.returncode == 1
    assert log == "working\nError: config key 'a.b' = 3: too small. Write 4.\n"
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_ends_a_job_with_one_message_even_where_the_log_takes_none(tmp_path):
    code = "import errno, sys; from mlip_autopipec.console import job\n"
    code += "with job(sys.argv[1]):\n    raise OSError(errno.ENOSPC, 'No space left on device', '/scratch/x')"
    done = run(code, tmp_path / "x.log")
    says = "Error: the disk is full: No space left on device /scratch/x. Free some space and run again"
    assert done.returncode == 1
    assert (tmp_path / "x.log").read_text().startswith(says)
    assert done.stderr == ""
    for body in ("print('working')", "raise OSError(errno.ENOSPC, 'No space left on device')"):
        done = run(code.split("\n")[0] + f"\nwith job('/dev/full'):\n    {body}")
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("Error: the disk is full: No space left on device")


def test_a_fault_of_the_program_leaves_its_traceback_in_the_log(tmp_path):
    code = "import sys; from mlip_autopipec.console import job\nwith job(sys.argv[1]):\n    1 / 0"
    assert run(code, tmp_path / "x.log").returncode == 1
    assert "ZeroDivisionError" in (tmp_path / "x.log").read_text()


def test_two_runs_cannot_write_one_folder_and_a_killed_run_leaves_no_lock(tmp_path):
    code = "import sys, time; from mlip_autopipec.console import lock_run\n"
    code += "lock_run(sys.argv[1]); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(MlipError, match="another run"):
        console.lock_run(tmp_path / "run")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    console.lock_run(tmp_path / "run")


def test_a_job_dies_with_the_process_that_started_it(tmp_path):
    inner = "import os, time; from mlip_autopipec.console import job\n"
    inner += "with job('x.log'):\n    open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    outer = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {inner!r}]); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", outer], cwd=tmp_path)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.05)
    child = (tmp_path / "pid").read_text()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        try:
            state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the job outlived its parent")


SUMMARY = {
    "potential": {"yaml": "p.yaml"}, "generations": 2, "dft_core_hours": 0.0412, "passed": False,
    "failures": ["a", "b"],
    "labels": {"requested": 52, "accepted": 51, "quarantined": 1}, "converged": True, "reason": "all calm",
    "test": {"frames": 20, "energy_rmse_mev_per_atom": 2.345, "force_rmse_mev_per_angstrom": 61.2},
    "validation": {"bond_scale": None}, "cautions": [],
}  # fmt: skip


def test_the_end_is_five_lines_that_say_what_came_out(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY))
    lines = console.end_text(tmp_path / "summary.json").strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["Potential", "Report", "Labels", "Test errors", "Verdict"]
    assert "51 of 52 accepted, 1 quarantined, 2 generations" in lines[2]
    assert "2.35 meV/atom, 61 meV/A on 20 frames" in lines[3]
    assert "not passed: a; b; converged: all calm" in lines[4]


def test_the_end_says_what_a_passed_verdict_does_not_cover(tmp_path):
    passed = SUMMARY | {"passed": True, "failures": [], "cautions": ["no dispersion", "no +U"]}
    (tmp_path / "summary.json").write_text(json.dumps(passed))
    lines = console.end_text(tmp_path / "summary.json").strip().splitlines()
    assert lines[4].startswith("Verdict:     passed; ")
    assert "limits of the labels that no check sees: 2" in lines[5]
    (tmp_path / "summary.json").write_text(json.dumps(passed | {"validation": {"bond_scale": {"passed": True}}}))
    assert "nothing between molecules was checked" in console.end_text(tmp_path / "summary.json")


def test_the_end_of_an_unfinished_run_or_one_without_test_labels_is_no_crash(tmp_path):
    assert console.end_text(tmp_path / "summary.json") == ""
    none = SUMMARY | {"test": {"frames": 0, "energy_rmse_mev_per_atom": None, "force_rmse_mev_per_angstrom": None}}
    (tmp_path / "summary.json").write_text(json.dumps(none))
    assert "no test frame" in console.end_text(tmp_path / "summary.json")
