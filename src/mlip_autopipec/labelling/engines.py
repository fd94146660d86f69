"""The labelling engines there are, by the name in `labelling.engine`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from mlip_autopipec.config.full import Config, Labelling
from mlip_autopipec.config.kinds import ENGINE_GROUP
from mlip_autopipec.errors import ConfigError, nearest
from mlip_autopipec.labelling.labeller import Labeller

_BUILT_IN = {
    "espresso": ("mlip_autopipec.labelling.espresso.run", "EspressoLabeller"),
    "calculator": ("mlip_autopipec.labelling.calculator", "CalculatorLabeller"),
    "vasp": ("mlip_autopipec.labelling.vasp", "VaspLabeller"),
}


class Engine(Protocol):
    """Makes a labeller from the config's section `labelling`.

    Other packages offer theirs as an entry point of the group `mlip_autopipec.labellers`, under the name that users
    write in `labelling.engine`. A labeller that has a method `check(elements)` is asked before the first job of a run
    and raises ConfigError or ConfigurationFault when something that every label needs is missing.
    """

    def from_config(self, section: Mapping[str, Any]) -> Labeller:
        """A labeller with these settings.

        Raises:
            ConfigError, ConfigurationFault: a program, a file or a package is missing, or a value cannot be used.
        """
        ...


def find_engine(name: str) -> Engine:
    """The engine of this name; ours come first, so that no package can replace them.

    Raises:
        ConfigError: there is none, or it cannot be imported.
    """
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name]
        return cast(Engine, getattr(importlib.import_module(module), attribute))
    offered = entry_points(group=ENGINE_GROUP)
    if name not in offered.names:
        known = {*_BUILT_IN, *offered.names}
        raise ConfigError(
            "labelling.engine", name, "no such labelling engine",
            f"Known: {', '.join(sorted(known))}.{nearest(name, known)}",
        )  # fmt: skip
    try:
        return cast(Engine, offered[name].load())
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            "labelling.engine", name, f"the package that offers it cannot be used ({error})", "Mend or remove it."
        ) from None


def make_labeller(settings: Labelling) -> Labeller:
    """The labeller that the configuration names.

    Raises:
        ConfigError, ConfigurationFault: something that every label needs is missing.
    """
    return find_engine(settings.engine).from_config(settings.model_dump())


def check(config: Config) -> None:
    """Look for what the chosen engine needs, before the first job.

    Raises:
        ConfigError, ConfigurationFault: it is missing; with the remedy.
    """
    check_elements(config.labelling, list(config.elements))


def check_elements(settings: Labelling, elements: Sequence[str]) -> None:
    """The same for these elements.

    Raises:
        ConfigError, ConfigurationFault: as `check`.
    """
    labeller = make_labeller(settings)
    ask = getattr(labeller, "check", None)
    if ask is not None:
        ask(list(elements))
