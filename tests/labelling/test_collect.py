"""Labels meet their frames; what was refused is kept with its reason; one frame in, one verdict out."""

import json

import numpy as np
import pytest
from ase.build import bulk

from mlip_autopipec.config.full import Labelling
from mlip_autopipec.errors import ConfigurationFault, DataError, InputFileError
from mlip_autopipec.frames import new_frame, read_frames, write_frames
from mlip_autopipec.labelling.campaign import label_frame
from mlip_autopipec.labelling.collect import collect
from mlip_autopipec.labelling.espresso.run import run_process
from mlip_autopipec.labelling.labeller import Attempt, Label, read_label, write_label
from mlip_autopipec.structures.reference import isolated_atoms

PSEUDO = (
    '<UPF version="2.0.1"><PP_HEADER element="Si" pseudo_type="NC" relativistic="scalar" functional="PBE" '
    'z_valence="4.0" wfc_cutoff="30.0" rho_cutoff="120.0"/></UPF>'
)


def frame(seed, generation=0):
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=seed)
    return new_frame(atoms, origin="t", config_type="rattle", generation=generation)


def good(natoms=8, attempts=1, energy=-860.0):
    attempt = Attempt(folder="attempt_1", outcome="ok", reason="fine", cpu_seconds=1.8)
    return Label(
        accepted=True, outcome="ok", kind="ok", reason="fine", natoms=natoms, energy_ev=energy,
        forces=[(0.1, 0.2, 0.3)] * natoms, stress=(1e-3,) * 6, engine="espresso", engine_version="6.7",
        attempts=[attempt] * attempts, cpu_seconds=1.8 * attempts, wall_seconds=2.0,
    )  # fmt: skip


def bad():
    return Label(
        accepted=False, outcome="scf_not_converged", kind="physics", reason="no convergence in 80 iterations",
        natoms=8, engine="espresso", cpu_seconds=3.6,
    )  # fmt: skip


@pytest.fixture
def written(tmp_path):
    frames = [frame(1), frame(2), frame(3, generation=1)]
    labels = []
    for one, label in zip(frames, (good(), bad(), good(attempts=2)), strict=True):
        labels.append(tmp_path / f"{one.info['uid']}.json")
        write_label(labels[-1], label)
    atom = tmp_path / "Si.json"
    write_label(atom, good(natoms=1, energy=-101.9))
    return frames, labels, isolated_atoms(["Si"], 12.0), [atom]


def test_accepted_labels_are_data_and_refused_ones_are_quarantined_with_the_reason(written):
    frames, labels, atoms, atom_labels = written
    accepted, quarantined, record = collect(frames, labels, atoms, atom_labels)
    assert [f.info["config_type"] for f in accepted] == ["IsolatedAtom", "rattle", "rattle"]
    assert accepted[1].info["REF_energy"] == -860.0
    np.testing.assert_allclose(accepted[1].arrays["REF_forces"][0], [0.1, 0.2, 0.3])
    (refused,) = quarantined
    assert refused.info["uid"] == frames[1].info["uid"]
    assert refused.info["reason"] == "no convergence in 80 iterations"
    assert "REF_energy" not in refused.info
    assert record["by_generation"] == [
        {"generation": 0, "requested": 2, "accepted": 1, "quarantined": 1},
        {"generation": 1, "requested": 1, "accepted": 1, "quarantined": 0},
    ]
    assert record["recovered"] == 1
    assert record["cpu_hours"] == pytest.approx((1.8 + 3.6 + 3.6 + 1.8) / 3600)
    assert record["isolated_atoms_ev"] == {"Si": -101.9}


def test_the_quarantine_survives_a_file(written, tmp_path):
    _, quarantined, _ = collect(*written)
    write_frames(tmp_path / "q.extxyz", quarantined)
    (back,) = read_frames(tmp_path / "q.extxyz")
    assert back.info["reason"] == "no convergence in 80 iterations"


def test_a_damaged_label_file_is_named(written):
    frames, labels, atoms, atom_labels = written
    text = labels[0].read_text()
    labels[0].write_text(text[: len(text) // 2])
    with pytest.raises(InputFileError, match=labels[0].name):
        collect(frames, labels, atoms, atom_labels)
    broken = json.loads(text)
    broken["forces"] = broken["forces"][:3]
    labels[0].write_text(json.dumps(broken))
    with pytest.raises(InputFileError, match=labels[0].name):
        collect(frames, labels, atoms, atom_labels)


def test_frames_with_vacuum_keep_no_stress_and_moments_and_spin_states_are_told(tmp_path):
    slab = bulk("Si", cubic=True)
    slab.center(vacuum=8.0, axis=2)
    frames = [frame(1), new_frame(slab, origin="t", config_type="surface")]
    moments = good().model_copy(update={"magmoms": [0.5, -0.25, *[0.0] * 6]})
    labels = [tmp_path / f"{one.info['uid']}.json" for one in frames]
    write_label(labels[0], good())
    write_label(labels[1], moments)
    states = [{"moment": 2, "energy_ev": -101.9, "kept": True, "outcome": "ok", "reason": "converged"}]
    write_label(tmp_path / "Si.json", good(natoms=1).model_copy(update={"settings": {"spin_states": states}}))
    accepted, _, record = collect(frames, labels, isolated_atoms(["Si"], 12.0), [tmp_path / "Si.json"])
    atom, crystal, surface = accepted
    assert "REF_stress" in crystal.info
    assert "REF_stress" not in surface.info
    assert "REF_stress" not in atom.info
    np.testing.assert_allclose(surface.arrays["REF_magmoms"][:2], [0.5, -0.25])
    assert record["without_stress"] == 1
    assert record["site_moment_range"] == [-0.25, 0.5]
    assert record["isolated_atoms_spin"] == {"Si": states}


def test_a_label_of_another_structure_is_refused(written):
    frames, labels, atoms, atom_labels = written
    write_label(labels[0], good().model_copy(update={"uid": "fother"}))
    with pytest.raises(DataError, match="fother"):
        collect(frames, labels, atoms, atom_labels)


def test_labels_of_different_dft_settings_are_never_mixed(written):
    frames, labels, atoms, atom_labels = written
    write_label(labels[0], good().model_copy(update={"settings": {"surface": {"ecutwfc_ry": 20}}}))
    with pytest.raises(DataError, match="different DFT settings"):
        collect(frames, labels, atoms, atom_labels)


def settings(folder, **change):
    values = {
        "pseudo_dir": [str(folder)], "pseudopotentials": {"Si": "Si.UPF"}, "ecutwfc_ry": 20, "ecutrho_ry": 80,
        "kmesh": [1, 1, 1], "smearing": "gaussian", "degauss_ry": 0.005, "nspin": 1, "starting_magnetization": {},
        "kspacing_per_angstrom": 0.2,
    }  # fmt: skip
    return Labelling(**(values | change))


def test_without_pw_x_the_campaign_stops_with_the_remedy_and_writes_nothing(tmp_path):
    (tmp_path / "Si.UPF").write_text(PSEUDO)
    one = frame(1)
    write_frames(tmp_path / "f.extxyz", [one])
    out = tmp_path / "out"
    with pytest.raises(ConfigurationFault, match="Install Quantum ESPRESSO"):
        label_frame(
            tmp_path / "f.extxyz", one.info["uid"], settings(tmp_path, command="no-such-pw.x"),
            label_file=out / "a.json", raw_file=out / "a.pwo",
        )  # fmt: skip
    assert not out.exists()


def test_a_frame_with_colliding_atoms_is_refused_without_a_run(tmp_path):
    (tmp_path / "Si.UPF").write_text(PSEUDO)
    atoms = bulk("Si", cubic=True)
    atoms.positions[1] = atoms.positions[0] + [0.5, 0, 0]
    one = new_frame(atoms, origin="t", config_type="rattle")
    write_frames(tmp_path / "f.extxyz", [one])
    label = label_frame(
        tmp_path / "f.extxyz", one.info["uid"], settings(tmp_path, command="true"),
        label_file=tmp_path / "a.json", raw_file=tmp_path / "a.pwo",
    )  # fmt: skip
    assert not label.accepted
    assert label.kind == "structure"
    assert read_label(tmp_path / "a.json") == label
    assert (tmp_path / "a.pwo").read_text().startswith("No espresso run")


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_machine_that_fails_the_first_run_of_all_stops_the_campaign(tmp_path):
    (tmp_path / "Si.UPF").write_text(PSEUDO)
    write_frames(tmp_path / "f.extxyz", isolated_atoms(["Si"], 12.0))
    dying = script(tmp_path / "pw.x", "kill -9 $$")
    with pytest.raises(ConfigurationFault, match=r"IsolatedAtom Si.*killed by signal 9"):
        label_frame(
            tmp_path / "f.extxyz", "Si", settings(tmp_path, command=dying),
            label_file=tmp_path / "Si.json", raw_file=tmp_path / "Si.pwo",
        )  # fmt: skip
    assert not (tmp_path / "Si.json").exists()


def test_a_launcher_that_mpi_refuses_stops_the_campaign(tmp_path):
    (tmp_path / "Si.UPF").write_text(PSEUDO)
    one = frame(1)
    write_frames(tmp_path / "f.extxyz", [one])
    refusing = script(
        tmp_path / "pw.x", "echo 'The application appears to have been direct launched using \"srun\"' >&2; exit 1"
    )
    with pytest.raises(ConfigurationFault, match="never started"):
        label_frame(
            tmp_path / "f.extxyz", one.info["uid"], settings(tmp_path, command=refusing),
            label_file=tmp_path / "a.json", raw_file=tmp_path / "a.pwo",
        )  # fmt: skip


def test_a_plain_pw_x_does_not_take_itself_for_a_rank_of_a_slurm_step(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("PMI_RANK", "0")
    printing = script(tmp_path / "pw.x", "env")
    run_process([printing], tmp_path, 10)
    plain = (tmp_path / "pw.out").read_text()
    run_process(["env", printing], tmp_path, 10)
    launched = (tmp_path / "pw.out").read_text()
    assert "SLURM_STEP_ID" not in plain
    assert "PMI_RANK" not in plain
    assert "OMP_NUM_THREADS=1" in plain
    assert "SLURM_STEP_ID=0" in launched


def test_an_unknown_frame_is_named(tmp_path):
    write_frames(tmp_path / "f.extxyz", [frame(1)])
    with pytest.raises(DataError, match="f0000"):
        label_frame(
            tmp_path / "f.extxyz", "f0000", settings(tmp_path), label_file=tmp_path / "a.json", raw_file=tmp_path / "a"
        )
