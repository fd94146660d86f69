"""The config key `composition`: from what a user wrote to amounts of elements, or one clear message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import gcd

from mlip_autopipec.config import molecules, spelling
from mlip_autopipec.config.elements import RADIOACTIVE, has_pseudopotential
from mlip_autopipec.config.formulas import (
    FormulaFault,
    formula,
    is_alloy_fraction,
    read,
    reduced_integers,
    tidy,
    total,
)
from mlip_autopipec.errors import ConfigError

__all__ = ["amounts_of", "formula", "is_alloy_fraction", "parse_composition", "reduced_integers"]

_EXAMPLES = "Write a formula like Si, FePt, Ca(OH)2 or Al0.9Mg0.1."
ATOMS_MAX = 1000.0  # atoms per formula: more than any cell that density functional theory takes here
_CAGE_ATOMS = 12  # of the smallest cages, B12
_SUM_TOLERANCE = 1e-3


def parse_composition(text: object, *, class_given: bool = False, molecule_given: bool = False) -> dict[str, float]:
    """Elements and amounts of a formula such as ``Si``, ``FePt``, ``Ca(OH)2`` or ``Al0.9Mg0.1``, in its order.

    Args:
        text: what stands in the config.
        class_given: the user wrote `class`, too, so that CO cannot be a slip for Co.
        molecule_given: the user wrote `molecule`, too.

    Raises:
        ConfigError: it is not a formula (with the nearest right spelling), it may as well be another one (as a
            question), its amounts are impossible, or an element has no pseudopotential.
    """
    word = _word(text)
    try:
        terms = read(word)
    except FormulaFault as fault:
        raise ConfigError("composition", text, *_explained(word, fault)) from None
    for other, first, second in (
        (spelling.hydrate(word), "the hydrate or ammoniate", "its decimal amount"),
        (spelling.completed(word), "the amounts that add up to 1", "an amount of 1 where none is written"),
    ):
        if other:
            raise ConfigError(
                "composition", text, f"this may be '{other}' or '{spelling.explicit(word)}'",
                f"Which do you mean? The first is {first}, the second takes {second}; write one of them.",
            )  # fmt: skip
    if not (class_given or molecule_given):
        doubt = spelling.question(word)
        if doubt:
            sure = f"write 'composition: {spelling.explicit(word)}', or add 'class:' or 'molecule:'"
            raise ConfigError("composition", text, f"this may be {doubt}", f"Which do you mean? For the first {sure}.")
    amounts = total(terms)
    _check_amounts(text, terms, amounts)
    if not (class_given or molecule_given):
        _ask_about_cages(text, amounts)
    unknown = [symbol for symbol in amounts if not has_pseudopotential(symbol)]
    if unknown:
        nature = "radioactive and " if set(unknown) & RADIOACTIVE else ""
        raise ConfigError(
            "composition", text, f"{', '.join(unknown)} is {nature}without a pseudopotential in the SSSP library",
            "No labels can be computed; choose another element.",
        )  # fmt: skip
    return amounts


def amounts_of(text: str, molecule: str = "") -> dict[str, float]:
    """Amounts of the material: a multiple of the smallest formula is a molecule or else written for no reason.

    Args:
        text: the composition of a whole configuration.
        molecule: the config key; with it the amounts are the molecule's.

    >>> amounts_of("Si2O4"), amounts_of("C6H6")
    ({'Si': 1.0, 'O': 2.0}, {'C': 6.0, 'H': 6.0})
    """
    amounts = parse_composition(text, class_given=True)
    if molecule or is_alloy_fraction(amounts) or molecules.of_formula(amounts):
        return amounts
    times = gcd(*(round(amount) for amount in amounts.values()))
    return {symbol: amount / times for symbol, amount in amounts.items()}


def _ask_about_cages(text: object, amounts: Mapping[str, float]) -> None:
    """A network element with many atoms may be a cage (C60), which the table of molecules does not have."""
    (symbol, number), *others = amounts.items()
    if not others and symbol in ("B", "C", "Si", "Ge") and number >= _CAGE_ATOMS and not molecules.of_formula(amounts):
        raise ConfigError(
            "composition", text, f"this may be a molecule of {number:g} atoms, or the solid {symbol}",
            f"Which do you mean? Write 'molecule:' with a file or a SMILES, or 'composition: {symbol}'.",
        )  # fmt: skip


def _word(text: object) -> str:
    if isinstance(text, bool):
        raise ConfigError("composition", text, "YAML reads this word as yes or no", "Quote it: 'NO', 'No'.")
    if isinstance(text, int | float):
        raise ConfigError("composition", text, "a number, not a chemical formula", _EXAMPLES)
    if text is None or (isinstance(text, str) and not tidy(text)):
        raise ConfigError("composition", text, "no formula is written", _EXAMPLES)
    if not isinstance(text, str):
        raise ConfigError("composition", text, "not one formula as text", _EXAMPLES)
    return tidy(text)


def _explained(word: str, fault: FormulaFault) -> tuple[str, str]:
    """Problem and mend of a text that cannot be read."""
    rest = word[fault.position :]
    if "bracket" in fault.problem:
        return fault.problem, _EXAMPLES
    if re.match(r"[DT](?![a-z])", rest) and not spelling.meant(word):
        return (
            f"{rest[0]} is an isotope of hydrogen",
            f"Forces do not depend on the mass: write H, '{word.replace(rest[0], 'H')}'.",
        )
    if re.match(r"[+-]", rest) and re.search(r"[A-Za-z)]\d*[+-]+\d*$", word):
        return "a charge or a sign is no part of a composition", f"{_EXAMPLES}{spelling.hint(word)}"
    if re.match(r"-\s*[\d.]", rest):
        return f"a negative amount at {rest!r}", "Amounts are above 0."
    if re.match(r"[\s,;:/_*+-]", rest):
        return f"no separator like {rest[0]!r} is allowed", f"{_EXAMPLES}{spelling.hint(word)}"
    return fault.problem, f"{_EXAMPLES}{spelling.hint(word)}"


def _check_amounts(text: object, terms: list[tuple[str, float]], amounts: Mapping[str, float]) -> None:
    zero = [symbol for symbol, amount in terms if amount < 1e-9]
    if zero:
        raise ConfigError("composition", text, f"{zero[0]} has amount 0", "Leave that element out.")
    if sum(amounts.values()) > ATOMS_MAX:
        raise ConfigError(
            "composition", text, f"{sum(amounts.values()):g} atoms in the formula, more than {ATOMS_MAX:g}",
            "Write the smallest formula, such as SiO2, or fractions, such as Al0.9Mg0.1.",
        )  # fmt: skip
    whole = sum(amounts.values())
    # A whole number is a formula of several sites: Ga0.5In0.5As0.5P0.5 sums to 2.
    if max(amounts.values()) < 1 and abs(whole - max(1, round(whole))) > _SUM_TOLERANCE:
        scaled = {symbol: round(amount / whole, 4) for symbol, amount in amounts.items()}
        raise ConfigError(
            "composition", text, f"the fractions sum to {whole:.6g}, not 1",
            f"In this ratio it is '{formula(scaled)}'; or mend the fraction that is wrong.",
        )  # fmt: skip
