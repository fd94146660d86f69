"""Cell and positions of a pw.x output, as they were when its last energy was printed."""

from __future__ import annotations

import re

import numpy as np
from ase.units import Bohr

from mlip_autopipec.labelling.espresso.fields import PwText, number, numbers, symbol_of

_SITE = re.compile(r"^ *(\d+)\s+(\S+)\s+tau\(\s*\d+\s*\)\s*=\s*\(([^)]*)\)", re.M)
_MOVED = re.compile(r"^ATOMIC_POSITIONS \((\w+)\)\s*\n((?:[A-Z]\w*\s+\S+\s+\S+\s+\S+.*\n)+)", re.M)
_CELL = re.compile(r"^CELL_PARAMETERS \(alat=\s*(\S+)\)\s*\n((?:.*\n){3})", re.M)


def read_geometry(before: str, out: PwText) -> None:
    """Set symbols, positions and cell from whatever was printed last in `before`, the text up to the last energy.

    Disagreements between the lattice parameter (printed twice), the axes and the volume become problems.
    """
    alats = re.findall(r"^ *celldm\(1\)=\s*(\S+)", before, re.M)
    rough = re.findall(r"^ *lattice parameter \(alat\)\s*=\s*(\S+)", before, re.M)
    alat = number(alats[-1]) if alats else None
    printed = number(rough[-1]) if rough else None
    if alat is None or printed is None:
        return
    if abs(alat - printed) > 1e-4:
        out.problems.append(f"the lattice parameter is printed as {printed} and as {alat} bohr")
    axes = re.findall(r"^ *a\((\d)\) = \(([^)]*)\)", before, re.M)[-3:]
    rows = [numbers(row, 3) for _, row in axes]
    if len(rows) != 3 or any(row is None for row in rows):
        return
    cell = np.array(rows, dtype=float) * alat * Bohr
    volumes = re.findall(r"^ *unit-cell volume\s*=\s*(\S+)", before, re.M)
    volume = number(volumes[-1]) if volumes else None
    if volume is not None and abs(abs(np.linalg.det(cell)) / Bohr**3 - volume) > 1e-4 * volume:
        out.problems.append("the cell vectors do not have the volume that is printed")
    start = before.rfind("positions (alat units)")
    block = re.split(r"\n[ \t]*\n", before[start:], maxsplit=1)[0] if start >= 0 else ""
    sites = _SITE.findall(block)
    taus = [numbers(xyz, 3) for _, _, xyz in sites]
    if [int(n) for n, _, _ in sites] != list(range(1, (out.natoms or 0) + 1)) or any(t is None for t in taus):
        out.missing.append(f"{len(sites)} atomic sites are listed for {out.natoms} atoms")
        return
    if not sites:
        return
    out.symbols = [symbol_of(name) for _, name, _ in sites]
    out.cell, out.positions = cell, np.array(taus, dtype=float) * alat * Bohr
    if out.calculation not in ("scf", "nscf"):
        _read_moved(before, start, out, alat)


def _read_moved(before: str, start: int, out: PwText, alat: float) -> None:
    """Positions and cell of later steps of a relaxation (cards ATOMIC_POSITIONS and CELL_PARAMETERS)."""
    moved, cells = list(_MOVED.finditer(before)), list(_CELL.finditer(before))
    if cells and cells[-1].start() > start:
        scale, rows = number(cells[-1][1]), [numbers(row, 3) for row in cells[-1][2].splitlines()]
        if scale is None or any(row is None for row in rows):
            out.positions = None
            return
        out.cell = np.array(rows, dtype=float) * scale * Bohr
    if moved and moved[-1].start() > start:
        rows = [numbers(" ".join(row.split()[1:4]), 3) for row in moved[-1][2].splitlines()]
        if len(rows) != out.natoms or any(row is None for row in rows) or out.cell is None:
            out.positions = None
            return
        xyz = np.array(rows, dtype=float)
        scales = {"alat": alat * Bohr, "bohr": Bohr, "angstrom": 1.0}
        out.positions = xyz @ out.cell if moved[-1][1] == "crystal" else xyz * scales.get(moved[-1][1], np.nan)
