"""A formula is read as written; a wrong or doubtful one gets one message with the nearest right spelling."""

from time import perf_counter

import pytest

from mlip_autopipec.config.charges import balanced
from mlip_autopipec.config.composition import formula, is_alloy_fraction, parse_composition, reduced_integers
from mlip_autopipec.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("FePt", {"Fe": 1, "Pt": 1}),
        ("PtFe", {"Pt": 1, "Fe": 1}),
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("Mg3[Al(OH)6]2", {"Mg": 3, "Al": 2, "O": 12, "H": 12}),
        ("Al0.9Mg0.1", {"Al": 0.9, "Mg": 0.1}),
        ("Ba0.5Sr0.5TiO3", {"Ba": 0.5, "Sr": 0.5, "Ti": 1, "O": 3}),
        ("CH3COOH", {"C": 2, "H": 4, "O": 2}),
        (" H₂O ", {"H": 2, "O": 1}),
        ("Ar", {"Ar": 1}),
        ("U", {"U": 1}),
    ],
)
def test_formula_is_read_in_its_order(text, amounts):
    found = parse_composition(text)
    assert found == amounts
    assert list(found) == list(amounts)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no formula is written"),
        (None, "no formula is written"),
        (1, "a number"),
        (1e5, "a number"),
        (False, "YAML reads this word"),
        (["Si"], "not one formula"),
        ("fept", "Did you mean 'FePt'?"),
        ("FEPT", "Did you mean 'FePt'?"),
        ("nacl", "Did you mean 'NaCl'?"),
        ("siO2", "Did you mean 'SiO2'?"),
        ("cocrfemnni", "Did you mean 'CoCrFeMnNi'?"),
        ("PBTIO3", "Did you mean 'PbTiO3'"),
        ("Fe3+", "Did you mean 'Fe' (iron)?"),
        ("Na+", "a charge"),
        ("Cu-Au", "Did you mean 'CuAu'?"),
        ("Fe2 O3", "Did you mean 'Fe2O3'?"),
        ("Al0,9Mg0,1", "Did you mean 'Al0.9Mg0.1'?"),
        ("CuSO4·5H2O", "Did you mean 'CuSO4(H2O)5'"),
        ("Xx", "Elements that begin with X: Xe."),
        ("iron", "Did you mean 'Fe' (iron)?"),
        ("silcon", "Did you mean silicon, 'Si'?"),
        ("water", "write 'molecule: water'"),
        ("Ca(OH", "is not closed"),
        ("CaOH)2", "no bracket is open"),
        ("D2O", "write H, 'H2O'"),
        ("LiD", "write H, 'LiH'"),
        ("Si0", "amount 0"),
        ("Al-0.1Mg", "a negative amount"),
        ("Si100000", "more than 1000"),
        ("Al0.9Mg0.2", "the fractions sum to 1.1, not 1. In this ratio it is 'Al0.8182Mg0.1818'"),
        ("Si0.5", "the fractions sum to 0.5"),
        ("Og", "Og is radioactive and without a pseudopotential"),
        ("Rf2O3", "Rf is radioactive"),
    ],
)
def test_bad_text_gets_one_message_with_the_mend(text, told):
    with pytest.raises(ConfigError) as error:
        parse_composition(text)
    assert error.value.key == "composition"
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("CO", "'Co' (cobalt)"),
        ("SI", "'Si' (silicon)"),
        ("NI", "'Ni' (nickel)"),
        ("SN", "'Sn' (tin)"),
        ("HO", "'Ho' (holmium)"),
        ("CS", "'Cs' "),
        ("NB", "'Nb' (niobium)"),
        ("PB", "'Pb' (lead)"),
        ("CU", "'Cu' (copper)"),
        ("OS", "'Os' (osmium)"),
        ("HF", "'Hf' (hafnium)"),
        ("PU", "'Pu' (plutonium)"),
        ("SIC", "'SiC'"),
        ("SIO2", "'SiO2'"),
        ("NIO", "'NiO'"),
        ("INP", "'InP'"),
        ("CSI", "'CsI'"),
        ("TiNI", "'TiNi'"),
        ("LiCOO2", "'LiCoO2'"),
    ],
)
def test_a_doubtful_formula_is_asked_about_and_can_be_insisted_on(text, other):
    with pytest.raises(ConfigError) as error:
        parse_composition(text)
    assert "Which do you mean?" in str(error.value)
    assert other in str(error.value)
    insisted = str(error.value).split("write 'composition: ")[1].split("'")[0]
    assert parse_composition(insisted) == parse_composition(text, class_given=True)
    assert parse_composition(text, molecule_given=True) == parse_composition(text, class_given=True)


@pytest.mark.parametrize(
    "text",
    [
        *["CO2", "NO", "NO2", "HCN", "HNO3", "NH3", "CF4", "CS2", "COS", "C2H5OH", "HCONH2", "UO2", "UC", "BN", "YB6"],
        *["KF", "KSCN", "K2CO3", "CaCO3", "NaHCO3", "LiPF6", "SbSI", "LiCoO2"],
    ],
)
def test_a_compound_that_a_chemist_would_write_is_not_asked_about(text):
    assert parse_composition(text) == parse_composition(text, class_given=True)


def test_formula_is_written_in_its_normal_form():
    for text in ("FePt", "Al0.9Mg0.1", "CaO2H2", "CoCrFeMnNi"):
        assert formula(parse_composition(text)) == text


def test_whole_numbers_in_the_same_ratio():
    assert reduced_integers({"Fe": 0.5, "Pt": 0.5}) == {"Fe": 1, "Pt": 1}
    assert reduced_integers({"Fe": 4, "O": 6}) == {"Fe": 2, "O": 3}
    assert reduced_integers({"Al": 0.9, "Mg": 0.1}) == {"Al": 9, "Mg": 1}
    assert reduced_integers({"Al": 0.9, "Mg": 0.1}, limit=8) is None
    assert reduced_integers({"Fe": 0.333, "Ni": 0.667}) == {"Fe": 1, "Ni": 2}
    assert reduced_integers({"Fe": 0.7183, "Ni": 0.2817}, limit=20) is None


def test_fractions_are_told_from_whole_numbers():
    assert is_alloy_fraction({"Al": 0.9, "Mg": 0.1})
    assert not is_alloy_fraction({"Fe": 1.0, "Pt": 3.0})


def test_oxidation_states_that_make_a_formula_neutral():
    assert balanced({"Na": 1, "Cl": 1}) == {"Na": 1, "Cl": -1}
    assert balanced({"Fe": 3, "O": 4}) == {"Fe": pytest.approx(8 / 3, abs=1e-3), "O": -2}
    assert balanced({"Cu": 1, "In": 1, "Se": 2}, rare=True) == {"Cu": 1, "In": 3, "Se": -2}
    assert balanced({"Pb": 1, "Te": 1}) == {"Pb": 2, "Te": -2}
    assert balanced({"Ti": 1, "N": 1}) is None
    assert balanced({"Fe": 1}) is None


def test_a_long_text_is_answered_at_once():
    for text in ("cosi" * 12, "CO" * 15, "no" * 30):
        started = perf_counter()
        with pytest.raises(ConfigError):
            parse_composition(text)
        assert perf_counter() - started < 2


def test_many_elements_are_balanced_at_once():
    started = perf_counter()
    amounts = parse_composition("UNpPuAmOsReWMoCrMnFeCoNiO20")
    states = balanced(amounts, rare=True)
    assert perf_counter() - started < 2
    assert states is not None
    assert sum(amounts[s] * charge for s, charge in states.items()) == pytest.approx(0, abs=0.02)
