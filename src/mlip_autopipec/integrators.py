"""One step of molecular dynamics: constant temperature, and constant pressure where a barostat is given.

Steps are split as B A O A B (kick, drift, bath, drift, kick; Leimkuhler and Matthews, J. Chem. Phys. 138, 174102,
2013): one evaluation a step. The bath O is Langevin's, or rescales all velocities (Bussi, Donadio and Parrinello, J.
Chem. Phys. 126, 014101, 2007). The barostat moves the cell there by stochastic cell rescaling (Bernetti and Bussi, J.
Chem. Phys. 153, 114107, 2020; all strains: Del Tatto et al., Appl. Sci. 12, 1139, 2022), which is of first order in
time: it does not ring, has no memory but the cell itself, and takes up a start far from equilibrium.

Positions, momenta and cell are all there is to know: nothing is remembered from one step to the next. The centre of
mass stays at rest: 3N - 3 degrees of freedom share the energy, and small systems of unlike masses are sampled exactly,
because the whole momentum is taken out in proportion to the masses (which leaves a canonical distribution of the rest).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bath:
    """What keeps the temperature: Langevin's friction, or Bussi's rescaling, which brings heat as fast.

    Attributes:
        friction_per_ps: Langevin's, 1/ps. Kinetic energy relaxes at twice that rate, in Bussi's bath, too.
    """

    kind: Literal["langevin", "bussi"]
    friction_per_ps: float

    def thermalise(
        self, momenta: Floats, masses: Floats, temperature_k: float, timestep: float, random: np.random.Generator
    ) -> Floats:
        """Momenta (N, 3) after a time step (ASE's unit) in the bath; masses are (N, 1)."""
        rate = self.friction_per_ps / (1000 * units.fs)
        energy = units.kB * temperature_k
        if self.kind == "langevin":
            keep = np.exp(-rate * timestep)
            noise: Floats = np.sqrt(masses * energy * (1 - keep**2)) * random.standard_normal(momenta.shape)
            return at_rest(keep * momenta + noise, masses)
        freedom = 3 * len(momenta) - 3
        kinetic = 0.5 * float((momenta**2 / masses).sum())
        if kinetic == 0.0:
            return momenta
        keep = np.exp(-2 * rate * timestep)
        share = (1 - keep) * 0.5 * energy / kinetic
        one = random.standard_normal()
        others = 2.0 * random.standard_gamma(0.5 * (freedom - 1))
        squared = keep + share * (others + one**2) + 2 * one * np.sqrt(keep * share)
        sign = np.sign(one + np.sqrt(keep / share)) if share > 0 else 1.0
        rescaled: Floats = sign * np.sqrt(squared) * momenta
        return rescaled


@dataclass(frozen=True)
class Barostat:
    """What keeps the pressure.

    Attributes:
        pressure_gpa: the target, GPa.
        time_fs: in which a deviation of the pressure dies away, if the bulk modulus is right.
        bulk_modulus_gpa: a rough one, GPa: it sets how fast the cell moves, not where to.
        full: all strains; otherwise the size alone.
    """

    pressure_gpa: float
    time_fs: float
    bulk_modulus_gpa: float
    full: bool

    def strain(
        self, pressure: Floats, volume: float, temperature_k: float, timestep: float, random: np.random.Generator
    ) -> Floats:
        """The strain (3, 3; symmetric) of one time step (ASE's unit).

        Args:
            pressure: (3, 3) instantaneous, kinetic part included, eV/A^3.
            volume: A^3.
        """
        mobility = timestep / (self.time_fs * units.fs * self.bulk_modulus_gpa * units.GPa)
        excess = pressure - self.pressure_gpa * units.GPa * np.eye(3)
        noise = np.sqrt(2 * units.kB * temperature_k * mobility / volume)
        if not self.full:
            change = mobility * np.trace(excess) / 3 + noise * random.standard_normal()
            size: Floats = np.eye(3) * (change / 3)
            return size
        drawn = random.standard_normal((3, 3))
        shape: Floats = mobility / 3 * 0.5 * (excess + excess.T) + noise / np.sqrt(3) * 0.5 * (drawn + drawn.T)
        return shape


def at_rest(momenta: Floats, masses: Floats) -> Floats:
    """Momenta (N, 3) without that of the centre of mass; masses are (N, 1)."""
    left: Floats = momenta - masses * momenta.sum(axis=0) / masses.sum()
    return left


def set_velocities(atoms: Atoms, temperature_k: float, random: np.random.Generator) -> None:
    """Momenta of the Maxwell-Boltzmann distribution, the centre of mass at rest."""
    masses = atoms.get_masses()[:, None]
    momenta = np.sqrt(masses * units.kB * temperature_k) * random.standard_normal((len(atoms), 3))
    atoms.set_momenta(at_rest(momenta, masses))


def kinetic_temperature_k(atoms: Atoms) -> float:
    """Instantaneous temperature (K) of the 3N - 3 degrees of freedom."""
    return float(2 * atoms.get_kinetic_energy() / (units.kB * max(1, 3 * len(atoms) - 3)))


def step(
    atoms: Atoms,
    timestep_fs: float,
    temperature_k: float,
    bath: Bath,
    barostat: Barostat | None,
    random: np.random.Generator,
) -> None:
    """Move `atoms` (with calculator and momenta) by one time step; forces at the end are those of the next start."""
    timestep = timestep_fs * units.fs
    masses = atoms.get_masses()[:, None]
    stress = atoms.get_stress(voigt=False) if barostat else None  # of the step's start: one evaluation a step
    momenta = atoms.get_momenta() + 0.5 * timestep * atoms.get_forces()
    positions = atoms.get_positions() + 0.5 * timestep * momenta / masses
    momenta = bath.thermalise(momenta, masses, temperature_k, timestep, random)
    if barostat:
        volume = atoms.get_volume()
        # The last term is the centre of mass's: it is at rest, but free to be anywhere in the volume.
        pressure = momenta.T @ (momenta / masses) / volume - stress + units.kB * temperature_k / volume * np.eye(3)
        strain = barostat.strain(pressure, volume, temperature_k, timestep, random)
        values, axes = np.linalg.eigh(strain)
        stretch, shrink = (axes * np.exp(values)) @ axes.T, (axes * np.exp(-values)) @ axes.T
        positions, momenta = positions @ stretch, momenta @ shrink
        atoms.set_cell(atoms.cell.array @ stretch, scale_atoms=False)
    atoms.set_positions(positions + 0.5 * timestep * momenta / masses)
    atoms.set_momenta(momenta)
    atoms.set_momenta(momenta + 0.5 * timestep * atoms.get_forces())
