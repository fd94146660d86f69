"""Walkers by name: what each does follows from the config, and the surrogate from what is on the machine."""

import pytest

from mlip_autopipec.config import expand, md_walks, walk_plans
from mlip_autopipec.errors import ConfigError
from mlip_autopipec.surrogates import weights

LADDER = [300, 900, 2600]


def exploration(**written):
    return expand({"composition": "FePt", "exploration": {"temperatures_k": [300, 900, 2600], **written}})[
        0
    ].exploration


def test_every_second_walker_of_a_temperature_moves_its_cell():
    walks = md_walks(exploration(), [300, 900], 2)
    assert list(walks) == ["T0300-0", "T0300-1", "T0900-0", "T0900-1"]
    assert [w.may_change_cell for w in walks.values()] == [False, True, False, True]
    assert {w.kind for w in walks.values()} == {"md"}
    assert not any(w.may_change_cell for w in md_walks(exploration(barostat="none"), [300], 4).values())
    assert all(w.may_change_cell for w in md_walks(exploration(barostat="full"), [300], 4).values())


def test_pressures_are_taken_in_turn_by_those_that_move_their_cells():
    walks = md_walks(exploration(pressures_gpa=[0, 10, -2]), [300, 900], 4)
    assert [w.pressure_gpa for w in walks.values()] == [0, 0, 0, 10, 0, -2, 0, 0]


def test_an_alloy_swaps_below_the_hottest_temperature():
    plans = walk_plans(exploration(walkers_per_temperature=1))
    assert [w.temperature_k for n, w in plans.items() if n.startswith("swaps")] == [900, 300]
    assert plans["heat-0"].temperature_k == 300
    assert plans["heat-0"].temperature_end_k >= 2600
    assert {w.kind for w in plans.values()} == {"md", "heat", "swaps", "strains"}


def test_a_written_number_leaves_the_other_walkers_as_they_are():
    assert exploration(walks={"heat": 0, "quench": 2}).walks == {
        "heat": 0, "quench": 2, "swaps": 2, "cells": 0, "strains": 1, "paths": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("composition", "kinds"),
    [
        ("Si", {"md", "heat", "quench", "strains", "paths"}),
        ("MgO", {"md", "heat", "strains", "paths"}),
        ("H2O", {"md"}),
        ("Ar", {"md", "heat", "cells", "strains"}),
        ("Fe", {"md", "heat", "strains"}),
    ],
)
def test_walkers_fit_the_class(composition, kinds):
    plans = walk_plans(expand({"composition": composition})[0].exploration)
    assert {walk.kind for walk in plans.values()} == kinds


def test_wrong_names_are_told_with_the_nearest_right_one():
    with pytest.raises(ConfigError, match=r"swap.*swaps"):
        exploration(walks={"swap": 1})
    with pytest.raises(ConfigError, match=r"farthest-point"):
        expand({"composition": "Si", "sampling": {"method": "farthest"}})


def test_the_default_surrogate_is_the_best_whose_weights_are_here(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "cached", lambda name: None)
    config, choices = expand({"composition": "Si"})
    assert config.exploration.surrogate == "sevennet-0"
    assert "fetch mace-mp" in choices["exploration.surrogate"].why
    monkeypatch.setattr(weights, "cached", lambda name: tmp_path / "model")
    assert expand({"composition": "Si"})[0].exploration.surrogate == "mace-mp"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"sampling": {"always": ["volum"]}}, r"volum.*volume"),
        ({"exploration": {"surrogate_sha256": "abc"}}, r"64 hexadecimal"),
        ({"exploration": {"surrogate": "models/none.model"}}, r"no such file"),
        ({"exploration": {"surrogate": "sevenet-0"}}, r"sevennet-0"),
        ({"exploration": {"surrogate": "mace-mp"}}, r"weights are not on this machine.*fetch mace-mp"),
        ({"exploration": {"walks": {"swaps": 1}}}, r"Si has one element"),
    ],
)
def test_what_would_be_ignored_or_fail_late_is_refused_at_the_start(written, says):
    with pytest.raises(ConfigError, match=says):
        expand({"composition": "Si", **written})
