"""Attempts of an earlier run of the same frame: what ended is read again, not run again; what did not is removed."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlip_autopipec.artifacts import write_json
from mlip_autopipec.labelling.espresso.process import Ended

RECORD = "ended.json"
SAVED = Path("tmp") / "pwscf.save"
STOP = Path("tmp") / "pwscf.EXIT"  # pw.x ends after the iteration in which it sees this file
XML = "data-file-schema.xml"
_DENSITY = "charge-density.*"


def key_of(text: str, words: list[str]) -> str:
    """What makes two attempts the same: the input but for its time limit, and how pw.x is started."""
    lines = [line for line in text.splitlines() if "max_seconds" not in line]
    return hashlib.sha256("\n".join([*lines, *words]).encode()).hexdigest()


@dataclass(frozen=True)
class Record:
    """An attempt that ended.

    Attributes:
        saved: it left a density that a further attempt may start from.
        reused: it was made by an earlier call and read again.
    """

    key: str
    ended: Ended
    saved: bool
    reused: bool = False


def write_record(folder: Path, record: Record) -> None:
    """Note beside an attempt that it ended, and how; on a full disk it is made again instead."""
    with suppress(OSError):
        write_json(folder / RECORD, {"key": record.key, "saved": record.saved, "ended": record.ended._asdict()})


def read_record(folder: Path) -> Record | None:
    """The note beside an attempt, marked as reused; None where it did not end or the note is damaged."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return Record(str(found["key"]), Ended(**found["ended"]), bool(found["saved"]), reused=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def has_density(folder: Path) -> bool:
    """Whether pw.x wrote its density there."""
    return any((folder / SAVED).glob(_DENSITY))


def keep_density_alone(folder: Path) -> None:
    """Remove the scratch files of an attempt but for its density, magnetisation and on-site occupations."""
    for path in sorted((folder / "tmp").rglob("*"), reverse=True):
        if path.is_file() and (path.parent != folder / SAVED or path.name.startswith("wfc")):
            path.unlink(missing_ok=True)


def move_density(source: Path, target: Path) -> bool:
    """Hand the density of an attempt to another one; False where there is none."""
    if not has_density(source):
        return False
    (target / "tmp").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target / SAVED, ignore_errors=True)
    (source / SAVED).rename(target / SAVED)
    return True


class Earlier:
    """The attempts that an earlier call left in a frame's folder."""

    def __init__(self, workdir: Path) -> None:
        """Put them aside; those that did not end are removed."""
        self._folders: list[tuple[str, Path]] = []
        numbered = sorted(workdir.glob("attempt_*"), key=lambda path: (len(path.name), path.name))
        put_aside = sorted(workdir.glob("earlier_*"), key=lambda path: (len(path.name), path.name))
        start = len(put_aside)
        for number, folder in enumerate([*put_aside, *numbered]):
            record = read_record(folder)
            if record is None:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            aside = folder
            if folder.name.startswith("attempt_"):
                aside = workdir / f"earlier_{start + number}"
                folder.rename(aside)
            self._folders.append((record.key, aside))

    def take(self, key: str, folder: Path) -> Record | None:
        """Put the first earlier attempt of this kind at `folder`; its note, or None where there is none."""
        for place, (known, aside) in enumerate(self._folders):
            if known == key:
                del self._folders[place]
                aside.rename(folder)
                return read_record(folder)
        return None

    def forget(self) -> None:
        """Remove what nobody took."""
        for _, aside in self._folders:
            shutil.rmtree(aside, ignore_errors=True)
        self._folders.clear()
