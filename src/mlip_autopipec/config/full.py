"""The whole configuration, validated: every number the pipeline uses, with its unit and its default.

A field without a default is inferred by a rule of `expand.py`; the descriptions are the reference page.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlip_autopipec.config.composition import amounts_of
from mlip_autopipec.config.exploring import Exploration as Exploration
from mlip_autopipec.config.exploring import Sampling as Sampling
from mlip_autopipec.config.exploring import Test as Test
from mlip_autopipec.config.kinds import (
    AtLeastOne,
    Classes,
    Count,
    Counts,
    Degrees,
    Files,
    FiniteFloat,
    Fraction,
    Generator,
    Lattices,
    NotNegative,
    Positive,
    Prototypes,
    RunName,
    Section,
    Seed,
    Sources,
    Temperatures,
    Trainer,
    Tried,
    alone,
    in_order,
    nested,
)
from mlip_autopipec.config.labelling import Labelling as Labelling


class Structures(Section):
    """Starting structures: parents from several sources, and what generators make of them."""

    files: Files = Field(
        [],
        description="Structures of your own (CIF, POSCAR, extended XYZ, anything ASE reads; * and ? are allowed), "
        "taken as they are. 'structures: path/*.cif' is short for this key.",
    )
    alone: bool = Field(
        False,
        description="Your files are the only starting structures: nothing is generated, and the first one is the key "
        "'structure' (the parent: reference of the equation of state) unless that is written.",
    )
    sources: Sources = Field(
        description="Where parents come from: prototypes, sqs (quasirandom cells), random (symmetric crystals), "
        "molecule (the molecule), structure (the file of the key 'structure')."
    )
    prototypes: Prototypes = Field(
        description="Prototypes tried as parents, by name (A1, L1_0, B1, C4, ..., or fcc, rocksalt, perovskite, ...)."
    )
    sqs_lattices: Lattices = Field(description="Lattices of the special quasirandom cells.")
    sqs_atoms: Counts = Field(description="Sizes of the special quasirandom cells, atoms.")
    random_crystals: Annotated[int, Field(ge=0)] = Field(description="Random symmetric crystals that are relaxed.")
    random_atoms_max: Count = Field(description="Atoms of a random crystal's primitive cell, at most.")
    energy_window_ev_per_atom: Positive = Field(
        0.1, description="Parents so far above the lowest one are kept, eV/atom (by the surrogate)."
    )
    parents_max: Count = Field(6, description="Parents kept, at most, lowest energies first.")
    counts: Annotated[dict[Generator, Annotated[int, Field(ge=0)]], AfterValidator(in_order)] = Field(
        description="How many structures each generator makes; 0 switches it off. Generators that are not named keep "
        "the number of the rule."
    )
    supercell_edge_angstrom: Positive = Field(7.0, description="Edges of labelled cells are near this length, A.")
    atoms_min: Count = Field(8, description="Atoms of a labelled crystal, at least.")
    atoms_max: Count = Field(
        description="Atoms of a labelled cell, at most (a larger parent is left as it is, and defects have 16 atoms or "
        "more about them)."
    )
    volume_strain_max: Fraction = Field(description="Largest relative change of volume, to both sides.")
    shear_strain_max: Fraction = Field(0.06, description="Largest engineering shear and uniaxial strain.")
    rattle_amplitudes_angstrom: Tried = Field(
        description="Root-mean-square displacements per atom of rattled cells, A."
    )
    minimum_distance_fraction: Fraction = Field(
        0.7, description="Cells with a distance below this fraction of the sum of covalent radii are thrown away."
    )
    vacuum_angstrom: Positive = Field(
        description="Empty space around molecules and clusters and between slabs, A; wider than the potential's cutoff."
    )
    melt_temperature_k: Positive = Field(description="Temperature at which melts are made with the surrogate, K.")
    melt_steps: Count = Field(300, description="MD steps of a melt or a quench with the surrogate.")
    mode_temperature_k: Positive = Field(
        1000.0, description="Temperature that normal modes of molecules are sampled at, K."
    )
    cluster_sizes: Counts = Field([2, 3, 4], description="Molecules (or atoms) of the clusters.")
    condensed_molecules: Count = Field(description="Molecules in a cell of the condensed phase.")


class Grades(Section):
    """When the extrapolation grade says that a frame is uncertain, and when it says stop."""

    gamma_select: Annotated[float, Field(ge=1)] = Field(
        5.0,
        description="A frame is uncertain above this extrapolation grade (1 is the edge of the training data; 5 and 25 "
        "are the numbers of the LAMMPS manual's example for ACE).",
    )
    gamma_stop: Annotated[float, Field(ge=1)] = Field(
        25.0, description="A simulation stops above this extrapolation grade."
    )

    @model_validator(mode="after")
    def _grades_ordered(self) -> Self:
        if self.gamma_stop <= self.gamma_select:
            raise ValueError(f"gamma_stop ({self.gamma_stop}) must be above gamma_select ({self.gamma_select})")
        return self


class ActiveLearning(Grades):
    """The loop: how many labels, when a frame is uncertain, when to end."""

    labels_first: Count = Field(description="Labels of generation 0.")
    labels_per_generation: Count = Field(description="Labels added by each later generation, at most.")
    label_budget: Count = Field(description="Training labels in all; the loop ends when they are spent.")
    generations_max: Count = Field(8, description="Number of generations at most.")

    @model_validator(mode="after")
    def _ordered(self) -> ActiveLearning:
        if self.labels_first > self.label_budget:
            raise ValueError(f"labels_first ({self.labels_first}) must not be above label_budget ({self.label_budget})")
        return self


class OwnData(Section):
    """Labelled data of the user's own: where they are, how they are named and what is refused."""

    dataset: Files = Field(
        [],
        description="Labelled data of your own, a file or several (extended XYZ, ASE database, anything ASE reads; "
        "* and ? are allowed): the workflow then starts at training and needs no composition. Relative to where "
        "snakemake runs. See docs/own_data.md for this and the following keys.",
    )
    test_dataset: Files = Field([], description="Labelled data for the test set, never trained on.")
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="Part of the dataset held out as the test set when there is no test_dataset, in whole blocks."
    )
    energy_key: str = Field("", description="Name of the total energies (eV) in the files; '' looks for it.")
    forces_key: str = Field("", description="Name of the forces (eV/A); '' looks for it.")
    stress_key: str = Field(
        "", description="Name of the stresses (eV/A^3, ASE's sign, 6 or 9 numbers); '' looks for it, none ignores all."
    )
    virial_key: str = Field(
        "", description="Name of the virials (eV: minus stress times volume); '' looks for it, none ignores all."
    )
    reference_energies_ev: dict[str, FiniteFloat] = Field(
        {},
        description="Energies of isolated atoms by element, eV; those not given are taken from isolated atoms in the "
        "data, or else estimated.",
    )
    maximum_force_ev_per_angstrom: Positive = Field(
        50.0, description="A frame of your data with a larger force is quarantined, eV/A."
    )
    minimum_distance_fraction: Fraction = Field(
        0.4, description="A frame of your data with a distance below this fraction of the radii's sum is quarantined."
    )
    check_consistency: bool = Field(
        True,
        description="Compare energies and stresses of your data with what a quick fit to the forces alone says: finds "
        "two energy references, other units and wrong signs.",
    )


class Training(OwnData):
    """The interatomic potential."""

    def of_the_fit(self) -> dict[str, Any]:
        """What the fit itself depends on: another value here means another potential."""
        data = set(OwnData.model_fields) - {"reference_energies_ev"}
        others = {"committee", *data}
        if self.trainer != "pacemaker":
            others |= {name for name in type(self).model_fields if name.startswith("pacemaker_")}
        if self.trainer != "linear-ace" or self.densities == 1:
            others |= {"density_iterations"}
        return self.model_dump(exclude=others)

    trainer: Trainer = Field(
        "linear-ace",
        description="What fits the potential: 'linear-ace', 'pacemaker' (a program with a licence of its own, see "
        "docs/pacemaker.md), or a trainer that an installed package offers.",
    )
    cutoff_angstrom: Positive = Field(description="Cutoff of the potential, A.")
    degrees: Annotated[list[Degrees], Field(min_length=1), AfterValidator(nested)] = Field(
        [[8, 6, 4], [12, 8, 6], [14, 10, 8], [16, 12, 8], [18, 14, 10], [20, 16, 12], [22, 18, 14], [25, 21, 17]],
        description="Bases to choose from, smallest first: largest total degree of the two-, three-, ... body "
        "functions. One entry fixes the basis.",
    )
    environments_per_function: Positive = Field(
        3.0,
        description="Bases that leave fewer atomic environments per function and element are not used: gamma would "
        "mean nothing.",
    )
    cutoff_factors: Tried = Field(
        [1.0], description="Cutoffs to choose from, as multiples of cutoff_angstrom. One entry fixes it."
    )
    energy_weights: Tried = Field(
        [10.0, 30.0],
        description="Weights of an energy (per atom^1/2) against a force to choose from, A. One entry fixes it.",
    )
    prior_powers: Annotated[list[NotNegative], Field(min_length=1), BeforeValidator(alone)] = Field(
        [4.0, 6.0],
        description="Priors to choose from: coefficients are expected to fall as this power of the degree. One entry "
        "fixes it.",
    )
    folds: Count = Field(
        5,
        description="Parts of the training data, of whole trajectories, that are held out in turn to choose basis, "
        "cutoff, weight and prior. 1: the evidence chooses.",
    )
    potential: Literal["fast", "balanced", "accurate"] = Field(
        "balanced",
        description="Which member of the family is the potential: the lowest held-out error (accurate), or the "
        "smallest basis that comes near it.",
    )
    balanced_error_ratio: AtLeastOne = Field(
        1.15, description="The balanced potential: smallest basis with at most so many times the best held-out error."
    )
    fast_error_ratio: AtLeastOne = Field(
        1.5, description="The fast potential: smallest basis with at most so many times the best held-out error."
    )
    stress_weight: NotNegative = Field(1.0, description="Weight of a virial (per atom^1/2) against a force, A.")
    densities: Annotated[int, Field(ge=1, le=2)] = Field(
        1,
        description="Atomic densities: 1 (linear), or 2 with a Finnis-Sinclair square root of the second. linear-ace "
        "keeps a second one only where it predicts held-out trajectories better. With 2, kept or not, there is no "
        "posterior and no committee.",
    )
    density_iterations: Count = Field(300, description="Iterations of linear-ace's fit of two densities, at most.")
    baseline: Literal["zbl", "lennard-jones", "none"] = Field(
        "zbl",
        description="Repulsion subtracted before and added after the fit: screened nuclei (zbl), or Lennard-Jones cut "
        "at its minimum (Weeks, Chandler, Andersen 1971).",
    )
    zbl_inner_angstrom: Positive = Field(description="ZBL is whole below this distance, A.")
    zbl_outer_angstrom: Positive = Field(description="ZBL has ended at this distance, A.")
    lj_sigma_angstrom: dict[str, Positive] = Field(
        {},
        description="Lennard-Jones sigma by element ('Si') or pair ('O-Si'), A. Not given: the repulsion ends at 0.72 "
        "of the sum of covalent radii (Cordero 2008); pairs take the mean of their elements.",
    )
    lj_epsilon_ev: dict[str, Positive] = Field(
        {},
        description="Lennard-Jones epsilon by element or pair, eV. Not given: as strong as ZBL at 0.45 of the sum of "
        "covalent radii; pairs take the geometric mean of their elements.",
    )
    committee: Annotated[int, Field(ge=0)] = Field(
        8, description="Potentials drawn from the posterior of the last one, to tell errors of derived quantities."
    )
    pacemaker_command: str = Field(
        "pacemaker",
        description="How pacemaker is started: its path, or several words ('conda run -n NAME pacemaker'). The Python "
        "of its environment is found beside it.",
    )
    pacemaker_ladder_step: Annotated[int, Field(ge=0)] = Field(
        0, description="Functions added at a time, from the smallest of 'degrees' to the chosen one; 0: all at once."
    )
    pacemaker_maxiter: Count = Field(200, description="Iterations of pacemaker's optimiser (of each ladder step).")
    pacemaker_max_seconds: Count = Field(
        3600, description="Wall time of pacemaker, s; the potential it has by then is used."
    )

    @model_validator(mode="after")
    def _zbl_inside(self) -> Training:
        shortest = self.cutoff_angstrom * min(self.cutoff_factors)
        if not self.zbl_inner_angstrom < self.zbl_outer_angstrom < shortest:
            raise ValueError(
                "zbl_inner_angstrom < zbl_outer_angstrom < cutoff_angstrom (times the smallest of cutoff_factors) is "
                f"needed, not {self.zbl_inner_angstrom}, {self.zbl_outer_angstrom}, {shortest:g}"
            )
        return self


class Simulation(Section):
    """Molecular dynamics with the new potential, watching its own uncertainty."""

    engine: Literal["ase"] = Field("ase", description="Program that runs the dynamics.")
    temperatures_k: Temperatures = Field(description="Temperatures of the walkers, K.")
    walkers_per_temperature: Count = Field(
        2,
        description="Independent walkers at each temperature: the first starts from the reference (of molecules: the "
        "condensed phase), the others in each generation from another starting structure.",
    )
    steps: Count = Field(10000, description="MD steps of a walker.")
    timestep_fs: Positive = Field(description="MD time step, fs.")
    friction_per_ps: Positive = Field(5.0, description="Friction of the Langevin thermostat, 1/ps.")
    gamma_interval_steps: Count = Field(10, description="The extrapolation grade is computed every so many steps.")
    frames_per_walker: Count = Field(20, description="Uncertain frames kept of one walker, at most.")
    minimum_distance_fraction: Fraction = Field(
        0.5, description="A walker stops when a distance falls below this fraction of the sum of covalent radii."
    )


class ErrorLimits(Section):
    """When the errors on the test set are small enough."""

    energy_rmse_max_mev_per_atom: Positive = Field(5.0, description="Allowed energy error on the test set, meV/atom.")
    force_rmse_max_mev_per_angstrom: Positive = Field(150.0, description="Allowed force error on the test set, meV/A.")


class Validation(ErrorLimits):
    """Properties that a user checks first, and when they are good enough."""

    eos_points: Annotated[int, Field(ge=5)] = Field(9, description="Volumes of the equation of state.")
    eos_volume_strain_max: Fraction = Field(0.08, description="Largest relative change of volume, to both sides.")
    elastic_strain: Fraction = Field(0.005, description="Strain of the finite differences of the elastic constants.")
    lattice_constant_relative_max: Positive = Field(description="Allowed relative error of the lattice constant.")
    bulk_modulus_relative_max: Positive = Field(description="Allowed relative error of the bulk modulus.")


class Config(Section):
    """The whole configuration of one run."""

    composition: str = Field(
        description="Chemical formula (Si, FePt, Al0.9Mg0.1): the one thing that must be given, unless molecule or "
        "structure says it."
    )
    run: RunName = Field(description="Name of the run: everything is written to results/<run>/.")
    seed: Seed = Field(1, description="Feeds every random choice.")
    molecule: str = Field("", description="The molecule meant: a name ('ethanol'), a SMILES ('CCO') or a file.")
    structure: str = Field(description="File of the crystal meant (CIF, POSCAR, ...), in place of a search for it.")
    material_class: Classes = Field(
        alias="class", description="What kind of material this is, the most fitting first; several may apply."
    )
    structures: Structures
    exploration: Exploration
    test: Test
    sampling: Sampling
    active_learning: ActiveLearning
    labelling: Labelling
    training: Training
    simulation: Simulation
    validation: Validation

    @property
    def elements(self) -> list[str]:
        """Element symbols of the composition, in its order."""
        return list(self.amounts)

    @property
    def amounts(self) -> dict[str, float]:
        """Amount of each element, in the formula's order; multiples are reduced unless they are a known molecule."""
        return amounts_of(self.composition, self.molecule)
