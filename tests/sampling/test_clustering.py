"""The parts of DIRECT against their definitions: components, the tree of cluster features, Ward's clusters."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.decomposition import PCA

from mlip_autopipec.sampling.birch import Tree
from mlip_autopipec.sampling.components import fit
from mlip_autopipec.sampling.samplers import ArrayFeatures
from mlip_autopipec.sampling.ward import Ward


def correlated(rows=600, columns=20, seed=0):
    random = np.random.default_rng(seed)
    latent = random.normal(size=(rows, 4)) * [4, 2, 1, 0.5]
    return latent @ random.normal(size=(4, columns)) + 0.1 * random.normal(size=(rows, columns)) + 30.0


def test_components_are_those_of_a_principal_component_analysis():
    rows = correlated()
    found = fit(ArrayFeatures(rows.astype(np.float32), 64), weighting="share")
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    pca = PCA(svd_solver="full").fit(scaled)
    number = int((pca.explained_variance_ > 1).sum())
    assert found.number == number
    np.testing.assert_allclose(found.variances, pca.explained_variance_ratio_[:number], rtol=1e-4)
    expected = pca.transform(scaled)[:, :number] * pca.explained_variance_ratio_[:number]
    np.testing.assert_allclose(np.abs(found.scores(rows)), np.abs(expected), atol=2e-3)


@pytest.mark.parametrize("weighting", ["share", "plain", "white"])
def test_weights_of_components(weighting):
    rows = correlated()
    found = fit(ArrayFeatures(rows), weighting=weighting)
    spread = found.scores(rows).var(axis=0)
    plain = found.eigenvalues
    expected = {"share": plain * found.variances**2, "plain": plain, "white": np.ones(found.number)}[weighting]
    np.testing.assert_allclose(spread, expected, rtol=1e-3)


def test_components_hold_what_was_seen_too():
    rows = correlated()
    whole, split = fit(ArrayFeatures(rows)), fit(ArrayFeatures(rows[:400]), rows[400:])
    np.testing.assert_allclose(split.mean, whole.mean, rtol=1e-6)
    np.testing.assert_allclose(split.variances, whole.variances, rtol=1e-5)


def test_there_is_always_a_component():
    assert fit(ArrayFeatures(np.ones((6, 3)))).scores(np.ones((6, 3))).tolist() == [[0.0]] * 6
    cross = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # uncorrelated: no eigenvalue above one
    assert fit(ArrayFeatures(cross)).number == 1
    assert fit(ArrayFeatures(cross), least=2).number == 2


def test_noise_of_single_precision_is_no_feature():
    rows = correlated().astype(np.float32)
    noise = (1.0 + 3e-8 * np.random.default_rng(0).normal(size=(600, 30))).astype(np.float32)
    tiny = 1e-9 * np.random.default_rng(1).normal(size=(600, 30)).astype(np.float32)
    padded = fit(ArrayFeatures(np.column_stack([rows, noise, tiny])))
    assert padded.number == fit(ArrayFeatures(rows)).number
    assert not padded.vectors[20:].any()


def test_subclusters_hold_their_rows_true_means_after_any_number_of_rebuilds():
    random = np.random.default_rng(0)
    rows = random.normal(size=(4000, 5)).astype(np.float32)
    tree = Tree(5, 150)
    for start in range(0, 4000, 300):
        tree.insert(rows[start : start + 300])
    labels, sizes, means, radii = tree.subclusters()
    assert tree.rebuilt >= 2
    assert len(sizes) <= 151
    assert labels.shape == (4000,)
    np.testing.assert_array_equal(np.bincount(labels), sizes)
    for k in range(len(sizes)):
        own = rows[labels == k].astype(float)
        np.testing.assert_allclose(means[k], own.mean(axis=0), atol=1e-6)
        assert radii[k] == pytest.approx(np.sqrt(((own - own.mean(axis=0)) ** 2).sum(axis=1).mean()), abs=1e-6)
    assert radii.max() <= tree.radius * (1 + 1e-9)


def test_a_far_row_is_never_hidden_in_a_large_subcluster():
    random = np.random.default_rng(0)
    rows = random.normal(size=(20000, 4)).astype(np.float32)
    rows[12345] = 30.0
    tree = Tree(4, 60)
    tree.insert(rows)
    labels, sizes, means, _ = tree.subclusters()
    assert sizes.max() > 500
    assert sizes[labels[12345]] == 1
    assert np.linalg.norm(rows - means[labels], axis=1).max() < 4 * tree.radius


@pytest.mark.parametrize("columns", [1, 5, 60])
def test_a_rebuilt_tree_is_neither_full_nor_empty(columns):
    tree = Tree(columns, 400)
    random = np.random.default_rng(columns)
    for _ in range(10):
        tree.insert(random.normal(size=(500, columns)).astype(np.float32))
    assert tree.rebuilt >= 1
    assert 0.3 * 400 < len(tree.subclusters()[1]) <= 401


def test_few_rows_make_one_subcluster_each_and_equal_ones_share_it():
    rows = np.repeat(np.eye(4), 3, axis=0).astype(np.float32)
    tree = Tree(4, 100)
    tree.insert(rows)
    labels, sizes, _, _ = tree.subclusters()
    assert sizes.tolist() == [3, 3, 3, 3]
    assert len(set(labels[::3].tolist())) == 4
    assert tree.radius == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("number", [1, 2, 17, 100, 250])
def test_wards_clusters_are_those_of_the_full_matrix(seed, number):
    points = np.random.default_rng(seed).normal(size=(250, 3))
    expected = fcluster(linkage(points, "ward"), number, "maxclust")
    found = Ward(points).labels(number)
    assert len(np.unique(found)) == number
    assert len({*zip(expected.tolist(), found.tolist(), strict=True)}) == number  # the same but for their names


def test_wards_clusters_of_equal_points_end():
    assert Ward(np.zeros((40, 2))).labels(3).max() == 2
    grid = np.stack(np.meshgrid(range(8), range(8)), axis=-1).reshape(-1, 2).astype(float)
    assert np.bincount(Ward(grid).labels(16)).sum() == 64
    assert Ward(np.zeros((0, 2))).labels(3).tolist() == []
    assert Ward(np.zeros((1, 2))).labels(3).tolist() == [0]
