"""Starting one pw.x, watching it while it runs, and ending it with everything it started."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.processes import die_with_parent

LOOK_SECONDS = (0.02, 1.0)  # between two looks at the process: at its start, and later
PATIENCE_SECONDS = 10.0  # between SIGTERM and SIGKILL
STOP_SECONDS = 60.0  # a program that is asked to stop by a file gets this long for its iteration and its files
POOL_EFFICIENCY = 0.8  # exponent of the speed-up inside a pool; pools themselves scale almost linearly
_BATCH = ("SLURM_", "PMI_", "PMI2_", "PMIX_")


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        exit_code: negative for a signal.
        timed_out: the hard time limit ended it.
        wall_seconds: how long it ran.
        memory_mb: most memory that it and its children held at one time, MB; None where /proc does not tell.
        stopped: why the watcher ended it, or None.
        memory_kill: the kernel ended a process for lack of memory on this machine while it ran.
    """

    exit_code: int
    timed_out: bool
    wall_seconds: float
    memory_mb: float | None = None
    stopped: str | None = None
    memory_kill: bool = False


def command_words(command: str) -> list[str]:
    """The words of a command whose programs are on the PATH.

    Raises:
        ConfigurationFault: the command is empty, or its first word or its pw.x is not found.
    """
    words = shlex.split(command)
    programs = words[:1] + [w for w in words[1:] if Path(w).name.endswith("pw.x")]
    missing = next((w for w in programs if shutil.which(w) is None), None)
    if not words or missing is not None:
        raise ConfigurationFault(
            f"'{missing or command}' (labelling.command) is not found on the PATH",
            "Install Quantum ESPRESSO (Debian: quantum-espresso, conda-forge: qe), or give the path of pw.x",
        )
    return words


def launch_words(command: list[str], launcher: str, ranks: int, kpoints: int) -> list[str]:
    """The words that start pw.x on `ranks` MPI ranks; with one rank the command itself.

    Args:
        launcher: words before the command, with `{ranks}` where their number goes.
        kpoints: k-points that pw.x computes, for the number of pools (-nk).

    Raises:
        ConfigurationFault: the launcher is not found, or cannot be filled in.
    """
    if ranks <= 1:
        return [*command, "-in", "pw.in"]
    try:
        words = shlex.split(launcher.format(ranks=ranks))
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigurationFault(
            f"labelling.launcher = '{launcher}' cannot be filled in ({error})",
            "Write {ranks} where the number of MPI ranks goes, and no other braces",
        ) from None
    if not words or shutil.which(words[0]) is None:
        raise ConfigurationFault(
            f"'{(words or [launcher])[0]}' (labelling.launcher) is not found on the PATH",
            "Name the way MPI programs are started here ('srun -n {ranks}'), or set labelling.ranks_max: 1",
        )
    return [*words, *command, "-nk", str(pools(ranks, kpoints)), "-in", "pw.in"]


def pools(ranks: int, kpoints: int) -> int:
    """Number of k-point pools that `ranks` are best divided into: a divisor of them, with no pool empty.

    A pool works through ceil(kpoints / pools) points one after another with ranks / pools ranks on each.
    """

    def cost(count: int) -> float:
        return float(math.ceil(kpoints / count) / (ranks / count) ** POOL_EFFICIENCY)

    fitting = [n for n in range(1, ranks + 1) if ranks % n == 0 and n <= max(kpoints, 1)]
    return min(fitting, key=lambda n: (cost(n), -n))


def run_process(
    words: list[str],
    folder: Path,
    limit_seconds: float,
    watch: Callable[[], str | None] | None = None,
    stop_file: Path | None = None,
) -> Ended:
    """Run a program in `folder`, its streams in pw.out and pw.err, on one thread per rank, for a limited time.

    The program has a session of its own, which is ended as a whole at the limit, when `watch` says so, or when this
    process is interrupted; where the system allows it (Linux), the program also dies with this process.

    Args:
        watch: asked every second; words end the program and are returned as `stopped`.
        stop_file: written when `watch` says so: the program ends by itself at the sight of it (pw.x: prefix.EXIT in
            its outdir), and only after `STOP_SECONDS` otherwise.
    """
    start = time.monotonic()
    kills = _kernel_memory_kills()
    memory = 0.0
    timed_out, stopped = False, None
    with open(folder / "pw.out", "wb") as out, open(folder / "pw.err", "wb") as err:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment(words),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            pause = LOOK_SECONDS[0]
            while True:
                left = start + limit_seconds - time.monotonic()
                try:
                    process.wait(timeout=max(0.0, min(pause, left)))
                    break
                except subprocess.TimeoutExpired:
                    pass
                memory = max(memory, _family_memory_mb(process.pid))
                if left <= 0:
                    timed_out = stopped is None
                    break
                if watch is not None and stopped is None and (stopped := watch()) is not None:
                    limit_seconds = min(limit_seconds, time.monotonic() - start + STOP_SECONDS)
                    if not _write_empty(stop_file):
                        break
                pause = min(1.5 * pause, LOOK_SECONDS[1])
        finally:
            _end_session(process)
    killed = kills is not None and (_kernel_memory_kills() or 0) > kills
    seconds = time.monotonic() - start
    return Ended(process.returncode, timed_out, seconds, round(memory, 1) or None, stopped, killed)


def environment(words: list[str]) -> dict[str, str]:
    """The environment of a run: one thread per rank, and no batch system for a pw.x that is started plainly.

    Inside a Slurm job step an MPI library takes a plainly started program for one of srun's ranks and gives up where
    it was built without Slurm's PMI (Debian's Open MPI). A launcher in front of pw.x needs those variables.
    """
    inherited = dict(os.environ)
    if Path(words[0]).name.endswith("pw.x"):
        inherited = {k: v for k, v in inherited.items() if not k.startswith(_BATCH)}
    return {**inherited, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _write_empty(path: Path | None) -> bool:
    try:
        if path is not None:
            path.touch()
    except OSError:
        return False
    return path is not None


def _session(number: int) -> Iterator[int]:
    """Ids of the living processes of a session (Linux; none elsewhere). MPI ranks have groups of their own in it."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rsplit(")", 1)[1].split()[:4]
        except (OSError, ValueError):
            continue
        if int(session) == number and state not in "ZX":
            yield int(path.parent.name)


def _family(pid: int) -> Iterator[int]:
    """A process and all that it started (Linux with CONFIG_PROC_CHILDREN; elsewhere the process alone)."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


def _family_memory_mb(pid: int) -> float:
    """Sum over a process and its children of the most memory each has held (VmHWM), MB."""
    total_kb = 0
    for member in _family(pid):
        try:
            status = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue
        total_kb += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return total_kb / 1024


def _kernel_memory_kills() -> int | None:
    """How many processes the kernel has ended for lack of memory since the machine started (Linux)."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """End a program and whatever it left behind in its session, and wait until that is gone from the folder."""
    for number, patience in ((signal.SIGTERM, PATIENCE_SECONDS), (signal.SIGKILL, None)):
        if process.poll() is not None:
            break
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := list(_session(process.pid))) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_SECONDS[0])  # a killed process is there until the kernel has run it once more
