"""Atomic cluster expansion: basis, evaluation, fit, active set and the file formats of LAMMPS' ML-PACE."""

from mlip_autopipec.ace.active_set import ActiveSet, active_sets, gammas
from mlip_autopipec.ace.basis import Basis, BasisSpec, build_basis
from mlip_autopipec.ace.calculator import ACECalculator
from mlip_autopipec.ace.design_matrix import DesignRows, design_rows
from mlip_autopipec.ace.embedding import Embedding
from mlip_autopipec.ace.evaluate import Evaluation, evaluate, project
from mlip_autopipec.ace.files import read_asi, read_potential, read_yace, read_yaml, write_asi, write_yace, write_yaml
from mlip_autopipec.ace.potential import ACEPotential, CTildePotential
from mlip_autopipec.ace.solve import Factor, Solution

__all__ = [
    "ACECalculator",
    "ACEPotential",
    "ActiveSet",
    "Basis",
    "BasisSpec",
    "CTildePotential",
    "DesignRows",
    "Embedding",
    "Evaluation",
    "Factor",
    "Solution",
    "active_sets",
    "build_basis",
    "design_rows",
    "evaluate",
    "gammas",
    "project",
    "read_asi",
    "read_potential",
    "read_yace",
    "read_yaml",
    "write_asi",
    "write_yace",
    "write_yaml",
]
