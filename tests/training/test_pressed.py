"""A hole that opens only in matter is found by pressing pairs in frames, and closed without harm to the data."""

import numpy as np
import pytest
from argon import argon_frames
from ase import Atoms

from mlip_autopipec.ace import ACECalculator, ACEPotential, BasisSpec, Factor, build_basis
from mlip_autopipec.dimers import shortest_distances
from mlip_autopipec.repulsion import ZBL
from mlip_autopipec.training.core import with_repulsive_pairs
from mlip_autopipec.training.pressed import PRESSED, pressed_core, pressed_cores

BASELINE = ZBL(1.5, 2.6)


@pytest.fixture(scope="module")
def basis():
    return build_basis(BasisSpec(("Ar",), 6.0, (8, 6, 5)))


def test_the_force_is_the_derivative_of_the_energy_by_the_distance(basis):
    frame = argon_frames(1, seed=4)[0]
    core = pressed_core(basis, BASELINE, frame, "Ar", "Ar", 3.2)
    coefficients = np.random.default_rng(0).normal(size=basis.number_of_functions) / basis.smoothness
    calculator = ACECalculator(ACEPotential(basis, coefficients), baseline=BASELINE)
    i, j = 0, 1
    distances = frame.get_all_distances(mic=True) + 9 * np.eye(4)
    i, j = np.unravel_index(np.argmin(distances), distances.shape)
    vector = frame.get_distance(i, j, mic=True, vector=True)

    def energy(distance):
        near = frame.copy()
        shift = 0.5 * (np.linalg.norm(vector) - distance) * vector / np.linalg.norm(vector)
        near.positions[i] += shift
        near.positions[j] -= shift
        near.calc = calculator
        return near.get_potential_energy()

    for k in (4, 8, 11):
        r, h = core.distances_angstrom[k], 1e-4
        slope = (energy(r + h) - energy(r - h)) / (2 * h)
        assert core.rows[k] @ coefficients + core.baseline[k] == pytest.approx(-slope, rel=1e-5, abs=1e-5)


def test_every_kind_of_pair_has_its_share_and_large_frames_are_left_out():
    basis = build_basis(BasisSpec(("Ar", "Ne"), 6.0, (3, 2)))
    frames = [frame.copy() for frame in argon_frames(5)]
    for frame in frames[:3]:
        frame.symbols[0] = "Ne"
    large = frames[0] * (4, 4, 3)
    found = pressed_cores(basis, BASELINE, shortest_distances(frames, 6.0), [*frames, large, Atoms("Ar", cell=[9] * 3)])
    kinds = [core.pair for core in found.values()]
    assert kinds.count(("Ar", "Ar")) == PRESSED // 3
    assert kinds.count(("Ar", "Ne")) == PRESSED // 3
    assert kinds.count(("Ne", "Ne")) == 0  # one neon atom in each frame: it meets only its own images


def test_a_hole_in_matter_is_closed(basis, labelled):
    shortest = shortest_distances(labelled, 6.0)
    pressed = pressed_cores(basis, BASELINE, shortest, labelled)
    size, random = basis.number_of_functions, np.random.default_rng(3)
    holed, noise = 2.0 * random.normal(size=size) / basis.smoothness, random.normal(size=10 * size)

    class Fit:
        def __init__(self, solution):
            self.solution, self.coefficients = solution, solution.coefficients

    def solve(more):
        """Noisy labels of the coefficients `holed`."""
        factor = Factor(size)
        rows = np.tile(np.diag(basis.smoothness), (10, 1))
        factor.append(rows, rows @ holed + noise)
        if more is not None:
            factor.append(*more)
        return Fit(factor.solve(basis.smoothness))

    before = [core.attracts_at(solve(None).coefficients) for core in pressed.values()]
    assert any(at is not None for at in before)
    after, record = with_repulsive_pairs(solve, basis, BASELINE, shortest, pressed)
    assert record["Ar-Ar"]["pressed"] == len(pressed) == PRESSED
    assert record["Ar-Ar"]["pressed_told"] > 0
    left = [core.attracts_at(after.coefficients) for core in pressed.values()]
    assert record["Ar-Ar"]["pressed_attracting"] == sum(at is not None for at in left)
    assert sum(at is not None for at in left) < sum(at is not None for at in before)
