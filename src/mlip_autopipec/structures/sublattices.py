"""Lattices for quasirandom cells: which elements go on which sites, and in how many formula units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, floor, lcm

from ase import Atoms
from ase.build import bulk

from mlip_autopipec.config.composition import formula
from mlip_autopipec.config.sites import collapsed, shared_sites
from mlip_autopipec.errors import DataError
from mlip_autopipec.structures.prototypes import atomic_volume, prototypes
from mlip_autopipec.structures.task import Task

ATOMS_MAX = 48  # of the small cell of a type with a large primitive cell
_SIZES_OF_LATTICE = {"fcc": 1, "bcc": 1, "hcp": 2, "diamond": 2}


@dataclass(frozen=True)
class Lattice:
    """Sites to put the elements on.

    Attributes:
        name: word for it, fcc or B3.
        key: name and, where the elements may be placed in several ways, which of them this is.
        primitive: its primitive cell, one element standing for each sublattice.
        groups: elements and their amounts on each sublattice, by the element that stands for it.
        units: formula units in the primitive cell; of an alloy's lattice atoms.
    """

    name: str
    key: str
    primitive: Atoms
    groups: Mapping[str, Mapping[str, float]]
    units: int

    def counts(self, units: int) -> dict[str, dict[str, int]]:
        """Whole numbers of atoms on each sublattice of so many formula units."""
        return {one: whole_counts(group, units * round(sum(group.values()))) for one, group in self.groups.items()}


def of_integers(task: Task) -> Task | None:
    """The task of the integer formula of a compound whose elements share sublattices; None for other materials."""
    shared = shared_sites(task.amounts)
    if shared is None:
        return None
    amounts = {element: float(number) for element, number in collapsed(shared).items()}
    return replace(task, amounts=amounts, composition=formula(amounts))


def lattices(task: Task) -> list[Lattice]:
    """What quasirandom cells are built on.

    Raises:
        DataError: one element only, no lattice is named, or no structure type holds the integer formula.
    """
    if len(task.elements) < 2:
        raise DataError("a quasirandom cell needs two elements or more")
    shared, whole = shared_sites(task.amounts), of_integers(task)
    if shared is None or whole is None:
        if not task.settings.sqs_lattices:
            raise DataError("no lattice is named for quasirandom cells: name 'structures.sqs_lattices'")
        everything = {task.elements[0]: {e: a / sum(task.amounts.values()) for e, a in task.amounts.items()}}
        return [
            Lattice(name, name, _primitive(name, task), everything, _SIZES_OF_LATTICE[name])
            for name in task.settings.sqs_lattices
        ]
    total = sum(whole.amounts.values())
    return [
        Lattice(
            parent.info["prototype"],
            parent.info["origin"].removeprefix("prototype "),
            Atoms(numbers=parent.numbers, positions=parent.positions, cell=parent.cell, pbc=True),
            shared,
            round(len(parent) / total),
        )
        for parent in prototypes(whole)
    ]


def unit_atoms(lattice: Lattice) -> int:
    return sum(round(sum(group.values())) for group in lattice.groups.values())


def units_near(lattice: Lattice, atoms: int, above: int = 0) -> int:
    """Formula units that make whole cells of about so many atoms, more than `above` where such are near.

    Of an alloy the nearest number; of a compound, whose sublattices have fewer sites than the size promises, the one
    within 40 % whose fractions are best.
    """
    offered = [units for units in _around(lattice, atoms) if units % lattice.units == 0 and units > above]
    wanted = atoms / unit_atoms(lattice)
    return min(
        offered,
        key=lambda units: (round(_misfit(lattice, units), 2), abs(units - wanted)),
        default=lattice.units * max(1, round(wanted / lattice.units)),
    )


def _around(lattice: Lattice, atoms: int) -> list[int]:
    wanted = atoms / unit_atoms(lattice)
    if unit_atoms(lattice) == 1:
        return [lattice.units * max(1, round(wanted / lattice.units))]
    return list(range(max(1, ceil(0.6 * wanted)), max(1, floor(1.4 * wanted)) + 1))


def _misfit(lattice: Lattice, units: int) -> float:
    """Largest error of a fraction on any sublattice of so many formula units; 1 with fewer sites than elements."""
    worst = 0.0
    for group in lattice.groups.values():
        total = sum(group.values())
        sites = units * round(total)
        if sites < len(group):
            return 1.0
        found = whole_counts(group, sites)
        worst = max(worst, *(abs(found[element] / sites - amount / total) for element, amount in group.items()))
    return worst


def small_units(task: Task) -> int:
    """Formula units of the small cells, which all have one composition: those that most lattices can hold in few atoms.

    A lattice whose primitive cell holds several units gets the next common multiple. Then the fractions decide.
    """
    offered = lattices(task)
    lattice = offered[0]
    atoms = min(task.settings.sqs_atoms)
    if unit_atoms(lattice) == 1:
        common = lcm(*(one.units for one in offered))
        units = common * max(1, round(atoms / common))
    else:
        units = min(_around(lattice, atoms), key=lambda units: _price(units, offered, atoms))
    while _misfit(lattice, units) == 1.0:
        units += lcm(*(one.units for one in offered))
    return units


def _price(units: int, offered: list[Lattice], atoms: int) -> tuple[int, float, int]:
    """Lattices that cannot hold so many units, error of the fractions, how far the cells' sizes are from the wish."""
    cells = [lcm(units, lattice.units) * unit_atoms(lattice) for lattice in offered]
    fitting = [cell for cell in cells if cell <= ATOMS_MAX]
    misfit = round(_misfit(offered[0], units), 2)
    return len(cells) - len(fitting), misfit, sum(abs(cell - atoms) for cell in fitting)


def whole_counts(amounts: Mapping[str, float], atoms: int) -> dict[str, int]:
    """Whole numbers of atoms nearest to the amounts, at least one of each element (largest remainders).

    >>> whole_counts({"Al": 0.9, "Mg": 0.1}, 16)
    {'Al': 14, 'Mg': 2}
    """
    total = sum(amounts.values())
    exact = {element: amount / total * atoms for element, amount in amounts.items()}
    counts = {element: max(1, int(value + 1e-9)) for element, value in exact.items()}
    while sum(counts.values()) < atoms:
        counts[max(exact, key=lambda e: exact[e] - counts[e])] += 1
    while sum(counts.values()) > atoms:
        counts[max((e for e in counts if counts[e] > 1), key=lambda e: counts[e] - exact[e])] -= 1
    return counts


def _primitive(lattice: str, task: Task) -> Atoms:
    """The lattice with the mean of the elements' volumes, the first element on all sites."""
    symbol = task.elements[0]
    atoms: Atoms = bulk(symbol, lattice, a=4.0, c=4.0 * 1.633) if lattice == "hcp" else bulk(symbol, lattice, a=4.0)
    share = {element: amount / sum(task.amounts.values()) for element, amount in task.amounts.items()}
    volume = sum(x * atomic_volume([element]) for element, x in share.items())
    atoms.set_cell(atoms.cell.array * (volume * len(atoms) / atoms.get_volume()) ** (1 / 3), scale_atoms=True)
    return atoms
