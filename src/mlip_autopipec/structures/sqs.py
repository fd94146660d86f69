"""Source `sqs`: special quasirandom structures (Zunger et al., Phys. Rev. Lett. 65, 353, 1990) made with icet.

The search is icet's (Angqvist et al., Adv. Theory Simul. 2, 1900015, 2019; objective of van de Walle et al., Calphad
42, 13, 2013): simulated annealing of the cluster vector towards that of the random alloy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from math import lcm, log
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.geometry import minkowski_reduce
from matscipy.neighbours import neighbour_list

from mlip_autopipec.frames import new_frame
from mlip_autopipec.structures.sublattices import ATOMS_MAX, Lattice, lattices, small_units, unit_atoms, units_near
from mlip_autopipec.structures.task import Task

_SHELLS = 3
_SUPERCELLS = 5  # shapes given to the annealing
_STEPS = 4000


def quasirandom(task: Task) -> list[Atoms]:
    """A cell near the smallest size in `settings.sqs_atoms` on every lattice, all of one composition, unrelaxed.

    The lattices are `settings.sqs_lattices`; of a compound whose elements share sublattices (Al0.3Ga0.7As) they are
    `settings.prototypes` of the integer formula (GaAs), each element on its own sublattice.

    `info` carries `sro`, the largest Warren-Cowley parameter of any pair in each of the first three shells of a
    sublattice, `sro_max`, the largest of them (0 is the random alloy), `mixing_kb`, the ideal entropy of mixing in
    Boltzmann's constants per atom, and `sqs_lattice`.

    Raises:
        DataError: one element only, or no structure type holds the integer formula.
    """
    units = small_units(task)
    frames = []
    for lattice in lattices(task):
        whole = lcm(units, lattice.units)
        if whole * unit_atoms(lattice) <= max(ATOMS_MAX, units * unit_atoms(lattice)):
            counts = {
                one: {element: count * (whole // units) for element, count in group.items()}
                for one, group in lattice.counts(units).items()
            }
            frames.append(_frame(lattice, whole, counts, task))
    return frames


def larger(task: Task, relaxed: Sequence[Atoms]) -> list[Atoms]:
    """Cells of the other sizes in `settings.sqs_atoms` on the lattice that is lowest, unrelaxed.

    Args:
        relaxed: the cells of `quasirandom`, relaxed; they tell which lattice is lowest. Relaxing large cells of all
            lattices would take minutes.
    """
    if not relaxed:
        return []
    lowest = min(relaxed, key=lambda frame: frame.info["surrogate_ev_per_atom"])
    lattice = next(lattice for lattice in lattices(task) if lattice.key == lowest.info["sqs_lattice"])
    most = len(lowest) // unit_atoms(lattice)
    frames = []
    for atoms in sorted(set(task.settings.sqs_atoms))[1:]:
        units = units_near(lattice, atoms, above=most)
        if units > most:
            most = units
            frames.append(_frame(lattice, units, lattice.counts(units), task))
    return frames


def _frame(lattice: Lattice, units: int, counts: Mapping[str, Mapping[str, int]], task: Task) -> Atoms:
    cell = _anneal(lattice, units // lattice.units, counts, task)
    mixed = [group for group in counts.values() if len(group) > 1]
    sro = np.max(
        [short_range_order(cell[np.isin(cell.get_chemical_symbols(), list(group))]) for group in mixed], axis=0
    )
    shares = (
        " ".join(f"{element} {count}/{sum(group.values())}" for element, count in group.items())
        for group in counts.values()
    )
    return new_frame(
        cell,
        origin=f"quasirandom {lattice.key}, {'; '.join(shares)}",
        config_type="crystal",
        prototype=f"SQS-{lattice.name}-{len(cell)}",
        sqs_lattice=lattice.key,
        mixing_kb=-sum(n * log(n / sum(group.values())) for group in mixed for n in group.values()) / len(cell),
        sro=sro,
        sro_max=float(sro.max()),
    )


def short_range_order(atoms: Atoms) -> np.ndarray:
    """Largest Warren-Cowley parameter |1 - P(b near a) / c_b| over the pairs of elements a != b, by shell.

    Args:
        atoms: atoms on an undistorted lattice.

    Returns:
        Array (3,): first to third shell (Cowley, Phys. Rev. 77, 669, 1950).
    """
    reach = 3.0 * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    first, second, distance = neighbour_list("ijd", atoms, cutoff=reach)
    edges = _shell_edges(distance)
    numbers = sorted(set(atoms.numbers))
    worst = np.zeros(_SHELLS)
    for shell in range(_SHELLS):
        inside = (distance > edges[shell]) & (distance < edges[shell + 1])
        a, b = atoms.numbers[first[inside]], atoms.numbers[second[inside]]
        for one in numbers:
            for other in numbers:
                if one != other:
                    found = np.mean(b[a == one] == other)
                    expected = np.mean(atoms.numbers == other)
                    worst[shell] = max(worst[shell], abs(1 - found / expected))
    return worst


def _shell_edges(distances: np.ndarray) -> list[float]:
    ordered = np.sort(distances)
    ends = ordered[:-1][np.diff(ordered) > 0.01 * ordered[0]]
    return [0.0, *(float(end) * 1.002 for end in ends[:_SHELLS])]


def _anneal(lattice: Lattice, cells: int, counts: Mapping[str, Mapping[str, int]], task: Task) -> Atoms:
    from icet import ClusterSpace  # slow to import, and only needed here
    from icet.tools.structure_generation import generate_sqs_from_supercells

    for name in ("icet", "mchammer"):
        logging.getLogger(name).setLevel(logging.WARNING)
    primitive = lattice.primitive
    allowed = [list(counts[symbol]) for symbol in primitive.get_chemical_symbols()]
    mixed = sum(len(elements) > 1 for elements in allowed)
    edge = (primitive.get_volume() / mixed) ** (1 / 3)
    space = ClusterSpace(primitive, cutoffs=[2.2 * edge, 1.3 * edge], chemical_symbols=allowed)
    targets: dict[str, Any] = {
        sublattice.symbol: {element: count / sum(group.values()) for element, count in group.items()}
        for sublattice in space.get_sublattices(space.primitive_structure).active_sublattices
        for group in counts.values()
        if set(group) == set(sublattice.chemical_symbols)
    }
    atoms = cells * len(primitive)
    found: Atoms = generate_sqs_from_supercells(
        space,
        list(_compact_supercells(primitive, cells)),
        target_concentrations=targets,
        n_steps=_STEPS,
        random_seed=int(task.random("sqs", lattice.key, atoms).integers(2**31)),
        optimality_weight=1.0,
    )
    return Atoms(numbers=found.numbers, positions=found.positions, cell=found.cell, pbc=True)


def _compact_supercells(primitive: Atoms, cells: int) -> Iterator[Atoms]:
    """The supercells of this many primitive cells whose shortest lattice vector is longest, from all Hermite forms.

    Of supercells with the same lengths and angles only one is given.
    """
    shapes: dict[tuple[float, ...], np.ndarray] = {}
    for matrix in _hermite_forms(cells):
        reduced, _ = minkowski_reduce(matrix @ primitive.cell.array)
        metric = reduced @ reduced.T
        lengths = np.sqrt(np.sort(np.diag(metric)))
        products = np.sort(np.abs(metric[np.triu_indices(3, 1)]))
        key = (-lengths[0], -lengths[1], lengths[2], *products)
        shapes.setdefault(tuple(round(float(value), 3) for value in key), reduced)
    for _, reduced in sorted(shapes.items(), key=lambda shape: shape[0])[:_SUPERCELLS]:
        yield make_supercell(primitive, np.rint(reduced @ np.linalg.inv(primitive.cell.array)))


def _hermite_forms(determinant: int) -> Iterator[np.ndarray]:
    """All integer matrices in Hermite normal form of this determinant: every sublattice once."""
    for a in (k for k in range(1, determinant + 1) if determinant % k == 0):
        for c in (k for k in range(1, determinant // a + 1) if (determinant // a) % k == 0):
            f = determinant // (a * c)
            for b in range(a):
                for d in range(a):
                    for e in range(c):
                        yield np.array([[a, 0, 0], [b, c, 0], [d, e, f]])
