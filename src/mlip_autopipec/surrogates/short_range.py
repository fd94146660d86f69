"""A surrogate with the ZBL repulsion added where no atoms of its training data were: well below the bonds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from mlip_autopipec.repulsion import PairwiseZBL, pair_name, pairs_within

END_PER_BOND = 0.75  # from this part of a bond on nothing is added
WHOLE_PER_END = 0.6  # below this part of the end ZBL is whole; a polynomial between
BONDED = 1.25  # pairs nearer than this times the sum of their covalent radii are bonded
# ... if one is the other's nearest neighbour, within this factor: shells of close packing and bcc's eight. Ions of one
# sign are no bond, however large their radii (Na-Na in rock salt: 1.41 of Na-Cl, 1.20 of the radii): they come nearer.
NEAREST = 1.15


def with_repulsion(calculator: Any, frames: Iterable[Atoms]) -> Any:
    """The surrogate with a ZBL repulsion that ends at 0.75 of the shortest bond of each pair of elements.

    Universal potentials were trained near equilibrium; SevenNet-0 attracts at half a bond. What is added keeps a walker
    away from there, and is exactly nothing in every structure whose pairs are no nearer. It cannot fill a deep hole:
    walkers are guarded by distance and force, too.

    Args:
        calculator: the surrogate. A MACE model with a ZBL of its own (`pair_repulsion`) is returned as it is.
        frames: relaxed structures. The bond of a pair is its shortest distance in them, if it is among an atom's
            nearest neighbours somewhere and below 1.25 times the sum of the covalent radii (Cordero et al., Dalton
            Trans. 2832 (2008)); else that sum, or the shortest distance if that is less.

    Returns:
        A calculator with energy, energies, forces and stress as far as the surrogate has them; `invariants` and
        `identity` look through it.
    """
    if has_repulsion(calculator):
        return calculator
    bonds = shortest_bonds(frames)
    return Shielded(calculator, {pair: END_PER_BOND * bond for pair, bond in bonds.items()}) if bonds else calculator


def has_repulsion(calculator: Any) -> bool:
    """Whether a pair repulsion is there already: added by us, or a MACE model's own."""
    models = getattr(calculator, "models", None) or []
    return isinstance(calculator, Shielded) or any(hasattr(model, "pair_repulsion_fn") for model in models)


def shortest_bonds(frames: Iterable[Atoms]) -> dict[str, float]:
    """The bond (A) of every pair among the elements of some structures, by name ('O-Si'), see `with_repulsion`."""
    frames = [frame for frame in frames if len(frame)]
    symbols = sorted({symbol for frame in frames for symbol in frame.get_chemical_symbols()})
    radius = {s: float(covalent_radii[atomic_numbers[s]]) for s in symbols}
    bonds = {pair_name(a, b): radius[a] + radius[b] for a, b in combinations_with_replacement(symbols, 2)}
    shortest: dict[str, float] = {}
    bonded: set[str] = set()
    for frame in frames:
        reach = BONDED * 2 * max(radius[s] for s in set(frame.get_chemical_symbols()))
        first, second, r, _ = pairs_within(frame, reach)
        nearest = np.full(len(frame), np.inf)
        np.minimum.at(nearest, first, r)
        kinds = np.sort(np.stack([frame.numbers[first], frame.numbers[second]], axis=1), axis=1)
        for low, high in np.unique(kinds, axis=0):
            these = (kinds[:, 0] == low) & (kinds[:, 1] == high)
            name = pair_name(*(chemical_symbols[n] for n in (low, high)))
            shortest[name] = min(float(r[these].min()), shortest.get(name, np.inf))
            touching = r[these & (r <= NEAREST * nearest[first])]
            if touching.min(initial=np.inf) <= BONDED * bonds[name]:
                bonded.add(name)
    return {
        name: shortest[name] if name in bonded else min(shortest.get(name, np.inf), radii)
        for name, radii in bonds.items()
    }


class Shielded(Calculator):
    """A surrogate plus a repulsion that ends below its bonds.

    Args:
        surrogate: any ASE calculator.
        end_angstrom: by pair ('O-Si'), where the repulsion ends.
    """

    def __init__(self, surrogate: Any, end_angstrom: Mapping[str, float]) -> None:
        self.surrogate = surrogate
        self.repulsion = PairwiseZBL({pair: (WHOLE_PER_END * end, end) for pair, end in end_angstrom.items()})
        self.repulsion_words = "ZBL below " + ", ".join(f"{end:.2f} A ({pair})" for pair, end in end_angstrom.items())
        super().__init__()
        self.implemented_properties = [
            name for name in self.repulsion.implemented_properties if name in surrogate.implemented_properties
        ]

    def reset(self) -> None:
        """Forget the last structure, the surrogate's, too."""
        super().reset()
        if hasattr(self.surrogate, "reset"):
            self.surrogate.reset()

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        for name in properties or ["energy"]:
            self.surrogate.get_property(name, self.atoms)
        self.repulsion.calculate(self.atoms)
        added = self.repulsion.results
        self.results = {
            name: self.surrogate.results[name] + added[name]
            for name in self.implemented_properties
            if name in self.surrogate.results and name in added
        }
