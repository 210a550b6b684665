"""The way to the servers, on redis-py: one server (or the one that the sentinels name), and a cluster; in both colours.

A link sends commands and gives their replies; a reply that is an error stays where it is among them. Each colour of a
link differs by ``await`` alone, as in `daypass.drive`.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.asyncio.connection import parse_url as async_parse_url
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelConnectionPool
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import parse_url
from redis.exceptions import ResponseError
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from daypass.errors import ConfigurationError
from daypass.stores.redis import faults
from daypass.stores.redis.address import Address
from daypass.stores.redis.gathering import Gathering
from daypass.stores.redis.plans import Scan, Scanned

Words = Sequence[Any]


class Link(Protocol):
    """The way to the servers."""

    def exchange(self, commands: Sequence[Words]) -> list[Any]:
        """Send ``commands`` at once and return their replies."""

    def scan(self, scan: Scan) -> Scanned:
        """Look at the next keys."""

    def connection(self) -> Any:
        """Return a connection of its own, not yet open, which its owner closes."""

    def close(self) -> None:
        """Close all connections but those."""


class AsyncLink(Protocol):
    """The same to be awaited."""

    async def exchange(self, commands: Sequence[Words]) -> list[Any]:
        """Do as `Link.exchange`."""

    async def scan(self, scan: Scan) -> Scanned:
        """Do as `Link.scan`."""

    async def connection(self) -> Any:
        """Do as `Link.connection`."""

    async def close(self) -> None:
        """Do as `Link.close`."""


class ServerLink:
    """The way to one server, by the connections of a pool."""

    def __init__(self, pool: redis.ConnectionPool, close: Callable[[], Any]) -> None:
        self._pool = pool
        self.close = close

    def exchange(self, commands: Sequence[Words]) -> list[Any]:
        """Send ``commands`` on one connection; one that is torn off in the midst is closed, whatever tore it."""
        connection = self._pool.get_connection()
        try:
            connection.send_packed_command(_packed(connection, commands), check_health=False)
            replies = [_reply(connection) for _ in commands]
            if faults.is_read_only(replies):
                connection.disconnect()  # the next one goes to the new master
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)
        return replies

    def scan(self, scan: Scan) -> Scanned:
        """Look at the next keys."""
        (reply,) = self.exchange([_scanning(scan.place.partition(" ")[0] or "0", scan)])
        return _scanned(reply)

    def connection(self) -> Any:
        """Return a connection of its own."""
        return _dedicated(self._pool)


class AsyncServerLink:
    """The same to be awaited."""

    def __init__(self, pool: redis.asyncio.ConnectionPool, timeout: float, close: Callable[[], Any]) -> None:
        self.pool = pool
        self.close = close
        self._gathering = Gathering(self._exchange, timeout, pool.max_connections)

    async def exchange(self, commands: Sequence[Words]) -> list[Any]:
        """Do as `ServerLink.exchange`, together with what others ask."""
        return await self._gathering.ask(commands)

    async def _exchange(self, commands: Sequence[Words]) -> list[Any]:
        """Send ``commands`` on one connection; of a cancelled task nobody gets the answer."""
        connection = await self.pool.get_connection()
        try:
            await connection.send_packed_command(_packed(connection, commands), check_health=False)
            replies = [await _async_reply(connection) for _ in commands]
            if faults.is_read_only(replies):
                await connection.disconnect(nowait=True)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self.pool.release(connection)
        return replies

    async def scan(self, scan: Scan) -> Scanned:
        """Do as `ServerLink.scan`."""
        (reply,) = await self.exchange([_scanning(scan.place.partition(" ")[0] or "0", scan)])
        return _scanned(reply)

    async def connection(self) -> Any:
        """Do as `ServerLink.connection`."""
        return _dedicated(self.pool)


class ClusterLink:
    """The way to a cluster; its client is made, and asks for the servers, when it is first needed."""

    def __init__(self, make: Callable[[], redis.RedisCluster]) -> None:
        self._make = make
        self._client: redis.RedisCluster | None = None

    def exchange(self, commands: Sequence[Words]) -> list[Any]:
        """Send ``commands`` to the servers that they belong to."""
        client = self._open()
        if len(commands) == 1:
            try:
                return [client.execute_command(*commands[0])]
            except ResponseError as error:
                return [error]
        pipeline = client.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute(raise_on_error=False))

    def scan(self, scan: Scan) -> Scanned:
        """Look at the next keys of one server."""
        nodes = {node.name: node for node in self._open().get_primaries()}
        name, cursor, following = _node(scan.place, nodes)
        if not name:
            return Scanned((), "")
        return _scanned(nodes[name].redis_connection.execute_command(*_scanning(cursor, scan)), name, following)

    def connection(self) -> Any:
        """Return a connection of its own, to any of the servers: all of them hear what is published on one."""
        return _dedicated(secrets.choice(self._open().get_primaries()).redis_connection.connection_pool)

    def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> redis.RedisCluster:
        if self._client is None:
            self._client = self._make()
        return self._client


class AsyncClusterLink:
    """The same to be awaited."""

    def __init__(self, client: redis.asyncio.RedisCluster, most: int) -> None:
        self.client = client
        self._turns = asyncio.Semaphore(most)  # for its client waits for no connection to be free

    async def exchange(self, commands: Sequence[Words]) -> list[Any]:
        """Do as `ClusterLink.exchange`, each in its turn."""
        async with self._turns:
            return await self._exchange(commands)

    async def _exchange(self, commands: Sequence[Words]) -> list[Any]:
        if len(commands) == 1:
            try:
                return [await self.client.execute_command(*commands[0])]
            except ResponseError as error:
                return [error]
        pipeline = self.client.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)

    async def scan(self, scan: Scan) -> Scanned:
        """Do as `ClusterLink.scan`."""
        await self.client.initialize()
        nodes = {node.name: node for node in self.client.get_primaries()}
        name, cursor, following = _node(scan.place, nodes)
        if not name:
            return Scanned((), "")
        async with self._turns:
            reply = await nodes[name].execute_command(*_scanning(cursor, scan))
        return _scanned(reply, name, following)

    async def connection(self) -> Any:
        """Do as `ClusterLink.connection`."""
        await self.client.initialize()
        return _dedicated(secrets.choice(self.client.get_primaries()))

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()


def link(address: Address, timeout: float, most: int) -> Link:
    """Return the way to ``address``; nothing is opened before it is needed.

    Raises:
        ConfigurationError: redis-py does not know what the URL says.
    """
    options = _options(parse_url, address) | _patience(timeout / 2) | {"retry": Retry(NoBackoff(), 0), "protocol": 2}
    if address.kind == "cluster":
        nodes = [ClusterNode(*host) for host in address.hosts]
        cluster = _cluster_options(options) | {"max_connections": most, "retry": Retry(NoBackoff(), 1)}
        return ClusterLink(lambda: redis.RedisCluster(startup_nodes=nodes, **cluster))
    if address.kind == "sentinel":
        sentinel = redis.Sentinel(
            address.hosts, sentinel_kwargs=_sentinel_options(address, timeout, Retry(NoBackoff(), 0)), **options
        )
        tls = {"ssl": True} if "connection_class" in options else {}
        options = _no_host(options) | tls | {"max_connections": most}
        pool = SentinelConnectionPool(address.service, sentinel, **options)

        def close() -> None:
            pool.disconnect()
            for each in sentinel.sentinels:
                each.close()

        return ServerLink(pool, close)
    plain = redis.ConnectionPool(max_connections=most, **options)
    _require_known(plain)
    return ServerLink(plain, plain.disconnect)


def async_link(address: Address, timeout: float, most: int) -> AsyncLink:
    """Return the same to be awaited, for one event loop; time is up when its caller says so."""
    patience = _patience(timeout) | {"socket_timeout": None}
    options = _options(async_parse_url, address) | patience | {"retry": AsyncRetry(NoBackoff(), 0), "protocol": 2}
    if address.kind == "cluster":
        nodes = [AsyncClusterNode(*host) for host in address.hosts]
        cluster = _cluster_options(options) | {"max_connections": most, "retry": AsyncRetry(NoBackoff(), 1)}
        return AsyncClusterLink(redis.asyncio.RedisCluster(startup_nodes=nodes, **cluster), most)
    if address.kind == "sentinel":
        sentinel = redis.asyncio.Sentinel(
            address.hosts, sentinel_kwargs=_sentinel_options(address, timeout, AsyncRetry(NoBackoff(), 0)), **options
        )
        tls = {"ssl": True} if "connection_class" in options else {}
        options = _no_host(options) | tls | {"max_connections": most}
        pool = AsyncSentinelConnectionPool(address.service, sentinel, **options)

        async def close() -> None:
            await pool.disconnect()
            await sentinel.aclose()

        return AsyncServerLink(pool, timeout, close)
    plain = redis.asyncio.ConnectionPool(max_connections=most, **options)
    _require_known(plain)
    return AsyncServerLink(plain, timeout, plain.disconnect)


def _options(parse: Callable[[str], Any], address: Address) -> dict[str, Any]:
    try:
        return dict(parse(address.url))
    except ValueError:
        raise ConfigurationError("an option in the URL of the Redis store has no possible value") from None


def _require_known(pool: Any) -> None:
    """Make a connection, which opens nothing, to learn of an option that there is not."""
    try:
        _dedicated(pool)
    except TypeError:
        raise ConfigurationError("an option in the URL of the Redis store is not known to redis-py") from None


def _patience(seconds: float) -> dict[str, Any]:
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds}


def _no_host(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in ("host", "port", "connection_class")}


def _cluster_options(options: dict[str, Any]) -> dict[str, Any]:
    tls = {"ssl": True} if "connection_class" in options else {}
    return {name: value for name, value in _no_host(options).items() if name != "db"} | tls


def _sentinel_options(address: Address, timeout: float, retry: Any) -> dict[str, Any]:
    """Leave time for the others when a sentinel does not answer."""
    return {**address.sentinel_options, **_patience(timeout / 2 / len(address.hosts)), "retry": retry}


def _dedicated(pool: Any) -> Any:
    """Return a connection that is none of the pool's."""
    return pool.connection_class(**pool.connection_kwargs)


def _packed(connection: Any, commands: Sequence[Words]) -> Any:
    return connection.pack_command(*commands[0]) if len(commands) == 1 else connection.pack_commands(commands)


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


async def _async_reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _node(place: str, nodes: dict[str, Any]) -> tuple[str, str, str]:
    """Return which server to look at, from which cursor on, and which one follows; the servers may have changed."""
    cursor, _, wanted = place.partition(" ")
    names = [name for name in sorted(nodes) if name >= wanted]
    if not names:
        return "", "0", ""
    return names[0], (cursor or "0") if names[0] == wanted else "0", names[1] if len(names) > 1 else ""


def _scanning(cursor: str, scan: Scan) -> Words:
    return ("SCAN", cursor, "MATCH", scan.pattern, "COUNT", scan.count)


def _scanned(reply: Any, name: str = "", following: str = "") -> Scanned:
    if isinstance(reply, Exception):
        raise reply
    cursor, keys = int(reply[0]), list(reply[1])
    if cursor:
        return Scanned(keys, f"{cursor} {name}")
    return Scanned(keys, f"0 {following}" if following else "")
