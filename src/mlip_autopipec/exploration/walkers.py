"""One walker: from a start through a kind of walk to a file of frames, whether it is killed on the way or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator

from mlip_autopipec.config.exploring import Exploration
from mlip_autopipec.config.walks import OF_THE_PLANS, Walk
from mlip_autopipec.exploration.course import Course, Invariants
from mlip_autopipec.exploration.kinds import KINDS
from mlip_autopipec.exploration.progress import Reporter, last_line
from mlip_autopipec.exploration.streams import Stream
from mlip_autopipec.seeds import generator
from mlip_autopipec.starts import choose_start


def walk(
    structures: list[Atoms],
    calculator: Calculator,
    settings: Exploration,
    plan: Walk,
    *,
    path: Path,
    seed: int,
    config_type: str = "explored",
    invariants: Invariants | None = None,
    identity: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Walk from one of the structures (see `choose_start`), keep a frame every `interval_steps` steps, write them.

    Frames go to `<path>.part` as they come and to `path` at the end; memory does not grow with the number of steps. A
    walk that was killed goes on from its last frame there, if plan, settings, seed, start and surrogate are the same,
    and ends with the same files, bit by bit, as one that was not (on the same machine, on a CPU). A walk that explodes
    stops, keeps the frames before, and says so in its record.

    Args:
        structures: starting structures, the reference first; the walker takes one of them that suits its kind.
        plan: what it does; with the seed and `config_type` its name decides everything random.
        path: the file of frames, `.extxyz`. With `invariants` there is one of structure vectors beside it,
            `.invariants.npz`: uid (frames,), vectors (frames, 3F) float32, key (of the surrogate).
        identity: what the surrogate is (`surrogates.identity`); it goes into the record.
        say: told a line now and then.

    Returns:
        The walker's record: plan, ensemble, shape, start, steps and frames, why it stopped ('': it did not), warnings,
        notes of the stepper, `resumed_from_step`, seconds (those before a kill too).

    Raises:
        DataError: there is no structure to start from.
    """
    path, kind = Path(path), KINDS[plan.kind]
    vectors_to = path.with_suffix(".invariants.npz") if invariants is not None else None
    known = dict(identity or {})
    surrogate = str(known.get("identity_key") or settings.surrogate)
    suited = [structure for structure in structures if kind.suits(structure)]
    suits = kind.suits if suited else lambda atoms: True
    start = choose_start(structures, generator(seed, config_type, plan.name), plan.name, suits)
    decides = {
        "settings": settings.model_dump(mode="json", exclude=set(OF_THE_PLANS)),
        "plan": asdict(plan),
        "walk": [seed, config_type, start.info["uid"], start.info["config_type"], vectors_to is not None],
        "surrogate": [surrogate, known.get("repulsion", "")],
    }
    stream = Stream(path, hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest())
    course = Course(start, calculator, settings, plan, seed=seed, config_type=config_type, invariants=invariants)
    try:
        if suited:
            course.go(stream, Reporter(plan, say))
        else:
            stream.open()
            course.stopped = f"there is nothing to start from: '{plan.kind}' wants {kind.wants}"
        stream.finish(vectors_to, surrogate)
    finally:
        stream.close()
    record = {
        "walker": plan.name,
        "kind": plan.kind,
        "surrogate": settings.surrogate,
        "surrogate_identity": known,
        "temperature_k": plan.temperature_k,
        "temperature_end_k": plan.temperature_end_k,
        "steps_asked": plan.steps,
        **course.record(),
        "frames": stream.frames,
    }
    say(last_line(record))
    return record


def spread(trajectories: list[list[Atoms]], number: int, discard: float = 0.2) -> list[Atoms]:
    """`number` frames taken evenly from several trajectories, without the first part of each.

    Args:
        discard: fraction of each trajectory left out at its start, while it forgets where it began.
    """
    later = [frames[int(discard * len(frames)) :] for frames in trajectories]
    pool = [frame for frames in later for frame in frames]
    if len(pool) <= number:
        return pool
    return [pool[int((k + 0.5) * len(pool) / number)] for k in range(number)]
