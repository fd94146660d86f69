"""Starting states: which are tried of a frame, the antiferromagnetic order of a lattice, and lost moments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.spacegroup import crystal

from mlip_autopipec.labelling.espresso.magnetic import (
    State,
    branch_of,
    collapsed,
    lowest,
    neighbours_states,
    plan,
    starting_states,
)
from mlip_autopipec.labelling.espresso.ordering import alternating, lowest_order
from mlip_autopipec.labelling.espresso.settings import EspressoSettings
from mlip_autopipec.structures.reference import isolated_atoms

UPF = """<UPF version="2.0.1">
<PP_HEADER element="{0}" pseudo_type="NC" functional="SLA PW PBX PBC" z_valence="{1}" wfc_cutoff="0" rho_cutoff="0"/>
"""
VALENCE = {"Fe": 16.0, "Cr": 14.0, "Ni": 18.0, "O": 6.0, "Al": 3.0}
MOMENTS = {"Fe": 4.0, "Cr": 4.0, "Ni": 2.0}
ALL = ("high", "low", "antiferro", "ferri")


@pytest.fixture
def settings(tmp_path: Path) -> EspressoSettings:
    for symbol, valence in VALENCE.items():
        (tmp_path / f"{symbol}.upf").write_text(UPF.format(symbol, valence))
    return EspressoSettings(
        pseudopotentials={symbol: f"{symbol}.upf" for symbol in VALENCE},
        ecutwfc_ry=40.0,
        ecutrho_ry=320.0,
        pseudo_dir=(str(tmp_path),),
        nspin=2,
        starting_magnetization={symbol: moment / VALENCE[symbol] for symbol, moment in MOMENTS.items()},
        magnetic_states=ALL,
    )


def of(atoms: Atoms, symbol: str) -> np.ndarray:
    return np.array(atoms.get_chemical_symbols()) == symbol


def signs(atoms: Atoms, symbol: str, rule: str) -> np.ndarray:
    orders, _ = alternating(atoms, of(atoms, symbol))
    (order,) = [one for one in orders if one.rule == rule]
    assert not np.any(np.array(order.signs)[~of(atoms, symbol)])
    return np.array(order.signs)[of(atoms, symbol)]


def layers(atoms: Atoms, found: np.ndarray, normal: tuple[float, float, float], spacing: float) -> float:
    """1 where all moments alternate from layer to layer along the normal, 0 where half of them do."""
    number = np.round(atoms.positions @ np.array(normal) / np.linalg.norm(normal) / spacing).astype(int)
    return abs(float(np.mean(found * (-1.0) ** number)))


# --- orders


@pytest.mark.parametrize("amplitude", [0.0, 0.1, 0.2])
def test_bcc_is_two_cubes_however_hot(amplitude: float) -> None:
    atoms = bulk("Cr", a=2.88, cubic=True) * (2, 2, 2)
    atoms.rattle(amplitude or 1e-9, seed=3)
    np.testing.assert_array_equal(signs(atoms, "Cr", "nearest"), np.tile([1, -1], 8))


@pytest.mark.parametrize("amplitude", [0.0, 0.1, 0.15])
def test_fcc_is_layers_along_a_cube_edge_as_in_manganese(amplitude: float) -> None:
    perfect = bulk("Fe", "fcc", a=3.5, cubic=True) * (2, 2, 2)
    atoms = perfect.copy()
    atoms.rattle(amplitude or 1e-9, seed=1)
    found = signs(atoms, "Fe", "nearest")
    assert max(layers(perfect, found, axis, 1.75) for axis in ((1, 0, 0), (0, 1, 0), (0, 0, 1))) == 1.0


def test_hcp_pair_alternates_and_a_single_atom_cannot() -> None:
    np.testing.assert_array_equal(signs(bulk("Co"), "Co", "nearest"), [1, -1])
    orders, why = alternating(bulk("Fe"), np.array([True]))
    assert not orders
    assert "parallel to its own images" in why


def rock_salt(repeat: int) -> Atoms:
    primitive = bulk("NiO", "rocksalt", a=4.18)
    doubled = make_supercell(primitive, [[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return doubled * (repeat, repeat, repeat)


def test_rock_salt_oxides_are_alternate_111_layers() -> None:
    # AF-II of MnO, FeO, CoO and NiO: Roth, Phys. Rev. 110, 1333 (1958)
    np.testing.assert_array_equal(signs(rock_salt(1), "Ni", "bridges"), [1, -1])
    atoms = bulk("NiO", "rocksalt", a=4.18, cubic=True) * (2, 2, 2)
    found = signs(atoms, "Ni", "bridges")
    metal = atoms[of(atoms, "Ni")]
    distance = metal.get_all_distances(mic=True)
    across = np.abs(distance - 4.18) < 0.01  # an oxygen lies between
    assert (np.multiply.outer(found, found)[across] == -1).all()


def test_corundum_has_the_order_of_chromium_oxide_and_that_of_iron_oxide() -> None:
    # Along the axis Cr2O3 is + - + - and Fe2O3 + - - +: Brockhouse (1953); Shull, Strauser and Wollan (1951)
    cell = [4.959, 4.959, 13.594, 90, 90, 120]
    basis = [(0, 0, 0.3475), (0.3058, 0, 0.25)]
    atoms = crystal(["Cr", "O"], basis, spacegroup=167, cellpar=cell, primitive_cell=True)
    along = np.argsort((atoms[of(atoms, "Cr")].get_scaled_positions() @ [1, 1, 1]) / 3 % 1.0)
    chromium = signs(atoms, "Cr", "nearest")[along]
    iron = signs(atoms, "Cr", "bridges")[along]
    assert list(chromium * chromium[0]) == [1, -1, 1, -1]
    assert list(iron * iron[0]) in ([1, 1, -1, -1], [1, -1, -1, 1])


def test_perovskite_alternates_in_all_directions() -> None:
    basis = [(0.5, 0.5, 0.5), (0, 0, 0), (0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5)]
    atoms = Atoms("LaMnO3", scaled_positions=basis, cell=[3.9] * 3, pbc=True) * (2, 2, 2)
    found = signs(atoms, "Mn", "bridges")
    cubes = np.round(atoms[of(atoms, "Mn")].positions / 3.9).astype(int).sum(axis=1)
    assert abs(np.mean(found * (-1.0) ** cubes)) == 1.0


def test_oxygen_molecules_turn_as_wholes() -> None:
    pair = Atoms("O4", [(0, 0, 0), (0, 0, 1.21), (3.2, 0, 0), (3.2, 0, 1.21)], cell=[12] * 3, pbc=True)
    np.testing.assert_array_equal(signs(pair, "O", "nearest"), [1, 1, -1, -1])
    orders, why = alternating(pair[:2], np.array([True, True]))
    assert not orders
    assert "one magnetic site" in why


def test_a_vacancy_leaves_the_order_and_a_triangle_has_none() -> None:
    atoms = bulk("Cr", a=2.88, cubic=True) * (2, 2, 2)
    del atoms[5]
    np.testing.assert_array_equal(signs(atoms, "Cr", "nearest"), np.delete(np.tile([1, -1], 8), 5))
    triangle = Atoms("Fe3", [(0, 0, 0), (2.4, 0, 0), (1.2, 2.08, 0)], cell=[10] * 3, pbc=True)
    orders, why = alternating(triangle, np.ones(3, dtype=bool))
    assert not orders
    assert "balances" in why


def test_distant_atoms_have_no_order() -> None:
    far = Atoms("Fe2", [(0, 0, 0), (8, 0, 0)], cell=[16] * 3, pbc=True)
    orders, why = alternating(far, np.ones(2, dtype=bool))
    assert not orders
    assert "not neighbours" in why


def test_many_moments_are_ordered_as_well_as_a_few() -> None:
    """The search by turning moments finds what trying all orders finds."""
    random = np.random.default_rng(5)
    for _ in range(10):
        half = random.normal(size=(12, 12)) * (random.random((12, 12)) < 0.4)
        small = np.triu(half, 1) + np.triu(half, 1).T
        doubled = np.kron(np.eye(2), small)  # two systems apart: 24 sites, the same lowest order twice
        few, many = lowest_order(small), lowest_order(doubled)
        assert many @ doubled @ many == pytest.approx(2 * (few @ small @ few), rel=2e-3)


def test_the_same_frame_has_the_same_order() -> None:
    liquid = bulk("Mn", "fcc", a=3.7, cubic=True) * (2, 2, 2)
    liquid.rattle(0.5, seed=2)
    first, second = (alternating(liquid, np.ones(32, dtype=bool))[0] for _ in range(2))
    assert first == second


# --- states


def names(atoms: Atoms, settings: EspressoSettings) -> list[str]:
    return [state.name for state in starting_states(atoms, settings)]


def test_states_come_likeliest_first_with_reasons_for_those_left_out(settings: EspressoSettings) -> None:
    states, left_out = plan(bulk("Fe", cubic=True), settings)
    assert [state.name for state in states] == ["high", "low", "antiferro"]
    high, low, antiferro = (np.array(state.site_moments) for state in states)
    np.testing.assert_allclose(high, [4, 4])
    np.testing.assert_allclose(low, 0.3 * high)
    np.testing.assert_allclose(antiferro, [4, -4])
    assert "turn against each other" in left_out["ferri"]
    assert "own images" in plan(bulk("Fe"), settings).left_out["antiferro"]


def test_chromium_stands_against_iron(settings: EspressoSettings) -> None:
    atoms = bulk("Fe", cubic=True) * (2, 1, 1)
    atoms.symbols[0] = "Cr"
    states = {state.name: state.site_moments for state in starting_states(atoms, settings)}
    assert states["ferri"] == (-4.0, 4.0, 4.0, 4.0)


def test_states_that_start_alike_are_one(settings: EspressoSettings) -> None:
    ordered = Atoms("FeCr", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[2.87] * 3, pbc=True)
    states, left_out = plan(ordered, settings)
    assert [state.name for state in states] == ["high", "low", "antiferro"]
    assert left_out["ferri"] == "starts like antiferro"


def test_an_oxide_has_both_antiferromagnets_where_they_differ(settings: EspressoSettings) -> None:
    assert names(rock_salt(1), settings) == ["high", "low", "antiferro"]
    assert names(rock_salt(2), settings) == ["high", "low", "antiferro", "antiferro nearest"]


def test_the_user_chooses_the_states(settings: EspressoSettings) -> None:
    iron = bulk("Fe", cubic=True)
    assert names(iron, replace(settings, magnetic_states=("antiferro",))) == ["antiferro"]
    assert names(bulk("Fe"), replace(settings, magnetic_states=("antiferro",))) == ["high"], "a label needs a start"
    assert names(iron, replace(settings, magnetic_states=())) == ["high"]
    assert names(iron, replace(settings, nspin=1)) == ["unpolarised"]


def test_small_moments_beside_do_not_disturb_the_order(settings: EspressoSettings) -> None:
    written = replace(settings, starting_magnetization={"Ni": 2 / 18, "O": 0.1 / 6}, magnetic_states=("antiferro",))
    (state,) = starting_states(rock_salt(1), written)
    assert state.site_moments == (2.0, 0.0, -2.0, 0.0)


def test_signs_that_the_user_writes_are_kept(settings: EspressoSettings) -> None:
    atoms = Atoms("FeCr", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[2.87] * 3, pbc=True)
    written = replace(settings, starting_magnetization={"Fe": 2 / 16, "Cr": -3 / 14}, magnetic_states=("high",))
    assert starting_states(atoms, written)[0].site_moments == (2.0, -3.0)


def test_a_slab_that_is_open_on_one_side_is_ordered_too(settings: EspressoSettings) -> None:
    slab = bulk("Cr", a=2.88, cubic=True) * (1, 1, 3)
    slab.center(vacuum=6.0, axis=2)
    slab.pbc = (True, True, False)
    np.testing.assert_array_equal(signs(slab, "Cr", "nearest"), [1, -1] * 3)


def test_frames_without_moments_have_no_spin(settings: EspressoSettings) -> None:
    assert starting_states(bulk("Al"), settings) == [State("unpolarised")]


def test_an_isolated_atom_starts_from_its_own_states(settings: EspressoSettings) -> None:
    (atom,) = isolated_atoms(["Fe"], 12.0)
    states = starting_states(atom, settings)
    assert [(one.name, one.total, one.whole) for one in states] == [
        ("atom:4", 4, True),
        ("atom:2", 2, True),
        ("atom:0", 0, True),
    ]
    assert states[-1].site_moments is None
    assert {branch_of(one) for one in states} == {"atom"}


def test_of_states_that_end_alike_the_likeliest_is_kept() -> None:
    assert lowest([-10.0, -10.0000001, -9.0], 1) == 0
    assert lowest([-10.0, -10.001, -9.0], 1) == 1
    assert lowest([float("inf"), -3.0], 2) == 1
    assert lowest([float("inf"), float("inf")], 2) == 0


# --- lost moments


def test_a_lost_moment_is_told_by_its_like_whatever_the_sign() -> None:
    assert collapsed([2.1, -2.2, 0.1, -0.5], [2.2, 2.2, 2.2, 2.2]) == [2, 3]
    assert collapsed([0.0, 0.0], [0.3, 0.05]) == [], "small moments say nothing"
    assert collapsed([1.5], [2.2]) == [], "smaller is not lost"


def test_the_retry_starts_from_the_moments_of_the_neighbours() -> None:
    atoms = rock_salt(1)
    parallel, against = neighbours_states(atoms, [1.5, 0.1, 1.7, 0.1])
    nickel = of(atoms, "Ni")
    np.testing.assert_allclose(np.array(parallel.site_moments)[nickel], 1.6, atol=1e-3)
    assert not np.array(parallel.site_moments)[~nickel].any()
    assert sum(against.site_moments or ()) == 0
    assert {one.name for one in (parallel, against)} == {"neighbours", "neighbours antiferro"}
    assert neighbours_states(atoms, [0.0] * 4) == []
