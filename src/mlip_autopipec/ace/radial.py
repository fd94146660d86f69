"""Radial functions of ACE and their spline tables, from which energies and forces are taken alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from mlip_autopipec.ace import core
from mlip_autopipec.errors import DataError, nearest

Array = NDArray[np.float64]

SPLINE_STEP = 0.001
"""Width of a spline bin in Angstrom (`DeltaSplineBins`)."""


def _chebyshev(x: Array, count: int) -> tuple[Array, Array]:
    """T_0..T_{count-1} and their derivatives at x, each (count, len(x))."""
    t = np.ones((max(count, 2), len(x)))
    dt = np.zeros_like(t)
    t[1], dt[1] = x, 1.0
    for k in range(2, count):
        t[k] = 2 * x * t[k - 1] - t[k - 2]
        dt[k] = 2 * t[k - 1] + 2 * x * dt[k - 1] - dt[k - 2]
    return t[:count], dt[:count]


def _cosine_step(r: Array, start: float, width: float) -> tuple[Array, Array]:
    """(1 + cos(pi (r - start)/width))/2 and derivative; 1 below `start`."""
    u = np.clip((r - start) / width, 0.0, 1.0)
    return (1 + np.cos(np.pi * u)) / 2, -np.pi / (2 * width) * np.sin(np.pi * u)


def _cheb_exp_cos(
    r: Array, count: int, cutoff: float, width: float, parameters: tuple[float, ...]
) -> tuple[Array, Array]:
    lam = parameters[0]
    span = 1 - np.exp(-lam)
    x = 1 - 2 * (np.exp(-lam * r / cutoff) - np.exp(-lam)) / span
    dx = 2 * lam / cutoff * np.exp(-lam * r / cutoff) / span
    t, dt = _chebyshev(x, count)
    g, dg = (1 - t) / 2, -dt * dx / 2
    g[0], dg[0] = 1.0, 0.0
    steps = [_cosine_step(r, 0.0, cutoff)]
    if width > 0:
        steps.append(_cosine_step(r, cutoff - width, width))
    for f, df in steps:
        g, dg = g * f, dg * f + g * df
    return g, dg


def _cheb_pow(r: Array, count: int, cutoff: float, width: float, parameters: tuple[float, ...]) -> tuple[Array, Array]:
    lam = parameters[0]
    u = np.clip(1 - r / cutoff, 0.0, None)
    x = 1 - 2 * u**lam
    dx = 2 * lam / cutoff * u ** (lam - 1)
    t, dt = _chebyshev(x, count + 1)
    return (1 - t[1:]) / 2, -dt[1:] * dx / 2


def _cheb_linear(
    r: Array, count: int, cutoff: float, width: float, parameters: tuple[float, ...]
) -> tuple[Array, Array]:
    t, dt = _chebyshev(1 - r / cutoff, count + 1)
    return (1 - t[1:]) / 2, dt[1:] / (2 * cutoff)


def _sinc(x: Array) -> tuple[Array, Array]:
    """sin(x)/x and its derivative, by series near 0."""
    small = np.abs(x) < 1e-2
    safe = np.where(small, 1.0, x)
    x2 = np.where(small, x, 0.0) ** 2
    value = np.where(small, 1 - x2 / 6 * (1 - x2 / 20 * (1 - x2 / 42)), np.sin(safe) / safe)
    slope = np.where(small, -x / 3 * (1 - x2 / 10 * (1 - x2 / 28)), (np.cos(safe) - np.sin(safe) / safe) / safe)
    return value, slope


def _simplified_bessel(
    r: Array, count: int, cutoff: float, width: float, parameters: tuple[float, ...]
) -> tuple[Array, Array]:
    """Orthonormal on [0, cutoff] with value and slope 0 at the cutoff. Source: E. Kocer, J. K. Mason, H. Erturk,
    AIP Advances 10, 015021 (2020)."""
    g, dg = np.zeros((count, len(r))), np.zeros((count, len(r)))
    d = 1.0
    for n in range(count):
        a, b = (n + 1) * np.pi / cutoff, (n + 2) * np.pi / cutoff
        (s1, ds1), (s2, ds2) = _sinc(a * r), _sinc(b * r)
        scale = (-1) ** n * np.sqrt(2) * np.pi / cutoff**1.5 * (n + 1) * (n + 2) / np.hypot(n + 1, n + 2)
        f, df = scale * (s1 + s2), scale * (a * ds1 + b * ds2)
        if n == 0:
            g[0], dg[0] = f, df
            continue
        e = n**2 * (n + 2) ** 2 / (4 * (n + 1) ** 4 + 1)
        previous, d = d, 1 - e / d
        g[n] = (f + np.sqrt(e / previous) * g[n - 1]) / np.sqrt(d)
        dg[n] = (df + np.sqrt(e / previous) * dg[n - 1]) / np.sqrt(d)
    return g, dg


_Family = Callable[[Array, int, float, float, tuple[float, ...]], tuple[Array, Array]]
FAMILIES: dict[str, _Family] = {
    "SBessel": _simplified_bessel,
    "TEST_SBessel": _simplified_bessel,
    "ChebExpCos": _cheb_exp_cos,
    "ChebPow": _cheb_pow,
    "ChebLinear": _cheb_linear,
}
_NEED_PARAMETER = ("ChebExpCos", "ChebPow")


@dataclass(frozen=True)
class Bond:
    """Radial functions of one ordered pair of species (central, neighbour).

    Attributes:
        cutoff: distance in Angstrom at and beyond which a neighbour is not seen.
        count: number of basis functions g_k (`nradbase`).
        family: name of the basis, one of `FAMILIES`.
        parameters: of the family; SBessel has none (a dummy is written to files).
        width: `dcut` in Angstrom, used by ChebExpCos alone.
        contraction: (nradmax, lmax+1, count) array of R_nl = sum_k c[n,l,k] g_k; None means R_nl = g_n for every l.
        shape: (nradmax, lmax) when `contraction` is None.
        repulsion: prefactor and decay of the core repulsion (eV Angstrom and 1/Angstrom^2; `zbl`: the prefactor has no
            unit, the decay is not used); (0, 0) is none.
        inner: (r_in, delta_in) in Angstrom: the ACE part is off below r_in - delta_in; (0, 0) is no inner cutoff.
        inner_kind: one of `core.KINDS`.
    """

    cutoff: float
    count: int
    family: str = "SBessel"
    parameters: tuple[float, ...] = (5.25,)
    width: float = 0.01
    contraction: Array | None = None
    shape: tuple[int, int] = (0, 0)
    repulsion: tuple[float, float] = (0.0, 0.0)
    inner: tuple[float, float] = (0.0, 0.0)
    inner_kind: str = "distance"

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise DataError(
                f"radial basis '{self.family}' is not one of {', '.join(FAMILIES)}.{nearest(self.family, FAMILIES)}"
            )
        if self.family in _NEED_PARAMETER and not self.parameters:
            raise DataError(f"radial basis '{self.family}' needs its parameter lambda in `radparameters`.")
        if not 0 < self.cutoff < 50 or self.count < 1:
            raise DataError(
                f"a bond needs 0 < cutoff < 50 Angstrom and a radial function, not {self.cutoff}, {self.count}."
            )
        if self.inner_kind not in core.KINDS:
            hint = nearest(self.inner_kind, core.KINDS)
            raise DataError(f"inner_cutoff_type = '{self.inner_kind}' is not one of {', '.join(core.KINDS)}.{hint}")
        outer, width = self.inner
        if (self.inner_kind == "zbl" or (self.inner_kind == "distance" and outer != 0)) and not width > 0:
            raise DataError(
                f"r_in = {outer}, delta_in = {width} Angstrom with inner_cutoff_type '{self.inner_kind}': the inner "
                "cutoff needs a width. Write delta_in = 0.1."
            )
        if self.inner_kind == "zbl" and not 0 < self.width < self.cutoff:
            raise DataError(f"dcut = {self.width} Angstrom: `zbl` is switched off over this width; write e.g. 1.0.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bond):
            return NotImplemented
        plain = ("cutoff", "count", "family", "parameters", "width", "repulsion", "inner", "inner_kind")
        return all(getattr(self, k) == getattr(other, k) for k in plain) and (
            (self.nradmax, self.lmax) == (other.nradmax, other.lmax)
            and np.array_equal(self.coefficients, other.coefficients)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def nradmax(self) -> int:
        """Number of contracted functions R_n per l."""
        return self.shape[0] if self.contraction is None else self.contraction.shape[0]

    @property
    def lmax(self) -> int:
        """Largest angular momentum of the bond."""
        return self.shape[1] if self.contraction is None else self.contraction.shape[1] - 1

    @property
    def has_core(self) -> bool:
        """Whether there is a core repulsion."""
        return self.repulsion[0] != 0

    @property
    def coefficients(self) -> Array:
        """The contraction written out, (nradmax, lmax+1, count)."""
        if self.contraction is not None:
            return self.contraction
        eye = np.eye(self.nradmax, self.count)
        return np.repeat(eye[:, None, :], self.lmax + 1, axis=1)

    @cached_property
    def is_plain(self) -> bool:
        """Whether R_nl = g_n for every l, so that ranks share their radial functions."""
        return self.contraction is None or np.array_equal(
            self.contraction, np.repeat(np.eye(self.nradmax, self.count)[:, None, :], self.lmax + 1, axis=1)
        )

    def basis(self, r: Array) -> tuple[Array, Array]:
        """g_k(r) and dg_k/dr, each (count, len(r)); r in Angstrom within [0, cutoff]."""
        r = np.asarray(r, dtype=float)
        return FAMILIES[self.family](r, self.count, self.cutoff, self.width, self.parameters)


def spline_table(bond: Bond, rows: Array, step: float = SPLINE_STEP, charges: tuple[int, int] | None = None) -> Array:
    """Nodes of the cubic Hermite splines of `rows @ g(r)`, shape (bins + 1, 2, len(rows)).

    [b, 0] holds the values and [b, 1] the derivatives times the bin width at r = b * width, where
    width = cutoff / bins and bins = int(cutoff / step). Energy and force are the value and the exact derivative of
    the same cubic, so they agree to rounding. With `charges` (nuclear, of the two species) the core repulsion is one
    more row, the last.
    """
    return _spline_nodes(
        bond.family, bond.count, bond.cutoff, bond.width, bond.parameters, bond.repulsion, bond.inner, bond.inner_kind,
        step, np.asarray(rows, dtype=np.float64).tobytes(), len(rows), charges,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _spline_nodes(
    family: str, count: int, cutoff: float, width: float, parameters: tuple[float, ...],
    repulsion: tuple[float, float], inner: tuple[float, float], inner_kind: str,
    step: float, raw: bytes, size: int, charges: tuple[int, int] | None,
) -> Array:  # fmt: skip
    rows = np.frombuffer(raw, dtype=np.float64).reshape(size, count)
    bins = int(cutoff / step)
    r: Array = np.arange(bins + 1, dtype=np.float64) * np.float64(cutoff / bins)
    value, slope = FAMILIES[family](r, count, cutoff, width, parameters)
    value, slope = rows @ value, rows @ slope
    inside, change = np.zeros_like(r), np.zeros_like(r)
    if inner_kind == "distance" and inner[1] > 0:
        inside, change = core.switch(r, *inner)
    elif inner_kind == "density" and inner != (0.0, 0.0):
        inside = np.where(r <= inner[0] - inner[1], 1.0, 0.0)  # a step: measured with python-ace and LAMMPS
    if inside.any():
        value, slope = value * (1 - inside), slope * (1 - inside) - value * change
    if charges is not None:
        r[0] = r[1]  # infinite at 0; the first bin is never used
        if inner_kind == "zbl":
            push, push_slope = core.screened_nuclei(r, repulsion[0], cutoff, width, charges)
        else:
            push, push_slope = core.exponential(r, *repulsion, cutoff)
        if inner_kind == "distance":
            push, push_slope = push * inside, push_slope * inside + push * change
        value, slope = np.vstack([value, push]), np.vstack([slope, push_slope])
    nodes: Array = np.ascontiguousarray(np.stack([value.T, slope.T * (cutoff / bins)], axis=1))
    nodes.flags.writeable = False
    return nodes
