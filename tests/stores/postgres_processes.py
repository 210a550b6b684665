"""What the tests of PostgreSQL let other processes do: ``python postgres_processes.py FUNCTION URL DESCRIPTOR``."""

import asyncio
import os
import sys
from multiprocessing.connection import Connection

from daypass.errors import StoreError
from daypass.store_steps import Insert, Migrate
from daypass.stores.postgres import AsyncPostgresStore, PostgresStore
from daypass.testing import START, advance, session


def refresh_for_ever(url: str, pipe: Connection) -> None:
    """Start sessions and advance them with many tasks, telling of each step once it was answered."""

    async def task(store: AsyncPostgresStore, number: int) -> None:
        while True:
            number += 1
            fresh = session(number)
            try:
                await store.perform(Insert(fresh))
                pipe.send(("inserted", fresh.id))
                await store.perform(advance(fresh, START + 1))
                pipe.send(("advanced", fresh.id))
            except StoreError:
                await asyncio.sleep(0.01)

    async def main() -> None:
        store = AsyncPostgresStore(url)
        await asyncio.gather(*(task(store, (os.getpid() << 64) + (n << 32)) for n in range(8)))

    asyncio.run(main())


def migrate_at_once(url: str, pipe: Connection) -> None:
    """Make the tables at the same moment as others."""
    store = PostgresStore(url)
    pipe.send("ready")
    pipe.recv()
    pipe.send(store.perform(Migrate()))
    store.close()


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], Connection(int(sys.argv[3])))
