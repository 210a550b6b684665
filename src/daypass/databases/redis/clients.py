"""Creates redis-py's own clients, for one server, a master behind sentinels or a cluster, and sends commands.

Sync and async differ only by ``await``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - the driver's own
    ResponseError,
    SlotNotCoveredError,
    TimeoutError,  # noqa: A004 - the driver's own
    TryAgainError,
)
from redis.retry import Retry
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from daypass.databases.redis import errors
from daypass.databases.redis.scan import Scan, Scanned
from daypass.databases.redis.settings import Settings

Words = Sequence[Any]
Node = tuple[str, int]

RETRIES = 3
"""How often a command is resent, on a new connection, after its connection was lost. A time-out is final."""

CLUSTER_RETRIES = 1
"""The same for a cluster, whose client sends a command again after a time-out too: twice half of the time-out."""


_SEND_AGAIN = (ConnectionError, AskError, ClusterDownError, TryAgainError)
"""What a server of a cluster answers if another one has the key; an `AskError` may be a ``MovedError``."""


class _MasterConnection(SentinelManagedConnection):
    """A connection that is closed if an answer does not come in time.

    redis-py returns it to the pool as it is, and the next caller reads the answer to the previous command.
    """

    def read_response(self, disable_decoding: bool = False, **options: Any) -> Any:  # noqa: FBT001, FBT002 - redis-py's
        """Read an answer; by default an error closes the connection."""
        return super().read_response(disable_decoding, **{"disconnect_on_error": True, **options})


class _TlsMasterConnection(_MasterConnection, SentinelManagedSSLConnection):
    """The same class with TLS."""


@dataclass(frozen=True, slots=True)
class _Library:
    """The classes that redis-py has twice, sync and async."""

    client: Any
    sentinel: Any
    cluster: Any
    node: Any
    retry: Any


_SYNC = _Library(redis.Redis, redis.Sentinel, redis.RedisCluster, ClusterNode, Retry)
_ASYNC = _Library(redis.asyncio.Redis, redis.asyncio.Sentinel, redis.asyncio.RedisCluster, AsyncClusterNode, AsyncRetry)


def make_clients(settings: Settings, *, retries: int = RETRIES, node: Node | None = None) -> list[Any]:
    """Return the client for the servers, followed by those of the sentinels; close all of them.

    One read may take half of the time-out, so that connecting and reading together stay within it. Only the client for
    a cluster opens connections at once.

    Args:
        settings: where the servers are.
        retries: how often a command is sent again.
        node: host and port of one server of the cluster; the client is then for this server alone.
    """
    half = settings.timeout / 2
    return _make(_SYNC, settings, {"socket_timeout": half, "socket_connect_timeout": half}, retries, node)


def make_async_clients(settings: Settings, *, retries: int = RETRIES, node: Node | None = None) -> list[Any]:
    """Return the clients for the running event loop; reads have no time-out of their own, so the caller sets one."""
    timeouts = {"socket_timeout": None, "socket_connect_timeout": settings.timeout}
    return _make(_ASYNC, settings, timeouts, retries, node)


def _make(
    library: _Library, settings: Settings, timeouts: Mapping[str, float | None], retries: int, node: Node | None
) -> list[Any]:
    options = {
        "protocol": 2,
        **settings.connection,
        **timeouts,
        "max_connections": settings.max_connections,
        "retry": library.retry(NoBackoff(), retries, (ConnectionError,)),
    }
    if settings.kind == "cluster" and node is None:
        nodes = [library.node(*host) for host in settings.hosts]
        options["retry"] = library.retry(NoBackoff(), CLUSTER_RETRIES)
        return [library.cluster(startup_nodes=nodes, **options)]
    if settings.kind == "sentinel":
        patience = settings.timeout / 2 / len(settings.hosts)  # leaves time for the others when one does not answer
        sentinel = library.sentinel(
            settings.hosts,
            sentinel_kwargs={
                **settings.sentinel,
                "socket_timeout": patience,
                "socket_connect_timeout": patience,
                "retry": library.retry(NoBackoff(), 0),
            },
        )
        if library is _SYNC:
            options["connection_class"] = _TlsMasterConnection if options.pop("ssl", False) else _MasterConnection
        return [sentinel.master_for(settings.service, **options), *sentinel.sentinels]
    host, port = node or (settings.hosts or ((None, None),))[0]
    return [library.client(host=host, port=port, **options)]


# ---- sending


def exchange(client: Any, commands: Sequence[Words]) -> list[Any]:
    """Send ``commands`` together and return their replies; an error reply is one of them."""
    replies = _send(client, commands)
    if errors.is_read_only(replies) and hasattr(client, "connection_pool"):
        client.connection_pool.disconnect(inuse_connections=False)  # a new connection may reach the new master
        replies = _send(client, commands)
    return replies


async def exchange_async(client: Any, commands: Sequence[Words]) -> list[Any]:
    """Do what `exchange` does."""
    replies = await _send_async(client, commands)
    if errors.is_read_only(replies) and hasattr(client, "connection_pool"):
        await client.connection_pool.disconnect(inuse_connections=False)
        replies = await _send_async(client, commands)
    return replies


def _send(client: Any, commands: Sequence[Words]) -> list[Any]:
    if len(commands) == 1:
        try:
            return [client.execute_command(*commands[0])]
        except ResponseError as error:
            return [error]
    if isinstance(client, redis.RedisCluster):
        return _send_to_cluster(client, commands)
    return list(_piped(client, commands).execute(raise_on_error=False))


def _send_to_cluster(client: Any, commands: Sequence[Words]) -> list[Any]:
    """Send the commands of each server together.

    If a server does not answer, the pipeline of redis-py's cluster client sends each of its commands once more, one
    after another, which takes many times the time-out. Tasks have a deadline around it; threads do not.
    """
    parts: dict[str, tuple[Any, list[int]]] = {}  # by name: redis-py 6 cannot hash its nodes
    for at, words in enumerate(commands):
        node = _node(client, words)
        parts.setdefault(node.name if node else "", (node, []))[1].append(at)
    replies: list[Any] = [None] * len(commands)
    for node, places in parts.values():
        for at, reply in zip(places, _send_to_node(client, node, [commands[at] for at in places]), strict=True):
            replies[at] = reply
    return replies


def _send_to_node(client: Any, node: Any, commands: Sequence[Words]) -> list[Any]:
    try:
        replies = _piped(client.get_redis_connection(node), commands).execute(raise_on_error=False) if node else []
    except ConnectionError:
        replies = []
    except TimeoutError:
        client.nodes_manager.initialize()  # another server may have taken over
        raise
    replies = replies or [ConnectionError()] * len(commands)
    return [
        _send(client, [words])[0] if isinstance(reply, _SEND_AGAIN) else reply
        for words, reply in zip(commands, replies, strict=True)
    ]


def _node(client: Any, words: Words) -> Any:
    """Return the server that has the key of a command, None if unknown."""
    try:
        return client.get_node_from_key(words[3] if words[0] in ("EVALSHA", "EVAL") else words[1])
    except SlotNotCoveredError:
        return None


async def _send_async(client: Any, commands: Sequence[Words]) -> list[Any]:
    if len(commands) == 1:
        try:
            return [await client.execute_command(*commands[0])]
        except ResponseError as error:
            return [error]
    return list(await _piped(client, commands).execute(raise_on_error=False))


def _piped(client: Any, commands: Sequence[Words]) -> Any:
    pipeline = client.pipeline(transaction=False)
    for words in commands:
        pipeline.execute_command(*words)
    return pipeline


# ---- scanning


def scan(client: Any, request: Scan) -> Scanned:
    """Return the next keys of the server, or of one server of the cluster."""
    if not isinstance(client, redis.RedisCluster):
        return _scanned(client.execute_command(*_words(request.place.partition(" ")[0], request)))
    nodes = {node.name: node for node in client.get_primaries()}
    name, cursor, following = _position(request.place, nodes)
    if not name:
        return Scanned((), "")
    reply = client.get_redis_connection(nodes[name]).execute_command(*_words(cursor, request))
    return _scanned(reply, name, following)


async def scan_async(client: Any, request: Scan) -> Scanned:
    """Do what `scan` does."""
    if not isinstance(client, redis.asyncio.RedisCluster):
        return _scanned(await client.execute_command(*_words(request.place.partition(" ")[0], request)))
    await client.initialize()
    nodes = {node.name: node for node in client.get_primaries()}
    name, cursor, following = _position(request.place, nodes)
    if not name:
        return Scanned((), "")
    return _scanned(await nodes[name].execute_command(*_words(cursor, request)), name, following)


def _words(cursor: str, request: Scan) -> Words:
    return ("SCAN", cursor or "0", "MATCH", request.pattern, "COUNT", request.count)


def _position(place: str, nodes: Collection[str]) -> tuple[str, str, str]:
    """Return the server to scan, the cursor to scan from, and the next server; the servers may have changed."""
    cursor, _, wanted = place.partition(" ")
    names = [name for name in sorted(nodes) if name >= wanted]
    if not names:
        return "", "", ""
    return names[0], cursor if names[0] == wanted else "", names[1] if len(names) > 1 else ""


def _scanned(reply: Any, name: str = "", following: str = "") -> Scanned:
    cursor, keys = int(reply[0]), list(reply[1])
    if cursor:
        return Scanned(keys, f"{cursor} {name}")
    return Scanned(keys, f"0 {following}" if following else "")
