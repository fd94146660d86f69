"""Columns of the least-squares problem for a ladder of bases, and the rows of one frame in that order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlip_autopipec.ace import Basis, BasisSpec, DesignRows, build_basis, design_rows
from mlip_autopipec.errors import DataError
from mlip_autopipec.training.delta import Target

Array = NDArray[np.float64]
Degrees = tuple[int, ...]

ENERGY, FORCES, STRESS = "energy", "forces", "stress"
_SILENT = 1e-7
"""Rows (per A) shorter than this part of an atom's functions are zero by symmetry."""


@dataclass(frozen=True)
class Layout:
    """Columns of one cutoff: the stress offset, then the functions that each basis of the ladder adds.

    Raises:
        DataError: a basis of the ladder does not hold the one before it.
    """

    elements: tuple[str, ...]
    cutoff_angstrom: float
    ladder: tuple[Degrees, ...]

    @cached_property
    def bases(self) -> dict[Degrees, Basis]:
        """The bases of the ladder, smallest first."""
        return {d: build_basis(BasisSpec(self.elements, self.cutoff_angstrom, d)) for d in self.ladder}

    @property
    def largest(self) -> Basis:
        """The basis whose rows are computed."""
        return self.bases[self.ladder[-1]]

    @cached_property
    def places(self) -> dict[Degrees, NDArray[np.int64]]:
        """For each basis, the column of each of its functions; together they are columns 1 to F."""
        known: dict[tuple[int, object], int] = {}
        found = {}
        for degrees, basis in self.bases.items():
            keys = [(mu, f) for mu, functions in enumerate(basis.functions) for f in functions]
            for key in keys:
                known.setdefault(key, len(known) + 1)
            if len(known) != len(keys):
                raise DataError(
                    f"training.degrees: {list(degrees)} does not hold all functions of the entry before it. Write "
                    "the smallest first, and every later entry at least as large in each place."
                )
            found[degrees] = np.array([known[key] for key in keys])
        return found

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Function of the largest basis in each column but the first."""
        return np.argsort(self.places[self.ladder[-1]])

    def stacked(self, target: Target) -> dict[str, tuple[Array, Array]]:
        """Rows and targets of one frame by kind, not weighted; energy and stress are divided by sqrt(atoms)."""
        rows: DesignRows = design_rows(self.largest, target.frame)
        scale = 1 / np.sqrt(len(target.frame))
        parts = {
            ENERGY: (scale * rows.energy[None, :], np.array([scale * target.energy_ev]), 0.0),
            FORCES: (rows.forces, np.asarray(target.forces, dtype=float).ravel(), 0.0),
        }
        if target.strain_derivative_ev is not None:
            # A plane-wave basis that is not complete makes stresses that are not the derivative of the energies
            # (Pulay stress; Froyen and Cohen, J. Phys. C 19, 2623, 1986). Their isotropic offset is learnt with the
            # potential instead of bending its equation of state.
            offset = scale * target.frame.get_volume() * np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
            parts[STRESS] = (scale * rows.strain, scale * target.strain_derivative_ev, offset)
        # What symmetry makes zero for every function is no evidence of small noise: a perfect crystal is full of it.
        # Zeros of atoms without neighbours are kept: there the basis sees nothing, and its errors must count.
        silent = _SILENT * float(np.linalg.norm(rows.energy)) / len(target.frame)
        alone = ~rows.per_atom.any(axis=1)
        kept = {ENERGY: np.array([True]), FORCES: np.repeat(alone, 3), STRESS: np.full(6, alone.all())}
        found = {}
        for kind, (block, values, first) in parts.items():
            wide = np.empty((len(values), block.shape[1] + 1))
            wide[:, 0] = first
            np.take(block, self.order, axis=1, out=wide[:, 1:])
            heard = kept[kind] | (np.linalg.norm(wide, axis=1) > silent)
            found[kind] = (wide, values) if heard.all() else (wide[heard], values[heard])
        return found
