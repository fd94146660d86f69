"""From features of atoms to one vector per structure, in which a single unusual atom still shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

PARTS = 3
"""Parts of a structure's vector: mean, standard deviation, the farthest atom."""


def structure_vector(per_atom: ArrayLike, numbers: ArrayLike | None = None) -> NDArray[np.float32]:
    """Mean and standard deviation over the atoms, and how the oddest atom deviates from its own kind.

    An unusual atom among n changes the mean by 1/n and the standard deviation by 1/sqrt(n) of its deviation; the third
    part holds the deviation whole. It is that of the atom farthest (Euclidean) from the mean over the atoms of its
    element, so that no ideal compound has an odd atom, and the absolute value is kept, so that two kinds of sites in
    equal numbers give one vector whichever of the two the noise puts first.

    Args:
        per_atom: (atoms, F) features, finite.
        numbers: (atoms,) atomic numbers; without them all atoms are taken for one kind.

    Returns:
        (3F,) float32; zeros for a structure without atoms.
    """
    rows = np.asarray(per_atom, dtype=np.float64)
    if len(rows) == 0:
        return np.zeros(PARTS * rows.shape[1], dtype=np.float32)
    kinds = np.zeros(len(rows), dtype=int) if numbers is None else np.asarray(numbers)
    deviation = np.empty_like(rows)
    for kind in np.unique(kinds):
        deviation[kinds == kind] = rows[kinds == kind] - rows[kinds == kind].mean(axis=0)
    farthest = int(np.argmax(np.einsum("ij,ij->i", deviation, deviation)))
    return np.concatenate([rows.mean(axis=0), rows.std(axis=0), np.abs(deviation[farthest])]).astype(np.float32)
