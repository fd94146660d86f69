"""Source `prototypes`: the formula's elements on the sites of known structure types."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache, reduce
from itertools import permutations
from math import gcd, lcm
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii, reference_states
from ase.spacegroup import crystal

from mlip_autopipec.config.elements import NOBLE_GASES
from mlip_autopipec.errors import DataError, nearest
from mlip_autopipec.frames import closest_contact, new_frame
from mlip_autopipec.structures.cells import primitive
from mlip_autopipec.structures.matching import same_structure
from mlip_autopipec.structures.prototype_table import TABLE, Prototype
from mlip_autopipec.structures.task import Task

_LARGEST_DENOMINATOR = 30
_NONMETALS = frozenset((*"HBCNOFPSI", "He", "Ne", "Si", "Cl", "Ar", "Ge", "As", "Se", "Br", "Kr", "Te", "Xe"))
_ATOMS_OF_A_CELL = {"sc": 1, "fcc": 4, "bcc": 2, "hcp": 2}


def prototypes(task: Task) -> list[Atoms]:
    """Unrelaxed primitive cells of all prototypes in `settings.prototypes` that the formula can have.

    Elements of equal amount are tried on each other's sites, where that makes another crystal.

    Raises:
        DataError: no prototype holds this formula.
    """
    frames: list[Atoms] = []
    for name in task.settings.prototypes:
        made: list[Atoms] = []
        for prototype in _named(name):
            for elements in assignments(prototype, task.amounts):
                atoms = build(prototype, elements)
                if not any(same_structure(atoms, other) for other in made):
                    made.append(atoms)
        for atoms in made:
            origin = f"prototype {name} {atoms.info['sites']}"
            frames.append(new_frame(atoms, origin=origin, config_type="crystal", prototype=name))
    if not frames:
        ratio = ":".join(map(str, integer_ratio(task.amounts).values()))
        raise DataError(f"none of the prototypes {', '.join(task.settings.prototypes)} holds {ratio} atoms")
    return frames


def skipped(task: Task) -> dict[str, str]:
    """The prototypes in the settings that the formula cannot have, each with the reason."""
    reasons = {}
    for name in task.settings.prototypes:
        known = _named(name)
        if not known:
            reasons[name] = "no such prototype." + nearest(name, [p.name for p in TABLE])
        elif not any(assignments(p, task.amounts) for p in known):
            ratios = " or ".join(":".join(map(str, _counts(p).values())) for p in known)
            reasons[name] = f"holds {ratios} atoms, which {task.composition} has not"
    return reasons


def integer_ratio(amounts: Mapping[str, float]) -> dict[str, int]:
    """The amounts as the smallest integers (fractions are taken to 1/30).

    >>> integer_ratio({"Al": 0.5, "O": 0.75})
    {'Al': 2, 'O': 3}
    """
    total = sum(amounts.values())
    parts = {e: Fraction(a / total).limit_denominator(_LARGEST_DENOMINATOR) for e, a in amounts.items()}
    common = lcm(*(part.denominator for part in parts.values()))
    whole = {e: max(1, int(part * common)) for e, part in parts.items()}
    divisor = reduce(gcd, whole.values())
    return {e: n // divisor for e, n in whole.items()}


def assignments(prototype: Prototype, amounts: Mapping[str, float]) -> list[dict[str, str]]:
    """All ways (letter: element) to put the elements on the sites so that the amounts come out right."""
    counts, ratio = _counts(prototype), integer_ratio(amounts)
    if sorted(counts.values()) != sorted(ratio.values()):
        return []
    ways = (dict(zip(counts, order, strict=True)) for order in permutations(ratio))
    return [way for way in ways if all(ratio[element] == counts[letter] for letter, element in way.items())]


def build(prototype: Prototype, elements: Mapping[str, str]) -> Atoms:
    """The primitive cell with these elements; `info['sites']` says which letter is which.

    The lengths follow from the atoms' volumes in their own crystals if all are metals or noble gases, which have no
    bonds, else from the covalent radii (Cordero 2008): the closest pair is as far apart as the sum of its radii.
    """
    atoms = primitive(_conventional(prototype, elements))
    _set_volume(atoms, atomic_volume(atoms.get_chemical_symbols()))
    if _NONMETALS.intersection(elements.values()) and not NOBLE_GASES.issuperset(elements.values()):
        ratio, _ = closest_contact(atoms)
        atoms.set_cell(atoms.cell.array / ratio, scale_atoms=True)
    atoms.info["sites"] = " ".join(f"{letter}={element}" for letter, element in elements.items())
    return atoms


def atomic_volume(symbols: list[str]) -> float:
    """Estimated volume (A^3) per atom: the mean over the elements' own crystals (Zen's law).

    Elements whose crystal ASE's table does not hold as sc, fcc, bcc or hcp count as spheres of 1.1 times their covalent
    radius, close-packed.
    """
    return float(np.mean([_element_volume(symbol) for symbol in symbols]))


def _element_volume(symbol: str) -> float:
    number = atomic_numbers[symbol]
    state: dict[str, Any] = dict(reference_states[number] or {})
    lattice = state.get("symmetry", "")
    if lattice in _ATOMS_OF_A_CELL and "a" in state:
        volume = float(state["a"]) ** 3
        if lattice == "hcp":
            volume *= float(state["c/a"]) * np.sqrt(3) / 2
        return volume / _ATOMS_OF_A_CELL[lattice]
    return float((2.2 * covalent_radii[number]) ** 3 / np.sqrt(2))


def _set_volume(atoms: Atoms, per_atom: float) -> None:
    factor = (per_atom * len(atoms) / atoms.get_volume()) ** (1 / 3)
    atoms.set_cell(atoms.cell.array * factor, scale_atoms=True)


def _named(name: str) -> list[Prototype]:
    """The types of this name; L10 and L1_0 are the same."""
    return [prototype for prototype in TABLE if prototype.name.replace("_", "") == name.replace("_", "")]


def _sites(prototype: Prototype) -> tuple[list[str], list[list[float]]]:
    words = [site.split() for site in prototype.sites.split(";")]
    return [word[0] for word in words], [[float(Fraction(x)) for x in word[1:]] for word in words]


def _conventional(prototype: Prototype, species: Mapping[str, str | int]) -> Atoms:
    """The conventional cell with a species (symbol or atomic number) for each letter, lengths as in the table."""
    letters, positions = _sites(prototype)
    cell: Atoms = crystal(
        [species[letter] for letter in letters],
        positions,
        spacegroup=prototype.space_group,
        setting=prototype.origin,
        cellpar=_cell_parameters(prototype),
        onduplicates="error",
    )
    return cell


@cache
def _counts(prototype: Prototype) -> dict[str, int]:
    """Atoms of each letter, as the smallest integers; the multiplicities follow from the space group."""
    letters, _ = _sites(prototype)
    numbers = {letter: k + 1 for k, letter in enumerate(sorted(set(letters)))}
    cell = _conventional(prototype, numbers)
    counts = {letter: int((cell.numbers == number).sum()) for letter, number in numbers.items()}
    divisor = reduce(gcd, counts.values())
    return {letter: count // divisor for letter, count in counts.items()}


def _cell_parameters(prototype: Prototype) -> list[float]:
    """Lengths (A, the first is 10) and angles (degrees) of the conventional cell."""
    group, shape = prototype.space_group, prototype.shape
    if group >= 195:
        return [10.0, 10.0, 10.0, 90.0, 90.0, 90.0]
    if group >= 75:
        return [10.0, 10.0, 10 * shape[0], 90.0, 90.0, 120.0 if 143 <= group <= 194 else 90.0]
    return [10.0, 10 * shape[0], 10 * shape[1], 90.0, shape[2] if group < 16 else 90.0, 90.0]
