"""The noise of the labels as a floor: what is learnt below it is the settings' error, not the material."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from mlip_autopipec.ace.posterior import Posterior


class Floor(NamedTuple):
    """Root-mean-square difference of labels and converged labels; zeros where it was not measured.

    Attributes:
        energy_ev_per_atom: constants per element taken out.
        force_ev_per_angstrom: of a component.
    """

    energy_ev_per_atom: float = 0.0
    force_ev_per_angstrom: float = 0.0

    @classmethod
    def of(cls, noise: Mapping[str, Any] | None) -> Floor:
        """From the record of the label noise; None or a record that says it was not measured gives no floor."""
        if noise is None or not noise["measured"]:
            return cls()
        return cls(1e-3 * noise["energy_mev_per_atom"], 1e-3 * noise["force_mev_per_angstrom"])

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

        The energies' noise per atom is taken as the same in cells of all sizes: like surroundings have like errors
        (of the basis, of the k-points), which add up.
        """
        force = posterior.force_law._replace(noise=self.force_ev_per_angstrom)
        return replace(posterior, energy_noise_ev_per_atom=self.energy_ev_per_atom, force_law=force)
