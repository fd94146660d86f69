"""Converged, or on to the next generation, or out of budget: the decision and its reason in words."""

from __future__ import annotations

from typing import Any

FIT_SLACK = 2.0


def assess(
    records: list[dict[str, Any]],
    *,
    generation: int,
    labels_requested: int,
    generations_max: int,
    label_budget: int,
    not_started: int = 0,
    core_hours_max: float | None = None,
    force_error_mev_per_angstrom: float = 0.0,
    force_error_max_mev_per_angstrom: float = float("inf"),
) -> dict[str, Any]:
    """Judge one full round of simulation walkers.

    Converged means that every walker made all its steps without an uncertain frame, and that the potential fits its
    own training data: gamma says what a basis has not seen, not what it cannot describe, and a basis too small for the
    material sees everything. The generation limit and the budgets of labels and of core-hours are the other ends; a
    walker that stopped without an uncertain frame ends the loop too, because it leaves nothing to learn from.

    Args:
        records: the walkers' records.
        generation: number of this generation, from 0.
        labels_requested: training labels asked for so far.
        not_started: selected frames that got no label because the core-hours were spent.
        core_hours_max: the budget of core-hours, for the reason's words.
        force_error_mev_per_angstrom: root-mean-square force error on the training data.
        force_error_max_mev_per_angstrom: allowed on the test set; the training data, which are hotter, may have twice
            as much.

    Returns:
        ``finished``, ``converged``, ``reason`` and what they rest on.
    """
    uncertain = sum(record["uncertain_frames"] for record in records)
    broken = [record for record in records if record["stopped"] and not record["uncertain_frames"]]
    stopped = [record for record in records if record["stopped"]]
    largest = max((max(record["gamma_max"], default=0.0) for record in records), default=0.0)
    quiet = uncertain == 0 and not stopped
    fits = force_error_mev_per_angstrom <= FIT_SLACK * force_error_max_mev_per_angstrom
    finished, reason = True, ""
    if quiet and not fits:
        reason = (
            f"no uncertain frame in a full round of {len(records)} walkers, but the potential is off by "
            f"{force_error_mev_per_angstrom:.0f} meV/A on its own training data: its basis is too small or too coarse "
            "for the material (more labels allow a larger one; see training.degrees, cutoff_angstrom, "
            "environments_per_function)"
        )
    elif quiet:
        reason = f"no uncertain frame in a full round of {len(records)} walkers"
    elif not_started:
        reason = (
            f"the budget of {core_hours_max or 0:g} core-hours is spent: {not_started} selected frames got no label; "
            f"{uncertain} frames are still uncertain"
        )
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
        "converged": quiet and fits,
        "reason": reason,
        "walkers": len(records),
        "walkers_stopped": len(stopped),
        "uncertain_frames": uncertain,
        "gamma_max": largest,
        "steps": sum(record["steps_done"] for record in records),
    }
