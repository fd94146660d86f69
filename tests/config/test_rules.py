"""What the rules infer is what an expert would sign: physics of twenty compositions and of all elements."""

from math import isclose

import pytest
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal

from mlip_autopipec import frames
from mlip_autopipec.config import cautions, expand, missing_pseudopotentials
from mlip_autopipec.config.bonds import shortest_bonds_angstrom, usual_bond_angstrom
from mlip_autopipec.config.elements import SYMBOLS, has_pseudopotential
from mlip_autopipec.config.kinds import GENERATORS, VACUUM_ANGSTROM
from mlip_autopipec.config.rules_amounts import SHARES
from mlip_autopipec.config.structure_types import ELEMENTS, HOLES, SPECIAL, TETRAHEDRAL, TYPES
from mlip_autopipec.errors import ConfigError
from mlip_autopipec.structures import registry
from mlip_autopipec.structures.prototype_table import TABLE

# Composition: first class, its real structure among the prototypes, shortest bond of the real solid (A), its melting
# point or that of its like (K). From textbooks, not from the rules.
EXPECTED = {
    "FePt": ("alloy", "L1_0", 2.67, 1800),
    "SiO2": ("covalent", "quartz", 1.61, 1986),
    "NaCl": ("ionic", "B1", 2.82, 1074),
    "H2O": ("molecular", None, 0.96, None),
    "Al0.9Mg0.1": ("alloy", None, 2.87, 890),
    "CoCrFeMnNi": ("alloy", None, 2.53, 1600),
    "C": ("covalent", "A9", 1.42, 4500),
    "Si": ("covalent", "A4", 2.35, 1687),
    "SiGe": ("covalent", "B3", 2.40, 1450),
    "MgO": ("ionic", "B1", 2.11, 3125),
    "CaF2": ("ionic", "C1", 2.37, 1691),
    "TiO2": ("ionic", "C4", 1.95, 2116),
    "SrTiO3": ("ionic", "E2_1", 1.95, 2350),
    "GaAs": ("covalent", "B3", 2.45, 1511),
    "BN": ("covalent", "B_k", 1.45, 3000),
    "CH4": ("molecular", None, 1.09, None),
    "Ar": ("noble", "A1", 3.76, 84),
    "Fe": ("metal", "A2", 2.48, 1811),
    "Ni3Al": ("alloy", "L1_2", 2.52, 1670),
    "ZrO2": ("ionic", "C43", 2.10, 2980),
}
MAGNETIC = {"FePt", "CoCrFeMnNi", "Fe", "Ni3Al"}
LIGHT = {"SiO2", "C", "MgO", "CaF2", "TiO2", "SrTiO3", "BN", "ZrO2"}
METALS = {"FePt", "Al0.9Mg0.1", "CoCrFeMnNi", "Fe", "Ni3Al"}
ALLOYS = {"FePt", "Al0.9Mg0.1", "CoCrFeMnNi", "SiGe", "Ni3Al"}


def whole(composition, **more):
    return expand({"composition": composition, "labelling": {"pseudo_dir": ["nowhere"]}, **more})[0]


@pytest.mark.parametrize("composition", EXPECTED)
def test_twenty_compositions_get_sane_values(composition):
    first, prototype, bond, melting = EXPECTED[composition]
    config = whole(composition)
    classes, structures, training = config.material_class, config.structures, config.training
    assert first in (None, classes[0])

    assert prototype is None or prototype in structures.prototypes
    assert ("sqs" in structures.sources) == ("alloy" in classes)
    assert ("alloy" in classes) == (composition in ALLOYS)
    assert ("molecule" in structures.sources) == (classes[0] in ("molecular", "noble"))
    assert ("random" in structures.sources) == (structures.random_crystals > 0)

    assert 5.0 <= training.cutoff_angstrom <= 9.0
    assert training.zbl_outer_angstrom <= 0.75 * bond
    assert 0.5 <= training.zbl_inner_angstrom / training.zbl_outer_angstrom <= 0.7
    assert structures.vacuum_angstrom > max(training.cutoff_angstrom, VACUUM_ANGSTROM)

    expected_step = 0.5 if composition in ("H2O", "CH4") else 1.0 if composition in LIGHT else 2.0
    assert config.exploration.timestep_fs == config.simulation.timestep_fs == expected_step
    temperatures = config.exploration.temperatures_k
    assert temperatures == sorted(temperatures)
    if melting:
        assert temperatures[0] < 0.5 * melting
        assert 0.6 * melting < temperatures[-1] < 2.0 * melting
        assert structures.melt_temperature_k > 0.9 * melting
    else:
        assert max(temperatures) <= 600

    labelling = config.labelling
    assert labelling.nspin == (2 if composition in MAGNETIC else 1)
    assert bool(labelling.starting_magnetization) == (composition in MAGNETIC)
    assert labelling.smearing == ("cold" if composition in METALS else "gaussian")
    assert labelling.kspacing_per_angstrom <= (0.2 if composition in METALS else 0.5)
    assert labelling.ecutrho_ry >= 4 * labelling.ecutwfc_ry >= 80

    counts = structures.counts
    assert set(counts) == set(GENERATORS)
    assert config.active_learning.labels_first <= sum(counts.values()) <= 2.5 * config.active_learning.labels_first
    molecular = {"normal_modes", "stretches", "condensed"}
    if classes[0] == "molecular":
        assert not any(counts[name] for name in set(GENERATORS) - molecular - {"dimers", "clusters"})
    else:
        assert not any(counts[name] for name in molecular)
        assert counts["volumes"] >= 5
        assert counts["strains"] % 6 == 0
        assert counts["volumes"] + counts["strains"] <= config.active_learning.labels_first / 3
    assert 8 <= structures.atoms_max <= 64


def test_the_rules_name_what_there_is():
    assert set(GENERATORS) == set(registry.GENERATORS)
    assert frames.VACUUM_ANGSTROM == VACUUM_ANGSTROM
    assert {name for shares in SHARES.values() for name in shares} <= set(GENERATORS)
    special = [one.names for one in SPECIAL]
    lists = [*ELEMENTS.values(), *TYPES.values(), *HOLES.values(), *special, TETRAHEDRAL]
    named = {name for names in lists for name in names}
    assert named <= {prototype.name for prototype in TABLE}


@pytest.mark.parametrize("symbol", [s for s in SYMBOLS if has_pseudopotential(s)])
def test_every_element_with_an_sssp_pseudopotential_works(symbol):
    config = whole(symbol)
    assert config.labelling.pseudopotentials.keys() == {symbol}
    for fraction in config.labelling.starting_magnetization.values():
        assert 0 < fraction < 1
    assert 0 < config.training.zbl_outer_angstrom < config.training.cutoff_angstrom <= 9
    assert config.exploration.temperatures_k


def test_an_element_without_a_pseudopotential_is_refused():
    with pytest.raises(ConfigError, match="Og"):
        whole("Og")


REAL_BONDS = {
    ("Al", "metal"): bulk("Al"),
    ("Fe", "metal"): bulk("Fe"),
    ("Mg", "metal"): bulk("Mg"),
    ("Si", "covalent"): bulk("Si"),
    ("Se", "covalent"): crystal("Se", [(0.225, 0, 1 / 3)], spacegroup=152, cellpar=[4.366, 4.366, 4.954, 90, 90, 120]),
    ("GaAs", "covalent"): bulk("GaAs", "zincblende", a=5.653),
    ("SiC", "covalent"): bulk("SiC", "zincblende", a=4.36),
    ("MgO", "ionic"): bulk("MgO", "rocksalt", a=4.212),
    ("NaCl", "ionic"): bulk("NaCl", "rocksalt", a=5.64),
    ("CaF2", "ionic"): bulk("CaF2", "fluorite", a=5.463),
    ("CsCl", "ionic"): bulk("CsCl", "cesiumchloride", a=4.123),
    ("H2O", "molecular"): molecule("H2O", vacuum=4, pbc=True),
    ("CH4", "molecular"): molecule("CH4", vacuum=4, pbc=True),
    ("N2", "molecular"): molecule("N2", vacuum=4, pbc=True),
    ("CO2", "molecular"): molecule("CO2", vacuum=4, pbc=True),
}


@pytest.mark.parametrize(("formula", "material_class"), REAL_BONDS)
def test_repulsion_ends_below_the_bonds_of_real_materials(formula, material_class):
    atoms = REAL_BONDS[formula, material_class]
    amounts = {s: float(n) for s, n in atoms.symbols.formula.count().items()}
    guessed = shortest_bonds_angstrom(amounts, [material_class])
    real = neighbor_list("d", atoms, 5.0).min()
    assert 0.72 * min(guessed.values()) <= 0.75 * real
    first, second = (index[0] for index in neighbor_list("ij", atoms, real + 0.01))
    pair = "-".join(sorted((atoms.symbols[first], atoms.symbols[second])))
    assert 0.8 * real < guessed[pair] < 1.05 * real


def test_cutoffs_follow_the_bonds():
    usual = {c: usual_bond_angstrom(whole(c).amounts, whole(c).material_class)[0] for c in ("NaCl", "MgO", "Fe", "Ar")}
    for composition, real in (("NaCl", 2.82), ("MgO", 2.11), ("Fe", 2.48), ("Ar", 3.72)):
        assert isclose(usual[composition], real, rel_tol=0.03)


def test_fractions_of_a_random_alloy_fit_its_cells():
    for atoms in whole("Al0.9Mg0.1").structures.sqs_atoms:
        assert abs(round(0.1 * atoms) / atoms - 0.1) < 0.01
    for atoms in whole("CoCrFeMnNi").structures.sqs_atoms:
        assert atoms % 5 == 0


def test_more_elements_and_labels_mean_more_structures():
    def total(config):
        return sum(config.structures.counts.values())

    small = whole("Si", active_learning={"labels_first": 40})
    assert total(small) < total(whole("Si")) < total(whole("FePt")) < total(whole("CoCrFeMnNi"))
    assert whole("Si", active_learning={"label_budget": 100}).active_learning.labels_first <= 50


def test_moments_are_fractions_of_the_valence_electrons(tmp_path):
    assert whole("Fe").labelling.starting_magnetization == {"Fe": 0.25}  # 4 of SSSP's 16
    upf = '<UPF version="2.0.1"><PP_HEADER element="Fe" pseudo_type="NC" relativistic="scalar" functional="PBE" '
    (tmp_path / "Fe.x.UPF").write_text(upf + 'z_valence="8.0" wfc_cutoff="60" rho_cutoff="240"/></UPF>')
    config = expand({"composition": "Fe", "labelling": {"pseudo_dir": [str(tmp_path)]}})[0]
    assert config.labelling.starting_magnetization == {"Fe": 0.5}
    assert whole("O2").labelling.nspin == 2
    assert whole("MgO").labelling.nspin == 1
    written = expand(
        {"composition": "Ti", "labelling": {"pseudo_dir": ["nowhere"], "starting_magnetization": {"Ti": 0.1}}}
    )[0]
    assert written.labelling.nspin == 2


def upf(folder, element, functional, cutoff):
    text = f'<UPF version="2.0.1"><PP_HEADER element="{element}" pseudo_type="NC" relativistic="scalar" '
    text += f'functional="{functional}" z_valence="4.0" wfc_cutoff="{cutoff}" rho_cutoff="{4 * cutoff}"/></UPF>'
    (folder / f"{element}.{functional}.UPF").write_text(text)


def test_pseudopotentials_are_of_one_functional(tmp_path):
    upf(tmp_path, "Mg", "PZ", 20)
    upf(tmp_path, "O", "PZ", 60)
    upf(tmp_path, "O", "PBE", 70)
    written = {"composition": "MgO", "labelling": {"pseudo_dir": [str(tmp_path)]}}
    config, choices = expand(written)
    assert config.labelling.pseudopotentials == {"Mg": "Mg.PZ.UPF", "O": "O.PZ.UPF"}
    assert config.labelling.ecutwfc_ry == 60
    assert "labels are PZ's" in choices["labelling.pseudopotentials"].why
    assert any("PZ" in caution for caution in cautions(config))
    assert missing_pseudopotentials(config) == []


def test_a_named_file_decides_the_functional_of_the_others(tmp_path):
    for element in ("Ga", "As"):
        for functional in ("PBE", "PBESOL"):
            upf(tmp_path, element, functional, 40)
    labelling = {"pseudo_dir": [str(tmp_path)], "pseudopotentials": {"Ga": "Ga.PBESOL.UPF"}}
    config = expand({"composition": "GaAs", "labelling": labelling})[0]
    assert config.labelling.pseudopotentials == {"Ga": "Ga.PBESOL.UPF", "As": "As.PBESOL.UPF"}


def test_without_pseudopotentials_sssp_is_named_and_said_to_be_missing():
    config, choices = expand({"composition": "NaCl", "labelling": {"pseudo_dir": ["nowhere"]}})
    assert config.labelling.pseudopotentials == {"Na": "na_pbe_v1.5.uspp.F.UPF", "Cl": "cl_pbe_v1.4.uspp.F.UPF"}
    assert (config.labelling.ecutwfc_ry, config.labelling.ecutrho_ry) == (40, 320)
    assert "NOT INSTALLED" in choices["labelling.pseudopotentials"].why
    missing = missing_pseudopotentials(config)
    assert len(missing) == 2
    assert "na_pbe_v1.5.uspp.F.UPF" in missing[0]
    assert "not installed" in missing[0]


@pytest.mark.parametrize(
    ("composition", "says"),
    [
        ("Gd", "f electrons"),
        ("UO2", "f electrons"),
        ("Au", "spin-orbit"),
        ("NiO", "+U"),
        ("Ar", "dispersion"),
        ("C", "dispersion"),
        ("H2O", "hydrogen bonds"),
        ("Fe", "magnetic order"),
        ("At", "does not know At"),
    ],
)
def test_limits_of_the_method_are_said(composition, says):
    assert any(says in caution for caution in cautions(whole(composition)))


def test_silicon_needs_no_caution_but_its_missing_file():
    (only,) = cautions(whole("Si"))
    assert "missing" in only
