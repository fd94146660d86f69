"""pacemaker as an external program: what it is given, what is taken from it, and every way in which it can fail."""

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from argon import argon_frames
from ase import Atoms

from mlip_autopipec.ace import ACECalculator, read_asi, read_potential, read_yaml
from mlip_autopipec.bundle import licence_note
from mlip_autopipec.config.full import Training
from mlip_autopipec.console import check_training
from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import new_frame, set_label
from mlip_autopipec.potential import load_potential
from mlip_autopipec.training import linear_ace, pacemaker, pacemaker_dataset, train
from mlip_autopipec.training.core import VirtualForce
from mlip_autopipec.training.delta import subtract
from mlip_autopipec.training.pacemaker_program import find_program, run

DATA = Path(__file__).parents[1] / "data" / "pacemaker"
REAL = os.environ.get("MLIP_PACEMAKER")
SETTINGS = Training(
    trainer="pacemaker",
    cutoff_angstrom=6.0,
    zbl_inner_angstrom=1.5,
    zbl_outer_angstrom=2.6,
    degrees=[[6, 4], [8, 5, 4]],
    energy_weights=[10.0],
)
VERSIONS = '{"python": "3.10.13", "tensorflow": "2.18.1", "tensorpotential": "0.2.0", "pandas": "2.0.3", "ase": "3.29"}'


def program(folder, script, python=f'[ "$1" = -c ] && echo \'{VERSIONS}\' || exec "{sys.executable}" "$@"'):
    """A folder with a `pacemaker` and the `python` of its environment; returns the command."""
    folder.mkdir()
    for name, text in (("pacemaker", script), ("python", python)):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder / "pacemaker")


@pytest.fixture
def settings(tmp_path):
    fake = Path(__file__).with_name("fake_pacemaker.py")
    command = program(tmp_path / "bin", f'exec "{sys.executable}" "{fake}" "$@"')
    return SETTINGS.model_copy(update={"pacemaker_command": command})


@pytest.fixture
def paths(tmp_path):
    return [tmp_path / f"potential_gen0.{kind}" for kind in ("yaml", "yace", "asi")]


def isolated(energy):
    atom = Atoms("Ar", cell=[15] * 3, pbc=True)
    return set_label(new_frame(atom, origin="t", config_type="IsolatedAtom", name="Ar"), energy, np.zeros((1, 3)), None)


def test_the_fit_begins_at_the_linear_solution_and_is_delivered_with_baseline_and_references(settings, paths, labelled):
    record = train([isolated(-0.5), *labelled], settings, *paths)
    assert record["trainer"] == "pacemaker"
    assert record["fit"]["potential"] == "output_potential.yaml"
    assert record["program_versions"]["pacemaker"] == "0.3.0"
    assert not record["warnings"]
    # the fake fits nothing: what comes out is what went in, down to isolated atom and repulsion
    calculator = load_potential(paths[0], paths[2])
    atom = Atoms("Ar", cell=[20] * 3, pbc=True, calculator=calculator)
    assert atom.get_potential_energy() == pytest.approx(-0.5, abs=1e-12)
    assert record["train"] == record["start"]["train"]
    energies = []
    for r in np.linspace(0.3, 2.0, 18):
        pair = Atoms("Ar2", positions=[[0, 0, 0], [r, 0, 0]], cell=[20] * 3, pbc=True, calculator=calculator)
        energies.append(pair.get_potential_energy())
    assert (np.diff(energies) < 0).all()
    assert max(calculator.gamma(f).max() for f in labelled) < 1.01


def test_the_three_files_belong_together_and_say_what_made_them(settings, paths, labelled):
    train(labelled, settings, *paths)
    potential = read_yaml(paths[0])
    assert potential.basis.number_of_functions == len(read_asi(paths[2])["Ar"])
    contracted = ACECalculator(read_potential(paths[1]))
    expected = ACECalculator(potential).get_property("energies", labelled[0])
    np.testing.assert_allclose(contracted.get_property("energies", labelled[0]), expected, atol=1e-10)
    assert potential.metadata["trainer"] == "pacemaker"
    assert "academic, non-commercial" in licence_note(potential.metadata)
    assert licence_note({"trainer": "mlip-autopipec"}) == ""


def test_input_has_the_linear_fits_trade_off_between_energies_and_forces(settings, paths, labelled):
    train(labelled, settings, *paths)
    given = yaml.safe_load((paths[0].parent / "potential_gen0.pacemaker" / "input.yaml").read_text())
    assert given["potential"] == "start.yaml"
    assert given["cutoff"] == 6.0
    assert given["fit"]["loss"]["kappa"] == pytest.approx(1 / 101)
    assert given["fit"]["maxiter"] == settings.pacemaker_maxiter
    assert given["data"] == {"filename": "dataset.pckl.gzip"}


def test_two_densities_are_delivered_as_one_is(settings, paths, labelled):
    record = train(labelled, settings.model_copy(update={"densities": 2}), *paths)
    assert {block["ndensityi"] for block in yaml.safe_load(paths[0].read_text())["species"]} == {2}
    # the fake fits nothing: the second density has changed the linear errors by little
    linear, force = record["start"]["train"], "force_rmse_mev_per_angstrom"
    assert record["train"][force] == pytest.approx(linear[force], rel=0.05)
    calculator = load_potential(paths[0], paths[2])
    assert max(calculator.gamma(f).max() for f in labelled) < 1.01
    contracted = ACECalculator(read_potential(paths[1])).get_property("energies", labelled[0])
    expected = ACECalculator(read_yaml(paths[0])).get_property("energies", labelled[0])
    np.testing.assert_allclose(contracted, expected, atol=1e-10)


def test_a_ladder_climbs_from_the_smallest_basis_to_the_chosen_one(settings, paths, labelled):
    settings = settings.model_copy(update={"pacemaker_ladder_step": 3})
    assert not train(labelled, settings, *paths)["warnings"][1:]
    folder = paths[0].parent / "potential_gen0.pacemaker"
    given = yaml.safe_load((folder / "input.yaml").read_text())
    assert given["potential"] == {"filename": "target.yaml", "initial_potential": "start.yaml", "reset": True}
    assert given["fit"]["ladder_step"] == 3
    small, large = (read_yaml(folder / name).basis.number_of_functions for name in ("start.yaml", "target.yaml"))
    assert small < large == read_yaml(paths[0]).basis.number_of_functions


def test_a_ladder_with_nowhere_to_climb_is_said(settings, paths, labelled):
    settings = settings.model_copy(update={"pacemaker_ladder_step": 3, "degrees": [[6, 4]]})
    assert "no ladder" in train(labelled, settings, *paths)["warnings"][-1]
    given = yaml.safe_load((paths[0].parent / "potential_gen0.pacemaker" / "input.yaml").read_text())
    assert given["potential"] == "start.yaml"
    assert "ladder_step" not in given["fit"]


def test_the_dataset_is_made_by_the_other_python_without_loss(tmp_path, labelled):
    pandas = pytest.importorskip("pandas")
    targets = subtract(labelled[:3], {"Ar": -0.1}, None)
    pacemaker.write_arrays(tmp_path / "a.npz", targets)
    subprocess.run(
        [sys.executable, pacemaker_dataset.__file__, tmp_path / "a.npz", tmp_path / "d.pckl.gzip"], check=True
    )
    table = pandas.read_pickle(tmp_path / "d.pckl.gzip", compression="gzip")
    for row, target in zip(table.itertuples(), targets, strict=True):
        assert row.energy_corrected == target.energy_ev
        assert row.name == target.frame.info["uid"]
        assert row.w_energy == len(target.frame) == len(row.w_forces)
        np.testing.assert_array_equal(row.forces, target.forces)
        np.testing.assert_array_equal(row.ase_atoms.positions, target.frame.positions)
        np.testing.assert_array_equal(row.ase_atoms.cell.array, target.frame.cell.array)
        assert row.ase_atoms.pbc.all()


def test_virtual_forces_of_pairs_weigh_on_one_atom_and_on_no_energy(tmp_path, labelled):
    targets = subtract(labelled[:2], {"Ar": -0.1}, None)
    pair = VirtualForce(
        Atoms("Ar2", positions=[[0, 0, 0], [1, 0, 0]], cell=[100] * 3), np.array([[0.0, 0, 0], [1, 0, 0]]), 0.5, 7.0
    )
    pacemaker.write_arrays(tmp_path / "a.npz", targets, [pair])
    data = np.load(tmp_path / "a.npz")
    assert list(data["natoms"]) == [4, 4, 2]
    assert list(data["energy_weights"]) == [4, 4, 0]
    assert list(data["force_weights"][-3:]) == [1, 0, 0.25]
    assert data["forces"][-2:].tolist() == [[-7, 0, 0], [7, 0, 0]]


def test_no_pickle_is_read_by_us(settings, paths, labelled, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a pickle was read or written here")

    for name in ("load", "loads", "dump", "dumps"):
        monkeypatch.setattr(pickle, name, refuse)
    train(labelled, settings, *paths)


def test_metrics_of_the_real_program_are_read_and_a_cut_last_line_is_left_out(tmp_path):
    rows = pacemaker.read_metrics(DATA / "metrics.txt")
    assert len(rows) == 7
    assert rows[0]["loss"] == 1.0578690351737492e-09
    assert (rows[-1]["iter_num"], rows[-1]["nfuncs"], rows[-1]["ncoefs"]) == (6, 25, 125)
    text = (DATA / "metrics.txt").read_text()
    (tmp_path / "metrics.txt").write_text(text[:-60])
    assert pacemaker.read_metrics(tmp_path / "metrics.txt") == rows[:-1]
    assert pacemaker.read_metrics(tmp_path / "none.txt") == []


def test_a_potential_that_the_real_program_wrote_is_read_with_its_radial_functions(tmp_path):
    (tmp_path / "output_potential.yaml").write_text((DATA / "output_potential.yaml").read_text())
    potential, name = pacemaker.find_potential(tmp_path, {25})
    assert name == "output_potential.yaml"
    radial = potential.bonds[0, 0].coefficients
    assert abs(radial - np.round(radial)).max() > 1e-6  # no longer the identity of the linear start


@pytest.mark.parametrize("ends", ["killed", "hang"])
def test_an_interrupted_fit_gives_its_interim_potential_and_says_so(ends, settings, paths, labelled, monkeypatch):
    monkeypatch.setenv("FAKE_PACEMAKER", ends)
    settings = settings.model_copy(update={"pacemaker_max_seconds": 5})
    record = train(labelled, settings, *paths)
    assert record["fit"]["potential"] == "interim_potential_0.yaml"
    said = record["warnings"][-1]
    assert "interim_potential_0.yaml" in said
    assert ("SIGKILL" if ends == "killed" else "5 s (training.pacemaker_max_seconds)") in said
    assert load_potential(paths[0], paths[2]) is not None


def test_a_stopped_fit_leaves_no_process_behind(tmp_path):
    (tmp_path / "x").write_text("")
    assert "was stopped" in run(["sh", "-c", "sleep 300 & echo $! > pid; wait"], tmp_path, 1)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(50):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the child still runs")


@pytest.mark.parametrize(("ends", "reason"), [("nothing", "out of memory"), ("truncated", "cut off")])
def test_nothing_usable_is_one_error_that_names_the_folder(ends, reason, settings, paths, labelled, monkeypatch):
    monkeypatch.setenv("FAKE_PACEMAKER", ends)
    with pytest.raises(ConfigurationFault, match=reason) as caught:
        train(labelled, settings, *paths)
    assert "potential_gen0.pacemaker" in str(caught.value)
    assert not any(path.exists() for path in paths)


def test_a_newer_but_damaged_interim_potential_gives_way_to_an_older_whole_one(tmp_path):
    whole = (DATA / "output_potential.yaml").read_text()
    (tmp_path / "interim_potential_ladder_step_0.yaml").write_text(whole)
    (tmp_path / "interim_potential_0.yaml").write_text(whole[: len(whole) // 2])
    os.utime(tmp_path / "interim_potential_ladder_step_0.yaml", (0, 0))
    assert pacemaker.find_potential(tmp_path, {25})[1] == "interim_potential_ladder_step_0.yaml"


def test_a_missing_program_is_one_message_with_the_remedy_before_any_work(paths, labelled, tmp_path):
    settings = SETTINGS.model_copy(update={"pacemaker_command": "/nowhere/pacemaker"})
    for attempt in (lambda: check_training(settings), lambda: train(labelled, settings, *paths)):
        with pytest.raises(ConfigurationFault, match=r"/nowhere/pacemaker.*envs/pacemaker\.yaml"):
            attempt()
    assert not list(tmp_path.iterdir())


def test_another_program_of_that_name_and_a_lacking_environment_are_named(tmp_path):
    with pytest.raises(ConfigurationFault, match=r"rate limiter 1\.0.*PyPI"):
        find_program(program(tmp_path / "a", "echo rate limiter 1.0"))
    real = "echo pacemaker/pyace version: 0.3.0"
    with pytest.raises(ConfigurationFault, match="lacks tensorflow, tensorpotential"):
        find_program(program(tmp_path / "b", real, 'echo \'{"pandas": "2", "ase": "3"}\''))
    with pytest.raises(ConfigurationFault, match="does not run"):
        find_program(program(tmp_path / "c", real, "exit 1"))


def test_behind_a_launcher_python_is_started_by_the_same_launcher(tmp_path):
    launcher = program(
        tmp_path / "a",
        f"shift; case \"$1\" in pacemaker) echo pacemaker/pyace version: 1;; *) echo '{VERSIONS}';; esac",
    )
    found = find_program(f"{launcher} run pacemaker")
    assert found.command == [launcher, "run", "pacemaker"]
    assert found.python == [launcher, "run", "python"]


def test_a_second_density_leaves_the_start_as_it_was_to_first_order(tmp_path, labelled):
    files = [tmp_path / f"start.{kind}" for kind in ("yaml", "yace", "asi")]
    linear_ace.train(labelled, SETTINGS, *files)
    before = yaml.safe_load(files[0].read_text())["species"][0]
    pacemaker.add_second_density(files[0])
    after = yaml.safe_load(files[0].read_text())["species"][0]
    assert after["ndensityi"] == 2
    assert after["parameters"] == [1.0, 1.0, 1.0, 0.5]
    for old, new in zip(before["nbody"], after["nbody"], strict=True):
        first, second = new["c"]
        assert first + 1.25 * second == pytest.approx(old["c"][0], rel=1e-12)
        assert second != 0


@pytest.mark.skipif(REAL is None, reason="set MLIP_PACEMAKER to the real program, see envs/pacemaker.yaml")
@pytest.mark.parametrize("densities", [1, 2])
def test_the_real_program_improves_on_the_linear_start_and_its_tools_agree_with_our_files(densities, paths, tmp_path):
    frames = argon_frames(12, seed=5, amplitude=0.4)
    settings = SETTINGS.model_copy(
        update={
            "pacemaker_command": REAL,
            "pacemaker_maxiter": 25,
            "degrees": [[6, 4]],
            "pacemaker_max_seconds": 240,
            "densities": densities,
        }
    )
    record = train(frames, settings, *paths)
    assert record["fit"]["potential"] == "output_potential.yaml"
    assert record["fit"]["loss_last"] < record["fit"]["loss_first"]
    assert [pair["attracts_at_angstrom"] for pair in record["repulsion_of_pairs"].values()] == [None]
    # its own first loss is that of our solution: same data, same weights, same potential
    start = record["start"]["train"]
    kappa = 1 / (1 + settings.energy_weights[0] ** 2)
    energy, force = start["energy_rmse_mev_per_atom"] / 1e3, start["force_rmse_mev_per_angstrom"] / 1e3
    expected = (1 - kappa) * energy**2 + kappa * 3 * force**2
    assert record["fit"]["loss_first"] == pytest.approx(expected, rel=0.02 if densities == 1 else 0.1)
    converter = Path(REAL).with_name("pace_yaml2yace")
    subprocess.run([converter, paths[0], "-o", tmp_path / "theirs.yace"], check=True, capture_output=True, timeout=120)
    ours, theirs = (ACECalculator(read_potential(p)) for p in (paths[1], tmp_path / "theirs.yace"))
    for frame in frames[:3]:
        np.testing.assert_allclose(
            ours.get_property("energies", frame), theirs.get_property("energies", frame), atol=1e-9
        )
        np.testing.assert_allclose(ours.get_property("forces", frame), theirs.get_property("forces", frame), atol=1e-6)
