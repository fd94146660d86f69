"""Calculators that compute what they are asked for: an energy alone costs a third of an energy with its gradient.

ASE tells a calculator which properties are wanted; those of SevenNet and MACE compute forces and stress all the same.
Monte Carlo trials and equations of state ask for energies only.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from ase.calculators.calculator import Calculator, all_changes

ENERGIES = {"energy", "free_energy"}


@cache
def lean(maker: Any, family: str) -> Any:
    """The calculator class of a family ('sevennet' or 'mace') that leaves out forces which nobody asks for."""
    energy_ev = _sevennet_energy_ev if family == "sevennet" else _mace_energy_ev

    class Lean(maker):  # type: ignore[misc]
        def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
            if not properties or not set(properties) <= ENERGIES or not _alone(self):
                super().calculate(atoms, properties, system_changes)
                return
            Calculator.calculate(self, atoms, properties, system_changes)
            energy = energy_ev(self, self.atoms)
            self.results = {"energy": energy, "free_energy": energy}

    Lean.__name__ = Lean.__qualname__ = maker.__name__
    return Lean


def _alone(calculator: Any) -> bool:
    """Whether it is one plain model: no committee, nothing compiled."""
    return len(getattr(calculator, "models", [0])) == 1 and not getattr(calculator, "use_compile", False)


def _sevennet_energy_ev(calculator: Any, atoms: Any) -> float:
    """As `SevenNetCalculator.calculate`, without the last module of the model, which takes the gradient."""
    torch, keys = importlib.import_module("torch"), importlib.import_module("sevenn._keys")
    graphs, loading = (
        importlib.import_module("sevenn.atom_graph_data"),
        importlib.import_module("sevenn.train.dataload"),
    )
    data = graphs.AtomGraphData.from_numpy_dict(
        loading.unlabeled_atoms_to_graph(atoms, calculator.cutoff, with_shift=False)
    )
    if calculator.modal:
        data[keys.DATA_MODALITY] = calculator.modal
    data.to(calculator.device)
    with torch.no_grad():
        data = calculator.model._preprocess(data)
        for name, module in calculator.model._modules.items():
            if name != "force_output":
                data = module(data)
    return float(data[keys.PRED_TOTAL_ENERGY].cpu().item())


def _mace_energy_ev(calculator: Any, atoms: Any) -> float:
    """As `MACECalculator.calculate`, without forces and stress."""
    torch, model = importlib.import_module("torch"), calculator.models[0]
    batch = calculator._clone_batch(calculator._atoms_to_batch(atoms))
    dtype = next(model.parameters()).dtype
    for key in batch.keys:
        if torch.is_tensor(batch[key]) and torch.is_floating_point(batch[key]):
            batch[key] = batch[key].to(dtype=dtype)
    with torch.no_grad():
        output = model(batch.to_dict(), compute_force=False, compute_stress=False)
    return float(output["energy"].cpu().item()) * float(calculator.energy_units_to_eV)
