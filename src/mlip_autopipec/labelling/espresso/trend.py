"""How an SCF is going, from its estimated accuracy by iteration; nothing here knows what to do about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from mlip_autopipec.labelling.espresso.fields import number

Trend = Literal["converging", "sloshing", "stalled"]

CONVERGING_DECADES = 1.0  # accuracy gained over the second half of the iterations that counts as converging
BEST_DECADES = 2.0  # while the last accuracies stay this close to the best one
SLOSHING_DECADES = 1.0  # second half this far above the best accuracy, or jumping by so much: charge sloshing
# Early stopping, set on real SCF histories (docs/labelling.md has the numbers). Of those that converged in the end one
# (bcc Fe) went 42 iterations without a new best accuracy, and several were thrown from 1e-8 to 1e-5 Ry for a while.
ASTRAY_ITERATIONS = 12
ASTRAY_DECADES = 1.5
STUCK_ITERATIONS = 50
NEAR_RY = 1e-4  # an SCF that is this accurate is left alone
_LABEL = b"estimated scf accuracy"


def scf_trend(accuracies_ry: Sequence[float]) -> Trend:
    """How an SCF was going when it ended: still gaining, jumping about far from its best, or standing still.

    The gain is that of a straight line through the logarithms of the second half: single iterations jump by a decade
    in runs that converge.

    Args:
        accuracies_ry: estimated accuracy by iteration, Ry.
    """
    if len(accuracies_ry) < 4:
        return "stalled"
    logs = _logs(accuracies_ry)
    half = logs[len(logs) // 2 :]
    slope = _slope(half)
    gaining = -slope * (len(half) - 1) >= CONVERGING_DECADES and half.min() == logs.min()
    if gaining and np.median(half[-3:]) <= logs.min() + BEST_DECADES:
        return "converging"
    if np.median(half) > logs.min() + SLOSHING_DECADES or half.max() - half.min() > 2 * SLOSHING_DECADES:
        return "sloshing"
    return "stalled"


def hopeless(accuracies_ry: Sequence[float]) -> str | None:
    """Words about an SCF that will not converge this way, or None where it still may.

    Two signs, both conservative and only while the accuracy is worse than `NEAR_RY`: for `ASTRAY_ITERATIONS` it is far
    above the best one that it had and does not come down; or for `STUCK_ITERATIONS` there is no new best one and the
    later half of them is not lower than the earlier one.

    Args:
        accuracies_ry: estimated accuracy by iteration so far, Ry.
    """
    if len(accuracies_ry) <= ASTRAY_ITERATIONS:
        return None
    logs = _logs(accuracies_ry)
    recent = logs[-ASTRAY_ITERATIONS:]
    near = math.log10(NEAR_RY)
    if recent.min() > max(logs.min() + ASTRAY_DECADES, near) and not _falls(recent):
        return (
            f"charge sloshing: for {ASTRAY_ITERATIONS} iterations the accuracy was at best {10 ** recent.min():.1e} Ry "
            f"after {10 ** logs.min():.1e} Ry before, and not falling"
        )
    since_best = len(logs) - 1 - int(np.argmin(logs))
    latest = logs[-STUCK_ITERATIONS:]
    if since_best >= STUCK_ITERATIONS and np.median(latest) > near and not _falls(latest):
        return f"no accuracy better than {10 ** logs.min():.1e} Ry for {since_best} iterations"
    return None


def steps_to_go(accuracies_ry: Sequence[float], threshold_ry: float) -> int | None:
    """Iterations that a converging SCF still needs, from the line through its second half; None where it rises."""
    logs = _logs(accuracies_ry)
    half = logs[len(logs) // 2 :]
    slope = _slope(half) if len(half) > 1 else 0.0
    if slope >= 0:
        return None
    return max(0, math.ceil((float(np.median(half[-3:])) - math.log10(threshold_ry)) / -slope))


def _logs(accuracies_ry: Sequence[float]) -> np.ndarray:
    return np.asarray(np.log10(np.maximum(accuracies_ry, 1e-30)), dtype=float)


def _slope(logs: np.ndarray) -> float:
    """Decades per iteration of the line through `logs`."""
    return float(np.polyfit(np.arange(len(logs)), logs, 1)[0])


def _falls(logs: np.ndarray) -> bool:
    """Whether the later half is lower than the earlier one, by its median or by its best."""
    middle = len(logs) // 2
    early, late = logs[:middle], logs[middle:]
    return bool(np.median(late) < np.median(early) - 0.3 or late.min() < early.min() - 0.3)


class Watcher:
    """Follows the text output of a running pw.x and says when to stop it. Only what was added is read each time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.accuracies_ry: list[float] = []
        self._read, self._rest = 0, b""

    def __call__(self) -> str | None:
        """Words about a run that will not converge, or None."""
        try:
            with open(self.path, "rb") as handle:
                handle.seek(self._read)
                added = handle.read()
        except OSError:
            return None
        self._read += len(added)
        *lines, self._rest = (self._rest + added).split(b"\n")
        fresh = False
        for line in lines:
            if _LABEL in line:
                value = number(line.decode("ascii", "replace").partition("<")[2].replace("Ry", ""))
                if value is not None:
                    self.accuracies_ry.append(value)
                    fresh = True
        return hopeless(self.accuracies_ry) if fresh else None
