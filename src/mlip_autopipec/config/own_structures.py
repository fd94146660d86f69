"""The user's own structures, looked at before anything runs: can they be read, and can they be what is meant?"""

from __future__ import annotations

import os
from glob import has_magic
from pathlib import Path
from typing import Any

from mlip_autopipec.errors import ConfigError

GIVE = "Give a whole CIF, POSCAR or extended XYZ file."
TOO_CLOSE = 0.5  # of the sum of covalent radii; the bond of H2 is 1.2 of it, Si under 100 GPa about 0.9
_FORMATS = {".cif": "CIF", ".xyz": "XYZ", ".extxyz": "extended XYZ", ".vasp": "POSCAR", ".pdb": "PDB", ".mol": "MOL"}
# What ASE's readers raise, often without a word, when a file has no more lines or fields.
_CUT_SHORT = (StopIteration, AssertionError, EOFError, IndexError, KeyError, AttributeError)
_LARGEST_READ_WHOLE = 5_000_000  # bytes: about a second; a run looks at the rest
_FRAMES_OF_A_LARGE_FILE = 100


def first(path: str, key: str = "structure") -> Any:
    """The first structure of a file.

    Raises:
        ConfigError: it is no file, or cannot be read.
    """
    _check_is_file(path, key)
    return _read(path, key, ":1")[0]


def check_files(key: str, paths: list[str], elements: list[str]) -> None:
    """Read the user's files.

    Every frame of a file up to 5 MB is looked at, of a larger one the first 100.

    Args:
        key: the config key that names them.
        elements: of the composition.

    Raises:
        ConfigError: a file cannot be read, holds other elements, or atoms on top of each other.
    """
    for path in paths:
        _check_is_file(path, key)
        large = os.path.getsize(path) > _LARGEST_READ_WHOLE
        for number, atoms in enumerate(_read(path, key, f":{_FRAMES_OF_A_LARGE_FILE}" if large else ":")):
            other = sorted(set(atoms.get_chemical_symbols()) - set(elements))
            if other:
                raise ConfigError(
                    key, path, f"structure {number} holds {', '.join(other)}, which the composition has not",
                    "Name these elements in 'composition', or take the file out.",
                )  # fmt: skip
            _check_contacts(key, path, number, atoms)


def refuse_folders(key: str, paths: list[str]) -> None:
    """Raises ConfigError when a folder stands where files belong."""
    for path in paths:
        if os.path.isdir(path):
            raise ConfigError(key, path, "a folder, not a file", f"Write '{path.rstrip('/')}/*' for all files in it.")


def _check_contacts(key: str, path: str, number: int, atoms: Any) -> None:
    from mlip_autopipec.frames import closest_contact  # its neighbour list is slow to load, and rarely needed

    ratio, distance = closest_contact(atoms)
    if ratio < TOO_CLOSE:
        raise ConfigError(
            key, path,
            f"two atoms of structure {number} are {distance:.2f} A apart, {ratio:.2f} of the sum of covalent radii",
            "Mend the positions or the cell (units are A; one position for each atom).",
        )  # fmt: skip


def _check_is_file(path: str, key: str) -> None:
    if os.path.isdir(path):
        raise ConfigError(key, path, "a folder, not a file", "Write a file's path; 'structures: folder/*' takes all.")
    if not os.path.isfile(path) and has_magic(path):
        raise ConfigError(key, path, "several files", "Write one file here; 'structures: path/*.cif' takes several.")
    if not os.path.isfile(path):
        raise ConfigError(
            key, path, "no such file",
            f"Write a path relative to {os.getcwd()}, where snakemake runs, or an absolute one.",
        )  # fmt: skip


def _read(path: str, key: str, index: str) -> list[Any]:
    from ase.io import read  # slow, and rarely needed

    try:
        found: Any = read(path, index=index)
        frames: list[Any] = list(found)
        finite = all(abs(float(frame.positions.sum() + frame.cell.array.sum())) < float("inf") for frame in frames)
    except Exception as error:  # ASE's readers raise many kinds
        raise ConfigError(key, path, f"not readable as a structure: {reason(path, error)}", GIVE) from None
    if not frames or any(len(frame) == 0 for frame in frames):
        raise ConfigError(key, path, "not readable as a structure: it ends early or holds no atoms", GIVE)
    if not finite:
        raise ConfigError(key, path, "holds positions that are not numbers", GIVE)
    return frames


def reason(path: str, error: Exception) -> str:
    """What an exception of ASE's readers means, in words."""
    told = (str(error).strip().splitlines() or [""])[0].rstrip(". ")
    if Path(path).stat().st_size == 0:
        return "the file is empty"
    cut = "inhomogeneous" in told  # numpy's words for a line with too few numbers
    if cut or not told or isinstance(error, _CUT_SHORT):
        name = _FORMATS.get(Path(path).suffix.lower(), "structure file")
        return f"the file ends early or is not a {name}"
    if type(error).__name__ == "UnknownFileTypeError":
        return "neither its ending nor its content is that of a known format"
    return told
