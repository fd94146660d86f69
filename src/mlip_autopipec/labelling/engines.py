"""The labelling engines there are, by the name in `labelling.engine`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from mlip_autopipec.config.full import Config, Labelling
from mlip_autopipec.config.kinds import ENGINE_GROUP
from mlip_autopipec.labelling.labeller import Labeller
from mlip_autopipec.plugins import find

_BUILT_IN = {
    "espresso": "mlip_autopipec.labelling.espresso.run:EspressoLabeller",
    "calculator": "mlip_autopipec.labelling.calculator:CalculatorLabeller",
    "vasp": "mlip_autopipec.labelling.vasp:VaspLabeller",
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
    return cast(Engine, find(name, _BUILT_IN, ENGINE_GROUP, "labelling.engine", "labelling engine"))


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
