"""A user's labelled data become the dataset, the test set and the quarantine of a run that starts at training."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.config.composition import parse_composition
from mlip_autopipec.config.own_data import DataTraining, files_of
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ENERGY, STRESS, pairs
from mlip_autopipec.seeds import generator
from mlip_autopipec.training.dataset import read_all
from mlip_autopipec.training.dataset_checks import Checked, check_frame, quarantined, refuse_duplicates
from mlip_autopipec.training.dataset_consistency import check_consistency
from mlip_autopipec.training.dataset_references import reference_energies
from mlip_autopipec.training.folds import trajectories

MINIMUM_FRAMES = 5
LARGE_FORCES = 1 / 3  # so many frames above the limit speak of other units rather than of bad frames
NEIGHBOUR_RANGE_ANGSTROM = 6.0
SMALLEST_CUTOFF_ANGSTROM = 5.0  # molecules: the bond says nothing about how far they see one another
SAMPLE_FRAMES = 100


@dataclass(frozen=True)
class Imported:
    """What the rule `import_data` writes."""

    dataset: list[Atoms]
    test: list[Atoms]
    quarantine: list[Atoms]
    record: dict[str, Any]
    test_record: dict[str, Any]


def import_data(settings: DataTraining, composition: str | None, seed: int) -> Imported:
    """Read, check, split and describe labelled data.

    Args:
        settings: the config's section `training`.
        composition: what the user says the data are made of, or None.

    Returns:
        Frames for training (isolated atoms first), for the test and for quarantine, and two records in the form of
        those of `collect`; `inferred` in the first holds what the data decide about the configuration.

    Raises:
        ConfigError: a file is missing.
        InputFileError: a file cannot be read.
        DataError: names of labels are ambiguous, labels do not fit together, or too few frames are left.
    """
    given, said = read_all(files_of(settings.dataset), settings)
    frames = [check_frame(source, keys, settings) for source, keys in given]
    held_out: list[Checked] = []
    if settings.test_dataset:
        given, test_said = read_all(files_of(settings.test_dataset, "training.test_dataset"), settings)
        said |= test_said
        held_out = [check_frame(source, keys, settings) for source, keys in given]
    refuse_duplicates(frames, held_out)
    _enough(frames)
    cutoff, bond = neighbour_distances(_condensed(frames))
    together = [one for one in frames + held_out if not one.isolated]
    consistency: dict[str, Any] = {"checked": False, "reason": "training.check_consistency is false"}
    notes: list[str] = []
    if settings.check_consistency:
        consistency, notes = check_consistency(together, settings.cutoff_angstrom or cutoff, seed)
        _enough(frames)
    if not settings.test_dataset:
        frames, held_out = split(frames, settings.test_fraction, seed)
        _enough(frames)
    dataset = _isolated(frames) + _condensed(frames)
    elements = sorted({symbol for frame in _condensed(frames) for symbol in frame.get_chemical_symbols()})
    _refuse_unknown_elements(held_out, elements)
    _compare(composition, elements)
    references, chosen_by, warnings = reference_energies(dataset, settings)
    warnings += _warnings(frames, held_out, bool(settings.test_dataset))
    inferred = {
        f"training.{key}": found for key, found in _lengths(cutoff, bond).items() if getattr(settings, key) is None
    }
    inferred["training.reference_energies_ev"] = _inferred(references, *chosen_by)
    if composition is None:
        inferred["composition"] = _inferred("".join(elements), "elements_of_the_data", "the elements in the data")
    record = _record(frames, settings) | {
        "files": said,
        "elements": elements,
        "inferred": inferred,
        "consistency": consistency,
        "notes": [f"{path}: {note}" for path, one in said.items() for note in one["notes"]] + notes,
        "left_out": dict(Counter(one.note for one in frames + held_out if one.note and not one.outcome)),
        "user_warnings": warnings,
    }
    refused = [quarantined(one) for one in frames + held_out if one.outcome and one.frame is not None]
    return Imported(dataset, _condensed(held_out), refused, record, _record(held_out, settings))


def _lengths(cutoff: float, bond: float) -> dict[str, dict[str, Any]]:
    usual = f"the shortest usual bond in the data, {bond:.3g} A"
    far = (
        f"2.35 x the largest median distance of nearest neighbours in the data, at least {SMALLEST_CUTOFF_ANGSTROM:g} A"
    )
    return {
        "cutoff_angstrom": _inferred(cutoff, "cutoff_of_2_35_bonds", far),
        "zbl_outer_angstrom": _inferred(round(0.72 * bond, 3), "zbl_ends_below_the_bonds", f"0.72 of {usual}"),
        "zbl_inner_angstrom": _inferred(round(0.45 * bond, 3), "zbl_is_whole_at_half_a_bond", f"0.45 of {usual}"),
    }


def _inferred(value: Any, by: str, why: str) -> dict[str, Any]:
    return {"value": value, "by": by, "why": why}


def _condensed(frames: list[Checked]) -> list[Atoms]:
    return [one.frame for one in frames if one.frame is not None and not one.outcome and not one.isolated]


def _isolated(frames: list[Checked]) -> list[Atoms]:
    return [one.frame for one in frames if one.frame is not None and not one.outcome and one.isolated]


def _enough(frames: list[Checked]) -> None:
    """Raises DataError, with counts per reason, when too few frames are left or the forces look like other units."""
    left = len(_condensed(frames))
    large = [one for one in frames if one.outcome == "large force"]
    if len(large) > LARGE_FORCES * len(frames):
        raise DataError(
            f"{len(large)} of {len(frames)} frames of training.dataset have forces above "
            f"training.maximum_force_ev_per_angstrom ({large[0].source.name}: {large[0].reason}). If they are in "
            "other units, convert them to eV/A; if they are right, raise that limit"
        )
    if left >= MINIMUM_FRAMES:
        return
    counts = Counter(one.outcome for one in frames if one.outcome)
    reasons = ", ".join(f"{number} x {outcome}" for outcome, number in counts.most_common())
    first = next((one for one in frames if one.outcome), None)
    example = f" The first: {first.source.name}: {first.reason}." if first else ""
    raise DataError(
        f"only {left} of {len(frames)} frames of training.dataset can be trained on, and at least {MINIMUM_FRAMES} are "
        f"needed{': ' + reasons if reasons else ''}.{example}"
    )


def neighbour_distances(frames: list[Atoms]) -> tuple[float, float]:
    """What the data say about lengths.

    Returns:
        A cutoff in A (2.35 times the largest of the elements' median distances to the nearest neighbour, at least
        5 A), and the smallest of these medians in A.
    """
    distances: dict[str, list[np.ndarray]] = {}
    for frame in frames[:: max(1, len(frames) // SAMPLE_FRAMES)]:
        first, _, distance = pairs(frame, NEIGHBOUR_RANGE_ANGSTROM)
        nearest = np.full(len(frame), np.inf)
        np.minimum.at(nearest, first, distance)
        symbols = np.array(frame.get_chemical_symbols())
        for symbol in set(symbols):
            distances.setdefault(symbol, []).append(nearest[symbols == symbol])
    medians = [float(np.median(known[np.isfinite(known)])) for known in map(np.concatenate, distances.values())
               if np.isfinite(known).any()]  # fmt: skip
    if not medians:
        raise DataError(
            f"no two atoms of training.dataset are nearer than {NEIGHBOUR_RANGE_ANGSTROM:g} A: nothing to fit"
        )
    return max(SMALLEST_CUTOFF_ANGSTROM, round(2.35 * max(medians), 1)), min(medians)


def split(frames: list[Checked], fraction: float, seed: int) -> tuple[list[Checked], list[Checked]]:
    """Hold out a part of the good frames, block by block, the same part of each config_type.

    A block is a stretch of neighbouring frames in one file, of one composition and config_type, half as long as the
    part of its run that is held out: frames that follow one another in a trajectory are nearly the same.
    """
    good = [one for one in frames if one.frame is not None and not one.outcome and not one.isolated]
    if not fraction:
        return frames, []
    blocks: dict[tuple[str, str], list[Checked]] = {}
    for file in dict.fromkeys(one.source.file for one in good):
        members = [one for one in good if one.source.file == file]
        names = trajectories(
            [one.frame for one in members if one.frame is not None], max(2, round(2 / fraction)), shortest=1
        )
        for name, one in zip(names, members, strict=True):
            blocks.setdefault((file, name), []).append(one)
    by_type: dict[str, list[list[Checked]]] = {}
    for block in blocks.values():
        assert block[0].frame is not None
        by_type.setdefault(block[0].frame.info["config_type"], []).append(block)
    held: set[int] = set()
    for kind, candidates in sorted(by_type.items()):
        wanted, taken = fraction * sum(map(len, candidates)), 0
        for k in generator(seed, "test blocks", kind).permutation(len(candidates)):
            if taken + len(candidates[k]) / 2 <= wanted:
                taken += len(candidates[k])
                held |= {id(one) for one in candidates[k]}
    return [one for one in frames if id(one) not in held], [one for one in frames if id(one) in held]


def _refuse_unknown_elements(held_out: list[Checked], elements: list[str]) -> None:
    for one in held_out:
        if one.frame is None:
            continue
        unknown = sorted(set(one.frame.get_chemical_symbols()) - set(elements))
        if unknown:
            one.refuse("unknown element", f"no training frame has {', '.join(unknown)}")


def _compare(composition: str | None, elements: list[str]) -> None:
    if composition is not None and set(parse_composition(composition, class_given=True)) != set(elements):
        raise DataError(
            f"composition = {composition!r}, but the data are of {', '.join(elements)}. Mend it or leave it out: with "
            "training.dataset it is only compared with the data"
        )


def _warnings(frames: list[Checked], held_out: list[Checked], test_given: bool) -> list[str]:
    refused = sum(bool(one.outcome) for one in frames)
    said = []
    if refused > 0.1 * len(frames):
        counts = Counter(one.outcome for one in frames if one.outcome).most_common()
        reasons = ", ".join(f"{number} x {outcome}" for outcome, number in counts)
        said.append(f"{refused} of {len(frames)} frames were refused ({reasons}).")
    condensed = _condensed(frames)
    if not any(STRESS in frame.info for frame in condensed):
        said.append("The data have no stresses: pressures and elastic constants rest on energies and forces alone.")
    if not _condensed(held_out):
        source = "of training.test_dataset is usable" if test_given else "was held out (training.test_fraction)"
        said.append(f"No test frame {source}: the errors on unseen frames are unknown.")
    return said


def _record(frames: list[Checked], settings: DataTraining) -> dict[str, Any]:
    """Counts in the form of the records of `collect`."""
    counted = [one for one in frames if not one.isolated]
    accepted = len(_condensed(frames))
    counts = {"requested": len(counted), "accepted": accepted, "quarantined": len(counted) - accepted}
    return counts | {
        "by_generation": [{"generation": 0, **counts}],
        "outcomes": dict(Counter(one.outcome or "accepted" for one in counted)),
        "recovered": 0,
        "with_stress": sum(STRESS in frame.info for frame in _condensed(frames)),
        "quarantine": [
            {
                "name": one.source.name,
                "uid": one.frame.info["uid"] if one.frame is not None else "",
                "config_type": one.frame.info["config_type"] if one.frame is not None else "",
                "kind": "data",
                "reason": f"{one.outcome}: {one.reason}",
            }
            for one in frames
            if one.outcome
        ],
        "isolated_atoms_ev": {f.get_chemical_symbols()[0]: float(f.info[ENERGY]) for f in _isolated(frames)},
        "cpu_hours": 0.0,
        "engine": [],
        "warnings": {},
    }
