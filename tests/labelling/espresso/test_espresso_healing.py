"""Natural failures of a real pw.x, and that the label in the end is that of a run that nothing happened to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk
from espresso_frames import ALUMINIUM, SILICON, aluminium_111, aluminium_slab, fake_pw, needs_pw, silicon

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso import ladder
from mlip_autopipec.labelling.espresso.run import EspressoLabeller
from mlip_autopipec.labelling.labeller import Label

pytestmark = needs_pw

# What a healed label may differ by from that of an undisturbed run, both at 1e-9 Ry per atom. Measured: 4e-8 eV/atom,
# 2e-4 eV/A and 3e-6 eV/A^3 at most (docs/labelling.md).
ENERGY_EV_PER_ATOM, FORCE_EV_PER_ANGSTROM, STRESS_EV_PER_ANGSTROM3 = 1e-5, 1e-3, 1e-5


def same_label(one: Label, other: Label) -> None:
    assert one.accepted, one.reason
    assert other.accepted, other.reason
    assert one.energy_ev == pytest.approx(other.energy_ev, abs=ENERGY_EV_PER_ATOM * one.natoms)
    assert one.stress == pytest.approx(other.stress, abs=STRESS_EV_PER_ANGSTROM3)
    for force, expected in zip(one.forces or [], other.forces or [], strict=True):
        assert force == pytest.approx(expected, abs=FORCE_EV_PER_ANGSTROM)


def edit_first_input(monkeypatch: pytest.MonkeyPatch, edit: Callable[[str], str]) -> None:
    """Change what the first attempt is given; rungs are left as they are."""
    original, inputs = ladder.pw_input, list[str]()

    def edited(atoms: Atoms, settings: Any, **others: Any) -> str:
        text = original(atoms, settings, **others)
        inputs.append(text)
        return edit(text) if len(inputs) == 1 else text

    monkeypatch.setattr(ladder, "pw_input", edited)


def aluminium_cell() -> Atoms:
    atoms = bulk("Al", "fcc", 4.05, cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def test_slowly_converging_slab_gets_the_steps_that_it_needs(tmp_path: Path) -> None:
    """The 12-atom ladder: 55 iterations at pw.x's defaults, of which it gets 40."""
    label = EspressoLabeller.from_config({**ALUMINIUM, "electron_maxstep": 40}).label(aluminium_slab(), tmp_path / "a")
    first, second = label.attempts
    assert (first.outcome, first.scf_iterations) == ("scf_not_converged", 40)
    assert second.changed["startingpot"] == "file"
    assert second.scf_iterations < 20, "it goes on from the density reached"
    other_way = {**ALUMINIUM, "mixing_beta": 0.3}
    same_label(label, EspressoLabeller.from_config(other_way).label(aluminium_slab(), tmp_path / "b"))


def test_slab_that_fails_at_defaults_is_stopped_early_and_gets_bands(tmp_path: Path) -> None:
    """pw.x's default number of bands is too small for this slab: it never converges, by any mixing, in 150 steps."""
    section = {**ALUMINIUM, "kmesh": [3, 3, 1], "electron_maxstep": 150}
    label = EspressoLabeller.from_config(section).label(aluminium_111(), tmp_path)
    assert label.accepted, label.reason
    first, second = label.attempts
    assert first.stopped_early
    assert first.scf_iterations < 75, "less than half of the steps are spent"
    assert set(second.changed) == {"nbnd"}
    assert "highest band was occupied" in second.why
    assert label.last_band_occupation is not None
    assert label.last_band_occupation < 0.01
    assert label.energy_ev == pytest.approx(-563.40719, abs=1e-4), "of a run with 29 bands from the start"


@pytest.mark.parametrize("bands", [2, 6])
def test_too_few_bands_get_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bands: int) -> None:
    """Two bands cannot hold twelve electrons and six do not reach above the Fermi level."""
    section = {**ALUMINIUM, "ecutwfc_ry": 12.0, "ecutrho_ry": 48.0, "kmesh": [2, 2, 2]}
    labeller = EspressoLabeller.from_config(section)
    undisturbed = labeller.label(aluminium_cell(), tmp_path / "undisturbed")
    edit_first_input(monkeypatch, lambda text: text.replace("&system\n", f"&system\n  nbnd = {bands}\n"))
    label = labeller.label(aluminium_cell(), tmp_path / "few")
    assert label.attempts[0].outcome in ("too_few_bands", "scf_not_converged", "last_band_occupied")
    assert "nbnd" in label.attempts[1].changed
    same_label(label, undisturbed)


def test_odd_electrons_with_whole_occupations_stop_the_campaign_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole(text: str) -> str:
        return re.sub(r"occupations = 'smearing'\n.*smearing = .*\n.*degauss = .*\n", "occupations = 'fixed'\n", text)

    edit_first_input(monkeypatch, whole)
    labeller = EspressoLabeller.from_config(ALUMINIUM)
    with pytest.raises(ConfigurationFault, match=r"smear them \(labelling\.smearing"):
        labeller.label(bulk("Al", "fcc", 4.05), tmp_path)


def test_killed_run_is_made_again_and_is_the_same(tmp_path: Path) -> None:
    labeller = EspressoLabeller.from_config(SILICON)
    undisturbed = labeller.label(silicon(), tmp_path / "undisturbed")
    killed = threading.Event()

    def kill_once() -> None:
        output = tmp_path / "killed" / "attempt_1" / "pw.out"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if output.exists() and "iteration #  3" in output.read_text():
                for child in children_named("pw.x"):
                    os.kill(child, signal.SIGKILL)
                    killed.set()
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill_once)
    killer.start()
    label = labeller.label(silicon(), tmp_path / "killed")
    killer.join()
    assert killed.is_set()
    first, second = label.attempts
    assert (first.exit_code, second.changed) == (-signal.SIGKILL, {})
    assert "the same again" in second.why
    same_label(label, undisturbed)


def children_named(name: str) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, tail = path.read_text().rsplit(")", 1)
        except OSError:
            continue
        if head.split("(", 1)[1] == name and int(tail.split()[1]) == os.getpid() and tail.split()[0] != "Z":
            yield int(path.parent.name)


def test_lack_of_memory_gets_the_rung_with_less_of_it(tmp_path: Path) -> None:
    """The limit is on address space, and only on attempts that have not reduced their work space."""
    limited = fake_pw(
        tmp_path, 'grep -q "diago_david_ndim = 2" pw.in || ulimit -v 135000\nexec pw.x "$@"'
    )  # fmt: skip
    label = EspressoLabeller.from_config({**SILICON, "command": limited}).label(silicon(), tmp_path / "limited")
    first, second = label.attempts
    assert (first.outcome, first.changed) == ("out_of_memory", {})
    assert "out of memory" in first.reason
    assert second.changed == {"diagonalization": "david", "diago_david_ndim": 2, "mixing_ndim": 4}
    assert second.memory_mb is not None
    assert 20 < second.memory_mb < 500
    same_label(label, EspressoLabeller.from_config(SILICON).label(silicon(), tmp_path / "undisturbed"))


def test_lack_of_memory_that_stays_is_a_failure_of_the_machine(tmp_path: Path) -> None:
    limited = fake_pw(tmp_path, 'ulimit -v 135000\nexec pw.x "$@"')
    label = EspressoLabeller.from_config({**SILICON, "command": limited}).label(silicon(), tmp_path / "limited")
    assert (label.accepted, label.kind, label.outcome) == (False, "infrastructure", "out_of_memory")
    assert len(label.attempts) == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_full_disk_is_told_and_its_attempts_do_not_fill_it_further(small_disk: Path) -> None:
    label = EspressoLabeller.from_config(SILICON).label(silicon(), small_disk / "work")
    assert (label.accepted, label.kind) == (False, "infrastructure")
    assert "the disk is full" in label.reason
    assert 1 < len(label.attempts) <= 3
    assert not list(small_disk.rglob("*wfc*")), "scratch files are removed after each attempt"
    subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
    assert EspressoLabeller.from_config(SILICON).label(silicon(), small_disk / "work").accepted
