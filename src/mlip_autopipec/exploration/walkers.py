"""Surrogate molecular dynamics: one walker, one temperature, one seed."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator

from mlip_autopipec.config.full import Exploration
from mlip_autopipec.dynamics import Guards, Thermostat, choose_start, run
from mlip_autopipec.frames import new_frame
from mlip_autopipec.seeds import generator


def walk(
    structures: list[Atoms],
    calculator: Calculator,
    settings: Exploration,
    *,
    name: str,
    temperature_k: float,
    steps: int,
    seed: int,
    config_type: str = "explored",
) -> tuple[list[Atoms], dict[str, Any]]:
    """Walk from one of the structures (see `choose_start`) and keep a frame every `interval_steps` steps.

    A walker that explodes stops, keeps the frames before, and says so in its record.

    Args:
        structures: starting structures; the walker takes one of them.
        name: the walker's name; with the seed it decides everything random.
        steps: MD steps.

    Returns:
        The frames kept (the start is not one of them) and a record: walker, temperature, start and its type, steps,
        frames, stopped.

    Raises:
        DataError: there is no structure to start from.
    """
    random = generator(seed, config_type, name)
    start = choose_start(structures, random)
    frames: list[Atoms] = []

    def keep(step: int, atoms: Atoms) -> str:
        if step:
            origin = f"{settings.surrogate} {temperature_k:.0f} K walker {name} step {step}"
            frames.append(new_frame(atoms, origin=origin, config_type=config_type, like=start))
        return ""

    done, stopped = run(
        start,
        calculator,
        Thermostat(temperature_k, settings.timestep_fs, settings.friction_per_ps),
        Guards(settings.minimum_distance_fraction, settings.maximum_force_ev_per_angstrom),
        steps=steps,
        interval=settings.interval_steps,
        random=random,
        visit=keep,
    )
    record = {
        "walker": name,
        "surrogate": settings.surrogate,
        "temperature_k": temperature_k,
        "start": start.info["uid"],
        "start_type": start.info["config_type"],
        "steps_asked": steps,
        "steps_done": done,
        "frames": len(frames),
        "stopped": stopped,
    }
    return frames, record


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
