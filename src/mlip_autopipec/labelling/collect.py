"""Labels and frames become a dataset; what was not accepted goes to quarantine with its reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from mlip_autopipec.artifacts import read_json
from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ISOLATED_ATOM, has_vacuum, set_label
from mlip_autopipec.labelling.labeller import Label, read_label
from mlip_autopipec.labelling.postchecks import Limits, postcheck
from mlip_autopipec.labelling.surfaces import mixture

PathLike = str | os.PathLike[str]


def name_of(frame: Atoms) -> str:
    """Name under which a frame's label is stored: its `name`, or else its uid."""
    return str(frame.info.get("name") or frame.info["uid"])


def find_frame(frames: list[Atoms], name: str) -> Atoms:
    """The frame of this name.

    Raises:
        DataError: there is none.
    """
    for frame in frames:
        if name_of(frame) == name:
            return frame
    raise DataError(f"no frame '{name}' in its file: delete its label and run again")


def collect(
    frames: list[Atoms],
    labels: Sequence[PathLike],
    atoms: list[Atoms],
    atom_labels: Sequence[PathLike],
    *,
    reviews: Sequence[PathLike] = (),
    settings: Labelling | None = None,
) -> tuple[list[Atoms], list[Atoms], dict[str, Any]]:
    """Put labels on their frames.

    Args:
        frames: frames that were to be labelled.
        labels: their label files, `<name>.json`.
        atoms, atom_labels: the isolated atoms and their label files.
        reviews: of the generations so far, in order: a label that one of them corrected is taken from there, and what
            the last one flags is quarantined.
        settings: the configuration's section of the labels, for the limits of `postchecks`; without it only what needs
            no limit is checked again.

    Returns:
        The accepted frames (isolated atoms first; no stress where there is vacuum), the quarantined frames with
        `outcome`, `kind` and `reason` in their info, and a record of counts and costs. Frames whose label was not
        started for want of budget are in neither; the record counts them as ``not_started``.

    Raises:
        InputFileError: a label file is damaged.
        DataError: a label is of another structure, or the labels were made with different DFT settings.
    """
    by_name = {name_of(frame): frame for frame in frames}
    accepted: list[Atoms] = []
    quarantined: list[Atoms] = []
    asked = [(by_name[Path(path).stem], read_label(path)) for path in labels]
    references = [(find_frame(atoms, Path(path).stem), read_label(path)) for path in atom_labels]
    asked, said = _reviewed(asked, reviews)
    not_started = [frame for frame, label in asked if label.kind == "budget"]
    found = [(frame, label) for frame, label in asked if label.kind != "budget"]
    _check_identity(references + found)
    _check_surface([label for _, label in references + found])
    limits = None if settings is None else Limits.of(settings)
    found = [(frame, _checked(frame, label, limits, said.flagged.get(name_of(frame)))) for frame, label in found]
    references = [(frame, _checked(frame, label, limits, None)) for frame, label in references]
    every = [label for _, label in references + found]
    for frame, label in references + found:
        (accepted if label.accepted else quarantined).append(_labelled(frame, label))
    generations = sorted({int(frame.info["generation"]) for frame, _ in found})
    record = {
        "requested": len(found),
        "not_started": len(not_started),
        "accepted": sum(label.accepted for _, label in found),
        "quarantined": sum(not label.accepted for _, label in found),
        "by_generation": [
            {"generation": g, **_counts([label for f, label in found if f.info["generation"] == g])}
            for g in generations
        ],
        "outcomes": dict(Counter(label.outcome for _, label in found)),
        "recovered": sum(label.accepted and len(label.attempts) > 1 for _, label in found),
        "quarantine": [
            {
                "name": name_of(frame),
                "config_type": frame.info["config_type"],
                "outcome": label.outcome,
                "kind": label.kind,
                "reason": label.reason,
            }
            for frame, label in references + found
            if not label.accepted
        ],
        "isolated_atoms_ev": {f.get_chemical_symbols()[0]: lab.energy_ev for f, lab in references},
        "isolated_atoms_spin": {
            f.get_chemical_symbols()[0]: lab.settings.get("spin_states", []) for f, lab in references
        },
        "without_stress": sum(label.accepted and has_vacuum(frame) for frame, label in found),
        "site_moment_range": _moment_range([label for _, label in found]),
        "isolated_atoms_cpu_hours": sum(label.cpu_seconds for _, label in references) / 3600,
        "cpu_hours": sum(label.cpu_seconds for _, label in references + found) / 3600,
        "wall_seconds_mean": float(np.mean([label.wall_seconds for _, label in found])) if found else None,
        "engine": sorted({f"{label.engine} {label.engine_version}" for _, label in found if label.engine_version}),
        "branches": dict(Counter(label.branch for _, label in found if label.accepted and label.branch)),
        "corrected": said.corrected,
        "warnings": dict(Counter(w for _, label in found for w in label.warnings))
        | dict.fromkeys([*said.warnings, *_mixed_versions(every)], 1),
    }
    return accepted, quarantined, record


class _Said(NamedTuple):
    """What reviews say: rows of suspect labels by name, names of corrected ones, sentences."""

    flagged: dict[str, dict[str, Any]]
    corrected: list[str]
    warnings: list[str]


def _reviewed(asked: list[tuple[Atoms, Label]], reviews: Sequence[PathLike]) -> tuple[list[tuple[Atoms, Label]], _Said]:
    """Labels as corrected, and what the reviews say of them."""
    corrected: dict[str, Path] = {}
    warnings: list[str] = []
    flagged: dict[str, dict[str, Any]] = {}
    for path in reviews:
        one = read_json(path)
        corrected |= {name: Path(path).parent / where for name, where in one["corrected"].items()}
        warnings += [said for said in one["warnings"] if said not in warnings]
        flagged = {row["name"]: row for row in one["flagged"]}
    found = []
    for frame, label in asked:
        where = corrected.get(name_of(frame))
        found.append((frame, label if where is None else read_label(where)))
    return found, _Said(flagged, sorted(corrected.keys() & {name_of(frame) for frame, _ in asked}), warnings)


def _checked(frame: Atoms, label: Label, limits: Limits | None, flagged: dict[str, Any] | None) -> Label:
    """The label, without its numbers where it is suspect."""
    refusal = postcheck(frame, label, limits)
    if refusal is None and flagged is not None:
        refusal = flagged["outcome"], flagged["kind"], flagged["reason"]
    if refusal is None or not label.accepted:
        return label
    outcome, kind, reason = refusal
    nothing = {"energy_ev": None, "forces": None, "stress": None, "magmoms": None}
    return label.model_copy(update={"accepted": False, "outcome": outcome, "kind": kind, "reason": reason, **nothing})


def _mixed_versions(labels: Sequence[Label]) -> list[str]:
    versions = Counter(f"{one.engine} {one.engine_version}" for one in labels if one.accepted and one.engine_version)
    if len(versions) < 2:
        return []
    counts = ", ".join(f"{name} ({count})" for name, count in sorted(versions.items()))
    return [f"labels are of several versions of the engine: {counts}; their energies may differ slightly"]


def _check_identity(labelled: list[tuple[Atoms, Label]]) -> None:
    for frame, label in labelled:
        if label.uid not in (None, frame.info["uid"]):
            raise DataError(
                f"the label of {name_of(frame)} is of another structure ({label.uid}, not {frame.info['uid']}). "
                "Delete that label and run again"
            )


def _check_surface(labels: list[Label]) -> None:
    """Labels of different DFT settings lie on different potential energy surfaces: never train on a mixture."""
    if mixed := mixture(one.settings.get("surface") for one in labels if one.accepted):
        raise DataError(
            f"the labels were made with different DFT settings: {mixed}. Write the settings into the config, delete "
            "the labels that differ and run again"
        )


def _counts(labels: list[Label]) -> dict[str, int]:
    accepted = sum(label.accepted for label in labels)
    return {"requested": len(labels), "accepted": accepted, "quarantined": len(labels) - accepted}


def _moment_range(labels: list[Label]) -> list[float] | None:
    """Smallest and largest site moment (Bohr magnetons) of the accepted labels; None without spin."""
    moments = [float(m) for label in labels if label.accepted for m in label.magmoms or []]
    return [min(moments), max(moments)] if moments else None


def _labelled(frame: Atoms, label: Label) -> Atoms:
    frame = frame.copy()
    if not label.accepted:
        frame.info.update(outcome=label.outcome, kind=label.kind, reason=label.reason)
        return frame
    assert label.energy_ev is not None
    # A box around a molecule or a slab is as wide as one likes: its stress is no property of the material, and the
    # offset that a finite basis adds to it (Pulay stress), learnt as one number for all crystals, is another one there.
    boxed = frame.info["config_type"] == ISOLATED_ATOM or has_vacuum(frame)
    stress = None if boxed or label.stress is None else np.array(label.stress)
    if label.branch is not None:
        frame.info["branch"] = label.branch
    if label.total_magnetization is not None:
        frame.info["total_magnetization"] = float(label.total_magnetization)
    return set_label(frame, label.energy_ev, np.array(label.forces), stress, _moments(label))


def _moments(label: Label) -> np.ndarray | None:
    return None if label.magmoms is None else np.array(label.magmoms)
