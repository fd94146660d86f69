"""Starting structures of many materials: how many, how fast, how different, how sound.

    OMP_NUM_THREADS=1 python benchmarks/structures.py [COMPOSITION ...] [--out FILE.json]

Sources and generators run as in the workflow, each in a process of its own, two at a time, with the surrogate of the
config. Columns: seconds of wall time and of CPU, imports included; parents; structures by type; `unique`, the share of
sound structures that are no duplicates; `survive`, of a dozen relaxed for 20 steps, the share that neither collapses
nor flies apart and ends lower; `volumes`, the share of ten equal bins of +-15 % about the reference's volume per atom
that hold a frame; `SRO`, the largest short-range order of the quasirandom cells.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.config import expand
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import has_vacuum
from mlip_autopipec.structures import Task, generate, merge, merge_parents, relax_source
from mlip_autopipec.structures.relax import relax
from mlip_autopipec.surrogates import load_surrogate

# fmt: off
MATERIALS = [
    "FePt", "SiO2", "NaCl", "H2O", "Al0.9Mg0.1", "CoCrFeMnNi", "C", "Si", "SiGe", "MgO",
    "CaF2", "TiO2", "SrTiO3", "GaAs", "BN", "CH4", "Ar", "Fe", "Ni3Al", "ZrO2",
]
# fmt: on
PROCESSES = 2
RELAXED, RELAX_STEPS = 12, 20
VOLUME_RANGE, BINS = 0.15, 10

KEYS = ("generator", "asked", "made", "kept", "unphysical", "seconds", "cpu_seconds", "failed")

Part = tuple[list[Atoms], dict[str, Any]]


def task_of(composition: str) -> Task:
    """The task of a one-line config."""
    config = expand({"composition": composition})[0]
    return Task.of(config, lambda: load_surrogate(config.exploration.surrogate))


def source(composition: str, name: str) -> Part:
    """One source, in a process of its own."""
    frames, record = relax_source(name, task_of(composition))
    return frames, {**record, "cpu_seconds": time.process_time()}


def generated(composition: str, name: str, parents: list[Atoms]) -> Part:
    """One generator, in a process of its own."""
    frames, record = generate(name, parents, task_of(composition))
    return frames, {**record, "cpu_seconds": time.process_time()}


def survive(composition: str, frames: list[Atoms]) -> list[str]:
    """What a short relaxation does to each frame: 'falls', 'rises' or why it stopped."""
    task, ends = task_of(composition), []
    for frame in frames:
        start = frame.copy()
        start.calc = task.calculator
        before = start.get_potential_energy()
        try:
            _, after, _ = relax(frame, task.calculator, cell=not has_vacuum(frame), steps_max=RELAX_STEPS)
        except DataError as error:
            ends.append(f"{frame.info['config_type']}: {error}")
        else:
            ends.append("falls" if after <= before + 1e-3 else f"{frame.info['config_type']}: rises")
    return ends


def measure(composition: str, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """All numbers of one material."""
    task, began = task_of(composition), time.perf_counter()
    sources = [pool.submit(source, composition, name) for name in task.settings.sources]
    relaxed = [job.result() for job in sources]
    parents, parents_record = merge_parents(relaxed, task)
    names = [name for name, number in task.settings.counts.items() if number]
    # Ordered by what takes longest, as no scheduler knows beforehand: the two trajectories first.
    names.sort(key=lambda name: name not in ("melt", "quench"))
    jobs = [pool.submit(generated, composition, name, parents) for name in names]
    parts = [job.result() for job in jobs]
    frames, record = merge(parents, parts, task)
    seconds = time.perf_counter() - began
    some = [frames[k] for k in np.unique(np.linspace(0, len(frames) - 1, RELAXED).astype(int))]
    halves = [pool.submit(survive, composition, some[k::2]) for k in range(2)]
    ends = [end for job in halves for end in job.result()]
    return {
        "composition": composition,
        "class": list(task.classes),
        "seconds": seconds,
        "cpu_seconds": sum(part[1]["cpu_seconds"] for part in (*relaxed, *parts)),
        "parents": [f"{p.info.get('prototype')} {p.info.get('spacegroup', '')}".strip() for p in parents],
        "sources": parents_record["sources"],
        "sro_max": [row["sro_max"] for row in parents_record["tried"] if "sro_max" in row],
        "by_type": dict(Counter(frame.info["config_type"] for frame in frames)),
        "generators": [
            {
                k: part[1][k]
                for k in ("generator", "asked", "made", "kept", "unphysical", "seconds", "cpu_seconds", "failed")
            }
            for part in parts
        ],
        "frames": len(frames),
        "unique": len(frames) / max(1, len(frames) + record["duplicates"]),
        "survive": ends.count("falls") / max(1, len(ends)),
        "not_surviving": [end for end in ends if end != "falls"],
        "volumes": volumes(parents, frames),
    }


def volumes(parents: list[Atoms], frames: list[Atoms]) -> float | None:
    """Share of the bins of relative volume per atom about the reference's that hold a frame; None for molecules."""
    if has_vacuum(parents[0]):
        return None
    reference = parents[0].get_volume() / len(parents[0])
    changes = [frame.get_volume() / len(frame) / reference - 1 for frame in frames if not has_vacuum(frame)]
    counts, _ = np.histogram(changes, BINS, (-VOLUME_RANGE - 1e-6, VOLUME_RANGE + 1e-6))
    return float((counts > 0).mean())


def row(result: dict[str, Any]) -> str:
    """One line of the table."""
    if "failed" in result:
        return f"{result['composition']:12s} FAILED: {result['failed']}"
    coverage = "   -" if result["volumes"] is None else f"{result['volumes']:4.0%}"
    order = f"{max(result['sro_max']):.3f}" if result["sro_max"] else "-"
    types = " ".join(f"{kind}:{number}" for kind, number in result["by_type"].items())
    return (
        f"{result['composition']:12s} {result['seconds']:5.0f} s {result['cpu_seconds']:5.0f} s CPU "
        f"{len(result['parents']):3d} parents "
        f"{result['frames']:4d} frames unique {result['unique']:4.0%} survive {result['survive']:4.0%} "
        f"volumes {coverage} SRO {order}\n{'':12s} {', '.join(result['parents'])}\n{'':12s} {types}"
    )


def trouble(result: dict[str, Any]) -> list[str]:
    """What failed or fell short, a line each."""
    lines = [f"source {s['source']}: {s['failed']}" for s in result.get("sources", []) if s["failed"]]
    for record in result.get("generators", []):
        if record["failed"]:
            lines.append(f"generator {record['generator']}: {record['failed']}")
        elif record["kept"] < record["asked"] / 2:
            lines.append(f"generator {record['generator']}: asked {record['asked']}, kept {record['kept']}")
        if record["cpu_seconds"] > 75:
            lines.append(f"generator {record['generator']}: {record['cpu_seconds']:.0f} s of CPU")
    return lines + [f"relaxation of {end}" for end in result.get("not_surviving", [])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compositions", nargs="*", default=MATERIALS)
    parser.add_argument("--out", type=Path, help="all numbers as JSON")
    arguments = parser.parse_args()
    results = []
    for composition in arguments.compositions:
        # A process for every job, as in the workflow: loading the surrogate is part of the time.
        with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
            try:
                result = measure(composition, pool)
            except Exception as error:  # the others are still wanted
                traceback.print_exc()
                result = {"composition": composition, "failed": f"{type(error).__name__}: {error}"}
        results.append(result)
        print(row(result), flush=True)
        for line in trouble(result):
            print(f"{'':12s} ! {line}", flush=True)
        if arguments.out:
            arguments.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
