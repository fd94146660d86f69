"""Elastic constants of the potential at its own equilibrium."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from matcalc import ElasticityCalc

from mlip_autopipec.validation.eos import symmetry


def elastic(atoms: Atoms, calculator: Calculator, strain: float) -> dict[str, Any]:
    """Elastic tensor by stresses of strained, internally relaxed cells (matcalc; de Jong et al., Sci. Data 2, 150009).

    Args:
        atoms: crystal near equilibrium; cell and positions are relaxed first.
        strain: size of the strains.

    Returns:
        ``tensor_gpa`` (6 x 6, axes of spglib's standard cell), ``spacegroup_number``, Voigt-Reuss-Hill
        ``bulk_modulus_gpa`` and ``shear_modulus_gpa``, the eigenvalues of the tensor and ``mechanically_stable`` (all
        positive; Mouhat and Coudert, PRB 90, 224104, 2014).
    """
    steps = (-strain, -strain / 2, strain / 2, strain)
    calculation = ElasticityCalc(
        calculator,
        norm_strains=steps,
        shear_strains=steps,
        fmax=1e-3,
        relax_deformed_structures=True,
        units_GPa=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = calculation.calc(atoms)
    crystal = symmetry(atoms)
    elastic_tensor = found["elastic_tensor"]
    if crystal is not None:
        elastic_tensor = elastic_tensor.rotate(crystal.std_rotation_matrix, tol=1e-3)
    tensor = np.asarray(elastic_tensor.voigt)
    eigenvalues = np.linalg.eigvalsh((tensor + tensor.T) / 2)
    return {
        "tensor_gpa": tensor,
        "spacegroup_number": 1 if crystal is None else int(crystal.number),
        "bulk_modulus_gpa": float(found["bulk_modulus_vrh"]),
        "shear_modulus_gpa": float(found["shear_modulus_vrh"]),
        "c11_gpa": float(tensor[0, 0]),
        "c12_gpa": float(tensor[0, 1]),
        "c44_gpa": float(tensor[3, 3]),
        "eigenvalues_gpa": eigenvalues,
        "mechanically_stable": bool((eigenvalues > 0).all()),
    }
