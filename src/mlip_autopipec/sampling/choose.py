"""What gets a label: candidates of generation 0, uncertain frames of the later ones."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.config.full import Sampling
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ISOLATED_ATOM, unique
from mlip_autopipec.sampling.descriptors import structure_descriptors
from mlip_autopipec.sampling.direct import direct, principal_components
from mlip_autopipec.sampling.farthest import farthest_points


def choose_candidates(pool: list[Atoms], settings: Sampling) -> tuple[list[Atoms], dict[str, Any]]:
    """Frames of the types that are always chosen, at most half of all, and DIRECT among all other frames.

    Args:
        pool: starting and explored frames; the first one is of the reference's lineage, whose frames go before those
            of other parents.

    Returns:
        The chosen frames and a record of the choice.

    Raises:
        DataError: the pool is empty.
    """
    frames = unique(pool)
    if not frames:
        raise DataError("there is no frame to choose from: every walker stopped before it kept one")
    chosen = _always(frames, settings)
    taken = {id(frame) for frame in chosen}
    others = [frame for frame in frames if id(frame) not in taken]
    always, components = len(chosen), np.zeros((0, 0))
    if others and always < settings.candidates:
        components = principal_components(structure_descriptors(others, settings))
        chosen += [others[k] for k in direct(components, settings.candidates - always)]
    types = Counter(frame.info["config_type"] for frame in chosen)
    record = {
        "method": settings.method,
        "frames": len(frames),
        "duplicates_left_out": len(pool) - len(frames),
        "components": components.shape[1],
        "asked": settings.candidates,
        "always": always,
        "chosen": len(chosen),
        "chosen_by_type": dict(types),
    }
    return chosen, record


def _always(frames: list[Atoms], settings: Sampling) -> list[Atoms]:
    """Frames of the types in `settings.always`, type by type in turn, those of the reference's lineage first.

    Where a type has more frames than places, they are taken evenly from its list, so that a series of volumes keeps
    both its ends.
    """
    parents = {frame.info["uid"]: frame.info.get("parent", "") for frame in frames}

    def root(frame: Atoms) -> str:
        name, seen = str(frame.info["uid"]), set()
        while parents.get(name) and name not in seen:
            seen.add(name)
            name = str(parents[name])
        return name

    reference = root(frames[0])
    room = (
        settings.candidates // 2 if any(f.info["config_type"] not in settings.always for f in frames) else len(frames)
    )
    chosen: list[Atoms] = []
    for of_reference in (True, False):
        queues = [
            [f for f in frames if f.info["config_type"] == kind and (root(f) == reference) == of_reference]
            for kind in settings.always
        ]
        places = _shared([len(queue) for queue in queues], room - len(chosen))
        for queue, number in zip(queues, places, strict=True):
            chosen += [queue[k] for k in np.linspace(0, len(queue) - 1, number).round().astype(int)]
    return chosen


def _shared(lengths: list[int], room: int) -> list[int]:
    """How many of each queue are taken when each gives one in turn until the room is full."""
    taken = [0] * len(lengths)
    while sum(taken) < room and taken != lengths:
        for k, length in enumerate(lengths):
            if taken[k] < length and sum(taken) < room:
                taken[k] += 1
    return taken


def choose_uncertain(
    uncertain: list[Atoms], known: list[Atoms], number: int, budget: int, settings: Sampling
) -> list[Atoms]:
    """Uncertain frames far from one another and from all that is labelled (farthest-point sampling).

    Args:
        uncertain: frames found above the extrapolation threshold.
        known: labelled frames and frames whose label failed; none of them is chosen again.
        number: how many, at most.
        budget: how many labels there may be in all, those of `known` counted.
    """
    seen = [frame for frame in known if frame.info.get("config_type") != ISOLATED_ATOM]
    frames = unique(uncertain, seen=(frame.info["uid"] for frame in seen))
    number = min(number, budget - len(seen))
    if not frames or number < 1:
        return []
    components = principal_components(structure_descriptors(frames + seen, settings))
    return [frames[k] for k in farthest_points(components[: len(frames)], number, components[len(frames) :])]
