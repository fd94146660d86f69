"""Pairs pressed together inside frames of the data: that two atoms repel alone does not say that they do in matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from mlip_autopipec.ace import Basis, design_rows
from mlip_autopipec.dimers import NEAREST_ANGSTROM, TURN, pairs_of
from mlip_autopipec.repulsion import Repulsion, pair_name, pairs_within, screened_coulomb
from mlip_autopipec.training.core import Core

PRESSED = 8
"""Pairs that are pressed in all; every kind of pair gets its share, at least one."""
DISTANCES = 12
LARGEST_FRAME = 128
"""Atoms; rows of larger frames cost more than they tell."""


def pressed_cores(
    basis: Basis, baseline: Repulsion | None, shortest_angstrom: Mapping[str, float], frames: Sequence[Atoms]
) -> dict[str, Core]:
    """The nearest pairs of some frames, taken at even steps, pressed together where they are; names end in a number.

    Args:
        shortest_angstrom: shortest distance in the data by pair, 'O-Si'.
        frames: the data.
    """
    pairs, found = pairs_of(basis.elements), {}
    share = max(1, PRESSED // len(pairs))
    for a, b in pairs:
        holding = [f for f in frames if 1 < len(f) <= LARGEST_FRAME and {a, b} <= set(f.get_chemical_symbols())]
        steps = np.linspace(0, len(holding) - 1, min(share, len(holding))).astype(int)
        for number, step in enumerate(steps, start=1):
            core = pressed_core(basis, baseline, holding[step], a, b, shortest_angstrom[pair_name(a, b)])
            if core is not None:
                found[f"{pair_name(a, b)} {number}"] = core
    return found


def pressed_core(
    basis: Basis, baseline: Repulsion | None, frame: Atoms, a: str, b: str, below_angstrom: float
) -> Core | None:
    """The nearest pair of two elements in a frame, pressed together; None if there is no such pair.

    Its force is minus the derivative of the energy by the distance, with the middle of the two and all other atoms
    kept in place.
    """
    symbols = np.array(frame.get_chemical_symbols())
    first, second, r, vector = pairs_within(frame, basis.cutoff)
    wanted = np.flatnonzero((symbols[first] == a) & (symbols[second] == b) & (first != second))
    if not len(wanted):
        return None
    k = wanted[np.argmin(r[wanted])]
    i, j, along = first[k], second[k], vector[k] / r[k]
    distances = np.linspace(NEAREST_ANGSTROM, TURN * below_angstrom, DISTANCES, endpoint=False)
    direction = np.zeros((len(frame), 3))
    direction[i], direction[j] = -0.5 * along, 0.5 * along
    structures, rows, base = [], [], np.zeros(DISTANCES)
    for n, distance in enumerate(distances):
        near = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
        near.positions[i] += 0.5 * (r[k] - distance) * along
        near.positions[j] -= 0.5 * (r[k] - distance) * along
        structures.append(near)
        rows.append(direction.ravel() @ design_rows(basis, near).forces)
        if baseline is not None:
            base[n] = (direction * baseline.get_property("forces", near)).sum()
    za, zb = (np.full(DISTANCES, float(atomic_numbers[s])) for s in (a, b))
    screened = -screened_coulomb(distances, za, zb)[1]
    return Core(distances, np.array(rows), base, screened, below_angstrom, (a, b), structures, direction)
