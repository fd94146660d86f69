"""Reading and writing chemical formulas: grammar alone, no chemistry."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from mlip_autopipec.config.elements import SYMBOLS

_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_SAME_FRACTION = 5e-4  # 0.333 is a third
_OPEN, _CLOSE = "([{", ")]}"


class FormulaFault(ValueError):
    """A text is not a formula.

    Attributes:
        position: index of the first character that cannot be read.
        problem: what is wrong there, in words.
    """

    def __init__(self, position: int, problem: str) -> None:
        self.position, self.problem = position, problem
        super().__init__(problem)


def tidy(text: str) -> str:
    """Text with subscript and full-width characters as plain ones, and no blanks around it."""
    return unicodedata.normalize("NFKC", text).strip()


def read(text: str) -> list[tuple[str, float]]:
    """Terms of a formula in its order, one per symbol written; brackets are multiplied out.

    Args:
        text: such as ``FePt``, ``Al0.9Mg0.1`` or ``Ca(OH)2``.

    Raises:
        FormulaFault: the text cannot be read to its end.
    """
    stack: list[list[tuple[str, float]]] = [[]]
    opened: list[tuple[int, str]] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character in _OPEN:
            opened.append((position, _CLOSE[_OPEN.index(character)]))
            stack.append([])
            position += 1
            continue
        if character in _CLOSE:
            if not opened or opened[-1][1] != character:
                raise FormulaFault(position, f"no bracket is open at {text[position:]!r}")
            if not stack[-1]:
                raise FormulaFault(position, "brackets with nothing in them")
            opened.pop()
            amount, position = _number(text, position + 1)
            group = stack.pop()
            stack[-1] += [(symbol, n * amount) for symbol, n in group]
            continue
        match = _SYMBOL.match(text, position)
        if not match or match.group(0) not in SYMBOLS:
            raise FormulaFault(position, f"no element at {text[position:]!r}")
        amount, position = _number(text, match.end())
        stack[-1].append((match.group(0), amount))
    if opened:
        raise FormulaFault(opened[-1][0], f"the bracket at {text[opened[-1][0] :]!r} is not closed")
    if not stack[0]:
        raise FormulaFault(0, "nothing is written")
    return stack[0]


def _number(text: str, position: int) -> tuple[float, int]:
    match = _NUMBER.match(text, position)
    return (float(match.group(0)), match.end()) if match else (1.0, position)


def total(terms: list[tuple[str, float]]) -> dict[str, float]:
    """Amounts by element, in the order of first mention."""
    amounts: dict[str, float] = {}
    for symbol, amount in terms:
        amounts[symbol] = amounts.get(symbol, 0.0) + amount
    return {symbol: round(amount, 10) for symbol, amount in amounts.items()}


def formula(amounts: Mapping[str, float]) -> str:
    """The formula in its normal form, ``FePt`` or ``Al0.9Mg0.1``, in the order of `amounts`."""
    return "".join(f"{symbol}{'' if amount == 1 else f'{amount:.6g}'}" for symbol, amount in amounts.items())


def is_alloy_fraction(amounts: Mapping[str, float]) -> bool:
    """Whether some amount is not a whole number: a site is shared by elements, or partly empty."""
    return any(abs(amount - round(amount)) > 1e-6 for amount in amounts.values())


def reduced_integers(amounts: Mapping[str, float], limit: int = 40) -> dict[str, int] | None:
    """The smallest whole numbers in the same ratio, ``{'Fe': 1, 'Pt': 1}`` for Fe0.5Pt0.5.

    Args:
        amounts: by element.
        limit: largest number of atoms in all; None is returned when the ratio needs more.
    """
    whole = sum(amounts.values())
    if not amounts or min(amounts.values()) <= 0:
        return None
    for atoms in range(len(amounts), limit + 1):
        numbers = {symbol: round(amount / whole * atoms) for symbol, amount in amounts.items()}
        off = max(abs(numbers[symbol] / atoms - amount / whole) for symbol, amount in amounts.items())
        if sum(numbers.values()) == atoms and min(numbers.values()) > 0 and off <= _SAME_FRACTION:
            return numbers
    return None


def same_ratio(first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    """Whether two compositions are the same but for an overall factor."""
    if set(first) != set(second):
        return False
    scale = sum(first.values()) / sum(second.values())
    return all(abs(first[symbol] - scale * second[symbol]) < 1e-6 * scale for symbol in first)
