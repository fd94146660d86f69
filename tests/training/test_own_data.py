"""A user's own labelled data: found under any usual name, judged frame by frame, explained in words."""

from itertools import pairwise

import numpy as np
import pytest
from argon import argon_calculator, argon_frames
from ase import Atoms
from ase.build import bulk
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write

from mlip_autopipec.config import expand, expand_with_data
from mlip_autopipec.errors import ConfigError, DataError, InputFileError
from mlip_autopipec.frames import ENERGY, FORCES, ISOLATED_ATOM, STRESS
from mlip_autopipec.training.own_data import import_data


def relabelled(frames, energy="REF_energy", forces="REF_forces", stress="REF_stress"):
    """Copies without our bookkeeping, with labels under other names."""
    renamed = []
    for frame in frames:
        copy = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
        copy.info[energy] = frame.info[ENERGY]
        copy.arrays[forces] = frame.arrays[FORCES].copy()
        if stress:
            copy.info[stress] = frame.info[STRESS]
        renamed.append(copy)
    return renamed


def imported(path, seed=1, composition=None, **training):
    """What the rule `import_data` would write for this config."""
    config, _ = expand({"training": {"dataset": str(path), "check_consistency": False, "test_fraction": 0} | training})
    return import_data(config.training, composition, seed)


@pytest.fixture
def argon():
    return relabelled(argon_frames(12, seed=3))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "my_data.extxyz"


def reasons(found):
    return {one["name"].split("@")[1]: one["reason"] for one in found.record["quarantine"]}


@pytest.mark.parametrize(
    ("energy", "forces", "stress"),
    [
        ("REF_energy", "REF_forces", "REF_stress"),
        ("dft_energy", "dft_forces", "dft_stress"),
        ("Energy", "force", "stress"),
        ("free_energy", "forces", "stress"),
    ],
)
def test_labels_are_found_under_usual_names(path, energy, forces, stress):
    frames = argon_frames(6)
    write(path, relabelled(frames, energy, forces, stress), format="extxyz")
    found = imported(path)
    assert found.record["files"][str(path)]["keys"] == {"energy": energy, "forces": forces, "stress": stress}
    for before, after in zip(frames, found.dataset, strict=True):
        assert after.info[ENERGY] == pytest.approx(before.info[ENERGY], abs=1e-8)
        np.testing.assert_allclose(after.arrays[FORCES], before.arrays[FORCES], atol=1e-7)
        np.testing.assert_allclose(after.info[STRESS], before.info[STRESS], atol=1e-8)
        assert after.info["uid"] == before.info["uid"]


def test_labels_under_an_unusual_name_are_stated(path, argon):
    write(path, relabelled(argon_frames(6), "pbe_u", "pbe_f", ""), format="extxyz")
    with pytest.raises(DataError, match=r"no energy found.*training\.energy_key.*pbe_u"):
        imported(path)
    with pytest.raises(DataError, match=r"energy_key = 'pbe_e' is in no frame.*Names there: pbe_f, pbe_u"):
        imported(path, energy_key="pbe_e")
    assert imported(path, energy_key="pbe_u", forces_key="pbe_f").record["accepted"] == 6


def test_results_of_a_calculator_and_of_an_ase_database_are_labels(tmp_path):
    frames, bare = argon_frames(6), []
    for frame in frames:
        bare.append(Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True))
        results = {"energy": frame.info[ENERGY], "forces": frame.arrays[FORCES], "stress": frame.info[STRESS]}
        bare[-1].calc = SinglePointCalculator(bare[-1], **results)
    write(tmp_path / "a.xyz", bare, format="extxyz")
    for name in ("a.db", "a.json"):
        with connect(tmp_path / name) as database:
            for atoms in bare:
                database.write(atoms)
    for name in ("a.xyz", "a.db", "a.json"):
        found = imported(tmp_path / name)
        assert found.record["accepted"] == 6, name
        assert found.record["with_stress"] == 6, name
        energies = [frame.info[ENERGY] for frame in found.dataset]
        np.testing.assert_allclose(energies, [frame.info[ENERGY] for frame in frames], atol=1e-7)


def test_a_virial_is_minus_the_stress_times_the_volume(path):
    frames = argon_frames(6)
    copies = relabelled(frames, stress="")
    for frame, copy in zip(frames, copies, strict=True):
        xx, yy, zz, yz, xz, xy = -frame.info[STRESS] * frame.get_volume()
        copy.info["virial"] = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    write(path, copies, format="extxyz")
    found = imported(path)
    for before, after in zip(frames, found.dataset, strict=True):
        np.testing.assert_allclose(after.info[STRESS], before.info[STRESS], atol=1e-7)
    for copy in copies:
        copy.info["REF_stress"] = copy.info["virial"]
    write(path, copies, format="extxyz")
    with pytest.raises(DataError, match="REF_stress and virial of frame 0 disagree"):
        imported(path)
    assert imported(path, stress_key="none", virial_key="none").record["with_stress"] == 0


def test_a_reference_goes_before_what_another_potential_predicted_and_equals_are_no_question(path, argon):
    for frame in argon:
        frame.info["energy"] = 7.0
        frame.info["DFT_energy"] = frame.info["REF_energy"]
    write(path, argon, format="extxyz")
    assert imported(path).record["files"][str(path)]["keys"]["energy"] == "DFT_energy"
    for frame in argon:
        frame.info["DFT_energy"] += 1.0
    write(path, argon, format="extxyz")
    with pytest.raises(DataError, match=r"DFT_energy \(12 of 12 frames\), REF_energy \(12 of 12 frames\)"):
        imported(path)


def test_every_bad_frame_is_named_with_its_fault_and_the_rest_is_used(path, argon):
    argon[0].positions[1] = argon[0].positions[0] + [0.3, 0, 0]
    argon[1].arrays["REF_forces"][2, 1] = np.nan
    argon[2].info.pop("REF_energy")
    argon[3].arrays["REF_forces"][0] = [80.0, 0, 0]
    argon[4].info["REF_energy"] = np.inf
    argon[5].info["REF_stress"] = np.arange(5.0)
    argon[6].arrays.pop("REF_forces")
    again = argon[7].copy()
    contradicting = argon[8].copy()
    contradicting.info["REF_energy"] += 1.0
    write(path, [*argon, again, contradicting], format="extxyz")
    text = path.read_text().splitlines()
    text[-1] = text[-1].rsplit(maxsplit=1)[0] + " ********"  # Fortran's way to write a number that is too wide
    path.write_text("\n".join([*text, "3", 'Lattice="1 0 0 0 1 0 0 0 1"']) + "\n")  # and a file that ends too soon
    found = imported(path)
    said = reasons(found)
    for number, words in {
        "0": "atoms too close: two atoms are 0.300 A apart",
        "1": "not a number: a force (REF_forces) on atom 2",
        "2": "missing label: it has no energy (REF_energy)",
        "3": "large force: the force on atom 0 is 80 eV/A",
        "4": "not a number: its energy (REF_energy) is inf",
        "5": "wrong shape: its stress (REF_stress) has 5 numbers",
        "6": "missing label: it has no forces (REF_forces)",
        "12": "duplicate: same structure and label as my_data.extxyz@7",
        "13": "unreadable: not readable (ValueError",
        "14": "unreadable: the file ends inside this frame",
    }.items():
        assert said.pop(number).startswith(words)
    assert said == {}
    assert [frame.info["origin"] for frame in found.dataset] == [f"my_data.extxyz frame {k}" for k in (7, 8, 9, 10, 11)]
    assert len(found.quarantine) == 8  # what could not be read is in the record alone
    assert all(frame.info["reason"] and frame.info["uid"] for frame in found.quarantine)


def test_labels_that_contradict_each_other_are_both_refused(path, argon):
    other = argon[0].copy()
    other.info["REF_energy"] += 1.0
    write(path, [*argon, other], format="extxyz")
    assert reasons(imported(path)) == {
        "0": "contradicting labels: same structure as my_data.extxyz@12, but the energies differ by 0.25 eV/atom",
        "12": "contradicting labels: same structure as my_data.extxyz@0, but the energies differ by 0.25 eV/atom",
    }


def test_data_that_are_all_bad_give_one_message_with_counts(path, argon):
    for k, frame in enumerate(argon):
        frame.info["REF_energy"] = np.nan
        if k % 3 == 0:
            frame.arrays["REF_forces"][0, 0] = np.inf
            frame.info.pop("REF_energy")
    write(path, argon, format="extxyz")
    with pytest.raises(DataError, match=r"only 0 of 12 frames .* 8 x not a number, 4 x missing label"):
        imported(path)


def test_forces_in_other_units_are_a_question_and_no_quarantine(path, argon):
    for frame in argon:
        frame.arrays["REF_forces"] *= 1e5
    write(path, argon, format="extxyz")
    with pytest.raises(DataError, match=r"12 of 12 frames .* have forces above .* convert them to eV/A"):
        imported(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "has no frame"), ("hello\n", "line 1 must be the number of atoms of frame 0, not 'hello'")],
)
def test_a_file_that_is_no_xyz_is_one_message(path, text, says):
    path.write_text(text)
    with pytest.raises(InputFileError, match=says):
        imported(path)


def test_a_missing_file_and_a_wrong_composition_are_one_message(path, argon):
    with pytest.raises(ConfigError, match=r"training\.dataset' = .*no such file"):
        imported(path)
    write(path, argon, format="extxyz")
    with pytest.raises(DataError, match="composition = 'KrAr', but the data are of Ar"):
        imported(path, composition="KrAr")


def silicon(number, shift=lambda k: 0.0, **scales):
    """Silicon-like frames of a soft pair potential, with total energies around -4 eV/atom; units may be wrong."""
    random = np.random.default_rng(5)
    frames = []
    for k in range(number):
        atoms = bulk("Si", "diamond", a=5.43 * random.uniform(0.97, 1.03), cubic=True)
        atoms.positions += random.normal(scale=0.12, size=atoms.positions.shape)
        atoms.calc = MorsePotential(epsilon=1.2, r0=2.4, rho0=3.5, rcut1=1.6, rcut2=2.0)
        atoms.info["REF_energy"] = scales.get("energy", 1.0) * (atoms.get_potential_energy() + shift(k) * len(atoms))
        atoms.arrays["REF_forces"] = scales.get("forces", 1.0) * atoms.get_forces()
        atoms.info["REF_stress"] = scales.get("stress", 1.0) * atoms.get_stress()
        atoms.calc = None
        frames.append(atoms)
    return frames


def test_energies_and_forces_of_one_surface_fit_together(path):
    write(path, silicon(24), format="extxyz")
    record = imported(path, check_consistency=True).record
    assert record["quarantined"] == 0
    assert record["consistency"]["energy_slope"] == pytest.approx(1.0, abs=0.2)
    assert record["consistency"]["stress_slope"] == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("shift", [1.0, -105.0])
def test_half_of_the_energies_on_another_reference_stops_with_both_halves_named(path, shift):
    write(path, silicon(24, shift=lambda k: shift * (k % 2)), format="extxyz")
    with pytest.raises(DataError, match=r"on two references: 12 frames \(.*my_data.extxyz frames .*\) lie") as caught:
        imported(path, check_consistency=True)
    assert "12 others" in str(caught.value)


def test_a_few_energies_on_another_reference_are_refused(path):
    write(path, silicon(30, shift=lambda k: 3.0 * (k in (4, 11))), format="extxyz")
    found = imported(path, check_consistency=True)
    assert set(reasons(found)) == {"4", "11"}
    assert "other energy reference: its energy is +3" in reasons(found)["4"]


@pytest.mark.parametrize(
    ("scales", "says"),
    [
        ({"energy": 1 / 27.2114}, "most likely the energies are in Hartree"),
        ({"forces": -1.0}, "opposite sign"),
        ({"energy": 1 / 8}, "per atom"),
        ({"stress": 160.2177}, "they are in GPa;|they are in GPa\\."),
        ({"stress": -1.0}, "opposite sign"),
    ],
)
def test_other_units_and_signs_are_recognised_by_the_forces(path, scales, says):
    write(path, silicon(24, **scales), format="extxyz")
    with pytest.raises(DataError, match=says):
        imported(path, check_consistency=True)
    assert imported(path, check_consistency=False).record["quarantined"] == 0


def test_isolated_atoms_are_the_zero_of_energy(path):
    atom = Atoms("Si", cell=[12, 12, 12], pbc=True)
    atom.info["REF_energy"] = -100.0
    write(path, [atom, *silicon(10, shift=lambda k: -104.0)], format="extxyz")
    found = imported(path, check_consistency=True)
    assert found.dataset[0].info["config_type"] == ISOLATED_ATOM
    assert found.record["accepted"] == 10
    inferred = found.record["inferred"]["training.reference_energies_ev"]
    assert inferred["value"] == {"Si": -100.0}
    assert inferred["by"] == "energies_of_isolated_atoms"
    atom.info["REF_energy"] = 0.0
    write(path, [atom, *silicon(10, shift=lambda k: -104.0)], format="extxyz")
    with pytest.raises(DataError, match=r"isolated atoms .* are on two references"):
        imported(path, check_consistency=True)


def test_without_isolated_atoms_the_reference_is_explained(path):
    write(path, silicon(10), format="extxyz")
    bound = imported(path).record
    assert bound["inferred"]["training.reference_energies_ev"]["value"] == {"Si": 0.0}
    assert "relative_to_free_atoms" in bound["inferred"]["training.reference_energies_ev"]["by"]
    write(path, silicon(10, shift=lambda k: -105.0), format="extxyz")
    total = imported(path).record
    assert total["inferred"]["training.reference_energies_ev"]["value"]["Si"] < -100
    assert any("No energy of an isolated Si atom" in said for said in total["user_warnings"])
    given = imported(path, reference_energies_ev={"Si": -103.0}).record
    assert given["inferred"]["training.reference_energies_ev"]["value"] == {"Si": -103.0}


def test_references_of_two_elements_are_fitted_to_the_composition(path):
    random, frames = np.random.default_rng(0), []
    for k in range(12):
        atoms = bulk("Cu", "fcc", a=3.8, cubic=True)
        atoms.symbols[: 1 + k % 3] = "Au"
        atoms.positions += random.normal(scale=0.05, size=(4, 3))
        atoms.info["energy"] = -50.0 * list(atoms.symbols).count("Cu") - 30.0 * list(atoms.symbols).count("Au")
        atoms.arrays["forces"] = np.zeros((4, 3))
        frames.append(atoms)
    write(path, frames, format="extxyz")
    found = imported(path)
    assert found.record["elements"] == ["Au", "Cu"]
    assert found.record["inferred"]["composition"]["value"] == "AuCu"
    value = found.record["inferred"]["training.reference_energies_ev"]["value"]
    assert value == pytest.approx({"Cu": -50.0, "Au": -30.0})


def test_a_cluster_has_no_stress_and_that_is_said(path):
    frames = []
    for frame in argon_frames(6):
        cluster = Atoms(frame.numbers, frame.positions)
        cluster.calc = argon_calculator()
        cluster.info |= {"REF_energy": cluster.get_potential_energy(), "REF_stress": np.ones(6)}
        cluster.arrays["REF_forces"] = cluster.get_forces()
        cluster.calc = None
        frames.append(cluster)
    write(path, frames, format="extxyz")
    found = imported(path)
    assert found.record["accepted"] == 6
    assert found.record["with_stress"] == 0
    assert list(found.record["left_out"].values()) == [6]


def test_the_test_set_is_made_of_whole_blocks_and_of_the_seed(path):
    frames = relabelled(argon_frames(40, seed=2))
    for k, frame in enumerate(frames):
        frame.info["config_type"] = "liquid" if k < 30 else "solid"
    write(path, frames, format="extxyz")
    found = imported(path, test_fraction=0.2)
    numbers = [int(frame.info["origin"].split()[-1]) for frame in found.test]
    assert len(numbers) == 8
    liquid = [n for n in numbers if n < 30]
    assert len(liquid) == 6
    assert sum(b - a == 1 for a, b in pairwise(liquid)) >= 4  # two blocks of three
    assert not {f.info["uid"] for f in found.test} & {f.info["uid"] for f in found.dataset}
    assert found.record["accepted"] == 32
    assert found.test_record["accepted"] == 8
    again = imported(path, test_fraction=0.2)
    assert [f.info["uid"] for f in again.test] == [f.info["uid"] for f in found.test]
    other = [[f.info["uid"] for f in imported(path, seed=seed, test_fraction=0.2).test] for seed in (2, 3)]
    assert any(uids != [f.info["uid"] for f in found.test] for uids in other)
    assert imported(path).test == []


def test_nothing_of_a_given_test_set_is_trained_on(path, tmp_path, argon):
    write(path, argon, format="extxyz")
    write(tmp_path / "test.extxyz", argon[:3], format="extxyz")
    found = imported(path, test_dataset=str(tmp_path / "test.extxyz"))
    assert (len(found.dataset), len(found.test)) == (9, 3)
    assert reasons(found)["0"] == "in the test set: same structure as test.extxyz@0 of the test set"


def test_several_files_and_patterns_make_one_dataset(tmp_path, argon):
    write(tmp_path / "a1.extxyz", argon[:6], format="extxyz")
    write(tmp_path / "a2.extxyz", relabelled(argon_frames(5, seed=8), "energy", "forces", "stress"), format="extxyz")
    found = imported(tmp_path / "a?.extxyz")
    assert found.record["accepted"] == 11
    assert [one["keys"]["energy"] for one in found.record["files"].values()] == ["REF_energy", "energy"]


def test_lengths_come_from_the_data_unless_they_are_given(path, argon):
    write(path, argon, format="extxyz")
    inferred = imported(path).record["inferred"]
    bond = inferred["training.zbl_outer_angstrom"]["value"] / 0.72
    assert 3.2 < bond < 3.8
    assert inferred["training.cutoff_angstrom"]["value"] == pytest.approx(2.35 * bond, abs=0.06)
    assert "training.cutoff_angstrom" not in imported(path, cutoff_angstrom=6.0).record["inferred"]


def test_the_configuration_is_completed_by_the_data(path, argon, tmp_path):
    from mlip_autopipec.artifacts import write_json
    from mlip_autopipec.config.full import Training

    write(path, argon, format="extxyz")
    write_json(tmp_path / "dataset_gen0.json", imported(path).record)
    config, choices = expand_with_data({"training": {"dataset": str(path)}}, [str(tmp_path / "dataset_gen0.json")])
    assert config.elements == ["Ar"]
    assert choices["training.cutoff_angstrom"].by == "cutoff_of_2_35_bonds"
    assert Training(**config.training.model_dump()).cutoff_angstrom > 5


@pytest.mark.parametrize("key", ["stress", "virial"])
def test_six_numbers_under_the_names_of_ase_are_read(tmp_path, key):
    frames = argon_frames(6, seed=2)
    lines = []
    for frame in frames:
        six = frame.info[STRESS] * (1 if key == "stress" else -frame.get_volume())
        cell = " ".join(map(str, frame.cell.array.ravel()))
        numbers = " ".join(repr(float(x)) for x in six)
        columns = "species:S:1:pos:R:3:forces:R:3"
        labels = f'energy={frame.info[ENERGY]} {key}="{numbers}"'
        lines += [str(len(frame)), f'Lattice="{cell}" Properties={columns} {labels} pbc="T T T"']
        for position, force in zip(frame.positions, frame.arrays[FORCES], strict=True):
            lines.append("Ar " + " ".join(repr(float(x)) for x in (*position, *force)))
    (tmp_path / "data.xyz").write_text("\n".join(lines) + "\n")
    kept = imported(tmp_path / "data.xyz").dataset
    found = [frame for frame in kept if frame.info["config_type"] != ISOLATED_ATOM]
    assert len(found) == 6
    np.testing.assert_allclose(found[2].info[STRESS], frames[2].info[STRESS], atol=1e-9)
