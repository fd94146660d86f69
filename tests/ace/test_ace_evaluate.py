import numpy as np
import pytest
from ace_cases import copper_gold, potential_for, rattled, silicon
from ase import Atoms
from ase.build import molecule
from ase.neighborlist import neighbor_list
from scipy.special import sph_harm_y

from mlip_autopipec.ace import ACEPotential, BasisSpec, build_basis, design_rows, evaluate, kernels, project
from mlip_autopipec.ace.basis import Basis
from mlip_autopipec.ace.neighbours import find_neighbours
from mlip_autopipec.ace.radial import Bond
from mlip_autopipec.errors import ConfigurationFault, DataError

Case = tuple[ACEPotential, Atoms]


def test_harmonics_are_condon_shortley_with_y00_equal_to_one() -> None:
    lmax, nn = 6, 20
    nlm = (lmax + 1) * (lmax + 2) // 2
    u = np.random.default_rng(0).normal(size=(3, nn))
    u /= np.linalg.norm(u, axis=0)
    arrays = [np.empty((nlm, nn)), np.empty((nlm, nn)), np.empty((lmax + 1, nn)), np.empty((lmax + 1, nn))]
    y_re, y_im = np.empty((nlm, nn)), np.empty((nlm, nn))
    kernels._harmonics(lmax, nn, u, np.ones(nn), *arrays, y_re, y_im, np.empty((3, nlm, nn)), np.empty((3, nlm, nn)))
    assert (y_re[0] == 1.0).all()
    theta, phi = np.arccos(u[2]), np.arctan2(u[1], u[0])
    for l in range(lmax + 1):
        for m in range(l + 1):
            expected = np.sqrt(4 * np.pi) * sph_harm_y(l, m, theta, phi)
            row = l * (l + 1) // 2 + m
            np.testing.assert_allclose(y_re[row] + 1j * y_im[row], expected, atol=1e-12)


def _numeric_force(potential: ACEPotential, atoms: Atoms, i: int, c: int, h: float = 1e-4) -> float:
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[i, c] += sign * h
        energies.append(evaluate(potential, moved).energy)
    return -(energies[0] - energies[1]) / (2 * h)


def test_forces_are_the_gradient_of_the_energy(case: Case) -> None:
    potential, atoms = case
    forces = evaluate(potential, atoms).forces
    for i, c in [(0, 0), (3, 1), (6, 2), (7, 0)]:
        assert forces[i, c] == pytest.approx(_numeric_force(potential, atoms, i, c), abs=1e-6)
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-11)


def test_strain_derivative_is_the_gradient_by_strain(case: Case) -> None:
    potential, atoms = case
    found = evaluate(potential, atoms).strain_derivative
    h = 1e-5
    for k, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h / 2
            strain[b, a] += sign * h / 2
            moved = atoms.copy()
            moved.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            energies.append(evaluate(potential, moved).energy)
        assert found[k] == pytest.approx((energies[0] - energies[1]) / (2 * h), abs=1e-6)


def test_energy_does_not_change_with_rotation_translation_or_order(case: Case) -> None:
    potential, atoms = case
    reference = evaluate(potential, atoms)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    order = np.random.default_rng(2).permutation(len(atoms))
    moved = atoms[order]
    moved.set_cell(atoms.cell.array @ turn.T)
    moved.positions = (atoms.positions[order] + [0.3, -7.1, 2.2]) @ turn.T
    found = evaluate(potential, moved)
    np.testing.assert_allclose(found.energies, reference.energies[order], atol=1e-10)
    np.testing.assert_allclose(found.forces, reference.forces[order] @ turn.T, atol=1e-10)


def test_a_supercell_has_the_energies_of_its_cell(case: Case) -> None:
    potential, atoms = case
    energies = evaluate(potential, atoms).energies
    np.testing.assert_allclose(evaluate(potential, atoms * (2, 1, 2)).energies, np.tile(energies, 4), atol=1e-11)


def test_design_rows_times_coefficients_are_the_evaluation(case: Case) -> None:
    potential, atoms = case
    rows, found = design_rows(potential.basis, atoms), evaluate(potential, atoms)
    c = potential.coefficients
    assert rows.forces.shape == (3 * len(atoms), len(c))
    assert rows.energy @ c == pytest.approx(found.energy, abs=1e-10)
    np.testing.assert_allclose(rows.forces @ c, found.forces.ravel(), atol=1e-10)
    np.testing.assert_allclose(rows.strain @ c, found.strain_derivative, atol=1e-10)
    np.testing.assert_allclose(rows.per_atom @ c, found.energies, atol=1e-10)


def test_projections_are_the_per_atom_rows_of_each_species(case: Case) -> None:
    potential, atoms = case
    rows = design_rows(potential.basis, atoms)
    seen = 0
    for mu, (chosen, values) in enumerate(project(potential.basis, atoms)):
        np.testing.assert_allclose(values, rows.per_atom[chosen, potential.basis.columns(mu)], atol=1e-12)
        assert {atoms.symbols[k] for k in chosen} == {potential.elements[mu]}
        seen += len(chosen)
    assert seen == len(atoms)


def test_contracted_form_gives_the_same_numbers(case: Case) -> None:
    potential, atoms = case
    whole, contracted = evaluate(potential, atoms), evaluate(potential.contracted(), atoms)
    np.testing.assert_allclose(contracted.energies, whole.energies, atol=1e-10)
    np.testing.assert_allclose(contracted.forces, whole.forces, atol=1e-10)


def test_contraction_adds_up_functions_that_differ_in_their_intermediate_momenta() -> None:
    potential = potential_for(build_basis(BasisSpec(("Si",), 4.5, (2, 2, 2, 13))))
    assert len(potential.contracted().functions[0]) < potential.basis.number_of_functions
    atoms = rattled(silicon(), 0.15, 3)
    expected = evaluate(potential, atoms).energies
    np.testing.assert_allclose(evaluate(potential.contracted(), atoms).energies, expected, atol=1e-10)


def test_each_pair_of_species_has_its_own_cutoff() -> None:
    plain = build_basis(BasisSpec(("Au", "Cu"), 4.5, (4,)))
    bonds = {(i, j): Bond(4.5 if i == j else 4.0, 4) for i in range(2) for j in range(2)}
    potential = potential_for(Basis(plain.elements, bonds, plain.functions))
    pairs = {name: Atoms(name, positions=[[0, 0, 0], [0, 0, 4.2]]) for name in ("Au2", "AuCu", "CuAu", "Cu2")}
    seen = {name for name, atoms in pairs.items() if evaluate(potential, atoms).energy != 0.0}
    assert seen == {"Au2", "Cu2"}


def test_general_radial_coefficients_and_unlike_cutoffs_keep_forces_exact() -> None:
    plain = build_basis(BasisSpec(("Au", "Cu"), 4.5, (4, 5, 5)))
    rng = np.random.default_rng(4)
    alike, mixed = (Bond(rc, 6, "ChebExpCos", (3.0,), 0.5, rng.normal(size=(4, 3, 6))) for rc in (4.5, 4.0))
    bonds = {(i, j): alike if i == j else mixed for i in range(2) for j in range(2)}
    potential = potential_for(Basis(plain.elements, bonds, plain.functions))
    atoms = rattled(copper_gold(), 0.15, 8)
    rows, found = design_rows(potential.basis, atoms), evaluate(potential, atoms)
    np.testing.assert_allclose(rows.forces @ potential.coefficients, found.forces.ravel(), atol=1e-9)
    for i, c in [(0, 0), (5, 2)]:
        assert found.forces[i, c] == pytest.approx(_numeric_force(potential, atoms, i, c), abs=1e-6)


def test_atoms_without_neighbours_have_no_energy(si: ACEPotential) -> None:
    alone = evaluate(si, Atoms("Si", cell=[20, 20, 20], pbc=True))
    assert alone.energy == 0.0
    assert not alone.forces.any()
    assert not design_rows(si.basis, Atoms("Si")).energy.any()


def test_a_molecule_needs_no_cell() -> None:
    potential = potential_for(build_basis(BasisSpec(("H", "O"), 3.0, (4, 5))))
    free, boxed = molecule("H2O"), molecule("H2O", vacuum=8.0)
    boxed.pbc = True
    np.testing.assert_allclose(evaluate(potential, free).forces, evaluate(potential, boxed).forces, atol=1e-10)
    assert np.abs(evaluate(potential, free).forces).max() > 1e-3


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, True, False), (False, False, False)])
def test_neighbours_agree_with_ase_for_any_cell_and_boundary(pbc: tuple[bool, bool, bool]) -> None:
    atoms = rattled(silicon(), 0.3, 5)
    atoms.set_cell(atoms.cell.array[[1, 0, 2]] + np.random.default_rng(0).normal(0, 1.5, (3, 3)))
    atoms.positions += 11.0
    atoms.pbc = pbc
    found = find_neighbours(atoms, ("Si",), np.array([[4.7]]))
    i, d = neighbor_list("id", atoms, 4.7)
    np.testing.assert_array_equal(np.diff(found.start), np.bincount(i, minlength=len(atoms)))
    np.testing.assert_allclose(np.sort(found.pairs(atoms).distances), np.sort(d), atol=1e-10)


@pytest.mark.parametrize("edge", [0.9, 2.3, 60.0])
def test_neighbours_are_found_in_the_smallest_and_the_longest_cells(edge: float) -> None:
    atoms = Atoms(
        "Si2", positions=[[0, 0, 0], [0.4, 0.3, 0.2]], cell=[[edge, 0, 0], [1.0, 3.0, 0], [0, 0.5, 2.8]], pbc=True
    )
    near = find_neighbours(atoms, ("Si",), np.array([[6.1]]), skin=0.4)
    i, d = neighbor_list("id", atoms, 6.1)
    pairs = near.pairs(atoms)
    np.testing.assert_array_equal(np.diff(pairs.start), np.bincount(i, minlength=2))
    np.testing.assert_allclose(np.sort(pairs.distances), np.sort(d), atol=1e-10)


def test_results_are_bitwise_the_same_for_any_number_of_threads(cuau: ACEPotential) -> None:
    atoms = rattled(copper_gold() * (4, 4, 4), 0.2, 2)
    atoms.symbols[:] = np.random.default_rng(0).permutation(atoms.symbols)
    one, three = evaluate(cuau, atoms, threads=1), evaluate(cuau, atoms, threads=3)
    np.testing.assert_array_equal(three.energies, one.energies)
    np.testing.assert_array_equal(three.forces, one.forces)
    np.testing.assert_array_equal(three.strain_derivative, one.strain_derivative)
    for (_, a), (_, b) in zip(
        project(cuau.basis, atoms, threads=3), project(cuau.basis, atoms, threads=1), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_design_rows_are_bitwise_the_same_for_any_number_of_threads(case: Case) -> None:
    potential, atoms = case
    one, three = design_rows(potential.basis, atoms, threads=1), design_rows(potential.basis, atoms, threads=3)
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_bad_number_of_threads_is_refused(si: ACEPotential, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLIP_NUM_THREADS", "two")
    with pytest.raises(ConfigurationFault, match="MLIP_NUM_THREADS = 'two'"):
        evaluate(si, silicon())
    monkeypatch.setenv("MLIP_NUM_THREADS", "2")
    assert np.isfinite(evaluate(si, silicon()).energy)


def test_bad_structures_are_refused_with_the_atom_named(si: ACEPotential) -> None:
    with pytest.raises(DataError, match="the structure has C, the potential knows only Si"):
        evaluate(si, Atoms("C"))
    broken = silicon()
    broken.positions[3, 1] = np.nan
    with pytest.raises(DataError, match="position of atom 3"):
        evaluate(si, broken)
    close = silicon()
    close.positions[2] = close.positions[5] + [0, 0, 5e-4]
    with pytest.raises(DataError, match=r"atoms 2 and 5 are 0.0005 Angstrom apart"):
        evaluate(si, close)
    flat = silicon()
    flat.set_cell([[5, 0, 0], [10, 0, 0], [0, 0, 5]])
    with pytest.raises(DataError, match="no volume"):
        evaluate(si, flat)
    with pytest.raises(DataError, match="no atoms"):
        evaluate(si, Atoms())
