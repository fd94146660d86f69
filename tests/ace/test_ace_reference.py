"""Our numbers against those of the programs that own the formats; see tests/data/ace_reference/README.md."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.data import atomic_masses, atomic_numbers
from ase.io import read

from mlip_autopipec.ace import ACECalculator, evaluate, read_asi, read_potential, read_yaml, write_yace

DATA = Path(__file__).parents[1] / "data" / "ace_reference"
NAMES = ["si_order4", "cuau", "cu_density", "alni_distance", "agalcuni_zbl"]


def _frames(name: str) -> list[Atoms]:
    return read(DATA / f"{name}.extxyz", index=":")


@pytest.mark.parametrize("program", ["lammps", "lammps_yace", "pyace"])
@pytest.mark.parametrize("name", NAMES)
def test_energies_forces_stress_and_gamma_equal_the_reference_programs(name: str, program: str) -> None:
    calc = ACECalculator(read_yaml(DATA / f"{name}.yaml"), read_asi(DATA / f"{name}.asi"))
    for atoms, references in zip(_frames(name), json.loads((DATA / f"{name}.json").read_text()), strict=True):
        expected = references[program]
        atoms.calc = calc
        assert atoms.get_potential_energy() == pytest.approx(expected["energy"], abs=1e-10)
        np.testing.assert_allclose(atoms.get_potential_energies(), expected["energies"], atol=1e-10)
        np.testing.assert_allclose(atoms.get_forces(), expected["forces"], atol=1e-9)
        np.testing.assert_allclose(atoms.get_stress(), expected["stress"], atol=1e-9)
        if "gamma" in expected:
            np.testing.assert_allclose(calc.gamma(atoms), expected["gamma"], rtol=1e-8)


def test_what_python_ace_writes_is_read_to_the_last_bit() -> None:
    ours, its = read_yaml(DATA / "alni_distance.yaml"), read_yaml(DATA / "alni_distance_pyace.yaml")
    assert its.basis.functions == ours.basis.functions
    assert its.bonds == ours.bonds
    assert its.embeddings == ours.embeddings
    np.testing.assert_array_equal(its.coefficients, ours.coefficients)
    contracted = read_potential(DATA / "alni_distance_pyace.yace")
    for atoms in _frames("alni_distance"):
        found, expected = evaluate(contracted, atoms), evaluate(ours, atoms)
        np.testing.assert_allclose(found.energies, expected.energies, atol=1e-12)
        np.testing.assert_allclose(found.forces, expected.forces, atol=1e-11)


def _lammps_with_pace() -> str | None:
    for candidate in (os.environ.get("MLIP_LAMMPS"), "lmp", "lmp_serial", "lmp_mpi"):
        program = shutil.which(candidate) if candidate else None
        if program:
            listing = subprocess.run([program, "-h"], capture_output=True, text=True, timeout=60, check=False)
            if "pace/extrapolation" in listing.stdout.split():
                return program
    return None


LAMMPS = _lammps_with_pace()


def _run(program: str, folder: Path, atoms: Atoms, style: str, files: list[Path]) -> dict[str, np.ndarray]:
    elements = sorted(set(atoms.symbols))
    prism = Prism(atoms.cell.array, pbc=atoms.pbc)
    xx, yy, zz, xy, xz, yz = prism.get_lammps_prism()
    lines = ["", "", f"{len(atoms)} atoms", f"{len(elements)} atom types", f"0 {xx:.17g} xlo xhi"]
    lines += [
        f"0 {yy:.17g} ylo yhi",
        f"0 {zz:.17g} zlo zhi",
        f"{xy:.17g} {xz:.17g} {yz:.17g} xy xz yz",
        "",
        "Masses",
        "",
    ]
    lines += [f"{k + 1} {atomic_masses[atomic_numbers[e]]}" for k, e in enumerate(elements)]
    lines += ["", "Atoms # atomic", ""]
    positions = prism.vector_to_lammps(atoms.positions)
    for k, (symbol, p) in enumerate(zip(atoms.symbols, positions, strict=True)):
        lines.append(f"{k + 1} {elements.index(symbol) + 1} {p[0]:.17g} {p[1]:.17g} {p[2]:.17g}")
    (folder / "data").write_text("\n".join(lines) + "\n")
    with_gamma = style == "pace/extrapolation"
    commands = ["units metal", "atom_modify sort 0 0", "box tilt large", "read_data data", f"pair_style {style}"]
    commands += [f"pair_coeff * * {' '.join(map(str, files))} {' '.join(elements)}"]
    commands += ["fix gam all pair 1 pace/extrapolation gamma 1"] * with_gamma
    commands += ["compute ea all pe/atom", f"dump d all custom 1 dump id c_ea fx fy fz {'f_gam' * with_gamma}"]
    commands += ["dump_modify d sort id format float %.17g", "run 0"]
    (folder / "in").write_text("\n".join(commands) + "\n")
    done = subprocess.run([program, "-in", "in"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    table = np.loadtxt(folder / "dump", skiprows=9, ndmin=2)
    return {"energies": table[:, 1], "forces": prism.vector_to_ase(table[:, 2:5]), "gamma": table[:, 5:].ravel()}


@pytest.mark.skipif(LAMMPS is None, reason="no lmp with ML-PACE on PATH or in $MLIP_LAMMPS")
@pytest.mark.parametrize("name", NAMES)
def test_lammps_reads_our_files_and_agrees(name: str, tmp_path: Path) -> None:
    assert LAMMPS is not None
    potential = read_yaml(DATA / f"{name}.yaml")
    write_yace(tmp_path / "p.yace", potential)
    atoms = _frames(name)[0]
    calc = ACECalculator(potential, read_asi(DATA / f"{name}.asi"))
    for style, files in [
        ("pace/extrapolation", [DATA / f"{name}.yaml", DATA / f"{name}.asi"]),
        ("pace", [tmp_path / "p.yace"]),
    ]:
        found = _run(LAMMPS, tmp_path, atoms, style, files)
        np.testing.assert_allclose(found["energies"], calc.get_property("energies", atoms), atol=1e-10)
        np.testing.assert_allclose(found["forces"], calc.get_property("forces", atoms), atol=1e-9)
        if len(found["gamma"]):
            np.testing.assert_allclose(found["gamma"], calc.gamma(atoms), rtol=1e-8)
    contracted = read_potential(tmp_path / "p.yace")
    energies = ACECalculator(contracted).get_property("energies", atoms)
    np.testing.assert_allclose(energies, calc.get_property("energies", atoms), atol=1e-10)
