"""The part of the report on the labels themselves: what became of them, what recovery did, hours, doubts, noise."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mlip_autopipec.report.records import Record, Records

BATCHES = {"test": "test", "eos": "reference, larger and smaller", "atoms": "isolated atoms"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rung(_Part):
    """A way in which a failed run was tried again."""

    rung: str = Field(description="Parameters that were changed; 'the same again' after a failure of the machine.")
    used: int = Field(description="Attempts with it.")
    helped: int = Field(description="Of these, attempts that gave a label.")


class State(_Part):
    """A starting state of the magnetic moments."""

    state: str = Field(description="Name of the state.")
    tried: int = Field(description="Frames that it was tried on.")
    converged: int = Field(description="Frames on which it gave an energy.")
    kept: int = Field(description="Frames on which that was the lowest.")


class Doubted(_Part):
    """A label that the engine accepted and its neighbours contradict."""

    name: str = Field(description="Name of the frame.")
    config_type: str = Field(description="Type of the structure.")
    outcome: str = Field(description="energy_outlier, force_outlier or moment_collapsed.")
    reason: str = Field(description="Why, in words.")


class Review(_Part):
    """Labels judged by each other."""

    judged: int = Field(description="Labels with enough neighbours to be judged.")
    not_judged: int = Field(description="Labels with too few.")
    method: str = Field(description="How, in words.")
    flagged: list[Doubted] = Field(description="Labels that are quarantined by it.")
    corrected: list[str] = Field(description="Frames whose label was replaced by a lower one with its moments back.")
    confirmed: list[str] = Field(description="Frames whose moments are gone in the lowest state that was found.")


class Noise(_Part):
    """How far labels are from labels at tighter settings, root mean square; null where not measured."""

    measured: bool = Field(description="Whether there is a measurement.")
    reason: str = Field(description="How it was measured, or why not.")
    energy_mev_per_atom: float | None = Field(description="Energy, constants per element taken out, meV/atom.")
    force_mev_per_angstrom: float | None = Field(description="A force component, meV/A.")
    stress_gpa: float | None = Field(description="A stress component, constant pressure taken out, GPa.")
    labels: int = Field(description="Labels that were run again.")
    failed: int = Field(description="Runs at tighter settings that gave nothing.")


class Audit(_Part):
    """What became of all labels: training, test, equation of state and isolated atoms together."""

    labels: int = Field(description="Labels that were asked for.")
    by_class: dict[str, int] = Field(
        description="By whose matter: ok, physics, structure, configuration, infrastructure, budget (not started)."
    )
    outcomes: dict[str, int] = Field(description="By what happened, in one word.")
    recovered: int = Field(description="Accepted labels that needed a rung.")
    rungs: list[Rung] = Field(description="What recovery tried, and how often it helped.")
    stopped_early: int = Field(description="Attempts that were ended because they would not have converged.")
    core_hours: float = Field(description="Wall time times ranks of all attempts, core-hours.")
    wasted_core_hours: float = Field(description="Of these, attempts that gave nothing.")
    cut_off_core_hours: float = Field(
        description="Of these, runs that left no label: ended with their job, or made again."
    )
    retry_core_hours: float = Field(description="Runs of frames whose moments had collapsed, core-hours.")
    noise_core_hours: float = Field(description="Runs at tighter settings, core-hours.")
    budget_core_hours: float | None = Field(description="Budget of the configuration; null without one.")
    engines: dict[str, int] = Field(description="Accepted labels by engine and version.")
    branches: dict[str, int] = Field(description="Accepted labels by the starting state that was kept.")
    states: list[State] = Field(description="Starting states that were tried; empty without spin.")
    review: Review | None = Field(description="Labels judged by each other; null without a loop.")
    noise: Noise | None = Field(description="Label noise; null without a loop.")


def build_audit(record: Record | None) -> Audit | None:
    """The summary's part from the record of `labelling.audit`."""
    if record is None:
        return None
    values = {key: record[key] for key in Audit.model_fields if key not in ("rungs", "noise")}
    noise = record["noise"]
    if noise is not None:
        told = ("measured", "reason", "energy_mev_per_atom", "force_mev_per_angstrom", "stress_gpa")
        noise = {key: noise[key] for key in told} | {"labels": len(noise["frames"]), "failed": len(noise["failed"])}
    rungs = [{key: one[key] for key in Rung.model_fields} for one in record["rungs"]]
    return Audit.model_validate(values | {"rungs": rungs, "noise": noise})


def section(records: Records) -> dict[str, Any]:
    """What the template needs; `rows` is empty where there was no audit."""
    record = records.audit
    if record is None:
        return {"rows": []}
    return {
        **record,
        "rows": [row | {"name": _batch(row["batch"])} for row in record["by_batch"]],
        "hours": _hours(record),
        "noise_words": _noise_words(record["noise"]),
    }


def _batch(name: str) -> str:
    return BATCHES.get(name, name.replace("gen", "generation "))


def _hours(record: Record) -> str:
    spent, wasted = record["core_hours"], record["wasted_core_hours"]
    share = f", {100 * wasted / spent:.1f} %" if spent else ""
    words = f"{spent:.4f} core-hours were spent, {wasted:.4f} of them on attempts that gave nothing{share}"
    if record["cut_off_core_hours"]:
        lost = record["cut_off_core_hours"]
        words += f" ({lost:.4f} of runs that left no label: ended with their job, or made again)"
    extra = record["retry_core_hours"] + record["noise_core_hours"]
    if extra:
        words += f"; {extra:.4f} more went into checks (moments started again, runs at tighter settings)"
    if record["budget_core_hours"] is not None:
        words += f"; the budget was {record['budget_core_hours']:g}"
    return words + "."


def _noise_words(noise: Record | None) -> str:
    if noise is None:
        return ""
    if not noise["measured"]:
        return f"The noise of the labels was not measured: {noise['reason']}."
    stress = f", {noise['stress_gpa']:.3f} GPa of a stress component" if noise["stress_gpa"] is not None else ""
    failed = f" {len(noise['failed'])} such runs gave nothing." if noise["failed"] else ""
    return (
        f"{noise['reason']}: they differ by {noise['energy_mev_per_atom']:.2f} meV/atom (constants per element taken "
        f"out) and {noise['force_mev_per_angstrom']:.1f} meV/Å of a force component{stress}. Nothing trained on these "
        f"labels is nearer to converged ones than that, whatever its errors on the labels are.{failed}"
    )
