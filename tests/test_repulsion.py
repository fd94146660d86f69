"""ZBL is the one of LAMMPS, smooth, and repulsive all the way down."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from mlip_autopipec.errors import DataError
from mlip_autopipec.repulsion import ZBL, LennardJones, lammps_pair_lines, lennard_jones, zbl_pair


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


WCA = LennardJones({"C-C": (0.1, 1.2), "C-Si": (0.2, 1.5), "Si-Si": (0.3, 1.8)})


def test_lennard_jones_ends_at_its_minimum_with_energy_and_force_zero():
    end = 2 ** (1 / 6) * 1.5
    energy, slope = WCA.pair(np.array([1.5, end - 1e-9, end, 3.0]), np.full(4, 14), np.full(4, 6))
    assert energy[0] == pytest.approx(0.2)  # 4 epsilon (1 - 1) + epsilon
    assert slope[0] == pytest.approx(-24 * 0.2 / 1.5)
    assert energy[1] == pytest.approx(0.0, abs=1e-15)
    assert slope[1] == pytest.approx(0.0, abs=1e-7)
    assert (energy[2:] == 0).all()


def test_lennard_jones_forces_and_stress_are_derivatives_of_the_energy():
    atoms = bulk("Si", cubic=True, a=3.4)
    atoms.numbers[::2] = 6
    atoms.rattle(0.1, seed=3)
    atoms.calc = WCA
    assert atoms.get_potential_energy() > 1
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-6), atol=1e-5)
    np.testing.assert_allclose(atoms.get_stress(), calculate_numerical_stress(atoms, eps=1e-7), atol=1e-5)


def test_parameters_that_are_not_given_follow_the_elements_and_mix():
    found = lennard_jones(["Si", "C"], {"Si": 0.2}, {"C-Si": 1.25}).parameters_by_pair
    assert found["Si-Si"][0] == 0.2
    assert 2 ** (1 / 6) * found["Si-Si"][1] == pytest.approx(0.72 * 2 * 1.11, abs=1e-3)
    assert found["C-Si"][1] == 1.25
    assert found["C-Si"][0] == pytest.approx((0.2 * found["C-C"][0]) ** 0.5)
    at = np.array([0.45 * 2 * 0.76])
    carbon = lennard_jones(["C"], {}, {})
    z = np.array([6.0])
    strong = zbl_pair(at, z, z, 3.0, 4.0)[0] - zbl_pair(np.array([2.9]), z, z, 3.0, 4.0)[0]
    assert carbon.pair(at, z, z)[0] == pytest.approx(strong, rel=0.01)


def test_parameters_of_something_else_are_refused():
    with pytest.raises(DataError, match=r"'Si-C'; write an element \(C, Si\) or a pair in alphabetical order"):
        lennard_jones(["Si", "C"], {"Si-C": 0.1}, {})
    with pytest.raises(DataError, match="no parameters for Ge-Ge"):
        WCA.pair(np.array([1.0]), np.array([32]), np.array([32]))


def test_lammps_lines_name_every_pair_and_the_shift():
    lines = lammps_pair_lines(["C", "Si"], WCA, "pace", "p.yace")
    assert lines[0].split() == ["pair_style", "hybrid/overlay", "pace", "lj/cut", str(2 ** (1 / 6) * 1.8)]
    assert lines[1].split() == ["pair_coeff", "*", "*", "pace", "p.yace", "C", "Si"]
    assert [line.split()[1:3] for line in lines[2:5]] == [["1", "1"], ["1", "2"], ["2", "2"]]
    assert lines[-1].split() == ["pair_modify", "pair", "lj/cut", "shift", "yes"]
    assert lammps_pair_lines(["C"], None, "pace", "p.yace")[0].split() == ["pair_style", "pace"]
    assert lammps_pair_lines(["C", "Si"], ZBL(1, 2), "pace", "x")[3].split()[1:] == ["1", "2", "zbl", "6", "14"]


def test_lennard_jones_is_that_of_lammps():
    # Measured with LAMMPS (4 Feb 2025): the lines of `lammps_coefficients` for WCA, atoms of types 1 (C) and 2 (Si).
    r = np.array([0.5, 0.9, 1.3, 1.6])
    energy, slope = WCA.pair(r, np.full(4, 6), np.full(4, 14))
    np.testing.assert_allclose(energy, [424569.8, 350.568149992191, 2.76728280395391, 0.025613946002889], rtol=1e-12)
    np.testing.assert_allclose(
        slope, [-10196668.8, -4785.88717593612, -32.4113484505203, -0.728907065705718], rtol=1e-12
    )
