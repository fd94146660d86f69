"""Which frames belong to one trajectory, and which trajectories are held out together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ase import Atoms

_WALKED = re.compile(r"(?P<walk>.+) step \d+")
_READ = re.compile(r"(?P<file>.+) frame \d+")
SHORTEST = 5
"""Frames of unknown descent that follow one another and are held out together, at least, where there are so many."""


def trajectories(frames: Sequence[Atoms], number: int, shortest: int = SHORTEST) -> list[str]:
    """Name of the trajectory that each frame belongs to; frames of one trajectory must not be told apart by a fold.

    A walker's frames (`origin` ends in 'step <n>') are one trajectory; its generation is part of the origin. Every
    cell that a generator built (`parent` or `origin` says so) stands for itself: cells of the perfect crystal at
    different strains are no trajectory, and must not all be held out at once. Frames of unknown descent are grouped by
    file, composition and `config_type`, wherever they stand in the file; each group is cut into at most `number` blocks
    of `shortest` frames or more, since neighbours in a file are often neighbours in time.
    """
    names: list[str] = [""] * len(frames)
    foreign = []
    for k, frame in enumerate(frames):
        origin = str(frame.info.get("origin", ""))
        walked = _WALKED.fullmatch(origin)
        if walked:
            names[k] = walked["walk"]
        elif origin and not _imported(frame):
            names[k] = f"{origin} of {frame.info.get('uid', k)}"
        else:
            foreign.append(k)
    groups: dict[str, list[int]] = {}
    for k in foreign:
        groups.setdefault(_group(frames[k]), []).append(k)
    for group, members in groups.items():
        length = max(-(-len(members) // number), shortest)
        for place, k in enumerate(members):
            names[k] = f"{group}, block {place // length + 1}"
    return names


def assign(frames: Sequence[Atoms], number: int) -> list[int]:
    """Fold of each frame, 0 to `number` - 1; whole trajectories, every `config_type` spread over all folds.

    In the order of the frames, a trajectory that appears for the first time goes to the fold with the fewest atoms of
    its type so far, and among those to the one with the fewest of all: a fold of one easy type would judge by that
    alone. Frames that are added at the end never move those before them.
    """
    atoms, of_type = [0] * number, Counter[tuple[str, int]]()
    known: dict[str, int] = {}
    folds = []
    for name, frame in zip(trajectories(frames, number), frames, strict=True):
        kind = str(frame.info.get("config_type", ""))
        if name not in known:
            known[name] = min(range(number), key=lambda fold: (of_type[kind, fold], atoms[fold]))
        fold = known[name]
        atoms[fold] += len(frame)
        of_type[kind, fold] += len(frame)
        folds.append(fold)
    return folds


def _imported(frame: Atoms) -> bool:
    return bool(frame.info.get("imported", False))


def _group(frame: Atoms) -> str:
    read = _READ.fullmatch(str(frame.info.get("origin", "")))
    file = read["file"] if read else ""
    return f"{frame.info.get('config_type', '')} {frame.get_chemical_formula()} {file}"
