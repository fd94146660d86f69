"""The program pacemaker in its own environment: where its parts are, whether they are the right ones, a run of it.

Nothing of it is imported here: it needs an older numpy and pandas, and its licence is not ours.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.processes import die_with_parent

LOG = "pacemaker.out"
_REMEDY = (
    "Make its environment with 'conda env create --prefix .pacemaker --file envs/pacemaker.yaml' and set "
    "training.pacemaker_command to '.pacemaker/bin/pacemaker', or set training.trainer to 'linear-ace'"
)
_PROBE_SECONDS = 300  # the first start on a network file system is slow
# Versions without importing the packages: TensorFlow alone would take seconds.
_PROBE = """
import importlib.metadata as m, importlib.util as u, json, platform
found = {"python": platform.python_version()}
for module in ("pyace", "tensorpotential", "tensorflow", "tf_keras", "pandas", "numpy", "ase"):
    if u.find_spec(module) is not None:
        found[module] = "unknown"
        for d in m.packages_distributions().get(module, [module]) if hasattr(m, "packages_distributions") else [module]:
            try: found[module] = m.version(d)
            except m.PackageNotFoundError: pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Program:
    """How pacemaker and the Python of its environment are started, and what is installed there."""

    command: list[str]
    python: list[str]
    versions: dict[str, str]


def find_program(command: str) -> Program:
    """Look for pacemaker and everything that it needs for a fit.

    Args:
        command: `training.pacemaker_command`. Python is looked for beside pacemaker; behind a launcher ('conda run
            -n NAME pacemaker') it is started by the same launcher.

    Raises:
        ConfigurationFault: the command does not exist, is another program of this name (PyPI has one), or its
            environment lacks TensorFlow or TensorPotential; with the remedy.
    """
    words = shlex.split(command)
    first = shutil.which(words[0]) if words else None
    if first is None:
        raise ConfigurationFault(f"training.pacemaker_command = '{command}': no such program", _REMEDY)
    words[0] = os.path.abspath(first)
    last = Path(words[-1])
    python = [*words[:-1], str(last.with_name("python")) if os.sep in words[-1] else "python"]
    said = _ask([*words, "--version"], command)
    version = re.search(r"pacemaker/pyace version:\s*(\S+)", said)
    if version is None:
        raise ConfigurationFault(
            f"training.pacemaker_command = '{command}' is not the pacemaker of python-ace: '--version' said "
            f"{_last_line(said)!r} (the 'pacemaker' of PyPI is another program)",
            _REMEDY,
        )
    try:
        versions = json.loads(_ask([*python, "-c", _PROBE], command).strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise ConfigurationFault(
            f"the Python beside training.pacemaker_command = '{command}' ({' '.join(python)}) does not run", _REMEDY
        ) from None
    missing = [name for name in ("tensorflow", "tensorpotential", "pandas", "ase") if name not in versions]
    if missing:
        raise ConfigurationFault(f"the environment of '{command}' lacks {', '.join(missing)}", _REMEDY)
    return Program(words, python, {"pacemaker": version.group(1)} | versions)


def run(words: list[str], folder: Path, max_seconds: float) -> str:
    """Run a command in `folder`, its output in `pacemaker.out` there.

    Returns:
        '' when it ended well, otherwise how it ended, in words.
    """
    with open(folder / LOG, "a", encoding="utf-8") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            code = process.wait(timeout=max_seconds)
        except subprocess.TimeoutExpired:
            return f"was stopped after {max_seconds:.0f} s (training.pacemaker_max_seconds)"
        finally:
            if process.poll() is None:  # timeout, or we are being interrupted
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}" if code else ""


def last_words(folder: Path) -> str:
    """The last line of the program's output, for an error message."""
    path = folder / LOG
    return _last_line(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _ask(words: list[str], command: str) -> str:
    try:
        done = subprocess.run(
            words, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_PROBE_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationFault(
            f"training.pacemaker_command = '{command}' does not start ({error})", _REMEDY
        ) from None
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def _environment() -> dict[str, str]:
    """Ours without what would lead another Python to our packages; TensorFlow's new Keras cannot run pacemaker."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")}
    threads = os.environ.get("OMP_NUM_THREADS")
    kept |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2", "MPLBACKEND": "Agg"}
    return kept | ({"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": "1"} if threads else {})
