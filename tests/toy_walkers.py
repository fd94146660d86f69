"""Toys for tests of walkers: dynamics that stand still, energies that are known exactly."""

from __future__ import annotations

import copy
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.exploration.evaluations import Evaluations


def exploration(**change) -> Exploration:
    """Settings of a walker, with what a test changes."""
    defaults = {"surrogate": "toy", "temperatures_k": [300], "timestep_fs": 3.0, "walks": {}, "hottest_k": 2000}
    return Exploration(**(defaults | change))


class Still:
    """A stepper that moves nothing."""

    ensemble = "still"

    def begin(self, atoms, random):
        """Nothing."""

    def advance(self, atoms, steps, random):
        """Nothing."""

    def state(self):
        """Nothing."""
        return {}

    def restore(self, state):
        """Nothing."""

    def notes(self):
        """Nothing."""
        return {}


class Energy(Calculator):
    """The energy that a function of the atoms gives; no forces on anything."""

    implemented_properties: ClassVar = ["energy", "forces", "stress"]

    def __init__(self, function=lambda atoms: 0.0):
        super().__init__()
        self.function = function
        self.asked = []

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Ask the function."""
        super().calculate(atoms, properties, system_changes)
        self.asked.append(tuple(properties))
        self.results = {"energy": self.function(atoms)}
        if "energy" not in properties:
            self.results |= {"forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


def killed_and_resumed_is_uninterrupted(make, start: Atoms, calculator, blocks=(7, 10, 4, 12, 9)) -> None:
    """Check it: `make(atoms)` gives the stepper of `start`; after each block the walk goes over to copies of itself."""

    def arrays(atoms):
        return [atoms.positions, atoms.get_momenta(), atoms.cell.array, atoms.numbers]

    straight, random = start.copy(), np.random.default_rng(5)
    straight.calc = Evaluations(calculator())
    stepper = make(straight)
    stepper.begin(straight, random)
    stepper.advance(straight, 5, random)
    resumed, second = straight.copy(), copy.deepcopy(random)
    state = {key: np.array(value) for key, value in stepper.state().items()}
    found = straight.calc.save()
    for block in blocks:
        straight.calc.forget()  # as `walk` does wherever it can be resumed
        stepper.advance(straight, block, random)
        again = start.copy()  # a stepper is made from the start, then told where it is
        again.calc = Evaluations(calculator())
        other = make(again)
        other.restore(state)
        for name in ("positions", "momenta"):
            again.set_array(name, np.array(resumed.arrays.get(name, np.zeros((len(again), 3)))))
        again.set_cell(resumed.cell.array)
        again.calc.put_back(found)
        other.advance(again, block, second)
        for mine, theirs in zip(arrays(straight), arrays(again), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        found = again.calc.save()
        resumed, state = again, {key: np.array(value) for key, value in other.state().items()}
    assert other.notes() == stepper.notes()
