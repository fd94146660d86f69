"""One seed feeds every random choice: named, independent streams of random numbers."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *names: object) -> np.random.Generator:
    """A generator that depends on the run's seed and on what it is for, and on nothing else."""
    digest = hashlib.sha256(repr((seed, *map(str, names))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
