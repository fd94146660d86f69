"""Fetching SSSP's files into the cache: each is checked by its md5 and is there whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso.sssp import (
    CACHE_VARIABLE,
    NAME,
    URL_VARIABLE,
    Library,
    archive_name,
    archive_url,
    cache_folder,
    sssp_table,
)

SILENCE_SECONDS = 60.0  # no byte for so long: there is no network worth waiting for
FILE_BYTES_MAX = 100_000_000  # SSSP's largest file has a tenth of it; more is not a pseudopotential


def missing(symbols: Iterable[str], library: Library, folder: Path | None = None) -> list[str]:
    """Those of the elements whose SSSP file is not in the cache (or in `folder`) with the right contents."""
    table, place = sssp_table(library), folder or cache_folder(library)
    return [s for s in symbols if s in table and _md5_of(place / table[s]["filename"]) != table[s]["md5"]]


def fetch(
    symbols: Iterable[str], library: Library, *, folder: Path | None = None, say: Callable[[str], object] = print
) -> list[Path]:
    """Bring SSSP's files of these elements into the cache, where they are not there yet.

    SSSP is published as one archive per library, so all its files are kept, for other runs. Every file is compared
    with the table's md5 and renamed when it is whole; the archive itself has no name on the disk. Two runs may fetch
    at once.

    Args:
        folder: where to, in place of `cache_folder(library)`.
        say: is told what is fetched, and what has come.

    Returns:
        The files of these elements.

    Raises:
        ConfigurationFault: no network, a broken archive, an archive without these files or with other contents than
            the table's, or a folder that cannot be written; with how to do it by hand.
    """
    wanted, table, place = list(symbols), sssp_table(library), folder or cache_folder(library)
    if unknown := [s for s in wanted if s not in table]:
        raise ConfigurationFault(
            f"{NAME} {library} has no file of {', '.join(unknown)}", "Name a file in labelling.pseudopotentials"
        )
    if needed := missing(wanted, library, place):
        url = archive_url(library)
        say(f"Fetching {NAME} {library} from {url} into {place}")
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place) as archive:
                size = _download(url, archive)
                archive.seek(0)
                installed, wrong = _install(archive, library, place)
        except _Unreachable as error:
            raise _fault(library, place, f"{urlsplit(url).netloc or url} cannot be reached ({error})") from None
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise _fault(library, place, f"what {url} gave is no whole tar archive ({error})") from None
        except OSError as error:
            raise ConfigurationFault(
                f"{NAME} {library} cannot be kept in {place} ({error.strerror or error})",
                f"Make room there, or set {CACHE_VARIABLE} to a folder that can be written and that the machines that "
                "run pw.x see too",
            ) from None
        if absent := missing(needed, library, place):
            told = "; ".join(
                f"{s}: {table[s]['filename']} "
                + (f"has md5 {wrong[s]}, not {table[s]['md5']}" if s in wrong else "absent")
                for s in absent
            )
            raise _fault(library, place, f"the archive at {url} is not {NAME} {library} ({told})")
        say(f"{installed} files of {NAME} {library} ({size / 1e6:.1f} MB) are in {place}, each with the right md5")
    return [place / table[s]["filename"] for s in wanted]


def by_hand(library: Library, folder: Path) -> str:
    """How to get a library's files without this program."""
    archive = archive_name(library)
    return (
        "On a machine with a network that sees this folder, run `python -m "
        "mlip_autopipec.labelling.espresso.pseudopotentials FORMULA`; or, on any, "
        f"`curl -L -o {archive} {archive_url(library)}`, bring the file here and "
        f"`mkdir -p {folder} && tar -xzf {archive} -C {folder}`"
    )


def _fault(library: Library, folder: Path, problem: str) -> ConfigurationFault:
    return ConfigurationFault(
        f"{NAME} {library} could not be fetched: {problem}",
        f"{by_hand(library, folder)}. A proxy is taken from https_proxy, a mirror's address from {URL_VARIABLE}",
    )


class _Unreachable(Exception):
    """The network's failure, told apart from that of the disk."""


def _download(url: str, target: IO[bytes]) -> int:
    """Write what an address gives to `target`; the number of bytes.

    Raises:
        _Unreachable: it gives nothing, or ends before its announced length.
        OSError: `target` cannot be written.
    """
    size = 0
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "mlip-autopipec"})
        answer = urllib.request.urlopen(request, timeout=SILENCE_SECONDS)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Unreachable(getattr(error, "reason", None) or error) from None
    with answer:
        announced = answer.headers.get("Content-Length")
        while True:
            try:
                block = answer.read(1 << 20)
            except (OSError, http.client.HTTPException) as error:
                raise _Unreachable(f"the connection broke after {size} bytes: {error}") from None
            if not block:
                break
            target.write(block)
            size += len(block)
    if announced is not None and size != int(announced):
        raise _Unreachable(f"the connection broke after {size} of {announced} bytes")
    return size


def _install(archive: IO[bytes], library: Library, folder: Path) -> tuple[int, dict[str, str]]:
    """Put the table's files from an archive into a folder.

    Returns:
        How many of the table's files are there, and by element the md5 of those that are not what the table says.
    """
    by_name = {str(entry["filename"]).lower(): symbol for symbol, entry in sssp_table(library).items()}
    installed, wrong = 0, {}
    with tarfile.open(fileobj=archive, mode="r:*") as members:
        for member in members:
            # Only the last part of a member's name counts: nothing is written outside of the folder.
            symbol = by_name.get(PurePosixPath(member.name).name.lower())
            if symbol is None or not member.isfile() or member.size > FILE_BYTES_MAX:
                continue
            handle = members.extractfile(member)
            contents = handle.read() if handle else b""
            entry = sssp_table(library)[symbol]
            found = hashlib.md5(contents, usedforsecurity=False).hexdigest()
            if found != entry["md5"]:
                wrong[symbol] = found
                continue
            target = folder / entry["filename"]
            if _md5_of(target) != found:
                with atomic_path(target) as temporary:
                    temporary.write_bytes(contents)
            installed += 1
    return installed, wrong


def _md5_of(path: Path) -> str | None:
    try:
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return None
