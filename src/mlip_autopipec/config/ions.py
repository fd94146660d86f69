"""Salts of polyatomic cations, such as NH4Cl: made of nonmetals alone, and yet ionic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mlip_autopipec.config.elements import is_metal
from mlip_autopipec.config.formulas import read, total


@cache
def _table(kind: str) -> tuple[tuple[str, int, dict[str, float]], ...]:
    text = (Path(__file__).parent / "data" / "ions.json").read_text(encoding="utf-8")
    rows: dict[str, Any] = json.loads(text)[kind]
    return tuple((name, charge, total(read(word))) for word, (name, charge) in rows.items())


def polyatomic_salt(amounts: Mapping[str, float]) -> str:
    """'ammonium and chloride' when the formula is such a salt, else ''.

    The rest beside the cations must be one kind of anion of the right charge, or hold a metal with an electronegative
    partner (hybrid perovskites).
    """
    for cation, charge, inside in sorted(_table("cations"), key=lambda ion: -sum(ion[2].values())):
        for number in (1, 2, 3):
            rest = {s: round(n - number * inside.get(s, 0.0), 6) for s, n in amounts.items()}
            if set(inside) - set(amounts) or min(rest.values()) < 0:
                break
            rest = {s: n for s, n in rest.items() if n}
            if any(is_metal(s) for s in rest) and len(rest) > 1:
                return f"{cation} and a metal's anion"
            for anion, negative, parts in _table("anions"):
                times = number * charge / -negative
                if set(rest) == set(parts) and all(abs(rest[s] - times * n) < 1e-6 for s, n in parts.items()):
                    return f"{cation} and {anion}"
    return ""


def anion_in(amounts: Mapping[str, float]) -> str:
    """Name of a polyatomic anion of which the nonmetals of a metal's salt are a whole number, or ''."""
    rest = {s: n for s, n in amounts.items() if not is_metal(s)}
    for anion, _, parts in _table("anions"):
        if len(parts) > 1 and set(parts) == set(rest):
            times = [rest[s] / n for s, n in parts.items()]
            if max(times) - min(times) < 1e-6 and abs(times[0] - round(times[0])) < 1e-6:
                return anion
    return ""
