"""The generated pages in the repository are those of today's models."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from mlip_autopipec.config.rules import RULES
from mlip_autopipec.reference import PAGES

PROJECT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_current(name):
    assert (PROJECT / name).read_text() == PAGES[name](), f"{name} is not current: run 'make docs'"


def test_the_schema_accepts_the_examples_and_refuses_unknown_keys():
    schema = json.loads((PROJECT / "workflow/schemas/config.schema.json").read_text())
    for path in [PROJECT / "config/config.yaml", *(PROJECT / "config/examples").glob("*.yaml")]:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    for written in (
        {"molecule": "ethanol"},
        {"structure": "my.cif", "class": "ionic"},
        {"composition": "Si", "structures": "path/*.cif"},
        {"structures": {"files": "my.cif", "alone": True}},
    ):
        jsonschema.validate(written, schema)
    for written in ({"composition": "Si", "sed": 1}, {"run": "si"}, {"composition": "Si", "structures": 5}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(written, schema)


def test_every_rule_is_on_the_page_with_its_source():
    page = (PROJECT / "docs/config.md").read_text()
    for key, rule in RULES.items():
        assert f"| `{key}` | {rule.name.replace('_', ' ')} | {rule.source} |" in page


def test_every_key_is_explained():
    for name in ("docs/config.md", "docs/summary.md"):
        rows = [line for line in (PROJECT / name).read_text().splitlines() if line.startswith("| `")]
        assert len(rows) > 30
        for row in rows:
            assert row.split("|")[2].strip() not in ("", "None"), row


def test_no_page_is_unfinished():
    for path in [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]:
        assert "@@" not in path.read_text(), path.name
