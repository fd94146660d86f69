"""Labels made with a real pw.x, and what happens when it is missing, wrong, killed or too slow."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso import run
from mlip_autopipec.labelling.espresso.run import EspressoLabeller
from mlip_autopipec.labelling.labeller import read_label, write_label
from mlip_autopipec.structures.reference import isolated_atoms

PW = shutil.which("pw.x")
PSEUDO = Path(
    os.environ.get("ESPRESSO_PSEUDO", Path(PW or "/usr/bin/pw.x").parents[1] / "share" / "espresso" / "pseudo")
)
HAVE = PW is not None and (PSEUDO / "Si.pz-vbc.UPF").is_file() and (PSEUDO / "Al.pz-vbc.UPF").is_file()
needs_pw = pytest.mark.skipif(not HAVE, reason="pw.x or Debian's pseudopotentials (quantum-espresso) are not installed")

SILICON: dict[str, Any] = {
    "command": "pw.x",
    "pseudo_dir": [str(PSEUDO)],
    "pseudopotentials": {"Si": "Si.pz-vbc.UPF"},
    "ecutwfc_ry": 20.0,
    "ecutrho_ry": 80.0,
    "kmesh": [2, 2, 2],
    "kshift": [1, 1, 1],
    "smearing": "gaussian",
    "degauss_ry": 0.005,
    "conv_thr_ry_per_atom": 1e-9,
    "max_seconds": 300,
}


def silicon(displacement: float = 0.1) -> Atoms:
    atoms = bulk("Si", "diamond", 5.43, cubic=True)
    atoms.rattle(displacement, seed=1)
    return atoms


def fake_pw(folder: Path, body: str) -> str:
    path = folder / "fake_pw.x"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def fake_section(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "Si.upf").write_text(
        '<UPF version="2.0.1">\n<PP_HEADER element="Si" pseudo_type="NC" functional="PZ" z_valence="4.0"/>\n'
    )
    return {**SILICON, "pseudo_dir": [str(tmp_path)], "pseudopotentials": {"Si": "Si.upf"}}


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
    assert left == {"attempt_1/pw.in", "attempt_1/pw.out", "attempt_1/pw.err"}
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
    monkeypatch.setattr(run, "spin_states", lambda symbol, valence: [2, 0])
    original = labeller._run

    def failing(text: str, folder: Path, max_seconds: int) -> Any:
        if "tot_magnetization = 2.0" in text:
            text = re.sub(r"electron_maxstep = \d+", "electron_maxstep = 1", text)
        return original(text, folder, max_seconds)

    monkeypatch.setattr(labeller, "_run", failing)
    label = labeller.label(isolated_atoms(["Si"], 7.0)[0], tmp_path)
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


@needs_pw
def test_an_atom_that_is_kept_with_smeared_occupations_is_told_and_warned_of(tmp_path: Path, monkeypatch) -> None:
    labeller = EspressoLabeller.from_config(SILICON)
    monkeypatch.setattr(run, "spin_states", lambda symbol, valence: [2])
    original = labeller._run

    def failing(text: str, folder: Path, max_seconds: int) -> Any:
        if "'fixed'" in text:
            text = re.sub(r"electron_maxstep = \d+", "electron_maxstep = 1", text)
        return original(text, folder, max_seconds)

    monkeypatch.setattr(labeller, "_run", failing)
    label = labeller.label(isolated_atoms(["Si"], 7.0)[0], tmp_path)
    (state,) = label.settings["spin_states"]
    assert (state["kept"], state["occupations"]) == (True, "smearing")
    assert any("kept with smeared occupations (moment 2)" in warning for warning in label.warnings)


@needs_pw
def test_natural_failure_is_healed_by_the_ladder(tmp_path: Path) -> None:
    """An aluminium slab that does not converge in 40 iterations at pw.x's default mixing."""
    slab = Atoms(
        "Al12",
        positions=[(1.432 * (n % 2), 1.432 * (n % 2), 2.025 * n) for n in range(12)],
        cell=[2.864, 2.864, 44.3],
        pbc=True,
    )
    section = {
        **SILICON,
        "pseudopotentials": {"Al": "Al.pz-vbc.UPF"},
        "ecutwfc_ry": 8.0,
        "ecutrho_ry": 32.0,
        "kmesh": [2, 2, 1],
        "kshift": [0, 0, 0],
        "smearing": "cold",
        "degauss_ry": 0.02,
        "electron_maxstep": 40,
    }
    label = EspressoLabeller.from_config(section).label(slab, tmp_path)
    first, *others = label.attempts
    assert first.outcome == "scf_not_converged"
    assert others, "the first attempt was expected to fail"
    assert label.accepted, label.reason
    assert all(attempt.changed and attempt.why for attempt in others)
    assert label.energy_ev == pytest.approx(-679.25, abs=0.1)
    assert label.cpu_seconds == pytest.approx(sum(attempt.cpu_seconds for attempt in label.attempts), abs=0.01)


@needs_pw
def test_pseudopotential_that_pw_cannot_read_stops_the_campaign(fake_section: dict[str, Any], tmp_path: Path) -> None:
    labeller = EspressoLabeller.from_config(fake_section)  # its header is fine, the rest is missing
    with pytest.raises(ConfigurationFault, match="pseudopotential file is damaged"):
        labeller.label(silicon(), tmp_path / "work")


@needs_pw
def test_killed_run_is_repeated_once_and_then_infrastructure(tmp_path: Path) -> None:
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
    assert [attempt.exit_code for attempt in label.attempts] == [-signal.SIGKILL] * 2
    assert label.attempts[1].changed == {}
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


def test_overlapping_atoms_are_refused_without_running(fake_section: dict[str, Any], tmp_path: Path) -> None:
    command = fake_pw(tmp_path, "touch $0.was_run")
    atoms = silicon()
    atoms.positions[1] = atoms.positions[0] + [0.0, 0.0, 0.3]
    label = EspressoLabeller.from_config({**fake_section, "command": command}).label(atoms, tmp_path / "work")
    assert (label.accepted, label.outcome, label.kind) == (False, "atoms_too_close", "structure")
    assert "0.30 A apart" in label.reason
    assert not Path(command + ".was_run").exists()


def test_missing_program_stops_the_campaign_with_the_mend(fake_section: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationFault, match=r"'pw_not_there\.x'.*not found on the PATH.*Install Quantum ESPRESSO"):
        EspressoLabeller.from_config({**fake_section, "command": "pw_not_there.x"})
    with pytest.raises(ConfigurationFault, match=r"'no_such_pw\.x'"):
        EspressoLabeller.from_config({**fake_section, "command": f"{sys.executable} -n 4 no_such_pw.x"})


def test_missing_pseudopotential_stops_the_campaign_before_any_run(
    fake_section: dict[str, Any], tmp_path: Path
) -> None:
    section = {**fake_section, "command": fake_pw(tmp_path, "exit 0"), "pseudopotentials": {"Si": "nope.UPF"}}
    with pytest.raises(ConfigurationFault, match=r"nope\.UPF.*not found"):
        EspressoLabeller.from_config(section)


def test_launcher_that_refuses_stops_the_campaign(fake_section: dict[str, Any], tmp_path: Path) -> None:
    command = fake_pw(tmp_path, "echo 'There are not enough slots available in the system' >&2; exit 1")
    with pytest.raises(ConfigurationFault, match=r"not enough slots.*labelling\.command"):
        EspressoLabeller.from_config({**fake_section, "command": command}).label(silicon(), tmp_path / "work")


def test_time_limit_ends_the_whole_process_group(
    fake_section: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "GRACE_SECONDS", 0.5)
    command = fake_pw(tmp_path, f"sleep 60 & echo $! > {tmp_path}/grandchild; wait")
    section = {**fake_section, "command": command, "max_seconds": 1}
    start = time.monotonic()
    label = EspressoLabeller.from_config(section).label(silicon(), tmp_path / "work")
    assert time.monotonic() - start < 30
    assert (label.accepted, label.kind, len(label.attempts)) == (False, "infrastructure", 1)
    assert "max_seconds" in label.reason
    assert not alive(int((tmp_path / "grandchild").read_text()))


def test_program_dies_with_a_killed_labeller(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux lets a child die with its parent")
    code = (
        "from pathlib import Path\n"
        "from mlip_autopipec.labelling.espresso.run import run_process\n"
        f"run_process(['sh', '-c', 'echo $$ > pid; exec sleep 60'], Path({str(tmp_path)!r}), 60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        child = tmp_path / "pid"
        deadline = time.monotonic() + 30
        while not (child.exists() and child.read_text().strip()) and time.monotonic() < deadline:
            time.sleep(0.05)
        number = int(child.read_text())
        assert alive(number)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 10
    while alive(number) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(number)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_remains_of_a_killed_run_are_replaced(fake_section: dict[str, Any], tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "attempt_3" / "tmp").mkdir(parents=True)
    (work / "attempt_1").mkdir()
    (work / "attempt_1" / "pw.out").write_text("half an output")
    command = fake_pw(tmp_path, "exit 9")
    label = EspressoLabeller.from_config({**fake_section, "command": command}).label(silicon(), work)
    assert sorted(path.name for path in work.iterdir()) == ["attempt_1", "attempt_2"]
    assert (work / "attempt_1" / "pw.out").read_text() == ""
    assert label.kind == "infrastructure"
