"""A web server for a page in the local network."""

from __future__ import annotations

import http.server
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.web.site import SITE_FILE

logger = logging.getLogger(__name__)

EVERY_INTERFACE = ""
DOCUMENTATION_ADDRESS = ("192.0.2.1", 9)  # of RFC 5737; nothing is sent there
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",  # with the next one, browsers give pages of https or localhost a finer clock
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
MEDIA_TYPES = {
    **http.server.SimpleHTTPRequestHandler.extensions_map,
    ".js": "text/javascript",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".tflite": "application/octet-stream",
}


class PageHandler(http.server.SimpleHTTPRequestHandler):
    """Serves the files of a folder, and no lists of files."""

    extensions_map = MEDIA_TYPES

    def end_headers(self) -> None:
        """Add the headers of a page."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: object) -> None:
        """Refuse to list a folder."""
        self.send_error(http.HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log a request."""
        logger.debug(format, *args)


def make_server(folder: Path | str, port: int = 8000, certificate: Path | None = None) -> http.server.ThreadingHTTPServer:
    """Return a server of a page, which listens already; `serve_forever` answers.

    Args:
        folder: A folder that `write_site` wrote.
        port: Port on all interfaces of this machine; 0 for any free one.
        certificate: PEM file with a certificate and its key, for https; None for http.

    Raises:
        HRNetError: The folder has no page, the port is not free, or the certificate cannot be read.
    """
    folder = Path(folder)
    if not (folder / SITE_FILE).is_file():
        raise HRNetError(f"{folder} has no {SITE_FILE}: give the `output` of an earlier `hrnet web`, or models")
    context = _tls_context(certificate) if certificate else None
    try:
        server = http.server.ThreadingHTTPServer((EVERY_INTERFACE, port), partial(PageHandler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise HRNetError(f"`port` {port} cannot be used: {getattr(error, 'strerror', None) or error}") from error
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def _tls_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate)
    except (OSError, ssl.SSLError) as error:
        raise HRNetError(f"`certificate` {certificate} cannot be read: {error.strerror or error}") from error
    return context


def addresses(port: int, *, secure: bool) -> list[str]:
    """Return the addresses of a page: on this machine, and in its network where there is one."""
    scheme = "https" if secure else "http"
    hosts = ["localhost", *filter(None, [_network_address()])]
    return [f"{scheme}://{host}:{port}/" for host in hosts]


def _network_address() -> str | None:
    """The address of this machine in its network; None if it is in none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(DOCUMENTATION_ADDRESS)  # of UDP: sends nothing, and chooses the interface
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return address


def serve(folder: Path | str, port: int = 8000, certificate: Path | None = None, echo: Callable[[str], None] = print) -> None:
    """Serve a page until Ctrl-C.

    Args:
        folder: A folder that `write_site` wrote.
        port: Port on all interfaces of this machine.
        certificate: PEM file with a certificate and its key, for https; None for http.
        echo: Prints a line.
    """
    with make_server(folder, port, certificate) as server:
        for address in addresses(server.server_address[1], secure=certificate is not None):
            echo(address)
        echo("Ctrl-C ends the server.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
