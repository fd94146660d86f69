"""The table of elements agrees with independent tables, and every number is sane."""

import warnings

import pytest
from pymatgen.core import Element

from mlip_autopipec.config import elements

warnings.filterwarnings("ignore", module="pymatgen")
LISTED = [s for s in elements.SYMBOLS if elements.has_pseudopotential(s)]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_facts_agree_with_pymatgen():
    for symbol in LISTED:
        other, x = Element(symbol), elements.electronegativity(symbol)
        if x is not None and symbol != "Pb":  # that of Pb(II) here, of Pb(IV) there (Allred 1961)
            assert x == pytest.approx(other.X), symbol
        assert set(elements.oxidation_states(symbol)) <= {*other.common_oxidation_states}, symbol
        if elements.melting_point_k(symbol) is not None:
            assert elements.melting_point_k(symbol) == pytest.approx(float(other.melting_point)), symbol
        for charge, radius in other.ionic_radii.items():
            ours = elements.ionic_radius_angstrom(symbol, int(charge))
            if ours is not None and radius > 0:  # theirs is the crystal radius, 0.14 A above the ionic one
                assert ours == pytest.approx(radius - 0.14 if charge > 0 else radius + 0.14, abs=0.15), (symbol, charge)


def test_atomic_volumes_agree_with_the_lattices():
    for symbol in LISTED:
        state = elements.ground_state_lattice(symbol)
        atoms = {"fcc": 4, "bcc": 2, "diamond": 8}.get(str(state.get("symmetry")))
        volume = elements.atomic_volume_angstrom3(symbol)
        if atoms and volume and symbol not in elements.NOBLE_GASES | {"C"}:  # graphite
            assert volume == pytest.approx(float(state["a"]) ** 3 / atoms, rel=0.08), symbol


def test_known_radii_and_moments():
    assert elements.ionic_radius_angstrom("Na", 1) == 1.02
    assert elements.ionic_radius_angstrom("Cl", -1) == 1.81
    assert elements.ionic_radius_angstrom("Fe", 2) == 0.78  # high spin
    assert elements.ionic_radius_angstrom("Fe", 9) is None
    assert elements.high_spin_moment("Fe") == 4
    assert elements.high_spin_moment("Al") == 0
    assert {s for s in elements.SYMBOLS if elements.high_spin_moment(s)} == elements.MAGNETIC | {"O"}


def test_kinds_of_elements():
    assert elements.is_metal("Sn")
    assert not elements.is_metal("Ge")
    assert not any(elements.is_metal(s) for s in elements.NOBLE_GASES | elements.HALOGENS | elements.DIATOMIC)
    assert len(elements.LANTHANIDES) == len(elements.ACTINIDES) == 15
    assert {"Tc", "Pm", "Po", "Ra", "Pu"} <= elements.RADIOACTIVE
    assert not {"Bi", "Th", "U"} & elements.RADIOACTIVE
    assert not elements.has_pseudopotential("Og")
