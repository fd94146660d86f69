"""What choosing buys: how many labels each sampler needs for the same error of a linear ACE.

    OMP_NUM_THREADS=1 python benchmarks/choosing.py --cache FOLDER [CuAu MgO Si] [--methods NAME ...] [--table]

Per system a frozen pool with labels (`pools.py`; made at the first run). A selection seed leaves a fifth of the pool's
sources out (walkers, and starting structures one by one), the same ones for every sampler, and feeds the sampler. A
training seed splits the chosen frames 4:1 at random; the smaller part chooses the prior's power, the evidence the
ridge, and all chosen frames are fitted again. Tests: force errors of frames of other walkers ("walks") and of other
starting structures ("sources"). Every walker and every kind of structure counts alike: both are geometric means of
their root-mean-square errors, so that none decides by its size; "extremes" is the plain mean over the kinds, which the
kinds with the largest forces decide. No sampler sees a label.

Results go to FOLDER/choosing.jsonl line by line; what is there is not computed again. --table prints from it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from ase import Atoms
from dscribe.descriptors import SOAP
from pools import ENERGY_WEIGHT, SYSTEMS, Labelled, System, basis_of, configuration, make, rows_of

from mlip_autopipec.ace import Factor
from mlip_autopipec.features import structure_vector
from mlip_autopipec.sampling import components
from mlip_autopipec.sampling.samplers import ArrayFeatures, sampler
from mlip_autopipec.seeds import generator

LABELS = (10, 20, 40, 80, 160, 320)
SELECTION_SEEDS, TRAINING_SEEDS = 10, 3
LEFT_OUT = 0.2
PRIOR_POWERS = (2.0, 4.0, 6.0)
NESTED = ("random", "farthest-point", "d-optimal")  # the most wanted first: one choice gives all smaller ones
# sampler, descriptor, and the weighting of the principal components ('share' is DIRECT's as published)
METHODS = (
    "random", "stratified-random", "d-optimal", "direct soap share", "direct soap plain", "direct soap white",
    "farthest-point soap share", "farthest-point soap plain", "direct surrogate share", "direct surrogate plain",
    "farthest-point surrogate plain",
)  # fmt: skip
TESTS = ("walks", "sources", "extremes")
VANISHING = 1e-5  # eV/A
BASELINES = ("random", "stratified-random")
NEAR_FULL = 1.25
BOOTSTRAPS = 1000
SHOWN = (20, 80, 320)  # errors printed, meV/A

Array = np.ndarray


def walker_of(frame: Atoms) -> str:
    """The walker that a frame comes from; '' for a starting structure."""
    name, walked, _ = str(frame.info["origin"]).rpartition(" step ")
    return name if walked and name.startswith("walker") else ""


@dataclass
class Bench:
    """One system, its data described and expanded in the basis; one in `thin` of its starting structures is offered."""

    system: System
    cache: Path
    thin: int = 1

    @cached_property
    def data(self) -> dict[str, Labelled]:
        return make(self.system, self.cache)

    @cached_property
    def pool(self) -> Labelled:
        return self.data["pool"]

    @cached_property
    def rows(self) -> list[tuple[Array, Array]]:
        return self._rows("pool")

    def _rows(self, name: str) -> list[tuple[Array, Array]]:
        path = self.cache / f"rows-{self.system.name}-{self.basis.number_of_functions}-{name}.npz"
        if not path.is_file():
            found = rows_of(self.basis, self.data[name])
            ends = np.cumsum([len(y) for _, y in found])
            np.savez(path, a=np.concatenate([a for a, _ in found]), y=np.concatenate([y for _, y in found]), ends=ends)
        with np.load(path) as kept:
            parts = kept["ends"][:-1]
            return list(zip(np.split(kept["a"], parts), np.split(kept["y"], parts), strict=True))

    @cached_property
    def tests(self) -> dict[str, list[tuple[str, Array, Array, int]]]:
        """Walker or kind of structure, rows, targets and atoms of every test frame."""
        return {
            name: [
                (walker_of(atoms) or str(atoms.info["config_type"]), a, y, len(atoms))
                for atoms, (a, y) in zip(self.data[name].frames, self._rows(name), strict=True)
            ]
            for name in ("walks", "sources")
        }

    @cached_property
    def basis(self) -> Any:
        return basis_of(self.system)

    @cached_property
    def groups(self) -> list[str]:
        """The walker of a frame, or the frame itself."""
        return [walker_of(frame) or frame.info["uid"] for frame in self.pool.frames]

    @cached_property
    def strata(self) -> Array:
        """The walker of a frame, or the kind of a starting structure."""
        names = [walker_of(frame) or str(frame.info["config_type"]) for frame in self.pool.frames]
        return np.unique(names, return_inverse=True)[1]

    @cached_property
    def soap(self) -> Array:
        """Vectors of SOAP with the settings that the workflow has for this composition."""
        path = self.cache / f"soap-{self.system.name}.npy"
        if not path.is_file():
            settings = configuration(self.system).sampling
            soap = SOAP(
                species=sorted(self.basis.elements),
                periodic=True,
                r_cut=settings.soap_cutoff_angstrom,
                n_max=settings.soap_n_max,
                l_max=settings.soap_l_max,
                sigma=settings.soap_sigma_angstrom,
            )
            np.save(path, [structure_vector(soap.create(f), f.numbers) for f in self.pool.frames])
        vectors: Array = np.load(path)
        return vectors

    def features(self, name: str) -> Array:
        return {"": np.zeros((len(self.pool.frames), 1)), "soap": self.soap, "surrogate": self.pool.invariants}[name]


def kept(bench: Bench, seed: int) -> Array:
    """Frames of the pool that a selection seed offers: all but a fifth of its sources; of starting structures fewer."""
    names = sorted(set(bench.groups))
    drawn = generator(seed, "choosing", bench.system.name).random(len(names))
    least = {True: LEFT_OUT, False: 1 - (1 - LEFT_OUT) / bench.thin}
    offered = {name for name, lot in zip(names, drawn, strict=True) if lot >= least[name.startswith("walker")]}
    return np.array([k for k, group in enumerate(bench.groups) if group in offered])


def choices(bench: Bench, method: str, seed: int) -> dict[int, Array]:
    """Frames of the pool that a method chooses, by number of labels."""
    name, described, weighting = [*method.split(), "", ""][:3]
    offered = kept(bench, seed)
    features = bench.features(described)[offered]

    def choose(number: int) -> Array:
        with patch.object(components, "WEIGHTING", weighting or components.WEIGHTING):
            choice = sampler(name)(
                ArrayFeatures(features),
                number,
                strata=bench.strata[offered],
                seed=seed,
                frames=lambda indices: [bench.pool.frames[offered[k]] for k in indices],
            )
        return offered[choice.indices]

    if name in NESTED:
        most = choose(max(LABELS))
        return {number: most[:number] for number in LABELS}
    return {number: choose(number) for number in LABELS}


def trained(rows: Sequence[tuple[Array, Array]], columns: int, smoothness: Array, seed: int) -> Array:
    """Coefficients of a fit to some frames."""
    order = generator(seed, "training").permutation(len(rows))
    cut = max(1, len(rows) // 5)
    held, used = Factor(columns), Factor(columns)
    for place, k in enumerate(order):
        (held if place < cut else used).append(*rows[k])
    best = min(PRIOR_POWERS, key=lambda p: held.misfit(used.solve(smoothness ** (p / 4)).coefficients))
    used.merge(held)
    return used.solve(smoothness ** (best / 4)).coefficients


def errors(bench: Bench, coefficients: Array) -> dict[str, float]:
    """Root-mean-square errors of every walker and kind, and their means: forces in eV/A, energies in eV/atom."""
    found: dict[str, float] = {}
    for test, frames in bench.tests.items():
        squares: dict[str, list[tuple[float, float, int]]] = {}
        for kind, a, y, atoms in frames:
            gaps = a @ coefficients - y
            force, energy = gaps[1 : 1 + 3 * atoms], gaps[0] / (ENERGY_WEIGHT * np.sqrt(atoms))
            squares.setdefault(kind, []).append((force @ force, energy**2, force.size))
        for kind, values in squares.items():
            force, energy, size = np.array(values).T
            found[f"{test} force {kind}"] = float(np.sqrt(force.sum() / size.sum()))
            found[f"{test} energy {kind}"] = float(np.sqrt(energy.mean()))
    return found


def mean_error(one: dict[str, float], test: str) -> float:
    """The error of a test, see above; kinds whose forces vanish by symmetry have none."""
    source = "walks" if test == "walks" else "sources"
    values = [value for name, value in one.items() if name.startswith(f"{source} force ") and value > VANISHING]
    return float(np.mean(values) if test == "extremes" else np.exp(np.log(values).mean()))


def measure(bench: Bench, methods: Iterable[str], path: Path) -> None:
    """Append what is not in the results yet."""
    lines = path.read_text().splitlines() if path.is_file() else []
    done = {(r["system"], r["method"], r["seed"]) for r in map(json.loads, lines)}
    size, smooth, name = bench.basis.number_of_functions, bench.basis.smoothness, bench.system.name
    name += f" 1/{bench.thin}" if bench.thin > 1 else ""

    def write(method: str, seed: int, chosen: dict[int, Array]) -> None:
        curves = {
            str(number): [
                errors(bench, trained([bench.rows[k] for k in indices], size, smooth, training))
                for training in range(TRAINING_SEEDS)
            ]
            for number, indices in chosen.items()
        }
        kinds = {str(n): Counter(str(bench.pool.frames[k].info["config_type"]) for k in i) for n, i in chosen.items()}
        record = {"system": name, "method": method, "seed": seed, "errors": curves, "kinds": kinds}
        with path.open("a") as file:
            file.write(json.dumps(record, default=int) + "\n")

    if (name, "all", 0) not in done:
        write("all", 0, {len(bench.rows): np.arange(len(bench.rows))})
    for method in methods:
        if "surrogate" in method and not bench.pool.invariants.size:
            continue
        for seed in range(SELECTION_SEEDS):
            if (name, method, seed) in done:
                continue
            start = time.process_time()
            chosen = choices(bench, method, seed)
            middle = time.process_time()
            write(method, seed, chosen)
            spent = f"choosing {middle - start:.1f} s, fits {time.process_time() - middle:.1f} s"
            print(f"{name} {method} seed {seed}: {spent}", flush=True)


def crossing(curve: Array, target: float) -> float:
    """Labels at which a curve (labels,) first reaches the target, by log-log interpolation; inf if it never does."""
    below = np.flatnonzero(curve <= target * (1 + 1e-9))
    if not len(below):
        return float("inf")
    k = int(below[0])
    if k == 0:
        return float(LABELS[0])
    (x0, x1), (y0, y1) = np.log(LABELS[k - 1 : k + 1]), np.log(curve[k - 1 : k + 1])
    return float(np.exp(x0 + (x1 - x0) * (np.log(target) - y0) / (y1 - y0)))


def curves(records: Sequence[dict[str, Any]], test: str) -> Array:
    """(selection seeds, labels): errors, mean over training seeds."""
    return np.array(
        [
            [np.mean([mean_error(one, test) for one in r["errors"][str(n)]]) for n in LABELS]
            for r in sorted(records, key=lambda r: r["seed"])
        ]
    )


def table(path: Path) -> str:
    """Markdown: errors, labels needed, ratios to the baselines with 90 % bootstrap intervals over selection seeds."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    errors_at = " | ".join(f"{n} labels" for n in SHOWN)
    lines = [
        f"| system | test | sampler | {errors_at} | labels to random's last | x random | x stratified "
        f"| labels to {NEAR_FULL} x full pool |",
        "|---" * (7 + len(SHOWN)) + "|",
    ]
    for system in dict.fromkeys(r["system"] for r in records):
        of: dict[str, list[dict[str, Any]]] = {}
        for record in records:
            if record["system"] == system:
                of.setdefault(record["method"], []).append(record)
        whole = next(iter(of.pop("all")[0]["errors"].values()))
        for test in TESTS:
            by = {m: curves(found, test) for m, found in of.items()}
            by = {m: by[m] for m in METHODS if m in by and len(by[m]) == len(by.get("random", []))}  # complete ones
            if set(BASELINES) <= set(by):
                full = float(np.mean([mean_error(one, test) for one in whole]))
                lines += _lines(f"| {system} | {test}", full, by)
    return "\n".join(lines)


def _lines(name: str, full: float, by: dict[str, Array]) -> list[str]:
    def needed(draw: Array, target: float | None = None) -> dict[str, float]:
        aim = float(by["random"][draw, -1].mean()) if target is None else target
        return {m: crossing(c[draw].mean(axis=0), aim) for m, c in by.items()}

    random, seeds = np.random.default_rng(0), len(by["random"])
    best, near = needed(np.arange(seeds)), needed(np.arange(seeds), NEAR_FULL * full)
    draws = [needed(random.integers(seeds, size=seeds)) for _ in range(BOOTSTRAPS)]

    def labels(found: float) -> str:
        return f"{found:.0f}" if np.isfinite(found) else f"> {LABELS[-1]}"

    lines = [f"{name} | all of the pool | | | {1000 * full:.1f} | | | | |"]
    for method, curve in by.items():
        at = [f"{1000 * curve[:, LABELS.index(n)].mean():.1f}" for n in SHOWN]
        ratios = [_ratio(best, draws, baseline, method) for baseline in BASELINES]
        lines.append(" | ".join([name, method, *at, labels(best[method]), *ratios, labels(near[method])]) + " |")
    return lines


def _ratio(best: dict[str, float], draws: list[dict[str, float]], baseline: str, method: str) -> str:
    if method == baseline:
        return "1"
    if not np.isfinite(best[baseline]) and not np.isfinite(best[method]):
        return "neither"
    most = float(LABELS[-1])

    def ratio(one: dict[str, float]) -> float:
        return min(one[baseline], most) / min(one[method], most)

    low, high = np.quantile([ratio(one) for one in draws], [0.05, 0.95])
    sign = ("> " if not np.isfinite(best[baseline]) else "") + ("< " if not np.isfinite(best[method]) else "")
    return f"{sign}{ratio(best):.1f} ({low:.1f} to {high:.1f})"


def main() -> None:
    """Measure what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", default=list(SYSTEMS))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--thin", type=int, default=1, help="offer one in so many starting structures: long walks")
    parser.add_argument("--table", action="store_true", help="only print what was measured")
    asked = parser.parse_args()
    path = asked.cache / "choosing.jsonl"
    if not asked.table:
        for name in asked.systems:
            bench = Bench(SYSTEMS[name], asked.cache, asked.thin)
            tests = ", ".join(f"{len(frames)} {test}" for test, frames in bench.tests.items())
            print(f"{name}: {len(bench.pool.frames)} frames in the pool, tests: {tests}", flush=True)
            measure(bench, asked.methods, path)
    print(table(path))


if __name__ == "__main__":
    main()
