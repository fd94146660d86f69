"""A toy potential energy surface, and labelled frames from it, for every test that needs no DFT."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones

from mlip_autopipec.frames import new_frame, set_label


def argon_calculator() -> LennardJones:
    """Argon-like Lennard-Jones (epsilon in eV, sigma in A), smooth at its cutoff."""
    return LennardJones(epsilon=0.0104, sigma=3.4, rc=6.0, ro=5.0, smooth=True)


def argon_frames(number: int, seed: int = 0, amplitude: float = 0.15) -> list[Atoms]:
    """Rattled, strained fcc argon of four atoms, labelled with the toy surface."""
    random = np.random.default_rng(seed)
    frames = []
    for k in range(number):
        atoms = bulk("Ar", "fcc", a=5.26 * (1 + random.uniform(-0.03, 0.03)), cubic=True)
        atoms.positions += random.normal(scale=amplitude, size=atoms.positions.shape)
        atoms.calc = argon_calculator()
        frame = new_frame(atoms, origin=f"toy {k}", config_type="rattle", generation=0)
        frames.append(set_label(frame, atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    return frames
