"""Molecules as bodies: turned, brought into contact, put into boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import vdw_radii as bondi_radii
from ase.data.vdw_alvarez import vdw_radii as alvarez_radii
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mlip_autopipec.structures.molecular_graph import bonds

Array = NDArray[np.float64]

HYDROGEN_BOND = 0.75
"""A hydrogen on N, O or F touches another N, O or F at this fraction of the sum of van der Waals radii: 2.0 A for
H...O, where hydrogen bonds of water and alcohols are 1.8 to 2.0 A (Steiner, Angew. Chem. Int. Ed. 41, 48, 2002)."""
DISTORTION_ANGSTROM = 0.04
"""Root-mean-square displacement of each atom of a distorted molecule: it spreads bond lengths by 0.033 A, the
zero-point motion of N2's."""
_ACCEPTORS = (7, 8, 9)
_UNKNOWN_RADIUS_ANGSTROM = 2.0


def molecules(parents: Sequence[Atoms]) -> list[Atoms]:
    """The parents that are molecules."""
    return [parent for parent in parents if parent.info.get("config_type") == "molecule"]


def shares(number: int, parts: int) -> list[int]:
    """`number` things among `parts` parents, as 1 : 1/2 : 1/3 ...: the first one, the reference, gets most."""
    if parts == 0:
        return []
    weights = 1.0 / np.arange(1, parts + 1)
    exact = np.cumsum(weights) / weights.sum() * number
    return [int(n) for n in np.diff(np.round(exact), prepend=0.0)]


def van_der_waals_radii(numbers: Array) -> Array:
    """Radii in A: Alvarez (Dalton Trans. 42, 8617, 2013), 2.0 A for elements that have none."""
    radii = np.array([alvarez_radii[z] if z < len(alvarez_radii) else np.nan for z in numbers], dtype=float)
    return np.where(np.isfinite(radii), radii, _UNKNOWN_RADIUS_ANGSTROM)


def van_der_waals_volume(molecule: Atoms, spacing_angstrom: float = 0.1) -> float:
    """Volume in A^3 of the union of the atoms' spheres, on a grid.

    Radii are Bondi's (J. Phys. Chem. 68, 441, 1964), which volumes of molecules in liquids are told with, and Alvarez'
    where Bondi has none.
    """
    bondi = np.array([bondi_radii[z] if z < len(bondi_radii) else np.nan for z in molecule.numbers], dtype=float)
    radii = np.where(np.isfinite(bondi), bondi, van_der_waals_radii(molecule.numbers))
    low = molecule.positions.min(axis=0) - radii.max()
    high = molecule.positions.max(axis=0) + radii.max()
    axes = [np.arange(a, b, spacing_angstrom) for a, b in zip(low, high, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    inside = np.zeros(tuple(len(axis) for axis in axes), dtype=bool)
    for centre, radius in zip(molecule.positions, radii, strict=True):
        inside |= (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < radius**2
    return float(inside.sum()) * spacing_angstrom**3


def touching(molecule: Atoms) -> Array:
    """Distances in A, (N, N), at which an atom of one molecule touches an atom of another of the same kind.

    Sums of van der Waals radii (Alvarez), shortened where a hydrogen bond may form.
    """
    radii = van_der_waals_radii(molecule.numbers)
    contact = radii[:, None] + radii[None]
    acceptor = np.isin(molecule.numbers, _ACCEPTORS)
    donated = np.zeros(len(molecule), dtype=bool)
    for i, j in bonds(molecule):
        donated[i] |= molecule.numbers[i] == 1 and acceptor[j]
        donated[j] |= molecule.numbers[j] == 1 and acceptor[i]
    bonded = donated[:, None] & acceptor[None]
    return np.asarray(np.where(bonded | bonded.T, HYDROGEN_BOND * contact, contact))


def random_rotation(random: np.random.Generator) -> Array:
    """A rotation matrix (3, 3), all orientations alike in probability."""
    return np.asarray(Rotation.from_quat(random.normal(size=4)).as_matrix())


def random_direction(random: np.random.Generator) -> Array:
    """A unit vector (3,), all directions alike in probability."""
    vector = random.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))


def distorted(positions: Array, number: int, random: np.random.Generator) -> Array:
    """Positions (N, 3) in A of one or more molecules of `number` atoms each, every atom displaced at random by
    `DISTORTION_ANGSTROM`; those of a single atom stay."""
    if number == 1:
        return positions
    return np.asarray(positions + random.normal(scale=DISTORTION_ANGSTROM / np.sqrt(3), size=positions.shape))


def turned(positions: Array, random: np.random.Generator) -> Array:
    """Positions (N, 3) in A about their centre, turned at random."""
    return np.asarray((positions - positions.mean(axis=0)) @ random_rotation(random).T)


def shift_to_contact(fixed: Array, moving: Array, direction: Array, contact: Array, ratio: float) -> float:
    """How far (A) `moving` is shifted along `direction` so that, coming from outside, it stops at a contact.

    At the stop the nearest pair of atoms, relative to `contact` (A, (len(fixed), len(moving))), is at `ratio`.
    """
    between = moving[None] - fixed[:, None]
    along = between @ direction
    square = along**2 - (between**2).sum(axis=2) + (ratio * contact) ** 2
    meeting = square > 0
    if not meeting.any():
        return 0.0
    return float((np.sqrt(square[meeting]) - along[meeting]).max())


def in_box(atoms: Atoms, vacuum_angstrom: float, *, cubic: bool = False) -> Atoms:
    """The same atoms, their principal axes along the edges, centred in the smallest box that keeps images apart.

    Args:
        vacuum_angstrom: each edge is the extent of the atoms plus this gap.
        cubic: all edges are as the longest.
    """
    positions = atoms.positions - atoms.positions.mean(axis=0)
    if len(atoms) > 1:
        _, _, axes = np.linalg.svd(positions, full_matrices=True)
        axes[2] *= np.sign(np.linalg.det(axes))  # no mirror image
        positions = positions @ axes.T
    edges = np.ptp(positions, axis=0) + vacuum_angstrom
    if cubic:
        edges[:] = edges.max()
    centre = (positions.min(axis=0) + positions.max(axis=0)) / 2
    return Atoms(numbers=atoms.numbers, positions=positions - centre + edges / 2, cell=edges, pbc=True)
