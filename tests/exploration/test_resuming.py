"""A killed and resumed walk ends with the same files, bit by bit, as one that was not; memory does not grow."""

import json
import multiprocessing
import os
import signal
import time
import tracemalloc

import numpy as np
import pytest
from argon import QuickArgon, argon_calculator
from ase.build import bulk
from ase.calculators.emt import EMT

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.config.walks import Walk
from mlip_autopipec.exploration import streams, walk
from mlip_autopipec.frames import new_frame, read_frames

BASE = {"surrogate": "toy", "temperatures_k": [40], "walks": {}, "hottest_k": 100, "timestep_fs": 4.0}


class Features:
    """Some numbers of each atom, of the latest evaluation."""

    def __init__(self, calculator):
        self.calculator = calculator

    def last(self):
        return np.hstack([self.calculator.results["forces"], self.calculator.results["energies"][:, None]])


def argon():
    return [new_frame(bulk("Ar", "fcc", a=5.4, cubic=True), origin="t", config_type="crystal")], argon_calculator()


def alloy():
    atoms = bulk("Cu", "fcc", a=3.8, cubic=True).repeat((2, 1, 1))
    atoms.symbols[::2] = "Au"
    return [new_frame(atoms, origin="t", config_type="crystal")], EMT()


CASES = {
    "NVT Langevin": (argon, {}, {"kind": "md"}),
    "NVT Bussi": (argon, {"thermostat": "bussi"}, {"kind": "md"}),
    "NPT Langevin, full cell": (argon, {"barostat_time_fs": 100.0}, {"kind": "md", "may_change_cell": True}),
    "NPT Bussi, isotropic cell": (
        argon, {"thermostat": "bussi"}, {"kind": "heat", "temperature_end_k": 60.0, "may_change_cell": True}
    ),
    "cells": (alloy, {"timestep_fs": 2.0}, {"kind": "cells", "temperature_k": 900.0, "may_change_cell": True}),
    "strains": (alloy, {"timestep_fs": 2.0}, {"kind": "strains", "temperature_k": 300.0}),
    "paths": (alloy, {}, {"kind": "paths"}),
    "swaps": (alloy, {"timestep_fs": 2.0}, {"kind": "swaps", "temperature_k": 900.0, "may_change_cell": True}),
}  # fmt: skip


def go(case, path, steps=200, seed=1, interval=5, **changed):
    """Walk to the end in this process."""
    system, settings, plan = CASES[case]
    structures, calculator = system()
    settings = Exploration(**(BASE | {"interval_steps": interval} | settings | changed))
    plan = Walk(**({"name": "w", "temperature_k": 40.0, "steps": steps, "pressure_gpa": 0.1} | plan))
    record = walk(structures, calculator, settings, plan, path=path, seed=seed, invariants=Features(calculator))
    (path.parent / "record.json").write_text(json.dumps(record))
    return record


def killed(case, path, after_s, **call):
    """Walk in another process and kill it without warning after a while; whether it had finished."""
    process = multiprocessing.get_context("fork").Process(target=go, args=(case, path), kwargs=call)
    process.start()
    process.join(after_s)
    finished = process.exitcode is not None
    if not finished:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    return finished


def files(folder):
    return {name: (folder / name).read_bytes() for name in ("w.extxyz", "w.invariants.npz")}


@pytest.fixture
def saving_always(monkeypatch):
    monkeypatch.setattr(streams, "SAVE_EVERY_S", 0.0)


@pytest.mark.parametrize("case", CASES)
def test_a_walk_killed_again_and_again_ends_as_if_nothing_had_happened(case, tmp_path, saving_always):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    began = time.monotonic()
    once = go(case, whole / "w.extxyz")
    took = time.monotonic() - began
    random = np.random.default_rng(len(case))
    kills = 0
    while not killed(case, broken / "w.extxyz", took * random.uniform(0.05, 0.6)):
        kills += 1
        assert kills < 100
    assert kills >= 1
    assert files(broken) == files(whole)
    record = json.loads((broken / "record.json").read_text())
    assert record["resumed_from_step"] > 0
    for changing in ("seconds", "resumed_from_step"):
        record.pop(changing), once.pop(changing)
    assert record == json.loads(json.dumps(once))


def test_structure_vectors_stand_beside_the_frames(tmp_path):
    record = go("NVT Langevin", tmp_path / "w.extxyz", steps=20)
    frames = read_frames(tmp_path / "w.extxyz")
    with np.load(tmp_path / "w.invariants.npz") as found:
        assert list(found["uid"]) == [frame.info["uid"] for frame in frames]
        assert found["vectors"].shape == (record["frames"], 3 * 4)
        assert found["vectors"].dtype == np.float32
        assert str(found["key"]) == "toy"
        for frame, vector in zip(frames, found["vectors"], strict=True):
            frame.calc = argon_calculator()
            np.testing.assert_allclose(vector[:3], frame.get_forces().mean(axis=0), atol=1e-6)
            np.testing.assert_allclose(vector[4:7], frame.get_forces().std(axis=0), atol=1e-6)


def until_some_frames(case, path, frames, **call):
    """Kill a walk once it has saved so many frames."""
    process = multiprocessing.get_context("fork").Process(target=go, args=(case, path), kwargs={"steps": 100000} | call)
    process.start()
    progress = path.parent / "w.extxyz.part" / "progress.json"
    limit = time.monotonic() + 60
    while not (progress.exists() and json.loads(progress.read_text())["frames"] >= frames):
        assert process.exitcode is None
        assert time.monotonic() < limit
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return progress.parent


@pytest.fixture
def half_done(tmp_path, saving_always):
    """A walk killed on its way; that it is shorter in the plan is of no importance to what is on the disk."""
    return tmp_path / "w.extxyz", lambda **call: until_some_frames("NVT Bussi", tmp_path / "w.extxyz", 3, **call)


def cut_short(case, path, **call):
    """Take up a walk; it is stopped at its next save, and what it went on from is returned."""

    class Stop(Exception):
        pass

    seen = []
    restored = streams.Stream.open

    def opened(self):
        state = restored(self)
        seen.append(int(state["done"]) if state else 0)
        raise Stop

    streams.Stream.open = opened
    try:
        with pytest.raises(Stop):
            go(case, path, **({"steps": 100000} | call))
    finally:
        streams.Stream.open = restored
    return seen[0]


def test_the_same_walk_goes_on_and_another_one_starts_anew(half_done):
    path, kill = half_done
    kill()
    assert cut_short("NVT Bussi", path) >= 15
    assert cut_short("NVT Bussi", path, device="cuda") >= 15  # where it runs is of no importance
    for change in ({"seed": 2}, {"friction_per_ps": 3.0}, {"steps": 50000}, {"maximum_force_ev_per_angstrom": 9.0}):
        kill()
        assert cut_short("NVT Bussi", path, **change) == 0


def test_frames_written_after_the_state_are_cut_off_and_lost_ones_start_anew(half_done):
    path, kill = half_done
    part = kill()
    with open(part / "frames.extxyz", "ab") as handle:
        handle.write(b"4\nhalf a frame")
    assert cut_short("NVT Bussi", path) >= 15
    assert len(read_frames(part / "frames.extxyz")) >= 3
    with open(part / "frames.extxyz", "r+b") as handle:
        handle.truncate(100)
    assert cut_short("NVT Bussi", path) == 0
    part = kill()
    (part / "state.npz").write_bytes((part / "state.npz").read_bytes()[:200])
    assert cut_short("NVT Bussi", path) == 0


def test_memory_does_not_grow_with_the_number_of_steps(tmp_path):
    def peak(steps):
        settings = Exploration(**BASE, interval_steps=1)
        structures = [new_frame(bulk("Ar", "fcc", a=5.4, orthorhombic=True), origin="t", config_type="crystal")]
        tracemalloc.start()
        walk(structures, QuickArgon(), settings, Walk("w", "md", 20.0, steps), path=tmp_path / "w.extxyz", seed=1)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(5)
    short, long = peak(50), peak(500)
    assert long < short + 50_000  # bytes; 450 frames of two atoms more would be above 300 000


def test_what_a_walk_that_goes_on_says(half_done, capsys):
    path, kill = half_done
    part = kill()
    progress = json.loads((part / "progress.json").read_text())
    assert progress["step"] == 5 * progress["frames"]
    assert progress["steps"] == 100000
    assert progress["seconds_left"] > 0
    go("NVT Bussi", path.with_name("v.extxyz"), steps=10)
    assert capsys.readouterr().out.splitlines() == ["w: done; 2 frames in 0 s"]
