"""Slabs of low Miller index of the crystals lowest in energy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import spglib
from ase import Atoms

from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import new_frame
from mlip_autopipec.structures.cells import SYMMETRY_ANGSTROM, conventional, primitive
from mlip_autopipec.structures.charges import charges
from mlip_autopipec.structures.matching import without_duplicates
from mlip_autopipec.structures.perturb import crystals, rattle, shares
from mlip_autopipec.structures.task import Task

_THICKNESS_ANGSTROM = 8.0
_INDICES_MAX = 7  # of a crystal without symmetry; cubic ones have three
_TERMINATIONS_MAX = 3
_PLANE_ANGSTROM = 0.3  # atoms nearer along the normal are one plane
_DIPOLE_E = 0.005  # per atom, times the thickness of the slab: below it a slab is nonpolar

Index = tuple[int, int, int]


def surfaces(task: Task, parents: Sequence[Atoms], number: int) -> list[Atoms]:
    """Slabs with indices up to 1, several terminations, `vacuum_angstrom` apart, stoichiometric; then rattled copies.

    Of compounds with charges of both signs (GaAs as well as NaCl, not alloys) slabs with a dipole along the normal are
    left out (Tasker, J. Phys. C 12, 4977, 1979: their energy grows with thickness). The reference and the next parent
    are cut.

    Raises:
        DataError: no slab is small enough, or none of such a compound is nonpolar.
    """
    frames = []
    smallest = min(task.settings.rattle_amplitudes_angstrom)
    cut = [(parent, slabs(parent, task)) for parent in crystals(parents)[:2]]
    found = {parent.info["uid"]: made for parent, made in cut if made}
    if cut and not found:
        why = (
            "none of low index is nonpolar and"
            if any(_signs(parent, task) for parent, _ in cut)
            else "none of low index is"
        )
        raise DataError(f"no slab: {why} at most {task.settings.atoms_max} atoms large (structures.atoms_max)")
    for parent, share in shares([parent for parent, made in cut if made], number):
        made = found[parent.info["uid"]]
        random = task.random("surfaces", parent.info["uid"])
        for k in range(share):
            words, slab = made[k % len(made)]
            if k >= len(made):
                amplitude = smallest * (k // len(made))
                slab, words = rattle(slab, amplitude, random), f"{words}, rattled {amplitude:.3f} A"
            frames.append(new_frame(slab, origin=words, config_type="surface", parent=parent.info["uid"]))
    return frames


def slabs(parent: Atoms, task: Task) -> list[tuple[str, Atoms]]:
    """Distinct unrelaxed slabs of a crystal with their names: the widest gap of every index first, then others.

    Each is a whole number of lattice planes of the primitive cell (stoichiometric), as many as come to 8 A within
    `atoms_max` atoms.
    """
    bulk, small = conventional(parent), primitive(parent)
    to_primitive = small.cell.array @ np.linalg.inv(bulk.cell.array)
    known = _signs(parent, task)
    found: list[tuple[int, Atoms]] = []
    for index in distinct_indices(bulk)[:_INDICES_MAX]:
        doubled = np.rint(6 * to_primitive @ np.array(index)).astype(int)  # halves and thirds of centred cells
        layer = _layer(small, doubled // np.gcd.reduce(doubled))
        for rank, shift in enumerate(_cuts(layer)):
            slab = _slab(layer, shift, task.settings.atoms_max, task.settings.vacuum_angstrom)
            if slab is None or (known and _polar(slab, known)):
                continue
            thick = np.ptp(slab.positions[:, 2])
            slab.info["words"] = f"slab ({' '.join(map(str, index))}), termination {rank}, {thick:.1f} A"
            found.append((rank, slab))
    kept, _ = without_duplicates([slab for _, slab in sorted(found, key=lambda entry: entry[0])])
    return [(slab.info["words"], slab) for slab in kept]


def distinct_indices(bulk: Atoms) -> list[Index]:
    """Miller indices up to 1 of which none is another by the crystal's symmetry, the lowest first."""
    data = spglib.get_symmetry_dataset(
        (bulk.cell.array, bulk.get_scaled_positions(), bulk.numbers), symprec=SYMMETRY_ANGSTROM
    )
    rotations = data.rotations if data is not None else np.eye(3, dtype=int)[None]
    seen: set[tuple[int, ...]] = set()
    found: list[Index] = []
    for index in sorted(product((1, 0, -1), repeat=3), key=lambda h: (sum(map(abs, h)), tuple(-k for k in h))):
        if not any(index) or index in seen:
            continue
        for rotation in rotations:
            image = np.array(index) @ rotation
            seen.update((tuple(map(int, image)), tuple(map(int, -image))))
        found.append((index[0], index[1], index[2]))
    return found


def _layer(small: Atoms, index: np.ndarray) -> Atoms:
    """The same crystal with the two shortest vectors of a lattice plane as first edges: one plane thick.

    Args:
        small: primitive cell.
        index: Miller indices in that cell, without a common divisor.
    """
    steps = np.array(list(product(range(-3, 4), repeat=3)))
    steps = steps[np.argsort(np.linalg.norm(steps @ small.cell.array, axis=1).round(6), kind="stable")][1:]
    inside, above = steps[steps @ index == 0], steps[steps @ index == 1]
    second = next(step for step in inside if (np.abs(np.cross(inside[0], step)) == np.abs(index)).all())
    matrix = np.array([inside[0], second, above[0]])
    if np.linalg.det(matrix @ small.cell.array) < 0:
        matrix[1] *= -1
    return Atoms(
        numbers=small.numbers,
        scaled_positions=(small.get_scaled_positions() @ np.linalg.inv(matrix)) % 1.0,
        cell=matrix @ small.cell.array,
        pbc=True,
    )


def _cuts(layer: Atoms) -> list[float]:
    """Where to cut, as fractions along the normal: the middles of the widest gaps between planes of atoms."""
    heights = np.sort(layer.get_scaled_positions()[:, 2] % 1.0)
    spacing = abs(layer.cell.volume) / np.linalg.norm(np.cross(layer.cell[0], layer.cell[1]))
    gaps = np.diff(np.append(heights, heights[0] + 1.0))
    order = sorted(range(len(gaps)), key=lambda k: (-round(float(gaps[k]), 4), k))
    wide = [k for k in order if gaps[k] * spacing > _PLANE_ANGSTROM]
    return [float(heights[k] + gaps[k] / 2) for k in wide[:_TERMINATIONS_MAX]]


def _slab(layer: Atoms, shift: float, atoms_max: int, vacuum_angstrom: float) -> Atoms | None:
    """The layer cut at `shift`, repeated along the normal, in a cell whose third edge is the normal."""
    scaled = layer.get_scaled_positions()
    scaled[:, 2] = (scaled[:, 2] - shift) % 1.0
    normal = np.cross(layer.cell[0], layer.cell[1])
    normal /= np.linalg.norm(normal)
    height = abs(float(layer.cell[2] @ normal))
    number = min(int(np.ceil(_THICKNESS_ANGSTROM / height)), atoms_max // len(layer))
    if number == 0 or number * len(layer) < 2:
        return None
    cut = Atoms(numbers=layer.numbers, scaled_positions=scaled, cell=layer.cell, pbc=True).repeat((1, 1, number))
    positions = cut.positions
    cell = np.array([layer.cell[0], layer.cell[1], normal * (number * height + vacuum_angstrom)])
    slab = Atoms(numbers=cut.numbers, positions=positions, cell=cell, pbc=True)
    slab.set_cell(_standing(cell), scale_atoms=True)
    slab.center(vacuum=vacuum_angstrom / 2, axis=2)
    slab.wrap()
    return slab


def _standing(cell: np.ndarray) -> np.ndarray:
    """The same cell turned so that its first edge is along x and its third, normal to the others, along z."""
    a, b, c = cell
    along = float(a @ b) / np.linalg.norm(a)
    across = float(np.linalg.norm(np.cross(a, b))) / np.linalg.norm(a)
    return np.array([[np.linalg.norm(a), 0, 0], [along, across, 0], [0, 0, np.linalg.norm(c)]])


def _signs(parent: Atoms, task: Task) -> dict[str, float]:
    """Charges of the elements; {} in metals and alloys, and where all have one sign."""
    if task.classes[0] in ("metal", "alloy", "noble"):
        return {}
    known = charges(tuple(parent.symbols.formula.count().items()))
    return known if min(known.values()) < 0 < max(known.values()) else {}


def _polar(slab: Atoms, known: dict[str, float]) -> bool:
    """Whether the charges have a dipole along the normal."""
    heights = slab.positions[:, 2] - slab.positions[:, 2].mean()
    dipole = float(np.array([known[symbol] for symbol in slab.get_chemical_symbols()]) @ heights)
    return abs(dipole) > _DIPOLE_E * len(slab) * max(float(np.ptp(heights)), 1.0)
