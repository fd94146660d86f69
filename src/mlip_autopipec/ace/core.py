"""Core repulsion and inner cutoff of a bond: the three kinds of the file formats.

`density` and `distance`: Y. Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021) and the manual of pacemaker; `zbl`:
J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Matter (1985).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

KINDS = ("density", "distance", "zbl")
"""`inner_cutoff_type` in files."""

_COULOMB_EV_ANGSTROM = 1.6021766208e-9 * 299792458**2 * 1e-7
"""e^2 / (4 pi epsilon_0) with the e of CODATA 2014, as LAMMPS and python-ace have it (measured to 1e-15 relative)."""
_SCREENING = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))


def switch(x: Array, outer: float, width: float) -> tuple[Array, Array]:
    """1 for x <= outer - width, 0 for x >= outer, a fifth-order polynomial between; and its derivative."""
    if width <= 0:
        return np.where(x <= outer, 1.0, 0.0), np.zeros_like(x)
    s = np.clip(1 - 2 * (1 + (x - outer) / width), -1.0, 1.0)
    return 0.5 + 3.75 * (s / 4 - s**3 / 6 + s**5 / 20), 3.75 * (0.25 - s**2 / 2 + s**4 / 4) * (-2 / width)


def exponential(r: Array, prefactor: float, decay: float, cutoff: float) -> tuple[Array, Array]:
    """|p| exp(-|lambda| r^2) / r times a cosine to 0 at the cutoff, in eV, and its derivative; r > 0 in Angstrom."""
    exponent = abs(decay) * r**2
    value = np.where(exponent < 50, abs(prefactor) * np.exp(-np.minimum(exponent, 50.0)) / r, 0.0)
    slope = -value * (2 * abs(decay) * r + 1 / r)
    u = np.minimum(r / cutoff, 1.0) * np.pi
    f, df = (1 + np.cos(u)) / 2, -np.pi / (2 * cutoff) * np.sin(u)
    return value * f, slope * f + value * df


def _zbl(r: Array, charges: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Ziegler-Biersack-Littmark repulsion in eV with its first two derivatives; r in Angstrom."""
    length = 0.46850 / (charges[0] ** 0.23 + charges[1] ** 0.23)
    strength = _COULOMB_EV_ANGSTROM * charges[0] * charges[1]
    phi = [sum(c * (-d / length) ** k * np.exp(-d * r / length) for c, d in _SCREENING) for k in range(3)]
    value = phi[0] / r
    slope = phi[1] / r - phi[0] / r**2
    bend = phi[2] / r - 2 * phi[1] / r**2 + 2 * phi[0] / r**3
    return strength * value, strength * slope, strength * bend


def screened_nuclei(
    r: Array, prefactor: float, cutoff: float, width: float, charges: tuple[int, int]
) -> tuple[Array, Array]:
    """Half the ZBL repulsion of a pair (each atom of the pair has one half) in eV, brought to 0 at the cutoff."""
    value, slope, _ = _zbl(r, charges)
    edge, edge_slope, edge_bend = (float(x[0]) for x in _zbl(np.array([cutoff]), charges))
    a = (-3 * edge_slope + width * edge_bend) / width**2
    b = (2 * edge_slope - width * edge_bend) / width**3
    shift = -edge + width / 2 * edge_slope - width**2 / 12 * edge_bend
    x = np.maximum(r - (cutoff - width), 0.0)
    value = value + shift + a / 3 * x**3 + b / 4 * x**4
    slope = slope + a * x**2 + b * x**3
    f, df = switch(r, cutoff, width)
    value, slope = value * f, slope * f + value * df
    return prefactor / 2 * value, prefactor / 2 * slope
