"""The part of the report on the frames that were chosen: where they lie among what was seen, and why each was taken."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mlip_autopipec.report.map_figure import beyond_the_edge, map_of_frames
from mlip_autopipec.report.records import Record, Records

LISTED = ("labelled", "failed", "chosen")
METHODS = {
    "direct": "DIRECT, one or a few of each cluster in the space of principal components",
    "farthest-point": "farthest points, each as far as can be from all taken before",
    "d-optimal": "D-optimality, those that say most about the coefficients of the potential's own basis",
    "random": "chance",
    "stratified-random": "chance, as many from each source",
}
DESCRIPTORS = {"soap": "SOAP", "surrogate": "the surrogate's own invariants"}
STATES = {"labelled": "labelled", "failed": "label refused", "chosen": "chosen, not labelled"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cover(_Part):
    """How near the labelled frames are to what was seen.

    Distances are Euclidean between standardised principal components of the descriptor, in standard deviations of a
    feature.
    """

    radius: float | None = Field(description="Typical spacing: median distance of a chosen frame to the nearest other.")
    covered: float | None = Field(
        description="Share of the frames seen with a label of generation 0 within that distance."
    )
    covered_random: float | None = Field(description="The same with as many frames taken at random.")
    covered_stratified: float | None = Field(description="The same with as many taken at random from each source.")
    mean_gap: float | None = Field(description="Mean distance of a frame seen to the nearest label of generation 0.")
    largest_gap: float | None = Field(description="Largest such distance.")
    mean_gap_random: float | None = Field(description="`mean_gap` with as many frames taken at random.")
    largest_gap_random: float | None = Field(description="`largest_gap` with as many frames taken at random.")
    mean_gap_ratio: float | None = Field(
        description="`mean_gap_random` by `mean_gap`: above 1 the choice is nearer to what was seen than chance."
    )
    mean_gap_ratio_stratified: float | None = Field(description="The same against random with as many of each source.")
    covered_by_all_labels: float | None = Field(description="`covered` with the labels of all generations.")
    uncertain: int = Field(description="Frames on the map that a generation's potential was uncertain about.")
    uncertain_near: int = Field(description="Of these, frames with a label within the radius at that time.")
    uncertain_outside: int = Field(
        description="Of these, frames farther from every label of that time than any frame seen was."
    )


class Choosing(_Part):
    """How the frames to be labelled were chosen."""

    method: str = Field(description="`sampling.method`, of generation 0.")
    descriptor: str | None = Field(description="`sampling.descriptor`; null where the record does not say.")
    pool_frames: int = Field(description="Different frames seen before the choice: starting structures and walkers'.")
    chosen: int = Field(description="Candidates chosen among them.")
    coverage: Cover | None = Field(description="How well the labels cover what was seen; null without a map.")


def build_choosing(records: Records) -> Choosing | None:
    """The summary's part; None where nothing was chosen because the data were given."""
    record = records.candidates
    if record is None:
        return None
    descriptor = record.get("descriptor")
    if descriptor is None and records.map is not None:
        descriptor = records.map.get("descriptor")
    return Choosing(
        method=record["method"],
        descriptor=descriptor,
        pool_frames=record["frames"],
        chosen=record["chosen"],
        coverage=None if records.map is None else _cover(records.map["coverage"]),
    )


def _cover(found: Record) -> Cover:
    rows, uncertain = found["generations"], found["uncertain"]
    first = rows[0] if rows else {}
    random, stratified = found["random"], found["stratified"]
    return Cover(
        radius=found["radius"],
        covered=first.get("covered"),
        covered_random=random["covered"],
        covered_stratified=stratified["covered"],
        mean_gap=first.get("mean_gap"),
        largest_gap=first.get("largest_gap"),
        mean_gap_random=random["mean_gap"],
        largest_gap_random=random["largest_gap"],
        mean_gap_ratio=found["mean_gap_ratio"],
        mean_gap_ratio_stratified=found["mean_gap_ratio_stratified"],
        covered_by_all_labels=rows[-1]["covered"] if rows else None,
        uncertain=sum(row["frames"] for row in uncertain),
        uncertain_near=sum(row["near"] or 0 for row in uncertain),
        uncertain_outside=sum(row["outside"] or 0 for row in uncertain),
    )


def section(records: Records) -> dict[str, Any]:
    """What the template needs; `picture` is empty where a run has no map."""
    found = records.map
    if found is None or records.candidates is None:
        return {"picture": ""}
    listed = [one for one in found["points"] if one["what"] in LISTED]
    return {
        "picture": map_of_frames(found["points"], found["axes"]),
        "beyond": beyond_the_edge(found["points"]),
        "drawn": sum(one["what"] == "seen" for one in found["points"]),
        "not_chosen": found["coverage"]["seen"] - found["coverage"]["chosen"],
        "sentences": [_how(records, found), *_covered(found["coverage"])],
        "uncertain": _uncertain(found["coverage"]),
        "coverage": found["coverage"],
        "covers": cover_rows(found["coverage"]),
        "sources": [row | {"words": _source(row["name"])} for row in found["coverage"]["by_source"]],
        "kinds": found["coverage"]["by_type"],
        "frames": [
            one | {"state": STATES[one["what"]], "from": _source(one["source"])}
            for one in sorted(listed, key=lambda one: (one["generation"] or 0, one["what"] != "labelled"))
        ],
    }


def _source(name: str) -> str:
    if name == "structures":
        return "starting structures"
    if name.startswith("simulated gen"):
        return f"uncertain in generation {name.removeprefix('simulated gen')}"
    return name


def _how(records: Records, found: Record) -> str:
    candidates = records.candidates or {}
    method, descriptor = candidates["method"], found.get("descriptor") or candidates.get("descriptor")
    told = f", told apart by {DESCRIPTORS.get(descriptor, descriptor)}" if descriptor else ""
    always, number = candidates.get("always", 0), candidates["chosen"]
    by = METHODS.get(method, method)
    how = f"{always} of types that are always taken, the others by {by}" if always else f"by {by}"
    return (
        f"Starting structures and walkers gave {candidates['frames']} different frames{told}. "
        f"{number} of them were chosen: {how if always < number else 'all of types that are always taken'}."
    )


def _covered(found: Record) -> list[str]:
    rows, random = found["generations"], found["random"]
    first = rows[0] if rows else {"covered": None}
    if first["covered"] is None or random["covered"] is None:
        return ["No label of generation 0 was accepted, so nothing of what was seen is covered."]
    said = [
        f"A frame is covered when one that was labelled lies within {found['radius']:.2f} of it: the typical distance "
        f"from one chosen frame to the next. The {first['labelled']} labels of generation 0 cover "
        f"{_percent(first['covered'])} of all that was seen; as many frames taken at random would cover "
        f"{_percent(random['covered'])}. {_ratio_words(found['mean_gap_ratio'])}"
    ]
    test = found["test"]
    if test["frames"] and test["covered"] is not None:
        said.append(
            f"The {test['frames']} test frames, of trajectories of their own, lie {test['mean_gap']:.2f} from the "
            f"nearest label on average; {_percent(test['covered'])} of them are covered."
        )
    return said


def _ratio_words(ratio: float | None) -> str:
    if ratio is None:
        return ""
    if 0.95 < ratio < 1.05:
        return "On average a frame that was seen is about as far from the nearest label as with random ones."
    if ratio > 1:
        return f"With random ones the nearest label would be {ratio:.2f} times as far on average."
    return (
        f"With random ones the nearest label would be nearer on average ({ratio:.2f} times as far): the choice spent "
        "frames on what is rare, where chance follows the crowd."
    )


def cover_rows(found: Record) -> list[Record]:
    """The labels beside random choices of as many frames; empty where there is no label."""
    rows = found["generations"]
    if not rows or rows[0]["covered"] is None:
        return []
    number = rows[0]["labelled"]
    made = [("the labels of generation 0", number, rows[0]), ("as many at random", number, found["random"])]
    made.append(("at random, as many from each source", number, found["stratified"]))
    if len(rows) > 1:
        made.append(("the labels of all generations", rows[-1]["labelled"], rows[-1]))
    keys = ("covered", "mean_gap", "largest_gap")
    return [{"name": name, "frames": frames, **{key: row[key] for key in keys}} for name, frames, row in made]


def _uncertain(found: Record) -> list[Record]:
    rows = [row for row in found["uncertain"] if row["frames"] and row["near"] is not None]
    return [row | {"between": row["frames"] - row["near"] - row["outside"]} for row in rows]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
