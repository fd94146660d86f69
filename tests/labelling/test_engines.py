"""What labels, by its name: engines of ours and of other packages, and what each may ask of the config."""

import time
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from mlip_autopipec import plugins
from mlip_autopipec.config import expand, inferred_summary
from mlip_autopipec.config.cautions import cautions
from mlip_autopipec.config.kinds import BUILT_IN_ENGINES
from mlip_autopipec.config.label_source import label_source
from mlip_autopipec.console import start_text
from mlip_autopipec.errors import ConfigError, ConfigurationFault
from mlip_autopipec.labelling import engines

EMT = {"engine": "calculator", "calculator": "ase.calculators.emt:EMT"}


class Plugin:
    """An engine of another package."""

    name = "mine"

    @classmethod
    def from_config(cls, section):
        found = cls()
        found.section = section
        return found

    def check(self, elements):
        raise ConfigurationFault(f"mine does not know {elements}", "Ask its makers")

    def label(self, atoms, workdir, *, ranks=1, seconds=None):
        raise NotImplementedError


@pytest.fixture
def offered(monkeypatch):
    """Two entry points of other packages, one of which cannot be imported."""
    points = EntryPoints(
        [
            EntryPoint("mine", "test_engines:Plugin", "mlip_autopipec.labellers"),
            EntryPoint("gone", "no_such_package:Engine", "mlip_autopipec.labellers"),
        ]
    )
    monkeypatch.setattr(plugins, "entry_points", lambda group: points.select(group=group))
    monkeypatch.setattr("mlip_autopipec.config.kinds.entry_points", lambda group: points.select(group=group))


def test_every_engine_of_ours_can_be_found():
    for name in BUILT_IN_ENGINES:
        assert engines.find_engine(name).name == name


def test_an_engine_of_another_package_is_used_by_its_name(offered):
    config, _ = expand({"composition": "Cu", "labelling": {"engine": "mine"}})
    assert engines.make_labeller(config.labelling).section["engine"] == "mine"
    with pytest.raises(ConfigurationFault, match=r"mine does not know \['Cu'\]"):
        engines.check(config)
    assert label_source(config.labelling).dft is None


def test_options_of_another_packages_engine_are_part_of_the_surface(offered, tmp_path):
    def surface(**options):
        written = {"engine": "mine", "calculator_options": options}
        return expand({"composition": "Cu", "labelling": written})[0].labelling.surface()

    model = tmp_path / "model.pt"
    model.write_text("one")
    assert surface(xc="pbe") != surface(xc="scan")
    assert list(surface(model=str(model))["files"]) == [str(model)]
    assert "calculator_options" not in expand({"composition": "Cu"})[0].labelling.surface()


def test_an_engine_that_is_not_there_or_broken_is_one_message(offered):
    with pytest.raises(ConfigError, match=r"is no labelling engine.*Did you mean 'calculator'"):
        expand({"composition": "Cu", "labelling": {"engine": "calculater"}})
    config, _ = expand({"composition": "Cu", "labelling": {"engine": "gone"}})
    with pytest.raises(ConfigError, match="the package that offers it cannot be used"):
        engines.make_labeller(config.labelling)


@pytest.mark.parametrize("composition", ["Cu", "FePt", "NaCl", "H2O", "O2", "Xe", "UO2"])
def test_a_teacher_needs_no_pseudopotential_cutoff_or_spin(composition, monkeypatch, tmp_path):
    monkeypatch.setenv("ESPRESSO_PSEUDO", str(tmp_path))
    config, choices = expand({"composition": composition, "labelling": EMT})
    labelling = config.labelling
    assert (labelling.pseudopotentials, labelling.pseudo_dir) == ({}, [])
    assert (labelling.ecutwfc_ry, labelling.ecutrho_ry) == (None, None)
    assert (labelling.nspin, labelling.magnetic_states) == (1, [])
    assert labelling.surface() == {
        "engine": "calculator", "calculator": "ase.calculators.emt:EMT", "calculator_options": {}, "files": {},
    }  # fmt: skip
    told = start_text(config, "results/x", inferred_summary(config, choices))
    for word in ("pseudopotential", "ecutwfc", "kspacing", "smearing", "functional without", "DFT", "spin"):
        assert word not in told
    assert "not density functional theory" in told
    assert "with ase.calculators.emt:EMT, train" in told


def test_cautions_of_a_teacher_are_not_those_of_dft():
    written = {"composition": "UO2", "labelling": {"engine": "calculator", "calculator": "sevennet-0"}}
    config, _ = expand(written)
    (labels, same, atoms) = cautions(config)
    assert labels.startswith("Labels: SevenNet-0 (a machine-learned teacher), not density functional theory")
    assert "explores and labels" in same
    assert "isolated atoms" in atoms
    assert any("f electrons" in one for one in cautions(expand({"composition": "UO2"})[0]))


@pytest.mark.parametrize(
    ("labelling", "dft", "words"),
    [
        ({}, True, "Labels: Quantum ESPRESSO, density functional theory."),
        ({"engine": "calculator", "calculator": "sevennet-0"}, False, "Labels: SevenNet-0 (a machine-learned teacher)"),
        ({"engine": "calculator", "calculator": "mace.calculators:mace_mp"}, False, "(a machine-learned teacher), not"),
        (EMT, False, "(an empirical potential as teacher), not density functional theory."),
        ({"engine": "calculator", "calculator": "mine.calc:Calc"}, None, "is not known here."),
        ({"engine": "calculator", "calculator": "gpaw:GPAW"}, True, "density functional theory through ASE."),
        ({"engine": "vasp"}, True, "never run with a real VASP"),
    ],
)
def test_what_labels_are_is_said_in_words(labelling, dft, words):
    source = label_source(expand({"composition": "Cu", "labelling": labelling})[0].labelling)
    assert source.dft is dft
    assert words in source.words


def test_a_calculator_without_its_engine_is_refused_and_the_other_way_round():
    with pytest.raises(ConfigError, match="Write 'engine: calculator' beside it"):
        expand({"composition": "Cu", "labelling": {"calculator": "sevennet-0"}})
    with pytest.raises(ConfigError, match="the engine calculator needs one"):
        expand({"composition": "Cu", "labelling": {"engine": "calculator"}})


def test_another_model_under_the_same_name_is_another_surface(tmp_path):
    def surface(text):
        model = tmp_path / str(len(text)) / "model.pt"
        model.parent.mkdir()
        model.write_text(text)
        written = {"engine": "calculator", "calculator": "a.b:C", "calculator_options": {"models": [str(model)]}}
        return expand({"composition": "Cu", "labelling": written})[0].labelling.surface()["files"].values()

    assert list(surface("one")) != list(surface("three"))


def test_the_whole_config_of_a_teacher_fed_back_is_the_same_run(tmp_path):
    import yaml

    from mlip_autopipec.config.dump import as_yaml

    config, choices = expand({"composition": "NaCl", "labelling": EMT})
    again, _ = expand(yaml.safe_load(as_yaml(config, choices)))
    assert again == config


def test_vasp_has_its_own_cutoff_smearing_and_one_starting_state():
    labelling = expand({"composition": "FePt", "labelling": {"engine": "vasp"}})[0].labelling
    assert labelling.ecutwfc_ry * 13.605693 == pytest.approx(520, abs=0.01)
    assert (labelling.smearing, labelling.magnetic_states, labelling.pseudopotentials) == (
        "methfessel-paxton", ["high"], {},
    )  # fmt: skip
    assert expand({"composition": "MgO", "labelling": {"engine": "vasp"}})[0].labelling.smearing == "gaussian"


def test_nothing_heavy_is_imported_before_the_first_job():
    import subprocess
    import sys

    code = (
        "import sys; from mlip_autopipec import console; from mlip_autopipec.config import expand, inferred_summary;"
        "c, ch = expand({'composition': 'Cu', 'labelling': {'engine': 'calculator', 'calculator': 'sevennet-0'}});"
        "console.start_text(c, 'r', inferred_summary(c, ch));"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'sevenn', 'numba', 'pymatgen', 'scipy')))"
    )
    start = time.process_time()
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert time.process_time() - start < 5
