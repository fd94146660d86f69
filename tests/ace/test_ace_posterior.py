"""The posterior is that of the fit, survives its file, and refuses what does not belong to it."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from mlip_autopipec.ace import ACEPotential, BasisSpec, Factor, build_basis, design_rows
from mlip_autopipec.ace.posterior import Law, Posterior
from mlip_autopipec.errors import DataError, InputFileError

ENERGY_WEIGHT = 5.0


def frame(seed):
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


@pytest.fixture(scope="module")
def fitted():
    basis = build_basis(BasisSpec(("Si",), 5.0, (8, 6, 4)))
    truth = np.random.default_rng(1).normal(size=basis.number_of_functions) / basis.smoothness
    random = np.random.default_rng(2)
    factor = Factor(basis.number_of_functions + 1)
    for seed in range(12):
        rows = design_rows(basis, frame(seed))
        weight = ENERGY_WEIGHT / np.sqrt(8)
        block = np.column_stack([np.vstack([weight * rows.energy, rows.forces]), np.zeros(25)])
        values = np.append(weight * rows.energy @ truth, rows.forces @ truth)
        factor.append(block, values + 0.02 * random.normal(size=25))
    solution = factor.solve(np.append(basis.smoothness, 1.0))
    return basis, solution, Posterior.of_fit(solution, basis.number_of_functions, ENERGY_WEIGHT), truth


def test_covariance_is_that_of_the_fit_with_the_extra_column_averaged_out(fitted):
    basis, solution, posterior, _ = fitted
    size = basis.number_of_functions
    whole = solution.posterior_factor @ solution.posterior_factor.T
    np.testing.assert_allclose(posterior.factor @ posterior.factor.T, whole[:size, :size], rtol=1e-8, atol=1e-18)


def test_deviation_combines_covariance_and_noise(fitted):
    basis, _, posterior, _ = fitted
    atoms = frame(99)
    rows = design_rows(basis, atoms)
    covariance = posterior.factor @ posterior.factor.T
    found = posterior.deviation(basis, atoms)
    force = np.einsum("ij,jk,ik->i", rows.forces, covariance, rows.forces) + posterior.force_law.noise**2
    np.testing.assert_allclose(found.forces_ev_per_angstrom.ravel() ** 2, force, rtol=1e-8)
    energy = rows.energy @ covariance @ rows.energy + 8 * posterior.energy_law.noise**2
    assert found.energy_ev**2 == pytest.approx(energy, rel=1e-8)


def test_laws_turn_the_covariance_into_errors(fitted):
    basis, _, plain, _ = fitted
    posterior = replace(plain, energy_law=Law(2.0, 1.0, 0.0), force_law=Law(0.5, 0.5, 0.0), draw_scale=3.0)
    part = plain.parameter_deviation(design_rows(basis, frame(5)))
    found = posterior.deviation(basis, frame(5))
    assert found.energy_ev == pytest.approx(2 * part.energy_ev)
    np.testing.assert_allclose(found.forces_ev_per_angstrom, 0.5 * np.sqrt(part.forces_ev_per_angstrom))
    wide, narrow = (one.draws(3, np.random.default_rng(1)) - one.coefficients for one in (posterior, plain))
    np.testing.assert_allclose(wide, 3 * narrow)


def test_forces_that_symmetry_forbids_are_certain(fitted):
    basis, _, plain, _ = fitted
    posterior = replace(plain, force_law=Law(2.0, 0.7, 0.0))
    found = posterior.deviation(basis, bulk("Si", cubic=True))
    assert found.forces_ev_per_angstrom.max() < 1e-6
    assert found.energy_ev > 0


def test_noise_is_recovered_and_errors_of_the_true_model_are_covered(fitted):
    basis, _, posterior, truth = fitted
    assert posterior.force_law.noise == pytest.approx(0.02, rel=0.2)
    assert posterior.energy_law.noise == pytest.approx(0.02 / ENERGY_WEIGHT, rel=0.2)
    ratios = []
    for seed in range(100, 110):
        rows = design_rows(basis, frame(seed))
        part = posterior.parameter_deviation(rows)
        error = rows.forces @ (posterior.coefficients - truth)
        ratios.append(error / part.forces_ev_per_angstrom.ravel())
    inside = np.mean(np.abs(np.concatenate(ratios)) < 1)
    assert 0.5 < inside < 0.9


def test_draws_scatter_as_the_covariance_says(fitted):
    basis, _, posterior, _ = fitted
    rows = design_rows(basis, frame(7))
    draws = posterior.draws(4000, np.random.default_rng(3))
    spread = np.std(rows.forces @ draws.T, axis=1)
    np.testing.assert_allclose(spread, posterior.parameter_deviation(rows).forces_ev_per_angstrom.ravel(), rtol=0.06)
    np.testing.assert_array_equal(draws, posterior.draws(4000, np.random.default_rng(3)))


def test_a_file_gives_the_same_posterior_back(fitted, tmp_path):
    basis, _, posterior, _ = fitted
    posterior = replace(posterior, energy_noise_ev_per_atom=0.003)
    posterior.save(tmp_path / "p.npz")
    again = Posterior.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(again.factor, posterior.factor)
    assert (again.energy_law, again.force_law) == (posterior.energy_law, posterior.force_law)
    assert again.deviation(basis, frame(1)).energy_ev == posterior.deviation(basis, frame(1)).energy_ev


def test_damaged_and_foreign_files_are_refused_with_their_name(fitted, tmp_path):
    posterior = fitted[2]
    path = tmp_path / "p.npz"
    with pytest.raises(InputFileError, match="no such file"):
        Posterior.load(path)
    posterior.save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputFileError, match=r"p\.npz: not the posterior"):
        Posterior.load(path)
    np.savez(path, a=1)
    with pytest.raises(InputFileError, match="not the posterior"):
        Posterior.load(path)


def test_the_posterior_of_another_training_is_refused(fitted):
    basis, _, posterior, truth = fitted
    posterior.check_belongs(ACEPotential(basis, posterior.coefficients))
    with pytest.raises(DataError, match="other coefficients"):
        posterior.check_belongs(ACEPotential(basis, truth))
    other = build_basis(BasisSpec(("Si",), 5.0, (6, 4)))
    with pytest.raises(DataError, match="different trainings"):
        posterior.check_belongs(ACEPotential(other, np.zeros(other.number_of_functions)))
