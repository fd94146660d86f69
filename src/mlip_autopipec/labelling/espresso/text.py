"""What the text of a pw.x output says, number by number; absent or unreadable is None, nothing is guessed.

Formats: Quantum ESPRESSO 6.x and 7.x (PW/src/summary.f90, electrons.f90, forces.f90, stress.f90, report_mag.f90).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import numpy as np
from ase.units import Bohr, Ry

KBAR_PER_RY_BOHR3 = 147105.08  # pw.x prints both; CODATA 2010 as in Modules/constants.f90
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"
_DONE = re.compile(r"^\s*JOB DONE\.\s*\n=-{70,}=\s*$", re.M)
_ENERGY = re.compile(r"^!{1,2}\s+total energy\s+=(.*)$", re.M)
_ERROR = re.compile(r"^\s*Error in routine\s+(.*?)\s*\(\s*(-?\d+|\*+)\)\s*:\s*\n(.*?)(?:\n\s*%{10,}|\Z)", re.M | re.S)
_FORCE = re.compile(r"^\s*atom\s+(\d+)\s+type\s+\d+\s+force =\s*(.*)$")
_SITE = re.compile(r"^\s*(\d+)\s+(\S+)\s+tau\(\s*\d+\s*\)\s*=\s*\(([^)]*)\)", re.M)
_MOMENT = re.compile(r"^\s*atom:?\s*(\d+)\s.*charge[:=]\s*(\S+)\s+magn[:=]\s*(\S+)", re.M)
_WARNINGS = tuple(
    (re.compile(pattern, re.I | re.M), words)
    for pattern, words in (
        (r"SCF correction compared to forces is large", "the SCF correction is large compared to the forces"),
        (r"negative (?:or imaginary )?rho|negative charge", "the density is negative in places"),
        (r"negative core charge", "the core charge is negative in places"),
        (r"\d+ eigenvalues not converged", "some eigenvalues did not converge in an iteration"),
        (r"S matrix not positive definite", "the overlap matrix was not positive definite"),
    )
)
_CLOCK = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass
class PwText:
    """The numbers of one output in pw.x's own order; Ry and bohr are converted to eV and A."""

    version: str | None = None
    done: bool = False
    stopped: str | None = None
    not_converged: bool = False
    converged: bool = False
    error: tuple[str, str] | None = None  # routine, message
    calculation: str = "scf"
    ranks: int = 1
    natoms: int | None = None
    symbols: list[str] = field(default_factory=list)
    positions: np.ndarray | None = None  # N x 3, A, of the last printed energy
    cell: np.ndarray | None = None  # 3 x 3, A, of the last printed energy
    smearing: bool = False
    nspin2: bool = False
    conv_thr_ry: float | None = None
    scf_accuracy_ry: float | None = None
    accuracies_ry: list[float] = field(default_factory=list)  # of the last SCF, by iteration
    iterations: int = 0  # over all SCF cycles
    energy_ev: float | None = None
    forces: np.ndarray | None = None  # N x 3, eV/A
    scf_correction: float | None = None  # eV/A, printed "Total SCF correction"
    stress: np.ndarray | None = None  # 6, eV/A^3, ASE's sign and order
    total_magnetization: float | None = None  # Bohr magnetons per cell
    absolute_magnetization: float | None = None
    site_moments: list[float] | None = None
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # contradictions inside the text
    cpu_seconds: float = 0.0  # over all ranks
    started: bool = False  # an SCF began
    damaged_pseudopotential: bool = False


def number(word: str) -> float | None:
    """A Fortran number, or None for asterisks, NaN, infinities and anything else."""
    word = word.strip()
    if not re.fullmatch(_NUMBER, word):
        return None
    value = float(re.sub("[dD]", "e", word))
    return value if math.isfinite(value) else None


def numbers(line: str, count: int) -> list[float] | None:
    """Exactly `count` numbers of a line (adjacent ones may touch through their signs), or None."""
    words = re.sub(r"(?<=\d)-", " -", line.split("Ry")[0]).split()
    values = [number(word) for word in words]
    if len(values) != count or any(v is None for v in values):
        return None
    return [v for v in values if v is not None]


def read_text(text: str) -> PwText:
    """Read everything; never raises on damaged text."""
    out = PwText()
    _read_ends(text, out)
    _read_header(text, out)
    energies = list(_ENERGY.finditer(text))
    split = energies[-1].start() if energies else len(text)
    before, after = text[:split], text[split:]
    _read_scf(text, before, after, out)
    _read_geometry(before, out)
    if energies:
        values = numbers(energies[-1][1].replace("Ry", ""), 1)
        if values is None:
            out.problems.append("the total energy is not a number")
        else:
            out.energy_ev = values[0] * Ry
            _check_energy_terms(after, values[0], out)
            if energies[-1][0].startswith("!!") and len(energies) > 1:  # a hybrid: the last inner SCF is the same state
                inner = numbers(energies[-2][1].replace("Ry", ""), 1)
                if inner is None or abs(inner[0] - values[0]) > 1e-5:
                    out.problems.append("the energy of the hybrid functional and of its last SCF differ")
        _read_forces(after, out)
        _read_stress(after, out)
    _read_magnetism(before, after, out)
    for pattern, words in _WARNINGS:
        if pattern.search(text):
            out.warnings.append(words)
    return out


def _read_ends(text: str, out: PwText) -> None:
    if match := re.search(r"Program PWSCF v\.?\s*(\S+)", text):
        out.version = match[1]
    out.done = bool(_DONE.search(text))
    if match := _ERROR.search(text):
        out.error = match[1].strip(), " ".join(match[3].split())
    if re.search(r"Program stopped by user request", text):
        out.stopped = "stopped by an EXIT file"
    elif re.search(r"Maximum CPU time exceeded", text):
        out.stopped = "max_seconds was reached"
    out.damaged_pseudopotential = bool(re.search(r"tag PP_\w+ not found", text))
    if match := re.search(r"running on\s+(\d+) processors", text):
        out.ranks = int(match[1])
    spent = re.findall(r"^\s*PWSCF\s*:\s*(.*?)\s*CPU", text, re.M)
    running = re.findall(r"total cpu time spent up to now is\s+(\S+) secs", text)
    seconds = _seconds(spent[-1]) if spent else (number(running[-1]) if running else None)
    out.cpu_seconds = (seconds or 0.0) * out.ranks


def _seconds(clock: str) -> float | None:
    """Seconds of pw.x's '1h 2m', '1m23.45s' or '2.72s'."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([dhms])", clock)
    return sum(float(value) * _CLOCK[unit] for value, unit in parts) if parts else None


def _read_header(text: str, out: PwText) -> None:
    def value(label: str) -> float | None:
        match = re.search(rf"^\s*{label}\s*=\s*(\S+)", text, re.M)
        return number(match[1]) if match else None

    atoms = value(r"number of atoms/cell")
    out.natoms = int(atoms) if atoms is not None and atoms == int(atoms) else None
    out.smearing = bool(re.search(r"smearing, width \(Ry\)=|tetrahedr", text, re.I))
    electrons, start = value("number of electrons"), re.search(r"renormalised to\s+(\S+)", text)
    started_with = number(start[1]) if start else None
    if electrons is not None and started_with is not None and abs(electrons - started_with) > 0.01:
        out.problems.append(f"the number of electrons is {electrons} in the header and {started_with} at the start")
    ecut, used = value("kinetic-energy cutoff"), re.search(r"iteration #\s*\d+\s+ecut=\s*(\S+) Ry", text)
    ecut_used = number(used[1]) if used else None
    if ecut is not None and ecut_used is not None and abs(ecut - ecut_used) > 0.006:
        out.problems.append(f"the cutoff is {ecut} Ry in the header and {ecut_used} Ry in the iterations")


def _read_scf(text: str, before: str, after: str, out: PwText) -> None:
    out.started = "Self-consistent Calculation" in text
    out.iterations = len(re.findall(r"^\s*iteration #", text, re.M))
    out.not_converged = bool(re.search(r"convergence NOT achieved", text))
    out.converged = bool(re.search(r"convergence has been achieved", after))
    thresholds = re.findall(r"^\s*(?:scf )?convergence threshold\s*=\s*(\S+)", before, re.M)
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
        out.converged = "convergence has been achieved" in before
    if "Entering Dynamics" in text:
        out.calculation = "md"
    elif "BFGS Geometry Optimization" in text or "Damped Dynamics" in text:
        moving_cell = re.search(r"^\s*CELL_PARAMETERS|new unit-cell volume", text, re.M)
        out.calculation = "vc-relax" if moving_cell else "relax"


def _read_geometry(before: str, out: PwText) -> None:
    """Cell and positions as they were when the last energy was printed, from whatever was printed last before it."""
    alats = re.findall(r"^\s*celldm\(1\)=\s*(\S+)", before, re.M)
    rough = re.findall(r"^\s*lattice parameter \(alat\)\s*=\s*(\S+)", before, re.M)
    alat = number(alats[-1]) if alats else None
    printed = number(rough[-1]) if rough else None
    if alat is None or printed is None:
        return
    if abs(alat - printed) > 1e-4:
        out.problems.append(f"the lattice parameter is printed as {printed} and as {alat} bohr")
    axes = re.findall(r"^\s*a\((\d)\) = \(([^)]*)\)", before, re.M)[-3:]
    rows = [numbers(row, 3) for _, row in axes]
    if len(rows) != 3 or any(row is None for row in rows):
        return
    cell = np.array(rows, dtype=float) * alat * Bohr
    volumes = re.findall(r"^\s*unit-cell volume\s*=\s*(\S+)", before, re.M)
    volume = number(volumes[-1]) if volumes else None
    if volume is not None and abs(abs(np.linalg.det(cell)) / Bohr**3 - volume) > 1e-4 * volume:
        out.problems.append("the cell vectors do not have the volume that is printed")
    start = before.rfind("site n.     atom")
    block = re.split(r"\n[ \t]*\n", before[start:], maxsplit=1)[0] if start >= 0 else ""
    sites = _SITE.findall(block)
    taus = [numbers(xyz, 3) for _, _, xyz in sites]
    if [int(n) for n, _, _ in sites] != list(range(1, (out.natoms or 0) + 1)) or any(t is None for t in taus):
        out.problems.append(f"{len(sites)} atomic sites are listed for {out.natoms} atoms")
        return
    if not sites:
        return
    out.symbols = [_symbol(name) for _, name, _ in sites]
    out.cell, out.positions = cell, np.array(taus, dtype=float) * alat * Bohr
    if out.calculation != "scf":
        _read_moved(before, start, out, alat)


def _read_moved(before: str, start: int, out: PwText, alat: float) -> None:
    """Positions and cell of later steps of a relaxation (cards ATOMIC_POSITIONS and CELL_PARAMETERS)."""
    moved = list(re.finditer(r"^ATOMIC_POSITIONS \((\w+)\)\s*\n((?:[A-Z]\w*\s+\S+\s+\S+\s+\S+.*\n)+)", before, re.M))
    cells = list(re.finditer(r"^CELL_PARAMETERS \(alat=\s*(\S+)\)\s*\n((?:.*\n){3})", before, re.M))
    if cells and cells[-1].start() > start:
        scale, rows = number(cells[-1][1]), [numbers(row, 3) for row in cells[-1][2].splitlines()]
        if scale is None or any(row is None for row in rows):
            out.positions = None
            return
        out.cell = np.array(rows, dtype=float) * scale * Bohr
    if moved and moved[-1].start() > start:
        rows = [numbers(" ".join(row.split()[1:4]), 3) for row in moved[-1][2].splitlines()]
        if any(row is None for row in rows) or out.cell is None:
            out.positions = None
            return
        xyz = np.array(rows, dtype=float)
        scales = {"alat": alat * Bohr, "bohr": Bohr, "angstrom": 1.0}
        out.positions = xyz @ out.cell if moved[-1][1] == "crystal" else xyz * scales.get(moved[-1][1], np.nan)


def _symbol(name: str) -> str:
    """Chemical symbol of a species name such as 'Fe1', 'Fe_up' or 'O'."""
    match = re.match(r"[A-Z][a-z]?", name)
    return match[0] if match else name


def _check_energy_terms(after: str, energy_ry: float, out: PwText) -> None:
    """The terms that pw.x lists must add up to the total (8 decimals are printed)."""
    match = re.search(r"is (?:F=E-TS\. E is )?the sum of the following terms:\s*\n(.*?)\n[ \t]*\n", after, re.S)
    if not match:
        return
    terms = [numbers(line.split("=", 1)[1], 1) for line in match[1].splitlines() if "=" in line]
    internal = re.search(r"internal energy E=F\+TS\s*=\s*(\S+)\s+Ry", after)
    total = number(internal[1]) if internal else energy_ry
    entropy = re.search(r"smearing contrib\. \(-TS\)\s*=\s*(\S+)\s+Ry", after)
    if any(t is None for t in terms) or total is None:
        out.problems.append("an energy term is not a number")
        return
    listed_inside = entropy is not None and "smearing contrib" in match[1]
    if abs(sum(t[0] for t in terms if t) - (energy_ry if listed_inside else total)) > 1e-6:
        out.problems.append("the energy terms do not add up to the total energy")
    contribution = number(entropy[1]) if entropy else None
    if internal and contribution is not None and abs(total + contribution - energy_ry) > 1e-6:
        out.problems.append("the smearing contribution does not lead to the total energy")


def _read_forces(after: str, out: PwText) -> None:
    """The first block after 'Forces acting on atoms'; later blocks are contributions (verbosity high)."""
    start = after.find("Forces acting on atoms")
    if start < 0:
        return
    rows: list[list[float] | None] = []
    order = []
    for line in after[start:].splitlines()[1:]:
        match = _FORCE.match(line)
        if match:
            order.append(int(match[1]))
            rows.append(numbers(match[2], 3))
        elif line.strip():
            break
    if order != list(range(1, (out.natoms or 0) + 1)) or any(row is None for row in rows) or not rows:
        out.problems.append(f"{sum(r is not None for r in rows)} readable forces for {out.natoms} atoms")
        return
    forces = np.array(rows, dtype=float)  # Ry/bohr
    match = re.search(r"Total force\s*=\s*(\S+)\s+Total SCF correction\s*=\s*(\S+)", after[start:])
    norm = number(match[1]) if match else None
    if norm is None or abs(norm - np.linalg.norm(forces)) > 2e-6 + 1e-7 * norm:
        out.problems.append("the forces do not have the total force that is printed")
        return
    if np.abs(forces.sum(axis=0)).max() > 1e-6 * len(forces) + 1e-8 * np.abs(forces).max():
        out.problems.append("the forces do not add up to zero")
    out.forces = forces * Ry / Bohr
    correction = number(match[2]) if match else None
    out.scf_correction = None if correction is None else correction * Ry / Bohr


def _read_stress(after: str, out: PwText) -> None:
    match = re.search(r"total\s+stress\s+\(Ry/bohr\*\*3\).*?P=\s*(\S+)\s*\n((?:.*\n){3})", after)
    if not match:
        if "Computing stress" in after:
            out.problems.append("the stress is incomplete")
        return
    rows = [numbers(row, 6) for row in match[2].splitlines()]
    if any(row is None for row in rows):
        out.problems.append("a stress component is not a number")
        return
    both = np.array(rows, dtype=float)
    sigma, kbar, pressure = both[:, :3], both[:, 3:], number(match[1])
    tolerance_kbar = 0.02 + 2e-5 * np.abs(kbar).max()
    if np.abs(sigma * KBAR_PER_RY_BOHR3 - kbar).max() > tolerance_kbar:
        out.problems.append("the stress in Ry/bohr^3 and in kbar disagree")
    elif pressure is None or abs(np.trace(kbar) / 3 - pressure) > tolerance_kbar:
        out.problems.append("the pressure is not the mean of the stress")
    elif np.abs(sigma - sigma.T).max() > 2e-8 + 1e-6 * np.abs(sigma).max():
        out.problems.append("the stress is not symmetric")
    else:
        voigt = sigma[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        out.stress = -voigt * Ry / Bohr**3  # pw.x prints pressure-like signs, ASE tension-like


def _read_magnetism(before: str, after: str, out: PwText) -> None:
    text = before[before.rfind("Self-consistent Calculation") :] + after
    out.nspin2 = "SPIN UP" in text or "Starting magnetic structure" in before
    for name in ("total", "absolute"):
        found = re.findall(rf"{name} magnetization\s*=\s*(\S+)\s+Bohr mag/cell", text)
        setattr(out, f"{name}_magnetization", number(found[-1]) if found else None)
    sites = _MOMENT.findall(text)[-(out.natoms or 1) :]
    values = [number(m) for _, _, m in sites]
    if sites and [int(n) for n, _, _ in sites] == list(range(1, len(sites) + 1)) and len(sites) == out.natoms:
        moments = [v for v in values if v is not None]
        out.site_moments = moments if len(moments) == out.natoms else None
