"""Every structure type has its space group and formula; a formula finds the types that can hold it."""

import pytest
import spglib
from ase.formula import Formula
from structures_tasks import make_task

from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import closest_contact
from mlip_autopipec.structures.prototype_table import TABLE
from mlip_autopipec.structures.prototypes import assignments, build, integer_ratio, prototypes, skipped


@pytest.mark.parametrize("prototype", TABLE, ids=lambda p: f"{p.name}-{p.example}")
def test_prototype_has_the_space_group_and_formula_of_its_example(prototype):
    counts = Formula(prototype.example).count()
    letters = dict(zip("ABCD", counts, strict=False))
    assert letters in assignments(prototype, counts)
    atoms = build(prototype, letters)
    group = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=1e-3)
    assert group.number == prototype.space_group
    assert atoms.symbols.formula.reduce()[0].count() == Formula(prototype.example).reduce()[0].count()
    assert 0.75 < closest_contact(atoms)[0] < 1.4


@pytest.mark.parametrize(
    ("name", "formula", "neighbours", "apart"),
    [
        ("quartz", "SiO2", 4, 0.02),
        ("H1_1", "MgAl2O4", 6, 0.02),
        ("D5_1", "Al2O3", 3, 0.02),
        ("beta-Si3N4", "Si3N4", 4, 0.1),
    ],
)
def test_cations_have_their_coordination(name, formula, neighbours, apart):
    """The second element of the formula sits around the first as in the mineral, from the closest bond on."""
    from matscipy.neighbours import neighbour_list

    prototype = next(p for p in TABLE if p.name == name)
    counts = Formula(formula).count()
    way = next(w for w in assignments(prototype, counts) if list(w.values()) == list(counts))
    atoms = build(prototype, way)
    cation, anion = (list(counts)[-2], list(counts)[-1])
    first, second, distance = neighbour_list("ijd", atoms, cutoff=3.0)
    bonds = distance[(atoms.symbols[first] == cation) & (atoms.symbols[second] == anion)]
    close = (bonds < bonds.min() * (1 + apart) + 1e-3).sum() / (atoms.symbols == cation).sum()
    assert close == neighbours


def test_both_orders_of_the_elements_are_tried_only_where_they_differ():
    task = make_task("ZnO", prototypes=["B1", "B3", "B8_1"])
    assert [f.info["prototype"] for f in prototypes(task)] == ["B1", "B3", "B8_1", "B8_1"]


def test_rarer_element_goes_to_the_rarer_site():
    fluorite, anti = (prototypes(make_task(f, prototypes=["C1"]))[0] for f in ("CaF2", "Li2O"))
    assert fluorite.symbols.count("F") == 2
    assert anti.symbols.count("Li") == 2


def test_types_that_the_formula_cannot_have_are_named_with_the_reason():
    task = make_task("MgO", prototypes=["B1", "C4", "B33x"])
    assert [f.info["prototype"] for f in prototypes(task)] == ["B1"]
    assert skipped(task)["C4"] == "holds 1:2 atoms, which MgO has not"
    assert "Did you mean" in skipped(task)["B33x"]


def test_formula_that_no_type_holds_is_said():
    with pytest.raises(DataError, match="9:1"):
        prototypes(make_task("Al0.9Mg0.1", prototypes=["B1", "A1"]))


def test_fractions_become_the_smallest_integers():
    assert integer_ratio({"Al": 0.4, "O": 0.6}) == {"Al": 2, "O": 3}
    assert integer_ratio({"Fe": 2, "Pt": 2}) == {"Fe": 1, "Pt": 1}
    assert integer_ratio({"A": 1 / 3, "B": 2 / 3}) == {"A": 1, "B": 2}


def test_lengths_of_metals_come_from_their_atomic_volumes():
    atoms = prototypes(make_task("Al", prototypes=["A1"]))[0]
    assert atoms.get_volume() == pytest.approx(4.05**3 / 4, rel=0.01)


def test_noble_gases_start_from_the_volume_of_their_own_crystals():
    """Their atoms do not bond: at the sum of covalent radii argon would be five times too dense."""
    for name in ("A1", "A3"):
        (frame,) = prototypes(make_task("Ar", classes=("noble",), prototypes=[name]))
        assert frame.get_volume() / len(frame) == pytest.approx(36.4, abs=0.1)
