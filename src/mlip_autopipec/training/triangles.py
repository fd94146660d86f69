"""The least-squares problem of a dataset, kept as triangles: one per fold and kind of label, to be weighted later.

Rows are never weighted before they are kept, and columns stand in the order of the ladder of bases. Any energy and
stress weight is then a stack of small triangles, any smaller basis of the ladder their leading columns, any fold's
held-out error exact from its own triangle, and new labels append (blockwise QR: G. H. Golub and C. F. Van Loan, Matrix
Computations, section 5.2).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlip_autopipec.ace import Basis, Factor, Solution
from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.frames import uid
from mlip_autopipec.training.delta import Target
from mlip_autopipec.training.folds import assign
from mlip_autopipec.training.layout import ENERGY, FORCES, STRESS, Degrees, Layout

Array = NDArray[np.float64]

_KINDS = (ENERGY, FORCES, STRESS)
_FORMAT = 1
WIDEST_EV = 20.0
"""Standard deviation that the prior may leave to the coefficient of a function of radial degree 3, at most. Fits to
silicon, lithium and an alloy take 0.1 to 16; the evidence of rattled molecules alone would take 1e8."""


@dataclass(frozen=True)
class Choice:
    """One point of the search.

    Attributes:
        degrees: of the basis, an entry of the ladder.
        cutoff_angstrom: of the basis.
        energy_weight: of an energy (per sqrt(atoms)) against a force component, A.
        stress_weight: of dE/dstrain (per sqrt(atoms)) against a force component, 1/A.
        prior_power: coefficients are expected to fall as this power of the radial degree n; 0 treats all alike.
    """

    degrees: Degrees
    cutoff_angstrom: float
    energy_weight: float
    stress_weight: float
    prior_power: float


class Fit(NamedTuple):
    """A fit to all folds, or to all but one.

    Attributes:
        choice: the weights and the basis it was made with.
        basis: the functions.
        coefficients: (F,) in eV.
        stress_offset: isotropic offset of all labelled stresses, eV/A^3.
        solution: posterior of the coefficients in the order of `basis`, the offset last.
        log_evidence: of the labels themselves (weights do not change its scale), for comparing choices; with further
            rows (`solve(more=...)`) of those too.
    """

    choice: Choice
    basis: Basis
    coefficients: Array
    stress_offset: float
    solution: Solution
    log_evidence: float


class Misfit(NamedTuple):
    """Sums of squared errors over some frames.

    Attributes:
        energy: of (energy error in eV)^2 / atoms, over frames.
        force: of (force component error in eV/A)^2.
        stress: of (dE/dstrain error in eV)^2 / atoms, over components.
        frames, atoms, stresses: how many frames, atoms and stress components there are.
    """

    energy: float = 0.0
    force: float = 0.0
    stress: float = 0.0
    frames: int = 0
    atoms: int = 0
    stresses: int = 0

    @property
    def energy_rmse_ev_per_atom(self) -> float:
        """Root-mean-square error of the energy per atom; every atom counts alike."""
        return float(np.sqrt(self.energy / max(self.atoms, 1)))

    @property
    def force_rmse_ev_per_angstrom(self) -> float:
        """Root-mean-square error of a force component."""
        return float(np.sqrt(self.force / max(3 * self.atoms, 1)))

    @property
    def score(self) -> float:
        """Geometric mean of the two: needs no weight of eV against eV/A."""
        return float(np.sqrt(self.energy_rmse_ev_per_atom * self.force_rmse_ev_per_angstrom))


@dataclass
class Triangles:
    """All labels of a dataset as triangles, by cutoff, fold and kind.

    Attributes:
        layouts: columns by cutoff in A.
        folds_asked: number of folds that trajectories are spread over.
        uids: fold of every frame by its identity.
        digests: what each frame's labels were, to notice a changed one.
        atoms: number of atoms in each fold.
        choice: the point of the search that the potential of this training was made with.
    """

    layouts: dict[float, Layout]
    folds_asked: int
    uids: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    atoms: dict[int, int] = field(default_factory=dict)
    choice: Choice | None = None
    _factors: dict[tuple[float, int, str], Factor] = field(default_factory=dict, repr=False)
    _sums: dict[tuple[float, float, float, int | None], tuple[Factor, float]] = field(default_factory=dict, repr=False)

    @classmethod
    def empty(
        cls, elements: Sequence[str], cutoffs_angstrom: Sequence[float], ladder: Sequence[Degrees], folds: int
    ) -> Triangles:
        """Nothing yet, for these elements, cutoffs, bases (smallest first) and number of folds."""
        names, steps = tuple(sorted(elements)), tuple(tuple(d) for d in ladder)
        return cls({float(c): Layout(names, float(c), steps) for c in cutoffs_angstrom}, folds)

    @property
    def folds(self) -> list[int]:
        """Folds that hold frames."""
        return sorted(self.atoms)

    @property
    def ladder(self) -> tuple[Degrees, ...]:
        """The bases that can be solved for, smallest first."""
        return next(iter(self.layouts.values())).ladder

    def basis(self, choice: Choice) -> Basis:
        """The functions of a choice."""
        return self.layouts[choice.cutoff_angstrom].bases[choice.degrees]

    def frames_in(self, fold: int) -> int:
        """Number of frames of one fold."""
        return sum(1 for one in self.uids.values() if one == fold)

    def append(self, targets: Sequence[Target]) -> int:
        """Add the frames that are not here yet, and return how many there were; all of the dataset must be given.

        Raises:
            DataError: a frame that is here is missing from the dataset, has another label, or is in another fold; or
                a structure cannot be evaluated. `extends` says the first beforehand.
        """
        reason = self.obstacle(targets)
        if reason:
            raise DataError(f"these labels cannot be appended: {reason}.")
        added = [
            (key, fold, target)
            for key, fold, target in zip(_keys(targets), _folds(targets, self.folds_asked), targets, strict=True)
            if key not in self.uids
        ]
        for fold in sorted({fold for _, fold, _ in added}):
            members = [(key, target) for key, one, target in added if one == fold]
            for cutoff, layout in self.layouts.items():
                for _, target in members:
                    for kind, (rows, values) in layout.stacked(target).items():
                        self._factor(cutoff, fold, kind).append(rows, values)
                for kind in _KINDS:
                    _ = self._factor(cutoff, fold, kind).triangle  # one fold's rows in memory at a time
            for key, target in members:
                self.uids[key], self.digests[key] = fold, _digest(target)
                self.atoms[fold] = self.atoms.get(fold, 0) + len(target.frame)
        if added:
            self._sums.clear()
        return len(added)

    def held_out(self, targets: Sequence[Target], fold: int) -> NDArray[np.bool_]:
        """Which frames of the dataset are in a fold, (len(targets),)."""
        return np.array([self.uids[key] == fold for key in _keys(targets)])

    def obstacle(self, targets: Sequence[Target]) -> str:
        """Why the dataset does not extend what is here, in words; '' if it does."""
        keys = _keys(targets)
        missing = set(self.uids) - set(keys)
        if missing:
            return f"{len(missing)} of its frames are no longer in the dataset"
        for key, fold, target in zip(keys, _folds(targets, self.folds_asked), targets, strict=True):
            if key in self.uids and self.digests[key] != _digest(target):
                return f"the label (or reference energy) of frame {key} has changed"
            if key in self.uids and self.uids[key] != fold:
                return f"frame {key} belongs to another fold now"
        return ""

    def _factor(self, cutoff: float, fold: int, kind: str) -> Factor:
        columns = self.layouts[cutoff].largest.number_of_functions + 1
        return self._factors.setdefault((cutoff, fold, kind), Factor(columns))

    def solve(self, choice: Choice, without: int | None = None, more: tuple[Array, Array] | None = None) -> Fit:
        """The fit to all folds, or to all but `without`.

        Args:
            more: rows (m, F) in the order of the choice's basis and targets (m,), weighted, that are not of the labels.

        Raises:
            DataError: the choice is not among the bases and cutoffs kept here, or no label is left.
        """
        layout = self.layouts.get(choice.cutoff_angstrom)
        if layout is None or choice.degrees not in layout.bases:
            raise DataError(f"no triangle is kept for {choice}; kept: {list(self.layouts)} A, {self.ladder}.")
        whole, jacobian = self._sum(choice.cutoff_angstrom, choice.energy_weight, choice.stress_weight, without)
        basis, places = layout.bases[choice.degrees], layout.places[choice.degrees]
        prior = np.ones(basis.number_of_functions + 1)
        prior[places] = basis.smoothness ** (choice.prior_power / 4)  # smoothness grows with the fourth power of n
        factor = whole.leading(len(prior))
        if more is not None:
            wide = np.zeros((len(more[1]), len(prior)))
            wide[:, places] = more[0]
            factor.append(wide, more[1])
        widest = WIDEST_EV * 3.0**choice.prior_power
        solution = factor.solve(prior, widest=widest).reordered(np.append(places, 0))
        return Fit(
            choice,
            basis,
            solution.coefficients[:-1],
            float(solution.coefficients[-1]),
            solution,
            solution.log_evidence + jacobian,
        )

    def _sum(
        self, cutoff: float, energy_weight: float, stress_weight: float, without: int | None
    ) -> tuple[Factor, float]:
        """Weighted triangle of the largest basis, and log |d(weighted labels) / d(labels)|."""
        key = cutoff, energy_weight, stress_weight, without
        if key not in self._sums:
            total = Factor(self.layouts[cutoff].largest.number_of_functions + 1)
            jacobian = 0.0
            for kind, weight in ((FORCES, 1.0), (ENERGY, energy_weight), (STRESS, stress_weight)):
                for fold in self.folds:
                    part = self._factor(cutoff, fold, kind)
                    if fold != without and part.rows and weight > 0:
                        total.merge(part, weight)
                        jacobian += part.rows * float(np.log(weight))
            self._sums[key] = total, jacobian
        return self._sums[key]

    def errors(self, fit: Fit, fold: int) -> Misfit:
        """Errors of a fit on the frames of one fold; held out if the fit was made without it."""
        places = self.layouts[fit.choice.cutoff_angstrom].places[fit.choice.degrees]
        inner = np.zeros(len(places) + 1)
        inner[places], inner[0] = fit.coefficients, fit.stress_offset
        found = {}
        for kind in _KINDS:
            factor = self._factor(fit.choice.cutoff_angstrom, fold, kind)
            found[kind] = factor.leading(len(inner)).misfit(inner) if factor.rows else 0.0
        stresses = self._factor(fit.choice.cutoff_angstrom, fold, STRESS).rows
        return Misfit(
            found[ENERGY], found[FORCES], found[STRESS], self.frames_in(fold), self.atoms.get(fold, 0), stresses
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as .npz, whole or not at all."""
        said = {
            "format": _FORMAT,
            "elements": next(iter(self.layouts.values())).elements,
            "cutoffs_angstrom": list(self.layouts),
            "ladder": self.ladder,
            "folds_asked": self.folds_asked,
            "uids": self.uids,
            "digests": self.digests,
            "atoms": list(self.atoms.items()),
            "choice": None if self.choice is None else asdict(self.choice),
            "factors": [[*key, factor.rows] for key, factor in self._factors.items()],
        }
        arrays = {f"triangle_{k}": factor.triangle for k, factor in enumerate(self._factors.values())}
        with atomic_path(path) as temporary, open(temporary, "wb") as handle:
            np.savez(handle, allow_pickle=False, said=np.array(json.dumps(said)), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Triangles:
        """Read what `save` wrote.

        Raises:
            InputFileError: missing, truncated or another kind of file.
        """
        if not Path(path).is_file():
            raise InputFileError(path, "no such file", "Run the training that writes it.")
        try:
            with np.load(path, allow_pickle=False) as data:
                said: dict[str, Any] = json.loads(str(data["said"]))
                if said["format"] != _FORMAT:
                    raise ValueError(f"format {said['format']}")
                ladder = [tuple(d) for d in said["ladder"]]
                found = cls.empty(said["elements"], said["cutoffs_angstrom"], ladder, said["folds_asked"])
                found.uids, found.digests = said["uids"], said["digests"]
                found.atoms = {int(fold): int(count) for fold, count in said["atoms"]}
                if said["choice"] is not None:
                    found.choice = Choice(**said["choice"] | {"degrees": tuple(said["choice"]["degrees"])})
                for k, (cutoff, fold, kind, rows) in enumerate(said["factors"]):
                    factor = Factor.of_triangle(data[f"triangle_{k}"], rows)
                    if factor.columns != found.layouts[cutoff].largest.number_of_functions + 1:
                        raise ValueError("its triangles have another size than its basis")
                    found._factors[float(cutoff), int(fold), kind] = factor
        except Exception as error:  # numpy, zipfile and json raise many kinds for a broken file
            raise InputFileError(
                path, f"not the factor of a training ({error})", "Delete it and train again."
            ) from None
        return found


def _keys(targets: Sequence[Target]) -> list[str]:
    """Identity of each frame; the same structure labelled twice counts twice."""
    seen: dict[str, int] = {}
    keys = []
    for target in targets:
        name = str(target.frame.info.get("uid") or uid(target.frame))
        seen[name] = seen.get(name, 0) + 1
        keys.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return keys


def _folds(targets: Sequence[Target], number: int) -> list[int]:
    return assign([target.frame for target in targets], number)


def _digest(target: Target) -> str:
    """What is to be reproduced, after reference energies and baseline are subtracted, to about 1e-9 of an eV."""
    digest = hashlib.sha256()
    for values in (target.energy_ev, target.forces, target.strain_derivative_ev):
        numbers = np.zeros(0) if values is None else np.round(np.asarray(values, dtype=float) * 1e9)
        digest.update(np.asarray(numbers).astype("<i8").tobytes() + b"|")
    return digest.hexdigest()[:16]
