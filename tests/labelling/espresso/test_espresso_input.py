"""The pw.x input: the same surface for every frame, isolated atoms apart, wrong settings refused."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.io.espresso import read_espresso_in

from mlip_autopipec.config.full import Labelling
from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import new_frame
from mlip_autopipec.labelling.espresso.input import pw_input
from mlip_autopipec.labelling.espresso.magnetic import State, atom_state, spin_states, starting_states
from mlip_autopipec.labelling.espresso.settings import EspressoSettings
from mlip_autopipec.structures.reference import isolated_atoms

PLAIN = State("unpolarised")
UPF = """<UPF version="2.0.1">
<PP_HEADER element="{0}" pseudo_type="NC" functional="{1}" z_valence="{2}" wfc_cutoff="0" rho_cutoff="0"/>
"""


@pytest.fixture
def section(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "Si.upf").write_text(UPF.format("Si", "SLA PZ NOGX NOGC", "4.0"))
    (tmp_path / "H.upf").write_text(UPF.format("H", "SLA PZ NOGX NOGC", "1.0"))
    return {
        "engine": "espresso",  # keys of other readers are left aside
        "pseudo_dir": [str(tmp_path)],
        "pseudopotentials": {"Si": "Si.upf", "H": "H.upf"},
        "ecutwfc_ry": 20.0,
        "ecutrho_ry": 80.0,
        "kmesh": [2, 2, 2],
        "kshift": [1, 1, 1],
        "smearing": "gaussian",
        "degauss_ry": 0.005,
    }


def value(text: str, key: str) -> str:
    match = re.search(rf"^\s*{re.escape(key)}\s*=\s*(\S+)", text, re.M)
    assert match, f"{key} is not in the input"
    return match[1]


def test_frame_is_written_exactly(section: dict[str, object]) -> None:
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.set_cell([[5.43, 0.1, 0.0], [0.0, 5.43, 0.0], [0.0, 0.0, 5.43]])
    text = pw_input(atoms, EspressoSettings.from_config(section), state=PLAIN)
    back = read_espresso_in(io.StringIO(text))
    assert list(back.symbols) == list(atoms.symbols)
    np.testing.assert_allclose(back.positions, atoms.positions, atol=1e-10)
    np.testing.assert_allclose(back.cell.array, atoms.cell.array, atol=1e-10)
    assert "K_POINTS automatic\n2 2 2 1 1 1\n" in text
    assert (value(text, "nosym"), value(text, "tprnfor"), value(text, "tstress")) == (".true.", ".true.", ".true.")
    assert (value(text, "smearing"), float(value(text, "degauss"))) == ("'gaussian'", 0.005)
    assert float(value(text, "conv_thr")) == pytest.approx(8e-9), "the threshold is per atom"


def test_surface_does_not_depend_on_the_frame(section: dict[str, object]) -> None:
    settings = EspressoSettings.from_config(section)
    keys = ("ecutwfc", "ecutrho", "smearing", "degauss", "nspin", "occupations", "nosym")
    small, large = (pw_input(bulk("Si", a=a, cubic=True), settings, state=PLAIN) for a in (5.0, 6.0))
    assert [value(small, key) for key in keys] == [value(large, key) for key in keys]


def test_rungs_change_numerics_only(section: dict[str, object]) -> None:
    settings = EspressoSettings.from_config(section)
    text = pw_input(
        bulk("Si"), settings, state=PLAIN, changes={"mixing_beta": 0.1, "mixing_mode": "local-TF", "nbnd": 12}
    )
    system, electrons = text.split("&electrons")
    assert (float(value(electrons, "mixing_beta")), value(electrons, "mixing_mode")) == (0.1, "'local-TF'")
    assert value(system, "nbnd") == "12"


def test_isolated_atom_has_its_moment_whole_electrons_and_gamma_only(section: dict[str, object]) -> None:
    settings = EspressoSettings.from_config(section)
    atom = isolated_atoms(["Si"], 12.0)[0]
    text = pw_input(atom, settings, state=atom_state(2))
    assert "K_POINTS gamma" in text
    assert (value(text, "nspin"), float(value(text, "tot_magnetization"))) == ("2", 2.0)
    assert value(text, "occupations") == "'fixed'"
    assert "degauss" not in text
    assert float(value(text, "starting_magnetization(1)")) == 0.5
    assert float(value(text, "conv_thr")) == 2e-6
    smeared = pw_input(atom, settings, state=atom_state(2, whole=False))
    assert float(value(smeared, "degauss")) == 0.001
    paired = pw_input(atom, settings, state=atom_state(0))
    assert value(paired, "nspin") == "1"
    assert "magnetization" not in paired
    hydrogen = pw_input(isolated_atoms(["H"], 12.0)[0], settings, state=atom_state(1))
    assert -1 < float(value(hydrogen, "starting_magnetization(1)")) < 1


@pytest.mark.parametrize(
    ("symbol", "valence", "moments"),
    [
        ("H", 1, [1]),
        ("He", 2, [0]),
        ("O", 6, [2, 0]),
        ("Si", 4, [2, 0, 4]),
        ("Al", 3, [1, 3]),
        ("Mg", 2, [0, 2]),
        ("Ar", 8, [0]),
        ("Fe", 16, [4, 2, 0]),
        ("Cr", 14, [6, 4, 0]),
        ("Gd", 11, [1, 3]),  # 4f in the core: the table's 8 unpaired electrons are not there
    ],
)
def test_spin_states_are_hunds_and_its_neighbours_as_the_shell_allows(symbol, valence, moments) -> None:
    assert spin_states(symbol, valence) == moments


def mesh_line(atoms, section, **change) -> str:
    return (
        pw_input(atoms, EspressoSettings.from_config(section | change), state=PLAIN)
        .split("CELL_PARA")[0]
        .splitlines()[-1]
    )


def test_without_a_mesh_each_cell_has_its_own_and_strained_cells_keep_it(section: dict[str, object]) -> None:
    own = {"kmesh": None, "kspacing_per_angstrom": 0.3, "kshift": [0, 0, 0]}
    cell = new_frame(bulk("Si", cubic=True, a=5.43), origin="t", config_type="crystal")
    assert mesh_line(cell, section, **own) == "4 4 4 0 0 0"  # 2 pi / (5.43 x 0.3) = 3.86
    assert mesh_line(cell, section, **own | {"kshift": [1, 0, 1]}) == "4 4 4 1 0 1"
    small = cell.copy()
    small.set_cell(cell.cell * 0.9, scale_atoms=True)
    assert mesh_line(new_frame(small, origin="t", config_type="strain", like=cell), section, **own) == "4 4 4 0 0 0"
    assert mesh_line(new_frame(small, origin="t", config_type="crystal"), section, **own) == "5 5 5 0 0 0"
    assert mesh_line(small, section, **own) == "4 4 4 0 0 0"  # a copy keeps the distances of its frame
    bare = bulk("Si", cubic=True, a=4.887)
    assert mesh_line(bare, section, **own) == "5 5 5 0 0 0"
    primitive = new_frame(bulk("Si", a=5.43), origin="t", config_type="crystal")
    assert mesh_line(primitive, section, **own) == "7 7 7 0 0 0"  # planes 3.135 A apart: 6.68


def test_directions_with_vacuum_have_one_point(section: dict[str, object]) -> None:
    own = {"kmesh": None, "kspacing_per_angstrom": 0.3, "kshift": [1, 1, 1]}
    slab = bulk("Si", cubic=True, a=5.43)
    slab.center(vacuum=8.0, axis=2)
    assert mesh_line(new_frame(slab, origin="t", config_type="surface"), section, **own) == "4 4 1 1 1 0"
    box = new_frame(molecule("SiH4", vacuum=6.0), origin="t", config_type="molecule")
    box.pbc = True
    assert mesh_line(box, section, **own) == "K_POINTS gamma"


def test_one_point_without_a_shift_is_gamma(section: dict[str, object]) -> None:
    cell = bulk("Si", cubic=True)
    assert mesh_line(cell, section, kmesh=[1, 1, 1], kshift=[0, 0, 0]) == "K_POINTS gamma"
    assert mesh_line(cell, section, kmesh=[1, 1, 1], kshift=[1, 0, 0]) == "1 1 1 1 0 0"


@pytest.mark.parametrize("kmesh", [None, [2, 2, 2]])
def test_the_surface_of_a_label_is_the_surface_of_the_config(section: dict[str, object], kmesh) -> None:
    spin = {"kmesh": kmesh, "kspacing_per_angstrom": 0.25, "nspin": 2, "starting_magnetization": {"Si": 0.2, "H": 0.0}}
    spin["magnetic_states"] = ["high", "antiferro"]
    config = Labelling(**(section | spin))
    surface = EspressoSettings.from_config(config.model_dump()).surface()
    assert json.loads(json.dumps(surface)) == json.loads(json.dumps(config.surface()))
    assert EspressoSettings.from_config(config.model_dump() | {"nspin": 1}).surface() != surface


def test_atoms_of_one_element_that_start_apart_become_species(section: dict[str, object]) -> None:
    settings = EspressoSettings.from_config(section)
    atoms = bulk("Si", cubic=True)
    atoms.symbols[2] = "H"
    moments = (1.0, 1.0, 0.0, -1.0, 1.0, -1.0, -1.0, -1.0)
    text = pw_input(atoms, settings, state=State("antiferro", moments))
    assert (value(text, "ntyp"), value(text, "nspin")) == ("3", "2")
    assert [float(value(text, f"starting_magnetization({n})")) for n in (1, 2, 3)] == [0.25, -0.25, 0.0]
    species = text.split("ATOMIC_SPECIES\n")[1].splitlines()[:3]
    assert [line.split()[0] for line in species] == ["Si1", "Si2", "H"]
    assert [line.split()[2] for line in species] == ["Si.upf", "Si.upf", "H.upf"]
    names = [line.split()[0] for line in text.split("ATOMIC_POSITIONS angstrom\n")[1].splitlines()]
    assert names == ["Si1", "Si1", "H", "Si2", "Si1", "Si2", "Si2", "Si2"]
    assert list(read_espresso_in(io.StringIO(text)).symbols) == list(atoms.symbols)


def test_equal_moments_keep_the_elements_name(section: dict[str, object]) -> None:
    text = pw_input(bulk("Si"), EspressoSettings.from_config(section), state=State("high", (1.0, 1.0)))
    assert "ATOMIC_SPECIES\nSi 28" in text
    assert float(value(text, "starting_magnetization(1)")) == 0.25


def test_moments_stay_fractions_inside_one(section: dict[str, object]) -> None:
    text = pw_input(bulk("Si"), EspressoSettings.from_config(section), state=State("high", (9.0, -9.0)))
    assert [float(value(text, f"starting_magnetization({n})")) for n in (1, 2)] == [0.9, -0.9]


def test_more_species_than_pw_takes_are_refused(section: dict[str, object]) -> None:
    atoms = bulk("Si", cubic=True) * (2, 1, 1)
    state = State("neighbours", tuple(0.1 * n for n in range(16)))
    with pytest.raises(ConfigurationFault, match="16 species"):
        pw_input(atoms, EspressoSettings.from_config(section), state=state)


def test_a_frame_without_magnetic_atoms_is_computed_without_spin(section: dict[str, object]) -> None:
    settings = EspressoSettings.from_config({**section, "nspin": 2, "starting_magnetization": {"H": 0.4}})
    (state,) = starting_states(bulk("Si"), settings)
    assert value(pw_input(bulk("Si"), settings, state=state), "nspin") == "1"


def test_time_of_one_run_may_be_shorter_than_the_settings(section: dict[str, object]) -> None:
    settings = EspressoSettings.from_config(section)
    assert value(pw_input(bulk("Si"), settings, state=PLAIN), "max_seconds") == "7200"
    assert value(pw_input(bulk("Si"), settings, state=PLAIN, max_seconds=5), "max_seconds") == "5"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"smearing": "warm"}, "labelling.smearing"),
        ({"nspin": 2, "starting_magnetization": {"Si": 1.5}}, r"not inside \(-1, 1\)"),
        ({"ecutwfc_ry": None}, "not complete"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    section: dict[str, object], change: dict[str, object], message: str
) -> None:
    changed = {key: value for key, value in {**section, **change}.items() if value is not None}
    with pytest.raises(ConfigurationFault, match=message):
        EspressoSettings.from_config(changed)


def test_element_without_pseudopotential_is_refused(section: dict[str, object]) -> None:
    with pytest.raises(ConfigurationFault, match=r"labelling\.pseudopotentials\.Ge"):
        pw_input(bulk("Ge"), EspressoSettings.from_config(section), state=PLAIN)
