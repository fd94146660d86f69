"""What the workflow adds to each label: 200 labels of one second, on this machine and on a real single-node Slurm.

    python benchmarks/labelling.py [--labels 200] [--seconds 1] [--slurm] [--project FOLDER] [--seconds-per-job 600]

Each label is a real pw.x run of two silicon atoms, of which a wrapper makes one that lasts as long as --seconds. The
overhead of a label is cores x wall time / labels, less those seconds: starting Snakemake, jobs and Python, reading,
writing, waiting. --project measures another checkout of this repository, an older one too. --slurm starts the cluster
of tests/slurm (root and Debian's packages).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml
from ase.build import bulk

from mlip_autopipec.frames import new_frame, write_frames

PROJECT = Path(__file__).parents[1]
CONFIG = {
    "composition": "Si",
    "run": "bench",
    "labelling": {"pseudopotentials": {"Si": "Si.pz-vbc.UPF"}, "ecutwfc_ry": 10, "kmesh": [1, 1, 1]},
}
WRAPPER = """#!/bin/bash
start=$(date +%s.%N)
echo "$PWD" >> {starts}
{pw} "$@"
code=$?
sleep "$(echo "d = {seconds} - ($(date +%s.%N) - $start); if (d > 0) d else 0" | bc)"
exit $code
"""


def prepare(folder: Path, labels: int, seconds: float, seconds_per_job: int | None) -> list[str]:
    """Frames of a first generation, a config and a pw.x that takes its time; the frames' names."""
    frames = []
    for seed in range(labels):
        atoms = bulk("Si")
        atoms.rattle(0.15, seed=seed)
        frames.append(new_frame(atoms, origin="benchmark", config_type="rattle"))
    write_frames(folder / "results/bench/frames/gen0.extxyz", frames)
    (folder / "results/bench/frames/gen0.json").write_text("{}\n")
    pw = folder / "pw.x"
    pw.write_text(WRAPPER.format(starts=folder / "starts", pw=shutil.which("pw.x"), seconds=seconds))
    pw.chmod(0o755)
    config = CONFIG | {"labelling": CONFIG["labelling"] | {"command": str(pw)}}  # type: ignore[operator]
    if seconds_per_job is not None:
        config["labelling"]["seconds_per_job"] = seconds_per_job
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return [frame.info["uid"] for frame in frames]


def targets(project: Path, folder: Path, names: list[str]) -> list[str]:
    """What to ask for: the records of the jobs, or in versions before them the labels."""
    if "{job}" not in (project / "workflow/rules/label.smk").read_text().replace("{{", "{").replace("}}", "}"):
        return [f"results/bench/labeled/gen0/{name}.json" for name in names]
    code = (
        "import sys, yaml\nfrom mlip_autopipec.config import expand\nfrom mlip_autopipec.labelling import jobs\n"
        "from mlip_autopipec.labelling.cells import read_cells\n"
        "config = expand(yaml.safe_load(open('config.yaml')))[0].labelling\n"
        "print(len(jobs.partition(read_cells('results/bench/frames/gen0.extxyz'), config)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, text=True, capture_output=True, check=True)
    return [f"results/bench/labeled/gen0/jobs/{k}.json" for k in range(int(done.stdout))]


def run(project: Path, folder: Path, names: list[str], env: dict[str, str], cores: int, slurm: bool) -> float:
    """Wall seconds of one run of the workflow."""
    asked = targets(project, folder, names)
    words = [sys.executable, "-m", "snakemake", *asked, "--snakefile", str(project / "workflow/Snakefile")]
    words += ["--directory", str(folder), "--profile", str(project / "profiles" / ("slurm" if slurm else "default"))]
    if not slurm:
        words += ["--cores", str(cores)]
    start = time.monotonic()
    done = subprocess.run([*words, "--configfile", "config.yaml"], cwd=folder, env=env, text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    print(f"{len(asked)} targets, {len((folder / 'starts').read_text().splitlines())} starts of pw.x")
    return time.monotonic() - start


@contextlib.contextmanager
def environment(slurm: bool, cores: int) -> Iterator[dict[str, str]]:
    """The environment of the run, with a cluster behind it if one is asked for."""
    if not slurm:
        yield dict(os.environ)
        return
    sys.path.insert(0, str(PROJECT / "tests/slurm"))
    from cluster import running_cluster  # type: ignore[import-not-found]

    with running_cluster(cpus=cores) as cluster:
        yield cluster.env


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--slurm", action="store_true")
    parser.add_argument("--project", type=Path, default=PROJECT)
    parser.add_argument("--seconds-per-job", type=int)
    asked = parser.parse_args()
    project = asked.project.resolve()
    with tempfile.TemporaryDirectory() as place, environment(asked.slurm, asked.cores) as env:
        folder = Path(place)
        env = env | {"PYTHONPATH": os.pathsep.join([str(project / "src"), env.get("PYTHONPATH", "")])}
        names = prepare(folder, asked.labels, asked.seconds, asked.seconds_per_job)
        wall = run(project, folder, names, env, asked.cores, asked.slurm)
        made = len(list(folder.glob("results/bench/labeled/gen0/*.json")))
    overhead = asked.cores * wall / asked.labels - asked.seconds
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (used.ru_utime + used.ru_stime) / asked.labels
    print(
        f"{'Slurm' if asked.slurm else 'local'}, {asked.cores} cores: {made} labels of {asked.seconds:g} s in "
        f"{wall:.1f} s; overhead {overhead:.2f} core-seconds per label, {overhead / 0.6:.1f} % of a label of 60 s"
        + ("" if asked.slurm else f"; CPU {cpu:.2f} s per label, pw.x among it")
    )


if __name__ == "__main__":
    main()
