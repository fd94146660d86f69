"""Structures from the parents: each generator by itself, then all together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.errors import DataError, MlipError
from mlip_autopipec.frames import closest_contact, has_vacuum, new_frame, unique
from mlip_autopipec.structures import registry
from mlip_autopipec.structures.cells import supercell
from mlip_autopipec.structures.matching import without_duplicates
from mlip_autopipec.structures.own import own_frames
from mlip_autopipec.structures.task import Task

_VOLUME_LIMITS = (0.45, 2.2)  # of the parents' volume per atom, smallest and largest; vacuum is not judged

Record = dict[str, Any]


def generate(name: str, parents: Sequence[Atoms], task: Task) -> tuple[list[Atoms], Record]:
    """The physical structures that one generator makes, as many as `settings.counts` asks at most.

    Returns:
        Frames, and the record: generator, asked, made, kept, unphysical, why (number of unphysical ones by reason),
        duplicates, seconds, failed (the reason when the generator raised; '' otherwise).
    """
    started = time.perf_counter()
    asked = task.settings.counts.get(name, 0)
    record: Record = {"generator": name, "asked": asked, "made": 0, "kept": 0, "unphysical": 0, "why": {}}
    record.update(duplicates=0, failed="")
    made: list[Atoms] = []
    if asked:
        try:
            made = registry.generator(name)(task, list(parents), asked)
        except MlipError as error:
            record["failed"] = str(error)
        except Exception as error:  # a generator that breaks must not take the others with it
            record["failed"] = f"{type(error).__name__}: {error}"
    reasons = [unphysical(frame, parents, task) for frame in made]
    sound = [frame for frame, reason in zip(made, reasons, strict=True) if not reason]
    frames = unique(sound)
    record.update(
        made=len(made),
        kept=len(frames),
        unphysical=len(made) - len(sound),
        why=dict(Counter(reason for reason in reasons if reason)),
        duplicates=len(sound) - len(frames),
        seconds=round(time.perf_counter() - started, 2),
    )
    return frames, record


def unphysical(frame: Atoms, parents: Sequence[Atoms], task: Task) -> str:
    """Why a structure is thrown away: '' when it is not.

    Atoms too close, positions that are not numbers, or a cell without vacuum whose volume per atom is out of reach of
    that of the parents.
    """
    if not (np.isfinite(frame.positions).all() and np.isfinite(frame.cell.array).all()):
        return "positions that are not numbers"
    if abs(frame.get_volume()) < 1e-3:
        return "no volume"
    if closest_contact(frame)[0] < task.settings.minimum_distance_fraction:
        return "atoms too close"
    of_parents = [p.get_volume() / len(p) for p in parents if not has_vacuum(p)]
    if of_parents and not has_vacuum(frame):
        volume = frame.get_volume() / len(frame)
        if volume < _VOLUME_LIMITS[0] * min(of_parents) or volume > _VOLUME_LIMITS[1] * max(of_parents):
            return "volume out of reach"
    return ""


def merge(
    parents: Sequence[Atoms], parts: Sequence[tuple[list[Atoms], Record]], task: Task
) -> tuple[list[Atoms], Record]:
    """All starting structures, no two the same: the reference first, then the generators', then the user's own.

    The reference is the supercell of the first parent if that is a crystal, or the molecule in its box; with
    `settings.alone` it is left out.

    Returns:
        Frames, and the record: frames, by_type, duplicates (by structure matching, across generators), own, generators
        (their records), volume_change (smallest and largest volume per atom of the reference's own kind against it).

    Raises:
        DataError: nothing is left.
        InputFileError: a file of the user's own cannot be used.
    """
    own = own_frames(task)
    everything = [*_reference(parents, task), *(frame for frames, _ in parts for frame in frames)]
    sound, duplicates = without_duplicates(everything)
    mine, doubled = without_duplicates(own)  # taken as they are, even if a generator made the same
    frames = unique([*sound, *mine])
    if not frames:
        reasons = "; ".join(f"{record['generator']}: {record['failed'] or record['why']}" for _, record in parts)
        raise DataError(f"no starting structure of {task.composition} is left: {reasons or 'no generator ran'}")
    by_type = Counter(str(frame.info["config_type"]) for frame in frames)
    return frames, {
        "frames": len(frames),
        "by_type": dict(by_type),
        "duplicates": duplicates + doubled,
        "own": len(mine),
        "generators": [record for _, record in parts],
        "volume_change": _volume_range(frames),
    }


def _reference(parents: Sequence[Atoms], task: Task) -> list[Atoms]:
    if not parents or task.settings.alone:
        return []
    first = parents[0]
    if first.info["config_type"] == "crystal":
        cell = supercell(first, task.settings)
    else:
        cell = new_frame(first, origin=first.info["origin"], config_type="molecule", like=first)
    return [] if unphysical(cell, parents, task) else [cell]


def _volume_range(frames: Sequence[Atoms]) -> list[float]:
    """Smallest and largest relative change of the volume of strained cells of the reference."""
    if frames[0].info["config_type"] != "crystal":
        return []
    reference = frames[0].get_volume() / len(frames[0])
    changes = [
        frame.get_volume() / len(frame) / reference - 1
        for frame in frames
        if frame.info["parent"] == frames[0].info["uid"] and frame.info["config_type"] in ("volume", "rattle")
    ]
    return [float(min(changes)), float(max(changes))] if changes else []
