"""Which elements of a compound with fractions share a sublattice: Al and Ga in Al0.3Ga0.7As, C and N in TiC0.5N0.5.

Ions replace one another when their charges have the same sign and their sizes are near (Goldschmidt's rules:
V. M. Goldschmidt, Naturwissenschaften 14, 477, 1926; his limit of 15 % is for wide mixing at all temperatures, and is
wider here because the formula says that they mix).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from math import gcd

from mlip_autopipec.config import elements
from mlip_autopipec.config.charges import balanced
from mlip_autopipec.config.elements import (
    ACTINIDES,
    LANTHANIDES,
    covalent_radius_angstrom,
    electronegativity,
    ionic_radius_angstrom,
    is_metal,
)

Shared = dict[str, dict[str, float]]

_INTEGER = 0.02  # three thirds written as 0.33 each make 0.99
_FORMULA_MAX = 20  # atoms of the whole formula, when the amounts are given as fractions of 1
_ELEMENTS_MAX = 8  # all ways to divide so many are tried: 4140
_RADII_RATIO = 1.6  # Na and K are 1.35 apart, Al and In 1.5 (AlInN); Ba and Ti, which do not mix, 2.2
_TETRAHEDRAL = frozenset({"C", "Si", "Ge", "Sn"})  # these mix on the sites of diamond: an alloy, not a compound
_TRANSITION = frozenset(elements.SYMBOLS[20:30] + elements.SYMBOLS[38:48] + elements.SYMBOLS[71:80])


def shared_sites(amounts: Mapping[str, float]) -> Shared | None:
    """The groups of elements that share a sublattice, by the group's majority element; sums are an integer formula.

    Args:
        amounts: by element, as written: whole formula units (Al0.3Ga0.7As) or fractions of 1 (Al0.15Ga0.35As0.5).

    Returns:
        `{'Ga': {'Al': 0.3, 'Ga': 0.7}, 'As': {'As': 1.0}}`; None for amounts that are integers already, for alloys of
        metals or of C, Si, Ge and Sn alone, and where no division gives an integer formula (Zr0.9Y0.1O1.95, PdH0.5).

    >>> shared_sites({"Al": 0.3, "Ga": 0.7, "As": 1.0})
    {'Ga': {'Al': 0.3, 'Ga': 0.7}, 'As': {'As': 1.0}}
    """
    symbols = list(amounts)
    fractional = [s for s in symbols if abs(amounts[s] - round(amounts[s])) > 1e-6]
    if not fractional or not 3 <= len(symbols) <= _ELEMENTS_MAX:
        return None
    if all(map(is_metal, symbols)) or set(symbols) <= _TETRAHEDRAL:
        return None
    charges = _charges(amounts)
    if not (any(q > 0 for q in charges.values()) and any(q < 0 for q in charges.values())):
        return None
    of_one = len(fractional) == len(symbols) and abs(sum(amounts.values()) - 1) < _INTEGER
    whole = [[s] for s in symbols if s not in fractional]
    best: tuple[tuple[int, int, float], Shared] | None = None
    for division in _divisions(fractional):
        if not of_one and any(len(group) == 1 for group in division):
            continue  # a fraction that shares with nobody: vacancies, which no integer formula has
        if not all(_alike(one, other, charges) for group in division for one in group for other in group):
            continue
        groups = division + whole
        if max(map(len, groups)) == 1 or len(groups) == 1:
            continue
        totals = [sum(amounts[s] for s in group) for group in groups]
        scale = _scale(totals, range(2, _FORMULA_MAX + 1) if of_one else [0])
        if scale is None:
            continue
        numbers = [round(scale * total) for total in totals]
        order = (sum(numbers), -len(groups), max(_mismatch(a, b, charges) for g in groups for a in g for b in g))
        if best is None or order < best[0]:
            best = order, _named(symbols, groups, numbers, amounts)
    return best[1] if best else None


def collapsed(shared: Shared) -> dict[str, int]:
    """The integer formula of the majority elements.

    >>> collapsed({"Ga": {"Al": 0.3, "Ga": 0.7}, "As": {"As": 1.0}})
    {'Ga': 1, 'As': 1}
    """
    return {majority: round(sum(group.values())) for majority, group in shared.items()}


def _divisions(symbols: list[str]) -> Iterator[list[list[str]]]:
    """All ways to divide the elements into groups."""
    if not symbols:
        yield []
        return
    first, rest = symbols[0], symbols[1:]
    for division in _divisions(rest):
        yield [[first], *division]
        for k, group in enumerate(division):
            yield [*division[:k], [first, *group], *division[k + 1 :]]


def _scale(totals: list[float], sizes: range | list[int]) -> float | None:
    """The factor that makes integers of all totals: as written (sizes [0]), or for the smallest formula that fits."""
    for size in sizes:
        factor = size / sum(totals) if size else 1.0
        scaled = [factor * total for total in totals]
        if all(round(x) >= 1 and abs(x - round(x)) <= _INTEGER * min(1.0, x) for x in scaled):
            return factor / reduce(gcd, [round(x) for x in scaled])
    return None


def _named(symbols: list[str], groups: list[list[str]], numbers: list[int], amounts: Mapping[str, float]) -> Shared:
    """By majority element, in the formula's order; amounts scaled so that each group's sum is its integer."""
    shared: Shared = {}
    pairs = zip(groups, numbers, strict=True)
    for group, number in sorted(pairs, key=lambda pair: min(map(symbols.index, pair[0]))):
        total = sum(amounts[s] for s in group)
        majority = max(group, key=lambda s: amounts[s])
        shared[majority] = {s: round(amounts[s] * number / total, 6) for s in sorted(group, key=symbols.index)}
    return shared


def _charges(amounts: Mapping[str, float]) -> dict[str, float]:
    """Balanced oxidation states, else signs: metals +1, others -1 if within 1 of the highest electronegativity."""
    known = balanced(amounts)
    if known:
        return known
    top = max(electronegativity(s) or 0.0 for s in amounts)
    return {s: 1.0 if is_metal(s) or (electronegativity(s) or 0.0) < top - 1.0 else -1.0 for s in amounts}


def _alike(one: str, other: str, charges: Mapping[str, float]) -> bool:
    """Whether the two may replace one another."""
    if one == other:
        return True
    if charges[one] * charges[other] <= 0:
        return False
    if charges[one] < 0:
        return abs(charges[one] - charges[other]) <= 1.01 and "H" not in (one, other)
    if (one == "Li") != (other == "Li") and max(charges[one], charges[other]) > 1.01:
        return False  # lithium beside other cations of its size is ordered (LiCoO2)
    both = {one, other}
    metals = both <= _TRANSITION or both <= (LANTHANIDES | ACTINIDES | {"Y", "Sc"})
    return (metals or abs(charges[one] - charges[other]) <= 1.01) and _mismatch(one, other, charges) <= _RADII_RATIO


def _mismatch(one: str, other: str, charges: Mapping[str, float]) -> float:
    """The larger radius over the smaller: ionic ones if charges and radii are known, else (metallic bonds) covalent."""
    unsure = {one, other} <= _TRANSITION or set(map(abs, charges.values())) == {1.0}
    radii = [] if unsure else [_ionic(one, charges[one]), _ionic(other, charges[other])]
    a, b = (r or 0.0 for r in radii) if radii and all(radii) else map(covalent_radius_angstrom, (one, other))
    return max(a, b) / min(a, b)


def _ionic(symbol: str, charge: float) -> float | None:
    """Radius at the charge, or at the nearest that the tables have (mixed valence)."""
    states = sorted(q for q in elements.oxidation_states(symbol, rare=True) if q * charge > 0)
    for q in sorted(states, key=lambda q: abs(q - charge)):
        radius = ionic_radius_angstrom(symbol, q)
        if radius:
            return radius
    return None
