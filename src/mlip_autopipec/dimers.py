"""Two atoms alone: how near the data bring each pair of elements, and what holds below that."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from mlip_autopipec.repulsion import pair_name, pairs_within

Array = NDArray[np.float64]

NEAREST_ANGSTROM = 0.3
"""Down to here a pair must be repulsive: some 1 keV for silicon, more than any dynamics reaches."""
TURN = 0.95
"""A pair must repel below this fraction of the shortest distance in the data, which may themselves pull."""
_TOLERANCE_EV_PER_ANGSTROM = 1e-6


def pairs_of(elements: Iterable[str]) -> list[tuple[str, str]]:
    """Every pair of elements once, symbols in alphabetical order."""
    return list(combinations_with_replacement(sorted(set(elements)), 2))


def dimer(a: str, b: str, distance_angstrom: float) -> Atoms:
    """Two atoms alone in space, the second one along x."""
    return Atoms([a, b], positions=[[0.0, 0.0, 0.0], [distance_angstrom, 0.0, 0.0]], cell=[100.0] * 3, pbc=False)


def shortest_distances(frames: Iterable[Atoms], cutoff_angstrom: float) -> dict[str, float]:
    """Shortest distance in A of each pair of elements in the frames, by name ('O-Si').

    A pair that never comes within the cutoff gets the sum of its covalent radii (Cordero 2008): farther out it may well
    attract, and no data say that it should not.
    """
    found: dict[str, float] = {}
    elements: set[str] = set()
    for frame in frames:
        symbols = np.array(frame.get_chemical_symbols())
        elements |= set(symbols)
        first, second, r, _ = pairs_within(frame, cutoff_angstrom)
        for a, b in pairs_of(set(symbols)):
            chosen = r[(symbols[first] == a) & (symbols[second] == b)]
            if len(chosen):
                found[pair_name(a, b)] = min(found.get(pair_name(a, b), np.inf), float(chosen.min()))
    return {
        pair_name(a, b): found.get(pair_name(a, b), min(float(cutoff_angstrom), bond_length(a, b)))
        for a, b in pairs_of(elements)
    }


def bond_length(a: str, b: str) -> float:
    """Sum of two covalent radii in A (Cordero et al., Dalton Trans. 2008, 2832): nearer, any two atoms repel."""
    return float(covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])


def scan(calculator: Calculator, a: str, b: str, distances_angstrom: Array, apart_angstrom: float) -> dict[str, Any]:
    """Energy (eV, relative to the atoms apart) and force (eV/A, positive: repulsion) of a pair.

    Args:
        apart_angstrom: a distance beyond every interaction.
    """

    def at(r: float) -> tuple[float, float]:
        atoms = dimer(a, b, r)
        atoms.calc = calculator
        return float(atoms.get_potential_energy()), float(atoms.get_forces()[1, 0])

    apart, _ = at(apart_angstrom)
    values = np.array([at(float(r)) for r in distances_angstrom])
    return {
        "distance_angstrom": np.asarray(distances_angstrom),
        "energy_ev": values[:, 0] - apart,
        "force_ev_per_angstrom": values[:, 1],
    }


def attraction_below(distances_angstrom: Array, forces: Array, shortest_angstrom: float) -> float | None:
    """Largest distance at which a pair attracts although it is nearer than any in the data (by 5 %, a way to turn from
    a pull in the data), or None: its energy rises all the way in.

    Args:
        shortest_angstrom: shortest distance of the pair in the data.
    """
    attracted = (distances_angstrom < TURN * shortest_angstrom) & (np.asarray(forces) < -_TOLERANCE_EV_PER_ANGSTROM)
    return float(np.max(distances_angstrom[attracted])) if attracted.any() else None
