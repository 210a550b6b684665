"""How much longer refreshes take while old sessions are removed: by a purge, and by the background sweep.

A store has 300,000 sessions that expired long ago. One server refreshes, under the load of `refreshing`; ``daypass
store purge`` runs beside it, as a process of its own. In turns with that: the server alone, and a server whose own
background work sweeps. What counts is the time that 99 of 100 refreshes take at most.

    python benchmarks/removing.py [sqlite-full] [postgres] [redis]
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from filling import DAY, born, fill_postgres, fill_redis, fill_sqlite
from load import Crowd, Load
from measure import head, row
from refreshing import place, serving

from daypass.operator_steps import ReadStats
from daypass.session import Session
from daypass.store_steps import Migrate, Probe
from daypass.stores import Store, open_store

EXPIRED = 300_000
ROUNDS = 3
STORES = ("sqlite-full", "postgres", "redis")
MOST = 1.5
DAYPASS = str(Path(sys.executable).with_name("daypass"))


class Removing:
    """A store with sessions to remove.

    Args:
        store: its kind.
        url: where it is, as `refreshing.place` says.
    """

    def __init__(self, store: str, url: str) -> None:
        self.store = store
        self.url = url
        self.named = f"sqlite:///{url}" if store.startswith("sqlite") else url

    def fill(self) -> None:
        """Add the sessions."""
        expired = map(self._expired, range(EXPIRED))
        with contextlib.closing(open_store(self.named)) as store:
            store.perform(Migrate())
            store.perform(Probe())
        match self.store:
            case "postgres":
                import psycopg

                with psycopg.connect(self.url, autocommit=True) as connection:
                    fill_postgres(connection, expired)
            case "redis":
                import redis

                with redis.Redis.from_url(self.url) as client:
                    fill_redis(client, expired)
            case _:
                fill_sqlite(Path(self.url), expired)

    def _expired(self, number: int) -> Session:
        now = time.time_ns() // 1_000_000
        return replace(born(number), rotated_at=now - 60 * DAY, created_at=now - 90 * DAY, expires_at=now - 30 * DAY)

    def sweep_at(self, due_at: int) -> None:
        """Say when the next sweep is due."""
        match self.store:
            case "postgres":
                import psycopg

                with psycopg.connect(self.url, autocommit=True) as connection:
                    connection.execute("UPDATE daypass_sweep SET due_at = %s", (due_at,))
            case "redis":
                import redis

                from daypass.stores.redis import layout

                with redis.Redis.from_url(self.url) as client:
                    client.hset(layout.Layout("daypass").only("sweep"), "due", due_at)
            case _:
                import sqlite3

                with contextlib.closing(sqlite3.connect(self.url, timeout=30)) as file, file:
                    file.execute("UPDATE daypass_sweep SET due_at = ?", (due_at,))

    def count(self) -> int:
        """Return how many sessions there are."""
        with contextlib.closing(open_store(self.named)) as store:
            return _stats(store)["sessions"]

    @contextlib.asynccontextmanager
    async def purging(self) -> AsyncIterator[None]:
        """Purge meanwhile; from the moment when it has begun."""
        environment = {**os.environ, "DAYPASS_SECRET": "0" * 32}
        command = (DAYPASS, "store", "purge", "--store", self.named)
        purge = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = await asyncio.to_thread(self.count)
        while await asyncio.to_thread(self.count) >= before and purge.returncode is None:  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.3)
        try:
            yield
            assert purge.returncode is None, f"it was done too soon, with {purge.returncode}"
        finally:
            if purge.returncode is None:
                purge.terminate()
            await purge.wait()

    async def alone_and_with_purge(self) -> tuple[Load, Load]:
        """Put a server under load without a purge, and with one."""
        self.sweep_at(time.time_ns() // 1_000_000 + DAY // 24)
        with serving("daypass", self.store, self.url) as (address, pid):
            crowd = Crowd([pid])
            await crowd.come(address, login=True)
            alone = await crowd.watched()
            async with self.purging():
                beside = await crowd.watched()
            await crowd.leave()
        return alone, beside

    async def sweeping(self) -> Load:
        """Put a server under load that sweeps in the background."""
        self.sweep_at(0)
        with serving("daypass", self.store, self.url) as (address, pid):
            crowd = Crowd([pid])
            await crowd.come(address, login=True)
            found = await crowd.watched()
            await crowd.leave()
        return found


def _stats(store: Store) -> dict[str, int]:
    return dict(store.perform_operator(ReadStats(0)))  # type: ignore[attr-defined]  # all of ours have it


def measured(store: str) -> None:
    """Print the rows of a store."""
    with place(store) as url:
        removing = Removing(store, url)
        removing.fill()
        alone, purge, sweep = list[float](), list[float](), list[float]()
        purged = swept = 0
        for _ in range(ROUNDS):
            before = removing.count()
            quiet, beside = asyncio.run(removing.alone_and_with_purge())
            between = removing.count()
            background = asyncio.run(removing.sweeping())
            purged, swept = purged + before - between, swept + between - removing.count()
            for loads, each in ((alone, quiet), (purge, beside), (sweep, background)):
                assert each.bad == 0, f"{each.bad} answers were no refresh"
                loads.append(each.tail)
    floor = statistics.median(alone)
    for name, tails, removed in (("purge", purge, purged), ("sweep", sweep, swept)):
        ratio = statistics.median(tails) / floor
        told = f"{name} of {removed:,}"
        row(
            f"{store}: {told}",
            f"{statistics.median(tails):.1f}",
            f"{floor:.1f}",
            f"{ratio:.2f}",
            f"≤ {MOST} of it alone",
            met=ratio <= MOST,
        )


def main(stores: list[str]) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    head("Refreshes while sessions are removed (ms that 99 of 100 take at most)")
    for store in stores:
        measured(store)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="*", metavar="STORE", help=", ".join(STORES))
    main(parser.parse_args().stores or list(STORES))
