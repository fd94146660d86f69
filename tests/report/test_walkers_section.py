"""The report's table of the surrogate's walkers: every kind in words, records of older runs, how hot it really was."""

import dataclasses

import pytest
from report_run import WRITTEN, Crippled, make_run

from mlip_autopipec.artifacts import read_json, write_json
from mlip_autopipec.config import expand
from mlip_autopipec.report import write_report
from mlip_autopipec.report.records import read_records
from mlip_autopipec.report.walkers import explored_rows, reached_k

OLD = {
    "walker": "T0300-0", "surrogate": "sevennet-0", "temperature_k": 300.0, "start_type": "crystal",
    "steps_asked": 200, "steps_done": 200, "frames": 20, "stopped": "",
}  # fmt: skip
NEW = OLD | {
    "kind": "md", "temperature_end_k": None, "pressure_gpa": 0.0, "ensemble": "NVT Langevin",
    "shape": "bulk", "warnings": [], "notes": {},
}  # fmt: skip


def walker(kind, **more):
    return NEW | {"walker": f"{kind}-0", "kind": kind} | more


@pytest.fixture
def rows(tmp_path):
    records = read_records(make_run(tmp_path, Crippled(generations=1)))

    def of(*walkers):
        return explored_rows(dataclasses.replace(records, explored=list(walkers)))

    return of


def test_a_record_of_an_older_run_is_a_walker_of_plain_dynamics(rows):
    (row,) = rows(OLD)
    assert (row["kind"], row["ensemble"], row["temperatures"], row["pressure"], row["start"], row["became"]) == (
        "MD", "–", "300", "–", "crystal", "–",
    )  # fmt: skip


def test_plain_dynamics_comes_first_and_cold(rows):
    found = rows(walker("swaps"), NEW | {"walker": "T0900-0", "temperature_k": 900.0}, walker("heat"), NEW)
    assert [row["walker"] for row in found] == ["T0300-0", "T0900-0", "heat-0", "swaps-0"]


@pytest.mark.parametrize(
    ("kind", "notes", "said"),
    [
        ("swaps", {"swaps_tried": 400, "swaps_accepted": 48, "swap_acceptance": 0.12,
                   "swap_acceptance_by_pair": {"Al-Mg": 0.12}}, "48 of 400 swaps taken (12 %)"),
        ("swaps", {"swaps_tried": 400, "swaps_accepted": 48, "swap_acceptance": 0.12,
                   "swap_acceptance_by_pair": {"Al-Mg": 0.1, "Al-Cu": 0.2, "Mg-Cu": None}},
         "48 of 400 swaps taken (12 %: Al-Mg 10 %, Al-Cu 20 %)"),
        ("swaps", {"swaps_tried": 0, "swaps_accepted": 0, "swap_acceptance": None}, "0 of 0 swaps taken"),
        ("swaps", {"swaps": "none: there is one element only"}, "swaps: none: there is one element only"),
        ("cells", {"cell_moves_tried": 160, "cell_moves_at_walls": 3, "volume_acceptance": 0.35,
                   "volume_move_size": 0.01, "shape_acceptance": 0.0, "shape_move_size": 0.1},
         "160 moves of the cell tried (taken: volume 35 %, shape 0 %)"),
        ("cells", {"cell_moves_tried": 0, "volume_acceptance": None}, "0 moves of the cell tried"),
        ("strains", {"stops": 14, "volume_strains": [-0.121, 0.118], "shear_strain_max": 0.062},
         "14 strains, volumes −12 to +12 %, shears up to 6 %"),
        ("paths", {"paths": 3, "paths_ended": {"relaxed": 2, "atoms too near": 1}, "mean_fall_ev_per_atom": 0.412},
         "3 relaxations (2 relaxed, 1 atoms too near: 0.41 eV/atom lost on the way)"),
        ("heat", {"bulk_modulus_gpa": 96.2, "cell_flowed_at_step": 120}, "the cell began to flow at step 120"),
        ("md", {"new_thing": 5}, "new thing: 5"),
        ("md", {}, "–"),
    ],
)  # fmt: skip
def test_what_became_of_each_kind_is_told_in_words(kind, notes, said, rows):
    assert rows(walker(kind, notes=notes))[0]["became"] == said


def test_why_it_stopped_comes_before_notes_and_warnings(rows):
    stopped = walker("heat", stopped="it exploded.", notes={"cell_flowed_at_step": 7}, warnings=["a grey gap"])
    (row,) = rows(stopped)
    assert row["stopped"]
    assert row["became"] == "it exploded; the cell began to flow at step 7; a grey gap"


def test_only_a_walker_whose_cell_moves_has_a_pressure(rows):
    (a, b) = rows(walker("md", pressure_gpa=-2.5), walker("swaps", pressure_gpa=None))
    assert (a["pressure"], b["pressure"]) == ("−2.5", "–")


def test_a_ramp_was_as_hot_as_it_came_and_relaxations_have_no_temperature():
    ramp = walker("heat", temperature_end_k=2300.0, steps_done=50)
    assert reached_k(ramp) == [300.0, pytest.approx(800.0)]
    assert reached_k(ramp | {"steps_done": 200}) == [300.0, 2300.0]
    assert reached_k(walker("paths")) == []
    assert reached_k(OLD) == [300.0]


def test_page_and_summary_know_the_ramp_and_the_surrogates(tmp_path):
    files = make_run(tmp_path, Crippled(generations=1))
    paths = [files["explored"]]
    for one in (
        walker("heat", temperature_end_k=2300.0, steps_done=100, stopped="a force of 41.0 eV/A (limit 30.0)"),
        walker("paths", surrogate={"name": "mace-mp", "version": "0.3"}, temperature_k=9000.0),
    ):
        write_json(tmp_path / f"explored/{one['walker']}.json", one)
        paths.append(str(tmp_path / f"explored/{one['walker']}.json"))
    files["explored"] = paths
    write_report(expand(WRITTEN), files, tmp_path / "report.html", tmp_path / "summary.json")
    assert read_json(tmp_path / "summary.json")["data"]["explored_k"] == [300.0, 1300.0]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in ("300 → 2300", "crystal (bulk)", "relaxations of random structures", "<td>mace-mp</td>",
                 "<b>stopped early:</b> a force of 41.0 eV/Å (limit 30.0)"):  # fmt: skip
        assert text in page
