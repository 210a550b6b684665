"""Hearing what was ended: connections that LISTEN, and the proof that what is announced gets there."""

import asyncio
import contextlib
import secrets
import select
import socket
import threading
import time
from collections.abc import Iterable

from psycopg import OperationalError
from psycopg.pq.abc import PGconn

from daypass.errors import StoreUnavailable
from daypass.stores import sql
from daypass.stores.postgres.link import Failure, Link, Request, request
from daypass.stores.postgres.plans import CHANNEL
from daypass.stores.postgres.tasks import LoopLink

PROOF = 1.0
"""Seconds within which an announcement of our own has to be heard."""

LISTEN = request(f"LISTEN {CHANNEL}")
_LOST = "announcements can no longer be heard: the connection was lost"


class Proof:
    """An announcement that is to be heard; the others heard meanwhile are kept in mind."""

    def __init__(self) -> None:
        self._payload = secrets.token_hex(8)
        self.heard = False
        self.others = False

    def announcement(self) -> Request:
        """Return what announces it."""
        return request(sql.TELL, {"channel": CHANNEL, "payload": self._payload})

    def hear(self, payloads: Iterable[str]) -> None:
        """Take note of what was announced."""
        for payload in payloads:
            if payload == self._payload:
                self.heard = True
            else:
                self.others = True


def unheard() -> StoreUnavailable:
    """Return the error for a server, or a pooler before it, that lets announcements get lost."""
    return StoreUnavailable("announcements are not heard here, as behind a pooler: the store has to be polled")


def payloads(link: Link) -> list[str]:
    """Return what was announced since the last time, as far as it has been read.

    Raises:
        Failure: the connection is lost.
    """
    found: list[str] = []
    try:
        while (notification := link.pgconn.notifies()) is not None:
            found.append(notification.extra.decode(errors="replace"))
    except OperationalError:
        raise Failure(_LOST) from None
    return found


class PostgresSubscription:
    """Tells a thread that something was announced; see `daypass.stores.Subscription`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting = threading.Lock()
        self._ended, self._end = socket.socketpair()
        self._closed = False
        self._told = False
        self._heard: list[str] = []

    def prove(self, proof: Proof) -> None:
        """Hear ``proof``, which has been announced.

        Raises:
            StoreError: it is not heard.
        """
        until = time.monotonic() + PROOF
        while not proof.heard:
            if not self._hear(until):
                raise unheard()
            proof.hear(self._heard)
        self._told = proof.others

    def wait(self, seconds: float) -> bool:
        """Do as `daypass.stores.Subscription.wait`.

        Raises:
            StoreUnavailable: the connection was lost; it has been closed.
        """
        with self._waiting:
            told, self._told = self._told, False
            return told or self._hear(time.monotonic() + seconds)

    def close(self) -> None:
        """Give back its connection; whoever is waiting is told False."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._end.send(b"\0")
        with self._waiting:
            self._give_up()

    def _hear(self, until: float) -> bool:
        """Wait for announcements, and keep them; False when the time is over."""
        while not self._closed:
            try:
                fd = self._link.pgconn.socket
            except OperationalError:
                self._give_up()
                raise StoreUnavailable(_LOST) from None
            if not _readable((fd, self._ended.fileno()), until - time.monotonic()):
                return False
            try:
                alive = self._link.heard()
                self._heard = payloads(self._link)
            except Failure:
                alive = False
            if not alive:
                self._give_up()
                raise StoreUnavailable(_LOST)
            if self._heard:
                return not self._closed
        return False

    def _give_up(self) -> None:
        self._link.close()
        self._end.close()
        self._ended.close()


def _readable(fds: Iterable[int], seconds: float) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select(list(fds), [], [], max(seconds, 0))[0])
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(seconds, 0) * 1000))


class Ear(LoopLink):
    """A connection whose announcements an event loop hears."""

    def __init__(self, pgconn: PGconn, *, prepares: bool) -> None:
        super().__init__(pgconn, prepares=prepares)
        self.announced: list[str] = []
        self.lost = False
        self._waiting: asyncio.Future[None] | None = None

    def heard(self) -> bool:
        """Read what has come, and wake whoever waits for it."""
        alive = super().heard()
        try:
            self.announced += payloads(self)
        except Failure:
            alive = False
        self.lost = self.lost or not alive
        if self.announced or self.lost:
            self.wake()
        return alive

    def wake(self) -> None:
        """Let whoever waits go on."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Wait until something was announced, the connection is lost or `wake` is called, or for so many seconds."""
        waiting = self._waiting = self._loop.create_future()
        timer = self._loop.call_later(max(seconds, 0), self.wake)
        try:
            await waiting
        finally:
            timer.cancel()


class AsyncPostgresSubscription:
    """The same for a task; see `daypass.stores.AsyncSubscription`."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear
        self._closed = False
        self._told = False
        self._heard: list[str] = []

    async def prove(self, proof: Proof) -> None:
        """Do as `PostgresSubscription.prove`."""
        until = time.monotonic() + PROOF
        while not proof.heard:
            if not await self._hear(until):
                raise unheard()
            proof.hear(self._heard)
        self._told = proof.others

    async def wait(self, seconds: float) -> bool:
        """Do as `PostgresSubscription.wait`."""
        told, self._told = self._told, False
        return told or await self._hear(time.monotonic() + seconds)

    async def close(self) -> None:
        """Do as `PostgresSubscription.close`."""
        self._closed = True
        self._ear.wake()
        self._ear.close()

    async def _hear(self, until: float) -> bool:
        ear = self._ear
        while not (self._closed or ear.lost or ear.announced) and time.monotonic() < until:
            await ear.wait(until - time.monotonic())
        if self._closed:
            return False
        if ear.lost:
            ear.close()
            raise StoreUnavailable(_LOST)
        self._heard, ear.announced = ear.announced, []
        return bool(self._heard)
