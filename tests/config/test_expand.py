"""One line is enough; what is wrong is said in one sentence; the dump reproduces the run."""

import subprocess
import sys

import pytest
import yaml

from mlip_autopipec.config import expand
from mlip_autopipec.config.dump import as_yaml, inferred_summary
from mlip_autopipec.errors import ConfigError

SILICON = {
    "composition": "Si",
    "labelling": {"pseudopotentials": {"Si": "Si.UPF"}, "ecutwfc_ry": 20, "ecutrho_ry": 80},
}


def test_one_line_gives_a_whole_configuration(tmp_path, monkeypatch):
    upf = '<UPF version="2.0.1"><PP_HEADER element="Si" pseudo_type="NC" relativistic="scalar" functional="PBE" '
    upf += 'z_valence="4.0" wfc_cutoff="30.0" rho_cutoff="120.0"/></UPF>'
    (tmp_path / "Si.test.UPF").write_text(upf)
    monkeypatch.setenv("ESPRESSO_PSEUDO", str(tmp_path))
    config, choices = expand({"composition": "Si"})
    assert config.run == "si"
    assert config.structures.lattice == "diamond"
    assert config.structures.lattice_constant_angstrom == 5.43
    assert config.labelling.pseudopotentials == {"Si": "Si.test.UPF"}
    assert (config.labelling.ecutwfc_ry, config.labelling.ecutrho_ry) == (30.0, 120.0)
    assert config.labelling.kmesh == [6, 6, 6]  # 2 pi / (5.43 A x 0.2/A) = 5.8
    assert choices["composition"].by == "user"
    assert choices["seed"].by == "default"
    assert choices["structures.lattice"].by == "lattice_of_the_ground_state"
    assert "structures.lattice " in inferred_summary(config, choices)


def test_dump_says_what_chose_each_value_and_reproduces_the_configuration():
    config, choices = expand(SILICON)
    text = as_yaml(config, choices)
    again, _ = expand(yaml.safe_load(text))
    assert again == config
    assert "ecutwfc_ry: 20.0  # user" in text
    assert "kmesh: [6, 6, 6]  # mesh_from_the_spacing: " in text
    for line in text.splitlines():
        assert not line.strip() or line.endswith(":") or "#" in line


def test_an_override_changes_only_what_depends_on_it():
    base = expand(SILICON)[0].model_dump(by_alias=True)
    other = expand(SILICON | {"training": {"cutoff_angstrom": 6.0}})[0].model_dump(by_alias=True)
    changed = {
        f"{section}.{key}"
        for section, values in base.items()
        if isinstance(values, dict)
        for key in values
        if values[key] != other[section][key]
    }
    assert changed == {"training.cutoff_angstrom", "sampling.soap_cutoff_angstrom"}


def test_numbers_that_yaml_reads_as_text_are_numbers():
    written = yaml.safe_load("{composition: Si, structures: {lattice_constant_angstrom: '5.4'}, seed: 2}")
    written["labelling"] = SILICON["labelling"] | {"kspacing_per_angstrom": "2e-1", "conv_thr_ry_per_atom": "1e-9"}
    config = expand(written)[0]
    assert config.structures.lattice_constant_angstrom == 5.4
    assert config.labelling.kmesh == [6, 6, 6]
    assert config.labelling.conv_thr_ry_per_atom == 1e-9


def test_an_hcp_element_gets_its_own_ratio():
    zinc = {"labelling": {"pseudopotentials": {"Zn": "Zn.UPF"}, "ecutwfc_ry": 40, "ecutrho_ry": 160}}
    assert expand({"composition": "Zn"} | zinc)[0].structures.c_over_a > 1.8


def test_coarser_k_spacing_gives_a_coarser_mesh():
    coarse = {**SILICON, "labelling": {**SILICON["labelling"], "kspacing_per_angstrom": 0.6}}
    assert expand(coarse)[0].labelling.kmesh == [2, 2, 2]


@pytest.mark.parametrize(
    ("written", "key", "says"),
    [
        ({}, "composition", "needed"),
        ({"composition": ""}, "composition", "not a chemical formula"),
        ({"composition": "fept"}, "composition", "Did you mean 'Fe'?"),
        ({"composition": "Xx"}, "composition", "no element"),
        ({"composition": "Si0"}, "composition", "amount 0"),
        ({"composition": False}, "composition", "Quote it"),
        ({"composition": "FePt"}, "composition", "single elements"),
        ({"composition": "Fe"}, "composition", "magnetic"),
        ({"composition": "Si", "sed": 1}, "sed", "Did you mean 'seed'?"),
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
        ({"composition": "Si", "exploration": 5}, "exploration", "dictionary"),
        ({"composition": "Si", "exploration": {"surrogate": "sevenet-0"}}, "exploration.surrogate", "sevennet-0"),
        ({"composition": "Si", "run": "../evil"}, "run", "pattern"),
        ({"composition": "Si", "active_learning": {"gamma_stop": 1.5}}, "active_learning", "gamma_stop"),
        (
            {"composition": "Si", "labelling": {"pseudopotentials": {"Si": "nope.UPF"}}},
            "labelling.pseudopotentials.Si",
            "not found",
        ),
        ({"composition": "Si", "labelling": {"pseudo_dir": ["/nowhere"]}}, "labelling.pseudopotentials", "/nowhere"),
        ({"composition": "Hg", "labelling": SILICON["labelling"]}, "structures.lattice", "structures.lattice"),
    ],
)
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
        "import sys; from mlip_autopipec.config import expand; "
        "print([m for m in ('torch', 'numba', 'scipy', 'sklearn', 'pymatgen', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
