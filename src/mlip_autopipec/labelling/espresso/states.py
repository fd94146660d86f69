"""Which of a frame's starting states is the label, whether a lower one may be missing, and what is told of each."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ase.units import Ry

from mlip_autopipec.labelling.espresso.fields import number
from mlip_autopipec.labelling.espresso.ladder import Ending
from mlip_autopipec.labelling.espresso.magnetic import SAME_ENERGY_EV_PER_ATOM, State, lowest
from mlip_autopipec.labelling.espresso.output import PwResult
from mlip_autopipec.labelling.espresso.verdict import LAST_BAND_OCCUPATION_MAX, Verdict, last_band_occupation

ACCURACIES = 10.0  # times its estimated accuracy: how far the energy of an unfinished SCF is trusted to fall
_ITERATION = re.compile(
    r"^!?\s*total energy\s+=\s*(\S+)\s+Ry\s*\n(?:\s*Harris.*\n)?\s*estimated scf accuracy\s+<\s*(\S+)\s+Ry",
    re.M,
)


class Tried(NamedTuple):
    """A starting state and how its attempts ended."""

    state: State
    ending: Ending

    @property
    def energy_ev(self) -> float:
        """Energy of the state, infinite where it has none that may train."""
        verdict, result, _ = self.ending
        energy = result.text.energy_ev if verdict.usable and result is not None else None
        return math.inf if energy is None else energy


def floor_ev(ending: Ending) -> float:
    """The lowest energy that a state may have, eV; minus infinity where its run does not tell.

    Of a converged state that is its energy, though a limit refused it; else the last energy of its SCF less
    `ACCURACIES` times the estimated accuracy. With too few bands neither means anything.
    """
    verdict, result, _ = ending
    if result is None or verdict.outcome == "too_few_bands":
        return -math.inf
    if (last_band_occupation(result) or 0.0) > LAST_BAND_OCCUPATION_MAX or verdict.rejected_by == "last_band_occupied":
        return -math.inf
    if verdict.outcome == "ok" and result.text.energy_ev is not None:
        return result.text.energy_ev
    energy, accuracy = _last_iteration(result)
    return -math.inf if energy is None or accuracy is None else (energy - ACCURACIES * abs(accuracy)) * Ry


def _last_iteration(result: PwResult) -> tuple[float | None, float | None]:
    """Energy and estimated accuracy of the last iteration of an SCF, Ry."""
    try:
        found = _ITERATION.findall(Path(result.path).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = []
    return (number(found[-1][0]), number(found[-1][1])) if found else (None, None)


def cannot_win(ending: Ending, best_ev: float, natoms: int) -> bool:
    """Whether a state without a label cannot be lower than one that has `best_ev`."""
    return math.isfinite(best_ev) and floor_ev(ending) >= best_ev - SAME_ENERGY_EV_PER_ATOM * natoms


def decide(tried: Sequence[Tried], natoms: int) -> tuple[Tried, Verdict]:
    """The state to keep, and the verdict on the frame.

    A state that the machine or the time took away makes the label a matter of the machine: a retry finishes that
    state. One whose own physics or a limit took it away may be left out where it cannot be lower; of isolated atoms
    always, with a warning, for of their spin states some converge hardly ever.
    """
    best = tried[lowest([one.energy_ev for one in tried], natoms)]
    machine = next((one for one in tried if one.ending.verdict.kind == "infrastructure"), None)
    if machine is not None:
        verdict = machine.ending.verdict
        words = f"{what(machine.state)}: {verdict.reason}" if len(tried) > 1 else verdict.reason
        return machine, verdict._replace(reason=words)
    verdict = best.ending.verdict
    if not verdict.usable or best.state.total is not None:
        return best, verdict
    for one in tried:
        if not one.ending.verdict.usable and not cannot_win(one.ending, best.energy_ev, natoms):
            return best, Verdict("state_missing", "physics", _missing_words(one, best, natoms), False)
    return best, verdict


def _missing_words(one: Tried, best: Tried, natoms: int) -> str:
    verdict = one.ending.verdict
    off = 1e3 * (floor_ev(one.ending) - best.energy_ev) / natoms
    if verdict.outcome == "ok" and math.isfinite(off):
        told = f"is {-off:.1f} meV/atom lower than {best.state.name}, and was refused: {verdict.reason}"
        otherwise = "raise that limit"
    else:
        told = f"may be lower than {best.state.name}, the lowest that converged, and has no energy: {verdict.reason}"
        otherwise = "give its SCF more steps (labelling.electron_maxstep)"
    return (
        f"{what(one.state)} {told}. If you know that {one.state.name} is not the ground state here, leave it out of "
        f"labelling.magnetic_states (all labels are then made anew); else {otherwise} and delete this frame's label "
        "to try it again"
    )


def what(state: State) -> str:
    """A starting state in words."""
    if state.total is not None:
        return f"the isolated atom with a moment of {state.total}"
    return f"starting state {state.name}"


def doubts(tried: Sequence[Tried], kept: Tried, natoms: int) -> list[str]:
    """Warnings about the starting states."""
    told = []
    for one in tried:
        if len(tried) > 1 and not math.isfinite(one.energy_ev):
            higher = cannot_win(one.ending, kept.energy_ev, natoms)
            at_least = 1e3 * (floor_ev(one.ending) - kept.energy_ev) / natoms if higher else 0.0
            needed = f" (and cannot be kept: at least {max(at_least, 0.0):.1f} meV/atom higher)" if higher else ""
            told.append(f"{what(one.state)} got no energy{needed}: {one.ending.verdict.reason}")
        if one is kept and one.ending.verdict.usable and one.state.total is not None and not one.state.whole:
            told.append(
                f"the isolated atom was kept with smeared occupations (moment {one.state.total}): with whole ones it "
                "did not converge, and it may not be the ground state"
            )
    return told


def rows(tried: Sequence[Tried], kept: Tried | None, left_out: Mapping[str, str]) -> list[dict[str, Any]]:
    """What became of each starting state, in the order they were tried, and why others were left out."""
    told: list[dict[str, Any]] = []
    for one in tried:
        verdict, result, _ = one.ending
        text = result.text if result is not None and verdict.usable else None
        told.append(
            {
                "name": one.state.name,
                "start": None if one.state.site_moments is None else list(one.state.site_moments),
                "energy_ev": one.energy_ev if math.isfinite(one.energy_ev) else None,
                "total_magnetization": text.total_magnetization if text else None,
                "absolute_magnetization": text.absolute_magnetization if text else None,
                "outcome": verdict.rejected_by or verdict.outcome,
                "reason": verdict.reason,
                "kept": one is kept,
            }
        )
    return told + [
        {"name": name, "outcome": "not_tried", "reason": why, "kept": False} for name, why in left_out.items()
    ]


def spin_rows(tried: Sequence[Tried], kept: Tried | None) -> list[dict[str, Any]]:
    """The same of an isolated atom, by its moment."""
    return [
        {
            "moment": one.state.total,
            "occupations": "fixed" if one.state.whole else "smearing",
            "energy_ev": one.energy_ev if math.isfinite(one.energy_ev) else None,
            "kept": one is kept,
            "outcome": one.ending.verdict.rejected_by or one.ending.verdict.outcome,
            "reason": one.ending.verdict.reason,
        }
        for one in tried
    ]
