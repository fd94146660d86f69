"""What the section `exploration` of a config says becomes one calculator."""

import hashlib

import pytest
from ase.build import bulk

from mlip_autopipec.config import expand
from mlip_autopipec.errors import ConfigError, InputFileError
from mlip_autopipec.surrogates import check_invariants, chosen_surrogate, identity


def exploration(composition="Si", **more):
    return expand({"composition": composition, "exploration": more})[0].exploration


def test_file_checksum_options_and_repulsion_are_those_of_the_config(mace_file):
    digest = hashlib.sha256(mace_file.read_bytes()).hexdigest()
    settings = exploration(
        surrogate=str(mace_file), surrogate_sha256=digest, surrogate_options={"default_dtype": "float32"}, device="cpu"
    )
    calculator = chosen_surrogate(settings, ["Si"], [bulk("Si")])
    note = identity(settings.surrogate, calculator)
    assert (note["sha256"], note["options"]) == (digest, {"default_dtype": "float32"})
    assert note["repulsion"] == "ZBL below 1.76 A (Si-Si)"
    plain = chosen_surrogate(settings.model_copy(update={"repulsion": False}), ["Si"], [bulk("Si")])
    assert identity("", plain)["repulsion"] == ""
    assert identity("", chosen_surrogate(settings, ["Si"]))["repulsion"] == ""


def test_what_cannot_be_is_said_before_anything_runs(mace_file):
    with pytest.raises(ConfigError, match="does not know Au"):
        chosen_surrogate(exploration("CuAu", surrogate=str(mace_file)), ["Cu", "Au"])
    with pytest.raises(InputFileError, match="its SHA-256 is"):
        chosen_surrogate(exploration(surrogate=str(mace_file), surrogate_sha256="0" * 64), ["Si"])


def test_a_surrogate_without_invariants_is_refused_before_it_walks_for_them(mace_file):
    check_invariants(chosen_surrogate(exploration(surrogate=str(mace_file), device="cpu"), ["Si"]))
    with pytest.raises(ConfigError, match=r"sampling.descriptor' = 'surrogate'.*Write soap"):
        check_invariants(chosen_surrogate(exploration("Cu", surrogate="ase.calculators.emt:EMT"), ["Cu"]))
