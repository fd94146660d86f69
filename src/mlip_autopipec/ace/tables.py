"""Potentials as flat arrays for the kernels: spline nodes, atomic bases, a graph of products, couplings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlip_autopipec.ace.coupling import Terms
from mlip_autopipec.ace.radial import SPLINE_STEP, Bond, spline_table

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Expanded = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Terms]
"""(mus, ns, ls, {ms: coefficient}) of one function."""


PADDING = 8
"""Unused numbers after the splines: kernels read them in vectors of eight."""


class SpeciesTables(NamedTuple):
    """Everything the kernels need for one central species; see `kernels` for the meaning in formulas.

    A *leaf* is one atomic base A_{mu n l m}. Leaves with m >= 0 come first (accumulated from neighbours), then the
    mirrored ones with m < 0. A *value* is a leaf or, after the leaves, a node = product of two earlier values.
    Leaf (group, m, q) has number group_leaf + m * group_size + q and radial row group_row + q.
    """

    spline: Array  # all spline nodes, flat
    spline_start: Ints  # (species,) first number of the species' table
    rows: Ints  # (species,) radial functions of the species
    bins: Ints  # (species,)
    cutoff: Array  # (species,) Angstrom
    lmax: int
    group_start: Ints  # (species + 1,)
    group_l: Ints
    group_row: Ints
    group_size: Ints
    group_leaf: Ints
    leaf_start: Ints  # (species + 1,) range of the leaves m >= 0 of each neighbour species
    leaf_species: Ints  # (leaves with m >= 0,)
    mirror: Ints  # (leaves with m < 0,) its partner with m > 0
    mirror_sign: Array  # (-1)^m
    node_a: Ints
    node_b: Ints
    fun_start: Ints  # (functions + 1,) into value, coupling
    value: Ints
    coupling: Array
    term_start: Ints  # (functions + 1,) into slot_start: the products of each function
    slot_start: Ints  # (terms + 1,) into slot_*
    slot_leaf: Ints
    slot_local: Ints
    term_coupling: Array
    touch_start: Ints  # (functions + 1,) into touch_leaf: leaves with m >= 0 that a function depends on
    touch_leaf: Ints


class _Leaves:
    """Numbers the leaves that functions use, grouped so that one (species, l, m) is contiguous in n."""

    def __init__(self, functions: Iterable[Expanded], bonds: list[Bond]) -> None:
        used: list[dict[tuple[bool, int], int]] = [{} for _ in bonds]
        for mus, ns, ls, _ in functions:
            for mu, n, l in zip(mus, ns, ls, strict=True):
                shared = bonds[mu].is_plain
                key = (len(ns) == 1 and not shared, l)
                used[mu][key] = max(used[mu].get(key, 0), n)
        self.bonds, self.used = bonds, used
        self.groups: list[tuple[int, bool, int, int, int, int]] = []  # species, raw, l, row, size, leaf
        self.rows: list[Array] = []
        self.place: dict[tuple[int, bool, int], tuple[int, int]] = {}
        leaf = 0
        for mu, (bond, sizes) in enumerate(zip(bonds, used, strict=True)):
            parts: list[Array] = []
            row = 0
            if bond.is_plain:
                parts.append(np.eye(max(sizes.values(), default=1), bond.count))
            for (raw, l), size in sorted(sizes.items(), key=lambda item: (item[0][1], not item[0][0])):
                if not bond.is_plain:
                    parts.append(np.eye(size, bond.count) if raw else bond.coefficients[:size, l, :])
                self.groups.append((mu, raw, l, row, size, leaf))
                self.place[mu, raw, l] = (leaf, size)
                leaf += (l + 1) * size
                row += 0 if bond.is_plain else size
            self.rows.append(np.ascontiguousarray(np.vstack(parts)) if parts else np.zeros((1, bond.count)))
        self.positive = leaf
        mirrors = [
            (self.positive_number(mu, raw, l, n, m), m)
            for mu, raw, l, _, size, _ in self.groups
            for m in range(1, l + 1)
            for n in range(1, size + 1)
        ]
        self.mirror = [number for number, _ in mirrors]
        self.mirror_sign = [(-1.0) ** m for _, m in mirrors]
        self.mirrored = {number: self.positive + k for k, number in enumerate(self.mirror)}

    def positive_number(self, mu: int, raw: bool, l: int, n: int, m: int) -> int:
        start, size = self.place[mu, raw, l]
        return start + m * size + n - 1

    def numbers(self, mus: tuple[int, ...], ns: tuple[int, ...], ls: tuple[int, ...]) -> list[dict[int, int]]:
        """Per slot: leaf number by m."""
        found = []
        for mu, n, l in zip(mus, ns, ls, strict=True):
            raw = len(ns) == 1 and not self.bonds[mu].is_plain
            plus = [self.positive_number(mu, raw, l, n, m) for m in range(l + 1)]
            found.append({m: plus[m] if m >= 0 else self.mirrored[plus[-m]] for m in range(-l, l + 1)})
        return found

    def flip(self, leaf: int) -> int:
        """The leaf with -m."""
        return self.mirrored.get(leaf, leaf) if leaf < self.positive else self.mirror[leaf - self.positive]


class _Graph:
    """Products of leaves as a graph in which every node multiplies two earlier values."""

    def __init__(self, leaves: int) -> None:
        self.leaves = leaves
        self.pairs: list[tuple[int, int]] = []
        self.known: dict[tuple[int, ...], int] = {}

    def number(self, product: tuple[int, ...]) -> int:
        """Number of the value `product` (sorted leaves), adding nodes where no existing ones multiply to it."""
        if len(product) == 1:
            return product[0]
        if (found := self.known.get(product)) is not None:
            return found
        a, b = self._split(product)
        self.pairs.append((a, b))
        self.known[product] = number = self.leaves + len(self.pairs) - 1
        return number

    def _split(self, product: tuple[int, ...]) -> tuple[int, int]:
        if len(product) > 2:
            for k in range(len(product)):
                rest = self.known.get(product[:k] + product[k + 1 :])
                if rest is not None:
                    return rest, product[k]
        if len(product) == 4:
            a, b, c, d = product
            for left, right in (((a, b), (c, d)), ((a, c), (b, d)), ((a, d), (b, c))):
                if left in self.known and right in self.known:
                    return self.known[left], self.known[right]
        return self.number(product[:-1]), product[-1]


def species_tables(
    functions: list[Expanded],
    bonds: list[Bond],
    spline_step: float = SPLINE_STEP,
    charges: list[tuple[int, int]] | None = None,
) -> SpeciesTables:
    """Compile the functions of one central species; `bonds[mu]` are its radial functions towards species mu.

    With `charges` (nuclear, of the central species and of species mu) the core repulsion is the last radial row.
    """
    leaves = _Leaves(functions, bonds)
    graph = _Graph(leaves.positive + len(leaves.mirror))
    fun_start, value, coupling = [0], [], []
    term_start, slot_start, slot_leaf, slot_local, term_coupling = [0], [0], [], [], []
    touch_start: list[int] = [0]
    touch_leaf: list[int] = []
    for products in sorted_products(functions, leaves):
        touched: dict[int, int] = {}
        for product, factor in products.items():
            value.append(graph.number(product))
            coupling.append(factor)
            for leaf in product:
                base = leaf if leaf < leaves.positive else leaves.mirror[leaf - leaves.positive]
                slot_leaf.append(leaf)
                slot_local.append(touched.setdefault(base, len(touched)))
            slot_start.append(len(slot_leaf))
            term_coupling.append(factor)
        fun_start.append(len(value))
        term_start.append(len(slot_start) - 1)
        touch_leaf.extend(touched)
        touch_start.append(len(touch_leaf))
    nuclei: list[tuple[int, int] | None] = [None for _ in bonds] if charges is None else list(charges)
    tables = [
        spline_table(bond, rows, spline_step, nucleus)
        for bond, rows, nucleus in zip(bonds, leaves.rows, nuclei, strict=True)
    ]
    spline, spline_start = _joined(tables)
    n_species = len(bonds)
    columns = np.array([group[1:] for group in leaves.groups], dtype=np.int64).reshape(-1, 5)
    group_species = np.array([group[0] for group in leaves.groups], dtype=np.int64)
    group_leaves = (columns[:, 1] + 1) * columns[:, 3]
    leaf_species = np.repeat(group_species, group_leaves)

    def ints(numbers: Iterable[int]) -> Ints:
        return np.array(list(numbers), dtype=np.int64)

    return SpeciesTables(
        spline=spline,
        spline_start=ints(spline_start),
        rows=ints(table.shape[2] for table in tables),
        bins=ints(table.shape[0] - 1 for table in tables),
        cutoff=np.array([bond.cutoff for bond in bonds]),
        lmax=int(columns[:, 1].max(initial=0)),
        group_start=ints(np.searchsorted(group_species, np.arange(n_species + 1))),
        group_l=columns[:, 1].copy(),
        group_row=columns[:, 2].copy(),
        group_size=columns[:, 3].copy(),
        group_leaf=columns[:, 4].copy(),
        leaf_start=ints(np.searchsorted(leaf_species, np.arange(n_species + 1))),
        leaf_species=leaf_species,
        mirror=ints(leaves.mirror),
        mirror_sign=np.array(leaves.mirror_sign, dtype=float),
        node_a=ints(a for a, _ in graph.pairs),
        node_b=ints(b for _, b in graph.pairs),
        fun_start=ints(fun_start),
        value=ints(value),
        coupling=np.array(coupling, dtype=float),
        term_start=ints(term_start),
        slot_start=ints(slot_start),
        slot_leaf=ints(slot_leaf),
        slot_local=ints(slot_local),
        term_coupling=np.array(term_coupling, dtype=float),
        touch_start=ints(touch_start),
        touch_leaf=ints(touch_leaf),
    )


_splines: dict[tuple[int, ...], tuple[Array, list[Array]]] = {}
"""Last few results of `_joined` by the tables' identities, with the tables, so that these stay alive."""


def _joined(tables: list[Array]) -> tuple[Array, list[int]]:
    """All numbers of the tables in one array, and where each table begins.

    Equal tables (`spline_table` returns the same object) are held once, also by unlike central species: what many
    pairs of elements share stays in the processor's cache.
    """
    unique = {id(table): table for table in tables}
    starts = dict(zip(unique, np.cumsum([0, *(table.size for table in unique.values())]).tolist(), strict=False))
    if tuple(unique) not in _splines:
        joined = np.concatenate([*(table.ravel() for table in unique.values()), np.zeros(PADDING)])
        if len(_splines) >= 16:
            del _splines[next(iter(_splines))]
        _splines[tuple(unique)] = joined, list(unique.values())
    return _splines[tuple(unique)][0], [starts[id(table)] for table in tables]


def sorted_products(functions: list[Expanded], leaves: _Leaves) -> list[dict[tuple[int, ...], float]]:
    """Each function as {sorted leaves: coefficient}; a product and its conjugate (same real part) are one."""
    found = []
    for mus, ns, ls, terms in functions:
        numbers = leaves.numbers(mus, ns, ls)
        products: dict[tuple[int, ...], float] = {}
        for ms, factor in terms.items():
            product = tuple(sorted(numbers[k][m] for k, m in enumerate(ms)))
            key = min(product, tuple(sorted(leaves.flip(leaf) for leaf in product)))
            products[key] = products.get(key, 0.0) + factor
        found.append(products)
    return found


def node_coefficients(tables: SpeciesTables, coefficients: Array) -> Array:
    """Coefficients (values, P) of every leaf or node: the couplings times the functions' coefficients (F, P)."""
    size = len(tables.leaf_species) + len(tables.mirror) + len(tables.node_a)
    found = np.empty((size, coefficients.shape[1]))
    for p, column in enumerate(coefficients.T):
        per_term = np.repeat(column, np.diff(tables.fun_start)) * tables.coupling
        found[:, p] = np.bincount(tables.value, weights=per_term, minlength=size)
    return found
