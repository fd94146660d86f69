"""How sure a linear fit is of what it predicts: standard deviations of energy and forces, and draws of coefficients.

Method: Bayesian ridge regression (D. J. C. MacKay, Neural Computation 4, 415 (1992)), as used for ACE by C. van der
Oord et al., npj Comput. Mater. 9, 168 (2023). The covariance of the coefficients comes from the fit's factorisation.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.linalg
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from mlip_autopipec.ace.basis import Basis
from mlip_autopipec.ace.design_matrix import DesignRows, design_rows
from mlip_autopipec.ace.potential import ACEPotential
from mlip_autopipec.ace.solve import Solution
from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.errors import DataError, InputFileError

Array = NDArray[np.float64]

_ARRAYS = ("coefficients", "factor")


class Law(NamedTuple):
    """How large an error is expected where the covariance says `part`: the root of (scale part^power)^2 + noise^2.

    Attributes:
        scale: expected error where the covariance says 1 (eV or eV/Angstrom).
        power: less than 1 where the covariance exaggerates differences.
        noise: what no coefficients explain, in the same unit.
    """

    scale: float
    power: float
    noise: float

    def __call__(self, part: Array) -> Array:
        """Expected error; zero where `part` is zero (by symmetry) and there is no noise."""
        return np.hypot(self.scale * np.asarray(part) ** self.power, self.noise)


class Deviation(NamedTuple):
    """Standard deviations of a structure with N atoms.

    Attributes:
        energy_ev: of the total energy.
        forces_ev_per_angstrom: (N, 3), of the force components.
    """

    energy_ev: float
    forces_ev_per_angstrom: Array


@dataclass(frozen=True)
class Posterior:
    """Gaussian of the coefficients of a potential, and how errors follow from it.

    The covariance of a fit knows which structures are unlike the data, but not how wrong the form of the potential is:
    two laws, calibrated on errors of structures that a fit had not seen, turn its standard deviations into errors to
    be expected.

    Attributes:
        coefficients: (F,) mean in eV: the coefficients of the potential that it belongs to.
        factor: (F, K) in eV; covariance of the coefficients = factor @ factor.T.
        energy_law: of the total energy divided by the square root of the number of atoms, eV.
        force_law: of a force component, eV/Angstrom.
        draw_scale: draws of coefficients are so much wider than the covariance.
        energy_noise_ev_per_atom: error of the total energy that grows with the number of atoms, as that of labels does
            that are all made alike: per atom it is the same in a cell of any size.

    Raises:
        DataError: shapes that do not fit, or numbers that are not finite or negative.
    """

    coefficients: Array
    factor: Array
    energy_law: Law
    force_law: Law
    draw_scale: float = 1.0
    energy_noise_ev_per_atom: float = 0.0

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=float))
        if self.coefficients.ndim != 1 or self.factor.ndim != 2 or len(self.factor) != len(self.coefficients):
            raise DataError(f"a covariance factor {self.factor.shape} for {self.coefficients.shape} coefficients.")
        numbers = [*self.energy_law, *self.force_law, self.draw_scale, self.energy_noise_ev_per_atom]
        whole = all(np.isfinite(getattr(self, name)).all() for name in _ARRAYS)
        if not (whole and np.isfinite(numbers).all() and min(numbers) >= 0):
            raise DataError("a posterior needs finite numbers; laws and scale must not be negative.")

    @classmethod
    def of_fit(cls, solution: Solution, functions: int, energy_weight: float) -> Posterior:
        """Posterior of the first `functions` coefficients of a fit.

        Args:
            solution: of rows whose force rows have weight 1 and whose energy rows have weight
                `energy_weight` / sqrt(number of atoms). Further columns (an offset of stresses) are averaged over.
        """
        part = solution.posterior_factor[:functions]
        if part.shape[0] != part.shape[1]:
            part = scipy.linalg.qr(part.T, mode="r", check_finite=False)[0][:functions].T
        energy, force = Law(1.0, 1.0, solution.noise / energy_weight), Law(1.0, 1.0, solution.noise)
        return cls(solution.coefficients[:functions], part, energy, force)

    def check_belongs(self, potential: ACEPotential) -> None:
        """Raise DataError unless this is the posterior of `potential`: the same coefficients in the same order."""
        mine, its = self.coefficients, potential.coefficients
        if mine.shape != its.shape:
            raise DataError(f"the posterior has {len(mine)} functions, the potential {len(its)}: different trainings.")
        if not np.allclose(mine, its, rtol=1e-10, atol=0):
            raise DataError("the posterior has other coefficients than the potential: they are of different trainings.")

    def parameter_deviation(self, rows: DesignRows) -> Deviation:
        """The part of the standard deviations that more data would remove, without calibration."""
        energy, forces = rows.energy @ self.factor, rows.forces @ self.factor
        spread = np.sqrt(np.einsum("ij,ij->i", forces, forces)).reshape(-1, 3)
        return Deviation(float(np.linalg.norm(energy)), spread)

    def combine(self, part: Deviation) -> Deviation:
        """Expected error against a new label from `parameter_deviation`."""
        natoms = len(part.forces_ev_per_angstrom)
        energy = np.sqrt(natoms) * self.energy_law(part.energy_ev / np.sqrt(natoms))
        noise = natoms * self.energy_noise_ev_per_atom
        return Deviation(float(np.hypot(energy, noise)), self.force_law(part.forces_ev_per_angstrom))

    def deviation(self, basis: Basis, atoms: Atoms) -> Deviation:
        """Expected error (standard deviation) of energy and forces of a structure against its label.

        Raises:
            DataError: another basis, or a structure that cannot be evaluated.
        """
        if basis.number_of_functions != len(self.coefficients):
            raise DataError(f"{basis.number_of_functions} functions meet a posterior of {len(self.coefficients)}.")
        return self.combine(self.parameter_deviation(design_rows(basis, atoms)))

    def draws(self, number: int, random: np.random.Generator, mean: ArrayLike | None = None) -> Array:
        """Coefficients (number, F) drawn from the posterior, around `mean` (F,) or its own mean, `draw_scale` wide."""
        centre = self.coefficients if mean is None else np.asarray(mean, dtype=float)
        return centre + self.draw_scale * random.standard_normal((number, self.factor.shape[1])) @ self.factor.T

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as .npz, whole or not at all."""
        laws = np.array([self.energy_law, self.force_law])
        with atomic_path(path) as temporary, open(temporary, "wb") as handle:
            np.savez(
                handle, coefficients=self.coefficients, factor=self.factor, laws=laws, draw_scale=self.draw_scale,
                energy_noise_ev_per_atom=self.energy_noise_ev_per_atom,
            )  # fmt: skip

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Posterior:
        """Read what `save` wrote.

        Raises:
            InputFileError: missing, truncated, or another kind of file.
        """
        if not Path(path).is_file():
            raise InputFileError(path, "no such file", "Run the training that writes it.")
        try:
            with np.load(path, allow_pickle=False) as data:
                energy, force = (Law(*map(float, one)) for one in data["laws"])
                noise = float(data.get("energy_noise_ev_per_atom", 0.0))  # older files have none
                return cls(data["coefficients"], data["factor"], energy, force, float(data["draw_scale"]), noise)
        except Exception as error:  # numpy and zipfile raise many kinds for a broken file
            raise InputFileError(
                path, f"not the posterior of a potential ({error})", "Delete it and train again."
            ) from None
