"""How well few frames cover many: distances to the nearest of the few, beside those of as many taken at random.

Distances are Euclidean between standardised principal components (`projection`), so they count standard deviations of a
feature. What is not covered is far from every frame that was labelled; a gap says nothing about errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

DRAWS = 20  # random choices that the choice is compared with
_BLOCK_ROWS = 4096

Floats = NDArray[np.float64]


def gaps(points: NDArray[Any], reference: NDArray[Any]) -> Floats:
    """(n,) distance of each of (n, K) points to the nearest of (m, K) reference points; infinite without any."""
    points, reference = np.asarray(points, dtype=float), np.asarray(reference, dtype=float)
    found = np.full(len(points), np.inf)
    if len(reference) == 0:
        return found
    squares = (reference**2).sum(axis=1)
    for start in range(0, len(points), _BLOCK_ROWS):
        block = points[start : start + _BLOCK_ROWS]
        nearest = (squares - 2.0 * block @ reference.T).argmin(axis=1)
        found[start : start + _BLOCK_ROWS] = np.linalg.norm(block - reference[nearest], axis=1)
    return found


def spacing(points: NDArray[Any]) -> float:
    """Median distance of a point to the nearest of the others; not a number for fewer than two."""
    points = np.asarray(points, dtype=float)
    if len(points) < 2:
        return float("nan")
    return float(np.median(cKDTree(points).query(points, k=2)[0][:, 1]))


def covered(distances: Floats, weight: Floats, radius: float) -> float | None:
    """Share of the frames, by weight, that are no farther than the radius from a labelled one."""
    total = weight.sum()
    if not total or not np.isfinite(radius):
        return None
    return float(weight[distances <= radius].sum() / total)


def numbers(distances: Floats, weight: Floats, radius: float) -> dict[str, float | None]:
    """`covered` (share within the radius), `mean_gap` and `largest_gap`; None without a labelled frame."""
    inside = weight > 0
    if not inside.any() or not np.isfinite(distances).all():
        return {"covered": None, "mean_gap": None, "largest_gap": None}
    return {
        "covered": covered(distances, weight, radius),
        "mean_gap": float(np.average(distances[inside], weights=weight[inside])),
        "largest_gap": float(distances[inside].max()),
    }


def random_numbers(
    points: NDArray[Any],
    weight: Floats,
    number: int,
    radius: float,
    random: np.random.Generator,
    strata: Sequence[str] | None = None,
) -> dict[str, float | None]:
    """`numbers` for as many frames taken at random from the points: the mean over `DRAWS` draws.

    Args:
        points: (n, K) what was seen.
        weight: (n,) frames that each point stands for; the chance of being drawn goes with it.
        number: how many frames are drawn.
        strata: (n,) source of each point: the same number is drawn of each, as far as it goes (stratified random).
    """
    inside = np.flatnonzero(weight > 0)
    if number < 1 or not len(inside):
        return {"covered": None, "mean_gap": None, "largest_gap": None}
    found = []
    for _ in range(DRAWS):
        # weighted, without replacement: Efraimidis and Spirakis, Inf. Process. Lett. 97, 181, 2006
        keys = np.log(1.0 - random.random(len(inside))) / weight[inside]
        order = inside[np.argsort(-keys, kind="stable")]
        if strata is not None:
            order = _in_turn(order, np.asarray(strata))
        found.append(numbers(gaps(points, points[order[:number]]), weight, radius))
    return {key: _mean([one[key] for one in found]) for key in ("covered", "mean_gap", "largest_gap")}


def _in_turn(order: NDArray[np.int64], strata: NDArray[Any]) -> NDArray[np.int64]:
    """The same indices, one of each stratum in turn."""
    turns = np.empty(len(order), dtype=int)
    for name in np.unique(strata):
        own = np.flatnonzero(strata[order] == name)
        turns[own] = np.arange(len(own))
    return order[np.argsort(turns, kind="stable")]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
