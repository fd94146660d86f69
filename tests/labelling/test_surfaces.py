"""Settings of labels compared: other physics is seen, what an older version did not write down is no other physics."""

import pytest

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.frames import new_frame
from mlip_autopipec.labelling.labeller import Label, write_label
from mlip_autopipec.labelling.store import Store
from mlip_autopipec.labelling.surfaces import differences, mixture
from mlip_autopipec.structures.reference import isolated_atoms

VALUES = {
    "pseudo_dir": [], "pseudopotentials": {"Si": "Si.UPF"}, "ecutwfc_ry": 20, "ecutrho_ry": 80, "kmesh": [1, 1, 1],
    "smearing": "gaussian", "degauss_ry": 0.005, "nspin": 1, "starting_magnetization": {}, "magnetic_states": [],
    "kspacing_per_angstrom": 0.2, "pseudopotential_md5": {"Si": "aa"},
}  # fmt: skip
NEW_KEYS = ("pseudopotential_md5", "magnetic_states")


def surface(**change):
    return Labelling(**(VALUES | change)).surface()


def older(**change):
    return {key: value for key, value in surface(**change).items() if key not in NEW_KEYS}


def test_an_older_label_without_spin_is_on_the_same_surface():
    assert differences(older(), surface()) == {}
    assert mixture([older(), surface(), older()]) == ""


@pytest.mark.parametrize(
    ("before", "change", "told"),
    [
        (older(), {"ecutwfc_ry": 25}, {"ecutwfc_ry": (20, 25)}),
        (surface(), {"pseudopotential_md5": {"Si": "bb"}}, {"pseudopotential_md5": ({"Si": "aa"}, {"Si": "bb"})}),
        (older(), {"nspin": 2, "magnetic_states": ["high"]}, {"nspin": (1, 2), "magnetic_states": ([], ["high"])}),
        ({"engine": "espresso"} | surface() | {"hubbard": 4}, {}, {"hubbard": (4, None)}),
    ],
)
def test_other_physics_is_named(before, change, told):
    assert differences(before, surface(**change)) == told


def test_an_older_label_with_spin_is_made_again():
    spin = {"nspin": 2, "starting_magnetization": {"Si": 0.5}}
    for states in (["high"], ["high", "antiferro"]):
        now = surface(**spin, magnetic_states=states)
        assert differences(older(**spin), now) == {"magnetic_states": (None, states)}


def test_settings_that_a_label_lacks_count_as_other_ones():
    without = {key: value for key, value in surface().items() if key != "ecutwfc_ry"}
    assert differences(without, surface()) == {"ecutwfc_ry": (None, 20)}
    assert mixture([without, surface()]) == "ecutwfc_ry: unknown and 20.0"


def test_an_older_label_does_not_hide_that_files_differ():
    kinds = [surface(), older(), surface(pseudopotential_md5={"Si": "bb"})]
    assert mixture(kinds) == "pseudopotential_md5: {Si: aa} and {Si: bb}"


def test_a_finished_label_of_an_older_version_is_kept_and_one_of_other_physics_is_not(tmp_path):
    frame = new_frame(isolated_atoms(["Si"], 12.0)[0], origin="t", config_type="rattle")
    made = Label(
        accepted=True, outcome="ok", kind="ok", reason="", natoms=1, uid=frame.info["uid"], energy_ev=-1.0,
        forces=[(0, 0, 0)], stress=(0,) * 6, engine="espresso", settings={"surface": older()},
    )  # fmt: skip
    kept = Store(tmp_path, "gen0", Labelling(**VALUES))
    write_label(kept.label_file(frame.info["uid"]), made)
    assert kept.finished(frame) is not None
    assert Store(tmp_path, "gen0", Labelling(**(VALUES | {"ecutwfc_ry": 25}))).finished(frame) is None
