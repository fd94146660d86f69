"""Renders the report: records, words, tables and pictures become one self-contained page."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mlip_autopipec.artifacts import atomic_path, write_json
from mlip_autopipec.config import Choice, Config, DataConfig
from mlip_autopipec.report import audit, choice, figures, own_data, tables, training, uncertainty, walkers, words
from mlip_autopipec.report.records import Records, read_records
from mlip_autopipec.report.summary import Summary, build_summary
from mlip_autopipec.report.teacher import column_of, source_of, worded

TEMPLATE = "report.html.j2"
BUNDLE = {
    "potential.yaml": "the potential in B-basis form: for LAMMPS pace/extrapolation (with γ) and for ASE",
    "potential.asi": "its active set, from which γ is computed",
    "potential.yace": "the same potential, contracted: for LAMMPS pace (faster, no γ)",
    "in.lammps, start.data": "a ready LAMMPS input and its structure",
    "train.extxyz, test.extxyz": "all labels it was trained on, and those held out",
    "quarantine.extxyz": "refused training frames, with reasons",
    "dataset.db": "all of these as an ASE database; the key state tells them apart",
    "config.yaml": "the whole configuration; feeding it back repeats the run",
    "report.html, summary.json": "this page, and its numbers for programs",
    "versions.json, SHA256SUMS": "versions of all packages, and checksums of all files",
}
TRUST = {
    "potential_posterior.npz": "the errors to be expected of it, for ASE",
    "committee/": "potentials drawn from its posterior, to tell errors of derived quantities",
}


def write_report(
    expanded: tuple[Config | DataConfig, dict[str, Choice]],
    files: Mapping[str, Any],
    html: str | os.PathLike[str],
    summary: str | os.PathLike[str],
) -> None:
    """Write `report.html` and `summary.json`, each whole or not at all.

    Args:
        expanded: the configuration and what chose each value, from `config.expand_with_data`.
        files: the named inputs of the rule `report`, each a path or several.
        html, summary: where the two are written.

    Raises:
        InputFileError: an input is missing or damaged.
    """
    config, choices = expanded
    records = read_records(files)
    found = build_summary(config, records)
    page = render(config, choices, records, found)
    with atomic_path(html) as temporary:
        temporary.write_text(page, encoding="utf-8")
    write_json(summary, found.model_dump(mode="json", by_alias=True))


def render(config: Config | DataConfig, choices: dict[str, Choice], records: Records, summary: Summary) -> str:
    """The page as HTML text; everything that comes from files is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": words.number, "units": words.units, "breakable": breakable}
    said = _words(config, records, summary) if isinstance(config, Config) else _own_words(config, records, summary)
    stresses = summary.train.stress_rmse_gpa is not None
    source = source_of(config)
    page = environment.get_template(TEMPLATE).render(
        **said,
        label_hours=records.core_hours(),
        of_a_teacher=source.words if source is not None and not source.dft else "",
        own_data=isinstance(config, DataConfig),
        config=config,
        summary=summary,
        records=records,
        stress_offset=words.stress_offset(summary.train.stress_offset_gpa) if stresses else "",
        pictures=pictures(config, records),
        checks=tables.checks(summary),
        settings=tables.settings_table(config, choices),
        error_rows=list(tables.error_rows(records.evaluation)),
        constants=tables.elastic_rows(records),
        parents=tables.parent_rows(records),
        generators=tables.generator_rows(records),
        spins=tables.spin_rows(records),
        types=tables.TYPES,
        explored=walkers.explored_rows(records),
        simulated=tables.simulation_rows(records),
        trust=uncertainty.section(records),
        choice=training.section(records),
        chosen=choice.section(records),
        audit=audit.section(records),
        lammps=tables.lammps_lines(config),
        bundle=BUNDLE | (TRUST if records.uncertainty is not None else {}),
    )
    return worded(page, source)


def _words(config: Config, records: Records, summary: Summary) -> dict[str, Any]:
    return {
        "headline": words.headline(summary),
        "made": words.made(config, records, summary),
        "tested": words.tested(summary),
        "ended": words.ended(summary),
        "holds": words.holds(config, records, summary),
        "holds_not": words.holds_not(config, records, summary),
        "gamma_words": words.gamma_words(config.active_learning),
    }


def _own_words(config: DataConfig, records: Records, summary: Summary) -> dict[str, Any]:
    return {
        "headline": own_data.headline(summary),
        "made": own_data.made(config, summary),
        "tested": own_data.tested(config, summary),
        "ended": "",
        "holds": own_data.holds(records, summary),
        "holds_not": own_data.holds_not(summary),
        "gamma_words": words.gamma_words(config.active_learning, looped=False),
        "consistency": own_data.consistency_words(records.dataset["consistency"]),
    }


def breakable(key: str) -> Markup:
    """A dotted key that a browser may break after its dots and underscores."""
    return Markup("<wbr>").join(re.findall(r"[^._]*[._]?", key))


def pictures(config: Config | DataConfig, records: Records) -> dict[str, str]:
    """Data URIs of the pictures that can be drawn, by name; the template says in words why one is missing."""
    limits, validation, evaluation = config.active_learning, config.validation, records.evaluation
    drawn, column = {}, column_of(source_of(config))
    if evaluation["train_frames"] or evaluation["test_frames"]:
        drawn["energy_parity"] = figures.energy_parity(evaluation, column)
        drawn["force_parity"] = figures.force_parity(evaluation, column)
    if records.simulated:
        drawn["gamma"] = figures.gamma_distributions(records.simulated, limits.gamma_select, limits.gamma_stop)
    if len(records.evaluations) > 1:
        labels = [records.datasets[generation]["accepted"] for generation in records.evaluations]
        for name, key, limit, unit in (
            ("energy", "energy_rmse_mev_per_atom", validation.energy_rmse_max_mev_per_atom, "meV/atom"),
            ("force", "force_rmse_mev_per_angstrom", validation.force_rmse_max_mev_per_angstrom, "meV/Å"),
        ):
            errors = {which: [one[which][key] for one in records.evaluations.values()] for which in ("train", "test")}
            drawn[f"{name}_curve"] = figures.learning_curve(labels, errors, limit, f"{name} RMSE, {unit}")
    if records.eos["dft_ev_per_atom"]:
        draw = figures.breathing if records.eos.get("kind") == "molecule" else figures.equation_of_state
        drawn["eos"] = draw(records.eos, column)
    return drawn
