"""Which frames belong to one trajectory, and which trajectories are held out together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from ase import Atoms

_WALKED = re.compile(r"(?P<walk>.+) step \d+")


def trajectories(frames: Sequence[Atoms], number: int) -> list[str]:
    """Name of the trajectory that each frame belongs to; frames of one trajectory must not be told apart by a fold.

    A walker's frames (`origin` ends in 'step <n>') are one trajectory; its generation is part of the origin. Every
    cell that a generator built (`parent` or `origin` says so) stands for itself: cells of the perfect crystal at
    different strains are no trajectory, and must not all be held out at once. Frames of unknown descent are cut into
    `number` contiguous blocks for each run of frames of the same composition and `config_type`, since neighbours in
    a file are often neighbours in time.
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
    counts: dict[tuple[str, str], int] = {}
    for kind, run in groupby(foreign, key=lambda k: _kind(frames[k])):
        members = list(run)
        counts[kind] = counts.get(kind, 0) + 1
        length = -(-len(members) // number)
        for place, k in enumerate(members):
            names[k] = f"{kind[1]} {kind[0]}, run {counts[kind]}, block {place // length + 1}"
    return names


def assign(frames: Sequence[Atoms], number: int) -> list[int]:
    """Fold of each frame, 0 to `number` - 1; whole trajectories, folds of about the same number of atoms.

    In the order of the frames, a trajectory that appears for the first time goes to the fold with the fewest atoms so
    far. Frames that are added at the end therefore never move those before them.
    """
    atoms = [0] * number
    known: dict[str, int] = {}
    folds = []
    for name, frame in zip(trajectories(frames, number), frames, strict=True):
        fold = known.setdefault(name, min(range(number), key=atoms.__getitem__))
        atoms[fold] += len(frame)
        folds.append(fold)
    return folds


def _imported(frame: Atoms) -> bool:
    return bool(frame.info.get("imported", False))


def _kind(frame: Atoms) -> tuple[str, str]:
    return frame.get_chemical_formula(), str(frame.info.get("config_type", ""))
