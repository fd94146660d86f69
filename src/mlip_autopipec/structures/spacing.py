"""How much room atoms need in a crystal that is not known yet: shortest distances and volume, by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from pymatgen.core.periodic_table import Element

from mlip_autopipec.structures.charges import charges

# Opposite charges touch at the sum of their radii; four neighbours instead of six bring them 10 % closer (SiO2).
OPPOSITE = 0.8
# Like charges are 1.28 (rutile) to 1.63 (quartz) bonds apart.
LIKE = 1.1
BONDED = 0.8  # metals and covalent solids: of the sum of radii
IONS_FILL = 0.57  # part of the volume in the ions' spheres: NaCl 0.58, MgO 0.59, TiO2 0.59, ZrO2 0.57, CaF2 0.50


@dataclass(frozen=True)
class Spacing:
    """Shortest distances of pairs of elements (A), volume of a formula unit (A^3) and its spread (two factors)."""

    shortest_angstrom: dict[tuple[str, str], float]
    volume_angstrom3: float
    spread: tuple[float, float]


def spacing(formula: dict[str, int], classes: Sequence[str]) -> Spacing:
    """The room that a formula needs, judged by the first of its classes whose radii are known for all its elements.

    Ions: Shannon's crystal radii (Acta Cryst. A 32, 751, 1976), six-fold. Metals: metallic radii, close packed. Noble
    gases: van der Waals radii, close packed. Others: covalent radii (Cordero 2008), at diamond's volume per bond.
    """
    for name in classes:
        if name == "ionic" and (charge := charges_of(formula)):
            return _ionic(formula, charge)
        if name in ("metal", "alloy"):
            metallic = {s: float(Element(s).metallic_radius or 0.0) for s in formula}
            if all(metallic.values()):
                return _touching(formula, metallic, 4 * 2**0.5, (0.9, 1.2))
        if name == "noble":
            waals = {s: float(Element(s).van_der_waals_radius or 0.0) for s in formula}
            if all(waals.values()):
                return _touching(formula, waals, 4 * 2**0.5, (0.9, 1.2))
        if name == "covalent":
            break
    covalent = {s: float(covalent_radii[atomic_numbers[s]]) for s in formula}
    return _touching(formula, covalent, 64 / 27**0.5, (0.9, 1.5))


def charges_of(formula: dict[str, int]) -> dict[str, float]:
    """Likely charge of each element; empty when there are not both signs, or Shannon has no radius for an ion."""
    found = charges(tuple(formula.items()))
    both = min(found.values()) < 0 < max(found.values())
    return found if both and all(found.values()) and all(Element(symbol).ionic_radii for symbol in found) else {}


def ionic_radius_angstrom(symbol: str, charge: float) -> float:
    """Shannon's crystal radius, A, of the tabulated ion of the nearest charge."""
    radii = Element(symbol).ionic_radii
    return float(radii[min(radii, key=lambda known: abs(known - charge))])


def _ionic(formula: dict[str, int], charge: dict[str, float]) -> Spacing:
    radius = {symbol: ionic_radius_angstrom(symbol, value) for symbol, value in charge.items()}
    # Ions of like charge are held apart by the smallest ion between them.
    smallest = {sign: min(radius[s] for s in formula if charge[s] * sign > 0) for sign in (-1, 1)}
    shortest = {}
    for a in formula:
        for b in formula:
            if charge[a] * charge[b] < 0:
                shortest[a, b] = OPPOSITE * (radius[a] + radius[b])
            else:
                between = smallest[-1 if charge[a] > 0 else 1]
                shortest[a, b] = LIKE * ((radius[a] + radius[b]) / 2 + between)
    spheres = sum(n * 4 / 3 * np.pi * radius[s] ** 3 for s, n in formula.items())
    return Spacing(shortest, float(spheres / IONS_FILL), (0.9, 1.3))


def _touching(
    formula: dict[str, int], radius: dict[str, float], volume_per_cube: float, spread: tuple[float, float]
) -> Spacing:
    """Atoms that touch; `volume_per_cube`: of an atom over its radius cubed (fcc 4 sqrt 2, diamond 64/sqrt 27)."""
    shortest = {(a, b): BONDED * (radius[a] + radius[b]) for a in formula for b in formula}
    volume = sum(n * volume_per_cube * radius[s] ** 3 for s, n in formula.items())
    return Spacing(shortest, float(volume), spread)
