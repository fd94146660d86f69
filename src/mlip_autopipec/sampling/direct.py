"""DIRECT sampling: clusters in the space of principal components, a few frames of each.

J. Qi, T. W. Ko, B. C. Wood, T. A. Pham, S. P. Ong, npj Comput. Mater. 10, 43 (2024), but for the weights of the
components (see `components.WEIGHTING`). Three passes over the features; memory grows with the pool by eight bytes per
frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.sampling.birch import Tree
from mlip_autopipec.sampling.components import Components, fit
from mlip_autopipec.sampling.samplers import Choice, Features, Indices
from mlip_autopipec.sampling.ward import Ward

Integers = NDArray[np.int64]


def most_subclusters(clusters: int) -> int:
    """Subclusters that BIRCH may hold for a number of clusters: eight for each, 2000 to 8000, two for each beyond.

    Ward's step over S of them takes about 3 S^2 distances: 1 s at 8000 in 20 dimensions.
    """
    return max(min(max(8 * clusters, 2000), 8000), 2 * clusters)


def direct(
    features: Features,
    number: int,
    *,
    seen: NDArray[Any] | None = None,
    strata: Integers | None = None,
    seed: int = 0,
    per_cluster: int = 1,
    frames: Callable[[Indices], list[Atoms]] | None = None,
    seen_frames: list[Atoms] | None = None,
) -> Choice:
    """`number` frames, `per_cluster` of each cluster, those of the most populous clusters first (see `Sampler`).

    Of a cluster comes the frame nearest to its mean; further ones evenly by their distance from it. A frame already in
    the dataset takes a place of its cluster, so that there are more clusters than frames asked. Frames that are alike
    to the last digit make one cluster and give one frame: fewer than asked come back then.
    """
    rows = features.shape[0]
    if rows <= number:
        return Choice(np.arange(rows), ["all frames are taken: no more are asked than there are"] * rows)
    if number < 1:
        return Choice(np.zeros(0, dtype=np.int64), [])
    components = fit(features, seen)
    known = components.scores(seen) if seen is not None and len(seen) else np.zeros((0, components.number), np.float32)
    tree = Tree(components.number, most_subclusters(-(-number // per_cluster) + len(known)))
    for block in features.blocks():
        tree.insert(components.scores(block))
    tree.insert(known)
    subcluster, sizes, means, radii = tree.subclusters()
    occupied = np.bincount(subcluster[rows:], minlength=len(sizes))
    places, quotas = _clusters(Ward(means), sizes, radii, occupied, number, per_cluster)
    count = len(quotas)
    members = np.bincount(places, weights=sizes, minlength=count)
    centres = np.zeros((count, components.number))
    np.add.at(centres, places, means * sizes[:, None])
    centres /= members[:, None]
    labels = places[subcluster[:rows]].astype(np.int32)
    chosen, ranks = _picked(labels, _distances(features, components, labels, centres), quotas)
    order = np.lexsort((ranks, -members[labels[chosen]]))[:number]
    chosen, ranks = chosen[order], ranks[order]
    population = np.bincount(labels, minlength=count)
    why = [_why(int(population[labels[k]]), int(rank)) for k, rank in zip(chosen, ranks, strict=True)]
    record = {
        "components": components.number,
        "variance_explained": float(components.variances.sum()),
        "clusters": count,
        "clusters_with_seen": int((np.bincount(places, weights=occupied, minlength=count) > 0).sum()),
        "subclusters": len(sizes),
        "subcluster_radius": tree.radius,
    }
    return Choice(chosen, why, record)


def _clusters(
    ward: Ward, sizes: NDArray[np.float64], radii: NDArray[np.float64], occupied: Integers, number: int, each: int
) -> tuple[Integers, Integers]:
    """Cluster of every subcluster, and how many frames each cluster gives: the fewest clusters that give enough.

    Where all subclusters together give too few, those of the largest radius give more.
    """

    def cut(count: int) -> tuple[Integers, Integers]:
        labels = ward.labels(count)
        total = int(labels.max()) + 1
        seen = np.bincount(labels, weights=occupied, minlength=total).astype(np.int64)
        free = np.bincount(labels, weights=sizes, minlength=total).astype(np.int64) - seen
        return labels, np.minimum(np.maximum(each - seen, 0), free)

    low, high = 1, ward.points
    while low < high:  # splitting a cluster never lowers what all give
        middle = (low + high) // 2
        low, high = (low, middle) if cut(middle)[1].sum() >= number else (middle + 1, high)
    labels, quotas = cut(low)
    missing = number - int(quotas.sum())
    if missing > 0:  # every subcluster is a cluster of its own here
        room = np.where(radii > 0, sizes[np.argsort(labels)] - occupied - quotas, 0).astype(np.int64)
        while missing > 0 and room.any():
            more = np.argsort(-radii * (room > 0), kind="stable")[: min(missing, int((room > 0).sum()))]
            quotas[more] += 1
            room[more] -= 1
            missing -= len(more)
    return labels, quotas


def _distances(
    features: Features, components: Components, labels: NDArray[np.int32], centres: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Distance of every frame from the mean of its cluster."""
    distances = np.empty(len(labels), dtype=np.float32)
    start = 0
    for block in features.blocks():
        stop = start + len(block)
        gaps = components.scores(block) - centres[labels[start:stop]]
        distances[start:stop] = np.sqrt(np.einsum("ij,ij->i", gaps, gaps))
        start = stop
    return distances


def _picked(
    labels: NDArray[np.int32], distances: NDArray[np.float32], quotas: Integers
) -> tuple[Indices, NDArray[np.int64]]:
    """Frames of every cluster by its quota, nearest to its mean first and then evenly by distance; and their ranks."""
    order = np.lexsort((distances, labels))
    ends = np.searchsorted(labels[order], np.arange(len(quotas) + 1))
    chosen: list[int] = []
    ranks: list[int] = []
    for cluster in np.flatnonzero(quotas):
        first, last = int(ends[cluster]), int(ends[cluster + 1]) - 1
        places = first + np.arange(quotas[cluster]) * (last + 1 - first) // quotas[cluster]
        chosen += [int(order[k]) for k in places]
        ranks += range(len(places))
    return np.array(chosen, dtype=np.int64), np.array(ranks, dtype=np.int64)


def _why(members: int, rank: int) -> str:
    if members == 1:
        return "unlike all others: a cluster of its own (DIRECT)"
    of = f"of a cluster of {members} frames (DIRECT)"
    return f"nearest to the centre {of}" if rank == 0 else f"number {rank + 1} {of}"
