"""Two densities: the embedding, the gradient of the fit, and when the second density is kept."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mlip_autopipec.ace import ACEPotential, design_rows, evaluate, read_yace
from mlip_autopipec.config.full import Training
from mlip_autopipec.dimers import dimer
from mlip_autopipec.frames import new_frame, set_label
from mlip_autopipec.potential import load_potential
from mlip_autopipec.repulsion import ZBL, zbl_pair
from mlip_autopipec.training import train, two_densities
from mlip_autopipec.training.core import core_of
from mlip_autopipec.training.delta import Target
from mlip_autopipec.training.triangles import Choice, Triangles

CUTOFF = 4.5
CHOICE = Choice((7, 5), CUTOFF, 10.0, 1.0, 4.0)


def copper(number, seed=0):
    """Rattled and strained fcc cells with the energies, forces and stresses of effective-medium theory."""
    random = np.random.default_rng(seed)
    targets = []
    for k in range(number):
        atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
        atoms.set_cell(atoms.cell @ (np.eye(3) * random.uniform(0.94, 1.08)), scale_atoms=True)
        atoms.positions += random.normal(0, 0.12, atoms.positions.shape)
        atoms.info.update(uid=f"f{k}", origin=f"rattle {k}", config_type="rattled")
        atoms.calc = EMT()
        stress = atoms.get_stress() * atoms.get_volume()
        targets.append(Target(atoms, atoms.get_potential_energy(), atoms.get_forces(), stress))
    return targets


@pytest.fixture(scope="module")
def fitted():
    targets = copper(30)
    triangles = Triangles.empty(["Cu"], [CUTOFF], [CHOICE.degrees], 3)
    triangles.append(targets)
    return targets, triangles, triangles.solve(CHOICE)


def test_embedding_is_odd_smooth_and_has_the_slope_of_the_files():
    rho = np.array([-3.0, -0.2, 0.0, 0.2, 3.0])
    value, first, second = two_densities.embedding(rho)
    np.testing.assert_allclose(value[::-1], -value, atol=1e-15)
    assert first[2] == pytest.approx(1.25)
    step = 1e-6
    up, down = two_densities.embedding(rho + step), two_densities.embedding(rho - step)
    np.testing.assert_allclose((up[0] - down[0]) / (2 * step), first, atol=1e-5)
    away = [0, 1, 3, 4]  # the second derivative jumps in sign at 0
    np.testing.assert_allclose(((up[1] - down[1]) / (2 * step))[away], second[away], atol=1e-8)


def test_without_a_second_density_it_is_the_linear_model(fitted):
    targets, _, fit = fitted
    problem = two_densities.Problem(targets[:2], fit.basis, fit)
    energy, outputs, _ = problem.predict(np.column_stack([fit.coefficients, np.zeros(len(fit.coefficients))]))
    rows = design_rows(fit.basis, targets[0].frame)
    assert energy[0] == pytest.approx(rows.energy @ fit.coefficients, rel=1e-12)
    atoms = len(targets[0].frame)
    np.testing.assert_allclose(outputs[: 3 * atoms], rows.forces @ fit.coefficients, atol=1e-5)
    strain = rows.strain @ fit.coefficients / np.sqrt(atoms)
    np.testing.assert_allclose(outputs[3 * atoms : 3 * atoms + 6], strain, rtol=1e-4, atol=1e-4)


def test_gradient_is_the_derivative_of_the_loss(fitted):
    targets, _, fit = fitted
    problem = two_densities.Problem(targets[:4], fit.basis, fit)
    random = np.random.default_rng(1)
    c = np.column_stack([fit.coefficients, 0.3 * fit.coefficients])
    along = random.normal(size=c.shape) * np.abs(c)
    chosen = np.array([True, True, False, True])
    step = 1e-3
    slope = (problem.loss(c + step * along, chosen)[0] - problem.loss(c - step * along, chosen)[0]) / (2 * step)
    assert (problem.loss(c, chosen)[1] * along).sum() == pytest.approx(slope, rel=1e-3)
    assert problem.loss(c, ~chosen)[0] < problem.loss(c, np.ones(4, dtype=bool))[0]


def test_a_metal_is_predicted_better_with_two_densities(fitted):
    targets, triangles, fit = fitted
    coefficients, record = two_densities.refine(targets, triangles, fit, iterations=150)
    assert record["kept"]
    assert coefficients.shape == (fit.basis.number_of_functions, 2)
    held_out = record["held_out"]
    assert held_out["two_densities"]["force_rmse_mev_per_angstrom"] < held_out["linear"]["force_rmse_mev_per_angstrom"]
    unseen = copper(6, seed=7)
    problem = two_densities.Problem(unseen, fit.basis, fit)
    every = np.ones(len(unseen), dtype=bool)
    linear = np.column_stack([fit.coefficients, np.zeros(len(fit.coefficients))])
    assert problem.misfit(coefficients, every).score < problem.misfit(linear, every).score


def test_the_linear_fit_is_kept_where_two_densities_do_not_help(fitted):
    targets, _, _ = fitted
    random = np.random.default_rng(3)
    noisy = [Target(t.frame, random.normal(), random.normal(size=t.forces.shape), None) for t in targets[:9]]
    triangles = Triangles.empty(["Cu"], [CUTOFF], [CHOICE.degrees], 3)
    triangles.append(noisy)
    coefficients, record = two_densities.refine(noisy, triangles, triangles.solve(CHOICE), iterations=50)
    assert coefficients is None
    assert not record["kept"]
    assert "linear fit is kept" in record["reason"]


def test_too_much_memory_keeps_the_linear_fit(fitted, monkeypatch):
    targets, triangles, fit = fitted
    monkeypatch.setattr(two_densities, "MEMORY_BYTES", 1e3)
    coefficients, record = two_densities.refine(targets, triangles, fit, iterations=5)
    assert coefficients is None
    assert "GB" in record["reason"]


def test_the_potential_of_both_densities_is_what_was_fitted(fitted):
    targets, _, fit = fitted
    c = np.column_stack([fit.coefficients, 0.3 * fit.coefficients])
    potential = ACEPotential(fit.basis, c, embeddings=(two_densities.EMBEDDING,))
    problem = two_densities.Problem(targets[:2], fit.basis, fit)
    energy, outputs, _ = problem.predict(c)
    found = evaluate(potential, targets[0].frame)
    assert found.energy == pytest.approx(energy[0], rel=1e-12)
    np.testing.assert_allclose(found.forces.ravel(), outputs[: found.forces.size], atol=1e-5)


def test_virtual_forces_are_followed_where_there_are_no_data(fitted):
    targets, _, fit = fitted
    core = core_of(fit.basis, None, "Cu", "Cu", 2.0)
    problem = two_densities.Problem(targets, fit.basis, fit, core.virtual_forces(fit.solution.noise, 0.1))
    every = problem.chosen(np.ones(len(targets), dtype=bool), pairs=True)
    c, _ = two_densities.minimise(problem, fit, every, 150)
    potential = ACEPotential(fit.basis, c, embeddings=(two_densities.EMBEDDING,))
    forces = np.array([evaluate(potential, dimer("Cu", "Cu", r)).forces[1, 0] for r in core.distances_angstrom])
    assert forces.min() > 0
    away, untold = np.abs(forces / core.screened - 1), np.abs(core.rows @ fit.coefficients / core.screened - 1)
    within_reach = core.distances_angstrom > 1.3  # nearer, so few functions cannot follow without a baseline
    assert away[within_reach].mean() < 0.4 * untold[within_reach].mean()


def test_the_trainer_delivers_it_with_a_repulsive_pair_and_gamma(fitted, tmp_path):
    frames = []
    for target in fitted[0]:
        atoms = target.frame
        frame = new_frame(atoms, origin=atoms.info["origin"], config_type="rattled")
        frames.append(set_label(frame, target.energy_ev, target.forces, atoms.get_stress()))
    settings = Training(
        cutoff_angstrom=CUTOFF, zbl_inner_angstrom=1.1, zbl_outer_angstrom=1.8, degrees=[[7, 5]], densities=2,
        energy_weights=[10.0], folds=3,
    )  # fmt: skip
    paths = [tmp_path / f"potential.{kind}" for kind in ("yaml", "yace", "asi")]
    record = train(frames, settings, *paths)
    assert record["second_density"]["kept"]
    calculator = load_potential(paths[0], paths[2])
    assert calculator.potential.coefficients.shape == (record["functions"], 2)
    assert calculator.gamma(frames[0]).max() <= 1.01
    for contracted in (False, True):
        energy = evaluate(read_yace(paths[1]) if contracted else calculator.potential, frames[0]).energy
        baseline = ZBL(1.1, 1.8).get_potential_energy(frames[0])
        references = sum(record["reference_energies_ev"][s] for s in frames[0].symbols)
        assert energy + baseline + references == pytest.approx(calculator.get_potential_energy(frames[0]), rel=1e-10)
    pressed = [evaluate(calculator.potential, dimer("Cu", "Cu", r)).forces[1, 0] for r in (0.3, 0.8, 1.4)]
    zbl = [-zbl_pair(np.array(r), np.array(29), np.array(29), 1.1, 1.8)[1] for r in (0.3, 0.8, 1.4)]
    assert (np.array(pressed) + np.array(zbl)).min() > 0
