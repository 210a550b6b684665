"""One user with 200,000 sessions: lists are limited, and ending them all blocks no other caller."""

import contextlib
import sqlite3
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from daypass import Daypass, User
from daypass.rotation import NEVER_ROTATED
from daypass.store_steps import Insert, ListSessions, Migrate, ReadEndings
from daypass.stores import Store
from daypass.stores.memory import MemoryStore
from daypass.stores.postgres import PostgresStore
from daypass.stores.sqlite import SqliteStore
from daypass.testing import START, advance, session
from tests.servers import postgres

COUNT = 200_000
HELD_UP = 1.5
"""Seconds that another user's refresh may take meanwhile, on a machine that does other things too."""

COLUMNS = "id, subject, client_id, generation, branch, rotated_at, created_at, expires_at"
END = START + 3_600_000


def memory(_: Path, __: Callable[..., str]) -> Store:
    store = MemoryStore()
    for number in range(COUNT):
        store.perform(Insert(session(number + 10, subject="many", created_at=START + number)))
    return store


def sqlite(path: Path, _: Callable[..., str]) -> Store:
    store = SqliteStore(path / "app.db", synchronous="NORMAL")
    store.perform(Insert(session(1)))
    row = ("many", "daypass", 0, b"branch-0", NEVER_ROTATED)
    rows = ((bytes.fromhex(session(n + 10).id), *row, START + n, END) for n in range(COUNT))
    with contextlib.closing(sqlite3.connect(store.path)) as connection, connection:
        connection.executemany(f"INSERT INTO daypass_sessions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)  # noqa: S608 - our columns
    return store


def postgresql(_: Path, postgres_at: Callable[..., str]) -> Store:
    store = PostgresStore(url := postgres.empty(postgres_at()))
    store.perform(Migrate())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"INSERT INTO daypass_sessions ({COLUMNS}) SELECT decode(lpad(to_hex(n + 10), 32, '0'), 'hex'), "  # noqa: S608 - as above
            f"'many', 'daypass', 0, 'branch-0', 0, {START} + n, {END} FROM generate_series(0, {COUNT - 1}) AS n"
        )
        connection.execute("ANALYZE daypass_sessions")
    return store


@pytest.fixture(params=[memory, sqlite, postgresql], ids=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, postgres_at: Callable[..., str]) -> Iterator[Store]:
    store: Store = request.param(tmp_path, postgres_at)
    store.perform(Insert(session(1)))
    yield store
    store.close()


def test_user_with_very_many_sessions(store: Store) -> None:
    """A page of the list takes little memory, and while all are ended the refreshes of another user go on."""
    tracemalloc.start()
    page = store.perform(ListSessions("many", START, limit=100))
    assert 100 == len(page)
    assert START + COUNT - 1 == page[0].created_at
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()

    auth = Daypass(store, issuer="https://i.example", secret="s" * 32, load_user=User, clock=lambda: START + 1)
    over = threading.Event()
    took: list[float] = []

    def refresh() -> None:
        found = session(1)
        while not over.is_set():
            began = time.monotonic()
            found = store.perform(advance(found, START + 2 + len(took), absolute_ttl=10**9)).session or found
            took.append(time.monotonic() - began)
            over.wait(0.002)

    refreshing = threading.Thread(target=refresh)
    refreshing.start()
    count = auth.end_all("many")
    over.set()
    refreshing.join()
    auth.close()
    assert COUNT == count
    assert () == store.perform(ListSessions("many", START))
    assert COUNT == len(store.perform(ReadEndings(START)).endings)
    assert len(took) > 20
    assert max(took) < HELD_UP
