"""Bond lengths of a composition before anything was computed: what cutoffs, repulsion and displacements scale with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement, product

from ase.data import atomic_numbers
from ase.data.vdw_alvarez import vdw_radii

from mlip_autopipec.config import elements
from mlip_autopipec.config.charges import balanced

# The shortest bond that a pair of light elements makes, A: equilibrium distances of gas molecules (Huber and Herzberg,
# Constants of Diatomic Molecules, 1979; CRC Handbook, structures of polyatomic molecules).
SHORTEST_BONDS_ANGSTROM = {
    "H-H": 0.741, "B-H": 1.19, "C-H": 1.06, "H-N": 1.01, "H-O": 0.957, "F-H": 0.917, "H-P": 1.42, "H-S": 1.336,
    "Cl-H": 1.275, "H-Si": 1.48, "B-B": 1.59, "B-C": 1.49, "B-N": 1.28, "B-O": 1.204, "B-F": 1.263, "C-C": 1.20,
    "C-N": 1.153, "C-O": 1.128, "C-F": 1.27, "C-P": 1.54, "C-S": 1.535, "C-Cl": 1.64, "C-Si": 1.70, "N-N": 1.098,
    "N-O": 1.128, "F-N": 1.32, "N-P": 1.49, "N-S": 1.44, "N-Si": 1.55, "O-O": 1.207, "F-O": 1.35, "O-P": 1.43,
    "O-S": 1.42, "Cl-O": 1.47, "O-Si": 1.51, "F-F": 1.412, "P-P": 1.893, "P-S": 1.88, "S-S": 1.889, "Cl-Cl": 1.988,
    "F-P": 1.56, "F-S": 1.53, "F-Si": 1.55,
}  # fmt: skip
FEWER_NEIGHBOURS = 0.89  # a bond in fourfold coordination against sixfold (Shannon 1976: Si-O 1.61 and 1.80 A)


def simple_lattice(symbol: str) -> dict[str, float | str]:
    """Lattice of a metal, noble gas or tetrahedral element; empty for others: Se and Te stand as hcp in ASE's table."""
    lattice = elements.ground_state_lattice(symbol)
    packed = elements.is_metal(symbol) or symbol in elements.NOBLE_GASES
    return lattice if packed or lattice.get("symmetry") == "diamond" else {}


def nearest_neighbour_angstrom(symbol: str) -> float:
    """Distance of nearest neighbours in the element: of its simple lattice, else from its volume (metals) or radius.

    A metal without a simple lattice counts as closely packed at its atomic volume.
    """
    lattice = simple_lattice(symbol)
    if lattice:
        a = float(lattice["a"])
        if lattice["symmetry"] == "hcp":
            return float(min(a, a * (1 / 3 + float(lattice["c/a"]) ** 2 / 4) ** 0.5))
        per_a: dict[str, float] = {"fcc": 0.5**0.5, "bcc": 0.75**0.5, "diamond": 3**0.5 / 4, "sc": 1.0}
        return a * per_a[str(lattice["symmetry"])]
    volume = elements.atomic_volume_angstrom3(symbol)
    if volume and (elements.is_metal(symbol) or symbol in elements.NOBLE_GASES):
        return float((2**0.5 * volume) ** (1 / 3))
    return 2 * elements.covalent_radius_angstrom(symbol)


def ionic_bonds_angstrom(amounts: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """By cation and anion the sum of their ionic radii in sixfold coordination (Shannon 1976), where both are known."""
    charge = {symbol: round(q) for symbol, q in (balanced(amounts, rare=True) or {}).items()}
    found = {}
    for cation, anion in product((s for s in charge if charge[s] > 0), (s for s in charge if charge[s] < 0)):
        radii = [elements.ionic_radius_angstrom(s, charge[s]) for s in (cation, anion)]
        if all(radius is not None and radius > 0 for radius in radii):
            found[cation, anion] = sum(radius for radius in radii if radius is not None)
    return found


def shortest_bonds_angstrom(amounts: Mapping[str, float], classes: Sequence[str]) -> dict[str, float]:
    """A cautious guess of the shortest relaxed bond of every pair that can be neighbours, by name ('O-Si').

    Metals and elements: the nearest neighbours of the element, or twice the covalent radius (Cordero 2008) if that is
    less. Pairs of light elements: the shortest bond of gas molecules. Cation and anion: ionic radii at low
    coordination. In an ionic solid whose charges balance the one anion does not bond to itself: that pair is left out.
    """
    ionic = ionic_bonds_angstrom(amounts) if "ionic" in classes else {}
    nonmetals = [symbol for symbol in amounts if not elements.is_metal(symbol)]
    apart = nonmetals if classes[0] == "ionic" and ionic and len(nonmetals) == 1 else []
    found = {}
    for a, b in combinations_with_replacement(sorted(amounts), 2):
        if [a] == apart and a == b:
            continue
        if f"{a}-{b}" in SHORTEST_BONDS_ANGSTROM:
            bond = SHORTEST_BONDS_ANGSTROM[f"{a}-{b}"]
        elif a == b and (len(amounts) == 1 or elements.is_metal(a)):
            lattice = nearest_neighbour_angstrom(a)
            known = bool(simple_lattice(a))
            bond = lattice if known else min(0.9 * lattice, 2 * elements.covalent_radius_angstrom(a))
        else:
            bond = elements.covalent_radius_angstrom(a) + elements.covalent_radius_angstrom(b)
            if elements.is_metal(a) and elements.is_metal(b):
                bond = min(bond, (nearest_neighbour_angstrom(a) + nearest_neighbour_angstrom(b)) / 2)
        touching = ionic.get((a, b), ionic.get((b, a)))
        found[f"{a}-{b}"] = bond if touching is None else min(bond, FEWER_NEIGHBOURS * touching)
    return found


def usual_bond_angstrom(amounts: Mapping[str, float], classes: Sequence[str]) -> tuple[float, str]:
    """The distance that a potential's reach is measured in, and what it is.

    Elements: nearest neighbours. Metals: their mean by amount (Vegard). Ionic: the longest bond of cation and anion.
    Molecular: the contact of molecules, twice the largest van der Waals radius (Alvarez, Dalton Trans. 2013, 8617),
    that of hydrogen only when there is nothing else. Others: the mean of covalent radii.
    """
    total = sum(amounts.values())
    if classes[0] == "molecular":
        symbol = max((s for s in amounts if s != "H"), key=_vdw_radius, default="H")
        return 2 * _vdw_radius(symbol), f"contact of molecules, twice the van der Waals radius of {symbol}"
    if len(amounts) == 1:
        symbol = next(iter(amounts))
        return nearest_neighbour_angstrom(symbol), f"nearest neighbours of {symbol}"
    if classes[0] == "ionic":
        bonds = ionic_bonds_angstrom(amounts)
        if bonds:
            (cation, anion), bond = max(bonds.items(), key=lambda item: item[1])
            return bond, f"ionic radii of {cation} and {anion}"
    if all(elements.is_metal(s) or simple_lattice(s) for s in amounts):
        mean = sum(amount / total * nearest_neighbour_angstrom(s) for s, amount in amounts.items())
        return mean, "mean of the elements' nearest neighbours"
    mean = sum(amount / total * 2 * elements.covalent_radius_angstrom(s) for s, amount in amounts.items())
    return mean, "mean of covalent radii"


def _vdw_radius(symbol: str) -> float:
    """Van der Waals radius in A (Alvarez 2013); where it has none, 0.8 A above the covalent one."""
    radius = float(vdw_radii[atomic_numbers[symbol]])
    return radius if radius == radius else elements.covalent_radius_angstrom(symbol) + 0.8
