import numpy as np
import pytest

from mlip_autopipec.ace.radial import FAMILIES, Bond, spline_table
from mlip_autopipec.errors import DataError


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_derivatives_are_those_of_the_values(family: str) -> None:
    bond = Bond(5.5, 10, family, (2.0,), 1.0)
    r, h = np.linspace(0.01, 5.48, 500), 1e-5
    numeric = (bond.basis(r + h)[0] - bond.basis(r - h)[0]) / (2 * h)
    np.testing.assert_allclose(bond.basis(r)[1], numeric, atol=1e-6)


def test_simplified_bessel_functions_are_orthonormal_and_end_smoothly() -> None:
    bond = Bond(5.0, 15)
    r = np.linspace(0, 5, 20001)
    values, slopes = bond.basis(r)
    np.testing.assert_allclose(np.trapezoid(values[:, None] * values * r**2, r), np.eye(15), atol=1e-9)
    np.testing.assert_allclose([values[:, -1], slopes[:, -1]], 0, atol=1e-12)


def test_spline_nodes_hold_values_and_scaled_slopes() -> None:
    bond = Bond(5.0, 4)
    nodes = spline_table(bond, np.eye(4), 0.01)
    assert nodes.shape == (501, 2, 4)
    values, slopes = bond.basis(np.array([1.23]))
    np.testing.assert_allclose(nodes[123], [values[:, 0], slopes[:, 0] * (5.0 / 500)], atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((5.0, 4, "SBesel"), "Did you mean 'SBessel'"), ((0.0, 4), "0 < cutoff"), ((5.0, 4, "ChebPow", ()), "lambda")],
)
def test_a_radial_basis_that_cannot_be_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Bond(*arguments)  # type: ignore[arg-type]
