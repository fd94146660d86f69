"""Which basis, cutoff, energy weight and prior: tried on held-out trajectories, chosen by a rule, all of it said."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from mlip_autopipec.ace import BasisSpec, build_basis
from mlip_autopipec.config.full import Training
from mlip_autopipec.errors import DataError
from mlip_autopipec.training.layout import Degrees
from mlip_autopipec.training.noise import Floor
from mlip_autopipec.training.triangles import Choice, Triangles

ROLES = ("fast", "balanced", "accurate")
FOLDS_MIN, FRAMES_MIN = 3, 20
"""With fewer, one odd frame decides the score, and the evidence of the fit to all labels judges better: with 8 random
structures of mlearn silicon the force errors were 145 (evidence) and 155 meV/A (held out), medians of 10 draws."""
TIE = 1.02
"""Scores of a few hundred frames are no more certain than to some per cent."""
SMALLEST_DEGREE = 3  # of the pairs in a basis that is suggested: fewer radial functions fit no bond
STORED = 0.5
"""Bases are stored that would be allowed by so much of `environments_per_function`: the data may double before the
triangles must be made again for a larger basis."""


class HeldOut(NamedTuple):
    """Root-mean-square errors on frames that a fit had not seen."""

    energy_ev_per_atom: float
    force_ev_per_angstrom: float

    @property
    def score(self) -> float:
        """sqrt(energy x force), sqrt(eV/atom eV/A): needs no exchange rate."""
        return float(np.sqrt(self.energy_ev_per_atom * self.force_ev_per_angstrom))


@dataclass(frozen=True)
class Point:
    """One choice and how it did.

    Attributes:
        functions: size of the basis.
        held_out: errors on frames by the fits that had not seen their fold, geometric mean over folds; None without
            folds. The mean is geometric, so that one fold of extremes does not decide alone.
        score: of `held_out` with the noise of the labels; None without folds.
        log_evidence: of the fit to all labels; None where the score decides.
        cpu_seconds: what the point cost.
    """

    choice: Choice
    functions: int
    held_out: HeldOut | None
    score: float | None
    log_evidence: float | None
    cpu_seconds: float

    @property
    def rank(self) -> float:
        """Smaller is better."""
        return self.score if self.score is not None else -float(self.log_evidence or 0.0)

    def record(self) -> dict[str, Any]:
        """For the record of the training."""
        known = self.held_out
        return {
            "degrees": list(self.choice.degrees),
            "functions": self.functions,
            "cutoff_angstrom": self.choice.cutoff_angstrom,
            "energy_weight": self.choice.energy_weight,
            "prior_power": self.choice.prior_power,
            "held_out_energy_rmse_mev_per_atom": None if known is None else 1e3 * known.energy_ev_per_atom,
            "held_out_force_rmse_mev_per_angstrom": None if known is None else 1e3 * known.force_ev_per_angstrom,
            "score": None if self.score is None else 1e3 * self.score,
            "log_evidence": self.log_evidence,
            "cpu_seconds": self.cpu_seconds,
        }


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        points: all that was tried.
        roles: the point of each role of the family.
        why: one sentence for each role.
        left_out: bases that were not tried, and why, in words.
        by: 'held-out error' or 'evidence'.
    """

    points: list[Point]
    roles: dict[str, Point]
    why: dict[str, str]
    left_out: list[str]
    by: str

    def record(self) -> dict[str, Any]:
        """For the record of the training."""
        return {
            "by": self.by,
            "points": [point.record() for point in self.points],
            "roles": {role: point.record() for role, point in self.roles.items()},
            "why": self.why,
            "left_out": self.left_out,
            "cpu_seconds": sum(point.cpu_seconds for point in self.points),
        }


def allowed_bases(atoms: Mapping[str, int], settings: Training, share: float = 1.0) -> tuple[list[Degrees], list[str]]:
    """Bases of the ladder that the data can carry, and sentences about the others.

    gamma means something only with many more environments than functions, so the basis grows with the data. The
    smallest basis needs one environment per function at least, and so does a single one. Where the labels (of a rare
    element) cannot carry even that, a smaller one below it is used: labels are there, and more may come.

    Args:
        atoms: number of atoms in the data by element.
        share: part of `environments_per_function` that is asked for.

    Raises:
        DataError: not even a smaller basis has as few functions as there are atoms.
    """
    kept: list[Degrees] = []
    left_out = []
    rare = min(atoms, key=lambda symbol: atoms[symbol])
    for degrees in settings.degrees:
        basis = build_basis(BasisSpec(tuple(atoms), settings.cutoff_angstrom, tuple(degrees)))
        wanted = max(1.0, share * settings.environments_per_function) if kept else 1.0
        if atoms[rare] < wanted * max(basis.counts):
            left_out.append(
                f"{list(degrees)} was left out: {atoms[rare]} environments of {rare} are fewer than {wanted:g} for "
                f"each of its {max(basis.counts)} functions."
            )
            break
        kept.append(tuple(degrees))
    if not kept:
        few = (
            f"{atoms[rare]} {rare} atoms in all labelled frames are too few for the smallest basis, "
            f"training.degrees[0] = {list(settings.degrees[0])} with {max(basis.counts)} functions: each needs one"
        )
        smaller = _smaller(tuple(settings.degrees[0]), atoms, settings.cutoff_angstrom)
        if smaller is None:
            raise DataError(f"{few}. Label more frames")
        kept, left_out = [smaller], [f"{few}. {list(smaller)} was used: label more frames with {rare}."]
    return kept, left_out


def _smaller(refused: Degrees, atoms: Mapping[str, int], cutoff_angstrom: float) -> Degrees | None:
    """The largest basis below `refused` that `atoms` can carry, or None."""
    for less in range(1, max(refused) - SMALLEST_DEGREE + 1):
        degrees = tuple(max(degree - less, 1) for degree in refused)
        if max(build_basis(BasisSpec(tuple(atoms), cutoff_angstrom, degrees)).counts) <= min(atoms.values()):
            return degrees
    return None


def cutoffs(settings: Training) -> list[float]:
    """The cutoffs to try, A."""
    return [round(settings.cutoff_angstrom * factor, 3) for factor in settings.cutoff_factors]


def search(triangles: Triangles, atoms: Mapping[str, int], settings: Training, floor: Floor | None = None) -> Found:
    """Try every allowed basis with every cutoff, energy weight and prior, and fill the roles.

    With a noise of the labels (`floor`) the score is of both errors added in squares, so that small gains count less.
    The noise counts up to the lowest held-out error: held-out labels have it too, so what is more was learnt.

    accurate: the lowest held-out score. balanced, fast: the smallest basis whose best score is at most
    `balanced_error_ratio`, `fast_error_ratio` times that. The test set is not looked at.

    Raises:
        DataError: the data cannot carry the smallest basis.
    """
    bases, left_out = allowed_bases(atoms, settings)
    folds = len(triangles.folds)
    trusted = folds >= FOLDS_MIN and len(triangles.uids) >= FRAMES_MIN
    grid = product(bases, cutoffs(settings), settings.energy_weights, settings.prior_powers)
    points = [
        _try(triangles, Choice(degrees, cutoff, weight, settings.stress_weight, power), trusted)
        for degrees, cutoff, weight, power in grid
    ]
    points = _over(points, floor or Floor())
    best = [_best([p for p in points if p.choice.degrees == degrees]) for degrees in bases]
    roles = _roles(best, settings) if trusted else dict.fromkeys(ROLES, min(best, key=lambda p: p.rank))
    why = {role: _why(role, point, points, roles["accurate"], settings, triangles) for role, point in roles.items()}
    return Found(points, roles, why, left_out, "held-out error" if trusted else "evidence")


def _best(points: list[Point]) -> Point:
    """The lowest score; among those that differ from it by less than a score is certain, the lowest force error, which
    is an average of far more numbers than an energy error."""
    first = min(points, key=lambda p: p.rank)
    alike = [p for p in points if p.score is not None and p.held_out is not None and p.score <= TIE * first.rank]
    return min(alike, key=lambda p: p.held_out.force_ev_per_angstrom if p.held_out else 0.0) if alike else first


def _try(triangles: Triangles, choice: Choice, trusted: bool) -> Point:
    start = time.process_time()
    functions = triangles.basis(choice).number_of_functions
    if not trusted:
        evidence = triangles.solve(choice).log_evidence
        return Point(choice, functions, None, None, evidence, time.process_time() - start)
    logs = []
    for fold in triangles.folds:
        errors = triangles.errors(triangles.solve(choice, without=fold), fold)
        logs.append(np.log(np.maximum([errors.energy_rmse_ev_per_atom, errors.force_rmse_ev_per_angstrom], 1e-12)))
    held_out = HeldOut(*map(float, np.exp(np.mean(logs, axis=0))))
    return Point(choice, functions, held_out, held_out.score, None, time.process_time() - start)


def _over(points: list[Point], floor: Floor) -> list[Point]:
    """The points with scores that have the noise of the labels in them."""
    known = [point.held_out for point in points if point.held_out is not None]
    if not known:
        return points
    noise = HeldOut(
        min(floor.energy_ev_per_atom, *(one.energy_ev_per_atom for one in known)),
        min(floor.force_ev_per_angstrom, *(one.force_ev_per_angstrom for one in known)),
    )
    return [
        point
        if point.held_out is None
        else replace(point, score=HeldOut(*map(float, np.hypot(point.held_out, noise))).score)
        for point in points
    ]


def _roles(best: list[Point], settings: Training) -> dict[str, Point]:
    accurate = min(best, key=lambda p: p.rank)

    def smallest(ratio: float) -> Point:
        return next(p for p in best if p.rank <= ratio * accurate.rank)

    return {
        "fast": smallest(settings.fast_error_ratio),
        "balanced": smallest(settings.balanced_error_ratio),
        "accurate": accurate,
    }


def _why(
    role: str, point: Point, points: list[Point], accurate: Point, settings: Training, triangles: Triangles
) -> str:
    choice, folds, frames = point.choice, len(triangles.folds), len(triangles.uids)
    what = (
        f"{point.functions} functions {list(choice.degrees)}, cutoff {choice.cutoff_angstrom:g} A, energy weight "
        f"{choice.energy_weight:g}, prior power {choice.prior_power:g}"
    )
    if point.held_out is None:
        return (
            f"{what}: the largest evidence of {len(points)} points, because {frames} frames in {folds} "
            f"{'fold' if folds == 1 else 'folds'} are too few to judge by held-out ones (at least {FRAMES_MIN} frames "
            f"in {FOLDS_MIN} folds)."
        )
    errors = (
        f"{1e3 * point.held_out.energy_ev_per_atom:.2f} meV/atom and "
        f"{1e3 * point.held_out.force_ev_per_angstrom:.1f} meV/A on held-out trajectories ({folds} folds)"
    )
    if len(points) == 1:
        return f"{what}: the only point that the configuration and the data allow; {errors}."
    if role == "accurate":
        return f"{what}: the lowest held-out error of {len(points)} points, {errors}."
    ratio = settings.balanced_error_ratio if role == "balanced" else settings.fast_error_ratio
    return (
        f"{what}: the smallest basis whose held-out error is at most {ratio:g} times the best "
        f"({point.rank / accurate.rank:.2f} times); {errors}."
    )
