"""Databases full of sessions, made quickly."""

import contextlib
import hashlib
import sqlite3
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

from load import tree_seconds

from daypass import refresh_token
from daypass.refresh_token import SECRET_SIZE, RefreshKey
from daypass.session import Session
from daypass.store_steps import Migrate, Probe
from daypass.stores import Store
from daypass.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    import psycopg
    import redis

sys.path.insert(0, str(Path(__file__).parents[1]))

NOW = time.time_ns() // 1_000_000
DAY = 86_400_000
CHUNK = 250_000
COLUMNS = ("id", "subject", "client_id", "generation", "branch", "rotated_at", "created_at", "expires_at")


def born(number: int) -> Session:
    """Return session ``number`` as it is filled in: all that is random in it follows from its number."""
    drawn = hashlib.sha256(number.to_bytes(8, "big")).digest()
    age = int.from_bytes(drawn[24:28], "big")
    return Session(
        id=refresh_token.session_id(drawn[:SECRET_SIZE]),
        subject=str(uuid.UUID(bytes=drawn[8:24])),
        client_id="daypass",
        generation=drawn[28] % 100,
        branch=drawn[16:24],
        rotated_at=NOW - 60_000 - age % (2 * DAY),
        created_at=NOW - 3 * DAY - age % (60 * DAY),
        expires_at=NOW + 20 * DAY,
    )


def newest(number: int, key: RefreshKey) -> str:
    """Return the newest refresh token of session ``number``."""
    secret = hashlib.sha256(number.to_bytes(8, "big")).digest()[:SECRET_SIZE]
    return refresh_token.encode(refresh_token.successor(secret, born(number)), key)


def values(session: Session) -> tuple[object, ...]:
    """Return the values of `COLUMNS`."""
    return (
        bytes.fromhex(session.id),
        session.subject,
        session.client_id,
        session.generation,
        session.branch,
        session.rotated_at,
        session.created_at,
        session.expires_at,
    )


def chunks(sessions: Iterable[Session]) -> Iterator[list[tuple[object, ...]]]:
    """Yield rows, sorted within each chunk: pages are split as by users who come at random, but sooner."""
    rows = map(values, sessions)
    while chunk := sorted(islice(rows, CHUNK)):
        yield chunk


def fill_sqlite(path: Path, sessions: Iterable[Session]) -> None:
    """Add sessions to a file that has its tables."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -1000000")
        marks = ", ".join("?" for _ in COLUMNS)
        insert = f"INSERT INTO daypass_sessions ({', '.join(COLUMNS)}) VALUES ({marks})"  # noqa: S608 - made of names
        for rows in chunks(sessions):
            with connection:
                connection.executemany(insert, rows)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def fill_postgres(connection: "psycopg.Connection[Any]", sessions: Iterable[Session]) -> None:
    """Add sessions to a database that has its tables."""
    connection.execute("SET synchronous_commit = off")
    copying = f"COPY daypass_sessions ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)".encode()
    types = ("bytea", "text", "text", "int8", "bytea", "int8", "int8", "int8")
    for rows in chunks(sessions):
        with connection.cursor() as cursor, cursor.copy(copying) as copy:
            copy.set_types(types)
            for each in rows:
                copy.write_row(each)
    connection.execute("VACUUM ANALYZE daypass_sessions")
    connection.execute("CHECKPOINT")


def fill_redis(client: "redis.Redis", sessions: Iterable[Session]) -> None:
    """Add sessions to a Redis server."""
    from daypass.stores.redis import layout

    names = layout.Layout("daypass")
    left = iter(sessions)
    while some := list(islice(left, 10_000)):
        pipeline = client.pipeline(transaction=False)
        for session in some:
            raw_id = bytes.fromhex(session.id)
            pipeline.execute_command("HSET", names.session(raw_id), *layout.session_fields(session))
            pipeline.execute_command("ZADD", names.index(session.subject), session.created_at, raw_id)
        pipeline.execute()


class Place:
    """One database, filled.

    Attributes:
        store: a store that has it open.
        url: where it is, as `refreshing.opened` takes it.
        size: returns the bytes that the sessions take in it, indexes included.
        log: returns how many bytes its server has written into its log so far; None where there is no server.
        cpu: returns for how many seconds its server has kept a core busy so far; None likewise.
    """

    def __init__(
        self,
        store: Store,
        url: str,
        size: Callable[[], int],
        log: Callable[[], int] | None = None,
        cpu: Callable[[], float] | None = None,
    ) -> None:
        self.store = store
        self.url = url
        self.size = size
        self.log = log
        self.cpu = cpu


class Places(contextlib.ExitStack, ABC):
    """Where databases of one kind are made; what was made is gone at the end."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    @abstractmethod
    def filled(self, name: str, sessions: int) -> Place:
        """Return a new database with so many sessions."""


class SqlitePlaces(Places):
    """SQLite files."""

    def filled(self, name: str, sessions: int) -> Place:
        path = self.folder / f"{name}.db"
        store = SqliteStore(path)
        store.perform(Probe())
        store.close()
        self.callback(store.close)
        fill_sqlite(path, map(born, range(sessions)))
        return Place(store, str(path), lambda: path.stat().st_size)


class PostgresPlaces(Places):
    """Schemas of one private server, which syncs what it answered."""

    def __init__(self, folder: Path) -> None:
        from tests.servers import postgres

        super().__init__(folder)
        settings = {"shared_buffers": "1GB", "autovacuum": "on", "max_wal_size": "4GB"}
        self._server = postgres.PostgresServer(postgres.VERSIONS[-1], settings=settings)
        self.callback(postgres.clean)
        self.callback(self._server.remove)
        self._server.start()

    def filled(self, name: str, sessions: int) -> Place:
        import psycopg

        from daypass.stores.postgres import PostgresStore

        url = f"{self._server.url()}?options=-csearch_path%3D{name}"
        connection = self.enter_context(psycopg.connect(url, autocommit=True))
        connection.execute(f"CREATE SCHEMA {name}".encode())
        store = PostgresStore(url)
        self.callback(store.close)
        store.perform(Migrate())
        fill_postgres(connection, map(born, range(sessions)))

        def number(query: LiteralString) -> int:
            row = connection.execute(query).fetchone()
            assert row is not None
            return int(row[0])

        return Place(
            store,
            url,
            size=lambda: number("SELECT pg_total_relation_size('daypass_sessions')"),
            log=lambda: number("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"),
            cpu=lambda: tree_seconds(self._server.pid),
        )


class RedisPlaces(Places):
    """Private servers, which sync what they answered; one for each place, so that what is in memory can be told."""

    def filled(self, name: str, sessions: int) -> Place:  # noqa: ARG002 - each has a server of its own
        from daypass.stores.redis import RedisStore
        from tests.servers.redis import Server

        server = self.enter_context(Server("appendonly no", "appendfsync always"))
        with server.client as client:
            empty = client.info("memory")["used_memory"]
            fill_redis(client, map(born, range(sessions)))
            taken = client.info("memory")["used_memory"] - empty
            client.config_set("appendonly", "yes")
            while client.info("persistence")["aof_rewrite_in_progress"]:
                time.sleep(0.1)
        store = RedisStore(server.url)
        self.callback(store.close)
        asking = self.enter_context(server.client)

        def cpu() -> float:
            told = asking.info("cpu")
            return float(told["used_cpu_sys"] + told["used_cpu_user"])

        return Place(store, server.url, lambda: taken, lambda: int(asking.info("persistence")["aof_current_size"]), cpu)


KINDS: dict[str, Callable[[Path], Places]] = {
    "sqlite": SqlitePlaces,
    "postgres": PostgresPlaces,
    "redis": RedisPlaces,
}
"""What can be measured."""
