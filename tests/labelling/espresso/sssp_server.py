"""A small SSSP of fake files, and a server of its archive on this machine."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from mlip_autopipec.config.pseudopotentials import forget_files
from mlip_autopipec.labelling.espresso import sssp

VALENCE = {"Fe": 16, "Pt": 16, "Si": 4, "O": 6}


def upf(element: str, library: str = "efficiency") -> bytes:
    """A header that stands for a pseudopotential; those of the libraries differ for platinum alone, as some do."""
    valence = 18 if (element, library) == ("Pt", "precision") else VALENCE[element]
    return (
        f'<UPF version="2.0.1"><PP_HEADER element="{element}" pseudo_type="US" relativistic="scalar" functional="PBE" '
        f'z_valence="{valence}.0" wfc_cutoff="20.0" rho_cutoff="80.0"/></UPF>\n'
    ).encode()


def file_name(element: str, library: str) -> str:
    return f"{element}.pbe-{library if element == 'Pt' else 'both'}.UPF"


def small_sssp(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put tables of the fake files in place of SSSP's."""
    data.mkdir(parents=True, exist_ok=True)
    for library, wave in (("efficiency", 40.0), ("precision", 60.0)):
        table = {
            element: {
                "filename": file_name(element, library),
                "md5": hashlib.md5(upf(element, library)).hexdigest(),
                "cutoff_wfc": wave, "cutoff_rho": 8 * wave, "pseudopotential": "031US",
            }
            for element in VALENCE
        }  # fmt: skip
        (data / f"sssp_{library}.json").write_text(json.dumps(table))
    monkeypatch.setattr(sssp, "DATA", data)
    sssp.sssp_table.cache_clear()
    forget_files()


def archive(
    library: str = "efficiency", replaced: dict[str, bytes] | None = None, elements: tuple[str, ...] = tuple(VALENCE)
) -> bytes:
    """A tar.gz like SSSP's, members named './FILE'; contents of some elements replaced."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as members:
        for element in elements:
            contents = (replaced or {}).get(element, upf(element, library))
            info = tarfile.TarInfo(f"./{file_name(element, library)}")
            info.size = len(contents)
            members.addfile(info, io.BytesIO(contents))
    return raw.getvalue()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Counts what is asked for, and says nothing."""

    asked: ClassVar[list[str]] = []

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path.endswith(".cut"):  # announces more than it gives
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            return
        super().do_GET()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of `folder`."""
    Quiet.asked = []
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
