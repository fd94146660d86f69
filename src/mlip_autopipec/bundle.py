"""What a user takes home: the potential with a ready LAMMPS input, the data, the config, versions and checksums."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write

from mlip_autopipec.ace import read_yaml
from mlip_autopipec.artifacts import read_json, sha256, versions, write_json
from mlip_autopipec.frames import ENERGY, FORCES, ISOLATED_ATOM, STRESS, read_frames
from mlip_autopipec.potential import baseline_of
from mlip_autopipec.repulsion import Repulsion, lammps_pair_lines

MINIMUM_EDGE_ANGSTROM = 16.0  # of the LAMMPS example: some three cutoffs, and quick to run


def write_bundle(files: dict[str, Any], folder: str | os.PathLike[str]) -> None:
    """Gather the bundle; the folder appears whole or not at all.

    Args:
        files: `potential` (yaml, yace, asi), `data` (dataset, quarantine), `test`, `summary`, `report`, `dump`; where
            there are: `posterior`, and files of the members of `committee` and `family`.
        folder: where the bundle goes; an older one is replaced.
    """
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bundle.", dir=target.parent) as scratch:
        made = Path(scratch) / target.name
        made.mkdir()
        _fill(files, made)
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)


def _fill(files: dict[str, Any], folder: Path) -> None:
    yaml, yace, asi = files["potential"]
    for source, name in ((yaml, "potential.yaml"), (yace, "potential.yace"), (asi, "potential.asi")):
        shutil.copyfile(source, folder / name)
    if "posterior" in files:
        shutil.copyfile(files["posterior"], folder / "potential_posterior.npz")
    for group in ("committee", "family"):
        for member in files.get(group, []):
            (folder / group).mkdir(exist_ok=True)
            shutil.copyfile(member, folder / group / Path(member).name)
    for key, name in (("dump", "config.yaml"), ("report", "report.html"), ("summary", "summary.json")):
        shutil.copyfile(files[key], folder / name)
    frames = {
        "train": read_frames(files["data"][0]),
        "quarantine": read_frames(files["data"][1]),
        "test": [f for f in read_frames(files["test"]) if f.info["config_type"] != ISOLATED_ATOM],
    }
    for name, source in (("train", files["data"][0]), ("quarantine", files["data"][1]), ("test", files["test"])):
        shutil.copyfile(source, folder / f"{name}.extxyz")
    write_database(folder / "dataset.db", frames)
    write_lammps_example(folder, frames["train"], Path(yaml))
    write_json(folder / "versions.json", versions())
    told = (("posterior", POSTERIOR), ("committee", COMMITTEE), ("family", FAMILY))
    more = "".join(text for key, text in told if files.get(key))
    readme = _readme(read_json(files["summary"]), read_yaml(yaml).metadata, more, "posterior" in files)
    (folder / "README.txt").write_text(readme, encoding="utf-8")
    whole = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [f"{sha256(path)}  {path.relative_to(folder)}" for path in whole]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")


def write_database(path: Path, frames_by_state: dict[str, list[Atoms]]) -> None:
    """An ASE database (SQLite) of all frames; the key `state` is train, test, quarantine or isolated_atom.

    Energies, forces and stresses are those of the labels, in ASE's units; `uid`, `config_type`, `generation` and, in
    quarantine, `outcome` are keys, `origin`, `parent` and `reason` are data.
    """
    with connect(path, type="db") as database:
        for state, frames in frames_by_state.items():
            for frame in frames:
                info = frame.info
                row = frame.copy()
                if ENERGY in info:
                    row.calc = SinglePointCalculator(
                        row, energy=info[ENERGY], forces=frame.arrays[FORCES], stress=info.get(STRESS)
                    )
                keys = {"uid": info["uid"], "config_type": info["config_type"], "generation": int(info["generation"])}
                if "outcome" in info:
                    keys["outcome"] = info["outcome"]
                isolated = info["config_type"] == ISOLATED_ATOM and state == "train"
                database.write(
                    row,
                    state="isolated_atom" if isolated else state,
                    data={key: info[key] for key in ("origin", "parent", "reason") if key in info},
                    **keys,
                )


def write_lammps_example(folder: Path, frames: list[Atoms], yaml: Path) -> None:
    """`in.lammps` and `start.data`: molecular dynamics with the potential that watches gamma and stops in time."""
    potential = read_yaml(yaml)
    condensed = [f for f in frames if f.info["config_type"] != ISOLATED_ATOM]
    start = min(condensed, key=lambda f: f.info[ENERGY] / len(f))
    if not start.pbc.all():  # LAMMPS needs a box
        start = start.copy()
        start.center(vacuum=MINIMUM_EDGE_ANGSTROM / 2, axis=[k for k in range(3) if not start.pbc[k]])
        start.pbc = True
    repeats = [max(1, round(MINIMUM_EDGE_ANGSTROM / length)) for length in start.cell.lengths()]
    elements = list(potential.elements)
    write(folder / "start.data", start.repeat(repeats), format="lammps-data", specorder=elements, masses=True)
    (folder / "in.lammps").write_text(lammps_input(elements, baseline_of(potential.metadata)), encoding="utf-8")


def lammps_input(elements: list[str], baseline: Repulsion | None) -> str:
    """A LAMMPS input for `potential.yaml` and `potential.asi`, with the same repulsion as in the fit."""
    pair = lammps_pair_lines(elements, baseline, "pace/extrapolation", "potential.yaml potential.asi")
    return "\n".join(
        [
            "# Molecular dynamics with the ACE potential of this bundle. Needs LAMMPS with the package ML-PACE.",
            "# Energies are relative to isolated atoms. Keep all pair lines: zbl or lj/cut belong to the potential.",
            "units           metal",
            "atom_style      atomic",
            "newton          on",
            "read_data       start.data",
            *pair,
            "",
            "# gamma: below 1 an environment is like the training data, far above it the potential guesses",
            "fix             gamma all pair 10 pace/extrapolation gamma 1",
            "compute         max_gamma all reduce max f_gamma",
            "variable        max_gamma equal c_max_gamma",
            "fix             stop all halt 10 v_max_gamma > 25 error continue message yes",
            "",
            "velocity        all create 300.0 4928459",
            "fix             nvt all nvt temp 300.0 300.0 0.1",
            "timestep        0.001",
            "thermo          10",
            "thermo_style    custom step temp pe press c_max_gamma",
            "run             100",
            "",
        ]
    )


def licence_note(said: dict[str, str]) -> str:
    """What a user of a potential must know of the licence of the program that fitted it, from the file's metadata."""
    if said.get("trainer") != "pacemaker":
        return ""
    return f"""
Fitted with pacemaker {said.get("pacemaker_version", "")} (python-ace). Its licence, the Academic Software License,
is for academic, non-commercial use: ask its authors before you use it or what it made for anything else. Please cite
Y. Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021) and A. Bochkarev et al., Phys. Rev. Mater. 6, 013804 (2022).
"""


POSTERIOR = """potential_posterior.npz  the errors to be expected of energies and forces, calibrated; for ASE
"""
COMMITTEE = """committee/           potentials drawn from that posterior: compute with each, the scatter is the error
"""
FAMILY = """family/              faster and more accurate potentials of the same data; report.html compares them
"""
ASK_DEVIATION = """
    atoms.calc = load_potential("potential.yaml", "potential.asi", "potential_posterior.npz")
    atoms.calc.deviation(atoms)     # expected errors: energy_ev, forces_ev_per_angstrom"""


def _labels_note(summary: dict[str, Any]) -> str:
    """What made the labels, where a user might take them for more than they are."""
    source = summary.get("label_source")
    if source is None or (source["dft"] and source["engine"] == "espresso"):
        return ""
    return f"{source['words']}\n" + (
        "" if source["dft"] else "It is at best as right as they are; cite and trust it as such.\n"
    )


def _readme(summary: dict[str, Any], said: dict[str, str], more_files: str, trusted: bool) -> str:
    verdict = "passed its validation" if summary["passed"] else "did NOT pass: " + "; ".join(summary["failures"])
    return f"""An interatomic potential for {summary["composition"]}, made by MLIP-AutoPipe. It {verdict}.
{_labels_note(summary)}
report.html          what it was made from, where it holds and where it does not
potential.yaml       the ACE in B-basis form: for LAMMPS pair_style pace/extrapolation (with gamma) and for ASE
potential.asi        its active set, from which gamma is computed
potential.yace       the same potential in contracted form: for LAMMPS pair_style pace (faster, no gamma)
{more_files}in.lammps            a ready LAMMPS input, start.data its structure. Keep all its pair lines
train.extxyz         all labels it was trained on; test.extxyz: held out; quarantine.extxyz: refused, with reasons
dataset.db           the same as an ASE database; the key 'state' tells them apart
config.yaml          the whole configuration: feeding it back (beside any data files it names) makes the potential again
summary.json         the numbers of the report, for programs
versions.json        versions of all packages; SHA256SUMS: check with 'sha256sum -c SHA256SUMS'

In Python:
    from mlip_autopipec.potential import load_potential
    atoms.calc = load_potential("potential.yaml", "potential.asi")
    atoms.get_potential_energy(), atoms.calc.gamma(atoms).max(){ASK_DEVIATION if trusted else ""}
{licence_note(said)}"""
