"""Structures that the user brings: the crystal meant (key `structure`) and cells taken as they are (`files`)."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import iread

from mlip_autopipec.errors import ConfigError, DataError, InputFileError
from mlip_autopipec.frames import new_frame
from mlip_autopipec.structures.task import Task


def structure(task: Task) -> list[Atoms]:
    """Source `structure`: the first crystals in the file of the config key `structure`, `parents_max` at most.

    Raises:
        ConfigError: the key is empty.
        InputFileError: the file is missing, unreadable, or holds elements that the composition has not.
    """
    if not task.structure:
        raise ConfigError("structure", "", "the source 'structure' needs a file", "Write the path of a CIF or POSCAR.")
    frames = []
    for number, atoms in enumerate(_read(task.structure)[: task.settings.parents_max]):
        _of_these_elements(atoms, task, task.structure)
        _periodic(atoms, task.structure)
        frames.append(
            new_frame(
                atoms, origin=f"{task.structure}, structure {number}", config_type="crystal", prototype="structure"
            )
        )
    return frames


def own_frames(task: Task) -> list[Atoms]:
    """All structures of `settings.files`, as they are, config_type 'own'.

    A structure without a cell is put into a box with `vacuum_angstrom` of empty space.

    Raises:
        InputFileError: a file is missing or unreadable, or holds elements that the composition has not.
    """
    frames = []
    for path in files(task.settings.files):
        for number, atoms in enumerate(_read(path)):
            _of_these_elements(atoms, task, path)
            boxed = _boxed(atoms, task.settings.vacuum_angstrom)
            frames.append(new_frame(boxed, origin=f"{path}, structure {number}", config_type="own"))
    return frames


def files(patterns: Sequence[str]) -> list[str]:
    """The files that the patterns (* and ? allowed) stand for, each once.

    Raises:
        InputFileError: a pattern finds nothing.
    """
    found: list[str] = []
    for pattern in patterns:
        matches = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern))
        if not matches:
            raise InputFileError(
                pattern, "no such file", "Correct 'structures.files' (paths are relative to where snakemake runs)."
            )
        found += [match for match in matches if match not in found]
    return found


def _read(path: str) -> list[Atoms]:
    if not Path(path).is_file():
        raise InputFileError(path, "no such file", "Give the path relative to where snakemake runs.")
    try:
        frames = list(iread(path, index=":"))
    except Exception as error:  # ASE's readers raise many kinds
        raise InputFileError(
            path, f"not readable as a structure ({error})", "Use CIF, POSCAR or extended XYZ, with that ending."
        ) from None
    usable = [frame for frame in frames if len(frame)]
    if not usable or not all(np.isfinite(frame.positions).all() for frame in usable):
        raise InputFileError(path, "holds no atoms, or positions that are not numbers", "Check the file.")
    if any("occupancy" in frame.info and _partial(frame) for frame in usable):
        raise InputFileError(
            path, "has partly occupied sites", "Write an ordered cell, or a formula with fractions (Al0.9Mg0.1)."
        )
    return usable


def _partial(frame: Atoms) -> bool:
    sites = frame.info["occupancy"].values()
    return any(len(site) > 1 or any(share < 0.999 for share in site.values()) for site in sites)


def _of_these_elements(atoms: Atoms, task: Task, path: str) -> None:
    other = sorted(set(atoms.get_chemical_symbols()) - set(task.elements))
    if other:
        raise InputFileError(
            path,
            f"holds {', '.join(other)}, which the composition {task.composition} has not",
            "Name these elements in 'composition', or take the file out.",
        )


def _periodic(atoms: Atoms, path: str) -> None:
    if atoms.cell.rank < 3:
        raise InputFileError(path, "has no cell: it is no crystal", "Give a molecule with the key 'molecule' instead.")
    atoms.pbc = True


def _boxed(atoms: Atoms, vacuum_angstrom: float) -> Atoms:
    boxed: Atoms = atoms.copy()
    if boxed.cell.rank < 3 or not boxed.pbc.all():
        open_axes = [axis for axis in range(3) if not boxed.pbc[axis] or not boxed.cell.lengths()[axis] > 0]
        boxed.center(vacuum=vacuum_angstrom / 2, axis=open_axes)
    boxed.pbc = True
    if abs(boxed.get_volume()) < 1e-3:
        raise DataError("a structure of your own has a cell without volume")
    return boxed
