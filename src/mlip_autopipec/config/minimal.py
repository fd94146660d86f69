"""What a user may write: the full configuration with everything left optional; a composition or a dataset is needed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from mlip_autopipec.config.full import Config
from mlip_autopipec.config.kinds import Section, only_files
from mlip_autopipec.errors import ConfigError

NEEDED = (
    "Write for example 'composition: Si', 'molecule: ethanol', 'structure: my.cif', or "
    "'training: {dataset: my_data.extxyz}' to train on labels of your own."
)
NEEDED_KEYS: list[Any] = [
    {"required": ["composition"]},
    {"required": ["molecule"]},
    {"required": ["structure"]},
    {"required": ["structures"], "properties": {"structures": {"required": ["files", "alone"]}}},
    {"required": ["training"], "properties": {"training": {"required": ["dataset"]}}},
]  # for editors: one of these


def _partial(model: type[BaseModel]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            partial: Any = _partial(kind) | None
            if name == "structures":  # 'structures: path/*.cif' is short for its key 'files'
                partial = Annotated[partial, BeforeValidator(only_files, str | list[str] | partial)]
            fields[name] = (partial, Field(None, description=kind.__doc__))
        else:
            constrained = Annotated[(kind, *field.metadata)] if field.metadata else kind
            fields[name] = (constrained | None, Field(None, alias=field.alias, description=field.description))
    return create_model(f"User{model.__name__}", __config__=ConfigDict(extra="forbid"), **fields)


UserConfig = _partial(Config)


def explain(error: ValidationError, model: type[BaseModel], written: dict[str, Any]) -> ConfigError:
    """The first fault of a pydantic error as one sentence with the key, the value and the mend.

    Args:
        written: what was validated; the value shown is the one at the key.
    """
    fault = error.errors()[0]
    path = [str(part) for part in fault["loc"] if part != "[key]"]
    key = ".".join(path) or "config"
    if fault["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        return ConfigError(
            key, fault["input"], "unknown key", f"Known here: {', '.join(known)}. {hint(path[-1], known)}".rstrip()
        )
    if fault["type"] == "missing":
        return ConfigError(key, None, "this key is needed", NEEDED)
    value = _value_at(written, path) if "[key]" in fault["loc"] else fault["input"]
    if fault["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", fault["ctx"]["expected"])
        near = hint(str(value), allowed)
        return ConfigError(key, value, f"none of {', '.join(allowed)}", f"{near}Expected: {_described(model, path)}")
    message = fault["msg"].removeprefix("Value error, ").removesuffix(" after validation, not 0")
    problem, _, mend = message.partition(". ")
    if fault["type"] == "string_pattern_mismatch":
        problem, mend = (
            "not safe as the name of a folder",
            "Write letters, digits, '.', '_' and '-', a letter or digit first.",
        )
    return ConfigError(key, value, problem.rstrip("."), mend or f"Expected: {_described(model, path)}")


def _value_at(written: Any, path: list[str]) -> Any:
    for part in path:
        written = written.get(part) if isinstance(written, dict) else None
    return written


def hint(word: str, known: Iterable[str]) -> str:
    """'Did you mean ...? ' with a known word that is really close, or ''."""
    close = get_close_matches(word.lower(), {name.lower(): name for name in known}, n=1, cutoff=0.75)
    return next((f"Did you mean '{name}'? " for name in known if close and name.lower() == close[0]), "")


def _walk(model: type[BaseModel], path: list[str]) -> Any:
    """The field at a path of names (aliases included), or None."""
    field = None
    for part in path:
        found = {f.alias or n: f for n, f in model.model_fields.items()}.get(part)
        if found is None:
            return field
        field = found
        inner = next((k for k in _kinds(found.annotation) if isinstance(k, type) and issubclass(k, BaseModel)), None)
        if inner is not None:
            model = inner
    return field


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", None) or (annotation,)


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = {f.alias or n: f for n, f in model.model_fields.items()}.get(part)
        inner = (
            [k for k in _kinds(field.annotation) if isinstance(k, type) and issubclass(k, BaseModel)] if field else []
        )
        if not inner:
            return []
        model = inner[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _described(model: type[BaseModel], path: list[str]) -> str:
    field = _walk(model, path)
    return (field.description or "a valid value.") if field is not None else "a valid value."
