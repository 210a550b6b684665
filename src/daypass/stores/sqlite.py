"""Sessions in a SQLite file: one machine, any number of processes; every answered step is on disk."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from daypass import account_steps, store_steps
from daypass.account_steps import AccountStep
from daypass.databases.query import Rows
from daypass.drive import run
from daypass.errors import ConfigurationError
from daypass.flow import Step
from daypass.operator_steps import Check, OperatorStep, ReadEvents, ReadMarks, ReadSettings, ReadStats
from daypass.store_steps import StoreStep
from daypass.stores.dialect import SQLITE
from daypass.stores.group_commit import PATIENCE, Database, LoopQueue, ThreadQueue
from daypass.stores.plans import PLANS

A = TypeVar("A")
Synchronous = Literal["FULL", "NORMAL"]

_LOG_PAGES = 2000
"""Pages of 4 kB that the log may have before a commit writes them to where they belong: among millions of sessions each
is another page, and twice SQLite's own number makes a refresh an eighth cheaper there (benchmarks/scale.py)."""

_LOG_PAGES_BESIDE_SERVICE = 500
"""The same for a process beside a service: it writes them itself, so no refresh has to. Otherwise 99 of 100 refreshes
take up to twice as long while it removes sessions (benchmarks/removing.py)."""

_READS = (
    store_steps.Find,
    store_steps.ListSessions,
    store_steps.ReadEndings,
    store_steps.ReadKeys,
    store_steps.ReadClock,
    account_steps.FindAccount,
    account_steps.LoadAccount,
    account_steps.ListAccounts,
    ReadEvents,
    ReadMarks,
    Check,
    ReadSettings,
    ReadStats,
    store_steps.Migrate,  # done by opening the file
)
"""Every other step has a transaction that blocks other writers from its beginning on."""


class SqliteStore:
    """A store in a SQLite file; threads may share it, and processes the file.

    Args:
        path: the file; it is created, with its tables, when first needed.
        synchronous: ``FULL`` loses nothing that was answered, even in a power failure; ``NORMAL`` is faster and may
            then lose the last moments, which logs no user out (see *heal* in `daypass.rotation`).
        beside_service: whether another process serves requests from this file. Then this one writes the log into the
            file early, so that no request has to.
    """

    def __init__(self, path: Path | str, *, synchronous: Synchronous = "FULL", beside_service: bool = False) -> None:
        self.path = Path(path)
        log_pages = _LOG_PAGES_BESIDE_SERVICE if beside_service else _LOG_PAGES
        self._queue = ThreadQueue(_database(self.path, synchronous, log_pages))

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer.

        Raises:
            StoreUnavailable: the file cannot be opened, read or written; nothing was changed.
            StoreContended: other processes had it locked for five seconds.
        """
        return self._queue.perform(_operation(step), writes=not isinstance(step, _READS))

    def perform_account(self, step: AccountStep[A]) -> A:
        """Do what `perform` does, for built-in users."""
        return self._queue.perform(_operation(step), writes=not isinstance(step, _READS))

    def perform_operator(self, step: OperatorStep[A]) -> A:
        """Do what `perform` does, for operators."""
        return self._queue.perform(_operation(step), writes=not isinstance(step, _READS))

    def holds_keys(self) -> bool:
        """Return whether the file has keys already, without creating or changing anything."""
        return _holds_keys(self.path)

    def close(self) -> None:
        """Close the file; performing a step opens it again."""
        self._queue.close()


class AsyncSqliteStore:
    """`SqliteStore` for `AsyncDaypass`: one thread does the work, and commits all waiting steps in one transaction.

    Args: as for `SqliteStore`.
    """

    def __init__(self, path: Path | str, *, synchronous: Synchronous = "FULL") -> None:
        self.path = Path(path)
        self._queue = LoopQueue(_database(self.path, synchronous, _LOG_PAGES))

    def begin(self, step: StoreStep[A]) -> "asyncio.Future[A]":
        """Return a future of what `perform` returns."""
        return self._queue.begin(_operation(step), writes=not isinstance(step, _READS))

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; raises the errors of `SqliteStore.perform`."""
        return await self.begin(step)

    async def perform_account(self, step: AccountStep[A]) -> A:
        """Do what `perform` does, for built-in users."""
        return await self._queue.perform(_operation(step), writes=not isinstance(step, _READS))

    async def perform_operator(self, step: OperatorStep[A]) -> A:
        """Do what `perform` does, for operators."""
        return await self._queue.perform(_operation(step), writes=not isinstance(step, _READS))

    def holds_keys(self) -> bool:
        """Return whether the file has keys already, without creating or changing anything."""
        return _holds_keys(self.path)

    async def close(self) -> None:
        """Close the file; performing a step opens it again."""
        await self._queue.close()


def _holds_keys(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            return connection.execute("SELECT 1 FROM daypass_keys LIMIT 1").fetchone() is not None
    except sqlite3.Error:  # no such file or table, or not a database: opening it will report that
        return False


def _database(path: Path, synchronous: Synchronous, log_pages: int) -> Database:
    if sqlite3.sqlite_version_info < (3, 35):
        raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old; Daypass needs 3.35 (RETURNING)")
    if synchronous not in ("FULL", "NORMAL"):
        raise ConfigurationError(f"synchronous={synchronous!r} is neither 'FULL' nor 'NORMAL'")
    return Database(path, partial(_prepare, path, synchronous, log_pages))


def _prepare(path: Path, synchronous: Synchronous, log_pages: int, connection: sqlite3.Connection) -> None:
    _use_wal(connection)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {log_pages}")
    if _version(connection) < SQLITE.version:
        _upgrade(connection)
    (compatible_from,) = connection.execute("SELECT version FROM daypass_schema").fetchone()
    SQLITE.require_compatible(compatible_from, f"the SQLite database {path}")


def _upgrade(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")  # if processes start at once, only one creates the tables
    try:
        for statement in SQLITE.upgrade(_version(connection)):
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, with retries: when processes do so at once, SQLite fails without waiting."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.002)
        else:
            return


def _version(connection: sqlite3.Connection) -> int:
    """Return the version of the schema, 0 without one."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if "daypass_schema" in tables:
        found = connection.execute("SELECT * FROM daypass_schema")
        row: dict[str, int] = dict(zip((column[0] for column in found.description), found.fetchone(), strict=True))
        return row.get("current", row["version"])
    unnamed = {"sessions", "signing_keys", "accounts"} <= tables  # otherwise they are an application's own
    return 1 if unnamed and connection.execute("PRAGMA user_version").fetchone() == (1,) else 0


def _operation(step: Step[A]) -> Callable[[sqlite3.Connection], A]:
    """Return the function that performs ``step`` on a connection, in the open transaction."""
    if isinstance(step, store_steps.Migrate):
        return _version  # type: ignore[return-value]  # the answer to Migrate
    PLANS.require(step)
    return partial(_drive, step)


def _drive(step: Step[A], connection: sqlite3.Connection) -> A:
    def answer(query: Any) -> Rows:
        return connection.execute(query.text, query.parameters).fetchall()

    return run(PLANS.of(step, SQLITE), answer)
