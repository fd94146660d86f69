"""Labels made with a real pw.x, and what happens when it is missing, wrong, killed or too slow."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from espresso_frames import SILICON, fake_pw, fake_section, needs_pw, silicon

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso import ladder, run
from mlip_autopipec.labelling.espresso.magnetic import Plan, State, atom_state
from mlip_autopipec.labelling.espresso.run import EspressoLabeller, kpoints_computed
from mlip_autopipec.labelling.espresso.settings import EspressoSettings
from mlip_autopipec.labelling.labeller import read_label, write_label
from mlip_autopipec.structures.reference import isolated_atoms


@pytest.fixture
def section(tmp_path: Path) -> dict[str, Any]:
    return fake_section(tmp_path)


def edit_inputs(monkeypatch: pytest.MonkeyPatch, edit: Any) -> None:
    """Pass every input through `edit(text, state)` before it is written."""
    original = ladder.pw_input

    def edited(atoms: Atoms, settings: EspressoSettings, *, state: State, **others: Any) -> str:
        return str(edit(original(atoms, settings, state=state, **others), state))

    monkeypatch.setattr(ladder, "pw_input", edited)


def one_step(text: str) -> str:
    return re.sub(r"electron_maxstep = \d+", "electron_maxstep = 1", text)


@needs_pw
def test_distorted_silicon_gets_a_label_and_leaves_no_wavefunctions(tmp_path: Path) -> None:
    label = EspressoLabeller.from_config(SILICON).label(silicon(), tmp_path / "work")
    assert label.accepted, label.reason
    assert label.energy_ev == pytest.approx(-859.956, abs=0.02)
    assert np.abs(np.sum(label.forces, axis=0)).max() < 1e-4
    assert label.engine_version
    assert len(label.attempts) == 1
    assert 0.1 < label.cpu_seconds < 60
    assert label.output_file == "attempt_1/pw.out"
    left = {str(path.relative_to(tmp_path / "work")) for path in (tmp_path / "work").rglob("*") if path.is_file()}
    assert left == {f"attempt_1/{name}" for name in ("pw.in", "pw.out", "pw.err", "ended.json")}
    write_label(tmp_path / "label.json", label)
    assert read_label(tmp_path / "label.json") == label


@needs_pw
def test_forces_are_the_slope_of_the_energy(tmp_path: Path) -> None:
    labeller = EspressoLabeller.from_config({**SILICON, "conv_thr_ry_per_atom": 1e-11})
    atoms, step = silicon(), 0.01
    energies = []
    for number, sign in enumerate((1, -1)):
        moved = atoms.copy()
        moved.positions[2, 1] += sign * step
        energies.append(labeller.label(moved, tmp_path / str(number)).energy_ev)
    forces = labeller.label(atoms, tmp_path / "middle").forces
    assert forces is not None
    assert None not in energies
    assert forces[2][1] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=0.01)  # type: ignore[operator]


@needs_pw
def test_of_an_isolated_atom_the_lowest_spin_state_is_kept_and_all_are_told(tmp_path: Path) -> None:
    label = EspressoLabeller.from_config(SILICON).label(isolated_atoms(["Si"], 9.0)[0], tmp_path)
    assert label.accepted, label.reason
    assert label.magmoms == pytest.approx([2.0], abs=0.05)
    states = {one["moment"]: one for one in label.settings["spin_states"]}
    assert list(states) == [2, 0, 4]
    assert [m for m, one in states.items() if one["kept"]] == [2]
    assert label.energy_ev == states[2]["energy_ev"] < states[0]["energy_ev"] - 0.3
    assert label.energy_ev < states[4]["energy_ev"] - 1
    assert label.output_file == "attempt_1/pw.out"
    assert label.energy_ev == pytest.approx(-102.6, abs=0.1)


@needs_pw
def test_a_spin_state_that_does_not_converge_costs_only_that_state(tmp_path: Path, monkeypatch) -> None:
    labeller = EspressoLabeller.from_config(SILICON)
    edit_inputs(monkeypatch, lambda text, state: one_step(text) if state.total == 2 else text)
    states = [atom_state(2), atom_state(0)]
    label = labeller.label(isolated_atoms(["Si"], 7.0)[0], tmp_path, states=states)
    assert label.accepted
    two, none = label.settings["spin_states"]
    assert (two["moment"], two["energy_ev"], two["kept"]) == (2, None, False)
    assert (none["moment"], none["kept"]) == (0, True)
    assert (two["occupations"], none["occupations"]) == ("smearing", "fixed"), "the last that was tried of each"
    assert not any("smeared" in warning for warning in label.warnings), "the kept one has whole occupations"
    assert label.energy_ev == none["energy_ev"]
    assert "did not converge" in two["reason"]
    assert any("moment of 2 got no energy" in warning for warning in label.warnings)
    assert label.output_file == f"{label.attempts[-1].folder}/pw.out"
    assert label.branch == "atom"


@needs_pw
def test_an_atom_that_is_kept_with_smeared_occupations_is_told_and_warned_of(tmp_path: Path, monkeypatch) -> None:
    labeller = EspressoLabeller.from_config(SILICON)
    edit_inputs(monkeypatch, lambda text, state: one_step(text) if state.whole else text)
    label = labeller.label(isolated_atoms(["Si"], 7.0)[0], tmp_path, states=[atom_state(2)])
    (state,) = label.settings["spin_states"]
    assert (state["kept"], state["occupations"]) == (True, "smearing")
    assert any("kept with smeared occupations (moment 2)" in warning for warning in label.warnings)


@needs_pw
def test_pseudopotential_that_pw_cannot_read_stops_the_campaign(section: dict[str, Any], tmp_path: Path) -> None:
    labeller = EspressoLabeller.from_config(section)  # its header is fine, the rest is missing
    with pytest.raises(ConfigurationFault, match="pseudopotential file is damaged"):
        labeller.label(silicon(), tmp_path / "work")


@needs_pw
def test_run_that_is_killed_again_and_again_is_a_failure_of_the_machine(tmp_path: Path) -> None:
    """pw.x itself is killed in the middle of its SCF, at every attempt."""
    labeller = EspressoLabeller.from_config({**SILICON, "kmesh": [4, 4, 4]})
    stop = threading.Event()

    def kill_children() -> None:
        while not stop.is_set():
            for child in children_named("pw.x"):
                time.sleep(1.0)
                os.kill(child, signal.SIGKILL)
            time.sleep(0.05)

    killer = threading.Thread(target=kill_children)
    killer.start()
    try:
        label = labeller.label(silicon(), tmp_path)
    finally:
        stop.set()
        killer.join()
    assert (label.accepted, label.kind, label.outcome) == (False, "infrastructure", "truncated")
    assert [attempt.exit_code for attempt in label.attempts] == [-signal.SIGKILL] * 3
    assert label.attempts[1].changed == {}, "the same again"
    assert label.attempts[2].changed["diago_david_ndim"] == 2, "and with less memory, which may have been the reason"
    assert not list(tmp_path.rglob("*.wfc*"))


def children_named(name: str) -> Iterator[int]:
    """Process ids of this process's children with a name (Linux)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, tail = path.read_text().rsplit(")", 1)
        except OSError:
            continue
        fields = tail.split()
        if head.split("(", 1)[1] == name and int(fields[1]) == os.getpid() and fields[0] != "Z":
            yield int(path.parent.name)


def test_overlapping_atoms_are_refused_without_running(section: dict[str, Any], tmp_path: Path) -> None:
    command = fake_pw(tmp_path, "touch $0.was_run")
    atoms = silicon()
    atoms.positions[1] = atoms.positions[0] + [0.0, 0.0, 0.3]
    label = EspressoLabeller.from_config({**section, "command": command}).label(atoms, tmp_path / "work")
    assert (label.accepted, label.outcome, label.kind) == (False, "atoms_too_close", "structure")
    assert "0.30 A apart" in label.reason
    assert not Path(command + ".was_run").exists()


def test_missing_program_stops_the_campaign_with_the_mend(section: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationFault, match=r"'pw_not_there\.x'.*not found on the PATH.*Install Quantum ESPRESSO"):
        EspressoLabeller.from_config({**section, "command": "pw_not_there.x"})
    with pytest.raises(ConfigurationFault, match=r"'no_such_pw\.x'"):
        EspressoLabeller.from_config({**section, "command": f"{sys.executable} -n 4 no_such_pw.x"})


def test_missing_pseudopotential_stops_the_campaign_before_any_run(section: dict[str, Any], tmp_path: Path) -> None:
    missing = {**section, "command": fake_pw(tmp_path, "exit 0"), "pseudopotentials": {"Si": "nope.UPF"}}
    with pytest.raises(ConfigurationFault, match=r"nope\.UPF.*not found"):
        EspressoLabeller.from_config(missing)


def test_launcher_that_refuses_stops_the_campaign(section: dict[str, Any], tmp_path: Path) -> None:
    command = fake_pw(tmp_path, "echo 'There are not enough slots available in the system' >&2; exit 1")
    with pytest.raises(ConfigurationFault, match=r"not enough slots.*labelling\.command"):
        EspressoLabeller.from_config({**section, "command": command}).label(silicon(), tmp_path / "work")


def test_time_limit_ends_the_whole_process_group(section: dict[str, Any], tmp_path: Path) -> None:
    command = fake_pw(tmp_path, f"sleep 60 & echo $! > {tmp_path}/grandchild; wait")
    start = time.monotonic()
    label = EspressoLabeller.from_config({**section, "command": command, "max_seconds": 2}).label(
        silicon(), tmp_path / "work"
    )
    assert time.monotonic() - start < 30
    assert (label.accepted, label.kind, len(label.attempts)) == (False, "infrastructure", 1)
    assert "labelling.max_seconds" in label.reason
    assert not alive(int((tmp_path / "grandchild").read_text()))


def test_time_limit_of_the_job_is_kept_and_named(section: dict[str, Any], tmp_path: Path) -> None:
    command = fake_pw(tmp_path, "exec sleep 60")
    labeller = EspressoLabeller.from_config({**section, "command": command})
    label = labeller.label(silicon(), tmp_path / "work", seconds=2.0)
    assert 1.5 < label.wall_seconds < 10
    assert "the job's time limit" in label.reason
    said = re.search(r"max_seconds = (\d+)", (tmp_path / "work" / "attempt_1" / "pw.in").read_text())
    assert said is not None
    assert int(said[1]) < 2, "pw.x is to end by itself before it is ended"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_remains_of_a_killed_run_are_replaced(section: dict[str, Any], tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "attempt_3" / "tmp").mkdir(parents=True)
    (work / "attempt_1").mkdir()
    (work / "attempt_1" / "pw.out").write_text("half an output")
    command = fake_pw(tmp_path, "exit 9")
    label = EspressoLabeller.from_config({**section, "command": command}).label(silicon(), work)
    assert sorted(path.name for path in work.iterdir()) == ["attempt_1", "attempt_2", "attempt_3"]
    assert (work / "attempt_1" / "pw.out").read_text() == ""
    assert label.kind == "infrastructure"


def test_more_ranks_go_through_the_launcher_with_pools(section: dict[str, Any], tmp_path: Path) -> None:
    launcher = tmp_path / "launch"
    launcher.write_text('#!/bin/sh\nprintf "%s " "$@" > ../launched\nexit 9\n')
    launcher.chmod(0o755)
    settings = {**section, "command": fake_pw(tmp_path, "exit 9"), "launcher": f"{launcher} -n {{ranks}}"}
    label = EspressoLabeller.from_config(settings).label(silicon(), tmp_path / "work", ranks=4)
    words = (tmp_path / "work" / "launched").read_text().split()
    assert words == ["-n", "4", settings["command"], "-nk", "4", "-in", "pw.in"], "four k-points remain of 2 x 2 x 2"
    assert label.ranks == 4
    assert label.core_seconds == pytest.approx(4 * label.wall_seconds, abs=0.01)


@pytest.mark.parametrize(
    ("counts", "offsets", "expected"),
    [((1, 1, 1), (0, 0, 0), 1), ((2, 2, 2), (0, 0, 0), 8), ((2, 2, 2), (1, 1, 1), 4), ((3, 3, 1), (0, 0, 0), 5),
     ((4, 4, 4), (0, 0, 0), 36), ((4, 4, 4), (1, 1, 1), 32)],
)  # fmt: skip
def test_k_points_are_counted_as_pw_counts_them(counts: Any, offsets: Any, expected: int, section: Any) -> None:
    settings = EspressoSettings.from_config({**section, "kmesh": counts, "kshift": offsets})
    assert kpoints_computed(silicon(), settings) == expected


def test_starting_states_that_were_left_out_are_told(section: dict[str, Any], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(run, "plan", lambda atoms, settings: Plan([State("high")], {"antiferro": "no such lattice"}))
    settings = {**section, "command": fake_pw(tmp_path, "exit 9")}
    label = EspressoLabeller.from_config(settings).label(silicon(), tmp_path / "work")
    assert [(one["name"], one["outcome"]) for one in label.states][1] == ("antiferro", "not_tried")
    assert {attempt.state for attempt in label.attempts} == {"high"}
    assert not label.states[0]["kept"]
