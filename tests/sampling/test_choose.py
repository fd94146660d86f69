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


def lineage(root, number, kind, a):
    return [
        new_frame(bulk("Si", a=a + 0.02 * k, cubic=True), origin="t", config_type=kind, like=root)
        for k in range(1, number + 1)
    ]


def test_what_is_always_chosen_is_half_at_most_the_references_first_and_its_ends_kept():
    parents = [new_frame(bulk("Si", a=a), origin="t", config_type="crystal") for a in (5.43, 5.9)]
    cells = [
        new_frame(bulk("Si", a=a, cubic=True), origin="t", config_type="crystal", parent=p.info["uid"])
        for a, p in zip((5.43, 5.9), parents, strict=True)
    ]
    volumes, others = lineage(cells[0], 7, "volume", 5.43), lineage(cells[1], 7, "volume", 5.9)
    explored = [frame(5.43, seed=s, amplitude=0.1 + 0.01 * s) for s in range(20)]
    pool = [cells[0], *others, *volumes, cells[1], *explored]
    settings = SETTINGS.model_copy(update={"candidates": 10, "always": ["crystal", "volume"]})
    chosen, record = choose_candidates(pool, settings)
    names = [f.info["uid"] for f in chosen]
    assert record["always"] == 5
    assert len(chosen) == 10
    # the reference's lineage alone: its crystal and four of its volumes, both ends among them
    expected = [cells[0], *(volumes[k] for k in (0, 2, 4, 6))]
    assert names[:5] == [f.info["uid"] for f in expected]
    more = settings.model_copy(update={"candidates": 20})
    chosen, record = choose_candidates(pool, more)
    assert record["always"] == 10
    assert {f.info["uid"] for f in (cells[0], *volumes)} <= {f.info["uid"] for f in chosen[:10]}
    assert cells[1].info["uid"] in {f.info["uid"] for f in chosen[:10]}


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
