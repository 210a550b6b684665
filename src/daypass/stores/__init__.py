"""The stores of sessions: their interface, and how to open one by URL. A driver is imported only when needed."""

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, TypeVar, cast, runtime_checkable
from urllib.parse import parse_qsl

from daypass.errors import ConfigurationError
from daypass.store_steps import StoreStep
from daypass.unknown_options import refuse_unknown

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Announcing",
    "AsyncAnnouncing",
    "AsyncStore",
    "AsyncSubscription",
    "Store",
    "Subscription",
    "open_async_store",
    "open_store",
]

A = TypeVar("A")


@runtime_checkable
class Store(Protocol):
    """A store for `Daypass`: performs each of the steps of `daypass.store_steps`, atomically.

    A store in a file has an attribute ``path``; the default secret is created beside that file.
    """

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer.

        Raises:
            StoreError: it was not performed, or it is not known whether it was; you can safely perform it again.
        """

    def close(self) -> None:
        """Close connections and files; performing a step opens them again."""


@runtime_checkable
class AsyncStore(Protocol):
    """`Store` for `AsyncDaypass`; it never blocks the event loop."""

    async def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its answer; raises the errors of `Store.perform`."""

    async def close(self) -> None:
        """Close connections and files; performing a step opens them again."""


def step_beginner(store: AsyncStore) -> Callable[[StoreStep[Any]], Any]:
    """Return the function of a store that begins a step, and returns its answer, a future of it, or a coroutine.

    That is ``begin``, where the class that defines ``perform`` has it too: it needs no coroutine, and no task.
    """
    performing = next(kind for kind in type(store).__mro__ if "perform" in vars(kind))
    return getattr(store, "begin" if "begin" in vars(performing) else "perform")  # type: ignore[no-any-return]  # either


class Subscription(Protocol):
    """Reports that a session was ended, by any process."""

    def wait(self, seconds: float) -> bool:
        """Wait for an announcement and return True; return False if none comes within ``seconds``.

        Several announcements may count as one.

        Raises:
            StoreError: announcements no longer arrive; the subscription has been closed.
        """

    def close(self) -> None:
        """Close the connection; a caller that waits gets False, or a `StoreError`."""


class AsyncSubscription(Protocol):
    """`Subscription` with ``await``."""

    async def wait(self, seconds: float) -> bool:
        """Do what `Subscription.wait` does."""

    async def close(self) -> None:
        """Do what `Subscription.close` does."""


@runtime_checkable
class Announcing(Protocol):
    """A `Store` that announces to all processes, at once, that a session was ended. Other stores are polled."""

    def subscribe(self) -> Subscription:
        """Return a subscription that works: it has received its own announcement.

        Raises:
            StoreError: that is not possible, now or ever; the store must be polled.
        """


@runtime_checkable
class AsyncAnnouncing(Protocol):
    """`Announcing` for an `AsyncStore`."""

    async def subscribe(self) -> AsyncSubscription:
        """Do what `Announcing.subscribe` does."""


def open_store(url: str, *, beside_service: bool = False) -> Store:
    """Return the store at ``url``.

    Args:
        url: ``memory:``, ``sqlite:///relative/path``, ``sqlite:////absolute/path``, ``postgresql://user@host/database``
            or ``redis://host:port/0``; docs/stores.md has all of them, and their options.
        beside_service: whether another process serves requests from this store, which this one should not slow down.

    Raises:
        ConfigurationError: the kind of store is unknown, an option is unknown, or the driver is not installed.
    """
    match _kind(url):
        case "memory":
            from daypass.stores.memory import MemoryStore

            return MemoryStore()
        case "postgresql":
            from daypass.stores.postgres import PostgresStore

            return PostgresStore(url)
        case "redis":
            from daypass.stores.redis import RedisStore

            return RedisStore(url)
        case _:
            from daypass.stores.sqlite import SqliteStore

            path, options = sqlite_path(url)
            return SqliteStore(path, beside_service=beside_service, **options)


def open_async_store(url: str) -> AsyncStore:
    """Return the store at ``url`` for `AsyncDaypass`.

    Raises:
        ConfigurationError: as for `open_store`.
    """
    match _kind(url):
        case "memory":
            from daypass.stores.memory import AsyncMemoryStore

            return AsyncMemoryStore()
        case "postgresql":
            from daypass.stores.postgres import AsyncPostgresStore

            return AsyncPostgresStore(url)
        case "redis":
            from daypass.stores.redis import AsyncRedisStore

            return AsyncRedisStore(url)
        case _:
            from daypass.stores.sqlite import AsyncSqliteStore

            path, options = sqlite_path(url)
            return AsyncSqliteStore(path, **options)


_SCHEMES = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys", "unix"), "redis"),
}
_EXAMPLES = "memory:, sqlite:///app.db, postgresql://user@host/database or redis://host:6379/0"


def _kind(url: str) -> str:
    """Return the kind of store that a URL names.

    Raises:
        ConfigurationError: the kind is unknown, or its driver is not installed.
    """
    scheme = url.partition(":")[0]
    kind = _SCHEMES.get(scheme.partition("+")[0].lower())
    if kind is None:
        from difflib import get_close_matches  # here, because nearly every scheme is known

        near = get_close_matches(scheme.lower(), _SCHEMES, n=1)
        hint = f"did you mean {near[0]}: ? Otherwise write" if near else "write"
        raise ConfigurationError(f"no store is called {scheme!r}: {hint} {_EXAMPLES}")
    if kind == "memory" and url.lower() != "memory:":
        raise ConfigurationError(f"invalid store URL {url!r}: write {_EXAMPLES}")
    if kind == "redis" and importlib.util.find_spec("redis") is None:
        raise ConfigurationError('the driver for Redis is not installed: pip install "daypass[redis]"')
    return kind


class SqliteOptions(TypedDict, total=False):
    """The options in the URL of a SQLite store; `daypass.stores.sqlite.SqliteStore` says what they mean."""

    synchronous: Literal["FULL", "NORMAL"]


def sqlite_path(url: str) -> tuple["Path", SqliteOptions]:
    """Return the file that a ``sqlite:///`` URL names, and the options in it.

    Raises:
        ConfigurationError: it is not such a URL, or an option is unknown.
    """
    from pathlib import Path  # here, because other stores are not files

    scheme, separator, rest = url.partition(":///")
    path, _, query = rest.partition("?")
    if scheme.lower() != "sqlite" or not separator or not path or "\0" in path:
        raise ConfigurationError(f"this is not the URL of a SQLite file; name a file: {_EXAMPLES}")
    if path == ":memory:":
        raise ConfigurationError("a SQLite database in memory would be lost with each connection; write memory:")
    given = dict(parse_qsl(query, keep_blank_values=True))
    refuse_unknown(given, SqliteOptions.__annotations__, "option in the SQLite URL")
    return Path(path), cast("SqliteOptions", given)
