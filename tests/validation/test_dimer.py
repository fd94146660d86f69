"""A pair that attracts where no data are is found and said; one that repels passes."""

import numpy as np
import pytest
from ase import Atoms

from mlip_autopipec.ace import ACECalculator, ACEPotential, BasisSpec, build_basis, design_rows
from mlip_autopipec.config.full import ErrorLimits
from mlip_autopipec.repulsion import ZBL
from mlip_autopipec.validation import judge, scan_pairs

GOOD = {"test": {"frames": 20, "energy_rmse_mev_per_atom": 1.0, "force_rmse_mev_per_angstrom": 20.0}}
FRAMES = [Atoms("Si2", positions=[[0, 0, 0], [2.2, 0, 0]], cell=[20] * 3), Atoms("C", cell=[20] * 3)]


def calculator(pull):
    """Pairs that follow ZBL alone, or with a pull (eV/A) between Si and Si at 1.8 A."""
    basis = build_basis(BasisSpec(("C", "Si"), 4.0, (8, 4)))
    coefficients = np.zeros(basis.number_of_functions)
    if pull:
        pair = Atoms("Si2", positions=[[0, 0, 0], [1.8, 0, 0]], cell=[20] * 3)
        row = design_rows(basis, pair).forces[3]
        coefficients = -pull * row / (row @ row)
    return ACECalculator(ACEPotential(basis, coefficients), baseline=ZBL(0.9, 1.4))


def test_a_repulsive_potential_passes_for_every_pair():
    record = scan_pairs(calculator(0.0), FRAMES)
    assert set(record["pairs"]) == {"C-C", "C-Si", "Si-Si"}
    assert record["pairs"]["Si-Si"]["shortest_distance_angstrom"] == pytest.approx(2.2)
    assert record["pairs"]["C-Si"]["shortest_distance_angstrom"] == pytest.approx(0.76 + 1.11)
    energies = record["pairs"]["C-Si"]["energy_ev"]
    assert (np.diff(energies) <= 0).all()
    assert energies[-1] == 0.0
    verdict = judge(GOOD, ErrorLimits(), record)
    assert verdict["passed"]
    assert verdict["checks"]["dimer_Si-Si"]["passed"]


def test_an_attracting_pair_fails_the_verdict_in_words():
    record = scan_pairs(calculator(2.0), FRAMES)
    pair = record["pairs"]["Si-Si"]
    assert not pair["passed"]
    assert 1.4 < pair["attracts_at_angstrom"] < 0.95 * 2.2
    verdict = judge(GOOD, ErrorLimits(), record)
    assert not verdict["passed"]
    assert any(f"Si-Si alone attracts at {pair['fails_at_angstrom']:.2f} A" in said for said in verdict["failures"])
    assert verdict["checks"]["dimer_Si-Si"]["value"] < 0


def test_a_bond_farther_out_than_a_covalent_one_is_a_warning_where_no_data_are():
    """Two anions of a salt: nothing nearer than 2.9 A in the data, and a pull at 2.5 A."""
    apart = [Atoms("Si2", positions=[[0, 0, 0], [2.9, 0, 0]], cell=[20] * 3), FRAMES[1]]
    record = scan_pairs(calculator(0.0), apart)
    assert record["pairs"]["Si-Si"]["must_repel_below_angstrom"] == pytest.approx(2.22)
    record["pairs"]["Si-Si"] |= {"attracts_at_angstrom": 2.5}
    verdict = judge(GOOD, ErrorLimits(), record)
    assert verdict["passed"]
    assert any("Si-Si alone attracts at 2.50 A" in said for said in verdict["warnings"])
