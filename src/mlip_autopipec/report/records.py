"""What the stages left behind, read once: every number of the report comes from here or from the config."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mlip_autopipec.artifacts import read_json
from mlip_autopipec.errors import InputFileError
from mlip_autopipec.frames import ISOLATED_ATOM

Record = dict[str, Any]
T = TypeVar("T")
NO_CURVE: Record = {"dft_ev_per_atom": []}
NO_LABELS: Record = {"requested": 0, "quarantine": [], "cpu_hours": 0.0, "engine": []}
_GENERATION = re.compile(r"gen(\d+)")


@dataclass(frozen=True)
class Records:
    """The JSON records of one run; dicts by generation number are in rising order and never empty.

    A run that started from the user's own data has no parents, structures, candidates, walkers, assessments and
    equation of state.
    """

    candidates: Record | None
    explored: list[Record]
    simulated: list[Record]
    assessments: dict[int, Record]
    datasets: dict[int, Record]
    potentials: dict[int, Record]
    evaluations: dict[int, Record]
    test: Record
    eos: Record
    eos_labels: Record
    elastic: Record
    verdict: Record
    potential_stem: Path
    uncertainty: Record | None = None
    dimer: Record | None = None
    family: Record | None = None
    parents: Record | None = None
    structures: Record | None = None
    audit: Record | None = None
    map: Record | None = None

    @property
    def generations(self) -> int:
        """How many generations were made."""
        return len(self.potentials)

    @property
    def assessment(self) -> Record:
        """The assessment that ended the loop."""
        return last(self.assessments)

    @property
    def dataset(self) -> Record:
        """The record of all training labels."""
        return last(self.datasets)

    @property
    def potential(self) -> Record:
        """The record of the potential that is delivered."""
        return last(self.potentials)

    @property
    def evaluation(self) -> Record:
        """The errors of the potential that is delivered."""
        return last(self.evaluations)

    def quarantine(self) -> list[Record]:
        """Every refused frame once, with `batch`: 'training', 'test', 'equation of state' or 'isolated atom'."""
        found: dict[tuple[str, str], Record] = {}
        batches = (("training", self.dataset), ("test", self.test), ("equation of state", self.eos_labels))
        for batch, record in batches:
            for one in record["quarantine"]:
                where = "isolated atom" if one["config_type"] == ISOLATED_ATOM else batch
                found[where, one["name"]] = {"batch": where, **one}
        return list(found.values())

    def core_hours(self) -> dict[str, float]:
        """CPU time of DFT in core-hours: 'training', 'test', 'equation of state' and 'isolated atoms'.

        Every batch is collected together with the isolated atoms; they are counted once.
        """
        batches = {"training": self.dataset, "test": self.test, "equation of state": self.eos_labels}
        atoms = float(self.dataset.get("isolated_atoms_cpu_hours", 0.0))
        found = {name: one["cpu_hours"] - one.get("isolated_atoms_cpu_hours", 0.0) for name, one in batches.items()}
        return found | {"isolated atoms": atoms}

    def labels_by_generation(self) -> list[Record]:
        """What each generation asked for and got; datasets are cumulative, so costs are differences."""
        counts = {one["generation"]: one for one in self.dataset["by_generation"]}
        rows, hours, recovered = [], float(self.dataset.get("isolated_atoms_cpu_hours", 0.0)), 0
        for generation, dataset in self.datasets.items():
            one = counts.get(generation, {"requested": 0, "accepted": 0, "quarantined": 0})
            rows.append(
                {
                    **one,
                    "generation": generation,
                    "recovered": dataset["recovered"] - recovered,
                    "core_hours": dataset["cpu_hours"] - hours,
                }
            )
            hours, recovered = dataset["cpu_hours"], dataset["recovered"]
        return rows


def read_records(files: Mapping[str, Any]) -> Records:
    """Read the records of a run.

    Args:
        files: the named inputs of the rule `report`, each a path or several. `eos_labels` is the record of the
            labels of the equation of state; without it `eos_dft.json` beside `eos` is read. Without `candidates` the
            run is one that started from given data.

    Raises:
        InputFileError: a file is missing or damaged.
    """
    looped = "candidates" in files
    eos = Path(_paths(files["eos"])[0]) if looped else Path()
    potentials = by_generation(_paths(files["potentials"]))
    stem = Path(last(potentials)).with_suffix("")
    return Records(
        candidates=read_json(_paths(files["candidates"])[0]) if looped else None,
        explored=[read_json(path) for path in _paths(files.get("explored", []))],
        simulated=[read_json(path) for path in _paths(files.get("simulated", []))],
        assessments=_read_all(by_generation(_paths(files.get("assessments", [])))),
        datasets=_read_all(by_generation(_paths(files["datasets"]))),
        potentials=_read_all(potentials),
        evaluations=_read_all(by_generation(_paths(files["evaluations"]))),
        test=read_json(_paths(files["test"])[0]),
        eos=read_json(eos) if looped else NO_CURVE,
        eos_labels=read_json(_paths(files.get("eos_labels", str(eos.with_name("eos_dft.json"))))[0])
        if looped
        else NO_LABELS,
        elastic=read_json(_paths(files["elastic"])[0]) if looped else {},
        verdict=read_json(_paths(files["verdict"])[0]),
        potential_stem=stem,
        uncertainty=read_json(_paths(files["uncertainty"])[0]) if "uncertainty" in files else None,
        dimer=read_json(_paths(files["dimer"])[0]) if "dimer" in files else None,
        family=read_json(_paths(files["family"])[0]) if "family" in files else None,
        parents=read_json(_paths(files["parents"])[0]) if looped else None,
        structures=read_json(_paths(files["structures"])[0]) if looped else None,
        audit=read_json(_paths(files["audit"])[0]) if "audit" in files else None,
        map=read_json(_paths(files["map"])[0]) if "map" in files else None,
    )


def by_generation(paths: list[str]) -> dict[int, str]:
    """Paths by the generation in their name, in rising order.

    Raises:
        InputFileError: a name has no 'gen<number>'.
    """
    found = {}
    for path in paths:
        match = _GENERATION.search(Path(path).name)
        if match is None:
            raise InputFileError(path, "its name has no generation (gen<number>)", "Name it as the workflow does.")
        found[int(match.group(1))] = path
    return dict(sorted(found.items()))


def finite(values: Iterable[Any]) -> list[float]:
    """The values that are numbers."""
    return [float(value) for value in values if value is not None and math.isfinite(value)]


def last(by_number: Mapping[int, T]) -> T:
    """The value with the largest key."""
    return by_number[max(by_number)]


def _paths(entry: str | Iterable[str]) -> list[str]:
    # Snakemake gives a plain string for one file and a list-like of strings for several
    return [entry] if isinstance(entry, str) else [str(path) for path in entry]


def _read_all(paths: dict[int, str]) -> dict[int, Record]:
    return {generation: read_json(path) for generation, path in paths.items()}
