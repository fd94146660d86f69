"""Jobs of several labels: none is made twice, and what was labelled before is not labelled again."""

import time

import pytest
from ase.build import bulk
from campaign_cases import Bench, Engine, frames, settings

from mlip_autopipec.errors import DataError, MlipError
from mlip_autopipec.frames import new_frame, write_frames
from mlip_autopipec.labelling.jobs import RETRIES
from mlip_autopipec.labelling.labeller import read_label
from mlip_autopipec.labelling.ledger import Ledger


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


def test_a_job_labels_its_frames_and_enters_them_into_the_ledger(bench):
    record = bench.run(bench.names[1:3])
    assert [row["name"] for row in record["frames"]] == bench.names[1:3]
    assert bench.engine.started == bench.names[1:3]
    assert read_label(bench.label(1)).accepted
    assert bench.label(1).with_suffix(".pwo").read_text().startswith("No fake run")
    lines = Ledger(bench.labeled).lines()
    assert [(line["frame"], line["core_seconds"], line["final"]) for line in lines] == [
        (name, 3.6, True) for name in bench.names[1:3]
    ]
    assert all(line["estimate_seconds"] > 0 for line in lines)


def test_a_finished_label_is_not_made_again_in_whatever_job_it_is_asked_for(bench):
    bench.run(bench.names[:2])
    before = bench.label(0).stat().st_mtime_ns
    record = bench.run()
    assert bench.engine.started == bench.names
    assert len(record["frames"]) == 4
    assert bench.label(0).stat().st_mtime_ns == before
    assert bench.run() == record


def test_a_label_of_another_structure_or_surface_is_made_again(bench, tmp_path, monkeypatch):
    bench.run()
    other = settings(ecutwfc_ry=22)
    bench.engine = Engine(other)
    bench.run(config=other)
    assert bench.engine.started == bench.names
    assert bench.turns() == 0
    cells = [new_frame(bulk("Si", a=a), origin="t", config_type="eos", name="v0") for a in (5.4, 5.5)]
    first = Bench(tmp_path / "eos", monkeypatch, batch="eos", made=cells[:1])
    first.run()
    second = Bench(tmp_path / "eos", monkeypatch, batch="eos", made=cells[1:])
    second.run()
    assert second.engine.started == [cells[1].info["uid"]]


def test_a_deleted_label_is_noticed_once_and_made_again(bench):
    assert bench.turns() == 0
    bench.run()
    assert bench.turns() == 0
    bench.label(2).unlink()
    assert bench.turns() == 1
    bench.run()
    assert bench.turns() == 1
    assert bench.engine.started == [*bench.names, bench.names[2]]


def test_the_runs_of_a_deleted_label_are_removed_and_those_of_an_unfinished_one_kept(bench):
    bench.engine.ends = {bench.names[1]: ["infrastructure"]}
    for name in bench.names:
        (bench.labeled / "gen0" / name / "attempt_1").mkdir(parents=True)
    with pytest.raises(MlipError):
        bench.run()
    bench.label(0).unlink()
    bench.run(attempt=2)
    kept = {path.parent.name for path in bench.labeled.glob("gen0/*/attempt_1")}
    assert kept == set(bench.names[1:])


def test_attempts_that_a_retry_reads_again_are_counted_once(bench):
    bench.engine.ends = {bench.names[1]: ["infrastructure", "infrastructure", "infrastructure"]}
    for attempt in (1, 2):
        with pytest.raises(MlipError):
            bench.run(attempt=attempt)
    bench.run(attempt=3)
    lines = [line for line in Ledger(bench.labeled).lines() if line["frame"] == bench.names[1]]
    assert [line["core_seconds"] for line in lines] == [3.6, 0.0, 0.0]
    assert Ledger(bench.labeled).spent_core_hours() == pytest.approx(4 * 3.6 / 3600)


def test_labels_of_an_older_version_are_taken_over(bench):
    bench.run()
    bench.ledger = Ledger(bench.labeled)
    bench.ledger.path.unlink()
    bench.run()
    assert bench.engine.started == bench.names
    assert bench.turns() == 0
    bench.label(0).unlink()
    assert bench.turns() == 1


def test_a_job_with_several_cores_labels_so_many_at_a_time(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, number=8)
    bench.run(threads=4)
    assert sorted(bench.engine.started) == sorted(bench.names)
    assert 2 <= bench.engine.most_at_once <= 4


def test_a_kill_between_label_and_ledger_costs_no_second_run(bench, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    bench.run()
    bench.label(0).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "finished", killed)
        with pytest.raises(Killed):
            bench.run()
    bench.run()
    assert bench.engine.started == [*bench.names, bench.names[0]]


def test_a_frame_that_was_labelled_before_is_not_labelled_again(tmp_path, monkeypatch):
    first = Bench(tmp_path, monkeypatch, number=2)
    first.run()
    second = Bench(tmp_path, monkeypatch, batch="gen1", made=[*first.frames[:1], *frames(4)[3:]])
    second.run(earlier_files=[first.file])
    assert second.engine.started == second.names[1:]
    assert read_label(second.label(0)).outcome == "duplicate"


def test_a_frame_whose_twin_got_no_label_from_the_machine_or_the_budget_is_labelled(tmp_path, monkeypatch):
    """Refused as a duplicate it would be lost: there is no label of it."""
    made = frames(4)
    first = Bench(tmp_path, monkeypatch, made=[made[0], made[1], made[2], made[2].copy()])
    first.frames[3].info["name"] = first.names[3] = "twin"
    write_frames(first.file, first.frames)
    first.engine.ends = {
        first.names[0]: ["infrastructure"],
        first.names[1]: ["physics"],
        first.names[2]: ["infrastructure"],
    }
    first.run(attempt=RETRIES + 1)
    assert [read_label(first.label(k)).outcome for k in range(4)] == ["truncated"] * 3 + ["duplicate"]
    second = Bench(tmp_path, monkeypatch, batch="gen1", made=made)
    second.run(earlier_files=[first.file])
    assert second.engine.started == [second.names[0], second.names[2], second.names[3]]
    assert read_label(second.label(1)).outcome == "duplicate"  # the run itself said no


def test_a_frame_that_a_limit_refused_is_looked_at_again_when_limits_change_and_no_other(tmp_path, monkeypatch):
    close = bulk("Si", cubic=True)
    close.positions[1] = close.positions[0] + [1.0, 0, 0]
    made = [*frames(2), new_frame(close, origin="t", config_type="rattle")]
    bench = Bench(tmp_path, monkeypatch, made=made)
    assert [row["outcome"] for row in bench.run()["frames"]] == ["ok", "ok", "atoms_too_close"]
    bench.run()
    assert bench.engine.started == bench.names[:2]
    looser = settings(minimum_distance_fraction=0.4)
    assert [row["outcome"] for row in bench.run(config=looser)["frames"]] == ["ok"] * 3
    assert bench.engine.started == bench.names
    bench.run()  # what was labelled stays so
    assert bench.engine.started == bench.names
    assert bench.turns() == 0


def test_a_label_with_too_large_a_force_is_judged_again_from_its_runs_and_paid_once(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, number=2)
    large = bench.names[1]
    bench.engine.ends, bench.engine.outcome = {large: ["structure"]}, "force_too_large"
    bench.run(config=settings(core_hours_max=1.0))
    runs = bench.labeled / "gen0" / large / "attempt_1"
    runs.mkdir(parents=True)
    (runs / "pw.out").write_text("")
    bench.run(config=settings(core_hours_max=1.0))
    assert bench.engine.started == bench.names
    higher = settings(core_hours_max=1e-9, maximum_force_ev_per_angstrom=90)
    assert [row["outcome"] for row in bench.run(config=higher)["frames"]] == ["ok", "ok"]
    assert bench.engine.started == [*bench.names, large]
    assert runs.is_dir()
    assert Ledger(bench.labeled).spent_core_hours() == pytest.approx(2 * 3.6 / 3600)


def test_an_unknown_frame_is_named(bench):
    with pytest.raises(DataError, match="f0000"):
        bench.run(["f0000"])


def test_a_damaged_label_is_made_again(bench):
    bench.run()
    bench.label(0).write_text('{"accepted": tr')
    bench.run()
    assert bench.engine.started == [*bench.names, bench.names[0]]
    assert read_label(bench.label(0)).accepted


def test_time_lost_with_a_killed_job_is_entered(bench):
    ledger = Ledger(bench.labeled)
    ledger.start({"batch": "gen0", "frame": bench.names[0], "ranks": 1, "estimate_core_seconds": 5.0}, None)
    remains = bench.labeled / "gen0" / bench.names[0] / "attempt_1"
    remains.mkdir(parents=True)
    (remains / "pw.in").write_text("")
    time.sleep(0.3)
    (remains / "pw.out").write_text("")
    bench.run()
    (line,) = [one for one in ledger.lines() if one["outcome"] == "cut_off"]
    assert 0.2 < line["wasted_core_seconds"] < 2
    bench.label(0).unlink()
    bench.run()
    assert len([one for one in ledger.lines() if one["outcome"] == "cut_off"]) == 1


def test_a_torn_line_of_the_ledger_is_passed_over(bench):
    bench.run(bench.names[:1])
    ledger = Ledger(bench.labeled)
    for path in (ledger.path, ledger.starts):
        with open(path, "a") as handle:
            handle.write('{"outcome": "ok"}\n[]\n{"batch": "gen0", "fra')
    bench.run()
    assert [line["frame"] for line in ledger.lines()] == bench.names
    assert bench.turns() == 0
    assert ledger.running_core_hours() == 0


def test_a_label_that_will_not_fit_into_the_rest_of_a_batch_job_is_left_to_the_retry(bench, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    with pytest.raises(MlipError, match="time is over"):
        bench.run(minutes=0.1)
    assert bench.engine.started == []
    monkeypatch.delenv("SLURM_JOB_ID")
    bench.run(minutes=0.1)
    assert bench.engine.started == bench.names
