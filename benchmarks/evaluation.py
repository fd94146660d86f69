"""Evaluation speed of our ACE beside the C++ codes and ace-jax: one run, one table, CPU time, one thread, medians.

Potentials (random coefficients) and structures are made here from a fixed seed. Peers are used where they are named:
MLIP_LAMMPS (an lmp with ML-PACE), MLIP_PYACE_PYTHON (a python that has python-ace), MLIP_ACE_JAX_PYTHON (a python that
has ace-jax and ase). Each is given the same .yace file and the same structure, and its energy is compared with ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.lammps import Prism
from ase.io import write

from mlip_autopipec.ace import (
    ACECalculator,
    ACEPotential,
    BasisSpec,
    Embedding,
    build_basis,
    evaluate,
    write_yace,
    write_yaml,
)
from mlip_autopipec.ace.evaluate import neighbours_of

SEED = 1
SKIN_ANGSTROM = 0.5
SQUARE_ROOT = ("FinnisSinclairShiftedScaled", (1.0, 1.0, 1.0, 0.5))


class Case(NamedTuple):
    """One class of potential."""

    elements: tuple[str, ...]
    cutoff: float
    degrees: tuple[int, ...]
    densities: int
    structure: Callable[[], Atoms]


def crystal(symbol: str, cells: int) -> Atoms:
    """Supercell of the ground state."""
    return bulk(symbol, cubic=True) * (cells, cells, cells)


def mixed(atoms: Atoms, symbols: list[str]) -> Atoms:
    """The sites with random elements."""
    atoms.symbols[:] = np.random.default_rng(SEED).choice(symbols, len(atoms))
    return atoms


def organic() -> Atoms:
    """1000 atoms C, H, O with 10.8 cubic Angstrom each, as in liquid ethanol."""
    return mixed(bulk("C", "sc", a=10.8 ** (1 / 3)) * (10, 10, 10), ["C", "C", *["H"] * 6, "O"])


CASES = {
    "Cu 84 f, rc 7": Case(("Cu",), 7.0, (16, 10, 8, 6), 1, lambda: crystal("Cu", 6)),
    "Cu 84 f, rc 7, 2 densities": Case(("Cu",), 7.0, (16, 10, 8, 6), 2, lambda: crystal("Cu", 6)),
    "Si 299 f, rc 5.5": Case(("Si",), 5.5, (20, 16, 12), 1, lambda: crystal("Si", 5)),
    "Si 669 f, rc 5.5": Case(("Si",), 5.5, (24, 20, 15), 1, lambda: crystal("Si", 5)),
    "Si 669 f, rc 5.5, 2 densities": Case(("Si",), 5.5, (24, 20, 15), 2, lambda: crystal("Si", 5)),
    "4 elements, 4 x 316 f, rc 6": Case(
        ("Ag", "Au", "Cu", "Pd"), 6.0, (6, 6, 5), 1, lambda: mixed(crystal("Cu", 6), ["Ag", "Au", "Cu", "Pd"])
    ),
    "C H O, 3 x 377 f, rc 4": Case(("C", "H", "O"), 4.0, (18, 8, 6), 1, organic),
}


def make(case: Case) -> tuple[ACEPotential, Atoms]:
    """Potential and rattled structure of a case."""
    basis = build_basis(BasisSpec(case.elements, case.cutoff, case.degrees))
    shape = (basis.number_of_functions, case.densities)
    coefficients = 0.3 * np.random.default_rng(SEED).normal(size=shape) / basis.smoothness[:, None] ** 0.5
    embedding = Embedding(*SQUARE_ROOT) if case.densities == 2 else Embedding()
    potential = ACEPotential(basis, coefficients, {}, (embedding,) * len(case.elements))
    atoms = case.structure()
    atoms.rattle(0.08, seed=SEED)
    atoms.wrap()
    return potential, atoms


def cpu(work: Callable[[], object], rounds: int) -> float:
    """Median CPU seconds of `work`, after one call that is not counted."""
    work()
    found = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return float(np.median(found))


def lammps(program: str, folder: Path, atoms: Atoms, elements: tuple[str, ...], style: str) -> tuple[float, float]:
    """CPU microseconds per atom and step, and energy in eV: difference of runs of 0 and of many steps at rest."""
    prism = Prism(atoms.cell.array, pbc=atoms.pbc)
    xx, yy, zz, xy, xz, yz = prism.get_lammps_prism()
    lines = ["", "", f"{len(atoms)} atoms", f"{len(elements)} atom types"]
    lines += [f"0 {high:.17g} {axis}lo {axis}hi" for axis, high in (("x", xx), ("y", yy), ("z", zz))]
    lines += [f"{xy:.17g} {xz:.17g} {yz:.17g} xy xz yz", "", "Masses", ""]
    lines += [f"{k + 1} 10.0" for k in range(len(elements))] + ["", "Atoms # atomic", ""]
    for k, (symbol, p) in enumerate(
        zip(atoms.symbols, prism.vector_to_lammps(atoms.positions, wrap=True), strict=True)
    ):
        lines.append(f"{k + 1} {elements.index(symbol) + 1} {p[0]:.17g} {p[1]:.17g} {p[2]:.17g}")
    (folder / "data").write_text("\n".join(lines) + "\n")
    used, energy = {}, 0.0
    steps = max(5, 20000 // len(atoms))
    for count in (0, steps):
        commands = ["units metal", "box tilt large", "read_data data", f"pair_style {style}"]
        commands += [f"pair_coeff * * p.yace {' '.join(elements)}", f"neighbor {SKIN_ANGSTROM} bin"]
        commands += ["thermo_modify format float %.15g", f"run {count}", "variable e equal pe", 'print "energy ${e}"']
        (folder / "in").write_text("\n".join(commands) + "\n")
        before = getrusage(RUSAGE_CHILDREN).ru_utime
        done = subprocess.run([program, "-in", "in"], cwd=folder, capture_output=True, text=True, check=True)
        used[count] = getrusage(RUSAGE_CHILDREN).ru_utime - before
        energy = float(done.stdout.split("energy ")[-1].split()[0])
    return (used[steps] - used[0]) / steps / len(atoms) * 1e6, energy


PEER = """
import json, sys, time
import numpy as np
from ase.io import read
program, rounds = sys.argv[1], int(sys.argv[2])
atoms = read("s.extxyz")
if program == "pyace":
    from pyace import PyACECalculator
    calc = PyACECalculator("p.yace")
else:
    import jax
    jax.config.update("jax_enable_x64", True)
    from ace_jax.calc.point import ACECalculator
    calc = ACECalculator("p.yace", skin=SKIN)
atoms.calc = calc
energy = float(atoms.get_potential_energy()); atoms.get_forces()
times, random = [], np.random.default_rng(0)
for _ in range(rounds):
    atoms.positions += 1e-4 * random.normal(size=atoms.positions.shape)
    start = time.process_time()
    if program == "pyace":
        calc.ace.compute(calc.ae)
    else:
        atoms.get_forces()
    times.append(time.process_time() - start)
print("RESULT" + json.dumps([float(np.median(times)) / len(atoms) * 1e6, energy]))
""".replace("SKIN", str(SKIN_ANGSTROM))


def peer(python: str, program: str, folder: Path, rounds: int) -> tuple[float, float]:
    """CPU microseconds per atom and energy of python-ace (its evaluator alone) or ace-jax (its ASE calculator)."""
    environment = os.environ | {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
    environment |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": ""}
    done = subprocess.run(
        [python, "-c", PEER, program, str(rounds)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if "RESULT" not in done.stdout:
        raise RuntimeError((done.stderr or done.stdout).strip().split("\n")[-1][:100])
    time_us, energy = json.loads(done.stdout.split("RESULT")[1])
    return time_us, energy


def compare(rounds: int, chosen: str) -> None:
    """The table of all cases and evaluators."""
    print("CPU us/atom, energy and forces, one thread; (x) = times ours; ! = another energy than ours\n")
    columns = ["ours", "ours+MD", "lammps rec", "lammps prod", "pyace", "ace-jax"]
    print(f"{'potential':32s} {'atoms':>6s} {'nbrs':>5s} " + " ".join(f"{c:>15s}" for c in columns), flush=True)
    for name, case in CASES.items():
        if chosen not in name:
            continue
        potential, atoms = make(case)
        near = neighbours_of(potential, atoms)
        energy = evaluate(potential, atoms, near).energy
        per_atom = 1e6 / len(atoms)
        alone = cpu(lambda p=potential, a=atoms, n=near: evaluate(p, a, n, 1), rounds) * per_atom
        calc = ACECalculator(potential, skin_angstrom=SKIN_ANGSTROM, threads=1)
        moving = atoms.copy()
        moving.calc = calc
        random = np.random.default_rng(SEED)

        def step(moving: Atoms = moving, random: np.random.Generator = random) -> None:
            moving.positions += 1e-4 * random.normal(size=moving.positions.shape)
            moving.get_forces()

        cells = [f"{alone:15.1f}", f"{cpu(step, rounds) * per_atom:15.1f}"]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_yace(folder / "p.yace", potential)
            write(folder / "s.extxyz", atoms)
            for program, run in (
                ("MLIP_LAMMPS", lambda x, f=folder, a=atoms, e=case.elements: lammps(x, f, a, e, "pace")),
                ("MLIP_LAMMPS", lambda x, f=folder, a=atoms, e=case.elements: lammps(x, f, a, e, "pace product")),
                ("MLIP_PYACE_PYTHON", lambda x, f=folder: peer(x, "pyace", f, rounds)),
                ("MLIP_ACE_JAX_PYTHON", lambda x, f=folder: peer(x, "ace-jax", f, rounds)),
            ):
                cells.append(_cell(os.environ.get(program), run, alone, energy))
        nbrs = len(near.atom) / len(atoms)
        print(f"{_sized(name, potential):32s} {len(atoms):6d} {nbrs:5.0f} " + " ".join(cells), flush=True)


def _sized(name: str, potential: ACEPotential) -> str:
    counts = max(potential.basis.counts)
    assert f"{counts} f" in name, f"{name}: the basis has {counts} functions"
    return name


def _cell(program: str | None, run: Callable[[str], tuple[float, float]], ours: float, energy: float) -> str:
    if not program:
        return f"{'-':>15s}"
    try:
        found, its = run(program)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"  ({error})", file=sys.stderr)
        return f"{'failed':>15s}"
    wrong = "" if abs(its - energy) < 1e-8 * max(1.0, abs(energy)) else "!"
    return f"{f'{found:.1f} ({found / ours:.1f}x){wrong}':>15s}"


def threads(rounds: int) -> None:
    """Wall time on 1 and 2 threads; needs two idle cores to mean anything, the CPU ratio does not."""
    print("\nTwo threads: best wall us/atom, speed-up, CPU of 2 threads / 1 thread, share that only one thread can do")
    for name in ("Cu 84 f, rc 7", "Si 299 f, rc 5.5", "4 elements, 4 x 316 f, rc 6"):
        potential, atoms = make(CASES[name])
        atoms = atoms * (2, 2, 2 if len(atoms) < 1000 else 1)
        near = neighbours_of(potential, atoms)
        wall: dict[int, list[float]] = {1: [], 2: []}
        used: dict[int, list[float]] = {1: [], 2: []}
        serial = []
        for count in (1, 2) * (rounds + 1):
            begin, start, own = time.perf_counter(), time.process_time(), time.thread_time()
            evaluate(potential, atoms, near, count)
            wall[count].append(time.perf_counter() - begin)
            used[count].append(time.process_time() - start)
            if count == 2:
                serial.append((time.thread_time() - own) / used[2][-1])
        one, two = (min(wall[k][1:]) / len(atoms) * 1e6 for k in (1, 2))
        more = np.median(used[2][1:]) / np.median(used[1][1:])
        print(
            f"  {name:30s} {len(atoms):6d} atoms {one:6.1f} {two:6.1f} {one / two:5.2f}x  CPU {more:.2f}  "
            f"serial {np.median(serial):.1%}",
            flush=True,
        )


def large() -> None:
    """Time and memory of many atoms, each in a process of its own."""
    print("\nMany atoms (Cu 84 f, rc 7, calculator with skin): first call, next call us/atom; memory above the start")
    for count in (10_000, 30_000, 100_000):
        subprocess.run([sys.executable, __file__, "--large", str(count)], check=True)


def large_one(count: int) -> None:
    """One line of `large`."""
    potential, _ = make(CASES["Cu 84 f, rc 7"])
    cells = round((count / 4) ** (1 / 3))
    atoms = crystal("Cu", 1) * (cells, cells, round(count / 4 / cells**2))
    atoms.rattle(0.05, seed=SEED)
    evaluate(potential, atoms[:1])
    before = getrusage(RUSAGE_SELF).ru_maxrss
    atoms.calc = ACECalculator(potential, threads=1)
    spent = []
    for _ in range(2):
        atoms.positions[0] += 0.01
        start = time.process_time()
        atoms.get_forces()
        spent.append((time.process_time() - start) / len(atoms) * 1e6)
    more = getrusage(RUSAGE_SELF).ru_maxrss - before
    print(
        f"  {len(atoms):7d} {spent[0]:6.1f} {spent[1]:6.1f}  {more / 1024:6.0f} MB = {more / len(atoms):.2f} kB/atom",
        flush=True,
    )


def grades(rounds: int) -> None:
    """Cost of gamma at every tenth step."""
    print("\nGamma: us/atom of energy and forces, of gamma alone, and (10 steps + 1 gamma) / 10 steps")
    for name, case in CASES.items():
        potential, atoms = make(case)
        random = np.random.default_rng(SEED)
        counts = zip(potential.elements, potential.basis.counts, strict=True)
        calc = ACECalculator(potential, {e: random.normal(size=(n, n)) for e, n in counts}, threads=1)
        near = calc.neighbours(atoms)
        step = cpu(lambda p=potential, a=atoms, n=near: evaluate(p, a, n, 1), rounds) / len(atoms) * 1e6
        grade = cpu(lambda c=calc, a=atoms: c.gamma(a), rounds) / len(atoms) * 1e6
        print(f"  {name:30s} {step:6.1f} {grade:6.1f}  {1 + grade / step / 10:.2f}x", flush=True)


def second_process() -> None:
    """CPU time from nothing to the first forces, with the compiled kernels on disk."""
    potential, atoms = make(CASES["Si 299 f, rc 5.5"])
    code = (
        "import time; t = time.process_time()\nfrom mlip_autopipec.ace import ACECalculator, read_yaml\n"
        "i = time.process_time() - t\nfrom ase.io import read\na = read('s.extxyz')\np = read_yaml('p.yaml')\n"
        "t = time.process_time(); p.compiled; c = time.process_time() - t\n"
        "t = time.process_time(); a.calc = ACECalculator(p); a.get_forces(); f = time.process_time() - t\n"
        "print(f'import {i:.2f}, tables {c:.2f}, first forces {f:.2f}, all {time.process_time():.2f}')"
    )
    with tempfile.TemporaryDirectory() as folder:
        write_yaml(Path(folder) / "p.yaml", potential)
        write(Path(folder) / "s.extxyz", atoms)
        print("\nA second process (CPU seconds): ", end="", flush=True)
        subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


def main() -> None:
    """Command line; starts again with one thread in the linear algebra, which must be said before numpy is loaded."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    if not single.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | single)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="calls of which the median is taken")
    parser.add_argument("--only", default="", help="part of the name of the potentials to compare")
    parser.add_argument("--compare-only", action="store_true", help="the first table alone")
    parser.add_argument("--large", type=int, help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    if options.large:
        large_one(options.large)
        return
    compare(options.rounds, options.only)
    if not options.compare_only:
        threads(options.rounds)
        large()
        grades(options.rounds)
        second_process()


if __name__ == "__main__":
    main()
