"""What to try after a failed run. Every rung reaches the same label by another way; none changes the physics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mlip_autopipec.labelling.espresso.output import PwResult
from mlip_autopipec.labelling.espresso.verdict import LAST_BAND_OCCUPATION_MAX, Verdict, last_band_occupation

Trend = Literal["converging", "sloshing", "stalled"]

# Parameters of pw.x that a rung may change: the converged density and energy do not depend on them.
LABEL_PRESERVING = frozenset(
    {
        "mixing_beta",
        "mixing_mode",
        "mixing_ndim",
        "diagonalization",
        "diago_david_ndim",
        "diago_full_acc",
        "electron_maxstep",
        "nbnd",
    }
)
CONVERGING_DECADES = 2.0  # accuracy gained over the second half of the iterations that counts as converging
SLOSHING_RATIO = 3.0  # last accuracy above this many times the best one counts as charge sloshing


@dataclass(frozen=True)
class Rung:
    """One further attempt: pw.x parameters that change, and why."""

    changes: dict[str, Any] = field(default_factory=dict)
    why: str = ""


def scf_trend(accuracies_ry: Sequence[float]) -> Trend:
    """How an SCF was going: still gaining, jumping up and down, or standing still.

    Args:
        accuracies_ry: estimated accuracy by iteration, Ry.
    """
    if len(accuracies_ry) < 4:
        return "stalled"
    middle, last, best = accuracies_ry[len(accuracies_ry) // 2], accuracies_ry[-1], min(accuracies_ry)
    if last > SLOSHING_RATIO * best:
        return "sloshing"
    gained = math.log10(max(middle, 1e-30) / max(last, 1e-30))
    return "converging" if gained >= CONVERGING_DECADES else "stalled"


def next_rung(
    result: PwResult, verdict: Verdict, tried: Sequence[dict[str, Any]], *, electrons: float, maxstep: int
) -> Rung | None:
    """The next attempt after a failure of the physics, or None when the ladder is at its end.

    Args:
        result, verdict: of the attempt that failed.
        tried: changes of all attempts so far; no attempt is made twice.
        electrons: valence electrons of the frame, for a number of bands.
        maxstep: `electron_maxstep` of the settings.
    """
    if verdict.kind != "physics":
        return None
    for rung in _ladder(result, verdict, tried[-1] if tried else {}, electrons, maxstep):
        if rung.changes not in tried:
            return rung
    return None


def _ladder(result: PwResult, verdict: Verdict, last: dict[str, Any], electrons: float, maxstep: int) -> list[Rung]:
    steps = {"electron_maxstep": 3 * maxstep}
    occupation = last_band_occupation(result)
    if verdict.outcome == "too_few_bands" or (occupation or 0.0) > LAST_BAND_OCCUPATION_MAX:
        # pw.x itself takes max(1.2 n/2, n/2 + 4) bands for metals (PW/src/setup.f90)
        default = max(math.ceil(0.6 * electrons), math.ceil(electrons / 2) + 4)
        bands = math.ceil(1.5 * max(default, last.get("nbnd", 0)))
        if bands <= 4 * default:
            return [
                Rung(
                    {**last, "nbnd": bands},
                    f"the highest band was occupied: {bands} bands instead of {last.get('nbnd', default)}",
                )
            ]
        return []
    if verdict.outcome == "diag":
        return [
            Rung(
                {**last, "diagonalization": "david", "diago_david_ndim": 4},
                "the diagonalisation failed: larger Davidson space",
            ),
            Rung({**last, "diagonalization": "cg"}, "Davidson diagonalisation failed: conjugate gradients"),
            Rung(
                {**steps, "diagonalization": "cg", "mixing_beta": 0.2},
                "conjugate gradients failed: gentler mixing too",
            ),
        ]
    if verdict.outcome not in ("scf_not_converged", "scf_accuracy_above_threshold", "fermi_level"):
        return []
    trend = scf_trend(result.text.accuracies_ry)
    keep = {"nbnd": last["nbnd"]} if "nbnd" in last else {}
    words = {"converging": "converging slowly", "sloshing": "charge sloshing", "stalled": "SCF stalled"}[trend]
    more = Rung({**last, **steps}, f"{words}: more steps")
    others = [
        Rung({**keep, **steps, "mixing_beta": 0.3}, f"{words}: gentler mixing"),
        Rung(
            {**keep, **steps, "mixing_beta": 0.3, "mixing_mode": "local-TF"},
            f"{words}: local Thomas-Fermi screening",
        ),
        Rung(
            {**keep, **steps, "mixing_beta": 0.1, "mixing_ndim": 12},
            f"{words}: much gentler mixing with a longer history",
        ),
        Rung(
            {**keep, **steps, "mixing_beta": 0.2, "mixing_mode": "local-TF", "diagonalization": "cg"},
            f"{words}: local Thomas-Fermi screening and conjugate gradients",
        ),
    ]
    return [more, *others] if trend == "converging" else others
