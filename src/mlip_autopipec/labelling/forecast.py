"""What the labels that are still to be made will cost, from the law of `costs.py` and the labels that are finished.

The logarithm of measured over estimated core-seconds is taken as a line in the logarithm of the estimate, fitted by
Bayesian regression (Gelman et al., Bayesian Data Analysis, ch. 14): with no finished label it is the law itself and its
uncertainty, with some dozens it is what they say. Standard library alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlip_autopipec.config.full import Config
from mlip_autopipec.labelling.cells import Cell, read_cells
from mlip_autopipec.labelling.costs import wall_seconds
from mlip_autopipec.labelling.jobs import costs
from mlip_autopipec.labelling.ledger import CHECKS, Ledger, Line

PRIOR_OFFSET = 0.8  # standard deviation of ln(measured / estimated) between machines and materials
PRIOR_SLOPE = 0.15  # of its change per factor e of the estimate
PRIOR_CENTRE = math.log(10.0)  # ln s, where nothing is finished: among the labels that the law was fitted to
PRIOR_SCATTER, PRIOR_WEIGHT = 0.4, 2.0  # scatter between labels of one run, worth two labels
OTHER_FRAMES = 0.2  # other frames of the same run (a melt after crystals) differ by so much as a whole, measured
ROUGH_VOLUME_PER_ATOM = 18.0  # A^3, of cells that are not there yet


@dataclass(frozen=True)
class Fit:
    """ln(measured / estimated) = offset + slope (ln estimate - centre), with its covariance and scatter."""

    labels: int
    centre: float
    offset: float
    slope: float
    covariance: tuple[float, float, float]
    scatter: float

    def factor(self, seconds: float) -> float:
        """What an estimate is to be multiplied with: the mean of measured over estimated."""
        shift = math.log(max(seconds, 1e-3)) - self.centre
        return math.exp(self.offset + self.slope * shift + 0.5 * self.scatter**2)


@dataclass(frozen=True)
class Forecast:
    """A number of labels and their core-hours, with one standard deviation down and up."""

    labels: int
    core_hours: float
    low: float
    high: float
    fitted_to: int

    def text(self) -> str:
        """'about 180 labels, 40 ± 10 core-hours'."""
        share = (self.high - self.low) / 2
        hours = (
            f"{_short(self.core_hours)} ± {_short(share)} core-hours"
            if self.fitted_to and share < 0.6 * self.core_hours
            else f"{_short(self.low)} to {_short(self.high)} core-hours"
        )
        ground = f"from {self.fitted_to} finished labels" if self.fitted_to else "no label is finished yet"
        return f"about {self.labels} labels, {hours} ({ground})"

    def record(self) -> dict[str, Any]:
        """The same for a record."""
        return {
            "labels": self.labels,
            "core_hours": self.core_hours,
            "core_hours_low": self.low,
            "core_hours_high": self.high,
            "fitted_to_labels": self.fitted_to,
            "text": self.text(),
        }


def fit(lines: Iterable[Line]) -> Fit:
    """The law corrected by labels that ended: those that ran through, isolated atoms and checks left out."""
    used = [
        (float(line["estimate_seconds"]), float(line["core_seconds"]))
        for line in lines
        if line.get("final", True)
        and line.get("kind") in ("ok", "physics")
        and line.get("batch") not in ("atoms", *CHECKS)
        and line.get("core_seconds", 0) > 0
        and line.get("estimate_seconds", 0) > 0
    ]
    if not used:
        return Fit(0, PRIOR_CENTRE, 0.0, 0.0, (PRIOR_OFFSET**2, 0.0, PRIOR_SLOPE**2), PRIOR_SCATTER)
    x = [math.log(estimate) for estimate, _ in used]
    y = [math.log(measured / estimate) for estimate, measured in used]
    centre = sum(x) / len(x)
    x = [value - centre for value in x]
    scatter = PRIOR_SCATTER
    for _ in range(20):  # the scatter decides the weights, and they decide the scatter
        offset, slope, covariance = _solve(x, y, scatter)
        rest = sum((b - offset - slope * a) ** 2 for a, b in zip(x, y, strict=True))
        scatter = math.sqrt((PRIOR_WEIGHT * PRIOR_SCATTER**2 + rest) / (PRIOR_WEIGHT + len(y)))
    return Fit(len(used), centre, offset, slope, covariance, scatter)


def _solve(x: Sequence[float], y: Sequence[float], scatter: float) -> tuple[float, float, tuple[float, float, float]]:
    weight = 1 / scatter**2
    a = weight * len(x) + PRIOR_OFFSET**-2
    b = weight * sum(x)
    c = weight * sum(v * v for v in x) + PRIOR_SLOPE**-2
    first, second = weight * sum(y), weight * sum(v * w for v, w in zip(x, y, strict=True))
    det = a * c - b * b
    return (c * first - b * second) / det, (a * second - b * first) / det, (c / det, -b / det, a / det)


def forecast(estimates: Sequence[float], known: Fit, more: int = 0) -> Forecast:
    """Core-hours of labels with these estimated seconds.

    Args:
        estimates: estimated core-seconds, of the law.
        known: the correction.
        more: further labels that are like these on average.
    """
    if not estimates:
        return Forecast(0, 0.0, 0.0, 0.0, known.labels)
    means = [known.factor(seconds) * seconds / 3600 for seconds in estimates]
    scale = (len(estimates) + more) / len(estimates)
    total = scale * sum(means)
    shift = sum(m * (math.log(max(s, 1e-3)) - known.centre) for m, s in zip(means, estimates, strict=True)) / sum(means)
    common, mixed, slope = known.covariance
    shared = common + 2 * mixed * shift + slope * shift**2 + OTHER_FRAMES**2
    single = scale * sum(m * m for m in means) * (math.exp(known.scatter**2) - 1) / total**2
    spread = math.sqrt(shared + math.log1p(single))
    return Forecast(len(estimates) + more, total, total * math.exp(-spread), total * math.exp(spread), known.labels)


def of_batch(path: str | os.PathLike[str], config: Config, ledger: Ledger) -> Forecast:
    """Forecast of one batch whose frames are known, whether or not some of them are labelled."""
    return forecast([cost.seconds for cost in costs(read_cells(path), config.labelling)], fit(ledger.lines()))


def of_run(config: Config, folder: str | os.PathLike[str]) -> Forecast | None:
    """Forecast of all labels of a run, the finished ones included; None where the cells cannot be guessed (molecules).

    Batches whose frames are known are taken as they are. Of the others the number is known, and they are taken to be
    like the known ones, or like cells of `structures.atoms_max` atoms.
    """
    cells: list[Cell] = []
    missing = 0
    for batch, number in labels_asked(config).items():
        found = [cell for path in _frame_files(folder, batch) for cell in read_cells(path)]
        cells += found
        missing += max(0, number - len(found))
    if all(cell.isolated_atom for cell in cells):
        if config.molecule or "molecular" in config.material_class:
            return None
        cells.append(_typical(config))
        missing -= 1
    lines = Ledger(Path(folder) / "labeled").lines()
    return forecast([cost.seconds for cost in costs(cells, config.labelling)], fit(lines), max(0, missing))


def too_long(config: Config, folder: str | os.PathLike[str]) -> str:
    """That a typical label will not be finished within its time limit, with what can be done; else ''.

    Typical is the median of the frames that are there; before there are any, a cell of `structures.atoms_max` atoms.
    """
    settings = config.labelling
    cells = [cell for batch in ("gen", "test") for path in _frame_files(folder, batch) for cell in read_cells(path)]
    whose = "a typical label"
    if not cells:
        if config.molecule or "molecular" in config.material_class:
            return ""
        cells, whose = [_typical(config)], f"a label of {config.structures.atoms_max} atoms"
    law = fit(Ledger(Path(folder) / "labeled").lines())
    found = sorted((law.factor(one.seconds) * one.seconds, one.ranks) for one in costs(cells, settings))
    seconds, ranks = found[len(found) // 2]
    if wall_seconds(seconds, ranks) <= settings.max_seconds:
        return ""
    levers = [f"raise labelling.max_seconds and labelling.ranks_max (now {settings.ranks_max})"]
    if len(settings.magnetic_states) > 1:
        levers.append(f"try fewer labelling.magnetic_states (now {', '.join(settings.magnetic_states)})")
    if settings.engine == "espresso" and settings.protocol != "fast":
        levers.append("take labelling.protocol fast")
    levers.append(f"take smaller cells (structures.atoms_max, now {config.structures.atoms_max})")
    on = "one core" if ranks == 1 else f"one core, {_short(wall_seconds(seconds, ranks) / 3600)} h on {ranks}"
    return (
        f"Mind: {whose} is estimated at {_short(seconds / 3600)} h on {on}, above labelling.max_seconds "
        f"({settings.max_seconds} s): such labels would be given up. What helps: {'; '.join(levers)}.\n"
    )


def labels_asked(config: Config) -> Mapping[str, int]:
    """Labels of a run at most, by what they are for."""
    return {
        "gen": config.active_learning.label_budget,
        "test": config.test.frames,
        "eos": config.validation.eos_points,
        "atoms": len(config.elements),
    }


def _frame_files(folder: str | os.PathLike[str], batch: str) -> list[Path]:
    pattern = "gen*.extxyz" if batch == "gen" else f"{batch}.extxyz"
    return sorted((Path(folder) / "frames").glob(pattern))


def _typical(config: Config) -> Cell:
    """A cube of `atoms_max` atoms of the composition."""
    natoms = config.structures.atoms_max
    whole = sum(config.amounts.values())
    counts = {symbol: max(1, round(amount / whole * natoms)) for symbol, amount in config.amounts.items()}
    volume = natoms * ROUGH_VOLUME_PER_ATOM
    edge = volume ** (1 / 3)
    return Cell("typical", "", natoms, counts, volume, (edge, edge, edge), False)


def _short(number: float) -> str:
    """Two digits that count."""
    return f"{number:.2g}" if number < 100 else f"{number:.0f}"


def words(config: Config, folder: str | os.PathLike[str]) -> str:
    """What will be labelled, what that will cost, and what is left of the budget: for a run's first lines."""
    asked = labels_asked(config)
    atoms = f"{asked['atoms']} isolated atom{'s' if asked['atoms'] > 1 else ''}"
    text = (
        f"Labels: at most {asked['gen']} for training, {asked['test']} for the test set, {asked['eos']} for the "
        f"reference's curve, {atoms}.\n"
    )
    predicted = of_run(config, folder)
    text += f"In all {predicted.text()}.\n" if predicted else "Their cost is told when frames are selected.\n"
    text += too_long(config, folder)
    budget = config.labelling.core_hours_max
    if budget is not None:
        spent = Ledger(Path(folder) / "labeled").spent_core_hours()
        text += f"Budget: {budget:g} core-hours, {_short(spent)} spent; no training label is started beyond it.\n"
    return text
