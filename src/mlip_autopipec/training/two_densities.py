"""A second atomic density with a square root: what a linear fit cannot say, learnt from the linear solution onwards.

E_i = rho_1 + F(rho_2) with rho_p = sum_f c_fp B_f and F the Finnis-Sinclair embedding of R. Drautz, Phys. Rev. B 99,
014104 (2019), shifted and scaled so that it is smooth at 0 (Y. Lysogorskiy et al., npj Comput. Mater. 7, 97, 2021).
All coefficients are fitted by L-BFGS in the coordinates in which the linear problem is round. The values and slopes
of every atom's functions are kept in memory, so that an iteration is two passes over them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from ase import Atoms
from numpy.typing import NDArray
from scipy.optimize import minimize

from mlip_autopipec.ace import Basis
from mlip_autopipec.ace.design_matrix import AtomRows, atom_rows
from mlip_autopipec.ace.embedding import Embedding
from mlip_autopipec.ace.evaluate import neighbours_of
from mlip_autopipec.training.core import VirtualForce
from mlip_autopipec.training.delta import Target
from mlip_autopipec.training.triangles import Fit, Misfit, Triangles

Array = NDArray[np.float64]

EMBEDDING = Embedding("FinnisSinclairShiftedScaled", (1.0, 1.0, 1.0, 0.5))
"""What the files say of `embedding`: weight and exponent of the first density, then of the second."""
SHARE = 0.1
"""Part of the linear solution that the second density begins with; with none of it the start would be a saddle."""
RIDGE = 10.0
"""Prior of the second density, relative to the first one's. Measured on mlearn silicon: at 1, eight structures are
fitted worse than by the linear model; at 10, better; 214 structures are fitted alike."""
MEMORY_BYTES = 4e9
"""Slopes that may be kept: about 35 000 atoms times 299 functions of silicon. Gathering them takes 2.3 times that."""
TOLD = 0.3
"""Relative error within which pairs pressed below the data are told to repel like screened nuclei."""
GAIN = 0.98
"""The held-out score must fall below this part of the linear one, or the linear potential is kept."""
SLOPE_AT_0 = 1.25
"""F'(0), by which the first density is lowered when the second begins."""


def embedding(rho: Array) -> tuple[Array, Array, Array]:
    """F, F' and F'' of `EMBEDDING`'s second density: sign(rho) (sqrt(|rho| + e/4) - e/2), e = exp(-|rho|)."""
    size = np.abs(rho)
    e = np.exp(-size)
    root = np.sqrt(size + e / 4)
    inner = 1 - e / 4
    value = root - e / 2
    second = e / (8 * root) - inner**2 / (4 * root**3) - e / 2
    return np.sign(rho) * value, inner / (2 * root) + e / 2, np.sign(rho) * second


@dataclass(frozen=True)
class _Element:
    """All atoms of one element: A atoms, R rows of slopes."""

    columns: slice
    values: Array  # (A, F)
    frame: NDArray[np.int64]  # (A,)
    slopes: NDArray[np.float32]  # (R, F), weighted
    atom: NDArray[np.int64]  # (R,) which atom
    output: NDArray[np.int64]  # (R,) which weighted force or strain component


class _Part(NamedTuple):
    values: list[Array]
    frame: list[int]
    slopes: list[NDArray[np.float32]]
    atom: list[NDArray[np.int64]]
    output: list[NDArray[np.int64]]


class _Sample(NamedTuple):
    """A frame with weighted labels: 3N forces and, with a `stress_weight`, 6 strain derivatives; or a virtual force."""

    atoms: Atoms
    energy: float
    energy_weight: float
    labels: Array
    stress_weight: float = 0.0
    along: Array | None = None  # (3N,) weighted direction of a virtual force

    def slopes(self, row: AtomRows) -> tuple[NDArray[np.int64], Array]:
        """Which of the labels an atom has a part in, and how it depends on the atom's functions, (labels, F)."""
        moved = (3 * row.neighbours[:, None] + np.arange(3)).ravel()
        if self.along is not None:
            return np.zeros(1, dtype=np.int64), (self.along[moved] @ row.forces)[None]
        if not self.stress_weight:
            return moved, row.forces
        strain = 3 * len(self.atoms) + np.arange(6)
        return np.append(moved, strain), np.vstack([row.forces, self.stress_weight * row.strain])


def _of_target(target: Target, fit: Fit) -> _Sample:
    n = len(target.frame)
    labels, scale = np.asarray(target.forces, dtype=float).ravel(), 0.0
    if target.strain_derivative_ev is not None and fit.choice.stress_weight > 0:
        scale = fit.choice.stress_weight / np.sqrt(n)
        offset = fit.stress_offset * target.frame.get_volume() * np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
        labels = np.append(labels, scale * (target.strain_derivative_ev - offset))
    return _Sample(target.frame, target.energy_ev, fit.choice.energy_weight / np.sqrt(n), labels, scale)


def _of_pair(pair: VirtualForce) -> _Sample:
    label = np.array([pair.weight * pair.force_ev_per_angstrom])
    return _Sample(pair.atoms, 0.0, 0.0, label, along=pair.weight * pair.direction.ravel())


class Problem:
    """The labels of a dataset and everything that a fit with two densities needs of its atoms.

    Outputs are the energies (one per frame) and a vector of weighted forces and strain derivatives.

    Args:
        targets: what is to be reproduced.
        basis: the functions.
        fit: linear fit whose weights and stress offset are taken over.
        pairs: virtual forces on pairs pressed together, fitted with every dataset (`Core.virtual_forces`).
    """

    def __init__(self, targets: Sequence[Target], basis: Basis, fit: Fit, pairs: Sequence[VirtualForce] = ()) -> None:
        self.size, self.frames = basis.number_of_functions, len(targets)
        samples = [*(_of_target(target, fit) for target in targets), *(_of_pair(pair) for pair in pairs)]
        self.atoms = np.array([len(one.atoms) for one in samples])
        self.energy = np.array([one.energy for one in samples])
        self.energy_weight = np.array([one.energy_weight for one in samples])
        self.labels = np.concatenate([one.labels for one in samples])
        self.owner = np.repeat(np.arange(len(samples)), [len(one.labels) for one in samples])
        self.is_force = np.concatenate([np.arange(len(one.labels)) < 3 * len(one.atoms) for one in samples])
        parts: list[_Part] = [_Part([], [], [], [], []) for _ in basis.elements]
        start = 0
        for number, one in enumerate(samples):
            for row in atom_rows(basis, one.atoms):
                place, slopes = one.slopes(row)
                if one.along is not None and not slopes.any():
                    continue  # far from the pair
                into = parts[row.species]
                into.output.append(start + place)
                into.atom.append(np.full(len(place), len(into.values)))
                into.slopes.append(slopes.astype(np.float32))
                into.values.append(row.values)
                into.frame.append(number)
            start += len(one.labels)
        self.elements = [
            _Element(
                basis.columns(mu), np.array(part.values), np.array(part.frame), np.concatenate(part.slopes),
                np.concatenate(part.atom), np.concatenate(part.output),
            )
            for mu, part in enumerate(parts)
            if part.values
        ]  # fmt: skip

    def chosen(self, frames: NDArray[np.bool_], pairs: bool) -> NDArray[np.bool_]:
        """A choice among the dataset's frames as one among all samples, with the virtual forces or without."""
        return np.append(frames, np.full(len(self.energy) - self.frames, pairs))

    def predict(self, coefficients: Array) -> tuple[Array, Array, list[tuple[Array, Array, Array]]]:
        """Energies (frames,), outputs, and by element what the gradient needs: F', F'', slopes of the densities."""
        energy, outputs = np.zeros(len(self.energy)), np.zeros(len(self.labels))
        kept = []
        for one in self.elements:
            c = coefficients[one.columns]
            rho = one.values @ c
            value, first, second = embedding(rho[:, 1])
            slopes = (one.slopes @ c.astype(np.float32)).astype(float)
            energy += np.bincount(one.frame, rho[:, 0] + value, minlength=len(energy))
            pull = slopes[:, 0] + first[one.atom] * slopes[:, 1]
            outputs += np.bincount(one.output, pull, minlength=len(outputs))
            kept.append((first, second, slopes[:, 1]))
        return energy, outputs, kept

    def loss(self, coefficients: Array, fitted: NDArray[np.bool_]) -> tuple[float, Array]:
        """Half the weighted sum of squares over the `fitted` frames, and its gradient (F, 2)."""
        energy, outputs, kept = self.predict(coefficients)
        off = np.where(fitted, (energy - self.energy) * self.energy_weight, 0.0)
        wrong = np.where(fitted[self.owner], outputs - self.labels, 0.0)
        gradient = np.zeros((self.size, 2))
        for one, (first, second, slope) in zip(self.elements, kept, strict=True):
            pull = (off * self.energy_weight)[one.frame]
            push = wrong[one.output]
            along = np.bincount(one.atom, push * slope, minlength=len(one.values))
            weights = np.column_stack([push, push * first[one.atom]]).astype(np.float32)
            gradient[one.columns] = one.slopes.T @ weights
            gradient[one.columns] += one.values.T @ np.column_stack([pull, pull * first + second * along])
        return 0.5 * float(off @ off + wrong @ wrong), gradient

    def misfit(self, coefficients: Array, frames: NDArray[np.bool_]) -> Misfit:
        """Errors on some frames, as `Triangles.errors` gives them; stresses are left out."""
        energy, outputs, _ = self.predict(coefficients)
        off = ((energy - self.energy)[frames] ** 2 / self.atoms[frames]).sum()
        chosen = frames[self.owner] & self.is_force  # forces have weight 1
        wrong = ((outputs - self.labels)[chosen] ** 2).sum()
        return Misfit(float(off), float(wrong), 0.0, int(frames.sum()), int(self.atoms[frames].sum()))


def minimise(problem: Problem, fit: Fit, fitted: NDArray[np.bool_], iterations: int) -> tuple[Array, int]:
    """Coefficients (F, 2) from the linear solution `fit` of the same frames, and the iterations made."""
    prior = fit.basis.smoothness ** (fit.choice.prior_power / 4)
    penalty = fit.solution.ridge * np.column_stack([prior**2, RIDGE * prior**2])
    spread = fit.solution.posterior_factor[:-1] / fit.solution.noise  # without the stress offset
    metric = scipy.linalg.qr(spread.T, mode="r", check_finite=False)[0][: problem.size].T
    start = np.column_stack([(1 - SLOPE_AT_0 * SHARE) * fit.coefficients, SHARE * fit.coefficients])

    def objective(z: Array) -> tuple[float, Array]:
        c = start + metric @ z.reshape(problem.size, 2)
        value, gradient = problem.loss(c, fitted)
        return value + 0.5 * float((penalty * c * c).sum()), (metric.T @ (gradient + penalty * c)).ravel()

    found = minimize(
        objective, np.zeros(2 * problem.size), jac=True, method="L-BFGS-B",
        options={"maxiter": iterations, "maxfun": 3 * iterations, "maxcor": 30, "ftol": 1e-7},
    )  # fmt: skip
    return start + metric @ found.x.reshape(problem.size, 2), int(found.nit)


def slopes_bytes(targets: Sequence[Target], basis: Basis) -> int:
    """Memory that `Problem` takes for the slopes, estimated from the density of neighbours of one frame in ten."""
    total = 0
    for target in targets[::10]:
        near = neighbours_of(basis, target.frame)
        apart = np.unique(np.repeat(np.arange(len(target.frame)), np.diff(near.start)) * len(target.frame) + near.atom)
        total += 3 * (len(apart) + len(target.frame)) + 6 * len(target.frame)
    frames = len(targets[::10])
    return int(4 * total / frames * len(targets) * max(basis.counts))


def refine(
    targets: Sequence[Target], triangles: Triangles, fit: Fit, iterations: int, pairs: Sequence[VirtualForce] = ()
) -> tuple[Array | None, dict[str, Any]]:
    """Coefficients (F, 2) of both densities, if they predict held-out trajectories better than the linear fit.

    One fold is held out; the fit with two densities must have the smaller geometric mean of energy and force errors
    on it. Then all frames are fitted.

    Args:
        targets: all that the triangles were made of.
        fit: the linear fit to all of them.
        iterations: of L-BFGS, at most.
        pairs: virtual forces that keep pairs repulsive below the data.

    Returns:
        Coefficients or None, and a record: ``kept``, ``reason``, both ``held_out`` errors, iterations, CPU seconds.
    """
    clock = time.process_time()
    needed = slopes_bytes(targets, fit.basis)
    if needed > MEMORY_BYTES:
        return None, {
            "kept": False,
            "reason": f"the slopes of {sum(len(t.frame) for t in targets)} atoms and {fit.basis.number_of_functions} "
            f"functions take {needed / 1e9:.1f} GB, more than {MEMORY_BYTES / 1e9:.0f}: the linear fit is kept",
        }
    if len(triangles.folds) < 2:
        return None, {"kept": False, "reason": "there is no second trajectory to hold out: the linear fit is kept"}
    problem = Problem(targets, fit.basis, fit, pairs)
    fold = max(triangles.folds, key=lambda k: triangles.atoms[k])
    held = triangles.held_out(targets, fold)
    before = triangles.solve(fit.choice, without=fold)
    trial, _ = minimise(problem, before, problem.chosen(~held, pairs=True), iterations)
    unseen = problem.chosen(held, pairs=False)
    linear = problem.misfit(np.column_stack([before.coefficients, np.zeros(problem.size)]), unseen)
    found = problem.misfit(trial, unseen)
    change = f"{found.score / linear.score - 1:+.0%} held-out error (geometric mean of energy and force error)"
    record: dict[str, Any] = {"held_out": {"linear": _errors(linear), "two_densities": _errors(found)}}
    if found.score >= GAIN * linear.score:
        record |= {"kept": False, "reason": f"{change}: the linear fit is kept"}
        return None, record | {"cpu_seconds": time.process_time() - clock}
    coefficients, made = minimise(problem, fit, problem.chosen(np.ones_like(held), pairs=True), iterations)
    record |= {"kept": True, "reason": change, "iterations": made}
    return coefficients, record | {"cpu_seconds": time.process_time() - clock}


def _errors(misfit: Misfit) -> dict[str, float]:
    return {
        "energy_rmse_mev_per_atom": 1e3 * misfit.energy_rmse_ev_per_atom,
        "force_rmse_mev_per_angstrom": 1e3 * misfit.force_rmse_ev_per_angstrom,
    }
