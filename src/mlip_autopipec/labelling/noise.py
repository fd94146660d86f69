"""How far labels are from converged ones: a sample is run again at tighter settings."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import InputFileError, MlipError
from mlip_autopipec.frames import ISOLATED_ATOM, has_vacuum
from mlip_autopipec.labelling import costs
from mlip_autopipec.labelling.collect import name_of
from mlip_autopipec.labelling.costs import CUTOFF, K_POINTS
from mlip_autopipec.labelling.labeller import Label, Labeller, read_label, write_label
from mlip_autopipec.labelling.postchecks import Limits, postcheck
from mlip_autopipec.metrics import EV_PER_ANGSTROM3_IN_GPA
from mlip_autopipec.seeds import generator

FORCE_MIN_EV_PER_ANGSTROM = 0.01  # root mean square: below it forces are zero by symmetry, or nearly
STATE_BOHR_MAGNETON, STATE_SHARE = 0.1, 0.1
"""Moments (of an atom; of the cell, per atom) that differ by more than the first and the second times the largest are
another magnetic solution (a choice, not measured): solutions differ by half a magneton and more as a rule, and what
tighter settings move is a part of the noise."""


def sample(frames: Sequence[Atoms], labels: Mapping[str, Label], number: int, seed: int) -> list[Atoms]:
    """Frames to run again: types of structures in turn, the cheaper half of each, drawn by the seed.

    Args:
        frames: candidates; those without an accepted label and isolated atoms are passed over.
    """
    good = [f for f in sorted(frames, key=name_of) if f.info["config_type"] != ISOLATED_ATOM and _accepted(labels, f)]
    random = generator(seed, "label noise")
    chosen: list[Atoms] = []
    # frames whose forces are zero by symmetry say nothing of the noise of forces: they come last
    for told in (True, False):
        by_type: dict[str, list[Atoms]] = defaultdict(list)
        for frame in good:
            if (_force_ev_per_angstrom(labels[name_of(frame)]) >= FORCE_MIN_EV_PER_ANGSTROM) is told:
                by_type[frame.info["config_type"]].append(frame)
        queues = []
        for kind in random.permutation(sorted(by_type)):
            some = by_type[str(kind)]
            middle = float(np.median([len(frame) for frame in some]))
            cheap = [frame for frame in some if len(frame) <= middle]
            queues.append([cheap[i] for i in random.permutation(len(cheap))])
        while len(chosen) < number and any(queues):
            for queue in queues:
                if queue and len(chosen) < number:
                    chosen.append(queue.pop(0))
    return chosen


def _accepted(labels: Mapping[str, Label], frame: Atoms) -> bool:
    label = labels.get(name_of(frame))
    return label is not None and label.accepted


def _force_ev_per_angstrom(label: Label) -> float:
    return float(np.sqrt(np.mean(np.square(np.array(label.forces)))))


def tighter(settings: Labelling, frame: Atoms) -> Labelling:
    """The settings for a converged run of this frame; the frame because a written mesh stays 1 through vacuum."""
    tight = costs.tighter(settings)
    if settings.kmesh is None or tight.kmesh is None or not has_vacuum(frame):
        return tight
    mesh = [1 if usual == 1 else k for usual, k in zip(settings.kmesh, tight.kmesh, strict=True)]
    return tight.model_copy(update={"kmesh": mesh})


def measure(
    frames: Sequence[Atoms],
    labels: Mapping[str, Label],
    settings: Labelling,
    folder: str | os.PathLike[str],
    *,
    seed: int,
    make_labeller: Callable[[Labelling], Labeller],
    leave_out: Collection[str] = (),
) -> dict[str, Any]:
    """Run `settings.noise_labels` accepted labels again at tighter settings; never raises for a run that fails.

    Args:
        frames: of the first generation.
        labels: by name, as reviews corrected them; what `postcheck` refuses is left out.
        folder: where the runs are kept; one that is there is not made again.
        leave_out: names that a review found suspect.

    Returns:
        ``measured``, ``reason`` (in words, why not or how), ``energy_mev_per_atom``, ``force_mev_per_angstrom``
        (component), ``stress_gpa`` (component): root-mean-square differences, null where not measured. A constant
        energy per atom of each element and an isotropic constant stress (Pulay), which a fit takes up, are taken out
        first where there are more runs than constants, with the degrees of freedom they cost; ``..._raw`` is without
        that. ``frames``: a row for each run; one with ``other_state`` in words ended in another magnetic solution, and
        counts in no mean: that is no matter of cutoffs. ``failed``: runs that gave nothing. ``settings``: what was
        tighter.
    """
    empty = dict.fromkeys(_MEASURES)
    if settings.engine == "calculator":
        return _record(False, "a calculator has no cutoffs, k-points and SCF accuracy that could be tighter", empty)
    if settings.engine != "espresso":
        why = f"it is measured of labels by espresso only: how converged those by {settings.engine} are is not known"
        return _record(False, why, empty)
    if settings.noise_labels == 0:
        return _record(False, "labelling.noise_labels is 0", empty)
    limits = Limits.of(settings)
    good = [f for f in frames if name_of(f) not in leave_out and name_of(f) in labels]
    good = [f for f in good if postcheck(f, labels[name_of(f)], limits) is None]
    asked = sample(good, labels, settings.noise_labels, seed)
    rows, failed = [], []
    for frame in asked:
        name, tight = name_of(frame), tighter(settings, frame)
        try:
            again = _again(frame, Path(folder), tight, make_labeller)
        except MlipError as error:
            failed.append({"name": name, "reason": str(error)})
            continue
        refusal = postcheck(frame, again, limits)
        if refusal is not None:
            failed.append({"name": name, "reason": refusal[2]})
        elif again.accepted:
            rows.append(_difference(frame, labels[name], again))
        else:
            failed.append({"name": name, "reason": again.reason})
    if not rows:
        return _record(False, "no label could be run again at tighter settings", empty, failed=failed)
    words = f"{len(rows)} labels run again with cutoffs x {CUTOFF:g}, k-points x {K_POINTS:g}, SCF accuracy / 100"
    alike = [row for row in rows if row["other_state"] is None]
    if len(alike) < len(rows):
        words += f" ({len(rows) - len(alike)} of them ended in another magnetic state and count in no mean)"
    numbers = _summary(alike) if alike else empty
    return _record(bool(alike), words, numbers, frames=rows, failed=failed, settings=tighter(settings, asked[0]))


_MEASURES = (
    "energy_mev_per_atom", "force_mev_per_angstrom", "stress_gpa",
    "energy_raw_mev_per_atom", "stress_raw_gpa", "force_share",
)  # fmt: skip


def _record(measured: bool, reason: str, numbers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    settings = more.pop("settings", None)
    names = ("conv_thr_ry_per_atom", "ecutwfc_ry", "ecutrho_ry", "kspacing_per_angstrom", "kmesh")
    told = None if settings is None else settings.model_dump(include=set(names))
    return {"measured": measured, "reason": reason, "frames": [], "failed": [], **numbers, **more, "settings": told}


def _again(frame: Atoms, folder: Path, settings: Labelling, make_labeller: Callable[[Labelling], Labeller]) -> Label:
    path = folder / f"{name_of(frame)}.json"
    labeller = make_labeller(settings)
    try:
        kept = read_label(path)
        if kept.uid == frame.info.get("uid") and kept.settings.get("surface") == settings.surface():
            return kept
    except InputFileError:
        pass
    label = labeller.label(frame, path.with_suffix(""))
    if label.kind not in ("infrastructure", "budget"):
        write_label(path, label)
    return label


def _difference(frame: Atoms, usual: Label, tight: Label) -> dict[str, Any]:
    """Tighter minus usual."""
    assert usual.energy_ev is not None
    assert tight.energy_ev is not None
    forces = np.array(tight.forces) - np.array(usual.forces)
    stress = None
    if usual.stress is not None and tight.stress is not None and not has_vacuum(frame):
        stress = (EV_PER_ANGSTROM3_IN_GPA * (np.array(tight.stress) - np.array(usual.stress))).tolist()
    return {
        "name": name_of(frame),
        "config_type": frame.info["config_type"],
        "atoms": len(frame),
        "elements": {symbol: int(np.sum(frame.symbols == symbol)) for symbol in sorted(set(frame.symbols))},
        "energy_mev_per_atom": 1e3 * (tight.energy_ev - usual.energy_ev) / len(frame),
        "force_mev_per_angstrom": 1e3 * float(np.sqrt(np.mean(forces**2))),
        "force_max_mev_per_angstrom": 1e3 * float(np.linalg.norm(forces, axis=1).max()),
        "label_force_mev_per_angstrom": 1e3 * _force_ev_per_angstrom(usual),
        "stress_gpa": stress,
        "branch": [usual.branch, tight.branch],
        "other_state": _other_state(usual, tight),
        "core_seconds": tight.spent_core_seconds,
    }


def _other_state(usual: Label, tight: Label) -> str | None:
    """How the magnetic solution differs, in words; None where it is the same, up to the sign of all moments.

    The branch says from where a solution started: it decides only where no moments tell where it ended.
    """
    compared = []  # what it is, and moments in Bohr magnetons: of sites, of the cell per atom
    if usual.magmoms is not None and tight.magmoms is not None:
        compared.append(("site moments", np.array(usual.magmoms), np.array(tight.magmoms)))
    for name in ("absolute_magnetization", "total_magnetization"):
        before, after = getattr(usual, name), getattr(tight, name)
        if before is not None and after is not None:
            words = f"{name.replace('_', ' ')} per atom"
            compared.append((words, np.array([before]) / usual.natoms, np.array([after]) / usual.natoms))
    for name, before, after in compared:
        off = min(float(np.abs(before - sign * after).max()) for sign in (1, -1))
        if off > STATE_BOHR_MAGNETON + STATE_SHARE * float(np.abs(before).max()):
            return f"{name} differ by {off:.2f} Bohr magnetons"
    if not compared and usual.branch != tight.branch:
        return f"branch {tight.branch} instead of {usual.branch}"
    return None


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    energies = np.array([row["energy_mev_per_atom"] for row in rows])
    elements = sorted({symbol for row in rows for symbol in row["elements"]})
    shares = np.array([[row["elements"].get(symbol, 0) / row["atoms"] for symbol in elements] for row in rows])
    stresses = np.array([row["stress_gpa"] for row in rows if row["stress_gpa"] is not None])
    weights = np.array([float(row["atoms"]) for row in rows])
    forces = np.array([row["force_mev_per_angstrom"] for row in rows])
    sizes = np.array([row["label_force_mev_per_angstrom"] for row in rows])
    told = sizes >= 1e3 * FORCE_MIN_EV_PER_ANGSTROM
    weights = weights * told if told.any() else weights
    force = float(np.sqrt(np.average(forces**2, weights=weights)))
    size = float(np.sqrt(np.average(sizes**2, weights=weights)))
    return {
        "energy_mev_per_atom": _without(energies, shares),
        "force_mev_per_angstrom": force,
        "stress_gpa": _stress_without_pressure(stresses),
        "energy_raw_mev_per_atom": _rms(energies),
        "stress_raw_gpa": _rms(stresses) if stresses.size else None,
        "force_share": force / size if size > 0 else None,
    }


def _without(values: np.ndarray, columns: np.ndarray) -> float:
    """RMS of what constants per element leave, per degree of freedom; of the values where there are too few."""
    rank = int(np.linalg.matrix_rank(columns))
    if len(values) <= rank:
        return _rms(values)
    rest = values - columns @ np.linalg.lstsq(columns, values, rcond=None)[0]
    return float(np.sqrt(np.sum(rest**2) / (len(values) - rank)))


def _stress_without_pressure(stresses: np.ndarray) -> float | None:
    if not stresses.size:
        return None
    if len(stresses) < 2:
        return _rms(stresses)
    rest = stresses.copy()
    rest[:, :3] -= stresses[:, :3].mean()
    return float(np.sqrt(np.sum(rest**2) / (rest.size - 1)))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
