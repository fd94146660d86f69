"""Facts about the elements that the inference rules stand on; their sources are in data/elements.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers, chemical_symbols, covalent_radii, reference_states

SYMBOLS = tuple(chemical_symbols[1:])
NOBLE_GASES = frozenset({"He", "Ne", "Ar", "Kr", "Xe", "Rn"})
HALOGENS = frozenset({"F", "Cl", "Br", "I", "At"})
DIATOMIC = frozenset({"H", "N", "O", "F", "Cl", "Br", "I"})
METALLOIDS = frozenset({"B", "Si", "Ge", "As", "Sb", "Te"})
NONMETALS = NOBLE_GASES | HALOGENS | frozenset({"H", "C", "N", "O", "P", "S", "Se"})
LANTHANIDES = frozenset(SYMBOLS[atomic_numbers["La"] - 1 : atomic_numbers["Lu"]])
ACTINIDES = frozenset(SYMBOLS[atomic_numbers["Ac"] - 1 : atomic_numbers["Lr"]])
RADIOACTIVE = frozenset({"Tc", "Pm", *SYMBOLS[atomic_numbers["Po"] - 1 :]}) - {"Th", "U"}

# Elements whose solids order magnetically: labels without spin would be the wrong physics.
MAGNETIC = frozenset(
    {"Cr", "Mn", "Fe", "Co", "Ni", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm"}
)
_HERE = Path(__file__).parent


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((_HERE / "data" / "elements.json").read_text(encoding="utf-8"))
    return table


def _facts(symbol: str) -> dict[str, Any]:
    facts: dict[str, Any] = _table().get(symbol, {})
    return facts


def is_metal(symbol: str) -> bool:
    """Whether the element itself is a metal; the metalloids B, Si, Ge, As, Sb and Te are not."""
    return symbol not in NONMETALS and symbol not in METALLOIDS


def electronegativity(symbol: str) -> float | None:
    """Pauling electronegativity (Allred 1961); None for He, Ne and Ar."""
    value: float | None = _facts(symbol).get("electronegativity")
    return value


def oxidation_states(symbol: str, *, rare: bool = False) -> tuple[int, ...]:
    """Common oxidation states in compounds (Greenwood and Earnshaw), lowest first; empty for a light noble gas.

    Args:
        rare: add others that are met in crystals (ICSD, Shannon 1976).
    """
    facts = _facts(symbol)
    return tuple(
        sorted(facts.get("oxidation_states", []) + (facts.get("further_oxidation_states", []) if rare else []))
    )


def melting_point_k(symbol: str) -> float | None:
    """Melting point of the element in K (CRC Handbook); it says nothing about compounds."""
    value: float | None = _facts(symbol).get("melting_point_k")
    return value


def atomic_volume_angstrom3(symbol: str) -> float | None:
    """Volume per atom of the elemental solid in A^3, from its molar volume (CRC Handbook)."""
    value: float | None = _facts(symbol).get("atomic_volume_angstrom3")
    return value


def ionic_radius_angstrom(symbol: str, charge: int) -> float | None:
    """Effective ionic radius in A, sixfold coordination where listed, high spin (Shannon 1976); None if not listed."""
    value: float | None = _facts(symbol).get("ionic_radii_angstrom", {}).get(str(charge))
    return value


def covalent_radius_angstrom(symbol: str) -> float:
    """Covalent radius in A (Cordero et al., Dalton Trans. 2008, 2832, as tabulated in ASE)."""
    return float(covalent_radii[atomic_numbers[symbol]])


def high_spin_moment(symbol: str) -> float:
    """Moment in Bohr magnetons per atom from which a self-consistent field with spin may start; 0 if not magnetic.

    Hund's spin of the divalent 3d ion or the trivalent 4f ion (Ashcroft and Mermin, ch. 31); O: half of O2's triplet,
    though oxygen is not in `MAGNETIC` because oxides and water have no moment on it.
    """
    return float(_facts(symbol).get("high_spin_moment_bohr_magneton", 0.0))


def ground_state_lattice(symbol: str) -> dict[str, float | str]:
    """Experimental room-temperature lattice of an element (ASE's table, from Ashcroft and Mermin).

    Returns:
        ``symmetry``, ``a`` (A) and for hcp ``c/a``; an empty dict when the table has no simple lattice.
    """
    state = reference_states[atomic_numbers[symbol]]
    if not state or state.get("symmetry") not in ("fcc", "bcc", "hcp", "diamond", "sc"):
        return {}
    return {key: value for key, value in state.items() if isinstance(value, float | str)}


@cache
def _with_pseudopotential() -> frozenset[str]:
    path = _HERE.parent / "labelling" / "data" / "sssp_efficiency.json"
    return frozenset(json.loads(path.read_text(encoding="utf-8")))


def has_pseudopotential(symbol: str) -> bool:
    """Whether the SSSP 1.3.0 library has a pseudopotential of the element."""
    return symbol in _with_pseudopotential()


def md_timestep_fs(symbols: Iterable[str]) -> float:
    """MD time step for the fastest vibration, fs: 0.5 with hydrogen, 1 with atoms lighter than neon, else 2."""
    lightest = min(atomic_numbers[symbol] for symbol in symbols)
    return 0.5 if lightest == 1 else 1.0 if lightest < atomic_numbers["Ne"] else 2.0
