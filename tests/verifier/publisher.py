"""Publishes keys on a real socket, as an issuer does, and as none should; it counts requests."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from daypass import Daypass, User
from daypass.testing import Clock

ISSUER = "https://api.example.com"
JWKS = "/.well-known/jwks.json"
METADATA = "/.well-known/oauth-authorization-server"
USER = User("user-1", "alice", "alice@example.com")

Answering = Callable[["Publisher", BaseHTTPRequestHandler], None]


class Publisher:
    """A server whose answers a test decides.

    Attributes:
        answer: sends the answer to a request; the issuer's keys unless a test says otherwise.
        asked: the paths that were asked for.
        hold: what every answer waits for; set unless a test clears it.
    """

    def __init__(self, auth: Daypass) -> None:
        self.auth = auth
        self.asked: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        self.arrived = threading.Event()
        self.answer: Answering = publish
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked.append(self.path)
                publisher.arrived.set()
                publisher.hold.wait(30)
                try:
                    publisher.answer(publisher, self)
                except OSError:  # the client has gone
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.jwks_url = self.address + JWKS


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("content-length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def publish(publisher: Publisher, handler: BaseHTTPRequestHandler) -> None:
    """Send the issuer's keys; there is no metadata."""
    if handler.path != JWKS:
        return send(handler, b"{}", 404)
    return send(handler, json.dumps(publisher.auth.jwks()).encode(), cache_control="public, max-age=300")


def sending(body: bytes, status: int = 200, **headers: str) -> Answering:
    """Return what sends this, whatever is asked for."""
    return lambda _, handler: send(handler, body, status, **headers)


@contextmanager
def publishing(auth: Daypass) -> Iterator[Publisher]:
    publisher = Publisher(auth)
    thread = threading.Thread(target=publisher.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield publisher
    finally:
        publisher.hold.set()
        publisher.server.shutdown()
        thread.join()
        publisher.server.server_close()


def issuer(clock: Clock, **options: Any) -> Daypass:
    return Daypass("memory:", issuer=ISSUER, load_user={"user-1": USER}.get, clock=clock, **options)
