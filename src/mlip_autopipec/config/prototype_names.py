"""Names of structure types: common words for Strukturbericht designations, and which a formula can have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from mlip_autopipec.config.formulas import read, reduced_integers, total
from mlip_autopipec.errors import nearest

# Mineral and common names of the types (AFLOW Library of Crystallographic Prototypes, as the table of structures/).
COMMON = {
    "fcc": "A1", "ccp": "A1", "bcc": "A2", "hcp": "A3", "dhcp": "A3'", "diamond": "A4", "beta-tin": "A5",
    "graphite": "A9", "black phosphorus": "A17", "simple cubic": "A_h", "sc": "A_h",
    "rocksalt": "B1", "rock salt": "B1", "halite": "B1", "NaCl": "B1", "CsCl": "B2", "cesium chloride": "B2",
    "zincblende": "B3", "zinc blende": "B3", "sphalerite": "B3", "wurtzite": "B4", "NiAs": "B8_1", "nickeline": "B8_1",
    "litharge": "B10", "WC": "B_h", "h-BN": "B_k",
    "fluorite": "C1", "antifluorite": "C1", "pyrite": "C2", "cuprite": "C3", "rutile": "C4", "anatase": "C5",
    "CdI2": "C6", "molybdenite": "C7", "MoS2": "C7", "tridymite": "C10", "marcasite": "C18", "CdCl2": "C19",
    "cotunnite": "C23", "baddeleyite": "C43", "Laves": "C15", "corundum": "D5_1", "bixbyite": "D5_3",
    "tetradymite": "C33", "ReO3": "D0_9", "cementite": "D0_11", "half-Heusler": "C1_b", "Heusler": "L2_1",
    "full Heusler": "L2_1", "inverse Heusler": "XA", "chalcopyrite": "E1_1", "matlockite": "E0_1",
    "perovskite": "E2_1", "cubic perovskite": "E2_1", "ilmenite": "E2_2", "calcite": "G0_1", "scheelite": "H0_4",
    "spinel": "H1_1", "olivine": "S1_2", "forsterite": "S1_2", "pyrochlore": "E8_1",
}  # fmt: skip


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


@cache
def ratios() -> dict[str, frozenset[tuple[int, ...]]]:
    """By name of a type the whole numbers of its formula, smallest first; A15 is one of W and one of SiCr3.

    The table alone is loaded: importing its package takes a second.
    """
    path = Path(__file__).parents[1] / "structures" / "prototype_table.py"
    spec = spec_from_file_location("_prototype_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, frozenset[tuple[int, ...]]] = {}
    for one in module.TABLE:
        example = reduced_integers(total(read(one.example))) or {}
        numbers = (1,) if one in module.ELEMENTS else tuple(sorted(example.values()))
        found[one.name] = found.get(one.name, frozenset()) | {numbers}
    return found


def designation(name: str) -> str:
    """The designation of a type by any of its names: A1 for fcc and A1, L1_0 for L10.

    Raises:
        ValueError: no such type; with the nearest name.
    """
    names = {_key(word): types for word, types in COMMON.items()} | {_key(word): word for word in ratios()}
    found = names.get(_key(name))
    if found is None:
        raise ValueError(
            f"{name!r} is no structure type that is known here. Write designations (A1, L1_0, B1) or common names "
            f"(fcc, rocksalt, perovskite).{nearest(name, [*COMMON, *ratios()])}"
        )
    return found


def canonical(name: str) -> str:
    """The designation where there is one, else the name as it is: checks.py refuses it."""
    try:
        return designation(name)
    except ValueError:
        return name


def holds(name: str, amounts: Mapping[str, float]) -> bool:
    """Whether a formula's ratio is that of a type.

    Args:
        name: designation.
    """
    whole = reduced_integers(amounts)
    return whole is not None and tuple(sorted(whole.values())) in ratios()[name]


def fitting(amounts: Mapping[str, float]) -> list[str]:
    """Designations of all types that a formula's ratio can have."""
    return [name for name in ratios() if holds(name, amounts)]
