"""The verdict in sentences: what was made, where it holds, where it does not."""

from __future__ import annotations

import math
import re
from collections import Counter

from mlip_autopipec.config.full import Config, Grades, Training
from mlip_autopipec.config.label_source import label_source
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
    checked = "every check"
    if summary.validation.bond_scale is not None:
        checked = "its checks, none of which is of a property between molecules"
    if not summary.converged:
        return f"This potential passed {checked}, but the loop ended before its simulations were free of uncertainty."
    return f"This potential passed {checked}, and its last simulations met nothing uncertain."


def made(config: Config, records: Records, summary: Summary) -> str:
    """What was made and from what."""
    training = config.training
    return (
        f"{potential_words(records.potential)} for {summary.composition}: {summary.train.functions} functions, cutoff "
        f"{training.cutoff_angstrom} Å{repulsion_words(training)}. It learnt from {summary.train.frames} cells "
        f"labelled by {_labels_made(config, records)}"
    )


def _labels_made(config: Config, records: Records) -> str:
    """Who labelled, with which settings, as the end of a sentence; a teacher's labels are never told as DFT's."""
    labelling, source = config.labelling, label_source(config.labelling)
    engines = " and ".join(records.dataset["engine"]) or labelling.engine
    if labelling.engine == "calculator":
        return f"{engines.removeprefix('calculator ')}; it can be as right as that is, not more."
    files = ", ".join(labelling.pseudopotentials.values()) or "recommended data sets"
    waves = f"plane waves up to {labelling.ecutwfc_ry:g} Ry" if labelling.ecutwfc_ry else "plane waves"
    told = "" if labelling.engine == "espresso" else f" {source.words}"
    return (
        f"{engines} with {files}, {waves} and {_kpoints(config)}; it can be as right as these settings are, not more."
        f"{told}{spin_words(config, records)}"
    )


def _kpoints(config: Config) -> str:
    labelling = config.labelling
    if labelling.kmesh is not None:
        return f"a {_times(labelling.kmesh)} k-point mesh"
    return f"k-points at most {labelling.kspacing_per_angstrom:g} 1/Å apart in the unstrained cell (one across vacuum)"


def spin_words(config: Config, records: Records) -> str:
    """Whether there was spin, and the moments found; with a leading blank."""
    if config.labelling.nspin == 1:
        return " Labels were made without spin."
    found = records.dataset.get("site_moment_range")
    moments = f"; moments of atoms in the labels: {found[0]:.2f} to {found[1]:.2f} μB" if found else ""
    return f" Labels were made with collinear spins{moments}. The potential itself knows nothing of spin."


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
        bad = "" if summary.passed else " The data cover what the simulations met; that does not make the errors small."
        return f"Converged after {rounds}: {summary.reason}.{bad}"
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


def labelled_types(records: Records) -> Counter[str]:
    """How many training labels there are of each type of structure."""
    return Counter(row["config_type"] for row in records.evaluation["train_frames"])


def holds(config: Config, records: Records, summary: Summary) -> list[str]:
    """For what the potential holds, as far as the labelled data say."""
    data, labelled = summary.data, labelled_types(records)
    sentences = [_of_parents(records, summary.composition), _of_types(labelled)]
    if data.volume_change is not None:
        low, high = (abs(100 * change) for change in data.volume_change)
        sentences.append(f"Volumes from {low:.0f} % below to {high:.0f} % above those of the relaxed crystals.")
    if data.pressure_gpa:
        sentences.append(f"DFT pressures of the training cells: {extent(data.pressure_gpa)} GPa.")
    if data.explored_k:
        starts = sorted({one["start_type"].replace("_", " ") for one in records.explored if "start_type" in one})
        sentences.append(
            f"Starting data from molecular dynamics with the surrogate at {extent(data.explored_k)} K"
            + (f", started from: {_and(starts)}." if starts else ".")
        )
    quiet = _and([f"{t:g}" for t in data.quiet_k])
    if quiet:
        sentences.append(
            f"At {quiet} K all walkers of the last round made their {config.simulation.steps} steps "
            f"({config.simulation.steps * config.simulation.timestep_fs / 1000:g} ps) at constant volume without an "
            "uncertain frame."
        )
    return [sentence for sentence in sentences if sentence]


def _of_parents(records: Records, composition: str) -> str:
    kept = [one for one in (records.parents or {"tried": []})["tried"] if one["kept"]]
    if not kept:
        return ""
    names = [one["prototype"] + (f" ({one['spacegroup']})" if one.get("spacegroup") else "") for one in kept]
    return f"{composition} as {_and(list(dict.fromkeys(names)))}, relaxed by the surrogate, and what was made of them."


def _of_types(labelled: Counter[str]) -> str:
    told = [f"{count} {kind.replace('_', ' ')}" for kind, count in labelled.most_common()]
    return f"Training labels by type of structure: {', '.join(told)}." if told else ""


# Kinds of structure that a user may expect a potential to know, by their type.
CRYSTAL_KINDS = {
    "vacancy": "vacancies",
    "interstitial": "interstitials",
    "antisite": "antisites",
    "surface": "surfaces",
    "melt": "liquids",
    "amorphous": "glasses",
    "cluster": "clusters",
}
MOLECULE_KINDS = {
    "normal_mode": "vibrations of the molecule",
    "stretch": "stretched and bent bonds",
    "dimer": "pairs of molecules",
    "cluster": "clusters of molecules",
    "condensed": "the condensed phase",
}


def _not_labelled(config: Config, records: Records) -> list[str]:
    """What was not made, or was made and got no label of its own."""
    kept = [one for one in (records.parents or {"tried": []})["tried"] if one["kept"]]
    molecular = [one for one in kept if not one.get("spacegroup")]
    expected = CRYSTAL_KINDS if len(molecular) < len(kept) or not kept else {}
    expected = expected | (MOLECULE_KINDS if molecular else {})
    if len(config.elements) == 1:
        expected = {kind: name for kind, name in expected.items() if kind != "antisite"}
    labelled = labelled_types(records)
    made = (records.structures or {"by_type": {}})["by_type"]
    unmade = [name for kind, name in expected.items() if not labelled[kind] and not made.get(kind)]
    unlabelled = [name for kind, name in expected.items() if not labelled[kind] and made.get(kind)]
    sentences = []
    if unmade:
        sentences.append(f"{_capital(_and(unmade))}: none was made.")
    if unlabelled:
        sentences.append(
            f"{_capital(_and(unlabelled))}: made as places to start from, but none was chosen for a label as it "
            "was made."
        )
    if sentences:
        sentences.append(
            "The potential may meet these, and whatever is not named here, with a large γ, or fail on them."
        )
    else:
        sentences.append("Whatever is not named here: the potential may fail on it.")
    return [" ".join(sentences)]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def holds_not(config: Config, records: Records, summary: Summary) -> list[str]:
    """Where the potential should not be trusted."""
    latest = [one for one in records.simulated if one["generation"] == max(records.assessments)]
    temperatures = sorted({one["temperature_k"] for one in latest} - set(summary.data.quiet_k))
    sentences = [_capital(sentence) for sentence in summary.cautions]
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
    own = max(summary.data.simulated_k or (), default=0.0)
    surrogate = max(summary.data.explored_k or (), default=0.0)
    sentences += _not_labelled(config, records)
    if surrogate > own > 0:
        sentences.append(
            f"Above {own:g} and up to {surrogate:g} K: only the surrogate was run there, not the potential."
        )
    if hottest := max(own, surrogate):
        sentences.append(f"Anything above {hottest:g} K: it was not asked for.")
    failed = [one for one in (records.structures or {"generators": []})["generators"] if one["failed"]]
    sentences += [f"The generator {one['generator']} failed: {one['failed']}." for one in failed]
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
