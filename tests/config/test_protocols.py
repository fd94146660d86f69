"""The protocols fast, balanced and stringent: what they set, and what an override changes."""

import pytest

from mlip_autopipec.config import expand

KEYS = ("kspacing_per_angstrom", "smearing", "degauss_ry", "conv_thr_ry_per_atom")
NOWHERE = {"pseudo_dir": ["nowhere"]}


def labelling(composition, **written):
    return expand({"composition": composition, "labelling": NOWHERE | written})[0].labelling


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("fast", (0.30, "cold", 0.02, 4e-10)),
        ("balanced", (0.15, "cold", 0.01, 2e-10)),
        ("stringent", (0.10, "cold", 0.01, 1e-10)),
    ],
)
def test_a_metal_has_the_values_of_the_protocol(protocol, expected):
    found = labelling("Al", protocol=protocol)
    assert tuple(getattr(found, key) for key in KEYS) == expected


@pytest.mark.parametrize("composition", ["Si", "MgO", "H2O", "Ar", "NiO", "TiO2", "GaAs", "C"])
def test_where_there_may_be_a_gap_the_smearing_stays_narrow_and_the_mesh_follows_the_protocol(composition):
    fast, balanced, stringent = (labelling(composition, protocol=p) for p in ("fast", "balanced", "stringent"))
    assert {(one.smearing, one.degauss_ry) for one in (fast, balanced, stringent)} == {("gaussian", 0.005)}
    assert fast.kspacing_per_angstrom > balanced.kspacing_per_angstrom > stringent.kspacing_per_angstrom
    assert fast.conv_thr_ry_per_atom > balanced.conv_thr_ry_per_atom > stringent.conv_thr_ry_per_atom


@pytest.mark.parametrize(
    ("composition", "spacing"), [("Al", 0.15), ("Si", 0.2), ("MgO", 0.3), ("H2O", 0.5), ("NiO", 0.2)]
)
def test_the_default_is_balanced(composition, spacing):
    found = labelling(composition)
    assert found == labelling(composition, protocol="balanced")
    assert found.kspacing_per_angstrom == spacing


def test_the_protocol_chooses_the_library_and_its_cutoffs():
    balanced, fast, stringent = (labelling("MgO", protocol=p) for p in ("balanced", "fast", "stringent"))
    assert balanced.pseudopotentials == fast.pseudopotentials
    assert balanced.pseudopotentials["Mg"] == "Mg.pbe-n-kjpaw_psl.0.3.0.UPF"
    assert stringent.pseudopotentials["Mg"] == "mg_pbe_v1.4.uspp.F.UPF"
    assert (balanced.ecutwfc_ry, stringent.ecutwfc_ry) == (50, 75)  # oxygen's, the same file in both


@pytest.mark.parametrize(
    ("key", "value"),
    [("kspacing_per_angstrom", 0.33), ("degauss_ry", 0.017), ("conv_thr_ry_per_atom", 3e-8), ("ecutwfc_ry", 77.0)],
)
def test_an_override_changes_what_depends_on_it_alone(key, value):
    before, after = (
        labelling("Al", protocol="stringent").model_dump(),
        labelling("Al", protocol="stringent", **{key: value}).model_dump(),
    )
    changed = {name for name in before if before[name] != after[name]}
    assert changed == ({key, "ecutrho_ry"} if key == "ecutwfc_ry" else {key})
    assert after[key] == value


def test_an_unknown_protocol_is_one_message():
    from mlip_autopipec.errors import ConfigError

    with pytest.raises(ConfigError, match=r"labelling\.protocol"):
        labelling("Al", protocol="precise")
