"""What became of which frame of a run, read from the files that the stages left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from mlip_autopipec.artifacts import read_json
from mlip_autopipec.errors import InputFileError
from mlip_autopipec.frames import ISOLATED_ATOM, read_frames

UNCERTAIN_MAX = 300  # of a generation get a place on the map; their descriptors may cost an evaluation each

_GENERATION = re.compile(r"gen(\d+)")


@dataclass(frozen=True)
class Roles:
    """What became of which frame, by identity.

    Attributes:
        chosen: candidates of generation 0.
        asked: generation that asked for a label.
        labelled, failed: identities with a label, and with one that was refused.
        uncertain: generation of the potential that was uncertain about it.
        why: why it was taken, in words.
    """

    chosen: set[str]
    asked: dict[str, int]
    labelled: set[str]
    failed: set[str]
    uncertain: dict[str, int]
    why: dict[str, str]

    def what(self, uid: str) -> str:
        """labelled, failed, chosen, uncertain or seen: the first that is true of it."""
        if uid in self.asked:
            return "labelled" if uid in self.labelled else "failed" if uid in self.failed else "chosen"
        return "chosen" if uid in self.chosen else "uncertain" if uid in self.uncertain else "seen"


def read_roles(files: Mapping[str, Any]) -> Roles:
    """Roles of all frames, from the files that `atlas.atlas` names."""
    record = read_json(paths(files["record"])[0])
    why = {str(uid): str(words) for uid, words in record.get("why", {}).items()}
    for path in paths(files.get("selections", [])):
        if _generation(path) > 0:  # generation 0 takes what was chosen, whose reasons stand in its own record
            why |= read_json(path).get("why") or {}
    asked: dict[str, int] = {}
    for path in sorted(paths(files["frames"]), key=_generation):
        for frame in real(read_frames(path)):
            asked.setdefault(str(frame.info["uid"]), _generation(path))
    uncertain: dict[str, int] = {}
    for path in sorted(paths(files.get("simulated", [])), key=_generation):
        for frame in read_frames(path):
            uncertain.setdefault(str(frame.info["uid"]), _generation(path))
    return Roles(
        chosen=_uids(files["candidates"]),
        asked=asked,
        labelled=_uids(files["dataset"]),
        failed=_uids(files["quarantine"]),
        uncertain=uncertain,
        why=why,
    )


def later_frames(files: Mapping[str, Any], pool: set[str]) -> list[tuple[str, Atoms]]:
    """Frames that were found uncertain, and others that a label was asked of and are not in the pool, each once, with
    its source.

    Of more than `UNCERTAIN_MAX` of a generation those that were labelled are kept, and the others evenly.
    """
    asked = {
        str(frame.info["uid"]): (f"frames gen{_generation(path)}", frame)
        for path in paths(files["frames"])
        for frame in real(read_frames(path))
        if str(frame.info["uid"]) not in pool
    }
    found: dict[str, tuple[str, Atoms]] = {}
    by_generation: dict[int, list[str]] = {}
    for path in sorted(paths(files.get("simulated", [])), key=_generation):
        for frame in read_frames(path):
            uid = str(frame.info["uid"])
            if uid not in found and uid not in pool:
                found[uid] = f"gen{_generation(path)} {Path(path).stem}", frame
                by_generation.setdefault(_generation(path), []).append(uid)
    kept: dict[str, tuple[str, Atoms]] = {}
    for uids in by_generation.values():
        rest = [uid for uid in uids if uid not in asked]
        number = min(len(rest), max(0, UNCERTAIN_MAX - (len(uids) - len(rest))))
        even = {rest[int((k + 0.5) * len(rest) / number)] for k in range(number)}
        kept |= {uid: found[uid] for uid in uids if uid in asked or uid in even}
    return list((asked | kept).values())


def real(frames: Iterable[Atoms]) -> list[Atoms]:
    """The frames without isolated atoms."""
    return [frame for frame in frames if frame.info.get("config_type") != ISOLATED_ATOM]


def _uids(entry: Any) -> set[str]:
    return {str(frame.info["uid"]) for path in paths(entry) for frame in real(read_frames(path))}


def _generation(path: str) -> int:
    """The generation in a file's name or, for walkers, in that of its folder.

    Raises:
        InputFileError: there is none.
    """
    for part in (Path(path).name, Path(path).parent.name):
        match = _GENERATION.search(part)
        if match:
            return int(match.group(1))
    raise InputFileError(path, "its name has no generation (gen<number>)", "Name it as the workflow does.")


def paths(entry: Any) -> list[str]:
    """Named inputs of a rule: a plain string for one file, a list-like of strings for several."""
    return [str(entry)] if isinstance(entry, str | Path) else [str(path) for path in entry]
