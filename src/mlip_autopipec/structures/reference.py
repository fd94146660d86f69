"""What everything is measured against: isolated atoms, and the reference structure larger and smaller."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from mlip_autopipec.config.full import Structures
from mlip_autopipec.frames import ISOLATED_ATOM, new_frame
from mlip_autopipec.structures.cells import supercell

BREATHING_MAX = 0.06  # of a molecule's distances: bonds break farther out, and the curve is no polynomial any more

BOX_EDGES = (1.0, 1.075, 1.16)  # with these O and Al converge in 9 iterations, with 1, 1.05, 1.1 in 31 and never


def isolated_atoms(symbols: list[str], box_angstrom: float) -> list[Atoms]:
    """One atom of each element in a box, named by its symbol.

    The edges are 1, 1.075 and 1.16 times `box_angstrom` and the atom sits off the centre, so that no symmetry holds a
    wrong state of an open shell in place, or lets its orbitals turn without end (VASP's manual gives the same advice).
    """
    frames = []
    for symbol in symbols:
        atom = Atoms(symbol, positions=[[0.01, 0.02, 0.03]], cell=np.array(BOX_EDGES) * box_angstrom, pbc=True)
        frames.append(
            new_frame(atom, origin=f"isolated atom, box {box_angstrom} A", config_type=ISOLATED_ATOM, name=symbol)
        )
    return frames


def reference_series(parent: Atoms, settings: Structures, points: int, strain: float) -> list[Atoms]:
    """The reference at evenly spaced sizes, named v0, v1, ..., config_type 'eos'.

    A crystal's supercell is scaled alike in all directions (`volume_change`: relative, of the volume); of a molecule
    all distances are scaled in its box (`scale_change`: relative, of the distances).

    Args:
        parent: a relaxed parent, config_type 'crystal' or 'molecule'.
        settings: the config's section `structures`.
        points: number of frames.
        strain: largest relative change to both sides; of a molecule's distances no more than 0.06.
    """
    if parent.info["config_type"] == "molecule":
        changes = np.linspace(-1, 1, points) * min(strain, BREATHING_MAX)
        return [_breathed(parent, k, float(change)) for k, change in enumerate(changes)]
    cell = supercell(parent, settings)
    return [_scaled(cell, k, float(change)) for k, change in enumerate(np.linspace(-strain, strain, points))]


def _scaled(cell: Atoms, number: int, change: float) -> Atoms:
    scaled = cell.copy()
    scaled.set_cell(cell.cell.array * (1.0 + change) ** (1 / 3), scale_atoms=True)
    origin = f"equation of state, volume {change:+.4f}"
    return new_frame(scaled, origin=origin, config_type="eos", like=cell, name=f"v{number}", volume_change=change)


def _breathed(molecule: Atoms, number: int, change: float) -> Atoms:
    scaled = molecule.copy()
    centre = molecule.positions.mean(axis=0)
    scaled.positions = centre + (1.0 + change) * (molecule.positions - centre)
    origin = f"breathing molecule, distances {change:+.4f}"
    return new_frame(scaled, origin=origin, config_type="eos", like=molecule, name=f"v{number}", scale_change=change)
