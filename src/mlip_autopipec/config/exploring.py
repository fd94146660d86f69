"""The config's sections of exploration and of choosing: surrogate, walkers, descriptors, samplers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mlip_autopipec.config.kinds import (
    Checksum,
    Count,
    Fraction,
    FrameTypes,
    Positive,
    Pressures,
    Sampler,
    Section,
    Temperatures,
    Walkers,
)


class Exploration(Section):
    """Walks with a universal surrogate."""

    surrogate: Annotated[str, Field(min_length=1)] = Field(
        description="Universal potential that drives the walkers: mace-mp, sevennet-0, a model file (of MACE or "
        "SevenNet), or 'package.module:Name' of any ASE calculator."
    )
    surrogate_options: dict[str, Any] = Field(
        {}, description="Keyword arguments of the calculator (of MACE: default_dtype, head; checked by its signature)."
    )
    surrogate_sha256: Checksum = Field("", description="SHA-256 that the model file must have; empty: not asked.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one.")
    repulsion: bool = Field(
        True,
        description="Add the ZBL repulsion to the surrogate below three quarters of the shortest relaxed bond of each "
        "pair, unless the model has one already.",
    )
    temperatures_k: Temperatures = Field(description="Temperatures of the walkers, K.")
    pressures_gpa: Pressures = Field(
        [0.0], description="Pressures that walkers with a barostat take in turn, GPa; negative ones pull."
    )
    walkers_per_temperature: Count = Field(
        2,
        description="Independent walkers of plain MD at each temperature: the first starts from the reference (of "
        "molecules: the condensed phase), the others from other starting structures.",
    )
    steps: Count = Field(1000, description="MD steps of a walker (of relaxation paths: evaluations).")
    timestep_fs: Positive = Field(description="MD time step, fs.")
    thermostat: Literal["langevin", "bussi"] = Field(
        "langevin", description="Langevin, or Bussi's stochastic rescaling of velocities, at constant volume."
    )
    friction_per_ps: Positive = Field(10.0, description="Friction of the thermostat, 1/ps.")
    barostat: Literal["auto", "none", "isotropic", "full"] = Field(
        "auto",
        description="none: the cell stays. isotropic: its size moves. full: its shape, too. auto: every other walker "
        "of a temperature moves its cell, the others see volumes away from equilibrium. Cells with vacuum always stay.",
    )
    barostat_time_fs: Positive = Field(1000.0, description="Time in which the barostat brings the pressure back, fs.")
    interval_steps: Count = Field(10, description="A frame is kept every so many steps.")
    minimum_distance_fraction: Fraction = Field(
        0.6, description="A walker stops when a distance falls below this fraction of the sum of covalent radii."
    )
    maximum_force_ev_per_angstrom: Positive = Field(30.0, description="A walker stops above this force, eV/A.")
    walks: Walkers = Field(
        description="Numbers of the other walkers; 0 switches one off, those not named keep the rule's number. heat: "
        "from the lowest temperature to hottest_k; quench: back from there; swaps: MD with Monte Carlo swaps of unlike "
        "atoms; cells: Monte Carlo moves of the cell at a pressure; strains: a walk through strains; paths: "
        "relaxations of random structures."
    )
    hottest_k: Positive = Field(description="Where walkers that heat end, and those that quench begin, K.")
    swap_interval_steps: Count = Field(10, description="MD steps between two rounds of swaps.")
    swaps_per_round: Count = Field(5, description="Swaps tried in a round.")


class Test(Section):
    """The held-out test set: its own trajectories, which no selection ever sees."""

    temperatures_k: Temperatures = Field(description="Temperatures of the test walkers, K.")
    walkers_per_temperature: Count = Field(
        2,
        description="Test walkers at each temperature: the first walks from the reference (of molecules: the condensed "
        "phase), the others from other starting structures.",
    )
    steps: Count = Field(500, description="MD steps of a test walker.")
    frames: Count = Field(30, description="Frames labelled for the test, spread evenly over the test walkers.")


class Sampling(Section):
    """Choosing few, diverse frames among many."""

    method: Sampler = Field(
        "direct",
        description="Sampler of generation 0: direct (clusters in the space of principal components), farthest-point, "
        "d-optimal (on the potential's own basis), stratified-random, random, or one that another package offers.",
    )
    method_later: Sampler = Field("farthest-point", description="Sampler of uncertain frames in later generations.")
    descriptor: Literal["soap", "surrogate"] = Field(
        "soap", description="What frames are told apart by: SOAP, or the surrogate's own invariants."
    )
    candidates: Count = Field(description="Number of frames chosen among all starting and explored ones.")
    per_cluster: Count = Field(1, description="Frames of each of DIRECT's clusters.")
    always: FrameTypes = Field(
        ["crystal", "molecule", "volume", "strain", "normal_mode", "stretch"],
        description="Types of frames that are always chosen: ideal crystals at all volumes and strains, which no "
        "walker meets and elastic constants rest on; the molecule, its vibrations and its bonds, which its stiffness "
        "rests on. Taken round-robin, those of the reference first, at most half of the candidates.",
    )
    soap_cutoff_angstrom: Positive = Field(description="Cutoff of the SOAP descriptor, A.")
    soap_n_max: Count = Field(6, description="Radial functions of SOAP.")
    soap_l_max: Count = Field(4, description="Largest angular momentum of SOAP.")
    soap_sigma_angstrom: Positive = Field(0.4, description="Width of SOAP's atomic Gaussians, A.")
    soap_compression: Literal["auto", "off", "mu1nu1", "mu2"] = Field(
        "auto",
        description="How SOAP's channels of elements are joined (dscribe's names); auto: off for up to three elements.",
    )
