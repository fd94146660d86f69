"""Fixtures of all tests. Helpers to import live in modules of their own: every folder's conftest.py has one name."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test fetches pseudopotentials from the network, or depends on what this user has fetched.
os.environ["MLIP_AUTOPIPEC_SSSP_URL"] = "http://127.0.0.1:9/{archive}"
os.environ["MLIP_AUTOPIPEC_CACHE"] = os.path.join(os.path.dirname(__file__), "no-cache")

import pytest
from argon import argon_frames
from ase import Atoms


@pytest.fixture(scope="session")
def labelled() -> list[Atoms]:
    return argon_frames(40)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs go first: they take minutes, and what is short fills the time beside and after them where there are
    several workers (pytest-xdist)."""
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in ("pipeline", "slurm")))
