"""Which elements of a compound carry charges of the same sign."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

# Where statistics know no balanced charges: elements that are anions beside a less electronegative one.
_ANIONS = frozenset(("F", "Cl", "Br", "I", "O", "S", "Se", "Te", "N", "P", "As"))


def same_sign(one: str, other: str, formula: Mapping[str, int]) -> bool:
    """Whether both elements are cations, or both anions, in a compound of this formula (charges as `charges`)."""
    known = charges(tuple(formula.items()))
    return known[one] * known[other] > 0


@cache
def charges(formula: tuple[tuple[str, int], ...]) -> dict[str, float]:
    """Likely charge of each element: pymatgen's balanced guess from statistics of known compounds, else the sign.

    Guesses are evidence and no more; where there is none, nonmetals of groups 15 to 17 count as -1, others as +1.
    """
    from pymatgen.core.composition import Composition  # slow to import, and only needed here

    guesses = Composition(dict(formula)).oxi_state_guesses()
    if guesses:
        return {element: float(charge) for element, charge in guesses[0].items()}
    return {element: -1.0 if element in _ANIONS else 1.0 for element, _ in formula}
