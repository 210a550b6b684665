"""Which thread or task has which connection. There is no thread and no task behind a pool.

A caller that finds no idle connection opens one, and gets its failure at once. `psycopg_pool` opens connections in
threads of its own, tries again with growing pauses, and only tells a caller that there was no connection in time.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from daypass.stores.plans import Query, Rows
from daypass.stores.postgres.connection import (
    TaskConnection,
    ThreadConnection,
    connect,
    connect_async,
    is_usable,
    leaves_connection,
)
from daypass.stores.postgres.failure import Failure
from daypass.stores.postgres.settings import Settings

C = TypeVar("C", ThreadConnection, TaskConnection)


class _Idle(Generic[C]):
    """The connections that nobody uses; the one that was used last is taken first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections: list[C] = []
        self._closed = False

    def take(self) -> C | None:
        """Return a connection that is usable, None if there is none."""
        while self._connections:
            connection = self._connections.pop()
            if is_usable(connection):
                if not self._settings.prepares:
                    connection.prepare_threshold = None
                return connection
            connection.pgconn.finish()
        return None

    def give(self, connection: C) -> None:
        """Take a connection back; one that is in doubt is closed."""
        if self._closed or not is_usable(connection):
            connection.pgconn.finish()
        else:
            self._connections.append(connection)

    def clear(self) -> None:
        """Close what nobody uses."""
        while self._connections:
            connection = self._connections.pop()
            connection.pgconn.finish()

    def close(self) -> None:
        """Close what nobody uses, and each other connection when it is given back."""
        self._closed = True
        self.clear()


class ThreadPool:
    """The connections of the threads of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._free = threading.Semaphore(settings.pool_size)
        self.idle: _Idle[ThreadConnection] = _Idle(settings)
        self.close: Callable[[], None] = self.idle.close

    def ask(self, query: Query, deadline: float) -> Rows:
        """Send ``query`` on a connection of the pool and return its rows.

        Args:
            query: what to send.
            deadline: until when to wait, by the monotonic clock.

        Raises:
            Failure: there is no answer, or it is a refusal; a connection that is in doubt was closed.
            ConfigurationError: the tables are not there, or of a version that is not known.
        """
        if not self._free.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise all_busy(self._settings)
        try:
            connection = self.idle.take() or connect(self._settings, deadline)
            try:
                return connection.ask(query, deadline)
            except Failure as failure:
                if leaves_connection(failure):
                    connection.close()
                    self.idle.clear()
                raise
            finally:
                self.idle.give(connection)
        finally:
            self._free.release()


class TaskPool:
    """The connections of one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._free = asyncio.Semaphore(settings.pool_size)
        self.idle: _Idle[TaskConnection] = _Idle(settings)
        self.close: Callable[[], None] = self.idle.close

    async def ask(self, query: Query, deadline: float) -> Rows:
        """Do as `ThreadPool.ask`. If the caller is cancelled during the query, its connection is closed."""
        await self._acquire(deadline)
        try:
            connection = self.idle.take() or await connect_async(self._settings, deadline)
            try:
                return await connection.ask(query, deadline)
            except Failure as failure:
                if leaves_connection(failure):
                    connection.pgconn.finish()
                    self.idle.clear()
                raise
            finally:
                self.idle.give(connection)
        finally:
            self._free.release()

    async def _acquire(self, deadline: float) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._free.acquire()
        except TimeoutError:
            raise all_busy(self._settings) from None


def all_busy(settings: Settings) -> Failure:
    """Return the failure for a caller that has waited too long for a connection."""
    return Failure(f"all {settings.pool_size} connections of the pool were busy for too long")
