"""Fetches a small document over HTTP, once, within bounds of time and size; with nothing but the standard library.

It follows no redirect, asks no proxy and sends nothing of its user's: what is fetched is where it was said to be.
"""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from daypass.errors import KeysUnavailable

if TYPE_CHECKING:
    from http.client import HTTPConnection

SECONDS = 5.0
MAXIMUM = 262_144
"""Bytes of an answer's body."""

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: the HTTP status.
        cache_control: the header, empty where there is none.
        body: read in full.
    """

    status: int
    cache_control: str
    body: bytes


def fetch(url: str, *, seconds: float = SECONDS, headers: Mapping[str, str] = _NONE) -> Answer:
    """Return the answer to a ``GET``; it blocks its thread.

    Args:
        url: ``https`` or ``http``.
        headers: further ones of the request.
        seconds: for all of it together, however slowly the server dribbles; finding its address is left to the system.

    Raises:
        KeysUnavailable: there was no answer, none in time, or one of more than `MAXIMUM` bytes.
    """
    import http.client  # here, because few of those who import daypass ever fetch anything

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
            if late.is_set():  # to be cut off looks like an end, even in the middle of the headers
                raise KeysUnavailable(f"{url} gave no answer in {seconds} seconds")
            if response.length:  # of what was announced, this is missing
                raise KeysUnavailable(f"{url} answered in part")
            return Answer(response.status, response.getheader("cache-control", ""), body)
    except KeysUnavailable:
        raise
    except Exception as error:  # what a broken TLS connection raises when it is cut is anybody's guess
        raise KeysUnavailable(f"{url} gave no answer: {type(error).__name__}") from None
    finally:
        cut.cancel()
        connection.close()


def _cut(connection: "HTTPConnection", late: threading.Event) -> None:
    """End a connection under the one who waits for it."""
    late.set()
    taken: socket.socket | None = connection.sock
    if taken is not None:
        with suppress(OSError):
            socket.socket.shutdown(taken, socket.SHUT_RDWR)  # not an SSLSocket's own, which says goodbye first
