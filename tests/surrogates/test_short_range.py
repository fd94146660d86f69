"""The repulsion under a surrogate ends below the bonds: nothing changes where the surrogate was trained."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.lj import LennardJones
from ase.data import atomic_numbers, covalent_radii
from mace_models import write_mace

from mlip_autopipec.repulsion import PairwiseZBL, zbl_pair
from mlip_autopipec.surrogates import identity, load_surrogate, with_repulsion
from mlip_autopipec.surrogates.short_range import has_repulsion, shortest_bonds


def l1_2():
    atoms = bulk("Cu", cubic=True, a=3.75)
    atoms.symbols[0] = "Au"
    return atoms


def test_bonds_are_the_shortest_of_all_frames_and_radii_where_there_is_none():
    salt = bulk("NaCl", "rocksalt", a=5.64)
    pressed = bulk("NaCl", "rocksalt", a=5.40)
    bonds = shortest_bonds([salt, pressed])
    radius = {s: covalent_radii[atomic_numbers[s]] for s in ("Na", "Cl")}
    assert bonds["Cl-Na"] == pytest.approx(2.70)
    assert bonds["Na-Na"] == pytest.approx(2 * radius["Na"])  # 1.15 of it, but Na's nearest neighbour is Cl
    assert bonds["Cl-Cl"] == pytest.approx(2 * radius["Cl"])  # 1.87 of it: no bond
    water = molecule("H2O", vacuum=4.0)
    assert shortest_bonds([water])["H-O"] == pytest.approx(0.969, abs=2e-3)
    assert shortest_bonds([water])["O-O"] == pytest.approx(2 * covalent_radii[8])
    assert shortest_bonds([]) == {}


def test_ions_of_one_sign_are_no_bond_but_end_below_their_distance():
    """Na-Na is 1.20 of the sum of the radii in rock salt, 0.84 of it in antifluorite, and nearest in neither."""
    radius = covalent_radii[atomic_numbers["Na"]]
    assert shortest_bonds([bulk("NaCl", "rocksalt", a=5.64)])["Na-Na"] == pytest.approx(2 * radius)
    oxide = bulk("ONa2", "fluorite", a=5.55)
    assert shortest_bonds([oxide])["Na-Na"] == pytest.approx(5.55 / 2)
    laves = Atoms("CuMg", positions=[[0, 0, 0], [0, 0, 2.92]], cell=[9, 9, 9], pbc=True)
    assert shortest_bonds([laves])["Cu-Mg"] == pytest.approx(2.92)


@pytest.mark.parametrize("factor", [0.98, 1.0, 1.1])
def test_relaxed_structures_are_untouched_to_the_last_bit(factor):
    relaxed = l1_2()
    relaxed.rattle(0.05, seed=1)
    plain, shielded = relaxed.copy(), relaxed.copy()
    for atoms in (plain, shielded):
        atoms.set_cell(atoms.cell * factor, scale_atoms=True)
    plain.calc, shielded.calc = EMT(), with_repulsion(EMT(), [relaxed])
    assert shielded.get_potential_energy() == plain.get_potential_energy()
    np.testing.assert_array_equal(shielded.get_forces(), plain.get_forces())
    np.testing.assert_array_equal(shielded.get_stress(), plain.get_stress())


def test_real_sevennet_is_untouched_at_its_own_bonds_and_repelled_below(sevennet):
    relaxed = bulk("Si", a=5.46)
    shielded = with_repulsion(sevennet, [relaxed])
    assert shielded.get_potential_energy(relaxed) == sevennet.get_potential_energy(relaxed)
    dimer = Atoms("Si2", positions=[[0, 0, 0], [0, 0, 1.1]], cell=[9, 9, 9], pbc=True)
    z = np.full(1, 14.0)
    end = 0.75 * 5.46 * 3**0.5 / 4
    added = shielded.get_potential_energy(dimer) - sevennet.get_potential_energy(dimer)
    assert added == pytest.approx(zbl_pair(np.array([1.1]), z, z, 0.6 * end, end)[0][0], rel=1e-6)
    assert added > 10
    assert identity("sevennet-0", shielded)["repulsion"] == f"ZBL below {end:.2f} A (Si-Si)"
    assert identity("sevennet-0", sevennet)["repulsion"] == ""


def test_forces_and_stress_are_the_derivatives_of_the_sum():
    close = l1_2() * (2, 1, 1)
    close.rattle(0.5, seed=7)
    distances = close.get_all_distances(mic=True)
    end = 0.75 * 3.75 / 2**0.5
    nearest = np.sort(distances[np.triu_indices(len(close), 1)])
    assert nearest[0] < 0.95 * end
    shielded = with_repulsion(EMT(), [l1_2()])
    close.calc = shielded
    assert close.get_potential_energy() > EMT().get_potential_energy(close) + 1e-3
    np.testing.assert_allclose(close.get_forces(), calculate_numerical_forces(close, 1e-5), atol=1e-6)
    np.testing.assert_allclose(close.get_stress(), calculate_numerical_stress(close, 1e-6), atol=1e-7)
    assert close.get_potential_energies().sum() == pytest.approx(close.get_potential_energy())


def test_each_pair_has_its_own_end():
    radii = {"Au-Au": (1.0, 2.0), "Au-Cu": (0.8, 1.6), "Cu-Cu": (0.6, 1.2)}
    added = PairwiseZBL(radii)
    for (a, b), end in {("Cu", "Cu"): 1.2, ("Cu", "Au"): 1.6, ("Au", "Au"): 2.0}.items():
        for r, zero in ((end - 1e-2, False), (end, True), (end + 0.1, True)):
            pair = Atoms([a, b], positions=[[0, 0, 0], [0, 0, r]], cell=[9, 9, 9], pbc=True, calculator=added)
            assert (pair.get_potential_energy() == 0.0) == zero
    with pytest.raises(ValueError, match="0 < inner < outer"):
        PairwiseZBL({"Cu-Cu": (1.0, 0.9)})


def test_energy_force_and_curvature_go_to_zero_together():
    shielded = with_repulsion(LennardJones(sigma=1.0, epsilon=0.0, rc=3.0), [bulk("Cu")])
    end = max(outer for _, outer in shielded.repulsion.radii_by_pair.values())
    assert end == pytest.approx(0.75 * 3.61 / 2**0.5)
    gap = np.array([0.1, 0.05, 0.025])
    energy = []
    for g in gap:
        pair = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, end - g]], cell=[12, 12, 12], pbc=True, calculator=shielded)
        energy.append(pair.get_potential_energy())
    orders = np.log2(np.array(energy[:-1]) / energy[1:])
    assert (orders > 2.9).all()  # as the third power of the distance to the end: no kink in the forces


def test_a_walker_is_pushed_away_where_the_surrogate_has_a_hole(sevennet):
    # FCC copper's nearest neighbour pushed in: SevenNet-0 alone gives way below half a bond.
    pair = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 1.2]], cell=[10, 10, 10], pbc=True)
    plain = sevennet.get_forces(pair)[1, 2]
    assert with_repulsion(sevennet, [bulk("Cu")]).get_forces(pair)[1, 2] > plain + 20


def test_maces_own_repulsion_is_not_added_twice(mace, tmp_path):
    own = load_surrogate(str(write_mace(tmp_path / "zbl.model", pair_repulsion=True)))
    assert has_repulsion(own)
    assert with_repulsion(own, [bulk("Si")]) is own
    assert not has_repulsion(mace)
    shielded = with_repulsion(mace, [bulk("Si")])
    assert has_repulsion(shielded)
    assert with_repulsion(shielded, [bulk("Si")]) is shielded


def test_a_calculator_without_stress_gets_none():
    class Plain(EMT):
        implemented_properties = ("energy", "forces")

    assert with_repulsion(Plain(), [bulk("Cu")]).implemented_properties == ["energy", "forces"]


def test_a_molecule_has_forces_and_no_stress():
    water = molecule("N2")
    water.calc = with_repulsion(EMT(), [water])
    assert np.isfinite(water.get_forces()).all()
    assert "stress" not in water.calc.results


def test_forgetting_reaches_the_surrogate(mace):
    shielded = with_repulsion(mace, [bulk("Si")])
    shielded.get_potential_energy(bulk("Si"))
    assert mace.results
    shielded.reset()
    assert not mace.results
