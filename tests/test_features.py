"""A structure's vector: averages, spreads, and the oddest atom whole."""

import numpy as np
import pytest

from mlip_autopipec.features import structure_vector


def parts(vector):
    return np.split(vector, 3)


def test_the_oddest_atom_shows_whole_however_many_there_are():
    random = np.random.default_rng(0)
    quiet = random.normal(scale=0.01, size=(200, 5))
    odd = quiet.copy()
    odd[17] += 1.0
    (mean, std, far), (odd_mean, odd_std, odd_far) = parts(structure_vector(quiet)), parts(structure_vector(odd))
    np.testing.assert_allclose(mean, quiet.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(std, quiet.std(axis=0), atol=1e-6)
    assert np.abs(odd_mean - mean).max() < 0.01  # 1/200
    assert np.abs(odd_std - std).max() < 0.1  # 1/sqrt(200)
    np.testing.assert_allclose(odd_far, 1.0, atol=0.06)
    assert far.max() < 0.05


def test_an_ideal_compound_has_no_odd_atom_and_noise_chooses_no_element():
    sites = np.repeat([[1.0, 0.0], [0.0, 1.0]], 32, axis=0)
    numbers = np.repeat([11, 17], 32)
    assert not parts(structure_vector(sites, numbers))[2].any()
    random = np.random.default_rng(1)
    for _ in range(20):
        assert parts(structure_vector(sites + random.normal(scale=1e-3, size=sites.shape), numbers))[2].max() < 0.01
    # two kinds of sites of one element, in equal numbers: the same vector whichever comes first
    alike = [structure_vector(sites + random.normal(scale=1e-6, size=sites.shape)) for _ in range(20)]
    np.testing.assert_allclose(alike, [alike[0]] * 20, atol=1e-4)


def test_the_order_of_atoms_does_not_matter():
    random = np.random.default_rng(2)
    rows, numbers = random.normal(size=(30, 4)), random.integers(1, 4, 30)
    order = random.permutation(30)
    np.testing.assert_allclose(
        structure_vector(rows, numbers), structure_vector(rows[order], numbers[order]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("atoms", [0, 1])
def test_few_atoms_have_no_spread(atoms):
    vector = structure_vector(np.full((atoms, 3), 2.0))
    assert vector.shape == (9,)
    assert vector.dtype == np.float32
    assert not vector[3:].any()
