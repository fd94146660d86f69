"""Triangles give the fit and the errors that the rows themselves give, and appending changes nothing."""

import numpy as np
import pytest
from argon import argon_frames
from ase import Atoms

from mlip_autopipec.ace import Factor, design_rows
from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.frames import new_frame
from mlip_autopipec.training.delta import Target, subtract
from mlip_autopipec.training.layout import Layout
from mlip_autopipec.training.triangles import WIDEST_EV, Choice, Triangles

LADDER = [(5, 3), (8, 5), (9, 6, 4)]
CHOICE = Choice((8, 5), 6.0, 10.0, 2.0, 4.0)


@pytest.fixture(scope="module")
def targets():
    return subtract(argon_frames(25, seed=3), {"Ar": 0.0}, None)


@pytest.fixture(scope="module")
def triangles(targets):
    made = Triangles.empty(["Ar"], [6.0], LADDER, 4)
    assert made.append(targets) == 25
    return made


def direct(triangles, targets, choice):
    """The same fit from the weighted rows of its own basis."""
    basis = triangles.basis(choice)
    factor = Factor(basis.number_of_functions + 1)
    for target in targets:
        rows, scale = design_rows(basis, target.frame), 1 / np.sqrt(len(target.frame))
        zero = np.zeros((1, 1))
        factor.append(np.block([[choice.energy_weight * scale * rows.energy, zero[0]]]),
                      [choice.energy_weight * scale * target.energy_ev])  # fmt: skip
        factor.append(np.column_stack([rows.forces, np.zeros(rows.forces.shape[0])]), target.forces.ravel())
        weight = choice.stress_weight * scale
        offset = weight * target.frame.get_volume() * np.array([1.0, 1, 1, 0, 0, 0])
        factor.append(np.column_stack([weight * rows.strain, offset]), weight * target.strain_derivative_ev)
    prior = np.append(basis.smoothness ** (choice.prior_power / 4), 1.0)
    return factor.solve(prior, widest=WIDEST_EV * 3.0**choice.prior_power)


def test_labels_of_atoms_that_the_cutoff_does_not_reach_count_as_errors():
    far = []
    for k, r in enumerate(np.linspace(3.0, 5.8, 15)):
        dimer = Atoms("Ar2", positions=[[0, 0, 0], [r, 0, 0]], cell=[30] * 3, pbc=False)
        frame = new_frame(dimer, origin=f"dimer {k}", config_type="dimer")
        force = np.array([[1.0, 0, 0], [-1.0, 0, 0]])
        far.append(Target(frame, -1.0, force, None))
    parts = Triangles.empty(["Ar"], [4.0], [(6, 4)], 2)
    parts.append(far)
    choice = Choice((6, 4), 4.0, 10.0, 0.0, 4.0)
    fit = parts.solve(choice)
    found = [parts.errors(fit, fold) for fold in parts.folds]
    wrong = 0.0
    for target in far:
        rows = design_rows(fit.basis, target.frame)
        wrong += ((rows.forces @ fit.coefficients - target.forces.ravel()) ** 2).sum()
    assert sum(one.force for one in found) == pytest.approx(wrong, rel=1e-9)
    assert wrong > 1.0


def test_any_basis_and_weight_give_the_fit_of_the_rows(triangles, targets):
    for choice in (CHOICE, Choice((9, 6, 4), 6.0, 30.0, 0.5, 2.0), Choice((5, 3), 6.0, 3.0, 1.0, 0.0)):
        fit, expected = triangles.solve(choice), direct(triangles, targets, choice)
        assert fit.solution.ridge == expected.ridge
        np.testing.assert_allclose(
            np.append(fit.coefficients, fit.stress_offset), expected.coefficients, rtol=1e-8, atol=1e-10
        )
        np.testing.assert_allclose(
            np.linalg.norm(fit.solution.posterior_factor, axis=1),
            np.linalg.norm(expected.posterior_factor, axis=1), rtol=1e-6,
        )  # fmt: skip


def test_held_out_errors_are_those_of_predictions(triangles, targets):
    fold = triangles.folds[1]
    members = [t for t in targets if triangles.uids[t.frame.info["uid"]] == fold]
    others = [t for t in targets if triangles.uids[t.frame.info["uid"]] != fold]
    fit = triangles.solve(CHOICE, without=fold)
    expected = direct(triangles, others, CHOICE).coefficients[:-1]
    np.testing.assert_allclose(fit.coefficients, expected, atol=1e-8 * np.abs(expected).max())
    found = triangles.errors(fit, fold)
    rows = [design_rows(fit.basis, t.frame) for t in members]
    energy = [(r.energy @ fit.coefficients - t.energy_ev) / len(t.frame) for r, t in zip(rows, members, strict=True)]
    force = [r.forces @ fit.coefficients - t.forces.ravel() for r, t in zip(rows, members, strict=True)]
    assert found.frames == len(members)
    assert found.energy_rmse_ev_per_atom == pytest.approx(np.sqrt(np.mean(np.square(energy))))
    assert found.force_rmse_ev_per_angstrom == pytest.approx(np.sqrt(np.mean(np.square(force))))


def test_weights_do_not_change_the_scale_of_the_evidence(targets):
    """With weights that are all multiplied, the labels are as likely as before."""
    made = Triangles.empty(["Ar"], [6.0], LADDER[:1], 2)
    made.append(targets)
    light = Triangles.empty(["Ar"], [6.0], LADDER[:1], 2)
    light.append(targets)
    for factor in light._factors.values():
        factor._triangle = 10.0 * factor.triangle
    rows = sum(f.rows for f in light._factors.values())
    choice = Choice((5, 3), 6.0, 1.0, 1.0, 4.0)
    gain = made.solve(choice).log_evidence - light.solve(choice).log_evidence
    assert gain == pytest.approx(rows * np.log(10.0), rel=1e-6)


def test_appending_after_a_reload_equals_building_at_once(triangles, targets, tmp_path):
    parts = Triangles.empty(["Ar"], [6.0], LADDER, 4)
    parts.append(targets[:10])
    parts.choice = CHOICE
    parts.save(tmp_path / "factor.npz")
    again = Triangles.load(tmp_path / "factor.npz")
    assert again.choice == CHOICE
    assert again.append(targets) == 15
    assert again.uids == triangles.uids
    np.testing.assert_allclose(again.solve(CHOICE).coefficients, triangles.solve(CHOICE).coefficients, rtol=1e-8)
    assert again.append(targets) == 0


def test_what_does_not_extend_a_dataset_is_refused_with_the_reason(triangles, targets):
    changed = subtract([t.frame for t in targets], {"Ar": 0.001}, None)
    for wrong, reason in ((targets[1:], "no longer"), (changed, "changed"), (targets[::-1], "another fold")):
        assert reason in triangles.obstacle(wrong)
        with pytest.raises(DataError, match=reason):
            triangles.append(wrong)


def test_other_bases_and_cutoffs_than_those_kept_are_refused(triangles):
    with pytest.raises(DataError, match="no triangle"):
        triangles.solve(Choice((7, 4), 6.0, 1.0, 1.0, 4.0))
    with pytest.raises(DataError, match="no triangle"):
        triangles.solve(Choice((8, 5), 5.0, 1.0, 1.0, 4.0))


def test_a_ladder_that_does_not_nest_is_refused():
    with pytest.raises(DataError, match="smallest first"):
        _ = Layout(("Ar",), 6.0, ((8, 5), (6, 6))).places


def test_two_elements_keep_their_columns(tmp_path):
    frames = argon_frames(8, seed=5)
    for frame in frames:
        frame.symbols[0] = "Kr"
        frame.info["uid"] += "k"
    targets = subtract(frames, {"Ar": 0.0, "Kr": 0.0}, None)
    made = Triangles.empty(["Kr", "Ar"], [5.0], [(4, 3), (6, 4)], 2)
    made.append(targets)
    choice = Choice((4, 3), 5.0, 10.0, 2.0, 4.0)
    expected = direct(made, targets, choice).coefficients[:-1]
    np.testing.assert_allclose(made.solve(choice).coefficients, expected, atol=1e-6 * np.abs(expected).max())


def test_a_damaged_file_is_an_input_error(triangles, tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        Triangles.load(tmp_path / "none.npz")
    triangles.save(tmp_path / "factor.npz")
    content = (tmp_path / "factor.npz").read_bytes()
    (tmp_path / "factor.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputFileError, match="not the factor"):
        Triangles.load(tmp_path / "factor.npz")
