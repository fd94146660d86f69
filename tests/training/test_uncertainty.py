"""Calibration finds the law that errors follow, leaves out what symmetry fixes, and uses no test label."""

from dataclasses import replace

import numpy as np
import pytest
from argon import argon_frames

from mlip_autopipec.ace import ACECalculator, ACEPotential, active_sets, read_yace, read_yaml, write_asi, write_yaml
from mlip_autopipec.ace.posterior import Posterior
from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.frames import read_frames, write_frames
from mlip_autopipec.potential import load_potential, metadata
from mlip_autopipec.repulsion import ZBL
from mlip_autopipec.training.delta import subtract
from mlip_autopipec.training.triangles import Choice, Triangles
from mlip_autopipec.training.uncertainty import assess, measure, most_likely, spread_of

CHOICE = Choice((10, 6, 5), 6.0, 10.0, 1.0, 4.0)
BASELINE = ZBL(1.5, 2.6)


@pytest.fixture(scope="module")
def noisy(labelled, tmp_path_factory):
    """Argon with noise of 2 meV/A on the forces, as read from a file: otherwise there is nothing to be uncertain of."""
    random = np.random.default_rng(5)
    frames = [frame.copy() for frame in labelled]
    for frame in frames:
        frame.arrays["REF_forces"] = frame.arrays["REF_forces"] + random.normal(scale=2e-3, size=(len(frame), 3))
    path = tmp_path_factory.mktemp("noisy") / "dataset.extxyz"
    write_frames(path, frames)
    return read_frames(path)


@pytest.fixture(scope="module")
def trained(noisy):
    triangles = Triangles.empty(("Ar",), [6.0], [CHOICE.degrees], 4)
    triangles.append(subtract(noisy, {"Ar": -0.1}, BASELINE))
    triangles.choice = CHOICE
    fit = triangles.solve(CHOICE)
    potential = ACEPotential(fit.basis, fit.coefficients, metadata({"Ar": -0.1}, BASELINE))
    posterior = Posterior.of_fit(fit.solution, len(fit.coefficients), CHOICE.energy_weight)
    return triangles, potential, posterior


@pytest.fixture(scope="module")
def calculator(trained, noisy):
    _, potential, posterior = trained
    inverses = {name: one.inverse for name, one in active_sets(potential.basis, noisy).items()}
    return ACECalculator(potential, inverses, {"Ar": -0.1}, BASELINE, posterior)


def test_the_law_of_the_errors_is_found():
    random = np.random.default_rng(1)
    part = np.exp(random.normal(size=20000))
    error = 0.3 * part**0.6 * random.normal(size=len(part))
    law = most_likely(error, part)
    assert law.scale == pytest.approx(0.3, rel=0.03)
    assert law.power == pytest.approx(0.6, abs=0.02)


def test_components_that_symmetry_makes_zero_change_nothing():
    random = np.random.default_rng(1)
    part = np.exp(random.normal(size=500))
    error = part * random.normal(size=len(part))
    with_zeros = most_likely(np.append(error, np.full(300, 1e-17)), np.append(part, np.full(300, 1e-15)))
    assert with_zeros == pytest.approx(most_likely(error, part), rel=1e-6)


def test_no_error_at_all_is_no_reason_to_fail():
    assert most_likely(np.zeros(4), np.ones(4)).scale == 1.0
    assert most_likely(np.zeros(0), np.zeros(0)).power == 1.0


def test_after_calibration_errors_are_covered(calculator, trained, noisy):
    test = argon_frames(15, seed=77)
    posterior, record = assess(calculator, trained[0], noisy, test)
    held_out = record["held_out"]["after"]
    assert held_out["frames"] == len(noisy)
    assert 0.6 < held_out["force_within_one"] < 0.8
    assert held_out["force_within_two"] > 0.9
    assert held_out["force_expected_mev_per_angstrom"] == pytest.approx(
        held_out["force_rmse_mev_per_angstrom"], rel=0.15
    )
    assert record["ranking"]["force_by_deviation"] > 0
    assert len(record["reliability"]["true_mev_per_angstrom"]) == 10
    assert posterior.force_law.noise == 0.0


def test_the_calibration_never_sees_the_test_set(calculator, trained, noisy):
    first, _ = assess(calculator, trained[0], noisy, argon_frames(3, seed=1))
    second, record = assess(calculator, trained[0], noisy, [])
    assert first.energy_law == second.energy_law
    assert first.force_law == second.force_law
    assert record["test"]["after"] == {"frames": 0}
    assert "ranking" not in record


def test_a_dataset_of_another_training_is_refused(calculator, trained, noisy):
    changed = [frame.copy() for frame in noisy]
    changed[3].info["REF_energy"] += 1.0
    with pytest.raises(DataError, match="do not belong together"):
        assess(calculator, trained[0], changed, [])


def test_a_committee_disagrees_by_as_much_as_it_errs_and_is_whole(trained, noisy, tmp_path):
    triangles, potential, posterior = trained
    test = argon_frames(6, seed=77)
    names = ("p.yaml", "p.asi", "p.npz", "f.npz", "d.extxyz", "t.extxyz", "posterior.npz")
    yaml, asi, npz, factor, dataset, tests, better = (str(tmp_path / name) for name in names)
    write_yaml(yaml, potential)
    write_asi(asi, {name: one.inverse for name, one in active_sets(potential.basis, noisy).items()})
    posterior.save(npz)
    triangles.save(factor)
    write_frames(dataset, noisy)
    write_frames(tests, test)
    members = [(str(tmp_path / f"c/{k}.yaml"), str(tmp_path / f"c/{k}.yace")) for k in range(6)]
    record = measure([yaml, asi, npz], factor, dataset, tests, better, members, seed=1)
    expected = record["test"]["after"]["force_expected_mev_per_angstrom"]
    assert 0.4 * expected < record["committee"]["force_mev_per_angstrom"] < 2.5 * expected
    assert read_yaml(members[2][0]).metadata["committee_member"] == "3 of 6"
    assert read_yace(members[5][1]).elements == ("Ar",)
    deviation = load_potential(yaml, asi, better).deviation(test[0])
    assert deviation.forces_ev_per_angstrom.shape == (4, 3)
    assert (deviation.forces_ev_per_angstrom > 0).all()
    replace(posterior, coefficients=posterior.coefficients + 1e-3).save(npz)
    with pytest.raises(InputFileError, match=r"p\.npz: not the posterior of .*p\.yaml"):
        load_potential(yaml, asi, npz)


def test_with_one_fold_the_posterior_is_not_calibrated_and_that_is_said(calculator, noisy):
    single = Triangles.empty(["Ar"], [6.0], [CHOICE.degrees], 1)
    single.append(subtract(noisy, {"Ar": -0.1}, BASELINE))
    single.choice = CHOICE
    better, record = assess(calculator, single, noisy, argon_frames(3, seed=5))
    assert record["calibration"] is None
    assert "held_out" not in record
    assert better is calculator.posterior
    assert record["test"]["before"] == record["test"]["after"]


def test_one_potential_is_no_committee(trained, noisy):
    _, potential, _ = trained
    one = ACECalculator(potential, reference_energies={"Ar": -0.1}, baseline=BASELINE)
    assert spread_of([one], noisy[:2])["energy_mev_per_atom"] is None


def test_a_deviation_without_a_posterior_is_refused(trained, noisy):
    with pytest.raises(DataError, match="without a posterior"):
        ACECalculator(trained[1]).deviation(noisy[0])
