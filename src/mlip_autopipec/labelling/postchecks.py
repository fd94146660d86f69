"""What an accepted label must still show before it is trained on, whatever engine made it.

The engine's own verdict is of one output. These checks look at the label alone and are made again of every label that
is collected, so that no engine, and no older file, gets past them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.config.elements import NONMETALS
from mlip_autopipec.frames import ISOLATED_ATOM, closest_contact, has_vacuum
from mlip_autopipec.labelling.labeller import Kind, Label

LAST_BAND_MAX = 0.05
"""Occupation of the highest band: above it bands are missing (Al4 with too few: 7.5 meV)."""
OPEN_CONTACT = 0.75
"""Nearest contact, as a part of the sum of covalent radii, from which on the force of a crystal or a melt must be
below half the ceiling: pairs pressed together on purpose have large forces rightly; a crystal with all atoms well apart
has not."""
BOND = 1.25
"""Nonmetals nearer than this part of the sum of their covalent radii are bonded. Such bonds are stiff (N2 143, O2 73,
H2 36 eV/A^2: Herzberg, Spectra of Diatomic Molecules (1950)) and have large forces at ordinary lengths (O2 at 1.02 A,
0.77 of the sum: 38 eV/A), in a molecular crystal or a liquid too: the whole ceiling holds."""
NET_FORCE_PER_ATOM_MAX = 0.05
"""eV/A: forces add up to zero, and an engine that does not correct them shows its own error here."""


@dataclass(frozen=True)
class Limits:
    """Of the configuration's section `labelling`."""

    maximum_force_ev_per_angstrom: float = 50.0
    scf_correction_max_ev_per_angstrom: float = 0.05

    @classmethod
    def of(cls, section: Mapping[str, Any] | Any) -> Limits:
        """Limits from the section or its dump."""
        known = section if isinstance(section, Mapping) else section.model_dump()
        return cls(known["maximum_force_ev_per_angstrom"], known["scf_correction_max_ev_per_angstrom"])


def postcheck(atoms: Atoms, label: Label, limits: Limits | None = None) -> tuple[str, Kind, str] | None:
    """Why an accepted label is quarantined: outcome in one word, whose matter it is, and a sentence. None: it is good.

    Args:
        limits: without them only what needs no limit is checked.
    """
    if not label.accepted:
        return None
    isolated = atoms.info.get("config_type") == ISOLATED_ATOM
    if label.stress is None and label.without_stress is None:
        return "no_stress", "physics", "the label has no stress"
    surface = label.settings.get("surface") or {}
    spin = label.engine == "espresso" and surface.get("nspin") == 2 and label.branch not in (None, "unpolarised")
    if spin and not isolated and label.magmoms is None:
        return "no_moments", "physics", "the run was made with spin, and the label has no moments"
    occupation = label.last_band_occupation
    if occupation is not None and occupation > LAST_BAND_MAX:
        return "last_band_occupied", "physics", f"too few bands: the last one is occupied ({occupation:.2f})"
    accuracy, threshold = label.scf_accuracy_ry, label.conv_thr_ry
    if accuracy is not None and threshold is not None and accuracy > 1.01 * threshold:
        words = f"SCF accuracy {accuracy:.1e} Ry is above the threshold {threshold:.1e} Ry"
        return "scf_accuracy_above_threshold", "physics", words
    return None if limits is None or isolated else _by_limits(atoms, label, limits)


def _by_limits(atoms: Atoms, label: Label, limits: Limits) -> tuple[str, Kind, str] | None:
    correction, most = label.scf_correction_ev_per_angstrom, limits.scf_correction_max_ev_per_angstrom
    if correction is not None and correction > most:
        words = f"the SCF correction of the forces is {correction:.3f} eV/A, above {most:g} eV/A"
        return "scf_correction_too_large", "physics", words
    forces = np.array(label.forces)
    net = float(np.linalg.norm(forces.sum(axis=0))) / len(atoms)
    if net > NET_FORCE_PER_ATOM_MAX:
        words = f"the forces add up to {net:.3f} eV/A per atom, above {NET_FORCE_PER_ATOM_MAX:g} eV/A, and not to zero"
        return "net_force", "physics", words
    largest, ceiling = float(np.linalg.norm(forces, axis=1).max()), limits.maximum_force_ev_per_angstrom
    where = ""
    if not has_vacuum(atoms) and closest_contact(atoms)[0] >= OPEN_CONTACT and not _bonded_nonmetals(atoms):
        ceiling, where = ceiling / 2, " (half of maximum_force_ev_per_angstrom: no vacuum, and no two atoms are close)"
    if largest > ceiling:
        words = f"the largest force is {largest:.1f} eV/A, above {ceiling:g} eV/A{where}"
        return "force_too_large", "structure", words
    return None


def _bonded_nonmetals(atoms: Atoms) -> bool:
    some = atoms[[symbol in NONMETALS for symbol in atoms.symbols]]
    return len(some) > 0 and closest_contact(some)[0] < BOND
