"""The part of the report on how far the potential can be trusted: expected and true errors, pairs pressed together."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mlip_autopipec.report.figures import BLACK, BLUE, GREEN, GREY, ORANGE, draw_svg
from mlip_autopipec.report.records import Record, Records
from mlip_autopipec.report.words import number

COLOURS = (BLUE, ORANGE, GREEN, BLACK)
STYLES = ("-", "--", ":", "-.")


def section(records: Records) -> dict[str, Any]:
    """What the template needs: words, tables and pictures of what was measured."""
    found: dict[str, Any] = {"pictures": {}, "rows": [], "sentences": [], "pairs": []}
    if records.uncertainty is not None:
        found["rows"] = coverage_rows(records.uncertainty)
        found["calibrated"] = records.uncertainty.get("calibration") is not None
        found["sentences"] = sentences(records.uncertainty)
        if "reliability" in records.uncertainty:
            found["pictures"]["reliability"] = reliability_picture(records.uncertainty["reliability"])
    if records.dimer is not None:
        found["pairs"] = pair_rows(records.dimer)
        found["pictures"]["dimer"] = dimer_picture(records.dimer)
    return found


def coverage_rows(uncertainty: Record) -> list[dict[str, Any]]:
    """Coverage and sizes of errors, held out and on the test set, before and after calibration."""
    rows = []
    for key, name in (("held_out", "training, held out"), ("test", "test")):
        for when in ("before", "after"):
            one = uncertainty.get(key, {}).get(when, {})
            if "force_within_one" in one:
                rows.append({"set": name, "when": when, **one})
    return rows


def sentences(uncertainty: Record) -> list[str]:
    """What the numbers say."""
    said = []
    test = uncertainty["test"]["after"]
    if "force_within_one" in test:
        said.append(
            f"On the test set, which the calibration never saw, {100 * test['force_within_one']:.0f} % of the force "
            f"components and {100 * test['energy_within_one']:.0f} % of the energies lie within one expected standard "
            f"deviation, {100 * test['force_within_two']:.0f} % and {100 * test['energy_within_two']:.0f} % within two "
            "(for a Gaussian 68 % and 95 %)."
        )
    noise = uncertainty.get("label_noise")
    if noise:
        said.append(
            "The errors that the delivered potential tells its user to expect have the noise of the labels in them "
            f"({number(noise['energy_mev_per_atom'])} meV/atom, {number(noise['force_mev_per_angstrom'])} meV/Å): they "
            "are against converged labels. The table is without it, because test labels have the same settings."
        )
    ranks = uncertainty.get("ranking")
    if ranks is not None:
        said.append(
            "Which atoms are wrong by most, the standard deviation ranks with a Spearman correlation of "
            f"{number(ranks['force_by_deviation'], 2)}, γ with {number(ranks['force_by_gamma'], 2)} (1: perfectly, 0: "
            "not at all). γ is made to find what is outside the data, not to rank what is inside."
        )
    committee = uncertainty.get("committee")
    if committee is not None and committee["members"]:
        said.append(
            f"A committee of {committee['members']} potentials was drawn; on the test set it disagrees by "
            f"{number(committee['energy_mev_per_atom'])} meV/atom and {number(committee['force_mev_per_angstrom'])} "
            "meV/Å. Compute a quantity with each of them: the scatter is its error, as far as the data decide it."
        )
        if committee["attracting"]:
            said.append(
                f"{committee['attracting']} of the members let a pair attract below the shortest distance of the data, "
                "and the data do not let that be mended: they are not for collisions."
            )
    return said


def pair_rows(dimer: Record) -> list[dict[str, Any]]:
    """One row for each pair of elements."""
    return [
        {
            "pair": name,
            "shortest": pair["shortest_distance_angstrom"],
            "attracts": pair["attracts_at_angstrom"],
            "innermost_ev": pair["energy_ev"][0],
            "passed": pair["passed"],
        }
        for name, pair in dimer["pairs"].items()
    ]


def reliability_picture(reliability: Record) -> str:
    """True against expected force errors in groups of like expectation."""
    expected, true = (np.array(reliability[f"{key}_mev_per_angstrom"]) for key in ("expected", "true"))

    def draw(figure: Figure) -> None:
        plot = figure.subplots()
        end = 1.08 * max(expected.max(), true.max())
        plot.plot([0, end], [0, end], color=GREY, linewidth=0.8)
        plot.plot(expected, true, "o-", color=BLUE, linewidth=1.0)
        plot.set_xlim(0, end)
        plot.set_ylim(0, end)
        plot.set_xlabel("expected force error, meV/Å")
        plot.set_ylabel("true force error, meV/Å")

    return draw_svg(3.4, draw)


def dimer_picture(dimer: Record) -> str:
    """Energy of every pair against distance; a line marks the shortest distance in the data."""

    def draw(figure: Figure) -> None:
        plot = figure.subplots()
        for k, (name, pair) in enumerate(dimer["pairs"].items()):
            colour, style = COLOURS[k % len(COLOURS)], STYLES[k // len(COLOURS) % len(STYLES)]
            plot.plot(pair["distance_angstrom"], pair["energy_ev"], style, color=colour, label=name, linewidth=1.3)
            plot.axvline(pair["shortest_distance_angstrom"], color=colour, linewidth=0.7, linestyle=":")
        plot.set_yscale("symlog", linthresh=1.0)
        plot.set_xlabel("distance, Å")
        plot.set_ylabel("energy, eV (linear up to 1)")
        plot.legend(ncols=2)

    return draw_svg(3.4, draw)
