"""Which parents a formula gets: structure types, sublattices that elements share, or a refusal that says why."""

import pytest

from mlip_autopipec.config import cautions, expand
from mlip_autopipec.errors import ConfigError
from mlip_autopipec.structures.prototype_table import TABLE
from mlip_autopipec.structures.prototypes import assignments


def whole(composition, **more):
    return expand({"composition": composition, "labelling": {"pseudo_dir": ["nowhere"]}, **more})[0]


@pytest.mark.parametrize("prototype", TABLE, ids=lambda prototype: f"{prototype.name}-{prototype.example}")
def test_every_structure_type_is_proposed_for_its_example(prototype):
    # A molecular element is made of molecules unless the user says that its crystal is meant.
    more = {"class": "covalent"} if prototype.example == "I" else {}
    assert prototype.name in whole(prototype.example, **more).structures.prototypes


# Ground states, from the Inorganic Crystal Structure Database's usual textbook entries, not from the rules.
GROUND_STATES = {
    "Y2O3": "D5_3", "In2O3": "D5_3", "Ga2O3": "beta-Ga2O3", "Al2O3": "D5_1", "La2O3": "D5_2", "Mg3N2": "D5_3",
    "Fe3C": "D0_11", "Ti2AlC": "MAX", "Fe4N": "L'1", "LaB6": "D2_1", "TiB2": "C32", "TiN": "B1", "WC": "B_h",
    "PdH": "B1", "TiH2": "C1", "BiI3": "D0_5", "CrI3": "D0_5", "VCl3": "D0_5", "CdCl2": "C19", "FeS2": "C2",
    "MoS2": "C7", "Mg2SiO4": "S1_2", "FeTiO3": "E2_2", "ZrSiO4": "zircon", "CaCO3": "G0_1", "SnSe": "B16",
    "PbTe": "B1", "CoSb3": "D0_2", "GaN": "B4", "BaO2": "C11_a", "Cu2O": "C3", "BaFCl": "E0_1", "Li3Bi": "D0_3",
    "AlN": "B4", "NiAl": "B2", "MoSi2": "C11_b", "K2PtCl6": "J1_1", "Mn3GaN": "E2_1", "CuAlO2": "delafossite",
}  # fmt: skip


@pytest.mark.parametrize("composition", GROUND_STATES)
def test_the_ground_state_is_among_the_types(composition):
    config = whole(composition)
    assert GROUND_STATES[composition] in config.structures.prototypes
    assert len(config.structures.prototypes) <= 12
    assert config.material_class[0] != "molecular"


def test_types_that_are_proposed_hold_the_formula():
    for composition in [*GROUND_STATES, "PdH0.5", "CoCrFeMnNi", "FePt", "SrTiO3"]:
        config = whole(composition)
        for name in config.structures.prototypes:
            assert any(assignments(p, config.amounts) for p in TABLE if p.name == name), (composition, name)


def test_light_atoms_are_never_put_on_a_metals_lattice():
    for composition in ("PdH0.5", "TiC", "TiC0.5N0.5", "Fe4N", "Ti2AlC", "Mo2C"):
        structures = whole(composition).structures
        assert structures.sqs_lattices == []
        assert not {"C14", "C15", "C16", "L1_0", "L1_2", "L2_1", "B2", "D1_a"} & set(structures.prototypes)
    assert whole("PdH0.5").structures.sources == ["prototypes", "random"]


@pytest.mark.parametrize(
    ("composition", "real", "shared"),
    [
        ("Al0.3Ga0.7As", "B3", 0.3),
        ("Mg0.9Fe0.1O", "B1", 0.1),
        ("TiC0.5N0.5", "B1", 0.5),
        ("PbTe0.5Se0.5", "B1", 0.5),
        ("NaCl0.5Br0.5", "B1", 0.5),
        ("Ba0.5Sr0.5TiO3", "E2_1", 0.5),
    ],
)
def test_shared_sites_are_mixed_on_the_types_of_the_compound(composition, real, shared):
    structures = whole(composition).structures
    assert structures.sources == ["sqs"]
    assert structures.sqs_lattices == []
    assert real in structures.prototypes
    sites = sum(whole(composition).amounts.values())
    assert len(structures.sqs_atoms) == 2
    for atoms in structures.sqs_atoms:
        units = atoms / sites
        assert units == round(units)
        assert abs(round(shared * units) / units - shared) < 0.02
        assert atoms <= structures.atoms_max


@pytest.mark.parametrize(
    ("composition", "says"),
    [
        ("Fe0.99C0.01", "composition: Fe'"),
        ("CoCrFeMnNiC0.1", "holes"),
        ("Zr0.9Y0.1O1.95", "must be empty"),
        ("Fe0.95O", "must be empty"),
        ("Nd2Fe14B", "17 atoms"),
        ("Ca3Al2Si3O12", "20 atoms"),
    ],
)
def test_what_nothing_can_hold_is_refused_and_a_structure_mends_it(composition, says, tmp_path):
    with pytest.raises(ConfigError, match=says) as refused:
        whole(composition)
    assert "structure: my.cif" in str(refused.value)
    if composition == "Nd2Fe14B":
        from ase import Atoms

        cell = Atoms("Nd2Fe14B", positions=[(3.0 * k, 0, 0) for k in range(17)], cell=[51, 6, 6], pbc=True)
        cell.write(tmp_path / "cell.vasp")
        given = {"structure": str(tmp_path / "cell.vasp"), "labelling": {"pseudo_dir": ["nowhere"]}}
        assert expand(given)[0].structures.sources == ["structure"]


def test_random_search_alone_is_said_and_has_larger_cells():
    alone, listed = whole("YBa2Cu3O7"), whole("SrTiO3")
    assert alone.structures.sources == ["random"]
    assert alone.structures.random_atoms_max > listed.structures.random_atoms_max == 20
    assert any("random crystals" in caution for caution in cautions(alone))
    assert not any("random crystals" in caution for caution in cautions(listed))


def test_noble_gases_mix_on_close_packed_lattices():
    structures = whole("Ar0.5Kr0.5").structures
    assert (structures.sources, structures.sqs_lattices) == (["sqs"], ["fcc", "hcp"])
