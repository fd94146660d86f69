"""Which environments span what a potential has learnt (D-optimality), and how far a new one lies outside: gamma.

Method: Y. Lysogorskiy et al., Phys. Rev. Materials 7, 043801 (2023); MaxVol: S. A. Goreinov et al., in Matrix Methods:
Theory, Algorithms and Applications (2010), p. 247.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from ase import Atoms
from numba import njit
from numpy.typing import NDArray

from mlip_autopipec.ace.basis import Basis
from mlip_autopipec.ace.evaluate import project
from mlip_autopipec.errors import DataError

Array = NDArray[np.float64]

VIRTUAL = 1e-6
"""Size of the virtual environments, in units of each column's largest value. Directions in which the data vary less
than this are noise to the inverse: chosen so that gamma of training atoms stays 1 to 1e-3 at condition 1e10."""


@dataclass(frozen=True)
class ActiveSet:
    """Active set of one element.

    Attributes:
        rows: numbers of the chosen environments in the matrix that was given; fewer than F when `virtual` > 0.
        inverse: (F, F); gamma of an environment b is max |b @ inverse|.
        virtual: directions that no environment excites; gamma is large as soon as one is.
        swaps: MaxVol exchanges after the first choice.
    """

    rows: NDArray[np.int64]
    inverse: Array
    virtual: int
    swaps: int


@njit(cache=True, fastmath=True)
def _exchange(ratios, chosen, tolerance, limit):  # type: ignore[no-untyped-def]
    """MaxVol: swap rows into the square submatrix while some |ratio| exceeds the tolerance; ratios = A A_active^-1."""
    rows, columns = ratios.shape
    bi, bj, best = 0, 0, 0.0
    for i in range(rows):
        for j in range(columns):
            if abs(ratios[i, j]) > best:
                bi, bj, best = i, j, abs(ratios[i, j])
    swaps = 0
    pivot_row = np.empty(columns)
    while best > tolerance and swaps < limit:
        pivot = ratios[bi, bj]
        for j in range(columns):
            pivot_row[j] = ratios[bi, j] / pivot
        pivot_row[bj] = (ratios[bi, bj] - 1.0) / pivot
        chosen[bj] = bi
        column = bj
        best = 0.0
        for i in range(rows):
            factor = ratios[i, column]
            for j in range(columns):
                ratios[i, j] -= factor * pivot_row[j]
                size = abs(ratios[i, j])
                if size > best:
                    bi, bj, best = i, j, size
        swaps += 1
    return swaps


def maxvol(matrix: Array, tolerance: float = 1.001, max_swaps: int = 10000) -> tuple[NDArray[np.int64], int]:
    """Rows (F,) of `matrix` (n, F), n >= F, whose square submatrix has locally maximal volume, and the swaps made.

    Every row is then a combination of the chosen ones with coefficients of at most `tolerance` in size. The matrix
    must have full column rank.
    """
    n, size = matrix.shape
    _, pivots = scipy.linalg.lu_factor(matrix, check_finite=False)
    order = np.arange(n)
    for k, p in enumerate(pivots):
        order[[k, p]] = order[[p, k]]
    chosen = order[:size].copy()
    swaps = 0
    for _ in range(10):  # updates accumulate rounding: start afresh until nothing changes
        ratios = scipy.linalg.solve(matrix[chosen].T, matrix.T, check_finite=False).T.copy()
        made = int(_exchange(ratios, chosen, tolerance, max_swaps - swaps))
        swaps += made
        if not made or swaps >= max_swaps:
            break
    return chosen, swaps


def select(projections: Array, element: str = "?", tolerance: float = 1.001) -> ActiveSet:
    """Active set of one element from the projections (n, F) of its environments.

    Columns are scaled to the same size before the selection and the inverse is scaled back. One small virtual
    environment per function is offered too; it is taken only where the data leave a direction empty (a function that
    is always zero, too uniform structures), so that gamma sees such a direction instead of being blind to it.

    Raises:
        DataError: fewer environments than functions, or values that are not finite.
    """
    n, size = projections.shape
    if not np.isfinite(projections).all():
        raise DataError(f"projections of {element} hold numbers that are not finite.")
    if n < size:
        raise DataError(
            f"element {element}: {n} environments cannot determine {size} functions. Add structures with at least "
            f"{size - n} more {element} atoms, or lower the degrees of the basis."
        )
    largest = np.abs(projections).max(axis=0)
    live = largest > 1e-12 * largest.max()
    scale = np.where(live, largest, np.median(largest[live])) if live.any() else np.ones(size)
    scaled = np.vstack([projections / scale, VIRTUAL * np.eye(size)])
    chosen, swaps = maxvol(scaled, tolerance)
    inverse = scipy.linalg.inv(scaled[chosen], check_finite=False) / scale[:, None]
    real = chosen[chosen < n]
    return ActiveSet(np.sort(real), np.ascontiguousarray(inverse), size - len(real), swaps)


def gamma(projections: Array, inverse: Array) -> Array:
    """Extrapolation grade (n,) of environments with `projections` (n, F): 1 is the edge of the training data."""
    if projections.shape[1] != inverse.shape[0]:
        raise DataError(
            f"{projections.shape[1]} functions meet an active set of {inverse.shape[0]}: potential and active set "
            "belong to different trainings."
        )
    if not len(projections):
        return np.zeros(0)
    return np.asarray(np.abs(projections @ inverse).max(axis=1))


def active_sets(basis: Basis, structures: Sequence[Atoms], tolerance: float = 1.001) -> dict[str, ActiveSet]:
    """Active set of every element of the basis from all environments of `structures`; row numbers count an element's
    atoms through all structures in order.

    Raises:
        DataError: an element has fewer environments than functions, or a structure cannot be evaluated.
    """
    blocks: list[list[Array]] = [[np.zeros((0, count))] for count in basis.counts]
    for atoms in structures:
        for mu, (_, values) in enumerate(project(basis, atoms)):
            blocks[mu].append(values)
    return {
        element: select(np.vstack(blocks[mu]), element, tolerance)
        for mu, element in enumerate(basis.elements)
        if basis.counts[mu]
    }


def gammas(basis: Basis, inverses: Mapping[str, Array], atoms: Atoms) -> Array:
    """Extrapolation grade (N,) of every atom of a structure."""
    grades = np.zeros(len(atoms))
    for element, (chosen, values) in zip(basis.elements, project(basis, atoms), strict=True):
        if len(chosen):
            if element not in inverses:
                raise DataError(f"the active set lacks element {element}: it belongs to another potential.")
            grades[chosen] = gamma(values, inverses[element])
    return grades
