"""The surrogate that a config asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ase import Atoms

from mlip_autopipec.config.full import Exploration
from mlip_autopipec.errors import ConfigError
from mlip_autopipec.surrogates.elements import check_elements
from mlip_autopipec.surrogates.hooks import Invariants, invariants
from mlip_autopipec.surrogates.loading import load_surrogate
from mlip_autopipec.surrogates.short_range import with_repulsion

RELAXED = ("crystal", "molecule")  # config_type of parents


def chosen_surrogate(settings: Exploration, elements: Iterable[str], relaxed: Iterable[Atoms] = ()) -> Any:
    """The calculator of the section `exploration`: loaded, asked for the elements, with its repulsion.

    Args:
        elements: symbols that it must know.
        relaxed: structures that tell the bonds, for the repulsion; without them none is added.

    Raises:
        ConfigError, InputFileError: see `load_surrogate` and `check_elements`.
    """
    calculator = load_surrogate(
        settings.surrogate,
        options=settings.surrogate_options,
        device=settings.device,
        sha256=settings.surrogate_sha256,
    )
    check_elements(calculator, elements)
    return with_repulsion(calculator, relaxed) if settings.repulsion else calculator


def check_invariants(calculator: Any) -> None:
    """Refuse a surrogate whose invariants cannot be read; for jobs that come before those which need them.

    Raises:
        ConfigError: it has none.
    """
    if invariants(calculator) is None:
        raise ConfigError(
            "sampling.descriptor", "surrogate", "this surrogate has no invariants that can be read",
            "Write soap, or take mace-mp or sevennet-0 as the surrogate.",
        )  # fmt: skip


def relaxed_among(structures: Sequence[Atoms]) -> Sequence[Atoms]:
    """The relaxed parents among starting structures; all of them where there is none."""
    return [frame for frame in structures if frame.info.get("config_type") in RELAXED] or structures


def loader_of_invariants(settings: Exploration, elements: Iterable[str]) -> Callable[[], tuple[Any, Invariants | None]]:
    """What gives, when it is called, the surrogate and what reads its invariants (None where it has none)."""

    def load() -> tuple[Any, Invariants | None]:
        calculator = chosen_surrogate(settings, elements)
        return calculator, invariants(calculator)

    return load
