"""Trainers are chosen by name, other packages can add theirs, and a missing one is said before any work."""

from importlib.metadata import EntryPoint, EntryPoints
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from mlip_autopipec import plugins
from mlip_autopipec.config import kinds
from mlip_autopipec.config.full import Training
from mlip_autopipec.errors import ConfigError, ConfigurationFault
from mlip_autopipec.training import linear_ace, trainer

KEYS = {"cutoff_angstrom": 6.0, "zbl_inner_angstrom": 1.5, "zbl_outer_angstrom": 2.6}


def _missing(settings):
    raise ConfigurationFault("its program is missing", "Install it")


@pytest.fixture
def offered(monkeypatch):
    """Another package offers 'other', one that is broken, and one under the name of ours."""
    group = kinds.TRAINER_GROUP
    points = EntryPoints(
        [
            EntryPoint("other", "somewhere:trainer", group),
            EntryPoint("broken", "no_such_module:trainer", group),
            EntryPoint("linear-ace", "somewhere:trainer", group),
        ]
    )
    other = SimpleNamespace(
        train=lambda frames, settings, *paths, **more: {"trained": settings.trainer}, check=_missing
    )
    monkeypatch.setattr(
        EntryPoint, "load", lambda self: other if self.name != "broken" else __import__("no_such_module")
    )
    for module in (kinds, plugins):
        monkeypatch.setattr(module, "entry_points", lambda group: points)


def test_an_unknown_trainer_is_refused_by_the_config_with_the_nearest_name():
    with pytest.raises(ValidationError, match=r"known trainers: linear-ace, pacemaker\. Did you mean 'pacemaker'"):
        Training(trainer="pacemakr", **KEYS)
    with pytest.raises(ConfigError, match="linear-ace"):
        trainer.find_trainer("linear")


def test_config_and_registry_know_the_same_trainers():
    assert set(trainer._BUILT_IN) == set(kinds.BUILT_IN_TRAINERS)
    for name in kinds.BUILT_IN_TRAINERS:
        assert callable(trainer.find_trainer(name).train)


def test_another_packages_trainer_is_used_by_its_name(offered, tmp_path):
    settings = Training(trainer="other", **KEYS)
    paths = [tmp_path / name for name in ("a.yaml", "a.yace", "a.asi")]
    assert trainer.train([], settings, *paths) == {"trained": "other"}
    with pytest.raises(ConfigurationFault, match="Install it"):
        trainer.check_trainer(settings)


def test_no_package_can_replace_a_built_in_trainer(offered):
    assert trainer.find_trainer("linear-ace") is linear_ace
    trainer.check_trainer(Training(**KEYS))


def test_a_trainer_that_cannot_be_imported_is_named(offered):
    with pytest.raises(ConfigError, match=r"broken.*no_such_module"):
        trainer.find_trainer("broken")
