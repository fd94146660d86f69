"""Files that are either whole or absent, and the note each one carries about how it was made."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mlip_autopipec.errors import InputFileError

PACKAGES = (
    "mlip-autopipec",
    "ase",
    "numpy",
    "scipy",
    "numba",
    "scikit-learn",
    "dscribe",
    "sevenn",
    "mace-torch",
    "e3nn",
    "torch",
    "snakemake",
)

_UMASK = os.umask(0)  # can be read by setting it only, which several threads must not do
os.umask(_UMASK)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside `path`; renamed to `path` when the block ends well, removed otherwise.

    The temporary name keeps the suffix of `path`, because writers choose the format by it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_UMASK)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write `data` (dicts, lists, numpy values, pydantic models) as indented JSON, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, default=_plain) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON artifact.

    Raises:
        InputFileError: the file is missing, truncated or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputFileError(
            path, "no such file", "Run the rule that makes it, by giving its name to snakemake."
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputFileError(path, f"not readable as JSON ({error})", "Delete it and run again.") from None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages whose numbers end up in results; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_record(path: str | os.PathLike[str], record: dict[str, Any], parents: list[str], **made_with: Any) -> None:
    """Write a stage's JSON record together with its `provenance`."""
    note = provenance(parents, **made_with)
    assert not record.keys() & note.keys(), record.keys() & note.keys()
    write_json(path, record | note)


def provenance(parents: list[str] | None = None, **made_with: Any) -> dict[str, Any]:
    """What made an artifact: package versions, the files it was made from (with checksums) and parameters."""
    files = {str(p): sha256(p) for p in parents or [] if Path(p).is_file()}
    return {"versions": versions(), "made_from": files, "made_with": made_with}
