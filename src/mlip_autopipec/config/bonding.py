"""Measures of a bond that the classification weighs: ionicity, where it turns covalent, how many neighbours fit."""

from __future__ import annotations

from math import exp

from ase.data import atomic_numbers

from mlip_autopipec.config.elements import (
    ACTINIDES,
    LANTHANIDES,
    electronegativity,
    ionic_radius_angstrom,
    is_metal,
    oxidation_states,
)

_NOBLE = (2, 10, 18, 36, 54, 86, 118)
_LENGTHS = (2, 8, 8, 18, 18, 32, 32)
ALKALI = frozenset({"Li", "Na", "K", "Rb", "Cs", "Fr"})
ALKALINE_EARTH = frozenset({"Mg", "Ca", "Sr", "Ba", "Ra"})
SALINE = ALKALI | ALKALINE_EARTH  # beryllium bonds covalently (Greenwood and Earnshaw, ch. 5)
DIAMOND_FORMERS = frozenset({"C", "Si", "Ge", "Sn"})  # these mix on the sites of diamond
SOFT_ANIONS = frozenset({"S", "Se", "Te"})


def period(symbol: str) -> int:
    """Row of the periodic table: the principal quantum number of the valence shell."""
    return next(n for n, last in enumerate(_NOBLE, 1) if atomic_numbers[symbol] <= last)


def group(symbol: str) -> int:
    """Group 1 to 18 of the periodic table; 3 for the f block."""
    row = period(symbol)
    place = atomic_numbers[symbol] - (0 if row == 1 else _NOBLE[row - 2])
    left = _LENGTHS[row - 1] - place
    if place <= 2 and row > 1:
        return place
    if row == 1:
        return 1 if symbol == "H" else 18
    return max(3, 18 - left) if left <= 15 else 3


def open_d_shell(symbol: str) -> bool:
    """Transition metals of groups 3 to 10 and the f block: they bond with d (or f) electrons, too."""
    return is_metal(symbol) and 3 <= group(symbol) <= 10


def electronegativity_difference(cation: str, anion: str) -> float:
    """Difference of Pauling electronegativities; 0 when one is not known."""
    x, y = electronegativity(cation), electronegativity(anion)
    return 0.0 if x is None or y is None else abs(y - x)


def pauling_ionicity(difference: float) -> float:
    """Ionic share of a single bond, 1 - exp(-dX^2 / 4) (Pauling, The Nature of the Chemical Bond, 3rd ed., ch. 3)."""
    return 1.0 - exp(-difference * difference / 4)


def critical_difference(cation: str, anion: str) -> float:
    """Difference of electronegativity above which a crystal of the two is better called ionic than covalent.

    The line that parts sixfold (ionic) from fourfold (covalent) coordination in AB compounds falls with the mean
    principal quantum number of the valence shells (Mooser and Pearson, Acta Cryst. 12 (1959) 1015): about 1.5 for AlN
    and MgO, 1.1 for CdS and AgCl. Cations with few and loose electrons (groups 1 and 2, f block) and with an open d
    shell, which favours the octahedron, pass it earlier; metalloids form networks and pass it later. Soft 4d and 5d
    cations bond covalently to the soft anions of S, Se and Te (Pearson, J. Am. Chem. Soc. 85 (1963) 3533).
    """
    line = 2.2 - 0.28 * (period(cation) + period(anion)) / 2
    if cation in SALINE:
        return line - 0.6
    if open_d_shell(cation) and cation not in LANTHANIDES | ACTINIDES and period(cation) > 4 and anion in SOFT_ANIONS:
        return line + 0.2
    if open_d_shell(cation):
        return line - 0.5
    return line if is_metal(cation) else line + 0.35


def ionic_share(cation: str, anion: str) -> float:
    """From 0 (covalent) to 1 (ionic): a smooth step, 0.2 wide, of the electronegativity difference at its line."""
    excess = electronegativity_difference(cation, anion) - critical_difference(cation, anion)
    return 1.0 / (1.0 + exp(-excess / 0.2))


def cation_radius_angstrom(cation: str, charge: int) -> float | None:
    """Shannon's radius in A at this charge, or at the nearest one listed."""
    known = [q for q in oxidation_states(cation, rare=True) if q > 0 and ionic_radius_angstrom(cation, q) is not None]
    return ionic_radius_angstrom(cation, min(known, key=lambda q: abs(q - charge))) if known else None


def anion_radius_angstrom(anion: str) -> float | None:
    """Shannon's radius in A of the anion; N, C, H and others without one give None."""
    charges = [q for q in oxidation_states(anion) if q < 0]
    return ionic_radius_angstrom(anion, charges[0]) if charges else None


def neighbours_that_fit(cation: str, charge: int, anion: str) -> int | None:
    """Coordination number by the radius ratio (Pauling's first rule): 2, 3, 4, 6 or 8; None without radii."""
    small, large = cation_radius_angstrom(cation, charge), anion_radius_angstrom(anion)
    if small is None or large is None:
        return None
    return next(n for n, top in ((2, 0.155), (3, 0.225), (4, 0.414), (6, 0.732), (8, 99.0)) if small / large < top)
