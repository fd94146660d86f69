"""The reference pages and the JSON schema, made from the models: `python -m mlip_autopipec.reference [folder]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.config.expand import RULES
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.kinds import Section
from mlip_autopipec.config.minimal import NEEDED_KEYS, UserConfig
from mlip_autopipec.report.summary import Summary

_MADE = "<!-- Made by `make docs` from the models; edit those. -->\n\n"


def config_page() -> str:
    """Markdown of every key of the configuration: meaning, unit, default or the rule that infers it."""
    text = [
        "# Configuration reference\n\n" + _MADE,
        "Only `composition` must be written, or `molecule` or `structure` in its place, or `training.dataset` to train "
        "on labels of your own ([own_data.md](own_data.md): then only `training`, `composition`, `run`, `seed`, "
        "`active_learning.gamma_*` and `validation.*_rmse_max_*` are used). A value that is not written is its default "
        "or is inferred by the named rule; `results/<run>/exec_config_dump.yaml` shows each value with what chose it "
        "and why. Of `structures.counts`, `labelling.pseudopotentials` and `labelling.starting_magnetization` single "
        "entries may be written; the rule gives the others. `structures: path/*.cif` is short for `structures.files`. "
        "Unknown keys are errors.\n\n",
        "| key | meaning | default or rule |\n|---|---|---|\n",
    ]
    sections = []
    for name, field in Config.model_fields.items():
        key, kind = field.alias or name, field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            sections.append((key, kind))
        else:
            text.append(_row(key, key, field))
    for key, section in sections:
        text.append(f"\n## `{key}`\n\n{(section.__doc__ or '').strip()}\n\n")
        text.append("| key | meaning | default or rule |\n|---|---|---|\n")
        text += [_row(f"{key}.{n}", n, field) for n, field in section.model_fields.items()]
    return "".join(text) + _rules()


def _rules() -> str:
    """Markdown of every rule with its source."""
    rows = [f"| `{key}` | {one.name.replace('_', ' ')} | {one.source} |\n" for key, one in RULES.items()]
    head = "\n## Rules and their sources\n\nThe sentence of each rule, with its numbers for your material, is printed "
    head += "before a run starts and stands in `exec_config_dump.yaml`.\n\n| key | rule | source |\n|---|---|---|\n"
    return head + "".join(rows)


def _row(dotted: str, key: str, field: FieldInfo) -> str:
    if dotted in RULES:
        chosen = f"rule: {RULES[dotted].name.replace('_', ' ')}"
    elif field.default is PydanticUndefined:
        chosen = "must be written"
    else:
        chosen = f"`{json.dumps(field.default)}`"
    return f"| `{key}` | {field.description} | {chosen} |\n"


def summary_page() -> str:
    """Markdown of every key of `summary.json`."""
    text = [
        "# Keys of `summary.json`\n\n" + _MADE,
        "Every key is always there; what could not be computed is null.\n\n| key | meaning |\n|---|---|\n",
    ]
    text += [f"| `{key}` | {meaning} |\n" for key, meaning in _keys(Summary, "")]
    return "".join(text)


def _keys(model: type[BaseModel], prefix: str) -> list[tuple[str, str]]:
    rows = []
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        many = "[]" if get_origin(field.annotation) is list else ""
        name = field.alias or name
        rows.append((f"{prefix}{name}{many}", field.description or (inner.__doc__ if inner else "") or ""))
        if inner is not None:
            rows += _keys(inner, f"{prefix}{name}{many}.")
    return rows


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def schema() -> str:
    """JSON schema of what a user may write, for editors."""
    return json.dumps(UserConfig.model_json_schema(by_alias=True) | {"anyOf": NEEDED_KEYS}, indent=1) + "\n"


PAGES = {
    "docs/config.md": config_page,
    "docs/summary.md": summary_page,
    "workflow/schemas/config.schema.json": schema,
}


def main(folder: str = ".") -> None:
    """Write all pages below `folder`."""
    for name, make in PAGES.items():
        with atomic_path(Path(folder) / name) as temporary:
            temporary.write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
