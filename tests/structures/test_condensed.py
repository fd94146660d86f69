"""Molecules packed near the density of their liquid, whole and not too near."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones
from molecular_cases import amounts_of, parent, task

from mlip_autopipec.frames import closest_contact, has_vacuum
from mlip_autopipec.structures.condensed import LIQUID_G_PER_CM3, PACKING, condensed, liquid_volume, packed
from mlip_autopipec.structures.placing import touching, van_der_waals_volume


class Springs(Calculator):
    """Holds each molecule together: harmonic in all distances inside it, nothing between molecules."""

    implemented_properties = ("energy", "forces")

    def __init__(self, molecule: Atoms) -> None:
        super().__init__()
        self.lengths = molecule.get_all_distances()

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        bodies = atoms.positions.reshape(-1, len(self.lengths), 3)
        apart = bodies[:, :, None] - bodies[:, None]
        length = np.linalg.norm(apart, axis=3)
        excess = length - self.lengths
        forces = -20.0 * ((excess / np.maximum(length, 1e-9))[..., None] * apart).sum(axis=2)
        self.results = {"energy": 5.0 * float((excess**2).sum()), "forces": forces.reshape(-1, 3)}


def springs(molecule: Atoms, **settings: object):
    return task(amounts_of(molecule), lambda: Springs(molecule), **settings)


def density_g_per_cm3(atoms: Atoms) -> float:
    return float(atoms.get_masses().sum() * units._amu * 1e3 / (atoms.cell.volume * 1e-24))


@pytest.mark.parametrize(
    ("name", "density"),
    [("CH3CH2OH", 0.789), ("C6H6", 0.877), ("CH3OH", 0.791), ("CH3COCH3", 0.785), ("SO2", 1.46)],
)
def test_volumes_of_liquids_are_met_within_the_spread(name: str, density: float) -> None:
    """Densities of the CRC Handbook: at 293 K, sulphur dioxide at its boiling point."""
    molecule = parent(name)
    measured = molecule.get_masses().sum() * units._amu * 1e3 / density * 1e24
    assert liquid_volume(molecule) == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize("name", ["H2O", "NH3", "CO2", "C2H4", "C2H6"])
def test_the_rule_of_packing_agrees_with_the_liquids_of_the_table(name: str) -> None:
    molecule = parent(name)
    assert molecule.get_chemical_formula("hill") in LIQUID_G_PER_CM3
    assert van_der_waals_volume(molecule) / liquid_volume(molecule) == pytest.approx(PACKING, rel=0.2)


def test_the_volume_of_a_sphere_and_of_two_that_overlap() -> None:
    argon = Atoms("Ar")
    sphere = 4 / 3 * np.pi * 1.88**3
    assert van_der_waals_volume(argon) == pytest.approx(sphere, rel=0.01)
    pair = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 2.0]])
    lens = np.pi * (4 * 1.88 + 2.0) * (2 * 1.88 - 2.0) ** 2 / 12
    assert van_der_waals_volume(pair) == pytest.approx(2 * sphere - lens, rel=0.01)


@pytest.mark.parametrize("name", ["H2O", "CO2", "CH3CH2OH"])
def test_packed_molecules_keep_their_shape_and_their_distance(name: str) -> None:
    molecule = parent(name)
    size, ratio = 4, 0.8
    edge = (size * liquid_volume(molecule)) ** (1 / 3)
    atoms = packed(molecule, size, edge, ratio, np.random.default_rng(0))
    assert atoms is not None
    limit = ratio * touching(molecule)
    n = len(molecule)
    for a in range(size):
        own = atoms[a * n : (a + 1) * n]
        assert own.get_all_distances() == pytest.approx(molecule.get_all_distances(), abs=1e-6)
        for b in range(a + 1, size):
            apart = atoms.get_all_distances(mic=True)[a * n : (a + 1) * n, b * n : (b + 1) * n]
            assert (apart > limit - 0.03).all()


def test_what_cannot_fit_is_not_forced() -> None:
    water = parent("H2O")
    assert packed(water, 8, 4.0, 0.85, np.random.default_rng(0)) is None


def test_cells_span_the_densities_and_hold_whole_molecules() -> None:
    water = parent("H2O")
    frames = condensed(springs(water), [water], 8)
    assert len(frames) == 8
    ratios = np.array([density_g_per_cm3(frame) for frame in frames]) / LIQUID_G_PER_CM3["H2O"]
    assert ratios.min() == pytest.approx(0.85, abs=0.04)
    assert ratios.max() == pytest.approx(1.15, abs=0.04)
    assert (np.diff(ratios) > 0).all()
    for frame in frames:
        assert len(frame) == 24
        assert frame.pbc.all()
        assert not has_vacuum(frame)
        assert frame.info["plane_distances"] == pytest.approx(frame.cell.lengths())
        assert frame.info["config_type"] == "condensed"
        assert frame.info["parent"] == water.info["uid"]
        assert closest_contact(frame)[0] >= 0.7
        bodies = frame.positions.reshape(-1, 3, 3)
        assert np.linalg.norm(bodies[:, 1] - bodies[:, 0], axis=1) == pytest.approx(0.97, abs=0.25)
    again = condensed(springs(water), [water], 8)
    assert [frame.info["uid"] for frame in frames] == [frame.info["uid"] for frame in again]


def test_a_cell_in_which_molecules_break_is_not_kept() -> None:
    water = parent("H2O")
    longer = water.copy()
    longer.positions *= 1.6
    assert condensed(task(amounts_of(water), lambda: Springs(longer)), [water], 1) == []


def test_argon_and_the_limit_of_atoms() -> None:
    argon = parent(Atoms("Ar"))
    frames = condensed(task({"Ar": 1.0}, lambda: LennardJones(epsilon=0.0104, sigma=3.4, rc=6.0)), [argon], 3)
    assert [len(frame) for frame in frames] == [8, 8, 8]
    ethanol = parent("CH3CH2OH")
    (frame,) = condensed(springs(ethanol), [ethanol], 1)
    assert len(frame) == 4 * 9  # 40 atoms at most
    assert condensed(springs(ethanol, atoms_max=17), [ethanol], 1) == []
    crystal = argon.copy()
    crystal.info["config_type"] = "crystal"
    assert condensed(task({"Ar": 1.0}), [crystal], 3) == []
