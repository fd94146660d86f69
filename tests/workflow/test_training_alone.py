"""Training alone: labelled data in, potential, report and bundle out, and no DFT anywhere."""

import json
import subprocess

import pytest
import yaml
from argon import argon_frames
from ase.io import write
from running import snakemake

from mlip_autopipec.config import expand
from mlip_autopipec.frames import read_frames
from mlip_autopipec.potential import load_potential

RULES = {"import_data", "expand", "train", "evaluate", "judge", "report", "bundle"}


def written(folder, frames=None, **config):
    """A config and its data in a folder; relative paths are those of where Snakemake runs."""
    if frames is not None:
        write(folder / "my_data.extxyz", frames, format="extxyz")
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def planned(done):
    """Rules in the job table of a dry run."""
    words = [line.split() for line in done.stdout.splitlines()]
    return {line[0] for line in words if len(line) == 2 and line[1].isdigit()} - {"total", "all"}


class Finished:
    """A run from forty frames, two of which are bad."""

    def __init__(self, folder):
        self.folder = folder
        frames = argon_frames(42)
        frames[3].info["REF_energy"] = float("nan")
        frames[5].arrays["REF_forces"][0] = 99.0
        training = {"dataset": "my_data.extxyz", "degrees": [[6, 4]], "test_fraction": 0.2}
        self.config = written(folder, frames, training=training, validation={"energy_rmse_max_mev_per_atom": 5.0})
        self.output = snakemake(folder, self.config)
        self.run = folder / "results" / "my_data"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return Finished(tmp_path_factory.mktemp("own_data"))


def test_potential_report_and_bundle_are_made_without_dft(finished):
    assert finished.output.returncode == 0, finished.output.stdout
    summary = json.loads((finished.run / "summary.json").read_text())
    assert summary["composition"] == "Ar"
    assert summary["class"] == []
    assert set(summary["family"]) == {"fast", "balanced", "accurate"}
    assert summary["family"]["fast"]["energy_rmse_mev_per_atom"] > 0
    assert 0.3 < summary["coverage"]["force_within_two"] <= 1
    assert summary["train"]["stress_offset_gpa"] is not None
    assert summary["converged"] is None
    assert summary["dft_core_hours"] == 0
    assert (summary["labels"]["accepted"], summary["test"]["frames"]) == (32, 8)
    assert {one["name"]: one["reason"].split(":")[0] for one in summary["labels"]["quarantine"]} == {
        "my_data.extxyz@3": "not a number",
        "my_data.extxyz@5": "large force",
    }
    assert {f.info["origin"] for f in read_frames(finished.run / "quarantine_gen0.extxyz")} == {
        "my_data.extxyz frame 3",
        "my_data.extxyz frame 5",
    }
    page = (finished.run / "report.html").read_text()
    assert "The data" in page
    assert "Equation of state and elastic" not in page
    check = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=finished.run / "bundle")
    assert check.returncode == 0
    test = read_frames(finished.run / "bundle" / "test.extxyz")[0]
    label, test.calc = test.info["REF_energy"], load_potential(finished.run / "bundle" / "potential.yaml")
    assert test.get_potential_energy() == pytest.approx(label, abs=0.02)


def test_the_run_says_what_it_does_and_ends_with_five_lines(finished):
    assert "a potential from your data in my_data.extxyz" in finished.output.stdout
    last = finished.output.stdout.strip().splitlines()[-5:]
    assert [line.split(":")[0] for line in last] == ["Potential", "Report", "Labels", "Test errors", "Verdict"]


def test_the_dump_has_what_the_data_decided_and_is_a_config(finished):
    dump = (finished.run / "exec_config_dump.yaml").read_text()
    assert "composition: Ar  # elements_of_the_data" in dump
    assert "# cutoff_of_2_35_bonds: " in dump
    again = yaml.safe_load(dump)
    again["training"]["dataset"] = [str(finished.folder / "my_data.extxyz")]
    assert expand(again)[0].training.cutoff_angstrom == again["training"]["cutoff_angstrom"]


def test_the_same_command_again_does_nothing_and_changed_data_do_all(finished):
    again = snakemake(finished.folder, finished.config)
    assert "Nothing to be done" in again.stdout, again.stdout
    config = yaml.safe_load(finished.config.read_text())
    config["training"] |= {"committee": 3, "pacemaker_maxiter": 7}
    (finished.folder / "other.yaml").write_text(yaml.safe_dump(config))
    plan = planned(snakemake(finished.folder, finished.folder / "other.yaml", options=("--dry-run",)))
    assert "uncertainty" in plan
    assert not {"train", "import_data", "evaluate"} & plan
    config["training"]["baseline"] = "none"
    (finished.folder / "other.yaml").write_text(yaml.safe_dump(config))
    plan = snakemake(finished.folder, finished.folder / "other.yaml", options=("--dry-run",))
    assert "train" in planned(plan)
    assert "import_data" not in planned(plan)
    write(finished.folder / "my_data.extxyz", argon_frames(40), format="extxyz")
    assert planned(snakemake(finished.folder, finished.config, options=("--dry-run",))) >= RULES


def test_a_dry_run_plans_training_alone(tmp_path):
    config = written(tmp_path, argon_frames(2), training={"dataset": "my_data.extxyz"})
    done = snakemake(tmp_path, config, options=("--dry-run",))
    assert done.returncode == 0, done.stdout
    assert planned(done) >= RULES
    assert not planned(done) & {"label", "explore", "generate", "simulate", "assess", "validate", "collect"}
    one = snakemake(tmp_path, config, "results/my_data/potential_gen0.yace", options=("--dry-run",))
    assert planned(one) == {"import_data", "train"}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"dataset": "none.extxyz"}, "config key 'training.dataset' = 'none.extxyz': no such file."),
        ({"dataset": "my_data.extxyz", "energykey": "E"}, "config key 'training.energykey' = 'E': unknown key."),
    ],
)
def test_what_is_wrong_is_one_message_already_in_the_dry_run(tmp_path, config, says):
    done = snakemake(tmp_path, written(tmp_path, argon_frames(1), run="x", training=config), options=("--dry-run",))
    assert done.returncode == 1
    assert says in done.stdout, done.stdout
    assert "Traceback" not in done.stdout
    assert len([line for line in done.stdout.splitlines() if "config key" in line]) == 1


def test_data_that_cannot_be_used_end_the_run_with_their_reason(tmp_path):
    frames = argon_frames(6)
    for frame in frames:
        frame.info["REF_energy"] = float("nan")
    config = written(tmp_path, frames, training={"dataset": "my_data.extxyz"})
    done = snakemake(tmp_path, config, "results/my_data/potential_gen0.yace")
    assert done.returncode == 1
    assert "Error: only 0 of 6 frames of training.dataset can be trained on" in done.stdout
    assert "6 x not a number" in done.stdout
    assert not (tmp_path / "results" / "my_data" / "dataset_gen0.extxyz").exists()
