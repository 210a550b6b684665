"""Databases full of sessions, made quickly: what `scale.py` measures on."""

import contextlib
import hashlib
import sqlite3
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

from daypass.model import Session
from daypass.steps import Probe
from daypass.stores import Store
from daypass.stores.sqlite import SqliteStore

NOW = 1_800_000_000_000
DAY = 86_400_000
CHUNK = 250_000
COLUMNS = ("id", "subject", "client_id", "generation", "branch", "rotated_at", "created_at", "expires_at")


def born(number: int) -> Session:
    """Return session ``number`` as it is filled in: all that is random in it follows from its number."""
    drawn = hashlib.sha256(number.to_bytes(8, "big")).digest()
    age = int.from_bytes(drawn[24:28], "big")
    return Session(
        id=drawn[:16].hex(),
        subject=str(uuid.UUID(bytes=drawn[8:24])),
        client_id="daypass",
        generation=drawn[28] % 100,
        branch=drawn[16:24],
        rotated_at=NOW - 60_000 - age % (2 * DAY),
        created_at=NOW - 3 * DAY - age % (60 * DAY),
        expires_at=NOW + 20 * DAY,
    )


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


def chunks(sessions: int) -> Iterator[list[tuple[object, ...]]]:
    """Yield rows, sorted within each chunk: pages are split as by users who come at random, but sooner."""
    for start in range(0, sessions, CHUNK):
        yield sorted(values(born(number)) for number in range(start, min(sessions, start + CHUNK)))


class Place:
    """One database, filled.

    Attributes:
        store: a store that has it open.
        size: returns the bytes that the sessions take in it, indexes included.
    """

    def __init__(self, store: Store, size: Callable[[], int]) -> None:
        self.store = store
        self.size = size


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
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA cache_size = -1000000")
            marks = ", ".join("?" for _ in COLUMNS)
            insert = f"INSERT INTO daypass_sessions ({', '.join(COLUMNS)}) VALUES ({marks})"  # noqa: S608 - made of names
            for rows in chunks(sessions):
                with connection:
                    connection.executemany(insert, rows)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Place(store, lambda: path.stat().st_size)


KINDS: dict[str, Callable[[Path], Places]] = {"sqlite": SqlitePlaces}
"""What can be measured."""
