"""Relaxation finds known lattice constants, keeps symmetry, and stops before atoms collapse."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from mlip_autopipec.errors import DataError
from mlip_autopipec.structures.cells import space_group
from mlip_autopipec.structures.relax import relax, scaled_to_lowest


class Hole(Calculator):
    """Attraction without end: what a universal potential may do where it was never trained."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        difference = atoms.get_distance(0, 1, mic=True, vector=True)
        distance = np.linalg.norm(difference)
        pull = 20 * difference / distance**3
        self.results = {"energy": -20 / distance, "forces": np.array([pull, -pull]), "stress": np.zeros(6)}


@pytest.mark.parametrize(("symbol", "lattice_constant"), [("Al", 3.994), ("Ni", 3.488), ("Pt", 3.921)])
def test_lattice_constant_is_that_of_the_calculator(symbol, lattice_constant):
    relaxed, energy, converged = relax(bulk(symbol, a=lattice_constant * 1.06), EMT())
    assert converged
    assert relaxed.cell.lengths()[0] * np.sqrt(2) == pytest.approx(lattice_constant, rel=3e-3)
    assert energy == pytest.approx(0.0, abs=0.02)  # EMT counts from the crystal
    assert space_group(relaxed) == "Fm-3m"
    assert relaxed.calc is None


@pytest.mark.parametrize("wrong", [0.8, 1.25])
def test_estimate_of_the_volume_is_mended(wrong):
    mended = scaled_to_lowest(bulk("Cu", a=3.6 * wrong), EMT())
    assert mended.cell.lengths()[0] * np.sqrt(2) == pytest.approx(3.59, rel=0.01)


def test_pressure_makes_it_smaller():
    free, _, _ = relax(bulk("Cu", a=3.6), EMT())
    pressed, _, _ = relax(bulk("Cu", a=3.6), EMT(), pressure_gpa=10.0)
    assert 0.90 < pressed.get_volume() / free.get_volume() < 0.96


def test_fixed_cell_stays():
    start = bulk("Cu", a=3.7, cubic=True)
    start.positions[0] += 0.1
    relaxed, _, _ = relax(start, EMT(), cell=False)
    np.testing.assert_array_equal(relaxed.cell.array, start.cell.array)
    assert np.abs(relaxed.get_distances(0, [1, 2, 3], mic=True) - 3.7 / np.sqrt(2)).max() < 0.02


def test_collapse_is_an_error_not_a_result():
    pair = Atoms("Cu2", positions=[[0, 0, 0], [2.4, 0, 0]], cell=[8, 8, 8], pbc=True)
    with pytest.raises(DataError, match="collapsed"):
        relax(pair, Hole(), cell=False, steps_max=100)


def test_start_is_not_changed():
    start = bulk("Cu", a=3.8)
    relax(start, EMT())
    assert start.cell.lengths()[0] * np.sqrt(2) == pytest.approx(3.8)
