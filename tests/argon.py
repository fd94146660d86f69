"""A toy potential energy surface, and labelled frames from it, for every test that needs no DFT."""

from __future__ import annotations

from itertools import product

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones

from mlip_autopipec.frames import new_frame, set_label


def argon_calculator() -> LennardJones:
    """Argon-like Lennard-Jones (epsilon in eV, sigma in A), smooth at its cutoff."""
    return LennardJones(epsilon=0.0104, sigma=3.4, rc=6.0, ro=5.0, smooth=True)


class QuickArgon(Calculator):
    """Lennard-Jones argon with forces shifted to 0 at 8 A, for a few atoms in a small cell: no neighbour lists."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012
    epsilon, sigma, cutoff = 0.0104, 3.4, 8.0
    images = np.array(list(product((-2, -1, 0, 1, 2), repeat=3)))

    def calculate(self, atoms=None, properties=None, system_changes=None):
        """Energy (eV), forces (eV/A) and stress (eV/A^3) of `atoms`."""
        self.atoms = atoms.copy()
        wrapped = atoms.get_positions(wrap=True)
        bonds = (wrapped[None, :] - wrapped[:, None])[None] + (self.images @ atoms.cell.array)[:, None, None]
        r = np.sqrt((bonds**2).sum(axis=-1))
        near = (r > 1e-6) & (r < self.cutoff)
        r = np.where(near, r, self.cutoff)
        energy, slope = self.pair(r)
        at_cutoff, slope_there = self.pair(self.cutoff)
        energy = energy - at_cutoff - (r - self.cutoff) * slope_there
        pull = (np.where(near, slope - slope_there, 0.0) / r)[..., None] * bonds
        stress = np.einsum("kija,kijb->ab", pull, bonds) / 2 / atoms.get_volume()
        self.results = {
            "energy": 0.5 * float(np.where(near, energy, 0.0).sum()),
            "forces": pull.sum(axis=(0, 2)),
            "stress": stress.ravel()[[0, 4, 8, 5, 2, 1]],
        }

    def pair(self, r):
        """Energy (eV) and its derivative (eV/A) at a distance (A)."""
        six = (self.sigma / r) ** 6
        return 4 * self.epsilon * (six**2 - six), -24 * self.epsilon * (2 * six**2 - six) / r


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
