"""Frames keep identity, lineage and labels through a file."""

import numpy as np
import pytest
from ase.build import bulk

from mlip_autopipec.artifacts import atomic_path, provenance, read_json, write_json
from mlip_autopipec.errors import InputFileError
from mlip_autopipec.frames import closest_contact, new_frame, read_frames, set_label, uid, unique, write_frames


def silicon(rattle=0.0):
    atoms = bulk("Si", cubic=True)
    atoms.rattle(rattle, seed=1)
    return new_frame(atoms, origin="test a=1 b='x y'", config_type="rattle", parent="f" + "0" * 15)


def test_identity_lineage_and_label_survive_a_file(tmp_path):
    frame = silicon(0.1)
    label = np.arange(24.0).reshape(8, 3) / 7, np.arange(6.0) / 11
    set_label(frame, -3.25, *label)
    write_frames(tmp_path / "a.extxyz", [frame])
    (back,) = read_frames(tmp_path / "a.extxyz")
    assert uid(back) == back.info["uid"] == frame.info["uid"]
    assert {k: back.info[k] for k in ("parent", "origin", "config_type", "generation")} == {
        k: frame.info[k] for k in ("parent", "origin", "config_type", "generation")
    }
    assert back.info["REF_energy"] == -3.25
    np.testing.assert_allclose(back.arrays["REF_forces"], label[0], atol=1e-7)
    np.testing.assert_allclose(back.info["REF_stress"], label[1])


def test_identity_changes_with_every_part_of_a_structure():
    base = silicon()
    moved, stretched, other, open_ = base.copy(), base.copy(), base.copy(), base.copy()
    moved.positions[0, 0] += 0.001
    stretched.set_cell(base.cell * 1.001, scale_atoms=False)
    other.numbers[0] = 32
    open_.pbc = [True, True, False]
    assert len({uid(a) for a in (base, moved, stretched, other, open_)}) == 5


def test_identity_never_looks_like_a_number():
    for seed in range(200):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.1, seed=seed)
        with pytest.raises(ValueError, match="could not convert"):
            float(uid(atoms))


@pytest.mark.parametrize("energy", [np.nan, np.inf])
def test_a_label_that_is_not_a_number_is_refused(energy):
    with pytest.raises(ValueError, match="finite"):
        set_label(silicon(), energy, np.zeros((8, 3)), None)


def test_a_label_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="forces"):
        set_label(silicon(), 1.0, np.zeros((7, 3)), None)
    with pytest.raises(ValueError, match="six"):
        set_label(silicon(), 1.0, np.zeros((8, 3)), np.zeros(5))


def test_no_frames_is_an_empty_file_and_back(tmp_path):
    write_frames(tmp_path / "none.extxyz", [])
    assert read_frames(tmp_path / "none.extxyz") == []


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(InputFileError, match=r"gone\.extxyz: no such file"):
        read_frames(tmp_path / "gone.extxyz")
    path = tmp_path / "cut.extxyz"
    write_frames(path, [silicon(), silicon(0.1)])
    text = path.read_text()
    for where in (0.55, 0.7, 0.9):
        path.write_text(text[: int(len(text) * where)])
        with pytest.raises(InputFileError, match=r"cut\.extxyz"):
            read_frames(path)


def test_nan_positions_are_named(tmp_path):
    path = tmp_path / "nan.extxyz"
    write_frames(path, [silicon()])
    path.write_text(path.read_text().replace("1.35750000", "nan", 1))
    with pytest.raises(InputFileError, match="frame 0"):
        read_frames(path)


def test_duplicates_are_dropped_in_order():
    a, b = silicon(), silicon(0.1)
    assert unique([a, b, a]) == [a, b]
    assert unique([a, b], seen=[a.info["uid"]]) == [b]


def test_closest_contact_sees_across_the_boundary():
    atoms = bulk("Si", cubic=True)
    ratio, distance = closest_contact(atoms)
    assert distance == pytest.approx(5.43 * 3**0.5 / 4)
    assert ratio == pytest.approx(distance / 2.22)  # twice the covalent radius of Si, 1.11 A


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": np.float64(1.0), "y": np.arange(2)})

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert read_json(path) == {"x": 1.0, "y": [0, 1]}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_truncated_json_is_named(tmp_path):
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(InputFileError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_provenance_names_versions_parents_and_parameters(tmp_path):
    (tmp_path / "parent").write_text("x")
    said = provenance([str(tmp_path / "parent")], seed=3)
    assert said["made_with"] == {"seed": 3}
    assert said["versions"]["ase"]
    assert said["made_from"][str(tmp_path / "parent")].startswith("2d711642")  # sha256 of "x"


def test_a_frame_without_a_parent_keeps_its_origin_through_a_file(tmp_path):
    frame = new_frame(bulk("Si"), origin="rattle amplitude=0.1 seed=3", config_type="rattle")
    write_frames(tmp_path / "one.extxyz", [frame])
    again = read_frames(tmp_path / "one.extxyz")[0]
    assert again.info["origin"] == "rattle amplitude=0.1 seed=3"
    assert again.info["parent"] == ""
