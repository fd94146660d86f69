"""The verdict in sentences: what was made, where it holds, where it does not."""

from __future__ import annotations

import math
import re

from mlip_autopipec.config.full import Config, Grades, Training
from mlip_autopipec.report.records import Record, Records, finite
from mlip_autopipec.report.summary import Summary


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, trailing zeros too, and all digits before the point; '–' for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # of the rounded value: 9.999 has two digits before
    return f"{value:.{max(0, digits - 1 - exponent)}f}".replace("-", "−")


def units(text: str) -> str:
    """The text with Å where the files, which keep to ASCII, write A for Angstrom."""
    return re.sub(r"((?<=\d )|(?<=, )|(?<=/))A(?![A-Za-z])", "Å", text)


def headline(summary: Summary) -> str:
    """The verdict in one sentence."""
    if not summary.passed:
        return "This potential did not pass its validation."
    if not summary.converged:
        return "This potential passed every check, but the loop ended before its simulations were free of uncertainty."
    return "This potential passed every check, and its last simulations met nothing uncertain."


def made(config: Config, records: Records, summary: Summary) -> str:
    """What was made and from what."""
    labelling, training = config.labelling, config.training
    files = ", ".join(labelling.pseudopotentials.values())
    engines = " and ".join(records.dataset["engine"]) or labelling.engine
    return (
        f"{potential_words(records.potential)} for {summary.composition}: {summary.train.functions} functions, cutoff "
        f"{training.cutoff_angstrom} Å{repulsion_words(training)}. It learnt from {summary.train.frames} cells "
        f"labelled by {engines} with {files}, plane waves up to {labelling.ecutwfc_ry:g} Ry and a "
        f"{_times(labelling.kmesh)} k-point mesh; it can be as right as these settings are, not more."
    )


def potential_words(potential: Record) -> str:
    """What kind of potential was made, as the start of a sentence."""
    if potential["trainer"] not in ("linear-ace", "pacemaker"):
        return f"A potential by {potential['trainer']}"
    densities = potential.get("densities", 1)
    kind = "A linear ACE potential" if densities == 1 else f"An ACE potential with {densities} densities"
    return kind + (", fitted by pacemaker," if potential["trainer"] == "pacemaker" else "")


def repulsion_words(training: Training) -> str:
    """Which repulsive baseline was subtracted before the fit."""
    return {
        "zbl": f", ZBL repulsion below {training.zbl_outer_angstrom} Å",
        "lennard-jones": ", repulsive Lennard-Jones baseline",
    }.get(training.baseline, "")


def ended(summary: Summary) -> str:
    """How the loop ended."""
    rounds = f"{summary.generations} generation{'s' if summary.generations > 1 else ''}"
    if summary.converged:
        return f"Converged after {rounds}: {summary.reason}."
    return f"Not converged after {rounds}: {summary.reason}."


def tested(summary: Summary) -> str:
    """Errors on the test set, or that there is none."""
    test = summary.test
    if test.energy_rmse_mev_per_atom is None or test.force_rmse_mev_per_angstrom is None:
        return "There is no labelled test frame: how wrong the potential is outside its training cells is unknown."
    return (
        f"On {test.frames} test frames, from trajectories of their own that no selection saw, it is off by "
        f"{test.energy_rmse_mev_per_atom:.2f} meV/atom in energy and {test.force_rmse_mev_per_angstrom:.0f} meV/Å in a "
        "force component (root mean square)."
    )


def holds(config: Config, summary: Summary) -> list[str]:
    """For what the potential holds, as far as the data say."""
    structures, data = config.structures, summary.data
    change = config.structures.volume_strain_max
    sentences = [
        f"{summary.composition} in the {structures.lattice} lattice, strained, rattled and hot: cells of "
        f"{_times(structures.repeat)} conventional cells around a = {structures.lattice_constant_angstrom:g} Å.",
        f"Volumes from {100 * change:.0f} % below to {100 * change:.0f} % above that cell's."
        + (f" DFT pressures of the training cells: {extent(data.pressure_gpa)} GPa." if data.pressure_gpa else ""),
    ]
    if data.explored_k:
        sentences.append(f"Starting data from molecular dynamics with the surrogate at {extent(data.explored_k)} K.")
    quiet = _and([f"{t:g}" for t in data.quiet_k])
    if quiet:
        sentences.append(
            f"At {quiet} K all walkers of the last round made their {config.simulation.steps} steps "
            f"({config.simulation.steps * config.simulation.timestep_fs / 1000:g} ps) at constant volume without an "
            "uncertain frame."
        )
    return sentences


def holds_not(config: Config, records: Records, summary: Summary) -> list[str]:
    """Where the potential should not be trusted."""
    latest = [one for one in records.simulated if one["generation"] == max(records.assessments)]
    temperatures = sorted({one["temperature_k"] for one in latest} - set(summary.data.quiet_k))
    sentences = []
    for t in temperatures:
        walkers = [one for one in latest if one["temperature_k"] == t]
        frames = sum(one["uncertain_frames"] for one in walkers)
        stopped = sum(bool(one["stopped"]) for one in walkers)
        largest = max((g for one in walkers for g in finite(one["gamma_max"])), default=None)
        end = f", and {stopped} of {len(walkers)} walkers stopped early" if stopped else ""
        sentences.append(
            f"At {t:g} K the last round still met {frames} uncertain frame{'' if frames == 1 else 's'} "
            f"(γ up to {number(largest, 2)}){end}: watch γ there."
        )
    hottest = max((t for t in (summary.data.simulated_k or ()) + (summary.data.explored_k or ())), default=None)
    beyond = f" Nor was it asked for anything above {hottest:g} K." if hottest else ""
    sentences.append(
        "Surfaces, defects, liquids, clusters and other crystal structures were not put into the data on purpose: the "
        "potential may meet them with a large γ, or fail on them." + beyond
    )
    if any("No energy of an isolated" in warning for warning in summary.warnings):
        sentences.append("Cohesive energies and dissociation: there is no energy of the isolated atom to refer to.")
    return sentences


def gamma_words(limits: Grades, looped: bool = True) -> str:
    """What gamma is, in plain words."""
    if not looped:
        return (
            "γ (the extrapolation grade) says how far the surroundings of an atom lie outside the training data. Up to "
            f"1 they lie inside; above {limits.gamma_select:g} be careful; above {limits.gamma_stop:g} forces are "
            "guesses. γ judges the data, not the error: below 1 the errors are those of the test set."
        )
    return (
        "γ (the extrapolation grade) says how far the surroundings of an atom lie outside the training data. Up to 1 "
        f"they lie inside; above {limits.gamma_select:g} this run called a frame uncertain and could ask DFT for it; "
        f"above {limits.gamma_stop:g} it stopped the simulation, because forces are guesses there. γ judges the data, "
        "not the error: below 1 the errors are those of the test set."
    )


def stress_offset(gpa: float | None) -> str:
    """What the learnt offset of the stresses means, or '' when none was learnt."""
    if gpa is None:
        return ""
    return (
        f"The DFT stresses differ from the slope of the DFT energies by {number(gpa)} GPa, alike in all directions "
        "(Pulay stress: a plane-wave basis of finite size changes with the cell). The offset was learnt together with "
        "the potential and left out of it, so the stresses of the potential fit its energies. The stress errors in the "
        "tables are against the raw DFT stresses and contain the offset; a higher cutoff makes it smaller."
    )


def extent(ends: tuple[float, float]) -> str:
    """Two ends of a range, rounded to 0.1."""
    low, high = (f"{round(end, 1):g}".replace("-", "−") for end in ends)
    return f"{low} to {high}" if low != high else low


def _and(several: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(several[:-1]), *several[-1:]]))


def _times(counts: list[int]) -> str:
    return "\u00a0×\u00a0".join(str(count) for count in counts)
