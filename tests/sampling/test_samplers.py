"""Samplers on tables of features: what they pick, what they know, how they end."""

import numpy as np
import pytest

from mlip_autopipec.errors import ConfigError, DataError
from mlip_autopipec.sampling.baselines import random as at_random
from mlip_autopipec.sampling.baselines import stratified_random
from mlip_autopipec.sampling.components import fit
from mlip_autopipec.sampling.direct import direct
from mlip_autopipec.sampling.farthest import farthest_point, farthest_points
from mlip_autopipec.sampling.samplers import ArrayFeatures, sampler

EVERY = [direct, farthest_point, at_random, stratified_random]


def table(array, block_rows=1000):
    return ArrayFeatures(np.asarray(array, dtype=np.float32), block_rows)


def clusters(sizes=(50, 20, 5), seed=0):
    random = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0], [20.0, 0.0]])
    points = [c + random.normal(scale=0.3, size=(n, 2)) for c, n in zip(centres, sizes, strict=False)]
    return np.vstack(points), np.repeat(range(len(sizes)), sizes)


def strata_of(rows):
    return np.arange(rows) % 4


@pytest.mark.parametrize("choose", EVERY)
def test_the_same_arguments_give_the_same_choice_and_none_twice(choose):
    points, _ = clusters()
    one, other = (choose(table(points), 12, strata=strata_of(75), seed=3) for _ in range(2))
    assert one.indices.tolist() == other.indices.tolist()
    assert one.why == other.why
    assert len(set(one.indices.tolist())) == len(one.why) == 12


@pytest.mark.parametrize("choose", EVERY)
def test_asked_for_more_than_there_are_all_come(choose):
    points, _ = clusters()
    chosen = choose(table(points), 200, strata=strata_of(75))
    assert sorted(chosen.indices) == list(range(75))
    assert len(chosen.why) == 75


@pytest.mark.parametrize("choose", EVERY)
@pytest.mark.parametrize("number", [0, 3])
def test_an_empty_pool_and_nothing_asked_give_nothing(choose, number):
    assert len(choose(table(np.zeros((0, 4))), number, strata=strata_of(0)).indices) == 0
    assert len(choose(table(np.ones((5, 4))), 0, strata=strata_of(5)).indices) == 0


@pytest.mark.parametrize("choose", EVERY)
def test_a_single_frame_is_taken(choose):
    assert choose(table(np.ones((1, 4))), 3, strata=strata_of(1)).indices.tolist() == [0]


@pytest.mark.parametrize("choose", [direct, farthest_point])
def test_identical_frames_are_one(choose):
    assert len(choose(table(np.ones((20, 2))), 5).indices) == 1
    two = np.repeat([[0.0, 1.0], [1.0, 0.0]], 10, axis=0)
    assert sorted(choose(table(two), 5).indices // 10) == [0, 1]


@pytest.mark.parametrize("choose", [direct, farthest_point])
def test_constant_features_change_nothing(choose):
    points, _ = clusters()
    padded = np.column_stack([points, np.full(75, 7.3)])
    assert choose(table(padded), 6).indices.tolist() == choose(table(points), 6).indices.tolist()


@pytest.mark.parametrize("choose", [direct, farthest_point])
def test_the_size_of_blocks_changes_nothing(choose):
    points, _ = clusters(sizes=(400, 200, 100))
    whole, parts = choose(table(points, 1000), 9), choose(table(points, 37), 9)
    assert whole.indices.tolist() == parts.indices.tolist()


@pytest.mark.parametrize("choose", [direct, farthest_point])
def test_features_that_are_not_numbers_are_refused_by_their_row(choose):
    points, _ = clusters()
    points[61, 1] = np.nan
    with pytest.raises(DataError, match="row 61 "):
        choose(table(points, 20), 5)


@pytest.mark.parametrize("choose", [direct, farthest_point])
def test_columns_of_what_was_seen_must_fit(choose):
    with pytest.raises(DataError, match="2 and of 3 columns"):
        choose(table(clusters()[0]), 5, seen=np.zeros((4, 3)))


def test_direct_takes_one_of_each_cluster_however_small_the_one_nearest_to_its_mean():
    points, labels = clusters()
    choice = direct(table(points), 3)
    assert labels[choice.indices].tolist() == [0, 1, 2]  # the most populous first
    scores = fit(table(points)).scores(points)
    for k in choice.indices:
        own = labels == labels[k]
        distances = np.linalg.norm(scores - scores[own].mean(axis=0), axis=1)
        assert distances[k] == pytest.approx(distances[own].min(), rel=1e-4)
    assert choice.why[2] == "nearest to the centre of a cluster of 5 frames (DIRECT)"
    assert choice.record["clusters"] == 3


def test_direct_lets_what_was_seen_serve_its_cluster():
    points, labels = clusters(sizes=(50, 20, 5, 40, 30))
    seen = points[[0, 55]] + 0.01
    choice = direct(table(points), 3, seen=seen)
    assert sorted(labels[choice.indices]) == [2, 3, 4]
    assert choice.record["clusters_with_seen"] == 2
    # with two frames for each cluster, a seen one is one of the two
    choice = direct(table(points), 8, seen=seen, per_cluster=2)
    assert sorted(labels[choice.indices]) == [0, 1, 2, 2, 3, 3, 4, 4]


def test_direct_with_several_per_cluster_begins_with_the_centres():
    points, labels = clusters()
    choice = direct(table(points), 6, per_cluster=2)
    assert sorted(labels[choice.indices]) == [0, 0, 1, 1, 2, 2]
    assert sum(words.startswith("nearest") for words in choice.why) == 3


def test_a_bounded_tree_still_gives_as_many_as_asked(monkeypatch):
    import mlip_autopipec.sampling.direct as module

    monkeypatch.setattr(module, "most_subclusters", lambda clusters: 100)
    random = np.random.default_rng(0)
    points = random.normal(size=(5000, 6)) * np.arange(1, 7)
    choice = direct(table(points), 90)
    assert choice.record["subclusters"] <= 101
    assert choice.record["subcluster_radius"] > 0
    assert len(set(choice.indices.tolist())) == 90


def test_farthest_points_are_those_of_the_definition():
    random = np.random.default_rng(1)
    points = random.normal(size=(300, 3)).astype(np.float32)
    seen = random.normal(size=(7, 3)).astype(np.float32)
    for known in (None, seen):
        chosen, distances = farthest_points(points, 60, known)
        gaps = (
            np.linalg.norm(points - points.mean(axis=0), axis=1)
            if known is None
            else np.linalg.norm(points[:, None] - known[None], axis=2).min(axis=1)
        )
        for step, k in enumerate(chosen):
            assert distances[step] == pytest.approx(gaps.max(), rel=1e-4)
            assert gaps[k] == pytest.approx(gaps.max(), rel=1e-4)
            fresh = np.linalg.norm(points - points[k], axis=1)
            gaps = fresh if step == 0 and known is None else np.minimum(gaps, fresh)


def test_farthest_points_avoid_what_was_seen():
    points, labels = clusters()
    choice = farthest_point(table(points), 2, seen=points[labels == 0][:3])
    assert sorted(labels[choice.indices]) == [1, 2]
    assert choice.why[0].startswith("farthest from all chosen, distance ")


def test_scores_that_do_not_fit_the_memory_lie_in_a_file(monkeypatch):
    import mlip_autopipec.sampling.farthest as module

    points, _ = clusters(sizes=(400, 200, 100))
    expected = farthest_point(table(points), 9).indices.tolist()
    monkeypatch.setattr(module, "HELD_BYTES", 100)
    assert farthest_point(table(points), 9).indices.tolist() == expected


def test_another_seed_is_another_lot():
    points, _ = clusters()
    for choose in (at_random, stratified_random):
        one, other = (choose(table(points), 12, strata=strata_of(75), seed=s).indices.tolist() for s in (0, 1))
        assert one != other


def test_stratified_random_takes_as_many_of_each_source_as_it_has():
    strata = np.repeat([7, 3, 9], [1000, 30, 2])
    choice = stratified_random(table(np.zeros((1032, 2))), 22, strata=strata)
    taken = {s: int((strata[choice.indices] == s).sum()) for s in (7, 3, 9)}
    assert taken == {7: 10, 3: 10, 9: 2}
    assert len({int(s) for s in strata[choice.indices[:3]]}) == 3  # sources take turns
    assert "2 of the 2 frames of its source" in choice.why[list(strata[choice.indices]).index(9)]
    with pytest.raises(DataError, match="source"):
        stratified_random(table(np.zeros((5, 2))), 2)


def test_samplers_are_found_by_name():
    assert sampler("direct") is direct
    assert sampler("farthest-point") is farthest_point
    with pytest.raises(ConfigError, match=r"sampling\.method.*farthest-points.*Did you mean 'farthest-point'"):
        sampler("farthest-points")


def test_a_sampler_of_an_installed_package_is_found(monkeypatch):
    from importlib.metadata import EntryPoint, EntryPoints

    import mlip_autopipec.plugins as plugins

    point = EntryPoint("mine", "mlip_autopipec.sampling.baselines:random", "mlip_autopipec.samplers")
    monkeypatch.setattr(plugins, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    assert sampler("mine") is at_random
