"""What a user wrote, before its values are checked: unknown keys, words in another case, yes and no."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from mlip_autopipec.config.full import Config
from mlip_autopipec.config.kinds import Section
from mlip_autopipec.config.minimal import hint
from mlip_autopipec.errors import ConfigError

RELAXED = "leave it out: cells are relaxed with the surrogate; for a cell of your own write 'structure: my.cif'."
# Keys of the first versions, and what does their work now.
REPLACED = {
    "structures.lattice": "write structures.prototypes, such as [fcc].",
    "structures.lattice_constant_angstrom": RELAXED,
    "structures.c_over_a": RELAXED,
    "structures.repeat": "write structures.supercell_edge_angstrom, atoms_min and atoms_max.",
    "structures.volume_points": "write structures.counts: {volumes: ...}.",
    "structures.shear_points": "write structures.counts: {strains: ...}.",
    "structures.rattles_per_amplitude": "write structures.counts: {rattles: ...}.",
}


def tidied(written: dict[str, Any], model: type[BaseModel] = Config) -> dict[str, Any]:
    """The same with the words of fixed choices in their own case.

    Args:
        written: the user's config as nested dicts.
        model: the whole configuration.

    Raises:
        ConfigError: unknown keys (all of them at once), a section that is none, yes or no where something else
            belongs.
    """
    unknown = list(_unknown(written, model, ""))
    if unknown:
        first, value, mend = unknown[0]
        if len(unknown) == 1:
            raise ConfigError(first, value, "unknown key", mend)
        mends = " ".join(f"{key}: {how}" for key, _, how in unknown)
        raise ConfigError(
            first, value, f"one of {len(unknown)} unknown keys: {', '.join(u[0] for u in unknown)}", mends
        )
    return _tidied(written, model, "")


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _section(kind: Any) -> type[BaseModel] | None:
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _unknown(written: dict[str, Any], model: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any, str]]:
    """Key, value and mend of every key that is not known."""
    fields = _fields(model)
    for name, value in written.items():
        key = f"{prefix}{name}"
        if name not in fields:
            yield key, value, _mend(key, str(name), fields)
        elif isinstance(value, dict) and (section := _section(fields[name])):
            yield from _unknown(value, section, f"{key}.")


def _mend(key: str, name: str, fields: dict[str, Any]) -> str:
    if key in REPLACED:
        return "This key is gone; " + REPLACED[key]
    elsewhere = [
        f"{other}.{name}" for other, kind in _fields(Config).items()
        if (section := _section(kind)) and name in _fields(section)
    ] + [name] * (name in _fields(Config))  # fmt: skip
    if elsewhere and not hint(name, fields):
        return f"There is {' and '.join(elsewhere)}."
    return f"Known here: {', '.join(sorted(fields))}. {hint(name, fields)}".rstrip()


def _tidied(written: dict[str, Any], model: type[BaseModel], prefix: str) -> dict[str, Any]:
    found = {}
    for name, value in written.items():
        key, kind = f"{prefix}{name}", _fields(model)[name]
        section = _section(kind)
        if section and isinstance(value, dict):
            value = _tidied(value, section, f"{key}.")
        elif section and value is not None and not (key == "structures" and isinstance(value, (str, list))):
            inside = ", ".join(list(_fields(section))[:4])
            raise ConfigError(key, value, "not a section of keys", f"Write keys below it, such as {inside}.")
        elif key == "structure" and isinstance(value, list):
            raise ConfigError(key, value, "not one file", "Write one here; several go to structures.files.")
        elif isinstance(value, bool) and bool not in _leaves(kind):
            text = str in _leaves(kind) or any(isinstance(leaf, str) for leaf in _leaves(kind))
            mend = "Quote it: 'NO', 'yes'." if text else "Write a number, or leave it out for the default."
            raise ConfigError(key, value, "YAML reads this word as yes or no", mend)
        elif not section:
            value = _in_case(value, [leaf for leaf in _leaves(kind) if isinstance(leaf, str)])
        found[name] = value
    return found


def _leaves(kind: Any) -> list[Any]:
    """The simple types and the words that a type is made of."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    parts = get_args(kind)[:1] if get_origin(kind) is Annotated else get_args(kind)
    return [leaf for part in parts for leaf in _leaves(part)] if parts else [kind]


def _in_case(value: Any, words: list[str]) -> Any:
    """Words of a fixed choice as they are spelt there."""
    if isinstance(value, list):
        return [_in_case(one, words) for one in value]
    if isinstance(value, str):
        return next((word for word in words if word.lower() == value.strip().lower()), value)
    return value
