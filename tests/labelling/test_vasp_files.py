"""VASP's input as it is written, its output as it is read: on files, never with a real VASP."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read
from vasp_files import data_sets, outcar, program, vasprun

from mlip_autopipec.config import expand
from mlip_autopipec.errors import ConfigError, ConfigurationFault
from mlip_autopipec.frames import ISOLATED_ATOM, new_frame
from mlip_autopipec.labelling import engines
from mlip_autopipec.labelling.plausible import Bounds
from mlip_autopipec.labelling.vasp_input import ediff_ev, write_input
from mlip_autopipec.labelling.vasp_output import judge, read_vasp

SETS = {"Cu": ("Cu", 11.0), "Au": ("Au", 11.0), "Fe": ("Fe", 8.0), "Fe_pv": ("Fe", 14.0), "O": ("O", 6.0)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VASP_PP_PATH", str(data_sets(tmp_path / "sets", SETS)))
    return tmp_path


def settings_of(composition, **labelling):
    return expand({"composition": composition, "labelling": {"engine": "vasp", **labelling}})[0].labelling


def frame_of(atoms, config_type="rattle", **more):
    return new_frame(atoms, origin="t", config_type=config_type, **more)


@pytest.fixture
def mixed():
    """CuAu with its atoms in mixed order, as no POSCAR has them."""
    atoms = Atoms("CuAuCuAu", scaled_positions=[[0, 0, 0], [0.5, 0, 0.5], [0.5, 0.5, 0], [0, 0.5, 0.5]], cell=[3.9] * 3)
    atoms.pbc = True
    atoms.rattle(0.08, seed=4)
    return frame_of(atoms)


def incar_of(folder):
    words = [line.split("=", 1) for line in (folder / "INCAR").read_text().splitlines() if "=" in line]
    return {key.strip(): value.strip() for key, value in words}


def test_the_input_asks_for_a_single_point_with_forces_and_stress(folder, mixed):
    settings = settings_of("CuAu", kspacing_per_angstrom=0.3)
    order = write_input(mixed, settings, folder / "run")
    incar = incar_of(folder / "run")
    assert (incar["NSW"], incar["IBRION"], incar["ISIF"], incar["ISYM"]) == ("0", "-1", "2", "0")
    assert float(incar["ENCUT"]) == pytest.approx(520, abs=0.01)
    assert float(incar["EDIFF"]) == pytest.approx(4 * settings.conv_thr_ry_per_atom * 13.6057, rel=5e-3)  # 3 digits
    assert (incar["ISMEAR"], float(incar["SIGMA"])) == ("1", pytest.approx(0.2, abs=1e-3))
    assert incar["LREAL"] == ".FALSE."
    assert "MAGMOM" not in incar
    kpoints = (folder / "run" / "KPOINTS").read_text().split()
    assert kpoints[-6:-3] == ["6", "6", "6"]  # 2 pi / (3.9 A x 0.3 1/A) = 5.4
    written = read(folder / "run" / "POSCAR")
    assert order == [0, 2, 1, 3]
    assert list(written.symbols) == ["Cu", "Cu", "Au", "Au"]
    np.testing.assert_allclose(written.positions, mixed.positions[order], atol=1e-9)
    titles = [line.split()[3] for line in (folder / "run" / "POTCAR").read_text().splitlines() if "TITEL" in line]
    assert titles == ["Cu", "Au"]


@pytest.mark.parametrize("name", ["Fe", "Fe_pv"])
def test_moments_start_high_whatever_valence_the_data_set_has(folder, name):
    settings = settings_of("Fe", pseudopotentials={"Fe": name})
    assert settings.starting_magnetization == {"Fe": 4.0}  # high spin, Bohr magnetons
    write_input(frame_of(bulk("Fe")), settings, folder / "run")
    incar = incar_of(folder / "run")
    assert (incar["ISPIN"], incar["MAGMOM"]) == ("2", "1*4.0000")
    assert f"PAW_PBE {name} " in (folder / "run" / "POTCAR").read_text()
    written = settings_of("Fe", starting_magnetization={"Fe": -2.5})
    write_input(frame_of(bulk("Fe")), written, folder / "again")
    assert incar_of(folder / "again")["MAGMOM"] == "1*-2.5000"


def test_a_frame_without_moments_is_computed_without_spin(folder):
    settings = settings_of("FeO")
    assert settings.nspin == 2
    write_input(frame_of(Atoms("O2", [[0, 0, 0], [0, 0, 1.3]], cell=[8] * 3, pbc=True)), settings, folder / "run")
    incar = incar_of(folder / "run")
    assert incar["ISPIN"] == "1"
    assert "MAGMOM" not in incar


@pytest.mark.parametrize("counts", [[4, 4, 4], [3, 3, 3], [4, 3, 1]])
@pytest.mark.parametrize("shift", [[0, 0, 0], [1, 1, 1], [0, 1, 0]])
def test_the_points_are_those_of_quantum_espresso(folder, counts, shift):
    from pymatgen.io.vasp import Kpoints

    write_input(frame_of(bulk("Cu")), settings_of("Cu", kmesh=counts, kshift=shift), folder / "run")
    read_back = Kpoints.from_file(folder / "run" / "KPOINTS")
    assert read_back.style == Kpoints.supported_modes.Gamma
    assert list(read_back.kpts[0]) == counts
    for count, half, offset in zip(counts, shift, read_back.kpts_shift, strict=True):
        vasp = (np.arange(count) + offset) / count  # VASP's manual, KPOINTS, style Gamma
        espresso = np.arange(count) / count + half / (2 * count)  # manual INPUT_PW, K_POINTS automatic
        np.testing.assert_allclose(np.sort(vasp % 1), np.sort(espresso % 1), atol=1e-12)


def test_across_vacuum_the_mesh_is_not_moved(folder):
    slab = Atoms("Cu", cell=[2.6, 2.6, 20], pbc=[True, True, False])
    write_input(frame_of(slab), settings_of("Cu", kshift=[1, 1, 1]), folder / "run")
    counts, offsets = (folder / "run" / "KPOINTS").read_text().splitlines()[-2:]
    assert counts.split()[2] == "1"
    assert offsets.split() == ["0.5", "0.5", "0"]


def test_an_isolated_atom_gets_its_own_spin_one_point_and_whole_electrons(folder):
    atom = frame_of(Atoms("O", cell=[12, 12.9, 13.9], pbc=True), config_type=ISOLATED_ATOM)
    write_input(atom, settings_of("Cu"), folder / "run")
    incar = incar_of(folder / "run")
    assert incar["MAGMOM"] == "1*2.0000"
    assert (incar["ISMEAR"], float(incar["SIGMA"])) == ("0", 0.01)
    assert (folder / "run" / "KPOINTS").read_text().split()[-6:-3] == ["1", "1", "1"]


def test_own_incar_tags_are_written_and_those_of_other_keys_refused(folder, mixed):
    write_input(mixed, settings_of("CuAu", calculator_options={"ivdw": 12}), folder / "run")
    assert incar_of(folder / "run")["IVDW"] == "12"
    write_input(mixed, settings_of("CuAu", calculator_options={"algo": "Fast"}), folder / "fast")
    assert incar_of(folder / "fast")["ALGO"] == "Fast"
    with pytest.raises(ConfigError, match="other keys of the config decide this"):
        engines.make_labeller(settings_of("CuAu", calculator_options={"encut": 300}, command="true"))


@pytest.mark.parametrize(
    ("labelling", "said"),
    [
        ({}, "this does not start VASP"),
        ({"command": "no_vasp_here"}, "not found on the PATH"),
        ({"command": "true", "smearing": "cold"}, "VASP does not have it"),
        ({"command": "true", "pseudopotentials": {"Cu": "Au_pv"}}, "no data set of Cu"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(labelling, said):
    with pytest.raises((ConfigError, ConfigurationFault), match=said):
        engines.make_labeller(settings_of("CuAu", **labelling))


def test_missing_data_sets_are_all_named(folder, monkeypatch):
    config, _ = expand({"composition": "NiPt", "labelling": {"engine": "vasp", "command": "true"}})
    with pytest.raises(ConfigurationFault, match=r"missing in .*sets: Ni .*, Pt"):
        engines.check(config)
    monkeypatch.delenv("VASP_PP_PATH")
    with pytest.raises(ConfigurationFault, match="VASP_PP_PATH is not set"):
        engines.check(config)


# Reading.


def written(folder, atoms, energies=(-13.0, -14.2, -14.2), nelm=60, **more):
    forces = np.linspace(-1, 1, 3 * len(atoms)).reshape(-1, 3)
    stress = np.array([0.01, 0.02, 0.03, -0.004, 0.005, 0.006])
    (folder / "vasprun.xml").write_text(vasprun(atoms, list(energies), forces, stress, nelm))
    (folder / "OUTCAR").write_text(outcar(**more))
    return forces, stress


def test_the_numbers_are_those_that_ase_and_pymatgen_read(tmp_path, mixed):
    forces, stress = written(tmp_path, mixed, moments=[1.0, 0.5, -0.25, 0.0])
    result = read_vasp(tmp_path)
    assert (result.problem, result.version, result.energy_ev) == (None, "6.2.0", -14.2)
    np.testing.assert_allclose(result.forces, forces, atol=1e-8)
    np.testing.assert_allclose(result.stress, stress, atol=1e-8)
    assert result.site_moments == [1.0, 0.5, -0.25, 0.0]
    assert result.total_magnetization == pytest.approx(1.25)
    assert result.cpu_seconds == 20.463
    from_ase = read(tmp_path / "vasprun.xml")
    assert from_ase.get_potential_energy(force_consistent=True) == result.energy_ev
    np.testing.assert_allclose(from_ase.get_stress(), result.stress)
    from pymatgen.io.vasp import Vasprun

    other = Vasprun(tmp_path / "vasprun.xml", parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    np.testing.assert_allclose(other.ionic_steps[-1]["forces"], result.forces)
    np.testing.assert_allclose(
        -np.array(other.ionic_steps[-1]["stress"])[0, 1] / 1602.1766, result.stress[5], rtol=1e-5
    )
    assert judge(result, mixed, Bounds(), 1e-6).outcome == "ok"


@pytest.mark.parametrize(
    ("more", "outcome", "kind"),
    [
        # VASP says "EDIFF is reached" where NELM ended the loop, too
        ({"energies": (-13.0, -14.2, -14.2), "nelm": 3}, "scf_not_converged", "physics"),
        ({"said": "aborting loop EDIFF was not reached (unconverged)"}, "scf_not_converged", "physics"),
        ({"energies": (-13.0, -14.2, -14.21)}, "scf_accuracy_above_threshold", "physics"),
        ({"energies": (-14.2,)}, "scf_accuracy_above_threshold", "physics"),
        ({"ended": False}, "truncated", "infrastructure"),
    ],
)
def test_a_run_that_did_not_converge_or_end_is_no_label(tmp_path, mixed, more, outcome, kind):
    written(tmp_path, mixed, **more)
    ending = judge(read_vasp(tmp_path), mixed, Bounds(), 1e-6)
    assert (ending.outcome, ending.kind) == (outcome, kind)


def test_a_change_of_one_printed_digit_is_converged(tmp_path):
    atom = frame_of(bulk("Cu"))
    ediff = ediff_ev(atom, settings_of("Cu"))
    assert ediff == 1e-8
    written(tmp_path, atom, energies=(-13.0, -14.20000001, -14.2))
    assert judge(read_vasp(tmp_path), atom, Bounds(), ediff).outcome == "ok"
    written(tmp_path, atom, energies=(-13.0, -14.20000002, -14.2))
    assert judge(read_vasp(tmp_path), atom, Bounds(), ediff).outcome == "scf_accuracy_above_threshold"


def test_a_file_cut_anywhere_is_never_a_label(tmp_path, mixed):
    written(tmp_path, mixed)
    whole = (tmp_path / "vasprun.xml").read_text().rstrip()
    for end in np.random.default_rng(1).integers(0, len(whole) - 1, 200):
        (tmp_path / "vasprun.xml").write_text(whole[:end])
        ending = judge(read_vasp(tmp_path), mixed, Bounds(), 1e-6)
        assert (ending.outcome, ending.kind) == ("truncated", "infrastructure")


def test_numbers_too_long_for_their_field_and_other_structures_are_refused(tmp_path, mixed):
    written(tmp_path, mixed)
    text = (tmp_path / "vasprun.xml").read_text()
    (tmp_path / "vasprun.xml").write_text(text.replace("    -14.20000000", "****************"))
    assert judge(read_vasp(tmp_path), mixed, Bounds(), 1e-6).kind == "physics"
    (tmp_path / "vasprun.xml").write_text(text)
    moved = mixed.copy()
    moved.positions[1] += 0.1
    assert judge(read_vasp(tmp_path), moved, Bounds(), 1e-6).outcome == "other_structure"
    assert judge(read_vasp(tmp_path), mixed, Bounds(0.5, 1.0), 1e-6).outcome == "force_too_large"


@pytest.mark.parametrize(
    ("printed", "kind"),
    [
        ("Error reading item 'ENCUT' from file INCAR.", "configuration"),
        ("forrtl: severe (41): insufficient virtual memory", "infrastructure"),
        ("Error EDDDAV: Call to ZHEGV failed. Returncode = 8", "physics"),
        ("", "infrastructure"),
    ],
)
def test_a_run_without_output_is_judged_by_what_it_printed(tmp_path, mixed, printed, kind):
    assert judge(read_vasp(tmp_path), mixed, Bounds(), 1e-6, printed).kind == kind


# The whole way, with a program in VASP's place.


def labeller_of(folder, composition="CuAu", body="", **labelling):
    command = str(program(folder / "vasp_std", body))
    return engines.make_labeller(settings_of(composition, command=command, **labelling))


def test_forces_come_back_in_the_order_of_the_frame(folder, mixed):
    label = labeller_of(folder, body="moments = [0.1 * k for k in range(len(atoms))]").label(mixed, folder / "work")
    assert label.accepted, label.reason
    reference = mixed.copy()
    reference.calc = EMT()
    assert label.energy_ev == pytest.approx(reference.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(label.forces, reference.get_forces(), atol=1e-6)
    np.testing.assert_allclose(label.stress, reference.get_stress(), atol=1e-6)
    assert label.magmoms == pytest.approx([0.0, 0.2, 0.1, 0.3])  # files have Cu Cu Au Au, the frame Cu Au Cu Au
    assert "never run with a real VASP" in label.settings["untested"]
    assert label.output_file == "attempt_1/OUTCAR"


def test_an_unconverged_run_gets_another_minimiser_once(folder, mixed):
    body = "nelm = 60 if 'ALGO = All' in incar else 3"
    label = labeller_of(folder, body=body).label(mixed, folder / "work")
    assert label.accepted
    assert [one.outcome for one in label.attempts] == ["scf_not_converged", "ok"]
    assert label.attempts[1].changed == {"algo": "All", "nelm": 160}
    label = labeller_of(folder, body="nelm = 3").label(mixed, folder / "work")
    assert (label.accepted, label.kind, len(label.attempts)) == (False, "physics", 2)


def test_a_program_that_dies_is_the_machines_matter_and_a_wrong_input_stops_the_campaign(folder, mixed):
    label = labeller_of(folder, body="sys.exit(1)").label(mixed, folder / "work")
    assert (label.accepted, label.kind) == (False, "infrastructure")
    with pytest.raises(ConfigurationFault, match="VASP does not take its input"):
        labeller_of(folder, body="sys.exit('Error reading item ENCUT')").label(mixed, folder / "work")


def test_the_labels_say_which_surface_they_are_on(folder, mixed):
    settings = settings_of("CuAu", command=str(program(folder / "vasp_std")))
    label = engines.make_labeller(settings).label(mixed, folder / "work")
    assert label.settings["surface"] == settings.surface()
    assert settings.surface()["engine"] == "vasp"
    assert label.settings["data_sets"] == {"Cu": "PAW_PBE Cu 05Jan2001", "Au": "PAW_PBE Au 05Jan2001"}
    other = settings_of("CuAu", calculator_options={"ivdw": 12})
    assert other.surface() != settings.surface()


def test_another_data_set_in_the_same_folder_is_another_surface(folder, mixed):
    settings = settings_of("CuAu", command=str(program(folder / "vasp_std")))
    assert sorted(settings.surface()["pseudopotential_md5"]) == ["Au", "Cu"]
    potcar = folder / "sets" / "potpaw_PBE" / "Au" / "POTCAR"
    potcar.write_text(potcar.read_text().replace("05Jan2001", "04Oct2007"))
    assert settings_of("CuAu").surface() != settings.surface()
    with pytest.raises(ConfigurationFault, match=r"PAW_PBE Au 04Oct2007\) has other contents than this run's"):
        engines.make_labeller(settings).label(mixed, folder / "work")


def test_without_data_sets_the_config_still_answers(folder, monkeypatch):
    assert settings_of("NiAu").pseudopotential_md5.keys() == {"Au"}
    monkeypatch.delenv("VASP_PP_PATH")
    assert settings_of("CuAu").pseudopotential_md5 == {}
