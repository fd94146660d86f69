"""Pairs and clusters touch as molecules do, in the smallest boxes that keep their images apart."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from molecular_cases import VACUUM, amounts_of, gap_to_images, parent, task

from mlip_autopipec.frames import closest_contact
from mlip_autopipec.structures.clusters import FARTHEST, NEAREST, clusters, dimers
from mlip_autopipec.structures.placing import in_box, touching


def argon_task(**settings: object):
    return task({"Ar": 1.0}, lambda: LennardJones(epsilon=0.0104, sigma=3.4, rc=9.0), **settings)


def nearest(frame: Atoms, molecule: Atoms) -> float:
    """Smallest distance between the first two molecules, relative to where they touch."""
    n = len(molecule)
    apart = np.linalg.norm(frame.positions[:n, None] - frame.positions[None, n : 2 * n], axis=2)
    return float((apart / touching(molecule)).min())


@pytest.mark.parametrize("name", ["H2O", "CO2", "CH3CH2OH"])
def test_pairs_stand_at_all_distances_from_contact_to_twice_that(name: str) -> None:
    molecule = parent(name)
    frames = dimers(task(amounts_of(molecule)), [molecule], 20)
    assert len(frames) == 20
    ratios = np.array([nearest(frame, molecule) for frame in frames])
    assert (ratios > NEAREST - 1e-6).all()
    assert (ratios < FARTHEST + 1e-6).all()
    assert (np.diff(ratios) > -1e-6).all()
    assert ratios[0] < 0.85
    assert ratios[-1] > 1.8
    told = [float(frame.info["origin"].split()[2]) for frame in frames]
    assert ratios == pytest.approx(told, abs=1e-3)
    for frame in frames:
        assert frame.info["config_type"] == "dimer"
        assert frame.info["parent"] == molecule.info["uid"]
        assert len(frame) == 2 * len(molecule)
        assert frame.pbc.all()
        assert gap_to_images(frame) == pytest.approx(VACUUM)
        assert (frame.info["plane_distances"] == 0).all()
        assert closest_contact(frame)[0] >= 0.7


def test_a_hydrogen_bond_touches_at_two_angstrom() -> None:
    water, methane = parent("H2O"), parent("CH4")
    contact = touching(water)
    assert contact[0, 1] == pytest.approx(2.03, abs=0.05)  # O...H
    assert contact[1, 2] == pytest.approx(2.4)
    assert contact[0, 0] == pytest.approx(3.0)
    assert touching(methane)[0, 1] == pytest.approx(2.97)  # no hydrogen bond


def test_orientations_differ_and_the_chosen_ones_are_lower_in_energy() -> None:
    class Dipoles(LennardJones):
        """Favours oxygen near hydrogen of the other molecule: energy = -sum of 1/r over such pairs."""

        def calculate(self, atoms=None, properties=("energy",), system_changes=("positions",)):
            apart = atoms.get_all_distances()
            self.results = {"energy": -sum(1 / apart[o, h] for o, h in ((0, 4), (0, 5), (3, 1), (3, 2)))}

    water = parent("H2O")
    frames = dimers(task(amounts_of(water), Dipoles), [water], 60)
    energy = []
    for frame in frames:
        copy = frame.copy()
        copy.calc = Dipoles()
        energy.append(copy.get_potential_energy())
    assert np.mean(energy[1::2]) < np.mean(energy[0::2])


def test_clusters_of_each_size_are_compact_and_whole() -> None:
    water = parent("H2O")
    frames = clusters(task(amounts_of(water)), [water], 12)
    assert sorted(len(frame) // 3 for frame in frames) == [2] * 4 + [3] * 4 + [4] * 4
    for frame in frames:
        bodies = frame.positions.reshape(-1, 3, 3)
        assert np.linalg.norm(bodies[:, 1] - bodies[:, 0], axis=1) == pytest.approx(0.97, abs=0.25)
        centres = bodies.mean(axis=1)
        apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
        assert np.sort(apart, axis=1)[:, 1].max() < 5.0  # each molecule has a neighbour in touch
        assert frame.info["config_type"] == "cluster"
        assert gap_to_images(frame) == pytest.approx(VACUUM)
        assert closest_contact(frame)[0] >= 0.7


def test_argon_atoms_make_pairs_and_clusters() -> None:
    argon = parent(Atoms("Ar"))
    pairs, packed = dimers(argon_task(), [argon], 10), clusters(argon_task(), [argon], 6)
    lengths = [frame.get_distance(0, 1) for frame in pairs]
    assert len(pairs) == 10
    assert min(lengths) == pytest.approx(0.8 * 3.66, abs=0.15)
    assert max(lengths) > 6.0
    assert sorted(map(len, packed)) == [2, 2, 3, 3, 4, 4]
    four = next(frame for frame in packed if len(frame) == 4)
    assert four.get_all_distances().max() < 2.2 * 3.66


def test_same_seed_same_frames_and_large_molecules_are_left_out() -> None:
    water = parent("H2O")
    for make in (dimers, clusters):
        first, again = (make(task(amounts_of(water)), [water], 6) for _ in range(2))
        assert [f.info["uid"] for f in first] == [f.info["uid"] for f in again]
        assert len({f.info["uid"] for f in first}) == 6
        assert make(task(amounts_of(water), atoms_max=5), [water], 6) == []
        crystal = water.copy()
        crystal.info["config_type"] = "crystal"
        assert make(task(amounts_of(water)), [crystal], 6) == []
    assert {len(f) for f in clusters(task(amounts_of(water), atoms_max=9), [water], 6)} == {6, 9}


def test_boxes_are_turned_to_be_small_and_hold_no_mirror_image() -> None:
    ethanol = parent("CH3CH2OH")
    turned = ethanol.copy()
    turned.rotate(40, (1, 2, 3))
    turned.positions[5] += [0.1, 0.2, 0.3]  # chiral
    box = in_box(turned, VACUUM)
    assert box.get_all_distances() == pytest.approx(turned.get_all_distances())
    vectors = [atoms.positions[[1, 2, 5]] - atoms.positions[0] for atoms in (turned, box)]
    assert np.linalg.det(vectors[1]) == pytest.approx(np.linalg.det(vectors[0]))
    assert box.cell.volume < in_box(turned, VACUUM, cubic=True).cell.volume
