"""Which elements of a compound share a sublattice, and where no integer formula is behind the fractions."""

import pytest

from mlip_autopipec.config.composition import parse_composition
from mlip_autopipec.config.sites import collapsed, shared_sites


@pytest.mark.parametrize(
    ("written", "formula", "together"),
    [
        ("Al0.3Ga0.7As", {"Ga": 1, "As": 1}, ("Al", "Ga")),
        ("Al0.15Ga0.35As0.5", {"Ga": 1, "As": 1}, ("Al", "Ga")),
        ("TiC0.5N0.5", {"Ti": 1, "C": 1}, ("C", "N")),
        ("PbTe0.5Se0.5", {"Pb": 1, "Te": 1}, ("Te", "Se")),
        ("Mg0.9Fe0.1O", {"Mg": 1, "O": 1}, ("Mg", "Fe")),
        ("NaCl0.5Br0.5", {"Na": 1, "Cl": 1}, ("Cl", "Br")),
        ("Ba0.5Sr0.5TiO3", {"Ba": 1, "Ti": 1, "O": 3}, ("Ba", "Sr")),
        ("PbZr0.5Ti0.5O3", {"Pb": 1, "Zr": 1, "O": 3}, ("Zr", "Ti")),
        ("La0.7Sr0.3MnO3", {"La": 1, "Mn": 1, "O": 3}, ("La", "Sr")),
        ("LiNi0.33Mn0.33Co0.33O2", {"Li": 1, "Ni": 1, "O": 2}, ("Ni", "Mn", "Co")),
        ("CuIn0.7Ga0.3Se2", {"Cu": 1, "In": 1, "Se": 2}, ("In", "Ga")),
        ("Bi0.5Sb1.5Te3", {"Sb": 2, "Te": 3}, ("Bi", "Sb")),
        ("Ti0.5Al0.5N", {"Ti": 1, "N": 1}, ("Ti", "Al")),
        ("Ti2AlC0.5N0.5", {"Ti": 2, "Al": 1, "C": 1}, ("C", "N")),
    ],
)
def test_elements_that_replace_one_another_share_a_sublattice(written, formula, together):
    shared = shared_sites(parse_composition(written, class_given=True))
    assert collapsed(shared) == formula
    assert tuple(next(group for group in shared.values() if len(group) > 1)) == together
    assert sum(len(group) > 1 for group in shared.values()) == 1


def test_fractions_of_each_sublattice_are_kept():
    assert shared_sites({"Ga": 0.25, "In": 0.25, "As": 0.4, "P": 0.1}) == {
        "Ga": {"Ga": 0.5, "In": 0.5},
        "As": {"As": 0.8, "P": 0.2},
    }
    assert shared_sites({"Bi": 2.0, "Te": 2.7, "Se": 0.3}) == {"Bi": {"Bi": 2.0}, "Te": {"Te": 2.7, "Se": 0.3}}


@pytest.mark.parametrize(
    "written",
    [
        "Zr0.9Y0.1O1.95", "Ce0.8Gd0.2O1.9", "PdH0.5", "Li0.5FePO4",  # vacancies
        "Fe0.99C0.01", "Fe0.8B0.2",  # interstitials, metallic glass
        "Al0.9Mg0.1", "Co0.2Cr0.2Fe0.2Mn0.2Ni0.2", "Si0.5Ge0.5", "Si0.4Ge0.4Sn0.2",  # one lattice for all
        "GaAs", "CuFeS2", "MgAl2O4", "Li2TiO3",  # integers: ordered compounds
    ],
)  # fmt: skip
def test_other_formulas_share_none(written):
    assert shared_sites(parse_composition(written, class_given=True)) is None
