"""Properties are right for a surface whose properties are known, and failures are words, not errors."""

import numpy as np
import pytest
from argon import argon_calculator
from ase.build import bulk

from mlip_autopipec.config.full import Structures, Validation
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import set_label
from mlip_autopipec.metrics import EV_PER_ANGSTROM3_IN_GPA
from mlip_autopipec.structures import isolated_atoms, volume_series
from mlip_autopipec.validation import validate
from mlip_autopipec.validation.elastic import elastic
from mlip_autopipec.validation.eos import fit_eos

ARGON = Structures(lattice="fcc", lattice_constant_angstrom=5.3, c_over_a=1.633, repeat=[1, 1, 1])
GOOD = {"test": {"frames": 20, "energy_rmse_mev_per_atom": 1.0, "force_rmse_mev_per_angstrom": 20.0}}


def labelled_cells(scale=1.0, points=9):
    cells = volume_series("Ar", ARGON, points, 0.08)
    for cell in cells:
        copy = cell.copy()
        copy.calc = argon_calculator()
        set_label(cell, scale * copy.get_potential_energy(), copy.get_forces(), copy.get_stress())
    atom = set_label(isolated_atoms(["Ar"], 12.0)[0], 0.0, np.zeros((1, 3)), None)
    return [atom, *cells]


def test_birch_murnaghan_recovers_its_own_parameters():
    v0, e0, b0, b1 = 20.0, -5.0, 0.6, 4.2  # A^3, eV, eV/A^3
    v = np.linspace(18, 22, 9)
    eta = (v0 / v) ** (2 / 3)
    e = e0 + 9 * v0 * b0 / 16 * ((eta - 1) ** 3 * b1 + (eta - 1) ** 2 * (6 - 4 * eta))
    curve = fit_eos(v, e)
    assert curve.volume_angstrom3_per_atom == pytest.approx(v0, rel=1e-6)
    assert curve.bulk_modulus_gpa == pytest.approx(b0 * EV_PER_ANGSTROM3_IN_GPA, rel=1e-5)
    assert curve.residual_mev_per_atom < 1e-6


def test_a_minimum_outside_the_volumes_is_refused():
    v = np.linspace(22, 25, 7)
    with pytest.raises(DataError, match="outside the volumes"):
        fit_eos(v, 0.5 * 0.03 * (v - 20.0) ** 2)


def test_the_same_surface_passes_and_the_numbers_are_its_own():
    eos, constants, verdict = validate(labelled_cells(), argon_calculator(), GOOD, Validation(), 5.3)
    assert verdict["passed"]
    assert verdict["failures"] == []
    checks = verdict["checks"]
    assert checks["lattice_constant"]["relative_error"] < 1e-9
    assert eos["dft"]["bulk_modulus_gpa"] == pytest.approx(constants["bulk_modulus_gpa"], rel=0.03)
    atoms = bulk("Ar", "fcc", a=checks["lattice_constant"]["value"], cubic=True)
    atoms.calc = argon_calculator()
    assert abs(atoms.get_stress()[:3].mean()) * EV_PER_ANGSTROM3_IN_GPA < 0.01


def test_the_lattice_constant_does_not_depend_on_the_number_of_volumes():
    constants = [
        validate(labelled_cells(points=n), argon_calculator(), GOOD, Validation(), 5.3)[0]["dft"] for n in (9, 10, 11)
    ]
    for one in constants[1:]:
        assert one["lattice_constant_angstrom"] == pytest.approx(constants[0]["lattice_constant_angstrom"], rel=1e-5)


def test_a_softer_label_fails_the_bulk_modulus_and_says_by_how_much():
    _, _, verdict = validate(labelled_cells(scale=0.8), argon_calculator(), GOOD, Validation(), 5.3)
    assert not verdict["passed"]
    assert not verdict["checks"]["bulk_modulus"]["passed"]
    assert verdict["checks"]["bulk_modulus"]["relative_error"] == pytest.approx(0.25, rel=0.02)
    (sentence,) = verdict["failures"]
    assert sentence.startswith("bulk modulus, GPa")


def test_bad_test_errors_and_missing_test_frames_fail():
    bad = {"test": {"frames": 20, "energy_rmse_mev_per_atom": 9.0, "force_rmse_mev_per_angstrom": 20.0}}
    none = {"test": {"frames": 0, "energy_rmse_mev_per_atom": None, "force_rmse_mev_per_angstrom": None}}
    _, _, verdict = validate(labelled_cells(), argon_calculator(), bad, Validation(), 5.3)
    assert verdict["failures"] == ["test energy RMSE, meV/atom: 9 (limit 5)"]
    _, _, verdict = validate(labelled_cells(), argon_calculator(), none, Validation(), 5.3)
    assert len(verdict["failures"]) == 2
    assert "no labelled test frame" in verdict["failures"][0]


def test_too_few_dft_energies_are_a_failure_in_words():
    eos, _, verdict = validate(labelled_cells(points=5)[:5], argon_calculator(), GOOD, Validation(), 5.3)
    assert "dft" not in eos
    assert "only 4 DFT energies" in verdict["failures"][0]
    eos, constants, verdict = validate([], argon_calculator(), GOOD, Validation(), 5.3)
    assert not verdict["passed"]
    assert constants == {}


def test_elastic_constants_of_a_pair_potential_obey_cauchy():
    # Central forces in a centrosymmetric crystal at zero pressure: C12 = C44.
    found = elastic(bulk("Ar", "fcc", a=5.3, cubic=True), argon_calculator(), 0.004)
    assert found["c12_gpa"] == pytest.approx(found["c44_gpa"], rel=0.03)
    assert found["mechanically_stable"]
    assert found["bulk_modulus_gpa"] == pytest.approx((found["c11_gpa"] + 2 * found["c12_gpa"]) / 3, rel=1e-6)
