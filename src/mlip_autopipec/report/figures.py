"""The pictures of the report, each as a data URI: nothing is fetched when the page is opened.

Every picture is one column wide, so that it is as readable on a phone as on a desk. Colours are those of Okabe and Ito
(Color Universal Design, 2008), and markers differ where colours do.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from mlip_autopipec.metrics import EV_PER_ANGSTROM3_IN_GPA
from mlip_autopipec.report.records import Record, finite

BLUE, ORANGE, GREEN, BLACK, GREY = "#0072B2", "#D55E00", "#009E73", "#222222", "#767676"
SETS = (("train", "training", BLUE, "o"), ("test", "test", ORANGE, "^"))
WIDTH_INCH = 4.7
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "mlip-autopipec",
    "savefig.dpi": 200,
}


def draw_svg(height_inch: float, draw: Callable[[Figure], None]) -> str:
    """A figure as a data URI of an SVG; the same input gives the same bytes."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCH, height_inch), layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def energy_parity(evaluation: Record, reference: str = "DFT") -> str:
    """Energy per atom of potential against DFT, relative to the lowest DFT energy, with the errors below."""
    lowest = min(row["energy_label_ev_per_atom"] for key, *_ in SETS for row in evaluation[f"{key}_frames"])
    data = {}
    for key, *_ in SETS:
        rows = evaluation[f"{key}_frames"]
        label = np.array([row["energy_label_ev_per_atom"] for row in rows], dtype=float)
        data[key] = label - lowest, np.array([row["energy_ev_per_atom"] for row in rows], dtype=float) - lowest
    return _parity(data, "energy above the lowest", "eV/atom", "error, meV/atom", reference)


def force_parity(evaluation: Record, reference: str = "DFT") -> str:
    """Force components of potential against DFT, with the errors below."""
    data = {}
    for key, *_ in SETS:
        rows = evaluation[f"{key}_frames"]
        x = [row["forces_label_ev_per_angstrom"] for row in rows] or [[]]
        y = [row["forces_ev_per_angstrom"] for row in rows] or [[]]
        data[key] = np.concatenate(x).astype(float), np.concatenate(y).astype(float)
    return _parity(data, "force component", "eV/Å", "error, meV/Å", reference)


def _parity(data: dict[str, tuple[np.ndarray, np.ndarray]], what: str, unit: str, error: str, reference: str) -> str:
    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.2])
        everything = np.concatenate([np.concatenate(pair) for pair in data.values()])
        everything = everything[np.isfinite(everything)]
        ends = [everything.min(), everything.max()]
        upper.plot(ends, ends, color=GREY, linewidth=0.8, zorder=1)
        lower.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
        for key, name, colour, marker in SETS:
            x, y = data[key]
            if not len(x):
                continue
            look: dict[str, Any] = {
                "s": 14 if len(x) < 500 else 6, "color": colour, "marker": marker, "linewidths": 0, "alpha": 0.7,
                "rasterized": len(x) > 1000,  # tens of thousands of paths would make the page heavy
            }  # fmt: skip
            upper.scatter(x, y, label=f"{name} ({len(x)})", **look)
            lower.scatter(x, 1e3 * (y - x), **look)
        upper.set_ylabel(f"potential, {unit}")
        upper.legend(loc="upper left", markerscale=1.8, handletextpad=0.2)
        lower.set_ylabel(error)
        lower.set_xlabel(f"{reference}: {what}, {unit}")

    return draw_svg(4.6, draw)


def gamma_distributions(simulated: list[Record], select: float, stop: float) -> str:
    """How often each generation's walkers met which largest extrapolation grade, with the two thresholds."""
    by_generation: dict[int, list[float]] = {}
    for record in simulated:
        by_generation.setdefault(record["generation"], []).extend(finite(record["gamma_max"]))
    found = {generation: np.array(values) for generation, values in sorted(by_generation.items())}
    largest = max((values.max() for values in found.values() if len(values)), default=stop)
    right = float(np.clip(1.2 * largest, 1.5 * stop, 10 * stop))
    smallest = min((values.min() for values in found.values() if len(values)), default=0.1)
    left = float(np.clip(0.8 * smallest, 0.05, 0.5))
    bins = np.geomspace(left, right, 50)

    def draw(figure: Figure) -> None:
        rows = figure.subplots(len(found), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for row, (generation, values) in zip(rows, found.items(), strict=True):
            # what lies outside the axis is counted in the outermost bins, not lost
            row.hist(np.clip(values, bins[0], bins[-1]), bins=bins, color=BLUE, log=True)
            row.set_title(_gamma_words(generation, values, select), fontsize=9, loc="left", pad=3)
            row.axvline(select, color=ORANGE, linewidth=1.4)
            row.axvline(stop, color=BLACK, linewidth=1.4, linestyle="--")
            row.set_ylim(bottom=0.6)
            row.set_ylabel("checks")
        rows[0].set_xscale("log")
        ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if left <= tick <= right]
        rows[-1].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        rows[-1].minorticks_off()
        rows[-1].set_xlabel("largest γ of the cell (dimensionless)")
        names = [f"uncertain above {select:g}", f"stops above {stop:g}"]
        figure.legend(rows[0].get_lines()[:2], names, loc="outside upper right", ncols=2)

    return draw_svg(0.9 + 1.25 * len(found), draw)


def _gamma_words(generation: int, values: np.ndarray, select: float) -> str:
    if not len(values):
        return f"generation {generation}: no check was made"
    above = int((values > select).sum())
    return f"generation {generation}: {above} of {len(values)} checks uncertain, largest γ {values.max():.1f}"


def learning_curve(labels: list[int], errors: dict[str, list[float | None]], limit: float, axis: str) -> str:
    """Errors on training and test labels against the number of training labels, with the allowed test error."""

    def draw(figure: Figure) -> None:
        plot = figure.subplots()
        for key, name, colour, marker in SETS:
            points = [(x, y) for x, y in zip(labels, errors[key], strict=True) if y is not None]
            if points:
                line = "-" if key == "test" else "--"
                plot.plot(*zip(*points, strict=True), line, color=colour, marker=marker, label=name)
        top = max([limit, *(y for several in errors.values() for y in several if y is not None)])
        plot.axhline(limit, color=GREY, linestyle=":", linewidth=1.4, label=f"allowed on test ({limit:g})")
        plot.set_ylim(0, 1.3 * top)
        plot.set_xticks(sorted(set(labels)))
        plot.set_xlabel("training labels accepted")
        plot.set_ylabel(axis)
        plot.legend(loc="upper right", ncols=3, fontsize=8.5, handlelength=1.6, columnspacing=1.0)

    return draw_svg(3.1, draw)


def equation_of_state(eos: Record, reference: str = "DFT") -> str:
    """Energies of DFT and potential on the same cells against volume, with the fitted curves that exist."""
    volumes = np.array(eos["volume_angstrom3_per_atom"], dtype=float)
    lowest = min(eos["dft_ev_per_atom"])

    def draw(figure: Figure) -> None:
        plot = figure.subplots()
        fine = np.linspace(volumes.min(), volumes.max(), 200)
        for key, name, colour, marker, line in (
            ("dft", reference, BLACK, "s", "--"),
            ("potential", "potential", ORANGE, "o", "-"),
        ):
            energies = np.array(eos[f"{key}_ev_per_atom"], dtype=float)
            fill = "none" if key == "dft" else colour
            plot.plot(volumes, 1e3 * (energies - lowest), marker, color=colour, label=name, markerfacecolor=fill)
            if key in eos:
                curve = birch_murnaghan(fine, volumes, energies, eos[key])
                plot.plot(fine, 1e3 * (curve - lowest), line, color=colour, linewidth=1.2, label=f"fit to {name}")
        plot.set_xlabel("volume, Å³/atom")
        plot.set_ylabel(f"energy above the lowest {reference} energy, meV/atom")
        plot.legend()

    return draw_svg(3.7, draw)


def breathing(curve: Record, reference: str = "DFT") -> str:
    """Energies of DFT and potential of a molecule with all its distances scaled, each relative to its own lowest."""
    scales = np.array(curve["scale"], dtype=float)

    def draw(figure: Figure) -> None:
        plot = figure.subplots()
        for key, name, colour, marker in (("dft", reference, BLACK, "s"), ("potential", "potential", ORANGE, "o")):
            energies = np.array(curve[f"{key}_ev_per_atom"], dtype=float) * curve["atoms"]
            fill = "none" if key == "dft" else colour
            line = "--" if key == "dft" else "-"
            plot.plot(
                scales, energies - energies.min(), line, marker=marker, color=colour, markerfacecolor=fill, label=name
            )
        plot.set_xlabel("scale of all distances of the molecule")
        plot.set_ylabel("energy above its lowest, eV")
        plot.legend()

    return draw_svg(3.4, draw)


def birch_murnaghan(at: Iterable[float], volumes: np.ndarray, energies: np.ndarray, fit: Record) -> np.ndarray:
    """The fitted third-order Birch-Murnaghan curve in eV/atom at the volumes `at` (A^3/atom).

    A fit's record has the minimum and the bulk modulus but not its pressure derivative B'. The energy is linear in B'
    (Birch, Phys. Rev. 71, 809, 1947), so the points that were fitted give it back without another fit.

    Args:
        volumes, energies: the points that were fitted, A^3/atom and eV/atom.
        fit: with `volume_angstrom3_per_atom`, `energy_ev_per_atom` and `bulk_modulus_gpa`.
    """
    volume, energy = fit["volume_angstrom3_per_atom"], fit["energy_ev_per_atom"]
    scale = 9 / 16 * volume * fit["bulk_modulus_gpa"] / EV_PER_ANGSTROM3_IN_GPA

    def terms(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = (volume / at) ** (2 / 3)
        return energy + scale * (x - 1) ** 2 * (6 - 4 * x), scale * (x - 1) ** 3

    constant, slope = terms(volumes)
    derivative = float(slope @ (energies - constant) / (slope @ slope))
    constant, slope = terms(np.asarray(at, dtype=float))
    return constant + derivative * slope
