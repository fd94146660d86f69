"""The cell that is labelled: a supercell of a parent, near a wanted size."""

from __future__ import annotations

from typing import Any

import numpy as np
import spglib
from ase import Atoms
from ase.build import make_supercell

from mlip_autopipec.config.full import Structures
from mlip_autopipec.frames import new_frame

SYMMETRY_ANGSTROM = 0.02  # atoms that far from where the symmetry wants them count as there


def supercell(parent: Atoms, settings: Structures, *, atoms_min: int | None = None) -> Atoms:
    """The conventional standard cell of a parent, repeated along its edges.

    Each edge is repeated to come nearest to `supercell_edge_angstrom`; then the shortest is repeated until there are
    `atoms_min` atoms, and the longest cut back while there are more than `atoms_max`. A conventional cell above
    `atoms_max` gives way to the primitive one, and where that is too large too it is taken as it is.

    Args:
        atoms_min: other than in the settings (defects want larger cells).

    Returns:
        A frame of type 'crystal' whose parent is `parent`.
    """
    atoms = conventional(parent)
    if len(atoms) > settings.atoms_max:
        atoms = primitive(parent)
    lengths = atoms.cell.lengths()
    repeat = np.maximum(1, np.rint(settings.supercell_edge_angstrom / lengths).astype(int))
    least = settings.atoms_min if atoms_min is None else atoms_min
    while len(atoms) * repeat.prod() < least:
        repeat[np.argmin(lengths * repeat)] += 1
    while len(atoms) * repeat.prod() > settings.atoms_max and repeat.max() > 1:
        repeat[np.argmax(np.where(repeat > 1, lengths * repeat, 0.0))] -= 1
    cell = make_supercell(atoms, np.diag(repeat))
    shape = "x".join(map(str, repeat))
    origin = f"{parent.info.get('prototype', 'crystal')} {shape}"
    extra = {"prototype": parent.info["prototype"]} if "prototype" in parent.info else {}
    return new_frame(cell, origin=origin, config_type="crystal", parent=parent.info["uid"], **extra)


def conventional(atoms: Atoms) -> Atoms:
    """The conventional standard cell (spglib), atoms and cell as symmetric as their space group."""
    return _standard(atoms, to_primitive=False)


def primitive(atoms: Atoms) -> Atoms:
    """The primitive standard cell (spglib), atoms and cell as symmetric as their space group."""
    return _standard(atoms, to_primitive=True)


def space_group(atoms: Atoms) -> str:
    """Symbol of the space group (Hermann-Mauguin), e.g. 'Fm-3m'."""
    data = spglib.get_symmetry_dataset(_as_tuple(atoms), symprec=SYMMETRY_ANGSTROM)
    return str(data.international) if data is not None else "P1"


def distinct_sites(atoms: Atoms) -> list[int]:
    """One atom of every set that the symmetry makes alike."""
    data = spglib.get_symmetry_dataset(_as_tuple(atoms), symprec=SYMMETRY_ANGSTROM)
    return sorted(set(map(int, data.equivalent_atoms))) if data is not None else list(range(len(atoms)))


def _standard(atoms: Atoms, *, to_primitive: bool) -> Atoms:
    found = spglib.standardize_cell(_as_tuple(atoms), to_primitive=to_primitive, symprec=SYMMETRY_ANGSTROM)
    if found is None:
        return Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    lattice, scaled, numbers = found
    return Atoms(numbers=numbers, scaled_positions=scaled, cell=lattice, pbc=True)


def _as_tuple(atoms: Atoms) -> Any:
    return atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers
