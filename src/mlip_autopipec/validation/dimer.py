"""Two atoms alone, pressed together down to 0.3 A: they must repel where no data say otherwise and no bond could be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.ace import ACECalculator
from mlip_autopipec.dimers import (
    NEAREST_ANGSTROM,
    TURN,
    attraction_below,
    bond_length,
    pairs_of,
    scan,
    shortest_distances,
)
from mlip_autopipec.repulsion import pair_name

STEP_ANGSTROM = 0.02


def scan_pairs(calculator: ACECalculator, frames: Iterable[Atoms]) -> dict[str, Any]:
    """Energy of every pair of elements against distance, from the cutoff down to 0.3 A.

    Args:
        calculator: the potential with its baseline.
        frames: what it was trained on. A pair must repel below its shortest distance there, and below the length of a
            covalent bond where the data end farther out: two anions that never touch in a salt may bind each other.

    Returns:
        The record for JSON, by pair ('O-Si'): ``distance_angstrom``, ``energy_ev`` (against the atoms apart),
        ``force_ev_per_angstrom`` (positive: repulsion), ``shortest_distance_angstrom`` in the data,
        ``attracts_at_angstrom`` (null: nowhere below it), ``must_repel_below_angstrom``,
        ``fails_at_angstrom`` (null: nowhere below that) and ``passed``.
    """
    elements = calculator.potential.elements
    cutoff = max(bond.cutoff for bond in calculator.potential.bonds.values())
    shortest = shortest_distances(frames, cutoff)
    record = {}
    for a, b in pairs_of(elements):
        name = pair_name(a, b)
        below = shortest.get(name, cutoff)
        found = scan(calculator, a, b, np.arange(NEAREST_ANGSTROM, cutoff, STEP_ANGSTROM), cutoff + 1.0)
        must = min(below, bond_length(a, b))
        at, held = (
            attraction_below(found["distance_angstrom"], found["force_ev_per_angstrom"], limit)
            for limit in (below, must)
        )
        record[name] = {
            **found,
            "shortest_distance_angstrom": below,
            "attracts_at_angstrom": at,
            "must_repel_below_angstrom": must,
            "fails_at_angstrom": held,
            "passed": held is None,
        }
    return {"pairs": record, "nearest_angstrom": NEAREST_ANGSTROM}


def dimer_checks(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The checks of a verdict, 'dimer_O-Si' and so on."""
    checks = {}
    for name, pair in record["pairs"].items():
        below = TURN * pair["must_repel_below_angstrom"]
        inside = [
            force
            for r, force in zip(pair["distance_angstrom"], pair["force_ev_per_angstrom"], strict=True)
            if r < below
        ]
        checks[f"dimer_{name}"] = {
            "what": f"repulsion of {name} alone, smallest from {record['nearest_angstrom']:g} to {below:.2f} A, eV/A",
            "value": min(inside, default=None),
            "reference": 0.0,
            "passed": pair["passed"],
        }
    return checks


def dimer_failures(record: dict[str, Any]) -> list[str]:
    """What is wrong, in words, with the pairs that did not pass."""
    return [
        f"{name} alone attracts at {pair['fails_at_angstrom']:.2f} A, nearer than "
        f"{pair['must_repel_below_angstrom']:.2f} A (the shortest distance in the training data, or the length of a "
        "covalent bond): collisions cannot be trusted"
        for name, pair in record["pairs"].items()
        if not pair["passed"]
    ]


def dimer_warnings(record: dict[str, Any]) -> list[str]:
    """Pairs that attract where no data are, though a bond may be there: in words."""
    return [
        f"{name} alone attracts at {pair['attracts_at_angstrom']:.2f} A. No data are nearer than "
        f"{pair['shortest_distance_angstrom']:.2f} A, so this bond was not learnt: do not use the potential where "
        f"{name.replace('-', ' and ')} come so near."
        for name, pair in record["pairs"].items()
        if pair["passed"] and pair["attracts_at_angstrom"] is not None
    ]
