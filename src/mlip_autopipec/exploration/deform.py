"""Volume and shape of a cell as six numbers: the logarithm of the volume and five of a traceless logarithmic strain."""

from __future__ import annotations

import numpy as np
from ase import Atoms

_SHAPES = np.zeros((5, 3, 3))  # orthonormal in the Frobenius norm: no direction is preferred
_SHAPES[0] = np.diag([1.0, -1.0, 0.0]) / np.sqrt(2)
_SHAPES[1] = np.diag([1.0, 1.0, -2.0]) / np.sqrt(6)
for _k, (_i, _j) in enumerate([(1, 2), (0, 2), (0, 1)]):
    _SHAPES[2 + _k, _i, _j] = _SHAPES[2 + _k, _j, _i] = 1 / np.sqrt(2)


def stretch(log_volume: float, shape: np.ndarray) -> np.ndarray:
    """The 3 x 3 symmetric deformation exp(strain) with this logarithm of its determinant and these five components.

    A pure shear of engineering strain g has a shape of length g / sqrt(2).
    """
    strain = log_volume / 3 * np.eye(3) + np.tensordot(shape, _SHAPES, axes=1)
    values, vectors = np.linalg.eigh(strain)
    return np.asarray((vectors * np.exp(values)) @ vectors.T)


def deform(atoms: Atoms, deformation: np.ndarray) -> None:
    """Deform cell and places of all atoms in place: every row vector r becomes r @ deformation."""
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)


def shape_length(cell: np.ndarray, start: np.ndarray) -> float:
    """Length of the five shape components that take one cell (3 x 3, rows) to the other, rotations left out."""
    change = np.linalg.solve(start, cell)
    logs = np.log(np.linalg.svd(change, compute_uv=False))
    return float(np.linalg.norm(logs - logs.mean()))
