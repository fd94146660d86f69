import numpy as np
import pytest
from ace_cases import copper_gold, rattled, silicon
from ase import Atoms
from ase.calculators.lj import LennardJones

from mlip_autopipec.ace import (
    ACECalculator,
    ACEPotential,
    BasisSpec,
    Factor,
    active_sets,
    build_basis,
    design_rows,
    evaluate,
    gammas,
)
from mlip_autopipec.errors import ConfigurationFault, DataError

Case = tuple[ACEPotential, Atoms]


def test_results_are_those_of_the_evaluator_plus_references(case: Case) -> None:
    potential, atoms = case
    atoms.calc = ACECalculator(potential, reference_energies={"Si": -3.0, "Cu": -2.0})
    found = evaluate(potential, atoms)
    shift = {"Si": -3.0, "Cu": -2.0}
    references = np.array([shift.get(symbol, 0.0) for symbol in atoms.symbols])
    np.testing.assert_allclose(atoms.get_potential_energies(), found.energies + references, atol=1e-12)
    assert atoms.get_potential_energy() == pytest.approx(found.energy + references.sum(), abs=1e-10)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_stress(), found.strain_derivative / atoms.get_volume(), atol=1e-12)


def test_baseline_is_added_to_energy_forces_and_stress(si: ACEPotential) -> None:
    atoms = rattled(silicon(), 0.1, 0)
    baseline = LennardJones(sigma=2.0, epsilon=0.1, rc=4.0)
    both, plain, below = atoms.copy(), atoms.copy(), atoms.copy()
    both.calc, plain.calc, below.calc = ACECalculator(si, baseline=baseline), ACECalculator(si), baseline
    for quantity in ("get_potential_energy", "get_potential_energies", "get_forces", "get_stress"):
        expected = getattr(plain, quantity)() + getattr(below, quantity)()
        np.testing.assert_allclose(getattr(both, quantity)(), expected, atol=1e-10)


def test_moved_atoms_are_evaluated_again(si: ACEPotential) -> None:
    atoms = rattled(silicon(), 0.1, 0)
    atoms.calc = ACECalculator(si)
    before = atoms.get_potential_energy()
    atoms.positions[0, 0] += 0.1
    assert atoms.get_potential_energy() != before
    assert atoms.get_potential_energy() == pytest.approx(evaluate(si, atoms).energy)


def test_gamma_is_computed_only_when_asked(si: ACEPotential) -> None:
    training = [rattled(silicon(), 0.2, seed) for seed in range(30)]
    inverses = {element: s.inverse for element, s in active_sets(si.basis, training).items()}
    calc = ACECalculator(si, inverses)
    atoms = rattled(silicon(), 0.1, 99)
    atoms.calc = calc
    atoms.get_forces()
    assert "gamma" not in calc.results
    np.testing.assert_allclose(calc.get_property("gamma", atoms), gammas(si.basis, inverses, atoms))
    assert "forces" in calc.results
    np.testing.assert_allclose(calc.gamma(atoms), calc.results["gamma"])


def test_gamma_without_a_fitting_active_set_is_refused(si: ACEPotential) -> None:
    with pytest.raises(DataError, match="without an active set"):
        ACECalculator(si).gamma(silicon())
    with pytest.raises(DataError, match="different trainings"):
        ACECalculator(si, {"Si": np.eye(3)})
    with pytest.raises(DataError, match="contracted"):
        ACECalculator(si.contracted(), {"Si": np.eye(si.basis.number_of_functions)})


def test_cluster_without_cell_has_forces_but_no_stress(si: ACEPotential) -> None:
    atoms = Atoms("Si3", positions=[[0, 0, 0], [2.3, 0, 0], [0, 2.4, 0.3]])
    atoms.calc = ACECalculator(si)
    assert np.abs(atoms.get_forces()).max() > 0
    assert "stress" not in atoms.calc.results


def test_a_fit_to_another_potential_reproduces_its_forces(si: ACEPotential) -> None:
    """The whole way: labels, design rows, solve, evaluate on structures that were not fitted."""
    label = LennardJones(sigma=2.0, epsilon=0.3, rc=4.4, smooth=True)
    factor = Factor(si.basis.number_of_functions)
    structures = [rattled(silicon(), 0.1, seed) for seed in range(40)]
    for atoms in structures:
        atoms.calc = label
        rows = design_rows(si.basis, atoms)
        factor.append(
            np.vstack([rows.energy, rows.forces]), np.r_[atoms.get_potential_energy(), atoms.get_forces().ravel()]
        )
    fitted = ACEPotential(si.basis, factor.solve(si.basis.smoothness).coefficients)
    test = rattled(silicon(), 0.1, 1000)
    test.calc = label
    wanted = test.get_forces()
    assert np.sqrt(((evaluate(fitted, test).forces - wanted) ** 2).mean()) < 0.1 * np.sqrt((wanted**2).mean())


def test_kept_neighbours_give_the_results_of_fresh_ones(cuau: ACEPotential) -> None:
    atoms = rattled(copper_gold() * (2, 1, 1), 0.1, 0)
    calc = ACECalculator(cuau, skin_angstrom=0.6, threads=2)
    random = np.random.default_rng(5)
    searches = set()
    for _ in range(12):
        atoms.positions += 0.05 * random.normal(size=atoms.positions.shape)
        found, fresh = calc.get_forces(atoms), evaluate(cuau, atoms)
        np.testing.assert_allclose(found, fresh.forces, atol=1e-11)
        np.testing.assert_allclose(calc.results["stress"], fresh.strain_derivative / atoms.get_volume(), atol=1e-12)
        searches.add(id(calc.neighbours(atoms)))
    assert 1 < len(searches) < 12


def test_neighbours_are_searched_again_when_cell_species_or_boundary_change(cuau: ACEPotential) -> None:
    atoms = rattled(copper_gold(), 0.1, 0)
    calc = ACECalculator(cuau)
    kept = calc.neighbours(atoms)
    atoms.positions[0] += 0.1
    assert calc.neighbours(atoms) is kept
    for change in ("cell", "species", "boundary", "number"):
        other = atoms.copy()
        if change == "cell":
            other.cell[0, 0] += 1e-3
        elif change == "species":
            other.symbols[[0, 1]] = other.symbols[[1, 0]]
        elif change == "boundary":
            other.pbc[2] = False
        else:
            other = other[:-1]
        assert calc.neighbours(other) is not kept
        np.testing.assert_allclose(calc.get_forces(other), evaluate(cuau, other).forces, atol=1e-11)
        calc.neighbours(atoms)


def test_another_potential_searches_its_own_neighbours(si: ACEPotential) -> None:
    atoms = rattled(silicon(), 0.1, 0)
    shorter = build_basis(BasisSpec(("Si",), 3.0, (5, 4)))
    small = ACEPotential(shorter, np.linspace(-1, 1, shorter.number_of_functions))
    calculator = ACECalculator(small)
    atoms.calc = calculator
    atoms.get_potential_energy()
    calculator.potential = si
    calculator.reset()
    assert atoms.get_potential_energy() == pytest.approx(evaluate(si, atoms).energy, abs=1e-10)


@pytest.mark.parametrize(
    ("argument", "value", "says"),
    [
        ("skin_angstrom", -1.0, "skin_angstrom = -1.0"),
        ("skin_angstrom", float("nan"), "skin_angstrom = nan"),
        ("threads", 0, "threads"),
        ("threads", 1.5, "not a whole number"),
        ("tread", 2, "no argument 'tread'"),
    ],
)
def test_impossible_arguments_are_refused_at_once(si: ACEPotential, argument: str, value: float, says: str) -> None:
    with pytest.raises((DataError, ConfigurationFault, TypeError), match=says):
        ACECalculator(si, **{argument: value})


def test_bad_structures_are_refused_with_kept_neighbours_too(si: ACEPotential) -> None:
    atoms = rattled(silicon(), 0.02, 0)
    calc = ACECalculator(si, skin_angstrom=6.0)
    calc.get_forces(atoms)
    atoms.positions[2] = atoms.positions[5] + [0, 0, 5e-4]
    with pytest.raises(DataError, match=r"atoms 2 and 5 are 0.0005 Angstrom apart"):
        calc.get_forces(atoms)
    atoms.positions[3, 1] = np.nan
    with pytest.raises(DataError, match="position of atom 3"):
        calc.get_forces(atoms)


def test_gamma_without_a_structure_is_that_of_the_last_one(si: ACEPotential) -> None:
    training = [rattled(silicon(), 0.2, seed) for seed in range(30)]
    calc = ACECalculator(si, {element: s.inverse for element, s in active_sets(si.basis, training).items()})
    with pytest.raises(DataError, match="without a structure"):
        calc.gamma()
    atoms = rattled(silicon(), 0.1, 1)
    calc.get_forces(atoms)
    np.testing.assert_array_equal(calc.gamma(), calc.gamma(atoms))
