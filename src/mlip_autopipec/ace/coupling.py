"""Angular coupling of ACE: Clebsch-Gordan products along a binary tree, compressed, and which ones are independent.

Method: R. Drautz, Phys. Rev. B 99, 014104 (2019); Y. Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache, lru_cache
from itertools import product
from math import factorial, sqrt

import numpy as np
from numpy.typing import NDArray

from mlip_autopipec.errors import DataError

Terms = dict[tuple[int, ...], float]
"""Coefficient of each tuple (m_1, ..., m_rank) of a function."""

MAX_RANK = 6


@cache
def clebsch_gordan(l1: int, m1: int, l2: int, m2: int, big_l: int, big_m: int) -> float:
    """<l1 m1 l2 m2 | L M> for integer momenta, Condon-Shortley phase (Racah's formula, exact under the root).

    Source: D. A. Varshalovich, A. N. Moskalev, V. K. Khersonskii, Quantum Theory of Angular Momentum (1988), 8.2.
    """
    if m1 + m2 != big_m or not abs(l1 - l2) <= big_l <= l1 + l2:
        return 0.0
    if abs(m1) > l1 or abs(m2) > l2 or abs(big_m) > big_l:
        return 0.0
    f = factorial
    outer = Fraction(
        (2 * big_l + 1) * f(l1 + l2 - big_l) * f(l1 - l2 + big_l) * f(-l1 + l2 + big_l), f(l1 + l2 + big_l + 1)
    )
    outer *= f(big_l + big_m) * f(big_l - big_m) * f(l1 - m1) * f(l1 + m1) * f(l2 - m2) * f(l2 + m2)
    total = Fraction(0)
    for k in range(max(0, l2 - big_l - m1, l1 - big_l + m2), min(l1 + l2 - big_l, l1 - m1, l2 + m2) + 1):
        below = f(k) * f(l1 + l2 - big_l - k) * f(l1 - m1 - k) * f(l2 + m2 - k)
        below *= f(big_l - l2 + m1 + k) * f(big_l - l1 - m2 + k)
        total += Fraction((-1) ** k, below)
    return (1 if total > 0 else -1) * sqrt(outer * total * total) if total else 0.0


@cache
def coupling_tree(rank: int) -> tuple[tuple[int, int], ...]:
    """Pairs of nodes that are coupled, in order; nodes 0..rank-1 are the leaves, rank.. the intermediates.

    Leaves are coupled (0,1), (2,3), ...; then the intermediates in the order they were made; an odd last leaf joins
    at the very end. The last pair is the root, L = 0. Rank 1 has no pair.
    """
    if not 1 <= rank <= MAX_RANK:
        raise DataError(f"a function of rank {rank} cannot be coupled: ranks 1 to {MAX_RANK} are supported.")
    pairs = [(k, k + 1) for k in range(0, rank - 1, 2)]
    queue = list(range(rank, rank + len(pairs)))
    while len(queue) > 1:
        pairs.append((queue.pop(0), queue.pop(0)))
        queue.append(rank + len(pairs) - 1)
    if rank % 2 and rank > 1:
        pairs.append((queue[0], rank - 1))
    return tuple(pairs)


@cache
def intermediate_momenta(ls: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """All tuples of intermediate L (`lint`, rank-2 numbers) by which `ls` couple to an even-parity scalar."""
    rank = len(ls)
    if sum(ls) % 2:
        return ()
    if rank == 1:
        return ((),) if ls == (0,) else ()
    pairs = coupling_tree(rank)
    found: list[tuple[int, ...]] = []

    def extend(momenta: list[int], step: int) -> None:
        first, second = (momenta[k] for k in pairs[step])
        if step == len(pairs) - 1:
            if first == second:
                found.append(tuple(momenta[rank:]))
            return
        for big_l in range(abs(first - second), first + second + 1):
            extend([*momenta, big_l], step + 1)

    extend(list(ls), 0)
    return tuple(found)


@lru_cache(maxsize=4096)
def _half_basis(ls: tuple[int, ...], lint: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], float], ...]:
    """(ms, coefficient) of all ms with sum 0 whose first non-zero m is positive, doubled; all-zero ms once."""
    rank = len(ls)
    if rank == 1:
        return (((0,), 1.0),)
    pairs = coupling_tree(rank)
    momenta = [*ls, *lint, 0]
    terms = []
    for free in product(*(range(-l, l + 1) for l in ls[:-1])):
        last = -sum(free)
        if abs(last) > ls[-1]:
            continue
        ms = (*free, last)
        lead = next((m for m in ms if m), 0)
        if lead < 0:
            continue
        projections = list(ms)
        value = 2.0 if lead else 1.0
        for node, (first, second) in enumerate(pairs, start=rank):
            big_m = projections[first] + projections[second]
            value *= clebsch_gordan(
                momenta[first], projections[first], momenta[second], projections[second], momenta[node], big_m
            )
            projections.append(big_m)
            if value == 0.0:
                break
        if abs(value) > 1e-15:
            terms.append((ms, value))
    return tuple(terms)


def coupled_terms(
    mus: tuple[int, ...], ns: tuple[int, ...], ls: tuple[int, ...], lint: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Terms]:
    """The function (mus, ns, ls, lint) as a sum of products: (mus, ns, ls) in stored order and its terms.

    For each ms the tuples (mu, n, l, m) are sorted and equal products merged. That form replaces the original only
    where merging made the function shorter, because this is what the existing evaluators do and their order of
    functions (which an active set relies on) depends on it.
    """
    original = _half_basis(ls, lint)
    merged: dict[tuple[tuple[int, int, int, int], ...], float] = {}
    for ms, value in original:
        key = tuple(sorted(zip(mus, ns, ls, ms, strict=True)))
        merged[key] = merged.get(key, 0.0) + value
    kept = {key: value for key, value in merged.items() if abs(value) > 1e-15}
    if len(kept) == len(original):
        return mus, ns, ls, dict(original)
    order = sorted(zip(mus, ns, ls, strict=True))
    smus, sns, sls = (tuple(column) for column in zip(*order, strict=True))
    return smus, sns, sls, {tuple(entry[3] for entry in key): value for key, value in sorted(kept.items())}


@lru_cache(maxsize=65536)
def _independent(ls: tuple[int, ...], groups: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """As `independent_couplings`, for slots whose equality of (mu, n) is given by `groups`."""
    candidates = intermediate_momenta(ls)
    if len(ls) <= 2 or not candidates:
        return candidates
    index: dict[tuple[tuple[int, int, int], ...], int] = {}
    columns: list[dict[int, float]] = []
    for lint in candidates:
        column: dict[int, float] = {}
        for ms, value in _half_basis(ls, lint):
            slots = tuple(sorted(zip(groups, ls, ms, strict=True)))
            flipped = tuple(sorted((g, l, -m) for g, l, m in slots))
            row = index.setdefault(min(slots, flipped), len(index))  # a product and its conjugate: one real part
            column[row] = column.get(row, 0.0) + value
        columns.append(column)
    matrix = np.zeros((len(index), len(candidates)))
    for k, column in enumerate(columns):
        matrix[list(column), k] = list(column.values())
    return tuple(candidates[k] for k in _independent_columns(matrix))


def _independent_columns(matrix: NDArray[np.float64], tolerance: float = 1e-8) -> list[int]:
    """Columns that span the matrix: QR with column pivoting; equal pivots go to the first (reproducible anywhere)."""
    rest = matrix.copy()
    chosen: list[int] = []
    for _ in range(min(matrix.shape)):
        norms = np.linalg.norm(rest, axis=0)
        if norms.max() <= tolerance:
            break
        pivot = int(np.flatnonzero(norms >= norms.max() * (1 - 1e-9))[0])
        chosen.append(pivot)
        direction = rest[:, pivot] / norms[pivot]
        rest -= np.outer(direction, direction @ rest)
        rest -= np.outer(direction, direction @ rest)
    return sorted(chosen)


def independent_couplings(
    mus: tuple[int, ...], ns: tuple[int, ...], ls: tuple[int, ...]
) -> tuple[tuple[int, ...], ...]:
    """The intermediate momenta `lint` that give linearly independent functions for sorted slots (mu, n, l).

    Permutation symmetry of equal slots makes some couplings vanish or depend on each other; a rank-revealing QR of
    the merged coefficient vectors keeps a largest independent subset.
    """
    seen: dict[tuple[int, int], int] = {}
    groups = tuple(seen.setdefault(slot, len(seen)) for slot in zip(mus, ns, strict=True))
    return _independent(ls, groups)
