"""The map of configuration space: what was seen before generation 0 was chosen, on principal components.

They are fitted once and kept, so that frames found later are drawn into the same map.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.sampling.components import Components, fit
from mlip_autopipec.sampling.pool import Pool, rows_of
from mlip_autopipec.sampling.samplers import ArrayFeatures

KEPT_ROWS = 5000  # of the pool: a mean over them is good to about 1 %, and distances between them need no streaming
ROWS_PER_SOURCE = 20  # of every source, however short
_AXES = ("mean", "scale", "vectors", "eigenvalues", "variances")
_ROWS = ("scores", "weight", "uid", "config_type", "source")
_COUNTS = ("count_source", "count_type", "count_seen")


@dataclass(frozen=True)
class PoolMap:
    """What was seen before generation 0 was chosen.

    Attributes:
        components: K principal components of the rows kept, those with an eigenvalue above one, but two at least.
        scores: (n, K) float32 of the rows kept (every chosen one, and the others evenly along each source), not
            weighted: distances between them count standard deviations of a feature.
        weight: (n,) how many frames of the pool a row stands for; 0 for one that is kept only because it was chosen.
        uid, config_type, source: (n,) words.
        counts: frames of the whole pool by (source, config_type), in the order of the pool.
    """

    components: Components
    scores: NDArray[np.float32]
    weight: NDArray[np.float64]
    uid: NDArray[np.str_]
    config_type: NDArray[np.str_]
    source: NDArray[np.str_]
    counts: dict[tuple[str, str], int]

    @property
    def seen(self) -> int:
        """Frames of the whole pool."""
        return sum(self.counts.values())

    def place(self, vectors: ArrayLike) -> NDArray[np.float64]:
        """(n, K) scores of (n, F) raw vectors.

        Raises:
            DataError: the vectors have another number of features than the pool, or are not finite.
        """
        return _scores(self.components, np.asarray(vectors, dtype=float))


def _scores(axes: Components, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    if rows.ndim != 2 or rows.shape[1] != len(axes.mean):
        got = rows.shape[-1] if rows.ndim else 0
        raise DataError(f"the map was made of {len(axes.mean)} features and these frames have {got}: not of one kind")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise DataError(f"the descriptor of frame {bad[0]} is not a number: it has no place on the map")
    scores: NDArray[np.float64] = ((rows - axes.mean) / axes.scale) @ axes.vectors
    return scores


def pool_map(pool: Pool, chosen: ArrayLike, kept_rows: int = KEPT_ROWS) -> PoolMap:
    """The map of a pool that may be too large for the memory; only the features that are kept are read into it.

    Args:
        pool: of equal frames (same uid) the first one counts.
        chosen: indices of what was chosen.
        kept_rows: how many rows are kept; more only for short sources and chosen rows.

    Raises:
        DataError: the pool is empty, or a row that is kept is not finite.
    """
    if not len(pool):
        raise DataError("there is no frame to make a map of")
    first = np.sort(np.unique(pool.uid, return_index=True)[1])
    sources, codes = np.unique(pool.source[first], return_inverse=True)
    weight = np.zeros(len(pool))
    for code in range(len(sources)):
        own = first[codes == code]
        number = min(len(own), max(ROWS_PER_SOURCE, round(kept_rows * len(own) / len(first))))
        weight[own[evenly(len(own), number)]] = len(own) / number
    kept = np.union1d(np.flatnonzero(weight), np.asarray(chosen, dtype=np.int64))
    vectors = rows_of(pool.features, kept)
    axes = fit(ArrayFeatures(vectors), least=2)
    counts = Counter(zip(pool.source[first].tolist(), pool.config_type[first].tolist(), strict=True))
    return PoolMap(
        axes,
        _scores(axes, vectors.astype(float)).astype(np.float32),
        weight[kept],
        np.char.decode(pool.uid[kept], "ascii"),
        pool.config_type[kept].astype(np.str_),
        pool.source[kept].astype(np.str_),
        dict(counts),
    )


def evenly(length: int, number: int) -> NDArray[np.int64]:
    """`number` of the indices below `length`: the middles of as many equal parts."""
    return ((np.arange(number) + 0.5) * length / max(number, 1)).astype(np.int64)


def write_map(path: str | os.PathLike[str], found: PoolMap) -> None:
    """Write a map as .npz, whole or not at all."""
    arrays = {name: getattr(found.components, name) for name in _AXES} | {name: getattr(found, name) for name in _ROWS}
    counts = found.counts
    arrays["count_source"] = np.array([name for name, _ in counts], dtype=np.str_)
    arrays["count_type"] = np.array([kind for _, kind in counts], dtype=np.str_)
    arrays["count_seen"] = np.array(list(counts.values()), dtype=np.int64)
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def read_map(path: str | os.PathLike[str]) -> PoolMap:
    """Read a map that `write_map` wrote.

    Raises:
        InputFileError: the file is missing, damaged or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise InputFileError(path, "no such file", "Run the rule sample, which makes it.")
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in (*_AXES, *_ROWS, *_COUNTS)}
        axes = Components(*(arrays[name] for name in _AXES))
        rows = {len(arrays[name]) for name in _ROWS}
        if rows != {len(arrays["scores"])} or arrays["scores"].shape[1:] != axes.vectors.shape[1:]:
            raise ValueError("its arrays do not belong together")
        counted = zip(*(arrays[name].tolist() for name in _COUNTS), strict=True)
        counts = {(name, kind): n for name, kind, n in counted}
        return PoolMap(axes, **{name: arrays[name] for name in _ROWS}, counts=counts)
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        mend = "Delete it and run again; the rule sample makes it anew."
        raise InputFileError(path, f"not readable as a map of the pool ({error})", mend) from None
