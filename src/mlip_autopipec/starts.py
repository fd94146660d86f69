"""Where a walker starts: at the material itself, or at anything else that was made of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms

from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ISOLATED_ATOM

SCANS = frozenset({"stretch", "bond_breaking"})
"""Types of structures whose bonds were pulled to any length: walks from there are collisions at thousands of kelvin,
whatever the thermostat says."""


def choose_start(
    structures: list[Atoms],
    random: np.random.Generator,
    name: str,
    suits: Callable[[Atoms], bool] = lambda atoms: True,
) -> Atoms:
    """The structure that a walker starts from.

    The first walker of each temperature and kind ('T0300-0', 'heat-0') starts from the material itself: what a
    potential is made for must be seen at every temperature, whatever else there is. It is the first structure (the
    reference crystal, or the first file of a user), or of molecules one of the condensed phase, where there is one. All
    others take a type of structure at random, each as likely, then one of that type, so that a few surfaces are walked
    from as often as many rattled crystals. Isolated atoms have nowhere to go; pulled bonds (`SCANS`) are left out where
    there is anything else.

    Args:
        structures: starting structures, the reference first.
        name: of the walker; a number stands after its last '-'.
        suits: whether the walker can start from a structure.

    Raises:
        DataError: there is no structure to start from.
    """
    by_type: dict[str, list[Atoms]] = {}
    for frame in structures:
        if frame.info["config_type"] != ISOLATED_ATOM and len(frame) > 1 and suits(frame):
            by_type.setdefault(frame.info["config_type"], []).append(frame)
    if not by_type:
        raise DataError("there is no structure to start from: structures.extxyz holds none of two atoms or more")
    by_type = {kind: frames for kind, frames in by_type.items() if kind not in SCANS} or by_type
    reference = structures[0]
    if name.rpartition("-")[2] == "0":
        if reference.info["config_type"] == "molecule" and "condensed" in by_type:
            return _one_of(by_type["condensed"], random)
        if any(reference is frame for frame in by_type.get(reference.info["config_type"], [])):
            return reference
    return _one_of(by_type[sorted(by_type)[int(random.integers(len(by_type)))]], random)


def _one_of(frames: list[Atoms], random: np.random.Generator) -> Atoms:
    return frames[int(random.integers(len(frames)))]
