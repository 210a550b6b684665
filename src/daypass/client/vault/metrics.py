"""Serves counters for Prometheus over HTTP: one path, nothing else."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from daypass.errors import ConfigurationError

PATH = "/metrics"
_POLL = 0.1


@contextmanager
def serving(address: str, text: Callable[[], str]) -> Iterator[str]:
    """Serve ``text()`` at ``address``, such as ``127.0.0.1:9464``; yield the URL.

    Raises:
        ConfigurationError: the address is invalid, or the server cannot listen on it.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            found = self.path.partition("?")[0] == PATH
            body = text().encode() if found else b""
            self.send_response(200 if found else 404)
            self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Do not log scrapes."""

    server = _listening(address, Handler)
    threading.Thread(target=server.serve_forever, args=(_POLL,), daemon=True, name="daypass-metrics").start()
    try:
        yield f"http://{address.rpartition(':')[0]}:{server.server_port}{PATH}"
    finally:
        server.shutdown()
        server.server_close()


def _listening(address: str, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise ConfigurationError(f"invalid address {address!r}: expected a host and a port, as 127.0.0.1:9464")
    try:
        server = ThreadingHTTPServer((host, int(port)), handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{address} cannot be listened on: {reason}") from None
    server.daemon_threads = True
    return server
