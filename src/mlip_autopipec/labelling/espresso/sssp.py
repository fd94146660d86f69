"""The SSSP 1.3.0 PBE libraries: their tables, where their files are kept here, and where they come from.

Only the standard library is used here, because the configuration is expanded with it in every dry run.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Literal

Library = Literal["efficiency", "precision"]
LIBRARIES: tuple[Library, ...] = ("efficiency", "precision")
VERSION = "1.3.0"
NAME = f"SSSP {VERSION} PBE"
DATA = Path(__file__).parent.parent / "data"
CACHE_VARIABLE = "MLIP_AUTOPIPEC_CACHE"
URL_VARIABLE = "MLIP_AUTOPIPEC_SSSP_URL"
# Materials Cloud Archive, record of Prandini et al., doi:10.24435/materialscloud:f3-ym; one archive per library.
URL = "https://archive.materialscloud.org/api/records/rcyfm-68h65/files/{archive}/content"


def library_of(protocol: str) -> Library:
    """The library of a labelling protocol (fast, balanced, stringent), as in AiiDA's protocols for pw.x."""
    return "precision" if protocol == "stringent" else "efficiency"


@cache
def sssp_table(library: Library) -> dict[str, dict[str, Any]]:
    """SSSP 1.3.0 PBE (Prandini et al., npj Comput. Mater. 4, 72 (2018)): by element, file name, md5, cutoffs in Ry."""
    table: dict[str, dict[str, Any]] = json.loads((DATA / f"sssp_{library}.json").read_text(encoding="utf-8"))
    return table


def sssp_entry(symbol: str, filename: str, library: Library = "efficiency") -> tuple[Library, dict[str, Any]] | None:
    """The library that has a file of this name, and its entry; `library` goes first, as many files are in both.

    A file has the same contents in both libraries, but not the same recommended cutoffs.
    """
    for one in sorted(LIBRARIES, key=lambda name: name != library):
        entry = sssp_table(one).get(symbol)
        if entry is not None and str(entry["filename"]).lower() == filename.lower():
            return one, entry
    return None


def cache_folder(library: Library) -> Path:
    """Where the files of a library are kept for all runs of this user.

    $MLIP_AUTOPIPEC_CACHE, or mlip-autopipec in $XDG_CACHE_HOME or ~/.cache; in it sssp/1.3.0/PBE/<library>.
    """
    given = os.environ.get(CACHE_VARIABLE)
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "mlip-autopipec"
    return Path(os.path.abspath(base.expanduser())) / "sssp" / VERSION / "PBE" / library


def archive_name(library: Library) -> str:
    """Name of the archive that holds a library."""
    return f"SSSP_{VERSION}_PBE_{library}.tar.gz"


def archive_url(library: Library) -> str:
    """Address of a library's archive; $MLIP_AUTOPIPEC_SSSP_URL names a mirror, with {archive} for the file's name."""
    return (os.environ.get(URL_VARIABLE) or URL).replace("{archive}", archive_name(library))
