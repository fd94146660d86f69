"""Properties are right for a surface whose properties are known, and failures are words, not errors."""

import numpy as np
import pytest
from argon import argon_calculator
from ase import Atoms
from ase.build import bulk
from ase.calculators.morse import MorsePotential
from ase.spacegroup import crystal

from mlip_autopipec.config.full import Structures, Validation
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import new_frame, set_label
from mlip_autopipec.metrics import EV_PER_ANGSTROM3_IN_GPA
from mlip_autopipec.structures.reference import isolated_atoms, reference_series
from mlip_autopipec.validation import judge, validate
from mlip_autopipec.validation.breathing import fit_breathing
from mlip_autopipec.validation.elastic import elastic
from mlip_autopipec.validation.eos import conventional_a, fit_eos, held_fixed

SETTINGS = Structures(
    sources=["prototypes"], prototypes=["A1"], sqs_lattices=[], sqs_atoms=[], random_crystals=0, random_atoms_max=8,
    counts={}, atoms_min=4, atoms_max=8, supercell_edge_angstrom=5.0, rattle_amplitudes_angstrom=[0.1],
    vacuum_angstrom=8.0, volume_strain_max=0.1, condensed_molecules=4, melt_temperature_k=100,
)  # fmt: skip
LIMITS = Validation(lattice_constant_relative_max=0.003, bulk_modulus_relative_max=0.05)
GOOD = {"test": {"frames": 20, "energy_rmse_mev_per_atom": 1.0, "force_rmse_mev_per_angstrom": 20.0}}


def labelled_cells(scale=1.0, points=9, parent=None):
    parent = new_frame(parent or bulk("Ar", "fcc", a=5.3), origin="t", config_type="crystal")
    cells = reference_series(parent, SETTINGS, points, 0.08)
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
    eos, constants, verdict = validate(labelled_cells(), argon_calculator(), GOOD, LIMITS)
    assert verdict["passed"]
    assert verdict["failures"] == []
    checks = verdict["checks"]
    assert checks["lattice_constant"]["relative_error"] < 1e-9
    assert eos["dft"]["bulk_modulus_gpa"] == pytest.approx(constants["bulk_modulus_gpa"], rel=0.03)
    atoms = bulk("Ar", "fcc", a=checks["lattice_constant"]["value"], cubic=True)
    atoms.calc = argon_calculator()
    assert abs(atoms.get_stress()[:3].mean()) * EV_PER_ANGSTROM3_IN_GPA < 0.01


QUARTZ = crystal(
    ["Si", "O"], [(0.4697, 0, 0), (0.4135, 0.2669, 0.1191)], spacegroup=152, cellpar=[4.916, 4.916, 5.405, 90, 90, 120]
)
PYRITE = crystal(["Fe", "S"], [(0, 0, 0), (0.385, 0.385, 0.385)], spacegroup=205, cellpar=[5.42] * 3 + [90] * 3)


@pytest.mark.parametrize(
    ("cell", "held"),
    [
        (bulk("Cu"), ""),
        (bulk("MgO", "rocksalt", a=4.2) * (3, 3, 2), ""),
        (bulk("MgO", "rocksalt", a=4.2, cubic=True) * (2, 1, 1), ""),
        (bulk("Mg"), "shape"),
        (PYRITE, "inner coordinates"),
        (PYRITE * (2, 1, 1), "inner coordinates"),
        (QUARTZ, "shape and inner coordinates"),
    ],
)
def test_what_scaling_holds_fixed_is_told_by_the_symmetry_of_the_crystal(cell, held):
    assert held_fixed(cell) == held
    turned = cell.copy()
    turned.rotate(31, (1, 2, 3), rotate_cell=True)
    turned.positions += 2e-4 * np.random.default_rng(0).normal(size=turned.positions.shape)
    assert held_fixed(turned) == held


def test_only_a_cubic_crystal_without_free_coordinates_has_a_bulk_modulus():
    _, _, verdict = validate(labelled_cells(), argon_calculator(), GOOD, LIMITS)
    assert verdict["checks"]["bulk_modulus"]["what"] == "bulk modulus, GPa"
    (interpolation,) = verdict["scope"]
    assert "interpolation" in interpolation
    hexagonal = labelled_cells(parent=bulk("Ar", "hcp", a=3.75, c=6.1))
    eos, _, verdict = validate(hexagonal, argon_calculator(), GOOD, LIMITS)
    assert eos["held"] == "shape"
    assert verdict["checks"]["bulk_modulus"]["what"] == (
        "stiffness against uniform scaling with shape as relaxed by the surrogate, GPa"
    )
    assert verdict["checks"]["lattice_constant"]["what"].startswith("lattice constant a with shape as relaxed")
    assert "scaled alike in all directions" in verdict["scope"][1]


def test_the_lattice_constant_does_not_depend_on_the_number_of_volumes():
    constants = [validate(labelled_cells(points=n), argon_calculator(), GOOD, LIMITS)[0]["dft"] for n in (9, 10, 11)]
    for one in constants[1:]:
        assert one["lattice_constant_angstrom"] == pytest.approx(constants[0]["lattice_constant_angstrom"], rel=1e-5)


def test_a_softer_label_fails_the_bulk_modulus_and_says_by_how_much():
    _, _, verdict = validate(labelled_cells(scale=0.8), argon_calculator(), GOOD, LIMITS)
    assert not verdict["passed"]
    assert not verdict["checks"]["bulk_modulus"]["passed"]
    assert verdict["checks"]["bulk_modulus"]["relative_error"] == pytest.approx(0.25, rel=0.02)
    (sentence,) = verdict["failures"]
    assert sentence.startswith("bulk modulus, GPa")


def test_bad_test_errors_and_missing_test_frames_fail():
    bad = {"test": {"frames": 20, "energy_rmse_mev_per_atom": 9.0, "force_rmse_mev_per_angstrom": 20.0}}
    none = {"test": {"frames": 0, "energy_rmse_mev_per_atom": None, "force_rmse_mev_per_angstrom": None}}
    _, _, verdict = validate(labelled_cells(), argon_calculator(), bad, LIMITS)
    assert verdict["failures"] == ["test energy RMSE, meV/atom: 9 (limit 5)"]
    _, _, verdict = validate(labelled_cells(), argon_calculator(), none, LIMITS)
    assert len(verdict["failures"]) == 2
    assert "no labelled test frame" in verdict["failures"][0]


def test_a_group_of_test_frames_above_a_limit_that_the_whole_keeps_is_a_warning():
    group = {"frames": 6, "energy_rmse_mev_per_atom": 6.56, "force_rmse_mev_per_angstrom": 90.0}
    fine = {"frames": 14, "energy_rmse_mev_per_atom": 1.0, "force_rmse_mev_per_angstrom": 20.0}
    verdict = judge(GOOD | {"test_by_type": {"condensed": group, "normal_mode": fine}}, LIMITS)
    assert verdict["passed"]
    assert verdict["warnings"] == [
        "The test as a whole keeps its limit, the 6 frames of 'condensed' do not: "
        "test energy RMSE, meV/atom: 6.56 (limit 5)."
    ]
    assert not judge(GOOD | {"test_by_type": {"condensed": group}}, LIMITS)["warnings"]  # the whole is all there is
    bad = {"test": {"frames": 20, "energy_rmse_mev_per_atom": 5.5, "force_rmse_mev_per_angstrom": 20.0}}
    failed = judge(bad | {"test_by_type": {"condensed": group, "normal_mode": fine}}, LIMITS)
    assert not failed["passed"]  # a failure says it already
    assert not failed["warnings"]


def test_a_curve_without_a_minimum_is_a_failure_in_words():
    eos, _, verdict = validate(labelled_cells(scale=-1.0), argon_calculator(), GOOD, LIMITS)
    assert "dft" not in eos
    assert "potential" in eos
    assert "lattice_constant" not in verdict["checks"]
    assert verdict["failures"][0].startswith("dft: the minimum of the equation of state")


def test_a_crystal_that_the_elastic_calculation_cannot_take_is_a_failure_in_words():
    class Broken(type(argon_calculator())):
        def calculate(self, atoms=None, properties=("energy",), *args):
            if "stress" in properties:
                raise ArithmeticError("no stress here")
            super().calculate(atoms, properties, *args)

    _, constants, verdict = validate(labelled_cells(), Broken(epsilon=0.0104, sigma=3.4, rc=12.0), GOOD, LIMITS)
    assert constants == {}
    assert verdict["failures"][0].startswith("the elastic constants could not be computed")


def nitrogen(epsilon=2.0, rho0=6.0, r0=1.1, points=9):
    """A Morse molecule relaxed at 1.1 A, labelled by a Morse potential of these parameters (energies exact)."""
    parent = new_frame(
        Atoms("N2", positions=[[5, 5, 5], [6.1, 5, 5]], cell=[11] * 3, pbc=True), origin="t", config_type="molecule"
    )
    frames = reference_series(parent, SETTINGS, points, 0.1)
    for frame in frames:
        copy = frame.copy()
        copy.calc = MorsePotential(epsilon=epsilon, rho0=rho0, r0=r0, rcut1=4.0, rcut2=5.0)
        set_label(frame, copy.get_potential_energy(), copy.get_forces(), None)
    return frames


def test_a_breathing_molecule_gives_its_bond_and_its_stiffness():
    potential = MorsePotential(epsilon=2.0, rho0=6.0, r0=1.1, rcut1=4.0, rcut2=5.0)
    curve, constants, verdict = validate(nitrogen(r0=1.12), potential, GOOD, LIMITS)
    assert curve["kind"] == "molecule"
    assert constants == {}
    assert "mechanical_stability" not in verdict["checks"]
    scale = verdict["checks"]["bond_scale"]
    assert scale["reference"] == pytest.approx(1.12 / 1.1, abs=2e-4)
    assert scale["value"] == pytest.approx(1.0, abs=2e-4)
    assert not scale["passed"], "bonds 1.8 % apart"
    assert curve["potential"]["shortest_bond_angstrom"] == pytest.approx(1.1, abs=3e-4)
    # Morse: d2E/dr2 = 2 epsilon (rho0/r0)^2 at the minimum, and s = r / 1.1
    stiffness = verdict["checks"]["breathing_stiffness"]
    assert stiffness["relative_error_max"] == LIMITS.bulk_modulus_relative_max
    assert "nothing between molecules" in verdict["scope"][0]
    assert stiffness["value"] == pytest.approx(2 * 2.0 * 6.0**2, rel=0.02)
    assert stiffness["reference"] == pytest.approx(2 * 2.0 * 6.0**2 * (1.1 / 1.12) ** 2, rel=0.02)
    assert stiffness["relative_error"] == pytest.approx(0.051, abs=0.003)
    assert len(verdict["failures"]) == 2, "the stiffness is held to the limit itself, not to twice that"


def test_a_molecule_with_too_few_labels_or_without_a_minimum_is_a_failure_in_words():
    potential = MorsePotential(epsilon=2.0, rho0=6.0, r0=1.1, rcut1=4.0, rcut2=5.0)
    _, _, verdict = validate(nitrogen()[:4], potential, GOOD, LIMITS)
    assert "only 4 DFT energies of the breathing molecule" in verdict["failures"][0]
    _, _, verdict = validate(nitrogen(r0=1.4), potential, GOOD, LIMITS)
    assert "dft: the molecule has no equilibrium" in verdict["failures"][0]
    with pytest.raises(DataError, match="no equilibrium"):
        fit_breathing(np.linspace(0.94, 1.06, 7), np.zeros(7))


def test_a_molecule_breathes_in_its_box_about_its_centre():
    frames = nitrogen(points=5)
    assert [f.info["name"] for f in frames] == ["v0", "v1", "v2", "v3", "v4"]
    changes = [f.info["scale_change"] for f in frames]
    assert changes == pytest.approx([-0.06, -0.03, 0, 0.03, 0.06]), "no wider than bonds hold"
    for frame, change in zip(frames, changes, strict=True):
        assert frame.get_distance(0, 1) == pytest.approx(1.1 * (1 + change))
        np.testing.assert_allclose(frame.positions.mean(axis=0), [5.55, 5, 5])
        np.testing.assert_allclose(frame.cell.lengths(), 11)


def test_the_reference_series_scales_the_supercell_and_keeps_its_mesh():
    parent = new_frame(bulk("Mg", "hcp", a=3.2, c=5.2), origin="t", config_type="crystal")
    cells = reference_series(parent, SETTINGS, 5, 0.1)
    volumes = np.array([c.get_volume() for c in cells])
    np.testing.assert_allclose(volumes / volumes[2], [0.9, 0.95, 1.0, 1.05, 1.1])
    assert {c.info["config_type"] for c in cells} == {"eos"}
    for cell in cells:
        np.testing.assert_allclose(cell.info["plane_distances"], cells[2].info["plane_distances"])
    eos_a = [conventional_a(c) for c in cells]
    np.testing.assert_allclose(eos_a, 3.2 * np.array([0.9, 0.95, 1.0, 1.05, 1.1]) ** (1 / 3), rtol=1e-4)


def test_too_few_dft_energies_are_a_failure_in_words():
    eos, _, verdict = validate(labelled_cells(points=5)[:5], argon_calculator(), GOOD, LIMITS)
    assert "dft" not in eos
    assert "only 4 DFT energies" in verdict["failures"][0]
    eos, constants, verdict = validate([], argon_calculator(), GOOD, LIMITS)
    assert not verdict["passed"]
    assert constants == {}


def test_elastic_constants_of_a_pair_potential_obey_cauchy():
    # Central forces in a centrosymmetric crystal at zero pressure: C12 = C44.
    found = elastic(bulk("Ar", "fcc", a=5.3, cubic=True), argon_calculator(), 0.004)
    assert found["c12_gpa"] == pytest.approx(found["c44_gpa"], rel=0.03)
    assert found["mechanically_stable"]
    assert found["spacegroup_number"] == 225
    assert found["bulk_modulus_gpa"] == pytest.approx((found["c11_gpa"] + 2 * found["c12_gpa"]) / 3, rel=1e-6)


def test_elastic_constants_do_not_depend_on_how_the_crystal_lies():
    turned = bulk("Ar", "fcc", a=5.3)
    turned.rotate(33, (1, 2, 3), rotate_cell=True)
    found = elastic(turned, argon_calculator(), 0.004)
    upright = elastic(bulk("Ar", "fcc", a=5.3, cubic=True), argon_calculator(), 0.004)
    for key in ("c11_gpa", "c12_gpa", "c44_gpa"):
        assert found[key] == pytest.approx(upright[key], rel=0.03)
