"""What a label will cost before it is made: seconds on one core, memory, and how many MPI ranks it should get.

The law is that of a plane-wave code: for each k-point and spin, an iteration of the self-consistent field applies the
Hamiltonian by fast Fourier transforms (bands x N log N), orthogonalises (bands^2 x plane waves) and projects (bands x
atoms x plane waves); the density costs N log N on its own grid. Its four constants were fitted to the CPU times of 903
real pw.x 6.7 runs (Si, MgO, Al-Mg, H2O, Fe, Ni, O2, H2; 0.04 to 60 s) on one machine: off by a factor of 1.6 (rms of
the logarithm 0.5) where the number of iterations is known. The run's own labels correct it (`forecast.py`).

The memory estimate was fitted to what the same runs print (rms of the logarithm 0.28); resident memory is 150 MB + 1.3
times that, measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.labelling.cells import Cell

BOHR = 0.529177210903  # A, CODATA 2018
# Seconds per floating-point-like unit, fitted as said above: Hamiltonian, orthogonalisation, projectors, density.
_HAMILTONIAN, _ORTHOGONALISE, _PROJECT, _DENSITY = 2.1e-9, 5.0e-8, 3.1e-8, 2.9e-8
START_SECONDS = 0.4  # start of the program, reading, writing
# Iterations of a self-consistent field as met: 9 to 12 without spin, 15 to 20 with; forces and stress are worth three.
_ITERATIONS, _ITERATIONS_SPIN, _FORCES_AND_STRESS = 10, 16, 3
_ATOM_STATES = 2.5  # spin states that are tried of an isolated atom
_NOMINAL_ECUT_RY = 40.0  # of an engine that has no cutoff in the config
_NOMINAL_VALENCE = 8.0  # electrons of an element whose pseudopotential is not known
_PROCESS_MB, _RESIDENT = 150.0, 1.3  # resident memory of a rank: 150 MB + 1.3 x what pw.x says it needs
LABELLER_MB = 400.0  # the Python process that watches over it
_PARALLEL = 0.8  # efficiency of a few ranks over k-points and plane waves
TEACHER_SECONDS_PER_ATOM = 0.01  # SevenNet-0 on one core: 6.5 to 11 ms per atom, energy, forces and stress
TEACHER_MB = 2000.0

ACCURACY, CUTOFF, K_POINTS = 100.0, 1.25, 1.5
"""Tighter by these factors: SCF accuracy, both cutoffs (a plane-wave basis 1.4 times as large), density of k-points."""


@dataclass(frozen=True)
class Cost:
    """One label: seconds of work on one core, MB of all its processes together, MPI ranks."""

    seconds: float
    memory_mb: float
    ranks: int = 1


def kpoints(cell: Cell, settings: Labelling) -> int:
    """Number of k-points that are computed, half of the mesh: k and -k are the same without spin-orbit coupling."""
    if cell.isolated_atom:
        return 1
    mesh = settings.kmesh
    if mesh is None:
        spacing = settings.kspacing_per_angstrom
        mesh = [max(1, math.ceil(2 * math.pi / (d * spacing) - 1e-6)) if d > 0 else 1 for d in cell.planes]
    return max(1, (math.prod(mesh) + 1) // 2)


def estimate(cell: Cell, settings: Labelling, valence: Mapping[str, float]) -> Cost:
    """The cost of one label.

    Args:
        cell: the frame.
        settings: the labelling section of the configuration.
        valence: valence electrons by element; 8 are taken for one that is not there.
    """
    if settings.engine == "calculator":
        return Cost(START_SECONDS + TEACHER_SECONDS_PER_ATOM * cell.natoms, TEACHER_MB)
    bohr3 = cell.volume / BOHR**3
    electrons = sum(number * valence.get(symbol, _NOMINAL_VALENCE) for symbol, number in cell.counts.items())
    bands = max(0.6 * electrons, electrons / 2 + 4)  # pw.x with smearing: 20 % more than half, or four more
    points = kpoints(cell, settings)
    # A single point is Gamma as a rule, where wavefunctions are real: half the work and memory.
    spins = 2 if settings.nspin == 2 or cell.isolated_atom else 1
    work = spins * (0.5 if points == 1 else points)
    ecutwfc = settings.ecutwfc_ry or _NOMINAL_ECUT_RY
    ecutrho = settings.ecutrho_ry or 4 * ecutwfc  # other engines have grids of their own
    waves = bohr3 * ecutwfc**1.5 / (6 * math.pi**2)
    smooth = max(bohr3 * (4 * ecutwfc) ** 1.5 / math.pi**3, 2.0)
    dense = max(bohr3 * ecutrho**1.5 / math.pi**3, 2.0)
    iteration = (
        _HAMILTONIAN * work * bands * smooth * math.log2(smooth)
        + _ORTHOGONALISE * work * bands**2 * waves
        + _PROJECT * work * bands * cell.natoms * waves
        + _DENSITY * spins * dense * math.log2(dense)
    )
    iterations = _ITERATIONS_SPIN if settings.nspin == 2 and not cell.isolated_atom else _ITERATIONS
    states = _ATOM_STATES if cell.isolated_atom else max(1, len(settings.magnetic_states))
    seconds = states * (START_SECONDS + (iterations + _FORCES_AND_STRESS) * iteration)
    half = 0.5 if points == 1 else 1.0
    said_mb = 16e-6 * (
        0.56 * points * spins * half * waves * bands  # wavefunctions, kept in memory
        + 1.4 * spins * dense  # density and potential on their grid
        + 71.0 * spins * half * dense * math.pi / 6  # their Fourier components in the history of the mixing
    )
    ranks = ranks_for(seconds, settings)
    return Cost(seconds, LABELLER_MB + ranks * _PROCESS_MB + _RESIDENT * said_mb, ranks)


def wall_seconds(seconds: float, ranks: int) -> float:
    """Wall time of so much work on so many ranks."""
    return seconds if ranks == 1 else seconds / (ranks * _PARALLEL)


def tighter(settings: Labelling) -> Labelling:
    """Settings of a converged run, by which the noise of labels is measured."""
    mesh = settings.kmesh
    return settings.model_copy(
        update={
            "conv_thr_ry_per_atom": settings.conv_thr_ry_per_atom / ACCURACY,
            "ecutwfc_ry": CUTOFF * (settings.ecutwfc_ry or 0.0),
            "ecutrho_ry": CUTOFF * (settings.ecutrho_ry or 0.0),
            "kspacing_per_angstrom": settings.kspacing_per_angstrom / K_POINTS,
            "kmesh": None if mesh is None else [math.ceil(K_POINTS * k) for k in mesh],
        }
    )


def ranks_for(seconds: float, settings: Labelling) -> int:
    """MPI ranks of one label: one as a rule, because labels wait and one core each wastes none; a power of two, up to
    `ranks_max`, for a label that would else take more than a quarter of its time limit.
    """
    ranks = 1
    while 2 * ranks <= settings.ranks_max and seconds > ranks * _PARALLEL * settings.max_seconds / 4:
        ranks *= 2
    return ranks
