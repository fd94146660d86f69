"""Speed of training, CPU seconds: rows, factor, search, appending, MaxVol; ace-jax beside it if it is there.

    OMP_NUM_THREADS=1 python benchmarks/training.py FOLDER [--element Si]

FOLDER as for benchmarks/accuracy.py. MLIP_ACE_JAX_PYTHON names a Python that has ace-jax; it then fits the same frames.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from accuracy import read, settings
from ase import Atoms

from mlip_autopipec.ace import BasisSpec, build_basis, design_rows, project
from mlip_autopipec.ace.active_set import select
from mlip_autopipec.training.linear_ace import train

SMALL, LARGE = (20, 16, 12), (25, 21, 17)  # 299 and 1016 functions of one element
T = TypeVar("T")


def cpu(function: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds and the result."""
    start = time.process_time()
    found = function()
    return time.process_time() - start, found


def design(frames: list[Atoms], degrees: tuple[int, ...], cutoff: float) -> None:
    """Rows of some frames: median of three passes, ms/atom."""
    basis = build_basis(BasisSpec((frames[0].get_chemical_symbols()[0],), cutoff, degrees))
    design_rows(basis, frames[0])
    some, spent = frames[::10], []
    for _ in range(3):
        seconds, _ = cpu(lambda: [design_rows(basis, frame) for frame in some])
        spent.append(1e3 * seconds / sum(map(len, some)))
    print(f"design matrix, {basis.number_of_functions} functions: {np.median(spent):.3f} ms/atom", flush=True)


def maxvol(frames: list[Atoms], cutoff: float) -> None:
    """Active set of all environments."""
    element = frames[0].get_chemical_symbols()[0]
    basis = build_basis(BasisSpec((element,), cutoff, SMALL))
    made, rows = cpu(lambda: np.vstack([project(basis, frame)[0][1] for frame in frames]))
    select(rows[:600], element)  # compiles
    seconds, active = cpu(lambda: select(rows, element))
    print(f"projections {rows.shape}: {made:.1f} s; MaxVol: {seconds:.1f} s, {active.swaps} swaps", flush=True)


def fits(frames: list[Atoms], element: str) -> None:
    """A whole fit with one basis, with the search and without, and five generations that append."""
    zero = {"reference_energies_ev": {element: 0.0}}  # a mean of the frames would change with every generation
    one = zero | {"degrees": [list(SMALL)], "energy_weights": [10.0], "prior_powers": [4.0]}
    more = zero | {"degrees": [[14, 10, 8], [16, 12, 8], [18, 14, 10], list(SMALL)], "energy_weights": [10.0, 30.0]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run(chosen: list[Atoms], generation: int, **keys: object) -> tuple[float, dict[str, float]]:
            paths = [folder / f"p{generation}.{kind}" for kind in ("yaml", "yace", "asi")]
            previous = folder / f"factor{generation - 1}.npz"
            seconds, record = cpu(
                lambda: train(
                    chosen,
                    settings(element, **keys),
                    *paths,
                    factor=folder / f"factor{generation}.npz",
                    previous=previous,
                    posterior=folder / "posterior.npz",
                )
            )
            return seconds, record["cpu_seconds"]

        run(frames[:40], 90, **one)  # compiles
        for what, keys in (("fixed", one), ("searched", more)):
            seconds, parts = run(frames, 100, **keys)
            said = ", ".join(f"{part} {value:.2f}" for part, value in parts.items() if part != "all_but_errors")
            print(f"whole fit, 299 functions, {what}: {seconds:.1f} s ({said}, errors of the training data the rest)")
        first = len(frames) - 4 * 10
        for generation in range(5):
            seconds, parts = run(frames[: first + 10 * generation], generation, **more)
            print(
                f"generation {generation}, {first + 10 * generation} frames: rows {parts['rows']:.2f} s, search "
                f"{parts['search']:.2f} s, fit and files {parts['fit_and_files']:.2f} s, all {seconds:.1f} s",
                flush=True,
            )


def peer(folder: Path, element: str, cutoff: float) -> None:
    """ace-jax on the same frames and split, in its own environment: weights E 30, F 1, degree 16 (its own basis)."""
    python = os.environ.get("MLIP_ACE_JAX_PYTHON")
    if not python:
        print("ace-jax: not measured, MLIP_ACE_JAX_PYTHON is not set")
        return
    weights = json.dumps({"default": {"E": 30.0, "F": 1.0, "V": 1.0}})
    with tempfile.TemporaryDirectory() as name:
        command = [
            python, "-m", "ace_jax.cli", "fit", "--order", "3", "--max-degree", "16", "--elements", element,
            "--rcut", str(cutoff), "--train", str(folder.resolve() / f"{element}_training.extxyz"),
            "--test", str(folder.resolve() / f"{element}_test.extxyz"), "--energy-key", "REF_energy",
            "--force-key", "REF_forces", "--weights", weights, "--e0", "lsq", "--out", "fit",
        ]  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=name, capture_output=True, text=True, timeout=1800, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"ace-jax: {seconds:.0f} s CPU, compilation included; its own words:")
        print("\n".join(f"  {line}" for line in (done.stdout + done.stderr).strip().splitlines()[-12:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--element", default="Si")
    given = parser.parse_args()
    frames, cutoff = read(given.folder, given.element, "training"), settings(given.element).cutoff_angstrom
    for frame in frames:  # each its own trajectory, so that later frames move no older one from its fold
        del frame.info["imported"]
    for degrees in (SMALL, LARGE):
        design(frames, degrees, cutoff)
    maxvol(frames, cutoff)
    fits(frames, given.element)
    peer(given.folder, given.element, cutoff)


if __name__ == "__main__":
    main()
