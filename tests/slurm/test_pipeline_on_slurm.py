"""A small loop through `profiles/slurm` on a real Slurm: labels, training and simulation run as Slurm jobs."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from cluster import SlurmCluster

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from running import needs_pw, snakemake

pytestmark = [pytest.mark.slurm, pytest.mark.pipeline, needs_pw, pytest.mark.timeout(1500)]

# As small as a whole loop can be: one walker each, one generation, a coarse DFT. A force ceiling that some rattled
# cells break shows that a refused label goes to quarantine and the loop goes on.
SMALL = {
    "composition": "Si",
    "run": "slurm",
    "structures": {
        "sources": ["prototypes"], "prototypes": ["A4"], "atoms_max": 8, "rattle_amplitudes_angstrom": [0.1, 0.4],
        "counts": {
            "volumes": 3, "strains": 2, "rattles": 6, "bonds": 0, "vacancies": 0, "interstitials": 0, "surfaces": 0,
            "melt": 0, "quench": 0,
        },
    },
    "exploration": {
        "temperatures_k": [600], "walkers_per_temperature": 1, "steps": 20,
        "walks": {"heat": 1, "quench": 0, "strains": 0, "paths": 0},
    },
    "test": {"temperatures_k": [500], "steps": 20, "frames": 1},
    "sampling": {"always": ["crystal", "volume"]},
    "active_learning": {"labels_first": 9, "label_budget": 9, "generations_max": 1},
    "labelling": {
        "pseudopotentials": {"Si": "Si.pz-vbc.UPF"}, "ecutwfc_ry": 12, "kmesh": [1, 1, 1],
        "maximum_force_ev_per_angstrom": 6.0,
    },
    "training": {"degrees": [[6, 4]]},
    "simulation": {"temperatures_k": [300], "walkers_per_temperature": 1, "steps": 20},
    "validation": {"eos_points": 5, "eos_volume_strain_max": 0.1},
}  # fmt: skip

RULES = (
    "relax", "generate", "label", "explore", "sample", "select", "train", "simulate", "evaluate", "validate",
)  # fmt: skip


def test_a_small_loop_runs_as_slurm_jobs_and_survives_refused_labels(slurm_cluster: SlurmCluster, tmp_path: Path):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    known = len(slurm_cluster.jobs())
    done = snakemake(
        tmp_path,
        tmp_path / "small.yaml",
        profile="slurm",
        options=(
            *("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"),
            *("--groups", "explore=walkers", "--group-components", "walkers=2"),
        ),
        env=slurm_cluster.env,
        timeout=1400,
    )
    assert done.returncode == 0, done.stdout
    jobs = slurm_cluster.jobs()[known:]
    assert {job["State"] for job in jobs} == {"COMPLETED"}
    by_rule = {
        rule: [job for job in jobs if re.match(rf"rule_{rule}(?!_noise)", job["Comment"])]
        for rule in (
            "relax",
            "generate",
            "label",
            "explore",
            "sample",
            "select",
            "train",
            "simulate",
            "evaluate",
            "validate",
        )
    }
    grouped = [job for job in jobs if job["Comment"] == "rule_walkers_explore"]
    assert len(grouped) == 1, "both walkers go in one job"
    assert len(list((tmp_path / "results" / "slurm" / "explored").glob("*.extxyz"))) == 2
    run = tmp_path / "results" / "slurm"
    batches = {"atoms": 1, "gen0": 9, "test": 1, "eos": 5}
    for batch, number in batches.items():
        labels = [path for path in run.glob(f"labeled/{batch}/*.json") if path.stem != "review"]
        assert len(labels) == number
    assert len(by_rule["label"]) == len(list(run.glob("labeled/*/jobs/*.json"))) < sum(batches.values())
    assert all(by_rule.values()), {rule: len(found) for rule, found in by_rule.items()}
    assert all(job["AllocCPUS"] == "1" for job in by_rule["label"])

    summary = json.loads((run / "summary.json").read_text())
    assert summary["labels"]["requested"] == 9
    assert summary["labels"]["quarantined"] >= 1
    refused = json.loads((run / "dataset_gen0.json").read_text())["quarantine"]
    assert any(one["reason"].endswith("above 6 eV/A") for one in refused), refused
    assert len(refused) == summary["labels"]["quarantined"]
    assert all(one["reason"] for one in refused)
    assert summary["reason"]
    assert (run / "bundle" / "potential.yace").is_file()
