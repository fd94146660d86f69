"""Copies of a structure are recognised however they are written; strained and rattled ones are not copies."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, make_supercell, molecule
from ase.spacegroup import crystal

from mlip_autopipec.structures.matching import SAME_CRYSTAL_ANGSTROM, same_structure, without_duplicates


def rutile() -> Atoms:
    return crystal(["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.59, 4.59, 2.96, 90, 90, 90])


def disordered(atoms: Atoms, amplitude: float, seed: int = 0) -> Atoms:
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(scale=amplitude, size=moved.positions.shape)
    return moved


def written_differently(atoms: Atoms, seed: int = 5) -> Atoms:
    """Other cell vectors, origin, orientation, order of atoms."""
    random = np.random.default_rng(seed)
    copy = make_supercell(atoms, [[1, 1, 0], [0, 1, 0], [0, -1, 1]])
    copy.positions += random.uniform(-3, 3, 3)
    copy.rotate(float(random.uniform(20, 70)), (1, 2, 3), rotate_cell=True)
    copy.wrap()
    return copy[random.permutation(len(copy))]


@pytest.mark.parametrize("atoms", [bulk("Al"), rutile(), disordered(rutile() * (2, 1, 2), 0.1), bulk("Mg")])
def test_a_crystal_is_the_same_however_it_is_written(atoms: Atoms) -> None:
    assert same_structure(atoms, written_differently(atoms))
    assert same_structure(atoms, written_differently(atoms * (1, 2, 3)))


@pytest.mark.parametrize("atoms", [bulk("Al", cubic=True) * (2, 2, 2), rutile() * (2, 2, 2)])
def test_strained_and_rattled_copies_are_other_data(atoms: Atoms) -> None:
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array * [1, 1, 1.02], scale_atoms=True)
    one_moved = atoms.copy()
    one_moved.positions[3] += [0.03, 0.03, 0.03]
    for other in (strained, disordered(atoms, 0.05), one_moved):
        assert not same_structure(atoms, other)
    assert not same_structure(disordered(atoms, 0.05, seed=1), disordered(atoms, 0.05, seed=2))


def test_the_same_crystal_relaxed_twice_is_one_parent_but_polymorphs_are_not() -> None:
    atoms = rutile()
    nearly = disordered(atoms, 0.02)
    nearly.set_cell(atoms.cell.array * 1.005, scale_atoms=True)
    assert not same_structure(atoms, nearly)
    assert same_structure(atoms, nearly, SAME_CRYSTAL_ANGSTROM)
    fcc, hcp = bulk("Al", "fcc", a=4.05), bulk("Al", "hcp", a=4.05 / 2**0.5, c=4.05 / 2**0.5 * (8 / 3) ** 0.5)
    assert not same_structure(fcc, hcp, SAME_CRYSTAL_ANGSTROM)
    blende, wurtzite = bulk("GaAs", "zincblende", a=5.65), bulk("GaAs", "wurtzite", a=4.0, c=4.0 * (8 / 3) ** 0.5)
    assert not same_structure(blende, wurtzite, SAME_CRYSTAL_ANGSTROM)
    ordered, swapped = bulk("NaCl", "rocksalt", a=5.6), bulk("NaCl", "zincblende", a=5.6)
    assert not same_structure(ordered, swapped, SAME_CRYSTAL_ANGSTROM)


def test_order_on_the_lattice_is_seen() -> None:
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    apart, together = atoms.copy(), atoms.copy()
    distances = atoms.get_distances(0, range(len(atoms)), mic=True)
    apart.symbols[[0, int(np.argmax(distances))]] = "Au"
    together.symbols[[0, int(np.argsort(distances)[1])]] = "Au"
    moved = together[np.random.default_rng(1).permutation(len(together))]
    assert same_structure(together, moved)
    assert not same_structure(apart, together, SAME_CRYSTAL_ANGSTROM)


def boxed(name: str, edge: float) -> Atoms:
    atoms = molecule(name)
    atoms.set_cell([edge] * 3)
    atoms.center()
    atoms.pbc = True
    return atoms


def test_a_molecule_is_the_same_in_any_box_and_across_its_boundary() -> None:
    small, large = boxed("CH3CH2OH", 14.0), boxed("CH3CH2OH", 20.0)
    large.rotate(40, (1, 1, 0), center="COM")
    large.positions += [9.0, 11.0, 10.0]
    large.wrap()
    assert same_structure(small, large)
    assert not same_structure(small, boxed("CH3OCH3", 14.0))
    assert not same_structure(small, disordered(small, 0.05))
    single, other = Atoms("Ar", cell=[12] * 3, pbc=True), Atoms("Ar", cell=[15] * 3, pbc=True)
    assert same_structure(single, other)
    pair = Atoms("Ar2", [[0, 0, 0], [3.8, 0, 0]], cell=[15] * 3, pbc=True)
    assert not same_structure(single, pair)


def test_mirror_images_are_the_same() -> None:
    left = boxed("CH3CH2OH", 14.0)
    left.positions += np.random.default_rng(3).normal(scale=0.2, size=left.positions.shape)  # chiral now
    right = left.copy()
    right.positions[:, 0] *= -1
    right.wrap()
    assert same_structure(left, right)


def test_a_slab_is_the_same_under_any_vacuum() -> None:
    thin, thick = fcc111("Al", (1, 1, 4), vacuum=5.0), fcc111("Al", (2, 1, 4), vacuum=8.0)
    thin.pbc = thick.pbc = True
    assert same_structure(thin, thick)
    five = fcc111("Al", (1, 1, 5), vacuum=5.0)
    five.pbc = True
    assert not same_structure(thin, five)


def test_three_hundred_frames_are_told_apart_in_seconds() -> None:
    start = bulk("NiAl", "cesiumchloride", a=2.88) * (2, 2, 4)
    frames = [disordered(start, 0.05 + 0.001 * k, seed=k) for k in range(250)]
    copies = [written_differently(frames[5 * k], seed=k) for k in range(50)]
    begin = time.process_time()
    kept, removed = without_duplicates(frames + copies)
    seconds = time.process_time() - begin
    assert (len(kept), removed) == (250, 50)
    assert kept[0] is frames[0]
    assert seconds < 15
