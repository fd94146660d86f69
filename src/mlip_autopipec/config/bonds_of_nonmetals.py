"""Classes of nonmetals and metalloids: molecules where the bonds close, networks where they do not."""

from __future__ import annotations

from mlip_autopipec.config import molecules
from mlip_autopipec.config.bonding import (
    electronegativity_difference,
    group,
    ionic_share,
    neighbours_that_fit,
    pauling_ionicity,
)
from mlip_autopipec.config.elements import DIATOMIC, HALOGENS, METALLOIDS, electronegativity
from mlip_autopipec.config.evidence import Evidence

# Elements of two minds: molecules against network (allotropes), network against metal (semimetals).
# Greenwood and Earnshaw, Chemistry of the Elements, chapters 12, 13, 15 and 16.
_ELEMENTS: dict[str, tuple[dict[str, float], str]] = {
    "P": ({"covalent": 0.6, "molecular": 0.4}, "black and red phosphorus are networks, the white form is P4"),
    "S": ({"molecular": 0.7, "covalent": 0.3}, "sulfur's solid is made of S8 rings; its melt polymerises"),
    "Se": ({"covalent": 0.6, "molecular": 0.4}, "chains in grey selenium, Se8 rings in the red form"),
    "As": ({"covalent": 0.6, "metal": 0.4}, "layers of three bonds per atom, a semimetal"),
    "Sb": ({"metal": 0.6, "covalent": 0.4}, "layers of three bonds per atom, a semimetal that conducts well"),
    "At": ({"metal": 0.6, "molecular": 0.4}, "predicted to be a metal (Hermann et al., Phys. Rev. Lett. 111, 116404)"),
    "Te": ({"covalent": 0.7, "metal": 0.3}, "chains of two bonds per atom, a narrow-gap semiconductor"),
}


def element(amounts: dict[str, float]) -> Evidence:
    """One nonmetal or metalloid."""
    (symbol, number), *_ = amounts.items()
    if symbol in DIATOMIC and number <= 2:
        return Evidence({"molecular": 1.0}, [f"{symbol} is made of diatomic molecules"])
    if number > 1 and symbol not in METALLOIDS:
        return Evidence({"molecular": 0.8, "covalent": 0.2}, [f"{symbol}{number:g} names a molecule of the element"])
    if symbol in _ELEMENTS:
        shares, reason = _ELEMENTS[symbol]
        return Evidence(dict(shares), [reason])
    return Evidence({"covalent": 1.0}, [f"{symbol} is a network of shared electron pairs"])


def compound(amounts: dict[str, float]) -> Evidence:
    """Several nonmetals and metalloids."""
    known = molecules.of_formula(amounts)
    if known:
        return Evidence({"molecular": 0.95, "covalent": 0.05}, [f"{known[0].name} is a molecule of this formula"])
    inner = [s for s in amounts if s in METALLOIDS]
    outer = [s for s in amounts if s not in METALLOIDS]
    if not inner:
        return _nonmetals(amounts)
    if not outer:
        return _metalloids(amounts)
    return _metalloid_compound(amounts, inner, outer)


def _share(amounts: dict[str, float], symbols: set[str] | frozenset[str]) -> float:
    return sum(n for s, n in amounts.items() if s in symbols) / sum(amounts.values())


def _nonmetals(amounts: dict[str, float]) -> Evidence:
    ends = _share(amounts, HALOGENS | {"H"})
    if set(amounts) <= {"C", "N", "P"} or (ends < 0.2 and _share(amounts, {"C"}) > 0.6):
        return Evidence(
            {"covalent": 0.8, "molecular": 0.2}, ["three and more bonds on every atom make a network, not molecules"]
        )
    if ends == 0 and _open_bonds(amounts) > 1:
        return Evidence(
            {"molecular": 0.65, "covalent": 0.35},
            ["nonmetals alone; too few oxygens to close the molecule, so cages or chains"],
        )
    return Evidence({"molecular": 0.95, "covalent": 0.05}, ["nonmetals alone: bonds close within small molecules"])


def _open_bonds(amounts: dict[str, float]) -> float:
    """How many neighbours the central atom of a binary compound lacks, by radii; 0 when that cannot be said."""
    if len(amounts) != 2:
        return 0.0
    centre, outer = sorted(amounts, key=lambda s: electronegativity(s) or 0.0)
    charge = _charge_of(centre, outer, amounts)
    wanted = neighbours_that_fit(centre, round(charge), outer)
    return 0.0 if wanted is None else wanted - amounts[outer] / amounts[centre]


def _charge_of(centre: str, outer: str, amounts: dict[str, float]) -> float:
    """Charge of the central atom when the outer ones fill their shells."""
    valence = 1 if outer == "H" else 18 - group(outer)
    return valence * amounts[outer] / amounts[centre]


def _metalloids(amounts: dict[str, float]) -> Evidence:
    names = " and ".join(amounts)
    groups = {group(s) for s in amounts}
    widest = max(electronegativity_difference(a, b) for a in amounts for b in amounts)
    if len(groups) == 1 and widest < 0.3:
        return Evidence(
            {"covalent": 0.65, "alloy": 0.35}, [f"{names} have the same valence and mix on one covalent lattice"]
        )
    return Evidence({"covalent": 0.85, "alloy": 0.15}, [f"{names}: metalloids share electron pairs"])


def _metalloid_compound(amounts: dict[str, float], inner: list[str], outer: list[str]) -> Evidence:
    ends = HALOGENS | {"H"}
    anion = max(outer, key=lambda s: electronegativity(s) or 0.0)
    closed = _share(amounts, ends)
    if set(outer) <= ends:
        return _terminated(amounts, inner, anion, closed)
    if closed >= 0.4:
        return Evidence(
            {"molecular": 0.75, "covalent": 0.25}, ["hydrogen or halogens end most bonds: molecules, not a network"]
        )
    ionic = max(ionic_share(s, anion) for s in inner)
    difference = max(electronegativity_difference(s, anion) for s in inner)
    reason = (
        f"a network of metalloid and nonmetal; the {inner[0]}-{anion} bond is "
        f"{100 * pauling_ionicity(difference):.0f} % ionic (Pauling)"
    )
    network = Evidence({"covalent": 1 - 0.8 * ionic, "ionic": 0.8 * ionic}, [reason])
    if min(amounts.values()) >= 2 and all(n % 2 == 0 for n in amounts.values()):
        return network.mixed({"molecular": 0.6}, "the formula is written as a multiple: a molecule is meant")
    return network


def _terminated(amounts: dict[str, float], inner: list[str], anion: str, closed: float) -> Evidence:
    """Hydrides and halides of metalloids."""
    if closed < 0.5:
        return Evidence({"covalent": 0.8, "molecular": 0.2}, [f"{anion} ends a few bonds of a {inner[0]} network"])
    if anion == "H":
        return Evidence({"molecular": 0.9, "covalent": 0.1}, ["hydrides of metalloids are volatile molecules"])
    centre = inner[0]
    count = sum(amounts[s] for s in amounts if s in HALOGENS) / amounts[centre]
    wanted = neighbours_that_fit(centre, round(count), anion) or 4
    lone_pair = round(count) == group(centre) - 12
    if count >= wanted or lone_pair:
        why = "its lone pair fills the rest" if lone_pair and count < wanted else "no bond is left open"
        shares = {"molecular": 0.8, "covalent": 0.1, "ionic": 0.1}
        return Evidence(shares, [f"{count:g} {anion} close the coordination of {centre}: {why}"])
    ionic = ionic_share(centre, anion)
    shares = {"molecular": 0.5, "ionic": 0.5 * ionic, "covalent": 0.5 * (1 - ionic)}
    return Evidence(shares, [f"{count:g} {anion} nearly close the coordination of {centre}, which would take {wanted}"])
