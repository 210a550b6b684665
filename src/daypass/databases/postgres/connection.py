"""psycopg's connections, with a deadline: a frozen server is abandoned, where psycopg itself would wait for it."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from psycopg import (
    AsyncConnection,
    AsyncCursor,
    AsyncRawCursor,
    Connection,
    Cursor,
    Error,
    OperationalError,
    RawCursor,
    adapters,
    waiting,
)
from psycopg.abc import PQGen
from psycopg.adapt import AdaptersMap
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8BinaryDumper

from daypass.databases.postgres.failure import OVERDUE, READ_ONLY, Failure, failure_of, refusal_of
from daypass.databases.postgres.sending import numbered
from daypass.databases.postgres.settings import Settings
from daypass.databases.query import Query, Rows

RV = TypeVar("RV")

_adapters = AdaptersMap(adapters)
_adapters.register_dumper(int, Int8BinaryDumper)  # one type for all numbers, and so one prepared statement


_LOOK_EVERY = 0.1
"""Seconds after which a query that waits looks at its deadline."""


class First(NamedTuple):
    """The first query on each new connection.

    Attributes:
        query: the query.
        check: called with its rows and the server's address; if it raises, callers get the error, and the connection is
            closed.
    """

    query: Query
    check: Callable[[Rows, str], None]


class _Overdue(Exception):
    """The deadline was reached; the connection is closed."""


class ThreadConnection(Connection[TupleRow]):
    """A connection for one thread at a time.

    Attributes:
        deadline: when a query must be done, by the monotonic clock.
        asking: the cursor of all its queries.
    """

    deadline = math.inf
    asking: Cursor[TupleRow] | None = None

    def __del__(self, *_: Any) -> None:
        """Let libpq close the connection, without psycopg's warning: a store need not be closed."""

    def wait(self, gen: PQGen[RV], interval: float = _LOOK_EVERY, *args: Any, **options: Any) -> RV:
        """Do what `psycopg.Connection.wait` does, until the deadline; if interrupted, close the connection."""
        try:
            return waiting.wait(_until(gen, self.deadline), self.pgconn.socket, interval, *args, **options)
        except (_Overdue, KeyboardInterrupt):
            self.pgconn.finish()
            raise

    def ask(self, query: Query, deadline: float) -> Rows:
        """Send ``query`` and return its rows.

        Raises:
            Failure: there is no answer, or the server refused.
        """
        self.deadline = deadline
        text, names = numbered(query.text)
        cursor = self.asking = self.asking or self.cursor(binary=True)
        try:
            cursor.execute(text, [query.parameters[name] for name in names])
            return cursor.fetchall() if cursor.rownumber is not None else []
        except _Overdue:
            raise Failure(OVERDUE, sent=True) from None
        except Error as error:
            raise failure_of(error, lost=self.closed) from None


def _until(gen: PQGen[RV], deadline: float) -> PQGen[RV]:
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready == waiting.Ready.NONE and time.monotonic() >= deadline:
                raise _Overdue
            wanted = gen.send(ready)
    except StopIteration as end:
        result: RV = end.value
        return result


class TaskConnection(AsyncConnection[TupleRow]):
    """A connection for one task at a time; attributes as of `ThreadConnection`."""

    deadline = math.inf
    asking: AsyncCursor[TupleRow] | None = None

    def __del__(self, *_: Any) -> None:
        """Do what `ThreadConnection.__del__` does."""

    async def wait(self, gen: PQGen[RV], interval: float = _LOOK_EVERY, *args: Any, **options: Any) -> RV:
        """Do what `psycopg.AsyncConnection.wait` does; a cancelled query closes the connection."""
        try:
            return await waiting.wait_async(_until(gen, self.deadline), self.pgconn.socket, interval, *args, **options)
        except (_Overdue, asyncio.CancelledError, KeyboardInterrupt):
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise

    async def ask(self, query: Query, deadline: float) -> Rows:
        """Do what `ThreadConnection.ask` does."""
        self.deadline = deadline
        text, names = numbered(query.text)
        cursor = self.asking = self.asking or self.cursor(binary=True)
        try:
            await cursor.execute(text, [query.parameters[name] for name in names])
            return await cursor.fetchall() if cursor.rownumber is not None else []
        except _Overdue:
            raise Failure(OVERDUE, sent=True) from None
        except Error as error:
            raise failure_of(error, lost=self.closed) from None


def is_idle(connection: ThreadConnection | TaskConnection) -> bool:
    """Return whether the next query may be sent."""
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def is_alive(connection: ThreadConnection | TaskConnection) -> bool:
    """Return whether the server has stayed connected while the connection was idle."""
    try:
        connection.pgconn.consume_input()
    except OperationalError:
        return False
    return is_idle(connection)


def leaves_connection(failure: Failure) -> bool:
    """Return whether to close a connection after ``failure``: the next primary may be another server."""
    return failure.state == READ_ONLY


# ---- connecting


def _options(settings: Settings) -> Mapping[str, Any]:
    prepare = 5 if settings.prepares else None
    return {**settings.parameters(), "autocommit": True, "prepare_threshold": prepare, "context": _Context()}


class _Context:
    adapters = _adapters
    connection = None


def connect(settings: Settings, deadline: float, first: First | None = None) -> ThreadConnection:
    """Return a new connection, after its query ``first``.

    Raises:
        Failure: the server cannot be reached.
        DaypassError: of the check.
    """
    while True:
        try:
            made = ThreadConnection.connect(cursor_factory=RawCursor, **_options(settings))
            break
        except Error as error:
            failure = refusal_of(error)
            if not settings.learn(failure):
                raise failure from None
    try:
        if first is not None:
            first.check(made.ask(first.query, deadline), settings.shown)
    except BaseException:
        made.close()
        raise
    return made


async def connect_async(settings: Settings, deadline: float, first: First | None = None) -> TaskConnection:
    """Do what `connect` does, and give up at the deadline."""
    while True:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                made = await TaskConnection.connect(cursor_factory=AsyncRawCursor, **_options(settings))
            break
        except TimeoutError:
            raise Failure(OVERDUE) from None
        except Error as error:
            failure = refusal_of(error)
            if not settings.learn(failure):
                raise failure from None
    try:
        if first is not None:
            first.check(await made.ask(first.query, deadline), settings.shown)
    except BaseException:
        made.pgconn.finish()
        raise
    return made
