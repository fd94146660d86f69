"""The pseudopotentials that a composition will be labelled with, fetched and listed for a person."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from typing import Any

from mlip_autopipec.config.full import Config
from mlip_autopipec.config.pseudopotentials import cutoffs_ry, forget_files, installed
from mlip_autopipec.errors import ConfigError, MlipError
from mlip_autopipec.labelling.espresso.download import fetch
from mlip_autopipec.labelling.espresso.pseudopotentials import sssp_status
from mlip_autopipec.labelling.espresso.sssp import LIBRARIES, Library, cache_folder, library_of, sssp_entry, sssp_table

PROTOCOLS = {"efficiency": "balanced", "precision": "stringent"}  # what takes a library, where one is named
HEAD = ("element", "file", "library", "contents", "functional", "kind", "valence", "cutoffs Ry", "folder")
_MD5 = {"verified": "md5 right", "differs": "md5 WRONG", "other": "not SSSP's"}


def main(arguments: list[str] | None = None) -> int:
    """Fetch SSSP's files of a composition into the cache, and list those that a run of it will use.

    Returns:
        0; 1 where files are missing and could not be fetched; 2 where the composition cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m mlip_autopipec.labelling.espresso.pseudopotentials",
        description="Fetch SSSP's pseudopotentials of a composition into the cache, and list those that a run of it "
        "will use.",
    )
    parser.add_argument("composition", help="chemical formula, such as FePt, or a configuration file")
    parser.add_argument(
        "--protocol",
        default=None,
        choices=["fast", "balanced", "stringent", *LIBRARIES],
        help="labelling.protocol, or the SSSP library that it stands for",
    )
    parser.add_argument("--list", action="store_true", help="fetch nothing")
    given = parser.parse_args(arguments)
    try:
        config = _config(given.composition, PROTOCOLS.get(given.protocol, given.protocol))
    except MlipError as error:
        print(error, file=sys.stderr)
        return 2
    failed = "" if given.list else _fetched(config)
    if not failed and not given.list:  # what has come may be what a run chooses now
        forget_files()
        config = _config(given.composition, PROTOCOLS.get(given.protocol, given.protocol))
    print(table(config))
    if failed:
        print(f"\n{failed}", file=sys.stderr)
    return 1 if failed or "NOT INSTALLED" in table(config) else 0


def table(config: Config) -> str:
    """A line per element of what labels of this configuration use, and the cutoffs of all together."""
    labelling, library = config.labelling, library_of(config.labelling.protocol)
    rows = [HEAD, *(_row(config, symbol, library) for symbol in config.elements)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    try:
        wave, density, why = cutoffs_ry(labelling.pseudopotentials, labelling.pseudo_dir, labelling.protocol)
        if (wave, density) != (labelling.ecutwfc_ry, labelling.ecutrho_ry):
            why = f"written; without that {wave:g} and {density:g}, {why}"
    except ConfigError:
        why = "written; the files suggest none"
    together = f"ecutwfc_ry {labelling.ecutwfc_ry:g}, ecutrho_ry {labelling.ecutrho_ry:g}: {why}"
    return "\n".join(
        [*lines, "", f"{config.composition}, protocol {labelling.protocol}: {together}",
         f"Looked for in {', '.join(labelling.pseudo_dir)}"]
    )  # fmt: skip


def _row(config: Config, symbol: str, library: Library) -> tuple[str, ...]:
    labelling = config.labelling
    name = labelling.pseudopotentials.get(symbol, "")
    header, known = installed(symbol, name, labelling.pseudo_dir), sssp_entry(symbol, name, library)
    where = f"SSSP {known[0]}" if known else "-"
    wave = "-"
    if header or known:
        with suppress(ConfigError):  # a file that suggests no cutoff
            wave = f"{cutoffs_ry({symbol: name}, labelling.pseudo_dir, labelling.protocol)[0]:g}"
    if header is None:
        return symbol, name, where, "NOT INSTALLED", "PBE" if known else "-", "-", "-", wave, "-"
    return (
        symbol, name, where, _MD5[sssp_status(header)], header.functional, header.kind, f"{header.z_valence:g}", wave,
        str(header.path.parent),
    )  # fmt: skip


def _fetched(config: Config) -> str:
    """Fetch the protocol's library for the configuration's elements; what went wrong, or ''."""
    library = library_of(config.labelling.protocol)
    symbols = [s for s in config.elements if s in sssp_table(library)]
    try:
        files = fetch(symbols, library)
    except MlipError as error:
        return str(error)
    print(f"SSSP's {library} files of {', '.join(symbols)} are in {cache_folder(library)}: {len(files)}\n")
    return ""


def _config(given: str, protocol: str | None) -> Config:
    """The whole configuration of a composition, or of a configuration file.

    Raises:
        MlipError: it cannot be used.
    """
    import yaml

    from mlip_autopipec.config import expand  # not at import time: rules ask for this package

    written: dict[str, Any] = {"composition": given}
    if os.path.isfile(given):
        with open(given, encoding="utf-8") as handle:
            try:
                written = yaml.safe_load(handle) or {}
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise ConfigError("config", given, f"cannot be read as YAML ({error})", "Mend the file.") from None
    if protocol:
        written["labelling"] = {**(written.get("labelling") or {}), "protocol": protocol}
    config, _ = expand(written)
    if not isinstance(config, Config) or config.labelling.engine != "espresso":
        raise ConfigError(
            "config", given, "makes no labels with Quantum ESPRESSO", "Give a composition, such as FePt."
        )  # fmt: skip
    return config
