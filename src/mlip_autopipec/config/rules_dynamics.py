"""Rules: temperatures and time steps of all walks."""

from __future__ import annotations

from ase.data import atomic_numbers

from mlip_autopipec.config import elements
from mlip_autopipec.config.rules import FOLLOWS, Known, rule

MELTING = "melting points: CRC Handbook; ranges: this project's choice"
STEPS = "a tenth to a twentieth of the fastest vibration's period (Allen and Tildesley, Computer Simulation of Liquids)"
HOTTEST_K = 6000.0
ALLOTROPE_K = {"P": 883.0}  # black phosphorus (CRC Handbook); the white one of the tables is a molecule

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
    alloyed = known.main_class in ("metal", "alloy") or known.classes == ["covalent", "alloy"]
    if alloyed and (metals or known.main_class == "covalent") and all(points.values()):
        mean = sum(share * (points[symbol] or 0.0) for symbol, share in known.fractions.items())
        return mean, f"mean melting point of the elements, {mean:.0f} K, a rough guide for an alloy"
    scale = BY_CLASS_K[known.main_class]
    return scale, f"{scale:g} K for {known.main_class} compounds: elements' melting points say nothing about them"


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
    if lightest == "H":
        return 0.5, "hydrogen's vibrations have a period of 9 fs"
    if atomic_numbers[lightest] < atomic_numbers["Ne"]:
        return 1.0, f"{lightest} is light"
    return 2.0, f"no element is lighter than {lightest}"


@rule("exploration.timestep_fs", STEPS)
def step_by_the_lightest_element(known: Known) -> tuple[float, str]:
    return _timestep(known)


@rule("simulation.timestep_fs", STEPS)
def same_step_by_the_lightest_element(known: Known) -> tuple[float, str]:
    return _timestep(known)
