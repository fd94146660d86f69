import numpy as np
import pytest

from mlip_autopipec.ace import Factor
from mlip_autopipec.errors import DataError


def _problem(rows: int, columns: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a, c = rng.normal(size=(rows, columns)), rng.normal(size=columns)
    return a, a @ c + noise * rng.normal(size=rows), c


def test_rows_in_pieces_give_the_one_shot_least_squares_answer() -> None:
    a, y, _ = _problem(5000, 40, 0.1)
    factor = Factor(40)
    for k in range(0, 5000, 77):
        factor.append(a[k : k + 77], y[k : k + 77])
    expected = np.linalg.lstsq(a, y, rcond=None)[0]
    np.testing.assert_allclose(factor.solve(ridge=1e-12).coefficients, expected, atol=1e-9)
    assert factor.rows == 5000
    assert factor.triangle.shape == (41, 41)


def test_appending_to_a_kept_triangle_equals_appending_at_once() -> None:
    a, y, _ = _problem(300, 20, 0.1)
    factor, whole = Factor(20), Factor(20)
    whole.append(a, y)
    factor.append(a[:120], y[:120])
    again = Factor.of_triangle(factor.triangle, factor.rows)
    again.append(a[120:200], y[120:200])
    other = Factor(20)
    other.append(a[200:], y[200:])
    again.merge(other)
    assert again.rows == whole.rows
    first, second = whole.solve(), again.solve()
    np.testing.assert_allclose(first.coefficients, second.coefficients, atol=1e-10)
    assert first.log_evidence == pytest.approx(second.log_evidence, abs=1e-6)


def test_evidence_finds_the_noise_and_prefers_the_true_strength() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(400, 60))
    c = 0.5 * rng.normal(size=60)
    factor = Factor(60)
    factor.append(a, a @ c + 0.2 * rng.normal(size=400))
    found = factor.solve()
    assert found.noise == pytest.approx(0.2, rel=0.15)
    assert found.ridge == pytest.approx((0.2 / 0.5) ** 2, rel=1.0)
    assert all(found.log_evidence >= factor.solve(ridge=found.ridge * f).log_evidence for f in (0.1, 0.5, 2.0, 10.0))


def test_one_heavy_column_does_not_hide_the_right_strength() -> None:
    a, y, _ = _problem(400, 30, 0.2, seed=11)
    plain, heavy = Factor(30), Factor(31)
    plain.append(a, y)
    heavy.append(np.column_stack([a, np.full(400, 1e3)]), y + 5e3)
    found = heavy.solve(np.r_[np.full(30, 1e3), 1e-6])
    assert found.ridge * 1e6 == pytest.approx(plain.solve().ridge, rel=0.2)
    np.testing.assert_allclose(found.coefficients[:30], plain.solve().coefficients, atol=0.01)


def test_evidence_shrinks_everything_when_the_targets_are_noise() -> None:
    rng = np.random.default_rng(5)
    factor = Factor(30)
    factor.append(rng.normal(size=(200, 30)), rng.normal(size=200))
    found = factor.solve()
    assert found.effective_parameters < 5
    assert np.linalg.norm(found.coefficients) < 0.3


def test_prior_weights_decide_where_data_are_silent() -> None:
    a = np.array([[1.0, 1.0]])
    factor = Factor(2)
    factor.append(a, [1.0])
    found = factor.solve(prior=[1.0, 10.0], ridge=1e-6)
    np.testing.assert_allclose(found.coefficients, np.array([100.0, 1.0]) / 101, atol=1e-5)


def test_posterior_covers_the_true_coefficients() -> None:
    a, y, c = _problem(500, 30, 0.3, seed=7)
    factor = Factor(30)
    factor.append(a, y)
    found = factor.solve()
    pulls = (found.coefficients - c) / np.linalg.norm(found.posterior_factor, axis=1)
    assert 0.6 < np.sqrt((pulls**2).mean()) < 1.5
    covariance = 0.3**2 * np.linalg.inv(a.T @ a)
    np.testing.assert_allclose(np.linalg.norm(found.posterior_factor, axis=1), np.sqrt(np.diag(covariance)), rtol=0.2)


def test_fewer_rows_than_columns_still_have_an_answer_and_wide_posterior() -> None:
    a, y, _ = _problem(5, 12, 0.0)
    factor = Factor(12)
    factor.append(a, y)
    found = factor.solve(ridge=1e-10)
    np.testing.assert_allclose(a @ found.coefficients, y, atol=1e-6)
    silent = np.linalg.svd(a)[2][-1]
    assert np.linalg.norm(silent @ found.posterior_factor) > 100 * np.linalg.norm(
        a[0] / np.linalg.norm(a[0]) @ found.posterior_factor
    )


def test_bad_rows_never_enter_a_factor() -> None:
    factor = Factor(3)
    with pytest.raises(DataError, match="not finite"):
        factor.append(np.full((1, 3), np.nan), [1.0])
    with pytest.raises(DataError, match="do not fit"):
        factor.append(np.ones((2, 4)), [1.0, 2.0])
    with pytest.raises(DataError, match="no rows"):
        factor.solve()
    assert factor.rows == 0
    factor.append(np.ones((1, 3)), [1.0])
    with pytest.raises(DataError, match="3 positive"):
        factor.solve(prior=[1.0, -1.0, 1.0])
    with pytest.raises(DataError, match="ridge"):
        factor.solve(ridge=0.0)
    zero = Factor(3)
    zero.append(np.zeros((4, 3)), np.ones(4))
    with pytest.raises(DataError, match="all rows are zero"):
        zero.solve()


def test_the_prior_is_never_wider_than_allowed() -> None:
    rng = np.random.default_rng(9)
    a = rng.normal(size=(200, 6)) * np.array([1, 1, 1, 1e-6, 1e-6, 1e-6])
    factor = Factor(6)
    factor.append(a, a @ np.array([1.0, -2, 1, 1e6, -2e6, 1e6]) + 1e-3 * rng.normal(size=200))
    free, bound = factor.solve(), factor.solve(widest=100.0)
    assert np.abs(free.coefficients).max() > 1e5
    assert bound.noise / np.sqrt(bound.ridge) <= 100.0
    assert np.abs(bound.coefficients).max() < 100.0
