"""The report's map of what was seen and chosen: its numbers, words and picture, and runs that have no map."""

import base64
import re

import numpy as np
import pytest
from report_run import WRITTEN, Crippled, make_run

from mlip_autopipec.artifacts import read_json, write_json
from mlip_autopipec.config import expand
from mlip_autopipec.report import write_report
from mlip_autopipec.report.choice import build_choosing, cover_rows, section
from mlip_autopipec.report.map_figure import beyond_the_edge, map_of_frames
from mlip_autopipec.report.records import read_records
from mlip_autopipec.sampling.atlas import Found, covering, points
from mlip_autopipec.sampling.pool import Pool
from mlip_autopipec.sampling.projection import pool_map
from mlip_autopipec.sampling.roles import Roles
from mlip_autopipec.sampling.samplers import ArrayFeatures

HOSTILE = '<script>alert("why")</script>'


def made_map(pool=90, generations=2, far=1.0, labelled=True):
    """map.json of a run whose potentials were uncertain about five frames each, `far` times as far off as the pool."""
    random = np.random.default_rng(5)
    vectors = random.normal(size=(pool, 6)) * [9, 5, 2, 1, 1, 1]
    uid = [f"f{k:03d}" for k in range(pool)]
    third = pool // 3
    source = ["structures"] * third + ["T0300-0"] * third + ["T0900-0"] * (pool - 2 * third)
    kind = ["rattle"] * third + ["explored"] * (pool - third)
    chosen = list(range(0, pool, 9))
    features, parents = ArrayFeatures(vectors.astype(np.float32)), np.zeros(pool, dtype="S1")
    strata = np.arange(pool) // third
    table = Pool(features, np.array(uid, dtype=np.bytes_), parents, np.array(kind), np.array(source), strata, "test")
    found = pool_map(table, chosen)
    asked = {uid[k]: 0 for k in chosen[:-1]}
    later = [f"g{g}{k}" for g in range(generations) for k in range(5)]
    asked |= {f"g{g}0": g + 1 for g in range(generations - 1)}
    roles = Roles(
        chosen={uid[k] for k in chosen},
        asked=asked,
        labelled=set(asked) - {uid[0]} if labelled else set(),
        failed={uid[0]} if labelled else set(asked),
        uncertain={name: int(name[1]) for name in later},
        why={uid[9]: "nearest to the centre of cluster 4", uid[0]: HOSTILE, "g00": "farthest from all labels"},
    )
    off = Found(
        found.place(vectors[: len(later)] * far), later, ["simulated"] * len(later), [f"gen{u[1]} T" for u in later]
    )
    test = Found(found.place(vectors[-4:] + 0.5), [f"t{k}" for k in range(4)], ["test"] * 4, ["test"] * 4)
    return {
        "method": "direct", "descriptor": "soap", "axes": found.components.variances[:2].tolist(),
        "points": points(found, off, test, roles), "coverage": covering(found, off, test, roles, seed=1),
    }  # fmt: skip


def written(folder, record=None):
    files = make_run(folder, Crippled(generations=1))
    if record is not None:
        write_json(folder / "map.json", record)
        files["map"] = str(folder / "map.json")
    write_report(expand(WRITTEN), files, folder / "report.html", folder / "summary.json")
    text = (folder / "report.html").read_text(encoding="utf-8")
    return text, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)), read_json(folder / "summary.json"), files


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    record = made_map(far=3.0)
    return record, *written(tmp_path_factory.mktemp("shown"), record)


def test_the_page_shows_the_map_and_tells_its_numbers(shown):
    record, page, text, _, _ = shown
    assert 'href="#chosen">' in page
    assert 'id="chosen"' in page
    found = record["coverage"]
    assert f"lies within {found['radius']:.2f} of it" in text
    assert f"The 8 labels of generation 0 cover {100 * found['generations'][0]['covered']:.0f} % of all" in text
    assert "the labels of all generations 9 " in text
    assert "starting structures 30 4 3 " in text
    assert "uncertain in generation 0 5 1 1 " in text
    assert "rattle 30 4 3 " in text
    assert "The 4 test frames, of trajectories of their own" in text
    row = found["uncertain"][0]
    between = 5 - row["near"] - row["outside"]
    assert f"0 5 {row['near']} {between} {row['outside']} " in text
    assert (
        "Starting structures and walkers gave 91 different frames, told apart by SOAP. 12 of them were chosen" in text
    )


def test_every_frame_chosen_is_listed_with_its_reason(shown):
    _, page, text, _, _ = shown
    assert "All 11 frames that were chosen, and why each was" in text
    assert "f009 0 rattle starting structures labelled nearest to the centre of cluster 4" in text
    assert "f000 0 rattle starting structures label refused" in text
    assert "f081 0 explored T0900-0 chosen, not labelled –" in text
    assert "g00 1 simulated gen0 T labelled farthest from all labels" in text
    assert "<script" not in page, "words of files are no markup"
    assert "&lt;script&gt;" in page


def test_the_summary_has_the_numbers_of_the_choice(shown):
    record, _, _, summary, _ = shown
    found, first = summary["sampling"], record["coverage"]["generations"][0]
    assert (found["method"], found["descriptor"], found["pool_frames"], found["chosen"]) == ("direct", "soap", 91, 12)
    cover = found["coverage"]
    assert (cover["covered"], cover["mean_gap"], cover["largest_gap"]) == (
        first["covered"], first["mean_gap"], first["largest_gap"],
    )  # fmt: skip
    assert cover["mean_gap_ratio"] == pytest.approx(cover["mean_gap_random"] / cover["mean_gap"])
    assert cover["uncertain"] == 10
    assert cover["uncertain_near"] + cover["uncertain_outside"] <= 10
    assert cover["uncertain_outside"] > 0


def test_a_run_without_a_map_has_a_report_without_the_section(tmp_path):
    page, text, summary, files = written(tmp_path)
    assert 'id="chosen"' not in page
    assert "#chosen" not in page
    assert "What was chosen" not in text
    assert summary["sampling"] == {
        "method": "direct", "descriptor": None, "pool_frames": 91, "chosen": 12, "coverage": None,
    }  # fmt: skip
    files.pop("candidates")
    assert build_choosing(read_records(files | {"eos": []})) is None, "data of the user's own: nothing was chosen"


def test_labels_that_were_all_refused_leave_no_numbers_but_a_map(tmp_path):
    page, text, summary, _ = written(tmp_path, made_map(labelled=False))
    assert "No label of generation 0 was accepted, so nothing of what was seen is covered." in text
    assert "How well what was seen is covered" not in text
    assert "What the potential was uncertain about" not in text
    assert 'id="chosen"' in page
    assert summary["sampling"]["coverage"]["covered"] is None


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(1.8, "would be 1.80 times as far on average"), (1.01, "about as far from the nearest label as with random"),
     (0.7, "would be nearer on average (0.70 times as far): the choice spent frames on what is rare")],
)  # fmt: skip
def test_a_choice_that_is_no_better_than_chance_is_said_to_be(ratio, said, tmp_path):
    record = made_map()
    record["coverage"]["mean_gap_ratio"] = ratio
    files = make_run(tmp_path, Crippled(generations=1))
    write_json(tmp_path / "map.json", record)
    found = section(read_records(files | {"map": str(tmp_path / "map.json")}))
    assert said in " ".join(found["sentences"])


def test_rows_of_coverage_compare_like_with_like():
    rows = cover_rows(made_map(generations=3)["coverage"])
    assert [row["frames"] for row in rows] == [8, 8, 8, 10]
    assert rows[0]["covered"] <= rows[-1]["covered"], "more labels cover no less"


def svg(picture):
    return base64.b64decode(picture.removeprefix("data:image/svg+xml;base64,")).decode()


def test_far_frames_do_not_squeeze_the_map_and_are_counted():
    near, far = made_map()["points"], made_map(far=40.0)["points"]
    assert beyond_the_edge(near) == 0
    places = np.array([(one["x"], one["y"]) for one in far])
    inner = np.array([(one["x"], one["y"]) for one in far if one["uncertain_in"] is None])
    width = np.ptp(inner, axis=0)
    low, high = inner.min(axis=0) - 0.6 * width, inner.max(axis=0) + 0.6 * width
    assert beyond_the_edge(far) == ((places < low) | (places > high)).any(axis=1).sum() > 0


def test_the_picture_is_the_same_each_time_and_light_with_many_points():
    record = made_map(pool=4000, generations=9)
    picture = map_of_frames(record["points"], record["axes"])
    assert picture == map_of_frames(record["points"], record["axes"])
    assert len(picture) < 700_000
    assert svg(picture).rstrip().endswith("</svg>")


def test_a_pool_of_one_frame_has_a_picture():
    one = {"x": 0.0, "y": 0.0, "what": "labelled", "generation": 0, "uncertain_in": None}
    assert svg(map_of_frames([one], [])).rstrip().endswith("</svg>")
