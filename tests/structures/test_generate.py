"""Starting structures are physical, unique, seeded, and know their parents."""

import numpy as np
import pytest

from mlip_autopipec.config.full import Structures
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import closest_contact
from mlip_autopipec.seeds import generator
from mlip_autopipec.structures import crystal, generate, isolated_atoms, volume_series
from mlip_autopipec.structures.perturb import rattle, scale_volume, strain

SILICON = Structures(lattice="diamond", lattice_constant_angstrom=5.43, c_over_a=1.633, repeat=[1, 1, 1])


def test_all_kinds_are_there_and_no_two_are_alike():
    frames = generate("Si", SILICON, seed=1)
    kinds = [f.info["config_type"] for f in frames]
    assert {k: kinds.count(k) for k in set(kinds)} == {"crystal": 1, "volume": 6, "strain": 12, "rattle": 12}
    assert len({f.info["uid"] for f in frames}) == len(frames)
    assert {f.info["parent"] for f in frames[1:]} == {frames[0].info["uid"]}
    assert all(closest_contact(f)[0] >= SILICON.minimum_distance_fraction for f in frames)


def test_volumes_span_what_the_config_asks():
    volumes = [f.get_volume() for f in generate("Si", SILICON, seed=1) if f.info["config_type"] == "volume"]
    assert min(volumes) == pytest.approx(5.43**3 * 0.85)
    assert max(volumes) == pytest.approx(5.43**3 * 1.15)


def test_the_seed_decides_everything_random():
    one, same, other = (generate("Si", SILICON, seed) for seed in (1, 1, 2))
    assert [f.info["uid"] for f in one] == [f.info["uid"] for f in same]
    rattled = [{f.info["uid"] for f in frames if f.info["config_type"] == "rattle"} for frames in (one, other)]
    assert not rattled[0] & rattled[1]


@pytest.mark.parametrize(
    ("lattice", "a", "repeat", "atoms", "neighbours"),
    [("diamond", 5.43, [1, 1, 1], 8, 4), ("fcc", 4.05, [2, 1, 1], 8, 12), ("bcc", 3.3, [2, 2, 1], 8, 8),
     ("hcp", 3.2, [2, 1, 1], 8, 12), ("sc", 3.35, [2, 2, 2], 8, 6)],
)  # fmt: skip
def test_every_lattice_has_its_coordination(lattice, a, repeat, atoms, neighbours):
    settings = Structures(lattice=lattice, lattice_constant_angstrom=a, c_over_a=1.633, repeat=repeat)
    cell = crystal("Al", settings)
    assert len(cell) == atoms
    _, distance = closest_contact(cell)
    nearest = [np.sum(np.abs(_distances(cell, i) - distance) < 0.02) for i in range(atoms)]
    assert nearest == [neighbours] * atoms


def _distances(cell, i):
    from matscipy.neighbours import neighbour_list

    first, distance = neighbour_list("id", cell, cutoff=5.0)
    return distance[first == i]


def test_impossible_lattice_constant_is_named():
    with pytest.raises(DataError, match="lattice_constant_angstrom"):
        generate("Si", SILICON.model_copy(update={"lattice_constant_angstrom": 2.0}), seed=1)


def test_rattle_has_exactly_the_amplitude_and_keeps_the_centre():
    perfect = crystal("Si", SILICON)
    moved = rattle(perfect, 0.12, generator(1))
    moves = moved.positions - perfect.positions
    assert np.sqrt((moves**2).sum(axis=1).mean()) == pytest.approx(0.12)
    np.testing.assert_allclose(moves.mean(axis=0), 0, atol=1e-12)


def test_strains_do_what_they_say():
    perfect = crystal("Si", SILICON)
    assert scale_volume(perfect, 0.1).get_volume() == pytest.approx(1.1 * perfect.get_volume())
    sheared = strain(perfect, np.array([0, 0, 0, 0.04, 0, 0]))
    assert sheared.cell.angles()[0] == pytest.approx(90 - np.degrees(0.04), abs=0.01)


def test_isolated_atoms_are_alone_and_named():
    (atom,) = isolated_atoms(["Si"], 12.0)
    assert atom.info["name"] == "Si"
    assert atom.info["config_type"] == "IsolatedAtom"
    assert closest_contact(atom)[0] == float("inf")


def test_volume_series_is_named_and_centred_on_the_crystal():
    cells = volume_series("Si", SILICON, 5, 0.06)
    assert [c.info["name"] for c in cells] == ["v0", "v1", "v2", "v3", "v4"]
    assert cells[2].get_volume() == pytest.approx(5.43**3)
    assert cells[0].get_volume() == pytest.approx(5.43**3 * 0.94)
