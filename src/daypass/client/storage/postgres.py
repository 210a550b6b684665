"""Rows of shared storages in PostgreSQL, in the table ``daypass_connection``; created if it is missing."""

import os
import time
from dataclasses import fields
from functools import partial
from typing import Any

from daypass.client.sealing import Sealing
from daypass.client.storage.row import FORMAT, Row, check_format, provider_of
from daypass.client.storage.shared import SharedStorage
from daypass.databases.postgres.failure import MISSING, Failure, error_of
from daypass.databases.postgres.pool import ThreadPool
from daypass.databases.postgres.sending import asking
from daypass.databases.postgres.settings import POOL_SIZE, TIMEOUT, Settings
from daypass.databases.query import Query, Rows
from daypass.drive import run
from daypass.duration import Duration
from daypass.errors import ConfigurationError
from daypass.secret import Secret

TABLE = """
CREATE TABLE IF NOT EXISTS daypass_connection (
    key text COLLATE "C" PRIMARY KEY,
    provider text NOT NULL,
    format integer NOT NULL,
    revision text NOT NULL,
    fence bigint NOT NULL,
    sealed text,
    written_at bigint NOT NULL,
    expires_at bigint,
    used_at bigint NOT NULL,
    reason text,
    lease_until bigint NOT NULL,
    lease bigint NOT NULL,
    intent_at bigint,
    intent_by text,
    last_error text,
    refreshes bigint NOT NULL,
    repeats bigint NOT NULL,
    lost bigint NOT NULL,
    held_until bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS daypass_connection_due ON daypass_connection (provider, greatest(used_at, held_until))
    WHERE reason IS NULL;
"""
"""Creates the table. If the application's database user may not create tables, run this as another user."""

_MAKE = f"DO $$ BEGIN PERFORM pg_advisory_xact_lock(7238245904172708980); {TABLE} END $$"

COLUMNS = tuple(each.name for each in fields(Row))
NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

_READ = (
    f"SELECT {NOW}, format, {', '.join(COLUMNS)} FROM (SELECT 1) AS one "  # noqa: S608 - names of columns
    "LEFT JOIN daypass_connection ON key = :key"
)
_ALL = ("key", "provider", "format", *COLUMNS)
_INSERT = (
    f"INSERT INTO daypass_connection ({', '.join(_ALL)}) "  # noqa: S608 - names of columns
    f"VALUES ({', '.join(f':{name}' for name in _ALL)}) ON CONFLICT DO NOTHING RETURNING 1"
)
_UPDATE = (
    f"UPDATE daypass_connection SET format = :format, {', '.join(f'{name} = :{name}' for name in COLUMNS)} "  # noqa: S608 - names of columns
    "WHERE key = :key AND revision = :expected RETURNING 1"
)
_DELETE = "DELETE FROM daypass_connection WHERE key = :key AND revision = :expected RETURNING 1"


class PostgresRows:
    """The rows of one PostgreSQL database, on connections that all threads of a process share.

    Args:
        url: as for `PostgresStorage`, like the other arguments.
        pool_size: how many connections each process may open.
        timeout: how long a query may take.
        pgbouncer: whether there is a pooler in front of the server.

    Raises:
        ConfigurationError: the URL or an option is invalid.
    """

    def __init__(
        self, url: str, *, pool_size: int = POOL_SIZE, timeout: Duration = TIMEOUT, pgbouncer: bool = False
    ) -> None:
        self._settings = Settings(url, pool_size=pool_size, timeout=timeout, pgbouncer=pgbouncer)
        self._pools: dict[int, ThreadPool] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.shown}>"

    def read(self, key: str) -> tuple[Row | None, int]:
        """Read a row; see `daypass.client.storage.shared.Rows.read`."""
        now, *values = self.ask(_READ, key=key)[0]
        return row_of(values), int(now)

    def swap(self, key: str, revision: str | None, row: Row | None) -> bool:
        """Replace a row; see `daypass.client.storage.shared.Rows.swap`."""
        if row is None:
            return bool(self.ask(_DELETE, key=key, expected=revision))
        parameters = {name: getattr(row, name) for name in COLUMNS}
        parameters |= {"key": key, "provider": provider_of(key), "format": FORMAT, "expected": revision}
        return bool(self.ask(_INSERT if revision is None else _UPDATE, **parameters))

    def ask(self, text: str, **parameters: Any) -> Rows:
        """Send one query and return its rows; create the table first if it is missing.

        Raises:
            StoreUnavailable: the server cannot be reached, or did not answer in time; it may have executed the query.
            StoreContended: conflicts with other transactions, again and again.
            ConfigurationError: the database cannot be used like this.
        """
        query = Query(text, parameters)
        try:
            try:
                return self._ask(query)
            except Failure as failure:
                if failure.state not in MISSING:
                    raise
                self._ask(Query(_MAKE))
                return self._ask(query)
        except Failure as failure:
            if failure.state in MISSING or failure.state == "42501":
                raise ConfigurationError(
                    f"the table daypass_connection in {self._settings.shown} is missing or closed to this user: run "
                    "the statements in daypass.client.storage.postgres.TABLE as its owner"
                ) from None
            raise error_of(failure, self._settings.shown) from None

    def close(self) -> None:
        """Close all connections; the next query opens others."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    def _ask(self, query: Query) -> Rows:
        deadline = time.monotonic() + self._settings.timeout
        pool = self._pools.get(os.getpid()) or self._pools.setdefault(os.getpid(), ThreadPool(self._settings))
        return run(asking(query, self._settings, deadline), partial(pool.ask, deadline=deadline))


def row_of(values: list[Any]) -> Row | None:
    """Return the row in the format and the columns of a query; ``None`` if there is none.

    Raises:
        ConfigurationError: it was written by a newer version of Daypass.
    """
    form, *columns = values
    if form is None:
        return None
    check_format(int(form))
    return Row(**dict(zip(COLUMNS, columns, strict=True)))


class PostgresStorage(SharedStorage):
    """Keeps one session in PostgreSQL 14 or later, encrypted, for any number of machines: one of them refreshes.

    Args:
        url: ``postgresql://user:password@host:port/database``, with libpq's parameters after a ``?``.
        key: names the session; `Vault` gives the names ``provider/name``.
        secret: encrypts the tokens: at least 32 bytes, or several secrets, newest first. Not ``DAYPASS_SECRET``.
        pool_size: how many connections each process may open.
        timeout: how long a query may take: seconds, or text such as ``5s``.
        pgbouncer: there is a pooler in front of the server that gives each transaction another connection.

    Raises:
        ConfigurationError: an argument is invalid. No connection is opened yet.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        secret: Secret,
        pool_size: int = 2,
        timeout: Duration = TIMEOUT,
        pgbouncer: bool = False,
    ) -> None:
        rows = PostgresRows(url, pool_size=pool_size, timeout=timeout, pgbouncer=pgbouncer)
        super().__init__(rows, key, Sealing(secret))
