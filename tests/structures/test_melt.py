"""Melts have no order, quenches grow cold, and a surrogate with a hole ends a run in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from mlip_autopipec.config.full import Structures
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import new_frame, pairs
from mlip_autopipec.structures.melt import ATOMS, melt, quench, random_packing, timestep_fs
from mlip_autopipec.structures.task import Task


def task_of(make_calculator: Any = EMT, seed: int = 1, **changes: Any) -> Task:
    settings: dict[str, Any] = {
        "sources": ["prototypes"], "prototypes": [], "sqs_lattices": [], "sqs_atoms": [], "random_crystals": 0,
        "random_atoms_max": 4, "counts": {}, "atoms_max": 32, "rattle_amplitudes_angstrom": [0.05],
        "vacuum_angstrom": 8.0, "melt_temperature_k": 2500.0, "volume_strain_max": 0.15, "condensed_molecules": 4,
        "melt_steps": 400,
    }  # fmt: skip
    return Task(
        composition="Cu",
        amounts={"Cu": 1.0},
        classes=("metal",),
        settings=Structures(**{**settings, **changes}),
        seed=seed,
        make_calculator=make_calculator,
    )


def parent(atoms: Atoms, config_type: str = "crystal") -> Atoms:
    return new_frame(atoms, origin="test", config_type=config_type, prototype="A1")


COPPER = bulk("Cu", a=3.6)


def energy_per_atom(frame: Atoms) -> float:
    atoms = frame.copy()
    atoms.calc = EMT()
    return float(atoms.get_potential_energy() / len(atoms))


def test_atoms_are_packed_at_random_but_no_nearer_than_their_pair_may_be() -> None:
    numbers = np.repeat([11, 17], 12)
    shortest = {(11, 11): 3.8, (11, 17): 2.7, (17, 17): 3.8}
    atoms = random_packing(numbers, 24 * 22.5, shortest, np.random.default_rng(1))
    first, second, distance = pairs(atoms, 4.0)
    limit = np.array([shortest[tuple(sorted((a, b)))] for a, b in zip(numbers[first], numbers[second], strict=True)])
    assert atoms.cell.volume == pytest.approx(24 * 22.5)
    assert (distance > 0.85 * limit).all()
    other = random_packing(numbers, 24 * 22.5, shortest, np.random.default_rng(2))
    assert np.abs(atoms.positions - other.positions).max() > 1.0


def test_a_copper_melt_is_liquid_and_without_order() -> None:
    task, crystal = task_of(), parent(COPPER)
    frames = melt(task, [crystal], 10)
    assert len(frames) == 10
    assert {len(frame) for frame in frames} == {ATOMS}
    densities = {round(COPPER.cell.volume / (frame.cell.volume / len(frame)), 2) for frame in frames}
    assert densities == {1.0, 0.92}
    for frame in frames:
        assert frame.info["config_type"] == "melt"
        assert frame.info["parent"] == crystal.info["uid"]
        assert "(liquid)" in frame.info["origin"]
        assert (frame.info["plane_distances"] > 0).all()
        # A melt of Cu lies near 0.13 eV (the heat of fusion) and the heat of 2500 K above the crystal.
        assert 0.1 < energy_per_atom(frame) - energy_per_atom(COPPER) < 1.0
        # No fcc shell gap: between the first (2.55 A) and second shell (3.6 A) of a crystal lies nothing.
        assert (np.abs(pairs(frame, 3.4)[2] - 3.1) < 0.25).mean() > 0.1
    again = melt(task, [crystal], 10)
    assert [frame.info["uid"] for frame in again] == [frame.info["uid"] for frame in frames]
    assert melt(task_of(seed=2), [crystal], 10)[0].info["uid"] != frames[0].info["uid"]


def test_a_cold_start_is_not_called_a_liquid() -> None:
    frames = melt(task_of(melt_temperature_k=10.0, melt_steps=200), [parent(COPPER)], 2)
    assert all("not molten" in frame.info["origin"] for frame in frames)


def test_a_quench_ends_cold_at_several_densities() -> None:
    frames = quench(task_of(melt_steps=600), [parent(COPPER)], 12)
    assert len(frames) == 12
    assert {frame.info["config_type"] for frame in frames} == {"amorphous"}
    assert len({round(frame.cell.volume, 3) for frame in frames}) == 3
    hot = [energy_per_atom(frame) for frame in frames if "at 300 K" not in frame.info["origin"]]
    cold = [energy_per_atom(frame) for frame in frames if "at 300 K" in frame.info["origin"]]
    assert len(cold) == 3
    assert np.mean(cold) < np.mean(hot) - 0.05
    assert np.mean(cold) > energy_per_atom(COPPER)


def test_molecules_are_not_melted() -> None:
    assert melt(task_of(), [parent(COPPER, "molecule")], 4) == []
    assert quench(task_of(), [], 4) == []


@pytest.mark.parametrize(("formula", "step"), [("OH2", 0.5), ("C", 1.0), ("NaF", 1.0), ("Cu", 2.0), ("NaCl", 2.0)])
def test_light_atoms_take_short_steps_and_hot_ones_half_of_that(formula: str, step: float) -> None:
    assert timestep_fs(Atoms(formula), 2000.0) == step
    assert timestep_fs(Atoms(formula), 2500.0) == step / 2


@pytest.mark.parametrize(
    ("main", "densities"),
    [("ionic", {0.7, 0.85, 1.0}), ("covalent", {0.92, 1.0, 1.08}), ("metal", {0.92, 1.0})],
)
def test_salts_are_melted_thin_and_semiconductors_dense_too(main: str, densities: set[float]) -> None:
    task = replace(task_of(melt_steps=60), classes=(main,))
    frames = melt(task, [parent(COPPER)], 12)
    assert {round(COPPER.cell.volume / (frame.cell.volume / len(frame)), 2) for frame in frames} == densities
    assert {float(frame.info["origin"].split("density=")[1].split()[0]) for frame in frames} == densities


def test_the_pressure_is_told_and_falls_with_density() -> None:
    frames = melt(task_of(melt_steps=200), [parent(COPPER)], 8)
    told = {f.info["origin"].split("density=")[1].split()[0]: f.info["origin"].split("pressure=")[1] for f in frames}
    pressures = {density: float(words.split()[0]) for density, words in told.items()}
    assert pressures["1.0"] > pressures["0.92"] + 3  # 8 % of volume, and a bulk modulus near 100 GPa
    assert all(words.endswith(" GPa") for words in told.values())


class Falling(Calculator):
    """Atoms are thrown at each other, as by a surrogate with a hole at short distances."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms: Atoms | None = None, *args: Any) -> None:
        super().calculate(atoms, *args)
        forces = np.zeros((len(self.atoms), 3))
        first, second, _ = pairs(self.atoms, 3.0)
        towards = self.atoms.get_distances
        for i, j in zip(first, second, strict=True):
            forces[i] += 20 * towards(i, [j], mic=True, vector=True)[0]
        self.results = {"energy": 0.0, "forces": forces}


def test_a_surrogate_that_lets_atoms_fall_together_fails_in_words() -> None:
    with pytest.raises(DataError, match="no melt lasted"):
        melt(task_of(Falling, melt_steps=60), [parent(COPPER)], 4)
