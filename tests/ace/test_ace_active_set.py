import numpy as np
import pytest
from ace_cases import copper_gold, rattled, silicon
from ase.build import bulk

from mlip_autopipec.ace import ACEPotential, BasisSpec, active_sets, build_basis, gammas
from mlip_autopipec.ace.active_set import gamma, maxvol, select
from mlip_autopipec.errors import DataError


def test_maxvol_finds_rows_of_which_all_others_are_small_combinations() -> None:
    matrix = np.random.default_rng(0).normal(size=(500, 20))
    rows, _ = maxvol(matrix, 1.001)
    assert len(set(rows)) == 20
    ratios = matrix @ np.linalg.inv(matrix[rows])
    assert np.abs(ratios).max() <= 1.001 + 1e-9
    volume = abs(np.linalg.det(matrix[rows]))
    others = [abs(np.linalg.det(matrix[np.random.default_rng(k).permutation(500)[:20]])) for k in range(50)]
    assert volume > max(others)


@pytest.mark.parametrize("name", ["si", "cuau"])
def test_gamma_is_one_on_the_training_data_and_more_far_outside(name: str, request: pytest.FixtureRequest) -> None:
    potential: ACEPotential = request.getfixturevalue(name)
    cell = silicon() if name == "si" else copper_gold()
    training = [rattled(cell, 0.1, seed) for seed in range(40)]
    sets = active_sets(potential.basis, training)
    inverses = {element: s.inverse for element, s in sets.items()}
    grades = np.concatenate([gammas(potential.basis, inverses, atoms) for atoms in training])
    assert grades.max() <= 1.01
    assert (grades > 0.999).sum() >= sum(potential.basis.counts) - sum(s.virtual for s in sets.values())
    squeezed = cell.copy()
    squeezed.set_cell(cell.cell.array * 0.8, scale_atoms=True)
    assert gammas(potential.basis, inverses, squeezed).max() > 5


def test_chosen_rows_have_gamma_one_whatever_the_scale_of_the_columns() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(300, 15)) * 10.0 ** rng.uniform(-8, 3, 15)
    found = select(values)
    assert found.virtual == 0
    np.testing.assert_allclose(gamma(values[found.rows], found.inverse), 1.0, atol=1e-8)
    assert gamma(values, found.inverse).max() <= 1.001 + 1e-6


def test_a_function_without_data_is_seen_not_ignored() -> None:
    values = np.random.default_rng(2).normal(size=(100, 6))
    values[:, 4] = 0.0
    found = select(values)
    assert found.virtual == 1
    assert len(found.rows) == 5
    assert gamma(values, found.inverse).max() <= 1.001 + 1e-6
    stranger = values[:1].copy()
    stranger[0, 4] = 0.1
    assert gamma(stranger, found.inverse)[0] > 1000


def test_too_few_environments_are_refused_with_the_numbers() -> None:
    basis = build_basis(BasisSpec(("Si",), 4.5, (8, 8)))
    with pytest.raises(
        DataError, match=rf"element Si: 8 environments cannot determine {basis.number_of_functions} functions"
    ):
        active_sets(basis, [silicon()])
    with pytest.raises(DataError, match="not finite"):
        select(np.full((5, 2), np.inf))


def test_active_set_of_another_potential_is_refused() -> None:
    basis = build_basis(BasisSpec(("Si",), 4.5, (8, 8)))
    with pytest.raises(DataError, match="different trainings"):
        gammas(basis, {"Si": np.eye(3)}, bulk("Si"))
    with pytest.raises(DataError, match="lacks element Si"):
        gammas(basis, {"Ge": np.eye(3)}, bulk("Si"))
