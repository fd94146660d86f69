"""Pairs alone: the shortest distance in the data, and whether they repel below it."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones

from mlip_autopipec.dimers import attraction_below, scan, shortest_distances


def test_shortest_distances_by_pair_see_periodic_images():
    salt = bulk("NaCl", "rocksalt", a=5.6)
    found = shortest_distances([salt, Atoms("Na", cell=[9] * 3, pbc=True)], 4.5)
    assert found == pytest.approx({"Cl-Na": 2.8, "Cl-Cl": 5.6 / 2**0.5, "Na-Na": 5.6 / 2**0.5})


def test_a_pair_that_never_meets_has_the_sum_of_covalent_radii():
    frames = [bulk("Cu"), Atoms("Au", cell=[9] * 3, pbc=True)]
    found = shortest_distances(frames, 3.0)
    assert found["Au-Cu"] == pytest.approx(1.36 + 1.32)
    assert found["Cu-Cu"] < 3.0


def test_scan_gives_energy_against_the_atoms_apart_and_positive_forces_where_they_repel():
    r = np.array([0.9, 1.0, 2 ** (1 / 6), 1.5])
    found = scan(LennardJones(sigma=1.0, epsilon=1.0, rc=8.0), "Ar", "Ar", r, 9.0)
    np.testing.assert_allclose(found["energy_ev"], 4 * (r**-12 - r**-6) - 4 * (8.0**-12 - 8.0**-6), atol=1e-12)
    assert (found["force_ev_per_angstrom"][:2] > 0).all()
    assert found["force_ev_per_angstrom"][3] < 0


def test_attraction_is_found_only_below_the_data():
    r, force = np.array([0.5, 1.0, 1.5, 2.0]), np.array([3.0, -0.1, 2.0, -1.0])
    assert attraction_below(r, force, 1.8) == 1.0
    assert attraction_below(r, force, 1.04) is None  # within 5 %
