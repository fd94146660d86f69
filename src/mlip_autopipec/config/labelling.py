"""The configuration's section of the labels, validated: every number of it, with its unit and its default."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field

from mlip_autopipec.config.kinds import (
    Count,
    Engine,
    FileName,
    Fraction,
    MagneticStates,
    Positive,
    Section,
    Symbol,
    Words,
)


class Labelling(Section):
    """Labels: density functional theory with Quantum ESPRESSO, or another engine."""

    engine: Engine = Field(
        "espresso",
        description="What makes the labels: espresso (Quantum ESPRESSO), calculator (any ASE calculator, as a "
        "teacher), vasp (through ASE), or an engine that an installed package offers.",
    )
    protocol: Literal["fast", "balanced", "stringent"] = Field(
        "balanced",
        description="How well converged labels are: sets the SSSP library, k-spacing, smearing width and SCF accuracy.",
    )
    command: str = Field("pw.x", description="How pw.x is started; several words are allowed ('mpirun -np 4 pw.x').")
    launcher: str = Field(
        "mpirun --bind-to none -np {ranks}",
        description="Written before command where a label is given more than one MPI rank.",
    )
    ranks_max: Count = Field(
        1, description="MPI ranks of one label, at most; a label whose estimate asks for it gets more than one."
    )
    pseudo_dir: Words = Field(description="Folders where pseudopotential files are looked for, in order.")
    pseudopotentials: dict[Symbol, FileName] = Field(
        description="UPF file by element; with engine vasp the name of its data set, such as Fe_pv."
    )
    pseudopotential_md5: dict[Symbol, str] = Field(
        {}, description="MD5 of each pseudopotential file: another file of the same name makes the labels anew."
    )
    sssp_download: bool = Field(
        True,
        description="Fetch missing SSSP files into a cache before the first job, on the machine that runs snakemake.",
    )
    ecutwfc_ry: Positive | None = Field(
        description="Plane-wave cutoff of the wavefunctions, Ry; null with engine calculator, which has none."
    )
    ecutrho_ry: Positive | None = Field(
        description="Plane-wave cutoff of the density, Ry; null with engines calculator and vasp."
    )
    kspacing_per_angstrom: Positive = Field(description="Largest distance of k-points, 1/A, counting the factor 2 pi.")
    kmesh: Annotated[list[Count], Field(min_length=3, max_length=3)] | None = Field(
        None,
        description="Monkhorst-Pack mesh of every cell. Not given: each cell has its own, from kspacing_per_angstrom "
        "and the unstrained cell; strained cells keep it, and directions with vacuum have one point.",
    )
    kshift: Annotated[list[Annotated[int, Field(ge=0, le=1)]], Field(min_length=3, max_length=3)] = Field(
        [0, 0, 0], description="Offset of the mesh by half a step (1) or not (0)."
    )
    smearing: Literal["cold", "gaussian", "fermi-dirac", "methfessel-paxton"] = Field(
        description="Smearing of the occupations."
    )
    degauss_ry: Positive = Field(description="Width of the smearing, Ry.")
    nspin: Annotated[int, Field(ge=1, le=2)] = Field(description="1: without spin; 2: collinear spins.")
    starting_magnetization: dict[Symbol, Annotated[float, Field(gt=-12, lt=12)]] = Field(
        description="Starting moments by element (with nspin 2), as a fraction of the valence electrons, -1 to 1; with "
        "engine vasp in Bohr magnetons per atom."
    )
    magnetic_states: MagneticStates = Field(
        description="Starting states that are tried of every frame with moments, the lowest is kept: high (the moments "
        "of starting_magnetization, parallel), low (parallel, small), antiferro (neighbours against each other, where "
        "the lattice allows), ferri (V, Cr, Mn and lanthanides against Fe, Co and Ni)."
    )
    conv_thr_ry_per_atom: Positive = Field(1e-9, description="SCF accuracy per atom, Ry.")
    electron_maxstep: Count = Field(80, description="SCF iterations before another attempt is made.")
    max_seconds: Count = Field(7200, description="Wall time of one label, all attempts together, s.")
    maximum_force_ev_per_angstrom: Positive = Field(50.0, description="A label with a larger force is quarantined.")
    minimum_distance_fraction: Fraction = Field(
        0.5, description="A frame with a distance below this fraction of the sum of covalent radii gets no label."
    )
    scf_correction_max_ev_per_angstrom: Positive = Field(
        0.05, description="A label whose SCF correction of the forces is larger is quarantined, eV/A."
    )
    outlier_ev_per_atom: Positive = Field(
        0.05,
        description="A label is suspect when its energy is off what its neighbours in descriptor space say by more "
        "than this, and by far more than is usual, eV/atom.",
    )
    noise_labels: Annotated[int, Field(ge=0)] = Field(
        3, description="Accepted labels that are run again at tighter settings: the difference is the label noise."
    )
    seconds_per_job: Count = Field(
        600,
        description="Short labels are put together into one job up to about so many seconds of estimated work; into "
        "shorter jobs (10 s at least) where there would be fewer than 64.",
    )
    infrastructure_failures_max: Count = Field(
        3, description="A labelling job pauses the run after so many failures of the machine in a row."
    )
    core_hours_max: Positive | None = Field(
        None,
        description="Hard budget of the labels in core-hours: no training label is started once they are spent, and "
        "the run ends with what it has.",
    )
    calculator: str = Field(
        "",
        description="With engine calculator: import path of a class or function that returns an ASE calculator "
        "('package.module:Name'), or the name of a surrogate ('sevennet-0').",
    )
    calculator_options: dict[str, Any] = Field({}, description="Keyword arguments of the calculator.")
    atom_box_angstrom: Positive = Field(12.0, description="Edge of the box of an isolated reference atom, A.")

    def surface(self) -> dict[str, Any]:
        """The settings that decide which potential energy surface the labels lie on: a change means new labels."""
        options = {
            "calculator_options": self.calculator_options,
            "files": {name: digest(name) for name in named_files(self.calculator_options)},
        }
        if self.engine == "calculator":
            return {"engine": self.engine, "calculator": self.calculator, **options}
        names = (
            "engine", "pseudopotentials", "pseudopotential_md5", "ecutwfc_ry", "ecutrho_ry", "kspacing_per_angstrom",
            "kmesh", "kshift", "smearing", "degauss_ry", "nspin", "starting_magnetization", "magnetic_states",
            "conv_thr_ry_per_atom",
        )  # fmt: skip
        return self.model_dump(include=set(names)) | (options if self.engine != "espresso" else {})


def named_files(options: Any) -> list[str]:
    """Files that the options of a calculator name, such as those of a model."""
    if isinstance(options, dict):
        return sorted({name for value in options.values() for name in named_files(value)})
    if isinstance(options, list):
        return sorted({name for value in options for name in named_files(value)})
    return [options] if isinstance(options, str) and os.path.isfile(options) else []


@cache
def digest(path: str) -> str:
    """Start of the SHA-256 sum of a file: another model under the same name is another teacher."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
