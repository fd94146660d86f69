"""How pw.x is started: what is missing or refused is said once, before or instead of a run."""

import pytest
from ase.build import bulk

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import new_frame
from mlip_autopipec.labelling.engines import make_labeller
from mlip_autopipec.labelling.espresso.process import run_process

PSEUDO = (
    '<UPF version="2.0.1"><PP_HEADER element="Si" pseudo_type="NC" relativistic="scalar" functional="PBE" '
    'z_valence="4.0" wfc_cutoff="30.0" rho_cutoff="120.0"/></UPF>'
)


def frame():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=1)
    return new_frame(atoms, origin="t", config_type="rattle")


def settings(folder, **change):
    values = {
        "pseudo_dir": [str(folder)], "pseudopotentials": {"Si": "Si.UPF"}, "ecutwfc_ry": 20, "ecutrho_ry": 80,
        "kmesh": [1, 1, 1], "smearing": "gaussian", "degauss_ry": 0.005, "nspin": 1, "starting_magnetization": {},
        "magnetic_states": [],
        "kspacing_per_angstrom": 0.2,
    }  # fmt: skip
    return Labelling(**(values | change))


def test_without_pw_x_the_campaign_stops_with_the_remedy(tmp_path):
    (tmp_path / "Si.UPF").write_text(PSEUDO)
    with pytest.raises(ConfigurationFault, match="Install Quantum ESPRESSO"):
        make_labeller(settings(tmp_path, command="no-such-pw.x"))


def test_a_frame_with_colliding_atoms_is_refused_without_a_run(tmp_path):
    (tmp_path / "Si.UPF").write_text(PSEUDO)
    atoms = bulk("Si", cubic=True)
    atoms.positions[1] = atoms.positions[0] + [0.5, 0, 0]
    one = new_frame(atoms, origin="t", config_type="rattle")
    label = make_labeller(settings(tmp_path, command="true")).label(one, tmp_path / "a")
    assert not label.accepted
    assert label.kind == "structure"
    assert label.attempts == []


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_launcher_that_mpi_refuses_stops_the_campaign(tmp_path):
    (tmp_path / "Si.UPF").write_text(PSEUDO)
    refusing = script(
        tmp_path / "pw.x", "echo 'The application appears to have been direct launched using \"srun\"' >&2; exit 1"
    )
    with pytest.raises(ConfigurationFault, match="never started"):
        make_labeller(settings(tmp_path, command=refusing)).label(frame(), tmp_path / "a")


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
