"""Quasirandom cells: the fraction they can host, no short-range order beyond what whole atoms force, seeded."""

import numpy as np
import pytest
import spglib
from ase.build import bulk
from structures_tasks import make_task

from mlip_autopipec.errors import DataError
from mlip_autopipec.structures.sqs import larger, quasirandom, short_range_order
from mlip_autopipec.structures.sublattices import whole_counts


@pytest.mark.parametrize("lattice", ["bcc", "hcp"])
def test_equal_shares_have_no_order_in_the_first_shells(lattice):
    (cell,) = quasirandom(make_task("FePt", sqs_lattices=[lattice], sqs_atoms=[16]))
    assert cell.symbols.count("Fe") == cell.symbols.count("Pt") == 8
    assert cell.info["sro_max"] < 0.15
    assert cell.info["prototype"] == f"SQS-{lattice}-16"


def test_fraction_is_rounded_and_said():
    (cell,) = quasirandom(make_task("Al0.9Mg0.1", sqs_atoms=[16]))
    assert cell.symbols.count("Mg") == 2
    assert "Mg 2/16" in cell.info["origin"]


def test_five_elements_in_a_compact_cell():
    (cell,) = quasirandom(make_task("CoCrFeMnNi", sqs_atoms=[20]))
    assert set(cell.symbols.formula.count().values()) == {4}
    assert cell.info["sro_max"] < 0.5
    lengths = cell.cell.lengths()
    assert lengths.max() / lengths.min() < 1.6


def test_the_seed_decides():
    one, same, other = (quasirandom(make_task("FePt", seed=s, sqs_atoms=[8]))[0].info["uid"] for s in (1, 1, 2))
    assert one == same != other


def test_order_of_an_ordered_crystal_is_seen():
    ordered = bulk("Cu", a=3.8, cubic=True)
    ordered.numbers[[1, 2]] = 79  # L1_0
    assert short_range_order(ordered * (2, 2, 2))[:2] == pytest.approx([1 / 3, 1.0])


@pytest.mark.parametrize("atoms", [4, 5, 16, 31])
def test_whole_counts_fill_the_cell_and_forget_no_element(atoms):
    counts = whole_counts({"Al": 0.97, "Mg": 0.02, "Zn": 0.01}, atoms)
    assert sum(counts.values()) == atoms
    assert min(counts.values()) >= 1
    assert np.argmax(list(counts.values())) == 0


def test_one_element_is_no_alloy():
    with pytest.raises(DataError, match="two elements"):
        quasirandom(make_task("Al"))


def relaxed(cells, energies):
    for cell, energy in zip(cells, energies, strict=True):
        cell.info["surrogate_ev_per_atom"] = energy
    return cells


def test_large_cells_are_made_on_the_lattice_lowest_in_energy_only():
    task = make_task("CuAu", sqs_lattices=["bcc", "fcc", "hcp"], sqs_atoms=[8, 12])
    small = quasirandom(task)
    assert [cell.info["prototype"] for cell in small] == ["SQS-bcc-8", "SQS-fcc-8", "SQS-hcp-8"]
    assert [cell.info["prototype"] for cell in larger(task, relaxed(small, [-3.0, -3.1, -3.05]))] == ["SQS-fcc-12"]
    assert [cell.info["prototype"] for cell in larger(task, relaxed(small, [-3.2, -3.1, -3.05]))] == ["SQS-bcc-12"]
    assert larger(task, []) == []


@pytest.mark.parametrize(
    ("composition", "names", "whole", "mixed"),
    [
        ("Al0.3Ga0.7As", ["B3", "B4"], {"As": 10}, {"Al": 3, "Ga": 7}),
        ("TiC0.5N0.5", ["B1"], {"Ti": 8}, {"C": 4, "N": 4}),
        ("Ba0.5Sr0.5TiO3", ["E2_1"], {"Ti": 4, "O": 12}, {"Ba": 2, "Sr": 2}),
    ],
)
def test_elements_of_a_compound_mix_on_their_own_sublattice(composition, names, whole, mixed):
    cells = quasirandom(make_task(composition, classes=("covalent",), prototypes=names, sqs_lattices=[]))
    assert {cell.info["prototype"].split("-")[1] for cell in cells} == set(names)
    for cell in cells:
        assert cell.symbols.formula.count() == {**whole, **mixed}
        shares = list(mixed.values())
        expected = -sum(n * np.log(n / sum(shares)) for n in shares) / len(cell)
        assert cell.info["mixing_kb"] == pytest.approx(expected)


def test_titanium_carbonitride_is_rock_salt_when_its_anions_are_not_told_apart():
    (cell,) = quasirandom(make_task("TiC0.5N0.5", classes=("ionic",), prototypes=["B1"], sqs_lattices=[]))
    cell.symbols[cell.symbols == "N"] = "C"
    assert spglib.get_spacegroup((cell.cell.array, cell.get_scaled_positions(), cell.numbers)).startswith("Fm-3m")


def test_fractions_of_a_compound_are_rounded_and_said():
    task = make_task("Mg0.9Fe0.1O", classes=("ionic",), prototypes=["B1"], sqs_lattices=[], sqs_atoms=[16, 24])
    (cell,) = quasirandom(task)
    assert "Mg 9/10 Fe 1/10; O 10/10" in cell.info["origin"]


def test_without_a_structure_type_of_the_integer_formula_it_says_so():
    with pytest.raises(DataError, match="none of the prototypes C1 holds 1:1"):
        quasirandom(make_task("Mg0.9Fe0.1O", classes=("ionic",), prototypes=["C1"], sqs_lattices=[]))
