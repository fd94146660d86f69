"""The map of configuration space: what was seen, labelled, refused and later found uncertain, in two dimensions."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlip_autopipec.report.figures import BLACK, BLUE, ORANGE, draw_svg
from mlip_autopipec.report.records import Record

SEEN, SKY = "#a9afb6", "#56B4E9"
MARGIN = 0.06  # of the width, around the points
ROOM = 0.6  # of the width of all else, on each side, for uncertain frames; those beyond stand at the edge
GENERATIONS_NAMED = 5


def map_of_frames(points: list[Record], axes: list[float]) -> str:
    """The map as a data URI of an SVG.

    Args:
        points: of `map.json`.
        axes: shares of variance of the two axes.
    """
    low, high = _frame(points)

    def draw(figure: Figure) -> None:
        plot = figure.subplots()
        place = {id(one): np.clip((one["x"], one["y"]), low, high) for one in points}

        def scatter(chosen: list[Record], label: str, **look: Any) -> None:
            if chosen:
                at = np.array([place[id(one)] for one in chosen])
                look.setdefault("rasterized", len(chosen) > 1000)
                plot.scatter(at[:, 0], at[:, 1], label=f"{label} ({len(chosen)})", **look)

        groups = {what: [one for one in points if one["what"] == what] for what in
                  ("seen", "test", "chosen", "labelled", "failed")}  # fmt: skip
        many, crowded = len(points) > 400, len(groups["labelled"]) > 150
        scatter(groups["seen"], "seen, not chosen", s=7 if many else 12, color=SEEN, linewidths=0, zorder=1)
        scatter(groups["test"], "test frames", s=20, color=SKY, marker="+", linewidths=1.0, zorder=2)
        _uncertain(plot, points, scatter)
        scatter(groups["chosen"], "chosen, not labelled", s=16, facecolors="none", edgecolors=BLUE, marker="D",
                linewidths=0.7, zorder=4)  # fmt: skip
        ring = {"s": 16, "linewidths": 0.6} if crowded else {"s": 36, "linewidths": 0.9}
        scatter(groups["labelled"], "labelled", facecolors="none", edgecolors=BLACK, zorder=5, **ring)
        scatter(groups["failed"], "label refused", s=26, color=ORANGE, marker="x", linewidths=1.4, zorder=6)
        pad = MARGIN * (high - low)
        plot.set_xlim(low[0] - pad[0], high[0] + pad[0])
        plot.set_ylim(low[1] - pad[1], high[1] + pad[1])
        shares = [f"{100 * share:.0f} % of the variance" for share in axes] + ["nothing varies"] * 2
        plot.set_xlabel(f"first principal component ({shares[0]})")
        plot.set_ylabel(f"second ({shares[1]})")
        figure.legend(loc="outside lower center", ncols=2, handletextpad=0.2, columnspacing=1.2)

    return draw_svg(5.4, draw)


def _uncertain(plot: Axes, points: list[Record], scatter: Any) -> None:
    """Frames found uncertain, filled with the colour of their generation; those labelled later get a ring above."""
    found: dict[int, list[Record]] = {}
    for one in points:
        if one["uncertain_in"] is not None:
            found.setdefault(one["uncertain_in"], []).append(one)
    generations = sorted(found)
    colours = matplotlib.colormaps["plasma"](np.linspace(0.28, 0.82, max(len(generations), 2)))
    named = {round(k) for k in np.linspace(0, len(generations) - 1, GENERATIONS_NAMED)}
    for k, generation in enumerate(generations):
        scatter(
            found[generation], f"uncertain, generation {generation}", s=17, color=[colours[k]], linewidths=0, zorder=3
        )
        if k not in named:
            plot.collections[-1].set_label("_")  # too many colours for a legend: those between are told by the rest


def beyond_the_edge(points: list[Record]) -> int:
    """How many points lie beyond the edge of the map and are drawn at it."""
    low, high = _frame(points)
    places = np.array([(one["x"], one["y"]) for one in points])
    return int(((places < low) | (places > high)).any(axis=1).sum())


def _frame(points: list[Record]) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner of what is drawn."""
    places = np.array([(one["x"], one["y"]) for one in points])
    known = places[[one["uncertain_in"] is None for one in points]]
    known = known if len(known) else places
    low, high = known.min(axis=0), known.max(axis=0)
    width = np.maximum(high - low, 1e-3 * max(1.0, float(np.abs(known).max())))
    middle = (low + high) / 2
    low, high = np.minimum(low, middle - width / 2), np.maximum(high, middle + width / 2)
    low = np.minimum(low, np.maximum(places.min(axis=0), low - ROOM * width))
    high = np.maximum(high, np.minimum(places.max(axis=0), high + ROOM * width))
    return low, high
