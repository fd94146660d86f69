"""Judging one pw.x run: what it was, whose matter that is, and whether it may train."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

from mlip_autopipec.labelling.espresso.output import PwResult
from mlip_autopipec.labelling.labeller import Kind

ACCURACY_SLACK = 1.1  # both numbers are printed with two digits
LAST_BAND_OCCUPATION_MAX = 0.05  # of a full band; 0.02 is harmless for an aluminium slab, 1 costs 7 meV in Al4
POSITION_TOLERANCE_ANGSTROM = 1e-3  # pw.x prints 7 decimals of alat


@dataclass(frozen=True)
class Limits:
    """What a label must keep to.

    Attributes:
        minimum_distance_fraction: shortest distance, as a fraction of the sum of covalent radii
            (Cordero et al., Dalton Trans. 2832 (2008), as tabulated in ASE).
        maximum_force_ev_per_angstrom: largest force on an atom.
    """

    minimum_distance_fraction: float = 0.5
    maximum_force_ev_per_angstrom: float = 50.0


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


# Error messages of pw.x by routine and text; the first that matches counts.
_RULES = (
    _Rule(r"check_atoms", r"overlap", "atoms_overlap", "structure"),
    _Rule(r"", r"more bands than PWs", "more_bands_than_pw", "structure"),
    _Rule(r"setup", r"too few bands", "too_few_bands", "physics"),
    _Rule(r"readpp|read_upf|read_pseudo|upf_to_internal|read_ncpp", r"", "pseudo_missing", "configuration"),
    _Rule(r"", r"(\.upf|pseudo).*(not found|not readable|missing)", "pseudo_missing", "configuration"),
    _Rule(r"check_tempdir|davcio|diropn|(write|read)_rhog|save_buffer|restart", r"", "tempdir", "infrastructure"),
    _Rule(r"", r"error (opening|reading|writing)|no space left|cannot open", "tempdir", "infrastructure"),
    _Rule(r"[cr](diag|eg)|cgdiag|^paro|^ppcg|rotate_wfc|c_bands|cholesky", r"", "diag", "physics"),
    _Rule(
        r"",
        r"too many bands are not converged|positive definite|cholesky|eigenvectors failed",
        "diag",
        "physics",
    ),
    _Rule(r"efermi", r"", "fermi_level", "physics"),
    _Rule(r"allocate|mem", r"alloc|memory", "out_of_memory", "infrastructure"),
    _Rule(
        r"read_|card_|iosys|set_occ|init_pos|input|latgen|setup|kpoint|set_dft|lsda",
        r"",
        "bad_input",
        "configuration",
    ),
)
_LAUNCHER = re.compile(
    r"command not found|No such file or directory.*pw|not enough slots|attempt to run as root|"
    r"direct launched using|An error occurred in MPI_Init|"
    r"error while loading shared libraries|unable to (?:find|access) .*executable|Permission denied",
    re.I,
)
_MEMORY = re.compile(
    r"out of memory|oom-kill|cannot allocate memory|insufficient virtual memory|would exceed memory", re.I
)


def judge(result: PwResult, atoms: Atoms | None = None, limits: Limits | None = None) -> Verdict:
    """Decide what a run was and whether its numbers may train.

    Args:
        result: of `read_pw_output` or `read_beside`.
        atoms: the frame that was meant to be computed; its species, cell and positions must be the output's.
        limits: distances and forces a label must keep to.
    """
    text = result.text
    if error := text.error or (result.crash if not text.done else None):
        return _error_verdict(*error, started=text.started)
    if not text.done:
        return _unfinished(result)
    if text.stopped:
        return Verdict("stopped", "infrastructure", f"pw.x stopped before convergence: {text.stopped}", False)
    if text.not_converged:
        return Verdict("scf_not_converged", "physics", _not_converged_words(result), False)
    if text.energy_ev is None or not text.converged:
        what = "; ".join(text.problems) or "it ends without a converged total energy"
        return Verdict("inconsistent", "infrastructure", f"the output is damaged or not of an SCF run: {what}", False)
    if text.conv_thr_ry is None or text.scf_accuracy_ry is None:
        return Verdict("inconsistent", "infrastructure", "SCF accuracy or threshold cannot be read", False)
    if text.scf_accuracy_ry > ACCURACY_SLACK * text.conv_thr_ry:
        words = f"SCF accuracy {text.scf_accuracy_ry:.1e} Ry is above the threshold {text.conv_thr_ry:.1e} Ry"
        return Verdict("scf_accuracy_above_threshold", "physics", words, False)
    if problems := text.problems + result.problems:
        return Verdict("inconsistent", "infrastructure", "the output contradicts itself: " + "; ".join(problems), False)
    if result.exit_code:
        words = f"the text is whole, but pw.x ended with exit code {result.exit_code}"
        return Verdict("inconsistent", "infrastructure", words, False)
    return _usability(result, atoms, limits or Limits())


def close_pair(atoms: Atoms, fraction: float) -> str | None:
    """Words about the closest pair below `fraction` of the sum of covalent radii, or None when there is none.

    Periodic images count. Source of the radii: Cordero et al., Dalton Trans. 2832 (2008), from ASE.
    """
    radii = np.array([covalent_radii[z] for z in atoms.numbers])
    first, second, distance = neighbor_list("ijd", atoms, list(fraction * radii))
    if not len(distance):
        return None
    worst = int(np.argmin(distance / (radii[first] + radii[second])))
    i, j = first[worst], second[worst]
    limit = fraction * (radii[i] + radii[j])
    return (
        f"{atoms.symbols[i]} and {atoms.symbols[j]} are {distance[worst]:.2f} A apart, "
        f"closer than {limit:.2f} A ({fraction:g} of the sum of covalent radii)"
    )


def structure_of(result: PwResult) -> Atoms | None:
    """The periodic structure that the last energy of an output belongs to, or None where it cannot be read."""
    text = result.text
    if text.positions is None or text.cell is None or not np.isfinite(text.positions).all():
        return None
    if any(symbol not in atomic_numbers for symbol in text.symbols):
        return None
    return Atoms(text.symbols, positions=text.positions, cell=text.cell, pbc=True)


def _error_verdict(routine: str, message: str, started: bool) -> Verdict:
    words = f"pw.x stopped in {routine}: {message}"
    for rule in _RULES:
        if re.search(rule.routine, routine, re.I) and re.search(rule.message, message, re.I):
            return Verdict(rule.outcome, rule.kind, words, False)
    return Verdict("error", "physics", words, False) if started else Verdict("bad_input", "configuration", words, False)


def _unfinished(result: PwResult) -> Verdict:
    launcher = _LAUNCHER.search(result.stderr)
    if result.empty and (launcher or result.exit_code in (126, 127)):
        said = next((line.strip() for line in result.stderr.splitlines() if _LAUNCHER.search(line)), "")
        return Verdict("truncated", "configuration", f"pw.x was never started: {said or 'command not found'}", False)
    if result.text.damaged_pseudopotential and not result.text.started:
        return Verdict("pseudo_missing", "configuration", "a pseudopotential file is damaged: it ends early", False)
    if memory := _MEMORY.search(result.stderr):
        return Verdict("truncated", "infrastructure", f"the run ended early: {memory[0]}", False)
    code = result.exit_code
    how = {None: "", 124: " (time limit)", 137: " (killed; perhaps out of memory)", 143: " (terminated)"}.get(code, "")
    if code is not None and code < 0:
        how = f" (killed by signal {-code})"
    what = "the output is empty" if result.empty else "the output ends before 'JOB DONE.'"
    return Verdict("truncated", "infrastructure", what + how, False)


def _not_converged_words(result: PwResult) -> str:
    text = result.text
    reached = f", accuracy {text.scf_accuracy_ry:.1e} Ry" if text.scf_accuracy_ry is not None else ""
    wanted = f", wanted {text.conv_thr_ry:.1e} Ry" if text.conv_thr_ry is not None else ""
    return f"the SCF did not converge in {text.iterations} iterations{reached}{wanted}"


def _usability(result: PwResult, atoms: Atoms | None, limits: Limits) -> Verdict:
    """A run that ended well may still not train: missing numbers, another structure, atoms on top of each other."""
    text = result.text

    def refuse(check: str, kind: Kind, reason: str) -> Verdict:
        return Verdict("ok", kind, reason, False, check)

    if text.forces is None:
        return refuse("no_forces", "configuration", "no forces were computed (tprnfor)")
    if text.stress is None:
        return refuse("no_stress", "configuration", "no stress was computed (tstress)")
    if text.calculation in ("vc-relax", "md"):
        return refuse("not_single_point", "configuration", f"the steps of a {text.calculation} run have no fixed basis")
    structure = structure_of(result)
    if structure is None:
        return refuse("no_structure", "infrastructure", "cell and positions cannot be read from the output")
    if atoms is not None and (difference := _difference(structure, atoms)):
        return refuse("other_structure", "infrastructure", f"the output is of another structure: {difference}")
    if close := close_pair(structure, limits.minimum_distance_fraction):
        return refuse("atoms_too_close", "structure", close)
    force = float(np.linalg.norm(text.forces, axis=1).max())
    if force > limits.maximum_force_ev_per_angstrom:
        limit = limits.maximum_force_ev_per_angstrom
        return refuse("force_too_large", "structure", f"the largest force is {force:.0f} eV/A, above {limit:g} eV/A")
    occupation = last_band_occupation(result)
    if occupation is not None and occupation > LAST_BAND_OCCUPATION_MAX:
        return refuse("last_band_occupied", "physics", f"too few bands: the last one is occupied ({occupation:.2f})")
    return Verdict("ok", "ok", "converged, complete and consistent", True)


def last_band_occupation(result: PwResult) -> float | None:
    """Largest occupation of the highest band (1 = full); None where occupations are fixed or unknown."""
    if result.xml is None or result.xml.occupations == "fixed":
        return None
    return result.xml.last_band_occupation


def _difference(read: Atoms, meant: Atoms) -> str | None:
    if list(read.symbols) != list(meant.symbols):
        return f"{read.symbols} instead of {meant.symbols}"
    cell = float(np.abs(read.cell.array - meant.cell.array).max())
    if cell > POSITION_TOLERANCE_ANGSTROM:
        return f"a cell vector differs by {cell:.4f} A"
    shift = np.linalg.solve(meant.cell.array.T, (read.positions - meant.positions).T).T
    moved = float(np.abs((shift - np.round(shift)) @ meant.cell.array).max())
    return f"an atom differs by {moved:.4f} A" if moved > POSITION_TOLERANCE_ANGSTROM else None
