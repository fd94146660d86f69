"""Which starting states the moments of a composition are tried from, and what is said of it."""

from __future__ import annotations

import pytest

from mlip_autopipec.config.cautions import cautions
from mlip_autopipec.config.expand import expand
from mlip_autopipec.errors import ConfigError


@pytest.mark.parametrize(
    ("composition", "states"),
    [
        ("Fe", ["high", "low", "antiferro"]),
        ("Cr", ["high", "low", "antiferro"]),
        ("NiO", ["high", "low", "antiferro"]),
        ("O2", ["high", "low", "antiferro"]),
        ("FePt", ["high", "low", "antiferro"]),
        ("FeCr", ["high", "low", "antiferro", "ferri"]),
        ("CoCrFeMnNi", ["high", "low", "antiferro", "ferri"]),
        ("SmCo5", ["high", "low", "antiferro", "ferri"]),
        ("Ni", ["high", "low"]),
        ("Ni3Al", ["high", "low"]),
        ("Al", []),
        ("MgO", []),
    ],
)
def test_states_follow_the_elements_with_moments(composition, states):
    config, choices = expand({"composition": composition})
    assert config.labelling.magnetic_states == states
    if states:
        assert "lowest is kept" in choices["labelling.magnetic_states"].why
        assert choices["labelling.magnetic_states"].source


def test_one_state_may_be_written_as_a_word():
    config, _ = expand({"composition": "Fe", "labelling": {"magnetic_states": "high"}})
    assert config.labelling.magnetic_states == ["high"]


def test_a_state_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="magnetic_states"):
        expand({"composition": "Fe", "labelling": {"magnetic_states": ["spiral"]}})


def test_a_starting_moment_is_a_fraction_but_for_vasp():
    with pytest.raises(ConfigError, match="fraction of the valence electrons") as found:
        expand({"composition": "Fe", "labelling": {"starting_magnetization": {"Fe": 4.0}}})
    assert found.value.key == "labelling.starting_magnetization.Fe"
    written = {"engine": "vasp", "starting_magnetization": {"Fe": 3.0}}
    labelling = expand({"composition": "FePt", "labelling": written})[0].labelling
    assert labelling.starting_magnetization["Fe"] == 3.0


def test_what_is_tried_and_what_is_not_is_said():
    (caution,) = [one for one in cautions(expand({"composition": "Fe"})[0]) if "magnetic order" in one]
    assert "high, low, antiferro" in caution
    assert "positions only" in caution
    assert not any("magnetic order" in one for one in cautions(expand({"composition": "Al"})[0]))


def test_another_set_of_states_is_another_surface():
    """A label is the lowest of its states: with others it may be another solution."""
    one, other = (
        expand({"composition": "Fe", "labelling": {"magnetic_states": states}})[0].labelling.surface()
        for states in (["high"], ["high", "antiferro"])
    )
    assert one != other
