"""Which frames are labelled together in one job, and what a job needs.

A batch is split by estimated cost, from its frames and the configuration alone, so that every process of a run comes to
the same jobs. Loads nothing heavy: the workflow's input functions call it many times.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlip_autopipec.config import magnetism, pseudopotentials
from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.labelling.cells import Cell
from mlip_autopipec.labelling.costs import LABELLER_MB, Cost, estimate, tighter

# Short batches are split further than seconds_per_job asks for, so that all cores of a machine have work, but not into
# jobs so short that their start (about 3 s) would count.
JOBS_WANTED = 64
SHORTEST_JOB_SECONDS = 10.0
JOBS_LEAST = 4  # of a batch of so many labels, however short they are thought to be
RETRIES = 2  # of a job in which the machine failed, each with more memory and time
TIME_FACTOR = 5.0  # time limit of a first try over the estimate: machines and materials differ by so much
REVIEW_RETRIES = 3  # runs that a review is given time for at first
SPARE_MINUTES = 15  # for starting, reading, writing


@dataclass(frozen=True)
class Job:
    """Frames that are labelled together, and the sum of what they cost.

    Attributes:
        names: the frames, in the order of their file.
        seconds: estimated work of all, on one core.
        longest: estimated work of the longest one.
        memory_mb: of the largest one.
        ranks: MPI ranks of each.
    """

    names: tuple[str, ...]
    seconds: float
    longest: float
    memory_mb: float
    ranks: int

    def minutes(self, settings: Labelling, attempt: int, threads: int) -> int:
        """Time limit of the job; a retry gets four times as much, the last one sixteen times, `max_seconds` at least.

        None gets more than all its labels may take.
        """
        lanes = max(1, min(threads // self.ranks, len(self.names)))
        speed = lanes * self.ranks
        at_most = math.ceil(len(self.names) / lanes) * settings.max_seconds
        at_least = self.longest / self.ranks
        wanted = 4.0 ** (attempt - 1) * TIME_FACTOR * max(self.seconds / speed, at_least)
        if attempt > RETRIES:
            wanted = max(wanted, settings.max_seconds)
        return SPARE_MINUTES + math.ceil(min(wanted, at_most) / 60)

    def mem_mb(self, attempt: int, threads: int) -> int:
        """Memory of the job; a retry gets as much again."""
        lanes = max(1, min(threads // self.ranks, len(self.names)))
        return math.ceil(attempt * max(1000.0, LABELLER_MB + lanes * (self.memory_mb - LABELLER_MB)))


def valence_electrons(settings: Labelling) -> dict[str, float]:
    """Valence electrons by element: of the pseudopotential, or by its name where it is not installed."""
    found: dict[str, float] = {}
    for symbol, name in settings.pseudopotentials.items():
        valence = pseudopotentials.valence_electrons(symbol, name, settings.pseudo_dir)
        valence = valence or magnetism.nominal_valence_electrons(symbol, name)
        if valence:
            found[symbol] = float(valence)
    return found


def costs(cells: Sequence[Cell], settings: Labelling) -> list[Cost]:
    """What each label will cost, by the law alone."""
    valence = valence_electrons(settings)
    return [estimate(cell, settings, valence) for cell in cells]


def partition(cells: Sequence[Cell], settings: Labelling) -> list[Job]:
    """The jobs of one batch.

    Labels of equally many ranks share jobs of about equal work, the longest placed first (Graham, SIAM J. Appl. Math.
    17, 416 (1969)): jobs of `seconds_per_job`, or shorter ones where the batch would be less than `JOBS_WANTED` jobs.
    A label that is longer than that has a job of its own.
    """
    found = costs(cells, settings)
    jobs: list[Job] = []
    for ranks in sorted({cost.ranks for cost in found}):
        members = [k for k, cost in enumerate(found) if cost.ranks == ranks]
        jobs += [_job(cells, found, chosen) for chosen in _bins(members, found, settings.seconds_per_job)]
    place = {cell.name: k for k, cell in enumerate(cells)}
    return sorted(jobs, key=lambda job: place[job.names[0]])


def _bins(members: list[int], found: Sequence[Cost], seconds_per_job: float) -> list[list[int]]:
    total = sum(found[k].seconds for k in members)
    length = min(seconds_per_job, max(SHORTEST_JOB_SECONDS, total / JOBS_WANTED))
    long = [k for k in members if found[k].seconds >= length]
    short = [k for k in members if found[k].seconds < length]
    number = max(math.ceil(sum(found[k].seconds for k in short) / length), min(len(short), JOBS_LEAST - len(long)))
    heap: list[tuple[float, int]] = [(0.0, k) for k in range(number)]
    bins: list[list[int]] = [[] for _ in range(number)]
    for k in sorted(short, key=lambda k: (-found[k].seconds, k)):
        filled, place = heapq.heappop(heap)
        bins[place].append(k)
        heapq.heappush(heap, (filled + found[k].seconds, place))
    return [[k] for k in long] + [sorted(one) for one in bins if one]


def _job(cells: Sequence[Cell], found: Sequence[Cost], chosen: list[int]) -> Job:
    return Job(
        names=tuple(cells[k].name for k in chosen),
        seconds=sum(found[k].seconds for k in chosen),
        longest=max(found[k].seconds for k in chosen),
        memory_mb=max(found[k].memory_mb for k in chosen),
        ranks=found[chosen[0]].ranks,
    )


def one_each(cells: Sequence[Cell], settings: Labelling) -> list[Job]:
    """A job for each label: of isolated atoms, which everything waits for."""
    found = costs(cells, settings)
    return [_job(cells, found, [k]) for k in range(len(cells))]


def atom_cells(symbols: Sequence[str], box_angstrom: float) -> tuple[Cell, ...]:
    """Isolated atoms as an estimate sees them, before their file is there."""
    return tuple(Cell(s, "", 1, {s: 1}, 1.25 * box_angstrom**3, (0.0, 0.0, 0.0), isolated_atom=True) for s in symbols)


def tighter_job(cells: Sequence[Cell], settings: Labelling) -> Job:
    """What measures the noise: the longest runs that may be drawn, one after the other."""
    found = sorted(costs(cells, tighter(settings)), key=lambda cost: cost.seconds)[-max(1, settings.noise_labels) :]
    return _one_after_the_other(found)


def retry_job(cells: Sequence[Cell], settings: Labelling) -> Job:
    """What a review may have to run again, from one starting state each: some of the longest; often it is none."""
    if settings.nspin == 1:
        return _one_after_the_other([])
    one_state = settings.model_copy(update={"magnetic_states": settings.magnetic_states[:1]})
    found = sorted(costs(cells, one_state), key=lambda cost: cost.seconds)[-REVIEW_RETRIES:]
    return _one_after_the_other(found)


def _one_after_the_other(found: Sequence[Cost]) -> Job:
    found = found or [Cost(0.0, LABELLER_MB)]
    return Job(
        names=tuple(str(k) for k in range(len(found))),
        seconds=sum(cost.seconds for cost in found),
        longest=max(cost.seconds for cost in found),
        memory_mb=max(cost.memory_mb for cost in found),
        ranks=max(cost.ranks for cost in found),
    )


def by_name(cells: Sequence[Cell], settings: Labelling) -> Mapping[str, Cost]:
    """Cost of each label by its frame's name."""
    return {cell.name: cost for cell, cost in zip(cells, costs(cells, settings), strict=True)}
