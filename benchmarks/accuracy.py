"""Test errors on the mlearn set (Zuo et al., J. Phys. Chem. A 124, 731, 2020): hyperparameters from training data only.

    python benchmarks/accuracy.py FOLDER [--elements Si Li] [--random 8 --draws 10]

FOLDER holds <element>_training.extxyz and <element>_test.extxyz with REF_energy (eV) and REF_forces (eV/A): the
authors' split (github.com/materialsvirtuallab/mlearn, BSD-3), which is not ours to ship. The whole trainer runs: delta
baseline, search on held-out blocks of the training frames, fit, files; errors are those of the files that were written.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from mlip_autopipec.ace import build_basis, design_rows
from mlip_autopipec.ace.basis import BasisSpec
from mlip_autopipec.config.full import Training
from mlip_autopipec.frames import new_frame, set_label
from mlip_autopipec.metrics import compare, summarise
from mlip_autopipec.potential import load_potential
from mlip_autopipec.training.dataset_references import reference_energies
from mlip_autopipec.training.linear_ace import train

BOND_ANGSTROM = {"Si": 2.35, "Li": 3.02, "Mo": 2.73, "Ge": 2.45, "Cu": 2.55, "Ni": 2.49}
LIMITS = {"Si": (3.5, 105.0), "Li": (0.40, 8.5)}  # meV/atom, meV/A: what this trainer is to reach
FEW = (15.0, 140.0)


def read(folder: Path, element: str, part: str) -> list[Atoms]:
    """Frames of one part of the set; frames of unknown descent, so that folds are contiguous blocks."""
    frames = []
    for k, atoms in enumerate(ase.io.read(folder / f"{element}_{part}.extxyz", ":")):
        frame = new_frame(atoms, origin=f"{part} frame {k}", config_type=atoms.info["config_type"], imported=True)
        frames.append(set_label(frame, atoms.info["REF_energy"], atoms.arrays["REF_forces"], None))
    return frames


def settings(element: str, **more: Any) -> Training:
    """The section `training` that the pipeline would infer for the element, for the most accurate potential."""
    bond = BOND_ANGSTROM[element]
    lengths = {
        "cutoff_angstrom": round(2.35 * bond, 1),
        "zbl_inner_angstrom": round(0.45 * bond, 3),
        "zbl_outer_angstrom": round(0.72 * bond, 3),
    }
    return Training(**({"potential": "accurate"} | lengths | more))


def fit(frames: list[Atoms], test: list[Atoms], wanted: Training) -> dict[str, Any]:
    """Train and measure: the record of the training, with test errors and CPU seconds."""
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"p.{kind}" for kind in ("yaml", "yace", "asi")]
        start = time.process_time()
        energies, _, _ = reference_energies(frames, wanted)  # as the pipeline does with a user's data
        record = train(frames, wanted.model_copy(update={"reference_energies_ev": energies}), *paths)
        seconds = time.process_time() - start
        return record | {"test": summarise(compare(test, load_potential(paths[0]))), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--elements", nargs="*", default=["Si", "Li"])
    parser.add_argument("--random", type=int, default=0, help="silicon with so few random structures instead")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--cutoffs", nargs="*", type=float, help="cutoff factors to search")
    parser.add_argument("--environments", type=float, help="environments per function")
    parser.add_argument("--degrees", nargs="*", type=int, help="one basis instead of the ladder, e.g. 20 16 12")
    parser.add_argument("--densities", type=int, default=1, help="2: try a second density, and say whether it pays")
    given = parser.parse_args()
    more: dict[str, Any] = {"densities": given.densities}
    if given.cutoffs:
        more["cutoff_factors"] = given.cutoffs
    if given.degrees:
        more["degrees"] = [given.degrees]
    if given.environments:
        more["environments_per_function"] = given.environments
    warm = read(given.folder, given.elements[0], "test")[0]
    design_rows(build_basis(BasisSpec((given.elements[0],), 5.0, (6, 4))), warm)  # compilation is not measured
    if given.random:
        few(given, more)
        return
    for element in given.elements:
        training, test = (read(given.folder, element, part) for part in ("training", "test"))
        found = fit(training, test, settings(element, **more))
        report(element, found)


def report(name: str, found: dict[str, Any]) -> None:
    """Print the choice, the errors and the time."""
    test = found["test"]
    energy, force = test["energy_rmse_mev_per_atom"], test["force_rmse_mev_per_angstrom"]
    limits = LIMITS.get(name)
    verdict = "" if limits is None else f" (at most {limits[0]:g} and {limits[1]:g} wanted)"
    print(f"{name}: {found['why']}")
    print(f"  test: {energy:.3f} meV/atom, {force:.2f} meV/A RMSE{verdict}; "
          f"MAE {test['energy_mae_mev_per_atom']:.3f}, {test['force_mae_mev_per_angstrom']:.2f}")  # fmt: skip
    if found["second_density"]:
        print(f"  two densities: {found['second_density']}")
    spent = found["cpu_seconds"]
    points = len(found["search"]["points"])
    print(f"  CPU: rows {spent['rows']:.1f} s, search of {points} points {spent['search']:.1f} s, fit and files "
          f"{spent['fit_and_files']:.1f} s, with training errors {found['seconds']:.1f} s", flush=True)  # fmt: skip


def few(given: argparse.Namespace, more: dict[str, Any]) -> None:
    """Test errors with a few random structures, over several draws."""
    training, test = (read(given.folder, "Si", part) for part in ("training", "test"))
    rows = []
    for draw in range(given.draws):
        chosen = sorted(np.random.default_rng(draw).choice(len(training), given.random, replace=False))
        found = fit([training[k] for k in chosen], test, settings("Si", **more))
        rows.append((found["test"]["energy_rmse_mev_per_atom"], found["test"]["force_rmse_mev_per_angstrom"]))
        print(f"  draw {draw}: {rows[-1][0]:.1f} meV/atom, {rows[-1][1]:.0f} meV/A; {found['functions']} functions, "
              f"w {found['energy_weight']:g}, p {found['prior_power']:g}, {found['search']['by']}, "
              f"{found['seconds']:.1f} s", flush=True)  # fmt: skip
    energy, force = np.array(rows).T
    print(f"Si, {given.random} random structures, {given.draws} draws: median {np.median(energy):.1f} meV/atom "
          f"({energy.min():.1f} to {energy.max():.1f}), {np.median(force):.0f} meV/A ({force.min():.0f} to "
          f"{force.max():.0f}); at most {FEW[0]:g} and {FEW[1]:g} wanted")  # fmt: skip


if __name__ == "__main__":
    main()
