"""The Slurm profile submits every job of a workflow to a real cluster, with the resources it was given."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import SlurmCluster

pytestmark = pytest.mark.slurm

PROFILE = Path(__file__).parents[2] / "profiles" / "slurm"
SNAKEFILE = """\
rule all:
    input:
        expand("{name}.txt", name=["a", "b", "c"]),
    localrule: True


rule write:
    output:
        "{name}.txt",
    threads: config.get("threads", 1)
    resources:
        runtime=7,
    shell:
        "{config[command]} > {output}"
"""


def snakemake(
    cluster: SlurmCluster, directory: Path, *options: str, command: str, profile: Path = PROFILE
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, str]]]:
    """Run the workflow in `directory`, each job writing what the shell command prints.

    Returns:
        Snakemake's process and the Slurm jobs that it submitted, oldest first.
    """
    (directory / "Snakefile").write_text(SNAKEFILE)
    call = [sys.executable, "-m", "snakemake", "--profile", str(profile), *options]
    # Looks at sacct then come 1, 12 and 33 s after submission, and every second while jobs finish.
    call += ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]
    known = len(cluster.jobs())
    done = subprocess.run(
        [*call, "--config", f"command={command}", "threads=2"],
        cwd=directory,
        env=cluster.env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done, cluster.jobs()[known:]


def test_every_job_of_a_workflow_is_a_completed_slurm_job(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    done, jobs = snakemake(slurm_cluster, tmp_path, command="printenv SLURM_JOB_ID")

    assert done.returncode == 0, done.stderr
    assert [job["State"] for job in jobs] == ["COMPLETED"] * 3
    assert sorted(job["Comment"] for job in jobs) == [f"rule_write_wildcards_{name}" for name in "abc"]
    written = {(tmp_path / f"{name}.txt").read_text().strip() for name in "abc"}
    assert written == {job["JobIDRaw"] for job in jobs}


def test_what_a_user_sets_in_the_profile_reaches_slurm(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    shutil.copytree(PROFILE, profile)
    config = profile / "config.yaml"
    text = config.read_text()
    for key, value in {"slurm_account": "tests", "slurm_partition": "main", "qos": "normal"}.items():
        text, found = re.subn(rf'^(\s+)# {key}: ".*"$', rf'\1{key}: "{value}"', text, count=1, flags=re.M)
        assert found == 1, f"the profile does not show where to set {key}"
    config.write_text(text)

    done, jobs = snakemake(slurm_cluster, tmp_path, "a.txt", command="echo ok", profile=profile)

    assert done.returncode == 0, done.stderr
    seen = [(job["Account"], job["Partition"], job["QOS"], job["State"]) for job in jobs]
    assert seen == [("tests", "main", "normal", "COMPLETED")]
    # CPUs are the rule's threads, the time limit is the rule's, the memory the profile's default.
    assert (jobs[0]["AllocCPUS"], jobs[0]["TimelimitRaw"], jobs[0]["ReqMem"]) == ("2", "7", "2000M")


def test_a_failing_job_fails_the_run_and_leaves_no_output(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    done, jobs = snakemake(slurm_cluster, tmp_path, "a.txt", "--retries", "0", command="echo half; false")

    assert done.returncode != 0
    assert [job["State"] for job in jobs] == ["FAILED"]
    assert "Error in rule write" in done.stderr
    assert not (tmp_path / "a.txt").exists()
