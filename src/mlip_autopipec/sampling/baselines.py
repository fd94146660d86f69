"""Choice by lot: what every other sampler has to beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.errors import DataError
from mlip_autopipec.sampling.samplers import Choice, Features, Indices
from mlip_autopipec.seeds import generator


def random(
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
    """Frames at random, all alike (see `Sampler`)."""
    rows = features.shape[0]
    lot = generator(seed, "sampling", "random")
    chosen = lot.permutation(rows)[: max(number, 0)].astype(np.int64)
    return Choice(chosen, [f"at random among {rows} frames"] * len(chosen))


def stratified_random(
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
    """Frames at random, as many of every source as of any other as far as it has them (see `Sampler`).

    Sources take turns, in an order drawn by lot, so that the first ones chosen are spread over all of them too.

    Raises:
        DataError: the strata are missing or do not fit the pool.
    """
    rows = features.shape[0]
    if strata is None or len(strata) != rows:
        raise DataError(f"stratified random choice among {rows} frames needs the source of each of them")
    lot = generator(seed, "sampling", "stratified-random")
    _, sources, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    shuffled = lot.permutation(rows)
    shuffled = shuffled[np.argsort(sources[shuffled], kind="stable")]  # source by source, shuffled within
    turns = np.empty(rows, dtype=np.int64)
    turns[shuffled] = np.arange(rows) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.lexsort((lot.permutation(len(sizes))[sources], turns))[: max(number, 0)]
    taken = np.bincount(sources[chosen], minlength=len(sizes))
    why = [f"at random, {taken[k]} of the {sizes[k]} frames of its source" for k in sources[chosen]]
    return Choice(chosen.astype(np.int64), why, {"sources": len(sizes)})
