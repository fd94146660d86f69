"""The whole loop without DFT: ASE's EMT teaches copper, and nothing it makes passes for density functional theory."""

import json

import numpy as np
import pytest
import yaml
from ase.calculators.emt import EMT
from running import PROJECT, snakemake

from mlip_autopipec.frames import read_frames
from mlip_autopipec.labelling.labeller import read_label

EXAMPLE = PROJECT / "config" / "examples" / "rehearsal.yaml"
pytestmark = [pytest.mark.pipeline, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """The example, made smaller still, in a place where there is neither pw.x nor a pseudopotential to be found."""
    folder = tmp_path_factory.mktemp("rehearsal")
    written = yaml.safe_load(EXAMPLE.read_text())
    written["labelling"]["command"] = "no_pw_here"
    written["exploration"]["steps"] = 30
    written["test"].update(temperatures_k=[300], steps=30, frames=6)
    written["structures"]["counts"].update(rattles=16, melt=0)
    written["active_learning"].update(labels_first=30, generations_max=1)
    written["simulation"].update(temperatures_k=[300], steps=300)
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(written))
    done = snakemake(folder, config, timeout=1700)
    assert done.returncode == 0, done.stdout
    return folder / "results" / "rehearsal", done.stdout


def test_a_potential_comes_out_that_has_learnt_its_teacher(rehearsed):
    run, _ = rehearsed
    summary = json.loads((run / "summary.json").read_text())
    assert summary["labels"]["accepted"] >= 25
    assert summary["test"]["energy_rmse_mev_per_atom"] < 3
    assert summary["test"]["force_rmse_mev_per_angstrom"] < 100
    assert summary["validation"]["lattice_constant"]["reference"] == pytest.approx(3.59, abs=0.01)  # EMT's copper
    assert summary["validation"]["lattice_constant"]["passed"]


def test_every_label_is_the_teachers(rehearsed):
    run, _ = rehearsed
    frames = read_frames(run / "dataset_gen0.extxyz")
    assert len(frames) > 25
    for frame in frames:
        reference = frame.copy()
        reference.calc = EMT()
        assert frame.info["REF_energy"] == pytest.approx(reference.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(frame.arrays["REF_forces"], reference.get_forces(), atol=1e-6)
    label = read_label(next((run / "labeled" / "gen0").glob("f*.json")))
    assert label.engine_version.startswith("ase.calculators.emt:EMT, ase ")
    assert label.settings["surface"]["calculator"] == "ase.calculators.emt:EMT"


def test_everything_that_is_taken_home_says_that_it_is_not_dft(rehearsed):
    run, printed = rehearsed
    said = "Labels: ase.calculators.emt:EMT (an empirical potential as teacher), not density functional theory."
    assert said in printed.splitlines()[-6:].__str__()
    assert said in (run / "bundle" / "README.txt").read_text()
    assert said in (run / "report.html").read_text()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["label_source"]["dft"] is False
    assert summary["dft_core_hours"] == 0
    assert summary["label_core_hours"] > 0
