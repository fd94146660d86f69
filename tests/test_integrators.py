"""The baths and barostats sample what they say: against exact results of systems that have them."""

import numpy as np
import pytest
from argon import QuickArgon
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from scipy import stats

from mlip_autopipec.integrators import Barostat, Bath, kinetic_temperature_k, set_velocities, step

T = 300.0
KT = units.kB * T


class Springs(Calculator):
    """Springs (eV/A^2) between all pairs, at rest when the atoms are in their places; without them an ideal gas."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, places, stiffness):
        super().__init__()
        self.places, self.stiffness = places, stiffness

    def calculate(self, atoms=None, properties=None, system_changes=None):
        self.atoms = atoms.copy()
        away = atoms.positions - self.places
        pulled = self.stiffness * (len(atoms) * away - away.sum(axis=0))
        self.results = {"energy": 0.5 * float((pulled * away).sum()), "forces": -pulled, "stress": np.zeros(6)}


class Rubber(Calculator):
    """No forces; a cell that resists shear: energy c tr(e'^2) of the deviatoric logarithmic strain e'."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, cell, c):
        super().__init__()
        self.inverse, self.c = np.linalg.inv(cell), c

    def calculate(self, atoms=None, properties=None, system_changes=None):
        self.atoms = atoms.copy()
        change = self.inverse @ atoms.cell.array
        values, axes = np.linalg.eigh(change.T @ change)
        strain = 0.5 * (axes * np.log(values)) @ axes.T
        strain -= np.trace(strain) / 3 * np.eye(3)
        stress = 2 * self.c * strain / atoms.get_volume()
        self.results = {
            "energy": self.c * float((strain**2).sum()),
            "forces": np.zeros((len(atoms), 3)),
            "stress": stress.ravel()[[0, 4, 8, 5, 2, 1]],
        }


def sample(atoms, steps, bath, barostat, look, timestep_fs=2.0, skip=0.1, temperature_k=T):
    random = np.random.default_rng(1)
    set_velocities(atoms, temperature_k, random)
    seen = []
    for number in range(steps):
        step(atoms, timestep_fs, temperature_k, bath, barostat, random)
        if number > skip * steps:
            seen.append(look(atoms))
    return np.array(seen)


def error(values, blocks=20):
    """Standard error of a mean of correlated values, from the means of blocks."""
    means = values[: len(values) // blocks * blocks].reshape(blocks, -1).mean(axis=1)
    return means.std(ddof=1) / np.sqrt(blocks)


def agrees(values, expected, relative=0.1):
    """Whether a mean is what it should be within 4 standard errors, and these are small enough to tell."""
    assert 4 * error(values) < relative * abs(expected), "too few steps to tell"
    return abs(values.mean() - expected) < 4 * error(values)


def test_langevin_samples_two_unlike_atoms_exactly():
    """Two atoms, where a centre of mass held in the wrong way shows most; large steps, where the splitting shows.

    Of a spring BAOAB samples the length exactly, and momenta with 1 - (omega dt)^2 / 4 (Leimkuhler and Matthews).
    """
    stiffness, timestep_fs = 2.0, 2.0
    atoms = Atoms("HCl", [[0, 0, 0], [3, 0, 0]], cell=[9, 9, 9], pbc=True)
    places, (light, heavy) = atoms.positions.copy(), atoms.get_masses()
    atoms.calc = Springs(places, stiffness)
    reduced = light * heavy / (light + heavy)

    def look(atoms):
        away, momenta = atoms.positions - places, atoms.get_momenta()
        return [((away[0] - away[1]) ** 2).mean(), (momenta[0] ** 2).mean() / reduced]

    seen = sample(atoms, 15000, Bath("langevin", 100.0), None, look, timestep_fs)
    assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-10
    assert agrees(seen[:, 0], KT / stiffness)
    assert agrees(seen[:, 1], KT * (1 - stiffness / reduced * (timestep_fs * units.fs) ** 2 / 4))


def test_bussi_gives_the_kinetic_energy_its_distribution():
    atoms = Atoms("Ar2Cu2", np.arange(12).reshape(4, 3), cell=[20, 20, 20], pbc=True)
    atoms.calc = Springs(atoms.positions.copy(), 0.0)
    bath = Bath("bussi", 125.0)
    kinetic = sample(atoms, 10000, bath, None, lambda a: a.get_kinetic_energy())
    assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-10
    apart = kinetic[::8]  # 16 fs, four times the bath's relaxation time
    assert stats.kstest(apart, stats.gamma(9 / 2, scale=KT).cdf).pvalue > 0.01
    assert stats.kstest(apart, stats.gamma(12 / 2, scale=KT).cdf).pvalue < 1e-6


@pytest.mark.parametrize("kind", ["langevin", "bussi"])
def test_an_ideal_gas_at_constant_pressure_has_its_exact_volume(kind):
    """Density of volumes V^N exp(-P V / kT): mean N + 1, variance N + 1 in units of kT/P."""
    number, pressure_gpa = 4, 1.0
    unit = KT / (pressure_gpa * units.GPa)
    atoms = Atoms("Ar2Cu2", np.arange(12).reshape(4, 3), cell=np.eye(3) * (number * unit) ** (1 / 3), pbc=True)
    atoms.calc = Springs(atoms.positions.copy(), 0.0)
    barostat = Barostat(pressure_gpa, 100.0, 0.3 * pressure_gpa, full=False)
    volumes = sample(atoms, 10000, Bath(kind, 50.0), barostat, lambda a: a.get_volume() / unit)
    assert volumes.mean() == pytest.approx(number + 1, abs=0.5)
    assert volumes.var() == pytest.approx(number + 1, rel=0.3)


def test_a_full_barostat_gives_volume_and_shape_their_share():
    """Five shears of kT/2 each; the curved space of shapes adds about kT / 2c of that; volumes as without shape."""
    number, pressure_gpa = 4, 1.0
    unit = KT / (pressure_gpa * units.GPa)
    cell = np.eye(3) * (number * unit) ** (1 / 3)
    atoms = Atoms("Ar2Cu2", np.arange(12).reshape(4, 3), cell=cell, pbc=True)
    atoms.calc = Rubber(cell, 10 * KT)
    barostat = Barostat(pressure_gpa, 200.0, 0.3 * pressure_gpa, full=True)
    seen = sample(
        atoms, 10000, Bath("langevin", 50.0), barostat, lambda a: [a.get_volume() / unit, a.get_potential_energy() / KT]
    )
    assert seen[:, 0].mean() == pytest.approx(number + 1, abs=0.7)
    assert seen[:, 1].mean() == pytest.approx(2.5 * 1.05, rel=0.15)


def test_the_argon_of_these_tests_has_the_forces_and_the_stress_of_its_energy():
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True)
    atoms.rattle(0.2, seed=1)
    atoms.set_cell(atoms.cell.array @ [[1, 0.03, 0], [0, 1.02, 0], [0.05, 0, 0.98]], scale_atoms=True)
    atoms.calc = QuickArgon()
    np.testing.assert_allclose(calculate_numerical_forces(atoms, 1e-4), atoms.get_forces(), atol=1e-6)
    stress = calculate_numerical_stress(atoms, 1e-5, force_consistent=False)
    np.testing.assert_allclose(stress, atoms.get_stress(), atol=1e-7)


@pytest.mark.parametrize(("kind", "full"), [("langevin", True), ("bussi", False)])
def test_argon_is_at_the_pressure_and_temperature_asked_for(kind, full):
    """The mean of the internal pressure is that of the barostat, whatever the equation of state."""
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True)
    atoms.calc = QuickArgon()
    kelvin, gpa = 40.0, 0.3
    bath, barostat = Bath(kind, 5.0), Barostat(gpa, 500.0, 3.0, full)

    def look(atoms):
        kinetic = units.kB * kinetic_temperature_k(atoms)
        inside = len(atoms) * kinetic / atoms.get_volume() - np.trace(atoms.get_stress(voigt=False)) / 3
        return [kinetic / units.kB, inside / units.GPa]

    seen = sample(atoms, 8000, bath, barostat, look, timestep_fs=8.0, skip=0.1, temperature_k=kelvin)
    assert agrees(seen[:, 0], kelvin, relative=0.15)
    assert agrees(seen[:, 1], gpa, relative=0.3)
