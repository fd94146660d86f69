"""Ziegler-Biersack-Littmark repulsion, switched off smoothly, in the form of LAMMPS' `pair_style zbl`.

The same function is subtracted before a fit, added by our calculator and written into the LAMMPS input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from matscipy.neighbours import neighbour_list

from mlip_autopipec.errors import DataError

COULOMB_EV_ANGSTROM = 14.399645  # e^2 / (4 pi eps0), as in LAMMPS' metal units
# Universal screening function (Ziegler, Biersack, Littmark 1985; LAMMPS manual, pair_style zbl)
_AMPLITUDE = np.array([0.18175, 0.50986, 0.28022, 0.02817])
_DECAY = np.array([3.19980, 0.94229, 0.40290, 0.20162])
_SCREENING_ANGSTROM = 0.46850
_SCREENING_POWER = 0.23


def _bare(r: np.ndarray, zi: np.ndarray, zj: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unswitched ZBL energy (eV) and its first and second derivative in r (A)."""
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
    r: np.ndarray, zi: np.ndarray, zj: np.ndarray, inner_angstrom: float, outer_angstrom: float
) -> tuple[np.ndarray, np.ndarray]:
    """Energy (eV) of pairs and its derivative (eV/A): zero beyond `outer`, ZBL shifted by a constant below `inner`.

    Between the two a polynomial brings energy, force and curvature to zero (LAMMPS manual, pair_style zbl).
    """
    r, zi, zj = (np.asarray(x, dtype=float) for x in (r, zi, zj))
    energy, slope, _ = _bare(r, zi, zj)
    end, end_slope, end_curvature = _bare(np.full_like(r, outer_angstrom), zi, zj)
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


class ZBL(Calculator):
    """ASE calculator of the switched ZBL repulsion.

    Args:
        inner_angstrom, outer_angstrom: the two radii of the switching function, A.

    Raises:
        ValueError: the radii are not 0 < inner < outer.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012 - ASE's way

    def __init__(self, inner_angstrom: float, outer_angstrom: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < inner_angstrom < outer_angstrom:
            raise ValueError(f"0 < inner < outer is needed, not {inner_angstrom} and {outer_angstrom}")
        self.inner_angstrom, self.outer_angstrom = float(inner_angstrom), float(outer_angstrom)

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        atoms = self.atoms
        if not np.isfinite(atoms.positions).all():
            raise DataError("a position is not a number; the frame cannot be evaluated")
        first, second, r, vector = neighbour_list("ijdD", atoms, cutoff=self.outer_angstrom)
        numbers = atoms.numbers.astype(float)
        energies, forces, virial = np.zeros(len(atoms)), np.zeros((len(atoms), 3)), np.zeros((3, 3))
        if len(r):
            pair, slope = zbl_pair(r, numbers[first], numbers[second], self.inner_angstrom, self.outer_angstrom)
            pull = (slope / r)[:, None] * vector
            np.add.at(energies, first, 0.5 * pair)
            np.add.at(forces, first, pull)
            virial = 0.5 * np.einsum("pi,pj->ij", vector, pull)
        energy = float(energies.sum())
        self.results = {"energy": energy, "free_energy": energy, "energies": energies, "forces": forces}
        if atoms.cell.rank == 3:
            self.results["stress"] = full_3x3_to_voigt_6_stress(virial / atoms.get_volume())
