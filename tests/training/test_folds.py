"""Trajectories are held out whole, static cells are spread, and nothing moves when data are added."""

import numpy as np
from ase import Atoms
from ase.build import bulk

from mlip_autopipec.frames import new_frame
from mlip_autopipec.training.folds import assign, trajectories


def frame(origin, config_type="rattle", atoms=None, generation=0, **info):
    made = new_frame(atoms or bulk("Si", cubic=True), origin=origin, config_type=config_type, generation=generation)
    made.info |= info
    return made


def walk(name, steps, generation=0):
    frames = [frame(f"generation {generation} 300 K walker {name} step {10 * k}", "simulated") for k in range(steps)]
    for k, one in enumerate(frames):
        one.info["uid"] = f"{name}-{generation}-{k}"
    return frames


def imported(number, config_type="md"):
    return [frame(f"data.xyz frame {k}", config_type, imported=True) for k in range(number)]


def test_a_walk_is_one_trajectory_and_another_generation_is_another():
    names = trajectories([*walk("T300-0", 4), *walk("T300-1", 2), *walk("T300-0", 3, generation=1)], 5)
    assert len(set(names[:4])) == 1
    assert len(set(names)) == 3


def test_static_cells_are_spread_over_all_folds():
    cells = [frame(f"volume {k:+.4f}", "volume", uid=f"v{k}") for k in range(10)]
    folds = assign(cells, 5)
    assert sorted(folds) == sorted([*range(5)] * 2)


def test_frames_of_unknown_descent_are_cut_into_contiguous_blocks_of_one_kind():
    frames = [*imported(40, "liquid"), *imported(3, "surface")]
    names = trajectories(frames, 5)
    assert [len({*names[k : k + 8]}) for k in range(0, 40, 8)] == [1] * 5
    assert len(set(names[:40])) == 5
    assert len(set(names[40:])) == 1
    assert not set(names[:40]) & set(names[40:])
    bare = [Atoms("Si2", positions=[[0, 0, 0], [0, 0, 2.3]]) for _ in range(10)]
    assert trajectories(bare, 5) == [*trajectories(bare, 5)[:1]] * 5 + [*trajectories(bare, 5)[5:6]] * 5


def test_frames_of_two_kinds_that_take_turns_stay_together():
    both = [one for pair in zip(imported(10, "a"), imported(10, "b"), strict=True) for one in pair]
    names = trajectories(both, 5)
    assert len(set(names[::2])) == len(set(names[1::2])) == 2


def test_files_are_trajectories_of_their_own():
    frames = [frame(f"{file}.xyz frame {k}", "md", imported=True) for file in "abc" for k in range(4)]
    names = trajectories(frames, 5)
    assert len(set(names)) == 3
    assert len(set(assign(frames, 3))) == 3


def test_blocks_of_different_compositions_are_different():
    mixed = [frame("x frame 1", "md", Atoms(symbols), imported=True) for symbols in ("Si2", "Ge2")]
    assert len(set(trajectories(mixed, 2))) == 2


def test_added_frames_move_no_older_one():
    first = [*walk("a", 5), *[frame(f"volume {k}", "volume", uid=f"v{k}") for k in range(7)], *walk("b", 9)]
    later = [*walk("a", 6, generation=1), *walk("c", 4, generation=1)]
    assert assign([*first, *later], 5)[: len(first)] == assign(first, 5)


def test_folds_have_about_the_same_number_of_atoms():
    frames = [one for k in range(12) for one in walk(f"w{k}", 5)]
    folds = assign(frames, 4)
    counts = np.bincount(folds, minlength=4)
    assert counts.min() >= 10
    assert counts.max() <= 20
    by_walk = [set(folds[5 * k : 5 * k + 5]) for k in range(12)]
    assert all(len(one) == 1 for one in by_walk)
