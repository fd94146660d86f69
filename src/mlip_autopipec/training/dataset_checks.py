"""What is wrong with a labelled frame of a user's data, frame by frame, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.config.full import OwnData
from mlip_autopipec.frames import ENERGY, FORCES, ISOLATED_ATOM, STRESS, closest_contact, new_frame, set_label, uid
from mlip_autopipec.training.dataset import Source, stress_of

ISOLATED_NAMES = ("isolatedatom", "isolated_atom", "isolated atom")
VACUUM_ANGSTROM = 6.0  # a single atom with more room than this on all sides is isolated
SAME_ENERGY_EV_PER_ATOM = 1e-3  # labels of one structure that differ by more contradict each other
SAME_FORCE_EV_PER_ANGSTROM = 1e-2


@dataclass
class Checked:
    """A frame of the pipeline's own form, or a refused one with the outcome and the reason in words.

    Attributes:
        source: where it comes from.
        frame: the structure with its label under our names (None: it could not even be read).
        outcome: '' for a good frame, else the kind of fault, for counting.
        reason: what is wrong, with numbers.
        note: what was left out of a good frame, and why.
    """

    source: Source
    frame: Atoms | None
    outcome: str = ""
    reason: str = ""
    note: str = ""

    def refuse(self, outcome: str, reason: str) -> None:
        """Call the frame bad, unless it is already."""
        if not self.outcome:
            self.outcome, self.reason = outcome, reason

    @property
    def isolated(self) -> bool:
        """Whether this is an isolated atom."""
        return self.frame is not None and self.frame.info["config_type"] == ISOLATED_ATOM


def check_frame(source: Source, keys: dict[str, str], settings: OwnData) -> Checked:
    """Bring one frame into the pipeline's form, and judge it by itself."""
    if source.atoms is None:
        return Checked(source, None, "unreadable", source.problem)
    structure = _structure_fault(source.atoms)
    frame = _frame(source)
    checked = Checked(source, frame, *structure)
    if structure[0]:
        return checked
    energy, forces = source.values.get(keys.get("energy", "")), source.values.get(keys.get("forces", ""))
    isolated = checked.isolated
    if isolated and forces is None:
        forces = np.zeros((len(frame), 3))
    for outcome, reason in (_energy_fault(energy, keys), _forces_fault(forces, keys, len(frame), settings)):
        if outcome:
            checked.refuse(outcome, reason)
    if isolated and len(frame) > 1:
        checked.refuse("wrong shape", f"it calls itself an isolated atom and has {len(frame)} atoms")
    ratio, distance = closest_contact(frame)
    if ratio < settings.minimum_distance_fraction:
        checked.refuse(
            "atoms too close",
            f"two atoms are {distance:.3f} A apart, {ratio:.2f} of the sum of their radii "
            f"(training.minimum_distance_fraction = {settings.minimum_distance_fraction:g})",
        )
    stress, fault = (None, ("", "")) if isolated else _stress(source, keys, checked)
    checked.refuse(*fault) if fault[0] else None
    if not checked.outcome:
        set_label(frame, float(np.asarray(energy).ravel()[0]), np.asarray(forces, dtype=float), stress)
    return checked


def _structure_fault(atoms: Atoms) -> tuple[str, str]:
    if len(atoms) == 0:
        return "wrong shape", "it has no atoms"
    if (atoms.numbers < 1).any():
        return "wrong shape", "it has an atom without an element (X)"
    if not np.isfinite(atoms.positions).all():
        return "not a number", "a position is not a number"
    if not np.isfinite(atoms.cell.array).all():
        return "not a number", "its cell is not made of numbers"
    lengths = atoms.cell.lengths()
    flat = atoms.pbc.any() and (not lengths[atoms.pbc].all() or (atoms.pbc.all() and atoms.get_volume() < 1e-3))
    return ("wrong shape", "it is periodic along a direction in which its cell has no extent") if flat else ("", "")


def _frame(source: Source) -> Atoms:
    assert source.atoms is not None
    kind = str(source.atoms.info.get("config_type", "") or "own_data").replace('"', "'")
    if kind.lower() in ISOLATED_NAMES or _alone(source.atoms):
        kind = ISOLATED_ATOM
    origin = f"{source.name.rsplit('@', 1)[0]} frame {source.number}"
    return new_frame(source.atoms, origin=origin, config_type=kind, imported=True)


def _alone(atoms: Atoms) -> bool:
    """A single atom that no image of its own comes near."""
    if len(atoms) != 1 or not np.isfinite(atoms.cell.array).all():
        return False
    if not atoms.pbc.any():
        return True
    reciprocal = np.linalg.norm(atoms.cell.complete().reciprocal().array, axis=1)
    return bool((1 / reciprocal[atoms.pbc] > VACUUM_ANGSTROM).all())


def _energy_fault(value: Any, keys: dict[str, str]) -> tuple[str, str]:
    name = keys.get("energy", "")
    if value is None:
        return "missing label", f"it has no energy ({name})"
    try:
        numbers = np.asarray(value, dtype=float).ravel()
    except (TypeError, ValueError):
        return "not a number", f"its energy ({name}) is {str(value)[:40]!r}"
    if numbers.size != 1 or isinstance(value, bool):
        return "wrong shape", f"its energy ({name}) has {numbers.size} numbers"
    return ("", "") if np.isfinite(numbers).all() else ("not a number", f"its energy ({name}) is {numbers[0]}")


def _forces_fault(value: Any, keys: dict[str, str], atoms: int, settings: OwnData) -> tuple[str, str]:
    name = keys.get("forces", "")
    if value is None:
        return "missing label", f"it has no forces ({name})"
    try:
        forces = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return "not a number", f"its forces ({name}) are not numbers"
    if forces.shape != (atoms, 3):
        return "wrong shape", f"its forces ({name}) have the shape {forces.shape}, not ({atoms}, 3)"
    if not np.isfinite(forces).all():
        atom = int(np.argwhere(~np.isfinite(forces))[0][0])
        return "not a number", f"a force ({name}) on atom {atom} is not a number"
    largest = np.linalg.norm(forces, axis=1)
    limit = settings.maximum_force_ev_per_angstrom
    if largest.max() > limit:
        return (
            "large force",
            f"the force on atom {int(largest.argmax())} is {largest.max():.4g} eV/A "
            f"(training.maximum_force_ev_per_angstrom = {limit:g})",
        )
    return "", ""


def _stress(source: Source, keys: dict[str, str], checked: Checked) -> tuple[np.ndarray | None, tuple[str, str]]:
    """The stress in eV/A^3 (or None), and what is wrong with it."""
    assert source.atoms is not None
    kind = next((one for one in ("stress", "virial") if one in keys and keys[one] in source.values), "")
    if not kind:
        return None, ("", "")
    value, problem = stress_of(source.values[keys[kind]])
    if value is None:
        return None, ("wrong shape", f"its {kind} ({keys[kind]}) {problem}")
    if not np.isfinite(value).all():
        return None, ("not a number", f"its {kind} ({keys[kind]}) is not a number")
    if not source.atoms.pbc.all():
        checked.note = f"{kind} left out: not periodic in all directions, so it has no volume of its own"
        return None, ("", "")
    return value if kind == "stress" else -value / source.atoms.get_volume(), ("", "")


def refuse_duplicates(frames: list[Checked], held_out: list[Checked]) -> None:
    """Keep each structure once; copies with other labels contradict each other, and none of them is kept.

    Args:
        frames: training frames.
        held_out: frames of a test file; a structure that is among them is not trained on.
    """
    tested = {uid(one.frame): one for one in held_out if one.frame is not None and not one.outcome}
    for group in (frames, held_out):
        first: dict[str, Checked] = {}
        for one in group:
            if one.frame is None or one.outcome or one.isolated:
                continue
            before = first.setdefault(uid(one.frame), one)
            if before is one:
                continue
            difference = _contradiction(one.frame, before.frame)
            if difference:
                before.refuse("contradicting labels", f"same structure as {one.source.name}, but {difference}")
                one.refuse("contradicting labels", f"same structure as {before.source.name}, but {difference}")
            else:
                one.refuse("duplicate", f"same structure and label as {before.source.name}")
    for one in frames:
        if one.frame is not None and not one.outcome and not one.isolated and uid(one.frame) in tested:
            one.refuse("in the test set", f"same structure as {tested[uid(one.frame)].source.name} of the test set")


def _contradiction(first: Atoms, second: Atoms | None) -> str:
    assert second is not None
    if ENERGY not in first.info or ENERGY not in second.info:
        return ""  # the other one has been refused for a contradiction before
    energy = abs(first.info[ENERGY] - second.info[ENERGY]) / len(first)
    if energy > SAME_ENERGY_EV_PER_ATOM:
        return f"the energies differ by {energy:.4g} eV/atom"
    force = float(np.abs(first.arrays[FORCES] - second.arrays[FORCES]).max())
    return f"the forces differ by {force:.4g} eV/A" if force > SAME_FORCE_EV_PER_ANGSTROM else ""


def quarantined(one: Checked) -> Atoms:
    """A refused frame with its reason, for the quarantine file; labels that are numbers stay on it."""
    assert one.frame is not None
    frame: Atoms = one.frame.copy()
    for name in (ENERGY, STRESS):
        if name in frame.info and not np.isfinite(frame.info[name]).all():
            del frame.info[name]
    frame.info.update(outcome=one.outcome, kind="data", reason=one.reason)
    return frame
