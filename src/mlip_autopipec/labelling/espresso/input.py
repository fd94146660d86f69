"""Settings of the DFT calculations, and the pw.x input of one frame made from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers, ground_state_magnetic_moments

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import ISOLATED_ATOM, PLANE_DISTANCES, plane_distances
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
ATOM_MIXING_BETA = 0.3  # measured: Si, O, Al, Mg, Fe atoms converge in 8 to 33 iterations
ATOM_MAXSTEP = 40  # of an atom with whole electrons: it converges in 4 to 31 iterations, or hardly ever
# 0.03 meV; the orbitals of an open shell may turn at no cost, and asked for more they do so without end
ATOM_CONV_THR_RY = 2e-6
MOMENT_FRACTION_MAX = 0.9  # starting_magnetization stays inside (-1, 1): pw.x 7.3 reads larger values as moments


@dataclass(frozen=True)
class EspressoSettings:
    """Everything that defines a label, and how it is reached. Energies of pw.x's input are in Ry.

    Attributes:
        command: how pw.x is started; several words are allowed.
        pseudopotentials: UPF file name by element, looked for in `pseudo_dir`.
        kmesh: Monkhorst-Pack mesh of every cell; None: each cell has its own, see `mesh`.
        kshift: half-step offsets of the mesh (0 or 1).
        kspacing_per_angstrom: largest distance of k-points, with the factor 2 pi, where there is no kmesh.
        starting_magnetization: by element, as a fraction of the valence electrons, used with nspin = 2.
        max_seconds: wall time of one label, all its attempts together.
        atom_box_angstrom: edge of the cubic box of an isolated atom.
    """

    pseudopotentials: Mapping[str, str]
    ecutwfc_ry: float
    ecutrho_ry: float
    kmesh: tuple[int, int, int] | None = None
    kspacing_per_angstrom: float = 0.2
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
            if values.get(key) is not None:
                values[key] = (values[key],) if isinstance(values[key], str) else tuple(values[key])
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigurationFault(
                f"labelling settings are not complete ({error})", "Expand the config again"
            ) from None

    def surface(self) -> dict[str, Any]:
        """The settings that define the potential energy surface: equal for all labels that are trained together.

        The same as `surface()` of the config's section, from which the workflow sees that labels must be made again.
        """
        keys = (
            "pseudopotentials",
            "ecutwfc_ry",
            "ecutrho_ry",
            "kspacing_per_angstrom",
            "kmesh",
            "kshift",
            "smearing",
            "degauss_ry",
            "conv_thr_ry_per_atom",
            "nspin",
            "starting_magnetization",
        )
        everything = asdict(self)
        plain = {k: list(everything[k]) if isinstance(everything[k], tuple) else everything[k] for k in keys}
        return {"engine": "espresso", **plain}

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


def spin_states(symbol: str, valence: float) -> list[int]:
    """Total moments (Bohr magnetons) of an isolated atom that are worth a run, the likeliest first.

    Hund's moment (ground states as tabulated in ASE), two less, two more where the valence shell has room for it, and
    none where the electrons are even: density functionals do not always put the experimental state lowest. A
    pseudopotential that keeps open shells in its core (lanthanides) has fewer electrons than the table counts: its
    smallest moments are taken then.

    Args:
        valence: valence electrons of the pseudopotential.
    """
    electrons = round(valence)
    hund = round(float(ground_state_magnetic_moments[atomic_numbers[symbol]]))
    if hund > electrons or (hund - electrons) % 2:
        hund = electrons % 2
    tried = [hund, hund - 2, hund + 2, electrons % 2]
    most = max(hund, min(electrons, largest_moment(symbol)))
    return [m for m in dict.fromkeys(tried) if 0 <= m <= most]


def largest_moment(symbol: str) -> int:
    """Most unpaired electrons that the outer shell holds: s of hydrogen and helium, s and p of main groups, s and d of
    transition metals, s, d and f of lanthanides and actinides. More would need an orbital of the next shell.
    """
    number = atomic_numbers[symbol]
    core = max(noble for noble in (0, 2, 10, 18, 36, 54, 86) if noble < number)
    electrons = number - core
    if core == 0:
        orbitals = 1
    elif core in (2, 10) or electrons <= 2:
        orbitals = 4
    elif core in (18, 36):
        orbitals, electrons = (6, electrons) if electrons <= 12 else (4, electrons - 10)
    elif electrons <= 16:
        orbitals = 13
    else:
        orbitals, electrons = (6, electrons - 14) if electrons <= 26 else (4, electrons - 24)
    return min(electrons, 2 * orbitals - electrons)


def pw_input(
    atoms: Atoms,
    settings: EspressoSettings,
    *,
    changes: Mapping[str, Any] | None = None,
    atom_moment: int | None = None,
    atom_smeared: bool = False,
    nosym: bool = True,
) -> str:
    """Text of pw.in for one frame: SCF with forces and stress (manual INPUT_PW of Quantum ESPRESSO).

    Args:
        atoms: periodic frame.
        changes: pw.x parameters that differ from the settings (of a recovery rung), by name.
        atom_moment: treat the frame as an isolated atom with this total moment (Bohr magnetons): Gamma only, whole
            electrons in the lowest orbitals. Smearing would spread the electrons of an open shell evenly over it: O
            in PBE ends 0.48 eV above its ground state so.
        atom_smeared: smear the atom's occupations narrowly all the same, where the other way did not converge.
        nosym: switch symmetry off, so that distorted cells and perfect ones are computed alike.

    Raises:
        ConfigurationFault: an element has no usable pseudopotential.
    """
    files = {symbol: settings.pseudopotential(symbol) for symbol in dict.fromkeys(atoms.symbols)}
    nspin, degauss, beta = settings.nspin, settings.degauss_ry, settings.mixing_beta
    moments = dict(settings.starting_magnetization)
    if atom_moment is not None:
        (symbol,) = files
        moments = {symbol: min(atom_moment / files[symbol].z_valence, MOMENT_FRACTION_MAX)}
        nspin, degauss, beta = (2 if atom_moment else 1), ATOM_DEGAUSS_RY, ATOM_MIXING_BETA
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
    occupations: dict[str, Any] = {"occupations": "smearing", "smearing": SMEARINGS[settings.smearing]}
    occupations["degauss"] = degauss
    whole = atom_moment is not None and not atom_smeared
    if whole:
        occupations = {"occupations": "fixed"}
    system: dict[str, Any] = {
        "ibrav": 0,
        "nat": len(atoms),
        "ntyp": len(files),
        "ecutwfc": settings.ecutwfc_ry,
        "ecutrho": settings.ecutrho_ry,
        **occupations,
        "nspin": nspin,
        "nosym": nosym,
        "noinv": False,
    }
    if nspin == 2:
        for number, symbol in enumerate(files, start=1):
            system[f"starting_magnetization({number})"] = moments.get(symbol, 0.0)
    if nspin == 2 and atom_moment is not None:
        system["tot_magnetization"] = float(atom_moment)
    electrons: dict[str, Any] = {
        "conv_thr": conv_thr_ry(atoms, settings),
        "mixing_beta": beta,
        "electron_maxstep": min(settings.electron_maxstep, ATOM_MAXSTEP) if whole else settings.electron_maxstep,
        "diagonalization": "david",
    }
    for key, value in (changes or {}).items():
        (system if key == "nbnd" else electrons)[key] = value
    counts, offsets = ((1, 1, 1), (0, 0, 0)) if atom_moment is not None else mesh(atoms, settings)
    gamma_alone = counts == (1, 1, 1) and not any(offsets)  # half the work of the same point given as a mesh
    points = "K_POINTS gamma" if gamma_alone else "K_POINTS automatic\n" + " ".join(map(str, counts + offsets))
    masses = {symbol: atomic_masses[atomic_numbers[symbol]] for symbol in files}
    return "\n".join(
        [
            *_namelist("control", control),
            *_namelist("system", system),
            *_namelist("electrons", electrons),
            "ATOMIC_SPECIES",
            *(f"{symbol} {masses[symbol]:.4f} {file.path.name}" for symbol, file in files.items()),
            points,
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
