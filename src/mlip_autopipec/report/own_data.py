"""What the report says of a run that started from labelled data of the user's own."""

from __future__ import annotations

from typing import Any

from mlip_autopipec.config import DataConfig
from mlip_autopipec.report.records import Records, finite
from mlip_autopipec.report.summary import Summary
from mlip_autopipec.report.words import extent, number, repulsion_words


def headline(summary: Summary) -> str:
    """The verdict in one sentence."""
    if not summary.passed:
        return "This potential did not pass its test."
    return "This potential passed its test on held-out frames; its properties were not compared with anything."


def made(config: DataConfig, summary: Summary) -> str:
    """What was made and from what."""
    return (
        f"An ACE potential for {summary.composition}: {summary.train.functions} functions, cutoff "
        f"{config.training.cutoff_angstrom} Å{repulsion_words(config.training)}. It learnt from {summary.train.frames} "
        f"labelled frames in {', '.join(config.training.dataset)}; it can be as right as these labels are, not more."
    )


def tested(config: DataConfig, summary: Summary) -> str:
    """Errors on the held-out frames, and where these come from."""
    test = summary.test
    if test.energy_rmse_mev_per_atom is None or test.force_rmse_mev_per_angstrom is None:
        return "There is no test frame: how wrong the potential is outside its training frames is unknown."
    source = (
        f"from {', '.join(config.training.test_dataset)}"
        if config.training.test_dataset
        else "held out of the data in whole blocks of neighbouring frames"
    )
    return (
        f"On {test.frames} test frames {source} it is off by {test.energy_rmse_mev_per_atom:.2f} meV/atom in energy "
        f"and {test.force_rmse_mev_per_angstrom:.0f} meV/Å in a force component (root mean square)."
    )


def holds(records: Records, summary: Summary) -> list[str]:
    """For what the potential holds, as far as the data say."""
    frames = records.evaluation["train_frames"]
    types = sorted({frame["config_type"] for frame in frames})
    sizes = sorted({frame["atoms"] for frame in frames})
    sentences = [
        f"{summary.composition} in surroundings like those of the training frames: {len(frames)} frames of "
        f"{sizes[0]} to {sizes[-1]} atoms ({', '.join(types)}).",
    ]
    forces = finite(abs(f) for frame in frames for f in frame["forces_label_ev_per_angstrom"])
    if forces:
        sentences.append(f"Forces up to {number(max(forces))} eV/Å in the data.")
    if summary.data.pressure_gpa:
        sentences.append(f"Pressures of the labelled cells: {extent(summary.data.pressure_gpa)} GPa.")
    return sentences


def holds_not(summary: Summary) -> list[str]:
    """Where the potential should not be trusted."""
    sentences = [
        "Whatever is not in the data: no molecular dynamics was run to find out what is missing. Watch γ in your own "
        "simulations.",
        "Equation of state, elastic constants and other properties: there was no reference to compare with.",
    ]
    if any("No energy of an isolated" in warning for warning in summary.warnings):
        sentences.append("Cohesive energies and dissociation: there is no energy of the isolated atom to refer to.")
    return sentences


def consistency_words(record: dict[str, Any]) -> str:
    """What the comparison of energies and stresses with a fit to the forces found."""
    if not record["checked"]:
        return f"Energies and forces were not compared with one another: {record['reason']}."
    said = (
        "A small potential fitted to the forces alone explains the energies: differences of the labelled energies are "
        f"{record['energy_slope']:.2f} times the predicted ones (correlation {record['energy_correlation']:.3f})"
    )
    if "stress_slope" in record:
        said += f", stresses {record['stress_slope']:.2f} times ({record['stress_correlation']:.3f})"
    return (
        f"{said}. Largest gap among what is left: {1e3 * record['largest_gap_ev_per_atom']:.0f} meV/atom; no second "
        "energy reference."
    )
