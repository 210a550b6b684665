"""Sessions in PostgreSQL: any number of nodes, on the database that is there already.

`PostgresStore` and `AsyncPostgresStore` only drive. What is asked, and what an answer means, is in `plans`;
connections are in `link` and `pool`, with `threads` and `tasks` to wait for them;
announcements in `listen`.
"""

import asyncio
import os
import time
from functools import partial
from typing import Any, TypeVar

from daypass.drive import arun, run
from daypass.duration import Duration
from daypass.store_steps import Migrate, StoreStep
from daypass.stores.postgres.link import Failure, Link
from daypass.stores.postgres.listen import (
    LISTEN,
    AsyncPostgresSubscription,
    Ear,
    PostgresSubscription,
    Proof,
    unheard,
)
from daypass.stores.postgres.plans import asking, performing, translated
from daypass.stores.postgres.settings import POOL_SIZE, TIMEOUT, Settings
from daypass.stores.postgres.tasks import LoopLink, LoopPool, aconnect
from daypass.stores.postgres.threads import Pool, ask, connect

A = TypeVar("A")

MIGRATING = 600.0
"""Seconds that bringing the tables up to date may take; it may wait for other nodes."""


class PostgresStore:
    """A store in PostgreSQL 14 or later; it may be shared by threads, and the database by processes and machines.

    The tables are made by ``daypass store migrate``.

    Args:
        url: ``postgresql://user:password@host:port/database?…``, with whatever libpq knows behind the ``?``, and these
            three by the same names.
        pool_size: so many connections there may be, for each process; they are opened when they are needed. Who comes
            when all are in use waits, in the order of coming.
        timeout: how long a step may take, with all its waiting; then it raises `StoreUnavailable`.
        pgbouncer: says that there is a pooler before the server which hands each transaction to another connection:
            nothing is prepared there, set, or listened to.

    Raises:
        ConfigurationError: the URL or another value is none.
    """

    def __init__(
        self, url: str, *, pool_size: int = POOL_SIZE, timeout: Duration = TIMEOUT, pgbouncer: bool = False
    ) -> None:
        self._settings = Settings(url, pool_size=pool_size, timeout=timeout, pgbouncer=pgbouncer)
        self._pools: dict[int, Pool] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.shown}>"

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer.

        Raises:
            StoreUnavailable: the server cannot be reached, did not answer in time, or cannot do what it is asked;
                nobody knows whether a step that was on its way was performed.
            StoreContended: others were in the way again and again; nothing was changed.
            ConfigurationError: the tables are not there or not up to date, or too new; nothing was changed.
        """
        if isinstance(step, Migrate):
            return self._migrate(step)  # type: ignore[no-any-return]  # the answer to Migrate
        deadline = time.monotonic() + self._settings.timeout
        return run(performing(step, self._settings, deadline), partial(self._pool().ask, deadline=deadline))

    def subscribe(self) -> PostgresSubscription:
        """Return a subscription that has heard an announcement of its own.

        Raises:
            StoreUnavailable: announcements are not heard here, or the server cannot be reached.
        """
        if not self._settings.announces:
            raise unheard()
        deadline = time.monotonic() + self._settings.timeout
        proof = Proof()
        try:
            link = connect(self._settings, deadline, checked=False)
            subscription = PostgresSubscription(link)
            try:
                ask(link, LISTEN, deadline)
                run(
                    asking(proof.announcement(), self._settings, deadline),
                    partial(self._pool().ask, deadline=deadline),
                )
                subscription.prove(proof)
            except BaseException:
                subscription.close()
                raise
        except Failure as failure:
            raise translated(failure, self._settings.shown) from None
        return subscription

    def close(self) -> None:
        """Close all connections; performing a step opens others."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    def _pool(self) -> Pool:
        """Return this process's pool. Those of a parent are kept as they are: it still uses their connections."""
        pool = self._pools.get(os.getpid())
        return pool or self._pools.setdefault(os.getpid(), Pool(self._settings))

    def _migrate(self, step: StoreStep[Any]) -> Any:
        deadline = time.monotonic() + MIGRATING
        link: Link | None = None

        def answer(asked: Any) -> Any:
            nonlocal link
            if link is None or not link.usable:
                link = connect(self._settings, min(deadline, time.monotonic() + self._settings.timeout), checked=False)
            return ask(link, asked, deadline)

        try:
            return run(performing(step, self._settings, deadline), answer)
        finally:
            if link is not None:
                link.close()


class AsyncPostgresStore:
    """The same for `AsyncDaypass`. Each event loop has a pool of its own.

    Args: as for `PostgresStore`; ``pool_size`` is for each event loop.
    """

    def __init__(
        self, url: str, *, pool_size: int = POOL_SIZE, timeout: Duration = TIMEOUT, pgbouncer: bool = False
    ) -> None:
        self._settings = Settings(url, pool_size=pool_size, timeout=timeout, pgbouncer=pgbouncer)
        self._pools: dict[tuple[int, asyncio.AbstractEventLoop], LoopPool] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.shown}>"

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; raises as `PostgresStore.perform` does.

        A step that is on its way is performed even if the caller is cancelled.
        """
        if isinstance(step, Migrate):
            return await self._migrate(step)  # type: ignore[no-any-return]  # likewise
        deadline = time.monotonic() + self._settings.timeout
        return await arun(performing(step, self._settings, deadline), partial(self._pool().ask, deadline=deadline))

    async def subscribe(self) -> AsyncPostgresSubscription:
        """Do as `PostgresStore.subscribe`."""
        if not self._settings.announces:
            raise unheard()
        deadline = time.monotonic() + self._settings.timeout
        proof = Proof()
        try:
            ear = await aconnect(self._settings, deadline, Ear, checked=False)
            subscription = AsyncPostgresSubscription(ear)
            try:
                await ear.ask(LISTEN, deadline)
                await arun(
                    asking(proof.announcement(), self._settings, deadline),
                    partial(self._pool().ask, deadline=deadline),
                )
                await subscription.prove(proof)
            except BaseException:
                await subscription.close()
                raise
        except Failure as failure:
            raise translated(failure, self._settings.shown) from None
        return subscription

    async def close(self) -> None:
        """Close all connections, those of other event loops too; performing a step opens others."""
        here = asyncio.get_running_loop()
        for key in list(self._pools):
            pid, loop = key
            pool = self._pools.pop(key, None)
            if pool is None or pid != os.getpid():
                continue
            if loop is here or not loop.is_running():
                pool.close()
            else:
                loop.call_soon_threadsafe(pool.close)

    def _pool(self) -> LoopPool:
        """Return the running event loop's pool; close those of loops that have been closed, for nobody else does."""
        key = os.getpid(), asyncio.get_running_loop()
        pool = self._pools.get(key)
        if pool is None:
            for pid, loop in list(self._pools):
                if loop.is_closed() and pid == os.getpid():
                    self._pools.pop((pid, loop)).close()
            pool = self._pools.setdefault(key, LoopPool(self._settings))
        return pool

    async def _migrate(self, step: StoreStep[Any]) -> Any:
        deadline = time.monotonic() + MIGRATING
        link: LoopLink | None = None

        async def answer(asked: Any) -> Any:
            nonlocal link
            if link is None or not link.usable:
                until = min(deadline, time.monotonic() + self._settings.timeout)
                link = await aconnect(self._settings, until, LoopLink, checked=False)
            return await link.ask(asked, deadline)

        try:
            return await arun(performing(step, self._settings, deadline), answer)
        finally:
            if link is not None:
                link.close()
