"""What the text of a pw.x output says, number by number; absent or unreadable is None, nothing is guessed.

Formats: Quantum ESPRESSO 6.x and 7.x (PW/src/summary.f90, electrons.f90, forces.f90, stress.f90, report_mag.f90,
Modules/environment.f90).
"""

from __future__ import annotations

import re

from ase.units import Ry

from mlip_autopipec.labelling.espresso.fields import PwText, number, numbers, seconds
from mlip_autopipec.labelling.espresso.geometry import read_geometry
from mlip_autopipec.labelling.espresso.results import check_energy_terms, read_forces, read_magnetism, read_stress

__all__ = ["PwText", "read_text"]

_START = re.compile(r"Program PWSCF v\.?\s*(\S+)")
_DONE = re.compile(
    r"^ *This run was terminated on:\s+\d+:\s*\d+:\s*\d+\s+\d+\s?[A-Z][a-z]{2}\d{4}\s*\n=-{70,}=[ \t]*\n"
    r"\s*JOB DONE\.[ \t]*\n=-{70,}=\s*$",
    re.M,
)
_CLOCK = re.compile(r"^ *PWSCF\s*:\s*(.*?)\s*CPU\s*(.*?)\s*WALL", re.M)
_ENERGY = re.compile(r"^!{1,2}\s+total energy\s+=(.*)$", re.M)
_ERROR = re.compile(r"^ *Error in routine\s+(.*?)\s*\(\s*(-?\d+|\*+)\)\s*:\s*\n(.*?)(?:\n\s*%{10,}|\Z)", re.M | re.S)
_WARNINGS = (  # words of pw.x in small letters, and what they mean
    ("scf correction compared to forces is large", "the SCF correction is large compared to the forces"),
    ("negative rho", "the density is negative in places"),
    ("negative or imaginary rho", "the density is negative in places"),
    ("negative core charge", "the core charge is negative in places"),
    ("eigenvalues not converged", "some eigenvalues did not converge in an iteration"),
    ("s matrix not positive definite", "the overlap matrix was not positive definite"),
    ("warning: integrated charge=", "the integrated charge differed from the number of electrons"),
    ("beware: negative dexx", "the estimated exchange error was negative"),
    ("configuration with zero", "the magnetisation was lost in the relaxation"),
)


def read_text(text: str) -> PwText:
    """Read the last pw.x run in a text; never raises on damaged text."""
    starts = list(_START.finditer(text))
    out = PwText(runs=len(starts))
    if starts:
        out.version = starts[-1][1]
        text = text[starts[-1].start() :]
    if out.runs > 1:
        out.warnings.append(f"the file holds {out.runs} runs of pw.x; the last one counts")
    _read_ends(text, out)
    _read_header(text, out)
    energies = list(_ENERGY.finditer(text))
    split = energies[-1].start() if energies else len(text)
    before, after = text[:split], text[split:]
    _read_scf(text, before, after, out)
    read_geometry(before, out)
    if energies:
        _read_energy(energies, after, out)
        read_forces(after, out)
        read_stress(after, out)
    read_magnetism(before, after, out)
    small = text.lower()
    out.warnings += dict.fromkeys(words for said, words in _WARNINGS if said in small)
    return out


def _read_ends(text: str, out: PwText) -> None:
    clock = list(_CLOCK.finditer(text))
    done = list(_DONE.finditer(text))
    # a text that was cut and got its last lines back lacks the clock that stands before them
    out.done = bool(done and clock and clock[-1].start() < done[-1].start())
    if len(done) > 1:
        out.problems.append("several runs wrote into this file at the same time")
    if match := _ERROR.search(text):
        out.error = match[1].strip(), " ".join(match[3].split())
    if re.search(r"Program stopped by user request", text):
        out.stopped = "stopped by an EXIT file"
    elif re.search(r"Maximum CPU time exceeded", text):
        out.stopped = "max_seconds was reached"
    elif re.search(r"Signal Received, stopping", text):
        out.stopped = "stopped by a signal"
    out.damaged_pseudopotential = bool(re.search(r"tag PP_\w+ not found|xmlr_\w+: severe error", text))
    told = re.findall(r"Message from routine\s+(\S+?)\s*:\s*\n\s*(.*)", text)
    out.messages = {routine: message.strip() for routine, message in told}
    if "Using Berry phase electric field" in text:
        out.messages["Using Berry phase electric field"] = ""
    processes = re.search(r"Number of MPI processes:\s+(\d+)", text) or re.search(r"running on\s+(\d+) proc", text)
    out.ranks = int(processes[1]) if processes else 1
    running = re.findall(r"total cpu time spent up to now is\s+(\S+) secs", text)
    cpu = seconds(clock[-1][1]) if clock else (number(running[-1]) if running else None)
    out.cpu_seconds = (cpu or 0.0) * out.ranks
    out.wall_seconds = seconds(clock[-1][2]) if clock else None


def _read_header(text: str, out: PwText) -> None:
    def value(label: str) -> float | None:
        match = re.search(rf"^ *{label}\s*=\s*(\S+)", text, re.M)
        return number(match[1]) if match else None

    def count(label: str) -> int | None:
        found = value(label)
        return int(found) if found is not None and found == int(found) else None

    out.natoms, out.bands = count(r"number of atoms/cell"), count(r"number of Kohn-Sham states")
    out.kpoints = count(r"number of k points")
    out.electrons, start = value("number of electrons"), re.search(r"renormalised to\s+(\S+)", text)
    started_with = number(start[1]) if start else None
    if out.electrons is not None and started_with is not None and abs(out.electrons - started_with) > 0.01:
        out.problems.append(f"the number of electrons is {out.electrons} in the header and {started_with} at the start")
    ecut, used = value("kinetic-energy cutoff"), re.search(r"iteration #\s*\d+\s+ecut=\s*(\S+) Ry", text)
    ecut_used = number(used[1]) if used else None
    if ecut is not None and ecut_used is not None and abs(ecut - ecut_used) > 0.006:
        out.problems.append(f"the cutoff is {ecut} Ry in the header and {ecut_used} Ry in the iterations")


def _read_scf(text: str, before: str, after: str, out: PwText) -> None:
    out.started = "Self-consistent Calculation" in text
    out.iterations = len(re.findall(r"^ *iteration #", text, re.M))
    out.not_converged = bool(re.search(r"convergence NOT achieved", text))
    out.converged = bool(re.search(r"convergence has been achieved", after))
    thresholds = re.findall(r"^ *(?:scf )?convergence threshold\s*=\s*(\S+)", before, re.M)
    out.conv_thr_ry = number(thresholds[-1]) if thresholds else None
    last_scf = before[before.rfind("Self-consistent Calculation") :] if out.started else ""
    found = (number(w) for w in re.findall(r"estimated scf accuracy\s*<\s*(\S+)\s+Ry", last_scf))
    out.accuracies_ry = [value for value in found if value is not None]
    # a hybrid prints the accuracy of the last inner SCF before its '!!' line
    final = re.search(r"estimated scf accuracy\s*<\s*(.*?)\s*(?:Ry|\n)", after)
    if final:
        out.scf_accuracy_ry = number(final[1])
    elif out.accuracies_ry:
        out.scf_accuracy_ry = out.accuracies_ry[-1]
    if "EXX self-consistency reached" in after:
        out.converged = "convergence has been achieved" in last_scf
    elif re.search(r"EXX-fraction\s*=\s*[0.]*[1-9]|EXX: now go back", text) and out.started:
        out.converged = False  # a hybrid is not at its end before exchange and density agree
    if out.converged:
        _check_iterations(last_scf, last_scf + after, out)
    levels = re.findall(r"(?:Fermi energy is|highest occupied.*?level(?:s)? \(ev\):)\s+(\S+)", text)
    out.fermi_ev = number(levels[-1]) if levels else None
    if re.search(r"BFGS Geometry Optimization|Damped (?:Cell )?Dynamics|using the FIRE algorithm", text):
        moving_cell = re.search(r"^ *CELL_PARAMETERS|new unit-cell volume", text, re.M)
        out.calculation = "vc-relax" if moving_cell else "relax"
    elif "Entering Dynamics" in text:
        out.calculation = "md"
    elif not out.started and re.search(r"End of band structure calculation|Band Structure Calculation", text):
        out.calculation = "nscf"


def _check_iterations(last_scf: str, after: str, out: PwText) -> None:
    """The iterations of an SCF are numbered without a gap, and as many as it says that it needed."""
    printed = [int(n) for n in re.findall(r"^ *iteration #\s*(\d+)", last_scf, re.M)]
    needed = re.search(r"convergence has been achieved in\s+(\d+) iterations", after)
    whole = bool(printed) and printed == list(range(printed[0], printed[-1] + 1))
    if not whole or (needed is not None and int(needed[1]) != printed[-1]):
        out.missing.append("iterations of the SCF are missing or twice there")


def _read_energy(energies: list[re.Match[str]], after: str, out: PwText) -> None:
    values = numbers(energies[-1][1].replace("Ry", ""), 1)
    if values is None:
        out.problems.append("the total energy is not a number")
        out.not_a_number = True
        return
    out.energy_ev = values[0] * Ry
    check_energy_terms(after, values[0], out)
    if energies[-1][0].startswith("!!") and len(energies) > 1:
        # a hybrid: the exchange error that is printed is what its last SCF lay above it
        inner = numbers(energies[-2][1].replace("Ry", ""), 1)
        printed = re.search(r"est\. exchange err \(dexx\)\s*=\s*(\S+)", after)
        error = number(printed[1]) if printed else None
        if inner is None or error is None or abs(inner[0] - values[0] - error) > 3e-8 + 0.05 * abs(error):
            out.problems.append("the energy of the hybrid functional and of its last SCF differ")
