"""Farthest-point sampling that knows what was chosen before."""

from __future__ import annotations

import numpy as np


def farthest_points(candidates: np.ndarray, number: int, seen: np.ndarray | None = None) -> list[int]:
    """Indices of `number` candidates, each the farthest from all seen and chosen before it.

    Args:
        candidates: (frames, components).
        seen: (frames, components) of what is already in the dataset; the first choice is the candidate farthest from
            the candidates' centre when there is none.
    """
    if len(candidates) == 0 or number < 1:
        return []
    if seen is not None and len(seen):
        gap = np.min(np.linalg.norm(candidates[:, None, :] - seen[None, :, :], axis=2), axis=1)
    else:
        gap = np.linalg.norm(candidates - candidates.mean(axis=0), axis=1)
    chosen: list[int] = []
    while len(chosen) < min(number, len(candidates)):
        best = int(np.argmax(np.where(np.isin(np.arange(len(gap)), chosen), -1.0, gap)))
        chosen.append(best)
        gap = np.minimum(gap, np.linalg.norm(candidates - candidates[best], axis=1))
    return chosen
