"""Rules: temperatures and time steps of all walks."""

from __future__ import annotations

from collections.abc import Mapping

from ase.data import atomic_numbers

from mlip_autopipec.config import elements
from mlip_autopipec.config.bonding import DIAMOND_FORMERS
from mlip_autopipec.config.bonds import ionic_bonds_angstrom
from mlip_autopipec.config.charges import balanced
from mlip_autopipec.config.rules import FOLLOWS, Known, rule

MELTING = "melting points: CRC Handbook; ranges: this project's choice"
STEPS = "a tenth to a twentieth of the fastest vibration's period (Allen and Tildesley, Computer Simulation of Liquids)"
HOTTEST_K = 6000.0
ALLOTROPE_K = {"P": 883.0}  # black phosphorus (CRC Handbook); the white one of the tables is a molecule

CHARGE_MAX = 4.0  # higher charges are shared with the anions: WO3 melts like TiO2, not far above
# Melting points of 24 salts and oxides (CRC Handbook; NaCl to ZrO2) against the Coulomb energy z+ z- / r of a bond, in
# A^-1 with Shannon's radii: a power law, least squares of logarithms, within a factor of 0.67 (MgO) to 1.66 (PbCl2).
IONIC_K, IONIC_POWER = 1550.0, 0.47

# Compounds: salts and oxides melt at 800 to 3100 K, semiconductors at 800 to 3100 K, carbides and nitrides of metals
# at 1500 to 3500 K.
BY_CLASS_K = {"metal": 2000.0, "alloy": 2000.0, "ionic": 1500.0, "covalent": 1500.0, "noble": 100.0}


def scale_k(known: Known) -> tuple[float, str]:
    """The temperature (K) that walks scale with, near melting, and what it is."""
    points = {symbol: ALLOTROPE_K.get(symbol) or elements.melting_point_k(symbol) for symbol in known.amounts}
    if len(points) == 1:
        ((symbol, point),) = points.items()
        if point:
            return point, f"{symbol} melts at {point:g} K"
    metals = all(elements.is_metal(symbol) for symbol in points)
    alloyed = known.main_class in ("metal", "alloy") and metals
    if (alloyed or set(points) <= DIAMOND_FORMERS) and all(points.values()):
        mean = sum(share * (points[symbol] or 0.0) for symbol, share in known.fractions.items())
        return mean, f"mean melting point of the elements, {mean:.0f} K, a rough guide"
    coulomb = coulomb_per_angstrom(known.amounts) if known.main_class == "ionic" else None
    if coulomb:
        scale = IONIC_K * coulomb**IONIC_POWER
        told = f"from charges and radii of the ions, z+ z- / r = {coulomb:.2f} per A"
        if "covalent" in known.classes and scale > BY_CLASS_K["covalent"]:
            scale, told = BY_CLASS_K["covalent"], f"{told}, and no more than for covalent compounds, which it also is"
        return scale, f"about {scale:.0f} K, {told}; melting points lie at 0.7 to 1.6 of that"
    scale = BY_CLASS_K[known.main_class]
    return scale, f"{scale:g} K for {known.main_class} compounds: elements' melting points say nothing about them"


def coulomb_per_angstrom(amounts: Mapping[str, float]) -> float | None:
    """Mean of z+ z- / r over the pairs of cation and anion, by their amounts, in 1/A; None if charges are unknown."""
    charges = balanced(amounts, rare=True) or {}
    pairs = [
        (amounts[cation] * amounts[anion], -min(CHARGE_MAX, charges[cation]) * charges[anion] / bond)
        for (cation, anion), bond in ionic_bonds_angstrom(amounts).items()
    ]
    weight = sum(share for share, _ in pairs)
    return sum(share * value for share, value in pairs) / weight if weight else None


def _rounded(temperature_k: float) -> float:
    step = 50 if temperature_k >= 300 else 10 if temperature_k >= 50 else 5
    return float(max(step, step * round(temperature_k / step)))


def _around(scale: float, fractions: list[float]) -> list[float]:
    """Temperatures in K, rounded and all different; the lowest is room temperature where that is well below melting."""
    lowest = [300.0] if scale > 700 else [_rounded(0.3 * scale)]
    hotter = [min(HOTTEST_K, _rounded(fraction * scale)) for fraction in fractions]
    return list(dict.fromkeys(sorted(lowest + hotter)))


@rule("exploration.temperatures_k", MELTING)
def walks_from_cold_to_molten(known: Known) -> tuple[list[float], str]:
    if known.main_class == "molecular":
        return [100.0, 200.0, 300.0, 500.0], "molecules must not break: no melting point is used"
    scale, why = scale_k(known)
    return _around(scale, [0.5, 0.9, 1.3]), f"0.5, 0.9 and 1.3 of it and a cold one: {why}"


@rule("simulation.temperatures_k", FOLLOWS)
def simulations_where_walkers_were(known: Known) -> tuple[list[float], str]:
    return list(known["exploration.temperatures_k"]), "the temperatures of the exploration"


@rule("test.temperatures_k", FOLLOWS)
def tests_below_the_hottest_walk(known: Known) -> tuple[list[float], str]:
    temperatures = sorted(known["exploration.temperatures_k"])
    return temperatures[:-1] or temperatures, "the exploration's without the hottest, which is there to see much"


@rule("structures.melt_temperature_k", MELTING)
def melts_are_made_at_twice_the_melting_point(known: Known) -> tuple[float, str]:
    if known.main_class == "molecular":
        return 400.0, "hot enough for a liquid of whole molecules"
    scale, why = scale_k(known)
    return min(HOTTEST_K, max(20.0, _rounded(2 * scale))), f"twice it, to melt within a picosecond: {why}"


def _timestep(known: Known) -> tuple[float, str]:
    lightest = min(known.amounts, key=lambda symbol: atomic_numbers[symbol])
    step = elements.md_timestep_fs(known.amounts)
    if lightest == "H":
        return step, "hydrogen's vibrations have a period of 9 fs"
    return step, f"{lightest} is light" if step < 2 else f"no element is lighter than {lightest}"


@rule("exploration.timestep_fs", STEPS)
def step_by_the_lightest_element(known: Known) -> tuple[float, str]:
    return _timestep(known)


@rule("simulation.timestep_fs", STEPS)
def same_step_by_the_lightest_element(known: Known) -> tuple[float, str]:
    return _timestep(known)
