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


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers (pytest-xdist, --dist loadgroup) a file's tests stay together, as do all that start Slurm.

    Whole runs go first: they take minutes, and all that is short fills the time beside and after them.
    """
    for item in items:
        group = "slurm" if item.get_closest_marker("slurm") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in ("pipeline", "slurm")))
