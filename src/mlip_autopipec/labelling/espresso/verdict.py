"""Judging one pw.x run: what it was, whose matter that is, and whether it may train."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

from mlip_autopipec.labelling.espresso.diagnosis import Verdict, error_verdict, never_started, unfinished
from mlip_autopipec.labelling.espresso.output import PwResult
from mlip_autopipec.labelling.labeller import Kind

__all__ = ["Limits", "Verdict", "close_pair", "judge", "last_band_occupation", "structure_of"]

ACCURACY_SLACK = 1.1  # both numbers are printed with two digits
LAST_BAND_OCCUPATION_MAX = 0.05  # of a full band; 0.02 is harmless for an aluminium slab, 1 costs 7 meV in Al4
POSITION_TOLERANCE_ANGSTROM = 1e-3  # pw.x prints 7 decimals of alat
EXIT_NOT_RELAXED = 3  # of a relaxation that ran out of steps (PW/src/run_pwscf.f90); its SCFs are converged


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


def judge(result: PwResult, atoms: Atoms | None = None, limits: Limits | None = None) -> Verdict:
    """Decide what a run was and whether its numbers may train.

    Args:
        result: of `read_pw_output` or `read_beside`.
        atoms: the frame that was meant to be computed; its species, cell and positions must be the output's.
        limits: distances and forces a label must keep to.
    """
    text = result.text
    if (verdict := never_started(result)) is not None:
        return verdict
    if error := text.error or (result.crash if not text.done else None):
        return error_verdict(*error, started=text.started)
    if not text.done:
        return unfinished(result)
    if text.stopped:
        return Verdict("stopped", "infrastructure", f"pw.x stopped before convergence: {text.stopped}", False)
    if text.not_converged:
        return Verdict("scf_not_converged", "physics", _not_converged_words(result), False)
    if text.calculation == "nscf" and text.energy_ev is None:
        return Verdict("ok", "configuration", "bands only (calculation nscf or bands): no energy", False, "not_scf")
    return _broken(result) or _usability(result, atoms, limits or Limits())


def _broken(result: PwResult) -> Verdict | None:
    """A run that says it ended well and whose numbers are not those of one converged SCF."""
    text = result.text
    if text.not_a_number:
        return Verdict("inconsistent", "physics", "; ".join([*text.problems, *text.missing]), False)
    missing = list(text.missing)
    if text.energy_ev is None or not text.converged:
        missing.append("there is no converged total energy")
    if text.conv_thr_ry is None or text.scf_accuracy_ry is None:
        missing.append("SCF accuracy or threshold cannot be read")
    if missing:
        return Verdict("truncated", "infrastructure", "the output has lost lines: " + "; ".join(missing), False)
    if (text.scf_accuracy_ry or 0.0) > ACCURACY_SLACK * (text.conv_thr_ry or 0.0):
        words = f"SCF accuracy {text.scf_accuracy_ry:.1e} Ry is above the threshold {text.conv_thr_ry:.1e} Ry"
        return Verdict("scf_accuracy_above_threshold", "physics", words, False)
    if problems := text.problems + result.problems:
        return Verdict("inconsistent", "infrastructure", "the output contradicts itself: " + "; ".join(problems), False)
    unfinished_relaxation = result.exit_code == EXIT_NOT_RELAXED and "relax" in text.calculation
    if result.exit_code and not unfinished_relaxation:
        words = f"the text is whole, but pw.x ended with exit code {result.exit_code}"
        return Verdict("inconsistent", "infrastructure", words, False)
    return None


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

    if result.crash and result.exit_code != 0 and (result.xml is None or result.xml.energy_ev is None):
        routine, message = result.crash
        words = f"a CRASH file ({routine}: {message}) lies beside it; remove it if it is of another run"
        return refuse("crash_beside", "infrastructure", words)
    if text.forces is None:
        return refuse("no_forces", "configuration", "no forces were computed (tprnfor)")
    if text.stress is None:
        why = text.messages.get("stres") or text.messages.get("stress") or "tstress"
        return refuse("no_stress", "configuration", f"no stress was computed ({why})")
    if text.electric_field:
        return refuse("electric_field", "configuration", "a finite electric field is part of the energy")
    if text.fixed_coordinates:
        words = "some forces are left out of the total force: coordinates were held fixed"
        return refuse("fixed_coordinates", "configuration", words)
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
