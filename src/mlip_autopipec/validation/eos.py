"""Equation of state: energies at several volumes, and the Birch-Murnaghan curve through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from ase.eos import EquationOfState

from mlip_autopipec.errors import DataError
from mlip_autopipec.metrics import EV_PER_ANGSTROM3_IN_GPA

SYMMETRY_ANGSTROM = 0.01  # relaxed cells are symmetric to some 1e-3 A


@dataclass(frozen=True)
class Curve:
    """A fitted equation of state: equilibrium volume (A^3/atom), energy (eV/atom), bulk modulus (GPa)."""

    volume_angstrom3_per_atom: float
    energy_ev_per_atom: float
    bulk_modulus_gpa: float
    residual_mev_per_atom: float


def fit_eos(volumes: np.ndarray, energies: np.ndarray) -> Curve:
    """Third-order Birch-Murnaghan fit (Birch, Phys. Rev. 71, 809, 1947; ase.eos).

    Args:
        volumes: A^3/atom.
        energies: eV/atom.

    Raises:
        DataError: no fit, or its minimum lies outside the volumes (the curve says nothing about it then).
    """
    state = EquationOfState(volumes, energies, eos="birchmurnaghan")
    try:
        volume, energy, modulus = state.fit(warn=False)
    except (RuntimeError, ValueError) as error:
        raise DataError(f"no equation of state fits the {len(volumes)} energies ({error})") from None
    if not (min(volumes) < volume < max(volumes) and modulus > 0):
        raise DataError(
            f"the minimum of the equation of state ({volume:.2f} A^3/atom, bulk modulus "
            f"{modulus * EV_PER_ANGSTROM3_IN_GPA:.0f} GPa) lies outside the volumes {min(volumes):.2f} to "
            f"{max(volumes):.2f} A^3/atom: the crystal is not bound there, or validation.eos_volume_strain_max must "
            "be larger"
        )
    curve = state.func(np.asarray(volumes), *state.eos_parameters)
    residual = 1e3 * float(np.sqrt(np.mean((curve - energies) ** 2)))
    return Curve(float(volume), float(energy), float(modulus * EV_PER_ANGSTROM3_IN_GPA), residual)


def lattice_constant(curve: Curve, cell: Atoms) -> float:
    """Lattice constant a (A) of the conventional standard cell at the curve's minimum; shape is that of the reference.

    Args:
        cell: one of the cells of the series, all of one shape; `volume_change` says how it was scaled.
    """
    unstrained = cell.get_volume() / len(cell) / (1.0 + float(cell.info["volume_change"]))
    scale = (curve.volume_angstrom3_per_atom / unstrained) ** (1 / 3)
    return float(conventional_a(cell) * (1.0 + float(cell.info["volume_change"])) ** (-1 / 3) * scale)


def conventional_a(cell: Atoms) -> float:
    """Lattice constant a (A) of the conventional standard cell (spglib; Togo, Shinohara, Tanaka, STAM Methods 4, 2024).

    A cell whose symmetry is not found is taken as it is.
    """
    found = symmetry(cell)
    return float(np.linalg.norm(found.std_lattice[0])) if found is not None else float(cell.cell.lengths()[0])


def symmetry(cell: Atoms) -> Any:
    """spglib's dataset of a crystal, or None where it finds none."""
    try:
        return spglib.get_symmetry_dataset(
            (cell.cell.array, cell.get_scaled_positions(), cell.numbers), symprec=SYMMETRY_ANGSTROM
        )
    except spglib.SpglibError:  # raised or returned as None, as the version of spglib likes
        return None


def held_fixed(cell: Atoms) -> str:
    """What scaling a crystal alike in all directions holds fixed although its symmetry leaves it free.

    Under pressure the shape of a crystal that is not cubic changes, and so do inner coordinates that no symmetry fixes:
    the curve of scaled cells is stiffer then than the crystal's equation of state.

    Returns:
        '', 'shape', 'inner coordinates' or 'shape and inner coordinates'; the last where no symmetry is found.
    """
    crystal = symmetry(cell)
    if crystal is None:
        return "shape and inner coordinates"
    held = [] if crystal.number >= 195 else ["shape"]  # 195 to 230 are cubic (International Tables A)
    if _free_coordinates(crystal):
        held.append("inner coordinates")
    return " and ".join(held)


def _free_coordinates(crystal: Any) -> bool:
    """Whether a Wyckoff position of the standard cell has a free coordinate.

    The mean of the rotations that leave a site where it is projects onto the displacements that the site's symmetry
    allows; its trace is their number.
    """
    positions, numbers = crystal.std_positions, crystal.std_types
    found = spglib.get_symmetry((crystal.std_lattice, positions, numbers), symprec=SYMMETRY_ANGSTROM)
    if found is None:
        return True
    for position in positions:
        moved = found["rotations"] @ position + found["translations"] - position
        away = (moved - np.round(moved)) @ crystal.std_lattice
        stays = np.linalg.norm(away, axis=1) < 2 * SYMMETRY_ANGSTROM
        if np.trace(found["rotations"][stays].mean(axis=0)) > 0.5:
            return True
    return False


def check(name: str, value: float, reference: float, relative_max: float) -> dict[str, Any]:
    """A value against its reference as it stands in summary.json."""
    error = abs(value - reference) / abs(reference)
    return {
        "value": value,
        "reference": reference,
        "relative_error": error,
        "relative_error_max": relative_max,
        "passed": bool(error <= relative_max),
        "what": name,
    }
