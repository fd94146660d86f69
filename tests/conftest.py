"""Fixtures of all tests. Helpers to import live in modules of their own: every folder's conftest.py has one name."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from argon import argon_frames
from ase import Atoms


@pytest.fixture(scope="session")
def labelled() -> list[Atoms]:
    return argon_frames(40)
