"""Rules: sizes of cells, how far atoms and cells are moved, and how much vacuum there is."""

from __future__ import annotations

from mlip_autopipec.config.bonds import nearest_neighbour_angstrom, shortest_bonds_angstrom, usual_bond_angstrom
from mlip_autopipec.config.kinds import VACUUM_ANGSTROM
from mlip_autopipec.config.rules import FOLLOWS, Known, rule

LINDEMANN = "Lindemann, Phys. Z. 11, 609 (1910): crystals melt at 0.1 to 0.15 of the bond"
SOFT = frozenset({"molecular", "noble"})


@rule("structures.atoms_max", "cost of a label, measured with pw.x: it grows with the cube of the atoms")
def cells_as_large_as_labels_allow(known: Known) -> tuple[int, str]:
    largest_sqs = max(known["structures.sqs_atoms"], default=0)
    if known.main_class == "molecular":
        atoms = molecule_atoms(known)
        return max(48, 4 * atoms), f"clusters of four molecules of {atoms} atoms, and a small liquid"
    return max(32, largest_sqs), "cells of about 7 A; larger ones cost more than they teach a local potential"


def molecule_atoms(known: Known) -> int:
    """Atoms of the molecule, by its formula."""
    return max(1, round(sum(known.amounts.values())))


@rule("structures.condensed_molecules", "cost of a label, measured with pw.x")
def molecules_of_a_small_liquid(known: Known) -> tuple[int, str]:
    if "molecule" not in known["structures.sources"]:
        return 8, "not used: no molecules"
    atoms = 1 if known.main_class == "noble" else molecule_atoms(known)
    return min(8, max(2, known["structures.atoms_max"] // atoms)), "as many as atoms_max holds, 2 to 8"


@rule("structures.volume_strain_max", "Birch, Phys. Rev. 71, 809 (1947), with a pressure derivative of 4")
def volumes_that_cover_the_pressures(known: Known) -> tuple[float, str]:
    if known.main_class in SOFT:
        return 0.25, "bonds between molecules are soft; volumes stand for pressures: walks keep theirs"
    return (
        0.15,
        "-11 to +22 GPa at a bulk modulus of 100 GPa; volumes stand for pressures: walks keep theirs",
    )


@rule("structures.rattle_amplitudes_angstrom", LINDEMANN)
def rattles_up_to_melting(known: Known) -> tuple[list[float], str]:
    if known.main_class == "molecular":
        bonds = shortest_bonds_angstrom(known.amounts, known.classes)
        unlike = {name: bond for name, bond in bonds.items() if len(set(name.split("-"))) == 2} or bonds
        bond, what = min(unlike.values()), "the shortest bond"
    elif len(known.amounts) == 1:
        bond, what = nearest_neighbour_angstrom(next(iter(known.amounts))), "nearest neighbours"
    else:
        bond, _ = usual_bond_angstrom(known.amounts, known.classes)
        what = "the usual bond"
    fractions = [0.02, 0.05, 0.1, 0.15] if known.main_class == "covalent" else [0.02, 0.05, 0.1]
    told = ", ".join(f"{f:g}" for f in fractions)
    return [round(f * bond, 3) for f in fractions], f"{told} of {what}, {bond:.2f} A"


@rule("structures.vacuum_angstrom", FOLLOWS)
def vacuum_wider_than_the_potential_sees(known: Known) -> tuple[float, str]:
    reach = known["training.cutoff_angstrom"] * max(known["training.cutoff_factors"])
    gap = round(max(reach + 1.0, VACUUM_ANGSTROM + 1.0), 1)
    return gap, f"1 A more than the cutoff, and than the {VACUUM_ANGSTROM:g} A from which a gap counts as vacuum"
