"""VASP's input of one frame, written through ASE: POSCAR, INCAR, KPOINTS and POTCAR."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
EDIFF_MIN_EV = 1e-8
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


class DataSet(NamedTuple):
    """A POTCAR: where it is, its line TITEL, and the MD5 sum of the file."""

    path: Path
    title: str
    md5: str


def data_sets(settings: Labelling, elements: Sequence[str]) -> dict[str, DataSet]:
    """The data sets by element.

    Raises:
        ConfigurationFault: VASP_PP_PATH is not set, or a data set is not there or not the one that the run began with.
    """
    if "VASP_PP_PATH" not in cfg:
        raise ConfigurationFault(
            "VASP_PP_PATH is not set: VASP's data sets (POTCAR) cannot be found",
            "Set this variable of the environment to the folder that holds potpaw_PBE, as ASE's manual says",
        )
    found, missing = {}, []
    for element in elements:
        calculator = _calculator(settings.pseudopotentials, settings.calculator_options)
        try:
            calculator.initialize(Atoms(element))
            with open_potcar(calculator.ppp_list[0]) as handle:
                ((symbol, _),) = read_potcar_numbers_of_electrons(handle)
            one = _data_set(Path(calculator.ppp_list[0]))
        except (RuntimeError, OSError) as error:
            missing.append(f"{element} ({' '.join(str(error).split()[:3])})")
            continue
        except (ValueError, IndexError) as error:
            raise ConfigurationFault(
                f"{calculator.ppp_list[0]} is no data set of VASP ({error})", "Replace it by VASP's own"
            ) from None
        if symbol != element:
            raise ConfigurationFault(f"{calculator.ppp_list[0]} is of {symbol}, not {element}", "Mend the folders")
        wanted = settings.pseudopotential_md5.get(element, "")
        if wanted and one.md5 != wanted:
            raise ConfigurationFault(
                f"'{one.path}' ({one.title}) has other contents than this run's (md5 {one.md5}, not {wanted}): labels "
                "of both must not be mixed",
                "Put the file back, or leave labelling.pseudopotential_md5 out of the config, and all labels are made "
                "with the new one",
            )
        found[element] = one
    if missing:
        raise ConfigurationFault(
            f"Data sets of VASP are missing in {cfg['VASP_PP_PATH']}: {', '.join(missing)}",
            "Put them there, or name others in labelling.pseudopotentials (such as Fe: Fe_pv)",
        )
    return found


def checksums(names: Mapping[str, str], options: Mapping[str, Any], elements: Sequence[str]) -> dict[str, str]:
    """MD5 sums of the data sets that are there, by element.

    Args:
        names, options: `labelling.pseudopotentials` and `labelling.calculator_options`.

    Raises:
        ConfigurationFault: ASE does not take an option.
    """
    found: dict[str, str] = {}
    if "VASP_PP_PATH" not in cfg:
        return found
    for element in elements:
        calculator = _calculator(names, options)
        try:
            calculator.initialize(Atoms(element))
            found[element] = _md5(Path(calculator.ppp_list[0]))
        except (RuntimeError, OSError):
            continue
    return found


def _data_set(path: Path) -> DataSet:
    with open_potcar(str(path)) as handle:
        title = next((str(line).split("=", 1)[1].strip() for line in handle if re.match(r"\s*TITEL\s*=", line)), "")
    return DataSet(path, title, _md5(path))


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def ediff_ev(atoms: Atoms, settings: Labelling) -> float:
    """SCF accuracy that is asked of a frame, eV; no less than the last digit of the energies by which it is judged."""
    return max(settings.conv_thr_ry_per_atom * len(atoms) * float(Ry), EDIFF_MIN_EV)


def mesh(atoms: Atoms, settings: Labelling) -> tuple[list[int], list[int]]:
    """Numbers of k-points and their half-step offsets (0 or 1): the mesh of Quantum ESPRESSO.

    It is that of the unstrained cell; an isolated atom has one point, and so has the direction of a vacuum.
    """
    if is_isolated(atoms):
        return [1, 1, 1], [0, 0, 0]
    if settings.kmesh is not None:
        return list(settings.kmesh), list(settings.kshift)
    known = atoms.info.get(PLANE_DISTANCES)
    distances = np.asarray(plane_distances(atoms) if known is None else known, dtype=float)
    spacing = settings.kspacing_per_angstrom
    counts = [max(1, math.ceil(2 * math.pi / (d * spacing) - 1e-6)) if d > 0 else 1 for d in distances]
    return counts, [shift if d > 0 else 0 for shift, d in zip(settings.kshift, distances, strict=True)]


def is_isolated(atoms: Atoms) -> bool:
    """Whether a frame is an isolated atom's."""
    return len(atoms) == 1 and atoms.info.get("config_type") == ISOLATED_ATOM


def kpoints(counts: Sequence[int], shift: Sequence[int]) -> str:
    """Text of KPOINTS: points (n + shift/2) / count along each reciprocal vector, as Quantum ESPRESSO has them.

    Always VASP's style Gamma with the offset written, in steps of the mesh (VASP's manual, KPOINTS): its style
    Monkhorst-Pack moves the points of even counts alone.
    """
    rows = [" ".join(map(str, counts)), " ".join(f"{0.5 * half:g}" for half in shift)]
    return "\n".join(["Regular mesh", "0", "Gamma", *rows]) + "\n"


def write_input(atoms: Atoms, settings: Labelling, folder: Path, changes: Mapping[str, Any] | None = None) -> list[int]:
    """Write POSCAR, INCAR, KPOINTS and POTCAR of one frame into `folder`.

    An isolated atom is computed at Gamma with Hund's moment, narrow Gaussian smearing and no symmetry, as VASP's
    manual advises. Symmetry is off for all frames, so that distorted cells and perfect ones are computed alike. A frame
    whose elements have no moment to start from is computed without spin: its energy is the same.

    Args:
        changes: INCAR tags of another attempt, by ASE's names.

    Returns:
        The order of the atoms in the files: position k holds atom order[k] of the frame.

    Raises:
        ConfigurationFault: a data set is not there, or ASE does not take an option.
    """
    frame = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    tags: dict[str, Any] = {
        "prec": "Accurate", "algo": "Normal", "lreal": False, "lasph": True, "lwave": False, "lcharg": False,
        "nsw": 0, "ibrion": -1, "isif": 2, "isym": 0, "nelm": settings.electron_maxstep,
        "encut": _encut_ev(settings), "ediff": ediff_ev(atoms, settings), "ispin": 1,
        "ismear": ISMEAR[settings.smearing], "sigma": settings.degauss_ry * float(Ry),
    }  # fmt: skip
    moments = [settings.starting_magnetization.get(symbol, 0.0) for symbol in atoms.symbols]
    if is_isolated(atoms):
        moment = float(ground_state_magnetic_moments[atomic_numbers[atoms.get_chemical_symbols()[0]]])
        tags |= {"ismear": 0, "sigma": ATOM_SIGMA_EV}
        moments = [moment]
    if any(moments) and (settings.nspin == 2 or is_isolated(atoms)):
        tags |= {"ispin": 2, "lorbit": 11}  # with the moments of sites
        frame.set_initial_magnetic_moments(moments)
    folder.mkdir(parents=True, exist_ok=True)
    tags |= {**settings.calculator_options, **(changes or {}), "directory": str(folder)}
    calculator = _calculator(settings.pseudopotentials, tags)
    calculator.write_input(frame)
    (folder / "KPOINTS").write_text(kpoints(*mesh(atoms, settings)), encoding="utf-8")
    return list(calculator.sort)


def _encut_ev(settings: Labelling) -> float:
    if settings.ecutwfc_ry is None:
        raise ConfigError("labelling.ecutwfc_ry", None, "VASP needs a cutoff", "Write it in Ry, such as 38.2 (520 eV).")
    return round(settings.ecutwfc_ry * float(Ry), 2)


def _calculator(names: Mapping[str, str], tags: Mapping[str, Any]) -> Any:
    suffixes = {symbol: name.removeprefix(symbol) for symbol, name in names.items()}
    try:
        return Vasp(setups={"base": "recommended", **suffixes}, **{"xc": "pbe", **tags})
    except Exception as error:  # ASE's checks of names and types are of many kinds
        raise ConfigurationFault(
            f"ASE does not take an INCAR tag of labelling.calculator_options ({error})",
            "Write INCAR tags in small letters, as ASE's Vasp calculator names them",
        ) from None
