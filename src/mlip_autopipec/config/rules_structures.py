"""Rules: where the parents of all structures come from."""

from __future__ import annotations

from mlip_autopipec.config import composition, elements, molecules
from mlip_autopipec.config.bonding import open_d_shell
from mlip_autopipec.config.bonds import simple_lattice
from mlip_autopipec.config.rules import OURS, Known, rule
from mlip_autopipec.errors import ConfigError

CRYSTALS = "structure types of the AFLOW library (Mehl et al., Comput. Mater. Sci. 136, S1 (2017))"
SQS = "Zunger et al., Phys. Rev. Lett. 65, 353 (1990)"
AIRSS = "Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011)"

# Structure types of elements beside the simple ones: their ground states and near polymorphs.
ELEMENTS = {
    "La": ["A3'"], "Pr": ["A3'"], "Nd": ["A3'"], "Pm": ["A3'"], "Ce": ["A3'"], "Am": ["A3'"], "Cm": ["A3'"],
    "Sm": ["C19"], "In": ["A6"], "Hg": ["A10"], "Ga": ["A11"], "Mn": ["A12", "A13"], "W": ["A15"], "U": ["A20"],
    "Po": ["A_h"], "Sn": ["A4", "A5"], "Bi": ["A7"],
    "C": ["A9", "A4"], "Si": ["A4", "A5"], "Ge": ["A4", "A5"], "B": ["alpha-B"], "P": ["A17", "A7"],
    "As": ["A7"], "Sb": ["A7"], "Se": ["A8", "A7"], "Te": ["A8", "A7"],
}  # fmt: skip
UNCERTAIN = frozenset({"B", "P", "S", "Se", "Mn", "Pu", "Np", "Pa"})  # their ground states have large or odd cells

# By bonding and by the formula's numbers, smallest first.
TYPES: dict[tuple[str, tuple[int, ...]], list[str]] = {
    ("metal", (1, 1)): ["L1_0", "B2", "L1_1", "B19", "B32"],
    ("metal", (1, 2)): ["C14", "C15", "C16", "C11_b", "C32"],
    ("metal", (1, 3)): ["L1_2", "D0_3", "D0_19", "D0_22", "A15"],
    ("metal", (1, 4)): ["D1_a"],
    ("metal", (1, 5)): ["D2_d"],
    ("metal", (1, 1, 1)): ["C1_b"],
    ("metal", (1, 1, 2)): ["L2_1", "XA"],
    ("metal", (12, 17)): ["A12"],
    ("ionic", (1, 1)): ["B1", "B2", "B3", "B4", "B8_1"],
    ("ionic", (1, 2)): ["C1", "C3", "C4", "C5", "C6", "C19", "C23", "C43"],
    ("ionic", (1, 3)): ["D0_9", "D0_12", "D0_18"],
    ("ionic", (2, 3)): ["D5_1", "D5_2"],
    ("ionic", (3, 4)): ["D7_2"],
    ("ionic", (1, 1, 1)): ["E0_1", "C1_b"],
    ("ionic", (1, 1, 2)): ["F5_1", "E1_1"],
    ("ionic", (1, 1, 3)): ["E2_1", "GdFeO3", "LiNbO3"],
    ("ionic", (1, 1, 4)): ["H0_4"],
    ("ionic", (1, 2, 4)): ["H1_1", "K2NiF4"],
    ("covalent", (1, 1)): ["B3", "B4", "B1"],
    ("covalent", (1, 2)): ["C1", "C4", "C6"],
    ("covalent", (2, 3)): ["C33", "D5_1"],
    ("covalent", (3, 4)): ["beta-Si3N4"],
    ("covalent", (1, 4)): ["D1_g"],
    ("covalent", (1, 1, 2)): ["E1_1"],
}
TETRAHEDRAL = ["C8", "C9", "C10", "cristobalite", "quartz"]  # AB2 with a small cation: SiO2, GeO2, BeF2
TETRAHEDRAL_ELEMENTS = frozenset({"C", "Si", "Ge", "Sn"})
SMALL_CATIONS = frozenset({"Si", "Ge", "Be"})
LAYERED_METALS = frozenset({"Mo", "W", "Nb", "Ta", "Ti", "Zr", "Hf", "V", "Re"})
SQS_SMALL, SQS_LARGE = (16, 12, 10, 8, 14), (24, 20, 30, 32, 28, 36)  # sizes, the preferred ones first


def formula_numbers(amounts: dict[str, float]) -> tuple[int, ...]:
    """The formula's whole numbers, smallest first: (1, 2) of SiO2; () when the ratio is not a simple one."""
    whole = composition.reduced_integers(amounts, limit=40)
    return tuple(sorted(whole.values())) if whole else ()


def bonding(classes: list[str]) -> str:
    """Which structure types apply: 'metal', 'ionic' or 'covalent'."""
    return "metal" if classes[0] in ("metal", "alloy") else classes[0]


def types_of(amounts: dict[str, float], classes: list[str]) -> list[str]:
    """Names of the structure types that this formula and class may have."""
    if len(amounts) == 1:
        (symbol,) = amounts
        if classes[0] == "noble":
            return ["A1", "A3"]
        if elements.is_metal(symbol):
            return list(dict.fromkeys(["A1", "A2", "A3", *ELEMENTS.get(symbol, [])]))
        return ELEMENTS.get(symbol, [])
    numbers = formula_numbers(amounts)
    found = list(TYPES.get((bonding(classes), numbers), []))
    if bonding(classes) != "metal" and "metal" in classes:
        found += TYPES.get(("metal", numbers), [])
    if bonding(classes) == "ionic" and "covalent" in classes:
        found += TYPES.get(("covalent", numbers), [])
    if bonding(classes) in ("ionic", "covalent") and numbers == (1, 2):
        found = _of_ab2(amounts, found)
    if numbers == (1, 1, 3) and set(amounts) & {"B", "C", "N"} and "O" in amounts:
        found = ["G0_1", "E2_1"]  # carbonates, nitrates, borates
    if numbers == (1, 1) and set(amounts) <= {"B", "N", "C"}:
        found = ["B_k", *found]
    transition = any(open_d_shell(symbol) for symbol in amounts)
    if numbers == (1, 1) and transition and set(amounts) & {"C", "N"}:
        found = ["B1", "B_h", *found]
    if numbers == (1, 1) and transition and set(amounts) & {"Si", "Ge", "P", "As"}:
        found = [*found, "B20", "B31"]
    if numbers == (1, 1) and set(amounts) & {"Ge", "Sn"} and set(amounts) & {"S", "Se", "O"}:
        found = ["B16", "B10", *found]
    return list(dict.fromkeys(found))


def _of_ab2(amounts: dict[str, float], usual: list[str]) -> list[str]:
    one = min(amounts, key=lambda symbol: amounts[symbol])
    two = next(symbol for symbol in amounts if symbol != one)
    if one in SMALL_CATIONS and two in ("O", "F", "S"):
        return [*TETRAHEDRAL, "C4"]
    if one in LAYERED_METALS and two in ("S", "Se", "Te"):
        return ["C7", "C6", *usual]
    return usual


@rule("structures.sources", OURS)
def parents_from_what_is_known_of_the_material(known: Known) -> tuple[list[str], str]:
    if known["structure"]:
        if known.main_class == "molecular" and (known["molecule"] or _has_one_molecule(known)):
            return ["structure", "molecule"], "the structure given, and its molecule alone"
        return ["structure"], "the structure given is the parent"
    main, names = known.main_class, known["structures.prototypes"]
    if main == "molecular":
        return ["molecule"], "a molecule; its condensed phase is packed from it"
    if main == "noble":
        return ["prototypes", "molecule"], "close-packed crystals, and the atom alone for dimers and clusters"
    found = ["prototypes"] if names else []
    if known["structures.sqs_lattices"]:
        return [*found, "sqs"], "ordered structures of this ratio, and quasirandom cells" if found else "a random alloy"
    uncertain = len(known.amounts) == 1 and next(iter(known.amounts)) in UNCERTAIN
    if not found or uncertain or (len(known.amounts) > 1 and main == "ionic"):
        return [*found, "random"], (
            "structure types of this formula, and random crystals for what they miss" if found
            else "no structure type is listed for this formula: random crystals are searched"
        )  # fmt: skip
    return found, "structure types of the element" if len(known.amounts) == 1 else "structure types of this formula"


def _has_one_molecule(known: Known) -> bool:
    try:
        molecules.molecule_of(known.amounts)
    except ConfigError:
        return False
    return True


@rule("structures.prototypes", CRYSTALS)
def prototypes_by_formula_and_class(known: Known) -> tuple[list[str], str]:
    if known["structure"] or known.main_class == "molecular":
        return [], "not asked: the structure is given" if known["structure"] else "not asked: a molecule"
    names = types_of(known.amounts, known.classes)
    numbers = ":".join(map(str, formula_numbers(known.amounts))) or "no simple ratio"
    return names, f"types that {known.main_class} materials of ratio {numbers} have; the lowest are kept"


@rule("structures.sqs_lattices", SQS)
def lattices_of_the_random_alloy(known: Known) -> tuple[list[str], str]:
    if "alloy" not in known.classes:
        return [], "not an alloy"
    if set(known.amounts) <= TETRAHEDRAL_ELEMENTS:
        return ["diamond"], "atoms share the tetrahedral lattice"
    if bonding(known.classes) != "metal":
        return [], "cations and anions do not share a lattice: no quasirandom cells of one lattice"
    own = [simple_lattice(s).get("symmetry") for s in known.amounts]
    found = sorted(("fcc", "bcc", "hcp"), key=lambda lattice: -own.count(lattice))
    return found, "no table knows an alloy's lattice: all three are relaxed, its elements' first"


@rule("structures.sqs_atoms", SQS)
def sizes_that_can_hold_the_fractions(known: Known) -> tuple[list[int], str]:
    if not known["structures.sqs_lattices"]:
        return [], "no quasirandom cells"
    sizes = [_best_size(list(known.fractions.values()), offered) for offered in (SQS_SMALL, SQS_LARGE)]
    errors = [f"{n} atoms: off by {100 * _misfit(list(known.fractions.values()), n):.1f} %" for n in sizes]
    return sizes, "a small and a large cell whose whole numbers come near the fractions; " + ", ".join(errors)


def _best_size(fractions: list[float], offered: tuple[int, ...]) -> int:
    return min(offered, key=lambda n: (round(_misfit(fractions, n), 3), offered.index(n)))


def _misfit(fractions: list[float], atoms: int) -> float:
    """Largest error of a fraction in a cell of so many atoms."""
    return max(abs(max(1, round(x * atoms)) / atoms - x) for x in fractions)


@rule("structures.random_crystals", AIRSS)
def random_crystals_where_types_may_miss(known: Known) -> tuple[int, str]:
    if "random" not in known["structures.sources"]:
        return 0, "no random search for this material"
    listed = bool(known["structures.prototypes"])
    return (12 if listed else 24), "12 beside listed structure types, 24 without: a few seconds each"


@rule("structures.random_atoms_max", AIRSS)
def random_cells_of_two_formula_units_or_more(known: Known) -> tuple[int, str]:
    unit = sum(formula_numbers(known.amounts)) or 8
    return max(unit, min(20, max(8, 4 * unit))), "up to four formula units, at most 20 atoms"
