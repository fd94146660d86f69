"""Labels that contradict their neighbours in descriptor space.

A label is suspect when the others foretell something else by far more than they are usually off, and by more than a
given number. What has few neighbours is not judged: rare is not wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.frames import FORCES
from mlip_autopipec.labelling.local_fit import LeftOut, LocalFit, all_fits, best_of, describable

Array = NDArray[np.float64]

FRAMES_MIN = 12
NEIGHBOURS = 8
SUPPORT = 5
"""A frame is judged where its fifth neighbour is not much farther than that of most frames."""
FAR = 3.0  # times the median distance of the fifth neighbour
FAR_OFF = 6.0
"""Standard deviations, from the median absolute deviation: with 6 no label of the real sets is suspect."""
HUBER, ROBUST_STEPS = 1.5, 4
GAUSSIAN = 1.4826  # standard deviation of a Gaussian over its median absolute deviation
LIKENESS_MIN, LIKENESS_USUAL = 0.3, 0.75
"""Forces that point elsewhere than foretold (cosine) are another frame's; below the second where they are also far more
off than around. In real sets the cosine is above 0.9 wherever forces are larger than:"""
FORCE_MIN_EV_PER_ANGSTROM = 0.2
UNLIKE_FORCE = 3.0
USUAL_FORCE = 2.0
"""Where the forces are foretold worse than this many times as usual nearby, the energy is expected to be so, too."""
SHARE_MAX = 0.2
"""Where more than this part of all judged labels is off, the neighbours do not agree with each other: no judgement."""
VARIANCE_MIN = 1e-3  # part of the variance of the descriptors that a direction must hold to count
DIRECTIONS_MAX = 12


@dataclass(frozen=True)
class Judged:
    """What was found of one label.

    Attributes:
        index: number of the frame.
        judged: False where it has too few neighbours.
        suspect: '' or 'energy' or 'forces'.
        energy_off_ev_per_atom: label minus what the others say.
        threshold_ev_per_atom: how far off it may be.
        force_off_ev_per_angstrom: root mean square of the same of the forces.
        neighbours: indices of the nearest judged frames.
    """

    index: int
    judged: bool
    suspect: str
    energy_off_ev_per_atom: float
    threshold_ev_per_atom: float
    force_off_ev_per_angstrom: float
    neighbours: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """All labels judged, in order; `said` tells how, or why not at all."""

    labels: list[Judged]
    said: str


def judge(frames: Sequence[Atoms], limit_ev_per_atom: float) -> Outcome:
    """Judge the label of every frame by those of all others.

    Args:
        frames: labelled frames without isolated atoms.
        limit_ev_per_atom: an energy is not suspect when it is off by less.

    Returns:
        What was found, the same whatever the order of the frames. The fit is of `local_fit`; an energy is suspect when
        it is off by more than the limit and `FAR_OFF` times the larger of the fit's own expectation (scaled by what is
        usual) and what its neighbours are off; a suspect label is left out of the fit that judges the others, the worst
        first.
    """
    usable = [i for i, works in enumerate(describable(frames)) if works]
    nothing = [Judged(i, False, "", 0.0, 0.0, 0.0) for i in range(len(frames))]
    if len(usable) < FRAMES_MIN:
        return Outcome(nothing, f"{len(usable)} labels are too few to judge one by the others (at least {FRAMES_MIN})")
    chosen = [frames[i] for i in usable]
    fits = all_fits(chosen)
    if not fits:
        return Outcome(nothing, "the labels have too few forces for the smallest fit that could judge them")
    used = np.ones(len(chosen), dtype=bool)
    while True:
        fit, ridge = best_of(fits, used)  # chosen anew each time: a wrong label had its say before
        distances = _distances(fit.descriptors)
        rows, ratio = _judge(chosen, fit, ridge, used, distances, limit_ev_per_atom)
        new = used & (ratio > 1)
        if not new.any() or (~used).sum() > SHARE_MAX * len(used):
            break
        used &= ~(new & (ratio > 0.5 * ratio[new].max()))
    judged = sum(row.judged for row in rows)
    suspects = sum(bool(row.suspect) for row in rows)
    said = (
        f"{judged} of {len(frames)} labels judged by a fit of {fit.functions} functions {list(fit.degrees)} with a "
        f"cutoff of {fit.cutoff_angstrom:g} A to the others"
    )
    if suspects > max(SHARE_MAX * judged, 2):
        said += f"; {suspects} are off: the labels do not agree with each other, and none was judged by this"
        rows = [_quiet(row) for row in rows]
    whole = nothing.copy()
    for i, row in zip(usable, rows, strict=True):
        near = [usable[j] for j in row.neighbours]
        whole[i] = Judged(
            i,
            row.judged,
            row.suspect,
            row.energy_off_ev_per_atom,
            row.threshold_ev_per_atom,
            row.force_off_ev_per_angstrom,
            near,
        )
    return Outcome(whole, said)


def _quiet(row: Judged) -> Judged:
    return Judged(row.index, False, "", row.energy_off_ev_per_atom, row.threshold_ev_per_atom,
                  row.force_off_ev_per_angstrom, row.neighbours)  # fmt: skip


def _judge(
    frames: Sequence[Atoms], fit: LocalFit, ridge: float, used: NDArray[np.bool_], distances: Array, limit: float
) -> tuple[list[Judged], Array]:
    """Every frame judged, and by how much each is beyond its threshold (above 1: suspect)."""
    left = _robust(fit, ridge, used)
    near = distances.copy()
    near[:, ~used] = np.inf
    np.fill_diagonal(near, np.inf)
    order = np.argsort(near, axis=1, kind="stable")[:, :NEIGHBOURS]
    fifth = np.take_along_axis(near, order[:, SUPPORT - 1 : SUPPORT], axis=1)[:, 0]
    supported = fifth <= FAR * np.median(fifth[used])
    usual = GAUSSIAN * np.median(np.abs(left.energy[used]) / left.sigma[used])
    around = GAUSSIAN * np.median(np.abs(left.energy[order]), axis=1)
    forces_around = np.maximum(np.median(left.force[order], axis=1), 1e-12)
    odd = np.maximum(left.force / (USUAL_FORCE * forces_around), 1.0)
    threshold = np.maximum(limit, FAR_OFF * odd * np.maximum(usual * left.sigma, around))
    by_energy = np.where(supported, np.abs(left.energy) / threshold, 0.0)
    size = np.array([np.sqrt(np.mean(np.square(frame.arrays[FORCES]))) for frame in frames])
    unlike = (left.likeness < LIKENESS_USUAL) & (left.force > UNLIKE_FORCE * forces_around)
    elsewhere = supported & (size > FORCE_MIN_EV_PER_ANGSTROM) & (unlike | (left.likeness < LIKENESS_MIN))
    by_force = np.where(elsewhere, 2.0 - left.likeness, 0.0)
    rows = [
        Judged(
            i,
            bool(supported[i]),
            "energy" if by_energy[i] > 1 else "forces" if by_force[i] > 1 else "",
            float(left.energy[i]),
            float(threshold[i]),
            float(left.force[i]),
            [int(j) for j in order[i] if np.isfinite(near[i, j])],
        )
        for i in range(len(frames))
    ]
    return rows, np.maximum(by_energy, by_force)


def _robust(fit: LocalFit, ridge: float, used: NDArray[np.bool_]) -> LeftOut:
    """Errors left out, where energies that are far off weigh less (Huber 1964): one odd label bends the others less."""
    left = fit.leave_out(used, ridge)
    for _ in range(ROBUST_STEPS):
        off = np.abs(left.energy) / left.sigma
        usual = GAUSSIAN * np.median(off[used])
        left = fit.leave_out(used, ridge, trust=np.minimum(1.0, HUBER * usual / np.maximum(off, 1e-12)))
        left = replace(left, sigma=np.maximum(left.sigma, 1e-12))
    return left


def _distances(descriptors: Array) -> Array:
    """Distances between frames in the directions in which descriptors differ, each scaled to its own spread first."""
    spread = descriptors.std(axis=0)
    scaled = (descriptors - descriptors.mean(axis=0)) / np.where(
        spread > 1e-12 * max(spread.max(), 1e-300), spread, np.inf
    )
    left, values, _ = np.linalg.svd(scaled, full_matrices=False)
    kept = (values**2 > VARIANCE_MIN * max(float((values**2).sum()), 1e-300)) & (
        np.arange(len(values)) < DIRECTIONS_MAX
    )
    points = left[:, kept] * values[kept]
    squares = (points**2).sum(axis=1)
    found: Array = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0.0))
    return found
