"""Rules: where the parents of all structures come from."""

from __future__ import annotations

from mlip_autopipec.config import composition, hosts, molecules
from mlip_autopipec.config.bonding import DIAMOND_FORMERS
from mlip_autopipec.config.bonds import simple_lattice
from mlip_autopipec.config.rules import OURS, Known, rule
from mlip_autopipec.config.sites import collapsed, shared_sites
from mlip_autopipec.config.structure_types import bonding, formula_numbers, types_of
from mlip_autopipec.errors import ConfigError

CRYSTALS = "structure types of the AFLOW library (Mehl et al., Comput. Mater. Sci. 136, S1 (2017))"
SQS = "Zunger et al., Phys. Rev. Lett. 65, 353 (1990)"
AIRSS = "Pickard and Needs, J. Phys.: Condens. Matter 23, 053201 (2011)"

UNCERTAIN = frozenset({"B", "P", "S", "Se", "Mn", "Pu", "Np", "Pa"})  # their ground states have large or odd cells
SQS_SMALL, SQS_LARGE = (16, 12, 10, 8, 14), (24, 20, 30, 32, 28, 36)  # sizes, the preferred ones first
SHARED_SMALL, SHARED_LARGE = (10, 20, 16), (26, 36, 32)  # atoms of cells with shared sublattices: from, to, best
RANDOM_ATOMS, RANDOM_ATOMS_ALONE = 20, 28  # largest cells of the search; where no structure type is listed


@rule("structures.sources", OURS)
def parents_from_what_is_known_of_the_material(known: Known) -> tuple[list[str], str]:
    if known["structure"]:
        if known.main_class == "molecular" and (known["molecule"] or _has_one_molecule(known)):
            return ["structure", "molecule"], "the structure given, and its molecule alone"
        return ["structure"], "the structure given is the parent"
    main, names = known.main_class, known["structures.prototypes"]
    if main == "molecular":
        return ["molecule"], "a molecule; its condensed phase is packed from it"
    if main == "noble" and len(known.amounts) > 1:
        return ["sqs"], "a mixed crystal of noble gases"
    if main == "noble":
        return ["prototypes", "molecule"], "close-packed crystals, and the atom alone for dimers and clusters"
    if shared := shared_sites(known.amounts):
        if not names:
            raise hosts.no_host(known["composition"], collapsed(shared))
        return ["sqs"], f"quasirandom cells in which {hosts.sharing(shared)}"
    hosts.refuse_what_nothing_can_hold(known["composition"], known.amounts, names, known["structures.sqs_lattices"])
    found = ["prototypes"] if names else []
    if known["structures.sqs_lattices"]:
        return [*found, "sqs"], "ordered structures of this ratio, and quasirandom cells" if found else "a random alloy"
    uncertain = len(known.amounts) == 1 and next(iter(known.amounts)) in UNCERTAIN
    compound = main == "ionic" or (main != "covalent" and hosts.has_hole_atoms(known.amounts))
    if not found or uncertain or (len(known.amounts) > 1 and compound):
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
    amounts, classes = known.amounts, known.classes
    if shared := shared_sites(amounts):
        amounts = {symbol: float(number) for symbol, number in collapsed(shared).items()}
        classes = [c for c in classes if c != "alloy"] or classes
    names = types_of(amounts, classes)
    numbers = ":".join(map(str, formula_numbers(amounts))) or "no simple ratio"
    told = f", of {composition.formula(amounts)} for the elements that share sites" if shared else ""
    return names, f"types that {classes[0]} materials of ratio {numbers} have{told}; the lowest are kept"


@rule("structures.sqs_lattices", SQS)
def lattices_of_the_random_alloy(known: Known) -> tuple[list[str], str]:
    if known.main_class == "noble" and len(known.amounts) > 1:
        return ["fcc", "hcp"], "close-packed, as the crystals of noble gases are"
    if "alloy" not in known.classes:
        return [], "not an alloy"
    if shared_sites(known.amounts):
        return [], "the sublattices of a compound are mixed, each by itself: no lattice is shared by all"
    if hosts.has_hole_atoms(known.amounts):
        return [], "H, B, C, N and O sit between metal atoms, never on their lattice"
    if set(known.amounts) <= DIAMOND_FORMERS:
        return ["diamond"], "atoms share the tetrahedral lattice"
    if bonding(known.classes) != "metal":
        return [], "cations and anions do not share a lattice: no quasirandom cells of one lattice"
    own = [simple_lattice(s).get("symmetry") for s in known.amounts]
    found = sorted(("fcc", "bcc", "hcp"), key=lambda lattice: -own.count(lattice))
    return found, "no table knows an alloy's lattice: all three are relaxed, its elements' first"


@rule("structures.sqs_atoms", SQS)
def sizes_that_can_hold_the_fractions(known: Known) -> tuple[list[int], str]:
    if known["structures.sources"] == ["sqs"] and (shared := shared_sites(known.amounts)):
        return _shared_sizes(shared)
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


def _shared_sizes(shared: dict[str, dict[str, float]]) -> tuple[list[int], str]:
    """Atoms of a small and a large cell of whole formula units whose sublattices come near their fractions."""
    unit = sum(collapsed(shared).values())

    def misfit(units: int) -> float:
        rows = [(sum(group.values()), amount) for group in shared.values() for amount in group.values()]
        return max(abs(max(1, round(units * amount)) / units - amount) / site for site, amount in rows)

    sizes, told = [], []
    for low, high, preferred in (SHARED_SMALL, SHARED_LARGE):
        offered = [n for n in range(2, high // unit + 1) if n * unit >= low] or [max(2, low // unit)]
        best = min(offered, key=lambda n: (round(misfit(n), 2), abs(n * unit - preferred)))
        sizes.append(best * unit)
        told.append(f"{best * unit} atoms: off by {100 * misfit(best):.1f} %")
    return list(dict.fromkeys(sizes)), "whole formula units whose shared sites come near the fractions; " + ", ".join(
        dict.fromkeys(told)
    )


@rule("structures.random_crystals", AIRSS)
def random_crystals_where_types_may_miss(known: Known) -> tuple[int, str]:
    if "random" not in known["structures.sources"]:
        return 0, "no random search for this material"
    listed = bool(known["structures.prototypes"])
    return (12 if listed else 24), "12 beside listed structure types, 24 without: a few seconds each"


@rule("structures.random_atoms_max", AIRSS)
def random_cells_of_two_formula_units_or_more(known: Known) -> tuple[int, str]:
    unit = sum(formula_numbers(known.amounts)) or 8
    most = RANDOM_ATOMS if known["structures.prototypes"] else RANDOM_ATOMS_ALONE
    return max(unit, min(most, max(8, 4 * unit))), f"up to four formula units, at most {most} atoms"
