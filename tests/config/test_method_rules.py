"""Spin, cutoffs, temperatures and limits that the rules choose, and the limits of the method that they say."""

from math import isclose

import pytest

from mlip_autopipec.config import cautions, expand
from mlip_autopipec.config.magnetism import is_radical
from mlip_autopipec.errors import ConfigError


def whole(composition, **more):
    return expand({"composition": composition, "labelling": {"pseudo_dir": ["nowhere"]}, **more})[0]


def of_molecule(molecule):
    return expand({"molecule": molecule, "labelling": {"pseudo_dir": ["nowhere"]}})[0]


@pytest.mark.parametrize(
    ("composition", "moment"),
    [  # unpaired d electrons of the ion: V3+ 2, V4+ 1, Ti3+ 1, Cu2+ 1
        ("VCl3", ("V", 2, 13)),
        ("V2O3", ("V", 2, 13)),
        ("VO2", ("V", 1, 13)),
        ("Ti2O3", ("Ti", 1, 12)),
        ("TiCl3", ("Ti", 1, 12)),
        ("CuO", ("Cu", 1, 11)),
        ("CuCl2", ("Cu", 1, 11)),
        ("La2CuO4", ("Cu", 1, 11)),
    ],
)
def test_open_3d_shells_have_spin_by_charge_balance(composition, moment):
    labelling = whole(composition).labelling
    symbol, electrons, valence = moment
    assert labelling.nspin == 2
    assert labelling.starting_magnetization.keys() == {symbol}
    assert isclose(labelling.starting_magnetization[symbol] * valence, electrons, abs_tol=0.01)


@pytest.mark.parametrize("composition", ["V2O5", "TiO2", "Cu2O", "CuCl", "TiN", "VN", "Ti", "V", "Cu", "SrTiO3", "CuS"])
def test_closed_shells_and_bands_are_labelled_without_spin(composition):
    assert whole(composition).labelling.nspin == 1


@pytest.mark.parametrize(("molecule", "radical"), [("[OH]", True), ("[CH3]", True), ("ethanol", False)])
def test_molecules_of_an_odd_number_of_electrons_have_spin(molecule, radical):
    config = of_molecule(molecule)
    assert config.labelling.nspin == (2 if radical else 1)
    assert "H" not in config.labelling.starting_magnetization
    assert bool(config.labelling.starting_magnetization) == radical


@pytest.mark.parametrize(("composition", "spin"), [("NO", 2), ("NO2", 2), ("H", 1), ("N", 1), ("N2", 1), ("H2O", 1)])
def test_parity_is_that_of_the_molecule_not_of_the_formula(composition, spin):
    more = {"molecule": composition} if composition == "NO" else {}
    assert whole(composition, **more).labelling.nspin == spin


def test_radicals_are_counted_by_all_electrons():
    assert is_radical({"N": 1, "O": 1})
    assert not is_radical({"N": 2, "O": 4})


@pytest.mark.parametrize(
    ("composition", "says", "told"),
    [
        ("NiO", "+U", True), ("CuO", "+U", True), ("VCl3", "+U", True), ("FeS2", "+U", True), ("Cu2O", "+U", False),
        ("CuCl", "+U", False), ("V2O5", "+U", False), ("TiO2", "+U", False), ("ZnO", "+U", False),
        ("CdI2", "dispersion", True), ("BiI3", "dispersion", True), ("SnSe", "dispersion", True),
        ("MoS2", "dispersion", True), ("MgF2", "dispersion", False), ("MgO", "dispersion", False),
        ("PbTe", "dispersion", False), ("H2O", "without spin", True), ("NO2", "without spin", False),
        ("Si", "without spin", False),
    ],
)  # fmt: skip
def test_limits_are_said_where_they_hold_and_only_there(composition, says, told):
    assert any(says in caution for caution in cautions(whole(composition))) == told


# Melting points in K (CRC Handbook).
MELTING = {"NaCl": 1074, "KBr": 1007, "AgCl": 728, "MgO": 3125, "Al2O3": 2345, "CaF2": 1691, "UO2": 3120, "CsCl": 918}


@pytest.mark.parametrize("composition", MELTING)
def test_salts_and_oxides_are_heated_about_to_their_melting_points(composition):
    config, melting = whole(composition), MELTING[composition]
    assert 0.8 * melting < config.exploration.temperatures_k[-1] < 1.7 * melting
    assert 1.3 * melting < config.structures.melt_temperature_k < 2.7 * melting


def test_melting_points_of_elements_say_nothing_about_compound_semiconductors():
    gaas = whole("GaAs").exploration.temperatures_k
    assert whole("Al0.3Ga0.7As").exploration.temperatures_k == gaas
    assert max(gaas) > 1511  # GaAs melts there; gallium at 303 K
    assert whole("Si0.5Ge0.5").exploration.temperatures_k[-1] == pytest.approx(1.3 * (1687 + 1211) / 2, abs=30)


def test_one_molecule_is_judged_as_a_stiff_thing_and_a_noble_crystal_as_a_soft_one():
    water, argon = whole("H2O").validation, whole("Ar").validation
    assert (water.lattice_constant_relative_max, water.bulk_modulus_relative_max) == (0.003, 0.05)
    assert (argon.lattice_constant_relative_max, argon.bulk_modulus_relative_max) == (0.01, 0.2)


def upf(folder, element, kind, relativistic="scalar", wfc=40, rho=160):
    text = f'<UPF version="2.0.1"><PP_HEADER element="{element}" pseudo_type="{kind}" relativistic="{relativistic}" '
    text += f'functional="PBE" z_valence="10.0" wfc_cutoff="{wfc}" rho_cutoff="{rho}"/></UPF>'
    (folder / f"{element}.{kind}.{relativistic}.UPF").write_text(text)


@pytest.mark.parametrize(("kind", "usable"), [("US", False), ("PAW", False), ("NC", True)])
def test_fully_relativistic_files_are_taken_only_where_pw_averages_them(tmp_path, kind, usable):
    upf(tmp_path, "Pt", kind, "full")
    config, choices = expand({"composition": "Pt", "labelling": {"pseudo_dir": [str(tmp_path)]}})
    assert (config.labelling.pseudopotentials["Pt"] == f"Pt.{kind}.full.UPF") == usable
    assert ("NOT INSTALLED" in choices["labelling.pseudopotentials"].why) != usable
    named = {"pseudo_dir": [str(tmp_path)], "pseudopotentials": {"Pt": f"Pt.{kind}.full.UPF"}}
    if usable:
        assert expand({"composition": "Pt", "labelling": named})[0].labelling.pseudopotentials["Pt"]
    else:
        with pytest.raises(ConfigError, match="fully relativistic"):
            expand({"composition": "Pt", "labelling": named})


@pytest.mark.parametrize(("kind", "factor"), [("US", 8), ("PAW", 8), ("NC", 4)])
def test_a_files_own_cutoffs_are_minima_and_its_density_cutoff_is_high_enough(tmp_path, kind, factor):
    upf(tmp_path, "Ge", kind)
    config, choices = expand({"composition": "Ge", "labelling": {"pseudo_dir": [str(tmp_path)]}})
    assert config.labelling.ecutwfc_ry == 40
    assert config.labelling.ecutrho_ry == factor * 40
    assert "not converged" in choices["labelling.ecutwfc_ry"].why
    assert any("cutoffs may not be converged" in caution for caution in cautions(config))
    assert not any("cutoffs may not be converged" in caution for caution in cautions(whole("Ge")))
