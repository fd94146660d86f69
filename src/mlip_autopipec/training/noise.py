"""The noise of the labels as a floor: what is learnt below it is the settings' error, not the material."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from mlip_autopipec.ace.posterior import Posterior


class Floor(NamedTuple):
    """Root-mean-square difference of labels and converged labels; zeros where it was not measured.

    Attributes:
        energy_ev_per_atom: constants per element taken out.
        force_ev_per_angstrom: of a component.
        atoms: of the frames it was measured on, on average.
    """

    energy_ev_per_atom: float = 0.0
    force_ev_per_angstrom: float = 0.0
    atoms: float = 1.0

    @classmethod
    def of(cls, noise: Mapping[str, Any] | None) -> Floor:
        """From the record of the label noise; None or a record that says it was not measured gives no floor."""
        if noise is None or not noise["measured"]:
            return cls()
        atoms = float(np.mean([row["atoms"] for row in noise["frames"]]))
        return cls(1e-3 * noise["energy_mev_per_atom"], 1e-3 * noise["force_mev_per_angstrom"], atoms)

    def record(self) -> dict[str, float] | None:
        """For the record of a training; null without a floor."""
        if not any((self.energy_ev_per_atom, self.force_ev_per_angstrom)):
            return None
        return {
            "energy_mev_per_atom": 1e3 * self.energy_ev_per_atom,
            "force_mev_per_angstrom": 1e3 * self.force_ev_per_angstrom,
        }

    def under(self, posterior: Posterior) -> Posterior:
        """The posterior whose expected errors have the noise in them: they are never smaller.

        The energies' noise is taken as independent from atom to atom, as their errors are.
        """
        energy = posterior.energy_law._replace(noise=self.energy_ev_per_atom * float(np.sqrt(self.atoms)))
        force = posterior.force_law._replace(noise=self.force_ev_per_angstrom)
        return replace(posterior, energy_law=energy, force_law=force)
