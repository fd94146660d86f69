"""What a cell holds: a bulk, a slab, a wire or a molecule, by the vacuum in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from ase import Atoms
from ase.geometry import get_distances, minkowski_reduce

from mlip_autopipec.frames import VACUUM_ANGSTROM, plane_gaps

GREY_ANGSTROM = 3.5  # wider than the spaces of graphite (3.35 A); between it and vacuum nobody can tell

_KINDS: tuple[Literal["bulk", "slab", "wire", "molecule"], ...] = ("bulk", "slab", "wire", "molecule")


@dataclass(frozen=True)
class Shape:
    """The shape of a cell.

    Attributes:
        kind: bulk, slab, wire or molecule: matter without end in 3, 2, 1 or 0 directions.
        open_axes: axes along which there is vacuum.
        gap_angstrom: the widest gap between atoms along a plane normal, A.
        grey: that gap may be a wide space in a crystal or a thin vacuum.
    """

    kind: Literal["bulk", "slab", "wire", "molecule"]
    open_axes: tuple[int, ...]
    gap_angstrom: float
    grey: bool

    @property
    def is_surely_bulk(self) -> bool:
        """Whether a barostat may move this cell: with vacuum in it, it would collapse."""
        return self.kind == "bulk" and not self.grey


def shape(atoms: Atoms) -> Shape:
    """The shape of this cell: vacuum is a gap of more than 6 A along a plane normal, or an axis that is not periodic.

    A gap of 3.5 to 6 A is grey, unless neighbours are as far from each other everywhere (large atoms in small cells).
    """
    gaps, _ = plane_gaps(atoms)
    open_axes = [k for k in range(3) if gaps[k] > VACUUM_ANGSTROM or not atoms.pbc[k]]
    widest = max((gaps[k] for k in range(3) if k not in open_axes), default=0.0)
    grey = bool(widest > GREY_ANGSTROM and widest > _neighbour_angstrom(atoms))
    return Shape(_KINDS[len(open_axes)], tuple(open_axes), float(max(gaps)), grey)


def _neighbour_angstrom(atoms: Atoms) -> float:
    """The distance of the two nearest atoms, images included, A."""
    if not atoms.pbc.any():
        return 0.0
    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    between = distances[np.triu_indices(len(atoms), 1)]
    return float(min(between.min(initial=np.inf), *_image_distances(atoms)))


def _image_distances(atoms: Atoms) -> list[float]:
    """Distances of an atom from its nearest images, A."""
    reduced, _ = minkowski_reduce(atoms.cell, atoms.pbc)
    return [float(np.linalg.norm(reduced[k])) for k in range(3) if atoms.pbc[k]]
