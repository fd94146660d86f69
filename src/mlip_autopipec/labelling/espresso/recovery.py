"""What to try after a failed run. Every rung reaches the same label by another way; none changes the physics.

A change of smearing, cutoffs, spin or k-points would be another potential energy surface: no rung makes one. Symmetry
is no rung either: labels are computed without it from the start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mlip_autopipec.labelling.espresso.output import PwResult
from mlip_autopipec.labelling.espresso.trend import scf_trend, steps_to_go
from mlip_autopipec.labelling.espresso.verdict import LAST_BAND_OCCUPATION_MAX, Verdict, last_band_occupation

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
# Of pw.x's arrays Davidson's space (bands x diago_david_ndim) and the mixing history grow with the settings; conjugate
# gradients keep no space at all and are slower.
LESS_MEMORY: tuple[dict[str, Any], ...] = (
    {"diagonalization": "david", "diago_david_ndim": 2, "mixing_ndim": 4},
    {"diagonalization": "cg", "mixing_ndim": 4},
)


STEPS_MIN = 100  # of a rung: pw.x's own default of electron_maxstep


@dataclass(frozen=True)
class Rung:
    """One further attempt: pw.x parameters that change, and why.

    Attributes:
        restart: start from the density that the attempt before it left.
        last: nothing stands behind this rung; it is not stopped early.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    restart: bool = False
    last: bool = False


def next_rung(
    result: PwResult,
    verdict: Verdict,
    tried: Sequence[Rung],
    *,
    electrons: float,
    maxstep: int,
    saved: bool = False,
) -> Rung | None:
    """The next attempt after a failure of the physics, or None when the ladder is at its end.

    Args:
        result, verdict: of the attempt that failed.
        tried: all attempts so far, the failed one last; no attempt is made twice.
        electrons: valence electrons of the frame, for a number of bands.
        maxstep: `electron_maxstep` of the settings.
        saved: the failed attempt left a density.
    """
    if verdict.kind != "physics":
        return None
    ways = _ladder(result, verdict, tried[-1] if tried else Rung(), electrons, maxstep, saved)
    done = [(rung.changes, rung.restart) for rung in tried]
    left = [rung for rung in ways if (rung.changes, rung.restart) not in done]
    if not left:
        return None
    return Rung(left[0].changes, left[0].why, left[0].restart, last=len(left) == 1)


def less_memory(tried: Sequence[Rung], why: str) -> Rung | None:
    """The next attempt after a lack of memory, with the last one's other changes; None when there is none left."""
    last = tried[-1] if tried else Rung()
    for saving in LESS_MEMORY:
        changes = {k: v for k, v in last.changes.items() if k not in LESS_MEMORY[0]} | saving
        if all(rung.changes != changes for rung in tried):
            return Rung(changes, f"{why}: smaller work space ({saving['diagonalization']})")
    return None


def _ladder(result: PwResult, verdict: Verdict, last: Rung, electrons: float, maxstep: int, saved: bool) -> list[Rung]:
    steps = {"electron_maxstep": max(3 * maxstep, STEPS_MIN)}
    occupation = last_band_occupation(result)
    if verdict.outcome == "too_few_bands" or (occupation or 0.0) > LAST_BAND_OCCUPATION_MAX:
        return _more_bands(last.changes, electrons)
    if verdict.outcome == "diag":
        return [
            Rung(
                {**last.changes, "diagonalization": "david", "diago_david_ndim": 4},
                "the diagonalisation failed: larger Davidson space",
            ),
            Rung({**last.changes, "diagonalization": "cg"}, "Davidson diagonalisation failed: conjugate gradients"),
            Rung(
                {**steps, "diagonalization": "cg", "mixing_beta": 0.2},
                "conjugate gradients failed: gentler mixing too",
            ),
        ]
    if verdict.outcome not in ("scf_not_converged", "scf_accuracy_above_threshold", "fermi_level"):
        return []
    return _other_scf(result, last, steps, maxstep, saved)


def _more_bands(last: dict[str, Any], electrons: float) -> list[Rung]:
    # pw.x itself takes max(1.2 n/2, n/2 + 4) bands for metals (PW/src/setup.f90)
    default = max(math.ceil(0.6 * electrons), math.ceil(electrons / 2) + 4)
    bands = math.ceil(1.5 * max(default, last.get("nbnd", 0)))
    if bands > 4 * default:
        return []
    words = f"the highest band was occupied: {bands} bands instead of {last.get('nbnd', default)}"
    return [Rung({**last, "nbnd": bands}, words)]


def _other_scf(result: PwResult, last: Rung, steps: dict[str, Any], maxstep: int, saved: bool) -> list[Rung]:
    """Further ways to self-consistency, by how the last one went."""
    accuracies = result.text.accuracies_ry
    trend = scf_trend(accuracies)
    words = {"converging": "converging slowly", "sloshing": "charge sloshing", "stalled": "SCF stalled"}[trend]
    keep = {"nbnd": last.changes["nbnd"]} if "nbnd" in last.changes else {}
    more = []
    if trend == "converging" and not last.restart:
        going = steps_to_go(accuracies, result.text.conv_thr_ry) if result.text.conv_thr_ry else None
        wanted = {"electron_maxstep": min(steps["electron_maxstep"], max(maxstep, 2 * (going or maxstep)))}
        told = f", about {going} more iterations to go" if going is not None else ""
        again = "more steps from the density reached" if saved else "more steps"
        more = [Rung({**last.changes, **(wanted if saved else steps)}, f"{words}{told}: {again}", restart=saved)]
    # This order by measurement: over eight slabs of Al, Mg, Al-Mg and Cu gentler mixing took 258 iterations where
    # local-TF took 303 (it was the better one for Mg, Al-Mg, Cu and inside bulk).
    return [
        *more,
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
