"""Jobs of several labels: none is made twice, the machine's failures are retried, budget and stop are kept to."""

import errno
import json
import threading
import time

import pytest
from ase.build import bulk

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import ConfigurationFault, DataError, MlipError
from mlip_autopipec.frames import new_frame, write_frames
from mlip_autopipec.labelling import campaign, store
from mlip_autopipec.labelling import ledger as ledger_module
from mlip_autopipec.labelling.campaign import label_job
from mlip_autopipec.labelling.jobs import RETRIES
from mlip_autopipec.labelling.labeller import Attempt, Label, read_label
from mlip_autopipec.labelling.ledger import Ledger, turns, why_stopped
from mlip_autopipec.structures.reference import isolated_atoms

VALUES = {
    "pseudo_dir": [], "pseudopotentials": {"Si": "Si.UPF"}, "ecutwfc_ry": 20, "ecutrho_ry": 80, "kmesh": [1, 1, 1],
    "smearing": "gaussian", "degauss_ry": 0.005, "nspin": 1, "starting_magnetization": {}, "magnetic_states": [],
    "kspacing_per_angstrom": 0.2,
}  # fmt: skip


def settings(**change):
    return Labelling(**(VALUES | change))


def frames(number):
    made = []
    for seed in range(number):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.1, seed=seed)
        made.append(new_frame(atoms, origin="t", config_type="rattle"))
    return made


class Engine:
    """Labels at once; `ends` names what happens to a frame instead (kinds, in the order of its runs)."""

    name, outcome, again, reason = "fake", "truncated", False, None

    def __init__(self, config, ends=None, seconds=3.6):
        self.surface, self.ends, self.seconds = config.surface(), ends or {}, seconds
        self.started, self.at_once, self.most_at_once, self.lock = [], 0, 0, threading.Lock()

    def label(self, atoms, workdir, *, ranks=1, seconds=None):
        with self.lock:
            self.started.append(atoms.info["uid"])
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.02)
        with self.lock:
            self.at_once -= 1
        kinds = self.ends.get(atoms.info["uid"], [])
        kind = kinds.pop(0) if kinds else "ok"
        if kind == "configuration":
            raise ConfigurationFault("the set-up is wrong", "Mend it")
        ok = kind == "ok"
        outcome = "ok" if ok else self.outcome
        tried = "force_too_large" if self.again else outcome
        return Label(
            accepted=ok, outcome=outcome, kind=kind, reason=self.reason or f"it was {kind}", natoms=len(atoms),
            uid=atoms.info["uid"], energy_ev=-1.0 if ok else None, forces=[(0, 0, 0)] * len(atoms) if ok else None,
            stress=(0,) * 6 if ok else None, engine="fake", wall_seconds=self.seconds, core_seconds=self.seconds,
            attempts=[Attempt(folder="attempt_1", outcome=tried, reason="", wall_seconds=3.6)],
            settings={"surface": self.surface}, output_file="attempt_1/pw.out",
        )  # fmt: skip


class Bench:
    """A folder with frames of a batch, an engine that counts, and a way to run jobs."""

    def __init__(self, folder, monkeypatch, number=4, batch="gen0", made=None):
        self.labeled, self.batch = folder / "labeled", batch
        self.frames = made if made is not None else frames(number)
        self.file = folder / "frames" / f"{batch}.extxyz"
        write_frames(self.file, self.frames)
        self.names = [f.info.get("name", f.info["uid"]) for f in self.frames]
        self.engine = Engine(settings())
        monkeypatch.setattr(campaign, "make_labeller", lambda config: self.engine)

    def run(self, names=None, config=None, **more):
        names = self.names if names is None else names
        return label_job(self.file, names, config or settings(), folder=self.labeled, batch=self.batch, **more)

    def label(self, k):
        return self.labeled / self.batch / f"{self.names[k]}.json"

    def turns(self, budget=None):
        return turns(Ledger(self.labeled), self.batch, self.names, budget)


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


def test_what_the_machine_spoilt_is_retried_alone_and_quarantined_in_the_end(bench):
    bench.engine.ends = {bench.names[1]: ["infrastructure"] * 3}
    for attempt in range(1, RETRIES + 1):
        with pytest.raises(MlipError, match=f"1 of 4 labels.*try {attempt} of 3.*it was infrastructure"):
            bench.run(attempt=attempt)
        assert not bench.label(1).exists()
    record = bench.run(attempt=RETRIES + 1)
    assert [row["outcome"] for row in record["frames"]] == ["ok", "truncated", "ok", "ok"]
    assert sorted(bench.engine.started) == sorted([*bench.names, bench.names[1], bench.names[1]])
    assert [line["final"] for line in Ledger(bench.labeled).lines() if line["frame"] == bench.names[1]] == [
        False, False, True,
    ]  # fmt: skip


def test_a_machine_that_fails_again_and_again_pauses_the_run_with_one_message(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, number=8)
    bench.engine.ends = {name: ["infrastructure"] for name in bench.names[2:]}
    with pytest.raises(ConfigurationFault, match=r"paused: 3 labels in a row.*finished labels are kept"):
        bench.run()
    assert bench.engine.started == bench.names[:5]
    with pytest.raises(MlipError, match=r"was stopped in this run; why stands in \S*stopped.json$"):
        bench.run(bench.names[6:])
    assert len(bench.engine.started) == 5
    Ledger(bench.labeled).run_started()
    bench.engine.ends = {}
    bench.run()
    assert bench.engine.started[5:] == bench.names[2:]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("out_of_memory", "it was infrastructure"), ("truncated", "pw.x did not end within 9 s")],
)
def test_labels_that_need_more_time_or_memory_pause_the_run_only_when_they_had_it(
    tmp_path, monkeypatch, outcome, reason
):
    bench = Bench(tmp_path, monkeypatch, number=4)
    bench.engine.outcome, bench.engine.reason = outcome, reason
    bench.engine.ends = {name: ["infrastructure"] * 3 for name in bench.names}
    for attempt in (1, 2):
        with pytest.raises(MlipError, match=f"4 of 4 labels.*try {attempt} of 3"):
            bench.run(attempt=attempt)
        assert not (bench.labeled / "stopped.json").exists()
    with pytest.raises(ConfigurationFault, match="paused: 3 labels in a row"):
        bench.run(attempt=3)


@pytest.mark.parametrize("where", ["label", "ledger", "keep"])
def test_a_full_disk_pauses_the_run_with_one_message(bench, monkeypatch, where):
    full = OSError(errno.ENOSPC, "No space left on device", "/scratch/x")

    def fails(*_, **__):
        raise full

    if where == "label":
        bench.engine.label = fails
    elif where == "ledger":
        monkeypatch.setattr(ledger_module, "_append", fails)
    else:
        monkeypatch.setattr(store, "write_label", fails)
    monkeypatch.setattr(campaign, "write_json", fails)
    with pytest.raises(ConfigurationFault, match=r"paused: the disk is full \(No space left on device: /scratch/x"):
        bench.run()
    assert (bench.labeled / "stopped.json").read_text() == ""
    with pytest.raises(MlipError, match="was stopped in this run"):
        bench.run()
    assert "the disk is full" in why_stopped(bench.labeled)
    assert why_stopped(bench.labeled / "nowhere") == ""


def test_a_file_system_that_fails_is_a_failure_of_the_machine(bench, monkeypatch):
    def fails(*_, **__):
        raise OSError(errno.EIO, "Input/output error", "/scratch/x")

    good, bench.engine.label = bench.engine.label, fails
    with pytest.raises(MlipError, match="1 of 1 labels.*machine.*Input/output error: /scratch/x"):
        bench.run(bench.names[:1])
    with pytest.raises(ConfigurationFault, match="paused: 3 labels in a row.*Input/output error"):
        bench.run(attempt=2)
    Ledger(bench.labeled).run_started()
    bench.engine.label = good
    bench.run()
    assert bench.engine.started == bench.names


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


def test_one_failure_between_good_labels_is_no_reason_to_pause(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, number=9)
    bench.engine.ends = {name: ["infrastructure"] for name in bench.names[::2]}
    with pytest.raises(MlipError, match="5 of 9"):
        bench.run()
    bench.run(attempt=2)
    assert all(bench.label(k).exists() for k in range(9))


def test_a_fault_of_the_setup_stops_every_job_of_the_run(bench):
    bench.engine.ends = {bench.names[1]: ["configuration"]}
    with pytest.raises(ConfigurationFault, match="the set-up is wrong"):
        bench.run()
    assert bench.engine.started == bench.names[:2]
    assert not bench.label(1).exists()
    assert json.loads((bench.labeled / "stopped.json").read_text())["mend"] == "Mend it"


def test_a_machine_that_fails_the_first_runs_of_all_stops_the_campaign(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, batch="atoms", made=isolated_atoms(["Si"], 12.0))
    bench.engine.ends = {bench.frames[0].info["uid"]: ["infrastructure"] * 3}
    for attempt in (1, 2):
        with pytest.raises(MlipError, match="1 of 1"):
            bench.run(attempt=attempt)
    with pytest.raises(ConfigurationFault, match=r"first DFT runs \(atoms Si\)"):
        bench.run(attempt=3)
    assert not bench.label(0).exists()


def test_no_training_label_is_started_beyond_the_budget_and_a_larger_one_goes_on(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, number=10)
    bench.engine.seconds = 36.0  # a hundredth of a core-hour
    assert bench.turns(0.045) == 0
    record = bench.run(config=settings(core_hours_max=0.045))
    spent = Ledger(bench.labeled).spent_core_hours()
    assert [row["outcome"] for row in record["frames"]].count("ok") == len(bench.engine.started)
    assert 3 <= len(bench.engine.started) <= 5
    assert spent <= 0.05
    label = read_label(bench.label(9))
    assert (label.outcome, label.kind, label.accepted) == ("budget_spent", "budget", False)
    assert "0.045 core-hours" in label.reason
    assert bench.turns(0.045) == 0
    assert bench.turns(0.03) == 0
    larger = bench.turns(10.0)
    assert larger == 10 - len(bench.engine.started)
    bench.run(config=settings(core_hours_max=10.0))
    assert sorted(bench.engine.started) == sorted(bench.names)
    assert bench.turns(10.0) == larger
    assert bench.turns(None) == larger


def test_a_budget_that_is_raised_again_and_again_goes_on_each_time(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, number=12)
    bench.engine.seconds = 36.0  # a hundredth of a core-hour
    before, made = bench.turns(0.03), [0]
    for budget in (0.03, 0.06, 0.09, None):
        assert (bench.turns(budget) > before) == (made[-1] > 0)  # the workflow runs the job again
        before = bench.turns(budget)
        for _ in range(2):  # as with --forcerun
            bench.run(config=settings(core_hours_max=budget))
            assert bench.turns(budget) == before  # and not once more
        assert len(bench.engine.started) > made[-1]
        made.append(len(bench.engine.started))
    assert made[-1] == 12
    bench.label(11).unlink()
    assert bench.turns() == before + 1
    bench.run()
    assert bench.turns() == before + 1


def test_the_test_set_is_labelled_whatever_the_budget(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, batch="test")
    bench.run(config=settings(core_hours_max=1e-9))
    assert bench.engine.started == bench.names


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
    bench.engine.again = True  # as an engine that reads its runs again
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
