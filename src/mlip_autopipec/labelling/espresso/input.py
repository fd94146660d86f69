"""Settings of the DFT calculations, and the pw.x input of one frame made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers, ground_state_magnetic_moments

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import ISOLATED_ATOM
from mlip_autopipec.labelling.espresso.pseudopotentials import (
    Pseudopotential,
    check_consistent,
    find_pseudopotential,
)

# Names of the configuration to names of pw.x (manual INPUT_PW, occupations and smearing).
SMEARINGS = {
    "cold": "mv",
    "mv": "mv",
    "gaussian": "gaussian",
    "fermi-dirac": "fd",
    "fd": "fd",
    "methfessel-paxton": "mp",
    "mp": "mp",
}
ATOM_DEGAUSS_RY = 0.001  # width for isolated atoms: 14 meV, enough to hold open shells, small against any gap
ATOM_MIXING_BETA = 0.3  # measured: Si, O, Al, Mg, Fe atoms converge in 8 to 25 iterations
MOMENT_FRACTION_MAX = 0.9  # starting_magnetization stays inside (-1, 1): pw.x 7.3 reads larger values as moments


@dataclass(frozen=True)
class EspressoSettings:
    """Everything that defines a label, and how it is reached. Energies of pw.x's input are in Ry.

    Attributes:
        command: how pw.x is started; several words are allowed.
        pseudopotentials: UPF file name by element, looked for in `pseudo_dir`.
        kmesh, kshift: Monkhorst-Pack mesh and its half-step offsets (0 or 1).
        starting_magnetization: by element, as a fraction of the valence electrons, used with nspin = 2.
        max_seconds: wall time of one label, all its attempts together.
        atom_box_angstrom: edge of the cubic box of an isolated atom.
    """

    pseudopotentials: Mapping[str, str]
    ecutwfc_ry: float
    ecutrho_ry: float
    kmesh: tuple[int, int, int]
    command: str = "pw.x"
    pseudo_dir: tuple[str, ...] = ()
    kshift: tuple[int, int, int] = (0, 0, 0)
    smearing: str = "gaussian"
    degauss_ry: float = 0.005
    conv_thr_ry_per_atom: float = 1e-9
    mixing_beta: float = 0.7
    electron_maxstep: int = 80
    nspin: int = 1
    starting_magnetization: Mapping[str, float] = field(default_factory=dict)
    max_seconds: int = 7200
    atom_box_angstrom: float = 12.0

    def __post_init__(self) -> None:
        if self.smearing not in SMEARINGS:
            raise ConfigurationFault(
                f"labelling.smearing = {self.smearing!r} is unknown", f"Choose one of {', '.join(SMEARINGS)}"
            )
        for element, fraction in self.starting_magnetization.items():
            if not -1 < fraction < 1:
                raise ConfigurationFault(
                    f"starting magnetization of {element} = {fraction} is not inside (-1, 1)",
                    "Give it as a fraction of the valence electrons",
                )

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> EspressoSettings:
        """Settings from the `labelling` section of the full configuration; keys of other stages are left aside.

        Raises:
            ConfigurationFault: a needed key is missing, or a value cannot be used.
        """
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in section.items() if key in known}
        for key in ("kmesh", "kshift", "pseudo_dir"):
            if key in values:
                values[key] = (values[key],) if isinstance(values[key], str) else tuple(values[key])
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigurationFault(
                f"labelling settings are not complete ({error})", "Expand the config again"
            ) from None

    def surface(self) -> dict[str, Any]:
        """The settings that define the potential energy surface: equal for all labels that are trained together."""
        keys = (
            "pseudopotentials",
            "ecutwfc_ry",
            "ecutrho_ry",
            "kmesh",
            "kshift",
            "smearing",
            "degauss_ry",
            "conv_thr_ry_per_atom",
            "nspin",
        )
        everything = asdict(self)
        return {k: list(everything[k]) if isinstance(everything[k], tuple) else everything[k] for k in keys}

    def pseudopotential(self, element: str) -> Pseudopotential:
        """The header of the file for an element.

        Raises:
            ConfigurationFault: none is named, or it is not there, or it is for another element.
        """
        if element not in self.pseudopotentials:
            raise ConfigurationFault(
                f"No pseudopotential is named for {element}", f"Set labelling.pseudopotentials.{element}"
            )
        return find_pseudopotential(element, self.pseudo_dir, self.pseudopotentials[element])

    def check(self) -> None:
        """Find all pseudopotentials and check that their functionals agree.

        Raises:
            ConfigurationFault: a file is missing or wrong, or functionals are mixed.
        """
        check_consistent([self.pseudopotential(element) for element in self.pseudopotentials])


def is_isolated_atom(atoms: Atoms) -> bool:
    """Whether a frame is an isolated atom's: one atom, and marked so."""
    return len(atoms) == 1 and atoms.info.get("config_type") == ISOLATED_ATOM


def pw_input(
    atoms: Atoms,
    settings: EspressoSettings,
    *,
    changes: Mapping[str, Any] | None = None,
    isolated: bool = False,
    nosym: bool = True,
) -> str:
    """Text of pw.in for one frame: SCF with forces and stress (manual INPUT_PW of Quantum ESPRESSO).

    Args:
        atoms: periodic frame.
        changes: pw.x parameters that differ from the settings (of a recovery rung), by name.
        isolated: treat it as an isolated atom: Gamma only, spin-polarised with Hund's moment (ground states as
            tabulated in ASE), narrow smearing.
        nosym: switch symmetry off, so that distorted cells and perfect ones are computed alike.

    Raises:
        ConfigurationFault: an element has no usable pseudopotential.
    """
    files = {symbol: settings.pseudopotential(symbol) for symbol in dict.fromkeys(atoms.symbols)}
    nspin, degauss, beta, hund = settings.nspin, settings.degauss_ry, settings.mixing_beta, 0.0
    moments = dict(settings.starting_magnetization)
    if isolated:
        (symbol,) = files
        hund = float(ground_state_magnetic_moments[atomic_numbers[symbol]])
        moments = {symbol: min(hund / files[symbol].z_valence, MOMENT_FRACTION_MAX)}
        nspin, degauss, beta = (2 if hund else 1), ATOM_DEGAUSS_RY, ATOM_MIXING_BETA
    control = {
        "calculation": "scf",
        "prefix": "pwscf",
        "outdir": "./tmp",
        "pseudo_dir": _pseudo_folder(files),
        "tprnfor": True,
        "tstress": True,
        "disk_io": "low",
        "max_seconds": settings.max_seconds,
    }
    system: dict[str, Any] = {
        "ibrav": 0,
        "nat": len(atoms),
        "ntyp": len(files),
        "ecutwfc": settings.ecutwfc_ry,
        "ecutrho": settings.ecutrho_ry,
        "occupations": "smearing",
        "smearing": SMEARINGS[settings.smearing],
        "degauss": degauss,
        "nspin": nspin,
        "nosym": nosym,
        "noinv": False,
    }
    if nspin == 2:
        for number, symbol in enumerate(files, start=1):
            system[f"starting_magnetization({number})"] = moments.get(symbol, 0.0)
    if isolated and nspin == 2:
        system["tot_magnetization"] = hund
    electrons: dict[str, Any] = {
        "conv_thr": settings.conv_thr_ry_per_atom * len(atoms),
        "mixing_beta": beta,
        "electron_maxstep": settings.electron_maxstep,
        "diagonalization": "david",
    }
    for key, value in (changes or {}).items():
        (system if key == "nbnd" else electrons)[key] = value
    mesh = (
        "K_POINTS gamma" if isolated else "K_POINTS automatic\n" + " ".join(map(str, settings.kmesh + settings.kshift))
    )
    masses = {symbol: atomic_masses[atomic_numbers[symbol]] for symbol in files}
    return "\n".join(
        [
            *_namelist("control", control),
            *_namelist("system", system),
            *_namelist("electrons", electrons),
            "ATOMIC_SPECIES",
            *(f"{symbol} {masses[symbol]:.4f} {file.path.name}" for symbol, file in files.items()),
            mesh,
            "CELL_PARAMETERS angstrom",
            *(" ".join(f"{x:.12f}" for x in vector) for vector in atoms.cell.array),
            "ATOMIC_POSITIONS angstrom",
            *(f"{s} " + " ".join(f"{x:.12f}" for x in r) for s, r in zip(atoms.symbols, atoms.positions, strict=True)),
            "",
        ]
    )


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


def valence_electrons(atoms: Atoms, settings: EspressoSettings) -> float:
    """Number of valence electrons of a frame."""
    return float(np.sum([settings.pseudopotential(symbol).z_valence for symbol in atoms.symbols]))
