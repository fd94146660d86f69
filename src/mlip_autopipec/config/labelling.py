"""The configuration's section of the labels, validated: every number of it, with its unit and its default."""

from __future__ import annotations

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
        description="What makes the labels: espresso (Quantum ESPRESSO), calculator (any ASE calculator, a teacher in "
        "place of DFT), vasp (through ASE), or an engine that an installed package offers.",
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
    pseudopotentials: dict[Symbol, FileName] = Field(description="UPF file by element.")
    sssp_download: bool = Field(
        True,
        description="Fetch missing SSSP files into a cache before the first job, on the machine that runs snakemake.",
    )
    ecutwfc_ry: Positive = Field(description="Plane-wave cutoff of the wavefunctions, Ry.")
    ecutrho_ry: Positive = Field(description="Plane-wave cutoff of the density, Ry.")
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
    starting_magnetization: dict[Symbol, Annotated[float, Field(gt=-1, lt=1)]] = Field(
        description="Starting moments by element, as a fraction of the valence electrons (with nspin 2)."
    )
    magnetic_states: MagneticStates = Field(
        description="Starting states that are tried of every frame with spin, the lowest is kept: high (the moments of "
        "starting_magnetization, parallel), low (parallel, small), antiferro (alternating, where the lattice allows)."
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
        60, description="Labels are put together into one job up to about so many seconds of estimated work."
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
        names = (
            "engine", "pseudopotentials", "ecutwfc_ry", "ecutrho_ry", "kspacing_per_angstrom", "kmesh", "kshift",
            "smearing", "degauss_ry", "nspin", "starting_magnetization", "magnetic_states", "conv_thr_ry_per_atom",
            "calculator", "calculator_options",
        )  # fmt: skip
        return self.model_dump(include=set(names))
