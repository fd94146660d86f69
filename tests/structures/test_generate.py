"""Starting structures are physical, unique, seeded, know their parents, and are what their type says."""

from math import pi

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from structures_tasks import make_task

from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.frames import closest_contact, has_vacuum, new_frame
from mlip_autopipec.seeds import generator
from mlip_autopipec.structures import registry
from mlip_autopipec.structures.cells import supercell
from mlip_autopipec.structures.defects import voids
from mlip_autopipec.structures.generate import generate, merge, unphysical
from mlip_autopipec.structures.perturb import rattle, scale_volume, strain
from mlip_autopipec.structures.prototypes import prototypes
from mlip_autopipec.structures.surfaces import distinct_indices

CRYSTAL = ("volumes", "strains", "rattles", "bonds", "vacancies", "interstitials", "antisites", "surfaces")


def setup(composition, names, classes=("metal",), number=6, **settings):
    task = make_task(composition, classes=classes, prototypes=names, counts=dict.fromkeys(CRYSTAL, number), **settings)
    return prototypes(task), task


@pytest.mark.parametrize("name", CRYSTAL)
@pytest.mark.parametrize(
    ("composition", "names", "classes"),
    [("CuAu", ["L1_0", "B2"], ("alloy",)), ("MgO", ["B1"], ("ionic",)), ("Si", ["A4"], ("covalent",))],
)
def test_generator_gives_what_is_asked_with_lineage(name, composition, names, classes):
    parents, task = setup(composition, names, classes)
    frames, record = generate(name, parents, task)
    nothing_to_exchange = name == "antisites" and composition != "CuAu"
    assert record["failed"] == ""
    assert record["kept"] == len(frames) == (0 if nothing_to_exchange else 6)
    assert len({f.info["uid"] for f in frames}) == len(frames)
    assert all(f.info["parent"] for f in frames)
    assert all(closest_contact(f)[0] >= 0.7 and f.pbc.all() for f in frames)
    assert {f.info["config_type"] for f in frames} <= {
        "volume", "strain", "rattle", "bond_breaking", "vacancy", "interstitial", "antisite", "surface"
    }  # fmt: skip


def test_volumes_span_what_the_config_asks():
    parents, task = setup("Cu", ["A1"])
    cell = supercell(parents[0], task.settings)
    changes = sorted(f.get_volume() / cell.get_volume() - 1 for f in generate("volumes", parents, task)[0])
    assert changes == pytest.approx(np.linspace(-0.15, 0.15, 6))


def test_strains_of_a_cubic_crystal_are_all_different():
    parents, task = setup("Cu", ["A1"], number=8)
    frames = generate("strains", parents, task)[0]
    assert len(merge([], [(frames, {"generator": "strains"})], task)[0]) == 8


def test_strained_and_rattled_cells_keep_the_planes_of_the_unstrained_cell():
    parents, task = setup("Cu", ["A1"])
    planes = supercell(parents[0], task.settings).info["plane_distances"]
    for name in ("volumes", "strains", "rattles", "bonds", "vacancies"):
        for frame in generate(name, parents, task)[0]:
            np.testing.assert_array_equal(frame.info["plane_distances"], planes)


def test_the_seed_decides_everything_random():
    def uids(seed):
        parents, task = setup("CuAu", ["L1_0"], ("alloy",))
        task = make_task("CuAu", seed=seed, counts=task.settings.counts)
        return [f.info["uid"] for name in CRYSTAL for f in generate(name, parents, task)[0]]

    one, same, other = uids(1), uids(1), uids(2)
    assert one == same
    assert one != other


def test_supercell_is_near_the_wanted_size():
    parents, task = setup("Cu", ["A1", "A2", "A3"])
    for parent in parents:
        cell = supercell(parent, task.settings)
        assert 8 <= len(cell) <= 32
        assert cell.get_volume() / len(cell) == pytest.approx(parent.get_volume() / len(parent))
        assert cell.info["parent"] == parent.info["uid"]
    assert len(supercell(parents[0], task.settings)) == 32


@pytest.mark.parametrize("name", ["vacancies", "interstitials", "antisites"])
def test_defects_have_their_surroundings_however_small_the_other_cells_are(name):
    parents, task = setup("CuAu", ["L1_0"], ("alloy",), atoms_max=8)
    assert len(supercell(parents[0], task.settings)) <= 8
    assert {len(frame) for frame in generate(name, parents, task)[0]} <= set(range(15, 32))
    assert generate(name, parents, task)[0]


def test_ionic_crystals_lose_whole_formula_units_too_and_exchange_only_cations():
    parents, task = setup("MgAl2O4", ["H1_1"], ("ionic",), atoms_max=60)
    schottky = [f for f in generate("vacancies", parents, task)[0] if "Schottky" in f.info["origin"]]
    assert schottky[0].symbols.formula.reduce()[0].count() == {"Mg": 1, "Al": 2, "O": 4}
    exchanged = generate("antisites", parents, task)[0]
    oxygen = supercell(parents[0], task.settings).symbols == "O"
    assert exchanged
    assert all(((f.symbols == "O") == oxygen).all() for f in exchanged)


def test_largest_voids_of_fcc_are_the_octahedral_ones():
    places = voids(bulk("Al", a=4.05, cubic=True))
    assert places[0][1] == pytest.approx(4.05 / 2)
    assert places[1][1] == pytest.approx(4.05 * 3**0.5 / 4)


@pytest.mark.parametrize(("symbol", "lattice", "number"), [("Al", "fcc", 3), ("Fe", "bcc", 3)])
def test_cubic_crystals_have_three_low_surfaces(symbol, lattice, number):
    assert [sum(map(abs, h)) for h in distinct_indices(bulk(symbol, lattice, a=4.0, cubic=True))] == [1, 2, number]


def test_slabs_have_vacuum_one_way_and_bulk_atoms_are_whole():
    parents, task = setup("Cu", ["A1"], number=3)
    for slab in generate("surfaces", parents, task)[0]:
        assert (slab.info["plane_distances"] == 0).tolist() == [False, False, True]
        assert closest_contact(slab)[1] == pytest.approx(closest_contact(parents[0])[1], rel=1e-6)


def test_ionic_slabs_have_no_dipole():
    parents, task = setup("MgO", ["B1"], ("ionic",), number=2)
    frames = generate("surfaces", parents, task)[0]
    assert sorted(f.info["origin"].split(")")[0] for f in frames) == ["slab (1 0 0", "slab (1 1 0"]  # (111) is polar
    for slab in frames:
        sign = np.where(slab.symbols == "Mg", 1.0, -1.0)
        assert sign @ slab.positions[:, 2] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("composition", "classes", "indices"),
    [("GaAs", ("covalent",), {"1 1 0"}), ("CuAu", ("alloy",), {"1 0 0", "1 1 0", "1 1 1"})],
)
def test_covalent_compounds_have_no_polar_slabs_and_alloys_are_not_asked(composition, classes, indices):
    """Of zinc blende only (110) has no dipole (Tasker 1979); B2 alloys have no charges."""
    parents, task = setup(composition, ["B3" if "covalent" in classes else "B2"], classes, number=3)
    frames = generate("surfaces", parents, task)[0]
    assert {f.info["origin"].split("(")[1].split(")")[0] for f in frames} == indices


def test_generator_that_raises_says_so(monkeypatch):
    def broken(task, parents, number):
        raise RuntimeError("no void")

    monkeypatch.setattr(registry, "generator", lambda name: broken)
    parents, task = setup("Cu", ["A1"])
    frames, record = generate("interstitials", parents, task)
    assert frames == []
    assert record["failed"] == "RuntimeError: no void"


def test_unphysical_cells_are_told_apart_from_vacuum():
    parents, task = setup("Cu", ["A1"])
    cell = supercell(parents[0], task.settings)
    assert unphysical(cell, parents, task) == ""
    assert unphysical(scale_volume(cell, -0.65), parents, task) == "atoms too close"
    gas = new_frame(scale_volume(cell, 3.0), origin="x", config_type="x", like=cell)
    assert unphysical(gas, parents, task) == "volume out of reach"
    slab = generate("surfaces", parents, task)[0][0]
    assert has_vacuum(slab)
    assert unphysical(slab, parents, task) == ""


def test_all_together_starts_with_the_reference_and_has_no_two_alike(tmp_path):
    parents, task = setup("Cu", ["A1"], files=[])
    write(tmp_path / "mine.xyz", bulk("Cu", "bcc", a=2.9, cubic=True))
    task = make_task("Cu", counts=task.settings.counts, files=[str(tmp_path / "*.xyz")])
    volumes = generate("volumes", parents, task)
    frames, record = merge(parents, [volumes, volumes], task)
    assert frames[0].info["config_type"] == "crystal"
    assert record["by_type"] == {"crystal": 1, "volume": 6, "own": 1}
    assert record["duplicates"] == 6
    assert record["volume_change"] == pytest.approx([-0.15, 0.15])


def test_missing_file_of_ones_own_is_named():
    with pytest.raises(InputFileError, match=r"structures\.files"):
        merge([], [], make_task("Cu", files=["nowhere/*.cif"]))


def test_nothing_left_is_an_error():
    with pytest.raises(DataError, match="no starting structure of Cu is left"):
        merge([], [], make_task("Cu"))


def test_rattle_has_exactly_the_amplitude_and_keeps_the_centre():
    perfect = bulk("Si", a=5.43, cubic=True)
    moved = rattle(perfect, 0.12, generator(1))
    moves = moved.positions - perfect.positions
    assert np.sqrt((moves**2).sum(axis=1).mean()) == pytest.approx(0.12)
    np.testing.assert_allclose(moves.mean(axis=0), 0, atol=1e-12)


def test_strains_do_what_they_say():
    perfect = bulk("Si", a=5.43, cubic=True)
    assert scale_volume(perfect, 0.1).get_volume() == pytest.approx(1.1 * perfect.get_volume())
    sheared = strain(perfect, np.array([0, 0, 0, 0.04, 0, 0]))
    assert sheared.cell.angles()[0] == pytest.approx(90 - 0.04 * 180 / pi, abs=0.01)
