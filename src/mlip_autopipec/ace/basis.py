"""Which functions a potential is made of: total-degree sets per number of neighbours, in the evaluators' order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from mlip_autopipec.ace.coupling import MAX_RANK, coupled_terms, independent_couplings
from mlip_autopipec.ace.lanes import Plan
from mlip_autopipec.ace.plan import projection_plan
from mlip_autopipec.ace.radial import FAMILIES, SPLINE_STEP, Bond
from mlip_autopipec.ace.tables import Expanded, SpeciesTables, species_tables
from mlip_autopipec.errors import DataError

Array = NDArray[np.float64]
Slot = tuple[int, int, int]


@dataclass(frozen=True)
class Function:
    """One basis function: its neighbours' species and quantum numbers, and the intermediate momenta.

    Species are indices into the alphabetical list of elements; n starts at 1; for rank 1 n counts the radial basis
    g_n itself and l = 0.
    """

    mus: tuple[int, ...]
    ns: tuple[int, ...]
    ls: tuple[int, ...]
    lint: tuple[int, ...] = ()

    @property
    def rank(self) -> int:
        """Number of neighbours that the function correlates (body order minus one)."""
        return len(self.ns)

    def expand(self) -> Expanded:
        """The function as a sum of products of atomic bases."""
        return coupled_terms(self.mus, self.ns, self.ls, self.lint)


@dataclass(frozen=True)
class BasisSpec:
    """Recipe of a basis.

    Attributes:
        elements: chemical symbols; kept in alphabetical order, as the file formats demand.
        cutoff: in Angstrom, for all pairs. 2.3 to 2.5 bond lengths is usual.
        degrees: by rank 1, 2, 3, (4): every function has sum(n + l_weight * l) <= degrees[rank - 1].
        l_weight: weight of l in the degree; 1.5 is the usual choice (W. C. Witt et al., J. Chem. Phys. 159, 164101
            (2023)).
        family: radial basis, see `radial.FAMILIES`.
        parameters: of the radial basis.
        max_functions: refuse larger bases, because memory and time of a fit grow with the square and the cube.
    """

    elements: tuple[str, ...]
    cutoff: float = 5.5
    degrees: tuple[int, ...] = (16, 12, 8)
    l_weight: float = 1.5
    family: str = "SBessel"
    parameters: tuple[float, ...] = (5.25,)
    max_functions: int = 20000

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", tuple(sorted(self.elements)))
        object.__setattr__(self, "degrees", tuple(self.degrees))
        check_elements(self.elements)
        whole = all(d == int(d) and d >= 1 for d in self.degrees)
        if not 1 <= len(self.degrees) <= MAX_RANK or not whole:
            raise DataError(f"degrees = {self.degrees}: give one whole degree from 1 per rank, at most {MAX_RANK}.")
        if not self.l_weight > 0:
            raise DataError(f"l_weight = {self.l_weight} must be positive.")
        if self.family not in FAMILIES:
            raise DataError(f"family = '{self.family}' is not one of {', '.join(FAMILIES)}.")


def check_elements(elements: tuple[str, ...]) -> None:
    """Raise DataError unless `elements` are distinct chemical symbols in alphabetical order."""
    unknown = [e for e in elements if e not in atomic_numbers or e == "X"]
    if unknown or not elements:
        problem = f"not chemical symbols: {', '.join(unknown)}" if unknown else "at least one is needed"
        raise DataError(f"elements = {elements}: {problem}.")
    if list(elements) != sorted(set(elements)):
        raise DataError(f"elements = {elements} must be distinct and in alphabetical order.")


def check_bonds(elements: tuple[str, ...], bonds: Mapping[tuple[int, int], Bond]) -> None:
    """Raise DataError unless bonds are the same in their two directions and have one kind of inner cutoff."""
    for i, j in bonds:
        if bonds[i, j] != bonds[j, i]:
            names = f"{elements[i]}-{elements[j]}"
            raise DataError(f"the radial functions of {names} differ by direction; the file formats need one set.")
    kinds = sorted({bond.inner_kind for bond in bonds.values()})
    if len(kinds) > 1:
        raise DataError(f"inner_cutoff_type is {' and '.join(kinds)}: it must be the same for all pairs of elements.")


@dataclass(frozen=True)
class Basis:
    """Radial functions per ordered pair of species and, per central species, the functions in evaluator order.

    Attributes:
        elements: symbols in alphabetical order; index = species number everywhere.
        bonds: radial functions of (central, neighbour), all ordered pairs.
        functions: one tuple of functions per central species, sorted as `evaluator_order` says.
        spline_step: width of a spline bin in Angstrom.
        spec: the recipe, when made by `build_basis`.

    Raises:
        DataError: elements not in order, bonds missing or different in their two directions.
    """

    elements: tuple[str, ...]
    bonds: dict[tuple[int, int], Bond]
    functions: tuple[tuple[Function, ...], ...]
    spline_step: float = SPLINE_STEP
    spec: BasisSpec | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_elements(self.elements)
        species = range(len(self.elements))
        missing = [(i, j) for i in species for j in species if (i, j) not in self.bonds]
        if missing or len(self.functions) != len(self.elements):
            raise DataError(f"a basis needs functions and bonds of every species; missing bonds: {missing}.")
        check_bonds(self.elements, self.bonds)

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of functions of each central species."""
        return tuple(len(functions) for functions in self.functions)

    @property
    def number_of_functions(self) -> int:
        """Total number of functions = number of linear coefficients = columns of a design matrix."""
        return sum(self.counts)

    @property
    def cutoff(self) -> float:
        """Largest cutoff of all bonds in Angstrom."""
        return max(bond.cutoff for bond in self.bonds.values())

    def columns(self, species: int) -> slice:
        """Columns of the central species in coefficients and design matrices."""
        start = sum(self.counts[:species])
        return slice(start, start + self.counts[species])

    @cached_property
    def compiled(self) -> tuple[SpeciesTables, ...]:
        """Tables of every central species for the kernels, made at first use."""
        species = range(len(self.elements))
        return tuple(
            species_tables([f.expand() for f in functions], [self.bonds[mu, j] for j in species], self.spline_step)
            for mu, functions in enumerate(self.functions)
        )

    @cached_property
    def projecting(self) -> tuple[Plan, ...]:
        """Plan of every central species for `lanes.projections`, made at first use."""
        species = range(len(self.elements))
        return tuple(
            projection_plan(tables, [self.bonds[mu, j] for j in species]) for mu, tables in enumerate(self.compiled)
        )

    @cached_property
    def smoothness(self) -> Array:
        """Prior weight g of each function: sum(n^4 + 1.5 l^4 (1 + l/5)) + 1; coefficients are expected as 1/g.

        Source: the algebraic smoothness prior of W. C. Witt et al., J. Chem. Phys. 159, 164101 (2023).
        """
        return np.array(
            [
                1.0 + sum(n**4 + 1.5 * l**4 * (1 + l / 5) for n, l in zip(f.ns, f.ls, strict=True))
                for functions in self.functions
                for f in functions
            ]
        )

    def report(self) -> dict[str, dict[str, int]]:
        """Number of functions by central element and rank, e.g. {"Si": {"rank1": 20, ..., "total": 299}}."""
        table = {}
        for element, functions in zip(self.elements, self.functions, strict=True):
            ranks = [f.rank for f in functions]
            table[element] = {f"rank{r}": ranks.count(r) for r in sorted(set(ranks))} | {"total": len(ranks)}
        return table


def evaluator_order(function: Function) -> tuple[object, ...]:
    """Sort key by which the existing evaluators (and their active sets) order the functions of a central species."""
    mus, ns, ls, terms = function.expand()
    return function.rank, mus, ns, ls, len(terms), tuple(m for ms in terms for m in ms)


def build_basis(spec: BasisSpec) -> Basis:
    """All functions within the degrees of `spec`, for every central element and combination of neighbours.

    Raises:
        DataError: the recipe gives more than `spec.max_functions` functions.
    """
    neighbours = _functions(spec)
    found: list[Function] = []
    for function in neighbours:
        found.append(function)
        if len(found) * len(spec.elements) > spec.max_functions:
            raise DataError(
                f"degrees {spec.degrees} with {len(spec.elements)} elements give more than max_functions = "
                f"{spec.max_functions} functions. Lower the degrees of the highest ranks, or raise max_functions."
            )
    ordered = tuple(sorted(found, key=evaluator_order))
    count = max(n for f in ordered for n in f.ns)
    contracted = [f for f in ordered if f.rank > 1]
    nradmax = max((n for f in contracted for n in f.ns), default=1)
    lmax = max((l for f in contracted for l in f.ls), default=0)
    bond = Bond(spec.cutoff, count, spec.family, spec.parameters, shape=(nradmax, lmax))
    species = range(len(spec.elements))
    return Basis(spec.elements, {(i, j): bond for i in species for j in species}, (ordered,) * len(species), spec=spec)


def _functions(spec: BasisSpec) -> Iterator[Function]:
    for rank, degree in enumerate(spec.degrees, start=1):
        slots = sorted(
            (mu, n, l)
            for mu in range(len(spec.elements))
            for n in range(1, degree + 1)
            for l in range(degree + 1)
            if n + spec.l_weight * l + (rank - 1) <= degree and (rank > 1 or l == 0)
        )
        for chosen in _combinations(slots, rank, degree, spec.l_weight):
            mus, ns, ls = (tuple(column) for column in zip(*chosen, strict=True))
            for lint in independent_couplings(mus, ns, ls):
                yield Function(mus, ns, ls, lint)


def _combinations(
    slots: list[Slot], rank: int, degree: float, l_weight: float, start: int = 0
) -> Iterator[tuple[Slot, ...]]:
    """Sorted multisets of `rank` slots whose degrees sum to at most `degree`."""
    if rank == 0:
        yield ()
        return
    for k in range(start, len(slots)):
        _, n, l = slots[k]
        rest = degree - n - l_weight * l
        if rest >= rank - 1 - 1e-9:  # every further slot costs at least 1
            for tail in _combinations(slots, rank - 1, rest, l_weight, k):
                yield (slots[k], *tail)
