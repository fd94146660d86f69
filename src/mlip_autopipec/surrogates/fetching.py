"""Weights that do not come with a package, brought into the cache: whole and with the right checksum, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.surrogates.known import SURROGATES
from mlip_autopipec.surrogates.weights import CACHE_VARIABLE, published_url, sha256_of, size_of, weights_path

URL_VARIABLE = "MLIP_AUTOPIPEC_WEIGHTS_URL"
SILENCE_SECONDS = 60.0  # no byte for so long: there is no network worth waiting for


class Unreachable(ConfigurationFault):
    """The machine that has the weights does not answer: there is no network here, or a proxy is needed."""


def fetch(name: str, *, timeout_seconds: float = SILENCE_SECONDS, say: Callable[[str], object] = print) -> Path:
    """Bring a surrogate's weights into the cache, where they are not there yet.

    They are compared with the checksum that their authors published, and have their name only when they are whole.

    Args:
        timeout_seconds: silence of the network after which it counts as absent.
        say: is told what is fetched, and what has come.

    Raises:
        Unreachable: there is no network.
        ConfigurationFault: the name stands for no weights that can be fetched, the package is missing, what came is not
            what its authors published, or the folder cannot be written.
    """
    known = SURROGATES.get(name)
    if known is None or not known.entry:
        fetchable = ", ".join(n for n, k in SURROGATES.items() if k.entry)
        raise ConfigurationFault(f"'{name}' has no weights to fetch", f"Those that have: {fetchable}")
    path, address = weights_path(name), published_url(name)
    if path is None or address is None:
        raise ConfigurationFault(
            f"The package {known.package} is not installed, or does not know '{known.entry}'", "Run make setup"
        )
    address = (os.environ.get(URL_VARIABLE) or address).replace("{file}", address.rpartition("/")[2])
    if size_of(path) == known.size_bytes and sha256_of(path) == known.sha256:
        say(f"{known.title} is in {path}, with the right SHA-256")
        return path
    by_hand = (
        f"On a machine with a network get {address} and put it here as {path}. A proxy is taken from https_proxy, a "
        f"mirror's address from {URL_VARIABLE}, with {{file}} for the file's name"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as target:
                answer = _open(address, timeout_seconds, by_hand)
                say(f"Fetching {known.title} ({known.size_bytes / 1e6:.0f} MB, licence {known.licence}) from {address}")
                size, found = _copy(answer, target, by_hand)
            if (size, found) != (known.size_bytes, known.sha256):
                raise ConfigurationFault(
                    f"What {address} gave is not {known.title}: {size} bytes with SHA-256 {found}, not "
                    f"{known.size_bytes} with {known.sha256}",
                    by_hand,
                )
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise ConfigurationFault(
            f"{known.title} cannot be kept in {path.parent} ({error.strerror or error})",
            f"Make room there, or set {CACHE_VARIABLE} to a folder that can be written and that all jobs see",
        ) from None
    say(f"{known.title} is in {path}, with the right SHA-256")
    return path


def _open(address: str, timeout_seconds: float, mend: str) -> Any:
    """The answer of an address.

    Raises:
        Unreachable: nothing answers.
        ConfigurationFault: something does, without the file.
    """
    host = urlsplit(address).netloc or address
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "mlip-autopipec"})
        return urllib.request.urlopen(request, timeout=timeout_seconds)
    except urllib.error.HTTPError as error:
        raise ConfigurationFault(
            f"{host} was reached but has not given {address} (HTTP {error.code}: {error.reason})", mend
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"{host} cannot be reached ({getattr(error, 'reason', None) or error})", mend) from None


def _copy(answer: Any, target: IO[bytes], mend: str) -> tuple[int, str]:
    """Write an answer to `target`; the number of bytes and their SHA-256.

    Raises:
        Unreachable: the connection breaks.
        OSError: `target` cannot be written.
    """
    size, digest = 0, hashlib.sha256()
    with answer:
        announced = answer.headers.get("Content-Length")
        while True:
            try:
                block = answer.read(1 << 20)
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(f"the connection broke after {size} bytes ({error})", mend) from None
            if not block:
                break
            target.write(block)
            digest.update(block)
            size += len(block)
    if announced is not None and size != int(announced):
        raise Unreachable(f"the connection broke after {size} of {announced} bytes", mend)
    return size, digest.hexdigest()
