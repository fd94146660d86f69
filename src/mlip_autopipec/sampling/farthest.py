"""Farthest-point sampling that knows what was chosen before."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase import Atoms
from numba import njit
from numpy.typing import NDArray

from mlip_autopipec.sampling.components import Components, fit
from mlip_autopipec.sampling.samplers import Block, Choice, Features, Indices

HELD_BYTES = 400 * 2**20
"""Scores of a pool that need more lie in a temporary file instead of the memory."""


@njit(cache=True, fastmath=True)
def _approach(points, gaps, nearest, centres, number):  # type: ignore[no-untyped-def]
    """Lower the squared distance of every point to its nearest centre for one more centre, centres[number]; returns the
    point that is then the farthest. A centre at least twice as far from a point's nearest one as the point itself
    cannot be nearer to it (triangle inequality), so that most points cost one comparison."""
    columns = points.shape[1]
    apart = np.empty(number + 1, np.float32)
    for k in range(number):
        gap = np.float32(0.0)
        for j in range(columns):
            gap += (centres[k, j] - centres[number, j]) ** 2
        apart[k] = gap * np.float32(0.2499)  # a little less than 1/4, for the rounding
    best, found = np.float32(-1.0), 0
    for i in range(points.shape[0]):
        if nearest[i] < 0 or apart[nearest[i]] < gaps[i]:
            gap = np.float32(0.0)
            for j in range(columns):
                gap += (points[i, j] - centres[number, j]) ** 2
            if nearest[i] < 0 or gap < gaps[i]:
                gaps[i] = gap
                nearest[i] = number
        if gaps[i] > best:
            best, found = gaps[i], i
    return found


def farthest_points(points: Block, number: int, seen: Block | None = None) -> tuple[Indices, NDArray[np.float64]]:
    """Points (n, columns), each the farthest from all seen and chosen before it, and its distance from them.

    Without `seen` the first one is the farthest from the centre of all points. Points at no distance from the chosen
    ones are not taken: fewer than `number` come back then.
    """
    number = min(number, len(points))
    known = np.zeros((0, points.shape[1]), np.float32) if seen is None else np.asarray(seen, dtype=np.float32)
    chosen: list[int] = []
    distances: list[float] = []
    if number < 1:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    gaps = np.full(len(points), np.inf, dtype=np.float32)
    nearest = np.full(len(points), -1, dtype=np.int32)
    centres = np.zeros((len(known) + number + 1, points.shape[1]), dtype=np.float32)
    if len(known):
        centres[: len(known)] = known
        for k in range(len(known)):
            best = int(_approach(points, gaps, nearest, centres, k))
    else:  # the centre of all points shows the first one and is forgotten
        centres[0] = np.mean(points, axis=0, dtype=np.float64)
        best = int(_approach(points, gaps, nearest, centres, 0))
    places = len(known)
    while len(chosen) < number:
        gap = float(gaps[best])
        if gap <= 0 and (chosen or len(known)):
            break
        chosen.append(best)
        distances.append(float(np.sqrt(gap)))
        if places == 0:
            gaps[:], nearest[:] = np.inf, -1
        centres[places] = points[best]
        best = int(_approach(points, gaps, nearest, centres, places))
        places += 1
    return np.array(chosen, dtype=np.int64), np.array(distances)


def farthest_point(
    features: Features,
    number: int,
    *,
    seen: NDArray[Any] | None = None,
    strata: NDArray[np.int64] | None = None,
    seed: int = 0,
    per_cluster: int = 1,
    frames: Callable[[Indices], list[Atoms]] | None = None,
    seen_frames: list[Atoms] | None = None,
) -> Choice:
    """Frames that are far from one another and from all in the dataset, in the space of DIRECT (see `Sampler`).

    It sees the rim of what was explored first; the mean distance of the pool to what is chosen is larger than with
    clusters (`direct`).
    """
    if number < 1 or features.shape[0] == 0:
        return Choice(np.zeros(0, dtype=np.int64), [])
    components = fit(features, seen)
    known = components.scores(seen) if seen is not None and len(seen) else None
    with _scores(features, components) as points:
        chosen, distances = farthest_points(points, number, known)
    why = [f"farthest from all chosen, distance {distance:.3g}" for distance in distances]
    if why and known is None:
        why[0] = f"farthest from the mean of all frames, distance {distances[0]:.3g}"
    record = {
        "components": components.number,
        "variance_explained": float(components.variances.sum()),
        "last_distance": float(distances[-1]) if len(distances) else 0.0,
    }
    return Choice(chosen, why, record)


@contextmanager
def _scores(features: Features, components: Components):  # type: ignore[no-untyped-def]
    """Scores (rows, components) of all frames, in memory or, where they are too many, in a file."""
    shape = (features.shape[0], components.number)
    with tempfile.TemporaryFile(prefix="scores.") as file:
        large = 4 * shape[0] * shape[1] > HELD_BYTES
        points = np.memmap(file, np.float32, "w+", shape=shape) if large else np.empty(shape, np.float32)
        start = 0
        for block in features.blocks():
            points[start : start + len(block)] = components.scores(block)
            start += len(block)
        yield np.asarray(points)
