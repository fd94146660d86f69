"""One bond, angle or twist changes at a time, over its whole range, and everything else keeps its shape."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from molecular_cases import VACUUM, amounts_of, gap_to_images, parent, task

from mlip_autopipec.frames import closest_contact
from mlip_autopipec.structures.molecular_graph import bonds
from mlip_autopipec.structures.stretches import BEND_MAX_DEG, coordinates, stretches


def kinds(molecule: Atoms) -> dict[str, int]:
    found = [way.kind for way in coordinates(molecule, 0.7)]
    return {kind: found.count(kind) for kind in sorted(set(found))}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("H2O", {"stretch": 1, "bend": 1}),
        ("NH3", {"stretch": 1, "bend": 1}),
        ("CO2", {"stretch": 1, "bend": 1}),
        ("N2", {"stretch": 1}),
        ("C6H6", {"stretch": 2, "bend": 1}),  # angles inside the ring are left alone
        ("C2H4", {"stretch": 2, "bend": 2}),  # a double bond is not twisted
        ("C2H6", {"stretch": 2, "bend": 2, "twist": 1}),
        ("C3H4_C3v", {"stretch": 4, "bend": 4}),  # propyne: nothing to twist about a straight chain
    ],
)
def test_coordinates_alike_by_symmetry_come_once(name: str, expected: dict[str, int]) -> None:
    assert kinds(parent(name)) == expected


def test_stretched_bonds_move_whole_fragments() -> None:
    ethane = parent("C2H6")
    carbons = [k for k, symbol in enumerate(ethane.symbols) if symbol == "C"]
    way = next(way for way in coordinates(ethane, 0.7) if way.kind == "stretch" and way.name == "C0-C1")
    length = ethane.get_distance(*carbons)
    lengths = []
    for value in np.linspace(0, 0.999, 30):
        moved = ethane.copy()
        moved.positions = way.move(value)
        lengths.append(moved.get_distance(*carbons) / length)
        for i, j in bonds(ethane):
            if {i, j} != set(carbons):
                assert moved.get_distance(i, j) == pytest.approx(ethane.get_distance(i, j))
    assert lengths[0] == pytest.approx(0.75)
    assert lengths[-1] == pytest.approx(1.5, abs=0.01)
    assert (np.diff(lengths) > 0).all()
    near = np.abs(np.array(lengths) - 1) < 0.15
    assert near.sum() > 30 * 0.3 / 0.75  # denser near the relaxed bond than evenly spread


def test_bends_keep_bonds_and_span_both_sides() -> None:
    water = parent("H2O")
    way = next(way for way in coordinates(water, 0.7) if way.kind == "bend")
    angles = []
    for value in (0.0, 0.5, 1.0):
        moved = water.copy()
        moved.positions = way.move(value)
        angles.append(moved.get_angle(1, 0, 2))
        assert moved.get_distances(0, [1, 2]) == pytest.approx(water.get_distances(0, [1, 2]))
    assert np.array(angles) - water.get_angle(1, 0, 2) == pytest.approx([-BEND_MAX_DEG, 0, BEND_MAX_DEG])


def test_a_straight_molecule_bends() -> None:
    dioxide = parent("CO2")
    way = next(way for way in coordinates(dioxide, 0.7) if way.kind == "bend")
    moved = dioxide.copy()
    moved.positions = way.move(1.0)
    assert moved.get_angle(1, 0, 2) == pytest.approx(180 - BEND_MAX_DEG)


def test_bonds_that_are_short_already_are_not_compressed_below_the_limit() -> None:
    nitrogen = parent("N2")
    (way,) = coordinates(nitrogen, 0.7)
    moved = nitrogen.copy()
    moved.positions = way.move(0.0)
    assert closest_contact(moved)[0] == pytest.approx(0.7, rel=2e-3)


def test_frames_fill_the_range_in_boxes_that_keep_the_gap() -> None:
    ethanol = parent("CH3CH2OH")
    frames = stretches(task(amounts_of(ethanol)), [ethanol], 40)
    assert len(frames) == 40
    assert len({frame.info["uid"] for frame in frames}) == 40
    words = [frame.info["origin"].split()[0] for frame in frames]
    assert words.count("stretch") == 24
    assert words.count("bend") > 5
    assert words.count("twist") >= 2
    for frame in frames:
        assert frame.info["config_type"] == "stretch"
        assert frame.info["parent"] == ethanol.info["uid"]
        assert closest_contact(frame)[0] >= 0.7
        assert gap_to_images(frame) >= VACUUM - 1e-9
        assert (frame.info["plane_distances"] == 0).all()
    again = stretches(task(amounts_of(ethanol)), [ethanol], 40)
    assert [frame.info["uid"] for frame in frames] == [frame.info["uid"] for frame in again]


def test_the_reference_conformer_has_the_largest_share() -> None:
    one, two = parent("CH3CH2OH"), parent("CH3OCH3")
    frames = stretches(task(amounts_of(one)), [one, two], 30)
    own = [frame for frame in frames if frame.info["parent"] == one.info["uid"]]
    assert (len(own), len(frames)) == (20, 30)


def test_atoms_and_crystals_give_nothing() -> None:
    argon, crystal = parent(Atoms("Ar")), parent("H2O")
    crystal.info["config_type"] = "crystal"
    assert stretches(task({"Ar": 1.0}), [argon], 5) == []
    assert stretches(task({"H": 2.0, "O": 1.0}), [crystal], 5) == []
