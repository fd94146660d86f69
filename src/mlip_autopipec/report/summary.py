"""The machine's report: `summary.json`, whose keys are documented by these models and stay stable."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mlip_autopipec.config import Config, DataConfig
from mlip_autopipec.config.classify import classify
from mlip_autopipec.report.audit import Audit, build_audit
from mlip_autopipec.report.choice import Choosing, build_choosing
from mlip_autopipec.report.doubts import label_cautions, mixed_labels, noisy_labels, smeared_atoms
from mlip_autopipec.report.records import Records, finite
from mlip_autopipec.report.teacher import source_of, worded
from mlip_autopipec.report.walkers import reached_k


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite_or_none)]

NO_LOOP = "trained once on given data: there was no loop of simulations that look for what is uncertain"


class Part(BaseModel):
    """Base of all parts: every documented key is there; what could not be computed is null."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassWeight(Part):
    """How far the material belongs to a class, judged by its composition."""

    material_class: str = Field(alias="class", description="metal, alloy, ionic, covalent, molecular or noble.")
    weight: Number = Field(description="Between 0 (not at all) and 1.")
    reasons: list[str] = Field(description="Why, one sentence each.")


class GenerationLabels(Part):
    """Training labels of one generation."""

    generation: int = Field(description="Number of the generation, from 0.")
    requested: int = Field(description="Frames that a label was asked for.")
    accepted: int = Field(description="Frames with a label that may be trained on.")
    quarantined: int = Field(description="Frames without such a label.")
    recovered: int = Field(description="Accepted frames that needed more than one attempt.")
    core_hours: float = Field(description="CPU time of these labels, core-hours.")


class Quarantined(Part):
    """A frame that was refused."""

    batch: str = Field(description="'training', 'test', 'equation of state' or 'isolated atom'.")
    name: str = Field(description="Name of the frame: that of its label file, or file@number in the user's own data.")
    uid: str = Field("", description="Identity of the structure where the name is not that of a label file.")
    config_type: str = Field(description="Type of the structure.")
    outcome: str = Field("", description="What happened, in one word; empty for the user's own data.")
    kind: str = Field(description="Whose matter it is: physics, structure, configuration, infrastructure or data.")
    reason: str = Field(description="Why, in words.")


class Labels(Part):
    """Training labels; test and equation of state are not counted here."""

    requested: int = Field(description="Frames that a label was asked for, all generations.")
    accepted: int = Field(description="Labels that may be trained on.")
    quarantined: int = Field(description="Frames without such a label.")
    recovered: int = Field(description="Accepted frames that needed more than one attempt.")
    not_started: int = Field(0, description="Frames left out because the budget was spent.")
    by_generation: list[GenerationLabels] = Field(description="The same, generation by generation.")
    quarantine: list[Quarantined] = Field(
        description="Every refused frame with its reason; those of test, equation of state and isolated atoms too."
    )


class CoreHours(Part):
    """CPU time of DFT by what it was for, core-hours; 0 where labels are a teacher's."""

    training: float = Field(description="Training labels of all generations.")
    test: float = Field(description="Test labels.")
    equation_of_state: float = Field(description="Cells of the equation of state.")
    isolated_atoms: float = Field(description="Isolated reference atoms.")


class Errors(Part):
    """Errors of the delivered potential on labelled frames."""

    frames: int = Field(description="Labelled frames.")
    energy_rmse_mev_per_atom: Number = Field(description="Root-mean-square error of the energy, meV/atom.")
    energy_mae_mev_per_atom: Number = Field(description="Mean absolute error of the energy, meV/atom.")
    force_rmse_mev_per_angstrom: Number = Field(description="Root-mean-square error of a force component, meV/A.")
    force_mae_mev_per_angstrom: Number = Field(description="Mean absolute error of a force component, meV/A.")
    stress_rmse_gpa: Number = Field(description="Root-mean-square error of a stress component, GPa.")


class TrainErrors(Errors):
    """Errors on the training labels, and the size of the basis."""

    functions: int = Field(description="Basis functions of the potential.")
    stress_offset_gpa: Number = Field(
        description="Isotropic offset of the DFT stresses (Pulay stress), GPa; null without labelled stresses."
    )


class TestErrors(Errors):
    """Errors on frames from trajectories of their own, which no selection saw."""

    requested: int = Field(description="Test frames that a label was asked for.")


class Check(Part):
    """A value with pass or fail."""

    what: str = Field(description="What the value is, with its unit.")
    value: Number = Field(description="Value of the potential; null when there is none.")
    reference: Number = Field(
        description="Value by what made the labels (DFT, or `label_source`) on the same cells if there is a relative "
        "error, else the limit."
    )
    relative_error: Number = Field(None, description="Distance of value and reference, relative to the reference.")
    relative_error_max: Number = Field(None, description="Largest relative error allowed by the config.")
    passed: bool = Field(description="Whether the value is within its limit.")


class ElasticConstants(Part):
    """Elastic constants of the potential at its own equilibrium, GPa. There is no DFT reference for them."""

    c11_gpa: Number = Field(description="C11.")
    c12_gpa: Number = Field(description="C12.")
    c44_gpa: Number = Field(description="C44.")
    bulk_modulus_gpa: Number = Field(description="Bulk modulus, Voigt-Reuss-Hill average.")
    shear_modulus_gpa: Number = Field(description="Shear modulus, Voigt-Reuss-Hill average.")


class Validation(Part):
    """Properties of the potential. A check that could not be made is null, and `failures` says why."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Check] = Field(init=False)

    lattice_constant: Check | None = Field(None, description="Lattice constant against DFT on the same cells, A.")
    bulk_modulus: Check | None = Field(
        None,
        description="Bulk modulus against DFT on the same cells, GPa; of a crystal that is not cubic or has free inner "
        "coordinates the stiffness against uniform scaling, both as relaxed by the surrogate (`what` says so).",
    )
    bond_scale: Check | None = Field(
        None, description="Of a molecule: scale of its distances at equilibrium against DFT on the same frames."
    )
    breathing_stiffness: Check | None = Field(
        None, description="Of a molecule: second derivative of the energy by that scale against DFT, eV."
    )
    mechanical_stability: Check | None = Field(None, description="Smallest eigenvalue of the elastic tensor, GPa.")
    test_energy_rmse: Check | None = Field(None, description="Energy error on the test set, meV/atom.")
    test_force_rmse: Check | None = Field(None, description="Force error on the test set, meV/A.")
    elastic_constants: ElasticConstants | None = Field(None, description="Elastic constants of the potential.")


class DataRange(Part):
    """What the training data cover."""

    volume_change: tuple[float, float] | None = Field(
        description="Smallest and largest relative change of a crystal's volume; null where none was strained."
    )
    pressure_gpa: tuple[float, float] | None = Field(description="Range of the training DFT pressures, GPa.")
    explored_k: tuple[float, float] | None = Field(description="Range of temperatures of the surrogate's walkers, K.")
    simulated_k: tuple[float, float] | None = Field(description="Range of temperatures of the last walkers, K.")
    quiet_k: list[float] = Field(
        description="Temperatures at which all walkers of the last round finished without an uncertain frame, K."
    )


class FamilyMember(Part):
    """A potential of the same data, smaller or larger."""

    functions: int = Field(description="Basis functions.")
    energy_rmse_mev_per_atom: Number = Field(description="Test error of the energy, meV/atom.")
    force_rmse_mev_per_angstrom: Number = Field(description="Test error of a force component, meV/A.")
    cpu_us_per_atom: Number = Field(description="CPU time of energy and forces where it was made, microseconds/atom.")


class Coverage(Part):
    """Parts of the test labels within one and two expected standard deviations (Gaussian: 0.68 and 0.95)."""

    energy_within_one: Number = Field(None, description="Energies within one.")
    energy_within_two: Number = Field(None, description="Energies within two.")
    force_within_one: Number = Field(None, description="Force components within one.")
    force_within_two: Number = Field(None, description="Force components within two.")


class PotentialFiles(Part):
    """Files of the delivered potential, relative to where Snakemake ran."""

    yaml: str = Field(description="B-basis form: for our ASE calculator and LAMMPS pace/extrapolation.")
    yace: str = Field(description="Contracted form: for LAMMPS pace.")
    asi: str = Field(description="Active set, from which gamma is computed.")


class SourceOfLabels(Part):
    """What made the labels: density functional theory, or a teacher."""

    engine: str = Field(description="`labelling.engine`.")
    name: str = Field(description="The program, or the teacher.")
    kind: str = Field(description="What it is, in a few words.")
    dft: bool | None = Field(description="Whether the labels are density functional theory; null where unknown.")
    words: str = Field(description="The same as a sentence.")


class Summary(Part):
    """Everything a program may want to know about a finished run."""

    run: str = Field(description="Name of the run: all files are in results/<run>/.")
    composition: str = Field(description="Chemical formula as the user wrote it.")
    material_class: list[str] = Field(alias="class", description="Kind of material; empty for data of the user's own.")
    classification: list[ClassWeight] | None = Field(
        description="How the composition was judged; null for data of the user's own."
    )
    structures: dict[str, int] | None = Field(
        description="Starting structures by type; null for data of the user's own."
    )
    seed: int = Field(description="Seed of every random choice.")
    versions: dict[str, str] = Field(description="Versions of Python, packages and what made the labels.")
    converged: bool | None = Field(
        description="Whether a full round of walkers met nothing uncertain; null without a loop."
    )
    reason: str = Field(description="Why the loop ended, in words.")
    generations: int = Field(description="Generations made.")
    sampling: Choosing | None = Field(
        description="How the frames to be labelled were chosen; null for data of the user's own."
    )
    labels: Labels = Field(description="Training labels.")
    label_source: SourceOfLabels | None = Field(description="What made the labels; null for data of the user's own.")
    label_core_hours: float = Field(
        description="CPU time of all labels, tests and references too, whatever made them, core-hours."
    )
    dft_core_hours: float = Field(
        description="The same where the labels are DFT, or may be (`label_source.dft` is true or null); 0 where they "
        "are not."
    )
    dft_core_hours_by_purpose: CoreHours = Field(description="`dft_core_hours` by purpose.")
    audit: Audit | None = Field(description="What became of all labels; null for data of the user's own.")
    data: DataRange = Field(description="What the training data cover.")
    train: TrainErrors = Field(description="Errors on the training labels.")
    test: TestErrors = Field(description="Errors on the test labels.")
    validation: Validation = Field(description="Properties with pass or fail.")
    potential: PotentialFiles = Field(description="Files of the potential.")
    family: dict[str, FamilyMember] = Field(description="Fast, balanced and accurate; empty with other trainers.")
    coverage: Coverage | None = Field(description="How well its expected errors hold; null where there are none.")
    passed: bool = Field(description="Whether every check passed. Says nothing about convergence.")
    failures: list[str] = Field(description="What did not pass, one sentence each.")
    warnings: list[str] = Field(description="What labelling, training and validation warned of, one sentence each.")
    cautions: list[str] = Field(
        description="Limits of the labels themselves (functional, spin, relativity), one sentence each; no check of "
        "this run sees them. Empty for data of the user's own."
    )
    scope: list[str] = Field(description="What the checks of properties say and what not, one sentence each.")


def build_summary(config: Config | DataConfig, records: Records) -> Summary:
    """Gather what `summary.json` says about a run."""
    alone = isinstance(config, DataConfig)
    dataset, potential, evaluation = records.dataset, records.potential, records.evaluation
    hours, source = records.core_hours(), source_of(config)
    of_dft = {name: 0.0 if source is not None and source.dft is False else value for name, value in hours.items()}
    counts = {key: dataset[key] for key in ("requested", "accepted", "quarantined", "recovered")} | {
        "not_started": dataset.get("not_started", 0)
    }
    more = {"functions": potential["functions"], "stress_offset_gpa": potential.get("stress_offset_gpa")}
    return Summary.model_validate(
        {
            "run": config.run,
            "composition": config.composition,
            "class": _material_class(config),
            "classification": _classification(config),
            "structures": types_of_structures(records),
            "seed": config.seed,
            "versions": potential["versions"] | _engines(records),
            "converged": None if alone else records.assessment["converged"],
            "reason": NO_LOOP if alone else records.assessment["reason"],
            "generations": records.generations,
            "sampling": build_choosing(records),
            "labels": counts | {"by_generation": records.labels_by_generation(), "quarantine": records.quarantine()},
            "label_source": None
            if source is None
            else {key: getattr(source, key) for key in SourceOfLabels.model_fields},
            "label_core_hours": sum(hours.values()),
            "dft_core_hours": sum(of_dft.values()),
            "dft_core_hours_by_purpose": {name.replace(" ", "_"): value for name, value in of_dft.items()},
            "audit": build_audit(records.audit),
            "data": data_range(config, records),
            "train": evaluation["train"] | more,
            "test": evaluation["test"] | {"requested": records.test["requested"]},
            "validation": records.verdict["checks"] | {"elastic_constants": _constants(records.elastic)},
            "family": _family(records.family),
            "coverage": _coverage(records.uncertainty),
            "potential": {kind: f"{records.potential_stem}.{kind}" for kind in PotentialFiles.model_fields},
            "passed": records.verdict["passed"] and not mixed_labels(records.audit),
            "failures": [*mixed_labels(records.audit), *(worded(one, source) for one in records.verdict["failures"])],
            "warnings": [
                *dataset.get("user_warnings", []),
                *smeared_atoms(dataset),
                *potential["warnings"],
                *records.verdict.get("warnings", []),
            ],
            "cautions": label_cautions(config) + noisy_labels(records.audit, evaluation["test"]),
            "scope": [worded(one, source) for one in records.verdict.get("scope", [])],
        }
    )


def _material_class(config: Config | DataConfig) -> list[str]:
    if isinstance(config, Config):
        return list(config.material_class)
    return []  # elements alone do not say whether data are of molecules or of a crystal


def _classification(config: Config | DataConfig) -> list[dict[str, Any]] | None:
    if isinstance(config, DataConfig):
        return None
    return [
        {"class": one.material_class, "weight": one.weight, "reasons": list(one.reasons)}
        for one in classify(config.amounts)
    ]


def types_of_structures(records: Records) -> dict[str, int] | None:
    """Number of starting structures of each type; None for data of the user's own."""
    return None if records.structures is None else dict(records.structures["by_type"])


def _family(family: dict[str, Any] | None) -> dict[str, Any]:
    members = family["members"] if family is not None else {}
    errors = ("energy_rmse_mev_per_atom", "force_rmse_mev_per_angstrom")
    return {
        role: {key: one[key] for key in ("functions", "cpu_us_per_atom")} | {key: one["test"][key] for key in errors}
        for role, one in members.items()
    }


def _coverage(uncertainty: dict[str, Any] | None) -> dict[str, Any] | None:
    if uncertainty is None:
        return None
    return {key: uncertainty["test"]["after"].get(key) for key in Coverage.model_fields}


def _constants(elastic: dict[str, Any]) -> dict[str, Any] | None:
    return {key: elastic[key] for key in ElasticConstants.model_fields} if elastic else None


def data_range(config: Config | DataConfig, records: Records) -> DataRange:
    """What the training data cover; the range of volumes is that of the starting cells, walkers may go further."""
    frames = records.evaluation["train_frames"]
    strained = isinstance(config, Config) and {row["config_type"] for row in frames} & {"volume", "rattle"}
    change = config.structures.volume_strain_max if isinstance(config, Config) and strained else None
    pressures = finite(-sum(row["stress_label_gpa"][:3]) / 3 for row in frames if "stress_label_gpa" in row)
    latest = [one for one in records.simulated if one["generation"] == max(records.assessments, default=0)]
    uneasy = {one["temperature_k"] for one in latest if one["stopped"] or one["uncertain_frames"]}
    return DataRange(
        volume_change=None if change is None else (-change, change),
        pressure_gpa=(min(pressures), max(pressures)) if pressures else None,
        explored_k=_extent([t for one in records.explored for t in reached_k(one)]),
        simulated_k=_extent([one["temperature_k"] for one in latest]),
        quiet_k=sorted({one["temperature_k"] for one in latest} - uneasy),
    )


def _extent(temperatures: list[float]) -> tuple[float, float] | None:
    return (min(temperatures), max(temperatures)) if temperatures else None


def _engines(records: Records) -> dict[str, str]:
    """Versions of the DFT program by its name; several are joined."""
    found: dict[str, set[str]] = {}
    for record in (records.dataset, records.test, records.eos_labels):
        for engine in record["engine"]:
            name, _, version = engine.partition(" ")
            found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(several)) for name, several in found.items()}
