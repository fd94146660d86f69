"""Simulation walkers keep what is uncertain and stop in time; the assessment says why the loop ends or goes on."""

import numpy as np
import pytest
from ase.build import bulk

from mlip_autopipec.ace import ACECalculator
from mlip_autopipec.config.full import Simulation, Training
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import new_frame
from mlip_autopipec.potential import load_potential
from mlip_autopipec.simulation import assess, simulate
from mlip_autopipec.simulation.md import thin
from mlip_autopipec.training import train

SETTINGS = Simulation(temperatures_k=[40], steps=60, gamma_interval_steps=10, timestep_fs=5.0, frames_per_walker=3)


@pytest.fixture(scope="module")
def potential(tmp_path_factory, labelled) -> ACECalculator:
    folder = tmp_path_factory.mktemp("potential")
    paths = [folder / f"p.{kind}" for kind in ("yaml", "yace", "asi")]
    settings = Training(cutoff_angstrom=6.0, zbl_inner_angstrom=1.5, zbl_outer_angstrom=2.6, degrees=[[10, 6, 5]])
    train(labelled, settings, *paths)
    return load_potential(paths[0], paths[2])


def walk(potential, a=5.26, temperature_k=20.0, select=2.0, stop=10.0, generation=0, **change):
    start = [new_frame(bulk("Ar", "fcc", a=a, cubic=True), origin="t", config_type="volume")]
    settings = SETTINGS.model_copy(update=change)
    return simulate(
        start, potential, settings, name="T0020-0", temperature_k=temperature_k, generation=generation,
        gamma_select=select, gamma_stop=stop, seed=1,
    )  # fmt: skip


def test_a_cold_walker_near_the_data_finishes_with_nothing_uncertain(potential):
    frames, record = walk(potential)
    assert frames == []
    assert record["steps_done"] == 60
    assert record["stopped"] == ""
    assert record["gamma_step"] == [0, 10, 20, 30, 40, 50, 60]
    assert max(record["gamma_max"]) < 2.0


def test_frames_above_the_lower_threshold_are_kept_with_gamma_and_lineage(potential):
    frames, record = walk(potential, select=0.01, stop=1000.0, generation=1)
    assert record["uncertain_frames"] == 7
    assert len(frames) == record["kept_frames"] == 3
    last = frames[-1]
    assert last.info["generation"] == 2
    assert last.info["parent"] == record["start"]
    assert last.info["gamma_max"] == pytest.approx(last.arrays["gamma"].max())
    assert last.info["gamma_max"] == pytest.approx(potential.gamma(last).max())


def test_a_walker_stops_above_the_upper_threshold_and_keeps_that_frame(potential):
    frames, record = walk(potential, a=4.3)
    assert record["steps_done"] == 0
    assert "extrapolation grade" in record["stopped"]
    assert len(frames) == 1
    assert frames[0].info["gamma_max"] > 10


def test_a_walker_stops_when_atoms_collide(potential):
    _, record = walk(potential, temperature_k=3e5, stop=1e12, steps=2000)
    assert record["steps_done"] < 2000
    assert record["stopped"]


def test_no_structure_is_said(potential):
    with pytest.raises(DataError, match="no structure"):
        simulate([], potential, SETTINGS, name="w", temperature_k=1, generation=0, gamma_select=2, gamma_stop=3, seed=1)


def test_thinning_keeps_the_last_frame():
    assert thin(list(range(10)), 4) == [0, 3, 6, 9]
    assert thin([1, 2], 4) == [1, 2]


def record(uncertain=0, stopped="", gamma=1.0):
    return {
        "walker": "w", "uncertain_frames": uncertain, "stopped": stopped, "gamma_max": [gamma], "steps_done": 10,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("records", "generation", "labels", "finished", "converged", "says"),
    [
        ([record(), record()], 0, 30, True, True, "full round of 2 walkers"),
        ([record(), record(3, gamma=4.0)], 0, 30, False, False, "3 uncertain"),
        ([record(3, "extrapolation grade 12")], 0, 30, False, False, "1 of 1 walkers stopped"),
        ([record(3)], 2, 30, True, False, "limit of 3 generations"),
        ([record(3)], 0, 60, True, False, "budget of 60 labels"),
        ([record(0, "atoms collided")], 0, 30, True, False, "without an uncertain frame: atoms collided"),
        ([record(0)], 2, 60, True, True, "no uncertain frame"),
    ],
)
def test_the_decision_and_its_reason(records, generation, labels, finished, converged, says):
    decision = assess(records, generation=generation, labels_requested=labels, generations_max=3, label_budget=60)
    assert (decision["finished"], decision["converged"]) == (finished, converged)
    assert says in decision["reason"]
    assert decision["uncertain_frames"] == sum(r["uncertain_frames"] for r in records)
    assert np.isfinite(decision["gamma_max"])


@pytest.mark.parametrize(("error", "converged"), [(140.0, True), (290.0, True), (1013.0, False)])
def test_a_basis_that_does_not_fit_its_own_data_is_not_converged_however_quiet_gamma_is(error, converged):
    decision = assess(
        [record(), record()], generation=0, labels_requested=30, generations_max=3, label_budget=60,
        force_error_mev_per_angstrom=error, force_error_max_mev_per_angstrom=150.0,
    )  # fmt: skip
    assert decision["finished"]
    assert decision["converged"] is converged
    assert ("its own training data" in decision["reason"]) is not converged


def test_a_spent_budget_of_core_hours_ends_the_loop_with_its_reason():
    records = [{"walker": "a", "uncertain_frames": 4, "stopped": "gamma", "gamma_max": [30.0], "steps_done": 10}]
    common = {"generation": 0, "labels_requested": 7, "generations_max": 3, "label_budget": 60}
    decision = assess(records, **common, not_started=33, core_hours_max=0.5)
    assert (decision["finished"], decision["converged"]) == (True, False)
    assert decision["reason"].startswith("the budget of 0.5 core-hours is spent: 33 selected frames got no label")
    assert not assess(records, **common)["finished"]
