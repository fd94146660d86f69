"""Ward's clustering without a matrix of distances: memory grows with the number of points, not with its square.

Nearest-neighbour chains (F. Murtagh, Comput. J. 26, 354, 1983): Ward's distance of two clusters follows from their
means and sizes alone, so that it is computed when asked for.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, fastmath=True)
def _chain(means, sizes, active, merges, heights):  # type: ignore[no-untyped-def]
    number, columns = means.shape
    chain = np.empty(number + 1, np.int64)
    length, left = 0, number
    for step in range(number - 1):
        if length == 0:
            chain[0] = active[0]
            length = 1
        while True:
            tip = chain[length - 1]
            before = chain[length - 2] if length > 1 else -1
            best, found, back = np.inf, -1, np.inf
            for k in range(left):
                other = active[k]
                if other == tip:
                    continue
                gap = 0.0
                for j in range(columns):
                    gap += (means[tip, j] - means[other, j]) ** 2
                gap *= sizes[tip] * sizes[other] / (sizes[tip] + sizes[other])
                if other == before:
                    back = gap
                if gap < best:
                    best, found = gap, other
            if back <= best * (1 + 1e-12):  # the one before the tip wins ties, else the chain could run in circles
                best, found = back, before
            if found == before:
                break
            chain[length] = found
            length += 1
        length -= 2
        merges[step, 0], merges[step, 1], heights[step] = tip, found, best
        whole = sizes[tip] + sizes[found]
        for j in range(columns):
            means[found, j] += (means[tip, j] - means[found, j]) * sizes[tip] / whole
        sizes[found] = whole
        for k in range(left):
            if active[k] == tip:
                active[k] = active[left - 1]
                break
        left -= 1


class Ward:
    """Clusters of points (S, columns), each point counting once; the memory is that of a few copies of the points."""

    def __init__(self, points: NDArray[np.float64]) -> None:
        self.points = len(points)
        merges = np.zeros((max(self.points - 1, 0), 2), dtype=np.int64)
        heights = np.zeros(len(merges))
        if len(merges):
            _chain(np.array(points, dtype=np.float64), np.ones(self.points), np.arange(self.points), merges, heights)
        self._merges = merges[np.argsort(heights, kind="stable")]

    def labels(self, number: int) -> NDArray[np.int64]:
        """Cluster of each point (S,), from 0 to `number` - 1 (or one cluster per point when there are fewer)."""
        root = np.arange(self.points)

        def find(point: int) -> int:
            while root[point] != point:
                root[point] = root[root[point]]
                point = int(root[point])
            return point

        for one, other in self._merges[: max(self.points - max(number, 1), 0)]:
            root[find(int(one))] = find(int(other))
        _, labels = np.unique([find(k) for k in range(self.points)], return_inverse=True)
        return labels.astype(np.int64)
