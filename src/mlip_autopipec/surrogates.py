"""Universal interatomic potentials by the name in the config: they drive exploration, and may be teachers of labels."""

from __future__ import annotations

from collections.abc import Callable

from ase.calculators.calculator import Calculator

from mlip_autopipec.errors import ConfigError, nearest


def _sevennet_0() -> Calculator:
    from sevenn.calculator import SevenNetCalculator  # slow to import, and only needed here

    return SevenNetCalculator("7net-0", device="cpu")


SURROGATES: dict[str, Callable[[], Calculator]] = {"sevennet-0": _sevennet_0}
PACKAGES = {"sevennet-0": "sevenn"}  # what each of them comes with


def load_surrogate(name: str) -> Calculator:
    """The ASE calculator of a surrogate by its name in the config.

    ``sevennet-0`` is SevenNet-0 (Park et al., J. Chem. Theory Comput. 20, 4857, 2024), trained on PBE data of the
    Materials Project; its weights come with the package `sevenn`.

    Raises:
        ConfigError: no surrogate has this name.
    """
    if name not in SURROGATES:
        raise ConfigError(
            "exploration.surrogate", name, "no such surrogate",
            f"Known: {', '.join(sorted(SURROGATES))}.{nearest(name, SURROGATES)}",
        )  # fmt: skip
    return SURROGATES[name]()
