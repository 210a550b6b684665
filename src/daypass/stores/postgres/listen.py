"""Announcements by LISTEN and NOTIFY, and the check that they arrive."""

import asyncio
import secrets
import threading
import time

from psycopg import Error

from daypass.databases.postgres.connection import TaskConnection, ThreadConnection
from daypass.databases.query import Query
from daypass.errors import StoreUnavailable
from daypass.stores.postgres.queries import announcement

PROOF = 1.0
"""Seconds within which our own announcement must arrive."""

_SLICE = 0.25
"""Seconds after which a thread that waits looks whether the subscription was closed."""


class Proof:
    """Our own announcement, which must arrive.

    Attributes:
        arrived: whether it has arrived.
        others: whether others have arrived with it.
    """

    def __init__(self) -> None:
        self._payload = secrets.token_hex(8)
        self.arrived = False
        self.others = False

    def announcement(self) -> Query:
        """Return the query that sends it."""
        return announcement(self._payload)

    def look(self, payloads: list[str]) -> None:
        """Look for it among the announcements."""
        self.arrived = self.arrived or self._payload in payloads
        self.others = self.others or any(each != self._payload for each in payloads)


def unheard() -> StoreUnavailable:
    """Return the error for a server, or a pooler in front of it, that loses announcements."""
    return StoreUnavailable("LISTEN/NOTIFY does not work here (is there a pooler?): the store has to be polled")


def _lost() -> StoreUnavailable:
    return StoreUnavailable("announcements no longer arrive: the connection was lost")


class PostgresSubscription:
    """Reports announcements to a thread; see `daypass.stores.Subscription`."""

    def __init__(self, connection: ThreadConnection) -> None:
        self._connection = connection
        self._waiting = threading.Lock()
        self._closed = False
        self._announced = False

    def prove(self, proof: Proof) -> None:
        """Wait for ``proof``, which has been sent.

        Raises:
            StoreError: it does not arrive.
        """
        until = time.monotonic() + PROOF
        while not proof.arrived:
            proof.look(self._receive(until) or _none(until))
        self._announced = proof.others

    def wait(self, seconds: float) -> bool:
        """Do what `daypass.stores.Subscription.wait` does.

        Raises:
            StoreUnavailable: the connection was lost; it has been closed.
        """
        with self._waiting:
            announced, self._announced = self._announced, False
            until = time.monotonic() + seconds
            while not announced and not self._closed and time.monotonic() < until:
                announced = bool(self._receive(min(until, time.monotonic() + _SLICE)))
            return announced and not self._closed

    def close(self) -> None:
        """Close the connection; a caller that waits gets False within a quarter of a second."""
        self._closed = True
        with self._waiting:
            self._connection.close()

    def _receive(self, until: float) -> list[str]:
        self._connection.deadline = float("inf")
        try:
            seconds = max(until - time.monotonic(), 0)
            return [each.payload for each in self._connection.notifies(timeout=seconds, stop_after=1)]
        except Error:
            self._connection.close()
            raise _lost() from None


def _none(until: float) -> list[str]:
    if time.monotonic() >= until:
        raise unheard()
    return []


class AsyncPostgresSubscription:
    """`PostgresSubscription` for a task; see `daypass.stores.AsyncSubscription`."""

    def __init__(self, connection: TaskConnection) -> None:
        self._connection = connection
        self._limit: asyncio.Timeout | None = None
        self._closed = False
        self._announced = False

    async def prove(self, proof: Proof) -> None:
        """Do what `PostgresSubscription.prove` does."""
        until = time.monotonic() + PROOF
        while not proof.arrived:
            proof.look(await self._receive(until - time.monotonic()) or _none(until))
        self._announced = proof.others

    async def wait(self, seconds: float) -> bool:
        """Do what `PostgresSubscription.wait` does."""
        announced, self._announced = self._announced, False
        if self._closed:
            return False
        return announced or (bool(await self._receive(seconds)) and not self._closed)

    async def close(self) -> None:
        """Close the connection; a caller that waits gets False at once."""
        self._closed = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())
        else:
            self._connection.pgconn.finish()

    async def _receive(self, seconds: float) -> list[str]:
        self._connection.deadline = float("inf")
        try:
            async with asyncio.timeout(max(seconds, 0)) as self._limit:
                return [each.payload async for each in self._connection.notifies(stop_after=1)]
        except TimeoutError:
            return []
        except Error:
            self._connection.pgconn.finish()
            raise _lost() from None
        finally:
            self._limit = None
            if self._closed:
                self._connection.pgconn.finish()
