"""Finding pw.x and its version, with programs of every bad kind, and the real one where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlip_autopipec import console
from mlip_autopipec.artifacts import read_json
from mlip_autopipec.config.full import Labelling
from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso import program
from mlip_autopipec.labelling.espresso.program import check_launcher, find_program

BANNER = "     Program PWSCF v.{version} starts on 21Nov2026 at 16:33:24 \n     {kind} version (MPI)\n"


def fake(folder: Path, does: str, name: str = "pw.x") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    return str(path)


def saying(folder: Path, version: str, kind: str = "Parallel") -> str:
    return fake(folder, f"cat <<'END'\n{BANNER.format(version=version, kind=kind)}END\nexit 1")


@pytest.mark.parametrize("version", ["6.0", "6.4.1", "6.7MaX", "7.0", "7.2", "7.3.1", "7.5", "10.1"])
def test_versions_of_6_and_7_are_found(tmp_path: Path, version: str) -> None:
    found = find_program(saying(tmp_path, version))
    assert (found.version, found.path, found.parallel) == (version, str(tmp_path / "pw.x"), True)
    assert f"pw.x {version} (" in found.words


def test_a_serial_build_is_told(tmp_path: Path) -> None:
    found = find_program(saying(tmp_path, "7.2", "Serial"))
    assert found.parallel is False
    assert "without MPI" in found.words


@pytest.mark.skipif(shutil.which("pw.x") is None, reason="pw.x is not installed")
def test_the_installed_program_is_found() -> None:
    found = find_program("pw.x")
    assert found.path == shutil.which("pw.x")
    assert found.version is not None
    assert found.version[0].isdigit()


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("echo 'Program PWSCF v.5.4.0 starts'", r"pw\.x 5\.4\.0 .* older than 6\.0"),
        ("echo 'pw.x: error while loading shared libraries: libmkl_rt.so.2: cannot open' >&2; exit 127", "libmkl_rt"),
        ("echo 'I am a script'; exit 0", "does not start pw.x: it ended with code 0 and said 'I am a script'"),
        ("exit 3", "ended with code 3 and said 'nothing'"),
        (f"{sys.executable} -c 'print(\"Program PWSCF v.7.2 starts\\n\" * 4)'", "starts 4 copies"),
    ],
    ids=["old", "library", "another", "silent", "copies"],
)
def test_a_program_that_cannot_be_used_is_one_message(tmp_path: Path, does: str, says: str) -> None:
    with pytest.raises(ConfigurationFault, match=says):
        find_program(fake(tmp_path, does))


def test_a_program_that_is_not_there_or_not_executable_is_one_message(tmp_path: Path) -> None:
    for command in ("no-such-pw.x", "", "sh no-such-pw.x", "'pw.x"):
        with pytest.raises(ConfigurationFault, match=r"labelling\.command.*module load|labelling\.command.*pw\.x"):
            find_program(command)
    path = Path(saying(tmp_path, "7.2"))
    path.chmod(0o644)
    with pytest.raises(ConfigurationFault, match="not executable"):
        find_program(str(path))
    path.write_bytes(b"\x7fELF damaged")
    path.chmod(0o755)
    with pytest.raises(ConfigurationFault, match="cannot be started"):
        find_program(str(path))


def test_what_only_a_compute_node_can_start_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    fake(tmp_path, "sleep 60", "srun")
    saying(tmp_path, "7.2")
    waiting = find_program("srun -n 4 pw.x")
    assert (waiting.version, waiting.path) == (None, str(tmp_path / "pw.x"))
    assert "batch system" in waiting.words
    assert "other processors" in find_program(fake(tmp_path, "kill -ILL $$")).words
    monkeypatch.setattr(program, "SECONDS_MAX", 0.5)
    assert "said nothing here" in find_program(fake(tmp_path, "sleep 60")).words


def test_versions_that_mix_in_a_run_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "logs" / "program.json"
    console._check_program(settings(saying(tmp_path, "6.7MaX")), record)
    assert "pw.x 6.7MaX" in capsys.readouterr().out
    console._check_program(settings(saying(tmp_path, "6.7MaX")), record)
    assert "Mind" not in capsys.readouterr().out
    console._check_program(settings(saying(tmp_path, "7.2")), record)
    assert "made with pw.x 6.7MaX before; those to come are of 7.2" in capsys.readouterr().out
    assert read_json(record)["versions"] == ["6.7MaX", "7.2"]


def settings(command: str, **more: object) -> Labelling:
    given = {
        "command": command, "pseudo_dir": [], "pseudopotentials": {}, "ecutwfc_ry": 20, "ecutrho_ry": 80,
        "kspacing_per_angstrom": 0.2, "smearing": "cold", "degauss_ry": 0.01, "nspin": 1, "starting_magnetization": {},
        "magnetic_states": [],
    }  # fmt: skip
    return Labelling.model_validate(given | more)


@pytest.mark.parametrize(
    ("launcher", "says"),
    [
        ("no-such-mpirun -np {ranks}", r"no-such-mpirun.*not found"),
        ("{tmp}/twice {ranks}", "starts 2 copies"),
        ("{tmp}/fails", r"not enough slots.*ranks_max: 1"),
    ],
)
def test_a_launcher_that_cannot_start_ranks_together_stops_a_run_at_its_start(
    tmp_path: Path, launcher: str, says: str
) -> None:
    command = saying(tmp_path, "7.2")
    fake(tmp_path, 'shift; "$@"; "$@"', "twice")
    fake(tmp_path, "echo 'There are not enough slots available'; exit 1", "fails")
    words = launcher.replace("{tmp}", str(tmp_path))
    one, two = (settings(command, launcher=words, ranks_max=ranks) for ranks in (1, 2))
    console._check_program(one, tmp_path / "a.json")
    with pytest.raises(ConfigurationFault, match=says):
        console._check_program(two, tmp_path / "b.json")


def test_a_serial_build_cannot_have_ranks(tmp_path: Path) -> None:
    command = saying(tmp_path, "7.2", "Serial")
    with pytest.raises(ConfigurationFault, match=r"without MPI.*ranks_max"):
        console._check_program(settings(command, ranks_max=2), tmp_path / "a.json")


def has_open_mpi() -> bool:
    if not shutil.which("pw.x") or not shutil.which("mpirun"):
        return False
    return "Open MPI" in subprocess.run(["mpirun", "--version"], capture_output=True, text=True).stdout


@pytest.mark.skipif(not has_open_mpi(), reason="pw.x or Open MPI's mpirun is not installed")
def test_two_real_ranks_start_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT", "1")
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    check_launcher(find_program("pw.x"), "mpirun --oversubscribe --bind-to none -np {ranks}")
