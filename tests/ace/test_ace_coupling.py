import numpy as np
import pytest

from mlip_autopipec.ace.coupling import (
    clebsch_gordan,
    coupled_terms,
    coupling_tree,
    independent_couplings,
    intermediate_momenta,
)
from mlip_autopipec.errors import DataError


def test_clebsch_gordan_has_textbook_values() -> None:
    assert clebsch_gordan(1, 0, 1, 0, 0, 0) == pytest.approx(-1 / np.sqrt(3), abs=1e-15)
    assert clebsch_gordan(1, 1, 1, -1, 0, 0) == pytest.approx(1 / np.sqrt(3), abs=1e-15)
    assert clebsch_gordan(1, 1, 1, 0, 2, 1) == pytest.approx(1 / np.sqrt(2), abs=1e-15)
    assert clebsch_gordan(2, 0, 1, 0, 1, 0) == pytest.approx(-np.sqrt(2 / 5), abs=1e-15)
    assert clebsch_gordan(1, 0, 1, 0, 1, 0) == 0.0


@pytest.mark.parametrize("momenta", [(1, 1), (2, 3), (4, 2)])
def test_clebsch_gordan_is_orthogonal(momenta: tuple[int, int]) -> None:
    l1, l2 = momenta
    rows = [(m1, m2) for m1 in range(-l1, l1 + 1) for m2 in range(-l2, l2 + 1)]
    columns = [(big_l, m) for big_l in range(abs(l1 - l2), l1 + l2 + 1) for m in range(-big_l, big_l + 1)]
    matrix = np.array([[clebsch_gordan(l1, m1, l2, m2, *column) for column in columns] for m1, m2 in rows])
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(len(columns)), atol=1e-13)


def test_tree_couples_pairs_first_and_an_odd_leaf_last() -> None:
    assert coupling_tree(3) == ((0, 1), (3, 2))
    assert coupling_tree(5) == ((0, 1), (2, 3), (5, 6), (7, 4))
    assert coupling_tree(6) == ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
    with pytest.raises(DataError, match="rank 7"):
        coupling_tree(7)


def test_intermediate_momenta_end_in_a_scalar_of_even_parity() -> None:
    assert intermediate_momenta((1, 1)) == ((),)
    assert intermediate_momenta((1, 2)) == ()
    assert intermediate_momenta((1,)) == ()
    assert intermediate_momenta((1, 1, 2)) == ((2,),)
    assert intermediate_momenta((1, 1, 1, 1)) == ((0, 0), (1, 1), (2, 2))


def test_half_basis_doubles_all_but_the_all_zero_term() -> None:
    terms = coupled_terms((0, 1), (1, 2), (1, 1), ())[3]
    assert terms == pytest.approx({(0, 0): -1 / np.sqrt(3), (1, -1): 2 / np.sqrt(3)})


def test_equal_products_are_merged_and_sorted_only_where_that_shortens() -> None:
    mus, ns, ls, merged = coupled_terms((0, 0, 0), (2, 1, 1), (2, 1, 1), (1,))
    assert (mus, ns, ls) == ((0, 0, 0), (1, 1, 2), (1, 1, 2))
    whole = coupled_terms((0, 0, 0), (3, 1, 2), (2, 1, 1), (1,))
    assert whole[1] == (3, 1, 2)
    assert len(merged) < len(whole[3])


def test_permutation_symmetry_leaves_one_coupling_of_four_equal_vectors() -> None:
    equal, distinct = (
        independent_couplings((0,) * 4, (1,) * 4, (1,) * 4),
        independent_couplings((0,) * 4, (1, 2, 3, 4), (1,) * 4),
    )
    assert len(equal) == 1
    assert len(distinct) == 3
