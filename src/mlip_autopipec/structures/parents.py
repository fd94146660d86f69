"""Parents: what the sources propose, relaxed by the surrogate, and which of them are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import gcd
from typing import Any

from ase import Atoms
from ase.units import kB

from mlip_autopipec.errors import DataError, MlipError
from mlip_autopipec.frames import new_frame, unique
from mlip_autopipec.structures import prototypes, registry, sublattices
from mlip_autopipec.structures.cells import space_group
from mlip_autopipec.structures.matching import SAME_CRYSTAL_ANGSTROM, fingerprint
from mlip_autopipec.structures.relax import relax, scaled_to_lowest
from mlip_autopipec.structures.task import Task

_GUESSED_VOLUME = ("prototypes", "sqs")  # sources whose lattice constants are estimates
_SAME_ENERGY_EV_PER_ATOM = 0.01
_MIXING_TEMPERATURE_K = 1000.0  # alloys are annealed near it; what is random there is a phase to be known
_STEPS = {"prototypes": 60, "sqs": 30, "random": 60, "structure": 100, "molecule": 150}

Record = dict[str, Any]


def relax_source(name: str, task: Task) -> tuple[list[Atoms], Record]:
    """What one source proposes, relaxed.

    A crystal's atoms and cell are relaxed, a molecule's atoms in its box. Large quasirandom cells are proposed when the
    small ones have told which lattice is lowest. Lattice constants of prototypes and
    quasirandom cells are mended by a search over the volume first.

    Returns:
        Relaxed frames with `surrogate_ev_per_atom` and `spacegroup` in info, and the record: source, proposed,
        relaxed, seconds, `tried` (a row for each), `skipped` prototypes with the reason, `failed` (why the source
        gave nothing; '' otherwise). Any error of the source becomes `failed`, errors of the configuration do not.
    """
    started = time.perf_counter()
    record: Record = {"source": name, "proposed": 0, "relaxed": 0, "failed": "", "tried": [], "skipped": {}}
    frames: list[Atoms] = []
    if name in ("prototypes", "sqs"):
        whole = sublattices.of_integers(task) if name == "sqs" else task
        record["skipped"] = prototypes.skipped(whole) if whole else {}
    rounds = (registry.source(name), lambda task: registry.second_round(name)(task, frames))
    for propose in rounds:
        try:
            proposed = propose(task)
        except MlipError as error:
            if name in ("structure", "molecule"):  # the user named the file or molecule: his to mend
                raise
            proposed, record["failed"] = [], str(error)
        except Exception as error:  # a source that breaks must not take the others with it
            proposed, record["failed"] = [], f"{type(error).__name__}: {error}"
        record["proposed"] += len(proposed)
        relaxed = [_relaxed(unrelaxed, name, task) for unrelaxed in proposed]
        record["tried"] += [row for _, row in relaxed]
        frames += [frame for frame, _ in relaxed if frame is not None]
    record["relaxed"] = len(frames)
    if record["proposed"] and not frames:
        record["failed"] = f"not one of {record['proposed']} could be relaxed: {record['tried'][0]['why']}"
    elif not frames and not record["failed"]:
        record["failed"] = "nothing was proposed"
    record["seconds"] = round(time.perf_counter() - started, 2)
    return frames, record


def _relaxed(unrelaxed: Atoms, source: str, task: Task) -> tuple[Atoms | None, Record]:
    started = time.perf_counter()
    row: Record = {
        "uid": "",
        "source": source,
        "prototype": unrelaxed.info.get("prototype", ""),
        "origin": unrelaxed.info["origin"],
        "formula": str(unrelaxed.symbols),
        "atoms": len(unrelaxed),
    }
    molecule = unrelaxed.info["config_type"] == "molecule"
    steps = _STEPS.get(source, 60)
    if source == "sqs" and sublattices.of_integers(task) is not None:
        steps = _STEPS["prototypes"]  # sites of compounds have free coordinates, alloys' lattices none
    try:
        start = scaled_to_lowest(unrelaxed, task.calculator) if source in _GUESSED_VOLUME else unrelaxed
        atoms, energy, converged = relax(start, task.calculator, cell=not molecule, steps_max=steps)
    except Exception as error:  # one bad guess must not end the others
        row.update(kept=False, why=str(error), seconds=round(time.perf_counter() - started, 2))
        return None, row
    known = ("uid", "parent", "origin", "generation", "config_type", "plane_distances")
    extra = {key: value for key, value in unrelaxed.info.items() if key not in known}
    extra.update(
        source=source,
        surrogate_ev_per_atom=energy / len(atoms),
        spacegroup="" if molecule else space_group(atoms),
        relaxed=converged,
    )
    frame = new_frame(
        atoms,
        origin=unrelaxed.info["origin"],
        config_type=unrelaxed.info["config_type"],
        like=unrelaxed if molecule else None,
        parent=unrelaxed.info["uid"],
        **extra,
    )
    row.update(
        uid=frame.info["uid"],
        spacegroup=frame.info["spacegroup"],
        volume_per_atom_angstrom3=atoms.get_volume() / len(atoms),
        surrogate_ev_per_atom=energy / len(atoms),
        converged=converged,
        kept=True,
        why="",
        seconds=round(time.perf_counter() - started, 2),
    )
    if "sro_max" in unrelaxed.info:
        row.update(sro_max=unrelaxed.info["sro_max"], sro=[float(value) for value in unrelaxed.info["sro"]])
    return frame, row


def merge_parents(parts: Sequence[tuple[list[Atoms], Record]], task: Task) -> tuple[list[Atoms], Record]:
    """The parents that are kept: no two the same, within the energy window, at most `parents_max`.

    Energies are compared per atom among structures of exactly the same composition (quasirandom cells round it, and
    have their own lowest one). A quasirandom cell stands for a phase whose mixing entropy lowers its free energy: its
    window is wider by that entropy times 1000 K. The reference, first in the list, is the lowest of the composition
    nearest to the formula's. The best of each source within the window comes before further ones. A file of the user's
    own (source `structure`) and a molecule are kept whatever their energy; the file's crystal is the reference.

    Returns:
        Frames with `above_lowest_ev_per_atom` in info, lowest first after the reference, and the record: `tried`
        (a row for each proposed one: kept, or why not), `sources` (the sources' records without their rows),
        `compared`, `window_ev_per_atom`.

    Raises:
        DataError: no source gave a parent.
    """
    rows = {row["uid"]: dict(row) for _, record in parts for row in record["tried"] if row["uid"]}
    lost = [dict(row) for _, record in parts for row in record["tried"] if not row["uid"]]
    frames = unique([frame.copy() for made, _ in parts for frame in made])
    if not frames:
        reasons = "; ".join(f"{record['source']}: {record['failed']}" for _, record in parts)
        raise DataError(f"no parent structure of {task.composition}: {reasons}. Name other 'structures.sources'.")
    _above_lowest(frames)
    frames.sort(key=_order(task))
    for frame in frames:
        rows[frame.info["uid"]]["above_lowest_ev_per_atom"] = frame.info["above_lowest_ev_per_atom"]
    inside = []
    window = task.settings.energy_window_ev_per_atom
    for frame in frames:
        above, limit = frame.info["above_lowest_ev_per_atom"], window + _mixing(frame)
        if above > limit and not _meant(frame):
            _drop(rows, frame, f"{1000 * above:.0f} meV/atom above the lowest, window {1000 * limit:.0f}")
        else:
            inside.append(frame)
    different = _without_the_same(inside, rows)
    kept = _at_most(different, task.settings.parents_max)
    for frame in different:
        if not any(frame is other for other in kept):
            _drop(rows, frame, f"beyond structures.parents_max = {task.settings.parents_max}")
    return kept, {
        "tried": [*(rows[frame.info["uid"]] for frame in frames), *lost],
        "reference": kept[0].info["prototype"],
        "sources": [{key: value for key, value in record.items() if key != "tried"} for _, record in parts],
        "window_ev_per_atom": window,
        "compared": "energy per atom by the surrogate, among structures of exactly the same composition; the window of "
        "quasirandom cells is wider by their mixing entropy times 1000 K",
    }


def _mixing(frame: Atoms) -> float:
    """Ideal mixing entropy of a quasirandom cell times 1000 K, eV/atom; 0 for others."""
    return float(_MIXING_TEMPERATURE_K * kB * frame.info.get("mixing_kb", 0.0))


def _meant(frame: Atoms) -> bool:
    return frame.info["config_type"] == "molecule" or frame.info.get("source") == "structure"


def _composition(frame: Atoms) -> tuple[str, tuple[tuple[str, int], ...]]:
    counts = frame.symbols.formula.count()
    divisor = gcd(*counts.values())
    return frame.info["config_type"], tuple(sorted((element, n // divisor) for element, n in counts.items()))


def _above_lowest(frames: Sequence[Atoms]) -> None:
    lowest: dict[object, float] = {}
    for frame in frames:
        key = _composition(frame)
        lowest[key] = min(lowest.get(key, float("inf")), frame.info["surrogate_ev_per_atom"])
    for frame in frames:
        frame.info["above_lowest_ev_per_atom"] = frame.info["surrogate_ev_per_atom"] - lowest[_composition(frame)]


def _order(task: Task) -> Callable[[Atoms], tuple[bool, bool, float, float, int, str]]:
    """The structure and molecule the user means first, then energy above the lowest, then nearness to the formula."""
    total = sum(task.amounts.values())

    def key(frame: Atoms) -> tuple[bool, bool, float, float, int, str]:
        numbers = frame.symbols.formula.count()
        away = sum(abs(numbers.get(e, 0) / len(frame) - amount / total) for e, amount in task.amounts.items())
        molecular = bool(task.classes) and task.classes[0] == "molecular"
        return (
            frame.info.get("source") != "structure",
            (frame.info["config_type"] == "molecule") != molecular,
            round(frame.info["above_lowest_ev_per_atom"], 6),
            round(away, 6),
            len(frame),
            frame.info["uid"],
        )

    return key


def _without_the_same(frames: Sequence[Atoms], rows: dict[str, Record]) -> list[Atoms]:
    """The frames that are no copies of an earlier one; of quasirandom cells each size is a structure of its own."""
    kept: list[Atoms] = []
    prints = {frame.info["uid"]: fingerprint(frame) for frame in frames}
    for frame in frames:
        twin = next(
            (
                other
                for other in kept
                if abs(other.info["surrogate_ev_per_atom"] - frame.info["surrogate_ev_per_atom"])
                < _SAME_ENERGY_EV_PER_ATOM
                and prints[frame.info["uid"]].same(prints[other.info["uid"]], SAME_CRYSTAL_ANGSTROM)
            ),
            None,
        )
        if twin is None:
            kept.append(frame)
        else:
            _drop(rows, frame, f"the same structure as {twin.info['prototype']}")
    return kept


def _at_most(frames: Sequence[Atoms], number: int) -> list[Atoms]:
    """The reference, then the best of each source, then the lowest others; in their old order."""
    best = {frame.info.get("source", ""): k for k, frame in reversed(list(enumerate(frames)))}
    wanted = [0, *sorted(set(best.values()) - {0})]
    wanted += [k for k in range(len(frames)) if k not in wanted]
    return [frames[k] for k in sorted(wanted[:number])]


def _drop(rows: dict[str, Record], frame: Atoms, why: str) -> None:
    rows[frame.info["uid"]].update(kept=False, why=why)
