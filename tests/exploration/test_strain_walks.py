"""Strain walks: bounds, what is visited, temperature, resumption."""

import numpy as np
import pytest
from argon import argon_calculator
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from toy_walkers import Still, exploration, killed_and_resumed_is_uninterrupted

from mlip_autopipec.config.walks import Walk
from mlip_autopipec.exploration.deform import deform, shape_length, stretch
from mlip_autopipec.exploration.evaluations import Evaluations
from mlip_autopipec.exploration.strains import SHEAR_MAX, VOLUME_MAX, Strains, strains
from mlip_autopipec.integrators import kinetic_temperature_k


def visited(stops: int) -> tuple[Strains, np.ndarray, np.ndarray]:
    """The stepper, logarithms of the relative volumes and lengths of the shapes at many stops."""
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    walker = Strains(atoms, Still(), stop_steps=1, steps=100)
    start, random, found = atoms.cell.array.copy(), np.random.default_rng(0), []
    for _ in range(stops):
        walker.advance(atoms, 1, random)
        found.append((np.log(atoms.get_volume() / np.linalg.det(start)), shape_length(atoms.cell.array, start)))
    np.testing.assert_allclose(atoms.get_scaled_positions(), bulk("NaCl", "rocksalt", a=5.6).get_scaled_positions())
    return walker, *np.array(found).T


def test_all_strains_between_the_bounds_are_visited_alike():
    walker, volumes, shapes = visited(12000)
    x, r = volumes / np.log1p(VOLUME_MAX), shapes / (SHEAR_MAX / np.sqrt(2))
    assert abs(x).max() <= 1 + 1e-9
    assert r.max() <= 1 + 1e-9
    assert x.mean() == pytest.approx(0, abs=0.1)
    assert (x**2).mean() == pytest.approx(1 / 3, abs=0.04)
    assert (r**2).mean() == pytest.approx(5 / 7, abs=0.03)  # evenly in a ball of five dimensions
    assert walker.notes()["volume_strains"][0] < -0.1
    assert walker.notes()["shear_strain_max"] > 0.11


def test_one_walk_of_usual_length_gets_across_the_bounds():
    _, volumes, shapes = visited(100)
    assert np.ptp(volumes) > 0.1
    assert shapes.max() > 0.05


def test_a_shear_of_a_cell_has_the_length_that_is_documented():
    shear = np.eye(3)
    shear[0, 1] = shear[1, 0] = 0.001 / 2
    assert shape_length(shear, np.eye(3)) == pytest.approx(0.001 / np.sqrt(2), rel=1e-3)
    atoms = Atoms("Cu2", positions=[[0, 0, 0], [1, 1, 1]], cell=[3, 4, 5], pbc=True)
    before = atoms.cell.array.copy()
    deform(atoms, stretch(0.1, np.array([0.03, 0.01, -0.02, 0.0, 0.05])))
    assert atoms.get_volume() == pytest.approx(60 * np.exp(0.1))
    assert shape_length(atoms.cell.array, before) == pytest.approx(np.sqrt(0.0039))


def test_atoms_shake_at_the_temperature_at_every_stop_and_hot_strains_do_not_heat():
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True) * (2, 2, 2)
    atoms.calc = Evaluations(EMT())
    walker = strains(atoms, exploration(), Walk("strains-0", "strains", 300, 300))
    random, seen = np.random.default_rng(1), []
    walker.begin(atoms, random)
    for _ in range(30):
        walker.advance(atoms, 10, random)
        seen.append(kinetic_temperature_k(atoms))
    print(np.mean(seen), walker.notes(), atoms.calc.count)
    assert 200 < np.mean(seen) < 400
    assert walker.notes()["stops"] == 30


def test_resumed_strains_are_uninterrupted_strains():
    start = bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 2, 2)

    def make(atoms):
        return strains(atoms, exploration(), Walk("strains-0", "strains", 40, 60))

    killed_and_resumed_is_uninterrupted(make, start, argon_calculator)
