"""What is not worth a label, found before anything is spent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mlip_autopipec.frames import closest_contact, has_vacuum
from mlip_autopipec.labelling.labeller import Label, unlabelled

Array = NDArray[np.float64]

SAME_ANGSTROM = 0.005
"""Atoms and cell vectors that differ by less make no new label: of a stiff bond (50 eV/A^2) that is below 1 meV."""
DENSEST, THINNEST = 0.3, 4.0
"""Smallest volume of a crystal over that of its atoms' covalent spheres (Cordero et al., Dalton Trans. 2832 (2008)),
0.88 (CsF) to 1.3 (close-packed metals) at ordinary pressure and higher in everything open; and largest volume over the
median of the frames before it."""
FRAMES_FOR_A_MEDIAN = 5
_WAVES = np.array(
    [(h, k, m) for h in (0, 1, 2) for k in (-2, -1, 0, 1, 2) for m in (-1, 0, 1) if (h, k, m) > (0, 0, 0)]
)


@dataclass(frozen=True)
class Limits:
    """What a frame must keep to; `elements` None lets any pass."""

    minimum_distance_fraction: float = 0.5
    elements: frozenset[str] | None = None

    @classmethod
    def of(cls, section: Mapping[str, Any] | Any, elements: Iterable[str] | None = None) -> Limits:
        """Limits from the configuration's section of the labels (or its dump).

        Args:
            elements: those that labels can be made of; None: with Quantum ESPRESSO those that have a pseudopotential,
                if any are named (it needs one for each; other engines have defaults), else any.
        """
        known = section if isinstance(section, Mapping) else section.model_dump()
        if elements is None and known["engine"] == "espresso":
            elements = known.get("pseudopotentials") or None
        return cls(known["minimum_distance_fraction"], None if elements is None else frozenset(elements))


class Known:
    """Frames that have a label, or will have one before: to find a frame among them whatever its origin and order."""

    def __init__(self, frames: Iterable[Atoms] = ()) -> None:
        self._groups: dict[tuple[tuple[int, ...], tuple[bool, ...]], list[Atoms]] = {}
        self._prints: dict[tuple[tuple[int, ...], tuple[bool, ...]], list[Array]] = {}
        self._ratios: list[float] = []
        for frame in frames:
            self.add(frame)

    def add(self, frame: Atoms) -> None:
        """One more."""
        key = _key(frame)
        self._groups.setdefault(key, []).append(frame)
        self._prints.setdefault(key, []).append(_print(frame))
        ratio = _room(frame)
        if ratio is not None:
            self._ratios.append(ratio)

    def same_as(self, atoms: Atoms) -> Atoms | None:
        """A frame with the same atoms at the same places, but for a shift, an order or periodic images; or None."""
        key = _key(atoms)
        known = self._groups.get(key)
        if not known:
            return None
        own = _print(atoms)
        step = 2 * np.pi * np.abs(_WAVES).sum(axis=1).max() * SAME_ANGSTROM / _thinnest(atoms)
        near = np.abs(np.array(self._prints[key]) - own).max(axis=1) <= len(atoms) * step + 1e-9
        return next((known[i] for i in np.flatnonzero(near) if same(known[i], atoms)), None)

    def usual_room(self) -> float | None:
        """Median of volume over volume of covalent spheres of the crystals; None with too few."""
        return float(np.median(self._ratios)) if len(self._ratios) >= FRAMES_FOR_A_MEDIAN else None


def precheck(atoms: Atoms, labelled: Iterable[Atoms] | Known, limits: Limits) -> tuple[str, str] | None:
    """Why a frame is not worth a label, in one word and in a sentence; None when it is.

    Args:
        labelled: frames of earlier generations and, of the same generation, those before it in its file: the answer
            depends on nothing else, so that it is the same whenever it is asked for.
    """
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()) or not len(atoms):
        return "not_a_number", "a coordinate is not a number, or there are no atoms"
    if (atoms.numbers < 1).any() or (limits.elements is not None and not set(atoms.symbols) <= limits.elements):
        strange = sorted({s for s in atoms.symbols if s == "X" or (limits.elements and s not in limits.elements)})
        return "unknown_species", f"{', '.join(strange)}: the configuration says nothing about this element"
    if atoms.pbc.any() and abs(atoms.cell.volume) < 1e-3:
        return "bad_cell", "the cell has no volume"
    ratio, distance = closest_contact(atoms)
    if ratio < limits.minimum_distance_fraction:
        return "atoms_too_close", (
            f"two atoms are {distance:.2f} A apart, {ratio:.2f} of the sum of their covalent radii "
            f"(at least {limits.minimum_distance_fraction:g})"
        )
    known = labelled if isinstance(labelled, Known) else Known(labelled)
    room, usual = _room(atoms), known.usual_room()
    if room is not None and (room < DENSEST or (usual is not None and room > THINNEST * usual)):
        than = f"{room:.2f} times that of its atoms' covalent spheres"
        if room >= DENSEST:
            than += f", in other frames {usual:.2f}"
        return "absurd_volume", f"{atoms.cell.volume / len(atoms):.2f} A^3 per atom, {than}"
    twin = known.same_as(atoms)
    if twin is not None:
        name = twin.info.get("name") or twin.info.get("uid") or "another frame"
        return "duplicate", f"the same structure as {name} (shifted, reordered or by periodic images)"
    return None


def refused(atoms: Atoms, outcome: str, reason: str, engine: str) -> Label:
    """The label of a frame that nothing was spent on."""
    return unlabelled(atoms, outcome, "structure", reason, engine, before_any_run=True)


def same(one: Atoms, other: Atoms, tolerance_angstrom: float = SAME_ANGSTROM) -> bool:
    """Whether two structures are equal but for a shift, the order of their atoms and periodic images.

    Cells must agree vector by vector: rotated, sheared and multiplied cells count as different ones.
    """
    if _key(one) != _key(other) or np.abs(one.cell.array - other.cell.array).max(initial=0.0) > tolerance_angstrom:
        return False
    rare = min(set(one.numbers), key=lambda z: (np.sum(one.numbers == z), z))
    start = one.positions[np.flatnonzero(one.numbers == rare)[0]]
    trees = {z: _tree(one, z) for z in set(one.numbers)}
    for target in np.flatnonzero(other.numbers == rare):
        shift = start - other.positions[target]
        if all(_matched(trees[z], one, other.positions[other.numbers == z] + shift, tolerance_angstrom) for z in trees):
            return True
    return False


def _matched(tree: cKDTree, one: Atoms, positions: Array, tolerance: float) -> bool:
    """Whether these positions, wrapped, are those of the tree (its atoms and their nearest images), each once."""
    distance, index = tree.query(_wrapped(one, positions))
    partners = index % len(positions)
    # an atom may be off by its partner's and by the reference atom's displacement
    return bool((distance <= 2 * tolerance).all() and len(set(partners.tolist())) == len(positions))


def _tree(atoms: Atoms, number: int) -> cKDTree:
    """Atoms of one element in the cell, with their images in the neighbouring cells (image-major)."""
    inside = _wrapped(atoms, atoms.positions[atoms.numbers == number])
    ranges = [(-1, 0, 1) if periodic else (0,) for periodic in atoms.pbc]
    shifts = np.array([(a, b, c) for a in ranges[0] for b in ranges[1] for c in ranges[2]]) @ atoms.cell.array
    return cKDTree((shifts[:, None] + inside[None]).reshape(-1, 3))


def _wrapped(atoms: Atoms, positions: Array) -> Array:
    if not atoms.pbc.any():
        return positions
    cell = atoms.cell.complete().array
    scaled = np.linalg.solve(cell.T, positions.T).T
    scaled[:, atoms.pbc] %= 1.0
    found: Array = scaled @ cell
    return found


def _key(atoms: Atoms) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    return tuple(sorted(int(z) for z in atoms.numbers)), tuple(bool(p) for p in atoms.pbc)


def _thinnest(atoms: Atoms) -> float:
    lengths = atoms.cell.lengths()[atoms.pbc]
    return float(lengths.min(initial=np.inf))


def _print(atoms: Atoms) -> Array:
    """Numbers that shifts, orders and images leave as they are: structure factors' sizes, element by element."""
    if not atoms.pbc.all() or abs(atoms.cell.volume) < 1e-3:
        return np.zeros(1)  # no filter: few frames are clusters without a cell
    scaled = np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T
    phases = np.exp(2j * np.pi * scaled @ _WAVES.T)
    return np.concatenate([np.abs(phases[atoms.numbers == z].sum(axis=0)) for z in sorted(set(atoms.numbers))])


def _room(atoms: Atoms) -> float | None:
    """Volume over that of the atoms' covalent spheres; None where there is vacuum or no cell."""
    if not atoms.pbc.all() or has_vacuum(atoms):
        return None
    return float(abs(atoms.cell.volume) / (4 / 3 * np.pi * np.sum(covalent_radii[atoms.numbers] ** 3)))
