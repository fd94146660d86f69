"""Classes of metals and of their compounds: metallic, ionic, covalent, or molecules about a metal."""

from __future__ import annotations

from math import exp

from mlip_autopipec.config import molecules
from mlip_autopipec.config.bonding import (
    SALINE,
    electronegativity_difference,
    group,
    ionic_share,
    neighbours_that_fit,
    open_d_shell,
    pauling_ionicity,
)
from mlip_autopipec.config.charges import balanced
from mlip_autopipec.config.elements import (
    ACTINIDES,
    HALOGENS,
    METALLOIDS,
    electronegativity,
    is_metal,
)
from mlip_autopipec.config.evidence import Evidence
from mlip_autopipec.config.formulas import is_alloy_fraction
from mlip_autopipec.config.ions import anion_in

_DILUTE = 0.10  # share of nonmetal atoms up to which they are solutes in a metal
_METALLIC_PAIR_IONIC = 1.7  # electronegativity difference: CsAu (1.75) is a salt, NaAu (1.61) a metal
_ZINTL = (
    0.55  # electronegativity difference: LiAl (0.63), NaTl (0.69), Mg2Sn (0.65) are Zintl phases, AlMg (0.30) is not
)
_SEMIMETALS = {
    "Bi": ({"metal": 0.7, "covalent": 0.3}, "a semimetal with three short bonds per atom"),
    "Sn": ({"metal": 0.75, "covalent": 0.25}, "white tin is a metal, grey tin has diamond's lattice"),
}


def element(amounts: dict[str, float]) -> Evidence:
    """One metal."""
    symbol = next(iter(amounts))
    if symbol in _SEMIMETALS:
        shares, reason = _SEMIMETALS[symbol]
        return Evidence(dict(shares), [f"{symbol}: {reason}"])
    return Evidence({"metal": 1.0}, [f"{symbol} is a metal"])


def metals_alone(amounts: dict[str, float]) -> Evidence:
    """Several metals: an alloy or intermetallic, seldom a salt (CsAu) or Zintl phase."""
    low, high = (f(amounts, key=lambda s: electronegativity(s) or 0.0) for f in (min, max))
    difference = electronegativity_difference(low, high)
    salt = 1 / (1 + exp(-(difference - _METALLIC_PAIR_IONIC) / 0.05)) if low in SALINE else 0.0
    reasons = [f"{', '.join(amounts)} are all metals; their electronegativities differ by {difference:.2f}"]
    if salt > 0.1:
        reasons.append(f"so large a difference may make {high} an anion")
    zintl = 0.0
    if low in SALINE and group(high) in (13, 14, 15) and difference >= _ZINTL and not is_alloy_fraction(amounts):
        zintl = 0.25
        reasons.append(f"{low} gives electrons to {high} (Zintl phase)")
    rest = 1 - salt
    return Evidence({"alloy": rest * (0.75 - zintl), "metal": rest * 0.25, "ionic": salt + rest * zintl}, reasons)


def with_nonmetals(amounts: dict[str, float]) -> Evidence:
    """Metals with nonmetals or metalloids."""
    whole = sum(amounts.values())
    metals = [s for s in amounts if is_metal(s)]
    others = [s for s in amounts if not is_metal(s)]
    anion = max(others, key=lambda s: electronegativity(s) or 0.0)
    solute = sum(amounts[s] for s in others) / whole
    if solute <= _DILUTE:
        return Evidence(
            {"alloy": 0.65, "metal": 0.35}, [f"{100 * solute:.2g} % of {', '.join(others)} dissolved in metal"]
        )
    if 1 - solute <= _DILUTE and set(others) <= METALLOIDS | {"C"} and not set(metals) & SALINE:
        return Evidence({"covalent": 0.7, "alloy": 0.3}, [f"a little metal dissolved in a network of {others[0]}"])
    found = (
        _known_molecule(amounts)
        or _organometallic(amounts, metals)
        or _closed_molecule(amounts, metals, others)
        or _hydride(metals, others)
        or _interstitial(amounts, metals, others)
        or _metalloid_partner(amounts, metals, others, anion)
    )
    return found or _ionic_or_covalent(amounts, metals, others, anion)


def _known_molecule(amounts: dict[str, float]) -> Evidence | None:
    known = molecules.of_formula(amounts)
    return Evidence({"molecular": 0.9, "ionic": 0.1}, [f"{known[0].name} is a molecule"]) if known else None


def _organometallic(amounts: dict[str, float], metals: list[str]) -> Evidence | None:
    """Ligands of carbon about a few metal atoms, as in ferrocene or Ni(CO)4."""
    if "C" not in amounts or set(metals) & SALINE or anion_in(amounts):
        return None
    per_metal = amounts["C"] / sum(amounts[s] for s in metals)
    carbonyl = amounts.get("O", 0.0) == amounts["C"] and "H" not in amounts
    if per_metal >= 3 and (carbonyl or "H" in amounts):
        return Evidence({"molecular": 0.85, "covalent": 0.15}, ["carbon ligands enclose few metal atoms"])
    return None


def _closed_molecule(amounts: dict[str, float], metals: list[str], others: list[str]) -> Evidence | None:
    """High-valent halides and oxides: molecules where the given anions fill the coordination that radii ask for."""
    if len(metals) > 1 or len(others) > 1 or others[0] not in HALOGENS | {"O", "H"}:
        return None
    metal, anion = metals[0], others[0]
    count = amounts[anion] / amounts[metal]
    charge = count * (2 if anion == "O" else 1)
    if anion == "H":
        if charge >= 4 and not open_d_shell(metal):
            return Evidence({"molecular": 0.9, "covalent": 0.1}, [f"{count:g} H use all valences of {metal}"])
        return None
    wanted = neighbours_that_fit(metal, round(charge), anion)
    if wanted is None:
        return None
    text = f"{metal}{charge:+.2g} takes {wanted} {anion} by its radius and has {count:g}"
    if charge >= (7 if anion == "O" else 4) and count >= wanted - 0.5:
        return Evidence({"molecular": 0.8, "covalent": 0.1, "ionic": 0.1}, [f"{text}: closed molecules"])
    if anion in HALOGENS - {"F"} and round(charge) == 3 and wanted == 4 and group(metal) == 13:
        shares = {"molecular": 0.4, "ionic": 0.3, "covalent": 0.3}
        if amounts[metal] == 2:
            shares = {"molecular": 0.8, "ionic": 0.1, "covalent": 0.1}
        return Evidence(shares, [f"{text}: pairs of molecules share two {anion}, layers when it is crowded"])
    if charge >= 5 and wanted <= 4 and anion == "O":
        return Evidence(
            {"covalent": 0.5, "ionic": 0.3, "molecular": 0.2},
            [f"{text}: chains or sheets; so small and charged a cation bonds covalently (Fajans)"],
        )
    return None


def _hydride(metals: list[str], others: list[str]) -> Evidence | None:
    if "H" not in others or not set(others) <= METALLOIDS | {"H"}:
        return None
    saline = [s for s in metals if s in SALINE]
    if saline and (len(metals) > 1 or len(others) > 1) and not any(map(open_d_shell, metals)):
        return Evidence({"ionic": 0.8, "covalent": 0.2}, [f"{saline[0]} cations with complex hydride anions"])
    if saline:
        ionic = ionic_share(saline[0], "H")
        shares = {"ionic": 0.35 + 0.65 * ionic, "covalent": 0.65 * (1 - ionic)}
        return Evidence(shares, [f"saline hydride: {saline[0]} is far more electropositive than hydrogen"])
    if all(map(open_d_shell, metals)):
        shares = {"metal": 0.75, "alloy": 0.15, "covalent": 0.1}
        return Evidence(shares, ["hydrogen in the interstices of a transition metal: it stays metallic"])
    shares = {"covalent": 0.6, "molecular": 0.2, "ionic": 0.2}
    return Evidence(shares, [f"{metals[0]} and hydrogen are near in electronegativity: bridges of shared electrons"])


def _interstitial(amounts: dict[str, float], metals: list[str], others: list[str]) -> Evidence | None:
    """Borides, and carbides and nitrides of transition metals (Haegg, Z. phys. Chem. B 12 (1931) 33)."""
    shares = {"metal": 0.6, "covalent": 0.25, "alloy": 0.15}
    if set(others) == {"B"}:
        return Evidence(shares, ["boron makes strong bonds among itself in a metal that stays a conductor"])
    if not set(others) <= {"B", "C", "N"} or not all(map(open_d_shell, metals)):
        return None
    if set(others) == {"N"} and not set(metals) & ACTINIDES:
        given = 3 * amounts["N"]
        held = sum(group(s) * amounts[s] for s in metals)
        if abs(given - held) < 1e-3 * given:
            return None  # all valence electrons are in nitride ions: an insulator
    text = f"small {' and '.join(others)} atoms in the interstices of a transition metal, whose d electrons conduct"
    return Evidence(shares, [text])


def _metalloid_partner(amounts: dict[str, float], metals: list[str], others: list[str], anion: str) -> Evidence | None:
    """Silicides, germanides, pnictides, tellurides: intermetallic unless the octet rule makes a semiconductor."""
    if anion not in METALLOIDS | {"P"} or anion == "B":
        return None
    if all(group(s) == 14 for s in amounts):
        metallic = sum(amounts[s] for s in metals) / sum(amounts.values())
        shares = {"covalent": 0.65 * (1 - metallic), "alloy": 0.35, "metal": 0.65 * metallic}
        return Evidence(shares, [f"{' and '.join(amounts)} have the same valence and mix on one lattice"])
    if {group(s) for s in amounts} == {15}:
        shares = {"alloy": 0.5, "metal": 0.3, "covalent": 0.2}
        return Evidence(shares, [f"{' and '.join(amounts)}: semimetals of the same valence, in solid solution"])
    d_metal = any(map(open_d_shell, metals))
    octet = balanced(amounts, mixed_valence=False)
    full = bool(octet) and all(octet[s] in (group(s) - 18, group(s) - 10, group(s) - 12) for s in others if octet)
    if anion == "Te" and balanced(amounts, rare=True, mixed_valence=False):
        return None
    if full and not d_metal:
        ionic = max(ionic_share(s, anion) for s in metals)
        reason = f"filled shells by the octet rule (Mooser and Pearson): a semiconductor of {'-'.join(amounts)} bonds"
        shares = {"covalent": 1 - ionic, "ionic": ionic}
        found = Evidence(shares, [reason])
        return found.mixed({"alloy": 0.25}, "a Zintl phase") if set(metals) & SALINE else found
    shares = {"alloy": 0.5, "metal": 0.3, "covalent": 0.2}
    if set(metals) & SALINE and not d_metal:
        shares = {"alloy": 0.45, "ionic": 0.25, "covalent": 0.2, "metal": 0.1}
        return Evidence(shares, [f"{anion} takes electrons and bonds to itself (Zintl phase)"])
    if anion == "P":
        shares = {"metal": 0.5, "covalent": 0.3, "alloy": 0.2}
    return Evidence(shares, [f"{anion} and metals without a filled octet: an intermetallic that conducts"])


def _ionic_or_covalent(amounts: dict[str, float], metals: list[str], others: list[str], anion: str) -> Evidence:
    """By the electronegativity difference of metal and anion at the line between six and four neighbours."""
    shares = {s: ionic_share(s, anion) for s in metals}
    whole = sum(amounts[s] for s in metals)
    ionic = sum(shares[s] * amounts[s] for s in metals) / whole
    if set(metals) & SALINE:  # the most electropositive cations decide; the others belong to the anion's frame
        ionic = 0.7 * max(shares.values()) + 0.3 * ionic
    widest = max(metals, key=lambda s: electronegativity_difference(s, anion))
    difference = electronegativity_difference(widest, anion)
    text = f"the {widest}-{anion} bond is {100 * pauling_ionicity(difference):.0f} % ionic (Pauling)"
    text += f"; electronegativity difference {difference:.2f}"
    reasons = [text]
    named = anion_in(amounts)
    if named or (len(others) > 1 and set(metals) & SALINE):
        ionic = max(ionic, 0.9)
        reasons.append(f"a salt with {named} ions" if named else f"{widest} cations with complex anions")
    found = Evidence({"ionic": ionic, "covalent": 1 - ionic}, reasons)
    states = balanced(amounts, rare=True)
    if states is None and any(map(open_d_shell, metals)) and not named:
        return found.mixed({"metal": 0.35}, "no known oxidation states make it neutral: it may conduct")
    if states is not None:
        text = ", ".join(f"{s}{charge:+g}" for s, charge in states.items())
        return Evidence(found.shares, [*reasons, f"neutral with {text}"])
    return found
