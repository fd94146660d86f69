"""How the densities of an atom make its energy: the embedding functions of the file formats.

E_i = sum_p w_p F(rho_p; m_p). Sources: R. Drautz, Phys. Rev. B 99, 014104 (2019); Y. Lysogorskiy et al., npj Comput.
Mater. 7, 97 (2021). The formulas themselves are in `lanes._embed`, where energies and forces come from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlip_autopipec.ace import lanes
from mlip_autopipec.errors import DataError, nearest

Array = NDArray[np.float64]

KINDS = {"FinnisSinclairShiftedScaled": 1, "FinnisSinclair": 2}
"""Names in files (`npoti`) and their number in the kernels; 0 there is a linear embedding."""


@dataclass(frozen=True)
class Embedding:
    """Embedding of one central species.

    Attributes:
        name: one of `KINDS`.
        parameters: w_1, m_1, w_2, m_2, ... of the densities (weight in eV, exponent).
        core_cut: core-repulsion density in eV from which the ACE part is off (`rho_core_cut`).
        core_width: width in eV of the switch below it (`drho_core_cut`).

    Raises:
        DataError: unknown name, parameters that do not come in pairs, exponents or widths that are not positive.
    """

    name: str = "FinnisSinclairShiftedScaled"
    parameters: tuple[float, ...] = (1.0, 1.0)
    core_cut: float = 100000.0
    core_width: float = 250.0

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            hint = nearest(self.name, KINDS)
            raise DataError(f"npoti = {self.name!r} is not an embedding. Known: {', '.join(KINDS)}.{hint}")
        values = np.array(self.parameters, dtype=float)
        if len(values) < 2 or len(values) % 2 or not np.isfinite(values).all() or not (values[1::2] > 0).all():
            raise DataError(
                f"embedding parameters {list(self.parameters)}: give a weight and a positive exponent per density."
            )
        if not self.core_width > 0:
            raise DataError(f"drho_core_cut = {self.core_width} must be positive: it is the width of a switch.")

    @property
    def densities(self) -> int:
        """Number of densities P."""
        return len(self.parameters) // 2

    @property
    def is_linear(self) -> bool:
        """Whether the energy is a linear combination of the densities."""
        return all(m == 1.0 for m in self.parameters[1::2])

    @property
    def weights(self) -> Array:
        """(P,) w_p."""
        return np.array(self.parameters[0::2], dtype=float)

    def slopes(self, densities: Array) -> Array:
        """dE/drho_p (n, P) at `densities` (n, P), without core repulsion; what a nonlinear active set needs."""
        exponents = np.array(self.parameters[1::2], dtype=float)
        values = np.ascontiguousarray(densities, dtype=float)
        found: Array = lanes.embedding_slopes(KINDS[self.name], self.weights, exponents, values)
        return found


LINEAR = Embedding()
"""One density, E = rho."""
