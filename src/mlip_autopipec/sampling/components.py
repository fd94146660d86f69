"""The space in which frames are near or far: weighted principal components, fitted in one pass over blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mlip_autopipec.errors import DataError
from mlip_autopipec.sampling.samplers import Block, Features

_CONSTANT = 1e-6
"""A column whose standard deviation is below this share of its own root mean square, or a tenth of this share of the
largest one's, holds rounding errors of float32 (6e-8) and says nothing."""

WEIGHTING = "plain"
"""How components are weighted where nothing else is said: 'plain' not at all, so that each varies as the features do
along it; 'white' to the same variance; 'share' by the share of variance that each explains, as published with DIRECT.
The last leaves little of all but the first one or two components: an alloy needed three times the labels with it
(`benchmarks/choosing.py`)."""


@dataclass(frozen=True)
class Components:
    """Principal components of standardised features.

    Attributes:
        mean, scale: (F,) of the features; the scale of constant ones is 1.
        vectors: (F, components), columns of length one with zeros for constant features.
        eigenvalues: (components,) of the correlation matrix, in descending order.
        variances: (components,) share of the whole variance that each explains.
        weighting: of the scores (see `WEIGHTING`).
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    vectors: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    variances: NDArray[np.float64]
    weighting: str = "plain"

    @property
    def number(self) -> int:
        return len(self.eigenvalues)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(components,) what each score is multiplied by."""
        if self.weighting == "white":
            return 1.0 / np.sqrt(np.where(self.eigenvalues > 0, self.eigenvalues, 1.0))
        return self.variances if self.weighting == "share" else np.ones(self.number)

    def scores(self, block: NDArray[Any]) -> Block:
        """(rows, F) features to (rows, components) weighted scores."""
        weighted = self.vectors * self.weights / self.scale[:, None]
        centred = np.asarray(block, dtype=np.float32) - self.mean.astype(np.float32)
        scores: Block = centred @ weighted.astype(np.float32)
        return scores


def fit(
    features: Features, seen: NDArray[Any] | None = None, *, least: int = 1, weighting: str | None = None
) -> Components:
    """Principal components with an eigenvalue above one, of all rows of the pool and of what is in the dataset.

    Every feature is standardised first (Qi, Ko, Wood, Pham, Ong, npj Comput. Mater. 10, 43, 2024). Memory: one block
    and two F x F matrices.

    Args:
        least: components there are at least, where there are as many features.
        weighting: of the scores: 'share', 'plain' or 'white'; `WEIGHTING` when None.

    Raises:
        DataError: a feature is not finite, or `seen` has other columns.
    """
    columns, weighting = features.shape[1], weighting or WEIGHTING
    rows, shift = 0, np.zeros(columns, dtype=np.float32)
    total, squares, product = np.zeros(columns), np.zeros(columns), np.zeros((columns, columns))
    for block in _with_seen(features, seen):
        if not rows and len(block):
            shift = block.mean(axis=0, dtype=np.float64).astype(np.float32)  # sums of what is left do not cancel
        left = np.asarray(block, dtype=np.float32) - shift
        sums = left.sum(axis=0, dtype=np.float64)
        if not np.isfinite(sums).all():
            row = rows + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[:1].sum())
            raise DataError(f"row {row} of the features holds values that are not finite numbers")
        total += sums
        squares += np.einsum("ij,ij->j", left, left, dtype=np.float64)
        product += left.T @ left  # in single precision: correlations are good to 1e-6, in half the time
        rows += len(left)
    rows = max(rows, 1)
    offset = total / rows
    mean = shift + offset
    covariance = product / rows - np.outer(offset, offset)
    deviation = np.sqrt(np.maximum(squares / rows - offset**2, 0.0))
    size = np.sqrt(deviation**2 + mean**2)
    varying = deviation > np.maximum(_CONSTANT * size, 0.1 * _CONSTANT * size.max(initial=0.0))
    scale = np.where(varying, deviation, 1.0)
    kept = np.flatnonzero(varying)
    vectors = np.zeros((columns, max(1, min(least, columns))))
    if len(kept) == 0:
        nothing = np.zeros(vectors.shape[1])
        return Components(mean, scale, vectors, nothing, nothing, weighting)
    correlation = covariance[np.ix_(kept, kept)] / np.outer(scale[kept], scale[kept])
    np.fill_diagonal(correlation, 1.0)
    least = min(max(least, 1), len(kept))
    values, directions = scipy.linalg.eigh(correlation, subset_by_value=(1.0, np.inf))
    if len(values) < least:
        values, directions = scipy.linalg.eigh(correlation, subset_by_index=(len(kept) - least, len(kept) - 1))
    values, directions, number = values[::-1], directions[:, ::-1], len(values)
    strongest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[strongest, np.arange(number)])  # the sign of a direction is free
    vectors = np.zeros((columns, number))
    vectors[kept] = directions
    return Components(mean, scale, vectors, values, np.maximum(values, 0.0) / len(kept), weighting)


def _with_seen(features: Features, seen: NDArray[Any] | None) -> Iterator[NDArray[Any]]:
    yield from features.blocks()
    if seen is not None and len(seen):
        if seen.shape[1] != features.shape[1]:
            raise DataError(f"features of {features.shape[1]} and of {seen.shape[1]} columns cannot be compared")
        yield np.asarray(seen)
