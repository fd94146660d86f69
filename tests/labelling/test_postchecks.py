"""What an accepted label must still show; each check is met by one label that lacks just that."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlip_autopipec.frames import new_frame
from mlip_autopipec.labelling.labeller import Label
from mlip_autopipec.labelling.postchecks import Limits, postcheck


def crystal():
    return new_frame(bulk("Cu", cubic=True), origin="t", config_type="rattle")


def dimer():
    atoms = Atoms("N2", [[5, 5, 5], [5, 5, 6.0]], cell=[10] * 3, pbc=True)
    return new_frame(atoms, origin="t", config_type="dimer")


def label(force=1.0, natoms=4, net=0.0, **change):
    forces = np.zeros((natoms, 3))
    forces[0, 0], forces[1, 0] = force, -force + net
    values = {
        "accepted": True, "outcome": "ok", "kind": "ok", "reason": "", "natoms": natoms, "energy_ev": -1.0,
        "forces": forces.tolist(), "stress": (0.0,) * 6, "engine": "espresso",
    }  # fmt: skip
    return Label(**(values | change))


SPIN = {"settings": {"surface": {"nspin": 2}}, "branch": "high"}


@pytest.mark.parametrize(
    "good",
    [
        label(), label(24.0), label(**SPIN, magmoms=[1.0] * 4), label(scf_correction_ev_per_angstrom=0.04),
        label(last_band_occupation=0.01), label(scf_accuracy_ry=9e-11, conv_thr_ry=1e-10),
        label(stress=None, without_stress="the calculator has none"),
    ],
)  # fmt: skip
def test_good_labels_pass(good):
    assert postcheck(crystal(), good, Limits()) is None


@pytest.mark.parametrize(
    ("spoilt", "outcome"),
    [
        (label(**SPIN), "no_moments"),
        (label(last_band_occupation=0.3), "last_band_occupied"),
        (label(scf_accuracy_ry=3e-10, conv_thr_ry=1e-10), "scf_accuracy_above_threshold"),
        (label(scf_correction_ev_per_angstrom=0.06), "scf_correction_too_large"),
        (label(net=0.5), "net_force"),
        (label(30.0), "force_too_large"),
    ],
)
def test_what_a_label_lacks_is_named(spoilt, outcome):
    found = postcheck(crystal(), spoilt, Limits())
    assert found is not None
    assert found[0] == outcome


def test_molecules_and_pressed_pairs_may_have_larger_forces_than_an_open_crystal():
    assert postcheck(dimer(), label(30.0, natoms=2), Limits()) is None
    assert postcheck(dimer(), label(60.0, natoms=2), Limits()) is not None
    pressed = bulk("Cu", cubic=True)
    pressed.positions[0] += 0.32 * (pressed.positions[1] - pressed.positions[0])
    frame = new_frame(pressed, origin="t", config_type="melt")
    assert postcheck(frame, label(30.0), Limits()) is None


def test_bonds_of_molecules_in_a_liquid_may_have_large_forces_and_shorter_ones_are_not_better_off():
    oxygen = Atoms("O2", [[0, 0, 0], [1.02, 0, 0]], cell=[3.4, 3.2, 3.2], pbc=True)  # 38 eV/A there
    frame = new_frame(oxygen, origin="t", config_type="melt")
    assert postcheck(frame, label(38.0, natoms=2), Limits()) is None
    assert postcheck(frame, label(51.0, natoms=2), Limits()) is not None
    oxide = new_frame(bulk("MgO", "rocksalt", a=4.21), origin="t", config_type="rattle")
    found = postcheck(oxide, label(30.0, natoms=2), Limits())
    assert found is not None  # its oxygens are not bonded to each other
    assert "half of" in found[2]


def test_a_label_that_is_refused_stays_what_it_is():
    refused = Label(accepted=False, outcome="x", kind="physics", reason="", natoms=4, engine="espresso")
    assert postcheck(crystal(), refused, Limits()) is None
