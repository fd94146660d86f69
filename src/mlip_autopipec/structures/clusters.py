"""Molecules (or atoms of a noble gas) side by side: pairs over a range of distances, and compact clusters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.frames import closest_contact, new_frame
from mlip_autopipec.structures.placing import (
    distorted,
    in_box,
    molecules,
    random_direction,
    shares,
    shift_to_contact,
    touching,
    turned,
)
from mlip_autopipec.structures.task import Task

Array = NDArray[np.float64]

NEAREST, FARTHEST = 0.8, 2.0
"""Pairs stand at these fractions of the distance at which they touch (van der Waals radii): from the wall to where what
is left is dispersion and dipoles."""
PACKED_LOW, PACKED_HIGH = 0.9, 1.1
"""The same for neighbours in a compact cluster."""
ORIENTATIONS = 5
"""Every other frame is the lowest in energy (by the surrogate) of so many random arrangements: hydrogen bonds and
stacks are rare among random ones."""
_TRIES = 20


def dimers(task: Task, parents: list[Atoms], number: int) -> list[Atoms]:
    """Pairs of molecules, turned at random and slightly distorted, at distances from 0.8 to 2 times contact.

    Distances are spread over the whole range and densest near contact. Every other pair is the best of several
    orientations.
    """
    found = molecules(parents)
    frames = []
    for parent, wanted in zip(found, shares(number, len(found)), strict=True):
        if 2 * len(parent) > task.settings.atoms_max:
            continue
        random = task.random("dimers", parent.info["uid"])
        for k in range(wanted):
            ratio = NEAREST + (FARTHEST - NEAREST) * ((k + random.random()) / wanted) ** 2
            bodies = [distorted(parent.positions, len(parent), random) for _ in range(2)]
            pair = _arranged(task, k, partial(_pair, parent, bodies, ratio, random))
            if pair is not None:
                origin = f"dimer at {ratio:.3f} of contact"
                frames.append(new_frame(pair, origin=origin, config_type="dimer", parent=parent.info["uid"]))
    return frames


def clusters(task: Task, parents: list[Atoms], number: int) -> list[Atoms]:
    """Compact clusters of `cluster_sizes` molecules, as many of each size; those above `atoms_max` are left out.

    Every other cluster is the best of several arrangements.
    """
    found = molecules(parents)
    frames = []
    for parent, wanted in zip(found, shares(number, len(found)), strict=True):
        sizes = [n for n in task.settings.cluster_sizes if n > 1 and n * len(parent) <= task.settings.atoms_max]
        random = task.random("clusters", parent.info["uid"])
        for k in range(wanted if sizes else 0):
            size = sizes[k % len(sizes)]
            bodies = [distorted(parent.positions, len(parent), random) for _ in range(size)]
            packed = _arranged(task, k // len(sizes), partial(_cluster, parent, bodies, random))
            if packed is not None:
                origin = f"cluster of {size}"
                frames.append(new_frame(packed, origin=origin, config_type="cluster", parent=parent.info["uid"]))
    return frames


def _arranged(task: Task, k: int, make: Callable[[], Atoms]) -> Atoms | None:
    """One arrangement in its box, physical; for odd k the lowest in energy of several, None when none is physical."""
    wanted = ORIENTATIONS if k % 2 else 1
    made: list[Atoms] = []
    for _ in range(_TRIES):
        atoms = in_box(make(), task.settings.vacuum_angstrom)
        if closest_contact(atoms)[0] >= task.settings.minimum_distance_fraction:
            made.append(atoms)
        if len(made) == wanted:
            break
    if len(made) < 2:
        return made[0] if made else None
    return min(made, key=lambda atoms: _energy(task, atoms))


def _energy(task: Task, atoms: Atoms) -> float:
    copy: Atoms = atoms.copy()
    copy.calc = task.calculator
    return float(copy.get_potential_energy())


def _pair(parent: Atoms, bodies: list[Array], ratio: float, random: np.random.Generator) -> Atoms:
    one, two = (turned(body, random) for body in bodies)
    direction = random_direction(random)
    shift = shift_to_contact(one, two, direction, touching(parent), ratio)
    return Atoms(numbers=np.tile(parent.numbers, 2), positions=np.vstack([one, two + shift * direction]))


def _cluster(parent: Atoms, bodies: list[Array], random: np.random.Generator) -> Atoms:
    """Molecules added one by one, each sliding in along a line through the middle until it touches."""
    contact = touching(parent)
    positions = turned(bodies[0], random)
    for n, body in enumerate(bodies[1:], start=1):
        ratio = random.uniform(PACKED_LOW, PACKED_HIGH)
        all_contacts = np.tile(contact, (n, 1))
        best: Array | None = None
        for _ in range(ORIENTATIONS):  # the one that comes nearest to the middle packs best
            added, direction = turned(body, random), random_direction(random)
            shift = shift_to_contact(positions, added, direction, all_contacts, ratio)
            placed = added + shift * direction
            if best is None or np.linalg.norm(placed.mean(axis=0)) < np.linalg.norm(best.mean(axis=0)):
                best = placed
        assert best is not None
        positions = np.vstack([positions, best])
        positions -= positions.mean(axis=0)
    return Atoms(numbers=np.tile(parent.numbers, len(bodies)), positions=positions)
