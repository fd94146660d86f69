"""Molecules with one bond stretched, one angle bent, or one end twisted against the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mlip_autopipec.frames import closest_contact, new_frame
from mlip_autopipec.structures.molecular_graph import bonds, branch, neighbours, shape
from mlip_autopipec.structures.placing import molecules, shares
from mlip_autopipec.structures.task import Task

Array = NDArray[np.float64]

BOND_LOW, BOND_HIGH = 0.75, 1.5
"""Bonds are compressed and stretched to these multiples: from some eV up the wall to where a closed shell still holds.
Farther out one without spin lies above the two radicals: H2's is unstable from 1.6 with Hartree-Fock and later with
density functionals (Bauernschmitt and Ahlrichs, J. Chem. Phys. 104, 9047, 1996)."""
RING_LOW, RING_HIGH = 0.85, 1.3
"""In a ring one atom moves and takes its other bond along."""
BEND_MAX_DEG = 35.0
SINGLE_BOND = 0.93
"""A bond longer than this fraction of the sum of covalent radii (Cordero 2008) is single and may be twisted: 1.00 for
C-C and C-O, 0.92 in benzene and amides, 0.87 in ethene."""
STRETCH_PART = 0.6
"""Part of the frames that are stretched bonds; bends and twists share the others."""
_SAME_ANGSTROM = 0.02
_TRIES = 5


@dataclass(frozen=True)
class Coordinate:
    """One way to deform a molecule.

    Attributes:
        kind: stretch, bend or twist.
        name: the atoms, e.g. "O0-H1".
        move: positions (N, 3) in A at a value of 0 to 1.
        tell: the value in words.
    """

    kind: str
    name: str
    move: Callable[[float], Array]
    tell: Callable[[float], str]


def coordinates(molecule: Atoms, minimum_distance_fraction: float) -> list[Coordinate]:
    """All bonds, angles and twists of a molecule that are different: those alike by symmetry come once.

    Args:
        minimum_distance_fraction: bonds are compressed to this fraction of the sum of covalent radii at most.
    """
    pairs = bonds(molecule)
    near = neighbours(len(molecule), pairs)
    found: list[Coordinate] = []
    for i, j in pairs:
        found += _stretch(molecule, near, i, j, minimum_distance_fraction)
    for centre, around in enumerate(near):
        found += [
            way for k, i in enumerate(around) for j in around[k + 1 :] for way in _bend(molecule, near, i, centre, j)
        ]
    for i, j in pairs:
        found += _twist(molecule, near, i, j)
    kept: list[Coordinate] = []
    seen = [np.tile(shape(molecule.numbers, molecule.positions), 2)]  # a twist about a straight chain changes nothing
    for way in found:
        mark = np.concatenate([shape(molecule.numbers, way.move(value)) for value in (0.2, 0.9)])
        if all(np.abs(mark - other).max() > _SAME_ANGSTROM for other in seen):
            seen.append(mark)
            kept.append(way)
    return kept


def stretches(task: Task, parents: list[Atoms], number: int) -> list[Atoms]:
    """Molecules with one bond, angle or twist changed, values spread over the whole range and densest near the parent.

    No bond is broken: labels may be without spin, where broken bonds are wrong by electronvolts.
    """
    found = [parent for parent in molecules(parents) if len(parent) > 1]
    frames = []
    for parent, wanted in zip(found, shares(number, len(found)), strict=True):
        random = task.random("stretches", parent.info["uid"])
        ways = coordinates(parent, task.settings.minimum_distance_fraction)
        stretched = [way for way in ways if way.kind == "stretch"]
        others = [way for way in ways if way.kind != "stretch"]
        first = round(STRETCH_PART * wanted) if stretched and others else wanted * bool(stretched)
        for group, points in ((stretched, first), (others, wanted - first)):
            frames += _scan(parent, group, points if group else 0, random, task)
    return frames


def _scan(parent: Atoms, ways: list[Coordinate], number: int, random: np.random.Generator, task: Task) -> list[Atoms]:
    """`number` frames over all coordinates; each has its values evenly spread, at a random place in their interval."""
    frames = []
    order = random.permutation(len(ways))
    for place, index in enumerate(order):
        points = number // len(ways) + (place < number % len(ways))
        for k in range(points):
            for _ in range(_TRIES):
                value = (k + random.random()) / points
                moved = ways[index].move(value)
                atoms = _rebox(parent, moved, task.settings.vacuum_angstrom)
                if closest_contact(atoms)[0] >= task.settings.minimum_distance_fraction:
                    way = ways[index]
                    origin = f"{way.kind} {way.name} {way.tell(value)}"
                    frames.append(new_frame(atoms, origin=origin, config_type="stretch", parent=parent.info["uid"]))
                    break
    return frames


def _rebox(parent: Atoms, positions: Array, vacuum_angstrom: float) -> Atoms:
    """The parent's box, with edges made longer where the moved atoms need it to keep the gap to their images."""
    edges = np.maximum(parent.cell.lengths(), np.ptp(positions, axis=0) + vacuum_angstrom)
    centre = (positions.min(axis=0) + positions.max(axis=0)) / 2
    return Atoms(numbers=parent.numbers, positions=positions - centre + edges / 2, cell=edges, pbc=True)


def _stretch(
    molecule: Atoms, near: list[list[int]], i: int, j: int, minimum_distance_fraction: float
) -> list[Coordinate]:
    bond = molecule.positions[j] - molecule.positions[i]
    length = float(np.linalg.norm(bond))
    touching = float(covalent_radii[molecule.numbers[i]] + covalent_radii[molecule.numbers[j]])
    side, low, high = branch(near, i, j), BOND_LOW, BOND_HIGH
    if side is None:
        side, low, high = _beside_ring(near, i, j), RING_LOW, RING_HIGH
    low = max(low, 1.001 * minimum_distance_fraction * touching / length)
    if low >= 1:
        return []

    def factor(value: float) -> float:
        # a third of the values compress; the power 1.5 makes them densest near the relaxed bond
        if value < 1 / 3:
            return float(1 - (1 - low) * (1 - 3 * value) ** 1.5)
        return float(1 + (high - 1) * (1.5 * value - 0.5) ** 1.5)

    def move(value: float) -> Array:
        positions = molecule.positions.copy()
        positions[side] += (factor(value) - 1) * bond
        return np.asarray(positions)

    return [Coordinate("stretch", _name(molecule, i, j), move, lambda value: f"x {factor(value):.3f}")]


def _beside_ring(near: list[list[int]], i: int, j: int) -> NDArray[np.bool_]:
    """Atom j of a ring with what hangs on it outside of rings."""
    moved = np.zeros(len(near), dtype=bool)
    moved[j] = True
    for other in near[j]:
        hanging = None if other == i else branch(near, j, other)
        if hanging is not None:
            moved |= hanging
    return moved


def _bend(molecule: Atoms, near: list[list[int]], i: int, centre: int, j: int) -> list[Coordinate]:
    arms = [(branch(near, centre, arm), arm, other) for arm, other in ((i, j), (j, i))]
    free = [(int(side.sum()), arm, other, side) for side, arm, other in arms if side is not None]
    if not free:
        return []  # both arms are in a ring
    _, arm, other, side = min(free, key=lambda choice: choice[0])
    one = molecule.positions[arm] - molecule.positions[centre]
    two = molecule.positions[other] - molecule.positions[centre]
    axis = np.cross(one, two)
    if np.linalg.norm(axis) < 0.05 * np.linalg.norm(one) * np.linalg.norm(two):  # straight: any direction is as good
        axis = np.cross(one, np.eye(3)[int(np.argmin(np.abs(one)))])
    axis = axis / np.linalg.norm(axis)

    def angle(value: float) -> float:
        return float(BEND_MAX_DEG * np.sign(2 * value - 1) * abs(2 * value - 1) ** 1.5)

    def move(value: float) -> Array:  # a positive angle opens
        return _rotated(molecule.positions, side, molecule.positions[centre], -np.radians(angle(value)) * axis)

    name = _name(molecule, arm, centre, other)
    return [Coordinate("bend", name, move, lambda value: f"{angle(value):+.1f} deg")]


def _twist(molecule: Atoms, near: list[list[int]], i: int, j: int) -> list[Coordinate]:
    side = branch(near, i, j)
    if side is None or len(near[i]) < 2 or len(near[j]) < 2:
        return []
    bond = molecule.positions[j] - molecule.positions[i]
    radii = covalent_radii[molecule.numbers]
    if np.linalg.norm(bond) < SINGLE_BOND * (radii[i] + radii[j]):
        return []

    def angle(value: float) -> float:
        return 360.0 * value - 180.0

    def move(value: float) -> Array:
        axis = bond / np.linalg.norm(bond)
        return _rotated(molecule.positions, side, molecule.positions[j], np.radians(angle(value)) * axis)

    return [Coordinate("twist", _name(molecule, i, j), move, lambda value: f"{angle(value):+.1f} deg")]


def _rotated(positions: Array, moved: NDArray[np.bool_], centre: Array, vector: Array) -> Array:
    """Positions with the marked atoms turned about `centre` by the rotation vector (radians)."""
    turned = positions.copy()
    turned[moved] = (positions[moved] - centre) @ Rotation.from_rotvec(vector).as_matrix().T + centre
    return np.asarray(turned)


def _name(molecule: Atoms, *atoms: int) -> str:
    return "-".join(f"{molecule.symbols[k]}{k}" for k in atoms)
