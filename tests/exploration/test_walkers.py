"""Walkers are seeded, keep good frames, and stop with a reason when something explodes."""

import numpy as np
import pytest
from argon import QuickArgon, argon_calculator
from ase.build import bulk, fcc111
from ase.calculators.calculator import Calculator

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.config.walks import Walk
from mlip_autopipec.errors import ConfigError, DataError
from mlip_autopipec.exploration import ensembles, spread, walk
from mlip_autopipec.features import structure_vector
from mlip_autopipec.frames import new_frame, plane_distances, read_frames
from mlip_autopipec.integrators import kinetic_temperature_k
from mlip_autopipec.surrogates import identity, invariants, load_surrogate

BASE = {"surrogate": "toy", "temperatures_k": [40], "walks": {}, "hottest_k": 100, "timestep_fs": 5.0}
SETTINGS = Exploration(**BASE, interval_steps=10)


def start():
    return [new_frame(bulk("Ar", "fcc", a=a, cubic=True), origin="t", config_type="volume") for a in (5.2, 5.3, 5.4)]


@pytest.fixture
def walked(tmp_path):
    """Walk, and give the frames and the record."""

    def go(structures, calculator, settings=SETTINGS, seed=1, config_type="explored", **plan):
        plan = Walk(**({"name": "T0040-0", "kind": "md", "temperature_k": 40, "steps": 40} | plan))
        path = tmp_path / "w.extxyz"
        record = walk(structures, calculator, settings, plan, path=path, seed=seed, config_type=config_type)
        assert [one.name for one in tmp_path.iterdir()] == ["w.extxyz"]
        return read_frames(path), record

    return go


def test_a_walker_keeps_a_frame_every_interval_with_lineage_and_energy(walked):
    frames, record = walked(start(), argon_calculator())
    assert [f.info["origin"] for f in frames] == [f"toy 40 K walker T0040-0 step {k}" for k in (10, 20, 30, 40)]
    assert {f.info["parent"] for f in frames} == {record["start"]}
    for frame in frames:
        energy = frame.info["surrogate_energy"]
        frame.calc = argon_calculator()
        assert frame.get_potential_energy() == pytest.approx(energy, abs=1e-6)
    assert record | {"start": "", "seconds": 0, "gap_angstrom": 0} == {
        "walker": "T0040-0", "kind": "md", "surrogate": "toy", "surrogate_identity": {}, "temperature_k": 40,
        "temperature_end_k": None, "pressure_gpa": None, "ensemble": "NVT Langevin", "shape": "bulk",
        "gap_angstrom": 0, "start": "", "start_type": "volume", "steps_asked": 40, "steps_done": 40, "frames": 4,
        "stopped": "", "evaluations": 41, "resumed_from_step": 0, "seconds": 0, "warnings": [], "notes": {},
    }  # fmt: skip


def test_a_walked_frame_keeps_the_mesh_of_its_start(walked):
    strained = start()[0]
    strained.info["plane_distances"] = np.array([5.0, 5.1, 0.0])
    frames, _ = walked([strained], argon_calculator(), steps=10)
    np.testing.assert_allclose(frames[0].info["plane_distances"], [5.0, 5.1, 0.0])


def test_a_frame_whose_cell_has_shrunk_too_far_gets_a_mesh_of_its_own(walked):
    longer = start()[0]  # 5.2 A
    for before, own in ((6.0, False), (7.0, True)):
        longer.info["plane_distances"] = np.array([5.2, 5.2, before])
        frames, _ = walked([longer], argon_calculator(), steps=10)
        expected = plane_distances(frames[0]) if own else [5.2, 5.2, before]
        np.testing.assert_allclose(frames[0].info["plane_distances"], expected, atol=1e-6)
        assert frames[0].info["parent"] == longer.info["uid"]


def test_seed_and_name_decide_the_walk(walked):
    def uids(**change):
        return [f.info["uid"] for f in walked(start(), argon_calculator(), **({"steps": 20} | change))[0]]

    assert uids() == uids()
    assert not set(uids()) & set(uids(seed=2))
    assert not set(uids()) & set(uids(name="T0040-1"))
    assert not set(uids()) & set(uids(config_type="test"))


@pytest.mark.parametrize("thermostat", ["langevin", "bussi"])
def test_the_thermostat_holds_the_temperature(walked, thermostat):
    settings = Exploration(**BASE, interval_steps=1, friction_per_ps=20.0, thermostat=thermostat)
    temperatures = []

    class Watching(QuickArgon):
        def calculate(self, atoms=None, properties=None, system_changes=None):
            super().calculate(atoms, properties, system_changes)
            temperatures.append(kinetic_temperature_k(atoms))  # in the middle of a step: a little cold

    _, record = walked(start(), Watching(), settings, steps=800)
    assert record["ensemble"] == f"NVT {thermostat.capitalize()}"
    assert np.mean(temperatures[150:]) == pytest.approx(40, rel=0.15)


def test_a_ramp_heats_evenly_and_a_quench_stays_hot_first(walked):
    frames, record = walked(start(), QuickArgon(), kind="heat", temperature_k=10, temperature_end_k=50, steps=40)
    assert [f.info["origin"].split()[2] for f in frames] == ["20", "30", "40", "50"]
    assert record["temperature_end_k"] == 50
    frames, _ = walked(start(), QuickArgon(), kind="quench", temperature_k=50, temperature_end_k=10, steps=50)
    assert [f.info["origin"].split()[2] for f in frames] == ["50", "40", "30", "20", "10"]


@pytest.mark.parametrize("barostat", ["auto", "isotropic", "full", "none"])
def test_the_barostat_moves_what_the_config_says(walked, barostat):
    settings = Exploration(**BASE, barostat=barostat, barostat_time_fs=200.0)
    frames, record = walked(start()[2:], QuickArgon(), settings, pressure_gpa=0.5, may_change_cell=True, steps=300)
    words = {"auto": "NPT Langevin, full cell", "full": "NPT Langevin, full cell", "none": "NVT Langevin"}
    assert record["ensemble"] == words.get(barostat, "NPT Langevin, isotropic cell")
    angles, lengths = frames[-1].cell.angles(), frames[-1].cell.lengths()
    if barostat == "none":
        assert lengths[0] == pytest.approx(5.4)
        assert record["pressure_gpa"] is None
        return
    assert frames[-1].get_volume() < 0.96 * 5.4**3  # argon at half a gigapascal
    assert record["pressure_gpa"] == 0.5
    assert record["notes"]["bulk_modulus_gpa"] == pytest.approx(2.5, abs=1.5)
    assert "40 K 0.5 GPa walker" in frames[-1].info["origin"]
    assert (np.ptp(lengths) > 0.01 and np.ptp(angles) > 0.01) == (barostat != "isotropic")


def test_a_cell_with_vacuum_stays_whatever_the_plan_says(walked):
    slab = new_frame(fcc111("Ar", (1, 1, 3), a=5.3, vacuum=7.0, periodic=True), origin="t", config_type="surface")
    frames, record = walked([slab], argon_calculator(), may_change_cell=True, steps=10)
    np.testing.assert_allclose(frames[0].cell.array, slab.cell.array, atol=1e-7)
    assert (record["shape"], record["ensemble"], record["warnings"]) == ("slab", "NVT Langevin", [])
    thin = new_frame(fcc111("Ar", (1, 1, 3), a=5.3, vacuum=2.6, periodic=True), origin="t", config_type="surface")
    _, record = walked([thin], argon_calculator(), may_change_cell=True, steps=10)
    assert (record["shape"], record["ensemble"]) == ("bulk", "NVT Langevin")
    assert "a gap of 5.2 A may be vacuum" in record["warnings"][0]


def test_a_surrogate_without_stress_keeps_the_cell_and_says_so(walked):
    _, record = walked(start(), Exploding(10**6, 0.0), may_change_cell=True, steps=10)
    assert record["ensemble"] == "NVT Langevin"
    assert "no stress" in record["warnings"][0]


def test_a_cell_without_a_shape_of_its_own_keeps_it(walked, monkeypatch):
    """A melt moves its size only; so does a crystal from where it flows."""
    melt = new_frame(bulk("Ar", "fcc", a=5.4, cubic=True), origin="t", config_type="melt")
    frames, record = walked([melt], QuickArgon(), may_change_cell=True)
    assert record["ensemble"] == "NPT Langevin, isotropic cell"
    np.testing.assert_allclose(frames[-1].cell.angles(), 90)
    monkeypatch.setattr(ensembles, "FLOWING", 0.01)
    settings = Exploration(**BASE, interval_steps=10, barostat_time_fs=100.0)
    frames, record = walked(start(), QuickArgon(), settings, may_change_cell=True, steps=300)
    flowed = record["notes"]["cell_flowed_at_step"]
    assert 0 < flowed < 200
    assert record["ensemble"] == "NPT Langevin, isotropic cell"
    shapes = [f.cell.array / f.get_volume() ** (1 / 3) for f in frames[flowed // 10 - 1 :]]
    np.testing.assert_allclose(shapes, np.broadcast_to(shapes[0], np.shape(shapes)), atol=1e-6)
    assert frames[-1].get_volume() != pytest.approx(frames[-2].get_volume(), rel=1e-6)


@pytest.mark.parametrize(("change", "expected"), [(np.eye(3) * 1.3, 0.0), (np.diag([1.0, 1.0, 2**0.5]), 0.231)])
def test_shear_is_the_largest_strain_beside_that_of_the_volume(change, expected):
    turned = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])
    assert ensembles.shear(change) == pytest.approx(expected, abs=1e-3)
    assert ensembles.shear(change @ turned) == pytest.approx(expected, abs=1e-3)


def test_what_evaporates_stops(walked):
    settings = Exploration(**BASE, barostat_time_fs=50.0, friction_per_ps=20.0)
    plan = {"kind": "heat", "temperature_k": 40, "temperature_end_k": 900, "may_change_cell": True, "steps": 1500}
    frames, record = walked(start(), QuickArgon(), settings, **plan)
    assert "evaporates" in record["stopped"]
    assert record["ensemble"] == "NPT Langevin, isotropic cell"
    assert record["steps_done"] < 1500
    assert max(f.get_volume() for f in frames) < 2 * 5.4**3


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
def test_a_walker_that_explodes_stops_keeps_its_good_frames_and_says_so(walked, force, says):
    frames, record = walked(start(), Exploding(25, force), steps=4000)
    assert record["steps_done"] < 4000
    assert pytest.approx(len(frames)) == record["frames"]
    assert len(frames) >= 2
    assert any(word in record["stopped"] for word in says.split("|"))


class Failing(QuickArgon):
    """Argon, until a result is no number."""

    def __init__(self, good_calls, result):
        super().__init__()
        self.calls, self.good_calls, self.result = 0, good_calls, result

    def calculate(self, atoms=None, properties=None, system_changes=None):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        if self.calls > self.good_calls:
            self.results[self.result] = self.results[self.result] * np.nan


@pytest.mark.parametrize("result", ["energy", "forces", "stress"])
def test_a_result_that_is_no_number_ends_the_walk_and_keeps_the_frames_before(walked, result):
    frames, record = walked(start(), Failing(25, result), steps=100)
    assert record["stopped"] == f"the surrogate's {result} is not a number"
    assert (len(frames), record["steps_done"], record["frames"]) == (2, 20, 2)


def test_a_fault_of_the_program_is_not_taken_for_an_explosion(walked):
    class Broken(QuickArgon):
        def calculate(self, atoms=None, properties=None, system_changes=None):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        walked(start(), Broken())


def test_no_structure_to_start_from_is_said(walked):
    with pytest.raises(DataError, match="no structure"):
        walked([], argon_calculator())


def test_a_kind_that_suits_no_structure_ends_at_once_with_the_reason(walked):
    frames, record = walked(start(), argon_calculator(), kind="swaps")
    assert frames == []
    assert (record["steps_done"], record["frames"]) == (0, 0)
    assert "'swaps' wants a structure of two elements" in record["stopped"]


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


def test_sevennet_0_drives_a_walk_and_describes_its_frames(tmp_path):
    """The real thing: rattled silicon relaxes into its crystal; invariants are those of the frames kept."""
    crystal = bulk("Si", cubic=True)
    crystal.positions[0] += [0.2, 0, 0]
    start = new_frame(crystal, origin="t", config_type="rattle")
    settings = Exploration(**(BASE | {"surrogate": "sevennet-0", "timestep_fs": 2.0}), interval_steps=2)
    calculator = load_surrogate("sevennet-0")
    hook = invariants(calculator)
    known = identity("sevennet-0", calculator)
    plan = Walk("T0100-1", "md", 100.0, 4, pressure_gpa=0.0, may_change_cell=True)
    call = {"path": tmp_path / "s.extxyz", "seed": 1, "invariants": hook, "identity": known}
    record = walk([start], calculator, settings, plan, **call)
    assert (record["frames"], record["stopped"], record["ensemble"]) == (2, "", "NPT Langevin, full cell")
    assert record["notes"]["bulk_modulus_gpa"] == pytest.approx(90, abs=30)  # GPa; silicon has 98
    assert record["surrogate_identity"]["name"] == "sevennet-0"
    frames = read_frames(tmp_path / "s.extxyz")
    assert frames[-1].info["surrogate_energy"] / 8 == pytest.approx(-5.4, abs=0.2)  # eV/atom, PBE as in its training
    with np.load(tmp_path / "s.invariants.npz") as found:
        assert str(found["key"]) == known["identity_key"]
        last = structure_vector(hook.of(frames[-1]), frames[-1].numbers)
        np.testing.assert_allclose(found["vectors"][-1], last, atol=1e-3)
        assert not np.allclose(found["vectors"][0], last, atol=1e-3)
