"""Random arrangements of given atoms: a random cell, and places no nearer than the pairs of a known structure allow."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from mlip_autopipec.errors import DataError
from mlip_autopipec.exploration.deform import stretch
from mlip_autopipec.frames import pairs

VOLUME_CHANGE = 0.2  # of the known structure's volume, to both sides
SHAPE_SPREAD = 0.15  # of each of five logarithmic shape strains of a cube: angles of about 90 +- 12 degrees
# Part of the pair's shortest distance in the known structure: minimum separations by pairs, as AIRSS has them (Pickard
# and Needs, J. Phys.: Condens. Matter 23, 053201, 2011), keep ions of one sign apart, which radii alone do not.
SEPARATION = (0.65, 0.85)
_FARTHEST_FRACTION = 1.8  # of the radii's sum: pairs farther apart than this in the known structure do not touch in it
_TRIES, _LOWERED = 400, 0.95  # random places tried for an atom before all distances are lowered by this factor
_SHIFTS = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T


def shortest_distances(atoms: Atoms) -> dict[tuple[int, int], float]:
    """Shortest distance (A) of every pair of elements (atomic numbers, both ways), at most 1.8 of the radii's sum."""
    radii = {int(z): float(covalent_radii[z]) for z in set(atoms.numbers)}
    first, second, distance = pairs(atoms, _FARTHEST_FRACTION * 2 * max(radii.values()))
    found = {(a, b): _FARTHEST_FRACTION * (radii[a] + radii[b]) for a in radii for b in radii}
    for i, j, d in zip(atoms.numbers[first], atoms.numbers[second], distance, strict=True):
        pair = int(i), int(j)
        found[pair] = min(found[pair], float(d))
    return found


def scramble(
    numbers: np.ndarray,
    volume_angstrom3: float,
    distances: dict[tuple[int, int], float],
    least_fraction: float,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """A random cell (3 x 3, A) and random places (N x 3, A) for these atoms, by random sequential addition.

    Args:
        numbers: atomic numbers, in the order of the places.
        volume_angstrom3: volume, A^3, that the cell's varies about by +-20 %.
        distances: shortest distances of the pairs, A; 0.65 to 0.85 of them (one number for all) are kept between atoms
            and images, less where that does not fit.
        least_fraction: of the sum of covalent radii; never nearer than that.

    Raises:
        DataError: not even the least distances fit into the cell.
    """
    volume = volume_angstrom3 * random.uniform(1 - VOLUME_CHANGE, 1 + VOLUME_CHANGE)
    cell = volume ** (1 / 3) * stretch(0.0, random.normal(0.0, SHAPE_SPREAD, 5))
    fraction = float(random.uniform(*SEPARATION))
    least = {p: least_fraction * float(covalent_radii[p[0]] + covalent_radii[p[1]]) for p in distances}
    while True:
        wanted = {p: max(fraction * d, least[p]) for p, d in distances.items()}
        places = _add([int(z) for z in numbers], cell, wanted, random)
        if places is not None:
            return cell, places
        if wanted == least:
            raise DataError("no random arrangement keeps the least distances")
        fraction *= _LOWERED


def _add(
    numbers: list[int], cell: np.ndarray, wanted: dict[tuple[int, int], float], random: np.random.Generator
) -> np.ndarray | None:
    """Places (N x 3, A) put one after another, in random order of the atoms; None when one finds no place."""
    shifts = _SHIFTS @ cell
    images = np.sort(np.linalg.norm(shifts, axis=1))[1]
    if any(images < wanted[z, z] for z in numbers):
        return None
    places = np.empty((len(numbers), 3))
    order = random.permutation(len(numbers))
    for rank, atom in enumerate(order):
        there = order[:rank]
        limits = np.array([wanted[numbers[atom], numbers[other]] for other in there])
        for trial in random.random((_TRIES, 3)) @ cell:
            apart = np.linalg.norm(trial - places[there][:, None] + shifts, axis=2).min(axis=1)
            if (apart >= limits).all():
                places[atom] = trial
                break
        else:
            return None
    return places
