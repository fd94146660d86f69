"""Labels looked at together, generation by generation: energies and moments that their neighbours contradict.

A review is the verdict over all labels up to its generation; the latest one counts. Labels themselves stay as the
engine made them: what is suspect is quarantined when the dataset is collected, with the reason.
"""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.artifacts import atomic_path, read_json
from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.frames import MAGMOMS, read_frames, set_label
from mlip_autopipec.labelling import outliers
from mlip_autopipec.labelling.collect import name_of
from mlip_autopipec.labelling.labeller import Label, Labeller, read_label, write_label
from mlip_autopipec.labelling.postchecks import Limits, postcheck

PathLike = str | os.PathLike[str]
MakeLabeller = Callable[[Labelling], Labeller]

LOWER_EV_PER_ATOM = 0.001
"""A retried label takes the place of the first where it is lower by more: less is within what two fields differ by."""
UNDONE = ("infrastructure", "budget")  # such a retry says nothing of the frame: the next review tries again
WITH_MOMENTS_MIN = 5  # neighbours that say what moment is usual


def review_generation(
    frames: Sequence[PathLike],
    labels: Sequence[PathLike],
    before: Sequence[PathLike],
    settings: Labelling,
    folder: PathLike,
    *,
    make_labeller: MakeLabeller | None = None,
) -> dict[str, Any]:
    """Review from files; see `review`.

    Args:
        frames: frame files of all generations so far.
        labels: their label files, `<name>.json`.
        before: reviews of earlier generations, in order.
        folder: of this generation's labels; corrected ones go to `again/` in it.

    Raises:
        InputFileError: a file is missing or damaged.
        DataError: a label has no frame.
    """
    by_name = {name_of(frame): frame for path in frames for frame in read_frames(path)}
    found = {Path(path).stem: read_label(path) for path in labels}
    unknown = sorted(found.keys() - by_name.keys())
    if unknown:
        raise DataError(f"no frame '{unknown[0]}' in its file: delete its label and run again")
    earlier = [read_json(path) for path in before]
    for path, one in zip(before, earlier, strict=True):
        for name, where in one["corrected"].items():
            if name in found:
                found[name] = read_label(Path(path).parent / where)
    chosen = [by_name[name] for name in found]
    return review(chosen, found, earlier, settings, None, folder, make_labeller=make_labeller)


def review(
    frames: Sequence[Atoms],
    labels: Mapping[str, Label],
    earlier: Sequence[Mapping[str, Any]],
    settings: Labelling,
    labeller: Labeller | None,
    folder: PathLike,
    *,
    make_labeller: MakeLabeller | None = None,
) -> dict[str, Any]:
    """Judge all labels by each other; a frame that lost its moment is labelled again from its neighbours' moments.

    Args:
        frames: those that were to be labelled, of all generations so far.
        labels: by name of the frame.
        earlier: reviews before; what they confirmed is not tried again.
        labeller, make_labeller: for the retries, the second only called when there is one; without both there is none.
        folder: where corrected labels are kept, in `again/`.

    Returns:
        ``judged``: number; ``method`` in words; ``not_judged``, ``flagged``: rows with name, uid, config_type and
        reason; ``corrected``: file of a label that takes the place of the first one, by name; ``confirmed``: moments
        that are really gone; ``retries``: what those cost; ``warnings``.
    """
    limits = Limits.of(settings)
    current = {
        name_of(frame): labels[name_of(frame)]
        for frame in frames
        if labels[name_of(frame)].accepted and postcheck(frame, labels[name_of(frame)], limits) is None
    }
    whole = [_with_label(frame, current[name_of(frame)]) for frame in frames if name_of(frame) in current]
    result: dict[str, Any] = {"flagged": [], "corrected": {}, "confirmed": [], "retries": [], "warnings": []}
    first = outliers.judge(whole, settings.outlier_ev_per_atom)
    lost = collapsed_moments(whole, first.labels)
    settled = {name for one in earlier for name in one["confirmed"]}
    gone: set[str] = set()
    for frame, expected in lost:
        name = name_of(frame)
        if name in settled:
            result["confirmed"].append(name)
            continue
        if labeller is None and make_labeller is not None:
            labeller = make_labeller(settings)
        better, why = _retry(frame, expected, current[name], labeller, Path(folder), result)
        if better is not None:
            current[name] = better
        elif why:
            gone.add(name)
            words = f"the moments are far below those of like frames ({_moments_words(frame, expected)}); {why}"
            result["flagged"].append(_row(frame, "moment_collapsed", words))
    kept = [_with_label(frame, current[name_of(frame)]) for frame in whole if name_of(frame) not in gone]
    second = outliers.judge(kept, settings.outlier_ev_per_atom) if lost else first
    for one in second.labels:
        if one.suspect:
            result["flagged"].append(_suspect_row(kept[one.index], one))
    rare = [kept[one.index] for one in second.labels if not one.judged]
    return {
        "judged": sum(one.judged for one in second.labels),
        "method": second.said,
        "not_judged": [
            {"name": name_of(f), "config_type": f.info["config_type"], "reason": "too few labels are like it"}
            for f in rare
        ],
        "outlier_ev_per_atom": settings.outlier_ev_per_atom,
        **result,
    }


def collapsed_moments(frames: Sequence[Atoms], judged: Sequence[outliers.Judged]) -> list[tuple[Atoms, list[float]]]:
    """Frames with atoms whose moment is far below that of the same element in neighbouring frames.

    Args:
        frames: labelled, with moments where there are any.
        judged: the same in order, with neighbours; frames without are compared with those of like volume per atom.

    Returns:
        Each frame with what its atoms' moments should be at this place in the order of their sizes, Bohr magnetons, by
        atom; 0 where neighbours say nothing.
    """
    from mlip_autopipec.labelling.espresso.magnetic import collapsed

    found = []
    for number, frame in enumerate(frames):
        if MAGMOMS not in frame.arrays:
            continue
        near = [frames[i] for i in judged[number].neighbours] or _like_volume(frame, frames)
        near = [one for one in near if MAGMOMS in one.arrays]
        if len(near) < WITH_MOMENTS_MIN:
            continue
        expected = np.zeros(len(frame))
        for symbol in set(frame.symbols):
            _expect(expected, frame, symbol, near)
        if collapsed(frame.arrays[MAGMOMS].tolist(), expected.tolist()):
            found.append((frame, expected.tolist()))
    return found


def _expect(expected: np.ndarray, frame: Atoms, symbol: str, near: Sequence[Atoms]) -> None:
    """Enter what neighbours say of an element's moments: the largest is compared with their largest, and so on down.

    Atoms of one element may carry a moment on one kind of site and none on another (Co3O4): neither accuses the other.
    """
    like = [np.sort(_sizes(one, symbol)) for one in near if symbol in one.symbols]
    if len(like) < WITH_MOMENTS_MIN:
        return
    atoms = np.flatnonzero(frame.symbols == symbol)
    atoms = atoms[np.argsort(_sizes(frame, symbol), kind="stable")]
    for rank, atom in enumerate(atoms):
        part = (rank + 0.5) / len(atoms)
        expected[atom] = np.median([sizes[int(part * len(sizes))] for sizes in like])


def _sizes(frame: Atoms, symbol: str) -> np.ndarray:
    found: np.ndarray = np.abs(frame.arrays[MAGMOMS][frame.symbols == symbol])
    return found


def _like_volume(frame: Atoms, frames: Sequence[Atoms]) -> list[Atoms]:
    volume = frame.cell.volume / len(frame)
    others = [one for one in frames if one is not frame and sorted(set(one.symbols)) == sorted(set(frame.symbols))]
    near = sorted(others, key=lambda one: abs(np.log(max(one.cell.volume / len(one), 1e-9) / volume)))
    return [one for one in near[: outliers.NEIGHBOURS] if abs(one.cell.volume / len(one) / volume - 1) < 0.1]


def _retry(
    frame: Atoms,
    expected: list[float],
    label: Label,
    labeller: Labeller | None,
    folder: Path,
    result: dict[str, Any],
) -> tuple[Label | None, str]:
    """The label that takes the place of one with lost moments, or None and why it is to be quarantined ('' if not)."""
    from mlip_autopipec.labelling.espresso.magnetic import neighbours_states

    name = name_of(frame)
    states = neighbours_states(frame, _starts(frame, expected))
    doubt = f"{name}: moments far below those of like frames ({_moments_words(frame, expected)})"
    if labeller is None or "states" not in inspect.signature(labeller.label).parameters or not states:
        result["warnings"].append(f"{doubt}, and no other start could be tried: the label stands")
        return None, ""
    target = folder / "again" / f"{name}.json"
    again = _kept(target, frame, label)
    if again is None:
        options: dict[str, Any] = {"states": states}  # which not every engine takes: asked above
        again = labeller.label(frame, target.with_suffix(""), **options)
        if again.output_file is not None:
            with atomic_path(target.with_suffix(".pwo")) as temporary:
                shutil.copyfile(target.with_suffix("") / again.output_file, temporary)
        if again.kind not in UNDONE:
            write_label(target, again)
    row = {"name": name, "outcome": again.outcome, "core_seconds": again.spent_core_seconds}
    result["retries"].append(row)
    if again.kind in UNDONE:
        words = f"{doubt}, and the run that starts from theirs gave nothing ({again.reason}): the label stands"
        result["warnings"].append(words)
        return None, ""
    if not again.accepted or again.energy_ev is None or label.energy_ev is None:
        return None, f"started from theirs, the run gave no label: {again.reason}"
    lower = (label.energy_ev - again.energy_ev) / len(frame)
    row["lower_ev_per_atom"] = lower
    if lower > LOWER_EV_PER_ATOM:
        result["corrected"][name] = f"again/{name}.json"
        result["warnings"].append(
            f"{name}: moments were lost; started from those of like frames the energy is {1e3 * lower:.1f} meV/atom "
            "lower, and that label is used"
        )
        return again, ""
    result["confirmed"].append(name)
    result["warnings"].append(f"{doubt}, and no lower energy when it starts from theirs: the label stands")
    return None, ""


def _starts(frame: Atoms, expected: Sequence[float]) -> list[float]:
    """One moment for all atoms of an element: the middle one of those that are expected to have one."""
    from mlip_autopipec.labelling.espresso.magnetic import EXPECTED_MIN_BOHR_MAGNETON

    found = np.array(expected)
    for symbol in set(frame.symbols):
        of_element = frame.symbols == symbol
        large = found[of_element & (found >= EXPECTED_MIN_BOHR_MAGNETON)]
        found[of_element] = float(np.median(large)) if large.size else 0.0
    return [float(one) for one in found]


def _kept(path: Path, frame: Atoms, label: Label) -> Label | None:
    """A retry that was made before, of this structure on this surface."""
    try:
        again = read_label(path)
    except InputFileError:
        return None
    same = again.uid == frame.info.get("uid") and again.settings.get("surface") == label.settings.get("surface")
    return again if same and again.kind not in UNDONE else None


def _with_label(frame: Atoms, label: Label) -> Atoms:
    assert label.energy_ev is not None
    moments = None if label.magmoms is None else np.array(label.magmoms)
    return set_label(frame.copy(), label.energy_ev, np.array(label.forces), None, moments)


def _moments_words(frame: Atoms, expected: Sequence[float]) -> str:
    own = float(np.abs(frame.arrays[MAGMOMS]).mean())
    return f"{own:.2f} instead of about {float(np.mean(expected)):.2f} Bohr magnetons per atom"


def _row(frame: Atoms, outcome: str, reason: str, **numbers: float) -> dict[str, Any]:
    return {
        "name": name_of(frame), "uid": frame.info.get("uid", ""), "config_type": frame.info["config_type"],
        "outcome": outcome, "kind": "physics", "reason": reason, **numbers,
    }  # fmt: skip


def _suspect_row(frame: Atoms, one: outliers.Judged) -> dict[str, Any]:
    off, most = 1e3 * one.energy_off_ev_per_atom, 1e3 * one.threshold_ev_per_atom
    if one.suspect == "energy":
        words = (
            f"the energy is {abs(off):.0f} meV/atom {'above' if off > 0 else 'below'} what the labels of like frames "
            f"say (suspect from {most:.0f} meV/atom)"
        )
        return _row(frame, "energy_outlier", words, energy_off_mev_per_atom=off, threshold_mev_per_atom=most)
    force = one.force_off_ev_per_angstrom
    words = (
        f"the forces point elsewhere than the labels of like frames say ({force:.2f} eV/A off, root mean square): "
        "perhaps the label of another frame"
    )
    return _row(frame, "force_outlier", words, force_off_ev_per_angstrom=force)
