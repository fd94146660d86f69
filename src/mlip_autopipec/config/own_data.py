"""The configuration of a run that starts at training, with labelled data of the user's own."""

from __future__ import annotations

import os
import re
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from mlip_autopipec.config.choice import Choice, collect, nest
from mlip_autopipec.config.composition import parse_composition
from mlip_autopipec.config.elements import SYMBOLS
from mlip_autopipec.config.full import ErrorLimits, Grades, OwnData, Training
from mlip_autopipec.config.kinds import Positive, RunName, Section, Seed
from mlip_autopipec.config.minimal import explain
from mlip_autopipec.errors import ConfigError, nearest

DATA_KEYS = frozenset(OwnData.model_fields) | {"cutoff_angstrom", "zbl_inner_angstrom", "zbl_outer_angstrom"}
FROM_THE_DATA = ("training.cutoff_angstrom", "training.zbl_inner_angstrom", "training.zbl_outer_angstrom")


class DataTraining(Training):
    """The interatomic potential, and the data it is trained on; None is decided when the data have been read."""

    cutoff_angstrom: Positive | None = Field(None, description="Cutoff of the potential, A.")  # type: ignore[assignment]
    zbl_inner_angstrom: Positive | None = Field(None, description="ZBL is whole below this distance, A.")  # type: ignore[assignment]
    zbl_outer_angstrom: Positive | None = Field(None, description="ZBL has ended at this distance, A.")  # type: ignore[assignment]

    @model_validator(mode="after")
    def _zbl_inside(self) -> DataTraining:
        lengths = (self.zbl_inner_angstrom, self.zbl_outer_angstrom, self.cutoff_angstrom)
        known = [length for length in lengths if length is not None]
        if known != sorted(set(known)):
            raise ValueError(f"zbl_inner_angstrom < zbl_outer_angstrom < cutoff_angstrom is needed, not {known}")
        return self


class DataConfig(Section):
    """The whole configuration of a run that starts at training."""

    composition: str | None = Field(None, description="Chemical formula; the data must be of just these elements.")
    run: RunName = Field(description="Name of the run: everything is written to results/<run>/.")
    seed: Seed = Field(1, description="Feeds every random choice.")
    active_learning: Grades
    training: DataTraining
    validation: ErrorLimits

    @property
    def elements(self) -> list[str]:
        """Element symbols; empty while the data have not been read."""
        return list(parse_composition(self.composition, class_given=True)) if self.composition else []


def is_meant(written: dict[str, Any]) -> bool:
    """Whether the user wrote `training.dataset`; is asked before anything is validated."""
    training = written.get("training")
    return isinstance(training, dict) and bool(training.get("dataset"))


def refuse_unused_keys(checked: dict[str, Any]) -> None:
    """Without a dataset, keys that speak of one would be ignored.

    Raises:
        ConfigError: one of them is written, with another value than its default.
    """
    training = checked.get("training") or {}
    for name in OwnData.model_fields:
        value = training.get(name)
        if name != "reference_energies_ev" and value is not None and value != OwnData.model_fields[name].default:
            raise ConfigError(
                f"training.{name}", value, "it speaks of data of your own, but there is no training.dataset",
                "Write training.dataset too, or remove it.",
            )  # fmt: skip


def expand(checked: dict[str, Any]) -> tuple[DataConfig, dict[str, Choice]]:
    """Infer what can be known before the data are read.

    Args:
        checked: what the user wrote, by alias, types already validated.

    Raises:
        ConfigError: a section or key that this way of working does not have, an impossible value, a missing file.
    """
    _refuse_other_sections(DataConfig, checked, "")
    choices: dict[str, Choice] = {}
    collect(DataConfig, "", checked, choices)
    for key in FROM_THE_DATA:
        if choices[key].value is None:
            choices[key] = Choice(None, "data", "decided when the data have been read")
    files = {
        name: files_of(choices[f"training.{name}"].value, f"training.{name}") for name in ("dataset", "test_dataset")
    }
    if choices["run"].by == "?":
        choices["run"] = Choice(
            _run_name(files["dataset"][0]), "run_is_named_after_the_file", "results/<run>/ holds everything"
        )
    if choices["composition"].value is not None:
        parse_composition(choices["composition"].value, class_given=True)
    for symbol in choices["training.reference_energies_ev"].value:
        if symbol not in SYMBOLS:
            raise ConfigError(
                f"training.reference_energies_ev.{symbol}", choices["training.reference_energies_ev"].value[symbol],
                "no such element", f"Write element symbols.{nearest(symbol, SYMBOLS)}",
            )  # fmt: skip
    nested = nest(choices)
    try:
        return DataConfig.model_validate(nested), choices
    except ValidationError as error:
        raise explain(error, DataConfig, nested) from None


def _refuse_other_sections(model: type[BaseModel], checked: dict[str, Any], prefix: str) -> None:
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for key, value in checked.items():
        if value is not None and key not in fields:
            raise ConfigError(
                prefix + key, value, "with training.dataset the workflow starts at training and does not use this",
                f"Remove it; used here: {', '.join(sorted(fields))}.",
            )  # fmt: skip
        kind: Any = fields.get(key)
        if isinstance(kind, type) and issubclass(kind, Section) and isinstance(value, dict):
            _refuse_other_sections(kind, value, f"{prefix}{key}.")


def files_of(patterns: list[str], key: str = "training.dataset") -> list[str]:
    """The files that names and patterns stand for, in their order, each once.

    Raises:
        ConfigError: a file is missing, or a pattern fits none.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        names = (
            sorted(glob(pattern, recursive=True)) if has_magic(pattern) and not Path(pattern).exists() else [pattern]
        )
        if not names or not all(Path(name).is_file() for name in names):
            raise ConfigError(
                key, pattern, "no such file" if not has_magic(pattern) else "no file has such a name",
                f"Write a path relative to {os.getcwd()}, where snakemake runs, or an absolute one.",
            )  # fmt: skip
        found |= dict.fromkeys(names)
    return list(found)


def _run_name(path: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(path).name.split(".")[0]).strip("._-").lower()
    return name or "own_data"


def resolve(
    config: DataConfig, choices: dict[str, Choice], inferred: dict[str, dict[str, Any]]
) -> tuple[DataConfig, dict[str, Choice]]:
    """The configuration with what the data decided.

    Args:
        inferred: by dotted key `value`, `by` (name of the rule) and `why`, as in `dataset_gen0.json`.
    """
    known = choices | {key: Choice(**found) for key, found in inferred.items()}
    return DataConfig.model_validate(nest(known)), known


def decided(settings: dict[str, Any], record: dict[str, Any]) -> Training:
    """The section `training` as it was written, completed by what the data decided.

    Args:
        settings: the section, in which what the data decide may be None.
        record: `dataset_gen{N}.json`; without `inferred` (in the loop) nothing is changed.

    Raises:
        ConfigError: what the user wrote and what the data decided do not go together.
    """
    inferred = record.get("inferred", {}).items()
    whole = settings | {
        key.removeprefix("training."): found["value"] for key, found in inferred if key.startswith("training.")
    }
    try:
        return Training(**whole)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigError(
            ".".join(["training", *map(str, fault["loc"])]), fault["input"] if fault["loc"] else "...",
            fault["msg"].removeprefix("Value error, "),
            "Lengths that are not written were decided by the data: write them too, or change those that are.",
        ) from None  # fmt: skip
