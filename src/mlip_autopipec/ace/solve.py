"""Regularised linear least squares from a stream of rows: blockwise QR, ridge strength by evidence, posterior."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mlip_autopipec.errors import DataError

Array = NDArray[np.float64]

_BLOCK_NUMBERS = 32_000_000  # of a buffered block: 256 MB


@dataclass(frozen=True)
class Solution:
    """Posterior of the coefficients c for rows a with y = a c + noise, prior c_f ~ N(0, (noise / prior_f)^2 / ridge).

    Attributes:
        coefficients: (F,) posterior mean.
        ridge: strength lambda of the prior.
        log_evidence: log p(y | ridge), noise at its maximum.
        noise: standard deviation of the (weighted) rows.
        effective_parameters: sum s^2 / (s^2 + ridge), how many parameters the data determine.
        rows: number of rows that were fitted.
    """

    coefficients: Array
    ridge: float
    log_evidence: float
    noise: float
    effective_parameters: float
    rows: int
    _scales: Array = field(repr=False)
    _singular: Array = field(repr=False)
    _right: Array = field(repr=False)

    @cached_property
    def posterior_factor(self) -> Array:
        """(F, F) matrix P with covariance of the coefficients = P P^T."""
        spread: Array = self._right / np.sqrt(self._singular**2 + self.ridge)
        return (self.noise * self._scales)[:, None] * spread

    def reordered(self, order: ArrayLike) -> Solution:
        """The same solution with coefficient `order[k]` (F,) in place k."""
        order = np.asarray(order)
        return replace(
            self, coefficients=self.coefficients[order], _scales=self._scales[order], _right=self._right[order]
        )


class Factor:
    """R of the QR factorisation of all rows [A | y] so far; memory grows with the square of the columns only.

    Rows appended later (an active-learning generation) cost only themselves. Weights are the caller's: multiply rows
    and targets before appending.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = 0
        self._triangle: Array = np.zeros((0, columns + 1))
        self._buffer: list[Array] = []
        self._buffered = 0
        self._block = max(columns, min(4 * columns + 1024, _BLOCK_NUMBERS // (columns + 1)))

    def append(self, rows: ArrayLike, targets: ArrayLike) -> None:
        """Add `rows` (m, columns) with `targets` (m,).

        Raises:
            DataError: wrong shapes, or numbers that are not finite.
        """
        a, y = np.atleast_2d(np.asarray(rows, dtype=float)), np.atleast_1d(np.asarray(targets, dtype=float))
        if a.shape != (len(y), self.columns):
            raise DataError(f"rows {a.shape} and targets {y.shape} do not fit a factor of {self.columns} columns.")
        if not (np.isfinite(a).all() and np.isfinite(y).all()):
            raise DataError("rows or targets hold numbers that are not finite; leave that structure out.")
        self._buffer.append(np.column_stack([a, y]))
        self._buffered += len(y)
        self.rows += len(y)
        if self._buffered >= self._block:
            self._reduce()

    def merge(self, other: Factor, weight: float = 1.0) -> None:
        """Add all rows of another factor with the same columns, times `weight`."""
        if other.columns != self.columns:
            raise DataError(f"a factor of {other.columns} columns cannot be merged into one of {self.columns}.")
        rows = self.rows + other.rows
        triangle = weight * other.triangle
        self.append(triangle[:, :-1], triangle[:, -1])
        self.rows = rows

    def leading(self, columns: int) -> Factor:
        """The factor of the first `columns` columns alone: it is the leading block of the triangle."""
        if not 0 < columns <= self.columns:
            raise DataError(f"a factor of {self.columns} columns has no first {columns}.")
        triangle = self.triangle
        rest = np.zeros((1, columns + 1))
        rest[0, -1] = np.linalg.norm(triangle[columns:, -1])
        part = Factor(columns)
        part.rows = self.rows
        part._triangle = np.vstack([np.column_stack([triangle[:columns, :columns], triangle[:columns, -1]]), rest])
        return part

    def misfit(self, coefficients: ArrayLike) -> float:
        """Sum of squares of rows @ coefficients (columns,) - targets over all rows, exact from the triangle."""
        triangle = self.triangle
        residual = triangle[:, :-1] @ np.asarray(coefficients, dtype=float) - triangle[:, -1]
        return float(residual @ residual)

    @classmethod
    def of_triangle(cls, triangle: ArrayLike, rows: int) -> Factor:
        """The factor whose `triangle` was kept, of so many rows."""
        triangle = np.array(triangle, dtype=float)
        factor = cls(triangle.shape[1] - 1)
        factor.rows, factor._triangle = int(rows), triangle
        return factor

    def _reduce(self) -> None:
        if self._buffered:
            stacked = np.vstack([self._triangle, *self._buffer])
            (r,) = scipy.linalg.qr(stacked, mode="r", overwrite_a=True, check_finite=False)
            self._triangle = np.ascontiguousarray(r[: self.columns + 1])
            self._buffer, self._buffered = [], 0

    @property
    def triangle(self) -> Array:
        """Upper triangular (at most columns + 1 rows) R of [A | y]."""
        self._reduce()
        return self._triangle

    def solve(self, prior: ArrayLike | None = None, ridge: float | None = None, widest: float = np.inf) -> Solution:
        """Posterior mean of the coefficients.

        Args:
            prior: (F,) positive weights g; coefficients are expected proportional to 1/g. None: all 1.
            ridge: fixed strength; None: the one with the largest evidence (D. J. C. MacKay, Neural Computation 4, 415
                (1992)), noise eliminated at its maximum.
            widest: largest standard deviation that the prior of a coefficient with weight 1 may have. The evidence of
                data that hardly vary (one molecule, rattled) knows no limit: it would buy the last digit of the fit
                with coefficients of 1e9 that cancel in the data and nowhere else.

        Raises:
            DataError: no rows, or a prior of the wrong shape or sign.
        """
        if not self.rows:
            raise DataError("there is nothing to fit: no rows were appended.")
        weights = np.ones(self.columns) if prior is None else np.asarray(prior, dtype=float)
        if weights.shape != (self.columns,) or not (np.isfinite(weights).all() and (weights > 0).all()):
            raise DataError(f"the prior must be {self.columns} positive numbers.")
        if ridge is not None and not ridge > 0:
            raise DataError(f"ridge = {ridge} must be positive.")
        scales = 1 / weights
        triangle = self.triangle
        head = triangle[: self.columns]
        rest = float((triangle[self.columns :, -1] ** 2).sum())
        left, singular, right = scipy.linalg.svd(head[:, :-1] * scales, full_matrices=False, check_finite=False)
        along = left.T @ head[:, -1]
        if singular[0] == 0.0:
            raise DataError(
                "all rows are zero: no structure has neighbours within the cutoff. Take a larger one "
                "(training.cutoff_angstrom)."
            )
        evidence = _Evidence(singular**2, along**2, rest, self.rows)
        chosen = evidence.best(widest) if ridge is None else ridge
        log_evidence, noise = evidence(chosen)
        return Solution(
            coefficients=scales * (right.T @ (singular * along / (singular**2 + chosen))),
            ridge=float(chosen),
            log_evidence=log_evidence,
            noise=noise,
            effective_parameters=float((singular**2 / (singular**2 + chosen)).sum()),
            rows=self.rows,
            _scales=scales,
            _singular=np.concatenate([singular, np.zeros(self.columns - len(singular))]),
            _right=_complete(right).T,
        )


def _complete(right: Array) -> Array:
    """Orthonormal rows extended to a full basis, where fewer rows than columns were fitted."""
    if right.shape[0] == right.shape[1]:
        return right
    return np.vstack([right, scipy.linalg.null_space(right).T])


@dataclass(frozen=True)
class _Evidence:
    """log p(y | ridge) of ridge regression as a function of the ridge, from squared singular values."""

    squares: Array
    along: Array
    rest: float
    rows: int

    def __call__(self, ridge: float) -> tuple[float, float]:
        misfit = self.rest + float((self.along * ridge / (self.squares + ridge)).sum())
        variance = max(misfit / self.rows, 1e-300)
        gain = float(np.log1p(self.squares / ridge).sum())
        return -0.5 * (self.rows * (np.log(2 * np.pi * variance) + 1) + gain), float(np.sqrt(variance))

    def best(self, widest: float) -> float:
        """The strength of the largest evidence on a fixed grid of 20 per decade, coarse scan first; not so weak that
        the prior's standard deviation, noise / sqrt(ridge), exceeds `widest`.

        The grid starts 30 decades below the largest squared singular value: one heavy column (a free reference
        energy) must not push the others' strengths out of the scan. It is fixed because the evidence is flat at its
        maximum: a search without a grid stops at a place that rounding decides, and the same rows in another order
        would give other coefficients.
        """
        top = round(20 * float(np.log10(self.squares[0])))

        def value(k: int) -> float:
            ridge = 10.0 ** (k / 20)
            found, noise = self(ridge)
            return found if noise <= widest * np.sqrt(ridge) else -np.inf

        near = max(range(top - 600, top + 21, 5), key=value)
        return float(10.0 ** (max(range(near - 5, near + 6), key=value) / 20))
