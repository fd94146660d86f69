"""Universal potentials that have a name in the config: what they are, whose they are, what their files must be.

Standard library, and our errors, only: the config reads this at every dry run.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlip_autopipec.errors import ConfigError, nearest


@dataclass(frozen=True)
class Known:
    """A surrogate with a name.

    Attributes:
        title: its authors' name for it.
        package, module: what `pip` installs, and what Python imports.
        licence: of the weights.
        trained_on: the reference data; all of it is PBE (with U where the Materials Project has it).
        source: paper.
        entry: in the package's own table of addresses; '' when the weights come with the package.
        sha256, size_bytes: of the weights that `entry` stands for.
    """

    title: str
    package: str
    module: str
    licence: str
    trained_on: str
    source: str
    entry: str = ""
    sha256: str = ""
    size_bytes: int = 0


MODEL_SUFFIXES = (".model", ".pt", ".pth")  # of files that hold a model

SURROGATES: dict[str, Known] = {
    "mace-mp": Known(
        title="MACE-MPA-0 medium",
        package="mace-torch",
        module="mace",
        licence="MIT",
        trained_on="MPtrj and sAlex",
        source="Batatia et al., A foundation model for atomistic materials chemistry, arXiv:2401.00096",
        entry="medium-mpa-0",
        # As the authors pin it in their own tests: ACEsuit/mace, tests/golden/foundation_artifacts.py, 'mpa0_medium'.
        sha256="75428afe3a1d7d8062e19bcaabd5c433623cabf308242ec9fb493e38604fb638",
        size_bytes=79_462_305,
    ),
    "sevennet-0": Known(
        title="SevenNet-0 (11 July 2024)",
        package="sevenn",
        module="sevenn",
        licence="MIT",
        trained_on="MPtrj",
        source="Park et al., J. Chem. Theory Comput. 20, 4857 (2024), doi:10.1021/acs.jctc.4c00190",
    ),
}


def no_such_surrogate(name: str, key: str) -> ConfigError:
    """What is said of a name that is no surrogate's, no model file's and no import path.

    Args:
        key: of the config.
    """
    return ConfigError(
        key, name, "no such surrogate",
        f"Known: {', '.join(sorted(SURROGATES))}; or the path of a model file ({', '.join(MODEL_SUFFIXES)}), or "
        f"'package.module:Name' of an ASE calculator.{nearest(name, SURROGATES)}",
    )  # fmt: skip
