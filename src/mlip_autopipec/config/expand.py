"""From what the user wrote to the whole configuration: defaults, one named rule per inferred value, checks."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from mlip_autopipec.artifacts import read_json
from mlip_autopipec.config import (  # noqa: F401 - each of rules_* registers its rules
    own_data,
    own_structures,
    rules_amounts,
    rules_cells,
    rules_dynamics,
    rules_engines,
    rules_labelling,
    rules_spin,
    rules_structures,
    rules_training,
    rules_walks,
)
from mlip_autopipec.config.checks import check_together
from mlip_autopipec.config.choice import Choice, collect, nest
from mlip_autopipec.config.composition import parse_composition
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.minimal import UserConfig, explain
from mlip_autopipec.config.rules import RULES, Known
from mlip_autopipec.config.rules_material import check_material
from mlip_autopipec.config.written import tidied
from mlip_autopipec.errors import ConfigError

__all__ = ["RULES", "expand", "expand_with_data", "infer"]


def expand(written: dict[str, Any]) -> tuple[Config | own_data.DataConfig, dict[str, Choice]]:
    """Infer the whole configuration from what the user wrote.

    Args:
        written: the user's config as nested dicts; only `composition`, `molecule` or `structure` is needed, or
            `training.dataset`.

    Returns:
        The validated configuration and, by dotted key, what chose each value. With `training.dataset` it is that of a
        run that starts at training, and what depends on the data is still open.

    Raises:
        ConfigError: an unknown key, a wrong type, an impossible value, a missing file, or a question that only the
            user can answer (which molecule C2H6O is).
    """
    if not isinstance(written, dict):
        raise ConfigError("config", written, "not a mapping of keys", "Write for example 'composition: Si'.")
    written = tidied(written)
    starts_from_data = own_data.is_meant(written)
    if written.get("composition") is not None and not starts_from_data:
        parse_composition(
            written["composition"], class_given=bool(written.get("class")),
            molecule_given=bool(written.get("molecule") or written.get("structure")),
        )  # fmt: skip
    try:
        checked = UserConfig.model_validate(written).model_dump(by_alias=True, exclude_unset=True)
    except ValidationError as error:
        raise explain(error, UserConfig, written) from None
    if starts_from_data:
        return own_data.expand(checked)
    own_data.refuse_unused_keys(checked)
    known = infer(checked)
    nested = nest(known.choices)
    try:
        config = Config.model_validate(nested)
    except ValidationError as error:
        raise explain(error, Config, nested) from None
    check_together(config, known.choices)
    return config, known.choices


def infer(checked: dict[str, Any]) -> Known:
    """All values, with what each rule asked for.

    Args:
        checked: what the user wrote, by alias, types already validated.
    """
    choices: dict[str, Choice] = {}
    collect(Config, "", checked, choices)
    for key in RULES.keys() & choices.keys():  # a rule goes before a default, which own data keep
        if choices[key].by == "default":
            choices[key] = Choice(None, "?")
    known = Known(choices)
    own_structures.refuse_folders("structures.files", known["structures.files"])
    own_data.files_of(known["structures.files"], "structures.files")
    for key in choices:
        _ = known[key]
    check_material(known)
    return known


def expand_with_data(
    written: dict[str, Any], records: list[str]
) -> tuple[Config | own_data.DataConfig, dict[str, Choice]]:
    """The same as `expand`, with what the user's data decided where there are such data.

    Args:
        records: the path of `dataset_gen0.json`, or nothing.
    """
    config, choices = expand(written)
    if isinstance(config, own_data.DataConfig) and records:
        return own_data.resolve(config, choices, read_json(records[0])["inferred"])
    return config, choices
