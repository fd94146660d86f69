"""Rotation-invariant features of every atom, caught while the surrogate computes energies: they cost nothing more."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.errors import DataError

_NOTE = "caught_invariants"


class Invariants:
    """The features of the atoms that a calculator has evaluated last.

    They are the scalars (even parity, l = 0) that the readout of the model turns into atomic energies: SevenNet's last
    node features (Park et al., J. Chem. Theory Comput. 20, 4857 (2024)), and those of every layer of MACE, as its
    `get_descriptors` gives them (Batatia et al., NeurIPS 2022).

    Attributes:
        number: features per atom.
        key: of the model, see `identity`.
    """

    def __init__(self, calculator: Any, number: int) -> None:
        self._calculator, self.number = calculator, number
        self.key: str = getattr(calculator, "surrogate_identity", {}).get("identity_key", "")
        self._latest: Any = None

    def last(self) -> NDArray[np.float32]:
        """(n_atoms, number) float32 of the latest evaluation, rows in the order of its atoms.

        Raises:
            DataError: there was none.
        """
        if self._latest is None:
            raise DataError("the surrogate has evaluated nothing yet: it has no invariants")
        rows: NDArray[np.float32] = self._latest.detach().cpu().numpy().astype(np.float32)
        return rows

    def of(self, atoms: Atoms) -> NDArray[np.float32]:
        """(n_atoms, number) float32 of this structure; evaluated only if it is not the one evaluated last."""
        if self._latest is None:
            self._calculator.reset()
        self._calculator.get_potential_energy(atoms)
        return self.last()

    def catch(self, rows: Any) -> None:
        """Keep a tensor (n_atoms, number) of the running evaluation."""
        self._latest = rows.detach()


def invariants(calculator: Any) -> Invariants | None:
    """Hook a calculator so that each of its evaluations leaves its invariants; None for one that has none.

    The same object at every call for one calculator. What `with_repulsion` made is looked through.
    """
    calculator = getattr(calculator, "surrogate", calculator)
    if not hasattr(calculator, _NOTE):
        setattr(calculator, _NOTE, _of_sevennet(calculator) or _of_mace(calculator))
    found: Invariants | None = getattr(calculator, _NOTE)
    return found


def _of_sevennet(calculator: Any) -> Invariants | None:
    """Of a `SevenNetCalculator`: what enters the first of the two linear layers that read energies out."""
    readout = getattr(getattr(calculator, "model", None), "_modules", {}).get("reduce_input_to_hidden")
    if readout is None or not hasattr(readout, "linear"):
        return None
    if any(str(part.ir) != "0e" for part in readout.linear.irreps_in):
        return None
    found = Invariants(calculator, int(readout.linear.irreps_in.dim))
    readout.register_forward_pre_hook(lambda module, inputs: found.catch(inputs[0][readout.key_input]))
    return found


def _of_mace(calculator: Any) -> Invariants | None:
    """Of a `MACECalculator`: the scalars among the node features of all layers that its model returns."""
    models = getattr(calculator, "models", None)
    if not models or getattr(calculator, "use_compile", False) or not hasattr(models[0], "products"):
        return None
    columns: list[int] = []
    offset = 0
    for product in models[0].products:
        irreps = product.linear.irreps_out
        for part, where in zip(irreps, irreps.slices(), strict=True):
            if str(part.ir) == "0e":
                columns.extend(range(offset + where.start, offset + where.stop))
        offset += irreps.dim
    found = Invariants(calculator, len(columns))
    models[0].register_forward_hook(lambda module, inputs, output: found.catch(output["node_feats"][:, columns]))
    return found
