"""Sixteen clients at once, each on a connection of its own: sends the next refresh as soon as it has the answer."""

import asyncio
import re
import time

CLIENTS = 16
SECONDS = 3.0
COOKIE = re.compile(rb"set-cookie: (daypass[0-9a-z-]*=[^;]*)", re.IGNORECASE)


class Client(asyncio.Protocol):
    """One client on one connection: sends the next request as soon as it has the answer."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.cookie = b"daypass=x"
        self.answers = self.bad = 0
        self.buffer = b""
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, path: str = "/auth/refresh", body: bytes = b"") -> None:
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
        if self.buffer[9:12] == b"200" and cookie:
            self.cookie = cookie[1]
            self.answers += 1
        else:
            self.bad += 1
        self.buffer = b""
        if self.running:
            self.send()


async def load(address: str, *, login: bool) -> tuple[float, int]:
    """Return refreshes a second, and how many answers were none."""
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
    before, started = sum(client.answers for client in clients), time.perf_counter()
    await asyncio.sleep(SECONDS)
    done, took = sum(client.answers for client in clients) - before, time.perf_counter() - started
    for client in clients:
        client.running = False
    await asyncio.sleep(0.2)
    for client in clients:
        client.transport.close()
    return done / took, sum(client.bad for client in clients)
