"""Why a run of pw.x did not end: from its error box, or from what the shell, MPI or the scheduler said."""

from __future__ import annotations

import re
from typing import NamedTuple

from mlip_autopipec.labelling.espresso.output import PwResult
from mlip_autopipec.labelling.labeller import Kind


class Verdict(NamedTuple):
    """`outcome` is what the run was; `rejected_by` names the check that refuses a run that ended well."""

    outcome: str
    kind: Kind
    reason: str
    usable: bool
    rejected_by: str | None = None


class _Rule(NamedTuple):
    routine: str  # regular expressions, matched without case
    message: str
    outcome: str
    kind: Kind


# Error messages of pw.x by routine and text; the first that matches counts. Messages: PW/src, Modules and upflib of
# Quantum ESPRESSO 6.7 to 7.5, most of them made to happen with 6.7.
_RULES = (
    _Rule(r"check_atoms", r"overlap|differ by lattice vector", "atoms_overlap", "structure"),
    _Rule(r"", r"more bands than PWs", "more_bands_than_pw", "structure"),
    _Rule(r"setup|iosys", r"too few bands", "too_few_bands", "physics"),
    _Rule(
        r"readpp|read_?upf|read_pseudo|upf_to_internal|read_ncpp|read_uspp|scan_end",
        r"",
        "pseudo_missing",
        "configuration",
    ),
    _Rule(r"", r"(\.upf|pseudo).*(not found|not readable|missing)", "pseudo_missing", "configuration"),
    _Rule(
        r"check_tempdir|davcio|diropn|(write|read)_rhog|save_buffer|restart|(write|read)_collected_wfc|mkdir|"
        r"pw_(write|read)|read_(file|xml|scf)|qexsd|read_conf",
        r"",
        "tempdir",
        "infrastructure",
    ),
    _Rule(r"read_namelists|read_input|open_input|get_file", r"", "bad_input", "configuration"),
    _Rule(r"", r"error (opening|reading|writing)|no space left|cannot open", "tempdir", "infrastructure"),
    _Rule(r"", r"smearing is needed|system is metallic|odd number of electrons", "bad_input", "configuration"),
    _Rule(
        r"[cr](diag|eg)|cgdiag|^paro|^ppcg|^rmm|rotate_wfc|c_bands|cholesky|diaghg|broyden|mix_rho",
        r"",
        "diag",
        "physics",
    ),
    _Rule(
        r"",
        r"too many bands are not converged|positive definite|cholesky|eigenvectors failed|zhegvd|dsygvd|qr failed",
        "diag",
        "physics",
    ),
    _Rule(r"efermi", r"", "fermi_level", "physics"),
    _Rule(r"allocate|mem", r"alloc|memory", "out_of_memory", "infrastructure"),
    _Rule(
        r"read_|card_|iosys|set_occ|init_pos|input|latgen|recips|volume|setup|kpoint|k_points|set_dft|xc_|lsda|"
        r"divide|mp_|para|symmetr|sgam|checkallsym|offset_atom|hubbard|scale_h|exx|dftd3|g_?vect|ggen|init_run",
        r"",
        "bad_input",
        "configuration",
    ),
)
# A launch that fails for every frame alike.
_LAUNCHER = re.compile(
    r"command not found|(?:not found|No such file or directory).*pw|pw\S*: (?:not found|No such file)|"
    r"not enough slots|attempt to run as root|direct launched using|"
    r"error while loading shared libraries|unable to (?:find|access|locate) .*executable|failed to find .*executable|"
    r"executable file not found|execv\w* error|version \S* not found|"
    r"permission denied|cannot execute|exec format error|is a directory|"
    r"(?:unknown|unrecognized|invalid|illegal) (?:command.line )?(?:option|argument)|"
    r"srun: error: .*(?:unable to (?:create|allocate|confirm)|invalid|not available|execve)|"
    r"(?:unable to allocate resources|invalid (?:account|partition|qos))",
    re.I,
)
_MEMORY = re.compile(
    r"out of memory|out-of-memory|oom.kill|cannot allocate memory|error allocating|insufficient virtual memory|"
    r"would exceed memory|bad_alloc|insufficient memory|allocation would exceed",
    re.I,
)
_DAMAGED_PSEUDOPOTENTIAL = re.compile(r"(?:xmltools|upf|pseudo|read_ps|read_uspp|read_ncpp)\w*\.f90", re.I)
_RUNTIME_ERROR = re.compile(r"fortran runtime error|end of file|end-of-file|forrtl: severe", re.I)
_TIME = re.compile(r"due to time limit|walltime .{0,20}exceeded|cpu time limit exceeded|SIGXCPU", re.I)
_DISK = re.compile(r"no space left on device|disk quota exceeded|file size limit exceeded|SIGXFSZ", re.I)
_SIGNAL = re.compile(
    r"received signal (SIG\w+)|signal (\d+ \([A-Z][\w ]+\))|(segmentation fault|floating point exception|bus error)",
    re.I,
)
_EXIT_CODES = {124: "time limit", 137: "killed; perhaps out of memory", 143: "terminated"}


def error_verdict(routine: str, message: str, *, started: bool) -> Verdict:
    """What an error box means. Unknown ones are the input's fault before the first SCF, and a frame's own after."""
    words = f"pw.x stopped in {routine}: {message}"
    for rule in _RULES:
        if re.search(rule.routine, routine, re.I) and re.search(rule.message, message, re.I):
            return Verdict(rule.outcome, rule.kind, words, False)
    return Verdict("error", "physics", words, False) if started else Verdict("bad_input", "configuration", words, False)


def never_started(result: PwResult) -> Verdict | None:
    """The launcher's failure, where it was not pw.x that failed."""
    if result.text.version is not None or result.text.error:
        return None
    said = next((line.strip() for line in result.said.splitlines() if _LAUNCHER.search(line)), "")
    if not said and _LAUNCHER.search(" ".join(result.said.split())):  # a message over several lines
        said = "the MPI launcher or the scheduler refused"
    if said or (result.empty and result.exit_code in (126, 127)):
        return Verdict("truncated", "configuration", f"pw.x was never started: {said or 'command not found'}", False)
    return None


def unfinished(result: PwResult) -> Verdict:
    """A run without error box and without a whole end."""
    text = result.text
    reading = text.version is not None and text.natoms is None
    cannot_read = _RUNTIME_ERROR.search(result.said) and _DAMAGED_PSEUDOPOTENTIAL.search(result.said)
    if not text.started and (text.damaged_pseudopotential or (reading and cannot_read)):
        return Verdict("pseudo_missing", "configuration", "a pseudopotential file is damaged: it ends early", False)
    if result.unreadable and not result.witnessed:
        return Verdict("truncated", "infrastructure", f"there is no output: {result.unreadable}", False)
    if result.empty:
        what = "the output is empty"
    elif text.version is None:
        what = "this is not the text of a pw.x run: it does not start as one"
    else:
        what = "the output ends before 'JOB DONE.'"
    for pattern, words in ((_MEMORY, "out of memory"), (_TIME, "time limit"), (_DISK, "disk full")):
        if said := pattern.search(result.said):
            return Verdict("truncated", "infrastructure", f"{what} ({words}: {said[0]})", False)
    code = result.exit_code
    how = _EXIT_CODES.get(code or 0, f"killed by signal {-code}" if code is not None and code < 0 else "")
    if signal := _SIGNAL.search(result.said):
        how = next(group for group in signal.groups() if group)
    return Verdict("truncated", "infrastructure", f"{what} ({how})" if how else what, False)
