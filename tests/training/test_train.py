"""The trainer recovers a toy surface, subtracts and adds the same baseline, and refuses what cannot be trained on."""

import json

import numpy as np
import pytest
from argon import argon_calculator, argon_frames
from ase import Atoms
from ase.build import bulk

from mlip_autopipec.ace import read_asi, read_yaml
from mlip_autopipec.ace.posterior import Posterior
from mlip_autopipec.config.full import Training
from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.frames import new_frame, set_label
from mlip_autopipec.metrics import EV_PER_ANGSTROM3_IN_GPA, compare, evaluate, summarise
from mlip_autopipec.potential import load_potential
from mlip_autopipec.repulsion import ZBL
from mlip_autopipec.training import train
from mlip_autopipec.training.delta import isolated_atom_energies, subtract

SETTINGS = Training(
    cutoff_angstrom=6.0,
    zbl_inner_angstrom=1.5,
    zbl_outer_angstrom=2.6,
    degrees=[[6, 4], [10, 6, 5]],
    energy_weights=[10.0],
)


def isolated(energy=0.0):
    atom = Atoms("Ar", cell=[15] * 3, pbc=True)
    return set_label(new_frame(atom, origin="t", config_type="IsolatedAtom", name="Ar"), energy, np.zeros((1, 3)), None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, labelled):
    folder = tmp_path_factory.mktemp("potential")
    paths = [folder / f"p.{kind}" for kind in ("yaml", "yace", "asi")]
    record = train([isolated(-1.5), *_shifted(labelled, -1.5)], SETTINGS, *paths)
    return record, paths


def _shifted(frames, per_atom):
    moved = [f.copy() for f in frames]
    for f in moved:
        f.info["REF_energy"] += per_atom * len(f)
    return moved


def test_the_fit_generalises_to_frames_it_never_saw(trained):
    _, (yaml, _, asi) = trained
    test = _shifted(argon_frames(10, seed=99), -1.5)
    calculator = load_potential(yaml, asi)
    errors = summarise(compare(test, calculator))
    spread = np.std([f.info["REF_energy"] / len(f) for f in test]) * 1e3
    assert errors["energy_rmse_mev_per_atom"] < 0.1 * spread
    force = np.sqrt(np.mean(np.concatenate([f.arrays["REF_forces"].ravel() for f in test]) ** 2)) * 1e3
    assert errors["force_rmse_mev_per_angstrom"] < 0.1 * force
    assert errors["stress_rmse_gpa"] < 0.02


def test_an_isolated_atom_has_its_dft_energy(trained):
    _, (yaml, _, _) = trained
    atom = Atoms("Ar", cell=[20] * 3, pbc=True, calculator=load_potential(yaml))
    assert atom.get_potential_energy() == pytest.approx(-1.5, abs=1e-12)


def test_a_dimer_is_repulsive_all_the_way_down(trained):
    _, (yaml, _, _) = trained
    calculator = load_potential(yaml)
    energies = []
    for r in np.linspace(0.3, 2.0, 18):
        pair = Atoms("Ar2", positions=[[0, 0, 0], [r, 0, 0]], cell=[20] * 3, pbc=True, calculator=calculator)
        energies.append(pair.get_potential_energy())
    assert (np.diff(energies) < 0).all()


def test_the_basis_grows_with_the_data(labelled, tmp_path):
    paths = [tmp_path / f"p.{kind}" for kind in ("yaml", "yace", "asi")]
    few = train([isolated(), *labelled[:8]], SETTINGS, *paths)
    many = train([isolated(), *labelled], SETTINGS, *paths)
    assert few["degrees"] == [6, 4]
    assert many["degrees"] == [10, 6, 5]
    assert many["environments"] >= SETTINGS.environments_per_function * many["functions"]


def test_files_of_one_potential_belong_together(trained):
    record, (yaml, _, asi) = trained
    potential, inverses = read_yaml(yaml), read_asi(asi)
    assert potential.basis.number_of_functions == record["functions"] == len(inverses["Ar"])
    assert json.loads(potential.metadata["reference_energies_ev"]) == {"Ar": -1.5}
    assert record["train"]["functions"] == record["functions"]


def test_gamma_is_small_on_the_data_and_large_far_away(trained, labelled):
    _, (yaml, _, asi) = trained
    calculator = load_potential(yaml, asi)
    assert max(calculator.gamma(f).max() for f in labelled) < 1.01
    squeezed = bulk("Ar", "fcc", a=3.6, cubic=True)
    assert calculator.gamma(squeezed).max() > 10


def test_an_offset_of_all_stresses_is_learnt_and_leaves_the_potential_alone(labelled, tmp_path):
    offset_gpa = 0.4
    wrong = [f.copy() for f in labelled]
    for f in wrong:
        f.info["REF_stress"] = f.info["REF_stress"] + offset_gpa / EV_PER_ANGSTROM3_IN_GPA * np.array(
            [1, 1, 1, 0, 0, 0]
        )
    paths = [tmp_path / f"p.{kind}" for kind in ("yaml", "yace", "asi")]
    record = train([isolated(), *wrong], SETTINGS, *paths)
    assert record["stress_offset_gpa"] == pytest.approx(offset_gpa, abs=0.02)
    honest = summarise(compare(labelled, load_potential(paths[0])))
    assert honest["stress_rmse_gpa"] < 0.02


def test_the_baseline_is_subtracted_from_everything():
    frame = new_frame(bulk("Ar", "fcc", a=3.4, cubic=True), origin="t", config_type="rattle")
    frame.positions[0] += 0.1
    zbl = ZBL(1.5, 2.6)
    frame.calc = zbl
    energy, forces, stress = frame.get_potential_energy(), frame.get_forces(), frame.get_stress()
    assert energy > 0
    set_label(frame, energy - 6.0, forces + 1.0, stress)
    (target,) = subtract([frame], {"Ar": -1.5}, zbl)
    assert target.energy_ev == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(target.forces, 1.0)
    np.testing.assert_allclose(target.strain_derivative_ev, 0.0, atol=1e-12)


def test_without_an_isolated_atom_the_mean_energy_stands_in_and_is_said(labelled):
    energies, warnings = isolated_atom_energies(labelled)
    assert energies["Ar"] == pytest.approx(np.mean([f.info["REF_energy"] / 4 for f in labelled]))
    assert "isolated Ar atom" in warnings[0]


@pytest.mark.parametrize("key", ["REF_energy", "REF_stress"])
def test_a_label_that_is_not_a_number_names_its_frame(labelled, key):
    frame = labelled[0].copy()
    frame.info[key] = frame.info[key] * np.nan
    with pytest.raises(DataError, match=frame.info["uid"]):
        subtract([frame], {"Ar": 0.0}, None)


def test_missing_forces_name_their_frame(labelled):
    frame = labelled[0].copy()
    del frame.arrays["REF_forces"]
    with pytest.raises(DataError, match=frame.info["uid"]):
        subtract([frame], {"Ar": 0.0}, None)


def test_no_label_at_all_and_too_few_labels_are_said(labelled, tmp_path):
    paths = [tmp_path / f"p.{kind}" for kind in ("yaml", "yace", "asi")]
    with pytest.raises(DataError, match="no labelled frame"):
        train([isolated()], SETTINGS, *paths)
    assert not list(tmp_path.iterdir())
    record = train([isolated(), labelled[0]], SETTINGS, *paths)
    assert record["functions"] <= len(labelled[0])
    assert any("too few for the smallest basis" in said for said in record["warnings"])


def test_a_foreign_potential_is_refused(trained, tmp_path):
    _, (yaml, _, _) = trained
    (tmp_path / "p.yaml").write_text(yaml.read_text().replace("reference_energies_ev", "something_else"))
    with pytest.raises(InputFileError, match="reference_energies_ev"):
        load_potential(tmp_path / "p.yaml")


def test_evaluation_reports_each_frame_and_type(trained, labelled):
    _, (yaml, _, asi) = trained
    found = evaluate(load_potential(yaml, asi), _shifted(labelled, -1.5), [])
    assert found["train"]["frames"] == len(labelled)
    assert found["train_by_type"]["rattle"] == found["train"]
    assert found["test"]["energy_rmse_mev_per_atom"] is None
    assert len(found["train_frames"][0]["forces_ev_per_angstrom"]) == 12
    assert found["train_frames"][0]["gamma_max"] <= 1.01


def test_argon_toy_is_what_it_says():
    dimer = Atoms("Ar2", positions=[[0, 0, 0], [3.4 * 2 ** (1 / 6), 0, 0]], calculator=argon_calculator())
    assert dimer.get_potential_energy() == pytest.approx(-0.0104, rel=0.02)


def test_appended_labels_give_the_potential_that_all_labels_give(labelled, tmp_path):
    settings = SETTINGS.model_copy(update={"energy_weights": [3.0, 10.0], "prior_powers": [2.0, 4.0]})

    def paths(name):
        return [tmp_path / f"{name}.{kind}" for kind in ("yaml", "yace", "asi")]

    first, second = tmp_path / "factor_gen0.npz", tmp_path / "factor_gen1.npz"
    train([isolated(), *labelled[:30]], settings, *paths("gen0"), factor=first)
    kept = first.read_bytes()
    posterior = tmp_path / "posterior.npz"
    appended = train([isolated(), *labelled], settings, *paths("a"), previous=first, factor=second, posterior=posterior)
    rebuilt = train([isolated(), *labelled], settings, *paths("b"), previous=tmp_path / "gone.npz")
    assert (appended["factor"]["frames_kept"], appended["factor"]["frames_appended"]) == (30, 10)
    assert (rebuilt["factor"]["frames_kept"], rebuilt["factor"]["frames_appended"]) == (0, 40)
    assert rebuilt["factor"]["rebuilt_because"]
    assert not appended["factor"]["rebuilt_because"]
    one, other = (read_yaml(paths(name)[0]) for name in "ab")
    assert one.basis == other.basis
    np.testing.assert_allclose(one.coefficients, other.coefficients, rtol=1e-8)
    assert appended["why"] == rebuilt["why"]
    assert appended["search"]["roles"]["fast"]["degrees"] == rebuilt["search"]["roles"]["fast"]["degrees"]
    assert first.read_bytes() == kept
    assert second.is_file()
    Posterior.load(posterior).check_belongs(one)


@pytest.mark.parametrize("change", [{"folds": 4}, {"cutoff_factors": [0.9]}, {"degrees": [[6, 4], [9, 6, 5]]}, None])
def test_a_factor_of_other_settings_or_labels_is_made_anew_and_the_reason_is_said(labelled, tmp_path, change):
    paths = [tmp_path / f"p.{kind}" for kind in ("yaml", "yace", "asi")]
    factor = tmp_path / "factor.npz"
    train([isolated(), *labelled], SETTINGS, *paths, factor=factor)
    settings = SETTINGS.model_copy(update=change or {})
    frames = labelled if change else _shifted(labelled, 0.1)
    record = train([isolated(), *frames], settings, *paths, previous=factor)
    assert record["factor"]["frames_kept"] == 0
    assert record["factor"]["rebuilt_because"]


def test_a_damaged_factor_is_no_obstacle(labelled, tmp_path):
    paths = [tmp_path / f"p.{kind}" for kind in ("yaml", "yace", "asi")]
    (tmp_path / "factor.npz").write_bytes(b"not a zip file")
    record = train([isolated(), *labelled], SETTINGS, *paths, previous=tmp_path / "factor.npz")
    assert "not the factor" in record["factor"]["rebuilt_because"]
