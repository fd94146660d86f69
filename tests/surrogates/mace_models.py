"""A MACE model with random weights, written as MACE's training writes one."""

from pathlib import Path

import numpy as np


def write_mace(path: Path, symbols=("O", "Si", "Cu"), *, pair_repulsion=False, dtype="float64", seed=0) -> Path:
    """A two-layer ScaleShiftMACE of 8 scalar and 8 vector channels for some elements."""
    from mlip_autopipec.surrogates.loading import _calculator_class

    _calculator_class("mace")  # imports mace without its side effects
    import torch
    from ase.data import atomic_numbers
    from e3nn import o3
    from mace.modules import ScaleShiftMACE, interaction_classes

    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        torch.manual_seed(seed)
        block = interaction_classes["RealAgnosticResidualInteractionBlock"]
        model = ScaleShiftMACE(
            r_max=4.5, num_bessel=6, num_polynomial_cutoff=5, max_ell=2, interaction_cls=block,
            interaction_cls_first=block, num_interactions=2, num_elements=len(symbols),
            hidden_irreps=o3.Irreps("8x0e + 8x1o"), MLP_irreps=o3.Irreps("8x0e"),
            atomic_energies=-np.arange(1.0, len(symbols) + 1), avg_num_neighbors=20.0,
            atomic_numbers=[atomic_numbers[s] for s in symbols], correlation=2, gate=torch.nn.functional.silu,
            atomic_inter_scale=1.0, atomic_inter_shift=0.0, pair_repulsion=pair_repulsion,
        )  # fmt: skip
        torch.save(model, path)
    finally:
        torch.set_default_dtype(before)
    return path
