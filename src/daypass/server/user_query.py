"""Users in your own table, found by SQL: SQLite or PostgreSQL."""

import asyncio
import contextlib
import logging
import os
import queue
import re
import socket
import sqlite3
from collections.abc import Mapping
from typing import Any

from daypass.errors import ConfigurationError, StoreUnavailable
from daypass.server.user_source import FIELDS, user_of
from daypass.server.users import matches
from daypass.stores import sqlite_path
from daypass.user import User

_MAXIMUM_IDLE = 8
_CONNECTING = 2.0
"""Seconds that a connection may take beyond the time of a query."""

_PARAMETER = re.compile(r"(?<![:\w]):(identifier|subject)\b")

_log = logging.getLogger("daypass")


class UserQuery:
    """Users found by two queries: one by ``:identifier``, with their ``password_hash``; one by ``:subject``.

    Args:
        database: ``postgresql://…`` or ``sqlite:///…``; nothing is written to it.
        login: the query of a login.
        load: the query of a refresh; by default the first one, which must then also find by ``:subject``.
        timeout: seconds that a query may take.

    Raises:
        ConfigurationError: the URL or a query cannot be used.
    """

    hashes = True

    def __init__(self, database: str, login: str, load: str, *, timeout: float) -> None:
        for name, query, parameter in (("login", login, "identifier"), ("subject", load, "subject")):
            if {parameter} != set(_PARAMETER.findall(query)):
                raise ConfigurationError(f"users_{name}_query must use :{parameter}, and no other parameter")
        self._database = database
        self._login = login
        self._load = load
        self._timeout = timeout
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue(_MAXIMUM_IDLE)
        self._is_postgres = database.startswith("postgres")
        if not self._is_postgres:
            sqlite_path(database)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    async def check(self, identifier: str, password: str) -> User | None:
        """Find a user, and compare the password; raises the errors of `UserSource.check`."""
        found = await self._find(self._login, {"identifier": identifier})
        known = None if found is None else found.get("password_hash")
        if found is not None and not str(known or "").startswith("$argon2"):
            _log.warning("the password hash of user %r is not Argon2; this user cannot log in", found.get("subject"))
            known = None
        if not await asyncio.to_thread(matches, known, password) or found is None:
            return None
        return self._user(found)

    async def load(self, subject: str) -> User | None:
        """Find a user; raises the errors of `UserSource.load`."""
        found = await self._find(self._load, {"subject": subject})
        user = None if found is None else self._user(found)
        if user is not None and user.subject != subject:
            raise StoreUnavailable("users_subject_query found another user than the one asked for")
        return user

    async def close(self) -> None:
        """Close its connections."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _user(self, row: Mapping[str, Any]) -> User | None:
        fields = {name: row[name] for name in FIELDS if row.get(name) is not None}
        if "subject" in fields:
            fields["subject"] = str(fields["subject"])
        if "disabled" in fields:
            fields["disabled"] = bool(fields["disabled"])  # SQLite has numbers for it
        return user_of(fields, "the users' query")

    async def _find(self, query: str, parameters: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the row that a query finds; a database that does not answer in time is not waited for."""
        used: list[Any] = []
        asking = asyncio.ensure_future(asyncio.to_thread(self._row, query, parameters, used))
        try:
            return await asyncio.wait_for(asyncio.shield(asking), self._timeout + _CONNECTING)
        except TimeoutError:
            for connection in used:
                _cut(connection)  # its thread ends, too
            asking.add_done_callback(lambda done: done.exception())
            raise _unavailable(TimeoutError()) from None

    def _row(self, query: str, parameters: Mapping[str, str], used: list[Any]) -> dict[str, Any] | None:
        """Return the row that a query finds; a connection that was lost while idle is replaced once.

        Args:
            query: the query.
            parameters: its parameters.
            used: gets each connection that is used.
        """
        try:
            connection, fresh = self._idle.get_nowait(), False
        except queue.Empty:
            connection, fresh = self._connect(), True
        used.append(connection)
        try:
            found = self._ask(connection, query, parameters)
        except StoreUnavailable:
            connection.close()
            if fresh:
                raise
            return self._row(query, parameters, used)
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()
        return found

    def _connect(self) -> Any:
        try:
            if self._is_postgres:
                import psycopg
                from psycopg.conninfo import conninfo_to_dict

                own = conninfo_to_dict(self._database).get("options") or ""
                options = f"{own} -c statement_timeout={int(self._timeout * 1000)}".strip()
                return psycopg.connect(
                    self._database, autocommit=True, connect_timeout=max(2, int(self._timeout)), options=options
                )
            path = sqlite_path(self._database)[0].absolute()
            return sqlite3.connect(
                f"file:{path}?mode=ro", uri=True, timeout=self._timeout, check_same_thread=False, isolation_level=None
            )
        except Exception as error:
            raise _unavailable(error) from None

    def _ask(self, connection: Any, query: str, parameters: Mapping[str, str]) -> dict[str, Any] | None:
        if self._is_postgres:
            query = _PARAMETER.sub(r"%(\1)s", query.replace("%", "%%"))
        try:
            cursor = connection.execute(query, parameters)
            rows = cursor.fetchmany(2)
            names = [column[0] for column in cursor.description or ()]
        except Exception as error:
            raise _unavailable(error) from None
        if len(rows) > 1:
            raise StoreUnavailable("the users' query found two users: it must find one at most")
        return dict(zip(names, rows[0], strict=True)) if rows else None


def _cut(connection: Any) -> None:
    """End a connection that another thread waits for."""
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)  # SQLite's connection has no socket, and a closed one has none any more


def _unavailable(error: Exception) -> StoreUnavailable:
    """Return our error for a database failure; its text may contain the values, so only its kind is shown."""
    return StoreUnavailable(f"the users' database cannot be asked ({type(error).__name__})")
