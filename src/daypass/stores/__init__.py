"""Where sessions live: what a store is, and how one is opened by URL. No driver is imported before it is needed."""

import importlib.util
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from daypass.errors import ConfigurationError
from daypass.store_steps import StoreStep

A = TypeVar("A")


@runtime_checkable
class Store(Protocol):
    """A store for `Daypass`: performs each of the steps of `daypass.store_steps`, atomically.

    One that lives in a file says so by an attribute ``path``; the default secret is then made beside that file.
    """

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer.

        Raises:
            StoreError: it was not performed, or nobody knows whether it was; performing it again is safe.
        """

    def close(self) -> None:
        """Give back whatever it holds; performing a step opens it again."""


@runtime_checkable
class AsyncStore(Protocol):
    """The same for `AsyncDaypass`; it never blocks the event loop."""

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; raises as `Store.perform` does."""

    async def close(self) -> None:
        """Give back whatever it holds; performing a step opens it again."""


class Subscription(Protocol):
    """Tells that something was announced: that a session was ended, by whomever."""

    def wait(self, seconds: float) -> bool:
        """Wait until something is announced, then return True; False when nothing was in so many seconds.

        Announcements that come together may be told of once.

        Raises:
            StoreError: announcements can no longer be heard; it is of no more use and has been closed.
        """

    def close(self) -> None:
        """Give back its connection; whoever is waiting is told False, or a `StoreError`."""


class AsyncSubscription(Protocol):
    """The same to be awaited."""

    async def wait(self, seconds: float) -> bool:
        """Do as `Subscription.wait`."""

    async def close(self) -> None:
        """Do as `Subscription.close`."""


@runtime_checkable
class Announcing(Protocol):
    """What a `Store` may do besides: announce to all processes what was ended, at once. One that does not is polled."""

    def subscribe(self) -> Subscription:
        """Return a subscription that was seen to work: it has heard an announcement of its own.

        Raises:
            StoreError: it cannot be had now, or not at all; the store has to be polled.
        """


@runtime_checkable
class AsyncAnnouncing(Protocol):
    """What an `AsyncStore` may do besides."""

    async def subscribe(self) -> AsyncSubscription:
        """Do as `Announcing.subscribe`."""


def open_store(url: str) -> Store:
    """Return the store at ``url``.

    It is ``memory:``, ``sqlite:///relative/path``, ``sqlite:////absolute/path``, ``postgresql://user@host/database`` or
    ``redis://host:port/0``; docs/stores.md has all of them.

    Raises:
        ConfigurationError: there is no such kind of store, or its driver is not installed.
    """
    if url == "memory:":
        from daypass.stores.memory import MemoryStore

        return MemoryStore()
    if url.startswith(POSTGRES):
        from daypass.stores.postgres import PostgresStore

        return PostgresStore(url)
    if _is_redis(url):
        _require_redis()
        from daypass.stores.redis import RedisStore

        return RedisStore(url)
    from daypass.stores.sqlite import SqliteStore

    return SqliteStore(sqlite_path(url))


def open_async_store(url: str) -> AsyncStore:
    """Return the same for `AsyncDaypass`.

    Raises:
        ConfigurationError: there is no such kind of store, or its driver is not installed.
    """
    if url == "memory:":
        from daypass.stores.memory import AsyncMemoryStore

        return AsyncMemoryStore()
    if url.startswith(POSTGRES):
        from daypass.stores.postgres import AsyncPostgresStore

        return AsyncPostgresStore(url)
    if _is_redis(url):
        _require_redis()
        from daypass.stores.redis import AsyncRedisStore

        return AsyncRedisStore(url)
    from daypass.stores.sqlite import AsyncSqliteStore

    return AsyncSqliteStore(sqlite_path(url))


POSTGRES = ("postgresql://", "postgres://")
"""How a URL of PostgreSQL begins."""


def _is_redis(url: str) -> bool:
    """Return whether a URL means Redis or Valkey, whether or not the rest of it is right."""
    return url.partition(":")[0].partition("+")[0] in ("redis", "rediss", "valkey", "valkeys", "unix")


def _require_redis() -> None:
    if importlib.util.find_spec("redis") is None:
        raise ConfigurationError('the driver for Redis is not installed: pip install "daypass[redis]"')


def sqlite_path(url: str) -> Path:
    """Return the file that a ``sqlite:///`` URL names.

    Raises:
        ConfigurationError: it is no such URL.
    """
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or not path or "\0" in path:
        kind = url.partition(":")[0]
        hint = "name a file" if kind == "sqlite" else f"no store is called {kind!r}"
        raise ConfigurationError(f"{hint}; write memory:, sqlite:///app.db, postgresql://… or redis://…")
    if path == ":memory:":
        raise ConfigurationError("a SQLite database in memory would be lost with each connection; write memory:")
    return Path(path)
