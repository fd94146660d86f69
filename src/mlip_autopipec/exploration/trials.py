"""What Monte Carlo moves share: the energy of a trial, the throw of the dice, and the way back."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from mlip_autopipec.errors import DataError
from mlip_autopipec.exploration.kinds import WalkEnded
from mlip_autopipec.frames import closest_contact


class Place:
    """Where the atoms are, with what the calculator (`Evaluations`) found there: a refused trial costs no force."""

    def __init__(self, atoms: Atoms) -> None:
        self.cell, self.positions = atoms.cell.array.copy(), atoms.positions.copy()
        self._found = atoms.calc.save()

    def restore(self, atoms: Atoms) -> None:
        """Put the atoms back, bit by bit."""
        atoms.set_cell(self.cell)
        atoms.positions = self.positions
        atoms.calc.put_back(self._found)


def energy_ev(atoms: Atoms) -> float:
    """Energy (eV) of the walker where it stands.

    Raises:
        WalkEnded: it is not a number.
    """
    energy = float(atoms.calc.get_property("energy", atoms))
    if not np.isfinite(energy):
        raise WalkEnded("the surrogate's energy is not a number")
    return energy


def trial_energy_ev(atoms: Atoms, minimum_distance_fraction: float) -> float:
    """Energy (eV) of a trial, and nothing but the energy: forces cost three times as much.

    Infinite where atoms are nearer than this fraction of the sum of their covalent radii (a universal potential has
    holes there: the walls keep detailed balance), where the calculator refuses them, and where it gives no number.
    """
    if not closest_contact(atoms)[0] >= minimum_distance_fraction:
        return float("inf")
    try:
        return energy_ev(atoms)
    except (DataError, WalkEnded):
        return float("inf")


def accepted(log_probability: float, random: np.random.Generator) -> bool:
    """Metropolis: whether a trial is taken whose probability is exp(log_probability), at most 1.

    One number is drawn whatever the probability, and a probability that is not a number is a no.
    """
    return bool(np.log1p(-random.random()) < log_probability)


def rate(taken: float, tried: float) -> float | None:
    """Acceptance to three digits; None when nothing was tried."""
    return round(float(taken) / float(tried), 3) if tried else None
