"""One line is enough; what is wrong is said in one sentence; the dump reproduces the run; rules follow their needs."""

import subprocess
import sys

import pytest
import yaml
from ase.build import bulk
from ase.io import write

from mlip_autopipec.config import expand
from mlip_autopipec.config.dump import as_yaml, inferred_summary
from mlip_autopipec.config.expand import infer
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.kinds import Section
from mlip_autopipec.config.rules import RULES
from mlip_autopipec.errors import ConfigError

SILICON = {
    "composition": "Si",
    "labelling": {"pseudopotentials": {"Si": "Si.UPF"}, "ecutwfc_ry": 20, "ecutrho_ry": 80},
}
NOTHING_INSTALLED = {"labelling": {"pseudo_dir": ["nowhere"]}}
COMPOSITIONS = [
    "FePt", "SiO2", "NaCl", "H2O", "Al0.9Mg0.1", "CoCrFeMnNi", "C", "Si", "SiGe", "MgO", "CaF2", "TiO2", "SrTiO3",
    "GaAs", "BN", "CH4", "Ar", "Fe", "Ni3Al", "ZrO2", "Gd", "UO2", "Li2O", "Fe3O4", "He", "O2", "W", "Hg", "NH3",
]  # fmt: skip


def whole(composition, **more):
    return expand({"composition": composition, **NOTHING_INSTALLED, **more})


def test_one_line_gives_a_whole_configuration(tmp_path, monkeypatch):
    upf = '<UPF version="2.0.1"><PP_HEADER element="Si" pseudo_type="NC" relativistic="scalar" functional="PBE" '
    upf += 'z_valence="4.0" wfc_cutoff="30.0" rho_cutoff="120.0"/></UPF>'
    (tmp_path / "Si.test.UPF").write_text(upf)
    monkeypatch.setenv("ESPRESSO_PSEUDO", str(tmp_path))
    config, choices = expand({"composition": "Si"})
    assert config.run == "si"
    assert config.material_class[0] == "covalent"
    assert config.labelling.pseudopotentials == {"Si": "Si.test.UPF"}
    assert (config.labelling.ecutwfc_ry, config.labelling.ecutrho_ry) == (30.0, 120.0)
    assert choices["composition"].by == "user"
    assert choices["seed"].by == "default"
    assert choices["structures.prototypes"].by == "prototypes_by_formula_and_class"
    assert "structures.prototypes " in inferred_summary(config, choices)


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_the_dump_reproduces_the_configuration_and_says_what_chose_each_value(composition):
    config, choices = whole(composition)
    text = as_yaml(config, choices)
    again, theirs = expand(yaml.safe_load(text))
    assert again == config
    assert {choice.by for key, choice in theirs.items()} == {"user"} | {
        choice.by for key, choice in theirs.items() if choice.value in (None, "", [], {})
    }
    for line in text.splitlines():
        assert not line.strip() or line.endswith(":") or "#" in line


def test_every_value_without_a_default_has_a_rule_and_every_rule_a_value():
    needed, defaults = set(), set()
    for name, field in Config.model_fields.items():
        kind, key = field.annotation, field.alias or name
        if isinstance(kind, type) and issubclass(kind, Section):
            needed |= {f"{key}.{n}" for n, f in kind.model_fields.items() if f.is_required()}
            defaults |= {f"{key}.{n}" for n, f in kind.model_fields.items() if not f.is_required()}
        elif field.is_required():
            needed.add(key)
    assert needed <= set(RULES) <= needed | defaults  # a rule goes before a default, which own data keep


def test_every_rule_has_a_source_and_a_sentence():
    for composition in ("FePt", "H2O", "Ar"):
        for key, choice in whole(composition)[1].items():
            if choice.by not in ("user", "default"):
                assert choice.by == RULES[key].name
                assert choice.why
                assert choice.source == RULES[key].source != ""
                assert "\n" not in choice.why


OVERRIDES = {
    "training.cutoff_angstrom": 6.6,
    "exploration.temperatures_k": [200.0, 500.0],
    "active_learning.labels_first": 50,
    "active_learning.label_budget": 90,
    "labelling.ecutwfc_ry": 33.0,
    "labelling.nspin": 2,
    "structures.sqs_atoms": [8, 48],
    "structures.atoms_max": 20,
    "structures.prototypes": ["B2"],
    "class": ["ionic"],
    "labelling.kspacing_per_angstrom": 0.4,
    "seed": 7,
}


@pytest.mark.parametrize("composition", ["FePt", "MgO", "H2O", "Ar"])
@pytest.mark.parametrize("key", OVERRIDES)
def test_an_override_changes_only_what_depends_on_it(composition, key):
    *sections, leaf = key.split(".")
    written = {"composition": composition, **NOTHING_INSTALLED}
    changed = {**written, sections[0]: {**written.get(sections[0], {}), leaf: OVERRIDES[key]}} if sections else {
        **written, key: OVERRIDES[key]
    }  # fmt: skip
    base, other = infer(written), infer(changed)

    def depends(on):
        asked = other.used.get(on, set()) | base.used.get(on, set())
        return key in asked or any(depends(one) for one in asked)

    different = {k for k in base.choices if base.choices[k].value != other.choices[k].value}
    assert different - {key} <= {k for k in base.choices if depends(k)}
    assert key in different or base.choices[key].value == OVERRIDES[key]
    if key == "training.cutoff_angstrom":
        assert different == {key, "sampling.soap_cutoff_angstrom", "structures.vacuum_angstrom"}
    if key in ("seed", "labelling.kspacing_per_angstrom"):
        assert different == {key}


def test_single_entries_of_a_dict_may_be_written():
    config, choices = whole("Si", structures={"counts": {"melt": 0, "rattles": 3}})
    plain = whole("Si")[0].structures.counts
    assert config.structures.counts == plain | {"melt": 0, "rattles": 3}
    assert "written: rattles, melt" in choices["structures.counts"].why


def test_files_stand_for_the_section_structures_and_can_be_used_alone(tmp_path):
    for name, a in (("one", 5.4), ("two", 5.5)):
        write(tmp_path / f"{name}.cif", bulk("Si", "diamond", a=a))
    pattern = str(tmp_path / "*.cif")
    config, _ = whole("Si", structures=pattern)
    assert config.structures.files == [pattern]
    assert config.structures.sources == ["prototypes"]
    alone, _ = expand({"structures": {"files": pattern, "alone": True}, **NOTHING_INSTALLED})
    assert alone.structure == str(tmp_path / "one.cif")
    assert alone.composition == "Si"
    assert alone.structures.sources == ["structure"]
    assert set(alone.structures.counts.values()) == {0}


def test_a_structure_gives_the_composition_and_a_molecule_too(tmp_path):
    write(tmp_path / "salt.cif", bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    config, _ = expand({"structure": str(tmp_path / "salt.cif"), **NOTHING_INSTALLED})
    assert config.amounts == {"Na": 1, "Cl": 1}
    assert config.structures.sources == ["structure"]
    config, _ = expand({"molecule": "ethanol", **NOTHING_INSTALLED})
    assert config.amounts == {"C": 2, "H": 6, "O": 1}
    assert (config.run, config.material_class, config.structures.sources) == ("ethanol", ["molecular"], ["molecule"])


def test_a_structure_that_cannot_be_used_is_refused(tmp_path):
    write(tmp_path / "salt.cif", bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    text = (tmp_path / "salt.cif").read_text()
    assert "  Na  " in text
    (tmp_path / "mixed.cif").write_text(text.replace("1.0000\n", "0.5000\n"))
    (tmp_path / "broken.cif").write_text("data_nothing\n_cell_length_a five\n")
    for name, says in (("mixed", "occupied in part"), ("broken", "not readable")):
        with pytest.raises(ConfigError, match=says):
            expand({"structure": str(tmp_path / f"{name}.cif")})
    with pytest.raises(ConfigError, match="Leave the composition out"):
        expand({"composition": "MgO", "structure": str(tmp_path / "salt.cif")})


def test_numbers_that_yaml_reads_as_text_are_numbers():
    written = yaml.safe_load("{composition: Si, structures: {vacuum_angstrom: '9.5'}, seed: 2}")
    written["labelling"] = SILICON["labelling"] | {"kspacing_per_angstrom": "2e-1", "conv_thr_ry_per_atom": "1e-9"}
    config = expand(written)[0]
    assert config.structures.vacuum_angstrom == 9.5
    assert config.labelling.kspacing_per_angstrom == 0.2
    assert config.labelling.conv_thr_ry_per_atom == 1e-9


@pytest.mark.parametrize(
    ("written", "key", "says"),
    [
        ({}, "composition", "needed"),
        ({"composition": ""}, "composition", ""),
        ({"composition": "fept"}, "composition", "FePt"),
        ({"composition": "Xx"}, "composition", "Xx"),
        ({"composition": False}, "composition", "Quote it"),
        ({"composition": "C2H6O"}, "composition", "ethanol"),
        ({"composition": "CH4", "molecule": "ethanol"}, "molecule", "composition is CH4"),
        ({"composition": "Si", "sed": 1}, "sed", "Did you mean 'seed'?"),
        ({"composition": "Si", "class": "ionc"}, "class.0", "ionic"),
        ({"composition": "Si", "structure": "nowhere.cif"}, "structure", "no such file"),
        ({"composition": "Si", "structures": "nowhere/*.cif"}, "structures.files", "no file has such a name"),
        ({"composition": "Si", "structures": {"counts": {"rattle": 3}}}, "structures.counts.rattle", "rattles"),
        ({"composition": "Si", "training": {"cutof_angstrom": 5}}, "training.cutof_angstrom", "cutoff_angstrom"),
        ({"composition": "Si", "training": {"cutoff_angstrom": "five"}}, "training.cutoff_angstrom", "number"),
        ({"composition": "Si", "training": {"cutoff_angstrom": -5}}, "training.cutoff_angstrom", "greater than 0"),
        ({"composition": "Si", "seed": 1.5}, "seed", "integer"),
        ({"composition": "Si", "exploration": {"temperatures_k": []}}, "exploration.temperatures_k", "at least 1"),
        (
            {"composition": "Si", "simulation": {"temperatures_k": [300.2, 300.4]}},
            "simulation.temperatures_k",
            "the same to 1 K",
        ),
        ({"composition": "Si", "exploration": 5}, "exploration", "not a section of keys"),
        ({"composition": "Si", "exploration": {"surrogate": "sevenet-0"}}, "exploration.surrogate", "sevennet-0"),
        ({"composition": "Si", "run": "../evil"}, "run", "name of a folder"),
        ({"composition": "Si", "active_learning": {"gamma_stop": 1.5}}, "active_learning", "gamma_stop"),
        (
            {"composition": "Si", "labelling": {"pseudopotentials": {"Si": "nope.UPF"}}},
            "labelling.pseudopotentials.Si",
            "not found",
        ),
        ({"composition": "Si", "labelling": {"pseudopotentials": {"Sx": "a"}}}, "labelling.pseudopotentials.Sx", "S"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_sentence_with_key_value_and_mend(written, key, says):
    with pytest.raises(ConfigError) as caught:
        expand(written)
    message = str(caught.value)
    assert caught.value.key == key
    assert says in message
    assert "\n" not in message
    assert caught.value.mend


def test_expanding_loads_nothing_heavy():
    code = (
        "import sys; from mlip_autopipec.config import expand; [expand({'composition': c}) for c in ('FePt', 'H2O')]; "
        "heavy = ('torch', 'numba', 'scipy', 'sklearn', 'pymatgen', 'matplotlib', 'rdkit', 'icet', 'ase.io'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("written", "run"),
    [
        ({"composition": "Al0.9Mg0.1"}, "al0.9mg0.1"),
        ({"composition": "Ca(OH)2"}, "ca_oh_2"),
        ({"molecule": "acetic acid"}, "acetic_acid"),
        ({"molecule": "CCO"}, "ethanol"),
        ({"molecule": "c1ccccc1C1CCCCC1"}, "c1ccccc1C1CCCCC1"),
        ({"composition": "SiO₂"}, "sio2"),
        ({"composition": "CO", "molecule": "CO"}, "carbon_monoxide"),
        ({"composition": "Co"}, "co"),
        ({"composition": "No"}, "no"),
        ({"composition": "NO"}, "NO"),
        ({"composition": "FePt"}, "fept"),
    ],
)
def test_the_run_has_a_name_that_is_safe_in_paths(written, run):
    assert expand(written | NOTHING_INSTALLED)[0].run == run


def test_the_class_can_be_overridden():
    config, choices = whole("SiGe", **{"class": "metal"})
    assert config.material_class == ["metal"]
    assert config.labelling.smearing == "cold"
    assert choices["class"].by == "user"
    assert "electronegativit" in whole("NaCl")[1]["class"].why
