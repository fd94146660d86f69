"""Bulk, slab, wire and molecule are told apart by the vacuum in the cell, however the cell is cut."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, graphene, make_supercell, molecule, nanotube
from ase.cluster import Octahedron
from ase.lattice.hexagonal import Graphite

from mlip_autopipec.exploration.shape import shape


def sheared(atoms):
    """The same crystal in a skewed cell."""
    return make_supercell(atoms, [[1, 0, 0], [1, 1, 0], [2, -1, 1]])


def boxed(atoms, vacuum, pbc=True):
    atoms = atoms.copy()
    atoms.center(vacuum=vacuum)
    atoms.pbc = pbc
    return atoms


def slab(vacuum=8.0, shift=0.0):
    atoms = fcc111("Cu", (2, 2, 4), vacuum=vacuum, periodic=True)
    atoms.positions[:, 2] += shift
    atoms.wrap()
    return atoms


def skewed_slab():
    """A slab whose third axis leans over by more than the slab is wide."""
    atoms = slab()
    cell = atoms.cell.array.copy()
    cell[2] += 2 * cell[0] + cell[1]
    atoms.set_cell(cell, scale_atoms=False)
    return atoms


def lying_slab():
    atoms = slab()
    atoms.set_cell(atoms.cell.array[[2, 0, 1]], scale_atoms=False)
    return atoms


def water_at_the_corner():
    atoms = boxed(molecule("H2O"), 5.0)
    atoms.positions -= atoms.positions[0]
    return atoms


def wet_slab():
    atoms = slab()
    add_adsorbate(atoms, molecule("H2O"), 2.2, "ontop")
    return atoms


def cage():
    """A crystal with a hole of 5 A in it, and atoms on all planes around."""
    atoms = bulk("Cu", cubic=True).repeat(4)
    return atoms[np.linalg.norm(atoms.positions - atoms.cell.sum(axis=0) / 2, axis=1) > 5.0]


def graphite():
    return Graphite("C", latticeconstant={"a": 2.46, "c": 6.70})


def liquid():
    random = np.random.default_rng(0)
    atoms = bulk("Cu", cubic=True).repeat(2)
    return Atoms(atoms.symbols, random.random((32, 3)) @ atoms.cell.array, cell=atoms.cell, pbc=True)


SHAPES = [
    ("fcc, one atom", bulk("Cu"), "bulk", ()),
    ("bcc of large atoms, one atom", bulk("Cs"), "bulk", ()),
    ("noble gas, one atom", bulk("Xe", "fcc", a=6.2), "bulk", ()),
    ("diamond", bulk("Si", cubic=True), "bulk", ()),
    ("fcc, skewed", sheared(bulk("Al", cubic=True)), "bulk", ()),
    ("hcp", bulk("Mg"), "bulk", ()),
    ("salt", bulk("NaCl", "rocksalt", a=5.64), "bulk", ()),
    ("graphite", graphite(), "bulk", ()),
    ("graphite, skewed", sheared(graphite()), "bulk", ()),
    ("porous", cage(), "bulk", ()),
    ("liquid", liquid(), "bulk", ()),
    ("supercell with a vacancy", bulk("Cu", cubic=True).repeat(2)[1:], "bulk", ()),
    ("slab", slab(), "slab", (2,)),
    ("slab across the boundary", slab(shift=14.0), "slab", (2,)),
    ("skewed slab", skewed_slab(), "slab", (2,)),
    ("slab that is not periodic", fcc111("Cu", (2, 2, 3), vacuum=1.0), "slab", (2,)),
    ("slab with water", wet_slab(), "slab", (2,)),
    ("graphene", graphene(vacuum=7.0, size=(2, 2, 1)), "slab", (2,)),
    ("slab along the first axis", lying_slab(), "slab", (0,)),
    ("nanotube", nanotube(5, 0, length=2, vacuum=5.0), "wire", (0, 1)),
    ("chain", Atoms("Au2", [[0, 0, 0], [2.6, 0, 0]], cell=[5.2, 12, 12], pbc=True), "wire", (1, 2)),
    ("water in a box", boxed(molecule("H2O"), 5.0), "molecule", (0, 1, 2)),
    ("water across the corner", water_at_the_corner(), "molecule", (0, 1, 2)),
    ("water without a cell", molecule("H2O"), "molecule", (0, 1, 2)),
    ("atom in a box", Atoms("Cu", cell=[9, 9, 9], pbc=True), "molecule", (0, 1, 2)),
    ("cluster", boxed(Octahedron("Cu", 4), 5.0), "molecule", (0, 1, 2)),
]


@pytest.mark.parametrize(("atoms", "kind", "open_axes"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES])
def test_the_shape_is_told_by_vacuum(atoms, kind, open_axes):
    found = shape(atoms)
    assert (found.kind, found.open_axes) == (kind, open_axes)
    assert not found.grey
    assert found.is_surely_bulk == (kind == "bulk")


@pytest.mark.parametrize("gap", [4.0, 5.5])
def test_a_gap_that_may_be_either_is_grey_and_no_barostat_may_move_it(gap):
    atoms = graphite()
    atoms.set_cell([*atoms.cell.array[:2], [0, 0, 2 * gap]], scale_atoms=True)
    found = shape(atoms)
    assert (found.kind, found.grey, found.is_surely_bulk) == ("bulk", True, False)
    assert found.gap_angstrom == pytest.approx(gap)
    thin = slab(vacuum=gap / 2)
    assert shape(thin).grey


def test_the_widest_gap_is_measured_along_the_normal_of_the_planes():
    assert shape(slab(vacuum=8.0)).gap_angstrom == pytest.approx(16.0)
    assert shape(skewed_slab()).gap_angstrom == pytest.approx(16.0)
