"""The whole configuration as YAML, each value with what chose it; reading it back reproduces the run."""

from __future__ import annotations

import os
import textwrap
from typing import Any

import yaml

from mlip_autopipec.artifacts import atomic_path, versions
from mlip_autopipec.config.cautions import cautions
from mlip_autopipec.config.choice import Choice
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.own_data import DataConfig
from mlip_autopipec.config.rules_engines import WITHOUT_EFFECT

NOT_SHOWN = {"class", "labelling.pseudopotential_md5"}
DEFECTS = frozenset({"vacancies", "interstitials", "antisites"})


def as_yaml(config: Config | DataConfig, choices: dict[str, Choice]) -> str:
    """The configuration as YAML text with a comment on every value."""
    lines = [
        "# The whole configuration of this run; give this file as the config to run it again.",
        "# Made with " + ", ".join(f"{name} {version}" for name, version in versions().items()),
    ]
    lines += [f"# Mind: {caution}" for caution in _cautions(config)]
    for key, value in config.model_dump(by_alias=True).items():
        if isinstance(value, dict):
            lines += ["", f"{key}:"]
            lines += [f"  {_line(k, v, choices[f'{key}.{k}'])}" for k, v in value.items()]
        else:
            lines.append(_line(key, value, choices[key]))
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, choice: Choice) -> str:
    text = (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
        .removesuffix("...\n")
        .strip()
    )
    why = (f": {choice.why}" if choice.why else "") + (f" [{choice.source}]" if choice.source else "")
    return f"{key}: {text}  # {choice.by}{why}"


def write_dump(path: str | os.PathLike[str], config: Config | DataConfig, choices: dict[str, Choice]) -> None:
    """Write `exec_config_dump.yaml`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(as_yaml(config, choices), encoding="utf-8")


def inferred_summary(config: Config | DataConfig, choices: dict[str, Choice]) -> str:
    """What was inferred, for the start of a run: an entry per rule whose value matters here, then cautions.

    The class is left out: those who show this say it before, with its reasons; checksums tell a person nothing. Lines
    have 120 columns at most.
    """
    idle = without_effect(config) if isinstance(config, Config) else set()
    chosen = {
        key: choice
        for key, choice in choices.items()
        if choice.by not in ("user", "default") and choice.value not in ("", [], {}, 0) and key not in idle | NOT_SHOWN
    }
    entries = [f"{key} = {_shown(choice.value)}  ({choice.why})" for key, choice in chosen.items()]
    return "\n".join(wrapped(entry) for entry in [*entries, *(f"Mind: {caution}" for caution in _cautions(config))])


def wrapped(text: str, indent: str = "  ") -> str:
    """Text in lines of 120 columns at most, those after the first farther in."""
    return textwrap.fill(
        text, 120, initial_indent=indent, subsequent_indent=indent + " " * 6, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def without_effect(config: Config) -> set[str]:
    """Keys that nothing asks for with these sources, counts and this labelling engine."""
    s = config.structures
    made = {name for name, number in s.counts.items() if number}
    molecular = "molecule" in s.sources
    idle = {
        "prototypes": "prototypes" not in s.sources,
        "sqs_lattices": "sqs" not in s.sources,
        "sqs_atoms": "sqs" not in s.sources,
        "random_crystals": "random" not in s.sources,
        "random_atoms_max": "random" not in s.sources,
        "volume_strain_max": not made & {"volumes", "rattles"},
        "rattle_amplitudes_angstrom": not made & {"rattles", "bonds", "surfaces", *DEFECTS},
        "melt_temperature_k": not made & {"melt", "quench"},
        "melt_steps": not made & {"melt", "quench"},
        "mode_temperature_k": "normal_modes" not in made,
        "cluster_sizes": "clusters" not in made,
        "condensed_molecules": "condensed" not in made,
        "vacuum_angstrom": not molecular and not made & {"surfaces", "dimers", "clusters"} and not s.files,
    }
    of_the_engine = WITHOUT_EFFECT.get(config.labelling.engine, frozenset())
    return {f"structures.{name}" for name, unused in idle.items() if unused} | {f"labelling.{k}" for k in of_the_engine}


def _shown(value: Any) -> str:
    """The value in few words: entries of 0 in a dict are left out."""
    if value is None:
        return "open"
    if isinstance(value, dict):
        value = {key: number for key, number in value.items() if number}
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("...\n").strip()


def _cautions(config: Config | DataConfig) -> list[str]:
    return cautions(config) if isinstance(config, Config) else []
