"""Jobs on a machine that fails and within a budget: retried, paused with one message, gone on with."""

import errno
import json

import pytest
from campaign_cases import Bench, settings

from mlip_autopipec.errors import ConfigurationFault, MlipError
from mlip_autopipec.labelling import campaign, store
from mlip_autopipec.labelling import ledger as ledger_module
from mlip_autopipec.labelling.jobs import RETRIES
from mlip_autopipec.labelling.labeller import read_label
from mlip_autopipec.labelling.ledger import Ledger, why_stopped
from mlip_autopipec.structures.reference import isolated_atoms


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


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
    with pytest.raises(MlipError, match=r"1 of 1 labels.*machine.*Input/output error: /scratch/x"):
        bench.run(bench.names[:1])
    with pytest.raises(ConfigurationFault, match=r"paused: 3 labels in a row.*Input/output error"):
        bench.run(attempt=2)
    Ledger(bench.labeled).run_started()
    bench.engine.label = good
    bench.run()
    assert bench.engine.started == bench.names


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
