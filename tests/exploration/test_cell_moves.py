"""Moves of the cell: the ideal gas, exact distributions of volume and shape, pressure, walls, resumption."""

import numpy as np
import pytest
from argon import argon_calculator
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from scipy.stats import gamma
from toy_walkers import Energy, Still, exploration, killed_and_resumed_is_uninterrupted

from mlip_autopipec.config.walks import Walk
from mlip_autopipec.exploration.cells import Cells, cells
from mlip_autopipec.exploration.evaluations import Evaluations

T = 600.0
KT = units.kB * T


def moved(energy, *, atoms, pressure_gpa, moves, shapes=False, **limits):
    """The stepper and the cells (moves / 2, 3, 3) after each round of two moves, the first fifth left out."""
    atoms = atoms.copy()
    atoms.calc = Evaluations(Energy(energy))
    steps = 5 * moves // 2
    limits = {"volume_limits": (1e-3, 1e3), "shape_limit": 100.0} | limits
    walker = Cells(
        atoms, Still(), temperature_k=T, pressure_gpa=pressure_gpa, shapes=shapes, steps=steps,
        minimum_distance_fraction=0.0, **limits,
    )  # fmt: skip
    random, found = np.random.default_rng(3), []
    for _ in range(moves // 2):
        walker.advance(atoms, 5, random)
        found.append(atoms.cell.array.copy())
    return walker, np.array(found[moves // 10 :])


def gas(number: int, volume: float) -> Atoms:
    return Atoms(f"H{number}", cell=np.eye(3) * volume ** (1 / 3), pbc=True, scaled_positions=np.zeros((number, 3)))


def test_the_ideal_gas_has_its_mean_volume():
    """Exactly (N + 1) kT/P, and all of its distribution, a gamma distribution of N + 1."""
    number, pressure_gpa = 3, 0.05
    scale = KT / (pressure_gpa * units.GPa)
    walker, found = moved(lambda a: 0.0, atoms=gas(number, 900.0), pressure_gpa=pressure_gpa, moves=8000)
    volumes = np.linalg.det(found)
    print(f"<V> = {volumes.mean() / scale:.3f} kT/P for {number} atoms; {walker.notes()}")
    assert volumes.mean() == pytest.approx((number + 1) * scale, rel=0.06)
    for quantile in (0.1, 0.5, 0.9):
        assert (volumes < gamma.ppf(quantile, number + 1, scale=scale)).mean() == pytest.approx(quantile, abs=0.04)
    assert 0.25 < walker.notes()["volume_acceptance"] < 0.55


@pytest.mark.parametrize("shapes", [False, True])
def test_a_spring_of_the_volume_gives_the_volumes_it_must(shapes):
    """p(V) ~ V^N exp(-(B (V - V0)^2 / (2 V0) + P V) / kT), whether shapes move, too, or not."""
    number, start, stiffness, pressure_gpa = 4, 60.0, 0.02, 0.4
    pressure = pressure_gpa * units.GPa

    def spring(atoms):
        return stiffness * (atoms.get_volume() - start) ** 2 / (2 * start)

    _, found = moved(
        spring, atoms=gas(number, start), pressure_gpa=pressure_gpa, moves=5000, shapes=shapes, shape_limit=0.8
    )
    volumes = np.linalg.det(found)
    grid = np.linspace(1, 600, 60000)
    weight = number * np.log(grid) - (stiffness * (grid - start) ** 2 / (2 * start) + pressure * grid) / KT
    weight = np.exp(weight - weight.max())
    mean = (grid * weight).sum() / weight.sum()
    spread = np.sqrt(((grid - mean) ** 2 * weight).sum() / weight.sum())
    print(f"{volumes.mean():.1f} A^3 of {mean:.1f}, spread {volumes.std():.1f} of {spread:.1f}")
    assert volumes.mean() == pytest.approx(mean, abs=0.15 * spread)
    assert volumes.std() == pytest.approx(spread, rel=0.1)


def test_shapes_are_visited_as_the_measure_of_cells_demands():
    """Against the 9 numbers of the cell, moved with the weight V^(N-2) exp(-(U + PV)/kT): an independent way."""
    number, start = 5, 30.0
    pressure = KT / start

    def soft(cell):  # strains of tens of per cent
        metric = cell @ cell.T / start ** (2 / 3)
        return 0.5 * 10 * KT * float(((metric - np.eye(3)) ** 2).sum())

    _, found = moved(
        lambda a: soft(a.cell.array),
        atoms=gas(number, start),
        pressure_gpa=pressure / units.GPa,
        moves=8000,
        shapes=True,
    )
    random, cell = np.random.default_rng(0), np.eye(3) * start ** (1 / 3)

    def log_weight(cell, power):
        volume = np.linalg.det(cell)
        return power * np.log(volume) - (soft(cell) + pressure * volume) / KT if volume > 0 else -np.inf

    def directly(power, cell=cell):
        here, cells = log_weight(cell, power), []
        for k in range(25000):
            trial = cell + random.normal(0, 0.15 * start ** (1 / 3), (3, 3))
            there = log_weight(trial, power)
            if np.log(random.random()) < there - here:
                cell, here = trial, there
            if k % 4 == 0:
                cells.append(cell)
        return np.array(cells[500:])

    def summary(cells):  # volume, logarithm of longest over shortest axis, squares of the metric's shears
        metric = cells @ np.swapaxes(cells, 1, 2) / start ** (2 / 3)
        axes = np.sqrt(np.linalg.eigvalsh(metric))
        shears = (metric[:, [0, 0, 1], [1, 2, 2]] ** 2).mean()
        return np.linalg.det(cells).mean() / start, np.log(axes[:, 2] / axes[:, 0]).mean(), shears

    ours, theirs, wrong = summary(found), summary(directly(number - 2)), summary(directly(number - 4))
    print(np.round(ours, 3), np.round(theirs, 3), np.round(wrong, 3))
    assert ours[0] == pytest.approx(theirs[0], rel=0.06)
    assert ours[1] == pytest.approx(theirs[1], rel=0.08)
    assert ours[2] == pytest.approx(theirs[2], rel=0.2)
    assert wrong[0] < 0.9 * theirs[0]  # two powers of V would be seen


def test_a_crystal_under_pressure_pushes_back_with_that_pressure():
    """Copper (EMT) at 300 K and 5 GPa: the mean of virial and kinetic pressure is the outer one."""
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True) * (2, 2, 2)
    atoms.calc = Evaluations(EMT())
    walker = cells(atoms, exploration(barostat="isotropic"), Walk("cells-0", "cells", 300, 500, pressure_gpa=5.0))
    random, pressures = np.random.default_rng(1), []
    walker.begin(atoms, random)
    for step in range(500):
        walker.advance(atoms, 1, random)
        if step >= 120:
            kinetic = len(atoms) * units.kB * 300 / atoms.get_volume()
            pressures.append((kinetic - atoms.get_stress()[:3].mean()) / units.GPa)
    print(f"{np.mean(pressures):.2f} GPa, {walker.notes()}")
    assert np.mean(pressures) == pytest.approx(5.0, abs=0.8)
    assert 0.15 < walker.notes()["volume_acceptance"] < 0.75


def test_moves_stay_between_the_walls_and_their_sizes_stay_after_the_tuning():
    def downhill(atoms):
        return -0.5 * atoms.get_volume()

    walker, found = moved(
        downhill,
        atoms=gas(2, 50.0),
        pressure_gpa=0.0,
        moves=600,
        shapes=True,
        volume_limits=(0.8, 1.3),
        shape_limit=0.2,
    )
    volumes = np.linalg.det(found)
    assert volumes.max() <= 1.3 * 50 * (1 + 1e-9)
    assert walker.notes()["cell_moves_at_walls"] > 0
    tuned = walker.state()["sizes"]
    again = gas(2, 60.0)
    again.calc = Evaluations(Energy(downhill))
    walker.advance(again, 100, np.random.default_rng(1))
    np.testing.assert_array_equal(walker.state()["sizes"], tuned)


def test_a_single_atom_in_its_cell_and_a_trial_without_a_number():
    atoms = bulk("Ar", "fcc", a=5.3)
    atoms.calc = Evaluations(
        Energy(lambda a: 0.0 if abs(a.get_volume() - bulk("Ar", a=5.3).get_volume()) < 1e-9 else np.nan)
    )
    walker = Cells(
        atoms, Still(), temperature_k=50, pressure_gpa=0, shapes=False, steps=50, minimum_distance_fraction=0.6
    )
    before = atoms.cell.array.copy()
    walker.advance(atoms, 50, np.random.default_rng(0))
    np.testing.assert_array_equal(atoms.cell.array, before)
    assert walker.notes()["volume_acceptance"] == 0.0


def test_resumed_moves_are_uninterrupted_moves():
    start = bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 2, 2)

    def make(atoms):
        return cells(atoms, exploration(), Walk("cells-0", "cells", 60, 60))

    killed_and_resumed_is_uninterrupted(make, start, argon_calculator)
