"""A pair that would attract below the data is made to repel, and data that need no help are left alone."""

import numpy as np
import pytest
from ase import Atoms

from mlip_autopipec.ace import ACECalculator, ACEPotential, BasisSpec, Factor, build_basis, design_rows
from mlip_autopipec.dimers import NEAREST_ANGSTROM, attraction_below, dimer, scan, shortest_distances
from mlip_autopipec.repulsion import ZBL, LennardJones
from mlip_autopipec.training.core import core_of, repulsive_draw, with_repulsive_pairs

SHORTEST = 1.9
NOISE = 0.1


class Fit:
    def __init__(self, solution):
        self.solution, self.coefficients = solution, solution.coefficients


def solver(basis, bond_force):
    """Fits to pairs of Si atoms between 1.9 and 4 A, whose force is bond_force(r)."""

    def solve(more):
        factor, random = Factor(basis.number_of_functions), np.random.default_rng(0)
        for r in np.linspace(SHORTEST, 4.0, 60):
            atoms = Atoms("Si2", positions=[[0, 0, 0], [r, 0, 0]], cell=[30] * 3)
            factor.append(design_rows(basis, atoms).forces[3], bond_force(r) + random.normal(scale=NOISE))
        if more is not None:
            factor.append(*more)
        return Fit(factor.solve(basis.smoothness))

    return solve


@pytest.fixture(scope="module")
def basis():
    return build_basis(BasisSpec(("Si",), 5.0, (10, 6)))


def test_an_attracting_pair_repels_in_the_end_and_the_data_are_still_fitted(basis):
    baseline = ZBL(1.058, 1.693)

    def pulls(r):
        return (0.3 + 2.0 * (r - 1.9)) * np.exp(-((r - 1.9) ** 2))

    solve = solver(basis, pulls)
    plain = solve(None)
    fit, record = with_repulsive_pairs(solve, basis, baseline, {"Si-Si": SHORTEST})
    assert record["Si-Si"]["assumed_relative_error"] is not None
    assert record["Si-Si"]["attracts_at_angstrom"] is None
    below = np.arange(NEAREST_ANGSTROM, 0.95 * SHORTEST, 0.013)
    found = []
    for one in (plain, fit):
        calculator = ACECalculator(ACEPotential(basis, one.coefficients), baseline=baseline)
        found.append(scan(calculator, "Si", "Si", below, 6.0))
    assert attraction_below(below, found[0]["force_ev_per_angstrom"], SHORTEST) is not None
    assert (np.diff(found[1]["energy_ev"]) < 0).all()
    r = np.linspace(SHORTEST, 4.0, 30)
    learnt = [design_rows(basis, dimer("Si", "Si", x)).forces[3] @ fit.coefficients for x in r]
    assert np.sqrt(np.mean((learnt - pulls(r)) ** 2)) < NOISE


def test_a_baseline_stronger_than_the_nuclei_is_left_as_it_is(basis):
    core = core_of(basis, LennardJones({"Si-Si": (0.1, 1.2)}), "Si", "Si", SHORTEST)
    rows, values = core.weighted(noise=0.1, relative_error=1.0)
    assert core.baseline[0] > 100 * core.screened[0]
    assert values[0] == 0.0
    assert values[-1] > 0
    assert np.isfinite(rows).all()


def test_a_draw_is_moved_until_it_repels_and_keeps_what_the_data_decide(basis):
    baseline = ZBL(1.058, 1.693)
    fit = solver(basis, lambda r: 20 * np.exp(-2 * (r - 1.5)))(None)
    factor = 30 * fit.solution.posterior_factor
    cores = {"Si-Si": core_of(basis, baseline, "Si", "Si", SHORTEST)}
    draws = [fit.coefficients + factor @ z for z in np.random.default_rng(4).normal(size=(20, factor.shape[1]))]
    attracting = [c for c in draws if cores["Si-Si"].attracts_at(c) is not None]
    assert attracting
    r = np.linspace(2.2, 4.0, 20)
    rows = np.array([design_rows(basis, dimer("Si", "Si", x)).forces[3] for x in r])
    for coefficients in draws:
        moved = repulsive_draw(coefficients, factor, cores)
        assert cores["Si-Si"].attracts_at(moved) is None
        spread = np.linalg.norm(rows @ factor, axis=1)
        assert (np.abs(rows @ (moved - coefficients)) < 4 * spread).all()
    quiet = next(c for c in draws if cores["Si-Si"].attracts_at(c) is None)
    np.testing.assert_array_equal(repulsive_draw(quiet, factor, cores), quiet)


def test_a_pair_that_repels_already_is_left_alone(basis):
    solve = solver(basis, lambda r: 20 * np.exp(-2 * (r - 1.5)))
    fit, record = with_repulsive_pairs(solve, basis, ZBL(1.058, 1.693), {"Si-Si": SHORTEST})
    assert record["Si-Si"] == {
        "shortest_distance_angstrom": SHORTEST, "assumed_relative_error": None, "attracts_at_angstrom": None,
        "pressed": 0, "pressed_told": 0, "pressed_attracting": 0,
    }  # fmt: skip
    np.testing.assert_array_equal(fit.coefficients, solve(None).coefficients)


def test_pairs_that_never_meet_are_scanned_from_where_they_touch():
    basis = build_basis(BasisSpec(("C", "Si"), 4.0, (6, 4)))
    frame = Atoms("Si2", positions=[[0, 0, 0], [2.0, 0, 0]], cell=[30] * 3)
    row = design_rows(basis, frame).forces[3]

    def solve(more):
        factor = Factor(basis.number_of_functions)
        factor.append(row, 1.0)
        if more is not None:
            factor.append(*more)
        return Fit(factor.solve(basis.smoothness))

    shortest = shortest_distances([frame, Atoms("C")], 4.0)
    _, record = with_repulsive_pairs(solve, basis, ZBL(0.8, 1.5), shortest)
    assert record["C-Si"]["shortest_distance_angstrom"] == pytest.approx(0.76 + 1.11)  # covalent radii
    assert all(one["attracts_at_angstrom"] is None for one in record.values())


def test_data_come_before_what_is_told(basis):
    """Exact data that pull hard: nothing weak can turn the force round, and the record says where it attracts."""
    frames = np.linspace(SHORTEST, 4.0, 40)

    def solve(more):
        factor = Factor(basis.number_of_functions)
        for r in frames:
            atoms = Atoms("Si2", positions=[[0, 0, 0], [r, 0, 0]], cell=[30] * 3)
            factor.append(design_rows(basis, atoms).forces[3], -20 * np.exp(1.9 - r))
        if more is not None:
            factor.append(*more)
        return Fit(factor.solve(basis.smoothness))

    fit, record = with_repulsive_pairs(solve, basis, None, {"Si-Si": SHORTEST})
    assert record["Si-Si"]["attracts_at_angstrom"] > 1.0
    rows = np.array([design_rows(basis, dimer("Si", "Si", x)).forces[3] for x in frames])
    np.testing.assert_allclose(rows @ fit.coefficients, -20 * np.exp(1.9 - frames), atol=0.1)
