"""The web server of a page."""

from __future__ import annotations

import shutil
import signal
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.web.server import addresses, make_server
from tests.mobile_eval.conftest import Invoke, one_line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site" / "models").mkdir(parents=True)
    for name in ("index.html", "app.js", "a.wasm", "site.json", "models/0.tflite"):
        (tmp_path / "site" / name).write_text(name)
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "site"


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    with make_server(folder, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_files_have_their_types(address: str) -> None:
    types = {
        "/": "text/html",
        "/app.js": "text/javascript",
        "/a.wasm": "application/wasm",
        "/models/0.tflite": "application/octet-stream",
    }
    for path, expected in types.items():
        with urllib.request.urlopen(address + path) as response:
            assert response.headers["Content-Type"] == expected
            assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"


@pytest.mark.parametrize("path", ["/models/", "/missing", "/../secret", "/%2e%2e/secret"])
def test_nothing_else_is_served(path: str, address: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error, urllib.request.urlopen(address + path):
        pass
    assert error.value.code == 404


def test_bad_input(folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    with pytest.raises(HRNetError, match=r"has no site.json"):
        make_server(tmp_path, 0)
    with make_server(folder, 0) as server, pytest.raises(HRNetError, match=r"`port` .* cannot be used"):
        make_server(folder, server.server_address[1])
    with pytest.raises(HRNetError, match=r"`certificate` .* cannot be read"):
        make_server(folder, 0, tmp_path / "secret")
    code, _, error = invoke("web", "--output", tmp_path, "--serve")
    assert (code, "has no site.json" in one_line(error)) == (2, True)


def test_https(folder: Path, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run(["openssl", "req", *options, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    with make_server(folder, 0, both) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        with urllib.request.urlopen(f"https://localhost:{server.server_address[1]}/app.js", context=context) as response:
            assert response.read() == b"app.js"
        server.shutdown()


@pytest.mark.slow
def test_command_serves_until_it_is_interrupted(folder: Path) -> None:
    command = [sys.executable, "-u", "-m", "mobile_eval", "web", "--output", str(folder), "--serve", "--port", "0"]
    restore_sigint = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell ignore SIGINT
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=restore_sigint) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}site.json") as response:
            assert response.read() == b"site.json"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_addresses() -> None:
    assert addresses(8000, secure=False)[0] == "http://localhost:8000/"
    assert addresses(8443, secure=True)[0] == "https://localhost:8443/"
