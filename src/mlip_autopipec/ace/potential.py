"""What a trained potential is: a basis with coefficients, or the contracted (C-tilde) form that cannot give gamma."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mlip_autopipec.ace.basis import Basis, check_bonds, check_elements
from mlip_autopipec.ace.embedding import LINEAR, Embedding
from mlip_autopipec.ace.lanes import Plan
from mlip_autopipec.ace.plan import charges, core_kind, evaluation_plan
from mlip_autopipec.ace.radial import SPLINE_STEP, Bond
from mlip_autopipec.ace.tables import Array, Expanded, SpeciesTables, node_coefficients, species_tables
from mlip_autopipec.errors import DataError

Contracted = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], dict[tuple[int, ...], tuple[float, ...]]]
"""(mus, ns, ls, {ms: coefficient of every density}) of one function of the contracted form."""


@dataclass(frozen=True)
class ACEPotential:
    """An ACE: atom i has the densities rho_p = sum_f c_fp B_f(i) and the energy that the embedding makes of them.

    Linear (one density, E = rho) unless embeddings are given. Energies are relative to the reference that was
    subtracted in training.

    Attributes:
        basis: the functions; its bonds may have a core repulsion.
        coefficients: (F,) or (F, P) for F = basis.number_of_functions, species after species; in eV when linear. Where
            a species has fewer than P densities, its further columns are 0.
        metadata: free text carried by the files.
        embeddings: one for every species; none: all linear.

    Raises:
        DataError: coefficients of the wrong number or not finite, embeddings that do not fit them.
    """

    basis: Basis
    coefficients: Array
    metadata: dict[str, str] = field(default_factory=dict)
    embeddings: tuple[Embedding, ...] = ()

    def __post_init__(self) -> None:
        embeddings = tuple(self.embeddings) or (LINEAR,) * len(self.basis.elements)
        if len(embeddings) != len(self.basis.elements):
            raise DataError(f"{len(embeddings)} embeddings for {len(self.basis.elements)} elements.")
        values = np.ascontiguousarray(self.coefficients, dtype=float)
        densities = max(e.densities for e in embeddings)
        fits = values.shape == (self.basis.number_of_functions, densities)
        if not fits and (values.shape != (self.basis.number_of_functions,) or densities > 1):
            raise DataError(
                f"{values.shape} coefficients for {self.basis.number_of_functions} functions and {densities} densities."
            )
        if not np.isfinite(values).all():
            raise DataError(f"{np.count_nonzero(~np.isfinite(values))} coefficients are not finite numbers.")
        object.__setattr__(self, "coefficients", values)
        object.__setattr__(self, "embeddings", embeddings)

    @property
    def is_linear(self) -> bool:
        """Whether energies are linear in the coefficients."""
        species = range(len(self.elements))
        return all(e.is_linear for e in self.embeddings) and not any(_has_core(self, mu) for mu in species)

    def densities(self, species: int) -> Array:
        """Coefficients (functions, P) of one central species, P its own number of densities."""
        columns = self.coefficients.reshape(self.basis.number_of_functions, -1)
        return columns[self.basis.columns(species), : self.embeddings[species].densities]

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols in alphabetical order."""
        return self.basis.elements

    @property
    def bonds(self) -> dict[tuple[int, int], Bond]:
        """Radial functions of the ordered pairs of species."""
        return self.basis.bonds

    @property
    def spline_step(self) -> float:
        """Width of a spline bin in Angstrom."""
        return self.basis.spline_step

    @cached_property
    def compiled(self) -> list[Plan]:
        """Plan of every species, for the kernels."""
        return [
            _compile(self, mu, tables, self.densities(mu), self.embeddings[mu])
            for mu, tables in enumerate(self._tables)
        ]

    @property
    def _tables(self) -> list[SpeciesTables]:
        """Those of the basis, with the core repulsion where there is one."""
        return [
            species_tables([f.expand() for f in functions], *_radial(self, mu)) if _has_core(self, mu) else tables
            for mu, (functions, tables) in enumerate(zip(self.basis.functions, self.basis.compiled, strict=True))
        ]

    def contracted(self) -> CTildePotential:
        """The same potential with the couplings multiplied in; irreversible."""
        return CTildePotential(
            self.elements,
            self.bonds,
            tuple(
                tuple(_merge([f.expand() for f in functions], self.densities(mu)))
                for mu, functions in enumerate(self.basis.functions)
            ),
            self.spline_step,
            self.metadata,
            self.embeddings,
        )


def _merge(functions: list[Expanded], coefficients: Array) -> list[Contracted]:
    """Functions that differ in their intermediate momenta alone become one, with sum of c * coupling per ms."""
    merged: dict[tuple[tuple[int, ...], ...], dict[tuple[int, ...], Array]] = {}
    for (mus, ns, ls, terms), factors in zip(functions, coefficients, strict=True):
        into = merged.setdefault((mus, ns, ls), {})
        for ms, value in terms.items():
            into[ms] = into.get(ms, 0.0) + factors * value
    return [
        (mus, ns, ls, {ms: tuple(map(float, values)) for ms, values in terms.items()})
        for (mus, ns, ls), terms in merged.items()
    ]


@dataclass(frozen=True)
class CTildePotential:
    """The contracted form of a potential: products of atomic bases with their final coefficients.

    Attributes:
        elements: symbols in alphabetical order.
        bonds: radial functions of the ordered pairs of species.
        functions: per central species (mus, ns, ls, {ms: coefficient of every density}).
        spline_step: width of a spline bin in Angstrom.
        metadata: free text carried by the files.
        embeddings: one for every species; none: all linear.
        constants: E0 in eV of every species, added to the energy of each of its atoms; none: all 0.
    """

    elements: tuple[str, ...]
    bonds: dict[tuple[int, int], Bond]
    functions: tuple[tuple[Contracted, ...], ...]
    spline_step: float = SPLINE_STEP
    metadata: dict[str, str] = field(default_factory=dict)
    embeddings: tuple[Embedding, ...] = ()
    constants: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_elements(self.elements)
        check_bonds(self.elements, self.bonds)
        object.__setattr__(self, "embeddings", tuple(self.embeddings) or (LINEAR,) * len(self.elements))
        object.__setattr__(self, "constants", tuple(self.constants) or (0.0,) * len(self.elements))

    @cached_property
    def compiled(self) -> list[Plan]:
        """Plan of every species, for the kernels."""
        found = []
        for mu, functions in enumerate(self.functions):
            embedding = self.embeddings[mu]
            # One function per density, whose products are shared.
            split: list[Expanded] = [
                (mus, ns, ls, {ms: values[p] for ms, values in terms.items()})
                for p in range(embedding.densities)
                for mus, ns, ls, terms in functions
            ]
            owner = np.repeat(np.eye(embedding.densities), len(functions), axis=0)
            tables = species_tables(split, *_radial(self, mu))
            found.append(_compile(self, mu, tables, owner, embedding, self.constants[mu]))
        return found


def _bonds(potential: ACEPotential | CTildePotential, mu: int) -> list[Bond]:
    return [potential.bonds[mu, other] for other in range(len(potential.elements))]


def _has_core(potential: ACEPotential | CTildePotential, mu: int) -> bool:
    return core_kind(_bonds(potential, mu), potential.embeddings[mu]) != 0


def _radial(
    potential: ACEPotential | CTildePotential, mu: int
) -> tuple[list[Bond], float, list[tuple[int, int]] | None]:
    """Last arguments of `species_tables`."""
    nuclei = charges(potential.elements, mu) if _has_core(potential, mu) else None
    return _bonds(potential, mu), potential.spline_step, nuclei


def _compile(
    potential: ACEPotential | CTildePotential,
    mu: int,
    tables: SpeciesTables,
    coefficients: Array,
    embedding: Embedding,
    constant: float = 0.0,
) -> Plan:
    return evaluation_plan(tables, node_coefficients(tables, coefficients), _bonds(potential, mu), embedding, constant)


Potential = ACEPotential | CTildePotential
