"""Reading what VASP leaves behind: vasprun.xml for the numbers, OUTCAR for how it ended.

Formats as written by VASP 5.3 to 6.2; the reader was held against files of real runs of those versions. No single sign
of success is trusted: VASP 5 and 6 say "aborting loop because EDIFF is reached" also where NELM ended the loop.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa

from mlip_autopipec.labelling.espresso.verdict import close_pair
from mlip_autopipec.labelling.plausible import Bounds, Refusal, refused

KBAR = 0.1 * GPa  # eV/A^3
POSITION_TOLERANCE_ANGSTROM = 1e-3
ENERGY_DIGIT_EV = 1.5e-8  # energies in vasprun.xml end at 1e-8: a smaller change may read as one digit
CHANGE_SLACK = 1.1
# What VASP prints before it gives up, whose matter it is, and the outcome; the first that matches counts.
_MESSAGES: tuple[tuple[str, str, Refusal], ...] = (
    (r"error reading item|unknown tag|incompatible|pseudopotential.*(missing|not found)|error.*(POTCAR|KPOINTS|INCAR)",
     "VASP does not take its input", Refusal("bad_input", "configuration", "")),
    (r"out of memory|insufficient virtual memory|cannot allocate|oom", "out of memory",
     Refusal("out_of_memory", "infrastructure", "")),
    (r"no space left|disk quota", "the disk is full", Refusal("disk_full", "infrastructure", "")),
    (r"sub-space-matrix|zheev|zhegv|edddav|eddrmm.*fail|zpotrf|brmix: very serious|error fexc", "the electrons failed",
     Refusal("diag", "physics", "")),
    (r"distance between some ions is very small|very bad news", "VASP gave up", Refusal("error", "structure", "")),
)  # fmt: skip


@dataclass(frozen=True)
class VaspResult:
    """What was read; None where it is not there or damaged. Atoms are in VASP's order, sorted by species.

    Energy: the free energy, whose slope the forces are, eV. Forces eV/A, stress eV/A^3 (Voigt, ASE's sign), moments in
    Bohr magnetons.
    """

    problem: str | None = None
    version: str | None = None
    ended: bool = False
    said_unconverged: bool = False
    scf_steps: int = 0
    scf_steps_max: int | None = None
    last_change_ev: float | None = None
    atoms: Atoms | None = None
    energy_ev: float | None = None
    forces: np.ndarray | None = None
    stress: np.ndarray | None = None
    total_magnetization: float | None = None
    site_moments: list[float] | None = None
    cpu_seconds: float = 0.0
    memory_mb: float | None = None


def read_vasp(folder: Path) -> VaspResult:
    """Read vasprun.xml and OUTCAR of one single-point run. Never raises: `problem` says what is missing or damaged."""
    outcar = _outcar(folder / "OUTCAR")
    try:
        root = ET.parse(folder / "vasprun.xml").getroot()
    except FileNotFoundError:
        return VaspResult("there is no vasprun.xml", **outcar)
    except (ET.ParseError, OSError, ValueError) as error:
        return VaspResult(f"vasprun.xml is damaged or ends early ({error})", **outcar)
    try:
        return VaspResult(**_vasprun(root), **outcar)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return VaspResult(f"vasprun.xml is damaged: {error}", **outcar)


def judge(result: VaspResult, atoms: Atoms, bounds: Bounds, ediff_ev: float, printed: str = "") -> Refusal:
    """Whose matter a run is; kind 'ok' where its numbers may train.

    Args:
        atoms: the frame, in VASP's order.
        ediff_ev: the SCF accuracy that was asked for.
        printed: what VASP wrote to its streams.
    """
    if result.problem is not None or not result.ended:
        for pattern, words, known in _MESSAGES:
            if found := re.search(pattern, printed, re.IGNORECASE):
                line = printed[: found.end()].rpartition("\n")[2].strip() or found[0]
                return known._replace(reason=f"{words}: {line}")
        return Refusal("truncated", "infrastructure", result.problem or "OUTCAR ends early: VASP was stopped")
    if result.scf_steps_max is not None and result.scf_steps >= result.scf_steps_max:
        words = f"no convergence in {result.scf_steps} SCF steps (NELM), even where VASP says that EDIFF is reached"
        return Refusal("scf_not_converged", "physics", words)
    if result.said_unconverged:
        return Refusal("scf_not_converged", "physics", "VASP says that the SCF did not converge")
    change = result.last_change_ev
    if change is None or not np.isfinite(change) or change > max(CHANGE_SLACK * ediff_ev, ENERGY_DIGIT_EV):
        words = f"the last SCF step changed the energy by {change} eV, EDIFF is {ediff_ev:g} eV"
        return Refusal("scf_accuracy_above_threshold", "physics", words)
    if result.energy_ev is None or result.forces is None or result.stress is None or result.atoms is None:
        return Refusal("inconsistent", "infrastructure", "vasprun.xml has no energy, forces, stress or structure")
    if difference := _difference(result.atoms, atoms):
        return Refusal("other_structure", "infrastructure", f"the output is of another structure: {difference}")
    if close := close_pair(atoms, bounds.minimum_distance_fraction):
        return Refusal("atoms_too_close", "structure", close)
    ending = refused(len(atoms), result.energy_ev, result.forces, result.stress, bounds)
    return ending or Refusal("ok", "ok", "converged, complete and consistent")


def _vasprun(root: ET.Element) -> dict[str, Any]:
    steps = root.findall("calculation")
    if len(steps) != 1:
        return {"problem": f"vasprun.xml has {len(steps)} ionic steps, a single point has one"}
    (step,) = steps
    energies = [_number(one.find("energy/i[@name='e_fr_energy']")) for one in step.findall("scstep")]
    nelm = root.find("parameters//i[@name='NELM']")
    symbols = [(row.find("c").text or "").strip() for row in root.findall("atominfo/array[@name='atoms']/set/rc")]  # type: ignore[union-attr]
    cell = _rows(step.find("structure/crystal/varray[@name='basis']"))
    places = _rows(step.find("structure/varray[@name='positions']"))
    stress = _rows(step.find("varray[@name='stress']"))
    if cell.shape != (3, 3) or stress.shape != (3, 3) or len(places) != len(symbols):
        raise ValueError("wrong number of rows")
    version = root.find("generator/i[@name='version']")
    return {
        "version": None if version is None else (version.text or "").strip(),
        "scf_steps": len(energies),
        "scf_steps_max": None if nelm is None else int(nelm.text or ""),
        "last_change_ev": abs(energies[-1] - energies[-2]) if len(energies) > 1 else None,
        "atoms": Atoms(symbols, scaled_positions=places, cell=cell, pbc=True),
        "energy_ev": _number(step.find("energy/i[@name='e_fr_energy']")),
        "forces": _rows(step.find("varray[@name='forces']")),
        # VASP's stress is positive under compression; Voigt order xx, yy, zz, yz, xz, xy
        "stress": -KBAR * stress.reshape(9)[[0, 4, 8, 5, 2, 1]],
    }


def _number(element: ET.Element | None) -> float:
    if element is None or element.text is None:
        raise ValueError("an energy is missing")
    return float("nan") if "*" in element.text else float(element.text)  # too long for its field


def _rows(varray: ET.Element | None) -> np.ndarray:
    if varray is None:
        raise ValueError("a table is missing")
    rows = [[float(word) for word in (row.text or "").split()] for row in varray.findall("v")]
    return np.array(rows, dtype=float)


def _outcar(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found: dict[str, Any] = {
        "ended": "General timing and accounting informations" in text and "Elapsed time (sec)" in text,
        "said_unconverged": "EDIFF was not reached" in text or "self-consistency was not achieved" in text,
    }
    if cpu := re.search(r"Total CPU time used \(sec\):\s*([\d.]+)", text):
        found["cpu_seconds"] = float(cpu[1])
    if memory := re.search(r"Maximum memory used \(kb\):\s*([\d.]+)", text):
        found["memory_mb"] = float(memory[1]) / 1024
    if moments := re.findall(r"number of electron\s+[\d.]+\s+magnetization[ \t]+(-?\d[\d.]*)", text):
        found["total_magnetization"] = float(moments[-1])
    tables = re.findall(r"magnetization \(x\)\s+# of ion.*\n-+\n((?:\s*\d+(?:\s+-?[\d.]+)+\n)+)", text)
    if tables:
        found["site_moments"] = [float(line.split()[-1]) for line in tables[-1].splitlines() if line.strip()]
    return found


def _difference(read: Atoms, meant: Atoms) -> str | None:
    if list(read.symbols) != list(meant.symbols):
        return f"{read.symbols} instead of {meant.symbols}"
    if (cell := float(np.abs(read.cell.array - meant.cell.array).max())) > POSITION_TOLERANCE_ANGSTROM:
        return f"a cell vector differs by {cell:.4f} A"
    shift = read.get_scaled_positions(wrap=False) - np.linalg.solve(meant.cell.array.T, meant.positions.T).T
    moved = float(np.abs((shift - np.round(shift)) @ meant.cell.array).max())
    return f"an atom differs by {moved:.4f} A" if moved > POSITION_TOLERANCE_ANGSTROM else None
