"""Which elements of a compound carry charges of the same sign."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from mlip_autopipec.config.charges import balanced

# Where no charges balance: elements that are anions beside a less electronegative one.
_ANIONS = frozenset(("F", "Cl", "Br", "I", "O", "S", "Se", "Te", "N", "P", "As"))


def same_sign(one: str, other: str, formula: Mapping[str, int]) -> bool:
    """Whether both elements are cations, or both anions, in a compound of this formula (charges as `charges`)."""
    known = charges(tuple(formula.items()))
    return known[one] * known[other] > 0


@cache
def charges(formula: tuple[tuple[str, int], ...]) -> dict[str, float]:
    """Likely charge of each element: common oxidation states that balance (config/charges.py), else the sign.

    They are evidence and no more; where none balance, nonmetals of groups 15 to 17 count as -1, others as +1.
    """
    return balanced(dict(formula)) or {element: -1.0 if element in _ANIONS else 1.0 for element, _ in formula}
