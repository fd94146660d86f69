"""Changes to a crystal: volume, the six strains, random displacements, bonds pulled apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list

from mlip_autopipec.frames import closest_contact, new_frame
from mlip_autopipec.structures.cells import supercell
from mlip_autopipec.structures.matching import SAME_GEOMETRY_ANGSTROM, Fingerprint, fingerprint
from mlip_autopipec.structures.task import Task

VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
_REFERENCE_SHARE = 0.5  # of the structures that are made of all parents
_LARGEST_STRETCH = 0.5
_DRAWS = 5  # of displacements, until no two atoms are too close
_SMALLEST_STRETCH = 0.1


def volumes(task: Task, parents: Sequence[Atoms], number: int) -> list[Atoms]:
    """Cells at even volumes over +-`volume_strain_max`; of parents other than the reference the unstrained cell too."""
    frames = []
    limit = task.settings.volume_strain_max
    for rank, (parent, share) in enumerate(shares(crystals(parents), number)):
        cell = supercell(parent, task.settings)
        for change in _even(limit, share, with_zero=rank > 0):
            frames.append(
                new_frame(scale_volume(cell, change), origin=f"volume {change:+.4f}", config_type="volume", like=cell)
            )
    return frames


def strains(task: Task, parents: Sequence[Atoms], number: int) -> list[Atoms]:
    """Cells under the six strains of the Voigt notation, both signs, the largest first and then half of it, ...

    Strains that the crystal's symmetry makes alike are made once; smaller ones take their place.
    """
    frames = []
    for parent, share in shares(crystals(parents), number):
        cell = supercell(parent, task.settings)
        prints: list[Fingerprint] = []
        for component, amplitude in _strain_steps(task.settings.shear_strain_max, 6 * share):
            voigt = np.zeros(6)
            voigt[component] = amplitude
            strained = strain(cell, voigt)
            one = fingerprint(strained)
            if any(one.same(other, SAME_GEOMETRY_ANGSTROM) for other in prints):
                continue
            if len(prints) == share:
                break
            prints.append(one)
            frames.append(
                new_frame(
                    strained,
                    origin=f"strain {VOIGT[component]} {amplitude:+.4f}",
                    config_type="strain",
                    like=cell,
                )
            )
    return frames


def rattles(task: Task, parents: Sequence[Atoms], number: int) -> list[Atoms]:
    """Cells of random volume and strain with random displacements of the amplitudes in the settings, in turn."""
    frames = []
    settings = task.settings
    for parent, share in shares(crystals(parents), number):
        cell = supercell(parent, settings)
        random = task.random("rattles", parent.info["uid"])
        for _, amplitude in zip(range(share), cycle(settings.rattle_amplitudes_angstrom), strict=False):
            change = random.uniform(-settings.volume_strain_max, settings.volume_strain_max)
            shear = random.uniform(-settings.shear_strain_max, settings.shear_strain_max, size=6) / 2
            deformed = strain(scale_volume(cell, change), shear)
            for _ in range(_DRAWS):
                moved = rattle(deformed, amplitude, random)
                if closest_contact(moved)[0] >= settings.minimum_distance_fraction:
                    break
            origin = f"rattle {amplitude:.3f} A, volume {change:+.4f}"
            frames.append(new_frame(moved, origin=origin, config_type="rattle", like=cell))
    return frames


def bonds(task: Task, parents: Sequence[Atoms], number: int) -> list[Atoms]:
    """Cells stretched by 10 to 50 % along one direction, bonds and cell edges in turn: bonds break, surfaces form.

    The atoms are displaced by the smallest amplitude of the settings, so that the bonds need not all break at once.
    """
    frames = []
    amplitude = min(task.settings.rattle_amplitudes_angstrom)
    for parent, share in shares(crystals(parents), number):
        cell = supercell(parent, task.settings)
        random = task.random("bonds", parent.info["uid"])
        directions = cycle(_directions(cell))
        for stretch in np.linspace(_SMALLEST_STRETCH, _LARGEST_STRETCH, share + 1)[1:]:
            name, direction = next(directions)
            pulled: Atoms = cell.copy()
            tensor = np.eye(3) + stretch * np.outer(direction, direction)
            pulled.set_cell(cell.cell.array @ tensor, scale_atoms=True)
            origin = f"stretched {stretch:+.2f} along {name}"
            frames.append(
                new_frame(rattle(pulled, amplitude, random), origin=origin, config_type="bond_breaking", like=cell)
            )
    return frames


def crystals(parents: Sequence[Atoms]) -> list[Atoms]:
    """The parents that are crystals, in order."""
    return [parent for parent in parents if parent.info["config_type"] == "crystal"]


def shares(parents: Sequence[Atoms], number: int) -> Iterator[tuple[Atoms, int]]:
    """How many of `number` structures each parent gives: the reference half of them, the others even parts.

    With one parent it gives all; parents with no part are left out.
    """
    if not parents:
        return
    first = number if len(parents) == 1 else round(number * max(_REFERENCE_SHARE, 1 / len(parents)) + 0.001)
    yield parents[0], first
    rest = number - first
    for k, parent in enumerate(parents[1:]):
        part = rest // (len(parents) - 1) + (k < rest % (len(parents) - 1))
        if part:
            yield parent, part


def scale_volume(atoms: Atoms, relative_change: float) -> Atoms:
    """A copy whose volume is (1 + relative_change) times the old one, all edges scaled alike."""
    scaled: Atoms = atoms.copy()
    scaled.set_cell(atoms.cell.array * (1.0 + relative_change) ** (1 / 3), scale_atoms=True)
    return scaled


def strain(atoms: Atoms, voigt: np.ndarray) -> Atoms:
    """A copy under a symmetric strain.

    Args:
        voigt: strain components xx, yy, zz, yz, xz, xy; the last three are engineering shears (twice the tensor's).
    """
    xx, yy, zz, yz, xz, xy = np.asarray(voigt, dtype=float)
    tensor = np.array([[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]])
    strained: Atoms = atoms.copy()
    strained.set_cell(atoms.cell.array @ (np.eye(3) + tensor), scale_atoms=True)
    return strained


def rattle(atoms: Atoms, amplitude_angstrom: float, random: np.random.Generator) -> Atoms:
    """A copy with normally distributed displacements of exactly this root-mean-square length per atom (A).

    The centre of mass stays where it was.
    """
    moves = random.normal(size=(len(atoms), 3))
    if len(atoms) > 1:
        moves -= moves.mean(axis=0)
    moves *= amplitude_angstrom / np.sqrt((moves**2).sum(axis=1).mean())
    rattled: Atoms = atoms.copy()
    rattled.positions += moves
    return rattled


def _even(limit: float, number: int, *, with_zero: bool) -> list[float]:
    """Even changes from -limit to limit; zero is among them or left out."""
    if with_zero:
        if number <= 2:
            return [0.0, limit][:number]
        return [0.0, *(c for c in np.linspace(-limit, limit, number) if abs(c) > 1e-9)][:number]
    if number == 1:
        return [limit]
    changes = list(map(float, np.linspace(-limit, limit, number + number % 2)))
    if number % 2:
        del changes[number // 2]
    return changes


def _strain_steps(largest: float, number: int) -> Iterator[tuple[int, float]]:
    for k in range(number):
        turn, component = divmod(k, 6)
        yield component, largest / (1 + turn // 2) * (-1) ** turn


def _directions(cell: Atoms) -> list[tuple[str, np.ndarray]]:
    """Unit vectors along the shortest bond of every pair of elements and along the cell's edges."""
    found = [(f"edge {name}", vector / np.linalg.norm(vector)) for name, vector in zip("abc", cell.cell, strict=True)]
    reach = 3.5 * (cell.get_volume() / len(cell)) ** (1 / 3)
    first, second, distance, vectors = neighbour_list("ijdD", cell, cutoff=reach)
    done = set()
    bonded = []
    for k in np.lexsort((second, first, distance.round(3))):
        one, other = cell[int(first[k])].symbol, cell[int(second[k])].symbol
        name = "-".join(sorted((one, other)))
        if name not in done:
            done.add(name)
            bonded.append((f"bond {name}", vectors[k] / distance[k]))
    return [*bonded, *found]
