"""What the fit does not learn: energies of isolated atoms and the repulsive baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from ase import Atoms

from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ENERGY, FORCES, ISOLATED_ATOM, STRESS
from mlip_autopipec.repulsion import Repulsion


@dataclass(frozen=True)
class Target:
    """A frame and what the fit shall reproduce: energy (eV), forces (N x 3, eV/A), dE/dstrain (6, eV) or None."""

    frame: Atoms
    energy_ev: float
    forces: np.ndarray
    strain_derivative_ev: np.ndarray | None


def isolated_atom_energies(
    frames: list[Atoms], given_ev: Mapping[str, float] = MappingProxyType({})
) -> tuple[dict[str, float], list[str]]:
    """Energies of isolated atoms in eV by element, and warnings.

    Energies that are given go before those in the data. An element without a labelled atom gets the mean energy per
    atom of all frames, and a warning: cohesive energies and dissociation are then meaningless, everything else is not
    touched.

    Raises:
        DataError: there is no labelled frame at all.
    """
    labelled = [frame for frame in frames if ENERGY in frame.info]
    condensed = [frame for frame in labelled if frame.info.get("config_type") != ISOLATED_ATOM]
    if not condensed:
        raise DataError(
            "the dataset has no labelled frame: nothing can be trained. See the quarantine file for reasons"
        )
    found = {
        frame.get_chemical_symbols()[0]: float(frame.info[ENERGY])
        for frame in labelled
        if frame.info.get("config_type") == ISOLATED_ATOM
    } | {symbol: float(energy) for symbol, energy in given_ev.items()}
    warnings = []
    for symbol in sorted({s for frame in condensed for s in frame.get_chemical_symbols()} - set(found)):
        found[symbol] = float(np.mean([frame.info[ENERGY] / len(frame) for frame in condensed]))
        warnings.append(
            f"No energy of an isolated {symbol} atom: its reference is the mean energy per atom, "
            f"{found[symbol]:.3f} eV, so cohesive energies mean nothing."
        )
    return found, warnings


def subtract(frames: list[Atoms], references_ev: dict[str, float], baseline: Repulsion | None) -> list[Target]:
    """Labels minus isolated atoms minus baseline, for all frames but the isolated atoms.

    Raises:
        DataError: a label has NaN or the wrong shape; names the frame.
    """
    targets = []
    for frame in frames:
        if frame.info.get("config_type") == ISOLATED_ATOM:
            continue
        name = frame.info.get("uid", "?")
        energy, forces = frame.info.get(ENERGY), frame.arrays.get(FORCES)
        if energy is None or forces is None or forces.shape != (len(frame), 3):
            raise DataError(f"frame {name} has no energy or no forces of shape ({len(frame)}, 3)")
        stress = frame.info.get(STRESS)
        stress = None if stress is None else np.asarray(stress, dtype=float)
        if not (np.isfinite(energy) and np.isfinite(forces).all() and (stress is None or np.isfinite(stress).all())):
            raise DataError(f"frame {name} has a label that is not a number")
        energy = energy - float(np.sum([references_ev[symbol] for symbol in frame.get_chemical_symbols()]))
        if baseline is not None:
            bare = frame.copy()
            bare.calc = baseline
            energy = energy - bare.get_potential_energy()
            forces = forces - bare.get_forces()
            stress = None if stress is None else stress - bare.get_stress()
        derivative = None if stress is None else stress * frame.get_volume()
        targets.append(Target(frame, float(energy), forces, derivative))
    return targets
