"""The pw.x input of one frame, made from the settings and the state its moments start from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import PLANE_DISTANCES, plane_distances
from mlip_autopipec.labelling.espresso.magnetic import State
from mlip_autopipec.labelling.espresso.pseudopotentials import Pseudopotential
from mlip_autopipec.labelling.espresso.settings import (
    SMEARINGS,
    EspressoSettings,
    is_isolated_atom,
)

ATOM_DEGAUSS_RY = 0.001  # width for isolated atoms: 14 meV, enough to hold open shells, small against any gap
ATOM_MIXING_BETA = 0.3  # measured: Si, O, Al, Mg, Fe atoms converge in 8 to 33 iterations
ATOM_MAXSTEP = 40  # of an atom with whole electrons: it converges in 4 to 31 iterations, or hardly ever
# 0.03 meV; the orbitals of an open shell may turn at no cost, and asked for more they do so without end
ATOM_CONV_THR_RY = 2e-6
MOMENT_FRACTION_MAX = 0.9  # starting_magnetization stays inside (-1, 1): pw.x 7.3 reads larger values as moments
SPECIES_MAX = 10  # ntypx of pw.x


def mesh(atoms: Atoms, settings: EspressoSettings) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Monkhorst-Pack mesh of a frame and its half-step offsets.

    Without a `kmesh` there are n = 2 pi / (d x kspacing) points, rounded up, along a reciprocal vector whose lattice
    planes are d apart in the cell that the frame came from: strained cells keep the mesh of the unstrained one, so
    that energies stay comparable. A direction with vacuum (d = 0) has one point and no offset.
    """
    if settings.kmesh is not None:
        return settings.kmesh, settings.kshift
    known = atoms.info.get(PLANE_DISTANCES)
    distances = np.asarray(plane_distances(atoms) if known is None else known, dtype=float)
    counts = tuple(
        max(1, math.ceil(2 * math.pi / (d * settings.kspacing_per_angstrom) - 1e-6)) if d > 0 else 1 for d in distances
    )
    return counts, tuple(shift if d > 0 else 0 for shift, d in zip(settings.kshift, distances, strict=True))


def conv_thr_ry(atoms: Atoms, settings: EspressoSettings) -> float:
    """SCF accuracy that is asked of a frame, Ry; an isolated atom's need not be better than `ATOM_CONV_THR_RY`."""
    wanted = settings.conv_thr_ry_per_atom * len(atoms)
    return max(wanted, ATOM_CONV_THR_RY) if is_isolated_atom(atoms) else wanted


class Species(NamedTuple):
    """Atoms of one element that start from the same moment: a species of pw.x."""

    name: str
    symbol: str
    moment: float


def pw_input(
    atoms: Atoms,
    settings: EspressoSettings,
    *,
    state: State,
    changes: Mapping[str, Any] | None = None,
    max_seconds: int | None = None,
    nosym: bool = True,
) -> str:
    """Text of pw.in for one frame: SCF with forces and stress (manual INPUT_PW of Quantum ESPRESSO).

    Args:
        atoms: periodic frame.
        state: where the moments start. Its `total` makes the frame an isolated atom: that moment is held, Gamma is
            the only k-point, and the electrons are whole in the lowest orbitals if the state says so. Smearing would
            spread the electrons of an open shell evenly over it: O in PBE ends 0.48 eV above its ground state so.
        changes: pw.x parameters that differ from the settings (of a recovery rung), by name.
        max_seconds: wall time of this run; None: that of the settings.
        nosym: switch symmetry off, so that distorted cells and perfect ones are computed alike.

    Raises:
        ConfigurationFault: an element has no usable pseudopotential, or there are more species than pw.x takes.
    """
    files = {symbol: settings.pseudopotential(symbol) for symbol in dict.fromkeys(atoms.symbols)}
    species, kind_of_atom = _species(atoms, state.site_moments)
    atom = state.total is not None
    control = {
        "calculation": "scf",
        "prefix": "pwscf",
        "outdir": "./tmp",
        "pseudo_dir": _pseudo_folder(files),
        "tprnfor": True,
        "tstress": True,
        "disk_io": "low",
        "max_seconds": settings.max_seconds if max_seconds is None else max_seconds,
    }
    occupations: dict[str, Any] = {"occupations": "fixed"}
    if not state.whole:
        degauss = ATOM_DEGAUSS_RY if atom else settings.degauss_ry
        occupations = {"occupations": "smearing", "smearing": SMEARINGS[settings.smearing], "degauss": degauss}
    system: dict[str, Any] = {
        "ibrav": 0,
        "nat": len(atoms),
        "ntyp": len(species),
        "ecutwfc": settings.ecutwfc_ry,
        "ecutrho": settings.ecutrho_ry,
        **occupations,
        "nspin": 1 if state.site_moments is None else 2,
        "nosym": nosym,
        "noinv": False,
    }
    if state.site_moments is not None:
        for number, one in enumerate(species, start=1):
            fraction = one.moment / files[one.symbol].z_valence
            system[f"starting_magnetization({number})"] = round(
                min(max(fraction, -MOMENT_FRACTION_MAX), MOMENT_FRACTION_MAX), 6
            )
        if atom:
            system["tot_magnetization"] = float(state.total or 0)
    electrons: dict[str, Any] = {
        "conv_thr": conv_thr_ry(atoms, settings),
        "mixing_beta": ATOM_MIXING_BETA if atom else settings.mixing_beta,
        "electron_maxstep": min(settings.electron_maxstep, ATOM_MAXSTEP) if state.whole else settings.electron_maxstep,
        "diagonalization": "david",
    }
    for key, value in (changes or {}).items():
        (system if key == "nbnd" else electrons)[key] = value
    counts, offsets = ((1, 1, 1), (0, 0, 0)) if atom else mesh(atoms, settings)
    gamma_alone = counts == (1, 1, 1) and not any(offsets)  # half the work of the same point given as a mesh
    points = "K_POINTS gamma" if gamma_alone else "K_POINTS automatic\n" + " ".join(map(str, counts + offsets))
    names = [species[kind].name for kind in kind_of_atom]
    return "\n".join(
        [
            *_namelist("control", control),
            *_namelist("system", system),
            *_namelist("electrons", electrons),
            "ATOMIC_SPECIES",
            *(
                f"{one.name} {atomic_masses[atomic_numbers[one.symbol]]:.4f} {files[one.symbol].path.name}"
                for one in species
            ),
            points,
            "CELL_PARAMETERS angstrom",
            *(" ".join(f"{x:.12f}" for x in vector) for vector in atoms.cell.array),
            "ATOMIC_POSITIONS angstrom",
            *(f"{name} " + " ".join(f"{x:.12f}" for x in r) for name, r in zip(names, atoms.positions, strict=True)),
            "",
        ]
    )


def _species(atoms: Atoms, site_moments: tuple[float, ...] | None) -> tuple[list[Species], list[int]]:
    """The species of a frame, and which of them each atom is.

    pw.x knows starting moments by species only: atoms of one element with different ones become Fe1, Fe2 and so on.
    Elements come in the order of the frame, and among them moments as they come, so that a name means the same atoms
    each time.

    Raises:
        ConfigurationFault: there are more than pw.x takes.
    """
    moments = [0.0] * len(atoms) if site_moments is None else [round(moment, 3) for moment in site_moments]
    wanted = list(dict.fromkeys(zip(map(str, atoms.symbols), moments, strict=True)))
    wanted.sort(key=lambda one: list(dict.fromkeys(atoms.symbols)).index(one[0]))  # stable
    if len(wanted) > SPECIES_MAX:
        raise ConfigurationFault(
            f"A frame needs {len(wanted)} species (elements with different starting moments), and pw.x takes "
            f"{SPECIES_MAX}",
            "Leave the antiferromagnetic start out of labelling.magnetic_states",
        )
    split = {symbol for symbol, _ in wanted if sum(one[0] == symbol for one in wanted) > 1}
    found, counted = [], dict.fromkeys(split, 0)
    for symbol, moment in wanted:
        if symbol in split:
            counted[symbol] += 1
        found.append(Species(f"{symbol}{counted[symbol]}" if symbol in split else symbol, symbol, moment))
    place = {(one.symbol, one.moment): number for number, one in enumerate(found)}
    return found, [place[str(symbol), moment] for symbol, moment in zip(atoms.symbols, moments, strict=True)]


def _namelist(name: str, values: Mapping[str, Any]) -> list[str]:
    """A Fortran namelist, one line per parameter; floats keep all their digits."""

    def word(value: Any) -> str:
        if isinstance(value, bool):
            return f".{str(value).lower()}."
        return f"'{value}'" if isinstance(value, str) else repr(value)

    return [f"&{name}", *(f"  {key} = {word(value)}" for key, value in values.items()), "/"]


def _pseudo_folder(files: Mapping[str, Pseudopotential]) -> str:
    folders = {str(file.path.resolve().parent) for file in files.values()}
    if len(folders) > 1:
        raise ConfigurationFault(
            f"Pseudopotentials lie in different folders ({', '.join(sorted(folders))}), pw.x reads from one only",
            "Copy or link them into one folder and set labelling.pseudo_dir",
        )
    folder = folders.pop()
    if len(folder) > 250:
        raise ConfigurationFault(
            f"The path '{folder}' is longer than pw.x can read (256)", "Use a shorter labelling.pseudo_dir"
        )
    return folder
