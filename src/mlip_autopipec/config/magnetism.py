"""Spin: which compositions are labelled with it, and from which moments the self-consistent field starts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mlip_autopipec.config import elements

# Valence electrons of SSSP's files for 3d metals and oxygen (their headers); 4f files have it in their names.
_VALENCE = {"Cr": 14.0, "Mn": 15.0, "Fe": 16.0, "Co": 17.0, "Ni": 18.0, "O": 6.0}
LARGEST = 0.9  # of the valence electrons; pw.x reads 1 and more as moments since 7.3


def magnetic_elements(amounts: Mapping[str, float]) -> list[str]:
    """Elements that carry a moment: those whose solids order magnetically, and oxygen when it is alone (O2)."""
    if set(amounts) == {"O"}:
        return ["O"]
    return [symbol for symbol in amounts if symbol in elements.MAGNETIC]


def nominal_valence_electrons(symbol: str, name: str) -> float | None:
    """Valence electrons of SSSP's file, by its name or the table here; None if unknown."""
    told = re.search(r"\.z_(\d+)\.", name)
    return float(told[1]) if told else _VALENCE.get(symbol)


def starting_fraction(symbol: str, valence: float) -> float:
    """High-spin moment as a fraction of the valence electrons, inside (-1, 1)."""
    return round(min(LARGEST, elements.high_spin_moment(symbol) / valence), 3)
