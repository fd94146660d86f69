"""Pairs nearer than any in the data: a fit is told as much of their repulsion as it takes to have them repel.

Where no data are, the machine-learned part may be anything, and a baseline that has ended does not mend it. Nuclei so
near repel by their screened charges (ZBL), in whatever surroundings; the fit gets that as virtual forces of pairs
alone, weak at first, and only for pairs that would attract without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers
from numpy.typing import NDArray

from mlip_autopipec.ace import Basis, Solution, design_rows
from mlip_autopipec.dimers import NEAREST_ANGSTROM, attraction_below, dimer, pairs_of
from mlip_autopipec.repulsion import Repulsion, pair_name, screened_coulomb

Array = NDArray[np.float64]
Rows = tuple[Array, Array]
"""Weighted rows (m, functions) and targets (m,)."""

STEP_ANGSTROM = 0.025
RELATIVE_ERRORS = (1.0, 0.3, 0.1, 0.03, 0.01)
"""How wrong the screened-Coulomb force of a pair is assumed to be, tried in this order."""
COST = 1.05
"""The misfit of the labels may grow by this factor at most: data come before what is told."""
FLOOR_EV_PER_ANGSTROM = 0.5
"""Forces are not told to more than the relative error of this."""


class FitLike(Protocol):
    """What is needed of a fit."""

    @property
    def coefficients(self) -> Array: ...

    @property
    def solution(self) -> Solution: ...


F = TypeVar("F", bound=FitLike)


class VirtualForce(NamedTuple):
    """A structure, how much a wrong force along `direction` (N, 3) weighs, and what it shall be (eV/A)."""

    atoms: Atoms
    direction: Array
    weight: float
    force_ev_per_angstrom: float


@dataclass(frozen=True)
class Core:
    """A pair alone, from the shortest distance in the data inwards.

    Attributes:
        distances_angstrom: (m,).
        rows: (m, functions) of the repulsive force, eV/A.
        baseline: (m,) force of the baseline.
        screened: (m,) force of the screened nuclei, eV/A.
        below_angstrom: the shortest distance in the data.
        pair: the two elements.
        structures: what the pair looks like at each distance.
        direction: (N, 3); its product with the forces of a structure is the force that drives the pair apart.
    """

    distances_angstrom: Array
    rows: Array
    baseline: Array
    screened: Array
    below_angstrom: float
    pair: tuple[str, str]
    structures: list[Atoms]
    direction: Array

    def attracts_at(self, coefficients: Array) -> float | None:
        """Largest distance at which the pair attracts, or None."""
        return attraction_below(self.distances_angstrom, self.rows @ coefficients + self.baseline, self.below_angstrom)

    def weighted(self, noise: float, relative_error: float) -> Rows:
        """Rows and targets that say: the force is that of the screened nuclei, or of the baseline where that is
        stronger, within a relative error."""
        weight, force = self._told(noise, relative_error)
        return weight[:, None] * self.rows, weight * force

    def virtual_forces(self, noise: float, relative_error: float) -> list[VirtualForce]:
        """The same for a model that is not linear."""
        weights, forces = self._told(noise, relative_error)
        told = zip(self.structures, weights, forces, strict=True)
        return [VirtualForce(atoms, self.direction, float(w), float(f)) for atoms, w, f in told]

    def _told(self, noise: float, relative_error: float) -> tuple[Array, Array]:
        """Weight, and force without the baseline's part (eV/A), at every distance."""
        force = np.maximum(self.screened, self.baseline)
        return noise / (relative_error * np.maximum(force, FLOOR_EV_PER_ANGSTROM)), force - self.baseline


def attracts_at(calculator: Calculator, core: Core) -> float | None:
    """Largest distance in A, nearer than any in the data, at which a whole potential lets a pair attract, or None."""
    forces = [float((core.direction * calculator.get_property("forces", atoms)).sum()) for atoms in core.structures]
    return attraction_below(core.distances_angstrom, np.array(forces), core.below_angstrom)


def core_of(basis: Basis, baseline: Repulsion | None, a: str, b: str, below_angstrom: float) -> Core:
    """The rows of one pair of elements below the shortest distance in the data (A)."""
    count = max(2, round((below_angstrom - NEAREST_ANGSTROM) / STEP_ANGSTROM))
    r = np.linspace(NEAREST_ANGSTROM, max(below_angstrom, NEAREST_ANGSTROM + STEP_ANGSTROM), count, endpoint=False)
    za, zb = (np.full(len(r), float(atomic_numbers[s])) for s in (a, b))
    structures = [dimer(a, b, x) for x in r]
    rows = np.array([design_rows(basis, atoms).forces[3] for atoms in structures])
    base = np.zeros(len(r)) if baseline is None else -baseline.pair(r, za, zb)[1]
    direction = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    return Core(r, rows, base, -screened_coulomb(r, za, zb)[1], below_angstrom, (a, b), structures, direction)


def cores_of(basis: Basis, baseline: Repulsion | None, shortest_angstrom: Mapping[str, float]) -> dict[str, Core]:
    """Every pair of the basis by name."""
    return {
        pair_name(a, b): core_of(basis, baseline, a, b, shortest_angstrom[pair_name(a, b)])
        for a, b in pairs_of(basis.elements)
    }


def with_repulsive_pairs(
    solve: Callable[[Rows | None], F],
    basis: Basis,
    baseline: Repulsion | None,
    shortest_angstrom: Mapping[str, float],
    pressed: Mapping[str, Core] = MappingProxyType({}),
) -> tuple[F, dict[str, Any]]:
    """The fit in which every pair repels below the shortest distance of the data, if it can be had.

    Args:
        solve: makes the fit with these rows added; None adds none. Its force rows must have weight 1.
        shortest_angstrom: by pair, 'O-Si'.
        pressed: pairs in frames of the data, which must repel too.

    Returns:
        The fit, and by pair what was done: ``shortest_distance_angstrom``, ``assumed_relative_error`` of the virtual
        forces (null: none were needed), ``attracts_at_angstrom`` (null: nowhere), and of how many pairs in frames
        (``pressed``) how many were told (``pressed_told``) and attract nevertheless (``pressed_attracting``).
    """
    fit = solve(None)
    noise = fit.solution.noise
    alone = cores_of(basis, baseline, shortest_angstrom)
    cores = alone | {f"pressed {name}": core for name, core in pressed.items()}
    told: dict[str, int] = {}
    while True:
        attracting = {name: core.attracts_at(fit.coefficients) for name, core in cores.items()}
        wrong = [n for n, at in attracting.items() if at is not None and told.get(n, -1) < len(RELATIVE_ERRORS) - 1]
        if not wrong:
            break
        more = told | {name: told.get(name, -1) + 1 for name in wrong}
        blocks = [cores[name].weighted(noise, RELATIVE_ERRORS[step]) for name, step in more.items()]
        rows, values = np.vstack([block for block, _ in blocks]), np.concatenate([block for _, block in blocks])
        found = solve((rows, values))
        if _noise_of_labels(found, rows, values) > COST * noise:
            break
        fit, told = found, more
    return fit, {
        name: {
            "shortest_distance_angstrom": core.below_angstrom,
            "assumed_relative_error": RELATIVE_ERRORS[told[name]] if name in told else None,
            "attracts_at_angstrom": attracting[name],
            **_of_pressed(core.pair, cores, told, attracting),
        }
        for name, core in alone.items()
    }


def _of_pressed(
    pair: tuple[str, str], cores: Mapping[str, Core], told: Mapping[str, int], attracting: Mapping[str, float | None]
) -> dict[str, int]:
    names = [name for name, core in cores.items() if name.startswith("pressed ") and core.pair == pair]
    return {
        "pressed": len(names),
        "pressed_told": sum(name in told for name in names),
        "pressed_attracting": sum(attracting[name] is not None for name in names),
    }


def repulsive_draw(coefficients: Array, factor: Array, cores: Mapping[str, Core]) -> Array:
    """A draw of coefficients, moved until every pair repels, as far as their covariance allows it.

    The draw is conditioned on the virtual forces (Matheron's rule for Gaussians; J. T. Wilson et al., J. Mach. Learn.
    Res. 22, 105 (2021)), so that what the data decide stays as it is.

    Args:
        coefficients: (functions,).
        factor: (functions, K); the covariance is factor @ factor.T.
    """
    told: dict[str, Core] = {}
    moved = coefficients
    for relative_error in RELATIVE_ERRORS:
        told |= {name: core for name, core in cores.items() if core.attracts_at(moved) is not None}
        if not any(core.attracts_at(moved) is not None for core in cores.values()):
            break
        blocks = [core.weighted(1.0, relative_error) for core in told.values()]
        rows, values = np.vstack([block for block, _ in blocks]), np.concatenate([block for _, block in blocks])
        spread = rows @ factor
        gain = np.linalg.solve(spread @ spread.T + np.eye(len(values)), values - rows @ coefficients)
        moved = coefficients + factor @ (spread.T @ gain)
    return moved


def _noise_of_labels(fit: FitLike, rows: Array, values: Array) -> float:
    """The misfit of a fit without that of these rows, which it was given too."""
    told = float(((rows @ fit.coefficients - values) ** 2).sum())
    rest = fit.solution.noise**2 * fit.solution.rows - told
    return float(np.sqrt(max(rest, 0.0) / max(fit.solution.rows - len(values), 1)))
