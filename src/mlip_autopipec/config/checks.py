"""What every value may say by itself, but not together: looked at once the whole configuration is known."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mlip_autopipec.config import molecules, own_structures, prototype_names
from mlip_autopipec.config.choice import Choice
from mlip_autopipec.config.elements import NOBLE_GASES
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.kinds import VACUUM_ANGSTROM
from mlip_autopipec.config.label_source import SURROGATE_NAMES
from mlip_autopipec.config.own_data import files_of
from mlip_autopipec.config.sites import shared_sites
from mlip_autopipec.errors import ConfigError, nearest
from mlip_autopipec.surrogates import weights
from mlip_autopipec.surrogates.known import MODEL_SUFFIXES, SURROGATES, no_such_surrogate


def check_together(config: Config, choices: Mapping[str, Choice]) -> None:
    """Refuse what cannot work.

    Args:
        choices: by dotted key, what chose each value.

    Raises:
        ConfigError: a source without what it needs, lengths or numbers that exclude each other, elements that the
            composition has not, or files of structures that cannot be used.
    """
    _check_class(config)
    _check_engine(config)
    _check_exploration(config)
    _check_elements(config)
    _check_sources(config)
    for name in config.structures.prototypes:
        try:
            prototype_names.designation(name)
        except ValueError as error:
            problem, _, mend = str(error).partition(". ")
            raise ConfigError("structures.prototypes", name, problem, mend) from None
    if "prototypes" in config.structures.sources:
        written = {choices[f"structures.{name}"].by for name in ("sources", "prototypes")}
        _check_prototypes(config, "user" in written)
    _check_numbers(config)
    files = files_of(config.structures.files, "structures.files")
    own_structures.check_files("structures.files", files, config.elements)
    if config.structure:
        own_structures.check_files("structure", [config.structure], config.elements)


def _check_class(config: Config) -> None:
    classes = config.material_class
    if "noble" in classes and not set(config.elements) & NOBLE_GASES:
        raise ConfigError(
            "class", classes, f"noble is for noble gases, and {config.composition} has none",
            "Leave class out: it is inferred.",
        )  # fmt: skip
    if "alloy" in classes and len(config.elements) == 1:
        raise ConfigError(
            "class", classes, f"an alloy has several elements, and {config.composition} has one",
            "Write all elements in composition, or leave class out.",
        )  # fmt: skip


def _check_exploration(config: Config) -> None:
    name, key = config.exploration.surrogate, "exploration.surrogate"
    swaps = config.exploration.walks.get("swaps", 0)
    if swaps and len(config.elements) == 1:
        raise ConfigError(
            "exploration.walks", {"swaps": swaps},
            f"swaps exchange unlike atoms, and {config.composition} has one element", "Leave swaps out.",
        )  # fmt: skip
    if name in SURROGATES:
        if SURROGATES[name].entry and weights.cached(name) is None:
            raise ConfigError(
                key, name, "its weights are not on this machine",
                f"Fetch them where there is a network (python -m mlip_autopipec.surrogates fetch {name}), or write "
                "sevennet-0, whose weights come with its package.",
            )  # fmt: skip
        return
    path = Path(name).expanduser()
    if os.sep in name or path.suffix in MODEL_SUFFIXES or path.is_file():
        if not path.is_file():
            raise ConfigError(key, name, "no such file", "Paths are relative to where snakemake is started.")
    elif not all(name.partition(":")):
        raise no_such_surrogate(name, key)


def _check_engine(config: Config) -> None:
    s = config.labelling
    key = "labelling.calculator"
    known = f"'package.module:Name', or the name of a surrogate: {', '.join(SURROGATE_NAMES)}"
    if s.engine != "calculator":
        if s.calculator:
            raise ConfigError(
                key, s.calculator, f"labels are made by the engine {s.engine}, which has no calculator",
                "Write 'engine: calculator' beside it, or leave it out.",
            )  # fmt: skip
        return
    if not s.calculator:
        raise ConfigError(key, s.calculator, "the engine calculator needs one", f"Write {known}.")
    module, colon, name = s.calculator.partition(":")
    if s.calculator not in SURROGATE_NAMES and not (module and colon and name):
        raise ConfigError(
            key, s.calculator, "not an import path, nor the name of a surrogate",
            f"Write {known}.{nearest(s.calculator, SURROGATE_NAMES)}",
        )  # fmt: skip


def _check_elements(config: Config) -> None:
    for name in ("pseudopotentials", "starting_magnetization"):
        named = getattr(config.labelling, name)
        if other := [symbol for symbol in named if symbol not in config.elements]:
            raise ConfigError(
                f"labelling.{name}.{other[0]}", named[other[0]],
                f"the composition {config.composition} has no {other[0]}",
                f"Name elements of it: {', '.join(config.elements)}.",
            )  # fmt: skip


def _check_sources(config: Config) -> None:
    s, key = config.structures, "structures.sources"
    if "sqs" in s.sources and len(config.elements) == 1:
        raise ConfigError(key, s.sources, "sqs mixes elements, and there is one", "Leave sqs out.")
    # The cells of a compound whose sublattices are shared are made of its structure types, not of one lattice.
    needed = ("prototypes", "sqs_atoms") if shared_sites(config.amounts) else ("sqs_lattices", "sqs_atoms")
    for name in needed:
        if "sqs" in s.sources and not getattr(s, name):
            examples = {"sqs_lattices": "[fcc, bcc, hcp]", "sqs_atoms": "[16, 24]", "prototypes": "[B1, B3]"}
            example = examples[name]
            raise ConfigError(
                f"structures.{name}", getattr(s, name), "the source sqs needs some",
                f"Write for example {name}: {example}, or leave sqs out of sources.",
            )  # fmt: skip
    if "structure" in s.sources and not config.structure:
        raise ConfigError(
            key, s.sources, "the source structure needs a file", "Write 'structure: my.cif' at the top, too."
        )
    if "random" in s.sources and s.random_crystals == 0:
        raise ConfigError(
            "structures.random_crystals", 0, "the source random needs some",
            "Write a number above 0, or leave random out of sources.",
        )  # fmt: skip
    if "molecule" in s.sources and not config.molecule and not set(config.elements) & NOBLE_GASES:
        try:
            molecules.molecule_of(config.amounts)
        except ConfigError as error:
            raise ConfigError(key, s.sources, f"the source molecule: {error.problem}", error.mend) from None


def _check_prototypes(config: Config, written: bool) -> None:
    s = config.structures
    if not s.prototypes:
        raise ConfigError(
            "structures.prototypes", [], "the source prototypes needs some",
            f"Name structure types ({_some(config)}), or leave prototypes out of sources.",
        )  # fmt: skip
    if written and not any(prototype_names.holds(name, config.amounts) for name in s.prototypes):
        raise ConfigError(
            "structures.prototypes", s.prototypes, f"none of them holds atoms in the ratio of {config.composition}",
            f"Name structure types that do ({_some(config)}), or leave the key out.",
        )  # fmt: skip


def _some(config: Config) -> str:
    return ", ".join(prototype_names.fitting(config.amounts)[:10]) or "none that is known has this ratio"


def _check_numbers(config: Config) -> None:
    s = config.structures
    if not any(s.counts.values()) and not s.files:
        raise ConfigError(
            "structures.counts", {name: number for name, number in s.counts.items() if number},
            "all counts are 0 and no files are named: nothing to start from", "Leave one of the two to the rule.",
        )  # fmt: skip
    if s.atoms_min > s.atoms_max:
        raise ConfigError(
            "structures.atoms_min", s.atoms_min, f"more than structures.atoms_max, {s.atoms_max}",
            "Write a smaller atoms_min or a larger atoms_max.",
        )  # fmt: skip
    reach = config.training.cutoff_angstrom * max(config.training.cutoff_factors)
    least = max(reach, VACUUM_ANGSTROM)
    if s.vacuum_angstrom <= least:
        what = "the gap from which on a frame counts as having vacuum" if least > reach else "the potential's cutoff"
        raise ConfigError(
            "structures.vacuum_angstrom", s.vacuum_angstrom, f"not above {least:g} A, {what}",
            f"Write at least {least + 1:g}, or leave it out.",
        )  # fmt: skip
