"""ZBL is the one of LAMMPS, smooth, and repulsive all the way down."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from mlip_autopipec.errors import DataError
from mlip_autopipec.repulsion import ZBL, zbl_pair


def test_unswitched_core_is_the_published_screened_coulomb_energy():
    # Si-Si at 0.5 A, far inside: only the constant of the switching function is added.
    z = np.full(2, 14.0)
    energy, _ = zbl_pair(np.array([0.50, 0.60]), z, z, 1.0, 2.0)
    x = np.array([0.50, 0.60]) / (0.46850 / (2 * 14**0.23))
    phi = 0.18175 * np.exp(-3.1998 * x) + 0.50986 * np.exp(-0.94229 * x)
    phi += 0.28022 * np.exp(-0.4029 * x) + 0.02817 * np.exp(-0.20162 * x)
    bare = 14.399645 * 196 / np.array([0.50, 0.60]) * phi
    assert energy[0] - energy[1] == pytest.approx(bare[0] - bare[1], rel=1e-12)


def test_energy_force_and_curvature_end_smoothly():
    r = np.array([2.0 - 1e-3, 2.0 - 1e-9, 2.0, 2.5])
    z = np.full(4, 14.0)
    energy, slope = zbl_pair(r, z, z, 1.0, 2.0)
    assert abs(energy[0]) < 1e-6
    assert abs(slope[0]) < 1e-4
    assert energy[2] == energy[3] == slope[3] == 0.0


def test_repulsive_all_the_way_down():
    r = np.linspace(0.05, 1.99, 400)
    z = np.full(400, 29.0)
    energy, slope = zbl_pair(r, z, z, 1.0, 2.0)
    assert (slope < 0).all()
    assert (np.diff(energy) < 0).all()


def test_forces_and_stress_are_derivatives_of_the_energy():
    atoms = bulk("Si", cubic=True) * (1, 1, 2)
    atoms.numbers[::2] = 6
    atoms.rattle(0.15, seed=3)
    atoms.calc = ZBL(1.5, 3.0)
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-5), atol=1e-6)
    np.testing.assert_allclose(atoms.get_stress(), calculate_numerical_stress(atoms, eps=1e-6), atol=1e-7)
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy())


def test_positions_that_are_not_numbers_are_refused():
    atoms = Atoms("Si2", positions=[[0, 0, 0], [0, 0, np.nan]], cell=[9, 9, 9], pbc=True, calculator=ZBL(1.0, 2.0))
    with pytest.raises(DataError, match="not a number"):
        atoms.get_potential_energy()


def test_energy_and_force_are_those_of_lammps():
    # Measured with LAMMPS (4 Feb 2025): pair_style zbl 1.0 2.0, pair_coeff 1 2 14 6; energy, force on the first atom.
    r = np.array([0.5, 0.9, 1.3, 1.8])
    energy, slope = zbl_pair(r, np.full(4, 14.0), np.full(4, 6.0), 1.0, 2.0)
    np.testing.assert_allclose(energy, [232.579690272, 36.0795595544, 6.28388391431, 0.125822487238], rtol=1e-10)
    np.testing.assert_allclose(slope, [-1271.33762347, -151.829051868, -30.6356083495, -1.89940102395], rtol=1e-10)
