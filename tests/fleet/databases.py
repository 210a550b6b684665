"""The databases of the campaigns, and their failures."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from tests.servers import postgres, redis


class Database(Protocol):
    """A private database."""

    @property
    def url(self) -> str:
        """Its URL."""

    def restart(self) -> None:
        """Shut it down normally, and start it again."""

    def frozen(self) -> AbstractContextManager[None]:
        """Freeze it inside the block."""

    def fail_over(self) -> None:
        """Kill the primary server; another takes over."""


class Postgres:
    """A primary and, with ``replicated``, a standby with synchronous replication."""

    def __init__(self, *, replicated: bool = False) -> None:
        synchronous = {"synchronous_commit": "on", "synchronous_standby_names": "*"} if replicated else {}
        self.primary = postgres.PostgresServer(settings={**postgres.FAST, **synchronous})
        self.primary.start()
        self.standby = postgres.PostgresServer(copy_of=self.primary) if replicated else None
        if self.standby is not None:
            self.standby.start()

    @property
    def url(self) -> str:
        """Their URL."""
        if self.standby is None:
            return self.primary.url()
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://daypass@{hosts}/postgres?target_session_attrs=read-write"

    def restart(self) -> None:
        """Restart the primary."""
        self.primary.stop()
        self.primary.start()

    def frozen(self) -> AbstractContextManager[None]:
        """Freeze the primary."""
        return self.primary.frozen()

    def fail_over(self) -> None:
        """Kill the primary; promote the standby."""
        assert self.standby is not None
        self.primary.kill()
        self.standby.promote()

    def remove(self) -> None:
        """End both servers."""
        for each in filter(None, (self.standby, self.primary)):
            each.remove()


class Redis:
    """A server that writes to its disk before it answers."""

    def __init__(self) -> None:
        self.server = redis.Server("appendonly yes", "appendfsync always")
        self.server.start()

    @property
    def url(self) -> str:
        """Its URL."""
        return self.server.url

    def restart(self) -> None:
        """Restart it."""
        self.server.stop()
        self.server.start()

    def frozen(self) -> AbstractContextManager[None]:
        """Freeze it."""
        return self.server.frozen()

    def fail_over(self) -> None:
        """Do nothing: there is no other server."""
        raise NotImplementedError

    def remove(self) -> None:
        """End it."""
        self.server.__exit__()


class Sentinels(Redis):
    """One master, one replica and three sentinels."""

    def __init__(self) -> None:
        self.group = redis.Sentinels()
        self.group.__enter__()
        self.server = self.group.master

    @property
    def url(self) -> str:
        """The URL of the sentinels."""
        return self.group.url

    def fail_over(self) -> None:
        """Kill the master, and wait until the sentinels have promoted the replica."""
        self.group.master.kill()
        with self.group.replica.client as client:
            redis.until(lambda: client.info("replication")["role"] == "master", "the replica to become the master")

    def remove(self) -> None:
        """End all servers."""
        self.group.__exit__(None, None, None)


class Cluster(Redis):
    """A cluster of three masters."""

    def __init__(self) -> None:
        self.group = redis.Cluster()
        self.group.__enter__()

    @property
    def url(self) -> str:
        """Their URL."""
        return self.group.url

    def remove(self) -> None:
        """End all servers."""
        self.group.__exit__(None, None, None)


_KINDS = {
    "postgres": Postgres,
    "postgres-standby": lambda: Postgres(replicated=True),
    "redis": Redis,
    "sentinel": Sentinels,
    "cluster": Cluster,
}
KINDS = tuple(_KINDS)


@contextmanager
def running(kind: str) -> Iterator[Database]:
    """Run a database of this kind."""
    database = _KINDS[kind]()
    try:
        yield database  # type: ignore[misc]  # all kinds are databases
    finally:
        database.remove()  # type: ignore[attr-defined]  # all kinds have it
        time.sleep(0)
