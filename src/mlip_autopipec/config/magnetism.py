"""Spin: which compositions are labelled with it, and from which moments the self-consistent field starts."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from ase.data import atomic_numbers

from mlip_autopipec.config import elements
from mlip_autopipec.config.bonding import group
from mlip_autopipec.config.charges import balanced

# Valence electrons of SSSP's files for 3d metals and oxygen (their headers); 4f files have it in their names.
_VALENCE = {
    "Ti": 12.0, "V": 13.0, "Cr": 14.0, "Mn": 15.0, "Fe": 16.0, "Co": 17.0, "Ni": 18.0, "Cu": 11.0, "O": 6.0,
}  # fmt: skip
LARGEST = 0.9  # of the valence electrons; pw.x reads 1 and more as moments since 7.3
SHELL_3D = frozenset(elements.SYMBOLS[21:29])  # Ti to Cu: ions with some d electrons, and not all, carry moments
HARD_ANIONS = frozenset({"O", "F", "Cl", "Br", "I"})  # beside softer ones (TiN, CuS) d electrons make bands


def magnetic_elements(amounts: Mapping[str, float], *, molecular: bool = False) -> list[str]:
    """Elements that carry a moment.

    Those whose solids order magnetically; oxygen when it is alone (O2); ions of open 3d shell beside O, F, Cl, Br or I
    (V, Ti3+, Cu2+); all but hydrogen in a molecule of an odd number of electrons.

    Args:
        amounts: of one molecule, if `molecular`.
    """
    if set(amounts) == {"O"}:
        return ["O"]
    found = [symbol for symbol in amounts if symbol in elements.MAGNETIC or open_3d_electrons(symbol, amounts)]
    if not found and molecular and is_radical(amounts):
        return [symbol for symbol in amounts if symbol != "H"] or ["H"]
    return found


def is_radical(amounts: Mapping[str, float]) -> bool:
    """Whether a molecule has an odd number of electrons: NO, NO2, CH3; closed cores do not change the parity."""
    whole = all(abs(amount - round(amount)) < 1e-6 for amount in amounts.values())
    return whole and sum(round(amount) * atomic_numbers[symbol] for symbol, amount in amounts.items()) % 2 == 1


def open_3d_electrons(symbol: str, amounts: Mapping[str, float]) -> float:
    """Electrons in the 3d shell of the ion if that is open, by charge balance with O, F, Cl, Br or I; else 0.

    >>> open_3d_electrons("Cu", {"Cu": 1.0, "O": 1.0}), open_3d_electrons("Cu", {"Cu": 2.0, "O": 1.0})
    (9.0, 0.0)
    """
    if symbol not in SHELL_3D or not set(amounts) & HARD_ANIONS:
        return 0.0
    return _open_shell(symbol, (balanced(amounts, rare=True) or {}).get(symbol, 0.0))


def _open_shell(symbol: str, charge: float) -> float:
    d_electrons = group(symbol) - charge
    return round(d_electrons, 3) if charge > 0 and 0.05 < d_electrons < 9.95 else 0.0


def is_correlated(symbol: str, amounts: Mapping[str, float]) -> bool:
    """Whether semilocal functionals put its 3d electrons wrong: an open shell beside O, S or a halogen.

    When the charges are not known the shell is taken to be open. Copper is Cu+ beside sulfur, whatever the formula
    (CuS), and its shell full.
    """
    hard = bool(set(amounts) & HARD_ANIONS)
    if symbol not in SHELL_3D or not (hard or "S" in amounts) or (symbol == "Cu" and not hard):
        return False
    known = balanced(amounts, rare=True)
    return known is None or _open_shell(symbol, known[symbol]) > 0


def starting_moment(symbol: str, amounts: Mapping[str, float]) -> float:
    """Moment (Bohr magnetons per atom) to start from: high spin of the magnetic elements, of the ion, or 1."""
    d_electrons = open_3d_electrons(symbol, amounts)
    by_ion = min(d_electrons, 10 - d_electrons) if d_electrons else 1.0
    return elements.high_spin_moment(symbol) or by_ion


def nominal_valence_electrons(symbol: str, name: str) -> float | None:
    """Valence electrons of SSSP's file, by its name or the table here, of a nonmetal by its group; None if unknown."""
    told = re.search(r"\.z_(\d+)\.", name)
    if told:
        return float(told[1])
    if symbol in _VALENCE or elements.is_metal(symbol):
        return _VALENCE.get(symbol)
    return float(group(symbol) % 10)


def starting_fraction(moment: float, valence: float) -> float:
    """A moment as a fraction of the valence electrons, inside (-1, 1)."""
    return round(min(LARGEST, moment / valence), 3)


LATE_3D = frozenset({"Fe", "Co", "Ni"})
# Their moments turn against those of late 3d metals: earlier 3d metals (Friedel, Nuovo Cimento Suppl. 7, 287 (1958)),
# spins of 4f shells through the 5d electrons (Campbell, J. Phys. F 2, L47 (1972)).
AGAINST_LATE_3D = frozenset({"V", "Cr", "Mn"}) | (elements.MAGNETIC & elements.LANTHANIDES)
# In metals. Measured: an antiferromagnetic start of fcc Ni ends 64 meV/atom above the parallel one.
ALWAYS_PARALLEL = frozenset({"Co", "Ni"})


def starting_states(carriers: Collection[str], amounts: Mapping[str, float]) -> tuple[list[str], str]:
    """Starting states worth a run, the likeliest first, and why these.

    Args:
        carriers: elements with a starting moment.
    """
    found = set(carriers)
    if found and found <= ALWAYS_PARALLEL and all(elements.is_metal(symbol) for symbol in amounts):
        return ["high", "low"], f"the moments of {' and '.join(sorted(found))} are parallel in metals"
    states = ["high", "low", "antiferro"]
    if found & LATE_3D and found & AGAINST_LATE_3D:
        return [*states, "ferri"], "the order is not known beforehand, and a field keeps the order it starts from"
    return states, "the order is not known beforehand, and a field keeps the order that it starts from"
