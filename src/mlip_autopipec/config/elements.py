"""Facts about elements and compositions that the inference rules stand on."""

from __future__ import annotations

import re
from math import isclose

from ase.data import atomic_numbers, chemical_symbols, covalent_radii, reference_states

from mlip_autopipec.errors import ConfigError, nearest

SYMBOLS = tuple(chemical_symbols[1:])
NOBLE_GASES = frozenset({"He", "Ne", "Ar", "Kr", "Xe", "Rn"})
COVALENT_SOLIDS = frozenset({"B", "C", "Si", "Ge", "P", "As", "Se", "Te", "S"})
MOLECULAR_ELEMENTS = frozenset({"H", "N", "O", "F", "Cl", "Br", "I"})

# Elements whose solids order magnetically: labels without spin would be the wrong physics.
MAGNETIC = frozenset({"Cr", "Mn", "Fe", "Co", "Ni", "Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm"})
_TERM = re.compile(r"([A-Z][a-z]?)(\d+(?:\.\d+)?)?")


def parse_composition(text: object) -> dict[str, float]:
    """Element symbols and amounts of a formula such as ``Si``, ``FePt`` or ``Al0.9Mg0.1``.

    Raises:
        ConfigError: the text is empty, not a formula, or names an unknown element.
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError("composition", text, "not a chemical formula", "Write one like Si, FePt or Al0.9Mg0.1.")
    formula, position = text.strip(), 0
    amounts: dict[str, float] = {}
    while position < len(formula):
        match = _TERM.match(formula, position)
        if not match or match.group(1) not in atomic_numbers or match.group(1) == "X":
            rest = formula[position:]
            word = re.match(r"[A-Za-z]+", rest)
            hint = nearest(word.group(0).capitalize(), SYMBOLS) if word else ""
            raise ConfigError(
                "composition", text, f"no element at {rest!r}", f"Use element symbols and amounts, like FePt.{hint}"
            )
        amount = float(match.group(2) or 1.0)
        if isclose(amount, 0.0):
            raise ConfigError("composition", text, f"{match.group(1)} has amount 0", "Leave that element out.")
        amounts[match.group(1)] = amounts.get(match.group(1), 0.0) + amount
        position = match.end()
    return amounts


def classify(amounts: dict[str, float]) -> list[str]:
    """Material classes of an element: covalent, molecular, noble or metal (a list: a material may have several)."""
    symbols = set(amounts)
    if symbols <= NOBLE_GASES:
        return ["noble"]
    if symbols <= MOLECULAR_ELEMENTS:
        return ["molecular"]
    if symbols <= COVALENT_SOLIDS:
        return ["covalent"]
    return ["metal"]


def ground_state_lattice(symbol: str) -> dict[str, float | str]:
    """Experimental room-temperature lattice of an element (ASE's table, from Ashcroft and Mermin).

    Returns:
        ``symmetry``, ``a`` (A) and for hcp ``c/a``; an empty dict when the table has no simple lattice.
    """
    state = reference_states[atomic_numbers[symbol]]
    if not state or state.get("symmetry") not in ("fcc", "bcc", "hcp", "diamond", "sc"):
        return {}
    return {key: value for key, value in state.items() if isinstance(value, float | str)}


def covalent_radius_angstrom(symbol: str) -> float:
    """Covalent radius in A (Cordero et al., Dalton Trans. 2008, 2832, as tabulated in ASE)."""
    return float(covalent_radii[atomic_numbers[symbol]])
