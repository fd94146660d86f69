"""ASE calculator for ACE potentials, with the extrapolation grade gamma on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from mlip_autopipec.ace.active_set import gammas
from mlip_autopipec.ace.evaluate import evaluate
from mlip_autopipec.ace.potential import ACEPotential, Potential
from mlip_autopipec.errors import DataError

Array = NDArray[np.float64]


class ACECalculator(Calculator):
    """Energy = ACE + reference energies of the atoms + baseline.

    Results: energy, free_energy (eV), energies (eV per atom; absent when the baseline has none), forces (eV/Angstrom),
    stress (eV/Angstrom^3, with a three-dimensional cell), gamma (per atom, dimensionless; only when asked for).

    Args:
        potential: B-basis or C-tilde form.
        active_set_inverse: inverse active-set matrix by element (as in an .asi file); needed for gamma.
        reference_energies: eV by element, added for every atom; elements that are not named count 0.
        baseline: ASE calculator whose energy, forces and stress are added (the part that was subtracted in training).

    Raises:
        DataError: active set and potential do not fit together. On evaluation: unknown element, positions that are
            not finite, atoms too close, gamma asked for without an active set.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "gamma"]  # noqa: RUF012
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012

    def __init__(
        self,
        potential: Potential,
        active_set_inverse: Mapping[str, Array] | None = None,
        reference_energies: Mapping[str, float] | None = None,
        baseline: Calculator | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.potential = potential
        self.active_set_inverse = active_set_inverse
        self.reference_energies = dict(reference_energies or {})
        self.baseline = baseline
        if active_set_inverse is not None:
            if not isinstance(potential, ACEPotential):
                raise DataError("gamma needs the B-basis form of the potential (.yaml), this is the contracted one.")
            for element, count in zip(potential.elements, potential.basis.counts, strict=True):
                shape = np.shape(active_set_inverse.get(element, np.zeros((0, 0))))
                if count and shape != (count, count):
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

    def _energy_forces_stress(self, atoms: Atoms) -> dict[str, Any]:
        found = evaluate(self.potential, atoms)
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

    def gamma(self, atoms: Atoms) -> Array:
        """Extrapolation grade (N,) of every atom; above 1 an environment lies outside the training data.

        Raises:
            DataError: no active set was given, or the structure cannot be evaluated.
        """
        if self.active_set_inverse is None or not isinstance(self.potential, ACEPotential):
            raise DataError("gamma was asked for without an active set. Give active_set_inverse=read_asi(...).")
        return gammas(self.potential.basis, self.active_set_inverse, atoms)
