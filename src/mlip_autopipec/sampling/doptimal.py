"""D-optimal choice: the structures whose atoms together tell most about the coefficients of an ACE that is yet to be
fitted.

MaxVol picks as many environments as there are functions (Goreinov et al., 2010; for ACE Lysogorskiy et al., Phys. Rev.
Materials 7, 043801, 2023). Frames are labelled whole, and fewer or more of them are wanted than there are functions: so
what is maximised here is the volume with a ridge, log det(ridge + sum of B^T B), over frames. That is Bayesian
D-optimal design (Chaloner, Verdinelli, Statist. Sci. 10, 273, 1995), and with one atom per frame and no ridge its
greedy choice is MaxVol's first one. The gain of a frame never grows when others are chosen (it is submodular), so the
greedy choice is within 1 - 1/e of the best (Nemhauser et al., Math. Program. 14, 265, 1978) and most gains need not be
computed again (Minoux's lazy evaluation, 1978).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from mlip_autopipec.ace import Basis, BasisSpec, build_basis, project
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import uid
from mlip_autopipec.sampling.samplers import Choice, Features

Array = NDArray[np.float64]

DEGREES = ((16, 12, 8), (14, 10, 8), (12, 8, 6), (10, 7, 5), (8, 6, 4), (6, 4), (4, 3), (4, 2))
FUNCTIONS = 150
"""Functions per element at most: as many directions as a first fit can use."""
REACH = 2.4
"""Cutoff in largest bond lengths (sums of covalent radii, Cordero 2008); 2.3 to 2.5 is usual for ACE."""
CUTOFFS_ANGSTROM = (4.5, 6.5)
"""Cutoff at least and at most: molecules have short bonds and long reach."""
UNEXPLAINED = 0.05
"""Part of the atomic energies' spread that a fit leaves unexplained; makes the ridge."""
SCALED_ON = 2000
"""Frames of the pool, evenly taken, that the columns' spreads are measured on."""
CHUNK = 256
"""Frames read at a time."""
NUMBERS = 64_000_000
"""Numbers kept at a time: 256 MB. A larger pool is thinned to the best so far each time that many have come in."""


@dataclass(frozen=True)
class Piece:
    """One frame: its number in the pool, its identity and, per element, which atoms (n,) and their scaled functions
    (n, F)."""

    index: int
    uid: str
    atoms: tuple[NDArray[np.int64], ...]
    rows: tuple[NDArray[np.float32], ...]

    @property
    def numbers(self) -> int:
        """How many numbers it keeps in memory."""
        return sum(rows.size for rows in self.rows)


@dataclass(frozen=True)
class Pick:
    """A chosen frame: the information it added (nats), and the atom that added most with its leverage.

    The leverage of an atom is b M^-1 b^T over what was chosen before: about 1 and below, chosen ones tell what it does;
    far above 1, nothing like it was chosen.
    """

    piece: Piece
    gain: float
    atom: int
    leverage: float


def d_optimal(
    features: Features,
    number: int,
    *,
    seen: NDArray[Any] | None = None,
    strata: NDArray[np.int64] | None = None,
    seed: int = 0,
    per_cluster: int = 1,
    frames: Callable[[NDArray[np.int64]], list[Atoms]] | None = None,
    seen_frames: list[Atoms] | None = None,
) -> Choice:
    """The sampler `d-optimal`: needs `frames`, uses neither features (but for their number) nor chance.

    Frames of `seen_frames` count as chosen. A frame with the identity of one of them, or of another frame of the pool,
    is never chosen: fewer come back where no other is left. Time is that of reading and projecting all atoms (50 to 120
    microseconds each). Memory: 256 MB (`NUMBERS`), or twice what the wanted frames need, and what `frames` needs to
    read 2000 of them.

    Raises:
        DataError: no `frames`; a frame cannot be projected (atoms on top of one another, positions not finite).
    """
    if number < 1 or features.shape[0] == 0:
        return Choice(np.zeros(0, dtype=np.int64), [])
    if frames is None:
        raise DataError("the sampler 'd-optimal' needs the structures, not only their features")
    known = seen_frames or []
    sample = np.unique(np.linspace(0, features.shape[0] - 1, min(SCALED_ON, features.shape[0])).astype(np.int64))
    first = [atoms for part in _parts(sample) for atoms in frames(part)]
    elements = sorted({symbol for atoms in (*first, *known) for symbol in atoms.symbols})
    while True:
        basis = moderate_basis(elements)
        projector = Projector.of(basis, first)
        try:
            picks = _stream(projector, features.shape[0], number, frames, known)
        except _NewElement as met:  # rare: an element that no sampled frame holds
            elements = sorted({*elements, *met.elements})
            continue
        return Choice(
            np.array([pick.piece.index for pick in picks], dtype=np.int64),
            [_words(pick, basis) for pick in picks],
            {
                "functions": dict(zip(basis.elements, basis.counts, strict=True)),
                "cutoff_angstrom": basis.cutoff,
                "information_nats": float(sum(pick.gain for pick in picks)),
            },
        )


def moderate_basis(elements: Sequence[str]) -> Basis:
    """The largest basis of `DEGREES` with at most `FUNCTIONS` functions per element (the smallest one if none has)."""
    radius = max(covalent_radii[atomic_numbers[symbol]] for symbol in elements)
    cutoff = float(np.clip(REACH * 2 * radius, *CUTOFFS_ANGSTROM))
    for degrees in DEGREES:
        try:
            basis = build_basis(BasisSpec(tuple(elements), cutoff, degrees, max_functions=FUNCTIONS * len(elements)))
        except DataError:  # more functions than that
            continue
        return basis
    return build_basis(BasisSpec(tuple(elements), cutoff, DEGREES[-1]))


class _NewElement(Exception):
    def __init__(self, elements: set[str]) -> None:
        self.elements = elements


@dataclass(frozen=True)
class Projector:
    """A basis with the spread of each of its columns, per element."""

    basis: Basis
    spreads: tuple[Array, ...]

    @classmethod
    def of(cls, basis: Basis, frames: Sequence[Atoms]) -> Projector:
        """Spreads (standard deviations) over the environments of `frames`.

        A column that hardly varies is not blown up: its spread is at least a thousandth of its size. One that no
        environment excites gets the median of the others.
        """
        count = len(basis.elements)
        sums = [np.zeros((3, size)) for size in basis.counts]
        for atoms in frames:
            for mu, (size, (_, values)) in enumerate(zip(basis.counts, _project(basis, atoms), strict=True)):
                sums[mu] += np.stack([np.full(size, len(values)), values.sum(axis=0), (values**2).sum(axis=0)])
        spreads = []
        for mu in range(count):
            total, first, second = sums[mu]
            square = second / np.maximum(total, 1)
            spread = np.sqrt(np.maximum(square - (first / np.maximum(total, 1)) ** 2, 1e-6 * square))
            live = spread > 0
            spreads.append(np.where(live, spread, np.median(spread[live]) if live.any() else 1.0))
        return cls(basis, tuple(spreads))

    def piece(self, index: int, atoms: Atoms) -> Piece:
        """The scaled rows of a frame. Raises `_NewElement` for an element that the basis lacks."""
        found = _project(self.basis, atoms)
        return Piece(
            index,
            uid(atoms),
            tuple(chosen for chosen, _ in found),
            tuple((values / s).astype(np.float32) for (_, values), s in zip(found, self.spreads, strict=True)),
        )

    def prior(self) -> list[Array]:
        """Information before any label, per element: what makes the fit's prior spread explain all of the energies'."""
        return [UNEXPLAINED**2 * max(size, 1) * np.eye(size) for size in self.basis.counts]


def _project(basis: Basis, atoms: Atoms) -> list[tuple[NDArray[np.int64], Array]]:
    lacking = set(atoms.symbols) - set(basis.elements)
    if lacking:
        raise _NewElement(lacking)
    try:
        return project(basis, atoms)
    except DataError as error:
        raise DataError(f"frame {atoms.info.get('uid', '')} cannot be described for 'd-optimal': {error}") from None


def _parts(indices: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(indices), CHUNK):
        yield indices[start : start + CHUNK]


def _stream(
    projector: Projector,
    count: int,
    number: int,
    frames: Callable[[NDArray[np.int64]], list[Atoms]],
    known: Sequence[Atoms],
) -> list[Pick]:
    """The choice with bounded memory: greedy in parts, then among the winners (Mirzasoleiman et al., NeurIPS 2013)."""
    information = projector.prior()
    done = {}
    for atoms in known:
        done[uid(atoms)] = projector.piece(-1, atoms)
    for piece in done.values():
        add(information, piece)
    taken, kept = set(done), list[Piece]()
    size = limit = 0
    for part in _parts(np.arange(count)):
        for index, atoms in zip(part, frames(part), strict=True):
            piece = projector.piece(int(index), atoms)
            if piece.uid not in taken:
                taken.add(piece.uid)
                kept.append(piece)
                size += piece.numbers
        if size > max(NUMBERS, limit) and len(kept) > number:
            kept = sorted((pick.piece for pick in most_informative(kept, number, information)), key=lambda p: p.index)
            taken = {*done, *(piece.uid for piece in kept)}
            size = sum(piece.numbers for piece in kept)
            limit = 2 * size
    return most_informative(kept, number, information)


def add(information: list[Array], piece: Piece) -> None:
    """Add what a frame tells to the information, in place."""
    for mu, rows in enumerate(piece.rows):
        if len(rows):
            wide = rows.astype(np.float64)
            information[mu] += wide.T @ wide


def most_informative(pieces: Sequence[Piece], number: int, information: Sequence[Array]) -> list[Pick]:
    """Greedy choice of `number` pieces (all if there are fewer), the most informative first.

    Args:
        pieces: in a fixed order, which decides between equals.
        information: per element (F, F), positive definite: prior and what is known. It is not changed.
    """
    information = [matrix.copy() for matrix in information]
    inverses = [np.linalg.inv(matrix) for matrix in information]
    queue = [(-_gain(piece, inverses)[0], place, 0) for place, piece in enumerate(pieces)]
    heapq.heapify(queue)
    picks: list[Pick] = []
    while queue and len(picks) < number:
        _, place, when = heapq.heappop(queue)
        piece = pieces[place]
        gain, atom, leverage = _gain(piece, inverses)
        if when < len(picks):  # an old gain is an upper bound: only the best of them is worth computing again
            heapq.heappush(queue, (-gain, place, len(picks)))
            continue
        picks.append(Pick(piece, gain, atom, leverage))
        add(information, piece)
        inverses = [
            np.linalg.inv(matrix) if len(rows) else inverse
            for matrix, inverse, rows in zip(information, inverses, piece.rows, strict=True)
        ]
    return picks


def _gain(piece: Piece, inverses: Sequence[NDArray[Any]]) -> tuple[float, int, float]:
    """Information that a piece adds (nats), its atom of the largest leverage, and that leverage."""
    gain, atom, leverage = 0.0, -1, -1.0
    for atoms, rows, inverse in zip(piece.atoms, piece.rows, inverses, strict=True):
        if not len(rows):
            continue
        wide = rows.astype(np.float64)
        gram = wide @ inverse @ wide.T
        own = np.diag(gram)
        most = int(own.argmax())
        if own[most] > leverage:
            atom, leverage = int(atoms[most]), float(own[most])
        gain += float(np.log(np.diag(np.linalg.cholesky((gram + gram.T) / 2 + np.eye(len(rows))))).sum())
    return gain, atom, leverage


def _words(pick: Pick, basis: Basis) -> str:
    if pick.atom < 0:
        return "nothing more informative was left"
    element = next(e for e, atoms in zip(basis.elements, pick.piece.atoms, strict=True) if pick.atom in atoms)
    return (
        f"adds {pick.gain:.1f} nats of information on the ACE coefficients, most by its atom {pick.atom} ({element}, "
        f"leverage {pick.leverage:.2g} over what was chosen before)"
    )
