"""Melts and quenched glasses with the surrogate.

A crystal heated for less than a picosecond superheats and keeps its order. So the liquid starts without order: atoms
are thrown into a box and pushed apart to the distances of the crystals, each pair of elements to its own (which also
keeps ions of like charge apart). Then Langevin dynamics at the melting temperature of the config lets the surrogate
have its way; a quench cools evenly to 300 K after that (melt and quench, as for amorphous silicon: Stich, Car and
Parrinello, Phys. Rev. B 44, 11092, 1991, there 10^15 K/s).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations_with_replacement
from math import gcd

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.units import GPa
from matscipy.neighbours import neighbour_list
from scipy.optimize import minimize

from mlip_autopipec.config.elements import md_timestep_fs
from mlip_autopipec.dynamics import Guards, Thermostat, run
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import new_frame, pairs
from mlip_autopipec.structures.task import Task

ATOMS = 24  # at most: 300 steps take a minute on one core with SevenNet-0 (30 ms and 7 ms per atom a step)
# Densities of melts, of the crystal, the most typical first. At melting metals grow by some per cent, alkali halides by
# a quarter (with the crystal's own expansion; NaCl: 0.72 at 1074 K, Janz, J. Phys. Chem. Ref. Data 17, suppl. 2, 1988),
# silicon, germanium and III-V compounds shrink (Glazov et al., Liquid Semiconductors, 1969).
MELT_DENSITIES = {"ionic": (0.85, 0.7, 1.0), "covalent": (1.0, 1.08, 0.92)}
MELT_DENSITIES_OF_OTHERS = (1.0, 0.92)
QUENCH_DENSITIES = (1.0, 0.92, 1.08)
FINAL_K = 300.0
HOT_K = 2000.0  # above it atoms pass one another at short distances: half the time step
FRICTION_PER_PS = 20.0  # takes the heat of the random start away within 0.1 ps
MELTED_PART = 0.4  # of a quench is spent at the melting temperature
MAXIMUM_FORCE_EV_PER_ANGSTROM = 60.0
GUARD = 0.8  # a trajectory stops at this part of minimum_distance_fraction: hot atoms come nearer than kept frames may
DISTANCES = 0.95  # of the crystals' shortest, to which random atoms are pushed apart
LONGEST = 2.0  # at most so many times the shortest of all pairs: rare atoms of an alloy are far apart by chance
_PAIRS_WITHIN_ANGSTROM = 8.0
INTERVAL_STEPS = 5
# A crystal melts when its atoms are about 0.1 of the nearest distance from their sites (Lindemann): between two times
# that is 0.14. Farther, atoms have left their places.
FLOWING = 0.15


@dataclass
class Trajectory:
    """What one run has seen: (step, atoms) pairs, in order, their pressures (GPa) by step, and why it stopped ('')."""

    density: float
    seen: list[tuple[int, Atoms]] = field(default_factory=list)
    pressures_gpa: dict[int, float] = field(default_factory=dict)
    stopped: str = ""

    def after(self, step: int) -> list[tuple[int, Atoms]]:
        return [(number, atoms) for number, atoms in self.seen if number >= step]

    def pressure(self, step: int) -> str:
        """Mean pressure from this step on, in words; '' when the surrogate has no stress."""
        found = [value for number, value in self.pressures_gpa.items() if number >= step]
        return f" pressure={np.mean(found):+.1f} GPa" if found else ""


def melt(task: Task, parents: list[Atoms], number: int) -> list[Atoms]:
    """Frames from the second half of melts at two or three densities, five steps apart or more.

    All take `melt_steps` MD steps together. The `origin` of each says how far atoms moved in that half, in nearest
    distances, whether that is a liquid, and the surrogate's mean pressure.
    """
    crystals = _crystals(parents)
    if not crystals or number == 0:
        return []
    temperature = task.settings.melt_temperature_k
    runs = _spread(number, MELT_DENSITIES.get(task.classes[0], MELT_DENSITIES_OF_OTHERS))
    steps = max(2, task.settings.melt_steps // len(runs))
    frames = []
    for density, wanted in runs.items():
        trajectory = _simulate(task, crystals, density, "melt", [(temperature, temperature, steps)])
        half = trajectory.after(steps // 2)
        moved, words = _mobility(half, crystals)
        for step, atoms in _evenly(half, wanted):
            origin = f"melt {temperature:.0f} K density={density} step={step} moved={moved:.2f} ({words})"
            origin += trajectory.pressure(steps // 2)
            frames.append(_frame(atoms, origin, "melt", crystals[0], trajectory))
    return _or_error(frames, "melt")


def quench(task: Task, parents: list[Atoms], number: int) -> list[Atoms]:
    """Frames from the cooling of melts to 300 K at densities around the crystal's; `melt_steps` MD steps in all."""
    crystals = _crystals(parents)
    if not crystals or number == 0:
        return []
    hot = task.settings.melt_temperature_k
    runs = _spread(number, QUENCH_DENSITIES)
    steps = max(4, task.settings.melt_steps // len(runs))
    melted = max(1, round(MELTED_PART * steps))
    frames = []
    for density, wanted in runs.items():
        schedule = [(hot, hot, melted), (hot, FINAL_K, steps - melted)]
        trajectory = _simulate(task, crystals, density, "quench", schedule)
        # From the end backwards: the coldest frame, the glass, is always one of them.
        for step, atoms in _evenly(trajectory.after(melted + 1)[::-1], wanted):
            kelvin = hot + (FINAL_K - hot) * (step - melted) / (steps - melted)
            origin = f"quench from {hot:.0f} K density={density} step={step} at {kelvin:.0f} K"
            origin += trajectory.pressure(melted + 1)
            frames.append(_frame(atoms, origin, "amorphous", crystals[0], trajectory))
    return _or_error(frames, "quench")


def timestep_fs(atoms: Atoms, temperature_k: float) -> float:
    """MD time step, fs: that of walkers, half of it when hot."""
    step = md_timestep_fs(atoms.symbols)
    return step / 2 if temperature_k > HOT_K else step


def random_packing(
    numbers: np.ndarray,
    volume_angstrom3: float,
    shortest_angstrom: dict[tuple[int, int], float],
    random: np.random.Generator,
) -> Atoms:
    """Atoms at random in a cube, pushed apart by springs between those nearer than their pair may be.

    Args:
        shortest_angstrom: by pair of atomic numbers, the smaller first.
    """
    edge = volume_angstrom3 ** (1 / 3)
    atoms = Atoms(numbers=numbers, positions=random.uniform(0, edge, (len(numbers), 3)), cell=[edge] * 3, pbc=True)
    limit = np.zeros((120, 120))
    for (a, b), distance in shortest_angstrom.items():
        limit[a, b] = limit[b, a] = distance
    cutoff = float(limit.max())

    def springs(flat: np.ndarray) -> tuple[float, np.ndarray]:
        atoms.positions = flat.reshape(-1, 3)
        first, second, distance, vector = neighbour_list("ijdD", atoms, cutoff=cutoff)
        short = limit[numbers[first], numbers[second]] - distance
        near = short > 0
        short, vector, distance = short[near], vector[near], np.maximum(distance[near], 1e-6)
        gradient = np.zeros((len(numbers), 3))
        np.add.at(gradient, first[near], 2 * (short / distance)[:, None] * vector)
        return float((short**2).sum() / 2), gradient.ravel()

    atoms.positions = minimize(springs, atoms.positions.ravel(), jac=True, method="L-BFGS-B").x.reshape(-1, 3)
    atoms.wrap()
    return atoms


def _crystals(parents: list[Atoms]) -> list[Atoms]:
    return [parent for parent in parents if parent.info["config_type"] == "crystal"]


def _spread(number: int, densities: tuple[float, ...]) -> dict[float, int]:
    """Frames wanted at each density; few frames come from few runs, which are the longer for it."""
    used = densities[: max(1, min(len(densities), number // 4))]
    return {density: number // len(used) + (k < number % len(used)) for k, density in enumerate(used)}


def _shortest(crystals: list[Atoms]) -> dict[tuple[int, int], float]:
    """Shortest distance, A, of each pair of elements in any of the crystals."""
    shortest: dict[tuple[int, int], float] = {}
    for crystal in crystals:
        first, second, distance = pairs(crystal, _PAIRS_WITHIN_ANGSTROM)
        a, b = crystal.numbers[first], crystal.numbers[second]
        for pair in set(zip(a.tolist(), b.tolist(), strict=True)):
            if pair[0] <= pair[1]:
                found = float(distance[(a == pair[0]) & (b == pair[1])].min())
                shortest[pair] = min(found, shortest.get(pair, np.inf))
    least = min(shortest.values())
    elements = sorted(set(np.concatenate([crystal.numbers for crystal in crystals]).tolist()))
    every = combinations_with_replacement(elements, 2)
    return {pair: min(shortest.get(pair, np.inf), LONGEST * least) for pair in every}


def _numbers(crystal: Atoms, atoms_max: int) -> np.ndarray:
    """Atomic numbers of as many formula units as fit, one at least."""
    elements, counts = np.unique(crystal.numbers, return_counts=True)
    counts = counts // reduce(gcd, map(int, counts))
    return np.repeat(elements, counts * max(1, min(ATOMS, atoms_max) // int(counts.sum())))


def _simulate(
    task: Task, crystals: list[Atoms], density: float, name: str, schedule: list[tuple[float, float, int]]
) -> Trajectory:
    """A random packing at this density under a schedule of (first, last temperature in K, steps)."""
    random = task.random(name, density)
    numbers = _numbers(crystals[0], task.settings.atoms_max)
    volume = len(numbers) * crystals[0].cell.volume / len(crystals[0]) / density
    distances = {pair: DISTANCES * distance for pair, distance in _shortest(crystals).items()}
    atoms = random_packing(numbers, volume, distances, random)
    guards = Guards(GUARD * task.settings.minimum_distance_fraction, MAXIMUM_FORCE_EV_PER_ANGSTROM)
    trajectory = Trajectory(density)
    done = 0
    for first_k, last_k, steps in schedule:
        offset = done

        def see(step: int, moving: Atoms, offset: int = offset) -> str:
            trajectory.seen.append((offset + step, moving.copy()))
            with suppress(PropertyNotImplementedError):
                stress = moving.get_stress(include_ideal_gas=True)
                trajectory.pressures_gpa[offset + step] = float(-stress[:3].mean() / GPa)
            return ""

        made, trajectory.stopped = run(
            atoms,
            task.calculator,
            Thermostat(first_k, timestep_fs(atoms, first_k), FRICTION_PER_PS, temperature_end_k=last_k),
            guards,
            steps=steps,
            interval=INTERVAL_STEPS,
            random=random,
            visit=see,
        )
        done += made
        if trajectory.stopped:
            break
        atoms = trajectory.seen[-1][1]
    return trajectory


def _evenly(seen: list[tuple[int, Atoms]], number: int) -> list[tuple[int, Atoms]]:
    """At most `number`, evenly spread, the first and the last among them."""
    chosen = np.unique(np.rint(np.linspace(0, len(seen) - 1, min(number, len(seen)))).astype(int))
    return [seen[k] for k in chosen]


def _mobility(half: list[tuple[int, Atoms]], crystals: list[Atoms]) -> tuple[float, str]:
    """Root-mean-square displacement over a part of a run in nearest distances of the crystals, and a verdict."""
    if len(half) < 2:
        return 0.0, "too short to tell"
    moved = half[-1][1].positions - half[0][1].positions
    moved -= moved.mean(axis=0)
    ratio = float(np.sqrt((moved**2).sum(axis=1).mean())) / min(_shortest(crystals).values())
    return ratio, "liquid" if ratio > FLOWING else "disordered, not flowing: not molten"


def _frame(atoms: Atoms, origin: str, config_type: str, crystal: Atoms, trajectory: Trajectory) -> Atoms:
    if trajectory.stopped:
        origin += f", stopped: {trajectory.stopped}"
    copy = atoms.copy()
    copy.wrap()
    return new_frame(copy, origin=origin, config_type=config_type, parent=crystal.info["uid"])


def _or_error(frames: list[Atoms], what: str) -> list[Atoms]:
    if not frames:
        raise DataError(f"no {what} lasted long enough: the surrogate's atoms flew apart or together")
    return frames
