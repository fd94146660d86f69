"""Plans: what the kernels in `lanes` need, made from the tables, coefficients and embedding of one central species."""

from __future__ import annotations

from collections import Counter

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from mlip_autopipec.ace import lanes
from mlip_autopipec.ace.embedding import KINDS, LINEAR, Embedding
from mlip_autopipec.ace.lanes import Plan
from mlip_autopipec.ace.radial import Bond
from mlip_autopipec.ace.tables import SpeciesTables

Array = NDArray[np.float64]


def core_kind(bonds: list[Bond], embedding: Embedding) -> int:
    """How the core repulsion of a central species works, see `lanes`.

    It is there also where nothing repels but the ACE part is switched: by `zbl`'s inner cutoff, or by a switch of the
    core density so wide that it does not begin above 0.
    """
    if bonds[0].inner_kind == "zbl":
        return lanes.NEAREST
    switched = embedding.core_cut < embedding.core_width
    return lanes.DENSITY if switched or any(bond.has_core for bond in bonds) else lanes.NO_CORE


def charges(elements: tuple[str, ...], central: int) -> list[tuple[int, int]]:
    """Nuclear charges of the central species and of every neighbour species."""
    return [(atomic_numbers[elements[central]], atomic_numbers[e]) for e in elements]


def evaluation_plan(
    tables: SpeciesTables, coefficients: Array, bonds: list[Bond], embedding: Embedding = LINEAR, constant: float = 0.0
) -> Plan:
    """Plan of energies and forces; `coefficients` (values, P) belong to leaves and nodes, `constant` is E0 in eV."""
    if embedding.is_linear:
        coefficients = (coefficients[:, : embedding.densities] @ embedding.weights)[:, None]
    base = len(tables.leaf_species) + len(tables.mirror)
    nodes = len(tables.node_a)
    inner = np.zeros(nodes, dtype=bool)
    wanted = np.asarray(coefficients.any(axis=1), dtype=bool)
    for n in range(nodes - 1, -1, -1):
        if wanted[base + n] or inner[n]:
            for factor in (tables.node_a[n], tables.node_b[n]):
                if factor >= base:
                    inner[factor - base] = True
    number = np.concatenate([np.arange(base), base + np.cumsum(inner) - 1])
    node_a, node_b = number[tables.node_a], number[tables.node_b]
    ends = np.flatnonzero(~inner & wanted[base:])
    single = np.flatnonzero(wanted & np.concatenate([np.ones(base, dtype=bool), inner]))
    frequency = Counter([*node_a[ends].tolist(), *node_b[ends].tolist()])
    runs: dict[int, list[tuple[int, int]]] = {}
    for n in ends.tolist():
        a, b = int(node_a[n]), int(node_b[n])
        head, tail = (a, b) if (frequency[a], a) >= (frequency[b], b) else (b, a)
        runs.setdefault(head, []).append((tail, base + n))
    ordered = [(head, sorted(runs[head])) for head in sorted(runs)]
    terms = [term for _, run in ordered for term in run]
    return _plan(
        tables,
        bonds,
        node_a[inner],
        node_b[inner],
        single=number[single],
        single_c=np.ascontiguousarray(coefficients[single]),
        run_head=np.array([head for head, _ in ordered], dtype=np.int64),
        run_start=np.cumsum([0, *(len(run) for _, run in ordered)], dtype=np.int64),
        tail=np.array([tail for tail, _ in terms], dtype=np.int64),
        term_c=np.ascontiguousarray(coefficients[[old for _, old in terms]]),
        embedding=embedding,
        constant=constant,
        core=core_kind(bonds, embedding),
    )


def projection_plan(tables: SpeciesTables, bonds: list[Bond]) -> Plan:
    """Plan of all products without coefficients."""
    none, no_numbers = np.zeros((0, 1)), np.zeros(0, dtype=np.int64)
    return _plan(
        tables, bonds, tables.node_a, tables.node_b, single=no_numbers, single_c=none, run_head=no_numbers,
        run_start=np.zeros(1, dtype=np.int64), tail=no_numbers, term_c=none, embedding=LINEAR, constant=0.0,
        core=lanes.NO_CORE,
    )  # fmt: skip


def _plan(
    tables: SpeciesTables,
    bonds: list[Bond],
    node_a: NDArray[np.int64],
    node_b: NDArray[np.int64],
    *,
    single: NDArray[np.int64],
    single_c: Array,
    run_head: NDArray[np.int64],
    run_start: NDArray[np.int64],
    tail: NDArray[np.int64],
    term_c: Array,
    embedding: Embedding,
    constant: float,
    core: int,
) -> Plan:
    linear = embedding.is_linear
    return Plan(
        spline=tables.spline,
        spline_start=tables.spline_start,
        rows=tables.rows,
        bins=tables.bins,
        cutoff=tables.cutoff,
        lmax=tables.lmax,
        group_start=tables.group_start,
        group_l=tables.group_l,
        group_row=tables.group_row,
        group_size=tables.group_size,
        group_leaf=tables.group_leaf,
        leaves=len(tables.leaf_species),
        mirror=tables.mirror,
        mirror_sign=tables.mirror_sign,
        node_a=np.ascontiguousarray(node_a),
        node_b=np.ascontiguousarray(node_b),
        single=np.ascontiguousarray(single),
        single_c=single_c,
        run_head=run_head,
        run_start=run_start,
        tail=tail,
        term_c=term_c,
        kind=0 if linear else KINDS[embedding.name],
        weights=np.ones(1) if linear else embedding.weights,
        exponents=np.ones(1) if linear else np.array(embedding.parameters[1::2], dtype=float),
        constant=float(constant),
        core=core,
        core_cut=float(embedding.core_cut),
        core_width=float(embedding.core_width),
        inner=np.array([bond.inner[0] for bond in bonds], dtype=float),
        inner_width=np.array([bond.inner[1] for bond in bonds], dtype=float),
    )
