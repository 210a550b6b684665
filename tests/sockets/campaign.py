"""The campaign: open sockets, send them newer tokens over many expiries, end sessions, and count the closed sockets."""

import asyncio
import heapq
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from daypass import AsyncDaypass, StoreError, Tokens, User

from .client import Client
from .open_files import allow
from .server import SECRET, load

ISSUER = "https://api.example.com"
ENDED = 4403
AT_ONCE = 200
"""How many connections are opened at the same time."""

RENEWING = 64
"""How many refreshes run at the same time. They share writes to the disk."""


@dataclass
class Scale:
    """The size of a campaign.

    Attributes:
        sockets: the number of sockets; each has its own session.
        servers: the number of server processes.
        lifetime: the lifetime of an access token in seconds.
        expiries: for how many lifetimes the sockets stay open.
        endings: the number of sessions to end, one after the other.
        seed: chooses these sessions.
    """

    sockets: int = 10_000
    servers: int = 2
    lifetime: int = 45
    expiries: int = 10
    endings: int = 500
    seed: int = 1


@dataclass
class Report:
    """The results. Times are in milliseconds, memory in bytes a socket."""

    scale: Scale
    opened: int = 0
    renewed: int = 0
    postponed: int = 0
    accepted: int = 0
    dropped: list[int] = field(default_factory=list)
    closed_after: list[float] = field(default_factory=list)
    not_closed: int = 0
    unwatched: float = 0.0
    watched: float = 0.0

    @property
    def extra(self) -> float:
        """The memory that watching adds to a socket."""
        return self.watched - self.unwatched

    @property
    def held(self) -> bool:
        return not self.dropped and not self.not_closed and max(self.closed_after, default=0.0) <= 1000

    def table(self) -> str:
        times = sorted(self.closed_after) or [0.0]
        rows = {
            "sockets opened": f"{self.opened} in {self.scale.servers} processes",
            "expiries": f"{self.scale.expiries} of {self.scale.lifetime} s",
            "newer tokens sent, accepted": f"{self.renewed}, {self.accepted}",
            "refreshes tried again": f"{self.postponed}",
            "dropped": f"{len(self.dropped)} {self.dropped[:5] or ''}".strip(),
            "sessions ended, sockets closed": f"{len(times) + self.not_closed}, {len(self.closed_after)}",
            "closed after, ms: p50, p99, max": ", ".join(
                f"{each:.0f}" for each in (_at(times, 50), _at(times, 99), times[-1])
            ),
            "memory of a socket, unwatched": f"{self.unwatched / 1024:.1f} KiB",
            "memory of a socket, watched": f"{self.watched / 1024:.1f} KiB",
            "watching adds": f"{self.extra / 1024:.2f} KiB",
        }
        return "\n".join(f"{name:<34} {value}" for name, value in rows.items())


async def campaign(scale: Scale, *, memory: bool = True) -> Report:
    """Run the campaign; measure memory only if ``memory`` is true."""
    most = allow()
    assert scale.sockets + 100 < most, f"the machine lets a process open {most} files: use fewer sockets"
    report = Report(scale)
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder) / 'app.db'}"
        auth = AsyncDaypass(store, issuer=ISSUER, secret=SECRET, load_user=load, access_ttl=f"{scale.lifetime}s")
        async with auth:
            if memory:
                report.unwatched = await _memory_of_a_socket(scale, store, "/unwatched")
                report.watched = await _memory_of_a_socket(scale, store, "/watched")
            async with _Crowd(auth, scale, store, "/watched").connected(renews=True) as crowd:
                report.opened = len(crowd.clients)
                await asyncio.sleep(scale.lifetime * scale.expiries)
                await crowd.end_some(report)
                report.renewed = crowd.renewed
                report.postponed = crowd.postponed
                report.accepted = sum(client.accepted for client in crowd.clients)
                report.dropped = crowd.dropped
    return report


async def _memory_of_a_socket(scale: Scale, store: str, path: str) -> float:
    auth = AsyncDaypass(store, issuer=ISSUER, secret=SECRET, load_user=load)  # its tokens outlive the measurement
    async with auth, _Crowd(auth, scale, store, path).connected() as crowd:
        return crowd.memory


class _Crowd:
    """The clients and their servers."""

    def __init__(self, auth: AsyncDaypass, scale: Scale, store: str, path: str) -> None:
        self._auth = auth
        self._scale = scale
        self._store = store
        self._path = path
        self._random = random.Random(scale.seed)
        self._ended: dict[Client, float] = {}
        self.clients: list[Client] = []
        self.tokens: dict[Client, Tokens] = {}
        self.dropped: list[int] = []
        self.renewed = 0
        self.postponed = 0
        self.memory = 0.0
        self._due: list[tuple[float, int, Client]] = []
        self._numbers = count()

    @asynccontextmanager
    async def connected(self, *, renews: bool = False) -> AsyncIterator["_Crowd"]:
        """Start the servers, connect the clients, and measure the servers' memory for each."""
        with ExitStack() as stack:
            servers = [stack.enter_context(_server(self._store)) for _ in range(self._scale.servers)]
            ports = [int(await asyncio.to_thread(server.stdout.readline)) for server in servers if server.stdout]
            warm = await self._connect(ports, 20 * len(ports))
            before = sum(_memory(server.pid) for server in servers)
            renewing = [asyncio.create_task(self._renew()) for _ in range(RENEWING if renews else 0)]
            self.clients = await self._connect(ports, self._scale.sockets)
            await asyncio.sleep(1)
            self.memory = (sum(_memory(server.pid) for server in servers) - before) / self._scale.sockets
            self._close(warm)
            try:
                yield self
            finally:
                for each in renewing:
                    each.cancel()
                ends = await asyncio.gather(*renewing, return_exceptions=True)
                assert not [each for each in ends if not isinstance(each, asyncio.CancelledError)], ends
                self._close(self.clients)
                for server in servers:
                    server.kill()

    def _close(self, clients: Iterable[Client]) -> None:
        for client in clients:
            self._ended[client] = 0.0  # expected
            client.close()

    async def _connect(self, ports: list[int], number: int) -> list[Client]:
        room = asyncio.Semaphore(AT_ONCE)
        loop = asyncio.get_running_loop()

        async def connect(index: int) -> Client:
            async with room:
                tokens = await self._auth.start(User(str(index)))
                host, port = f"127.0.0.{2 + index // 20_000}", ports[index % len(ports)]
                _, client = await loop.create_connection(
                    lambda: Client(tokens.access_token, self._path, self._lost), "127.0.0.1", port, local_addr=(host, 0)
                )
                await client.opened
                self.tokens[client] = tokens
                self._renew_later(client, self._random.uniform(0.4, 0.8))
                return client

        return list(await asyncio.gather(*(connect(index) for index in range(number))))

    def _lost(self, client: Client) -> None:
        if client not in self._ended:
            self.dropped.append(client.code or 0)
        elif client.code == ENDED:
            self._ended[client] = time.perf_counter() - self._ended[client]

    async def _renew(self) -> None:
        """Send newer tokens, each after four fifths of the old one's lifetime."""
        while True:
            if not self._due or self._due[0][0] > time.perf_counter():
                await asyncio.sleep(0.02)
                continue
            _, _, client = heapq.heappop(self._due)
            if client.code is None and client not in self._ended:
                try:
                    tokens = self.tokens[client] = await self._auth.refresh(self.tokens[client].refresh_token)
                except StoreError:  # no result: retry, as every client does
                    self.postponed += 1
                    self._renew_later(client, 0.02)
                    continue
                if client.code is None:
                    client.renew(tokens.access_token)
                    self.renewed += 1
                    self._renew_later(client, 0.8)

    def _renew_later(self, client: Client, share: float) -> None:
        moment = time.perf_counter() + self._scale.lifetime * share
        heapq.heappush(self._due, (moment, next(self._numbers), client))

    async def end_some(self, report: Report) -> None:
        """End sessions, one after the other, and measure how long each socket stays open."""
        chosen = self._random.sample([each for each in self.clients if each.code is None], self._scale.endings)
        for client in chosen:
            session_id = self.tokens[client].session.id
            self._ended[client] = time.perf_counter()
            await self._auth.end_session(self.tokens[client].session.subject, session_id)
            await asyncio.sleep(self._random.random() * 0.04)
        await asyncio.sleep(2)
        closed = [client for client in chosen if client.code == ENDED]
        report.closed_after = [self._ended[client] * 1000 for client in closed]
        report.not_closed = len(chosen) - len(closed)


def _server(store: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.sockets.server", store, ISSUER]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _memory(pid: int) -> int:
    """Return the private memory of a process in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.findall(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)[0]) * 1024


def _at(times: list[float], percent: int) -> float:
    return times[min(len(times) - 1, len(times) * percent // 100)]
