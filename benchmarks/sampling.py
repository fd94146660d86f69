"""Choosing among very many frames: time, memory and what the choice covers.

    OMP_NUM_THREADS=1 python benchmarks/sampling.py [--rows 250000 500000 1000000] [--choose 1000] [--maml-rows 50000]

Features lie in float32 files of 250 000 rows, as `store.describe` leaves them: made here, of groups of unequal sizes,
drifting as trajectories do. Every sampler runs in a process of its own, imports and compilation of numba's functions
(cached after the first run ever) included. Columns: wall and CPU seconds and the largest resident memory of the whole
process; frames chosen; `groups`, how many of the groups hold a chosen frame; `mean gap` and `largest gap`, distances of
20 000 frames of the pool to the nearest chosen one, in standardised principal components. The line `per million` is the
slope between the smallest and the largest pool, by which ten millions are planned.

maml's DIRECT, where it is installed (a folder that holds it can be named in PYTHONPATH), gets the same rows as one
array with K clusters and its own defaults, under `--maml-memory-gb`; what that does to it is said.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS, GROUPS, LATENT = 128, 2000, 24
FILE_ROWS = 250_000
PROBES = 20_000
SEED = 1


def make_pool(folder: Path, rows: int) -> list[Path]:
    """Files of features and of the group of each row: groups of sizes like 1/rank in a space of fewer dimensions."""
    random = np.random.default_rng(SEED)
    spread = np.linspace(1.0, 0.2, LATENT)
    centres = random.normal(size=(GROUPS, LATENT)) * spread
    mixing = random.normal(size=(LATENT, COLUMNS)).astype(np.float32)
    shares = 1.0 / np.arange(1, GROUPS + 1)
    paths = []
    for number, start in enumerate(range(0, rows, FILE_ROWS)):
        count = min(FILE_ROWS, rows - start)
        part = np.random.default_rng([SEED, number])
        groups = np.repeat(part.choice(GROUPS, size=-(-count // 100), p=shares / shares.sum()), 100)[:count]
        drift = np.cumsum(part.normal(scale=0.02, size=(count, LATENT)), axis=0)
        drift -= np.repeat(drift[::100], 100, axis=0)[:count]  # of one hundred frames each
        latent = centres[groups] + (drift + part.normal(scale=0.1, size=(count, LATENT))) * spread
        table = latent.astype(np.float32) @ mixing
        table += part.normal(scale=0.05, size=table.shape).astype(np.float32)
        paths.append(folder / f"features-{number}.npy")
        np.save(paths[-1], table)
        np.save(folder / f"groups-{number}.npy", groups.astype(np.int32))
    return paths


def chosen_by_ours(name: str, paths: list[Path], number: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Indices chosen by one of our samplers."""
    from mlip_autopipec.sampling.pool import Several
    from mlip_autopipec.sampling.samplers import sampler
    from mlip_autopipec.sampling.store import Table

    features = Several([Table(path) for path in paths])
    strata = np.arange(features.shape[0]) // 1000
    choice = sampler(name)(features, number, strata=strata, seed=SEED)
    return choice.indices, choice.record


def chosen_by_maml(paths: list[Path], number: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Indices chosen by maml's DIRECT with its defaults and a number of clusters."""
    from maml.sampling.direct import BirchClustering, DIRECTSampler, SelectKFromClusters

    features = np.concatenate([np.load(path) for path in paths])
    direct = DIRECTSampler(
        structure_encoder=None,
        clustering=BirchClustering(n=number),
        select_k_from_clusters=SelectKFromClusters(k=1),
    )
    return np.array(direct.fit_transform(features)["selected_indexes"]), {}


def child(name: str, folder: Path, number: int, weighting: str) -> None:
    """One sampler in this process; its result goes to a file, its cost is measured by who waits for it."""
    if weighting:
        from mlip_autopipec.sampling import components

        components.WEIGHTING = weighting
    paths = sorted(folder.glob("features-*.npy"), key=lambda path: int(path.stem.split("-")[1]))
    indices, record = chosen_by_maml(paths, number) if name == "maml" else chosen_by_ours(name, paths, number)
    np.save(folder / f"chosen-{name}.npy", indices)
    (folder / f"record-{name}.json").write_text(json.dumps(record))


def measure(
    name: str, folder: Path, number: int, memory_gb: float, seconds: float, weighting: str = ""
) -> dict[str, Any]:
    """Cost of one sampler, run in a process of its own, or how that process ended."""

    def limit() -> None:
        if memory_gb:
            resource.setrlimit(resource.RLIMIT_AS, (int(memory_gb * 2**30),) * 2)

    command = [sys.executable, __file__, "--child", name, "--folder", str(folder), "--choose", str(number)]
    command += ["--weighting", weighting]
    started = time.perf_counter()
    process = subprocess.Popen(command, preexec_fn=limit, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"ended": f"stopped after {seconds:.0f} s"}
    wall = time.perf_counter() - started
    if process.returncode:
        return {"ended": (errors.strip().splitlines() or [f"exit {process.returncode}"])[-1][:70], "wall_s": wall}
    return {"wall_s": wall}


def costed(
    name: str, folder: Path, number: int, memory_gb: float = 0.0, seconds: float = 1800.0, weighting: str = ""
) -> dict[str, Any]:
    """`measure` in a process of its own, so that the largest memory of all children is that of one sampler."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        found = measure(name, folder, number, memory_gb, seconds, weighting)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        found |= {"cpu_s": used.ru_utime + used.ru_stime, "rss_gb": used.ru_maxrss / 2**20}
        os.write(write, json.dumps(found).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    found: dict[str, Any] = json.loads(text)
    return found


def covered(name: str, folder: Path, rows: int) -> dict[str, Any]:
    """What a choice covers."""
    from scipy.spatial import cKDTree

    from mlip_autopipec.sampling.components import fit
    from mlip_autopipec.sampling.pool import Several, rows_of
    from mlip_autopipec.sampling.samplers import ArrayFeatures
    from mlip_autopipec.sampling.store import Table

    count = -(-rows // FILE_ROWS)
    features = Several([Table(folder / f"features-{k}.npy") for k in range(count)])
    groups = np.concatenate([np.load(folder / f"groups-{k}.npy") for k in range(count)])
    probes = rows_of(features, np.linspace(0, rows - 1, min(PROBES, rows)).astype(np.int64))
    chosen = np.load(folder / f"chosen-{name}.npy")
    axes = fit(ArrayFeatures(probes))

    def place(vectors: np.ndarray) -> np.ndarray:
        return ((vectors - axes.mean) / axes.scale) @ axes.vectors

    gaps = cKDTree(place(rows_of(features, chosen))).query(place(probes))[0]
    return {
        "chosen": len(chosen),
        "groups": len(np.unique(groups[chosen])),
        "groups_of": len(np.unique(groups)),
        "mean_gap": float(gaps.mean()),
        "largest_gap": float(gaps.max()),
    }


def line(rows: int, name: str, found: dict[str, Any]) -> str:
    """One row of the table."""
    if "ended" in found:
        return f"{rows:>9} {name:<18} {found.get('wall_s', 0):7.1f}  {found['ended']}"
    cost = f"{found['wall_s']:7.1f} {found['cpu_s']:7.1f} {found['rss_gb']:7.2f}"
    groups = f"{found['groups']:>5}/{found['groups_of']:<5}"
    gaps = f"{found['mean_gap']:8.2f} {found['largest_gap']:11.2f}"
    return f"{rows:>9} {name:<18} {cost} {found['chosen']:>7} {groups} {gaps}"


def slope(results: list[dict[str, Any]], name: str) -> str:
    """CPU seconds and memory per million rows between the smallest and the largest pool, and ten millions by them."""
    own = [r for r in results if r["name"] == name and "ended" not in r]
    if len(own) < 2 or own[0]["rows"] == own[-1]["rows"]:
        return ""
    first, last = own[0], own[-1]
    span = (last["rows"] - first["rows"]) / 1e6
    cpu, memory = (last["cpu_s"] - first["cpu_s"]) / span, (last["rss_gb"] - first["rss_gb"]) / span
    more = 10.0 - last["rows"] / 1e6
    return (
        f"{'':9} {name:<18} per million: {cpu:.1f} CPU s, {memory:.2f} GB; ten millions: "
        f"{last['cpu_s'] + cpu * more:.0f} CPU s, {last['rss_gb'] + memory * more:.1f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--choose", type=int, default=1000)
    parser.add_argument("--samplers", nargs="+", default=["direct", "farthest-point", "stratified-random", "random"])
    parser.add_argument("--maml-rows", type=int, nargs="*", default=[50_000, 200_000])
    parser.add_argument("--maml-memory-gb", type=float, default=8.0)
    parser.add_argument("--maml-seconds", type=float, default=600.0)
    parser.add_argument("--weighting", default="", help="of components: share, plain or white; ours when not given")
    parser.add_argument("--folder", type=Path, help="keeps nothing; scratch with room for the features")
    parser.add_argument("--out", type=Path, help="results as JSON")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder, options.choose, options.weighting)
        return
    try:
        import maml.sampling.direct  # noqa: F401

        peers = [(rows, "maml") for rows in options.maml_rows]
    except ImportError as error:
        peers = []
        print(f"maml is not installed here ({error}): no peer")
    results: list[dict[str, Any]] = []
    print(
        f"{'rows':>9} {'sampler':<18} {'wall s':>7} {'CPU s':>7} {'RSS GB':>7} {'chosen':>7} {'groups':>11} "
        f"{'mean gap':>8} {'largest gap':>11}"
    )
    ours = [(rows, name) for rows in sorted(options.rows) for name in options.samplers]
    beside = [(rows, "direct") for rows in options.maml_rows] if peers else []
    for rows, name in sorted(ours + peers + beside, key=lambda pair: pair[0]):
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            folder = Path(temporary)
            make_pool(folder, rows)
            is_maml = name == "maml"
            found = costed(
                name,
                folder,
                options.choose,
                options.maml_memory_gb if is_maml else 0.0,
                options.maml_seconds if is_maml else 1800.0,
                options.weighting,
            )
            if "ended" not in found:
                found |= covered(name, folder, rows)
            results.append({"rows": rows, "name": name, **found})
            print(line(rows, name, found), flush=True)
    for name in options.samplers:
        if text := slope(results, name):
            print(text)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
