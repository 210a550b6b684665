"""What the tests of SQLite let other processes do: ``python processes.py FUNCTION FILE DESCRIPTOR``."""

import asyncio
import os
import resource
import sqlite3
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from daypass import Daypass, DaypassError, User
from daypass.errors import StoreError, StoreUnavailable
from daypass.session import EndReason
from daypass.store_steps import End, Find, Insert, Probe
from daypass.stores.sqlite import AsyncSqliteStore, SqliteStore
from daypass.testing import START, advance, session


def issuer(path: Path, clock: Callable[[], int], **arguments: Any) -> Daypass:
    """Return an issuer over the file at ``path`` whose users are all there."""
    return Daypass(
        SqliteStore(path), issuer="https://issuer.example", load_user=User, secret="s" * 32, clock=clock, **arguments
    )


def refresh_at_once(path: Path, pipe: Connection) -> None:
    """Open a file that may not be there yet, at the same moment as others; then refresh the token that is sent."""
    codes: list[str] = []
    auth = issuer(path, lambda: START + 60_000, on_event=lambda event: codes.append(event.code))
    pipe.send("ready")
    pipe.recv()
    try:
        own = auth.start(User("user-1"))
        auth.refresh(own.refresh_token)
        codes.clear()
        pipe.send("started")
        tokens = auth.refresh(pipe.recv())
        pipe.send((codes, tokens.refresh_token))
    except DaypassError as error:
        pipe.send(f"{error!r}")
    auth.close()


def refresh_for_ever(path: Path, pipe: Connection) -> None:
    """Start sessions and advance them without end, telling of each step once it was answered."""
    store = SqliteStore(path)
    number = os.getpid() << 32
    while True:
        number += 1
        fresh = session(number)
        store.perform(Insert(fresh))
        pipe.send(("inserted", fresh.id))
        store.perform(advance(fresh, START + 1))
        pipe.send(("advanced", fresh.id))


def refresh_many_for_ever(path: Path, pipe: Connection) -> None:
    """Do the same with many tasks on an event loop."""

    async def task(store: AsyncSqliteStore, number: int) -> None:
        while True:
            number += 1
            fresh = session(number)
            await store.perform(Insert(fresh))
            pipe.send(("inserted", fresh.id))
            await store.perform(advance(fresh, START + 1))
            pipe.send(("advanced", fresh.id))

    async def main() -> None:
        store = AsyncSqliteStore(path)
        await asyncio.gather(*(task(store, (os.getpid() << 64) + (n << 32)) for n in range(8)))

    asyncio.run(main())


def without_rights(path: Path, pipe: Connection) -> None:
    """As a user who may only read: try to write, then wait until the rights are there and try again."""
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
    outcomes: list[str] = []
    store = SqliteStore(path)
    for _ in range(2):
        try:
            store.perform(Insert(session(7)))
            outcomes.append("written")
        except StoreError as error:
            outcomes.append(type(error).__name__)
        pipe.send(outcomes[-1])
        pipe.recv()
    store.close()


def on_a_full_disk(path: Path, pipe: Connection) -> None:
    """Write until no file may grow any more, report what was answered, and write on when there is room again."""
    store = SqliteStore(path)
    store.perform(Insert(session(1)))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name(path.name + "-wal").stat().st_size + 65_536, most))
    written = 1
    error: StoreError | None = None
    while error is None and written < 10_000:
        try:
            store.perform(Insert(session(written + 1)))
            written += 1
        except StoreError as raised:
            error = raised
    readable = [store.perform(Find(session(n).id)) is not None for n in (1, written, written + 1)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, most))  # room for no page at all
    probed = [probes(store)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    probed.append(probes(store))
    store.perform(Insert(session(written + 1)))
    ended = store.perform(End(session(1).id, START, EndReason.ENDED))
    pipe.send((type(error).__name__, written, readable, probed, ended is not None))
    store.close()


def probes(store: SqliteStore) -> bool:
    """Return whether the store says that it can be used."""
    try:
        store.perform(Probe())
    except StoreUnavailable:
        return False
    return True


def hold_the_lock(path: Path, pipe: Connection) -> None:
    """Take the write lock and keep it until a message says to release it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    pipe.send("held")
    pipe.recv()
    connection.execute("ROLLBACK")
    connection.close()
    pipe.send("given back")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), Connection(int(sys.argv[3])))
