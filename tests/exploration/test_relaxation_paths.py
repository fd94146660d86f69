"""Relaxation paths: random starts keep their distances, enthalpy falls, frames are dense where it does, bad starts."""

from itertools import pairwise

import numpy as np
import pytest
from argon import argon_calculator
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from toy_walkers import Energy, exploration, killed_and_resumed_is_uninterrupted

from mlip_autopipec.config.walks import Walk
from mlip_autopipec.errors import DataError
from mlip_autopipec.exploration.evaluations import Evaluations
from mlip_autopipec.exploration.fire import Fire, generalised_force
from mlip_autopipec.exploration.kinds import WalkEnded
from mlip_autopipec.exploration.paths import FALL_EV_PER_ATOM, VOLUME_LIMITS, paths
from mlip_autopipec.exploration.scramble import SEPARATION, scramble, shortest_distances
from mlip_autopipec.frames import closest_contact, pairs

ROCKSALT = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (2, 1, 1)


def test_random_arrangements_keep_ions_of_one_sign_apart():
    distances = shortest_distances(ROCKSALT)
    assert distances[11, 17] == pytest.approx(2.82)
    assert distances[11, 11] == pytest.approx(3.99, abs=0.01)
    assert distances[17, 17] == pytest.approx(2.04 * 1.8, abs=0.01)  # nearer than their distance, but no contact
    random, volumes, shortest = np.random.default_rng(0), [], []
    for _ in range(30):
        cell, places = scramble(ROCKSALT.numbers, ROCKSALT.get_volume(), distances, 0.6, random)
        atoms = ROCKSALT.copy()
        atoms.set_cell(cell)
        atoms.positions = places
        volumes.append(atoms.get_volume() / ROCKSALT.get_volume())
        first, second, found = pairs(atoms, 6.0)
        limit = np.array([distances[i, j] for i, j in zip(atoms.numbers[first], atoms.numbers[second], strict=True)])
        shortest.append((found / limit).min())
        assert closest_contact(atoms)[0] >= 0.6
    assert 0.8 <= min(volumes) < 0.9
    assert 1.1 < max(volumes) <= 1.2
    assert min(shortest) > 0.55
    assert max(shortest) <= SEPARATION[1] + 0.05


@pytest.mark.parametrize("structure", [bulk("Cu"), bulk("Si"), bulk("Cu", cubic=True) * 3])
def test_dense_and_tiny_cells_find_room(structure):
    distances, random = shortest_distances(structure), np.random.default_rng(1)
    for _ in range(5):
        cell, places = scramble(structure.numbers, structure.get_volume(), distances, 0.6, random)
        atoms = structure.copy()
        atoms.set_cell(cell)
        atoms.positions = places
        assert closest_contact(atoms)[0] >= 0.6


def test_no_room_is_said():
    with pytest.raises(DataError, match="no random arrangement"):
        scramble(ROCKSALT.numbers, 50.0, shortest_distances(ROCKSALT), 0.6, np.random.default_rng(0))


def test_the_minimiser_finds_the_crystal_at_a_pressure():
    atoms = bulk("Cu", "fcc", a=3.75, cubic=True)
    atoms.rattle(0.1, seed=0)
    atoms.calc = EMT()
    fire, pressure = Fire(), 10 * units.GPa
    for _ in range(150):
        fire.step(atoms, generalised_force(atoms, pressure))
    assert abs(generalised_force(atoms, pressure)).max() < 1e-3
    assert -atoms.get_stress()[:3].mean() == pytest.approx(pressure, rel=1e-3)


def test_the_generalised_force_is_minus_the_gradient_of_the_enthalpy():
    atoms = bulk("Cu", "fcc", a=3.7, cubic=True)
    atoms.rattle(0.1, seed=0)
    atoms.calc = EMT()
    pressure, step = 0.05, 1e-5
    force = generalised_force(atoms, pressure)

    def enthalpy(strain):
        trial = atoms.copy()
        trial.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        trial.calc = EMT()
        return trial.get_potential_energy() + pressure * trial.get_volume()

    for i, j in ((0, 0), (0, 1), (2, 1)):
        strain = np.zeros((3, 3))
        strain[i, j] = strain[j, i] = step
        slope = (enthalpy(strain) - enthalpy(-strain)) / (2 * step)
        assert -slope / len(atoms) == pytest.approx((force[4 + i, j] + (i != j) * force[4 + j, i]), abs=1e-4)


def walked(settings, *, steps=250, calculator=EMT, structure=None, seed=0):
    """The stepper, and for every call of `advance`: evaluations, whether to keep, energy/atom, largest force."""
    atoms = (bulk("Cu", "fcc", a=3.6, cubic=True) * (2, 1, 1) if structure is None else structure).copy()
    atoms.calc = Evaluations(calculator())
    stepper = paths(atoms, settings, Walk("paths-0", "paths", 300, steps))
    random, found, done = np.random.default_rng(seed), [], 0
    stepper.begin(atoms, random)
    while done < steps:
        made = stepper.advance(atoms, min(10, steps - done), random)
        assert 1 <= made <= 10
        done += made
        energy = atoms.get_potential_energy() / len(atoms)
        found.append((made, stepper.keep, energy, np.linalg.norm(atoms.get_forces(), axis=1).max()))
    return stepper, found, atoms


def test_several_paths_fall_and_frames_are_dense_where_they_do():
    stepper, found, atoms = walked(exploration())
    notes = stepper.notes()
    print(notes, len(found))
    assert atoms.calc.count == 1 + sum(made for made, *_ in found)  # and the start
    assert notes["paths"] >= 2
    assert notes["mean_fall_ev_per_atom"] > 0.3
    steep = [made for made, _, energy, _ in found if energy > 0.6]
    flat = [made for made, _, energy, _ in found if energy < 0.15]
    assert np.mean(steep) < 0.6 * np.mean(flat)
    falls = [a[2] - b[2] for a, b in pairwise(found) if b[0] > 1 and b[2] < a[2]]
    assert np.median(falls) < 3 * FALL_EV_PER_ATOM


def test_frames_above_the_force_limit_are_not_kept_but_the_walk_goes_on():
    strict = exploration(maximum_force_ev_per_angstrom=1.5)
    stepper, found, _ = walked(strict)
    kept = [force for _, keep, _, force in found if keep]
    assert kept
    assert max(kept) <= 1.5
    assert stepper.notes()["paths"] >= 1
    assert max(force for *_, force in walked(exploration())[1]) > 1.5


class Shifted(EMT):
    """EMT whose energy jumps after the first evaluation: that of the start, by `shift` eV/atom."""

    shift = 0.0

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if getattr(self, "begun", False):
            self.results["energy"] += self.shift * len(self.atoms)
        self.begun = True


def test_frames_far_above_the_start_are_not_kept_and_those_far_below_are_a_hole(monkeypatch):
    window = 0.3  # eV/atom; these paths begin above 0.6
    monkeypatch.setattr("mlip_autopipec.exploration.paths.WINDOW_EV_PER_ATOM", window)
    _, found, _ = walked(exploration())
    start = EMT().get_potential_energy(bulk("Cu", "fcc", a=3.6))
    kept = [energy for _, keep, energy, _ in found if keep]
    assert kept
    assert max(kept) <= start + window

    class Hole(Shifted):
        shift = -20.0

    with pytest.raises(WalkEnded, match="collapsed: 20"):
        walked(exploration(), calculator=Hole)


def test_pressure_makes_denser_ends():
    def end_volume(pressure_gpa):
        atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
        atoms.calc = Evaluations(EMT())
        stepper = paths(atoms, exploration(), Walk("paths-0", "paths", 300, 300, pressure_gpa=pressure_gpa))
        random = np.random.default_rng(2)
        stepper.begin(atoms, random)
        ends = []
        for _ in range(150):
            stepper.advance(atoms, 10, random)
            if len(stepper.state()["path"]) == 0 and stepper.keep:
                ends.append(atoms.get_volume() / 4)
            if len(ends) == 2:
                break
        return np.mean(ends)

    assert end_volume(30.0) < 0.95 * end_volume(0.0)


def test_collapse_and_numbers_that_are_none_end_paths_and_at_last_the_walk():
    def only_the_start(atoms):
        return 0.0 if abs(atoms.get_volume() - 2 * 3.6**3) < 1e-6 else np.nan

    with pytest.raises(WalkEnded, match=r"20 random arrangements in a row came to nothing \(no number: 20\)"):
        walked(exploration(), calculator=lambda: Energy(only_the_start))

    class Attraction(EMT):
        """Turns the world upside down: atoms fall into each other."""

        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results = {key: -value for key, value in self.results.items()}

    with pytest.raises(WalkEnded, match=r"collapsed|flew apart"):
        walked(exploration(), calculator=Attraction, steps=5000)


def test_volume_stays_within_its_limits_and_elements_stay_in_order():
    structure = bulk("Cu", "fcc", a=3.75, cubic=True)
    structure.numbers[:2] = 79
    _, _, atoms = walked(exploration(), structure=structure)
    assert VOLUME_LIMITS[0] < atoms.get_volume() / structure.get_volume() < VOLUME_LIMITS[1]
    np.testing.assert_array_equal(atoms.numbers, structure.numbers)


def test_resumed_paths_are_uninterrupted_paths():
    start = bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 2, 1)

    def make(atoms):
        return paths(atoms, exploration(), Walk("paths-0", "paths", 40, 60))

    killed_and_resumed_is_uninterrupted(make, start, argon_calculator)
