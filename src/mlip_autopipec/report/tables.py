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
    "crystal": "ideal crystals",
    "molecule": "the relaxed molecule",
    "volume": "ideal crystals at other volumes",
    "strain": "stretched and sheared crystals",
    "rattle": "atoms displaced at random",
    "bond_breaking": "crystals pulled apart",
    "vacancy": "atoms missing",
    "interstitial": "atoms between the sites",
    "antisite": "atoms on each other's sites",
    "surface": "slabs with vacuum",
    "melt": "liquid, by the surrogate",
    "amorphous": "quenched melt, by the surrogate",
    "normal_mode": "the molecule vibrating",
    "stretch": "bonds stretched and bent",
    "dimer": "pairs at several distances",
    "cluster": "clusters",
    "condensed": "molecules packed densely",
    "own": "structures of your own",
    "explored": "dynamics with the surrogate",
    "simulated": "uncertain frames of the potential's own dynamics",
    "test": "held-out dynamics with the surrogate",
}
CUBIC = ("C11", "C12", "C44")
HEXAGONAL = ("C11", "C12", "C13", "C33", "C44")
ANY = ("C11", "C22", "C33", "C12", "C13", "C23", "C44", "C55", "C66")


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
    starts = {row.get("start_type") for row in evaluation["test_frames"]}
    for key, name in (("train", "training"), ("test", "test")):
        by_type = evaluation[f"{key}_by_type"]
        if len(by_type) > 1:
            for kind, errors in by_type.items():
                yield {
                    "set": f"{name}, walks from" if key == "test" and kind in starts else name,
                    "type": kind,
                    "words": TYPES.get(kind, ""),
                    **errors,
                }
        yield {"set": name, "type": "", "words": "all", **evaluation[key]}


def elastic_rows(records: Records) -> list[tuple[str, float]]:
    """Elastic constants in GPa, the independent ones of a cubic or hexagonal crystal, and the averages.

    Of other crystals these are nine of up to 21: elastic.json has the whole tensor. Empty when there are none.
    """
    found = records.elastic
    if "tensor_gpa" not in found:
        return []
    number = found["spacegroup_number"]  # 195 to 230 are cubic, 168 to 194 hexagonal (International Tables A)
    names = CUBIC if number >= 195 else HEXAGONAL if number >= 168 else ANY
    return [
        *((name, found["tensor_gpa"][int(name[1]) - 1][int(name[2]) - 1]) for name in names),
        ("bulk modulus (Voigt-Reuss-Hill)", found["bulk_modulus_gpa"]),
        ("shear modulus (Voigt-Reuss-Hill)", found["shear_modulus_gpa"]),
    ]


def parent_rows(records: Records) -> list[Record]:
    """Every structure that was tried as a parent, in the order of the record (lowest energy first)."""
    keys = ("prototype", "source", "formula", "atoms", "spacegroup", "above_lowest_ev_per_atom", "kept", "why")
    rows = records.parents["tried"] if records.parents is not None else []
    return [{key: row.get(key) for key in keys} for row in rows]


def generator_rows(records: Records) -> list[Record]:
    """What each generator was asked for and gave."""
    words = (("unphysical", "unphysical"), ("duplicates", "seen before"))
    rows = records.structures["generators"] if records.structures is not None else []
    return [row | {"lost": ", ".join(f"{row[key]} {word}" for key, word in words if row[key])} for row in rows]


def spin_rows(records: Records) -> list[Record]:
    """Spin states that were tried of each isolated atom, with the energy above the one that was kept (eV).

    ``occupations`` is 'whole', 'smeared' or, in records that do not say, '–'.
    """
    words = {"fixed": "whole", "smearing": "smeared"}
    rows = []
    for symbol, states in records.dataset.get("isolated_atoms_spin", {}).items():
        kept = next((one["energy_ev"] for one in states if one["kept"]), None)
        for one in states:
            above = None if kept is None or one["energy_ev"] is None else one["energy_ev"] - kept
            occupations = words.get(one.get("occupations", ""), "–")
            rows.append({**one, "symbol": symbol, "above_ev": above, "occupations": occupations})
    return rows


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
