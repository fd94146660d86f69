"""BIRCH with bounded memory: a tree of cluster features over rows that are seen once, rebuilt when it grows too large.

T. Zhang, R. Ramakrishnan, M. Livny, ACM SIGMOD Record 25, 103 (1996). A cluster is kept as its number of rows, mean
and sum of squared deviations, which do not cancel as sums of squares do (A. Lang, E. Schubert, Inf. Syst. 108, 101918,
2022). A cluster of many rows would take in a far one without growing much in radius, and hide it: so no row joins a
cluster whose mean is farther than twice the radius allowed. Where a row goes is decided when it comes; rebuilding only
merges clusters.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mlip_autopipec.sampling.samplers import Block

BRANCHES = 32
"""Children of a node, at most; 16 to 64 differ little in time."""

_FULL, _THIN = 0.75, 0.4  # a rebuilt tree has subclusters between these shares of the most allowed
_TRIES = 12

_DEPTH = 64  # of a tree, at most: 2^64 rows if every split leaves one child apart


@njit(cache=True)
def _closest(means, members, count, row):  # type: ignore[no-untyped-def]
    best, found = np.inf, 0
    for k in range(count):
        entry = members[k]
        distance = 0.0
        for j in range(row.shape[0]):
            step = means[entry, j] - row[j]
            distance += step * step
        if distance < best:
            best, found = distance, k
    return found, best


@njit(cache=True)
def _add(sizes, means, spreads, entry, size, row, spread):  # type: ignore[no-untyped-def]
    """Join a cluster (size, row, spread) to an entry."""
    whole = sizes[entry] + size
    gap = 0.0
    for j in range(row.shape[0]):
        step = row[j] - means[entry, j]
        gap += step * step
        means[entry, j] += step * size / whole
    spreads[entry] += spread + gap * sizes[entry] * size / whole
    sizes[entry] = whole


@njit(cache=True)
def _sum_up(sizes, means, spreads, entry, members, count):  # type: ignore[no-untyped-def]
    """Make an entry the sum of others."""
    sizes[entry], spreads[entry] = 0.0, 0.0
    means[entry] = 0.0
    for k in range(count):
        other = members[k]
        _add(sizes, means, spreads, entry, sizes[other], means[other], spreads[other])


@njit(cache=True)
def _split(sizes, means, spreads, below, members, counts, leaves, used, node):  # type: ignore[no-untyped-def]
    """Share the members of a full node between it and a new one, by which of the two farthest they are nearer to."""
    count = counts[node]
    worst, first, second = -1.0, 0, 1
    for a in range(count):
        for b in range(a):
            distance = 0.0
            for j in range(means.shape[1]):
                step = means[members[node, a], j] - means[members[node, b], j]
                distance += step * step
            if distance > worst:
                worst, first, second = distance, b, a
    one, other = members[node, first], members[node, second]
    new = used[1]
    used[1] += 1
    leaves[new] = leaves[node]
    counts[node], counts[new] = 0, 0
    for k in range(count):
        entry = members[node, k]
        near = far = 0.0
        for j in range(means.shape[1]):
            near += (means[entry, j] - means[one, j]) ** 2
            far += (means[entry, j] - means[other, j]) ** 2
        to_new = entry == other or (entry != one and far < near)
        home = new if to_new else node
        members[home, counts[home]] = entry
        counts[home] += 1
    return new


@njit(cache=True)
def _insert(sizes, means, spreads, below, members, counts, leaves, used, limit, size, row, spread):  # type: ignore[no-untyped-def]
    """Put one cluster into the tree; returns the entry of the leaf that took it. used = entries, nodes, root, leaves'
    entries; limit = squared radius of a leaf's entry, at most."""
    path = np.empty(_DEPTH, np.int64)
    steps = np.empty(_DEPTH, np.int64)
    depth, node = 0, used[2]
    while not leaves[node]:
        k, _ = _closest(means, members[node], counts[node], row)
        path[depth], steps[depth] = node, k
        depth += 1
        entry = members[node, k]
        _add(sizes, means, spreads, entry, size, row, spread)
        node = below[entry]
    if counts[node]:
        k, distance = _closest(means, members[node], counts[node], row)
        entry = members[node, k]
        whole = sizes[entry] + size
        joined = (spreads[entry] + spread + distance * sizes[entry] * size / whole) / whole
        if max(joined, distance / 4.0) <= limit:
            _add(sizes, means, spreads, entry, size, row, spread)
            return entry
    taken = used[0]
    used[0] += 1
    used[3] += 1
    sizes[taken], spreads[taken], below[taken] = size, spread, -1
    means[taken] = row
    members[node, counts[node]] = taken
    counts[node] += 1
    while counts[node] > members.shape[1] - 1:
        new = _split(sizes, means, spreads, below, members, counts, leaves, used, node)
        if depth == 0:  # the root itself: a new root above both
            root, entry = used[1], used[0]
            used[1] += 1
            used[0] += 1
            used[2] = root
            leaves[root] = False
            members[root, 0], counts[root], below[entry] = entry, 1, node
            above = root
        else:
            depth -= 1
            above = path[depth]
            entry = members[above, steps[depth]]
        _sum_up(sizes, means, spreads, entry, members[node], counts[node])
        entry = used[0]
        used[0] += 1
        below[entry] = new
        _sum_up(sizes, means, spreads, entry, members[new], counts[new])
        members[above, counts[above]] = entry
        counts[above] += 1
        node = above
    return taken


@njit(cache=True)
def _insert_rows(sizes, means, spreads, below, members, counts, leaves, used, limit, most, rows, labels):  # type: ignore[no-untyped-def]
    """Insert single rows until the leaves hold more entries than `most`; returns how many went in."""
    for k in range(rows.shape[0]):
        if used[3] > most:
            return k
        labels[k] = _insert(
            sizes, means, spreads, below, members, counts, leaves, used, limit, 1.0, rows[k], 0.0
        )  # fmt: skip
    return rows.shape[0]


@njit(cache=True)
def _insert_clusters(sizes, means, spreads, below, members, counts, leaves, used, limit, old, places):  # type: ignore[no-untyped-def]
    """Insert clusters (sizes, means, spreads); `places` gets the entry of each."""
    for k in range(places.shape[0]):
        places[k] = _insert(
            sizes, means, spreads, below, members, counts, leaves, used, limit, old[0][k], old[1][k], old[2][k]
        )  # fmt: skip


@njit(cache=True)
def _joined(sizes, means, spreads, members, counts, leaves, nodes):  # type: ignore[no-untyped-def]
    """The smallest limit at which each leaf's entry would be joined with another one of its leaf."""
    found = np.empty(sizes.shape[0])
    number = 0
    for node in range(nodes):
        if not leaves[node]:
            continue
        for a in range(counts[node]):
            one, best = members[node, a], np.inf
            for b in range(counts[node]):
                other = members[node, b]
                if a == b:
                    continue
                gap = 0.0
                for j in range(means.shape[1]):
                    gap += (means[one, j] - means[other, j]) ** 2
                whole = sizes[one] + sizes[other]
                radius = (spreads[one] + spreads[other] + gap * sizes[one] * sizes[other] / whole) / whole
                best = min(best, max(radius, gap / 4.0))
            if best < np.inf:
                found[number] = best
                number += 1
    return found[:number]


class Tree:
    """A tree of at most `most` subclusters over rows that come in blocks.

    Attributes:
        radius: root mean square distance of a subcluster's rows from their mean, at most; grows from 0 with the tree.
        rebuilt: how often.
    """

    def __init__(self, columns: int, most: int) -> None:
        self.columns, self.most = columns, most
        self.radius, self.rebuilt = 0.0, 0
        self._labels: list[NDArray[np.int32]] = []
        self._clear()

    def _clear(self) -> None:
        # every split makes one node and at most two entries, and every node but the root has at least one entry
        nodes, entries = 2 * self.most + 64, 3 * self.most + 192
        self._arrays = (
            np.zeros(entries),
            np.zeros((entries, self.columns)),
            np.zeros(entries),
            np.full(entries, -1, dtype=np.int32),
            np.zeros((nodes, BRANCHES + 1), dtype=np.int32),
            np.zeros(nodes, dtype=np.int32),
            np.ones(nodes, dtype=np.bool_),
            np.array([0, 1, 0, 0], dtype=np.int64),
        )

    def insert(self, rows: Block) -> None:
        """Add rows (n, columns)."""
        wide = np.ascontiguousarray(rows, dtype=np.float64)
        labels = np.zeros(len(wide), dtype=np.int32)
        self._labels.append(labels)
        done = 0
        while done < len(wide):
            done += _insert_rows(*self._arrays, self.radius**2, self.most, wide[done:], labels[done:])
            if done < len(wide):
                self._shrink(labels[:done])

    def _shrink(self, fresh: NDArray[np.int32]) -> None:
        """Rebuild with larger subclusters, so that about half of them are left.

        Args:
            fresh: the labels of the latest block that are valid already.
        """
        sizes, means, spreads, below, members, counts, leaves, used = self._arrays
        joined = _joined(sizes, means, spreads, members, counts, leaves, used[1])
        joined = joined[joined > 0]
        entries = np.flatnonzero(below[: used[0]] < 0)
        old = (sizes[entries], means[entries], spreads[entries])
        places = np.zeros(len(entries), dtype=np.int32)
        low, high = self.radius, np.inf
        guess = np.median(joined) if len(joined) else 1e-6 * old[1].var(axis=0).sum()
        radius = max(float(np.sqrt(guess)), low)
        for _ in range(_TRIES):  # joining draws means together, so that how many are left can only be tried
            self._clear()
            _insert_clusters(*self._arrays, radius**2, old, places)
            left = self._arrays[-1][3]
            if left > _FULL * self.most:
                low = radius
            elif left < _THIN * self.most and radius > low:
                high = radius
            else:
                break
            radius = 1.2 * radius if np.isinf(high) else 0.5 * (low + high)
        while self._arrays[-1][3] > _FULL * self.most:  # the last try left too many
            radius *= 1.2
            self._clear()
            _insert_clusters(*self._arrays, radius**2, old, places)
        self.radius = radius
        self.rebuilt += 1
        moved = np.zeros(used[0], dtype=np.int32)
        moved[entries] = places
        for block in self._labels[:-1]:
            block[:] = moved[block]
        fresh[:] = moved[fresh]

    def subclusters(self) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Subcluster of every row in the order they came (n,), and of every subcluster the number of rows (S,), the
        mean (S, columns) and the root mean square distance of its rows from it (S,)."""
        sizes, means, spreads, below, _, _, _, used = self._arrays
        entries = np.flatnonzero(below[: used[0]] < 0)
        places = np.zeros(used[0] + 1, dtype=np.int32)
        places[entries] = np.arange(len(entries))
        labels = places[np.concatenate(self._labels)] if self._labels else np.zeros(0, dtype=np.int32)
        return labels, sizes[entries], means[entries], np.sqrt(spreads[entries] / sizes[entries])
