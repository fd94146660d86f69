"""A molecule is found by name, SMILES, file or an unambiguous formula; what is ambiguous is asked about."""

import pytest
from ase.build import molecule as build_molecule
from ase.io import write
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from mlip_autopipec.config import molecules
from mlip_autopipec.config.formulas import read, total
from mlip_autopipec.config.molecules import molecule_of, resolve
from mlip_autopipec.errors import ConfigError


def test_every_smiles_of_the_table_has_its_formula():
    names = [key for _, keys in molecules._table() for key in keys]
    assert len(names) == len(set(names)) > 200
    for named, _ in molecules._table():
        molecule = Chem.AddHs(Chem.MolFromSmiles(named.smiles))
        assert Chem.GetFormalCharge(molecule) == 0, named
        assert total(read(CalcMolFormula(molecule))) == named.amounts, named


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ethanol", "ethanol"),
        ("Dimethyl-Ether", "dimethyl ether"),
        ("DMSO", "dimethyl sulfoxide"),
        ("CCO", "ethanol"),
        ("OCC", "ethanol"),
        ("C1=CC=CC=C1", "benzene"),
        ("H2O", "water"),
        ("N2", "nitrogen"),
        ("CCCCCCCCCCCC", "CCCCCCCCCCCC"),
    ],
)
def test_name_smiles_or_formula(text, name):
    found = resolve(text)
    assert found.name == name
    assert found.smiles


def test_file(tmp_path):
    write(tmp_path / "ether.xyz", build_molecule("CH3OCH3"))
    found = resolve(str(tmp_path / "ether.xyz"))
    assert found.amounts == {"C": 2, "H": 6, "O": 1}
    assert found.file.endswith("ether.xyz")
    assert not found.smiles


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no molecule"),
        (7, "names no molecule"),
        ("etanol", "Did you mean 'ethanol'?"),
        ("CC(", "neither a known name nor a SMILES"),
        ("C2H6O", "several molecules: ethanol, dimethyl ether"),
        ("C6H12O7", "no molecule of the formula C6H12O7"),
        ("CO", "carbon monoxide (CO) or methanol (CH4O)"),
        ("missing.xyz", "no such file"),
        ("[Na+].[Cl-]", "2 separate pieces"),
        ("[NH4+]", "an ion of charge +1"),
    ],
)
def test_what_cannot_be_used_gets_one_message(text, told, capfd):
    with pytest.raises(ConfigError) as error:
        resolve(text)
    assert error.value.key == "molecule"
    assert told in str(error.value)
    assert capfd.readouterr() == ("", "")  # RDKit's own complaints would be a second message


def test_an_unreadable_file_gets_one_message(tmp_path):
    (tmp_path / "bad.xyz").write_text("this is no structure\n")
    with pytest.raises(ConfigError, match="ASE cannot read this file"):
        resolve(str(tmp_path / "bad.xyz"))


def test_the_composition_decides_between_formula_and_smiles():
    assert resolve("CO", {"C": 1, "O": 1}).name == "carbon monoxide"
    assert resolve("CO", {"C": 1, "H": 4, "O": 1}).name == "methanol"
    with pytest.raises(ConfigError, match="it is C2H6O, but composition is H2O"):
        resolve("ethanol", {"H": 2, "O": 1})


@pytest.mark.parametrize(
    ("amounts", "name"),
    [
        ({"H": 2, "O": 1}, "water"),
        ({"O": 1, "H": 2}, "water"),
        ({"C": 1, "O": 2}, "carbon dioxide"),
        ({"N": 1, "H": 3}, "ammonia"),
        ({"C": 1, "H": 4}, "methane"),
        ({"O": 1}, "oxygen"),
        ({"O": 2}, "oxygen"),
        ({"O": 3}, "ozone"),
        *[({symbol: 1}, None) for symbol in ("H", "N", "F", "Cl", "Br", "I")],
    ],
)
def test_a_formula_with_one_molecule(amounts, name):
    found = molecule_of(amounts)
    if name is None:
        assert found.amounts == {next(iter(amounts)): 2}
    else:
        assert found.name == name


@pytest.mark.parametrize(
    ("amounts", "told"),
    [
        ({"C": 2, "H": 6, "O": 1}, "ethanol, dimethyl ether. Write molecule:"),
        ({"H": 1, "O": 1}, "The same ratio: H2O2 (hydrogen peroxide)"),
        ({"C": 7, "H": 1}, "no molecule of the formula C7H is known here"),
    ],
)
def test_a_formula_without_one_molecule_asks(amounts, told):
    with pytest.raises(ConfigError) as error:
        molecule_of(amounts)
    assert told in str(error.value)
