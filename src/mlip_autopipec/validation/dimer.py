"""Two atoms alone, pressed together down to 0.3 A: they must repel wherever no data say otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.ace import ACECalculator
from mlip_autopipec.dimers import NEAREST_ANGSTROM, TURN, attraction_below, pairs_of, scan, shortest_distances
from mlip_autopipec.repulsion import pair_name

STEP_ANGSTROM = 0.02


def scan_pairs(calculator: ACECalculator, frames: Iterable[Atoms]) -> dict[str, Any]:
    """Energy of every pair of elements against distance, from the cutoff down to 0.3 A.

    Args:
        calculator: the potential with its baseline.
        frames: what it was trained on; below their shortest distance a pair must repel.

    Returns:
        The record for JSON, by pair ('O-Si'): ``distance_angstrom``, ``energy_ev`` (against the atoms apart),
        ``force_ev_per_angstrom`` (positive: repulsion), ``shortest_distance_angstrom`` in the data,
        ``attracts_at_angstrom`` (null: nowhere below it) and ``passed``.
    """
    elements = calculator.potential.elements
    cutoff = max(bond.cutoff for bond in calculator.potential.bonds.values())
    shortest = shortest_distances(frames, cutoff)
    record = {}
    for a, b in pairs_of(elements):
        name = pair_name(a, b)
        below = shortest.get(name, cutoff)
        found = scan(calculator, a, b, np.arange(NEAREST_ANGSTROM, cutoff, STEP_ANGSTROM), cutoff + 1.0)
        at = attraction_below(found["distance_angstrom"], found["force_ev_per_angstrom"], below)
        record[name] = {
            **found,
            "shortest_distance_angstrom": below,
            "attracts_at_angstrom": at,
            "passed": at is None,
        }
    return {"pairs": record, "nearest_angstrom": NEAREST_ANGSTROM}


def dimer_checks(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The checks of a verdict, 'dimer_O-Si' and so on."""
    checks = {}
    for name, pair in record["pairs"].items():
        below = TURN * pair["shortest_distance_angstrom"]
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
        f"{name} alone attracts at {pair['attracts_at_angstrom']:.2f} A, nearer than "
        f"{pair['shortest_distance_angstrom']:.2f} A (the shortest distance in the training data; where the pair is "
        "not in the data, the sum of covalent radii): collisions cannot be trusted"
        for name, pair in record["pairs"].items()
        if not pair["passed"]
    ]
