"""Sixteen clients at once, each on a connection of its own, who refresh without a pause or so many times a second."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CLIENTS = 16
SECONDS = 3.0
LOGIN = b'{"username": "ann", "password": "correct horse"}'
COOKIE = re.compile(rb"set-cookie: (daypass[0-9a-z-]*=[^;]*)", re.IGNORECASE)


class Load(NamedTuple):
    """What a server did under load.

    Attributes:
        rate: refreshes a second.
        cpu: µs of CPU time that the server's processes used for each.
        middle: the median of how long one took, in milliseconds.
        tail: how long 99 of 100 took at most, in milliseconds.
        bad: how many answers were no refresh.
    """

    rate: float
    cpu: float
    middle: float
    tail: float
    bad: int


class Client(asyncio.Protocol):
    """One client on one connection: sends the next request as soon as it has the answer, or when it is due.

    Args:
        host: the server.
        period: seconds from one request to the next; 0 sends them without a pause.
        tokens: what to refresh with, each once; by default a session of its own, over and over.
    """

    def __init__(self, host: str, period: float, tokens: Iterator[str] | None = None) -> None:
        self.tokens = tokens
        self.host = host
        self.period = period
        self.cookie = b"daypass=x"
        self.bad = 0
        self.took: list[float] = []
        self.sent_at = 0.0
        self.buffer = b""
        self.running = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, path: str = "/auth/refresh", body: bytes = b"") -> None:
        self.sent_at = time.perf_counter()
        self.write(path, body)

    def write(self, path: str = "/auth/refresh", body: bytes = b"") -> None:
        if self.tokens is not None:
            body = b'{"refreshToken": "%s"}' % next(self.tokens).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        request = head.encode() + b"Cookie: %s\r\nContent-Length: %d\r\n\r\n%s" % (self.cookie, len(body), body)
        self.transport.write(request)  # type: ignore[attr-defined]  # asyncio types it as a base transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head_end = self.buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self.buffer[:head_end].lower()
        length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        if len(self.buffer) < head_end + 4 + length:
            return
        cookie = COOKIE.search(self.buffer[:head_end])
        if self.buffer[9:12] == b"200" and (cookie or self.tokens is not None):
            self.cookie = cookie[1] if cookie else self.cookie
            self.took.append(time.perf_counter() - self.sent_at)
        else:
            self.bad += 1
        self.buffer = b""
        if self.running:
            self.send_next()

    def send_next(self) -> None:
        """Send the next request. If it was due before the answer came, its time counts from then on."""
        left = self.sent_at + self.period - time.perf_counter()
        if left > 0:
            asyncio.get_running_loop().call_later(left, self.send_later)
        elif self.period:
            self.sent_at += self.period
            self.write()
        else:
            self.send()

    def send_later(self) -> None:
        if self.running:
            self.send()


Clients = Callable[[str, float], Client]
"""Makes a client, of a host and a period."""


class Crowd:
    """The clients of a server, who refresh all the time.

    Args:
        pids: the server's processes; those that they have started count too.
        client: makes each of them.
    """

    def __init__(self, pids: Sequence[int], client: Clients = Client) -> None:
        self.pids = pids
        self.client = client
        self.clients: list[Client] = []

    async def come(self, address: str, *, login: bool, rate: float = 0) -> None:
        """Connect, log in, and begin to refresh: without a pause, or ``rate`` times a second in all."""
        host = address.removeprefix("http://")
        loop = asyncio.get_running_loop()
        name, _, port = host.partition(":")
        period = CLIENTS / rate if rate else 0
        for _ in range(CLIENTS):
            _, client = await loop.create_connection(lambda: self.client(host, period), name, int(port))
            self.clients.append(client)
            if login:  # one after another, because hashing takes time
                client.send("/auth/login", LOGIN)
                while not (client.took or client.bad):  # noqa: ASYNC110 - nothing signals it
                    await asyncio.sleep(0.002)
        for client in self.clients:
            client.running = True
            client.send()
            await asyncio.sleep(period / CLIENTS)
        await asyncio.sleep(0.5)

    async def watched(self, seconds: float = SECONDS) -> Load:
        """Return what the server does in the next seconds."""
        for client in self.clients:
            client.took.clear()
        used, started = self._cpu(), time.perf_counter()
        await asyncio.sleep(seconds)
        spans = sorted(span for client in self.clients for span in client.took)
        used, took = self._cpu() - used, time.perf_counter() - started
        done = max(1, len(spans))
        bad = sum(client.bad for client in self.clients) + (not spans)
        middle, tail = (spans[int(done * share)] * 1e3 if spans else 0.0 for share in (0.5, 0.99))
        return Load(done / took, used / done * 1e6, middle, tail, bad)

    async def leave(self) -> None:
        """Let the last answers come, and close the connections."""
        for client in self.clients:
            client.running = False
        await asyncio.sleep(0.2)
        for client in self.clients:
            client.transport.close()

    def _cpu(self) -> float:
        return sum(map(tree_seconds, self.pids))


async def load(address: str, *pids: int, login: bool, rate: float = 0, client: Clients = Client) -> Load:
    """Put a server under load, and return what it did."""
    crowd = Crowd(pids, client)
    await crowd.come(address, login=login, rate=rate)
    try:
        return await crowd.watched()
    finally:
        await crowd.leave()


def tree_seconds(pid: int) -> float:
    """Return how much CPU time a process and all that it has started have used, in seconds; also those that ended."""
    with contextlib.suppress(OSError):  # it has just ended, and its parent has its time
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(
            tree_seconds(int(each)) for each in children
        )
    return 0.0
