"""Walkers are seeded, keep good frames, and stop with a reason when something explodes."""

import numpy as np
import pytest
from argon import argon_calculator
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator

from mlip_autopipec.config.full import Exploration
from mlip_autopipec.dynamics import choose_start
from mlip_autopipec.errors import ConfigError, DataError
from mlip_autopipec.exploration import load_surrogate, spread, walk
from mlip_autopipec.frames import new_frame

SETTINGS = Exploration(temperatures_k=[40], steps=40, interval_steps=10, timestep_fs=5.0)


def start():
    return [new_frame(bulk("Ar", "fcc", a=a, cubic=True), origin="t", config_type="volume") for a in (5.2, 5.3, 5.4)]


def test_a_walker_keeps_a_frame_every_interval_with_lineage():
    frames, record = walk(start(), argon_calculator(), SETTINGS, name="T0040-0", temperature_k=40, steps=40, seed=1)
    assert [f.info["origin"].split()[-1] for f in frames] == ["10", "20", "30", "40"]
    assert {f.info["parent"] for f in frames} == {record["start"]}
    assert record | {"start": ""} == {
        "walker": "T0040-0", "surrogate": "sevennet-0", "temperature_k": 40, "start": "", "start_type": "volume",
        "steps_asked": 40, "steps_done": 40, "frames": 4, "stopped": "",
    }  # fmt: skip


def test_walkers_start_from_every_type_alike_however_many_frames_it_has():
    atom = new_frame(Atoms("Ar", cell=[9, 9, 9], pbc=True), origin="t", config_type="IsolatedAtom")
    few = [new_frame(bulk("Ar", a=5.3, cubic=True), origin="t", config_type="surface")]
    many = [new_frame(bulk("Ar", a=5.0 + 0.01 * k, cubic=True), origin="t", config_type="rattle") for k in range(40)]
    random = np.random.default_rng(0)
    starts = [choose_start([atom, *many, *few], random) for _ in range(400)]
    share = sum(one.info["config_type"] == "surface" for one in starts) / 400
    assert share == pytest.approx(0.5, abs=0.08)
    assert not any(one.info["config_type"] == "IsolatedAtom" for one in starts)
    assert len({one.info["uid"] for one in starts}) > 35
    with pytest.raises(DataError, match="no structure"):
        choose_start([atom], random)


def test_a_walked_frame_keeps_the_mesh_of_its_start():
    strained = start()[0]
    strained.info["plane_distances"] = np.array([5.0, 5.1, 0.0])
    frames, _ = walk([strained], argon_calculator(), SETTINGS, name="w", temperature_k=40, steps=10, seed=1)
    np.testing.assert_allclose(frames[0].info["plane_distances"], [5.0, 5.1, 0.0])


def test_seed_and_name_decide_the_walk():
    def uids(**change):
        call = {"name": "T0040-0", "temperature_k": 40, "steps": 20, "seed": 1} | change
        return [f.info["uid"] for f in walk(start(), argon_calculator(), SETTINGS, **call)[0]]

    assert uids() == uids()
    assert not set(uids()) & set(uids(seed=2))
    assert not set(uids()) & set(uids(name="T0040-1"))
    assert not set(uids()) & set(uids(config_type="test"))


def test_the_thermostat_holds_the_temperature():
    big = [new_frame(bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2), origin="t", config_type="volume")]
    settings = Exploration(temperatures_k=[40], interval_steps=1, timestep_fs=5.0, friction_per_ps=20.0)
    temperatures = []

    class Watching(type(argon_calculator())):
        def calculate(self, atoms=None, *args):
            temperatures.append(atoms.get_temperature() if atoms is not None else np.nan)
            super().calculate(atoms, *args)

    calculator = Watching(epsilon=0.0104, sigma=3.4, rc=6.0, ro=5.0, smooth=True)
    walk(big, calculator, settings, name="w", temperature_k=40, steps=400, seed=1)
    assert np.mean(temperatures[150:]) == pytest.approx(40, rel=0.2)


class Exploding(Calculator):
    """A surface that pulls everything into one point after some calls: a surrogate with a hole."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, good_calls, force):
        super().__init__()
        self.calls, self.good_calls, self.force = 0, good_calls, force

    def calculate(self, atoms=None, properties=None, system_changes=None):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        forces = np.zeros((len(atoms), 3))
        if self.calls > self.good_calls:
            forces = self.force * (atoms.positions.mean(axis=0) - atoms.positions)
        self.results = {"energy": 0.0, "forces": forces}


@pytest.mark.parametrize(("force", "says"), [(1.0, "apart"), (30.0, "force|apart"), (1e9, "apart|force|number|flew")])
def test_a_walker_that_explodes_stops_keeps_its_good_frames_and_says_so(force, says):
    frames, record = walk(start(), Exploding(25, force), SETTINGS, name="w", temperature_k=40, steps=4000, seed=1)
    assert record["steps_done"] < 4000
    assert pytest.approx(len(frames)) == record["frames"]
    assert len(frames) >= 2
    assert any(word in record["stopped"] for word in says.split("|"))


def test_no_structure_to_start_from_is_said():
    with pytest.raises(DataError, match="no structure"):
        walk([], argon_calculator(), SETTINGS, name="w", temperature_k=40, steps=10, seed=1)


def test_test_frames_are_spread_over_all_trajectories_and_skip_their_start():
    trajectories = [[(name, k) for k in range(10)] for name in "abc"]
    chosen = spread(trajectories, 6)
    assert len(chosen) == 6
    assert {name for name, _ in chosen} == set("abc")
    assert min(k for _, k in chosen) >= 2
    assert len(spread(trajectories, 100)) == 24


def test_an_unknown_surrogate_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'sevennet-0'"):
        load_surrogate("sevenet-0")


def test_sevennet_0_pulls_a_rattled_silicon_crystal_back():
    frame = bulk("Si", cubic=True)
    frame.positions[0] += [0.2, 0, 0]
    frame.calc = load_surrogate("sevennet-0")
    forces = frame.get_forces()
    assert forces[0, 0] < -0.5
    assert frame.get_potential_energy() / 8 == pytest.approx(
        -5.4, abs=0.2
    )  # eV/atom, PBE on the Materials Project scale
