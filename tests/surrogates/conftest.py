"""Surrogates of these tests: SevenNet-0 from its package, and a small MACE model with random weights."""

import pytest
from mace_models import write_mace

from mlip_autopipec.surrogates import load_surrogate


@pytest.fixture(scope="session")
def sevennet():
    return load_surrogate("sevennet-0", device="cpu")


@pytest.fixture(scope="session")
def mace_file(tmp_path_factory):
    return write_mace(tmp_path_factory.mktemp("mace") / "random.model")


@pytest.fixture(scope="session")
def mace(mace_file):
    return load_surrogate(str(mace_file), device="cpu")
