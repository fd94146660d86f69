import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import new_frame
from mlip_autopipec.starts import choose_start


def argon(a: float, kind: str) -> Atoms:
    return new_frame(bulk("Ar", a=a, cubic=True), origin="t", config_type=kind)


def boxed(kind: str, shift: float) -> Atoms:
    atoms = molecule("H2O", vacuum=4.0 + shift)
    atoms.pbc = True
    return new_frame(atoms, origin="t", config_type=kind)


ATOM = new_frame(Atoms("Ar", cell=[9, 9, 9], pbc=True), origin="t", config_type="IsolatedAtom")


def test_the_first_walker_of_a_temperature_starts_from_the_reference_and_the_others_do_not():
    frames = [argon(5.3, "crystal"), argon(5.2, "vacancy"), argon(5.1, "melt"), ATOM]
    random = np.random.default_rng(0)
    assert all(choose_start(frames, random, name) is frames[0] for name in ("T0300-0", "T1200-0", "heat-0"))
    others = [choose_start(frames, random, "T0300-1").info["config_type"] for _ in range(60)]
    assert set(others) == {"crystal", "vacancy", "melt"}


def test_of_molecules_the_material_is_the_condensed_phase():
    liquid = [boxed("condensed", 0.1), boxed("condensed", 0.2)]
    frames = [boxed("molecule", 0.0), boxed("stretch", 0.3), *liquid]
    random = np.random.default_rng(0)
    starts = [choose_start(frames, random, "T0300-0") for _ in range(40)]
    assert {one.info["uid"] for one in starts} == {one.info["uid"] for one in liquid}
    assert choose_start(frames[:2], random, "T0300-0") is frames[0]  # no condensed phase: the molecule


def test_no_walk_starts_from_a_pulled_bond_where_there_is_anything_else():
    frames = [boxed("molecule", 0.0), boxed("dimer", 0.1), *(boxed("stretch", 0.2 + 0.1 * k) for k in range(20))]
    random = np.random.default_rng(0)
    assert {choose_start(frames, random, "T0300-1").info["config_type"] for _ in range(40)} == {"molecule", "dimer"}
    assert choose_start(frames[2:], random, "T0300-1").info["config_type"] == "stretch"


def test_a_reference_that_does_not_suit_leaves_the_walker_another_start():
    frames = [argon(5.3, "crystal"), argon(5.2, "vacancy")]
    chosen = choose_start(frames, np.random.default_rng(0), "swaps-0", lambda atoms: atoms is frames[1])
    assert chosen is frames[1]


def test_other_walkers_start_from_every_type_alike_however_many_frames_it_has():
    few = [argon(5.3, "surface")]
    many = [argon(5.0 + 0.01 * k, "rattle") for k in range(40)]
    random = np.random.default_rng(0)
    starts = [choose_start([ATOM, *many, *few], random, "T0300-1") for _ in range(400)]
    share = sum(one.info["config_type"] == "surface" for one in starts) / 400
    assert share == pytest.approx(0.5, abs=0.08)
    assert not any(one.info["config_type"] == "IsolatedAtom" for one in starts)
    assert len({one.info["uid"] for one in starts}) > 35
    with pytest.raises(DataError, match="no structure"):
        choose_start([ATOM], random, "T0300-1")
