"""Rules: reach and repulsion of the potential, and how good it must be."""

from __future__ import annotations

from mlip_autopipec.config.bonds import shortest_bonds_angstrom, usual_bond_angstrom
from mlip_autopipec.config.full import Training
from mlip_autopipec.config.rules import FOLLOWS, OURS, Known, rule

MEASURED = "measured in this project on silicon"
ZBL = "Ziegler, Biersack and Littmark (1985); measured in this project: it must end below 0.75 of the shortest bond"
CUTOFF_MIN_ANGSTROM, CUTOFF_MAX_ANGSTROM = (
    5.0,
    9.0,
)  # layers are 3.4 A apart; beyond 9 A neighbours cost much
BONDS_PER_CUTOFF = {"molecular": 2.0}


@rule("training.cutoff_angstrom", MEASURED)
def cutoff_of_2_35_bonds(known: Known) -> tuple[float, str]:
    bond, what = usual_bond_angstrom(known.amounts, known.classes)
    factor = BONDS_PER_CUTOFF.get(known.main_class, 2.35)
    wanted = factor * bond
    lowest = 5.5 if known.main_class == "ionic" else CUTOFF_MIN_ANGSTROM
    highest = 7.0 if known.main_class == "molecular" else CUTOFF_MAX_ANGSTROM
    cutoff = min(highest, max(lowest, wanted))
    limit = "" if cutoff == wanted else f", kept between {lowest:g} and {highest:g} A"
    return round(cutoff, 1), f"{factor:g} x {bond:.2f} A ({what}){limit}; test errors are flat around it"


# Finer in distance than in angles, and in angles than in what three neighbours do: a stiff bond fills a small part of
# the cutoff, and functions of pairs are few.
MOLECULAR_DEGREES = [
    [8, 6, 4],
    [14, 6, 4],
    [20, 6, 4],
    [24, 8, 4],
    [24, 10, 4],
    [25, 12, 8],
    [25, 16, 10],
    [25, 20, 14],
]
MOLECULAR_CUTOFF_FACTORS = [0.7, 0.85, 1.0]
WATER = (
    "measured in this project, 40 cells of water: 867 meV/A with 8 6 4 at 6 A, 364 with 16 6 4, 123 at 4.5 A; 68 cells "
    "at 4 A: 93 with 16 8 6 (326 functions), 83 with 24 8 4 (286), 70 with 24 10 4 (332)"
)


@rule("training.degrees", WATER)
def bases_finer_in_distance_for_molecules(known: Known) -> tuple[list[list[int]], str]:
    if known.main_class == "molecular":
        return MOLECULAR_DEGREES, "stiff bonds: pairs get more radial functions before angles get more of theirs"
    return Training.model_fields[
        "degrees"
    ].default, "the usual ladder; the largest that the data carry is not always best"


@rule("training.cutoff_factors", WATER)
def shorter_cutoffs_tried_for_molecules(known: Known) -> tuple[list[float], str]:
    if known.main_class == "molecular":
        return (
            MOLECULAR_CUTOFF_FACTORS,
            "held-out trajectories choose: a short cutoff resolves bonds, a long one contacts",
        )
    return Training.model_fields["cutoff_factors"].default, "the cutoff as it is"


def _shortest(known: Known) -> tuple[str, float]:
    bonds = shortest_bonds_angstrom(known.amounts, known.classes)
    pair = min(bonds, key=lambda name: bonds[name])
    return pair, bonds[pair]


@rule("training.zbl_outer_angstrom", ZBL)
def zbl_ends_below_the_bonds(known: Known) -> tuple[float, str]:
    pair, bond = _shortest(known)
    others = (
        "; one number for all pairs: the fit itself repels where bonds are longer" if len(known.amounts) > 1 else ""
    )
    return round(0.72 * bond, 3), f"0.72 of the shortest bond ({pair}, {bond:.2f} A), which is left to the data{others}"


@rule("training.zbl_inner_angstrom", ZBL)
def zbl_is_whole_at_half_a_bond(known: Known) -> tuple[float, str]:
    pair, bond = _shortest(known)
    return round(0.45 * bond, 3), f"0.45 of the shortest bond ({pair}, {bond:.2f} A): no data there"


@rule("sampling.soap_cutoff_angstrom", FOLLOWS)
def soap_sees_what_the_potential_sees(known: Known) -> tuple[float, str]:
    return float(known["training.cutoff_angstrom"]), "the potential's cutoff"


@rule("validation.lattice_constant_relative_max", OURS)
def lattice_constant_by_stiffness(known: Known) -> tuple[float, str]:
    if known.main_class == "noble":
        return 0.01, "soft: a meV/atom moves the minimum far"
    if known.main_class == "molecular":
        return 0.003, "bonds of one molecule, all scaled alike: they are stiff; nothing between molecules is tested"
    return 0.003, "better than functionals differ from each other"


@rule("validation.bulk_modulus_relative_max", OURS)
def bulk_modulus_by_stiffness(known: Known) -> tuple[float, str]:
    if known.main_class == "noble":
        return 0.2, "soft: noise of the labels alone changes it by a tenth"
    if known.main_class == "molecular":
        return 0.05, "stiffness of one molecule's bonds, all scaled alike; nothing between molecules is tested"
    return 0.05, "what experiments differ by"
