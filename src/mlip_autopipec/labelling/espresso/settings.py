"""Settings of the DFT calculations with pw.x: everything that defines a label, and how it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import ISOLATED_ATOM
from mlip_autopipec.labelling.espresso.pseudopotentials import (
    Pseudopotential,
    check_consistent,
    complete_first,
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


@dataclass(frozen=True)
class EspressoSettings:
    """Everything that defines a label, and how it is reached. Energies of pw.x's input are in Ry.

    Attributes:
        command: how pw.x is started; several words are allowed.
        launcher: written before `command` where a label has more than one MPI rank.
        pseudopotentials: UPF file name by element, looked for in `pseudo_dir`.
        pseudopotential_md5: by element, what the file's contents must be; elements that are not named are not checked.
        kmesh: Monkhorst-Pack mesh of every cell; None: each cell has its own, see `mesh`.
        kshift: half-step offsets of the mesh (0 or 1).
        kspacing_per_angstrom: largest distance of k-points, with the factor 2 pi, where there is no kmesh.
        starting_magnetization: by element, as a fraction of the valence electrons, used with nspin = 2.
        magnetic_states: starting states to try of a frame with moments, see `magnetic`; none: high alone.
        max_seconds: wall time of one label, all its attempts together.
        atom_box_angstrom: edge of the cubic box of an isolated atom.
    """

    pseudopotentials: Mapping[str, str]
    ecutwfc_ry: float
    ecutrho_ry: float
    kmesh: tuple[int, int, int] | None = None
    kspacing_per_angstrom: float = 0.2
    command: str = "pw.x"
    launcher: str = "mpirun --bind-to none -np {ranks}"
    pseudo_dir: tuple[str, ...] = ()
    kshift: tuple[int, int, int] = (0, 0, 0)
    smearing: str = "gaussian"
    degauss_ry: float = 0.005
    conv_thr_ry_per_atom: float = 1e-9
    mixing_beta: float = 0.7
    electron_maxstep: int = 80
    nspin: int = 1
    starting_magnetization: Mapping[str, float] = field(default_factory=dict)
    magnetic_states: tuple[str, ...] = ()
    max_seconds: int = 7200
    atom_box_angstrom: float = 12.0
    pseudopotential_md5: Mapping[str, str] = field(default_factory=dict)

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
        for key in ("kmesh", "kshift", "pseudo_dir", "magnetic_states"):
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
            "pseudopotential_md5",
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
            "magnetic_states",
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
        folders = complete_first(self.pseudo_dir, self.pseudopotentials.values())
        return find_pseudopotential(element, folders, self.pseudopotentials[element])

    def check(self) -> None:
        """Find all pseudopotentials and check that their functionals agree, and their contents with the MD5 sums.

        Raises:
            ConfigurationFault: a file is missing or wrong, or functionals are mixed.
        """
        found = [self.pseudopotential(element) for element in self.pseudopotentials]
        check_consistent(found)
        for file in found:
            wanted = self.pseudopotential_md5.get(file.element, "")
            if wanted and file.md5 != wanted:
                raise ConfigurationFault(
                    f"Pseudopotential file '{file.path}' has other contents than this run's (md5 {file.md5}, not "
                    f"{wanted}): labels of both must not be mixed",
                    "Put the file back, or leave labelling.pseudopotential_md5 out of the config, and all labels are "
                    "made with the new one",
                )


def is_isolated_atom(atoms: Atoms) -> bool:
    """Whether a frame is an isolated atom's: one atom, and marked so."""
    return len(atoms) == 1 and atoms.info.get("config_type") == ISOLATED_ATOM


def valence_electrons(atoms: Atoms, settings: EspressoSettings) -> float:
    """Number of valence electrons of a frame."""
    return float(np.sum([settings.pseudopotential(symbol).z_valence for symbol in atoms.symbols]))
