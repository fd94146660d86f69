"""The whole configuration as YAML, each value with what chose it; reading it back reproduces the run."""

from __future__ import annotations

import os
from typing import Any

import yaml

from mlip_autopipec.artifacts import atomic_path, versions
from mlip_autopipec.config.cautions import cautions
from mlip_autopipec.config.choice import Choice
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.own_data import DataConfig


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
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).removesuffix("...\n").strip()
    )
    why = (f": {choice.why}" if choice.why else "") + (f" [{choice.source}]" if choice.source else "")
    return f"{key}: {text}  # {choice.by}{why}"


def write_dump(path: str | os.PathLike[str], config: Config | DataConfig, choices: dict[str, Choice]) -> None:
    """Write `exec_config_dump.yaml`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(as_yaml(config, choices), encoding="utf-8")


def inferred_summary(config: Config | DataConfig, choices: dict[str, Choice]) -> str:
    """What was inferred, for the start of a run: a line per rule that gave more than nothing, then
    cautions."""
    chosen = {
        key: choice
        for key, choice in choices.items()
        if choice.by not in ("user", "default") and choice.value not in ("", [], {}, 0)
    }
    width = max((len(key) for key in chosen), default=0)
    lines = [f"  {key:<{width}} = {_shown(choice.value)}   ({choice.why})" for key, choice in chosen.items()]
    return "\n".join(lines + [f"  Mind: {caution}" for caution in _cautions(config)])


def _shown(value: Any) -> str:
    """The value in few words: entries of 0 in a dict are left out."""
    if value is None:
        return "open"
    if isinstance(value, dict):
        value = {key: number for key, number in value.items() if number}
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("...\n").strip()


def _cautions(config: Config | DataConfig) -> list[str]:
    return cautions(config) if isinstance(config, Config) else []
