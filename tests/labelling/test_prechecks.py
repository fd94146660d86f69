"""What is not worth a label is found before anything is spent; what is, passes."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from mlip_autopipec.frames import new_frame
from mlip_autopipec.labelling.prechecks import Known, Limits, precheck, refused, same

LIMITS = Limits(0.5, frozenset({"Si", "Mg", "O", "H"}))


def frame(atoms, **info):
    return new_frame(atoms, origin="t", config_type="rattle", **info)


def rattled(seed, scale=1.0):
    atoms = bulk("Si", a=5.43 * scale, cubic=True)
    atoms.rattle(0.1, seed=seed)
    return frame(atoms)


def test_ordinary_frames_of_all_kinds_pass():
    water = molecule("H2O")
    water.center(vacuum=5.0)
    water.pbc = True
    kinds = [rattled(1), rattled(2, 1.15), rattled(3, 0.85), frame(water), frame(bulk("MgO", "rocksalt", a=4.21))]
    known = Known()
    for one in kinds:
        assert precheck(one, known, LIMITS) is None
        known.add(one)


@pytest.mark.parametrize(
    ("spoil", "outcome"),
    [
        (lambda a: a.positions.__setitem__((0, 0), np.nan), "not_a_number"),
        (lambda a: a.symbols.__setitem__(0, "Fe"), "unknown_species"),
        (lambda a: a.set_cell(np.zeros((3, 3))), "bad_cell"),
        (lambda a: a.positions.__setitem__(1, a.positions[0] + [0.5, 0, 0]), "atoms_too_close"),
    ],
)
def test_what_cannot_be_labelled_is_named(spoil, outcome):
    atoms = bulk("Si", cubic=True)
    spoil(atoms)
    found = precheck(atoms, [], LIMITS)
    assert found is not None
    assert found[0] == outcome


def test_a_crystal_with_far_more_room_than_all_before_is_refused():
    known = Known(rattled(seed) for seed in range(6))
    thin = rattled(9, 1.7)  # 4.9 times the volume, atoms still within reach of each other: no vacuum
    found = precheck(thin, known, LIMITS)
    assert found is not None
    assert found[0] == "absurd_volume"
    assert precheck(thin, Known(), LIMITS) is None  # nothing to compare with


def test_a_crushed_cell_is_refused_where_distances_let_it_pass():
    loose = Limits(0.3, LIMITS.elements)
    found = precheck(rattled(4, 0.42), [], loose)
    assert found is not None
    assert found[0] == "absurd_volume"


def test_the_same_structure_shifted_reordered_and_by_other_images_is_a_duplicate():
    one = rattled(1)
    random = np.random.default_rng(0)
    other = one.copy()[random.permutation(len(one))]
    other.positions += [0.7, -1.3, 2.2]
    other.positions += random.integers(-2, 3, size=(len(one), 3)) @ one.cell.array
    other.positions += 1e-3 * random.uniform(-1, 1, size=(len(one), 3))
    found = precheck(frame(other), Known([rattled(2), one]), LIMITS)
    assert found is not None
    assert found[0] == "duplicate"
    assert one.info["uid"] in found[1]


def test_small_differences_that_a_potential_should_learn_are_no_duplicates():
    one = rattled(1)
    moved = one.copy()
    moved.positions[3] += [0.03, 0, 0]
    strained = one.copy()
    strained.set_cell(one.cell * [1, 1, 1.004], scale_atoms=True)
    swapped = bulk("MgO", "rocksalt", a=4.21, cubic=True)
    swapped.rattle(0.1, seed=1)
    other = swapped.copy()
    other.numbers = np.where(swapped.numbers == 8, 12, 8)
    mirrored = one.copy()
    mirrored.positions[:, 0] *= -1
    known = Known([one, swapped])
    for different in (moved, strained, other, mirrored):
        assert precheck(frame(different), known, LIMITS) is None


def test_clusters_without_a_cell_are_compared_too():
    one = molecule("H2O")
    assert same(one, Atoms("HOH", one.positions[[1, 0, 2]] + 3.0))
    assert not same(one, Atoms("OHH", one.positions * 1.1))


def test_elements_without_a_named_pseudopotential_are_refused_only_where_each_needs_one():
    section = {"engine": "vasp", "minimum_distance_fraction": 0.5, "pseudopotentials": {"Si": "Si_x"}}
    mgo = frame(bulk("MgO", "rocksalt", a=4.21))
    assert precheck(mgo, [], Limits.of(section)) is None  # VASP has recommended data sets for the others
    found = precheck(mgo, [], Limits.of(section | {"engine": "espresso"}))
    assert found is not None
    assert found[0] == "unknown_species"
    assert precheck(mgo, [], Limits.of(section | {"engine": "espresso", "pseudopotentials": {}})) is None
    assert precheck(mgo, [], Limits.of(section, ["Si"])) is not None


def test_the_answer_does_not_depend_on_when_it_is_asked():
    frames = [rattled(seed) for seed in (1, 2, 1, 3, 2)]
    asked = []
    for number, one in enumerate(frames):
        asked.append(precheck(one, frames[:number], LIMITS))
    assert [found is not None for found in asked] == [False, False, True, False, True]


def test_a_refused_frame_is_a_label_without_numbers():
    one = rattled(1)
    label = refused(one, "duplicate", "the same structure as f1", "espresso")
    assert (label.accepted, label.kind, label.uid, label.core_seconds) == (False, "structure", one.info["uid"], 0.0)


def test_many_known_frames_cost_little():
    import time

    known = Known(rattled(seed) for seed in range(300))
    start = time.process_time()
    for seed in range(300, 400):
        assert precheck(rattled(seed), known, LIMITS) is None
    assert time.process_time() - start < 2
