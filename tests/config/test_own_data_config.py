"""A dataset takes the place of a composition; what the loop would need is refused, not ignored."""

import pytest
import yaml

from mlip_autopipec.config import DataConfig, decided, expand, inferred_summary
from mlip_autopipec.config.dump import as_yaml
from mlip_autopipec.config.own_data import resolve
from mlip_autopipec.errors import ConfigError

INFERRED = {
    "composition": {"value": "CuAu", "by": "elements_of_the_data", "why": "w"},
    "training.cutoff_angstrom": {"value": 6.0, "by": "cutoff_of_2_35_bonds", "why": "w"},
    "training.zbl_inner_angstrom": {"value": 1.0, "by": "zbl", "why": "w"},
    "training.zbl_outer_angstrom": {"value": 1.5, "by": "zbl", "why": "w"},
    "training.reference_energies_ev": {"value": {"Cu": -1.0, "Au": -2.0}, "by": "fit", "why": "w"},
}


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("My Data.extxyz", "b1.xyz", "b2.xyz"):
        (tmp_path / name).write_text("")


def test_one_line_is_enough():
    config, choices = expand({"training": {"dataset": "My Data.extxyz"}})
    assert isinstance(config, DataConfig)
    assert config.run == "my_data"
    assert config.training.dataset == ["My Data.extxyz"]
    assert config.training.cutoff_angstrom is None
    assert config.elements == []
    assert "training.cutoff_angstrom" in inferred_summary(config, choices)


def test_what_the_data_decide_completes_the_configuration_and_the_dump_reproduces_it():
    config, choices = resolve(*expand({"training": {"dataset": ["b?.xyz", "My Data.extxyz"]}}), INFERRED)
    assert config.elements == ["Cu", "Au"]
    assert config.training.cutoff_angstrom == 6.0
    again, _ = expand(yaml.safe_load(as_yaml(config, choices)))
    assert again == config


def test_settings_of_the_loop_are_not_touched_by_a_record_without_decisions():
    lengths = {"zbl_inner_angstrom": 1.0, "zbl_outer_angstrom": 1.6}
    assert decided({"cutoff_angstrom": 5.0, **lengths}, {"accepted": 3}).cutoff_angstrom == 5.0
    assert decided({"cutoff_angstrom": None, **lengths}, {"inferred": INFERRED}).cutoff_angstrom == 6.0
    with pytest.raises(ConfigError, match=r"training.*times the smallest of cutoff_factors.*decided by the data"):
        decided({"cutoff_factors": [0.2, 1.0], **lengths}, {"inferred": INFERRED})


@pytest.mark.parametrize(
    ("written", "key", "says"),
    [
        ({"training": {"dataset": "none.extxyz"}}, "training.dataset", "no such file"),
        ({"training": {"dataset": ["b1.xyz", "n*.db"]}}, "training.dataset", "no file has such a name"),
        ({"training": {"dataset": "b1.xyz", "test_dataset": "t.db"}}, "training.test_dataset", "no such file"),
        ({"training": {"dataset": 5}}, "training.dataset", "list"),
        ({"training": {"dataset": "b1.xyz", "energykey": "E"}}, "training.energykey", "Did you mean 'energy_key'?"),
        ({"training": {"dataset": "b1.xyz", "test_fraction": 1.0}}, "training.test_fraction", "less than 1"),
        ({"training": {"dataset": "b1.xyz"}, "labelling": {"ecutwfc_ry": 30}}, "labelling", "starts at training"),
        (
            {"training": {"dataset": "b1.xyz"}, "active_learning": {"labels_first": 30}},
            "active_learning.labels_first",
            "gamma_select",
        ),
        ({"training": {"dataset": "b1.xyz"}, "composition": "Xy"}, "composition", "no element"),
        (
            {"training": {"dataset": "b1.xyz", "reference_energies_ev": {"Ax": 1.0}}},
            "training.reference_energies_ev.Ax",
            "no such element",
        ),
        (
            {"training": {"dataset": "b1.xyz", "zbl_inner_angstrom": 2.0, "zbl_outer_angstrom": 1.0}},
            "training",
            "zbl_inner_angstrom < zbl_outer_angstrom",
        ),
        ({"composition": "Si", "training": {"energy_key": "E"}}, "training.energy_key", "no training.dataset"),
        ({}, "composition", "training: {dataset: my_data.extxyz}"),
    ],
)
def test_bad_input_gets_one_sentence_with_key_value_and_mend(written, key, says):
    with pytest.raises(ConfigError) as caught:
        expand(written)
    assert caught.value.key == key
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.mend
