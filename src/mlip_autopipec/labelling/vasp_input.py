"""VASP's input of one frame, written through ASE: POSCAR, INCAR, KPOINTS and POTCAR."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.vasp import Vasp
from ase.calculators.vasp.create_input import open_potcar, read_potcar_numbers_of_electrons
from ase.config import cfg
from ase.data import atomic_numbers, ground_state_magnetic_moments
from ase.units import Ry

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import ConfigError, ConfigurationFault
from mlip_autopipec.frames import ISOLATED_ATOM, PLANE_DISTANCES, plane_distances

ISMEAR = {"gaussian": 0, "fermi-dirac": -1, "methfessel-paxton": 1}
ATOM_SIGMA_EV = 0.01
# What decides that a run is a single point with forces and stress, and what other keys of the config say.
OURS = frozenset(
    {"nsw", "ibrion", "isif", "encut", "ediff", "ismear", "sigma", "nelm", "ispin", "magmom", "kspacing", "kpts",
     "gamma", "setups", "isym", "directory", "command", "atoms"}
)  # fmt: skip


def check_options(settings: Labelling) -> None:
    """Look at what is written before anything runs.

    Raises:
        ConfigError: a value cannot be used with VASP.
    """
    if taken := sorted(OURS & {name.lower() for name in settings.calculator_options}):
        raise ConfigError(
            f"labelling.calculator_options.{taken[0]}", settings.calculator_options.get(taken[0]),
            "other keys of the config decide this", "Leave it out.",
        )  # fmt: skip
    if settings.smearing not in ISMEAR:
        raise ConfigError(
            "labelling.smearing", settings.smearing, "VASP does not have it", f"Write one of {', '.join(ISMEAR)}."
        )
    for symbol, name in settings.pseudopotentials.items():
        if not name.startswith(symbol):
            raise ConfigError(
                f"labelling.pseudopotentials.{symbol}", name, f"no data set of {symbol}",
                f"Write the name of its folder, such as {symbol} or {symbol}_pv.",
            )  # fmt: skip


def data_sets(settings: Labelling, elements: Sequence[str]) -> dict[str, tuple[Path, float]]:
    """Path of the POTCAR and number of valence electrons by element.

    Raises:
        ConfigurationFault: VASP_PP_PATH is not set, or a data set is not there.
    """
    if "VASP_PP_PATH" not in cfg:
        raise ConfigurationFault(
            "VASP_PP_PATH is not set: VASP's data sets (POTCAR) cannot be found",
            "Set this variable of the environment to the folder that holds potpaw_PBE, as ASE's manual says",
        )
    found, missing = {}, []
    for element in elements:
        calculator = _calculator(settings, {})
        try:
            calculator.initialize(Atoms(element))
            with open_potcar(calculator.ppp_list[0]) as handle:
                ((symbol, electrons),) = read_potcar_numbers_of_electrons(handle)
        except (RuntimeError, OSError) as error:
            missing.append(f"{element} ({' '.join(str(error).split()[:3])})")
            continue
        except (ValueError, IndexError) as error:
            raise ConfigurationFault(
                f"{calculator.ppp_list[0]} is no data set of VASP ({error})", "Replace it by VASP's own"
            ) from None
        if symbol != element:
            raise ConfigurationFault(f"{calculator.ppp_list[0]} is of {symbol}, not {element}", "Mend the folders")
        found[element] = (Path(calculator.ppp_list[0]), electrons)
    if missing:
        raise ConfigurationFault(
            f"Data sets of VASP are missing in {cfg['VASP_PP_PATH']}: {', '.join(missing)}",
            "Put them there, or name others in labelling.pseudopotentials (such as Fe: Fe_pv)",
        )
    return found


def ediff_ev(atoms: Atoms, settings: Labelling) -> float:
    """SCF accuracy that is asked of a frame, eV."""
    return settings.conv_thr_ry_per_atom * len(atoms) * float(Ry)


def mesh(atoms: Atoms, settings: Labelling) -> tuple[int, ...]:
    """Numbers of k-points: those of the unstrained cell, one across vacuum, as with Quantum ESPRESSO."""
    if settings.kmesh is not None:
        return tuple(settings.kmesh)
    known = atoms.info.get(PLANE_DISTANCES)
    distances = np.asarray(plane_distances(atoms) if known is None else known, dtype=float)
    spacing = settings.kspacing_per_angstrom
    return tuple(max(1, math.ceil(2 * math.pi / (d * spacing) - 1e-6)) if d > 0 else 1 for d in distances)


def write_input(atoms: Atoms, settings: Labelling, folder: Path, changes: Mapping[str, Any] | None = None) -> list[int]:
    """Write POSCAR, INCAR, KPOINTS and POTCAR of one frame into `folder`.

    An isolated atom is computed at Gamma with Hund's moment, narrow Gaussian smearing and no symmetry, as VASP's
    manual advises. Symmetry is off for all frames, so that distorted cells and perfect ones are computed alike.

    Args:
        changes: INCAR tags of another attempt, by ASE's names.

    Returns:
        The order of the atoms in the files: position k holds atom order[k] of the frame.

    Raises:
        ConfigurationFault: a data set is not there, or ASE does not take an option.
    """
    sets = data_sets(settings, list(dict.fromkeys(atoms.get_chemical_symbols())))
    frame = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    isolated = len(atoms) == 1 and atoms.info.get("config_type") == ISOLATED_ATOM
    tags: dict[str, Any] = {
        "prec": "Accurate", "algo": "Normal", "lreal": False, "lasph": True, "lwave": False, "lcharg": False,
        "nsw": 0, "ibrion": -1, "isif": 2, "isym": 0, "nelm": settings.electron_maxstep,
        "encut": _encut_ev(settings), "ediff": ediff_ev(atoms, settings), "ispin": settings.nspin,
        "ismear": ISMEAR[settings.smearing], "sigma": settings.degauss_ry * float(Ry),
        "kpts": mesh(atoms, settings), "gamma": not any(settings.kshift),
    }  # fmt: skip
    moments: list[float] | None = None
    if isolated:
        moment = float(ground_state_magnetic_moments[atomic_numbers[atoms.get_chemical_symbols()[0]]])
        tags |= {"ispin": 2, "ismear": 0, "sigma": ATOM_SIGMA_EV, "kpts": (1, 1, 1), "gamma": True}
        moments = [moment]
    elif settings.nspin == 2:
        fractions = settings.starting_magnetization
        moments = [fractions.get(symbol, 0.0) * sets[symbol][1] for symbol in atoms.symbols]
    if moments is not None:
        tags["lorbit"] = 11  # moments of sites
        frame.set_initial_magnetic_moments(moments)
    folder.mkdir(parents=True, exist_ok=True)
    calculator = _calculator(settings, {**tags, **(changes or {}), "directory": str(folder)})
    calculator.write_input(frame)
    return list(calculator.sort)


def _encut_ev(settings: Labelling) -> float:
    if settings.ecutwfc_ry is None:
        raise ConfigError("labelling.ecutwfc_ry", None, "VASP needs a cutoff", "Write it in Ry, such as 38.2 (520 eV).")
    return round(settings.ecutwfc_ry * float(Ry), 2)


def _calculator(settings: Labelling, tags: Mapping[str, Any]) -> Any:
    suffixes = {symbol: name.removeprefix(symbol) for symbol, name in settings.pseudopotentials.items()}
    options = {"xc": "pbe", **settings.calculator_options}
    try:
        return Vasp(setups={"base": "recommended", **suffixes}, **options, **tags)
    except Exception as error:  # ASE's checks of names and types are of many kinds
        raise ConfigurationFault(
            f"ASE does not take labelling.calculator_options {settings.calculator_options} ({error})",
            "Write INCAR tags in small letters, as ASE's Vasp calculator names them",
        ) from None
