"""Invariants are caught from an evaluation that happens anyway, and are invariant."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from mlip_autopipec.errors import DataError
from mlip_autopipec.surrogates import identity, invariants, with_repulsion


def quartz_like(seed=3):
    atoms = bulk("Si", cubic=True)
    atoms = Atoms(["Si", "O"] * 4, positions=atoms.positions, cell=atoms.cell, pbc=True)
    atoms.rattle(0.2, seed=seed)
    return atoms


def turned(atoms):
    turned = atoms.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    return turned


@pytest.fixture(params=["sevennet", "mace"])
def calculator(request):
    return request.getfixturevalue(request.param)


def test_there_are_as_many_as_the_model_has(sevennet, mace):
    assert invariants(sevennet).number == 128
    assert invariants(mace).number == 16  # 8 scalars of each of two layers
    assert invariants(EMT()) is None


def test_rotation_translation_and_order_of_atoms(calculator):
    caught, atoms = invariants(calculator), quartz_like()
    rows = caught.of(atoms)
    assert rows.shape == (8, caught.number)
    assert rows.dtype == np.float32
    assert rows.std(axis=0).max() > 1e-3
    scale = np.abs(rows).max()
    np.testing.assert_allclose(caught.of(turned(atoms)), rows, atol=2e-5 * scale)
    moved = atoms.copy()
    moved.translate([0.3, 1.7, -2.9])
    moved.wrap()
    np.testing.assert_allclose(caught.of(moved), rows, atol=2e-5 * scale)
    order = np.random.default_rng(0).permutation(len(atoms))
    np.testing.assert_allclose(caught.of(atoms[order]), rows[order], atol=2e-5 * scale)


def test_mirror_images_have_the_same(mace):
    # MACE only: SevenNet-0 was made without parity, and its energies of mirror images differ by some 0.1 meV/atom.
    atoms, mirrored = quartz_like(), quartz_like()
    mirrored.set_cell(-atoms.cell.array)
    mirrored.positions *= -1
    rows = invariants(mace).of(atoms)
    np.testing.assert_allclose(invariants(mace).of(mirrored), rows, atol=2e-5 * np.abs(rows).max())


def test_they_follow_the_structure(calculator):
    caught = invariants(calculator)
    first = caught.of(quartz_like())
    assert np.abs(caught.of(quartz_like(seed=4)) - first).max() > 1e-3
    odd = quartz_like()
    del odd[0]
    rows = caught.of(odd)
    assert len(rows) == 7


def test_they_are_those_of_maces_own_descriptors(mace):
    atoms = quartz_like()
    rows = invariants(mace).of(atoms)
    np.testing.assert_allclose(rows, mace.get_descriptors(atoms), rtol=1e-5, atol=1e-7)


def test_they_decide_the_energies_of_atoms(sevennet):
    # What reads energies out of them is linear: E_i = shift_Z + scale_Z * (B A x_i), here with the model's own A and B.
    model, atoms = sevennet.model, quartz_like()
    rows = invariants(sevennet).of(atoms)
    first, second = (model._modules[n].linear for n in ("reduce_input_to_hidden", "reduce_hidden_to_energy"))
    import torch

    with torch.no_grad():
        read_out = second(first(torch.tensor(rows, device=sevennet.device))).cpu().numpy()[:, 0]
    energies = sevennet.get_property("energies", atoms)
    for symbol in ("Si", "O"):
        mine = np.array(atoms.get_chemical_symbols()) == symbol
        slope = np.polyfit(read_out[mine], energies[mine], 1)
        np.testing.assert_allclose(np.polyval(slope, read_out[mine]), energies[mine], atol=1e-4)


def test_they_cost_no_second_evaluation(calculator):
    caught, calls = invariants(calculator), []
    # what every evaluation goes through, with or without forces
    model = calculator.models[0] if hasattr(calculator, "models") else calculator.model._modules["edge_embedding"]
    handle = model.register_forward_hook(lambda *_: calls.append(1))
    try:
        atoms = quartz_like(seed=9)
        atoms.calc = calculator
        atoms.get_forces()
        assert len(calls) == 1
        rows = caught.last()
        np.testing.assert_array_equal(caught.of(atoms), rows)
        atoms.get_potential_energy(), atoms.get_stress()
        assert len(calls) == 1
        # ... and are never those of another structure, say of a Monte Carlo trial that was refused
        calculator.get_potential_energy(quartz_like(seed=10))
        assert np.abs(caught.last() - rows).max() > 1e-3
        np.testing.assert_array_equal(caught.of(atoms), rows)
        assert len(calls) == 3
    finally:
        handle.remove()


def test_hooked_once_and_seen_through_the_repulsion(calculator):
    caught = invariants(calculator)
    atoms = quartz_like()
    shielded = with_repulsion(calculator, [atoms])
    assert shielded is not calculator
    assert invariants(shielded) is caught
    close = atoms.copy()
    close.positions[1] = close.positions[0] + [0.0, 0.0, 0.9]
    shielded.get_potential_energy(close)
    rows = caught.last()
    calculator.reset()
    calculator.get_potential_energy(close)
    np.testing.assert_array_equal(caught.last(), rows)
    assert caught.key == identity("", shielded)["identity_key"]


def test_before_any_evaluation_there_are_none(mace_file):
    from mlip_autopipec.surrogates import load_surrogate

    calculator = load_surrogate(str(mace_file))
    with pytest.raises(DataError, match="nothing yet"):
        invariants(calculator).last()
    atoms = quartz_like()
    calculator.get_potential_energy(atoms)
    # hooked before: caught; hooked after the first evaluation: evaluated again
    assert invariants(calculator).of(atoms).shape == (8, 16)
    late = load_surrogate(str(mace_file))
    late.get_potential_energy(atoms)
    assert invariants(late).of(atoms).shape == (8, 16)
