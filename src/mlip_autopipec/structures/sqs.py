"""Source `sqs`: special quasirandom structures (Zunger et al., Phys. Rev. Lett. 65, 353, 1990) made with icet.

The search is icet's (Angqvist et al., Adv. Theory Simul. 2, 1900015, 2019; objective of van de Walle et al., Calphad
42, 13, 2013): simulated annealing of the cluster vector towards that of the random alloy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.geometry import minkowski_reduce
from matscipy.neighbours import neighbour_list

from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import new_frame
from mlip_autopipec.structures.prototypes import atomic_volume
from mlip_autopipec.structures.task import Task

_SHELLS = 3
_SUPERCELLS = 5  # shapes given to the annealing
_STEPS = 4000
_SIZES_OF_LATTICE = {"fcc": 1, "bcc": 1, "hcp": 2, "diamond": 2}


def quasirandom(task: Task) -> list[Atoms]:
    """A cell of the smallest size in `settings.sqs_atoms` on every lattice, of all sizes on the first, unrelaxed.

    The small cells find out which lattice is lowest; relaxing large ones of all lattices costs minutes.

    `info` carries `sro`, the largest Warren-Cowley parameter of any pair in each of the first three shells, and
    `sro_max`, the largest of them: 0 is the random alloy.

    Raises:
        DataError: one element only, or no size has an atom for each element.
    """
    if len(task.elements) < 2:
        raise DataError("a quasirandom cell needs two elements or more")
    frames = []
    sizes = sorted(set(task.settings.sqs_atoms))
    for number, lattice in enumerate(task.settings.sqs_lattices):
        for atoms_wanted in sizes if number == 0 else sizes[:1]:
            cells = atoms_wanted // _SIZES_OF_LATTICE[lattice]
            atoms = cells * _SIZES_OF_LATTICE[lattice]
            if atoms < len(task.elements):
                continue
            counts = whole_counts(task.amounts, atoms)
            cell = _anneal(lattice, cells, counts, task)
            sro = short_range_order(cell)
            share = " ".join(f"{element} {count}/{atoms}" for element, count in counts.items())
            frames.append(
                new_frame(
                    cell,
                    origin=f"quasirandom {lattice}, {share}",
                    config_type="crystal",
                    prototype=f"SQS-{lattice}-{atoms}",
                    sro=sro,
                    sro_max=float(sro.max()),
                )
            )
    if not frames:
        raise DataError(f"no cell of {task.settings.sqs_atoms} atoms has one of each of {len(task.elements)} elements")
    return frames


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


def _anneal(lattice: str, cells: int, counts: Mapping[str, int], task: Task) -> Atoms:
    from icet import ClusterSpace  # slow to import, and only needed here
    from icet.tools.structure_generation import generate_sqs_from_supercells

    for name in ("icet", "mchammer"):
        logging.getLogger(name).setLevel(logging.WARNING)
    elements = list(counts)
    atoms = sum(counts.values())
    primitive = _primitive(lattice, atomic_volume([e for e, n in counts.items() for _ in range(n)]), elements[0])
    edge = (primitive.get_volume() / len(primitive)) ** (1 / 3)
    space = ClusterSpace(primitive, cutoffs=[2.2 * edge, 1.3 * edge], chemical_symbols=elements)
    seed = int(task.random("sqs", lattice, atoms).integers(2**31))
    found: Atoms = generate_sqs_from_supercells(
        space,
        list(_compact_supercells(primitive, cells)),
        target_concentrations={element: count / atoms for element, count in counts.items()},
        n_steps=_STEPS,
        random_seed=seed,
        optimality_weight=1.0,
    )
    return Atoms(numbers=found.numbers, positions=found.positions, cell=found.cell, pbc=True)


def _primitive(lattice: str, volume_per_atom: float, symbol: str) -> Atoms:
    atoms: Atoms = bulk(symbol, lattice, a=4.0, c=4.0 * 1.633) if lattice == "hcp" else bulk(symbol, lattice, a=4.0)
    factor = (volume_per_atom * len(atoms) / atoms.get_volume()) ** (1 / 3)
    atoms.set_cell(atoms.cell.array * factor, scale_atoms=True)
    return atoms


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
