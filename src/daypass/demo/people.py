"""The users of the demonstration: real clients that use the API without pause, each in a different way."""

import asyncio
import hashlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import httpx2

from daypass.client.clock import monotonic_ms
from daypass.client.httpx import DaypassAuth
from daypass.client.timing import Timing
from daypass.demo.tally import Lane, Tally
from daypass.errors import DaypassError

EMAIL, PASSWORD = "demo@example.com", "a password of nobody"
ACCESS_TTL = "5s"

BURST = 100
PACE = 0.02
BREATH = 0.5
"""Seconds between one request and the next of those who work one by one, and between bursts."""

_TIMING = Timing(ahead=0.4)
"""A token's expiry is in whole seconds: of one that lives 5 s, up to a fifth may be missing."""

_UPLOAD_EVERY = 7
_PATIENCE = httpx2.Timeout(30)


class People:
    """All users at work, until `stop`.

    Args:
        address: the address of the service.
        tally: counts each request and each event.
    """

    def __init__(self, address: str, tally: Tally) -> None:
        self._address = address
        self._tally = tally
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._ann, name="ann"),
            threading.Thread(target=self._dan, name="dan"),
            threading.Thread(target=lambda: asyncio.run(self._async_people()), name="ben-and-cleo"),
        ]
        self._lanes = {
            name: tally.add(Lane(name, story))
            for name, story in (
                ("Ann", "one request after another; refreshes before the token expires"),
                ("Ben", "the same, async; his clock is slow, so he meets the 401 and replays"),
                ("Cleo", "bursts of 100, async; her clock is slow too: one refresh for all"),
                ("Dan", "bursts of 100 threads, uploads among them"),
            )
        }

    def start(self) -> None:
        """Let all users log in and begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let all users finish their work, and log out."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:  # Ctrl-C may come while they are being started
                thread.join(timeout=60)

    def _auth(self, lane: Lane, clock: Callable[[], int] = monotonic_ms) -> DaypassAuth:
        return DaypassAuth(
            f"{self._address}/auth",
            timing=_TIMING,
            clock=clock,
            on_event=lambda event: self._tally.event(lane, event, monotonic_ms()),
        )

    def _ann(self) -> None:
        lane = self._lanes["Ann"]
        auth = self._auth(lane)
        with httpx2.Client(base_url=self._address, auth=auth, timeout=_PATIENCE) as client:
            auth.login(client, email=EMAIL, password=PASSWORD)
            for turn in itertools.count():
                self._work(lane, client, turn)
                if self._stopping.wait(PACE):
                    break
            auth.logout(client)

    def _dan(self) -> None:
        lane = self._lanes["Dan"]
        auth = self._auth(lane)
        with (
            httpx2.Client(base_url=self._address, auth=auth, timeout=_PATIENCE) as client,
            ThreadPoolExecutor(BURST) as threads,
        ):
            auth.login(client, email=EMAIL, password=PASSWORD)
            while not self._stopping.wait(BREATH):
                list(threads.map(lambda turn: self._work(lane, client, turn), range(BURST)))
            auth.logout(client)

    async def _async_people(self) -> None:
        await asyncio.gather(self._ben(), self._cleo())

    async def _ben(self) -> None:
        lane = self._lanes["Ben"]
        auth = self._auth(lane, _slow_clock)
        async with httpx2.AsyncClient(base_url=self._address, auth=auth, timeout=_PATIENCE) as client:
            await auth.alogin(client, email=EMAIL, password=PASSWORD)
            for turn in itertools.count():
                await self._work_async(lane, client, turn)
                if await self._stopped(PACE):
                    break
            await auth.alogout(client)

    async def _cleo(self) -> None:
        lane = self._lanes["Cleo"]
        auth = self._auth(lane, _slow_clock)
        async with httpx2.AsyncClient(base_url=self._address, auth=auth, timeout=_PATIENCE) as client:
            await auth.alogin(client, email=EMAIL, password=PASSWORD)
            while not await self._stopped(BREATH):
                await asyncio.gather(*(self._work_async(lane, client, turn) for turn in range(BURST)))
            await auth.alogout(client)

    async def _stopped(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return self._stopping.is_set()

    def _work(self, lane: Lane, client: httpx2.Client, turn: int) -> None:
        with self._observed(lane) as judge:
            if turn % _UPLOAD_EVERY:
                judge(client.get("/api/notes"), None)
            else:
                judge(client.post("/api/uploads", content=_stream(_upload(turn))), _upload(turn))

    async def _work_async(self, lane: Lane, client: httpx2.AsyncClient, turn: int) -> None:
        with self._observed(lane) as judge:
            if turn % _UPLOAD_EVERY:
                judge(await client.get("/api/notes"), None)
            else:
                judge(await client.post("/api/uploads", content=_async_stream(_upload(turn))), _upload(turn))

    @contextmanager
    def _observed(self, lane: Lane) -> Iterator[Callable[[httpx2.Response, bytes | None], None]]:
        """Count the enclosed code as one request: how long it took, and which failure its user would have seen."""
        problem: str | None = "no answer"

        def judge(response: httpx2.Response, sent: bytes | None) -> None:
            nonlocal problem
            problem = _problem(response, sent)

        started = time.perf_counter()
        try:
            yield judge
        except (httpx2.HTTPError, DaypassError) as error:
            problem = type(error).__name__
        finally:
            self._tally.request(lane, monotonic_ms(), (time.perf_counter() - started) * 1000, problem)


def _problem(response: httpx2.Response, sent: bytes | None) -> str | None:
    """Return the failure that a user would have seen, None without one."""
    if response.status_code != httpx2.codes.OK:
        return f"status {response.status_code}"
    if sent is not None and response.json()["sha256"] != hashlib.sha256(sent).hexdigest():
        return "the upload arrived damaged"
    return None


def _slow_clock() -> int:
    return monotonic_ms() // 2


@cache
def _upload(turn: int) -> bytes:
    return hashlib.sha256(str(turn % BURST).encode()).digest() * 2000


def _stream(upload: bytes) -> Iterator[bytes]:
    """Yield an upload piece by piece, as a body that can be read only once."""
    for start in range(0, len(upload), 16_384):
        yield upload[start : start + 16_384]


async def _async_stream(upload: bytes) -> AsyncIterator[bytes]:
    for piece in _stream(upload):
        yield piece
