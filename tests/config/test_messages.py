"""What cannot work is refused before anything runs, with key, value and mend; what is the same is taken as the same."""

import pytest
import yaml
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write

from mlip_autopipec.config import expand, inferred_summary, prototype_names
from mlip_autopipec.config.__main__ import main
from mlip_autopipec.config.composition import parse_composition
from mlip_autopipec.config.dump import as_yaml
from mlip_autopipec.config.kinds import GENERATORS
from mlip_autopipec.errors import ConfigError
from mlip_autopipec.structures.prototype_table import TABLE
from mlip_autopipec.structures.prototypes import integer_ratio, prototypes

NOWHERE = {"pseudo_dir": ["nowhere"]}


def expanded(written):
    return expand({**written, "labelling": {**NOWHERE, **written.get("labelling", {})}})[0]


def refused(written):
    with pytest.raises(ConfigError) as caught:
        expanded(written)
    assert "\n" not in str(caught.value)
    assert ".." not in str(caught.value).replace("{volumes: ...}", "").replace("{strains: ...}", "")
    assert caught.value.mend
    return caught.value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("CuSO4.5H2O", "this may be 'CuSO4(H2O)5' or 'Cu1S1O5.5H2'"),
        ("Na2CO3.10H2O", "'Na2CO3(H2O)10'"),
        ("NiCl2.6NH3", "'NiCl2(NH3)6'"),
        ("Al0.9Mg", "this may be 'Al0.9Mg0.1' or 'Al0.9Mg1'"),
        ("SiGe0.2", "'Si0.8Ge0.2'"),
        ("Ba0.5SrTiO3", "'Ba0.5Sr0.5TiO3'"),
        ("Al0.3GaAs", "'Al0.3Ga0.7As'"),
    ],
)
def test_a_dot_or_a_fraction_that_may_mean_another_formula_is_asked_about(text, told):
    with pytest.raises(ConfigError) as caught:
        parse_composition(text, class_given=True)
    assert told in str(caught.value)
    for meant in str(caught.value).split("this may be ")[1].split(". ")[0].split(" or "):
        parse_composition(meant.strip("'"), class_given=True)


@pytest.mark.parametrize(
    "text",
    ["YBa2Cu3O6.93", "PdH0.5", "Fe0.95O", "Na0.5CoO2", "Al0.3CoCrFeNi", "TiN0.9", "CaSO4H2O", "NaCl0.5Br0.5"],
)
def test_fractions_that_stand_for_themselves_are_taken(text):
    assert parse_composition(text)


@pytest.mark.parametrize(
    ("text", "amounts", "material_class"),
    [
        ("Si2O4", {"Si": 1, "O": 2}, "covalent"),
        ("SiO2SiO2", {"Si": 1, "O": 2}, "covalent"),
        ("C2", {"C": 1}, "covalent"),
        ("B2N2", {"B": 1, "N": 1}, "covalent"),
        ("Fe2Pt2", {"Fe": 1, "Pt": 1}, "alloy"),
        ("C6H6", {"C": 6, "H": 6}, "molecular"),
        ("S8", {"S": 8}, "molecular"),
    ],
)
def test_a_multiple_is_a_molecule_only_if_one_of_that_formula_is_known(text, amounts, material_class):
    config = expanded({"composition": text})
    assert config.amounts == amounts
    assert config.material_class[0] == material_class


def test_several_molecules_of_a_formula_are_told_of_the_composition():
    assert "molecule of 60 atoms, or the solid C" in str(refused({"composition": "C60"}))
    error = refused({"composition": "C2H6O"})
    assert error.key == "composition"
    assert error.value == "C2H6O"
    assert "molecule:" in error.mend


def test_counts_have_one_order_however_they_are_written():
    one = expanded({"composition": "Si", "structures": {"counts": {"melt": 3, "volumes": 5}}})
    other = expanded({"composition": "Si", "structures": {"counts": {"volumes": 5, "melt": 3}}})
    assert list(one.structures.counts) == list(other.structures.counts) == list(GENERATORS)
    config, choices = expand({"composition": "FePt", "labelling": NOWHERE})
    again = expand(yaml.safe_load(as_yaml(config, choices)))[0]
    assert again.model_dump_json() == config.model_dump_json()  # the order too


def test_common_names_of_structure_types_mean_designations():
    config = expanded({"composition": "Al", "structures": {"prototypes": ["fcc", "BCC", "A3"]}})
    assert config.structures.prototypes == ["A1", "A2", "A3"]
    names = {prototype.name for prototype in TABLE}
    assert set(prototype_names.COMMON.values()) <= names
    assert prototype_names.designation("L10") == "L1_0"
    with pytest.raises(ValueError, match="Did you mean 'wurtzite'"):
        prototype_names.designation("wurzite")


@pytest.mark.parametrize("formula", ["Al", "NaCl", "CaF2", "Al2O3", "CaTiO3", "MgAl2O4", "Fe3C"])
def test_a_type_holds_a_formula_where_the_structures_can_be_built(formula, monkeypatch):
    amounts = parse_composition(formula)
    fitting = prototype_names.fitting(amounts)
    assert fitting
    numbers = sorted(integer_ratio(amounts).values())
    for name in fitting:
        task = type("T", (), {"amounts": amounts, "settings": type("S", (), {"prototypes": [name]})})
        frames = prototypes(task)
        assert frames
        assert sorted(integer_ratio(dict(frames[0].symbols.formula.count())).values()) == numbers


IMPOSSIBLE = [
    ({"composition": "Al", "structures": {"prototypes": ["rocksalt"]}}, "structures.prototypes", "none of them holds"),
    ({"composition": "Al", "structures": {"prototypes": ["fc"]}}, "structures.prototypes", "Did you mean 'fcc'?"),
    ({"composition": "Al", "structures": {"sources": ["sqs"]}}, "structures.sources", "there is one"),
    ({"composition": "MgO", "structures": {"sources": ["sqs"]}}, "structures.sqs_lattices", "[fcc, bcc, hcp]"),
    ({"composition": "Al", "structures": {"sources": ["structure"]}}, "structures.sources", "needs a file"),
    ({"composition": "Al", "structures": {"sources": ["molecule"]}}, "structures.sources", "no molecule"),
    ({"composition": "Al", "structures": {"counts": dict.fromkeys(GENERATORS, 0)}}, "structures.counts", "all counts"),
    ({"composition": "Al", "structures": {"atoms_min": 100}}, "structures.atoms_min", "atoms_max"),
    ({"composition": "Al", "structures": {"vacuum_angstrom": 3}}, "structures.vacuum_angstrom", "cutoff"),
    (
        {"composition": "Al", "structures": {"vacuum_angstrom": 5.9}, "training": {"cutoff_angstrom": 5}},
        "structures.vacuum_angstrom",
        "not above 6 A, the gap",
    ),
    ({"composition": "NaCl", "class": "noble"}, "class", "noble gases"),
    ({"composition": "Al", "class": "alloy"}, "class", "several elements"),
    (
        {"composition": "Al", "labelling": {"pseudopotentials": {"Mg": "a.UPF"}}},
        "labelling.pseudopotentials.Mg",
        "has no Mg",
    ),
]


@pytest.mark.parametrize(("written", "key", "says"), IMPOSSIBLE)
def test_what_cannot_work_together_is_refused(written, key, says):
    error = refused(written)
    assert error.key == key
    assert says in str(error)


UNREADABLE = [
    ({"composition": "NaCl", "class": "ionik"}, "class.0", "Did you mean 'ionic'?"),
    ({"composition": "Si", "labelling": {"smearing": "gausian"}}, "labelling.smearing", "Did you mean 'gaussian'?"),
    ({"composition": "Si", "structures": {"sources": ["sqss"]}}, "structures.sources.0", "Did you mean 'sqs'?"),
    ({"composition": "Si", "exploration": [1]}, "exploration", "not a section of keys"),
    ({"composition": "Si", "seed": True}, "seed", "YAML reads this word"),
    ({"molecule": False}, "molecule", "Quote it: 'NO'"),
    ({"composition": "Si", "structure": ["a.cif", "b.cif"]}, "structure", "structures.files"),
    ({"composition": "Si", "structures": {"volume_points": 7}}, "structures.volume_points", "counts: {volumes"),
    ({"composition": "Si", "structures": {"repeat": 2}}, "structures.repeat", "supercell_edge_angstrom"),
    ({"composition": "Si", "cutoff_angstrom": 5}, "cutoff_angstrom", "There is training.cutoff_angstrom."),
    ({"composition": "Si", "foo": 5}, "foo", "unknown key. Known here"),
]


@pytest.mark.parametrize(("written", "key", "says"), UNREADABLE)
def test_wrong_words_get_the_nearest_right_one(written, key, says):
    error = refused(written)
    assert error.key == key
    assert says in str(error)
    assert "User" not in str(error)


def test_a_wrong_key_of_a_table_is_shown_with_its_value():
    error = refused({"composition": "Si", "structures": {"counts": {"melts": 3}}})
    assert (error.key, error.value) == ("structures.counts.melts", 3)
    assert "Did you mean 'melt'?" in error.mend
    error = refused({"composition": "Fe", "labelling": {"starting_magnetization": {"Xx": 0.1}}})
    assert (error.key, error.value) == ("labelling.starting_magnetization.Xx", 0.1)


def test_all_unknown_keys_are_named_at_once():
    error = refused({"composition": "Si", "sed": 1, "structures": {"lattice": "fcc"}, "training": {"cutof": 5}})
    for told in ("sed: Known here", "Did you mean 'seed'?", "structures.lattice: This key is gone", "training.cutof"):
        assert told in str(error)


def test_case_and_a_single_number_do_not_matter():
    config = expanded(
        {"composition": "NaCl", "class": "Ionic", "structures": {"sources": ["Prototypes"]},
         "exploration": {"temperatures_k": 300}, "labelling": {"smearing": "GAUSSIAN"}}
    )  # fmt: skip
    assert config.material_class == ["ionic"]
    assert config.structures.sources == ["prototypes"]
    assert config.exploration.temperatures_k == [300.0]
    assert config.labelling.smearing == "gaussian"


def _files(folder):
    write(folder / "salt.cif", bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    write(folder / "squeezed.cif", bulk("Si", "diamond", a=2.2, cubic=True))
    write(folder / "si.xyz", bulk("Si", "diamond", a=5.43, cubic=True), format="extxyz")
    write(folder / "POSCAR", bulk("Si", "diamond", a=5.43))
    text = (folder / "salt.cif").read_text()
    (folder / "cut.cif").write_text(text[:200])
    (folder / "half.cif").write_text(text[: len(text) // 2])
    (folder / "words.cif").write_text("hello\n")
    (folder / "empty.cif").write_text("")
    (folder / "cut.xyz").write_text("\n".join((folder / "si.xyz").read_text().splitlines()[:5]))
    (folder / "POSCAR_cut").write_text((folder / "POSCAR").read_text()[:90])
    (folder / "nan.xyz").write_text("1\n\nSi nan 0 0\n")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"structure": "cut.cif"}, "the file ends early or is not a CIF"),
        ({"structure": "words.cif"}, "the file ends early or is not a CIF"),
        ({"structure": "half.cif"}, "ends early or holds no atoms"),
        ({"structure": "POSCAR_cut"}, "the file ends early"),
        ({"structure": "empty.cif"}, "the file is empty"),
        ({"structure": "."}, "a folder"),
        ({"composition": "Si", "structures": "."}, "'./*' for all files in it"),
        ({"structure": "*.cif"}, "several files"),
        ({"structure": "squeezed.cif"}, "two atoms of structure 0 are 0.95 A apart"),
        ({"composition": "Si", "structures": "salt.cif"}, "holds Cl, Na, which the composition has not"),
        ({"composition": "Si", "structures": ["si.xyz", "squeezed.cif"]}, "squeezed.cif"),
        ({"composition": "Si", "structures": "cut.xyz"}, "Frame has 3 atoms, expected 8"),
        ({"composition": "Si", "structures": "nan.xyz"}, "not numbers"),
        ({"molecule": "salt.cif"}, "a crystal"),
        ({"molecule": "cut.cif"}, "the file ends early or is not a CIF"),
    ],
)
def test_own_files_are_read_before_anything_runs(written, says, tmp_path, monkeypatch):
    _files(tmp_path)
    monkeypatch.chdir(tmp_path)
    error = refused(written)
    assert says in str(error)
    assert not any(name in str(error) for name in ("StopIteration", "AssertionError", "Traceback"))


def test_own_files_that_are_sound_are_taken(tmp_path, monkeypatch):
    _files(tmp_path)
    monkeypatch.chdir(tmp_path)
    write("ethanol.xyz", molecule("CH3CH2OH"))
    boxed = molecule("CH3CH2OH", vacuum=4.0)
    boxed.pbc = True
    write("boxed.xyz", boxed)
    write("split.xyz", Atoms("H2", [[0.3, 5, 5], [9.9, 5, 5]], cell=[10, 10, 10], pbc=True))  # across the boundary
    assert expanded({"composition": "Si", "structures": ["si.xyz", "POSCAR"]}).structures.files == ["si.xyz", "POSCAR"]
    for name in ("ethanol", "boxed", "split"):
        assert expanded({"molecule": f"{name}.xyz"}).run == name


@pytest.mark.parametrize("composition", ["FePt", "H2O", "Ar", "SiO2", "Al0.9Mg0.1"])
def test_the_summary_is_narrow_and_tells_only_what_matters(composition):
    config, choices = expand({"composition": composition, "labelling": NOWHERE})
    text = inferred_summary(config, choices)
    assert max(map(len, text.splitlines())) <= 120
    for name, needed in (("sqs_atoms", "sqs"), ("random_atoms_max", "random"), ("condensed_molecules", "molecule")):
        if needed not in config.structures.sources:
            assert f"structures.{name} " not in text
    if not config.structures.counts["melt"]:
        assert "melt_temperature_k" not in text


def test_the_command_says_the_reasons_of_the_class_once(capsys):
    assert main(["FePt"]) == 0
    out = capsys.readouterr().out
    assert out.count("Fe, Pt are all metals") == 1
    assert main(["SiGe", "--class", "metal"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("SiGe: covalent 0.65, alloy 0.35")
    assert "taken for metal: written" in out
    assert main(["CuSO4.5H2O"]) == 2
    assert "CuSO4(H2O)5" in capsys.readouterr().err
