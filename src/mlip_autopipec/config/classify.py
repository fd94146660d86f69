"""What kind of material a formula is: a weighted answer with its reasons.

Evidence is combined, never looked up by formula: which of the elements are metals, the difference of their
electronegativities (bonding.py), charge neutrality (charges.py), whether the coordination that radii ask for is closed
by the atoms that the formula gives, polyatomic ions (ions.py), known molecules (molecules.py).
docs/classification.md says how, and how often an expert agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mlip_autopipec.config import bonds_of_metals, bonds_of_nonmetals
from mlip_autopipec.config.elements import METALLOIDS, NOBLE_GASES, is_metal
from mlip_autopipec.config.evidence import Evidence
from mlip_autopipec.config.formulas import is_alloy_fraction
from mlip_autopipec.config.ions import polyatomic_salt

CLASSES = ("metal", "alloy", "ionic", "covalent", "molecular", "noble")
SECOND_CLASS_WEIGHT = 0.25  # a further class of at least this weight is used, too
SHOWN_FROM_WEIGHT = 0.01


@dataclass(frozen=True)
class Weight:
    """One class and how well it fits.

    Attributes:
        material_class: one of CLASSES.
        weight: 0 to 1; all weights sum to 1.
        reasons: in words; all weights of one answer carry the same, which explain the whole of it.
    """

    material_class: str
    weight: float
    reasons: list[str] = field(default_factory=list)


def classify(amounts: Mapping[str, float]) -> list[Weight]:
    """Material classes of a composition, the most fitting first, with weights that sum to 1.

    Args:
        amounts: of each element (composition.parse_composition).
    """
    evidence = _evidence(dict(amounts))
    least = SHOWN_FROM_WEIGHT * sum(evidence.shares.values())
    shares = {name: share for name, share in evidence.shares.items() if share >= least}
    whole = sum(shares.values())
    ranked = sorted(shares, key=lambda name: (-shares[name], CLASSES.index(name)))
    return [Weight(name, shares[name] / whole, list(evidence.reasons)) for name in ranked]


def classes(weights: Sequence[Weight]) -> list[str]:
    """The classes used: the first, and others of at least SECOND_CLASS_WEIGHT."""
    return [w.material_class for n, w in enumerate(weights) if n == 0 or w.weight >= SECOND_CLASS_WEIGHT]


def _evidence(amounts: dict[str, float]) -> Evidence:
    noble = [s for s in amounts if s in NOBLE_GASES]
    if noble:
        return _with_noble_gas(amounts, noble)
    salt = polyatomic_salt(amounts)
    if salt:
        return Evidence({"ionic": 0.9, "molecular": 0.1}, [f"a salt of {salt}"])
    metals = [s for s in amounts if is_metal(s)]
    judge: Callable[[dict[str, float]], Evidence]
    if len(amounts) == 1:
        judge = bonds_of_metals.element if metals else bonds_of_nonmetals.element
    elif len(metals) == len(amounts):
        judge = bonds_of_metals.metals_alone
    elif metals:
        judge = bonds_of_metals.with_nonmetals
    else:
        judge = bonds_of_nonmetals.compound
    return _with_shared_sites(amounts, judge(amounts))


def _with_noble_gas(amounts: dict[str, float], noble: list[str]) -> Evidence:
    rest = {s: n for s, n in amounts.items() if s not in noble}
    if not rest:
        return Evidence({"noble": 1.0}, [f"{', '.join(noble)}: closed shells, held by dispersion alone"])
    if not any(is_metal(s) or s in METALLOIDS for s in rest):
        return Evidence({"molecular": 0.9, "noble": 0.1}, [f"{noble[0]} bound to nonmetals makes small molecules"])
    host = _evidence(rest)
    return host.mixed({"noble": 0.3}, f"{', '.join(noble)} keeps its closed shell")


def _with_shared_sites(amounts: dict[str, float], evidence: Evidence) -> Evidence:
    known = evidence.shares.get("alloy", 0.0) >= SECOND_CLASS_WEIGHT * sum(evidence.shares.values())
    if len(amounts) == 1 or not is_alloy_fraction(amounts) or known or evidence.first == "molecular":
        return evidence
    return evidence.mixed({"alloy": 0.3}, "fractions: sites are shared or partly empty, as in an alloy")
