"""Which of a run's pseudopotentials can be fetched, and what a user is told where they cannot."""

from __future__ import annotations

import os

from mlip_autopipec.config.full import Config
from mlip_autopipec.config.pseudopotentials import forget_files, installed
from mlip_autopipec.labelling.espresso.pseudopotentials import complete_first
from mlip_autopipec.labelling.espresso.sssp import Library, archive_name, cache_folder, library_of, sssp_entry


def to_fetch(config: Config) -> dict[Library, list[str]]:
    """Elements by the SSSP library whose files of them are missing here and can be fetched into the cache.

    Files that are there, but in different folders, are missing too: pw.x reads from one folder.
    """
    labelling = config.labelling
    found: dict[Library, list[str]] = {}
    if labelling.engine != "espresso" or not labelling.sssp_download:
        return found
    apart = bool(scattered(config))
    for symbol in config.elements:
        name = labelling.pseudopotentials.get(symbol, "")
        known = sssp_entry(symbol, name, library_of(labelling.protocol))
        if known is None or (not apart and installed(symbol, name, labelling.pseudo_dir) is not None):
            continue
        if str(cache_folder(known[0])) in labelling.pseudo_dir:
            found.setdefault(known[0], []).append(symbol)
    return found


def fetch_missing(config: Config) -> None:
    """Fetch what `to_fetch` names, on this machine, and say so.

    Raises:
        ConfigurationFault: there is no network, or what came is not SSSP; with how to do it by hand.
    """
    from mlip_autopipec.labelling.espresso.download import fetch  # not needed for a dry run

    for library, symbols in to_fetch(config).items():
        fetch(symbols, library)
    forget_files()


def how_to_install(config: Config) -> str:
    """What to do where pseudopotentials are missing."""
    labelling = config.labelling
    library = library_of(labelling.protocol)
    cached = str(cache_folder(library)) in labelling.pseudo_dir
    fetched = f"; SSSP's by unpacking {archive_name(library)} of Materials Cloud in {cache_folder(library)}"
    places = [place if os.path.isdir(place) else f"{place} (not there)" for place in labelling.pseudo_dir]
    return (
        f"Put the files into one of the folders {', '.join(places)}{fetched if cached else ''}; or name "
        "others in labelling.pseudopotentials and labelling.pseudo_dir"
    )


def scattered(config: Config) -> list[str]:
    """The folders of the run's files where they are more than one: pw.x reads from a single one."""
    names = config.labelling.pseudopotentials
    folders = [str(folder) for folder in complete_first(config.labelling.pseudo_dir, names.values())]
    headers = [installed(s, names[s], folders) for s in config.elements if s in names]
    found = sorted({str(header.path.resolve().parent) for header in headers if header is not None})
    return found if len(found) > 1 else []
