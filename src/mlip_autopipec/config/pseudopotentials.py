"""Which pseudopotential a run uses when its user names none, and the cutoffs that go with it."""

from __future__ import annotations

from mlip_autopipec.errors import ConfigError, MlipError
from mlip_autopipec.labelling.espresso.pseudopotentials import (
    Pseudopotential,
    find_pseudopotential,
    sssp_status,
    sssp_table,
    suggested_cutoffs_ry,
)

_GIVE = "Put the file into one of these folders, or write labelling.pseudopotentials and labelling.pseudo_dir."


def choose(symbol: str, folders: list[str]) -> tuple[str, str]:
    """File name and reason: the SSSP file when it is installed, else the best PBE file.

    Raises:
        ConfigError: no folder holds a usable file for the element.
    """
    try:
        best = find_pseudopotential(symbol, folders, functional="PBE")
    except MlipError as error:
        raise ConfigError("labelling.pseudopotentials", None, str(error).rstrip("."), _GIVE) from None
    if sssp_status(best) == "verified":
        return best.path.name, "SSSP 1.3.0 efficiency"
    wanted = sssp_table("efficiency").get(symbol, {}).get("filename", "none")
    return best.path.name, f"the PBE file installed here; SSSP's {wanted} was not found"


def headers_of(names: dict[str, str], folders: list[str]) -> dict[str, Pseudopotential]:
    """The headers of the chosen files.

    Raises:
        ConfigError: a file is missing or is not a pseudopotential of its element.
    """
    found = {}
    for symbol, name in names.items():
        try:
            found[symbol] = find_pseudopotential(symbol, folders, name)
        except MlipError as error:
            raise ConfigError(f"labelling.pseudopotentials.{symbol}", name, str(error).rstrip("."), _GIVE) from None
    return found


def cutoffs_ry(names: dict[str, str], folders: list[str]) -> tuple[float, float, str]:
    """Wavefunction and density cutoff in Ry that all files are content with, and the reason.

    Raises:
        ConfigError: a file suggests no cutoff.
    """
    suggested = {}
    for symbol, header in headers_of(names, folders).items():
        cutoffs = suggested_cutoffs_ry(header)
        if cutoffs is None:
            raise ConfigError(
                "labelling.ecutwfc_ry",
                None,
                f"{header.path.name} suggests no cutoff",
                "Write labelling.ecutwfc_ry (Ry).",
            )
        suggested[symbol] = cutoffs
    wavefunction, density = (max(values) for values in zip(*suggested.values(), strict=True))
    return wavefunction, density, f"the largest that {', '.join(names.values())} asks for"


def all_norm_conserving(names: dict[str, str], folders: list[str]) -> bool:
    """Whether every file is norm-conserving, so that a density cutoff of four times the other one is exact."""
    return all(header.kind == "NC" for header in headers_of(names, folders).values())
