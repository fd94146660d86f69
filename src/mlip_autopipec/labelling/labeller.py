"""What every labelling engine offers (`Labeller`) and what it hands over (`Label`)."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal, Protocol

from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlip_autopipec.artifacts import read_json, write_json
from mlip_autopipec.errors import InputFileError

# "budget": not started, because the budget of core-hours was spent.
Kind = Literal["ok", "physics", "structure", "configuration", "infrastructure", "budget"]
Vector = tuple[float, float, float]


class Attempt(BaseModel):
    """One run of the engine on a frame: what was different from the settings, why, and how it ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str = Field(description="Folder of the attempt's files, relative to the frame's work folder.")
    changed: dict[str, Any] = Field(default_factory=dict, description="Parameters that differ from the settings.")
    why: str = Field(default="first attempt", description="Why this attempt was made, with these changes.")
    outcome: str
    reason: str
    scf_iterations: int = 0
    cpu_seconds: float = Field(default=0.0, description="CPU time over all ranks, s; 0 when the engine never said.")
    wall_seconds: float = 0.0
    exit_code: int | None = None
    state: str | None = Field(default=None, description="Starting state of the moments, by name; None without spin.")
    stopped_early: bool = Field(default=False, description="Ended by the labeller, that saw no use in going on.")
    memory_mb: float | None = Field(
        default=None, description="Largest resident memory of all its processes together, MB."
    )


class Label(BaseModel):
    """The verdict on one frame, with numbers only when it may be trained on.

    Energy in eV (total), forces in eV/A, stress in eV/A^3 (Voigt xx,yy,zz,yz,xz,xy, ASE's sign), moments in Bohr
    magnetons. `accepted` labels always have a finite energy, finite forces (N x 3) and a finite stress, or a reason
    why there is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    accepted: bool
    outcome: str = Field(description="What happened, one word: 'ok', 'scf_not_converged', 'atoms_too_close', ...")
    kind: Kind = Field(description="Whose matter it is: physics, structure, configuration or infrastructure.")
    reason: str = Field(description="The same in words for a person.")
    natoms: int
    uid: str | None = Field(default=None, description="Identity of the frame that was labelled.")
    energy_ev: float | None = None
    forces: list[Vector] | None = None
    stress: tuple[float, float, float, float, float, float] | None = None
    without_stress: str | None = Field(
        default=None, description="Why an accepted label has no stress; None where it has one."
    )
    magmoms: list[float] | None = None
    branch: str | None = Field(
        default=None,
        description="The starting state that was kept, of several: high, low, antiferro, ferri, neighbours, "
        "unpolarised; atom for an isolated atom. It says from where the moments started, not where they ended.",
    )
    states: list[dict[str, Any]] = Field(
        default_factory=list,
        description="Every starting state: name, start (moments), energy_ev, total_magnetization, outcome, reason, "
        "kept.",
    )
    total_magnetization: float | None = Field(default=None, description="Of the cell, Bohr magnetons.")
    absolute_magnetization: float | None = Field(default=None, description="Integral of its magnitude, Bohr magnetons.")
    scf_accuracy_ry: float | None = Field(default=None, description="Last estimated accuracy of the energy, Ry.")
    conv_thr_ry: float | None = Field(default=None, description="The accuracy that was asked for, Ry.")
    scf_correction_ev_per_angstrom: float | None = Field(
        default=None, description="Total SCF correction of the forces."
    )
    last_band_occupation: float | None = Field(
        default=None, description="Largest occupation of the highest band over k-points; 1 is full."
    )
    warnings: list[str] = Field(default_factory=list)
    attempts: list[Attempt] = Field(default_factory=list)
    output_file: str | None = Field(
        default=None, description="The deciding output, relative to the frame's work folder."
    )
    engine: str
    engine_version: str | None = None
    cpu_seconds: float = Field(default=0.0, description="CPU time of all attempts over all ranks, s.")
    wall_seconds: float = Field(default=0.0, description="Wall time of all attempts, s.")
    ranks: int = Field(default=1, description="MPI ranks of the deciding attempt.")
    core_seconds: float = Field(default=0.0, description="Wall time times ranks, of all attempts, s.")
    settings: dict[str, Any] = Field(default_factory=dict, description="What the engine was told.")

    @model_validator(mode="after")
    def _whole(self) -> Label:
        if not self.accepted:
            if (self.energy_ev, self.forces, self.stress) != (None, None, None):
                raise ValueError("a label that is not accepted carries no numbers")
            return self
        if self.energy_ev is None or self.forces is None or (self.stress is None) == (self.without_stress is None):
            raise ValueError("an accepted label has an energy, forces and a stress, or the reason why it has no stress")
        if len(self.forces) != self.natoms or (self.magmoms is not None and len(self.magmoms) != self.natoms):
            raise ValueError(f"an accepted label has a force (and a moment, if any) for each of {self.natoms} atoms")
        numbers = [self.energy_ev, *(self.stress or []), *(self.magmoms or []), *(f for v in self.forces for f in v)]
        if not all(map(math.isfinite, numbers)):
            raise ValueError("the numbers of an accepted label are finite")
        return self

    @property
    def spent_core_seconds(self) -> float:
        """Core-seconds of all attempts; older labels have their wall time alone."""
        return self.core_seconds or self.wall_seconds * max(self.ranks, 1)

    @property
    def wasted_core_seconds(self) -> float:
        """Core-seconds of attempts that gave nothing; all of a label that is not accepted."""
        if not self.accepted:
            return self.spent_core_seconds
        failed = sum(one.wall_seconds for one in self.attempts if one.outcome != "ok") * max(self.ranks, 1)
        return min(failed, self.spent_core_seconds)

    @property
    def further_attempts(self) -> int:
        """Attempts beyond the first one of each starting state."""
        return max(0, len(self.attempts) - max(1, len(self.states)))


def unlabelled(atoms: Atoms, outcome: str, kind: Kind, reason: str, engine: str, **settings: Any) -> Label:
    """The label of a frame that nothing was run for."""
    return Label(
        accepted=False, outcome=outcome, kind=kind, reason=reason, natoms=len(atoms), uid=atoms.info.get("uid"),
        engine=engine, settings=settings,
    )  # fmt: skip


class Labeller(Protocol):
    """An engine that turns frames into labels. Chosen by `labelling.engine` in the configuration."""

    name: str

    def label(self, atoms: Atoms, workdir: Path, *, ranks: int = 1, seconds: float | None = None) -> Label:
        """Label one frame, in a folder of its own that may hold the remains of a killed run.

        Args:
            ranks: MPI ranks that may be used; engines without MPI leave it aside.
            seconds: wall time that is left in this job; None: the settings' limit alone.

        Failures that belong to the frame or the machine come back as a label that is not accepted.

        Raises:
            ConfigurationFault: the set-up is wrong for every frame; the campaign must stop.
        """
        ...


def write_label(path: str | os.PathLike[str], label: Label) -> None:
    """Write a label as JSON, whole or not at all."""
    write_json(path, label.model_dump(mode="json"))


def read_label(path: str | os.PathLike[str]) -> Label:
    """Read a label written by `write_label`.

    Raises:
        InputFileError: the file is missing, truncated or is not a label.
    """
    data = read_json(path)
    try:
        return Label.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "label"
        raise InputFileError(path, f"not a label ({place}: {fault['msg']})", "Delete it; it is made anew.") from None
