"""A server of another origin, which records its requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Stranger = tuple[str, list[dict[str, str]]]
"""A server's address, and the headers of its requests, with the method as ``:method``."""


@contextmanager
def standing_by() -> Iterator[Stranger]:
    """Yield its address and its requests. The status of a response is the path of its request; any page may read it."""
    requests: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append({name.lower(): value for name, value in self.headers.items()} | {":method": self.command})
            self.send_response(204 if self.command == "OPTIONS" else int(self.path.strip("/").partition("?")[0]))
            self.send_header("access-control-allow-origin", self.headers.get("origin", "*"))
            self.send_header("access-control-allow-headers", "authorization, content-type")
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_OPTIONS = do_GET  # noqa: N815 - the names that http.server calls

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
