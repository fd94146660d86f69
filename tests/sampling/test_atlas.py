"""The map of what was seen, labelled and found uncertain, and how well the labels cover it: by hand and by chance."""

import json

import numpy as np
import pytest
from ase import Atoms

from mlip_autopipec.artifacts import write_json
from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.frames import ISOLATED_ATOM, new_frame, write_frames
from mlip_autopipec.sampling import coverage
from mlip_autopipec.sampling.atlas import POINTS_MAX, atlas
from mlip_autopipec.sampling.pool import Pool
from mlip_autopipec.sampling.projection import pool_map, read_map, write_map
from mlip_autopipec.sampling.roles import UNCERTAIN_MAX
from mlip_autopipec.sampling.samplers import ArrayFeatures


def frame(x, y=0.0, config_type="explored"):
    """A frame whose descriptor is (x, y)."""
    return new_frame(Atoms("H", [[x, y, 0]], cell=[99] * 3, pbc=True), origin="t", config_type=config_type)


def vectors_of(frames):
    return np.array([f.positions[0, :2] for f in frames])


def table(vectors, uids, config_types, sources, block_rows=50_000):
    features = ArrayFeatures(np.asarray(vectors, dtype=np.float32), block_rows=block_rows)
    names, parents = np.array(uids, dtype=np.bytes_), np.zeros(len(uids), dtype="S1")
    strata = np.zeros(len(uids), dtype=int)
    return Pool(features, names, parents, np.array(config_types), np.array(sources), strata, "test")


def write_run(folder, pool, sources, candidates, asked, uncertain=(), refused=(), test=(), why=None):
    """Files of a run: `asked` and `uncertain` are frames by generation; what is asked and not `refused` is labelled."""
    uids = [f.info["uid"] for f in pool]
    rows = [uids.index(f.info["uid"]) for f in candidates]
    found = pool_map(table(vectors_of(pool), uids, [f.info["config_type"] for f in pool], sources), rows)
    write_map(folder / "map.npz", found)
    write_json(folder / "candidates.json", {"method": "direct", "descriptor": "soap", "why": why or {}})
    write_frames(folder / "candidates.extxyz", candidates)
    files = {"map": folder / "map.npz", "record": folder / "candidates.json", "frames": [], "simulated": []}
    for generation, frames in enumerate(asked):
        write_frames(folder / f"frames/gen{generation}.extxyz", frames)
        files["frames"].append(folder / f"frames/gen{generation}.extxyz")
    for generation, frames in enumerate(uncertain):
        write_frames(folder / f"simulated/gen{generation}/T0300-0.extxyz", frames)
        files["simulated"].append(folder / f"simulated/gen{generation}/T0300-0.extxyz")
    atom = new_frame(Atoms("H", cell=[12] * 3, pbc=True), origin="atom", config_type=ISOLATED_ATOM)
    bad = {f.info["uid"] for f in refused}
    write_frames(folder / "dataset.extxyz", [atom, *(f for group in asked for f in group if f.info["uid"] not in bad)])
    write_frames(folder / "quarantine.extxyz", list(refused))
    write_frames(folder / "test.extxyz", [atom, *test])
    return files | {
        "candidates": folder / "candidates.extxyz", "dataset": folder / "dataset.extxyz",
        "quarantine": folder / "quarantine.extxyz", "test": folder / "test.extxyz",
    }  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two walkers that cross like the axes of a map, with what was chosen by hand."""
    cross = [(x, 0.0) for x in range(-5, 6)] + [(0.0, y) for y in range(-5, 6) if y]
    pool = [frame(10 + x, 10 + y, "strain" if x == 5 else "explored") for x, y in cross]
    sources = ["T0300-0"] * 11 + ["T0900-0"] * 10
    uncertain = [[frame(10.5, 10.5), frame(40, 40)], [frame(41, 40)]]
    chosen = [pool[0], pool[5], pool[10], pool[11]]
    why = {pool[0].info["uid"]: "nearest to the centre of cluster 1"}
    return pool, atlas(
        write_run(
            tmp_path_factory.mktemp("small"), pool, sources, chosen,
            [[pool[0], pool[5], pool[10]], [uncertain[0][1]]], uncertain, [pool[10]], [frame(10, 11.5)], why,
        ),
        vectors_of,
        seed=3,
    )  # fmt: skip


def named(record):
    return {one["uid"]: one for one in record["points"]}


def test_every_frame_is_on_the_map_once_with_what_became_of_it(small):
    pool, record = small
    points = named(record)
    assert len(points) == len(record["points"]) == 21 + 3 + 1
    what = [points[f.info["uid"]]["what"] for f in pool]
    assert [k for k, one in enumerate(what) if one == "labelled"] == [0, 5]
    assert (what[10], what[11], what.count("seen")) == ("failed", "chosen", 17)
    assert points[pool[0].info["uid"]]["why"] == "nearest to the centre of cluster 1"
    assert points[pool[0].info["uid"]]["source"] == "T0300-0"
    assert points[pool[10].info["uid"]]["config_type"] == "strain"
    later = [one for one in record["points"] if one["uncertain_in"] is not None]
    assert sorted((one["what"], one["generation"], one["uncertain_in"]) for one in later) == [
        ("labelled", 1, 0), ("uncertain", 0, 0), ("uncertain", 1, 1),
    ]  # fmt: skip
    assert [one["what"] for one in record["points"]].count("test") == 1
    json.dumps(record, allow_nan=False)


def test_distances_on_the_map_are_those_of_the_standardised_features(small):
    pool, record = small
    points, vectors = named(record), vectors_of(pool)
    assert sum(record["axes"]) == pytest.approx(1.0)
    scaled = vectors / vectors.std(axis=0)
    here = np.array([[points[f.info["uid"]][key] for key in ("x", "y")] for f in pool])
    for k in range(len(pool)):
        true = np.linalg.norm(scaled - scaled[k], axis=1)
        assert np.linalg.norm(here - here[k], axis=1) == pytest.approx(true, abs=1e-3)


def test_coverage_is_what_it_is_by_hand(small):
    pool, record = small
    found, vectors = record["coverage"], vectors_of(pool)
    scaled = vectors / vectors.std(axis=0)
    chosen = scaled[[0, 5, 10, 11]]
    nearest = [sorted(np.linalg.norm(chosen - one, axis=1))[1] for one in chosen]
    assert found["radius"] == pytest.approx(np.median(nearest), rel=1e-5)
    gap = np.linalg.norm(scaled[:, None] - scaled[[0, 5]], axis=2).min(axis=1)
    first, second = found["generations"]
    assert (first["labelled"], second["labelled"]) == (2, 3)
    assert first["mean_gap"] == pytest.approx(gap.mean(), rel=1e-5)
    assert first["largest_gap"] == pytest.approx(gap.max(), rel=1e-5)
    assert first["covered"] == pytest.approx((gap <= np.median(nearest) * (1 + 1e-6)).mean())
    assert second["mean_gap"] == first["mean_gap"], "what was added is far from all that was seen before"
    (a, b, later, last) = found["by_source"]
    assert [a["name"], b["name"], later["name"], last["name"]] == [
        "T0300-0", "T0900-0", "simulated gen0", "simulated gen1",
    ]  # fmt: skip
    assert (a["seen"], a["chosen"], a["labelled"]) == (11, 3, 2)
    assert (b["seen"], b["chosen"], b["labelled"]) == (10, 1, 0)
    assert (later["seen"], later["chosen"], later["labelled"]) == (2, 1, 1)
    assert {one["name"]: one["seen"] for one in found["by_type"]} == {"explored": 20, "strain": 1}
    assert found["test"]["frames"] == 1
    assert found["test"]["mean_gap"] == pytest.approx(1.5 / vectors.std(axis=0)[1], rel=1e-5)


def test_uncertain_frames_are_outside_where_nothing_seen_was_as_far(small):
    first, second = small[1]["coverage"]["uncertain"]
    assert (first["frames"], first["near"], first["outside"]) == (2, 1, 1)
    assert (second["frames"], second["outside"]) == (1, 0), "the frame labelled meanwhile is beside it"


def test_a_spread_choice_covers_better_than_chance_and_a_heap_worse(tmp_path):
    random = np.random.default_rng(0)
    pool = [frame(*p) for p in [*(10 + 0.1 * random.normal(size=(180, 2))), *random.uniform(0, 60, size=(60, 2))]]
    sources = ["cold"] * 180 + ["hot"] * 60
    spread, heap = pool[:2] + pool[180:216:2], pool[:20]
    for name, chosen in (("spread", spread), ("heap", heap)):
        (tmp_path / name).mkdir()
        files = write_run(tmp_path / name, pool, sources, chosen, [chosen])
        found = atlas(files, vectors_of)["coverage"]
        assert (found["mean_gap_ratio"] > 1.5) == (name == "spread")
        assert (found["mean_gap_ratio"] < 0.9) == (name == "heap")
        # half of each source is better than chance here, so it is the harder one to beat
        assert found["stratified"]["mean_gap"] < found["random"]["mean_gap"]
        assert found["mean_gap_ratio_stratified"] < found["mean_gap_ratio"]
        assert atlas(files, vectors_of)["coverage"] == found, "the same seed gives the same numbers"


def test_without_a_label_there_are_no_numbers_and_no_error(tmp_path):
    pool = [frame(x, x % 3) for x in range(6)]
    found = atlas(write_run(tmp_path, pool, ["w"] * 6, pool[:2], [pool[:2]], refused=pool[:2]), vectors_of)
    assert found["coverage"]["generations"] == [
        {"generation": 0, "labelled": 0, "covered": None, "mean_gap": None, "largest_gap": None}
    ]
    assert found["coverage"]["mean_gap_ratio"] is None
    assert found["coverage"]["by_source"][0]["covered"] is None
    assert {one["what"] for one in found["points"]} == {"failed", "seen"}
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_frames_that_are_all_alike_have_a_map(number, tmp_path):
    pool = [new_frame(Atoms("H", [[3, 4, k]], cell=[99] * 3), origin="t", config_type="own") for k in range(number)]
    found = atlas(write_run(tmp_path, pool, ["own"] * number, pool[:1], [pool[:1]]), vectors_of)
    assert {(one["x"], one["y"]) for one in found["points"]} == {(0.0, 0.0)}
    assert found["coverage"]["generations"][0]["largest_gap"] == 0.0
    json.dumps(found, allow_nan=False)


def test_a_large_pool_is_thinned_evenly_and_no_source_is_lost(tmp_path):
    random = np.random.default_rng(1)
    vectors = random.normal(size=(60_000, 6)).astype(np.float32)
    vectors[-7:] += 30.0
    sources = ["long"] * 59_993 + ["short"] * 7
    uids = [f"f{k}" for k in range(60_000)]
    found = pool_map(table(vectors, uids, ["explored"] * 60_000, sources, block_rows=7000), [1, 2, 59_999])
    assert 4999 < len(found.uid) < 5010
    assert {"f1", "f2", "f59999"} <= set(found.uid.tolist())
    assert found.weight.sum() == pytest.approx(60_000)
    assert found.counts == {("long", "explored"): 59_993, ("short", "explored"): 7}
    assert (found.source == "short").sum() == 7
    kept = [int(u[1:]) for u, w in zip(found.uid, found.weight, strict=True) if w > 0]
    assert np.diff(kept).max() <= 13, "evenly along the source"
    write_map(tmp_path / "map.npz", found)
    again = read_map(tmp_path / "map.npz")
    assert again.counts == found.counts
    assert np.array_equal(again.place(vectors[:5]), found.place(vectors[:5]))
    assert (tmp_path / "map.npz").stat().st_size < 1e6


def test_the_points_are_few_whatever_the_pool(tmp_path):
    rows = np.random.default_rng(2).uniform(0, 50, size=(POINTS_MAX + 900, 2))
    pool = [frame(*row) for row in rows]
    sources = ["a"] * (POINTS_MAX + 890) + ["b"] * 10
    uncertain = [[frame(x, 70.0) for x in np.linspace(0, 50, UNCERTAIN_MAX + 50)]]
    files = write_run(tmp_path, pool, sources, pool[:9], [pool[:9], uncertain[0][:4]], uncertain)
    record = atlas(files, vectors_of)
    what = [one["what"] for one in record["points"]]
    assert POINTS_MAX - 5 <= len(what) <= POINTS_MAX + 10
    assert (what.count("labelled"), what.count("uncertain")) == (13, UNCERTAIN_MAX - 4)
    assert sum(one["source"] == "b" for one in record["points"]) >= 5
    later = record["coverage"]["by_source"][-1]
    assert (later["seen"], later["labelled"]) == (UNCERTAIN_MAX + 50, 4)


def test_frames_of_another_descriptor_and_nan_are_refused(tmp_path):
    pool = [frame(x, x % 2) for x in range(6)]
    files = write_run(tmp_path, pool, ["w"] * 6, pool[:2], [pool[:2]], [[frame(3.5)]])
    with pytest.raises(DataError, match="made of 2 features and these frames have 3"):
        atlas(files, lambda frames: np.zeros((len(frames), 3)))
    with pytest.raises(DataError, match="frame 0 is not a number"):
        atlas(files, lambda frames: np.full((len(frames), 2), np.nan))
    with pytest.raises(DataError, match="there is no frame"):
        pool_map(table(np.zeros((0, 2)), [], [], []), [])


def test_of_equal_frames_in_the_pool_the_first_counts():
    vectors = np.random.default_rng(4).normal(size=(9, 3))
    uids = ["a", "b", "c", "a", "d", "b", "e", "f", "a"]
    found = pool_map(table(vectors, uids, ["explored"] * 9, ["x"] * 3 + ["y"] * 6), [2])
    assert found.uid.tolist() == ["a", "b", "c", "d", "e", "f"]
    assert found.counts == {("x", "explored"): 3, ("y", "explored"): 3}
    assert found.seen == found.weight.sum() == 6


def test_a_damaged_map_is_named(tmp_path):
    path = tmp_path / "candidates_map.npz"
    with pytest.raises(InputFileError, match="no such file"):
        read_map(path)
    path.write_bytes(b"PK not a zip")
    with pytest.raises(InputFileError, match=r"candidates_map.npz.*not readable as a map"):
        read_map(path)
    np.savez(path, scores=np.zeros((3, 2)))
    with pytest.raises(InputFileError, match="not readable as a map"):
        read_map(path)


def test_gaps_and_spacing_by_hand():
    points = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    assert list(coverage.gaps(points, points[:1])) == [0.0, 5.0, 1.0]
    assert np.isinf(coverage.gaps(points, points[:0])).all()
    assert coverage.spacing(points) == 1.0
    assert np.isnan(coverage.spacing(points[:1]))
    assert coverage.spacing(points[[0, 0, 1]]) == 0.0
