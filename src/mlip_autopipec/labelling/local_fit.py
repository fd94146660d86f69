"""What all other labels say about one: a small linear ACE, and its errors on each frame left out of the fit.

The errors of all frames left out in turn follow from one fit in closed form: with hat matrix H and residuals r of the
rows of one frame, the residuals of the fit without that frame are (1 - H)^-1 r, and (1 - H)^-1 is their covariance in
units of the noise (block form of the PRESS residuals: D. M. Allen, Technometrics 16, 125 (1974)). The descriptors are
those of R. Drautz, Phys. Rev. B 99, 014104 (2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.ace import BasisSpec, build_basis, design_rows
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ENERGY, FORCES

Array = NDArray[np.float64]

ROWS_PER_FUNCTION = {(8, 5): 5, (10, 8): 5, (12, 10, 8): 25}
"""Bases, and how many rows each must have per function: an odd label bends a larger basis more."""
CUTOFFS_ANGSTROM = (3.0, 5.0)
"""Short (molecules) and long (metals). The basis and cutoff that foretell left-out labels best are used."""
ENERGY_WEIGHT = 3.0
"""Of an energy (per square root of the number of atoms, eV) against a force component (eV/A): of 3, 10 the one by which
an odd energy disturbs the others less."""
LARGE_FORCE_EV_PER_ANGSTROM = 5.0
"""Forces above it weigh less in proportion: no small basis fits a repulsive wall, and it shall not bend the rest."""
RIDGES = tuple(10.0 ** np.arange(-8.0, -1.0))
FREE = 1e-12  # ridge of the energies per element: they are not to be damped
NUMBERS_MAX = 10_000_000  # of stored rows of a fit (80 MB); above it the forces of only every k-th atom are used
TRIED = 400  # frames on which the ridge is chosen


@dataclass(frozen=True)
class LeftOut:
    """Errors of each frame by the fit to all others (frames that are not `used` are not in any fit).

    Attributes:
        energy: (frames,) label minus expectation, eV/atom.
        sigma: (frames,) standard deviation expected of it, eV/atom, by the fit's own noise and covariance.
        force: (frames,) root-mean-square difference of the forces, eV/A.
        likeness: (frames,) cosine of labelled and expected forces, 1 where they point the same way.
    """

    energy: Array
    sigma: Array
    force: Array
    likeness: Array

    def score(self, used: NDArray[np.bool_]) -> float:
        """Logarithm of typical errors of energy and force: smaller is better. Medians, so odd labels do not count."""
        typical = np.median(np.abs(self.energy[used])) * np.median(self.force[used])
        return float(np.log(max(float(typical), 1e-30)))


class LocalFit:
    """Rows of all frames in one basis; `leave_out` says how well each label is foretold by the others.

    Raises:
        DataError: atoms of a frame are so close that they have no descriptors.
    """

    def __init__(self, frames: Sequence[Atoms], degrees: tuple[int, ...], cutoff_angstrom: float) -> None:
        elements = sorted({symbol for frame in frames for symbol in frame.symbols})
        basis = build_basis(BasisSpec(tuple(elements), cutoff_angstrom, degrees))
        self.functions = basis.number_of_functions
        self.cutoff_angstrom, self.degrees = cutoff_angstrom, degrees
        self._free = len(elements)
        numbers = 3 * sum(map(len, frames)) * self.functions
        stride = -(-numbers // NUMBERS_MAX)
        self._rows: list[Array] = []
        self._targets: list[Array] = []
        self._weights: list[Array] = []
        descriptors = []
        for frame in frames:
            made = design_rows(basis, frame)
            descriptors.append(made.energy / len(frame))
            forces = np.asarray(frame.arrays[FORCES])[::stride]
            size = np.linalg.norm(forces, axis=1)
            weight = np.repeat(1 / np.hypot(1.0, size / LARGE_FORCE_EV_PER_ANGSTROM), 3)
            rows = made.forces.reshape(len(frame), 3, -1)[::stride].reshape(-1, self.functions)
            weights = np.concatenate([[ENERGY_WEIGHT / np.sqrt(len(frame))], weight])
            counts = [float(np.sum(frame.symbols == symbol)) for symbol in elements]
            whole = np.zeros((len(weights), self.functions + len(elements)))
            whole[0] = np.concatenate([made.energy, counts])
            whole[1:, : self.functions] = rows
            self._rows.append(weights[:, None] * whole)
            self._targets.append(weights * np.concatenate([[frame.info[ENERGY]], forces.ravel()]))
            self._weights.append(weights)
        self.descriptors = np.array(descriptors)
        """(frames, functions), averages over atoms."""
        self._atoms = np.array([float(len(frame)) for frame in frames])
        squares = sum((rows**2).sum(axis=0) for rows in self._rows)
        self._scales = np.sqrt(np.where(squares > 0, squares, 1.0))
        self._rows = [rows / self._scales for rows in self._rows]

    def best_ridge(self, used: NDArray[np.bool_]) -> tuple[float, float]:
        """Ridge by which left-out labels are foretold best, and its score."""
        tried = np.flatnonzero(used)[:: max(1, int(used.sum()) // TRIED)]
        scores = [self.leave_out(used, ridge, tried).score(used) for ridge in RIDGES]
        best = int(np.argmin(scores))
        return RIDGES[best], scores[best]

    def leave_out(
        self,
        used: NDArray[np.bool_],
        ridge: float,
        asked: NDArray[np.int_] | None = None,
        trust: Array | None = None,
    ) -> LeftOut:
        """Errors of each frame by the fit to all `used` frames but itself.

        Args:
            used: (frames,) whether a frame may be in a fit.
            trust: (frames,) further weights of the energies; None: 1.
            asked: indices of the frames to judge; the others get the median of those.
        """
        trusted = np.ones(len(self._rows)) if trust is None else trust
        scale = [np.concatenate([[one], np.ones(len(y) - 1)]) for one, y in zip(trusted, self._targets, strict=True)]
        inside = np.flatnonzero(used)
        gram = sum((scale[i] ** 2 * self._rows[i].T) @ self._rows[i] for i in inside)
        right = sum(self._rows[i].T @ (scale[i] ** 2 * self._targets[i]) for i in inside)
        prior = np.full(len(self._scales), ridge)
        prior[-self._free :] = FREE
        inverse = np.linalg.pinv(gram + np.diag(prior), hermitian=True)
        coefficients = inverse @ right
        rests = [scale[i] * (self._targets[i] - self._rows[i] @ coefficients) for i in inside]
        squares = sum(float((rest**2).sum()) for rest in rests)
        rows = sum(len(self._targets[i]) for i in inside)
        noise = np.sqrt(squares / max(rows - float(np.trace(inverse @ gram)), 1.0))
        energy, sigma, force, likeness = (np.full(len(self._rows), np.nan) for _ in range(4))
        for i in range(len(self._rows)) if asked is None else asked:
            residual = scale[i] * (self._targets[i] - self._rows[i] @ coefficients)
            hat = scale[i][:, None] * (self._rows[i] @ inverse @ self._rows[i].T) * scale[i]
            if used[i]:
                covariance = np.linalg.inv(np.eye(len(hat)) * (1 + 1e-9) - hat)
                residual = covariance @ residual
            else:
                covariance = np.eye(len(hat)) + hat
            unit = 1 / float(self._weights[i][0] * self._atoms[i])
            energy[i] = residual[0] * unit / trusted[i]
            # of a label of full weight: its own noise, and that of the expectation by the others
            sigma[i] = noise * np.sqrt(1 + max(covariance[0, 0] - 1, 0.0) / trusted[i] ** 2) * unit
            force[i] = np.sqrt(np.mean((residual[1:] / self._weights[i][1:]) ** 2))
            said = self._targets[i][1:]
            expected = said - residual[1:]
            sizes = float(np.linalg.norm(said)) * float(np.linalg.norm(expected))
            likeness[i] = float(said @ expected) / max(sizes, 1e-30)
        found = (np.where(np.isnan(one), np.nanmedian(one), one) for one in (energy, sigma, force, likeness))
        return LeftOut(*found)


def all_fits(frames: Sequence[Atoms]) -> list[LocalFit]:
    """A fit for each basis and cutoff that the labels can carry; none where there are too few.

    Args:
        frames: labelled frames, isolated atoms not among them.

    Raises:
        DataError: as `LocalFit`.
    """
    rows = 3 * sum(map(len, frames)) + len(frames)
    elements = tuple(sorted({symbol for frame in frames for symbol in frame.symbols}))
    return [
        LocalFit(frames, degrees, cutoff)
        for cutoff in CUTOFFS_ANGSTROM
        for degrees, least in ROWS_PER_FUNCTION.items()
        if least * build_basis(BasisSpec(elements, cutoff, degrees)).number_of_functions <= rows
    ]


def best_of(fits: Sequence[LocalFit], used: NDArray[np.bool_]) -> tuple[LocalFit, float]:
    """The fit and the ridge that foretell left-out labels best."""
    found = [(fit, *fit.best_ridge(used)) for fit in fits]
    fit, ridge, _ = min(found, key=lambda one: one[2])
    return fit, ridge


def describable(frames: Sequence[Atoms]) -> list[bool]:
    """Whether each frame has descriptors (its atoms are not too close)."""
    elements = tuple(sorted({symbol for frame in frames for symbol in frame.symbols}))
    basis = build_basis(BasisSpec(elements, max(CUTOFFS_ANGSTROM), (2,))) if frames else None

    def works(frame: Atoms) -> bool:
        assert basis is not None
        try:
            design_rows(basis, frame)
        except DataError:
            return False
        return True

    return [works(frame) for frame in frames]
