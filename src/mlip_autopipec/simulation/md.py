"""One walker driven by the new potential: keeps what is uncertain, stops where nothing is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.ace import ACECalculator
from mlip_autopipec.config.full import Simulation
from mlip_autopipec.dynamics import Guards, Thermostat, run
from mlip_autopipec.frames import GAMMA, GAMMA_MAX, START_TYPE, new_frame
from mlip_autopipec.seeds import generator
from mlip_autopipec.starts import choose_start


def simulate(
    structures: list[Atoms],
    calculator: ACECalculator,
    settings: Simulation,
    *,
    name: str,
    temperature_k: float,
    generation: int,
    gamma_select: float,
    gamma_stop: float,
    seed: int,
) -> tuple[list[Atoms], dict[str, Any]]:
    """Run a walker from one of the structures and keep the frames it is uncertain about.

    The extrapolation grade gamma (D-optimality; Lysogorskiy et al., Phys. Rev. Materials 7, 043801, 2023) of every
    atom is computed every `gamma_interval_steps` steps. Frames with a largest gamma above `gamma_select` are kept;
    above `gamma_stop` the walker stops and keeps that frame too.

    Args:
        structures: starting structures, the reference first; the walker takes one (see `choose_start`): another in each
            generation, where it is not the material itself.
        calculator: potential with its active set.
        name: the walker's name; with seed and generation it decides everything random.

    Returns:
        The uncertain frames (at most `frames_per_walker`, the last one always among them) and the walker's record.

    Raises:
        DataError: there is no structure to start from.
    """
    random = generator(seed, "simulate", generation, name)
    start = choose_start(structures, random, name)
    uncertain: list[Atoms] = []
    trace: list[tuple[int, float]] = []

    def watch(step: int, atoms: Atoms) -> str:
        gamma = calculator.gamma(atoms)
        largest = float(gamma.max())
        trace.append((step, largest))
        if largest > gamma_select or not np.isfinite(largest):
            frame = new_frame(
                atoms,
                origin=f"generation {generation} {temperature_k:.0f} K walker {name} step {step}",
                config_type="simulated",
                like=start,
                generation=generation + 1,
                **{START_TYPE: start.info["config_type"]},
            )
            frame.arrays[GAMMA] = gamma
            frame.info[GAMMA_MAX] = largest
            uncertain.append(frame)
        if not largest <= gamma_stop:
            return f"extrapolation grade {largest:.1f} (limit {gamma_stop})"
        return ""

    done, stopped = run(
        start,
        calculator,
        Thermostat(temperature_k, settings.timestep_fs, settings.friction_per_ps),
        Guards(settings.minimum_distance_fraction),
        steps=settings.steps,
        interval=settings.gamma_interval_steps,
        random=random,
        visit=watch,
    )
    kept = thin(uncertain, settings.frames_per_walker)
    record = {
        "walker": name,
        "generation": generation,
        "temperature_k": temperature_k,
        "start": start.info["uid"],
        "start_type": start.info["config_type"],
        "steps_asked": settings.steps,
        "steps_done": done,
        "stopped": stopped,
        "uncertain_frames": len(uncertain),
        "kept_frames": len(kept),
        "gamma_step": [step for step, _ in trace],
        "gamma_max": [value for _, value in trace],
    }
    return kept, record


def thin(frames: list[Atoms], number: int) -> list[Atoms]:
    """At most `number` frames, spread evenly, the last one always among them."""
    if len(frames) <= number:
        return frames
    return [frames[k] for k in np.unique(np.linspace(0, len(frames) - 1, number).round().astype(int))]
