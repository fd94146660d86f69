"""Swaps, cells, strains and paths as whole walks: files, records, kills, and starts that do not suit."""

import json
from typing import ClassVar

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from toy_walkers import exploration

from mlip_autopipec.config.walks import Walk
from mlip_autopipec.exploration import streams, walk
from mlip_autopipec.frames import closest_contact, new_frame, plane_distances, read_frames

KINDS = ("swaps", "cells", "strains", "paths")


def start() -> Atoms:
    atoms = bulk("Cu", "fcc", a=3.87, cubic=True)
    atoms.numbers[::2] = 79
    return new_frame(atoms, origin="t", config_type="crystal")


def walked(kind, path, *, structures=None, calculator=None, settings=None, steps=100):
    plan = Walk(f"{kind}-0", kind, 600.0, steps, pressure_gpa=1.0, may_change_cell=kind == "cells")
    return walk(
        structures or [start()], calculator or EMT(), settings or exploration(), plan, path=path, seed=1,
        say=lambda *_: None,
    )  # fmt: skip


class Killed(EMT):
    """EMT that is killed at an evaluation."""

    at: ClassVar[int] = 60

    def __init__(self):
        super().__init__()
        self.left = self.at

    def calculate(self, *args, **kwargs):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        super().calculate(*args, **kwargs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_walk_goes_on_and_ends_as_if_nothing_had_been(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "SAVE_EVERY_S", 0.0)
    whole = walked(kind, tmp_path / "whole.extxyz")
    with pytest.raises(KeyboardInterrupt):
        walked(kind, tmp_path / "killed.extxyz", calculator=Killed())
    record = walked(kind, tmp_path / "killed.extxyz")
    assert 0 < record["resumed_from_step"] < 100
    assert (tmp_path / "killed.extxyz").read_bytes() == (tmp_path / "whole.extxyz").read_bytes()
    assert record["notes"] == whole["notes"]
    assert whole["steps_done"] == 100
    assert whole["stopped"] == ""
    json.dumps(whole)


def test_relaxation_paths_keep_sound_frames_of_their_own_mesh_and_count_every_evaluation(tmp_path):
    settings = exploration(maximum_force_ev_per_angstrom=4.0)
    record = walked("paths", tmp_path / "p.extxyz", settings=settings, steps=200)
    frames = read_frames(tmp_path / "p.extxyz")
    assert len(frames) > 20  # more than one every ten evaluations: they fall
    assert record["notes"]["paths"] >= 1
    assert record["evaluations"] in (200, 201)  # and perhaps the start
    for frame in frames:
        frame.calc = EMT()
        assert np.linalg.norm(frame.get_forces(), axis=1).max() <= 4.0 + 1e-4
        assert closest_contact(frame)[0] >= 0.6 - 1e-6
        np.testing.assert_allclose(frame.info["plane_distances"], plane_distances(frame), atol=1e-5)
        assert frame.info["parent"] == record["start"]


@pytest.mark.parametrize("kind", ["cells", "strains", "paths"])
def test_only_a_bulk_is_strained_or_rearranged(kind, tmp_path):
    slab = fcc111("Cu", (1, 1, 4), vacuum=8.0)
    slab.pbc = True
    water = molecule("CO", vacuum=6.0)
    water.pbc = True
    others = [new_frame(a, origin="t", config_type=t) for a, t in ((slab, "surface"), (water, "molecule"))]
    record = walked(kind, tmp_path / "w.extxyz", structures=[*others, start()], steps=20)
    assert record["start"] == start().info["uid"]
    record = walked(kind, tmp_path / "n.extxyz", structures=others, steps=20)
    assert "bulk" in record["stopped"]
    assert read_frames(tmp_path / "n.extxyz") == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_surrogate_that_gives_no_number_ends_the_walk_with_a_reason(kind, tmp_path):
    class Broken(EMT):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["energy"] = np.nan

    record = walked(kind, tmp_path / "w.extxyz", calculator=Broken())
    assert "not a number" in record["stopped"] or "no number" in record["stopped"]
    assert read_frames(tmp_path / "w.extxyz") == []
