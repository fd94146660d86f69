"""The condensed phase of molecules: packed at random near the density of a liquid, relaxed a little."""

from __future__ import annotations

from itertools import product

import numpy as np
from ase import Atoms, units
from ase.data import covalent_radii
from ase.optimize import BFGS
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mlip_autopipec.frames import closest_contact, has_vacuum, new_frame
from mlip_autopipec.structures.molecular_graph import BOND_RATIO, bonds
from mlip_autopipec.structures.placing import distorted, molecules, shares, touching, turned, van_der_waals_volume
from mlip_autopipec.structures.task import Task

Array = NDArray[np.float64]

LIQUID_G_PER_CM3 = {
    "H2O": 0.997, "H3N": 0.682, "CO2": 1.178,
    "H2": 0.071, "N2": 0.806, "O2": 1.141, "F2": 1.502, "CO": 0.789, "CH4": 0.422, "C2H4": 0.568, "C2H6": 0.544,
    "He": 0.125, "Ne": 1.207, "Ar": 1.395, "Kr": 2.413, "Xe": 2.942,
}  # fmt: skip
"""Densities of liquids by formula (Hill): water at 298 K, carbon dioxide at its triple point, others at their normal
boiling points (Lemmon et al., NIST Chemistry WebBook, thermophysical properties of fluids)."""
PACKING = 0.57
"""Part of any other liquid's volume that its molecules' van der Waals volumes (Bondi radii) fill: 0.52 to 0.65 for what
is liquid near room temperature. What boils far below fills less (methane 0.45, nitrogen 0.41): hence the table."""
DENSITY_SPREAD = 0.15
RATIOS = (0.85, 0.8, 0.75)
"""Molecules are pushed apart to this fraction of touching; the next one where they do not fit."""
EVALUATIONS_OF_ATOMS = 2000
"""Evaluations of the surrogate times atoms that all relaxations share (10 to 18 ms each with SevenNet-0), as far as the
fewest steps allow."""
STEPS_MIN, STEPS_MAX = 2, 25  # after two the largest forces (4 eV/A) are those of the displacements that follow
_PUSHES = 400
_OVERLAP_ANGSTROM = 0.02
_TRIES = 4


def condensed(task: Task, parents: list[Atoms], number: int) -> list[Atoms]:
    """Cubic cells of `condensed_molecules` molecules (at most `atoms_max` atoms), densities spread over +-15 %.

    Each cell is a packing of its own: molecules placed and turned at random, pushed apart as rigid bodies, a few
    steps of relaxation with the surrogate, and random displacements. A cell in which a molecule broke is made anew.
    """
    found = molecules(parents)
    frames = []
    for parent, wanted in zip(found, shares(number, len(found)), strict=True):
        size = min(task.settings.condensed_molecules, task.settings.atoms_max // len(parent))
        if size < 2 or wanted == 0:
            continue
        volume = size * liquid_volume(parent)
        steps = int(np.clip(EVALUATIONS_OF_ATOMS / (number * size * len(parent)), STEPS_MIN, STEPS_MAX))
        for k in range(wanted):
            random = task.random("condensed", parent.info["uid"], k)
            density = 1 - DENSITY_SPREAD + 2 * DENSITY_SPREAD * (k + random.random()) / wanted
            atoms = _cell(task, parent, size, (volume / density) ** (1 / 3), steps, random)
            if atoms is not None:
                origin = f"condensed, {size} molecules at {density:.3f} of the expected density"
                frames.append(new_frame(atoms, origin=origin, config_type="condensed", parent=parent.info["uid"]))
    return frames


def liquid_volume(molecule: Atoms) -> float:
    """Expected volume per molecule of the liquid, A^3: from its known density, else from van der Waals volumes."""
    known = LIQUID_G_PER_CM3.get(molecule.get_chemical_formula("hill"))
    if known is None:
        return van_der_waals_volume(molecule) / PACKING
    return float(molecule.get_masses().sum()) * units._amu * 1e3 / known * 1e24


def packed(parent: Atoms, size: int, edge_angstrom: float, ratio: float, random: np.random.Generator) -> Atoms | None:
    """`size` rigid molecules in a periodic cube, no two (nor images) nearer than `ratio` times touching.

    Overlaps push molecules apart and turn them until there are none; None when some are left. Molecules stay whole:
    atoms may lie outside the cell.
    """
    length = len(parent)
    bodies = np.array([turned(parent.positions, random) for _ in range(size)])
    centres = random.random((size, 3)) * edge_angstrom
    limit = np.tile(ratio * touching(parent), (size, size))
    owner = np.repeat(np.arange(size), length)
    own = owner[:, None] == owner[None]
    shifts = np.array(list(product((-1, 0, 1), repeat=3)), dtype=float) * edge_angstrom
    reach = float(np.linalg.norm(bodies, axis=2).max()) + 0.5  # levers about the centre; 0.5 A keeps atoms finite
    for _ in range(_PUSHES):
        positions = (centres[:, None] + bodies).reshape(-1, 3)
        base = positions[:, None] - positions[None]
        base -= edge_angstrom * np.round((centres[owner][:, None] - centres[owner][None]) / edge_angstrom)
        push = np.zeros_like(positions)
        worst = 0.0
        for shift in shifts:
            apart = base + shift
            distance = np.linalg.norm(apart, axis=2)
            overlap = np.clip(limit - distance, 0.0, None)
            if not shift.any():
                overlap[own] = 0.0
            worst = max(worst, float(overlap.max()))
            push += ((overlap / np.maximum(distance, 1e-3))[..., None] * apart).sum(axis=1)
        if worst < _OVERLAP_ANGSTROM:
            return Atoms(numbers=np.tile(parent.numbers, size), positions=positions, cell=[edge_angstrom] * 3, pbc=True)
        pushes = push.reshape(size, length, 3)
        centres = centres + 0.3 * pushes.sum(axis=1)
        torque = np.cross(bodies, pushes).sum(axis=1)
        turns = Rotation.from_rotvec(0.3 * torque / reach**2)
        bodies = np.einsum("mab,mib->mia", turns.as_matrix(), bodies)
    return None


def _cell(
    task: Task, parent: Atoms, size: int, edge_angstrom: float, steps: int, random: np.random.Generator
) -> Atoms | None:
    for ratio in np.repeat(RATIOS, _TRIES):
        atoms = packed(parent, size, edge_angstrom, float(ratio), random)
        if atoms is None:
            continue
        atoms.calc = task.calculator
        BFGS(atoms, logfile=None, maxstep=0.1).run(fmax=0.05, steps=steps)
        atoms.calc = None
        atoms.positions = distorted(atoms.positions, len(parent), random)
        physical = closest_contact(atoms)[0] >= task.settings.minimum_distance_fraction
        if physical and not has_vacuum(atoms) and _whole(parent, atoms):
            return atoms
    return None


def _whole(parent: Atoms, atoms: Atoms) -> bool:
    """Whether every bond of the molecule is still there in each of its copies (which lie whole, across borders)."""
    pairs = np.array(bonds(parent), dtype=int).reshape(-1, 2)
    radii = covalent_radii[parent.numbers]
    copies = atoms.positions.reshape(-1, len(parent), 3)
    length = np.linalg.norm(copies[:, pairs[:, 0]] - copies[:, pairs[:, 1]], axis=2)
    return bool((length < BOND_RATIO * radii[pairs].sum(axis=1)).all())
