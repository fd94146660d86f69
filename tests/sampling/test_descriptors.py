"""Descriptors see one defect among many atoms, keep elements apart, and take the model's own invariants."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mlip_autopipec.config.full import Sampling
from mlip_autopipec.errors import ConfigError, DataError
from mlip_autopipec.features import structure_vector
from mlip_autopipec.frames import new_frame
from mlip_autopipec.sampling.descriptors import Soap, Surrogate, describer, elements_of, vectors_of
from mlip_autopipec.sampling.samplers import ArrayFeatures, sampler

SMALL = Sampling(candidates=4, soap_cutoff_angstrom=4.0, soap_n_max=3, soap_l_max=2)


def rattled(atoms, seed, amplitude):
    copy = atoms.copy()
    copy.rattle(amplitude, seed=seed)
    return copy


@pytest.fixture(scope="module")
def copper():
    """A crystal of 192 atoms, the same with a vacancy, and with an interstitial in an octahedral place."""
    perfect = bulk("Cu", cubic=True).repeat((4, 4, 3))
    vacancy, interstitial = perfect.copy(), perfect.copy()
    del vacancy[0]
    interstitial.append("Cu")
    interstitial.positions[-1] = perfect.positions[0] + [3.61 / 2, 0, 0]
    return perfect, vacancy, interstitial


@pytest.mark.parametrize(("defect", "amplitude"), [(1, 0.02), (2, 0.1)])
def test_one_defect_among_200_atoms_is_farther_than_a_rattle_in_the_oddest_atom(copper, defect, amplitude):
    soap = Soap(SMALL, ["Cu"])
    far = slice(2 * soap.columns // 3, None)
    ideal = soap(copper[0])[far]
    rattles = [np.linalg.norm(soap(rattled(copper[0], k, amplitude))[far] - ideal) for k in range(10)]
    gap = np.linalg.norm(soap(copper[defect])[far] - ideal)
    assert gap > 1.2 * max(rattles)


def test_samplers_find_the_defect_among_a_thousand_rattles(copper):
    """All frames are rattled by 0.1 A in each direction (copper at 300 K: 0.08 A), the two with a defect as well."""
    soap = Soap(SMALL, ["Cu"])
    frames = [rattled(copper[0], k, 0.1) for k in range(1000)]
    rows = vectors_of([*frames, *(rattled(copper[k], 2000 + k, 0.1) for k in (1, 2))], soap)
    for name in ("direct", "farthest-point"):
        chosen = sampler(name)(ArrayFeatures(rows), 20).indices
        assert {1000, 1001} <= set(chosen.tolist()), name


def test_compression_is_for_many_elements():
    columns = {}
    for elements in (["Si"], ["Co", "Cr", "Fe"], ["Co", "Cr", "Fe", "Mn"], ["Co", "Cr", "Fe", "Mn", "Ni"]):
        for mode in ("auto", "off", "mu1nu1", "mu2"):
            settings = Sampling(candidates=4, soap_cutoff_angstrom=5.0, soap_compression=mode)
            columns[len(elements), mode] = Soap(settings, elements).columns // 3
    assert [columns[n, "auto"] for n in (1, 3, 4, 5)] == [105, 855, 720, 900]
    assert [columns[n, "off"] for n in (1, 3, 4, 5)] == [105, 855, 1500, 2325]
    assert {columns[n, "mu2"] for n in (1, 3, 4, 5)} == {105}


@pytest.mark.parametrize("mode", ["off", "mu1nu1", "mu2"])
def test_elements_are_kept_apart(mode):
    settings = SMALL.model_copy(update={"soap_compression": mode})
    soap = Soap(settings, ["Au", "Cu"])
    rocksalt, segregated = bulk("CuAu", "rocksalt", a=5.4, cubic=True), bulk("CuAu", "rocksalt", a=5.4, cubic=True)
    segregated.symbols[:] = ["Cu"] * 4 + ["Au"] * 4
    one, other = soap(rocksalt), soap(segregated)
    assert np.linalg.norm(one - other) > 0.02 * np.linalg.norm(one)


def test_the_key_says_what_vectors_depend_on():
    keys = {
        Soap(SMALL, ["Cu"]).key,
        Soap(SMALL, ["Au", "Cu"]).key,
        Soap(SMALL.model_copy(update={"soap_n_max": 4}), ["Cu"]).key,
        Soap(SMALL.model_copy(update={"soap_compression": "mu2"}), ["Cu"]).key,
    }
    assert len(keys) == 4
    assert Soap(SMALL, ["Cu", "Au", "Cu"]).key == Soap(SMALL, ["Au", "Cu"]).key
    assert Soap(SMALL.model_copy(update={"candidates": 9}), ["Cu"]).key == Soap(SMALL, ["Cu"]).key


def test_an_element_that_was_not_announced_is_said():
    frame = new_frame(bulk("Ag"), origin="t", config_type="explored")
    with pytest.raises(DataError, match=rf"{frame.info['uid']} holds Ag, and the others Cu"):
        Soap(SMALL, ["Cu"])(frame)
    assert elements_of([bulk("Ag"), bulk("NaCl", "rocksalt", a=5.6)]) == ["Ag", "Cl", "Na"]


class Forces:
    """Stands for a model's invariants: forces of the latest evaluation and a coordinate."""

    key = "emt as it says"

    def __init__(self, calculator):
        self.calculator = calculator

    def last(self):
        return np.column_stack([self.calculator.results["forces"], self.calculator.atoms.positions[:, 0]])


def test_the_models_invariants_are_those_of_the_frame_that_was_asked_for():
    loaded = []

    def load():
        calculator = EMT()
        loaded.append(calculator)
        return calculator, Forces(calculator)

    settings = SMALL.model_copy(update={"descriptor": "surrogate"})
    describe = describer(settings, ["Cu"], load, "emt 1")
    assert describe.key == "emt 1"
    assert not loaded  # a model is loaded when it is needed only
    frames = [rattled(bulk("Cu", cubic=True), k, 0.1) for k in range(3)]
    rows = vectors_of([*frames, frames[0]], describe)
    assert len(loaded) == 1
    assert Surrogate(load).key == "emt as it says"
    np.testing.assert_array_equal(rows[0], rows[3])
    for frame, row in zip(frames, rows, strict=False):
        frame.calc = EMT()
        expected = np.column_stack([frame.get_forces(), frame.positions[:, 0]])
        np.testing.assert_allclose(row, structure_vector(expected, frame.numbers), atol=1e-5)


def test_a_model_without_invariants_is_said():
    describe = Surrogate(lambda: (EMT(), None), "emt")
    with pytest.raises(ConfigError, match=r"sampling\.descriptor.*Write soap"):
        describe(bulk("Cu"))
    with pytest.raises(ConfigError, match="Write soap"):
        _ = Surrogate(lambda: (EMT(), None)).key
    with pytest.raises(ValueError, match="surrogate"):
        describer(SMALL.model_copy(update={"descriptor": "surrogate"}), ["Cu"])


def test_a_vector_that_is_no_number_is_said_with_its_frame():
    broken = Surrogate(lambda: (EMT(), type("Broken", (), {"last": lambda self: np.full((1, 2), np.nan)})()), "broken")
    with pytest.raises(DataError, match="frame 0"):
        vectors_of([bulk("Cu")], broken)
    assert vectors_of([], Soap(SMALL, ["Cu"])).shape == (0, Soap(SMALL, ["Cu"]).columns)
