"""Sixteen clients at once, each on a connection of its own: sends the next refresh as soon as it has the answer."""

import asyncio
import os
import re
import time
from pathlib import Path
from typing import NamedTuple

CLIENTS = 16
SECONDS = 3.0
COOKIE = re.compile(rb"set-cookie: (daypass[0-9a-z-]*=[^;]*)", re.IGNORECASE)


class Load(NamedTuple):
    """What a server did under load.

    Attributes:
        rate: refreshes a second.
        cpu: µs of the server process's CPU time for each.
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
    """One client on one connection: sends the next request as soon as it has the answer."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.cookie = b"daypass=x"
        self.bad = 0
        self.took: list[float] = []
        self.sent_at = 0.0
        self.buffer = b""
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, path: str = "/auth/refresh", body: bytes = b"") -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        request = head.encode() + b"Cookie: %s\r\nContent-Length: %d\r\n\r\n%s" % (self.cookie, len(body), body)
        self.sent_at = time.perf_counter()
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
        if self.buffer[9:12] == b"200" and cookie:
            self.cookie = cookie[1]
            self.took.append(time.perf_counter() - self.sent_at)
        else:
            self.bad += 1
        self.buffer = b""
        if self.running:
            self.send()


async def load(address: str, pid: int, *, login: bool) -> Load:
    """Put the server process ``pid`` under load, and return what it did."""
    host = address.removeprefix("http://")
    loop = asyncio.get_running_loop()
    name, _, port = host.partition(":")
    clients = [(await loop.create_connection(lambda: Client(host), name, int(port)))[1] for _ in range(CLIENTS)]
    for client in clients:
        if login:
            client.send("/auth/login", b'{"username": "ann", "password": "x"}')
        else:
            client.send()
    await asyncio.sleep(0.5)
    for client in clients:
        client.took.clear()
    used, started = cpu_seconds(pid), time.perf_counter()
    await asyncio.sleep(SECONDS)
    spans = sorted(span for client in clients for span in client.took)
    used, took = cpu_seconds(pid) - used, time.perf_counter() - started
    for client in clients:
        client.running = False
    await asyncio.sleep(0.2)
    for client in clients:
        client.transport.close()
    done = max(1, len(spans))
    bad = sum(client.bad for client in clients) + (not spans)
    middle, tail = (spans[int(done * share)] * 1e3 if spans else 0.0 for share in (0.5, 0.99))
    return Load(done / took, used / done * 1e6, middle, tail, bad)


def cpu_seconds(pid: int) -> float:
    """Return how much CPU time a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
