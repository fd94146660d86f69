"""Which known structure types (AFLOW library) a formula may have, by its numbers, its bonding and its elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from mlip_autopipec.config import composition, elements
from mlip_autopipec.config.bonding import ALKALI, ALKALINE_EARTH, open_d_shell

# Structure types of elements beside the simple ones: their ground states and near polymorphs.
ELEMENTS = {
    "La": ["A3'"], "Pr": ["A3'"], "Nd": ["A3'"], "Pm": ["A3'"], "Ce": ["A3'"], "Am": ["A3'"], "Cm": ["A3'"],
    "Sm": ["C19"], "In": ["A6"], "Hg": ["A10"], "Ga": ["A11"], "Mn": ["A12", "A13"], "W": ["A15"], "U": ["A20"],
    "Po": ["A_h"], "Sn": ["A4", "A5"], "Bi": ["A7"],
    "C": ["A9", "A4"], "Si": ["A4", "A5"], "Ge": ["A4", "A5"], "B": ["alpha-B"], "P": ["A17", "A7"],
    "As": ["A7"], "Sb": ["A7"], "Se": ["A8", "A7"], "Te": ["A8", "A7"], "I": ["A14"], "Br": ["A14"], "Cl": ["A14"],
}  # fmt: skip

# By bonding and by the formula's numbers, smallest first.
TYPES: dict[tuple[str, tuple[int, ...]], list[str]] = {
    ("metal", (1, 1)): ["L1_0", "B2", "L1_1", "B19", "B32", "B11", "B33"],
    ("metal", (1, 2)): ["C14", "C15", "C16", "C11_b", "C32"],
    ("metal", (1, 3)): ["L1_2", "D0_3", "D0_19", "D0_22", "A15"],
    ("metal", (1, 4)): ["D1_a", "D1_3"],
    ("metal", (1, 5)): ["D2_d"],
    ("metal", (3, 5)): ["D8_8"],
    ("metal", (12, 17)): ["A12"],
    ("metal", (1, 1, 1)): ["C1_b"],
    ("metal", (1, 1, 2)): ["L2_1", "XA"],
    ("metal", (1, 1, 1, 1)): ["Y"],
    ("ionic", (1, 1)): ["B1", "B2", "B3", "B4", "B8_1"],
    ("ionic", (1, 2)): ["C1", "C3", "C4", "C5", "C6", "C19", "C23", "C43"],
    ("ionic", (1, 3)): ["D0_9", "D0_12", "D0_3", "D0_18"],
    ("ionic", (2, 3)): ["D5_1", "D5_2", "D5_3"],
    ("ionic", (3, 4)): ["D7_2"],
    ("ionic", (1, 1, 1)): ["E0_1", "C1_b"],
    ("ionic", (1, 1, 2)): ["F5_1", "E1_1"],
    ("ionic", (1, 1, 3)): ["E2_1", "GdFeO3", "LiNbO3", "E2_2"],
    ("ionic", (1, 1, 4)): ["H0_4", "zircon"],
    ("ionic", (1, 2, 4)): ["H1_1", "K2NiF4"],
    ("ionic", (1, 2, 6)): ["J1_1"],
    ("ionic", (2, 2, 7)): ["E8_1"],
    ("ionic", (1, 1, 2, 6)): ["elpasolite"],
    ("covalent", (1, 1)): ["B3", "B4", "B1"],
    ("covalent", (1, 2)): ["C1", "C4", "C6"],
    ("covalent", (1, 3)): ["D0_9", "D0_12"],
    ("covalent", (2, 3)): ["C33", "D5_1"],
    ("covalent", (3, 4)): ["beta-Si3N4", "D7_2"],
    ("covalent", (1, 4)): ["D1_g"],
    ("covalent", (1, 1, 2)): ["E1_1"],
}

# Hydrides, borides, carbides and nitrides whose light atoms sit in holes between metal atoms (Haegg 1931), or make
# nets of their own (borides). By the light element and by its number and that of all others, reduced.
HOLES: dict[tuple[str, tuple[int, int]], list[str]] = {
    ("HCN", (1, 1)): ["B1", "B3"],
    ("CN", (1, 1)): ["B_h", "B8_1"],
    ("B", (1, 1)): ["B27", "B33", "B_h"],
    ("HCN", (1, 2)): ["C19", "C6", "C4", "C5", "C35"],
    ("B", (1, 2)): ["C16"],
    ("H", (2, 1)): ["C1", "C4", "C23"],
    ("B", (2, 1)): ["C32", "C40"],
    ("C", (2, 1)): ["C11_a"],
    ("N", (2, 1)): ["C2"],
    ("BCN", (1, 3)): ["D0_11", "D0_9"],
    ("H", (3, 1)): ["D0_3", "A15", "D0_12"],
    ("CN", (1, 4)): ["L'1"],
    ("C", (3, 4)): ["D7_1"],
    ("N", (3, 2)): ["D5_3", "D5_2"],
    ("N", (2, 3)): ["D5_3", "D5_2"],
    ("N", (4, 3)): ["D7_2", "beta-Si3N4"],
    ("B", (6, 1)): ["D2_1"],
    ("B", (12, 1)): ["D2_f"],
}
TETRAHEDRAL = ["C8", "C9", "C10", "cristobalite", "quartz"]  # AB2 with a small cation: SiO2, GeO2, BeF2
LAYERED_METALS = frozenset({"Mo", "W", "Nb", "Ta", "Ti", "Zr", "Hf", "V", "Re"})
CHALCOGENS = frozenset({"S", "Se", "Te"})
PNICTOGENS = frozenset({"P", "As", "Sb", "Bi"})
SOFT_HALIDES = frozenset({"Cl", "Br", "I"})
P_BLOCK = PNICTOGENS | {"Si", "Ge", "Sn", "Pb", "Ga", "In", "Tl"}
HOLE_ATOMS = frozenset("HBCN")


class Special(NamedTuple):
    """Types of one ratio that some elements prefer; they come before the general ones."""

    numbers: tuple[int, ...]
    applies: Callable[[Mapping[str, float]], bool]
    names: list[str]


def _has(*groups: frozenset[str]) -> Callable[[Mapping[str, float]], bool]:
    return lambda amounts: all(set(amounts) & group for group in groups)


def _open_d_with(partners: frozenset[str]) -> Callable[[Mapping[str, float]], bool]:
    return lambda amounts: bool(set(amounts) & partners) and any(open_d_shell(s) for s in amounts)


SPECIAL = [
    Special((1, 1), lambda amounts: set(amounts) <= {"B", "N", "C"}, ["B_k"]),
    Special((1, 1), _open_d_with(P_BLOCK), ["B20", "B31", "B35", "B8_1", "B27"]),
    Special((1, 1), _open_d_with(CHALCOGENS), ["B8_1", "B31", "B10"]),
    Special((1, 1), _has(frozenset({"Ge", "Sn"}), frozenset({"S", "Se"})), ["B16"]),
    Special((1, 1), _has(frozenset({"Sn", "Pb"}), frozenset({"O"})), ["B10"]),
    Special((1, 2), _has(LAYERED_METALS, CHALCOGENS), ["C7", "C6"]),
    Special((1, 2), _open_d_with(CHALCOGENS | PNICTOGENS), ["C2", "C18"]),
    Special((1, 2), _has(ALKALI | ALKALINE_EARTH, frozenset({"O", "C"})), ["C11_a"]),
    Special((1, 2), _open_d_with(P_BLOCK), ["C22", "C23", "C38", "C40"]),
    Special((1, 2), _has(PNICTOGENS, frozenset({"Cu", "Zn", "Mg"})), ["C38"]),
    Special((1, 2), _has(SOFT_HALIDES), ["C6", "C19", "C23", "C35"]),
    Special((1, 3), _has(SOFT_HALIDES), ["D0_5"]),
    Special((1, 3), _open_d_with(PNICTOGENS), ["D0_2"]),
    Special((1, 3), _has(ALKALI, PNICTOGENS), ["D0_18", "D0_3"]),
    Special((2, 3), _has(CHALCOGENS), ["C33"]),
    Special((2, 3), _has(frozenset({"Al", "Ga", "In"}), frozenset({"O"})), ["beta-Ga2O3"]),
    Special((1, 1, 1), _has(SOFT_HALIDES, CHALCOGENS | {"O", "F"}), ["E0_1"]),
    Special((1, 1, 2), _has(frozenset({"Cu", "Ag", "Pd", "Pt"}), frozenset({"O"})), ["delafossite"]),
    Special((1, 1, 2), _open_d_with(frozenset("CN")), ["MAX"]),
    Special((1, 1, 3), _open_d_with(frozenset("CN")), ["E2_1"]),  # antiperovskites
    Special((1, 2, 4), _has(frozenset({"Si", "Ge", "Be"}), frozenset({"O", "F", "S"})), ["S1_2"]),
]


def formula_numbers(amounts: Mapping[str, float]) -> tuple[int, ...]:
    """The formula's whole numbers, smallest first: (1, 2) of SiO2; () when the ratio is not a simple one."""
    whole = composition.reduced_integers(amounts, limit=40)
    return tuple(sorted(whole.values())) if whole else ()


def bonding(classes: list[str]) -> str:
    """Which structure types apply: 'metal', 'ionic' or 'covalent'."""
    return "metal" if classes[0] in ("metal", "alloy") else classes[0]


def types_of(amounts: Mapping[str, float], classes: list[str]) -> list[str]:
    """Names of the structure types that this formula and class may have, the likelier kinds first."""
    if len(amounts) == 1:
        (symbol,) = amounts
        if classes[0] == "noble":
            return ["A1", "A3"]
        packed = ["A1", "A2", "A3"] if elements.is_metal(symbol) else []
        return list(dict.fromkeys([*packed, *ELEMENTS.get(symbol, [])]))
    numbers = formula_numbers(amounts)
    light = in_holes(amounts)
    if light and "metal" in (bonding(classes), *classes):
        return light
    if numbers == (1, 2) and _few_neighbours(amounts):
        return [*TETRAHEDRAL, "C4"]
    if numbers == (1, 1, 3) and set(amounts) & HOLE_ATOMS and "O" in amounts:
        return ["G0_1", "E2_1"]  # carbonates, nitrates, borates
    found = [name for one in SPECIAL if one.numbers == numbers and one.applies(amounts) for name in one.names]
    kinds = [bonding(classes), *(kind for kind in ("ionic", "covalent", "metal") if kind in classes)]
    if set(amounts) & HOLE_ATOMS:
        kinds = [kind for kind in kinds if kind != "metal"]  # a light atom never takes a metal's site
    if numbers != (1, 1):
        found += light
    found += [name for kind in kinds for name in TYPES.get((kind, numbers), [])]
    return list(dict.fromkeys(found))


def in_holes(amounts: Mapping[str, float]) -> list[str]:
    """Types of a binary of a metal with H, B, C or N, empty for others.

    >>> in_holes({"Pd": 1.0, "H": 0.5})
    ['C19', 'C6', 'C4', 'C5', 'C35']
    """
    light = [s for s in amounts if s in HOLE_ATOMS]
    whole = composition.reduced_integers(amounts, limit=40)
    if len(amounts) != 2 or len(light) != 1 or not whole or not any(elements.is_metal(s) for s in amounts):
        return []
    ratio = whole[light[0]], sum(whole.values()) - whole[light[0]]
    rows = (names for (atoms, numbers), names in HOLES.items() if light[0] in atoms and numbers == ratio)
    return [name for names in rows for name in names]


def _few_neighbours(amounts: Mapping[str, float]) -> bool:
    """Whether a small cation has four neighbours: SiO2, GeO2, SiS2, BeF2, BeCl2."""
    one, two = sorted(amounts, key=lambda symbol: amounts[symbol])
    return one in ("Si", "Ge", "Be") and two in ("O", "F", "S", "Cl")
