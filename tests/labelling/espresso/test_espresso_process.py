"""Processes: found, started, watched, measured and ended with everything that they started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from espresso_frames import SILICON, needs_pw, silicon

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso import process
from mlip_autopipec.labelling.espresso.process import launch_words, pools, run_process
from mlip_autopipec.labelling.espresso.run import EspressoLabeller

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc and prctl are Linux's")


def script(folder: Path, body: str) -> list[str]:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return [str(path)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(path: Path) -> int:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return int(path.read_text())


@linux
def test_program_dies_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from mlip_autopipec.labelling.espresso.process import run_process\n"
        f"run_process(['sh', '-c', 'echo $$ > pid; exec sleep 60'], Path({str(tmp_path)!r}), 60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        number = wait_for(tmp_path / "pid")
        assert alive(number)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 10
    while alive(number) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(number)


@linux
def test_what_a_program_leaves_behind_is_ended(tmp_path: Path) -> None:
    """As MPI ranks that outlive their launcher: in a process group of their own, in the same session."""
    body = (
        f'{sys.executable} -c \'import os, time; os.setpgid(0, 0); open("child", "w").write(str(os.getpid())); '
        "time.sleep(60)' &\nwhile [ ! -s child ]; do sleep 0.05; done\nexit 3"
    )
    ended = run_process(script(tmp_path, body), tmp_path, 30)
    assert ended.exit_code == 3
    assert not alive(int((tmp_path / "child").read_text()))


@linux
def test_peak_memory_counts_the_children(tmp_path: Path) -> None:
    body = f"{sys.executable} -c 'import time; x = bytearray(150_000_000); time.sleep(1.5)'"
    ended = run_process(script(tmp_path, body), tmp_path, 30)
    assert ended.memory_mb is not None
    assert 150 < ended.memory_mb < 250


def test_watched_program_ends_by_itself_at_the_sight_of_the_stop_file(tmp_path: Path) -> None:
    body = "while [ ! -e stop ]; do sleep 0.05; done\necho ended by itself\nexit 2"
    ended = run_process(script(tmp_path, body), tmp_path, 30, lambda: "no use", tmp_path / "stop")
    assert (ended.stopped, ended.exit_code, ended.timed_out) == ("no use", 2, False)
    assert (tmp_path / "pw.out").read_text() == "ended by itself\n"


def test_watched_program_that_does_not_look_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.3)
    ended = run_process(script(tmp_path, "exec sleep 60"), tmp_path, 30, lambda: "no use", tmp_path / "stop")
    assert (ended.stopped, ended.timed_out) == ("no use", False)
    assert ended.wall_seconds < 10


def test_time_limit_is_told(tmp_path: Path) -> None:
    ended = run_process(script(tmp_path, "exec sleep 60"), tmp_path, 0.5)
    assert ended.timed_out
    assert ended.exit_code < 0


def test_pools_divide_the_ranks_and_are_never_empty() -> None:
    assert [pools(1, 8), pools(4, 1), pools(4, 2), pools(4, 4), pools(8, 36)] == [1, 1, 2, 4, 8]
    assert pools(6, 4) == 2, "six pools would be empty in part, three would leave ranks idle for a quarter of the time"
    for ranks in range(1, 25):
        for points in range(1, 40):
            assert ranks % pools(ranks, points) == 0
            assert pools(ranks, points) <= points


def test_launcher_is_filled_in_or_refused_with_the_mend() -> None:
    assert launch_words(["pw.x"], "sh {ranks}", 1, 8) == ["pw.x", "-in", "pw.in"]
    assert launch_words(["a", "pw.x"], "sh -n {ranks}", 2, 8) == [
        "sh",
        "-n",
        "2",
        "a",
        "pw.x",
        "-nk",
        "2",
        "-in",
        "pw.in",
    ]
    with pytest.raises(ConfigurationFault, match=r"labelling\.launcher.*\{ranks\}"):
        launch_words(["pw.x"], "mpirun -np {rank}", 2, 8)
    with pytest.raises(ConfigurationFault, match=r"'no_such_launcher' \(labelling\.launcher\) is not found"):
        launch_words(["pw.x"], "no_such_launcher {ranks}", 2, 8)


@needs_pw
def test_two_ranks_give_the_label_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("mpirun") is None or (os.cpu_count() or 1) < 2:
        pytest.skip("no mpirun, or a single core")
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT", "1")
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    labeller = EspressoLabeller.from_config({**SILICON, "launcher": "mpirun --bind-to none -np {ranks}"})
    one, two = labeller.label(silicon(), tmp_path / "one"), labeller.label(silicon(), tmp_path / "two", ranks=2)
    assert two.accepted, two.reason
    output = (tmp_path / "two" / "attempt_1" / "pw.out").read_text()
    assert "running on     2 processors" in output
    assert "K-points division:     npool     =       2" in output
    assert two.energy_ev == pytest.approx(one.energy_ev, abs=1e-5)
    assert (two.ranks, two.core_seconds) == (2, pytest.approx(2 * two.wall_seconds, abs=0.01))
