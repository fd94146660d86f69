"""Point defects: vacancies, interstitials and antisites, each slightly rattled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from math import gcd

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from matscipy.neighbours import neighbour_list
from scipy.spatial import Voronoi, cKDTree

from mlip_autopipec.frames import new_frame
from mlip_autopipec.structures.cells import distinct_sites, supercell
from mlip_autopipec.structures.charges import same_sign
from mlip_autopipec.structures.perturb import crystals, rattle, shares
from mlip_autopipec.structures.task import Task

_ATOMS_MIN = 16  # a vacancy among fewer atoms is another crystal rather than a defect, whatever `atoms_max` says
_LARGEST_SHARE_REMOVED = 0.2  # a whole formula unit is taken out only of cells that are this much larger
_ROOM_FRACTION = 0.82  # of the sum of covalent radii: neighbours of an interstitial are pushed out to it

Change = tuple[str, Atoms]  # what was changed, in words, and the changed cell


def vacancies(task: Task, parents: Sequence[Atoms], number: int) -> list[Atoms]:
    """Cells without one atom, every kind of site in turn; of ionic crystals also without a whole formula unit.

    A formula unit taken out (Schottky defect) leaves the crystal neutral, whatever the ions' charges.
    """

    def changes(cell: Atoms, random: np.random.Generator) -> list[Change]:
        found: list[Change] = []
        for site in distinct_sites(cell):
            left = cell.copy()
            del left[site]
            found.append((f"vacancy {cell[site].symbol}, site {site}", left))
        unit = _formula_unit(cell)
        if "ionic" in task.classes and 1 < sum(unit.values()) <= _LARGEST_SHARE_REMOVED * len(cell):
            gone = [
                int(k)
                for element, count in unit.items()
                for k in random.choice(np.flatnonzero(cell.symbols == element), count, replace=False)
            ]
            left = cell.copy()
            del left[gone]
            found.insert(1, ("Schottky defect", left))
        return found

    return _defects(task, parents, number, "vacancy", changes)


def interstitials(task: Task, parents: Sequence[Atoms], number: int) -> list[Atoms]:
    """Cells with one more atom in a void (a vertex of the Voronoi cells), largest voids first, elements in turn.

    Neighbours that are nearer than 0.82 of the sum of covalent radii are pushed out to it.
    """

    def changes(cell: Atoms, _: np.random.Generator) -> list[Change]:
        found = []
        for place, radius in voids(cell)[:4]:
            for element in task.elements:
                filled = cell.copy()
                filled.append(element)
                filled.positions[-1] = place
                _push_out(filled)
                found.append((f"interstitial {element}, void of {radius:.2f} A", filled))
        return found

    return _defects(task, parents, number, "interstitial", changes)


def antisites(task: Task, parents: Sequence[Atoms], number: int) -> list[Atoms]:
    """Cells with two atoms exchanged, and in other than ionic crystals with one replaced by another element.

    In ionic crystals only ions of the same sign change places; if there are none, nothing is made.
    """
    ionic = "ionic" in task.classes

    def changes(cell: Atoms, random: np.random.Generator) -> list[Change]:
        present = sorted(set(cell.get_chemical_symbols()), key=task.elements.index)
        found: list[Change] = []
        for one, other in permutations(present, 2):
            if ionic and not same_sign(one, other, _formula_unit(cell)):
                continue
            first = int(random.choice(np.flatnonzero(cell.symbols == one)))
            second = int(random.choice(np.flatnonzero(cell.symbols == other)))
            exchanged = cell.copy()
            exchanged.numbers[[first, second]] = exchanged.numbers[[second, first]]
            found.append((f"exchanged {one} and {other}, atoms {first} and {second}", exchanged))
            if not ionic:
                replaced = cell.copy()
                replaced.symbols[first] = other
                found.append((f"antisite {other} on {one}, atom {first}", replaced))
        return found

    return _defects(task, parents, number, "antisite", changes)


def voids(atoms: Atoms) -> list[tuple[np.ndarray, float]]:
    """Places (A) farthest from all atoms and their distances (A) from the nearest one, largest first.

    They are the vertices of the Voronoi cells; of vertices with the same nearest distances by element only one is kept.
    """
    reach = 2.0 * (atoms.get_volume() / len(atoms)) ** (1 / 3) + 2.0
    repeats = np.ceil(reach / (1 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1))).astype(int)
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in repeats), indexing="ij"), axis=-1).reshape(-1, 3)
    points = (atoms.get_positions(wrap=True)[None] + (shifts @ atoms.cell.array)[:, None]).reshape(-1, 3)
    numbers = np.tile(atoms.numbers, len(shifts))
    vertices = Voronoi(points).vertices
    scaled = vertices @ np.linalg.inv(atoms.cell.array)
    vertices = vertices[((scaled > -1e-6) & (scaled < 1 - 1e-6)).all(axis=1)]
    if not len(vertices):
        return []
    near, index = cKDTree(points).query(vertices, k=min(6, len(points)))
    found: dict[tuple[object, ...], tuple[np.ndarray, float]] = {}
    for k in np.argsort(-near[:, 0].round(4), kind="stable"):
        key = tuple(sorted(zip(near[k].round(1), numbers[index[k]], strict=True)))
        found.setdefault(key, (vertices[k], float(near[k, 0])))
    return list(found.values())


def _defects(
    task: Task,
    parents: Sequence[Atoms],
    number: int,
    kind: str,
    changes: Callable[[Atoms, np.random.Generator], list[Change]],
) -> list[Atoms]:
    """`number` rattled cells, the possible changes in turn."""
    frames = []
    amplitude = min(task.settings.rattle_amplitudes_angstrom)
    settings = task.settings
    if settings.atoms_max < _ATOMS_MIN:
        settings = settings.model_copy(update={"atoms_max": 2 * _ATOMS_MIN - 1})
    for parent, share in shares(crystals(parents), number):
        cell = supercell(parent, settings, atoms_min=max(_ATOMS_MIN, settings.atoms_min))
        random = task.random(kind, parent.info["uid"])
        made: list[Change] = []
        while len(made) < share and (more := changes(cell, random)):
            made += more
        for words, changed in made[:share]:
            moved = rattle(changed, amplitude, random)
            frames.append(new_frame(moved, origin=f"{words}, rattled {amplitude:.3f} A", config_type=kind, like=cell))
    return frames


def _formula_unit(atoms: Atoms) -> dict[str, int]:
    counts = atoms.symbols.formula.count()
    divisor = gcd(*counts.values())
    return {element: count // divisor for element, count in counts.items()}


def _push_out(atoms: Atoms) -> None:
    """Move the neighbours of the last atom away from it, and theirs in turn, until there is room (30 rounds)."""
    radii = covalent_radii[atoms.numbers]
    last = len(atoms) - 1
    for _ in range(30):
        first, second, distance, vector = neighbour_list("ijdD", atoms, cutoff=2 * float(radii.max()))
        short = _ROOM_FRACTION * (radii[first] + radii[second]) - distance
        close = np.flatnonzero(short > 1e-3)
        if not len(close):
            return
        moves = np.zeros((len(atoms), 3))
        for k in close:
            share = 1.0 if first[k] == last else 0.0 if second[k] == last else 0.5
            moves[second[k]] += share * short[k] * vector[k] / max(float(distance[k]), 1e-6)
        atoms.positions += moves
