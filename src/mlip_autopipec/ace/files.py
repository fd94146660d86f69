"""Files of a potential: `.yaml` and `.yace` by name, and the active set `.asi`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlip_autopipec.ace.files_basis import read_yaml, write_yaml
from mlip_autopipec.ace.files_ctilde import read_yace, write_yace
from mlip_autopipec.ace.potential import ACEPotential, CTildePotential
from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.errors import DataError, InputFileError

__all__ = ["read_asi", "read_potential", "read_yace", "read_yaml", "write_asi", "write_yace", "write_yaml"]

_AGAIN = "Make it again from the .yaml and its training data."


def read_potential(path: str | os.PathLike[str]) -> ACEPotential | CTildePotential:
    """Read `.yaml` (B-basis form) or `.yace` (C-tilde form), chosen by the suffix.

    Raises:
        InputFileError: another suffix, or as `read_yaml` and `read_yace`.
    """
    suffix = Path(path).suffix
    if suffix in (".yaml", ".yml"):
        return read_yaml(path)
    if suffix == ".yace":
        return read_yace(path)
    raise InputFileError(path, f"a potential cannot have the suffix '{suffix}'", "Use a .yaml or .yace file.")


def write_asi(path: str | os.PathLike[str], inverses: Mapping[str, NDArray[np.float64]]) -> None:
    """Write the inverse active-set matrices, one square array per element symbol, for `pair_style pace/extrapolation`.

    The file is an uncompressed .npz of C-ordered doubles, because its C++ readers silently misread anything else.

    Raises:
        DataError: a matrix that is not square or not finite.
    """
    arrays = {}
    for element, inverse in inverses.items():
        array = np.ascontiguousarray(inverse, dtype=np.float64)
        if array.ndim != 2 or array.shape[0] != array.shape[1] or not np.isfinite(array).all():
            raise DataError(f"the active set of {element} is not a finite square matrix (shape {array.shape}).")
        arrays[element] = array
    if not arrays:
        raise DataError("an active set without elements cannot be written.")
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays)


def read_asi(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Inverse active-set matrix of every element symbol.

    Raises:
        InputFileError: missing, truncated or another kind of file, or matrices that are not square and finite.
    """
    if not Path(path).is_file():
        raise InputFileError(path, "no such file", "Train the potential first; the .asi lies beside its .yaml.")
    try:
        with np.load(path, allow_pickle=False) as data:
            found = {name: np.array(data[name], dtype=np.float64) for name in data.files}
    except Exception as error:  # numpy and zipfile raise many kinds for a broken file
        raise InputFileError(path, f"not a whole active set ({error})", _AGAIN) from None
    for element, array in found.items():
        if array.ndim != 2 or array.shape[0] != array.shape[1] or not np.isfinite(array).all():
            raise InputFileError(path, f"the matrix of {element} has shape {array.shape} or holds NaN", _AGAIN)
    if not found:
        raise InputFileError(path, "holds no element", _AGAIN)
    return found
