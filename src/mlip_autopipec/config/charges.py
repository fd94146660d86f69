"""Whether a formula can be charge neutral with known oxidation states: evidence about bonding, never the rule."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod

from mlip_autopipec.config.elements import electronegativity, is_metal, oxidation_states

# Elements of near electronegativity may bear either sign; P (2.19) and H (2.20), S (2.58) and C (2.55) are such pairs.
_TIE = 0.05
_MOST_GUESSES = 20_000


def balanced(
    amounts: Mapping[str, float], *, rare: bool = False, mixed_valence: bool = True
) -> dict[str, float] | None:
    """An oxidation state for each element, neutral in sum, the more electronegative elements negative.

    Args:
        amounts: by element.
        rare: allow states beyond the common ones (elements.oxidation_states).
        mixed_valence: allow one element to lie between two of its positive states, as Fe in Fe3O4.

    Returns:
        The likeliest states, or None: no choice is neutral, or some element has no state.
    """
    symbols = list(amounts)
    if len(symbols) < 2:
        return None
    states = {s: oxidation_states(s, rare=rare) for s in symbols}
    if any(not states[s] or electronegativity(s) is None for s in symbols):
        return None
    if prod(len(values) for values in states.values()) > _MOST_GUESSES:
        return _between_extremes(amounts, states)
    tolerance = 1e-3 * sum(amounts.values())
    guesses = [dict(zip(symbols, charges, strict=True)) for charges in product(*(states[s] for s in symbols))]
    ordered = sorted((guess for guess in guesses if _signs_follow(guess)), key=_unlikely)
    for guess in ordered:
        if abs(sum(amounts[s] * q for s, q in guess.items())) <= tolerance:
            return {s: float(q) for s, q in guess.items()}
    if mixed_valence:
        for guess in ordered:
            for s in symbols:
                positive = [q for q in states[s] if q > 0]
                needed = -sum(amounts[o] * q for o, q in guess.items() if o != s) / amounts[s]
                if guess[s] > 0 and len(positive) > 1 and min(positive) <= needed <= max(positive):
                    return {o: float(q) for o, q in guess.items()} | {s: round(needed, 3)}
    return None


def _between_extremes(amounts: Mapping[str, float], states: Mapping[str, tuple[int, ...]]) -> dict[str, float] | None:
    """For many elements: all metals the same way between their lowest and highest positive states, others lowest."""
    low, high = {}, {}
    for s, values in states.items():
        positive = [q for q in values if q > 0] if is_metal(s) else []
        low[s], high[s] = (min(positive), max(positive)) if positive else (min(values), min(values))
    least, most = (sum(amounts[s] * q for s, q in ends.items()) for ends in (low, high))
    if not least <= 0 <= most or least == most:
        return None
    return {s: round(low[s] + (high[s] - low[s]) * least / (least - most), 3) for s in amounts}


def _unlikely(charges: Mapping[str, int]) -> tuple[int, int]:
    """How many anions lack a filled shell, and how many states are uncommon."""
    unfilled = sum(1 for s, q in charges.items() if q < 0 and q != min(oxidation_states(s)))
    return unfilled, sum(1 for s, q in charges.items() if q not in oxidation_states(s))


def _signs_follow(charges: Mapping[str, int]) -> bool:
    """Whether cations are the electropositive elements; a metal is one beside any nonmetal (PbTe)."""
    mixed = any(map(is_metal, charges)) and not all(map(is_metal, charges))
    if mixed and any(q < 0 and is_metal(s) for s, q in charges.items()):
        return False
    positive = [electronegativity(s) or 0.0 for s, q in charges.items() if q > 0 and not (mixed and is_metal(s))]
    negative = [electronegativity(s) or 0.0 for s, q in charges.items() if q < 0]
    some_positive = any(q > 0 for q in charges.values())
    return bool(some_positive and negative) and max(positive, default=0.0) <= min(negative) + _TIE
