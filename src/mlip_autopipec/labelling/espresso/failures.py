"""What only the labeller can say of a run that failed: time, memory, disk; and what the user must mend."""

from __future__ import annotations

import errno
import re
import shutil
import signal
from pathlib import Path

from mlip_autopipec.labelling.espresso.output import PwResult
from mlip_autopipec.labelling.espresso.process import Ended
from mlip_autopipec.labelling.espresso.verdict import Verdict

DISK_FULL_BYTES = 20_000_000
# A process killed, or one whose allocation failed unnoticed: SIGABRT, SIGBUS, SIGKILL, SIGSEGV, as a shell or mpirun
# passes them on (128 + number) or as Python has them (negative).
_DEADLY = (signal.SIGABRT, signal.SIGBUS, signal.SIGKILL, signal.SIGSEGV)
_MEMORY = re.compile(
    r"(?:cannot|unable to) allocate|out of memory|oom.?kill|insufficient virtual memory|would exceed memory|bad_alloc|"
    r"out.of.resource|(?:error|fail)\w* .{0,40}allocat|allocat\w* .{0,40}(?:error|fail)|segmentation fault.*memory",
    re.I,
)
_MEND_BY_WORDS = (
    (
        re.compile(r"is metallic|odd number of electrons|fixed occupations|smearing is needed", re.I),
        "Whole occupations fit neither an odd number of electrons nor a metal, and every frame would fail: smear them "
        "(labelling.smearing, labelling.degauss_ry)",
    ),
    (
        re.compile(r"slots|as root|direct launched|MPI_Init", re.I),
        "Check labelling.command, labelling.launcher and labelling.ranks_max against the MPI slots of this job",
    ),
)
_MEND = {
    "pseudo_missing": "Check labelling.pseudo_dir and labelling.pseudopotentials",
    "bad_input": "Check the labelling section of the config, and pw.in and pw.out in that folder",
    "truncated": "Set labelling.command to the way pw.x is started here",
}


def mend(verdict: Verdict) -> str:
    """What the user must change after a failure of the configuration."""
    by_words = next((words for pattern, words in _MEND_BY_WORDS if pattern.search(verdict.reason)), None)
    return by_words or _MEND.get(verdict.outcome, "Check the labelling section of the config")


def refined(verdict: Verdict, result: PwResult, ended: Ended, folder: Path, seconds: float, told_limit: str) -> Verdict:
    """A verdict with what its files cannot say: that the time was over, memory ran out or a disk was full.

    Args:
        seconds, told_limit: time that the frame was given, and what set it, for messages.
    """
    again = f"where retries with more time do not help, raise {told_limit} and delete this label to try it again"
    if ended.timed_out:
        words = f"pw.x did not end within {seconds:.0f} s ({told_limit}) and was stopped; {again}"
        return Verdict("truncated", "infrastructure", words, False)
    if verdict.outcome == "stopped" and "max_seconds" in verdict.reason:
        accuracy, wanted = result.text.scf_accuracy_ry, result.text.conv_thr_ry
        reached = f" at an accuracy of {accuracy:.1e} Ry, wanted {wanted:.1e} Ry" if accuracy and wanted else ""
        words = f"the time was over ({seconds:.0f} s, {told_limit}){reached}; {again}, on from the density reached"
        return verdict._replace(reason=words)
    if verdict.usable or verdict.kind in ("structure", "configuration"):
        return verdict
    if _no_memory(verdict, result, ended):
        most = f" (at most {ended.memory_mb:.0f} MB were held)" if ended.memory_mb else ""
        return Verdict("out_of_memory", "infrastructure", f"out of memory{most}: {verdict.reason}", False)
    if verdict.kind != "infrastructure":
        return verdict
    free = shutil.disk_usage(folder).free
    if free < DISK_FULL_BYTES or verdict.outcome == "tempdir":
        full = "the disk is full" if free < DISK_FULL_BYTES else "scratch files could not be written or read"
        return verdict._replace(reason=f"{full} ({free / 1e6:.0f} MB free in {folder}): {verdict.reason}")
    return verdict


def unwritable(folder: Path, error: OSError) -> str:
    """Words about an attempt that could not even be begun, or whose files could not be kept."""
    free = shutil.disk_usage(folder.parent).free
    full = "the disk is full" if error.errno == errno.ENOSPC else "files cannot be written"
    return f"{full} ({free / 1e6:.0f} MB free): {error.strerror or error}: {folder}"


def lacks_memory(verdict: Verdict, ended: Ended, *, certain: bool) -> bool:
    """Whether less memory is worth a try: memory ran out, or (not `certain`) pw.x was killed and nobody says why."""
    return verdict.outcome == "out_of_memory" or (not certain and _killed(ended.exit_code))


def _no_memory(verdict: Verdict, result: PwResult, ended: Ended) -> bool:
    """Whether a witness says so; a kill alone (the verdict says 'perhaps') is none."""
    error = " ".join((result.text.error or ("", "")) + (result.crash or ("", "")))
    said = not result.text.done and bool(_MEMORY.search(result.stderr) or _MEMORY.search(error))
    return verdict.outcome == "out_of_memory" or said or (ended.memory_kill and _killed(ended.exit_code))


def _killed(exit_code: int) -> bool:
    return exit_code in {-number for number in _DEADLY} | {128 + number for number in _DEADLY}
