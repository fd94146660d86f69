"""What a trained potential is: a basis with coefficients, or the contracted (C-tilde) form that cannot give gamma."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlip_autopipec.ace.basis import Basis, check_elements
from mlip_autopipec.ace.radial import SPLINE_STEP, Bond
from mlip_autopipec.ace.tables import Array, Expanded, SpeciesTables, node_coefficients, species_tables
from mlip_autopipec.errors import DataError


@dataclass(frozen=True)
class ACEPotential:
    """A linear ACE: energy of atom i = sum_f c_f B_f(i), relative to the reference that was subtracted in training.

    Attributes:
        basis: the functions.
        coefficients: (basis.number_of_functions,) in eV, species after species.
        metadata: free text carried by the files.

    Raises:
        DataError: coefficients of the wrong number or not finite.
    """

    basis: Basis
    coefficients: Array
    metadata: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.ascontiguousarray(self.coefficients, dtype=float)
        if values.shape != (self.basis.number_of_functions,):
            raise DataError(f"{values.shape} coefficients for {self.basis.number_of_functions} functions.")
        if not np.isfinite(values).all():
            raise DataError(f"{np.count_nonzero(~np.isfinite(values))} coefficients are not finite numbers.")
        object.__setattr__(self, "coefficients", values)

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
    def compiled(self) -> list[tuple[SpeciesTables, NDArray[np.float64]]]:
        """Tables and coefficients of every species, for the kernels."""
        return [
            (tables, node_coefficients(tables, self.coefficients[self.basis.columns(mu)]))
            for mu, tables in enumerate(self.basis.compiled)
        ]

    def contracted(self) -> CTildePotential:
        """The same potential with the couplings multiplied in; irreversible."""
        return CTildePotential(
            self.elements,
            self.bonds,
            tuple(
                tuple(_merge([f.expand() for f in functions], self.coefficients[self.basis.columns(mu)]))
                for mu, functions in enumerate(self.basis.functions)
            ),
            self.spline_step,
            self.metadata,
        )


def _merge(functions: list[Expanded], coefficients: Array) -> list[Expanded]:
    """Functions that differ in their intermediate momenta alone become one, with sum of c * coupling per ms."""
    merged: dict[tuple[tuple[int, ...], ...], dict[tuple[int, ...], float]] = {}
    for (mus, ns, ls, terms), factor in zip(functions, coefficients, strict=True):
        into = merged.setdefault((mus, ns, ls), {})
        for ms, value in terms.items():
            into[ms] = into.get(ms, 0.0) + float(factor) * value
    return [(mus, ns, ls, terms) for (mus, ns, ls), terms in merged.items()]


@dataclass(frozen=True)
class CTildePotential:
    """The contracted form of a potential: products of atomic bases with their final coefficients.

    Attributes:
        elements: symbols in alphabetical order.
        bonds: radial functions of the ordered pairs of species.
        functions: per central species (mus, ns, ls, {ms: coefficient in eV}).
        spline_step: width of a spline bin in Angstrom.
        metadata: free text carried by the files.
    """

    elements: tuple[str, ...]
    bonds: dict[tuple[int, int], Bond]
    functions: tuple[tuple[Expanded, ...], ...]
    spline_step: float = SPLINE_STEP
    metadata: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_elements(self.elements)

    @cached_property
    def compiled(self) -> list[tuple[SpeciesTables, NDArray[np.float64]]]:
        """Tables and coefficients of every species, for the kernels."""
        found = []
        for mu, functions in enumerate(self.functions):
            bonds = [self.bonds[mu, other] for other in range(len(self.elements))]
            tables = species_tables(list(functions), bonds, self.spline_step)
            found.append((tables, node_coefficients(tables, np.ones(len(functions)))))
        return found


Potential = ACEPotential | CTildePotential
