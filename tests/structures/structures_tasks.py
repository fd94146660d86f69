"""Tasks for tests of the sources and generators, with a cheap calculator in place of the surrogate."""

from ase.calculators.emt import EMT

from mlip_autopipec.config.composition import parse_composition
from mlip_autopipec.config.full import Structures
from mlip_autopipec.structures.task import Task

DEFAULTS = {
    "sources": ["prototypes"],
    "prototypes": ["A1", "A2", "A3"],
    "sqs_lattices": ["fcc"],
    "sqs_atoms": [16],
    "random_crystals": 0,
    "random_atoms_max": 8,
    "counts": {},
    "supercell_edge_angstrom": 7.0,
    "atoms_min": 8,
    "atoms_max": 32,
    "volume_strain_max": 0.15,
    "shear_strain_max": 0.06,
    "rattle_amplitudes_angstrom": [0.05, 0.15],
    "minimum_distance_fraction": 0.7,
    "vacuum_angstrom": 8.0,
    "melt_temperature_k": 2000.0,
    "melt_steps": 20,
    "mode_temperature_k": 1000.0,
    "cluster_sizes": [2],
    "condensed_molecules": 4,
}


def make_task(composition, *, classes=("metal",), calculator=EMT, seed=1, structure="", **settings):
    return Task(
        composition=composition,
        amounts=parse_composition(composition),
        classes=tuple(classes),
        settings=Structures(**{**DEFAULTS, **settings}),
        seed=seed,
        make_calculator=calculator,
        structure=structure,
    )
