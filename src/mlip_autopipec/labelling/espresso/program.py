"""The pw.x that a run will use: where it is, whether it starts here, and its version."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso.process import command_words, launch_words, run_process

OLDEST = (6, 0)  # the text and XML that the reader knows begin with it
SECONDS_MAX = 60.0  # pw.x on an empty input takes 0.4 s; a launcher that waits for nodes takes as long as it likes
# Launchers that ask a batch system for nodes: started on a login node they would wait in its queue.
BATCH_LAUNCHERS = frozenset({"srun", "aprun", "jsrun", "ibrun", "ccc_mprun", "prun", "poe"})
_VERSION = re.compile(r"Program PWSCF\s+v\.?\s*(\d+)\.(\d+)(\S*)")
_LIBRARY = re.compile(r"error while loading shared libraries: (\S+?):")
INSTALL = (
    "Install Quantum ESPRESSO (Debian: quantum-espresso, conda-forge: qe; on a cluster: `module load` its module in "
    "the shell that runs snakemake), or give the path of pw.x in labelling.command"
)


@dataclass(frozen=True)
class Program:
    """A pw.x that was found.

    Attributes:
        command: `labelling.command`.
        path: the program's file, None where the command names none that is on this machine (a container, a script).
        version: "6.7MaX", "7.3.1"; None where it could not be tried here.
        parallel: whether it was built with MPI; None where that is not known.
        untried: why it could not be tried here, "" where it was.
    """

    command: str
    path: str | None
    version: str | None
    parallel: bool | None = None
    untried: str = ""

    @property
    def words(self) -> str:
        """The same in one line, for a person."""
        where = self.path or self.command
        if self.version is None:
            return f"pw.x of unknown version ({where}): {self.untried}"
        return f"pw.x {self.version} ({where}{'' if self.parallel else ', built without MPI'})"

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


def find_program(command: str) -> Program:
    """Look for pw.x and start it once with an empty input, from which it says its version and stops.

    It is not started through a launcher that would wait for a batch system's nodes, and a pw.x that says nothing in a
    minute, or was built for other processors than this machine's, is not refused: the machine that submits jobs need
    not be able to run them.

    Args:
        command: `labelling.command`; its first word and its pw.x must be on the PATH.

    Raises:
        ConfigurationFault: it is not there, is not executable, lacks a library, is too old, or is another program.
    """
    words = _words(command)
    path = next((shutil.which(w) for w in words if Path(w).name.endswith("pw.x")), None)
    if Path(words[0]).name in BATCH_LAUNCHERS and "SLURM_JOB_ID" not in os.environ:
        return Program(command, path, None, untried=f"not started here, as {words[0]} asks the batch system for nodes")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty.in").write_text("", encoding="utf-8")
        try:
            ended = run_process([*words, "-in", "empty.in"], folder, SECONDS_MAX)
        except OSError as error:
            raise ConfigurationFault(
                f"'{words[0]}' (labelling.command) cannot be started ({error.strerror or error})", INSTALL
            ) from None
        out, err = ((folder / f"pw.{end}").read_text(encoding="utf-8", errors="replace") for end in ("out", "err"))
    if ended.timed_out and _VERSION.search(out) is None:
        return Program(command, path, None, untried=f"it said nothing here in {SECONDS_MAX:g} s")
    return _judged(command, path, ended.exit_code, out, err)


def check_launcher(program: Program, launcher: str) -> None:
    """Start two MPI ranks with an empty input, as labels of several ranks will be.

    Args:
        program: what `find_program` gave for the plain command.
        launcher: `labelling.launcher`.

    Raises:
        ConfigurationFault: the ranks do not start together.
    """
    alone = "Set labelling.ranks_max: 1, or"
    if program.parallel is False:
        raise ConfigurationFault(
            f"{program.words} cannot use several ranks (labelling.ranks_max)", f"{alone} use one that is built with it"
        )
    words = " ".join(launch_words(command_words(program.command), launcher, 2, 1))
    try:
        find_program(words.removesuffix(" -nk 1 -in pw.in"))
    except ConfigurationFault as fault:
        raise ConfigurationFault(
            f"labels of several MPI ranks (labelling.ranks_max) cannot be started with labelling.launcher = "
            f"'{launcher}': {fault.problem}",
            f"{alone} name the way MPI programs are started here in labelling.launcher, such as 'srun -n {{ranks}}'",
        ) from None


def _judged(command: str, path: str | None, exit_code: int, out: str, err: str) -> Program:
    said = _VERSION.search(out)
    if said is None:
        if library := _LIBRARY.search(err):
            raise ConfigurationFault(
                f"'{command}' (labelling.command) cannot start: the library {library[1]} is not found",
                "Load the modules that pw.x was built with in the shell that runs snakemake, or set LD_LIBRARY_PATH",
            )
        if exit_code in (-signal.SIGILL, 128 + signal.SIGILL) or "llegal instruction" in err:
            return Program(command, path, None, untried="it was built for other processors than this machine's")
        told = [line.strip() for line in (out + err).splitlines() if re.search(r"[A-Za-z]{3}", line)] or ["nothing"]
        raise ConfigurationFault(
            f"'{command}' (labelling.command) does not start pw.x: it ended with code {exit_code} and said "
            f"'{told[-1][:200]}'",
            f"Try it by hand: `{command} -in /dev/null` must print 'Program PWSCF'. {INSTALL}",
        )
    version = f"{said[1]}.{said[2]}{said[3]}"
    if (int(said[1]), int(said[2])) < OLDEST:
        raise ConfigurationFault(
            f"pw.x {version} ({path or command}) is older than {'.'.join(map(str, OLDEST))}, the oldest whose output "
            "is read here",
            INSTALL,
        )
    if (copies := len(_VERSION.findall(out))) > 1:
        raise ConfigurationFault(
            f"'{command}' (labelling.command) starts {copies} copies of pw.x that know nothing of each other",
            "Use the MPI launcher that this pw.x was built with, or plain pw.x",
        )
    return Program(command, path, version, "Serial version" not in out)


def _words(command: str) -> list[str]:
    """The words of a command whose programs are there.

    Raises:
        ConfigurationFault: the command is empty, or its first word or its pw.x is missing or not executable.
    """
    try:
        programs = shlex.split(command)
    except ValueError as error:
        raise ConfigurationFault(f"labelling.command = {command!r} cannot be read ({error})", INSTALL) from None
    for word in programs:
        if "/" in word and Path(word).name.endswith("pw.x") and Path(word).is_file() and not os.access(word, os.X_OK):
            raise ConfigurationFault(f"'{word}' (labelling.command) is not executable", f"chmod +x {word}")
    return command_words(command)
