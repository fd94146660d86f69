"""Energy terms, forces, stress and magnetic moments of a pw.x output, each checked against what repeats it."""

from __future__ import annotations

import re

import numpy as np
from ase.units import Bohr, Ry

from mlip_autopipec.labelling.espresso.fields import PwText, number, numbers

KBAR_PER_RY_BOHR3 = 147105.08  # pw.x prints both; CODATA 2010 as in Modules/constants.f90
# A sphere's moment is part of the absolute magnetisation; augmentation charges and rounding may add a little.
MOMENT_SLACK, MOMENT_ROUNDING = 1.1, 0.05
MOMENT_STEP = 0.2  # Bohr magnetons by which a magnetisation may still change in the last iteration of an SCF
_FORCE = re.compile(r"^ *atom\s+(\d+)\s+type\s+\d+\s+force =\s*(.*)$")
_MOMENT = re.compile(r"^ *atom:?\s*(\d+)\s.*charge[:=]\s*(\S+)\s+magn[:=]\s*(\S+)", re.M)


def check_energy_terms(after: str, energy_ry: float, out: PwText) -> None:
    """The terms that pw.x lists must add up to the total (8 decimals are printed)."""
    match = re.search(r"is (?:F=E-TS\. E is )?the sum of the following terms:\s*\n(.*?)\n[ \t]*\n", after, re.S)
    if not match:
        return
    # lines with '->' are parts of the PAW term above them
    lines = [line for line in match[1].splitlines() if "=" in line and "->" not in line]
    terms = [numbers(line.split("=", 1)[1], 1) for line in lines]
    internal = re.search(r"internal energy E=F\+TS\s*=\s*(\S+)\s+Ry", after)
    total = number(internal[1]) if internal else energy_ry
    entropy = re.search(r"smearing contrib\. \(-TS\)\s*=\s*(\S+)\s+Ry", after)
    if any(t is None for t in terms) or total is None:
        out.problems.append("an energy term is not a number")
        out.not_a_number = True
        return
    out.electric_field = "Using Berry phase electric field" in out.messages
    listed_inside = entropy is not None and "smearing contrib" in match[1]
    if abs(sum(t[0] for t in terms if t) - (energy_ry if listed_inside else total)) > 1e-6 and not out.electric_field:
        out.problems.append("the energy terms do not add up to the total energy")
    contribution = number(entropy[1]) if entropy else None
    if internal and contribution is not None and abs(total + contribution - energy_ry) > 1e-6:
        out.problems.append("the smearing contribution does not lead to the total energy")


def read_forces(after: str, out: PwText) -> None:
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
        out.not_a_number |= any(row is None for row in rows)
        out.missing.append(f"{sum(r is not None for r in rows)} readable forces for {out.natoms} atoms")
        return
    forces = np.array(rows, dtype=float)  # Ry/bohr
    match = re.search(r"Total force\s*=\s*(\S+)\s+Total SCF correction\s*=\s*(\S+)", after[start:])
    printed = number(match[1]) if match else None
    if printed is None:
        out.missing.append("the forces end without the total force")
        return
    norm, tolerance = float(np.linalg.norm(forces)), 2e-6 + 1e-7 * printed
    # Forces are printed before those on fixed coordinates are set to zero, the total force after (PW/src/forces.f90).
    out.fixed_coordinates = printed < norm - tolerance
    if printed > norm + tolerance:
        out.problems.append("the forces do not have the total force that is printed")
        return
    largest = float(np.abs(forces).max())
    if np.abs(forces.sum(axis=0)).max() > 1e-6 * len(forces) + 1e-8 * largest and not out.electric_field:
        out.problems.append("the forces do not add up to zero")
    out.forces = forces * Ry / Bohr
    correction = number(match[2]) if match else None
    out.scf_correction = None if correction is None else correction * Ry / Bohr


def read_stress(after: str, out: PwText) -> None:
    """The stress tensor, printed in Ry/bohr^3 and in kbar, with its trace as the pressure."""
    match = re.search(r"total\s+stress\s+\(Ry/bohr\*\*3\).*?P=\s*(\S+)\s*\n((?:.*\n){3})", after)
    if not match:
        if "Computing stress" in after and "stres" not in out.messages:
            out.missing.append("the stress is incomplete")
        return
    rows = [numbers(row, 6) for row in match[2].splitlines()]
    if any(row is None for row in rows):
        out.problems.append("a stress component is not a number")
        out.not_a_number = True
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


def read_magnetism(before: str, after: str, out: PwText) -> None:
    """Total and absolute magnetisation per cell and the moments on the atoms (6.x 'magn:', 7.x 'magn=')."""
    text = before[before.rfind("Self-consistent Calculation") :] + after
    totals = [_moment(words) for words in re.findall(r"total magnetization\s*=\s*(.*?)\s+Bohr mag/cell", text)]
    absolutes = [number(word) for word in re.findall(r"absolute magnetization\s*=\s*(\S+)\s+Bohr mag/cell", text)]
    out.total_magnetization = totals[-1] if totals else None
    out.absolute_magnetization = absolutes[-1] if absolutes else None
    for values in (totals, absolutes):
        last, before_it = (values[-1], values[-2]) if len(values) > 1 else (None, None)
        if last is not None and before_it is not None and abs(last - before_it) > MOMENT_STEP + 0.05 * abs(before_it):
            out.problems.append("a magnetisation jumps after the last iteration")
    sites = _MOMENT.findall(text)[-(out.natoms or 1) :]
    read = [number(m) for _, _, m in sites]
    if sites and [int(n) for n, _, _ in sites] == list(range(1, len(sites) + 1)) and len(sites) == out.natoms:
        moments = [v for v in read if v is not None]
        out.site_moments = moments if len(moments) == out.natoms else None
    if out.absolute_magnetization is not None:
        largest = max(map(abs, [out.total_magnetization or 0.0, *(out.site_moments or [])]))
        if largest > MOMENT_SLACK * out.absolute_magnetization + MOMENT_ROUNDING:
            out.problems.append("a magnetic moment is larger than the absolute magnetisation")


def _moment(words: str) -> float | None:
    """The magnetisation of a cell: a number, or the length of a vector."""
    vector = numbers(words, 3)
    return float(np.linalg.norm(vector)) if vector else number(words)
