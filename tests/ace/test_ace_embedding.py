"""Several densities, their embedding, and core repulsion: derivatives, files and gamma."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ace_cases import copper_gold, rattled, silicon
from ase import Atoms

from mlip_autopipec.ace import (
    ACECalculator,
    ACEPotential,
    BasisSpec,
    Embedding,
    build_basis,
    evaluate,
    project,
    read_potential,
    write_yace,
    write_yaml,
)
from mlip_autopipec.ace.active_set import select
from mlip_autopipec.ace.basis import Basis
from mlip_autopipec.errors import DataError

SHIFTED, PLAIN = "FinnisSinclairShiftedScaled", "FinnisSinclair"
INNER = {
    "none": {},
    "density": {"repulsion": (30.0, 1.0), "inner_kind": "density"},
    "distance": {"repulsion": (30.0, 1.0), "inner": (2.6, 0.5), "inner_kind": "distance"},
    "zbl": {"repulsion": (1.0, 1.0), "inner": (2.4, 0.4), "inner_kind": "zbl", "width": 1.5},
}


def _potential(elements: tuple[str, ...], embedding: Embedding, inner: str) -> ACEPotential:
    basis = build_basis(BasisSpec(elements, 4.5, (4, 5, 5)))
    bonds = {pair: replace(bond, **INNER[inner]) for pair, bond in basis.bonds.items()}
    basis = Basis(basis.elements, bonds, basis.functions)
    shape = (basis.number_of_functions, embedding.densities)
    coefficients = np.random.default_rng(3).normal(size=shape) / basis.smoothness[:, None] ** 0.5
    return ACEPotential(basis, coefficients, {}, (embedding,) * len(elements))


def _derivative(potential: ACEPotential, atoms: Atoms, i: int, c: int, h: float = 1e-4) -> float:
    energies = []
    for step in (-2, -1, 1, 2):
        moved = atoms.copy()
        moved.positions[i, c] += step * h
        energies.append(evaluate(potential, moved).energy)
    return float((energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * h))


@pytest.mark.parametrize("inner", list(INNER))
@pytest.mark.parametrize("name", [SHIFTED, PLAIN])
def test_forces_and_stress_are_derivatives_of_the_energy(name: str, inner: str) -> None:
    potential = _potential(("Au", "Cu"), Embedding(name, (1.0, 1.0, -0.7, 0.5), 4.0, 3.5), inner)
    atoms = rattled(copper_gold(), 0.25, 8)
    atoms.set_cell(atoms.cell.array * 0.93, scale_atoms=True)
    found = evaluate(potential, atoms)
    for i, c in [(0, 0), (3, 1), (5, 2)]:
        assert found.forces[i, c] == pytest.approx(-_derivative(potential, atoms, i, c), abs=2e-6)
    energies = []
    for sign in (1, -1):
        strain = np.eye(3)
        strain[1, 2] += sign * 5e-6
        strain[2, 1] += sign * 5e-6
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        energies.append(evaluate(potential, strained).energy)
    assert found.strain_derivative[3] == pytest.approx((energies[0] - energies[1]) / 2e-5, abs=1e-4)


@pytest.mark.parametrize("inner", [kind for kind in INNER if kind != "none"])
def test_core_repulsion_pushes_atoms_apart_however_close(inner: str) -> None:
    potential = _potential(("Cu",), Embedding(core_cut=5.0, core_width=5.0), inner)
    energies = [
        evaluate(potential, Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]])).energy for r in np.arange(0.2, 1.2, 0.1)
    ]
    assert (np.diff(energies) < 0).all()
    assert energies[0] > 100


def test_atoms_without_neighbours_have_no_energy_with_core_repulsion() -> None:
    for inner in INNER:
        assert evaluate(_potential(("Cu",), Embedding(SHIFTED, (1.0, 0.5)), inner), Atoms("Cu")).energy == 0.0


def test_a_wide_switch_damps_the_energy_even_without_repulsion() -> None:
    """As python-ace and LAMMPS do: at core density 0 the switch of width 5 below 2 is partly off."""
    damped, full = (_potential(("Si",), Embedding(core_cut=2.0, core_width=width), "none") for width in (5.0, 2.0))
    atoms = rattled(silicon(), 0.2, 1)
    s = 1 - 2 * (1 - 2.0 / 5.0)
    part = 0.5 + 3.75 * (s / 4 - s**3 / 6 + s**5 / 20)
    np.testing.assert_allclose(evaluate(damped, atoms).energies, part * evaluate(full, atoms).energies, atol=1e-12)
    assert full.is_linear
    assert not damped.is_linear


@pytest.mark.parametrize("suffix", [".yaml", ".yace"])
@pytest.mark.parametrize("inner", list(INNER))
def test_densities_and_core_repulsion_survive_the_files(inner: str, suffix: str, tmp_path: Path) -> None:
    potential = _potential(("Au", "Cu"), Embedding(PLAIN, (1.0, 1.0, 0.5, 0.5), 7.0, 3.0), inner)
    path = tmp_path / f"p{suffix}"
    (write_yaml if suffix == ".yaml" else write_yace)(path, potential)
    again = read_potential(path)
    assert again.embeddings == potential.embeddings
    assert again.bonds == potential.bonds
    atoms = rattled(copper_gold(), 0.3, 4)
    expected, found = evaluate(potential, atoms), evaluate(again, atoms)
    np.testing.assert_allclose(found.energies, expected.energies, atol=1e-10)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-9)
    if isinstance(again, ACEPotential):
        np.testing.assert_array_equal(again.coefficients, potential.coefficients)


def test_densities_with_exponent_one_add_up_to_a_linear_potential() -> None:
    double = _potential(("Si",), Embedding(PLAIN, (1.0, 1.0, 2.0, 1.0)), "none")
    single = ACEPotential(double.basis, double.coefficients @ [1.0, 2.0])
    assert double.is_linear
    atoms = rattled(silicon(), 0.2, 1)
    np.testing.assert_allclose(evaluate(double, atoms).energies, evaluate(single, atoms).energies, atol=1e-12)


def test_elements_may_have_unlike_numbers_of_densities(tmp_path: Path) -> None:
    basis = build_basis(BasisSpec(("Au", "Cu"), 4.5, (3, 3)))
    coefficients = np.random.default_rng(0).normal(size=(basis.number_of_functions, 2))
    coefficients[basis.columns(0), 1] = 0.0
    potential = ACEPotential(basis, coefficients, {}, (Embedding(), Embedding(SHIFTED, (1.0, 1.0, 1.0, 0.5))))
    write_yaml(tmp_path / "p.yaml", potential)
    again = read_potential(tmp_path / "p.yaml")
    assert again.coefficients.shape == (basis.number_of_functions, 2)
    np.testing.assert_array_equal(again.coefficients, coefficients)


@pytest.mark.parametrize("full", [False, True])
def test_gamma_of_a_nonlinear_potential_takes_either_kind_of_active_set(full: bool) -> None:
    embedding = Embedding(SHIFTED, (1.0, 1.0, 1.0, 0.5))
    potential = _potential(("Si",), embedding, "none")
    training = [rattled(silicon(), 0.2, seed) for seed in range(30)]
    rows = []
    for atoms in training:
        ((_, values),) = project(potential.basis, atoms)
        slopes = embedding.slopes(values @ potential.coefficients)
        rows.append(np.hstack([slopes[:, :1] * values, slopes[:, 1:] * values]) if full else values)
    calc = ACECalculator(potential, {"Si": select(np.vstack(rows)).inverse})
    assert max(calc.gamma(atoms).max() for atoms in training) == pytest.approx(1.0, abs=1e-2)


def test_embeddings_that_do_not_fit_are_refused() -> None:
    basis = build_basis(BasisSpec(("Si",), 4.5, (3, 3)))
    ones = np.ones(basis.number_of_functions)
    with pytest.raises(DataError, match="Did you mean 'FinnisSinclair'"):
        Embedding("FinnisSinklair")
    with pytest.raises(DataError, match="2 densities"):
        ACEPotential(basis, ones, {}, (Embedding(PLAIN, (1.0, 1.0, 1.0, 0.5)),))
    with pytest.raises(DataError, match="2 embeddings for 1 elements"):
        ACEPotential(basis, ones, {}, (Embedding(), Embedding()))
