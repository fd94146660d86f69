"""Relaxation with the surrogate, stopped before it runs into a hole of the surrogate's energy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.units import GPa

from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import closest_contact

# A universal potential knows no distance far below a bond: SevenNet-0 gives Cu2 at 0.5 A -4395 eV.
CLOSEST_FRACTION = 0.55  # of the sum of covalent radii; H2 0.60 (0.74 A) is the shortest bond by this measure
_VOLUME_LIMITS = (0.3, 3.0)  # of the starting volume
_STEP_FACTOR = 1.04  # of all lengths, one step of the search for the volume
_SCALE_LIMITS = (0.7, 1.6)


def relax(
    atoms: Atoms,
    calculator: Calculator,
    *,
    cell: bool = True,
    steps_max: int = 60,
    fmax_ev_per_angstrom: float = 0.02,
    pressure_gpa: float = 0.0,
) -> tuple[Atoms, float, bool]:
    """Positions, and with `cell` the cell too, at the lowest energy nearby; the symmetry of the start is kept.

    Args:
        atoms: start, with a cell; it is not changed.
        steps_max: of the BFGS minimiser; a cell of high symmetry takes about 10, a random one about 60.
        fmax_ev_per_angstrom: largest force (and virial per atom) at which it has converged.
        pressure_gpa: outer pressure, with `cell`.

    Returns:
        Relaxed atoms with the info of the start and no calculator, their energy (eV, without the pressure's), and
        whether `fmax` was reached.

    Raises:
        DataError: atoms collapsed, the cell exploded or collapsed, or an energy or force is not finite.
    """
    moving = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    moving.calc = calculator
    start = atoms.get_volume()
    target: Any = FrechetCellFilter(moving, scalar_pressure=pressure_gpa * GPa) if cell else moving
    _check(moving, start)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="logm result may be inaccurate")
        optimizer = BFGS(target, logfile=None, maxstep=0.1)
        converged = False
        for done in optimizer.irun(fmax=fmax_ev_per_angstrom, steps=steps_max):
            converged = bool(done)
            _check(moving, start)
    energy = float(moving.get_potential_energy())
    relaxed: Atoms = atoms.copy()
    relaxed.set_cell(moving.cell.array)
    relaxed.positions = moving.positions
    return relaxed, energy, converged


def scaled_to_lowest(atoms: Atoms, calculator: Calculator) -> Atoms:
    """A copy at about the volume of lowest energy, all lengths scaled alike: the estimate of a lattice constant mended.

    Steps of 4 % of the lengths go downhill until the energy rises, then a parabola gives the lowest point.

    Raises:
        DataError: no lowest point between 0.7 and 1.6 times the lengths.
    """
    energies: dict[int, float] = {}

    def scaled(factor: float) -> Atoms:
        copy: Atoms = atoms.copy()
        copy.set_cell(atoms.cell.array * factor, scale_atoms=True)
        return copy

    def energy(step: int) -> float:
        if step not in energies:
            factor = _STEP_FACTOR**step
            trial = scaled(factor)
            if not _SCALE_LIMITS[0] <= factor <= _SCALE_LIMITS[1]:
                raise DataError("no volume of lowest energy near the estimate")
            if closest_contact(trial)[0] < CLOSEST_FRACTION:
                energies[step] = np.inf
            else:
                trial.calc = calculator
                energies[step] = float(trial.get_potential_energy())
        return energies[step]

    best = 0
    while np.isinf(energy(best)):
        best += 1
    direction = 1 if energy(best + 1) < energy(best) else -1
    while energy(best + direction) < energy(best):
        best += direction
    low, middle, high = (energy(best + k) for k in (-1, 0, 1))
    curvature = low + high - 2 * middle
    shift = (low - high) / (2 * curvature) if np.isfinite(curvature) and curvature > 0 else 0.0
    return scaled(_STEP_FACTOR ** (best + shift))


def _check(atoms: Atoms, start_volume: float) -> None:
    ratio, distance = closest_contact(atoms)
    if ratio < CLOSEST_FRACTION:
        raise DataError(f"atoms collapsed to {distance:.2f} A, {ratio:.2f} of the sum of their covalent radii")
    change = atoms.get_volume() / start_volume
    if not _VOLUME_LIMITS[0] <= change <= _VOLUME_LIMITS[1]:
        raise DataError(f"the volume went to {change:.2f} times that of the start")
    if not (np.isfinite(atoms.get_potential_energy()) and np.isfinite(atoms.get_forces()).all()):
        raise DataError("the surrogate gives an energy or a force that is not a number")
