"""The numbers of one pw.x output as they are handed on, and how its Fortran numbers and clocks are read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import numpy as np

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?")
_CLOCK = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass
class PwText:
    """What a text says, in pw.x's own order of atoms; energies in eV, lengths in A unless the name says otherwise.

    `missing` names what a whole output would have and this one has not, `problems` what contradicts itself: with
    either of them the output is no label.
    """

    version: str | None = None
    runs: int = 0  # pw.x runs in the file; everything below is of the last one
    done: bool = False
    stopped: str | None = None
    not_converged: bool = False
    converged: bool = False
    error: tuple[str, str] | None = None  # routine, message
    calculation: str = "scf"  # scf, nscf (also bands), relax, vc-relax or md
    ranks: int = 1
    natoms: int | None = None
    electrons: float | None = None
    kpoints: int | None = None
    bands: int | None = None
    symbols: list[str] = field(default_factory=list)
    positions: np.ndarray | None = None  # N x 3, A, of the last printed energy
    cell: np.ndarray | None = None  # 3 x 3, A, of the last printed energy
    conv_thr_ry: float | None = None
    scf_accuracy_ry: float | None = None
    accuracies_ry: list[float] = field(default_factory=list)  # of the last SCF, by iteration
    iterations: int = 0  # over all SCF cycles
    energy_ev: float | None = None
    fermi_ev: float | None = None  # Fermi energy, or the highest occupied level with fixed occupations
    forces: np.ndarray | None = None  # N x 3, eV/A
    fixed_coordinates: bool = False  # the printed total force leaves some of the forces out
    scf_correction: float | None = None  # eV/A, printed "Total SCF correction"
    stress: np.ndarray | None = None  # 6, eV/A^3, ASE's sign and order
    electric_field: bool = False  # a finite field (Berry phase) is part of the Hamiltonian
    total_magnetization: float | None = None  # Bohr magnetons per cell; the length of the vector if noncollinear
    absolute_magnetization: float | None = None
    site_moments: list[float] | None = None
    warnings: list[str] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)  # what a routine told, by routine
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    not_a_number: bool = False  # a result is NaN or does not fit its columns
    cpu_seconds: float = 0.0  # over all ranks
    wall_seconds: float | None = None
    started: bool = False  # an SCF began
    damaged_pseudopotential: bool = False


def number(word: str) -> float | None:
    """A Fortran number, or None for asterisks, NaN, infinities and anything else."""
    word = word.strip()
    if not _NUMBER.fullmatch(word):
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


def seconds(clock: str) -> float | None:
    """Seconds of pw.x's '1d 2h', '1h 2m', '1m23.45s' or '2.72s'; None for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([dhms])", clock)
    return sum(float(value) * _CLOCK[unit] for value, unit in parts) if parts else None


def symbol_of(name: str) -> str:
    """Chemical symbol of a species name such as 'Fe1', 'Fe_up' or 'O'."""
    match = re.match(r"[A-Z][a-z]?", name)
    return match[0] if match else name
