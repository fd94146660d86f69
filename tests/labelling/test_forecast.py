"""Forecasts: the law corrected by finished labels, with an interval that holds."""

import math

import numpy as np
import pytest

from mlip_autopipec.config import expand
from mlip_autopipec.labelling.forecast import fit, forecast, words


def line(estimate, measured, **more):
    return {"batch": "gen0", "kind": "ok", "estimate_seconds": estimate, "core_seconds": measured, **more}


def test_without_labels_it_is_the_law_and_the_interval_is_wide():
    found = forecast([3600.0] * 10, fit([]))
    assert found.low < 10 < found.high
    assert found.high / found.low > 4
    assert "no label is finished yet" in found.text()
    assert " to " in found.text()


def test_before_the_first_label_an_interval_is_narrowest_where_the_law_was_fitted():
    def share(seconds):
        found = forecast([seconds] * 10, fit([]))
        return math.sqrt(found.high / found.low)

    assert 2 < share(10.0) < share(1000.0) < share(1e5) < 6


def test_finished_labels_correct_the_law_and_narrow_the_interval():
    rng = np.random.default_rng(1)
    real = 3.0 * np.exp(0.2 * rng.standard_normal(40))
    known = fit(line(100.0, 100.0 * ratio) for ratio in real)
    found = forecast([100.0] * 180, known)
    assert found.core_hours == pytest.approx(180 * 100 * real.mean() / 3600, rel=0.05)
    assert found.high / found.low < 1.6
    assert found.text().startswith("about 180 labels, 15 ± ")
    assert "from 40 finished labels" in found.text()


def test_a_dependence_on_size_is_learnt():
    sizes = np.geomspace(10, 1000, 60)
    known = fit(line(s, 2 * s**1.1) for s in sizes)
    for seconds in (10.0, 100.0, 1000.0):
        assert known.factor(seconds) * seconds == pytest.approx(2 * seconds**1.1, rel=0.15)


def test_isolated_atoms_and_labels_that_the_machine_spoilt_are_left_out():
    good = [line(10.0, 20.0)] * 20
    bad = [line(10.0, 1e6, batch="atoms"), line(10.0, 1e6, kind="infrastructure"), line(10.0, 0.0),
           line(10.0, 1e6, final=False)]  # fmt: skip
    assert fit(good + bad) == fit(good)
    assert fit(bad).labels == 0


def test_more_labels_of_the_same_kind_scale_it():
    known = fit([line(10.0, 20.0)] * 20)
    assert forecast([10.0] * 5, known, more=15).core_hours == pytest.approx(forecast([10.0] * 20, known).core_hours)
    assert forecast([], known).core_hours == 0.0


def test_the_interval_holds_as_often_as_it_says():
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(200):
        scale, kind = math.exp(0.5 * rng.standard_normal()), math.exp(0.2 * rng.standard_normal())
        known = fit(line(50.0, 50 * scale * math.exp(0.2 * rng.standard_normal())) for _ in range(40))
        real = sum(50 * scale * kind * math.exp(0.2 * rng.standard_normal()) for _ in range(20)) / 3600
        found = forecast([50.0] * 20, known)
        inside += found.low <= real <= found.high
    assert 0.55 < inside / 200 < 0.85  # one standard deviation: two thirds


def test_the_first_lines_of_a_run_say_how_many_labels_and_what_they_cost(tmp_path):
    config, _ = expand({"composition": "NaCl", "labelling": {"core_hours_max": 5}})
    text = words(config, tmp_path)
    assert "at most 600 for training, 30 for the test set, 9 for the reference's curve, 2 isolated atoms" in text
    assert "In all about 641 labels, " in text
    assert "no label is finished yet" in text
    assert "Budget: 5 core-hours, 0 spent" in text
    molecule, _ = expand({"composition": "H2O"})
    assert "told when frames are selected" in words(molecule, tmp_path)


def test_a_label_that_cannot_be_finished_in_time_is_told_before_the_first_job(tmp_path):
    iron, _ = expand({"composition": "Fe"})
    text = words(iron, tmp_path)
    assert "Mind: a label of 32 atoms is estimated at " in text
    assert "h on one core, above labelling.max_seconds (7200 s)" in text
    for lever in ("ranks_max (now 1)", "magnetic_states (now high, low", "protocol fast", "atoms_max, now 32"):
        assert lever in text
    silicon, _ = expand({"composition": "Si"})
    assert "Mind" not in words(silicon, tmp_path)
    long, _ = expand({"composition": "Fe", "labelling": {"max_seconds": 100_000_000}})
    assert "Mind" not in words(long, tmp_path)


def test_frames_that_are_there_decide_whether_labels_are_too_long(tmp_path):
    config, _ = expand({"composition": "Fe"})
    (tmp_path / "frames").mkdir()
    small = '1\nLattice="2.5 0 0 0 2.5 0 0 0 2.5" uid=a config_type=bulk\nFe 0 0 0\n'
    (tmp_path / "frames" / "gen0.extxyz").write_text(small)
    assert "Mind" not in words(config, tmp_path)
    large = '64\nLattice="9 0 0 0 9 0 0 0 9" uid=a config_type=bulk\n' + "Fe 0 0 0\n" * 64
    (tmp_path / "frames" / "gen0.extxyz").write_text(large)
    assert "Mind: a typical label is estimated at " in words(config, tmp_path)
