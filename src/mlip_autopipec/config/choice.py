"""A value of the configuration and what chose it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mlip_autopipec.config.kinds import Section


@dataclass(frozen=True)
class Choice:
    """A value and what chose it: 'user', 'default' or the name of a rule, with a sentence and the rule's source."""

    value: Any
    by: str
    why: str = ""
    source: str = ""


def collect(model: type[BaseModel], prefix: str, written: Any, choices: dict[str, Choice]) -> None:
    """Take every leaf of `model` from the user or its default, by dotted key; leave '?' where a rule must decide."""
    written = written or {}
    for name, field in model.model_fields.items():
        key = field.alias or name
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            collect(kind, f"{prefix}{key}.", written.get(key), choices)
        elif written.get(key) is not None:
            choices[prefix + key] = Choice(written[key], "user")
        elif field.default is not PydanticUndefined:
            choices[prefix + key] = Choice(field.default, "default", field.description or "")
        else:
            choices[prefix + key] = Choice(None, "?")


def nest(choices: dict[str, Choice]) -> dict[str, Any]:
    """The values by section, as they stand in a file."""
    nested: dict[str, Any] = {}
    for key, choice in choices.items():
        *sections, leaf = key.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[leaf] = choice.value
    return nested
