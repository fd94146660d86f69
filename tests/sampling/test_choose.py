"""DIRECT picks one of each kind; farthest points know what was seen; bad pools are said."""

import numpy as np
import pytest
from ase.build import bulk

from mlip_autopipec.config.full import Sampling
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import new_frame
from mlip_autopipec.sampling import choose_candidates, choose_uncertain
from mlip_autopipec.sampling.descriptors import structure_descriptors
from mlip_autopipec.sampling.direct import direct, principal_components
from mlip_autopipec.sampling.farthest import farthest_points

SETTINGS = Sampling(candidates=4, soap_cutoff_angstrom=4.5, soap_n_max=4, soap_l_max=2)


def frame(a, seed=0, amplitude=0.0, config_type="explored"):
    atoms = bulk("Si", a=a, cubic=True)
    atoms.rattle(amplitude, seed=seed)
    return new_frame(atoms, origin="t", config_type=config_type)


def clusters(sizes=(50, 20, 5), seed=0):
    random = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = [c + random.normal(scale=0.3, size=(n, 2)) for c, n in zip(centres, sizes, strict=True)]
    return np.vstack(points), np.repeat(range(3), sizes)


def test_direct_takes_one_of_each_cluster_however_small():
    points, labels = clusters()
    chosen = direct(points, 3)
    assert sorted(labels[chosen]) == [0, 1, 2]
    for k in chosen:  # the one nearest to its cluster's centre
        centre = points[labels == labels[k]].mean(axis=0)
        distances = np.linalg.norm(points[labels == labels[k]] - centre, axis=1)
        assert np.linalg.norm(points[k] - centre) == pytest.approx(distances.min())


def test_direct_is_deterministic_and_takes_all_when_asked_for_more():
    points, _ = clusters()
    assert list(direct(points, 10)) == list(direct(points, 10))
    assert list(direct(points[:5], 9)) == [0, 1, 2, 3, 4]


def test_identical_points_give_fewer_than_asked():
    assert len(direct(np.ones((20, 2)), 5)) == 1


def test_components_ignore_constant_features_and_survive_all_constant():
    points, _ = clusters()
    padded = np.column_stack([points, np.full(len(points), 7.0)])
    np.testing.assert_allclose(np.abs(principal_components(padded)), np.abs(principal_components(points)), atol=1e-9)
    assert principal_components(np.ones((6, 3))).shape == (6, 1)


def test_farthest_points_avoid_what_was_seen():
    points, labels = clusters()
    seen = points[labels == 0][:3]
    assert sorted(labels[farthest_points(points, 2, seen)]) == [1, 2]
    assert len(set(farthest_points(points, 75))) == 75
    assert farthest_points(np.zeros((0, 2)), 3) == []


def test_candidates_hold_the_crystal_at_all_volumes_and_no_duplicates():
    volumes = [frame(a, config_type="volume") for a in (5.3, 5.5)]
    pool = [*volumes, *[frame(5.43, seed=s, amplitude=0.1) for s in range(8)], volumes[0]]
    chosen, record = choose_candidates(pool, SETTINGS)
    assert len(chosen) == 4
    assert {f.info["uid"] for f in volumes} <= {f.info["uid"] for f in chosen}
    assert record["duplicates_left_out"] == 1
    assert record["chosen_by_type"] == {"volume": 2, "explored": 2}


def test_a_defect_among_equal_atoms_changes_the_descriptor():
    perfect, defect = bulk("Si", cubic=True).repeat(2), bulk("Si", cubic=True).repeat(2)
    del defect[0]
    one, other = structure_descriptors([perfect, defect], SETTINGS)
    assert np.abs(one - other).max() > 0.05 * np.abs(one).max()


def test_nothing_to_choose_from_is_said():
    with pytest.raises(DataError, match="no frame"):
        choose_candidates([], SETTINGS)


def test_uncertain_frames_are_chosen_within_the_budget_and_never_twice():
    known = [frame(5.43, seed=s, amplitude=0.05) for s in range(4)]
    uncertain = [frame(5.43, seed=s, amplitude=0.3) for s in range(10, 16)] + known[:2]
    chosen = choose_uncertain(uncertain, known, 3, budget=100, settings=SETTINGS)
    assert len(chosen) == 3
    assert not {f.info["uid"] for f in chosen} & {f.info["uid"] for f in known}
    assert len(choose_uncertain(uncertain, known, 3, budget=5, settings=SETTINGS)) == 1
    assert choose_uncertain(uncertain, known, 3, budget=4, settings=SETTINGS) == []
    assert choose_uncertain(known, known, 3, budget=100, settings=SETTINGS) == []
