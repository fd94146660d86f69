"""One pw.x run as all its witnesses tell it: text, XML, CRASH, stderr and exit code. `verdict.judge` decides."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from mlip_autopipec.labelling.espresso.fields import PwText
from mlip_autopipec.labelling.espresso.schema import PwXml, disagreements, other_run, read_xml
from mlip_autopipec.labelling.espresso.text import read_text

_ENOUGH_BYTES = 200_000_000  # a text output larger than this is not one
_LAST_WORDS = 4000  # characters at the end of an output where a launcher or a scheduler may have its say
_OUTPUTS = (".out", ".pwo")
_EXIT_CODES = ("rc", "exit_code", "returncode")


@dataclass
class PwResult:
    """Everything known about one run. `text` holds the numbers, the rest are the other witnesses."""

    path: Path
    text: PwText
    empty: bool
    exit_code: int | None = None
    stderr: str = ""
    said: str = ""  # stderr and, of an output that did not end, its last words
    crash: tuple[str, str] | None = None  # routine, message
    xml: PwXml | None = None
    unreadable: str | None = None  # why the file could not be read
    problems: list[str] = field(default_factory=list)  # contradictions between the witnesses

    @property
    def witnessed(self) -> bool:
        """Whether anything but the output itself tells of a run."""
        return bool(self.stderr or self.crash or self.xml or self.exit_code is not None)


def read_pw_output(
    path: str | os.PathLike[str],
    *,
    exit_code: int | None = None,
    stderr: str | os.PathLike[str] | None = None,
    crash: str | os.PathLike[str] | None = None,
    xml: str | os.PathLike[str] | None = None,
) -> PwResult:
    """Read a pw.x output and the files beside it. Damaged or missing files never raise: the result says so.

    An XML file of another structure is left aside with a warning: it is another run's.

    Args:
        path: text output of pw.x (6.x or 7.x).
        exit_code: of the process, where it is known.
        stderr, crash, xml: paths of the error stream, of CRASH and of data-file-schema.xml, where there are any.
    """
    path = Path(path)
    raw, unreadable = _read(path)
    text = read_text(raw)
    told = _read(stderr)[0] if stderr else ""
    result = PwResult(
        path=path,
        text=text,
        empty=not raw.strip(),
        exit_code=exit_code,
        stderr=told,
        said=told if text.done else f"{told}\n{raw[-_LAST_WORDS:]}",
        crash=read_crash(crash) if crash else None,
        xml=read_xml(xml) if xml else None,
        unreadable=unreadable,
    )
    if result.xml is not None and (difference := other_run(text, result.xml)):
        text.warnings.append(f"the XML file beside it is of another run ({difference}) and was not used")
        result.xml = None
    if result.crash and text.done:
        text.warnings.append("a CRASH file lies beside an output that ended: it is of another run")
    if result.xml is not None and text.done and text.energy_ev is not None:
        result.problems += disagreements(text, result.xml)
    return result


def read_beside(path: str | os.PathLike[str]) -> PwResult:
    """Read an output together with what lies beside it: pw.err, CRASH, run.json, data-file-schema.xml.

    In a folder with several outputs only files with the output's own stem are taken, because the others could
    belong to any of them.

    Args:
        path: an output, or a folder with pw.out or with one single output.
    """
    path = output_in(path)
    folder = path.parent
    alone = len([p for p in folder.glob("*") if p.suffix in _OUTPUTS]) <= 1
    patterns = {
        "stderr": [f"{path.stem}.err", f"{path.stem}.stderr"] + ["*.err", "stderr*"] * alone,
        "crash": [f"{path.stem}.CRASH"] + ["CRASH"] * alone,
        "xml": [f"{path.stem}.xml"]
        + ["data-file-schema.xml", "*.save/data-file-schema.xml", "*/*.save/data-file-schema.xml"] * alone,
        "run": [f"{path.stem}.run.json"] + ["run.json"] * alone,
    }
    found = {name: next((p for g in globs for p in sorted(folder.glob(g))), None) for name, globs in patterns.items()}
    return read_pw_output(
        path, exit_code=_exit_code(found["run"]), stderr=found["stderr"], crash=found["crash"], xml=found["xml"]
    )


def output_in(path: str | os.PathLike[str]) -> Path:
    """The output that is meant: the file itself, or in a folder pw.out, else its only output."""
    path = Path(path)
    if not path.is_dir():
        return path
    outputs = sorted(p for p in path.glob("*") if p.suffix in _OUTPUTS and p.is_file())
    return outputs[0] if len(outputs) == 1 else path / "pw.out"


def read_crash(path: str | os.PathLike[str]) -> tuple[str, str] | None:
    """Routine and message of the first entry of a CRASH file, or None."""
    text = _read(path)[0]
    for opening in (r"from\s+(.*?)\s*: error #\s*\S+", r"Error in routine\s+(.*?)\s*\(\s*\S+\s*\)\s*:"):
        if match := re.search(rf"^\s*{opening}\s*\n(.*?)\n\s*%{{10,}}", text, re.M | re.S):
            return match[1].strip(), " ".join(match[2].split())
    return None


def _exit_code(path: Path | None) -> int | None:
    if path is None:
        return None
    try:
        record = json.loads(_read(path)[0])
        return next((int(record[key]) for key in _EXIT_CODES if record.get(key) is not None), None)
    except (ValueError, AttributeError, TypeError):
        return None


def _read(path: str | os.PathLike[str]) -> tuple[str, str | None]:
    """Text of a file, and why there is none."""
    try:
        with open(path, "rb") as handle:
            raw = handle.read(_ENOUGH_BYTES)
    except FileNotFoundError:
        return "", "there is no such file"
    except OSError as error:
        return "", f"it cannot be read ({error.strerror})"
    return raw.decode("utf-8", errors="replace").replace("\r\n", "\n"), None
