import numpy as np
import pytest
from ace_cases import silicon

from mlip_autopipec.ace import ACEPotential, BasisSpec, build_basis, project
from mlip_autopipec.ace.basis import Basis, evaluator_order
from mlip_autopipec.ace.radial import Bond
from mlip_autopipec.errors import DataError


@pytest.mark.parametrize(("degrees", "count"), [((20, 16, 12), 299), ((25, 21, 17), 1016)])
def test_published_recipes_give_their_number_of_functions(degrees: tuple[int, ...], count: int) -> None:
    basis = build_basis(BasisSpec(("Si",), 5.5, degrees))
    assert basis.number_of_functions == count
    assert basis.report()["Si"]["total"] == count


def test_every_function_is_within_its_degree_and_in_order() -> None:
    basis = build_basis(BasisSpec(("Cu", "Au"), 5.0, (6, 7, 6, 5)))
    assert basis.elements == ("Au", "Cu")
    for functions in basis.functions:
        assert list(functions) == sorted(functions, key=evaluator_order)
        for f in functions:
            assert sum(f.ns) + 1.5 * sum(f.ls) <= (6, 7, 6, 5)[f.rank - 1]
    mixtures = {tuple(sorted(set(f.mus))) for f in basis.functions[0]}
    assert mixtures == {(0,), (1,), (0, 1)}


def test_functions_are_linearly_independent_on_random_environments() -> None:
    basis = build_basis(BasisSpec(("Si",), 4.5, (6, 7, 8, 9)))
    structures = [silicon() for _ in range(60)]
    for seed, atoms in enumerate(structures):
        atoms.rattle(0.3, seed=seed)
    values = np.vstack([project(basis, atoms)[0][1] for atoms in structures])
    singular = np.linalg.svd(values / np.abs(values).max(axis=0), compute_uv=False)
    assert len(values) > 2 * basis.number_of_functions
    assert singular[-1] > 1e-8 * singular[0]


def test_smoothness_prior_follows_the_published_formula() -> None:
    basis = build_basis(BasisSpec(("Si",), 5.0, (3, 5)))
    by_function = dict(zip(basis.functions[0], basis.smoothness, strict=True))
    f = next(f for f in by_function if f.ns == (1, 1) and f.ls == (1, 1))
    assert by_function[f] == pytest.approx(1 + 2 * (1 + 1.5 * (1 + 1 / 5)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"elements": ("Xx",)}, "not chemical symbols: Xx"),
        ({"elements": ()}, "at least one"),
        ({"elements": ("Si", "Si")}, "distinct"),
        ({"degrees": (3, 0)}, "degrees"),
        ({"degrees": (4,) * 7}, "at most 6"),
        ({"l_weight": 0.0}, "l_weight"),
        ({"family": "Bessel"}, "family"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        BasisSpec(**{"elements": ("Si",), **change})  # type: ignore[arg-type]


def test_a_basis_that_would_not_fit_in_memory_is_refused_before_it_is_built() -> None:
    with pytest.raises(DataError, match="more than max_functions = 1000"):
        build_basis(BasisSpec(("Au", "Cu", "Ni", "Pd"), 5.0, (30, 30, 30), max_functions=1000))


def test_bonds_that_the_file_formats_cannot_hold_are_refused() -> None:
    basis = build_basis(BasisSpec(("Au", "Cu"), 5.0, (3,)))
    with pytest.raises(DataError, match="Au-Cu differ by direction"):
        Basis(basis.elements, basis.bonds | {(0, 1): Bond(4.0, 3)}, basis.functions)
    with pytest.raises(DataError, match=r"missing bonds: \[\(1, 0\)\]"):
        Basis(basis.elements, {k: b for k, b in basis.bonds.items() if k != (1, 0)}, basis.functions)


def test_coefficients_must_fit_the_basis_and_be_finite() -> None:
    basis = build_basis(BasisSpec(("Si",), 5.0, (3,)))
    with pytest.raises(DataError, match="3 functions"):
        ACEPotential(basis, np.zeros(4))
    with pytest.raises(DataError, match="not finite"):
        ACEPotential(basis, np.array([0.0, np.nan, 1.0]))
