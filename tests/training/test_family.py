"""The family's members are what the search chose, and the member of the delivered role is the delivered potential."""

import numpy as np
import pytest
from argon import argon_frames
from ase.build import bulk

from mlip_autopipec.ace import read_yaml
from mlip_autopipec.config.full import Training
from mlip_autopipec.frames import new_frame, set_label
from mlip_autopipec.potential import load_potential
from mlip_autopipec.training import train
from mlip_autopipec.training.family import cpu_us_per_atom, family

SETTINGS = Training(
    cutoff_angstrom=6.0,
    zbl_inner_angstrom=1.5,
    zbl_outer_angstrom=2.6,
    degrees=[[4, 3], [8, 5], [10, 6, 5]],
    energy_weights=[10.0],
    potential="accurate",
    fast_error_ratio=1e6,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory, labelled):
    folder = tmp_path_factory.mktemp("family")
    atom = set_label(
        new_frame(bulk("Ar", "sc", a=15), origin="t", config_type="IsolatedAtom"), 0.0, np.zeros((1, 3)), None
    )
    frames = [atom, *labelled]
    paths = {kind: folder / f"p.{kind}" for kind in ("yaml", "yace", "asi")}
    record = train(frames, SETTINGS, **paths, factor=folder / "factor.npz")
    found = family(folder / "factor.npz", record, paths["yaml"], frames, argon_frames(5, seed=9), folder / "family")
    return record, found, folder


def test_members_have_files_errors_and_costs(made):
    record, found, folder = made
    assert found["role"] == "accurate"
    assert found["members"]["fast"]["functions"] < found["members"]["accurate"]["functions"] == record["functions"]
    for role, one in found["members"].items():
        load_potential(folder / f"family/{role}.yaml", folder / f"family/{role}.asi")
        assert (folder / f"family/{role}.yace").is_file()
        assert one["cpu_us_per_atom"] > 0
        assert one["test"]["frames"] == 5
    errors = [found["members"][role]["test"]["force_rmse_mev_per_angstrom"] for role in ("fast", "accurate")]
    assert errors[1] < errors[0]


def test_the_member_of_the_delivered_role_is_the_delivered_potential(made):
    record, found, folder = made
    np.testing.assert_array_equal(
        read_yaml(folder / "p.yaml").coefficients, read_yaml(folder / "family/accurate.yaml").coefficients
    )
    assert (folder / "p.yaml").read_bytes() == (folder / "family/accurate.yaml").read_bytes()
    assert (
        found["members"]["accurate"]["train"]["energy_rmse_mev_per_atom"] == record["train"]["energy_rmse_mev_per_atom"]
    )


def test_the_cost_is_per_atom(made):
    calculator = load_potential(made[2] / "p.yaml")
    small = cpu_us_per_atom(calculator, bulk("Ar", "fcc", a=5.3, cubic=True))
    large = cpu_us_per_atom(calculator, bulk("Ar", "fcc", a=5.3, cubic=True).repeat(6))
    assert small / large == pytest.approx(1, rel=2)
