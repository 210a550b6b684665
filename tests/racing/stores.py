"""The stores that presenters race on: one line each in `STORES`."""

import asyncio
import random
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from daypass.operator_steps import OperatorStep
from daypass.store_steps import StoreStep
from daypass.stores import AsyncStore, Store
from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.stores.postgres import AsyncPostgresStore, PostgresStore
from daypass.stores.redis import AsyncRedisStore, RedisStore
from daypass.stores.sqlite import AsyncSqliteStore, SqliteStore

A = TypeVar("A")


@dataclass(frozen=True)
class Kind:
    """A kind of store.

    Attributes:
        open: returns a store with the sessions of a place (a folder); one place is one database. Where all places share
            one, nothing goes wrong: ids of sessions are random, and so are the names of users.
        open_async: the same for `AsyncDaypass`.
        shared: whether another process that opens the place has the same sessions.
    """

    open: Callable[[Path], Store]
    open_async: Callable[[Path], AsyncStore]
    shared: bool = True


_in_memory: weakref.WeakValueDictionary[tuple[type, Path], Any] = weakref.WeakValueDictionary()


def _memory(kind: type[A], place: Path) -> A:
    store = _in_memory.get((kind, place)) or kind()
    _in_memory[kind, place] = store
    return store


def _url(place: Path) -> str:
    return next(each / URL for each in (place, *place.parents) if (each / URL).exists()).read_text()


URL = "url"
"""The file in a place, or in a folder above it, that names the server; for stores that have one."""
FAST: Mapping[str, Any] = {"synchronous": "NORMAL"}  # the order matters here, not what is on the disk

STORES = {
    "memory": Kind(lambda at: _memory(MemoryStore, at), lambda at: _memory(AsyncMemoryStore, at), shared=False),
    "postgres": Kind(lambda at: PostgresStore(_url(at)), lambda at: AsyncPostgresStore(_url(at))),
    "redis": Kind(lambda at: RedisStore(_url(at)), lambda at: AsyncRedisStore(_url(at))),
    "sqlite": Kind(lambda at: SqliteStore(at / "app.db", **FAST), lambda at: AsyncSqliteStore(at / "app.db", **FAST)),
}
"""The stores that are tested. To add one is to add its line."""


class Distant:
    """A store at a distance: some steps take a moment to arrive, and their answers a moment to come back.

    Attributes:
        far: whether it does so now; without a race there is no need.
        before: called with each step before it is performed; may raise.
        after: called with each step after it was performed; may raise.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.far = False
        self.before: Callable[[StoreStep[Any]], None] = _nothing
        self.after: Callable[[StoreStep[Any]], None] = _nothing

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step``, on its way there and back."""
        self._wait()
        self.before(step)
        answer = self._store.perform(step)
        self.after(step)
        self._wait()
        return answer

    def perform_operator(self, step: OperatorStep[A]) -> A:
        """Perform ``step``, on its way there and back."""
        self._wait()
        answer: A = self._store.perform_operator(step)  # type: ignore[attr-defined]  # all in `STORES` have it
        self._wait()
        return answer

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _wait(self) -> None:
        if self.far:
            time.sleep(random.choice((0, 0, 0.0001, 0.0003)))


class AsyncDistant:
    """The same for `AsyncDaypass`: others have their turn meanwhile."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self.far = False
        self.before: Callable[[StoreStep[Any]], None] = _nothing
        self.after: Callable[[StoreStep[Any]], None] = _nothing

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step``, on its way there and back."""
        await self._wait()
        self.before(step)
        answer = await self._store.perform(step)
        self.after(step)
        await self._wait()
        return answer

    async def perform_operator(self, step: OperatorStep[A]) -> A:
        """Perform ``step``, on its way there and back."""
        await self._wait()
        answer: A = await self._store.perform_operator(step)  # type: ignore[attr-defined]  # all in `STORES` have it
        await self._wait()
        return answer

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def _wait(self) -> None:
        for _ in range(random.choice((0, 0, 1, 3)) if self.far else 0):
            await asyncio.sleep(0)


def _nothing(_: StoreStep[Any]) -> None:
    """Let it pass."""
