"""ASE calculator for ACE potentials, with the extrapolation grade gamma on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from mlip_autopipec.ace import active_set
from mlip_autopipec.ace.evaluate import evaluate, neighbours_of, project_each
from mlip_autopipec.ace.neighbours import Neighbours
from mlip_autopipec.ace.posterior import Deviation, Posterior
from mlip_autopipec.ace.potential import ACEPotential, Potential
from mlip_autopipec.ace.threads import thread_count
from mlip_autopipec.errors import DataError

Array = NDArray[np.float64]


class ACECalculator(Calculator):
    """Energy = ACE + reference energies of the atoms + baseline.

    Results: energy, free_energy (eV), energies (eV per atom; absent when the baseline has none), forces (eV/Angstrom),
    stress (eV/Angstrom^3, with a three-dimensional cell), gamma (per atom, dimensionless; only when asked for).

    Args:
        potential: B-basis or C-tilde form.
        active_set_inverse: inverse active-set matrix by element (as in an .asi file); needed for gamma. Of a nonlinear
            potential it may be linear (as many rows as functions) or full (functions times densities).
        reference_energies: eV by element, added for every atom; elements that are not named count 0.
        baseline: ASE calculator whose energy, forces and stress are added (the part that was subtracted in training).
        posterior: of the coefficients; needed for `deviation`.
        threads: number of threads; None: environment variable MLIP_NUM_THREADS, or 1. Results do not depend on it.
        skin_angstrom: neighbours are searched this much beyond the cutoffs and kept until an atom has moved half of
            it or the cell has changed.

    Raises:
        TypeError: an argument that does not exist.
        DataError: active set and potential do not fit together, or an impossible skin. On evaluation: unknown element,
            positions that are not finite, atoms too close, gamma asked for without an active set.
        ConfigurationFault: an impossible number of threads.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "gamma"]  # noqa: RUF012
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012

    def __init__(
        self,
        potential: Potential,
        active_set_inverse: Mapping[str, Array] | None = None,
        reference_energies: Mapping[str, float] | None = None,
        baseline: Calculator | None = None,
        posterior: Posterior | None = None,
        threads: int | None = None,
        skin_angstrom: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.parameters:
            raise TypeError(f"ACECalculator has no argument {', '.join(map(repr, self.parameters))}.")
        if not (np.isfinite(skin_angstrom) and skin_angstrom >= 0):
            raise DataError(f"skin_angstrom = {skin_angstrom}: give a length in Angstrom from 0, 0.5 for example.")
        if threads is not None:
            thread_count(threads)
        self.potential = potential
        self.active_set_inverse = active_set_inverse
        self.reference_energies = dict(reference_energies or {})
        self.baseline = baseline
        self.posterior = posterior
        self.threads = threads
        self.skin_angstrom = skin_angstrom
        self._near: Neighbours | None = None
        self._near_of: Potential | None = None
        self._numbers: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        if active_set_inverse is not None:
            if not isinstance(potential, ACEPotential):
                raise DataError("gamma needs the B-basis form of the potential (.yaml), this is the contracted one.")
            for mu, (element, count) in enumerate(zip(potential.elements, potential.basis.counts, strict=True)):
                shape = np.shape(active_set_inverse.get(element, np.zeros((0, 0))))
                fitting = {(n, n) for n in (count, count * potential.embeddings[mu].densities)}
                if count and shape not in fitting:
                    raise DataError(
                        f"the active set of {element} is {shape[0]} x {shape[-1]}, the potential has {count} "
                        "functions: they belong to different trainings."
                    )

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        """ASE's entry point; computes gamma only when it is among `properties`."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None  # set by the base class
        if "gamma" in properties:
            self.results["gamma"] = self.gamma(self.atoms)
            if set(properties) == {"gamma"}:
                return
        self.results.update(self._energy_forces_stress(self.atoms))

    def neighbours(self, atoms: Atoms) -> Neighbours:
        """Neighbour candidates of a structure, those of the last one while they serve.

        Raises:
            DataError: as `find_neighbours`.
        """
        near = self._near
        same = self._near_of is self.potential and np.array_equal(self._numbers, atoms.numbers)
        if near is None or not same or near.skin != self.skin_angstrom or not near.serves(atoms):
            near = self._near = neighbours_of(self.potential, atoms, self.skin_angstrom, self.threads)
            self._numbers, self._near_of = atoms.numbers.copy(), self.potential
        return near

    def _energy_forces_stress(self, atoms: Atoms) -> dict[str, Any]:
        found = evaluate(self.potential, atoms, self.neighbours(atoms), self.threads)
        references = np.array([self.reference_energies.get(symbol, 0.0) for symbol in atoms.symbols])
        results: dict[str, Any] = {"energies": found.energies + references, "forces": found.forces}
        results["energy"] = float(results["energies"].sum())
        if atoms.cell.rank == 3:
            results["stress"] = found.strain_derivative / abs(np.linalg.det(atoms.cell.array))
        if self.baseline is not None:
            get: Any = self.baseline.get_property
            results["energy"] += float(get("energy", atoms))
            results["forces"] = results["forces"] + get("forces", atoms)
            for key in ("energies", "stress"):
                if key in self.baseline.implemented_properties and key in results:
                    results[key] = results[key] + get(key, atoms)
                else:
                    results.pop(key, None)
        results["free_energy"] = results["energy"]
        return results

    def gamma(self, atoms: Atoms | None = None) -> Array:
        """Extrapolation grade (N,) of every atom; above 1 an environment lies outside the training data.

        Args:
            atoms: the structure; None: the one that was evaluated last.

        Raises:
            DataError: no active set was given, or the structure cannot be evaluated.
        """
        potential, inverses = self.potential, self.active_set_inverse
        if inverses is None or not isinstance(potential, ACEPotential):
            raise DataError("gamma was asked for without an active set. Give active_set_inverse=read_asi(...).")
        atoms = self.atoms if atoms is None else atoms
        if atoms is None:
            raise DataError("gamma was asked for without a structure.")

        def graded(mu: int, values: Array) -> Array:
            if not values.shape[1]:
                return np.zeros(len(values))
            inverse = inverses[potential.elements[mu]]
            if inverse.shape[0] != values.shape[1]:  # full: rows are the derivatives of the energy by coefficients
                slopes = potential.embeddings[mu].slopes(values @ potential.densities(mu))
                values = (slopes[:, :, None] * values[:, None, :]).reshape(len(values), -1)
            return active_set.gamma(values, inverse)

        grades = np.zeros(len(atoms))
        near = self.neighbours(atoms)
        for _, chosen, found in project_each(potential.basis, atoms, near, graded, self.threads):
            grades[chosen] = found
        return grades

    def deviation(self, atoms: Atoms) -> Deviation:
        """Standard deviations of energy (eV) and forces (N, 3) (eV/Angstrom) of a structure against a label.

        Raises:
            DataError: no posterior was given, or the structure cannot be evaluated.
        """
        if self.posterior is None or not isinstance(self.potential, ACEPotential):
            raise DataError("deviations were asked for without a posterior. Give posterior=Posterior.load(...).")
        return self.posterior.deviation(self.potential.basis, atoms)
