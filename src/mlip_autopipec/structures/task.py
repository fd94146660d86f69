"""What every source of parents and every generator is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase.calculators.calculator import Calculator

from mlip_autopipec.config.full import Config, Structures
from mlip_autopipec.seeds import generator


@dataclass(frozen=True)
class Task:
    """The material and how its structures are to be made.

    Attributes:
        composition: formula as the user wrote it.
        amounts: amount of each element, in the formula's order.
        classes: material classes, the most fitting first.
        settings: the config's section `structures`.
        seed: the run's seed.
        make_calculator: makes the surrogate (slow to load: called only by what needs energies).
        molecule: name, SMILES or file of the molecule; '' when the formula decides.
        structure: file of the crystal meant; ''.
    """

    composition: str
    amounts: Mapping[str, float]
    classes: tuple[str, ...]
    settings: Structures
    seed: int
    make_calculator: Callable[[], Calculator]
    molecule: str = ""
    structure: str = ""

    @classmethod
    def of(cls, config: Config, make_calculator: Callable[[], Calculator]) -> Task:
        """The task of a whole configuration."""
        return cls(
            composition=config.composition,
            amounts=config.amounts,
            classes=tuple(config.material_class),
            settings=config.structures,
            seed=config.seed,
            make_calculator=make_calculator,
            molecule=config.molecule,
            structure=config.structure,
        )

    @property
    def elements(self) -> tuple[str, ...]:
        """Element symbols, in the formula's order."""
        return tuple(self.amounts)

    @cached_property
    def calculator(self) -> Calculator:
        """The surrogate, loaded at first use."""
        return self.make_calculator()

    def random(self, *names: object) -> np.random.Generator:
        """The random numbers of one purpose: they depend on the run's seed and on `names` alone."""
        return generator(self.seed, "structures", *names)
