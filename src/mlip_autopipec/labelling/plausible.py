"""What every label must be, whatever made it: whole, finite and of a structure that occurs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mlip_autopipec.labelling.labeller import Kind


@dataclass(frozen=True)
class Bounds:
    """What a label must keep to.

    Attributes:
        minimum_distance_fraction: shortest distance, as a fraction of the sum of covalent radii.
        maximum_force_ev_per_angstrom: largest force on an atom.
    """

    minimum_distance_fraction: float = 0.5
    maximum_force_ev_per_angstrom: float = 50.0

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> Bounds:
        """Bounds from the `labelling` section of the full configuration."""
        return cls(section["minimum_distance_fraction"], section["maximum_force_ev_per_angstrom"])


class Refusal(NamedTuple):
    """Why numbers are no label: outcome in one word, whose matter it is, and words for a person."""

    outcome: str
    kind: Kind
    reason: str


def refused(
    natoms: int, energy_ev: float, forces: np.ndarray, stress: np.ndarray | None, bounds: Bounds
) -> Refusal | None:
    """Why these numbers are no label, or None.

    Args:
        forces: eV/A, should be (natoms, 3).
        stress: eV/A^3, should have six Voigt components; None where there is none.
    """
    if forces.shape != (natoms, 3) or (stress is not None and stress.shape != (6,)):
        shapes = f"forces {forces.shape}" + ("" if stress is None else f", stress {stress.shape}")
        return Refusal("wrong_shape", "physics", f"{shapes} for {natoms} atoms")
    for what, values in (("energy", energy_ev), ("forces", forces), ("stress", 0.0 if stress is None else stress)):
        if not np.isfinite(values).all():
            return Refusal("not_finite", "physics", f"the {what} has values that are not finite")
    force = float(np.linalg.norm(forces, axis=1).max(initial=0.0))
    limit = bounds.maximum_force_ev_per_angstrom
    if force > limit:
        return Refusal("force_too_large", "structure", f"the largest force is {force:.0f} eV/A, above {limit:g} eV/A")
    return None
