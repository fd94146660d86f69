"""Quasirandom cells: the fraction they can host, no short-range order beyond what whole atoms force, seeded."""

import numpy as np
import pytest
from ase.build import bulk
from structures_tasks import make_task

from mlip_autopipec.errors import DataError
from mlip_autopipec.structures.sqs import quasirandom, short_range_order, whole_counts


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
