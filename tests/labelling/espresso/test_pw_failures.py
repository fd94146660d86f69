"""What only the labeller can say of a failed run: time, memory and disk, and the key that the user must change."""

from __future__ import annotations

import errno
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from espresso_frames import fake_pw, fake_section, silicon

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso import failures
from mlip_autopipec.labelling.espresso.failures import lacks_memory, mend, unwritable
from mlip_autopipec.labelling.espresso.process import Ended
from mlip_autopipec.labelling.espresso.run import EspressoLabeller
from mlip_autopipec.labelling.espresso.verdict import Verdict
from mlip_autopipec.labelling.labeller import Label

ERROR = (
    "     Program PWSCF v.6.7 starts\\n\\n     Self-consistent Calculation\\n\\n %%%%%%%%%%%%%%%%%%%%%%%%%%\\n"
    "     Error in routine {routine} (5014):\\n      {message}\\n %%%%%%%%%%%%%%%%%%%%%%%%%%\\n"
)


def label(folder: Path, body: str, **changes: Any) -> Label:
    section = {**fake_section(folder), "command": fake_pw(folder, body), **changes}
    return EspressoLabeller.from_config(section).label(silicon(), folder / "work")


def error(routine: str, message: str) -> str:
    return f"printf '{ERROR.format(routine=routine, message=message)}'; exit 1"


@pytest.mark.parametrize(
    "body",
    [
        "echo 'In file a.f90: Error allocating 95704 bytes: Cannot allocate memory' >&2; exit 1",
        "echo 'PMIX ERROR: OUT-OF-RESOURCE in file dstore_base.c' >&2; exit 1",
        "echo 'slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1.0' >&2; exit 137",
        error("regterg", "cannot allocate hpsi"),
    ],
)
def test_lack_of_memory_is_seen_and_less_of_it_is_tried(tmp_path: Path, body: str) -> None:
    found = label(tmp_path, body)
    assert (found.kind, found.outcome) == ("infrastructure", "out_of_memory")
    assert [attempt.changed.get("diagonalization") for attempt in found.attempts] == [None, "david", "cg"]


def test_kill_alone_is_no_lack_of_memory_but_less_of_it_is_the_last_try(tmp_path: Path) -> None:
    found = label(tmp_path, "kill -9 $$")
    assert (found.kind, found.outcome) == ("infrastructure", "truncated")
    assert [attempt.changed.get("diagonalization") for attempt in found.attempts] == [None, None, "david"]


def test_kernel_that_ended_a_process_for_memory_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = iter(range(100))
    monkeypatch.setattr(
        "mlip_autopipec.labelling.espresso.process._kernel_memory_kills", lambda: next(counter)
    )  # one more each time
    assert label(tmp_path, "kill -9 $$").outcome == "out_of_memory"
    ended = Ended(-signal.SIGKILL, False, 1.0)
    assert not lacks_memory(Verdict("truncated", "infrastructure", "", False), ended, certain=True)
    assert lacks_memory(Verdict("truncated", "infrastructure", "", False), ended, certain=False)


def test_failed_diagonalisation_is_the_physics(tmp_path: Path) -> None:
    found = label(tmp_path, error("cdiaghg", "problems computing cholesky"))
    assert found.kind == "physics"
    assert len(found.attempts) > 2


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures.shutil, "disk_usage", lambda folder: Usage(10**9, 10**9, 1000))
    found = label(tmp_path, error("davcio", "error writing file pwscf.wfc1"))
    assert found.kind == "infrastructure"
    assert "the disk is full (0 MB free" in found.reason
    assert "the disk is full" in unwritable(tmp_path / "attempt_1", OSError(errno.ENOSPC, "No space left on device"))
    assert "files cannot be written" in unwritable(tmp_path / "attempt_1", OSError(errno.EROFS, "Read-only"))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("pw.x stopped in setup: the system is metallic, specify occupations", "labelling.smearing"),
        ("pw.x stopped in electrons: charge is wrong: smearing is needed", "labelling.smearing"),
        ("pw.x was never started: There are not enough slots available", "labelling.launcher"),
        ("pw.x stopped in set_occupations: occupations smeering not implemented", "the labelling section"),
    ],
)
def test_every_failure_of_the_configuration_has_a_mend(reason: str, words: str) -> None:
    assert words in mend(Verdict("bad_input", "configuration", reason, False))


def test_rung_that_pw_refuses_is_not_the_fault_of_the_configuration(tmp_path: Path) -> None:
    """The first attempt fails for the physics: the set-up is good, and the next rung follows a refused one."""
    refused, failed = error("iosys", "diagonalization cg not implemented"), error("cdiaghg", "failed")
    found = label(tmp_path, f"if grep -q \"'cg'\" pw.in; then {refused}; fi\n{failed}")
    assert found.kind == "physics"
    outcomes = [attempt.outcome for attempt in found.attempts]
    assert outcomes[:3] == ["diag", "diag", "bad_input"]
    assert len(outcomes) > 3, "a refused rung is not the end"
    assert found.outcome == "diag", "what went wrong first"
    with pytest.raises(ConfigurationFault):
        label(tmp_path / "work", refused)
