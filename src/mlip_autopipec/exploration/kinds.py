"""What a walker can be: each kind moves atoms in its own way, and `walk` does the rest (see `Stepper`)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from ase import Atoms

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.config.walks import Walk
from mlip_autopipec.exploration.shape import shape

State = Mapping[str, np.ndarray | float]


class WalkEnded(Exception):
    """A walker cannot go on; the text says why and goes into its record. The frames kept before stay."""


class Stepper(Protocol):
    """What moves the atoms of one walker.

    `walk` makes it from the start (the calculator is attached), calls `begin` once, or `restore` when it goes on from
    a state on disk, then `advance` again and again, and keeps a frame after each call. Rules that make a killed and
    resumed walk the same as an uninterrupted one, bit by bit:

    - everything that `advance` remembers from one call to the next is in `state`, in `restore`, or in `atoms`
      (numbers, positions, momenta, cell are saved by `walk`);
    - every random number comes from the generator of that call, and none is kept for the next call;
    - energies, forces and stresses come from `atoms.calc` only (it has been asked by nobody else, and what it found for
      the latest frame survives a resume).

    With an attribute `keep` a stepper says after each call whether its frame is one to keep; without it all are.
    """

    @property
    def ensemble(self) -> str:
        """For the record, e.g. "NVT Langevin", "NPT Bussi, full cell"."""

    def begin(self, atoms: Atoms, random: np.random.Generator) -> None:
        """Make `atoms` (the start) ready to go: velocities, or another start."""

    def advance(self, atoms: Atoms, steps: int, random: np.random.Generator) -> int | None:
        """Move `atoms` in place by so many steps; may end early by raising `WalkEnded`.

        Returns:
            The steps made, 1 to `steps`, if there is a frame to keep before all are made; None: all.
        """

    def state(self) -> dict[str, np.ndarray | float]:
        """What has to be known to go on from here, besides the atoms; numbers and arrays in full precision."""

    def restore(self, state: State) -> None:
        """Take up a state that `state` gave (every value comes back as an array)."""

    def notes(self) -> dict[str, Any]:
        """What the record tells about it, JSON-able: acceptance rates and the like; {} when there is nothing.

        Sentences for a person's attention come as the list `warnings`.
        """


def _anything(atoms: Atoms) -> bool:
    return True


@dataclass(frozen=True)
class Kind:
    """One kind of walker.

    Attributes:
        maker: 'module:function' of `function(atoms, settings, plan) -> Stepper`; imported when it is needed.
        suits: whether a walker of this kind can start from a structure; the start is chosen among those.
        wants: what it starts from, in words, for the record when there is none.
        keeps_mesh: whether frames keep the k-point mesh of the start, which they are a strained and moved copy of (as
            long as it is fine enough for them).
    """

    maker: str
    suits: Callable[[Atoms], bool] = _anything
    wants: str = "a structure of two atoms or more"
    keeps_mesh: bool = True

    def stepper(self, atoms: Atoms, settings: Exploration, plan: Walk) -> Stepper:
        """What moves the atoms of this walk."""
        module, _, name = self.maker.partition(":")
        made: Stepper = getattr(importlib.import_module(module), name)(atoms, settings, plan)
        return made


_HERE = "mlip_autopipec.exploration"

KINDS: dict[str, Kind] = {
    "md": Kind(f"{_HERE}.ensembles:molecular_dynamics"),
    "heat": Kind(f"{_HERE}.ensembles:molecular_dynamics", lambda atoms: shape(atoms).kind == "bulk", "a bulk"),
    "quench": Kind(f"{_HERE}.ensembles:molecular_dynamics", lambda atoms: shape(atoms).kind == "bulk", "a bulk"),
    "swaps": Kind(f"{_HERE}.swaps:swaps", lambda atoms: len(set(atoms.numbers)) > 1, "a structure of two elements"),
    "cells": Kind(f"{_HERE}.cells:cells", lambda atoms: shape(atoms).is_surely_bulk, "a bulk without wide gaps"),
    "strains": Kind(f"{_HERE}.strains:strains", lambda atoms: shape(atoms).kind == "bulk", "a bulk"),
    "paths": Kind(f"{_HERE}.paths:paths", lambda atoms: shape(atoms).kind == "bulk", "a bulk", keeps_mesh=False),
}
