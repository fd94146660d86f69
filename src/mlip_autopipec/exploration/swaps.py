"""Molecular dynamics with Monte Carlo swaps of unlike atoms: order and segregation that diffusion takes too long for.

Between blocks of MD, pairs of unlike atoms exchange places, each with the probability min(1, exp(-dU/kT)) (hybrid
MD/MC, e.g. Sadigh et al., Phys. Rev. B 85, 184203, 2012; Frenkel and Smit, Understanding Molecular Simulation, 2nd
ed., ch. 5). Every atom takes its momentum along. In the canonical ensemble momenta know nothing of places, so only the
potential energy decides, and kinetic energy and total momentum are exactly what they were. Exchanging the *elements* of
two atoms instead needs momenta scaled by sqrt(m'/m); without that it heats (CuAu from 1037 to 1294 K in 54 swaps).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms, units
from ase.data import chemical_symbols

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.config.walks import Walk
from mlip_autopipec.exploration.ensembles import molecular_dynamics
from mlip_autopipec.exploration.kinds import State, Stepper
from mlip_autopipec.exploration.trials import Place, accepted, energy_ev, rate, trial_energy_ev


class Swaps:
    """A round of swaps after every so many steps of another stepper's dynamics; plain MD when there is one element.

    Args:
        atoms: the walker; only its elements are looked at.
        dynamics: makes the MD steps. It may not keep forces of its own from one call to the next.
        temperature_k: temperature of the Metropolis rule, that of the dynamics.
        interval_steps: MD steps between two rounds.
        swaps_per_round: swaps tried in a round.
        minimum_distance_fraction: trials with atoms nearer than this part of the radii's sum are refused.
    """

    def __init__(
        self,
        atoms: Atoms,
        dynamics: Stepper,
        *,
        temperature_k: float,
        interval_steps: int,
        swaps_per_round: int,
        minimum_distance_fraction: float,
    ) -> None:
        self.dynamics = dynamics
        self.temperature_k = temperature_k
        self.interval_steps, self.swaps_per_round = interval_steps, swaps_per_round
        self.minimum_distance_fraction = minimum_distance_fraction
        self._of = {int(z): np.flatnonzero(atoms.numbers == z) for z in np.unique(atoms.numbers)}
        self._other = {z: np.flatnonzero(atoms.numbers != z) for z in self._of}
        self._since_round = 0
        species = sorted(chemical_symbols[z] for z in self._of)
        self._pairs = [f"{a}-{b}" for k, a in enumerate(species) for b in species[k + 1 :]]
        self._tried = np.zeros(len(self._pairs), dtype=np.int64)
        self._accepted = np.zeros(len(self._pairs), dtype=np.int64)

    @property
    def ensemble(self) -> str:
        """The ensemble of the dynamics, and whether atoms are swapped in it."""
        return self.dynamics.ensemble + (", swaps of unlike atoms" if self._pairs else "")

    def begin(self, atoms: Atoms, random: np.random.Generator) -> None:
        """Make the start ready for the dynamics."""
        self.dynamics.begin(atoms, random)

    def advance(self, atoms: Atoms, steps: int, random: np.random.Generator) -> None:
        """Make `steps` MD steps with the swaps that fall due.

        Raises:
            WalkEnded: the energy between the swaps is not a number.
        """
        if not self._pairs:
            self.dynamics.advance(atoms, steps, random)
            return
        left = steps
        while left:
            block = min(left, self.interval_steps - self._since_round)
            self.dynamics.advance(atoms, block, random)
            left -= block
            self._since_round += block
            if self._since_round == self.interval_steps:
                self._since_round = 0
                self.round(atoms, random)

    def round(self, atoms: Atoms, random: np.random.Generator) -> None:
        """Try `swaps_per_round` swaps: any atom, and any one of another element, so that back is as likely as forth."""
        energy = energy_ev(atoms)
        for _ in range(self.swaps_per_round):
            first = int(random.integers(len(atoms)))
            others = self._other[int(atoms.numbers[first])]
            second = int(others[random.integers(len(others))])
            pair = self._pairs.index("-".join(sorted([atoms.symbols[first], atoms.symbols[second]])))
            before = Place(atoms)
            atoms.positions[[first, second]] = before.positions[[second, first]]
            trial = trial_energy_ev(atoms, self.minimum_distance_fraction)
            self._tried[pair] += 1
            if accepted(-(trial - energy) / (units.kB * self.temperature_k), random):
                energy = trial
                self._accepted[pair] += 1
            else:
                before.restore(atoms)

    def state(self) -> dict[str, np.ndarray | float]:
        """Everything that decides the next step, besides atoms and random numbers."""
        return {
            "since_round": self._since_round,
            "tried": self._tried.copy(),
            "accepted": self._accepted.copy(),
            **{f"md_{key}": value for key, value in self.dynamics.state().items()},
        }

    def restore(self, state: State) -> None:
        """Go on from a `state()`."""
        self._since_round = int(state["since_round"])
        self._tried = np.array(state["tried"], dtype=np.int64)
        self._accepted = np.array(state["accepted"], dtype=np.int64)
        self.dynamics.restore({key[3:]: value for key, value in state.items() if key.startswith("md_")})

    def notes(self) -> dict[str, Any]:
        """How many swaps were tried and taken, and the acceptance of each pair of elements (None: not tried)."""
        if not self._pairs:
            return self.dynamics.notes() | {"swaps": "none: there is one element only"}
        by_pair = {pair: rate(int(self._accepted[k]), int(self._tried[k])) for k, pair in enumerate(self._pairs)}
        tried, taken = int(self._tried.sum()), int(self._accepted.sum())
        return self.dynamics.notes() | {
            "swaps_tried": tried,
            "swaps_accepted": taken,
            "swap_acceptance": rate(taken, tried),
            "swap_acceptance_by_pair": by_pair,
        }


def swaps(atoms: Atoms, settings: Exploration, plan: Walk) -> Swaps:
    """The stepper of the walkers named swaps: MD as the plan says it, with swaps at its temperature."""
    return Swaps(
        atoms,
        molecular_dynamics(atoms, settings, plan),
        temperature_k=plan.temperature_k,
        interval_steps=settings.swap_interval_steps,
        swaps_per_round=settings.swaps_per_round,
        minimum_distance_fraction=settings.minimum_distance_fraction,
    )
