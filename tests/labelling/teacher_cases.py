"""Calculators that a user may name, good and bad."""

from typing import ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, CalculatorSetupError, all_changes
from ase.calculators.emt import EMT

made = []  # one entry for each calculator that was made


class Counting(EMT):
    """EMT that tells how often it was made."""

    def __init__(self, **options):
        super().__init__(**options)
        made.append(options)


class Broken(Calculator):
    """Gives what its option `how` says."""

    implemented_properties: ClassVar = ["energy", "forces"]

    def __init__(self, how="nan", at=3):
        super().__init__()
        self.how, self.at = how, at

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": -1.0, "forces": np.zeros((len(atoms), 3))}
        if len(atoms) < self.at:
            return
        if self.how == "nan":
            self.results["forces"][0, 0] = np.nan
        elif self.how == "inf":
            self.results["energy"] = np.inf
        elif self.how == "shape":
            self.results["forces"] = np.zeros((1, 3))
        elif self.how == "large":
            self.results["forces"][0, 0] = 1e4
        elif self.how == "memory":
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        elif self.how == "disk":
            raise OSError("No space left on device")
        elif self.how == "frame":
            raise ValueError("neighbour list overflow")
        elif self.how == "setup":
            raise CalculatorSetupError("no model file")
        elif self.how == "code":
            raise TypeError("calculate() missing 1 required argument")


class WithoutForces(Calculator):
    implemented_properties: ClassVar = ["energy"]


class Smeared(EMT):
    """The energy is extrapolated to zero width, as DFT codes do; forces are the slope of the free energy."""

    implemented_properties: ClassVar = [*EMT.implemented_properties, "free_energy"]

    def calculate(self, *args, **more):
        super().calculate(*args, **more)
        self.results["free_energy"] = self.results["energy"]
        self.results["energy"] = self.results["energy"] + 0.5


NOT_CALLABLE = 3


def no_calculator():
    return {"energy": 0.0}


def fails(**options):
    raise FileNotFoundError(f"no model {options}")
