"""Which elements a surrogate was trained on, by the list in the model itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ase.data import atomic_numbers, chemical_symbols

from mlip_autopipec.errors import ConfigError

KEY = "exploration.surrogate"


def known_elements(calculator: Any) -> frozenset[str] | None:
    """Symbols of the elements that a model knows; None for a calculator without a list."""
    calculator = getattr(calculator, "surrogate", calculator)
    numbers = getattr(getattr(calculator, "z_table", None), "zs", None)  # MACE
    if numbers is None:
        numbers = getattr(calculator, "type_map", None)  # SevenNet: by atomic number
    return None if numbers is None else frozenset(chemical_symbols[int(number)] for number in numbers)


def check_elements(calculator: Any, symbols: Iterable[str], *, key: str = KEY) -> None:
    """Refuse a model that was not trained on an element; a calculator without a list passes.

    Raises:
        ConfigError: it was not.
    """
    known = known_elements(calculator)
    if known is None or not (unknown := sorted(set(symbols) - known, key=lambda s: atomic_numbers.get(s, 0))):
        return
    name = getattr(getattr(calculator, "surrogate", calculator), "surrogate_identity", {}).get("name", "")
    missing = sorted(set(chemical_symbols[1:104]) - known, key=atomic_numbers.__getitem__)
    told = (
        f"it knows all up to Lr but {', '.join(missing)}"
        if len(missing) < len(known)
        else f"it knows {', '.join(sorted(known, key=atomic_numbers.__getitem__))}"
    )
    raise ConfigError(
        key, name or type(calculator).__name__, f"it does not know {', '.join(unknown)}", f"Choose another one; {told}."
    )
