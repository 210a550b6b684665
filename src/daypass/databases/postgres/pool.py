"""The pool: which thread or task has which connection. It has no thread and no task of its own.

A caller that finds no idle connection opens one, and gets a failure at once. `psycopg_pool` opens connections in its
own threads, retries with growing pauses, and a caller only learns that there was no connection in time.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from daypass.databases.postgres.connection import (
    First,
    TaskConnection,
    ThreadConnection,
    connect,
    connect_async,
    is_alive,
    is_idle,
    leaves_connection,
)
from daypass.databases.postgres.failure import Failure
from daypass.databases.postgres.settings import Settings
from daypass.databases.query import Query, Rows

C = TypeVar("C", ThreadConnection, TaskConnection)


class _Idle(Generic[C]):
    """The idle connections; the one that was used last is taken first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections: list[C] = []
        self._closed = False

    def take(self) -> C | None:
        """Return a connection whose server is still there, None if the pool has none left."""
        while self._connections:
            connection = self._connections.pop()
            if is_alive(connection):
                if not self._settings.prepares:
                    connection.prepare_threshold = None
                return connection
            connection.pgconn.finish()
        return None

    def give(self, connection: C) -> None:
        """Take a connection back; close it if it is in doubt."""
        if self._closed or not is_idle(connection):
            connection.pgconn.finish()
        else:
            self._connections.append(connection)

    def clear(self) -> None:
        """Close the idle connections."""
        while self._connections:
            connection = self._connections.pop()
            connection.pgconn.finish()

    def close(self) -> None:
        """Close the idle connections, and each other connection when it is given back."""
        self._closed = True
        self.clear()


class _Turns:
    """A semaphore for threads that serves them in the order they came, which `threading.Semaphore` does not."""

    def __init__(self, size: int) -> None:
        self._changing = threading.Lock()
        self._free = size
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, seconds: float) -> bool:
        """Wait for a turn; return False if there was none in time."""
        with self._changing:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            if turn.acquire(timeout=max(seconds, 0)):
                return True
        except BaseException:  # interrupted
            if not self._leave(turn):
                self.release()
            raise
        return not self._leave(turn)

    def _leave(self, turn: threading.Lock) -> bool:
        """Stop waiting; return False if the turn was given meanwhile."""
        with self._changing:
            if turn not in self._waiting:
                return False
            self._waiting.remove(turn)
            return True

    def release(self) -> None:
        """Give the turn to the next in line."""
        with self._changing:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class ThreadPool:
    """The connections of the threads of one process.

    Args:
        settings: where the server is.
        first: the first query on each new connection.
    """

    def __init__(self, settings: Settings, first: First | None = None) -> None:
        self._settings = settings
        self._first = first
        self._turns = _Turns(settings.pool_size)
        self.idle: _Idle[ThreadConnection] = _Idle(settings)
        self.close: Callable[[], None] = self.idle.close

    def ask(self, query: Query, deadline: float) -> Rows:
        """Send ``query`` on a connection of the pool and return its rows.

        Args:
            query: what to send.
            deadline: how long to wait, by the monotonic clock.

        Raises:
            Failure: there is no answer, or the server refused; a connection in doubt was closed.
            DaypassError: of the check of a new connection.
        """
        if not self._turns.acquire(deadline - time.monotonic()):
            raise all_busy(self._settings)
        try:
            connection = self.idle.take() or connect(self._settings, deadline, self._first)
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
            self._turns.release()


class TaskPool:
    """The connections of one event loop; arguments as of `ThreadPool`."""

    def __init__(self, settings: Settings, first: First | None = None) -> None:
        self._settings = settings
        self._first = first
        self._free = asyncio.Semaphore(settings.pool_size)
        self.idle: _Idle[TaskConnection] = _Idle(settings)
        self.close: Callable[[], None] = self.idle.close

    async def ask(self, query: Query, deadline: float) -> Rows:
        """Do what `ThreadPool.ask` does. If the caller is cancelled during the query, close its connection."""
        await self._acquire(deadline)
        try:
            connection = self.idle.take() or await connect_async(self._settings, deadline, self._first)
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
