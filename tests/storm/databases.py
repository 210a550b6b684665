"""The store of a storm: a file, or a private database server, which is killed and restarted like the nodes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daypass.store_steps import Migrate
from daypass.stores.postgres import PostgresStore

from ..servers import redis
from ..servers.postgres import PostgresServer, clean
from .weather import Scale

KINDS = ("sqlite", "postgres", "redis")


class Database:
    """The nodes' database.

    Args:
        url: the store's URL for the nodes.
        server: the server to kill; None for a file.

    Attributes:
        kills: how often the server was killed.
        away: seconds in all for which it could not be reached.
    """

    def __init__(self, url: str, server: "PostgresServer | redis.Server | None" = None) -> None:
        self.url = url
        self.kills = 0
        self.away = 0.0
        self._server = server

    def kill(self, outage: float) -> None:
        """Kill all its processes at once, and start it again later from its disk."""
        assert self._server is not None
        self.kills += 1
        began = time.monotonic()
        self._server.kill()
        time.sleep(outage)
        self._server.start()
        self.away += time.monotonic() - began


@contextmanager
def database(kind: str, folder: Path, scale: Scale) -> Iterator[Database]:
    """Yield an empty database. The servers write to the disk before they answer."""
    if kind == "postgres":
        server = PostgresServer(settings={})
        try:
            server.start()
            store = PostgresStore(server.url())
            store.perform(Migrate())
            store.close()
            yield Database(server.url(timeout=f"{scale.deadline * 1000:.0f}ms"), server)
        finally:
            server.remove()
            clean()
    elif kind == "redis":
        with redis.Server("appendonly yes", "appendfsync always") as other:
            yield Database(f"{other.url}?timeout={scale.deadline:.3f}", other)
    else:
        yield Database(f"sqlite:///{folder}/storm.db")
