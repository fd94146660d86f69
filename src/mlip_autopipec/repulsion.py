"""Repulsive baselines: Ziegler-Biersack-Littmark or the repulsive half of Lennard-Jones, as LAMMPS has them.

The same function is subtracted before a fit, added by our calculator and written into the LAMMPS input.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from ase.geometry import complete_cell
from ase.stress import full_3x3_to_voigt_6_stress
from matscipy.neighbours import neighbour_list

from mlip_autopipec.config.full import Training
from mlip_autopipec.errors import DataError

COULOMB_EV_ANGSTROM = 14.399645  # e^2 / (4 pi eps0), as in LAMMPS' metal units
# Universal screening function (Ziegler, Biersack, Littmark 1985; LAMMPS manual, pair_style zbl)
_AMPLITUDE = np.array([0.18175, 0.50986, 0.28022, 0.02817])
_DECAY = np.array([3.19980, 0.94229, 0.40290, 0.20162])
_SCREENING_ANGSTROM = 0.46850
_SCREENING_POWER = 0.23
# Lennard-Jones parameters that are not given: where ZBL ends and where it is whole, see config/expand.py
_MINIMUM_PER_BOND, _MATCH_PER_BOND = 0.72, 0.45
_MINIMUM = 2 ** (1 / 6)  # place of the minimum in units of sigma


def screened_coulomb(r: np.ndarray, zi: np.ndarray, zj: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ZBL energy without a switch (eV) and its first and second derivative in r (A), for atomic numbers zi, zj."""
    decay = _DECAY / (_SCREENING_ANGSTROM / (zi**_SCREENING_POWER + zj**_SCREENING_POWER))[..., None]
    terms = _AMPLITUDE * np.exp(-decay * r[..., None])
    phi, dphi, ddphi = terms.sum(-1), -(decay * terms).sum(-1), (decay**2 * terms).sum(-1)
    k = COULOMB_EV_ANGSTROM * zi * zj
    return (
        k * phi / r,
        k * (dphi / r - phi / r**2),
        k * (ddphi / r - 2 * dphi / r**2 + 2 * phi / r**3),
    )


def zbl_pair(
    r: np.ndarray,
    zi: np.ndarray,
    zj: np.ndarray,
    inner_angstrom: float | np.ndarray,
    outer_angstrom: float | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Energy (eV) of pairs and its derivative (eV/A): zero beyond `outer`, ZBL shifted by a constant below `inner`.

    Between the two a polynomial brings energy, force and curvature to zero (LAMMPS manual, pair_style zbl). The two
    radii (A) are numbers, or arrays like r.
    """
    r, zi, zj = (np.asarray(x, dtype=float) for x in (r, zi, zj))
    energy, slope, _ = screened_coulomb(r, zi, zj)
    end, end_slope, end_curvature = screened_coulomb(np.full_like(r, outer_angstrom), zi, zj)
    width = outer_angstrom - inner_angstrom
    a = (-3 * end_slope + width * end_curvature) / width**2
    b = (2 * end_slope - width * end_curvature) / width**3
    c = -end + width / 2 * end_slope - width**2 / 12 * end_curvature
    t = np.clip(r - inner_angstrom, 0.0, None)
    inside = r < outer_angstrom
    return (
        np.where(inside, energy + c + a / 3 * t**3 + b / 4 * t**4, 0.0),
        np.where(inside, slope + a * t**2 + b * t**3, 0.0),
    )


def pairs_within(atoms: Atoms, cutoff_angstrom: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both atoms, distance and vector of every ordered pair within the cutoff; cell vectors may be missing."""
    if atoms.cell.rank < 3:
        atoms = Atoms(atoms.numbers, atoms.positions, cell=complete_cell(atoms.cell), pbc=atoms.pbc & atoms.cell.any(1))
    first, second, r, vector = neighbour_list("ijdD", atoms, cutoff=float(cutoff_angstrom))
    return first, second, r, vector


class PairEnergy(Calculator, ABC):
    """ASE calculator of a pair energy; what a pair has, its subclasses say."""

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012 - ASE's way

    @property
    @abstractmethod
    def reach_angstrom(self) -> float:
        """Distance from which on there is no repulsion between any pair."""

    @abstractmethod
    def pair(self, r: np.ndarray, zi: np.ndarray, zj: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energy (eV) and its derivative (eV/A) of pairs at distances r (A) with atomic numbers zi, zj."""

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        atoms = self.atoms
        if not np.isfinite(atoms.positions).all():
            raise DataError("a position is not a number; the frame cannot be evaluated")
        first, second, r, vector = pairs_within(atoms, self.reach_angstrom)
        energies, forces, virial = np.zeros(len(atoms)), np.zeros((len(atoms), 3)), np.zeros((3, 3))
        if len(r):
            pair, slope = self.pair(r, atoms.numbers[first], atoms.numbers[second])
            pull = (slope / r)[:, None] * vector
            np.add.at(energies, first, 0.5 * pair)
            np.add.at(forces, first, pull)
            virial = 0.5 * np.einsum("pi,pj->ij", vector, pull)
        energy = float(energies.sum())
        self.results = {"energy": energy, "free_energy": energy, "energies": energies, "forces": forces}
        if atoms.cell.rank == 3:
            self.results["stress"] = full_3x3_to_voigt_6_stress(virial / atoms.get_volume())


class Repulsion(PairEnergy):
    """A repulsive pair energy that LAMMPS has, too."""

    @abstractmethod
    def lammps_style(self) -> str:
        """What `pair_style hybrid/overlay` names after the machine-learned part."""

    @abstractmethod
    def lammps_coefficients(self, elements: Sequence[str]) -> list[str]:
        """The lines that follow it, for atom types in the order of `elements`."""


class ZBL(Repulsion):
    """The switched ZBL repulsion.

    Args:
        inner_angstrom, outer_angstrom: the two radii of the switching function, A.

    Raises:
        ValueError: the radii are not 0 < inner < outer.
    """

    def __init__(self, inner_angstrom: float, outer_angstrom: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < inner_angstrom < outer_angstrom:
            raise ValueError(f"0 < inner < outer is needed, not {inner_angstrom} and {outer_angstrom}")
        self.inner_angstrom, self.outer_angstrom = float(inner_angstrom), float(outer_angstrom)

    @property
    def reach_angstrom(self) -> float:
        return self.outer_angstrom

    def pair(self, r: np.ndarray, zi: np.ndarray, zj: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return zbl_pair(r, zi, zj, self.inner_angstrom, self.outer_angstrom)

    def lammps_style(self) -> str:
        return f"zbl {self.inner_angstrom} {self.outer_angstrom}"

    def lammps_coefficients(self, elements: Sequence[str]) -> list[str]:
        return [
            f"pair_coeff      {i + 1} {j + 1} zbl {atomic_numbers[a]} {atomic_numbers[b]}"
            for (i, a), (j, b) in combinations_with_replacement(enumerate(elements), 2)
        ]


class LennardJones(Repulsion):
    """Lennard-Jones cut and shifted at its minimum, where energy and force end together.

    Source: J. D. Weeks, D. Chandler and H. C. Andersen, J. Chem. Phys. 54, 5237 (1971). In LAMMPS it is `lj/cut` with
    `pair_modify shift yes` and the cutoff 2^(1/6) sigma.

    Args:
        parameters: by pair of elements in alphabetical order, 'O-Si': (epsilon in eV, sigma in A).
    """

    def __init__(self, parameters: Mapping[str, Sequence[float]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parameters_by_pair = {name: (float(e), float(s)) for name, (e, s) in parameters.items()}
        if not parameters or not all(e > 0 and s > 0 for e, s in self.parameters_by_pair.values()):
            raise ValueError(f"every pair needs a positive epsilon and sigma, not {parameters}")

    @property
    def reach_angstrom(self) -> float:
        return max(_MINIMUM * sigma for _, sigma in self.parameters_by_pair.values())

    def pair(self, r: np.ndarray, zi: np.ndarray, zj: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        epsilon, sigma = by_pair(self._of, zi, zj)
        return wca_pair(np.asarray(r, dtype=float), epsilon, sigma)

    def _of(self, a: str, b: str) -> tuple[float, float]:
        name = pair_name(a, b)
        if name not in self.parameters_by_pair:
            raise DataError(f"the Lennard-Jones baseline has no parameters for {name}")
        return self.parameters_by_pair[name]

    def lammps_style(self) -> str:
        return f"lj/cut {self.reach_angstrom}"

    def lammps_coefficients(self, elements: Sequence[str]) -> list[str]:
        lines = []
        for (i, a), (j, b) in combinations_with_replacement(enumerate(elements), 2):
            epsilon, sigma = self._of(a, b)
            lines.append(f"pair_coeff      {i + 1} {j + 1} lj/cut {epsilon} {sigma} {_MINIMUM * sigma}")
        return [*lines, "pair_modify     pair lj/cut shift yes"]


class PairwiseZBL(PairEnergy):
    """The switched ZBL repulsion with radii of each pair of elements; LAMMPS has one pair of radii for all.

    Args:
        radii_angstrom: by pair of elements in alphabetical order, 'O-Si': (inner, outer), A, see `zbl_pair`.
    """

    def __init__(self, radii_angstrom: Mapping[str, Sequence[float]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.radii_by_pair = {name: (float(inner), float(outer)) for name, (inner, outer) in radii_angstrom.items()}
        if not radii_angstrom or not all(0 < inner < outer for inner, outer in self.radii_by_pair.values()):
            raise ValueError(f"0 < inner < outer is needed for every pair, not {radii_angstrom}")

    @property
    def reach_angstrom(self) -> float:
        return max(outer for _, outer in self.radii_by_pair.values())

    def pair(self, r: np.ndarray, zi: np.ndarray, zj: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inner, outer = by_pair(self._of, zi, zj)
        return zbl_pair(r, zi, zj, inner, outer)

    def _of(self, a: str, b: str) -> tuple[float, float]:
        name = pair_name(a, b)
        if name not in self.radii_by_pair:
            raise DataError(f"the ZBL repulsion has no radii for {name}")
        return self.radii_by_pair[name]


def by_pair(
    parameters: Callable[[str, str], Sequence[float]], zi: np.ndarray, zj: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two parameters of each of some pairs of atoms (atomic numbers zi, zj), by the symbols of the pair."""
    zi, zj = np.asarray(zi, dtype=int), np.asarray(zj, dtype=int)
    kinds, which = np.unique(np.minimum(zi, zj) * 1000 + np.maximum(zi, zj), return_inverse=True)
    values = np.array([parameters(chemical_symbols[k // 1000], chemical_symbols[k % 1000]) for k in kinds])
    first, second = values[which.ravel()].T
    return first, second


def wca_pair(r: np.ndarray, epsilon: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energy (eV) of pairs and its derivative (eV/A): 4 epsilon ((sigma/r)^12 - (sigma/r)^6) + epsilon, 0 from
    r = 2^(1/6) sigma on."""
    inside = r < _MINIMUM * sigma
    six = (sigma / r) ** 6
    return (
        np.where(inside, 4 * epsilon * six * (six - 1) + epsilon, 0.0),
        np.where(inside, -24 * epsilon * six * (2 * six - 1) / r, 0.0),
    )


def pair_name(a: str, b: str) -> str:
    """'O-Si' for Si and O: symbols in alphabetical order."""
    return "-".join(sorted((a, b)))


def lennard_jones(
    elements: Sequence[str], epsilon_ev: Mapping[str, float], sigma_angstrom: Mapping[str, float]
) -> LennardJones:
    """The baseline of some elements, from what is given by element ('Si') or by pair ('O-Si').

    A sigma that is not given puts the end of the repulsion at 0.72 of the sum of the covalent radii (B. Cordero et al.,
    Dalton Trans., 2832 (2008)); an epsilon that is not given makes the energy that of ZBL at 0.45 of it. Pairs of
    elements follow the rules of Lorentz and Berthelot: mean sigma, geometric mean epsilon.

    Raises:
        DataError: a key is neither an element nor a pair of the potential's elements.
    """
    symbols = sorted(set(elements))
    pairs = list(combinations_with_replacement(symbols, 2))
    for name in [*epsilon_ev, *sigma_angstrom]:
        if name not in symbols and name not in [pair_name(a, b) for a, b in pairs]:
            raise DataError(
                f"Lennard-Jones parameters are given for '{name}'; write an element ({', '.join(symbols)}) or a pair "
                f"in alphabetical order ({', '.join(pair_name(a, b) for a, b in pairs)})"
            )
    sigma, epsilon = dict(sigma_angstrom), dict(epsilon_ev)
    for s in symbols:
        bond = 2 * covalent_radii[atomic_numbers[s]]
        sigma.setdefault(s, round(float(_MINIMUM_PER_BOND * bond / _MINIMUM), 3))
        if s not in epsilon:
            z, at = np.array([float(atomic_numbers[s])]), np.array([_MATCH_PER_BOND * bond])
            per_epsilon = wca_pair(at, np.ones(1), np.array([sigma[s]]))[0]
            if per_epsilon[0] <= 0:
                raise DataError(f"sigma = {sigma[s]} A of {s} is so small that epsilon must be given too")
            epsilon[s] = round(float((screened_coulomb(at, z, z)[0] / per_epsilon)[0]), 4)
    found = {}
    for a, b in pairs:
        name = pair_name(a, b)
        mixed = (epsilon[a] * epsilon[b]) ** 0.5, (sigma[a] + sigma[b]) / 2
        found[name] = epsilon.get(name, mixed[0]), sigma.get(name, mixed[1])
    return LennardJones(found)


def chosen_baseline(settings: Training, elements: Sequence[str]) -> Repulsion | None:
    """The baseline that the config's section `training` asks for.

    Raises:
        DataError: Lennard-Jones parameters are given for something else than the elements and their pairs.
    """
    if settings.baseline == "zbl":
        return ZBL(settings.zbl_inner_angstrom, settings.zbl_outer_angstrom)
    if settings.baseline == "lennard-jones":
        return lennard_jones(elements, settings.lj_epsilon_ev, settings.lj_sigma_angstrom)
    return None


def lammps_pair_lines(elements: Sequence[str], baseline: Repulsion | None, style: str, files: str) -> list[str]:
    """The pair lines of a LAMMPS input.

    Args:
        style: of the machine-learned part, 'pace' or 'pace/extrapolation'.
        files: what its `pair_coeff` names before the elements.
    """
    symbols = " ".join(elements)
    if baseline is None:
        return [f"pair_style      {style}", f"pair_coeff      * * {files} {symbols}"]
    return [
        f"pair_style      hybrid/overlay {style} {baseline.lammps_style()}",
        f"pair_coeff      * * {style} {files} {symbols}",
        *baseline.lammps_coefficients(elements),
    ]
