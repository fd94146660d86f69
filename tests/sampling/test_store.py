"""Feature files: made once, in step with their frames, and frames read by their place; damage is said."""

import tracemalloc

import numpy as np
import pytest
from ase.build import bulk

from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.frames import frame_text, new_frame, write_frames
from mlip_autopipec.sampling.pool import Kept, Pool, rows_of
from mlip_autopipec.sampling.samplers import ArrayFeatures
from mlip_autopipec.sampling.store import Table, describe, index_path
from mlip_autopipec.sampling.stream import scan


class Toy:
    """A descriptor that counts its calls."""

    def __init__(self, key="toy"):
        self.key, self.columns, self.calls = key, 3, 0

    def __call__(self, frame):
        self.calls += 1
        return np.array([len(frame), *frame.positions[0, :2]], dtype=np.float32)


def frames_of(number, start=0, kind="explored", symbol="Si", like=None):
    made = []
    for seed in range(start, start + number):
        atoms = bulk(symbol, cubic=True)
        atoms.rattle(0.1, seed=seed)
        made.append(new_frame(atoms, origin=f"walker T{start} step {seed}", config_type=kind, like=like))
    return made


def stored(folder, name, frames, describer=None):
    write_frames(folder / f"{name}.extxyz", frames)
    describe(folder / f"{name}.extxyz", folder / f"{name}.npy", describer or Toy())
    return folder / f"{name}.extxyz", folder / f"{name}.npy"


def test_a_table_has_a_row_for_every_frame_and_frames_come_by_number(tmp_path):
    one, other = frames_of(5), frames_of(4, start=10, kind="strain", symbol="Ge")
    pool = Pool.open([stored(tmp_path, "one", one), stored(tmp_path, "other", other)])
    assert len(pool) == 9
    assert pool.features.shape == (9, 3)
    rows = np.concatenate(list(pool.features.blocks()))
    np.testing.assert_allclose(rows, [Toy()(f) for f in one + other], atol=1e-6)
    assert pool.config_type.tolist() == ["explored"] * 5 + ["strain"] * 4
    assert pool.source.tolist() == ["one"] * 5 + ["other"] * 4
    assert len(set(pool.strata.tolist())) == 2
    wanted = [8, 0, 3, 5, 0]
    read = pool.read(wanted)
    assert [f.info["uid"] for f in read] == [(one + other)[k].info["uid"] for k in wanted]
    assert [f.info["uid"].encode() for f in read] == pool.uid[wanted].tolist()
    np.testing.assert_allclose(rows_of(pool.features, np.array(wanted)), rows[wanted])


def test_features_are_made_once_and_again_when_frames_or_descriptor_change(tmp_path):
    describer = Toy()
    path, table = stored(tmp_path, "x", frames_of(3), describer)
    assert describe(path, table, describer)["reused"]
    assert describer.calls == 3
    other = Toy("other")
    assert describe(path, table, other) == {
        "frames": 3, "columns": 3, "taken": 0, "made": 3, "key": "other", "reused": False,
    }  # fmt: skip
    write_frames(path, frames_of(4))
    assert not describe(path, table, other)["reused"]
    assert Table(table).shape == (4, 3)
    index_path(table).write_bytes(b"cut off")
    assert not describe(path, table, other)["reused"]


def test_rows_that_the_walker_left_are_taken_when_the_model_is_the_same(tmp_path):
    frames = frames_of(4)
    write_frames(tmp_path / "x.extxyz", frames)
    vectors = np.arange(9, dtype=np.float32).reshape(3, 3)
    known = tmp_path / "x.invariants.npz"
    np.savez(known, uid=[f.info["uid"] for f in frames[:3]], vectors=vectors, key="toy")
    describer = Toy()
    record = describe(tmp_path / "x.extxyz", tmp_path / "x.npy", describer, known)
    assert (record["taken"], record["made"], describer.calls) == (3, 1, 1)
    np.testing.assert_array_equal(next(Table(tmp_path / "x.npy").blocks())[:3], vectors)
    describer = Toy("another model")
    assert describe(tmp_path / "x.extxyz", tmp_path / "x.npy", describer, known)["taken"] == 0
    assert describe(tmp_path / "x.extxyz", tmp_path / "y.npy", Toy(), tmp_path / "none.npz")["taken"] == 0
    known.write_bytes(b"PK cut off")
    with pytest.raises(InputFileError, match=r"x\.invariants\.npz: not readable"):
        describe(tmp_path / "x.extxyz", tmp_path / "z.npy", Toy(), known)


def test_an_empty_file_is_no_row_and_does_not_disturb_others(tmp_path):
    empty = stored(tmp_path, "empty", [])
    assert Table(empty[1]).shape == (0, 3)
    assert len(Pool.open([empty])) == 0
    pool = Pool.open([empty, stored(tmp_path, "x", frames_of(2)), stored(tmp_path, "empty2", [])])
    assert len(pool) == 2
    assert len(pool.read([1])) == 1


def lines_of(path):
    return path.read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: lines[:25], "ends in the line of atom 4 of 8"),
        (lambda lines: lines[:24] + lines[26:], "the number of columns changes"),
        (lambda lines: [*lines[:24], "Si 0.1\n", *lines[25:]], "the number of columns changes"),
        (lambda lines: [*lines[:20], "eight\n", *lines[21:]], "number of atoms, not b'eight'"),
        (lambda lines: [*lines[:20], "\n", *lines[20:]], "an empty line"),
        (lambda lines: [*lines[:24], lines[24].replace("Si", "Si x", 1).rsplit(" ", 1)[0] + "\n", *lines[25:]], ""),
        (lambda lines: [*lines[:24], "Si nan 0.0 0.0\n", *lines[25:]], "not finite"),
        (lambda lines: [*lines[:21], 'Lattice="1 2 3" Properties=species:S:1:pos:R:3\n', *lines[22:]], ""),
        (lambda lines: [*lines[:21], "\x00\x01\x02\xff\n", *lines[22:]], ""),
    ],
)
def test_damage_in_the_middle_is_said_with_file_and_frame(tmp_path, damage, words):
    path = tmp_path / "T0900-0.extxyz"
    write_frames(path, frames_of(5))
    path.write_text("".join(damage(lines_of(path))))
    with pytest.raises(InputFileError, match=rf"T0900-0\.extxyz: frame 2 .*damaged: .*{words}"):
        describe(path, tmp_path / "out.npy", Toy())
    assert not (tmp_path / "out.npy").exists()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        describe(tmp_path / "none.extxyz", tmp_path / "none.npy", Toy())
    with pytest.raises(InputFileError, match="no such file"):
        Pool.open([(tmp_path / "none.extxyz", tmp_path / "none.npy")])


def test_an_energy_that_is_no_number_does_not_matter(tmp_path):
    frames = frames_of(2)
    frames[0].info["surrogate_energy"] = float("nan")
    pool = Pool.open([stored(tmp_path, "x", frames)])
    assert np.isnan(pool.read([0])[0].info["surrogate_energy"])


def test_a_descriptor_that_is_no_number_is_said_with_its_frame(tmp_path):
    class Broken(Toy):
        def __call__(self, frame):
            return super().__call__(frame) * (np.nan if self.calls == 2 else 1.0)

    with pytest.raises(DataError, match=r"x\.extxyz: frame 1 \(f.*not a number"):
        stored(tmp_path, "x", frames_of(3), Broken())


def test_tables_that_do_not_belong_together_are_refused(tmp_path):
    one = stored(tmp_path, "one", frames_of(2))
    with pytest.raises(InputFileError, match=r"other\.npy: its descriptor \(another\)"):
        Pool.open([one, stored(tmp_path, "other", frames_of(2), Toy("another"))])
    write_frames(one[0], frames_of(3))
    with pytest.raises(InputFileError, match=r"one\.npy: it was made of another state"):
        Pool.open([one])


def test_a_table_that_was_cut_is_refused(tmp_path):
    path, table = stored(tmp_path, "x", frames_of(6))
    table.write_bytes(table.read_bytes()[:-5])
    with pytest.raises(InputFileError, match="ends before row 6 of 6"):
        list(Pool.open([(path, table)]).features.blocks())
    table.write_bytes(b"no table")
    with pytest.raises(InputFileError, match="not readable as a table"):
        Pool.open([(path, table)])


def test_memory_does_not_grow_with_the_file(tmp_path):
    frame = new_frame(bulk("Si", cubic=True).repeat(2), origin="t step 1", config_type="explored")
    text, peaks = frame_text(frame), []
    for number in (40, 400):
        path = tmp_path / f"{number}.extxyz"
        path.write_text(text * number)
        tracemalloc.start()
        assert sum(1 for raw in scan(path) if raw.info()["uid"] == frame.info["uid"]) == number
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert path.stat().st_size > 1e6
    assert peaks[1] < 1.2 * peaks[0] < 5e5


def test_tables_are_read_in_blocks_and_rows_left_out(tmp_path, monkeypatch):
    import mlip_autopipec.sampling.store as module

    rows = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32)
    np.save(tmp_path / "x.npy", rows)
    monkeypatch.setattr(module, "BLOCK_BYTES", 28 * 64)
    blocks = list(Table(tmp_path / "x.npy").blocks())
    assert max(map(len, blocks)) == 64
    keep = rows[:, 0] > 0
    keep[64:200] = False
    kept = Kept(Table(tmp_path / "x.npy"), keep)
    np.testing.assert_array_equal(np.concatenate(list(kept.blocks())), rows[keep])
    assert kept.shape == (keep.sum(), 7)
    np.testing.assert_array_equal(rows_of(ArrayFeatures(rows, 10), np.array([999, 0, 500])), rows[[999, 0, 500]])
