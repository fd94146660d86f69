"""Running the project's workflow in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
QUICKSTART = PROJECT / "config" / "examples" / "quickstart.yaml"
PSEUDO = "Si.pz-vbc.UPF"

needs_pw = pytest.mark.skipif(
    shutil.which("pw.x") is None or not Path("/usr/share/espresso/pseudo", PSEUDO).is_file(),
    reason="pw.x or Debian's pseudopotentials are not installed (Debian: quantum-espresso, quantum-espresso-data)",
)


def command(folder: Path, config: Path | None, *targets: str, profile: str = "default", options: tuple[str, ...] = ()):
    """The words of a run: targets first, because --configfile takes all words that follow it."""
    words = [sys.executable, "-m", "snakemake", *targets, "--snakefile", str(PROJECT / "workflow" / "Snakefile")]
    words += ["--directory", str(folder), "--profile", str(PROJECT / "profiles" / profile), *options]
    return words + (["--configfile", str(config)] if config else [])


def snakemake(
    folder: Path, config: Path | None, *targets: str, timeout: float = 900, env: dict[str, str] | None = None, **more
) -> subprocess.CompletedProcess[str]:
    """Run to the end; stdout and stderr together in `stdout`."""
    return subprocess.run(
        command(folder, config, *targets, **more),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        env=env,
    )


def counting_pw(folder: Path, starts: Path, seconds: float = 0.0) -> Path:
    """A pw.x that writes down where it is started, waits, and is the real one."""
    path = folder / "bin" / "pw.x"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\necho "$PWD" >> {starts}\nsleep {seconds}\nexec {shutil.which("pw.x")} "$@"\n')
    path.chmod(0o755)
    return path


def killed_when(
    folder: Path, config: Path, ready: Callable[[], bool], timeout: float = 600, target: str | None = None
) -> None:
    """Start a run and end all its processes with SIGKILL as soon as `ready`."""
    with open(folder / "killed.log", "w") as log:
        words = command(folder, config, *([target] if target else []))
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + timeout
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError("the run ended before it could be killed:\n" + (folder / "killed.log").read_text())
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
