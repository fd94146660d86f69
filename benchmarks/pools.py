"""Frozen pools and test sets for `choosing.py`: what the workflow would choose from, labelled by a cheap stand-in.

Pool: the workflow's own starting structures (all generators of the config of that composition) and plain MD from them
at the config's temperatures, a frame every 10 steps. Tests: starting structures of another seed, and other walkers.
CuAu is labelled by EMT, which also drives its MD. MgO and Si are labelled by SevenNet-0; their MD is driven by a linear
ACE taught by it in two rounds, because SevenNet-0 would take an hour on one core.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import BFGS
from ase.spacegroup import crystal

from mlip_autopipec.ace import ACECalculator, ACEPotential, Basis, BasisSpec, Factor, build_basis, design_rows
from mlip_autopipec.config import expand
from mlip_autopipec.config.full import Config
from mlip_autopipec.dynamics import choose_start
from mlip_autopipec.errors import DataError
from mlip_autopipec.features import structure_vector
from mlip_autopipec.frames import closest_contact, new_frame, read_frames, set_label, unique, write_frames
from mlip_autopipec.repulsion import Repulsion, chosen_baseline
from mlip_autopipec.seeds import generator
from mlip_autopipec.structures.generate import generate
from mlip_autopipec.structures.task import Task
from mlip_autopipec.surrogates import load_surrogate
from mlip_autopipec.training.delta import Target, subtract

ATOMS_MAX = 16
WALKERS_PER_TEMPERATURE = 3
STEPS, INTERVAL_STEPS, TEST_INTERVAL_STEPS = 1000, 10, 50
TEST_WALKERS_PER_TEMPERATURE = 4
WITHOUT_MD = ("volumes", "strains", "rattles", "bonds", "vacancies", "interstitials", "antisites", "surfaces")
WITH_MD = ("melt", "quench")
TEST_SHARE, TEST_LEAST = 0.3, 6  # test structures of a kind, as a share of the pool's, and at least
TEST_STRAIN = 0.9  # of the pool's limits: the series of volumes and strains know no seed

Array = np.ndarray


@dataclass(frozen=True)
class System:
    """A material: formula, basis of the fits, crystals to start from, whose labels, and whether these drive the MD."""

    name: str
    degrees: tuple[int, ...]
    cutoff_angstrom: float
    crystals: Callable[[], list[tuple[str, Atoms]]]
    label_calculator: Callable[[], Calculator]
    labels: str
    cheap: bool


def _cu_au() -> list[tuple[str, Atoms]]:
    l1_0 = bulk("Cu", "fcc", a=3.85, cubic=True)
    l1_0.symbols[[1, 2]] = "Au"
    b2 = Atoms("CuAu", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[3.05] * 3, pbc=True)
    mixed = bulk("Cu", "fcc", a=3.85, cubic=True) * (2, 2, 1)
    mixed.symbols[np.random.default_rng(1).permutation(16)[:8]] = "Au"
    return [("L1_0", l1_0), ("B2", b2), ("mixed", mixed)]


def _mgo() -> list[tuple[str, Atoms]]:
    b2 = Atoms("MgO", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[2.65] * 3, pbc=True)
    return [("B1", bulk("MgO", "rocksalt", a=4.24)), ("B3", bulk("MgO", "zincblende", a=4.6)), ("B2", b2)]


def _si() -> list[tuple[str, Atoms]]:
    tin = crystal("Si", [(0, 0, 0)], spacegroup=141, cellpar=[4.8, 4.8, 2.65, 90, 90, 90], primitive_cell=True)
    return [("A4", bulk("Si")), ("A5", tin)]


@cache
def _sevennet() -> Calculator:
    return load_surrogate("sevennet-0")


SYSTEMS = {
    one.name: one
    for one in (
        System("CuAu", (12, 8, 6), 5.5, _cu_au, EMT, "EMT", True),
        System("MgO", (12, 8, 6), 5.0, _mgo, _sevennet, "SevenNet-0", False),
        System("Si", (20, 16, 12), 5.5, _si, _sevennet, "SevenNet-0", False),
    )
}


@dataclass(frozen=True)
class Labelled:
    """What a fit to some frames shall reproduce, and, where SevenNet-0 labels, its invariants (else no columns)."""

    targets: list[Target]
    invariants: Array

    @property
    def frames(self) -> list[Atoms]:
        return [target.frame for target in self.targets]


class Labeller:
    """Labels frames once: they are kept, line by line, in a file of the cache."""

    def __init__(self, system: System, cache: Path) -> None:
        self.system, self.path = system, cache / f"labels-{system.name}.jsonl"
        lines = self.path.read_text().splitlines() if self.path.is_file() else []
        self.known = {record["uid"]: record for record in map(json.loads, lines)}
        self.seconds = 0.0

    def __call__(self, frames: Sequence[Atoms]) -> Labelled:
        start = time.process_time()
        with self.path.open("a") as file:
            for frame in frames:
                if frame.info["uid"] not in self.known:
                    record = self._label(frame)
                    self.known[record["uid"]] = record
                    file.write(json.dumps(record) + "\n")
                    file.flush()
        self.seconds += time.process_time() - start
        found = [self.known[frame.info["uid"]] for frame in frames]
        labelled = [
            set_label(frame.copy(), record["energy"], np.array(record["forces"]), np.array(record["stress"]))
            for frame, record in zip(frames, found, strict=True)
        ]
        targets = subtract(labelled, self.isolated, self.baseline)
        return Labelled(targets, np.array([record["invariants"] for record in found], dtype=np.float32))

    @cached_property
    def baseline(self) -> Repulsion | None:
        """The repulsion that the workflow's trainer subtracts."""
        config = configuration(self.system)
        return chosen_baseline(config.training, sorted(config.elements))

    @property
    def isolated(self) -> dict[str, float]:
        """Energies of the isolated atoms by element, eV."""
        energies = {}
        for symbol in sorted({s for _, atoms in self.system.crystals() for s in atoms.symbols}):
            alone = new_frame(Atoms(symbol, cell=[15.0] * 3, pbc=True), origin="atom", config_type="IsolatedAtom")
            if alone.info["uid"] not in self.known:
                self.known[alone.info["uid"]] = self._label(alone)
            energies[symbol] = float(self.known[alone.info["uid"]]["energy"])
        return energies

    def _label(self, frame: Atoms) -> dict[str, Any]:
        calculator = self.system.label_calculator()
        hooked = None if self.system.cheap else _hook()  # before the evaluation that it listens to
        bare = Atoms(numbers=frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc)
        bare.calc = calculator
        record = {
            "uid": frame.info["uid"],
            "energy": float(bare.get_potential_energy()),
            "forces": bare.get_forces().tolist(),
            "stress": bare.get_stress().tolist(),
        }
        vector = np.zeros(0) if hooked is None else structure_vector(hooked.last(), frame.numbers)
        return record | {"invariants": [float(f"{x:.6g}") for x in vector]}


@cache
def _hook() -> Any:
    from mlip_autopipec.surrogates import invariants

    return invariants(_sevennet())


def once(path: Path, make: Callable[[], list[Atoms]]) -> list[Atoms]:
    """The frames of a file, made at the first call: what was interrupted goes on from there."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_frames(path, make())
    return read_frames(path)


def basis_of(system: System) -> Basis:
    """The basis of the benchmark's fits."""
    elements = {s for _, atoms in system.crystals() for s in atoms.symbols}
    return build_basis(BasisSpec(tuple(elements), system.cutoff_angstrom, system.degrees))


ENERGY_WEIGHT, STRESS_WEIGHT = 30.0, 1.0  # against a force, per atom^1/2, as our trainer's


def rows_of(basis: Basis, data: Labelled) -> list[tuple[Array, Array]]:
    """Weighted rows (1 + 3N + 6, functions) and targets of every frame; the first is the energy, forces follow."""
    found = []
    for target in data.targets:
        rows, root = design_rows(basis, target.frame), np.sqrt(len(target.frame))
        assert target.strain_derivative_ev is not None
        a = np.vstack([rows.energy * (ENERGY_WEIGHT / root), rows.forces, rows.strain * (STRESS_WEIGHT / root)])
        energy, strain = target.energy_ev * ENERGY_WEIGHT / root, target.strain_derivative_ev * STRESS_WEIGHT / root
        found.append((a, np.concatenate([[energy], target.forces.ravel(), strain])))
    return found


def configuration(system: System) -> Config:
    """What the workflow would do for this composition, with small cells."""
    config = expand(
        {
            "composition": system.name,
            "structures": {"atoms_max": ATOMS_MAX, "supercell_edge_angstrom": 5.5, "melt_steps": 1200},
        }
    )[0]
    assert isinstance(config, Config)
    return config


def starting(
    system: System, config: Config, seed: int, driver: Calculator | None, names: Sequence[str], test: bool = False
) -> list[Atoms]:
    """Starting structures of the crystals, without duplicates; for the test fewer, at other volumes and strains."""
    counts = dict(config.structures.counts)
    strains = {name: getattr(config.structures, name) for name in ("volume_strain_max", "shear_strain_max")}
    if test:
        counts = {name: max(TEST_LEAST, round(TEST_SHARE * count)) if count else 0 for name, count in counts.items()}
        strains = {name: TEST_STRAIN * limit for name, limit in strains.items()}
    settings = config.structures.model_copy(update={"counts": counts, **strains})
    amounts, classes = config.amounts, tuple(config.material_class)
    task = Task(system.name, amounts, classes, settings, seed, lambda: driver or system.label_calculator())
    frames: list[Atoms] = []
    for name in names:
        made, record = generate(name, relaxed(system), task)
        frames += made
        if record["failed"]:
            print(f"  {system.name}: generator {name}: {record['failed']}", flush=True)
    return unique([f for f in frames if len(f) <= 2 * ATOMS_MAX])


@cache
def relaxed(system: System) -> list[Atoms]:
    """The crystals, cells and atoms relaxed by the labels' calculator."""
    parents = []
    for name, atoms in system.crystals():
        atoms.calc = system.label_calculator()
        BFGS(FrechetCellFilter(atoms), logfile=None).run(  # type: ignore[arg-type]
            fmax=0.02, steps=40
        )
        parents.append(new_frame(atoms, origin=f"crystal {name}", config_type="crystal", prototype=name))
    return parents


def walked(
    system: System, config: Config, starts: list[Atoms], driver: Calculator, name: str, kelvin: float, interval: int
) -> list[Atoms]:
    """Frames of one walker (NVT, Langevin), up to where it leaves what the workflow's guards allow."""
    settings = config.exploration
    random = generator(1, "choosing", system.name, name)
    start = choose_start(starts, random)
    atoms = Atoms(numbers=start.numbers, positions=start.positions, cell=start.cell, pbc=start.pbc, calculator=driver)
    MaxwellBoltzmannDistribution(atoms, temperature_K=kelvin, rng=random)
    friction = settings.friction_per_ps / (1000 * units.fs)
    dynamics = Langevin(atoms, settings.timestep_fs * units.fs, temperature_K=kelvin, friction=friction, rng=random)
    frames = []
    for step in range(interval, STEPS + 1, interval):
        try:
            dynamics.run(interval)
            force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
        except (DataError, ValueError, RuntimeError):
            break
        near = closest_contact(atoms)[0] < settings.minimum_distance_fraction
        if near or not force < settings.maximum_force_ev_per_angstrom:
            break
        frames.append(new_frame(atoms, origin=f"walker {name} step {step}", config_type=f"{kelvin:.0f} K", like=start))
    return frames


def taught(system: System, label: Labeller, frames: Sequence[Atoms]) -> Calculator:
    """A linear ACE on these labels, to drive MD in their place."""
    basis = basis_of(system)
    factor = Factor(basis.number_of_functions)
    for a, y in rows_of(basis, label(frames)):
        factor.append(a, y)
    coefficients = factor.solve(basis.smoothness).coefficients
    return ACECalculator(ACEPotential(basis, coefficients), baseline=label.baseline)


def make(system: System, cache: Path) -> dict[str, Labelled]:
    """pool, walks (test by independent trajectory) and sources (test by kind of structure), made once and kept."""
    cache.mkdir(parents=True, exist_ok=True)
    label = Labeller(system, cache)
    names = ("pool", "walks", "sources")
    if not all((cache / f"{system.name}-{name}.extxyz").is_file() for name in names):
        for name, frames in Maker(system, label, cache / system.name).frames().items():
            write_frames(cache / f"{system.name}-{name}.extxyz", frames)
    return {name: label(read_frames(cache / f"{system.name}-{name}.extxyz")) for name in names}


@dataclass(frozen=True)
class Maker:
    """Makes the frames of a system, piece by piece into a folder."""

    system: System
    label: Labeller
    folder: Path

    @cached_property
    def config(self) -> Config:
        return configuration(self.system)

    def frames(self) -> dict[str, list[Atoms]]:
        """Of the pool and of both tests."""
        built = self._built("pool", 1, None, WITHOUT_MD)
        driver = self.system.label_calculator() if self.system.cheap else self._taught(built)
        starts = unique(built + self._built("pool", 1, driver, WITH_MD))
        known = {frame.info["uid"] for frame in starts}
        others = self._built("test", 2, driver, WITHOUT_MD, True) + self._built("test", 2, driver, WITH_MD, True)
        others = [frame for frame in others if frame.info["uid"] not in known]
        walks = self._walks(starts, driver, "pool", WALKERS_PER_TEMPERATURE, INTERVAL_STEPS)
        return {
            "pool": unique(starts + walks),
            "walks": self._walks(others, driver, "test", TEST_WALKERS_PER_TEMPERATURE, TEST_INTERVAL_STEPS),
            "sources": others,
        }

    def _taught(self, built: list[Atoms]) -> Calculator:
        """A driver from two lessons: what the first one meets is labelled and teaches the second."""
        lessons = list(built)
        for lesson in range(2):
            driver = taught(self.system, self.label, lessons)
            molten = self._built(f"lesson {lesson}", 10 + lesson, driver, WITH_MD)
            hottest = [max(self.config.exploration.temperatures_k)]
            lessons += molten
            lessons += self._walks(lessons, driver, f"lesson {lesson}", 4, TEST_INTERVAL_STEPS, hottest)
        return taught(self.system, self.label, lessons)

    def _built(
        self, what: str, seed: int, driver: Calculator | None, names: Sequence[str], test: bool = False
    ) -> list[Atoms]:
        path = self.folder / f"{what} {names[0]}.extxyz"
        return once(path, lambda: starting(self.system, self.config, seed, driver, names, test))

    def _walks(
        self,
        starts: list[Atoms],
        driver: Calculator,
        what: str,
        number: int,
        interval: int,
        temperatures_k: Sequence[float] = (),
    ) -> list[Atoms]:
        found: list[Atoms] = []
        for kelvin in temperatures_k or self.config.exploration.temperatures_k:
            for k in range(number):
                name = f"{what} {kelvin:.0f} {k}"
                walker = partial(walked, self.system, self.config, starts, driver, name, kelvin, interval)
                found += once(self.folder / f"{name}.extxyz", walker)
        return found
