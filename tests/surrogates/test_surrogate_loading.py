"""A surrogate by its name, by a file, by an import path: loaded for one thread, or refused in one sentence."""

import hashlib
import os
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from mlip_autopipec.errors import ConfigError, InputFileError
from mlip_autopipec.surrogates import (
    SURROGATES,
    check_elements,
    identity,
    known_elements,
    load_surrogate,
    weights,
)


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def test_sevennet_has_pbes_silicon(sevennet):
    atoms = bulk("Si", a=5.46)
    atoms.calc = sevennet
    energies = []
    for length in (5.38, 5.46, 5.54):
        atoms.set_cell(bulk("Si", a=length).cell, scale_atoms=True)
        energies.append(atoms.get_potential_energy())
    # PBE: lattice constant 5.469 A, and -5.42 eV per atom in the Materials Project's reference
    assert energies[1] == min(energies)
    assert energies[1] / 2 == pytest.approx(-5.42, abs=0.02)


def test_a_mace_file_is_loaded_with_the_forces_of_its_energy(mace):
    atoms = silicon()
    atoms.calc = mace
    np.testing.assert_allclose(atoms.get_forces()[:2], calculate_numerical_forces(atoms, 1e-4, [0, 1]), atol=1e-7)
    np.testing.assert_allclose(atoms.get_stress(), calculate_numerical_stress(atoms, 1e-5), atol=1e-8)


def test_a_mace_file_keeps_its_precision_and_leaves_that_of_others(mace, mace_file, sevennet):
    atoms = silicon()
    before = sevennet.get_potential_energy(atoms)
    sevennet.reset()
    single = load_surrogate(str(mace_file), options={"default_dtype": "float32"})
    assert next(mace.models[0].parameters()).dtype == torch.float64
    assert next(single.models[0].parameters()).dtype == torch.float32
    assert single.get_potential_energy(atoms) == pytest.approx(mace.get_potential_energy(atoms), abs=1e-4)
    assert torch.get_default_dtype() == torch.float32
    assert sevennet.get_potential_energy(atoms) == before


def test_a_sevennet_checkpoint_by_its_path_is_sevennet(sevennet, tmp_path):
    copy = tmp_path / "mine.pth"
    shutil.copyfile(identity("sevennet-0", sevennet)["file"], copy)
    loaded = load_surrogate(str(copy))
    assert loaded.get_potential_energy(silicon()) == sevennet.get_potential_energy(silicon())
    note = identity(str(copy), loaded)
    assert (note["package"], note["licence"]) == ("sevenn", "not known here: ask those who made it")
    assert note["sha256"] == identity("sevennet-0", sevennet)["sha256"]


def test_any_ase_calculator_by_its_import_path():
    calculator = load_surrogate("ase.calculators.emt:EMT", options={"asap_cutoff": True})
    assert isinstance(calculator, EMT)
    assert calculator.parameters.asap_cutoff
    note = identity("ase.calculators.emt:EMT", calculator)
    assert (note["package"], note["options"], note["file"]) == ("ase", {"asap_cutoff": True}, "")
    other = load_surrogate("ase.calculators.emt:EMT")
    assert identity("ase.calculators.emt:EMT", other)["identity_key"] != note["identity_key"]


def test_models_run_on_one_thread(mace_file):
    torch.set_num_threads(2)
    load_surrogate(str(mace_file))
    assert torch.get_num_threads() == 1


def test_importing_mace_does_not_make_torch_trust_files():
    # mace sets this for the whole process: every torch.load would then run what a file holds
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ


def test_the_record_says_what_was_loaded(sevennet, mace, mace_file):
    note = identity("sevennet-0", sevennet)
    assert note["version"].startswith("0.1")
    assert (note["licence"], note["device"], note["repulsion"]) == ("MIT", "cpu", "")
    assert note["sha256"] == hashlib.sha256(Path(note["file"]).read_bytes()).hexdigest()
    assert note["identity_key"].startswith("sevennet-0-")
    other = identity(str(mace_file), mace)
    assert (other["package"], other["file"]) == ("mace-torch", str(mace_file))
    assert other["identity_key"].startswith("random-")


def test_the_key_is_the_models_wherever_its_file_lies(mace, mace_file, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    copy = shutil.copyfile(mace_file, folder / "random.model")
    key = identity(str(mace_file), mace)["identity_key"]
    assert identity(str(copy), load_surrogate(str(copy)))["identity_key"] == key
    single = load_surrogate(str(copy), options={"default_dtype": "float32"})
    assert identity(str(copy), single)["identity_key"] != key


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sevenet-0", "no such surrogate.*Did you mean 'sevennet-0'"),
        ("mace_mp", "no such surrogate.*Did you mean 'mace-mp'"),
        ("", "no such surrogate"),
        ("ase.calculators.emt:ETM", "has no ETM.*Did you mean 'EMT'"),
        ("no_such_package.calculators:Model", "the package no_such_package is not installed"),
        ("json:dumps", "surrogate_options.*cannot be made with them"),
    ],
)
def test_a_name_that_stands_for_nothing(name, said):
    with pytest.raises(ConfigError, match=said) as caught:
        load_surrogate(name)
    assert caught.value.key.startswith("exploration.surrogate")


def test_weights_that_are_not_here_are_one_sentence_with_the_way_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=r"not here.*fetch mace-mp.*sevennet-0"):
        load_surrogate("mace-mp")


def test_the_default_mace_is_loaded_from_the_cache(tmp_path, monkeypatch, mace_file):
    # The real weights have 79 MB: the random model stands in their place, with its own checksum.
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path))
    contents = mace_file.read_bytes()
    stand_in = SURROGATES["mace-mp"].__class__(
        **{
            **vars(SURROGATES["mace-mp"]),
            "sha256": hashlib.sha256(contents).hexdigest(),
            "size_bytes": len(contents),
        }
    )
    monkeypatch.setitem(SURROGATES, "mace-mp", stand_in)
    place = weights.weights_path("mace-mp")
    place.parent.mkdir()
    place.write_bytes(contents)
    calculator = load_surrogate("mace-mp")
    note = identity("mace-mp", calculator)
    assert (note["title"], note["licence"], note["file"]) == ("MACE-MPA-0 medium", "MIT", str(place))
    assert next(calculator.models[0].parameters()).dtype == torch.float32
    place.write_bytes(contents[:-1] + bytes([contents[-1] ^ 1]))
    with pytest.raises(InputFileError, match=r"SHA-256.*fetch mace-mp"):
        load_surrogate("mace-mp")


@pytest.mark.parametrize("upper", [False, True])
def test_a_checksum_that_is_asked_for_is_compared_before_the_file_is_loaded(mace_file, tmp_path, upper):
    digest = hashlib.sha256(mace_file.read_bytes()).hexdigest()
    load_surrogate(str(mace_file), sha256=digest.upper() if upper else digest)
    trap = tmp_path / "trap.model"
    torch.save({"model_state_dict": Trap(tmp_path / "ran"), "config": {}}, trap)
    with pytest.raises(InputFileError, match="its SHA-256 is"):
        load_surrogate(str(shutil.copyfile(mace_file, tmp_path / "copy.model")), sha256="0" * 64)
    with pytest.raises(InputFileError, match="its SHA-256 is"):
        load_surrogate(str(trap), sha256=digest)
    assert not (tmp_path / "ran").exists()


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nothing", "no such file"),
        ("folder", "a folder"),
        ("text", "no model file of PyTorch"),
        ("empty", "no model file of PyTorch"),
        ("cut", "cut short"),
        ("damaged", "damaged: "),
        ("tensors", "neither a model of MACE nor a checkpoint of SevenNet"),
        ("deployed", "TorchScript"),
        ("part", "mace-torch cannot load it .TypeError: a LinearReadoutBlock"),
        ("checkpoint", "sevenn cannot load it"),
    ],
)
def test_a_file_that_is_no_model_is_one_sentence(what, said, mace_file, mace, tmp_path):
    path = tmp_path / "some.model"
    if what == "folder":
        path.mkdir()
    elif what == "text":
        path.write_text("an error page of some server\n")
    elif what == "empty":
        path.touch()
    elif what == "cut":
        path.write_bytes(mace_file.read_bytes()[:-5000])
    elif what == "damaged":  # PyTorch loads it, with other weights
        path.write_bytes(with_other_weights(mace_file))
    elif what == "tensors":
        torch.save({"weights": torch.ones(3)}, path)
    elif what == "deployed":
        torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    elif what == "part":
        torch.save(mace.models[0].readouts[0], path)
    elif what == "checkpoint":
        torch.save({"model_state_dict": {}, "config": {}}, path)
    with pytest.raises(InputFileError, match=said) as caught:
        load_surrogate(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def with_other_weights(path):
    """The bytes of a model file after one byte of its largest tensor has changed."""
    contents = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
        start = contents.index(archive.read(largest))
    contents[start + largest.file_size // 2] ^= 1
    return bytes(contents)


def test_a_checksum_that_a_named_surrogate_does_not_have_is_the_configs_fault():
    with pytest.raises(InputFileError, match=r"Mend exploration\.surrogate_sha256, or leave it out") as caught:
        load_surrogate("sevennet-0", sha256="0" * 64)
    assert "fetch" not in str(caught.value)


def test_a_device_that_does_not_reach_the_calculator_is_refused():
    with pytest.raises(ConfigError, match=r"exploration.device' = 'cuda'.*surrogate_options"):
        load_surrogate("ase.calculators.emt:EMT", device="cuda")


def test_an_option_that_the_calculator_does_not_take(mace_file):
    with pytest.raises(ConfigError, match=r"surrogate_options.default_type.*Did you mean 'default_dtype'"):
        load_surrogate(str(mace_file), options={"default_type": "float32"})
    with pytest.raises(ConfigError, match=r"labelling.calculator_options.modle"):
        load_surrogate("sevennet-0", options={"modle": "x"}, options_key="labelling.calculator_options")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_not_used_in_silence(mace_file):
    with pytest.raises(ConfigError, match=r"exploration.device.*sees no GPU"):
        load_surrogate(str(mace_file), device="cuda")
    with pytest.raises(ConfigError, match="no such device"):
        load_surrogate(str(mace_file), device="gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_same_energies(mace_file, mace):
    on_gpu = load_surrogate(str(mace_file))
    assert identity("", on_gpu)["device"] == "cuda"
    assert on_gpu.get_potential_energy(silicon()) == pytest.approx(mace.get_potential_energy(silicon()), abs=1e-8)


def test_a_missing_package_is_named(monkeypatch, mace_file):
    monkeypatch.setitem(__import__("sys").modules, "mace.calculators", None)
    with pytest.raises(ConfigError, match="the package mace-torch cannot be used"):
        load_surrogate(str(mace_file))


def test_an_energy_alone_is_the_same_energy_without_the_gradient(sevennet, mace):
    for calculator, cost in ((sevennet, 0.6), (mace, 0.95)):
        ratios = []
        for seed in range(4):
            atoms = bulk("Si", cubic=True)
            atoms.rattle(0.1, seed=seed)
            begin = time.process_time()
            energy = calculator.get_property("energy", atoms)
            middle = time.process_time()
            assert set(calculator.results) == {"energy", "free_energy"}
            calculator.get_property("forces", atoms)
            ratios.append((middle - begin) / (time.process_time() - middle))
            assert calculator.results["energy"] == pytest.approx(energy, rel=1e-7)
            assert "stress" in calculator.results
        assert np.median(ratios) < cost


def test_elements_are_those_in_the_models_own_list(sevennet, mace):
    assert known_elements(mace) == {"O", "Si", "Cu"}
    assert len(known_elements(sevennet)) == 89
    check_elements(mace, ["Si", "O"])
    check_elements(sevennet, ["Si", "U"])
    check_elements(EMT(), ["Po"])
    with pytest.raises(ConfigError, match=r"does not know Na, Au.*it knows O, Si, Cu"):
        check_elements(mace, ["Au", "Si", "Na"])
    with pytest.raises(ConfigError, match=r"sevennet-0.*does not know Po.*all up to Lr but Po, At, Rn"):
        check_elements(sevennet, ["Po", "Si"])


def test_single_atoms_and_crystals_alike(mace, sevennet):
    for calculator in (mace, sevennet):
        atom = Atoms("Si", cell=[12, 12, 12], pbc=True, calculator=calculator)
        assert np.isfinite(atom.get_potential_energy())
        np.testing.assert_allclose(atom.get_forces(), 0, atol=1e-6)
