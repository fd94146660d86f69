"""Weights that do not come with a package: where they are kept, and whether they are there.

Standard library only: the config asks this at every dry run.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import os
from pathlib import Path

from mlip_autopipec.surrogates.known import SURROGATES

CACHE_VARIABLE = "MLIP_AUTOPIPEC_CACHE"


def cached(name: str) -> Path | None:
    """The file with a surrogate's weights, if it is on this machine; of the right size, but not read.

    None, too, for a surrogate whose weights come with its package, and where its package is not installed.
    """
    known = SURROGATES.get(name)
    if known is None or not known.entry:
        return None
    path = weights_path(name)
    return path if path is not None and size_of(path) == known.size_bytes else None


def weights_path(name: str) -> Path | None:
    """Where the weights belong, whether they are there or not; None without their package.

    That is MACE's own cache (`mace` in $XDG_CACHE_HOME or ~/.cache), so that what another program has fetched is found;
    with $MLIP_AUTOPIPEC_CACHE, `mace` in that folder.
    """
    address = published_url(name)
    if address is None:
        return None
    given = os.environ.get(CACHE_VARIABLE)
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    # MACE's own rule for a name in its cache
    file = "".join(c for c in address.rpartition("/")[2] if c.isalnum() or c == "_")
    return Path(os.path.abspath(base.expanduser())) / "mace" / file


def published_url(name: str) -> str | None:
    """The address in the table of the installed package; None when the package, or the entry, is not there.

    The table is read from the package's source: importing it would import torch, which takes seconds.
    """
    known = SURROGATES[name]
    with contextlib.suppress(ImportError, OSError, ValueError, SyntaxError):
        found = importlib.util.find_spec(known.module)
        if found is not None and found.origin is not None:
            source = Path(found.origin).parent / "calculators" / "foundations_models.py"
            for statement in ast.parse(source.read_text(encoding="utf-8")).body:
                names = [getattr(t, "id", "") for t in statement.targets] if isinstance(statement, ast.Assign) else []
                if isinstance(statement, ast.Assign) and "mace_mp_urls" in names:
                    address = ast.literal_eval(statement.value).get(known.entry)
                    return str(address) if address else None
    return None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def size_of(path: Path) -> int:
    """Of a file, in bytes; -1 when there is none."""
    try:
        return path.stat().st_size if path.is_file() else -1
    except OSError:
        return -1
