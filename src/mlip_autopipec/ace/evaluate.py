"""Energies, forces, strain derivatives and basis projections of structures."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.ace import lanes
from mlip_autopipec.ace.basis import Basis
from mlip_autopipec.ace.lanes import List
from mlip_autopipec.ace.neighbours import Neighbours, find_neighbours, too_close
from mlip_autopipec.ace.potential import Potential
from mlip_autopipec.ace.threads import ordered

Array = NDArray[np.float64]

CHUNK = 160
"""Atoms per task at most; fixed, so that results do not depend on the number of threads."""

VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])
"""Row and column of xx, yy, zz, yz, xz, xy."""


@dataclass(frozen=True)
class Evaluation:
    """Result of a potential on a structure of N atoms.

    Attributes:
        energies: (N,) in eV.
        forces: (N, 3) in eV/Angstrom.
        strain_derivative: (6,) dE/dstrain in eV, Voigt xx, yy, zz, yz, xz, xy; divided by the volume it is ASE's
            stress, with opposite sign the virial.
    """

    energies: Array
    forces: Array
    strain_derivative: Array

    @property
    def energy(self) -> float:
        """Total energy in eV."""
        return float(self.energies.sum())


def neighbours_of(source: Potential | Basis, atoms: Atoms, skin: float = 0.0, threads: int | None = None) -> Neighbours:
    """Neighbours within the cutoffs of a potential or basis plus `skin`; see `find_neighbours` for the errors."""
    count = len(source.elements)
    cutoffs = np.array([[source.bonds[i, j].cutoff for j in range(count)] for i in range(count)])
    return find_neighbours(atoms, source.elements, cutoffs, source.spline_step, skin, threads)


def _tasks(near: Neighbours) -> list[tuple[int, NDArray[np.int64]]]:
    """(central species, atom numbers) of every task."""
    found = []
    for mu in range(len(near.cutoffs)):
        chosen = np.flatnonzero(near.central == mu)
        parts = -(-len(chosen) // CHUNK)
        size = lanes.WIDTH * -(-len(chosen) // (lanes.WIDTH * max(parts, 1)))
        found += [(mu, chosen[k : k + size]) for k in range(0, len(chosen), max(size, 1))]
    return found


def _refuse(pair: tuple[int, int], now: List) -> None:
    """Raise the error for a pair that is too close, (-1, -1): none."""
    i, j = pair
    if i < 0:
        return
    entries = range(now.start[i], now.start[i + 1])
    vectors = [now.positions[j] + now.images[now.image[e]] - now.positions[i] for e in entries if now.atom[e] == j]
    raise too_close(i, j, min(float(np.linalg.norm(v)) for v in vectors), now.shortest)


def evaluate(
    potential: Potential, atoms: Atoms, neighbours: Neighbours | None = None, threads: int | None = None
) -> Evaluation:
    """Energies per atom, forces and strain derivative; bitwise the same for any number of threads.

    Args:
        potential: B-basis or contracted form.
        atoms: the structure.
        neighbours: of this structure, when they are known and still serve.
        threads: number of threads; None: environment variable MLIP_NUM_THREADS, or 1.

    Raises:
        DataError: unknown element, positions that are not finite, atoms too close.
    """
    near = neighbours_of(potential, atoms, threads=threads) if neighbours is None else neighbours
    now = near.at(atoms)
    energies, forces, strain = np.zeros(len(atoms)), np.zeros((len(atoms), 3)), np.zeros((3, 3))

    tasks = _tasks(near)
    largest = max((int((near.start[chosen + 1] - near.start[chosen]).sum()) for _, chosen in tasks), default=0)
    # Used again by later tasks: fresh memory of this size is mapped page by page, which threads cannot do at once.
    spare: deque[tuple[NDArray[np.int32], Array]] = deque()

    def work(
        task: tuple[int, NDArray[np.int64]],
    ) -> tuple[NDArray[np.int64], tuple[int, int], tuple[NDArray[Any], ...]]:
        mu, chosen = task
        counts, virial = np.empty(len(chosen), dtype=np.int64), np.zeros((3, 3))
        try:
            other, pulls = spare.pop()
        except IndexError:
            other, pulls = np.empty(largest, dtype=np.int32), np.empty((largest, 3))
        bad = lanes.energies_forces(potential.compiled[mu], now, chosen, energies, counts, other, pulls, virial)
        return chosen, bad, (counts, other, pulls, virial)

    potential.compiled  # noqa: B018  (before the threads)
    for chosen, bad, (counts, other, pulls, virial) in ordered(work, tasks, threads):
        _refuse(bad, now)
        lanes.scatter(chosen, counts, other, pulls, forces)
        strain += virial
        spare.append((other, pulls))
    return Evaluation(energies, forces, strain[VOIGT])


def project(
    basis: Basis, atoms: Atoms, neighbours: Neighbours | None = None, threads: int | None = None
) -> list[tuple[NDArray[np.int64], Array]]:
    """Values B of the basis functions, per central species: (atom numbers (n,), values (n, functions)).

    The columns are in evaluator order, as active sets need them. Arguments and errors as `evaluate`.
    """
    near = neighbours_of(basis, atoms, threads=threads) if neighbours is None else neighbours
    blocks: list[list[Array]] = [[np.empty((0, count))] for count in basis.counts]
    for mu, _, values in project_each(basis, atoms, near, lambda _, values: values, threads):
        blocks[mu].append(values)
    return [(np.flatnonzero(near.central == mu), np.concatenate(rows)) for mu, rows in enumerate(blocks)]


def project_each(
    basis: Basis, atoms: Atoms, near: Neighbours, then: Callable[[int, Array], Array], threads: int | None = None
) -> Iterator[tuple[int, NDArray[np.int64], Array]]:
    """As `project` in parts of few atoms: (central species, atom numbers (n,), then(species, values)).

    What is not kept stays in the processor's cache, and `then` runs in the threads.
    """
    now = near.at(atoms)
    tables, plans = basis.compiled, basis.projecting

    def work(task: tuple[int, NDArray[np.int64]]) -> tuple[tuple[int, int], Array]:
        mu, chosen = task
        t, values = tables[mu], np.empty((len(chosen), basis.counts[mu]))
        bad = lanes.projections(plans[mu], t.fun_start, t.value, t.coupling, now, chosen, values)
        return bad, then(mu, values) if bad[0] < 0 else values

    tasks = _tasks(near)
    for (mu, chosen), (bad, found) in zip(tasks, ordered(work, tasks, threads), strict=True):
        _refuse(bad, now)
        yield mu, chosen, found
