"""Sources of parents and generators of structures, by their names in the config."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from ase import Atoms

from mlip_autopipec.structures.task import Task

SourceFunction = Callable[[Task], list[Atoms]]
GeneratorFunction = Callable[[Task, list[Atoms], int], list[Atoms]]

# Imported when asked for: some need packages that are slow to load.
SOURCES = {
    "prototypes": "mlip_autopipec.structures.prototypes:prototypes",
    "sqs": "mlip_autopipec.structures.sqs:quasirandom",
    "random": "mlip_autopipec.structures.random_search:random_crystals",
    "molecule": "mlip_autopipec.structures.molecule:molecule",
    "structure": "mlip_autopipec.structures.own:structure",
}
# What a source proposes when the energies of its first parents are known.
SECOND_ROUND = {"sqs": "mlip_autopipec.structures.sqs:larger"}
GENERATORS = {
    "volumes": "mlip_autopipec.structures.perturb:volumes",
    "strains": "mlip_autopipec.structures.perturb:strains",
    "rattles": "mlip_autopipec.structures.perturb:rattles",
    "bonds": "mlip_autopipec.structures.perturb:bonds",
    "vacancies": "mlip_autopipec.structures.defects:vacancies",
    "interstitials": "mlip_autopipec.structures.defects:interstitials",
    "antisites": "mlip_autopipec.structures.defects:antisites",
    "surfaces": "mlip_autopipec.structures.surfaces:surfaces",
    "melt": "mlip_autopipec.structures.melt:melt",
    "quench": "mlip_autopipec.structures.melt:quench",
    "normal_modes": "mlip_autopipec.structures.modes:normal_modes",
    "stretches": "mlip_autopipec.structures.stretches:stretches",
    "dimers": "mlip_autopipec.structures.clusters:dimers",
    "clusters": "mlip_autopipec.structures.clusters:clusters",
    "condensed": "mlip_autopipec.structures.condensed:condensed",
}


def source(name: str) -> SourceFunction:
    """The function that proposes parents."""
    found: SourceFunction = _load(SOURCES[name])
    return found


def second_round(name: str) -> Callable[[Task, list[Atoms]], list[Atoms]]:
    """The function that proposes further parents of a source when its first ones are relaxed; most have none."""
    if name not in SECOND_ROUND:
        return lambda task, relaxed: []
    found: Callable[[Task, list[Atoms]], list[Atoms]] = _load(SECOND_ROUND[name])
    return found


def generator(name: str) -> GeneratorFunction:
    """The function that makes structures from the parents."""
    found: GeneratorFunction = _load(GENERATORS[name])
    return found


def _load(path: str) -> Callable[..., list[Atoms]]:
    module, _, function = path.partition(":")
    found: Callable[..., list[Atoms]] = getattr(import_module(module), function)
    return found
