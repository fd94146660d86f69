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
    """Frames that are always chosen, and DIRECT among all other starting and explored frames.

    Returns:
        The chosen frames and a record of the choice.

    Raises:
        DataError: the pool is empty.
    """
    frames = unique(pool)
    if not frames:
        raise DataError("there is no frame to choose from: every walker stopped before it kept one")
    chosen = [frame for frame in frames if frame.info["config_type"] in settings.always][: settings.candidates]
    others = [frame for frame in frames if frame.info["config_type"] not in settings.always]
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
