"""Random structure search: random symmetric crystals, relaxed by the surrogate; the low and different ones are kept.

After AIRSS (Pickard and Needs, J. Phys.: Condens. Matter 23, 053201, 2011): few formula units, a random space group,
distances no shorter than the radii allow, a volume near that of the atoms. The crystals come from PyXtal (Fredericks et
al., Comput. Phys. Commun. 261, 107810, 2021), which puts atoms on the Wyckoff positions of the group.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import spglib
from ase import Atoms
from pyxtal.crystal import random_crystal
from pyxtal.lattice import Lattice
from pyxtal.msg import Comp_CompatibilityError, VolumeError
from pyxtal.symmetry import Group
from pyxtal.tolerance import Tol_matrix

from mlip_autopipec.config.formulas import reduced_integers
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import new_frame
from mlip_autopipec.structures.matching import SAME_CRYSTAL_ANGSTROM, same_structure
from mlip_autopipec.structures.relax import relax
from mlip_autopipec.structures.spacing import Spacing, spacing
from mlip_autopipec.structures.task import Task

FORMULA_UNITS_MAX = 4  # most known crystals have no more in the primitive cell; elements take any number of atoms
STEPS_FIRST, STEPS_THEN = 15, 25
STOP_EV_PER_ATOM = 0.5  # above the best after the first steps: far from any parent, and not relaxed further
# Wider than any energy window of parents, for relaxation is not finished; few, for each costs a full relaxation.
WINDOW_EV_PER_ATOM, SURVIVORS_MAX = 0.3, 8
TRIES_PER_CRYSTAL = 12


@dataclass(frozen=True)
class Candidate:
    """A crystal on its way: atoms, energy (eV/atom) and what it was drawn with."""

    atoms: Atoms
    energy_ev_per_atom: float
    drawn: str


def random_crystals(task: Task) -> list[Atoms]:
    """Random crystals after a short relaxation, lowest first, no two the same; prototype "random-NN".

    They lie within 0.3 eV/atom of the lowest; there are eight at most. Every frame's `origin` counts what became of all
    that were drawn. A composition of fractions, or a formula of more than `random_atoms_max` atoms, has none.

    Raises:
        DataError: not one crystal could be drawn or relaxed.
    """
    formula = formula_unit(task)
    atoms_max, number = task.settings.random_atoms_max, task.settings.random_crystals
    if not formula or sum(formula.values()) > atoms_max or number == 0:
        return []
    counts: Counter[str] = Counter()
    drawn = draw(formula, spacing(formula, task.classes), atoms_max, number, task.random("random"), counts)
    candidates = [found for start, words in drawn if (found := _relaxed(start, words, STEPS_FIRST, task, counts))]
    if candidates:
        # Where energies are steep (carbon), all but one are so far above the best this early: some go on all the same.
        stopped = "stopped far above the best"
        candidates = _near_the_best(candidates, STOP_EV_PER_ATOM, counts, stopped, least=SURVIVORS_MAX)
        candidates = _distinct(candidates, counts)
        candidates = [end for one in candidates if (end := _relaxed(one.atoms, one.drawn, STEPS_THEN, task, counts))]
    if not candidates:
        raise DataError(f"no random crystal of {task.composition} survived: {_words(counts)}")
    candidates = _distinct(_near_the_best(candidates, WINDOW_EV_PER_ATOM, counts, "above the window"), counts)
    counts["more than needed"] = max(0, len(candidates) - SURVIVORS_MAX)
    return [
        new_frame(
            one.atoms,
            origin=f"random search seed={task.seed} {one.drawn} ({_words(counts)})",
            config_type="crystal",
            prototype=f"random-{rank:02d}",
        )
        for rank, one in enumerate(candidates[:SURVIVORS_MAX], start=1)
    ]


def formula_unit(task: Task) -> dict[str, int]:
    """Smallest whole numbers of atoms in the ratio of the amounts; empty when `random_atoms_max` cannot hold them."""
    return reduced_integers(dict(task.amounts), limit=task.settings.random_atoms_max) or {}


def draw(
    formula: dict[str, int],
    room: Spacing,
    atoms_max: int,
    number: int,
    random: np.random.Generator,
    counts: Counter[str],
) -> list[tuple[Atoms, str]]:
    """At most `number` primitive cells of random space groups that differ from each other, and what drew them.

    Space groups 2 to 230 and numbers of formula units are equally likely; those that cannot hold the atoms, or only
    nearer than `room` allows, are drawn again. `counts` tells how often.
    """
    units_max = atoms_max if len(formula) == 1 else min(FORMULA_UNITS_MAX, atoms_max // sum(formula.values()))
    tolerance = Tol_matrix(
        *[(a, b, room.shortest_angstrom[a, b]) for a in formula for b in formula], prototype="atomic"
    )
    found: list[tuple[Atoms, str]] = []
    at_one_volume: list[Atoms] = []
    for _ in range(TRIES_PER_CRYSTAL * number):
        if len(found) == number:
            break
        group = Group(int(random.integers(2, 231)))
        units = int(random.integers(1, units_max + 1))
        volume = units * room.volume_angstrom3 * float(random.uniform(*room.spread))
        atoms = _symmetric(group, {s: units * n for s, n in formula.items()}, volume, tolerance, random, counts)
        if atoms is None:
            continue
        # Groups without a free coordinate give the same arrangement again and again, at other volumes.
        scaled = atoms.copy()
        edge = (len(atoms) / (units * sum(formula.values())) * units * room.volume_angstrom3 / atoms.cell.volume) ** (
            1 / 3
        )
        scaled.set_cell(atoms.cell * edge, scale_atoms=True)
        if any(same_structure(scaled, other, SAME_CRYSTAL_ANGSTROM) for other in at_one_volume):
            counts["drawn twice"] += 1
            continue
        at_one_volume.append(scaled)
        found.append((atoms, f"group={group.number} atoms={len(atoms)}"))
    counts["drawn"] = len(found)
    return found


class _FewAttempts(random_crystal):  # type: ignore[misc]
    """PyXtal's random crystal, giving up early: another group is more likely to fit than a hundredth attempt."""

    def set_crystal(self) -> None:
        self.numattempts = 0
        for _ in range(4):
            self.set_volume()
            self.set_lattice(self.lattice0)
            for _ in range(5):
                sites = self._set_coords()
                if sites:
                    self.atom_sites = sites
                    return
            self.lattice.reset_matrix()


def _symmetric(
    group: Group,
    numbers: dict[str, int],
    volume_angstrom3: float,
    tolerance: Tol_matrix,
    random: np.random.Generator,
    counts: Counter[str],
) -> Atoms | None:
    """A primitive cell with this space group (or a higher one), or None when it does not fit."""
    per_cell = group.cellsize()
    try:
        crystal = _FewAttempts(
            dim=3,
            group=group,
            species=list(numbers),
            numIons=list(numbers.values()),
            lattice=Lattice(group.lattice_type, volume_angstrom3 * per_cell, random_state=random),
            conventional=False,
            tm=tolerance,
            random_state=random,
        )
    except Comp_CompatibilityError:
        counts["group cannot hold the atoms"] += 1
        return None
    except (VolumeError, ValueError):  # no lattice of this volume
        counts["too close"] += 1
        return None
    if not crystal.valid:
        counts["too close"] += 1
        return None
    symbols = [site.specie for site in crystal.atom_sites for _ in range(site.multiplicity)]
    scaled = np.vstack([site.coords for site in crystal.atom_sites])
    atoms = Atoms(symbols, scaled_positions=scaled % 1.0, cell=crystal.lattice.matrix, pbc=True)
    primitive = spglib.find_primitive((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers))
    if primitive is None:
        counts["no primitive cell"] += 1
        return None
    cell, places, species = primitive
    return Atoms(numbers=species, scaled_positions=places, cell=cell, pbc=True)


def _relaxed(start: Atoms, drawn: str, steps: int, task: Task, counts: Counter[str]) -> Candidate | None:
    try:
        atoms, energy_ev, _ = relax(start, task.calculator, steps_max=steps)
    except DataError:
        counts["collapsed or flew apart"] += 1
        return None
    return Candidate(atoms, energy_ev / len(atoms), drawn)


def _near_the_best(
    candidates: list[Candidate], window_ev_per_atom: float, counts: Counter[str], what: str, least: int = 1
) -> list[Candidate]:
    """Those within the window of the lowest, and in any case the `least` lowest; lowest first."""
    ordered = sorted(candidates, key=lambda one: one.energy_ev_per_atom)
    limit = ordered[0].energy_ev_per_atom + window_ev_per_atom
    kept = [one for rank, one in enumerate(ordered) if rank < least or one.energy_ev_per_atom <= limit]
    counts[what] += len(ordered) - len(kept)
    return kept


def _distinct(candidates: list[Candidate], counts: Counter[str]) -> list[Candidate]:
    """One of each crystal, the lowest, in order of energy."""
    kept: list[Candidate] = []
    for one in candidates:
        if any(same_structure(one.atoms, other.atoms, SAME_CRYSTAL_ANGSTROM) for other in kept):
            counts["relaxed into another"] += 1
        else:
            kept.append(one)
    return kept


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{what}: {number}" for what, number in counts.items() if number)
