"""What gets a label: candidates of generation 0, uncertain frames of the later ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ISOLATED_ATOM, unique
from mlip_autopipec.sampling.descriptors import Describer, vectors_of
from mlip_autopipec.sampling.pool import Kept, Pool, rows_of
from mlip_autopipec.sampling.samplers import Indices, sampler

if TYPE_CHECKING:
    from mlip_autopipec.config.full import Sampling

_ANCESTORS = 1000  # of a frame, at most: a circle of parents would have no oldest one


def choose_candidates(
    pool: Pool, settings: Sampling, seed: int, *, known: Pool | None = None
) -> tuple[Indices, dict[str, Any]]:
    """Frames of the types that are always chosen, at most half of all, and by the sampler among all other frames.

    Args:
        pool: starting and explored frames; the first one is of the reference's lineage, whose frames go before those
            of other parents.
        seed: of the run.
        known: what is in the dataset already: it counts as chosen.

    Returns:
        Indices of the chosen frames (read them by `pool.read`), those that are always chosen first, and a record of the
        choice; its `why` says for each uid why it was chosen.

    Raises:
        DataError: the pool is empty, or `known` was described in another way.
        ConfigError: no sampler has the name in the settings.
    """
    choose = sampler(settings.method)
    if known is not None and len(known) and known.key != pool.key:
        raise DataError(f"the pool is described by {pool.key} and the dataset by {known.key}: they cannot be compared")
    if not len(pool):
        raise DataError("there is no frame to choose from: every walker stopped before it kept one")
    first = _first_of_each(pool, known)
    always = _always(pool, np.flatnonzero(first), settings)
    why = {pool.uid[k].decode(): f"always taken: {pool.config_type[k]}" for k in always}
    others = first.copy()
    others[always] = False
    places = np.flatnonzero(others)
    chosen, found = always, {}
    if len(places) and len(always) < settings.candidates:
        seen = [rows_of(pool.features, always)]
        seen_frames = pool.read(always)
        if known is not None and len(known):
            seen.append(rows_of(known.features, np.arange(len(known))))
            seen_frames += known.read(np.arange(len(known)))
        choice = choose(
            Kept(pool.features, others),
            settings.candidates - len(always),
            seen=np.concatenate(seen),
            strata=pool.strata[places],
            seed=seed,
            per_cluster=settings.per_cluster,
            frames=lambda indices: pool.read(places[indices]),
            seen_frames=seen_frames,
        )
        chosen, found = np.concatenate([always, places[choice.indices]]), choice.record
        why |= {pool.uid[places[k]].decode(): words for k, words in zip(choice.indices, choice.why, strict=True)}
    record = {
        "method": settings.method,
        "descriptor": settings.descriptor,
        "frames": int(first.sum()),
        "duplicates_left_out": len(pool) - int(first.sum()),
        "asked": settings.candidates,
        "always": len(always),
        "chosen": len(chosen),
        "chosen_by_type": dict(Counter(pool.config_type[chosen].tolist())),
        "sampler": found,
        "why": why,
    }
    return chosen, record


def _first_of_each(pool: Pool, known: Pool | None) -> np.ndarray:
    """Which frames are there for the first time: of equal ones the first, and none that is known."""
    _, places = np.unique(pool.uid, return_index=True)
    first = np.zeros(len(pool), dtype=bool)
    first[places] = True
    if known is not None and len(known):
        first &= ~np.isin(pool.uid, known.uid)
    return first


def _always(pool: Pool, frames: Indices, settings: Sampling) -> Indices:
    """Frames of the types in `settings.always`, type by type in turn, those of the reference's lineage first.

    Where a type has more frames than places, they are taken evenly from its list, so that a series of volumes keeps
    both its ends.
    """
    kinds = pool.config_type[frames]
    wanted = frames[np.isin(kinds, settings.always)]
    if not len(wanted):
        return np.zeros(0, dtype=np.int64)
    room = settings.candidates // 2 if len(wanted) < len(frames) else len(frames)
    roots = _roots(pool, np.concatenate([frames[:1], wanted]))
    of_reference = roots[1:] == roots[0]
    chosen: list[int] = []
    for lineage in (True, False):
        queues = [wanted[(pool.config_type[wanted] == kind) & (of_reference == lineage)] for kind in settings.always]
        places = _shared([len(queue) for queue in queues], room - len(chosen))
        for queue, number in zip(queues, places, strict=True):
            chosen += queue[np.linspace(0, len(queue) - 1, number).round().astype(int)].tolist()
    return np.array(chosen, dtype=np.int64)


def _roots(pool: Pool, frames: Indices) -> np.ndarray:
    """The oldest ancestor (uid) of each frame, as far as the pool knows them."""
    order = np.argsort(pool.uid, kind="stable")
    names = pool.uid[order]
    roots = pool.uid[frames].astype(np.bytes_)
    for _ in range(_ANCESTORS):
        places = np.minimum(np.searchsorted(names, roots), len(names) - 1)
        parents = np.where(names[places] == roots, pool.parent[order[places]], b"")
        if not (parents != b"").any():
            break
        roots = np.where(parents != b"", parents, roots)
    return roots


def _shared(lengths: list[int], room: int) -> list[int]:
    """How many of each queue are taken when each gives one in turn until the room is full."""
    taken = [0] * len(lengths)
    while sum(taken) < room and taken != lengths:
        for k, length in enumerate(lengths):
            if taken[k] < length and sum(taken) < room:
                taken[k] += 1
    return taken


def choose_first(
    candidates: Sequence[Atoms], number: int, settings: Sampling, describer: Describer, seed: int
) -> tuple[list[Atoms], dict[str, Any]]:
    """The candidates that get the first labels: all of them where they are no more than asked for.

    Returns:
        The frames, and the record of the choice; an empty one where nothing was left out.
    """
    if len(candidates) <= number:
        return list(candidates), {}
    pool = Pool.of(candidates, describer)
    chosen, record = choose_candidates(pool, settings.model_copy(update={"candidates": number}), seed)
    return pool.read(chosen), {"method": record["method"], "why": record["why"]}


def choose_uncertain(
    uncertain: Sequence[Atoms],
    known: Sequence[Atoms],
    number: int,
    budget: int,
    settings: Sampling,
    describer: Describer,
    seed: int,
) -> tuple[list[Atoms], dict[str, Any]]:
    """Uncertain frames far from one another and from all that is labelled, by the sampler of later generations.

    Args:
        uncertain: frames found above the extrapolation threshold.
        known: labelled frames and frames whose label failed; none of them is chosen again.
        number: how many, at most.
        budget: how many labels there may be in all, those of `known` counted.

    Returns:
        The chosen frames and a record with `why` for each uid.

    Raises:
        ConfigError: no sampler has the name in the settings.
    """
    choose = sampler(settings.method_later, "sampling.method_later")
    seen = [frame for frame in known if frame.info.get("config_type") != ISOLATED_ATOM]
    frames = unique(uncertain, seen=(frame.info["uid"] for frame in seen))
    number = min(number, budget - len(seen))
    record: dict[str, Any] = {
        "method": settings.method_later,
        "descriptor": settings.descriptor,
        "uncertain": len(frames),
        "duplicates_left_out": len(uncertain) - len(frames),
        "chosen": 0,
        "sampler": {},
        "why": {},
    }
    if not frames or number < 1:
        return [], record
    pool = Pool.of(frames, describer)
    choice = choose(
        pool.features,
        number,
        seen=vectors_of(seen, describer) if seen else None,
        strata=pool.strata,
        seed=seed,
        per_cluster=settings.per_cluster,
        frames=pool.read,
        seen_frames=seen,
    )
    chosen = [frames[int(k)] for k in choice.indices]
    why = {frame.info["uid"]: f"uncertain; {words}" for frame, words in zip(chosen, choice.why, strict=True)}
    return chosen, record | {"chosen": len(chosen), "sampler": choice.record, "why": why}
