"""Refreshes a second and CPU time for one, under sixteen clients that each refresh their own session."""

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from compare.peers import Peer

CLIENTS = 16
WARM = 2.0  # seconds until the engines of JavaScript have compiled what they run
SECONDS = 4.0


class Speed(NamedTuple):
    """How fast a server refreshes.

    Attributes:
        rate: refreshes a second.
        cpu: µs of CPU time of the server's processes for one.
    """

    rate: float
    cpu: float


class _Client(asyncio.Protocol):
    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._token = peer.log_in().refresh
        self._buffer = b""
        self.done = self.bad = 0
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, _, body = self._buffer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not (len(body) >= int(length) if length else body.endswith(b"0\r\n\r\n")):
            return
        if not length:  # in chunks; such a short answer is one
            body = body.split(b"\r\n")[1]
        self._buffer = b""
        if head[9:12] == b"200":
            self.done += 1
            self._token = json.loads(body).get(self._peer.kind.named[0]) or self._token
        else:
            self.bad += 1
        if self.running:
            self._send()

    def _send(self) -> None:
        kind, token = self._peer.kind, self._token
        path, fields = kind.refreshing
        body: Mapping[str, Any] = {**fields, kind.named[0]: token}
        text = (urlencode(body) if kind.form else json.dumps(body)).encode()
        media = "application/x-www-form-urlencoded" if kind.form else "application/json"
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {urlsplit(self._peer.url).netloc}\r\nContent-Type: {media}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        if kind.form or kind.daypass:
            head = head.replace(f"Authorization: Bearer {token}\r\n", "")
        self.transport.write(head.encode() + text)  # type: ignore[attr-defined]  # asyncio types it as a base transport


def speed_of(peer: Peer) -> Speed:
    """Put a server under load.

    Raises:
        AssertionError: an answer was no refresh.
    """
    return asyncio.run(_load(peer, [_Client(peer) for _ in range(CLIENTS)]))


async def _load(peer: Peer, clients: Sequence[_Client]) -> Speed:
    loop = asyncio.get_running_loop()
    host, _, port = urlsplit(peer.url).netloc.partition(":")
    for client in clients:
        await loop.create_connection(lambda client=client: client, host, int(port))  # type: ignore[misc]  # its default is its own
    await asyncio.sleep(WARM)
    before, used, started = sum(each.done for each in clients), _cpu(peer.pid), time.perf_counter()
    await asyncio.sleep(SECONDS)
    done = sum(each.done for each in clients) - before
    used, took = _cpu(peer.pid) - used, time.perf_counter() - started
    for client in clients:
        client.running = False
    await asyncio.sleep(0.3)
    for client in clients:
        client.transport.close()
    bad = sum(each.bad for each in clients)
    assert not bad, f"{bad} answers of {peer.kind.name} were no refresh"
    return Speed(done / took, used / max(1, done) * 1e6)


def _cpu(pid: int) -> float:
    """Return the CPU time of a process and its children, in seconds."""
    return sum(int(fields[11]) + int(fields[12]) for fields in _family(pid)) / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> Iterator[list[str]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if pid in (int(stat.parent.name), int(fields[1])):
            yield fields
