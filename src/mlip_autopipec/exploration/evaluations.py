"""The surrogate as a walker sees it: numbers that are numbers, results that survive a resume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes, all_properties, compare_atoms

from mlip_autopipec.dynamics import flown
from mlip_autopipec.exploration.kinds import WalkEnded

Saved = tuple[Atoms | None, dict[str, Any]]


class Evaluations(Calculator):
    """A calculator around another one, for one walk.

    What a calculator has seen before may change the last bits of what it says (neighbour lists with a skin). `forget`
    makes the next evaluation independent of all before, and keeps the latest results: a walk that forgets wherever it
    can be resumed goes the same way whether it was killed there or not, at no cost.

    Attributes:
        count: evaluations asked for.
    """

    def __init__(self, inner: Calculator) -> None:
        super().__init__()
        self.inner = inner
        self.implemented_properties = list(inner.implemented_properties)
        self.count = 0
        self._seen: Atoms | None = None  # by the inner calculator, last
        self._forgetful = True

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Ask the inner calculator.

        Raises:
            WalkEnded: an atom flew away, or the result is not a number.
        """
        if atoms is not None and flown(atoms):
            raise WalkEnded("an atom flew away")
        super().calculate(atoms, properties, system_changes)
        self.count += 1
        seen = self.atoms  # the copy that ASE has just made
        assert seen is not None
        for name in properties:
            self._ask(name, seen)
        self.results = {
            name: value.copy() if isinstance(value, np.ndarray) else value
            for name, value in self.inner.results.items()
            if name in all_properties
        }
        for name in ("energy", "forces", "stress"):
            if name in self.results and not np.isfinite(self.results[name]).all():
                raise WalkEnded(f"the surrogate's {name} is not a number")

    def _ask(self, name: str, atoms: Atoms) -> None:
        if self._forgetful:
            reset(self.inner)
            self._forgetful = False
        self.inner.get_property(name, atoms)
        self._seen = atoms

    def forget(self) -> None:
        """Let nothing the inner calculator has seen play a role from here on."""
        self._forgetful = True

    def save(self) -> Saved:
        """The latest results, to be put back when the atoms are back where they were."""
        return self.atoms, dict(self.results)

    def put_back(self, saved: Saved) -> None:
        """Take up results of `save`: those atoms are not evaluated again."""
        self.atoms, self.results = saved[0], dict(saved[1])

    def see(self, atoms: Atoms) -> None:
        """Make the inner calculator's latest evaluation that of `atoms`: hooks into it tell of these atoms then."""
        if self._seen is None or compare_atoms(self._seen, atoms):
            self.count += 1
            reset(self.inner)
            self._ask("energy", atoms.copy())


def reset(calculator: Calculator) -> None:
    """Make a calculator forget all structures it has seen; sums of calculators do not pass this on by themselves."""
    for part in getattr(getattr(calculator, "mixer", None), "calcs", ()):
        reset(part)
    if hasattr(calculator, "reset"):
        calculator.reset()
    else:
        calculator.atoms, calculator.results = None, {}
