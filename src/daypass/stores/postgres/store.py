"""Sessions in PostgreSQL: any number of nodes, on your existing database.

`PostgresStore` and `AsyncPostgresStore` only drive. The queries of each step are in `daypass.stores.plans`; how
PostgreSQL performs them is in `queries`, connections are in `connection` and `pool`, announcements in `listen`.
"""

import asyncio
import os
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from daypass.account_steps import AccountStep
from daypass.databases.postgres.connection import connect, connect_async
from daypass.databases.postgres.failure import Failure, error_of
from daypass.databases.postgres.pool import TaskPool, ThreadPool
from daypass.databases.postgres.sending import asking
from daypass.databases.postgres.settings import POOL_SIZE, TIMEOUT, Settings
from daypass.databases.query import Rows
from daypass.drive import arun, run
from daypass.duration import Duration
from daypass.flow import Step
from daypass.operator_steps import OperatorStep
from daypass.store_steps import Migrate, StoreStep
from daypass.stores.postgres.listen import AsyncPostgresSubscription, PostgresSubscription, Proof, unheard
from daypass.stores.postgres.queries import LISTEN, TABLES, migrating, performing

A = TypeVar("A")

MIGRATING = 600.0
"""Seconds that an upgrade of the tables may take; it may wait for other nodes."""


class PostgresStore:
    """A store in PostgreSQL 14 or later; threads may share it, and processes and machines may share the database.

    ``daypass store migrate`` creates the tables.

    Args:
        url: ``postgresql://user:password@host:port/database?…``; after the ``?`` come libpq's own parameters, and these
            three options by name.
        pool_size: how many connections each process may open; they are opened when needed. A caller waits if all are in
            use.
        timeout: how long a step may take, including waiting: seconds, or text such as ``5s``. After that it raises
            `StoreUnavailable`. Opening a connection gets at least two seconds.
        pgbouncer: set this if a pooler gives each transaction another connection: then nothing is prepared, set, or
            listened to.

    Raises:
        ConfigurationError: the URL or an option is invalid, or the option is unknown.
    """

    def __init__(
        self, url: str, *, pool_size: int = POOL_SIZE, timeout: Duration = TIMEOUT, pgbouncer: bool = False
    ) -> None:
        self._settings = Settings(url, pool_size=pool_size, timeout=timeout, pgbouncer=pgbouncer)
        self._pools: dict[int, ThreadPool] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.shown}>"

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer.

        Raises:
            StoreUnavailable: the server cannot be reached, did not answer in time, or cannot perform the query; a step
                that was sent may have been performed.
            StoreContended: other callers kept interfering; nothing was changed.
            ConfigurationError: the tables are missing, old, or too new; nothing was changed.
        """
        if isinstance(step, Migrate):
            return self._migrate()  # type: ignore[return-value]  # the answer to Migrate
        return self._perform(step)

    def perform_account(self, step: AccountStep[A]) -> A:
        """Do what `perform` does, for built-in users."""
        return self._perform(step)

    def perform_operator(self, step: OperatorStep[A]) -> A:
        """Do what `perform` does, for operators."""
        return self._perform(step)

    def subscribe(self) -> PostgresSubscription:
        """Return a subscription that has received its own announcement.

        Raises:
            StoreUnavailable: announcements do not arrive here, or the server cannot be reached.
        """
        if not self._settings.announces:
            raise unheard()
        deadline = time.monotonic() + self._settings.timeout
        proof = Proof()
        try:
            connection = connect(self._settings, deadline)
            subscription = PostgresSubscription(connection)
            try:
                connection.ask(LISTEN, deadline)
                run(asking(proof.announcement(), self._settings, deadline), self._asker(deadline))
                subscription.prove(proof)
            except BaseException:
                subscription.close()
                raise
        except Failure as failure:
            raise error_of(failure, self._settings.shown) from None
        return subscription

    def close(self) -> None:
        """Close all connections; performing a step opens new ones."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    def _perform(self, step: Step[A]) -> A:
        deadline = time.monotonic() + self._settings.timeout
        return run(performing(step, self._settings, deadline), self._asker(deadline))

    def _asker(self, deadline: float) -> partial[Rows]:
        return partial(self._pool().ask, deadline=deadline)

    def _pool(self) -> ThreadPool:
        """Return this process's pool. Keep a parent's pools open: the parent still uses their connections."""
        pool = self._pools.get(os.getpid())
        return pool or self._pools.setdefault(os.getpid(), ThreadPool(self._settings, TABLES))

    def _migrate(self) -> int:
        deadline = time.monotonic() + MIGRATING
        try:
            connection = connect(self._settings, deadline)
        except Failure as failure:
            raise error_of(failure, self._settings.shown) from None
        try:
            return run(migrating(self._settings), partial(connection.ask, deadline=deadline))
        finally:
            connection.close()


class AsyncPostgresStore:
    """`PostgresStore` for `AsyncDaypass`. Each event loop has its own pool.

    Args: as for `PostgresStore`; ``pool_size`` is for each event loop.
    """

    def __init__(
        self, url: str, *, pool_size: int = POOL_SIZE, timeout: Duration = TIMEOUT, pgbouncer: bool = False
    ) -> None:
        self._settings = Settings(url, pool_size=pool_size, timeout=timeout, pgbouncer=pgbouncer)
        self._pools: dict[tuple[int, asyncio.AbstractEventLoop], TaskPool] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.shown}>"

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; raises the errors of `PostgresStore.perform`.

        If the caller is cancelled, a step that was sent may still be performed.
        """
        if isinstance(step, Migrate):
            return await self._migrate()  # type: ignore[return-value]  # the answer to Migrate
        return await self._perform(step)

    async def perform_account(self, step: AccountStep[A]) -> A:
        """Do what `perform` does, for built-in users."""
        return await self._perform(step)

    async def perform_operator(self, step: OperatorStep[A]) -> A:
        """Do what `perform` does, for operators."""
        return await self._perform(step)

    async def subscribe(self) -> AsyncPostgresSubscription:
        """Do what `PostgresStore.subscribe` does."""
        if not self._settings.announces:
            raise unheard()
        deadline = time.monotonic() + self._settings.timeout
        proof = Proof()
        try:
            connection = await connect_async(self._settings, deadline)
            subscription = AsyncPostgresSubscription(connection)
            try:
                await connection.ask(LISTEN, deadline)
                await arun(asking(proof.announcement(), self._settings, deadline), self._asker(deadline))
                await subscription.prove(proof)
            except BaseException:
                await subscription.close()
                raise
        except Failure as failure:
            raise error_of(failure, self._settings.shown) from None
        return subscription

    async def close(self) -> None:
        """Close all connections, including those of other event loops; performing a step opens new ones."""
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

    async def _perform(self, step: Step[A]) -> A:
        deadline = time.monotonic() + self._settings.timeout
        return await arun(performing(step, self._settings, deadline), self._asker(deadline))

    def _asker(self, deadline: float) -> partial[Coroutine[Any, Any, Rows]]:
        return partial(self._pool().ask, deadline=deadline)

    def _pool(self) -> TaskPool:
        """Return the running event loop's pool; close the pools of closed loops, because nothing else does."""
        key = os.getpid(), asyncio.get_running_loop()
        pool = self._pools.get(key)
        if pool is None:
            for pid, loop in list(self._pools):
                if loop.is_closed() and pid == os.getpid():
                    self._pools.pop((pid, loop)).close()
            pool = self._pools.setdefault(key, TaskPool(self._settings, TABLES))
        return pool

    async def _migrate(self) -> int:
        deadline = time.monotonic() + MIGRATING
        try:
            connection = await connect_async(self._settings, time.monotonic() + self._settings.timeout)
        except Failure as failure:
            raise error_of(failure, self._settings.shown) from None
        try:
            return await arun(migrating(self._settings), partial(connection.ask, deadline=deadline))
        finally:
            connection.pgconn.finish()
