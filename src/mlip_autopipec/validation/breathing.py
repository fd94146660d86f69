"""A molecule breathing: energies with all its distances scaled, and the curve through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlip_autopipec.errors import DataError


@dataclass(frozen=True)
class Breath:
    """The minimum of the curve: scale of all distances, energy (eV), its second derivative by the scale (eV)."""

    scale: float
    energy_ev: float
    stiffness_ev: float
    residual_mev: float


def fit_breathing(scales: np.ndarray, energies: np.ndarray) -> Breath:
    """A polynomial of degree four (three where there are five points) through E(s), and its minimum.

    Args:
        scales: factor of all distances, dimensionless.
        energies: of the whole molecule, eV.

    Raises:
        DataError: the curve has no minimum inside the scales.
    """
    middle = float(np.mean(scales))
    polynomial = np.polynomial.Polynomial.fit(scales - middle, energies, 4 if len(scales) > 5 else 3)
    slope, bend = polynomial.deriv(1), polynomial.deriv(2)
    roots = slope.roots()
    real = roots[np.abs(roots.imag) < 1e-9].real
    inside = [float(r) for r in real if min(scales) - middle < r < max(scales) - middle and bend(r) > 0]
    if not inside:
        raise DataError(
            f"the molecule has no equilibrium with its distances scaled by {min(scales):.3f} to {max(scales):.3f}"
        )
    best = min(inside, key=lambda r: float(polynomial(r)))
    residual = 1e3 * float(np.sqrt(np.mean((polynomial(scales - middle) - energies) ** 2)))
    return Breath(best + middle, float(polynomial(best)), float(bend(best)), residual)
