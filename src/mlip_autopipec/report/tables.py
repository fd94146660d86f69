"""Rows of the report's tables, made from records and config; how they look is the template's matter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from mlip_autopipec.config import Choice, Config, DataConfig
from mlip_autopipec.report.records import Record, Records, finite
from mlip_autopipec.report.summary import Check, Summary
from mlip_autopipec.repulsion import chosen_baseline, lammps_pair_lines

TYPES = {
    "crystal": "the ideal crystal",
    "volume": "the ideal crystal at other volumes",
    "strain": "stretched and sheared crystal",
    "rattle": "atoms displaced at random",
    "explored": "dynamics with the surrogate",
    "simulated": "uncertain frames of the potential's own dynamics",
    "test": "held-out dynamics with the surrogate",
}
CUBIC = {"C11": (0, 0), "C12": (0, 1), "C44": (3, 3)}
HEXAGONAL = {"C11": (0, 0), "C12": (0, 1), "C13": (0, 2), "C33": (2, 2), "C44": (3, 3)}


def settings_table(config: Config | DataConfig, choices: dict[str, Choice]) -> dict[str, list[dict[str, str]]]:
    """Every value with what chose it, in three groups: 'user', 'rule' and 'default'."""
    values = _flat(config.model_dump(by_alias=True))
    descriptions = _descriptions(type(config))
    groups: dict[str, list[dict[str, str]]] = {"user": [], "rule": [], "default": []}
    for key, choice in choices.items():
        group = choice.by if choice.by in groups else "rule"
        text = yaml.safe_dump(values[key], default_flow_style=True, width=10_000, allow_unicode=True)
        row = {
            "key": key,
            "value": text.removesuffix("...\n").strip(),
            "by": re.sub(r"(?<=\d)_(?=\d)", ".", choice.by).replace("_", " "),
            "why": choice.why,
            "what": descriptions.get(key, ""),
        }
        groups[group].append(row)
    return groups


def _flat(nested: dict[str, Any]) -> dict[str, Any]:
    # sections are one level deep; a dict inside a section is a value
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= {f"{key}.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def _descriptions(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        key, kind = prefix + (field.alias or name), field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= _descriptions(kind, f"{key}.")
        else:
            found[key] = field.description or ""
    return found


def checks(summary: Summary) -> list[Check]:
    """The checks that were made, those that did not pass first."""
    made = [one for _, one in summary.validation if isinstance(one, Check)]
    return sorted(made, key=lambda one: one.passed)


def error_rows(evaluation: Record) -> Iterator[dict[str, Any]]:
    """Errors by set and type of structure; the row of a whole set has no type."""
    for key, name in (("train", "training"), ("test", "test")):
        by_type = evaluation[f"{key}_by_type"]
        if len(by_type) > 1:
            for kind, errors in by_type.items():
                yield {"set": name, "type": kind, "words": TYPES.get(kind, ""), **errors}
        yield {"set": name, "type": "", "words": "all", **evaluation[key]}


def elastic_rows(config: Config, records: Records) -> list[tuple[str, float]]:
    """Independent elastic constants of the lattice in GPa, and the averages; empty when there are none."""
    found = records.elastic
    if "tensor_gpa" not in found:
        return []
    places = HEXAGONAL if config.structures.lattice == "hcp" else CUBIC
    rows = [(name, found["tensor_gpa"][i][j]) for name, (i, j) in places.items()]
    return [
        *rows,
        ("bulk modulus (Voigt-Reuss-Hill)", found["bulk_modulus_gpa"]),
        ("shear modulus (Voigt-Reuss-Hill)", found["shear_modulus_gpa"]),
    ]


def surrogate_rows(records: Records) -> list[Record]:
    """The surrogate's walkers, coldest first."""
    return sorted(records.explored, key=lambda one: (one["temperature_k"], one["walker"]))


def simulation_rows(records: Records) -> list[Record]:
    """The potential's walkers by generation, coldest first, with the largest gamma each met."""
    walkers = sorted(records.simulated, key=lambda one: (one["generation"], one["temperature_k"], one["walker"]))
    return [one | {"largest_gamma": max(finite(one["gamma_max"]), default=None)} for one in walkers]


def lammps_lines(config: Config | DataConfig) -> str:
    """The pair lines of a LAMMPS input for the files of the bundle."""
    baseline = chosen_baseline(config.training, config.elements)
    return "\n".join(
        lammps_pair_lines(sorted(config.elements), baseline, "pace/extrapolation", "potential.yaml potential.asi")
    )
