"""Converged, or on to the next generation, or out of budget: the decision and its reason in words."""

from __future__ import annotations

from typing import Any


def assess(
    records: list[dict[str, Any]],
    *,
    generation: int,
    labels_requested: int,
    generations_max: int,
    label_budget: int,
) -> dict[str, Any]:
    """Judge one full round of simulation walkers.

    Converged means that every walker made all its steps without an uncertain frame. The generation limit and the
    label budget are the other ends; a walker that stopped without an uncertain frame ends the loop too, because it
    leaves nothing to learn from.

    Args:
        records: the walkers' records.
        generation: number of this generation, from 0.
        labels_requested: training labels asked for so far.

    Returns:
        ``finished``, ``converged``, ``reason`` and what they rest on.
    """
    uncertain = sum(record["uncertain_frames"] for record in records)
    broken = [record for record in records if record["stopped"] and not record["uncertain_frames"]]
    stopped = [record for record in records if record["stopped"]]
    largest = max((max(record["gamma_max"], default=0.0) for record in records), default=0.0)
    converged = uncertain == 0 and not stopped
    finished, reason = True, ""
    if converged:
        reason = f"no uncertain frame in a full round of {len(records)} walkers"
    elif not uncertain:
        reason = f"walker {broken[0]['walker']} stopped without an uncertain frame: {broken[0]['stopped']}"
    elif generation + 1 >= generations_max:
        reason = f"the limit of {generations_max} generations is reached; {uncertain} frames are still uncertain"
    elif labels_requested >= label_budget:
        reason = f"the budget of {label_budget} labels is spent; {uncertain} frames are still uncertain"
    else:
        finished = False
        reason = f"{uncertain} uncertain frames, {len(stopped)} of {len(records)} walkers stopped early"
    return {
        "generation": generation,
        "finished": finished,
        "converged": converged,
        "reason": reason,
        "walkers": len(records),
        "walkers_stopped": len(stopped),
        "uncertain_frames": uncertain,
        "gamma_max": largest,
        "steps": sum(record["steps_done"] for record in records),
    }
