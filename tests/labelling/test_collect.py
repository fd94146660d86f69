"""Labels meet their frames; what was refused is kept with its reason."""

import json

import numpy as np
import pytest
from ase.build import bulk

from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.frames import new_frame, read_frames, write_frames
from mlip_autopipec.labelling.collect import collect
from mlip_autopipec.labelling.labeller import Attempt, Label, write_label
from mlip_autopipec.structures.reference import isolated_atoms


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


def test_labels_that_were_not_started_are_counted_apart(written):
    frames, labels, atoms, atom_labels = written
    write_label(
        labels[1],
        bad().model_copy(update={"kind": "budget", "outcome": "budget_spent", "reason": "the budget is spent"}),
    )
    accepted, quarantined, record = collect(frames, labels, atoms, atom_labels)
    assert len(accepted) == 3
    assert quarantined == []
    assert (record["requested"], record["accepted"], record["quarantined"], record["not_started"]) == (2, 2, 0, 1)


def test_branch_and_moments_go_onto_the_frame_and_through_a_file(written, tmp_path):
    frames, labels, atoms, atom_labels = written
    spin = {"branch": "high", "total_magnetization": 4.4, "magmoms": [0.55] * 8}
    write_label(labels[0], good().model_copy(update=spin))
    accepted, _, record = collect(frames, labels, atoms, atom_labels)
    write_frames(tmp_path / "d.extxyz", accepted)
    back = read_frames(tmp_path / "d.extxyz")[1]
    assert back.info["branch"] == "high"
    assert back.info["total_magnetization"] == pytest.approx(4.4)
    np.testing.assert_allclose(back.arrays["REF_magmoms"], 0.55)
    assert "branch" not in accepted[2].info
    assert record["branches"] == {"high": 1}


def test_labels_of_several_versions_of_the_engine_are_told(written):
    frames, labels, atoms, atom_labels = written
    assert not any("versions" in said for said in collect(*written)[2]["warnings"])
    write_label(labels[0], good().model_copy(update={"engine_version": "7.3"}))
    (said,) = [one for one in collect(frames, labels, atoms, atom_labels)[2]["warnings"] if "versions" in one]
    assert "espresso 6.7 (2), espresso 7.3 (1)" in said


def test_a_label_that_does_not_hold_what_it_must_is_quarantined_with_the_reason(written):
    frames, labels, atoms, atom_labels = written
    write_label(labels[0], good().model_copy(update={"last_band_occupation": 0.4}))
    accepted, quarantined, record = collect(frames, labels, atoms, atom_labels)
    assert [one.info["outcome"] for one in quarantined] == ["last_band_occupied", "scf_not_converged"]
    assert "too few bands" in record["quarantine"][0]["reason"]
    assert len(accepted) == 2
