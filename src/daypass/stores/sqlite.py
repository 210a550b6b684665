"""Sessions in a SQLite file: one machine, any number of processes, everything that was answered is on the disk."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

from daypass import account_steps, store_steps
from daypass.errors import ConfigurationError
from daypass.keys import KeyRecord
from daypass.session import Session
from daypass.store_steps import StoreStep
from daypass.stores import schema, sql
from daypass.stores.group_commit import Database, LoopQueue, ThreadQueue
from daypass.user import Account

A = TypeVar("A")
Synchronous = Literal["FULL", "NORMAL"]

_PATIENCE = 5.0
_LOG = 2000
"""Pages of 4 kB that the log may have before they are written to where they belong: among millions of sessions each is
another page, and twice SQLite's own number makes a refresh an eighth cheaper there (benchmarks/scale.py)."""
_READS = (
    store_steps.Find,
    store_steps.ListSessions,
    store_steps.ReadEndings,
    store_steps.ReadKeys,
    store_steps.ReadClock,
    account_steps.FindAccount,
    account_steps.LoadAccount,
    store_steps.Migrate,  # done by opening the file
)
"""Every other step has a transaction that lets nobody else write from its beginning on."""


class SqliteStore:
    """A store in a SQLite file; it may be shared by threads, and the file by processes.

    Args:
        path: the file; it is made, with its tables, when it is first needed.
        synchronous: ``FULL`` loses nothing that was answered, even when the power fails; ``NORMAL`` is faster and may
            lose the last moments then, which logs nobody out (see *heal* in `daypass.rotation`).
    """

    def __init__(self, path: Path | str, *, synchronous: Synchronous = "FULL") -> None:
        self.path = Path(path)
        self._queue = ThreadQueue(_database(self.path, synchronous))

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer.

        Raises:
            StoreUnavailable: the file cannot be opened, read or written; nothing was changed.
            StoreContended: others had it locked for five seconds.
        """
        return self._queue.perform(_operation(step), writes=not isinstance(step, _READS))

    def holds_keys(self) -> bool:
        """Tell whether the file has keys already, without making or changing anything."""
        return _holds_keys(self.path)

    def close(self) -> None:
        """Close the file; performing a step opens it again."""
        self._queue.close()


class AsyncSqliteStore:
    """The same for `AsyncDaypass`: one thread does the work, and commits in one transaction whatever is waiting.

    Args: as for `SqliteStore`.
    """

    def __init__(self, path: Path | str, *, synchronous: Synchronous = "FULL") -> None:
        self.path = Path(path)
        self._queue = LoopQueue(_database(self.path, synchronous))

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; raises as `SqliteStore.perform` does."""
        return await self._queue.perform(_operation(step), writes=not isinstance(step, _READS))

    def holds_keys(self) -> bool:
        """Tell whether the file has keys already, without making or changing anything."""
        return _holds_keys(self.path)

    async def close(self) -> None:
        """Close the file; performing a step opens it again."""
        await self._queue.close()


def _holds_keys(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            return connection.execute("SELECT 1 FROM daypass_keys LIMIT 1").fetchone() is not None
    except sqlite3.Error:  # no such file or table, or no database: opening it will say so
        return False


def _database(path: Path, synchronous: Synchronous) -> Database:
    if sqlite3.sqlite_version_info < (3, 35):
        raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old; Daypass needs 3.35 (RETURNING)")
    if synchronous not in ("FULL", "NORMAL"):
        raise ConfigurationError(f"synchronous={synchronous!r} is neither 'FULL' nor 'NORMAL'")
    return Database(path, partial(_prepare, synchronous))


def _prepare(synchronous: Synchronous, connection: sqlite3.Connection) -> None:
    _use_wal(connection)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG}")
    if _version(connection) >= schema.SQLITE_VERSION:
        return _require_compatible(connection)
    connection.execute("BEGIN IMMEDIATE")  # of processes that start at once, one makes the tables
    try:
        for statement in _statements_from(_version(connection)):
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _require_compatible(connection: sqlite3.Connection) -> None:
    needed = connection.execute("SELECT version FROM daypass_schema").fetchone()[0]
    if needed > schema.SQLITE_VERSION:
        raise ConfigurationError(
            f"the database needs a Daypass that knows schema {needed}, and this one knows {schema.SQLITE_VERSION}: "
            "upgrade Daypass"
        )


def _statements_from(version: int) -> Iterator[str]:
    if version == 0:
        return iter(schema.SQLITE)
    return chain.from_iterable(schema.SQLITE_UPGRADES[each] for each in range(version, schema.SQLITE_VERSION))


def _use_wal(connection: sqlite3.Connection) -> None:
    """Write ahead; of those who switch a new file to that at once, SQLite tells some to try again without waiting."""
    until = time.monotonic() + _PATIENCE
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
    """Return the version of the schema, 0 where there is none."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if "daypass_schema" in tables:
        found = connection.execute("SELECT * FROM daypass_schema")
        row: dict[str, int] = dict(zip((column[0] for column in found.description), found.fetchone(), strict=True))
        return row.get("current", row["version"])
    unnamed = {"sessions", "signing_keys", "accounts"} <= tables  # or else an application's own
    return 1 if unnamed and connection.execute("PRAGMA user_version").fetchone() == (1,) else 0


def _operation(step: StoreStep[A]) -> Callable[[sqlite3.Connection], A]:
    perform = _OPERATIONS[type(step)]
    return lambda connection: perform(connection, step)


def _insert(connection: sqlite3.Connection, step: store_steps.Insert) -> None:
    connection.execute(sql.INSERT, sql.session_parameters(step.session))


def _advance(connection: sqlite3.Connection, step: store_steps.Advance) -> store_steps.Advanced:
    session = _find(
        connection, store_steps.Find(step.session_id)
    )  # nobody writes between this and the update: see `_READS`
    moved = None if session is None else step.moved(session)
    if session is None or moved is None:
        return store_steps.Advanced(session, moved=False)
    values = (moved.generation, moved.branch, moved.rotated_at, moved.expires_at, sql.stored_id(moved.id))
    connection.execute(sql.MOVE, values)
    return store_steps.Advanced(moved, moved=True, rotated_at=session.rotated_at)


def _swap(connection: sqlite3.Connection, step: store_steps.Swap) -> bool:
    parameters = sql.session_parameters(step.new) | {
        "old_generation": step.old.generation,
        "old_branch": step.old.branch,
        "old_rotated_at": step.old.rotated_at,
    }
    return connection.execute(sql.SWAP, parameters).rowcount == 1


def _find(connection: sqlite3.Connection, step: store_steps.Find) -> Session | None:
    row = connection.execute(sql.FIND, {"id": sql.stored_id(step.session_id)}).fetchone()
    return None if row is None else sql.session_of(row)


def _end(connection: sqlite3.Connection, step: store_steps.End) -> Session | None:
    parameters = {"id": sql.stored_id(step.session_id), "at": step.at, "reason": step.reason, "subject": step.subject}
    row = connection.execute(sql.END, parameters).fetchone()
    return None if row is None else sql.session_of(row)


def _end_all(connection: sqlite3.Connection, step: store_steps.EndAll) -> tuple[str, ...]:
    return tuple(row[0].hex() for row in connection.execute(sql.END_ALL, sql.end_all_parameters(step)).fetchall())


def _end_everyone(connection: sqlite3.Connection, step: store_steps.EndEveryone) -> None:
    connection.execute(sql.END_EVERYONE, {"at": step.at})


def _list(connection: sqlite3.Connection, step: store_steps.ListSessions) -> tuple[Session, ...]:
    rows = connection.execute(sql.LIST, sql.list_parameters(step)).fetchall()
    return tuple(map(sql.session_of, rows))


def _read_keys(connection: sqlite3.Connection, _: store_steps.ReadKeys) -> tuple[KeyRecord, ...]:
    return tuple(map(sql.key_of, connection.execute(sql.READ_KEYS).fetchall()))


def _add_key(connection: sqlite3.Connection, step: store_steps.AddKey) -> None:
    connection.execute(sql.ADD_KEY, sql.key_parameters(step.record, step.newest))


def _remove_key(connection: sqlite3.Connection, step: store_steps.RemoveKey) -> None:
    connection.execute(sql.REMOVE_KEY, {"kid": step.kid})


def _rewrap(connection: sqlite3.Connection, step: store_steps.Rewrap) -> None:
    connection.execute(sql.REWRAP, {"kid": step.kid, "old": step.old, "new": step.new})


def _read_endings(connection: sqlite3.Connection, step: store_steps.ReadEndings) -> store_steps.Endings:
    return sql.endings_of(connection.execute(sql.READ_ENDINGS, {"since": step.since}).fetchall())


def _sweep(connection: sqlite3.Connection, step: store_steps.Sweep) -> store_steps.Swept:
    due = {"now": step.now, "until": step.now + step.pause, "regardless": step.regardless}
    claimed = connection.execute(sql.CLAIM_SWEEP, due).fetchone()
    if claimed is None:
        return store_steps.Swept(0, connection.execute(sql.READ_SWEEP).fetchone()[0])
    ids = connection.execute(sql.SWEEP_BATCH, {"place": claimed[0], "batch": step.batch}).fetchall()
    whole = len(ids) < step.batch
    over = {"before": step.before, "absolute_ttl": step.absolute_ttl}
    removed = sum(connection.execute(sql.REMOVE_IF_OVER, {"id": each, **over}).rowcount for (each,) in ids)
    swept = store_steps.Swept(removed, step.now + (step.rest if whole else step.pause), whole)
    connection.execute(sql.END_SWEEP, {"place": b"" if whole else ids[-1][0], "due_at": swept.due_at})
    return swept


def _probe(connection: sqlite3.Connection, _: store_steps.Probe) -> None:
    connection.execute("SELECT 1 FROM daypass_sessions, daypass_keys LIMIT 1")
    connection.execute(sql.WRITE_PROBE)


def _read_clock(_: sqlite3.Connection, __: store_steps.ReadClock) -> None:
    """Return None: SQLite has the clock of this machine."""


def _migrate(connection: sqlite3.Connection, _: store_steps.Migrate) -> int:
    return _version(connection)


def _add_account(connection: sqlite3.Connection, step: account_steps.AddAccount) -> bool:
    return connection.execute(sql.ADD_ACCOUNT, sql.account_parameters(step.account)).fetchone() is not None


def _find_account(connection: sqlite3.Connection, step: account_steps.FindAccount) -> Account | None:
    row = connection.execute(sql.FIND_ACCOUNT, {"folded": step.identifier.casefold()}).fetchone()
    return None if row is None else sql.account_of(row)


def _load_account(connection: sqlite3.Connection, step: account_steps.LoadAccount) -> Account | None:
    row = connection.execute(sql.LOAD_ACCOUNT, {"subject": step.subject}).fetchone()
    return None if row is None else sql.account_of(row)


def _set_password_hash(connection: sqlite3.Connection, step: account_steps.SetPasswordHash) -> None:
    connection.execute(sql.UPDATE_HASH, {"subject": step.subject, "password_hash": step.password_hash})


_OPERATIONS: Mapping[type[StoreStep[Any]], Callable[[sqlite3.Connection, Any], Any]] = {
    store_steps.Insert: _insert,
    store_steps.Advance: _advance,
    store_steps.Swap: _swap,
    store_steps.Find: _find,
    store_steps.End: _end,
    store_steps.EndAll: _end_all,
    store_steps.EndEveryone: _end_everyone,
    store_steps.ListSessions: _list,
    store_steps.ReadKeys: _read_keys,
    store_steps.AddKey: _add_key,
    store_steps.RemoveKey: _remove_key,
    store_steps.Rewrap: _rewrap,
    store_steps.ReadEndings: _read_endings,
    store_steps.Sweep: _sweep,
    store_steps.Migrate: _migrate,
    store_steps.Probe: _probe,
    store_steps.ReadClock: _read_clock,
    account_steps.AddAccount: _add_account,
    account_steps.FindAccount: _find_account,
    account_steps.LoadAccount: _load_account,
    account_steps.SetPasswordHash: _set_password_hash,
}
