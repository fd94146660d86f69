"""The search takes what predicts held-out trajectories best, gives each role its basis, and says why."""

import numpy as np
import pytest
from argon import argon_frames
from pydantic import ValidationError

from mlip_autopipec.ace import BasisSpec, build_basis
from mlip_autopipec.config.full import Training
from mlip_autopipec.errors import DataError
from mlip_autopipec.training.delta import subtract
from mlip_autopipec.training.search import TIE, allowed_bases, search
from mlip_autopipec.training.triangles import Triangles

LENGTHS = {"cutoff_angstrom": 6.0, "zbl_inner_angstrom": 1.5, "zbl_outer_angstrom": 2.6}


def settings(**more):
    return Training(**LENGTHS, degrees=[[4, 3], [8, 5], [10, 6, 5]], **more)


def searched(frames, wanted):
    targets = subtract(frames, {"Ar": 0.0}, None)
    atoms = {"Ar": sum(len(f) for f in frames)}
    bases, _ = allowed_bases(atoms, wanted)
    triangles = Triangles.empty(["Ar"], [6.0], bases, wanted.folds)
    triangles.append(targets)
    return search(triangles, atoms, wanted)


@pytest.fixture(scope="module")
def found():
    return searched(argon_frames(40), settings(energy_weights=[1.0, 10.0], prior_powers=[2, 4]))


def test_every_point_is_tried_and_said(found):
    record = found.record()
    assert len(record["points"]) == 3 * 2 * 2
    assert all(point["held_out_force_rmse_mev_per_angstrom"] > 0 for point in record["points"])
    assert record["by"] == "held-out error"
    assert "lowest held-out error of 12 points" in record["why"]["accurate"]
    assert "meV/atom" in record["why"]["fast"]


def test_roles_keep_their_promises(found):
    best = min(point.score for point in found.points)
    assert found.roles["accurate"].score <= TIE * best
    alike = [
        p for p in found.points if p.score <= TIE * best and p.choice.degrees == found.roles["accurate"].choice.degrees
    ]
    assert found.roles["accurate"].held_out.force_ev_per_angstrom == min(
        p.held_out.force_ev_per_angstrom for p in alike
    )
    assert found.roles["balanced"].score <= 1.15 * TIE * best
    assert found.roles["fast"].score <= 1.5 * TIE * best
    sizes = [found.roles[role].functions for role in ("fast", "balanced", "accurate")]
    assert sizes == sorted(sizes)
    smaller = [p for p in found.points if p.functions < found.roles["fast"].functions]
    assert all(point.score > 1.5 * best for point in smaller)


def test_wide_ratios_make_the_family_small(found):
    relaxed = searched(argon_frames(40), settings(fast_error_ratio=1e6, balanced_error_ratio=1e6))
    assert relaxed.roles["fast"].choice.degrees == (4, 3)
    assert relaxed.roles["accurate"].choice.degrees != (4, 3)


def test_the_held_out_error_foretells_that_of_new_frames(found):
    test = subtract(argon_frames(20, seed=77), {"Ar": 0.0}, None)
    frames = argon_frames(40)
    targets = subtract(frames, {"Ar": 0.0}, None)
    triangles = Triangles.empty(["Ar"], [6.0], [found.roles["accurate"].choice.degrees], 5)
    triangles.append(targets)
    fit = triangles.solve(found.roles["accurate"].choice)
    new = Triangles.empty(["Ar"], [6.0], [fit.choice.degrees], 1)
    new.append(test)
    true = new.errors(fit, 0).force_rmse_ev_per_angstrom
    assert 0.5 < found.roles["accurate"].held_out.force_ev_per_angstrom / true < 5.0  # held-out fits have fewer frames


def test_bases_that_the_data_cannot_carry_are_left_out_and_said():
    found = searched(argon_frames(8), settings())
    assert {point.choice.degrees for point in found.points} == {(4, 3)}
    assert "[8, 5] was left out: 32 environments of Ar" in found.left_out[0]
    with pytest.raises(DataError, match="too few"):
        allowed_bases({"Ar": 1}, settings())


def test_the_rarest_element_limits_the_basis():
    wanted = settings()
    both, _ = allowed_bases({"Ar": 10000, "Kr": 10000}, wanted)
    rare, _ = allowed_bases({"Ar": 10000, "Kr": 60}, wanted)
    assert len(rare) < len(both)


@pytest.mark.parametrize(("frames", "folds"), [(4, 5), (40, 1), (40, 2)])
def test_where_little_can_be_held_out_the_evidence_decides_and_it_is_said(frames, folds):
    found = searched(argon_frames(frames), settings(folds=folds, environments_per_function=1.0))
    assert found.by == "evidence"
    assert "evidence" in found.why["accurate"]
    evidences = [point.log_evidence for point in found.points]
    assert found.roles["accurate"].log_evidence == max(evidences)
    assert np.isfinite(evidences).all()


def test_a_single_trajectory_is_searched_in_blocks():
    frames = argon_frames(30)
    for k, frame in enumerate(frames):
        frame.info |= {"origin": f"data.xyz frame {k}", "imported": True}
    assert searched(frames, settings()).by == "held-out error"


def test_a_ladder_must_rise_and_single_values_are_lists():
    with pytest.raises(ValidationError, match="smallest first"):
        Training(**LENGTHS, degrees=[[8, 5], [6, 6]])
    with pytest.raises(ValidationError, match="cutoff_factors"):
        Training(**LENGTHS, cutoff_factors=[0.4])
    assert Training(**LENGTHS, energy_weights=20.0).energy_weights == [20.0]


def test_too_few_atoms_of_an_element_get_a_smaller_basis_that_they_can_carry_and_it_is_said():
    wanted = Training(**LENGTHS, degrees=[[6, 4]])
    (smaller,), said = allowed_bases({"Ar": 400, "Kr": 9}, wanted)
    assert max(smaller) < 6
    assert max(build_basis(BasisSpec(("Ar", "Kr"), wanted.cutoff_angstrom, smaller)).counts) <= 9
    assert "9 Kr atoms" in said[0]
    assert f"{list(smaller)} was used" in said[0]
    with pytest.raises(DataError, match=r"Label more frames$"):
        allowed_bases({"Ar": 1}, wanted)
