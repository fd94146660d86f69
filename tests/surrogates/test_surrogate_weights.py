"""Weights are fetched whole with the right checksum, or there is one sentence that tells offline from wrong."""

import dataclasses
import hashlib
import http.server
import subprocess
import sys
import threading

import pytest

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.surrogates import SURROGATES
from mlip_autopipec.surrogates.__main__ import main
from mlip_autopipec.surrogates.fetching import URL_VARIABLE, Unreachable, fetch
from mlip_autopipec.surrogates.weights import CACHE_VARIABLE, cached, published_url, weights_path

CONTENTS = b"weights " * 4000


class Server(http.server.ThreadingHTTPServer):
    """Gives `contents` for its one file, in the way that `how` says."""

    contents, how, asked = CONTENTS, "well", 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        if self.server.how == "absent":
            return self.send_error(404)
        body = b"<html>log in first</html>" if self.server.how == "page" else self.server.contents
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:5000] if self.server.how == "cut" else body)
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv(URL_VARIABLE, f"http://127.0.0.1:{running.server_port}/mirror/{{file}}")
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
        monkeypatch.setitem(
            SURROGATES,
            "mace-mp",
            dataclasses.replace(
                SURROGATES["mace-mp"], sha256=hashlib.sha256(CONTENTS).hexdigest(), size_bytes=len(CONTENTS)
            ),
        )
        yield running
        running.shutdown()
        thread.join()


def left(tmp_path):
    return sorted(p.name for p in (tmp_path / "mace").iterdir())


def test_the_address_is_the_packages_own():
    from mace.calculators.foundations_models import mace_mp_urls

    assert published_url("mace-mp") == mace_mp_urls["medium-mpa-0"]
    assert published_url("mace-mp").endswith("/mace-mpa-0-medium.model")


def test_the_place_is_maces_own_cache(monkeypatch, tmp_path):
    from mace.tools.utils import get_cache_dir

    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_path("mace-mp") == get_cache_dir() / "macempa0mediummodel"
    assert cached("mace-mp") is None
    assert cached("sevennet-0") is None
    assert cached("no such") is None


def test_asking_whether_they_are_there_imports_no_more_than_a_dry_run_may():
    heavy = "{'torch', 'numpy', 'ase', 'mace', 'urllib.request'}"
    done = subprocess.run(
        [sys.executable, "-c", "import sys, mlip_autopipec.surrogates.weights as w; w.cached('mace-mp'); "
         f"print({heavy} & sys.modules.keys())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "set()"


def test_fetched_once_whole_and_found(server, tmp_path):
    said = []
    path = fetch("mace-mp", say=said.append)
    assert path.read_bytes() == CONTENTS
    assert cached("mace-mp") == path
    assert left(tmp_path) == ["macempa0mediummodel"]
    assert "licence MIT" in said[0]
    fetch("mace-mp", say=said.append)
    assert server.asked == 1


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    path = weights_path("mace-mp")
    path.parent.mkdir()
    path.write_bytes(CONTENTS[:-1])
    assert cached("mace-mp") is None
    fetch("mace-mp", say=lambda _: None)
    assert path.read_bytes() == CONTENTS
    path.write_bytes(CONTENTS[:-1] + b"x")
    fetch("mace-mp", say=lambda _: None)
    assert path.read_bytes() == CONTENTS


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ("absent", ConfigurationFault, r"was reached but has not given .*HTTP 404"),
        ("page", ConfigurationFault, r"is not MACE-MPA-0 medium: 25 bytes with SHA-256"),
        ("other", ConfigurationFault, r"is not MACE-MPA-0 medium: 32000 bytes with SHA-256"),
        ("cut", Unreachable, r"broke after 5000 of 32000 bytes"),
    ],
)
def test_what_is_not_the_file_is_not_kept(server, tmp_path, how, kind, said):
    server.how = how
    if how == "other":
        server.contents = CONTENTS[::-1]
    with pytest.raises(ConfigurationFault, match=said) as caught:
        fetch("mace-mp", say=lambda _: None)
    assert type(caught.value) is kind
    assert "put it here as" in caught.value.mend
    assert left(tmp_path) == []


def test_offline_is_told_from_a_wrong_name(server, monkeypatch, capsys):
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:9/{file}")
    with pytest.raises(Unreachable, match=r"127.0.0.1:9 cannot be reached \(.*refused"):
        fetch("mace-mp", say=lambda _: None)
    with pytest.raises(ConfigurationFault, match="has no weights to fetch") as caught:
        fetch("mace_mp")
    assert not isinstance(caught.value, Unreachable)
    assert main(["fetch", "mace-mp"]) == 1
    assert "cannot be reached" in capsys.readouterr().err
    assert main(["fetch", "mace-mp", "--if-reachable", "2"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.count("\n") == 1
    assert "SevenNet-0 will be used" in told.out


def test_a_silent_machine_is_given_up(server, monkeypatch):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv(URL_VARIABLE, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(Unreachable, match="timed out"):
            fetch("mace-mp", timeout_seconds=0.3, say=lambda _: None)


def test_a_folder_that_cannot_be_written(server, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ConfigurationFault, match="cannot be kept"):
        fetch("mace-mp", say=lambda _: None)


def test_the_command_lists_and_fetches(server, capsys):
    assert main(["list"]) == 0
    assert "not here" in capsys.readouterr().out
    assert main(["fetch", "mace-mp"]) == 0
    assert main(["list"]) == 0
    assert "macempa0mediummodel" in capsys.readouterr().out
    assert main(["fetch", "sevennet-0"]) == 1
