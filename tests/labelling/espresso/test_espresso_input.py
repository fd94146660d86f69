"""The pw.x input: the same surface for every frame, isolated atoms apart, wrong settings refused."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io.espresso import read_espresso_in

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso.input import EspressoSettings, pw_input
from mlip_autopipec.structures import isolated_atoms

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
    text = pw_input(atoms, EspressoSettings.from_config(section))
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
    small, large = (pw_input(bulk("Si", a=a, cubic=True), settings) for a in (5.0, 6.0))
    assert [value(small, key) for key in keys] == [value(large, key) for key in keys]


def test_rungs_change_numerics_only(section: dict[str, object]) -> None:
    settings = EspressoSettings.from_config(section)
    text = pw_input(bulk("Si"), settings, changes={"mixing_beta": 0.1, "mixing_mode": "local-TF", "nbnd": 12})
    system, electrons = text.split("&electrons")
    assert (float(value(electrons, "mixing_beta")), value(electrons, "mixing_mode")) == (0.1, "'local-TF'")
    assert value(system, "nbnd") == "12"


def test_isolated_atom_has_hunds_moment_and_gamma_only(section: dict[str, object]) -> None:
    settings = EspressoSettings.from_config(section)
    text = pw_input(isolated_atoms(["Si"], 12.0)[0], settings, isolated=True)
    assert "K_POINTS gamma" in text
    assert (value(text, "nspin"), float(value(text, "tot_magnetization"))) == ("2", 2.0)
    assert float(value(text, "starting_magnetization(1)")) == 0.5
    assert float(value(text, "degauss")) == 0.001
    hydrogen = pw_input(isolated_atoms(["H"], 12.0)[0], settings, isolated=True)
    assert -1 < float(value(hydrogen, "starting_magnetization(1)")) < 1


def test_spin_is_started_by_element(section: dict[str, object]) -> None:
    spin = {**section, "nspin": 2, "starting_magnetization": {"H": 0.4}}
    atoms = bulk("Si")
    atoms.symbols[1] = "H"
    text = pw_input(atoms, EspressoSettings.from_config(spin))
    assert float(value(text, "starting_magnetization(1)")) == 0.0
    assert float(value(text, "starting_magnetization(2)")) == 0.4


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
        pw_input(bulk("Ge"), EspressoSettings.from_config(section))
