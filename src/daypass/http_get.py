"""Fetches a small document over HTTP, once, with limits of time and size; uses only the standard library.

It follows no redirect, uses no proxy and sends no credentials: it connects only to the given URL.
"""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from daypass.errors import KeysUnavailable
from daypass.value import value

if TYPE_CHECKING:
    from http.client import HTTPConnection

SECONDS = 5.0
MAXIMUM = 262_144
"""Bytes of an answer's body."""

_NONE: Mapping[str, str] = MappingProxyType({})


@value(frozen=True, slots=True)
class Answer:
    """A server's response.

    Attributes:
        status: the HTTP status.
        cache_control: the header, empty if missing.
        body: read in full.
    """

    status: int
    cache_control: str
    body: bytes


def fetch(url: str, *, seconds: float = SECONDS, headers: Mapping[str, str] = _NONE) -> Answer:
    """Return the response to a ``GET``; it blocks its thread.

    Args:
        url: ``https`` or ``http``.
        headers: further headers of the request.
        seconds: for everything together, even if the server sends slowly; DNS look-ups are not limited.

    Raises:
        KeysUnavailable: there was no response, none in time, or one of more than `MAXIMUM` bytes.
    """
    import http.client  # here, because most programs that import daypass never fetch anything

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    late = threading.Event()
    cut = threading.Timer(seconds, _cut, (connection, late))
    cut.daemon = True
    cut.name = "daypass-keys-timeout"
    cut.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"accept": "application/json", "user-agent": "daypass", **headers})
        with connection.getresponse() as response:
            body = response.read(MAXIMUM + 1)
            if len(body) > MAXIMUM:
                raise KeysUnavailable(f"{url} answered with more than {MAXIMUM} bytes")
            if late.is_set():  # being cut off looks like the end, even in the middle of the headers
                raise KeysUnavailable(f"{url} gave no answer in {seconds} seconds")
            if response.length:  # the announced body is incomplete
                raise KeysUnavailable(f"{url} answered in part")
            return Answer(response.status, response.getheader("cache-control", ""), body)
    except KeysUnavailable:
        raise
    except Exception as error:  # a TLS connection that is cut may raise anything
        raise KeysUnavailable(f"{url} gave no answer: {type(error).__name__}") from None
    finally:
        cut.cancel()
        connection.close()


def _cut(connection: "HTTPConnection", late: threading.Event) -> None:
    """Close a connection while another thread waits for it."""
    late.set()
    taken: socket.socket | None = connection.sock
    if taken is not None:
        with suppress(OSError):
            socket.socket.shutdown(taken, socket.SHUT_RDWR)  # not SSLSocket.shutdown, which sends a TLS goodbye first
