"""SQLite: many processes on one file, many tasks in one commit, and what a disk may do."""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from daypass import ConfigurationError, StoreContended, StoreUnavailable, User
from daypass.account_steps import LoadAccount
from daypass.rotation import NEVER_ROTATED
from daypass.session import EndReason
from daypass.store_steps import Admit, End, Ending, Find, Insert, ListSessions, Migrate, Probe, ReadEndings, ReadKeys
from daypass.stores import open_async_store, open_store, schema, sql
from daypass.stores.sqlite import AsyncSqliteStore, SqliteStore
from daypass.testing import START, advance, key, session
from daypass.testing.store_contract import sweep

from . import old_schemas, processes

PATIENCE = 30.0
"""Seconds after which another process is taken to be stuck."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@contextlib.contextmanager
def another(
    work: Callable[[Path, Connection], None], path: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """Give a process that does ``work`` in a new interpreter, and a pipe to it; it is ended afterwards."""
    ours, theirs = multiprocessing.Pipe()
    command = [sys.executable, processes.__file__, work.__name__, str(path), str(theirs.fileno())]
    with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        try:
            yield process, ours
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=2)
            process.kill()


def told(pipe: Connection) -> Any:
    """Return what the other process says next."""
    assert pipe.poll(PATIENCE), "the other process says nothing"
    return pipe.recv()


async def count(store: AsyncSqliteStore) -> int:
    """Return how many sessions there are."""
    found = await store.perform(ListSessions("user-1", START))
    return len(found)


class Traced(AsyncSqliteStore):
    """A store that counts its transactions, as SQLite reports them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.commits = 0
        database = self._queue._database
        prepare = database._prepare

        def traced(connection: sqlite3.Connection) -> None:
            prepare(connection)
            connection.set_trace_callback(self._count)

        database._prepare = traced

    def _count(self, statement: str) -> None:
        self.commits += statement == "COMMIT"


# ---- set-up


@pytest.mark.parametrize(("synchronous", "level"), [("FULL", 2), ("NORMAL", 1)])
def test_answered_steps_are_on_the_disk(path: Path, synchronous: Any, level: int) -> None:
    """The journal is a write-ahead log, and each commit is synced unless an option says otherwise."""
    store = SqliteStore(path) if synchronous == "FULL" else SqliteStore(path, synchronous=synchronous)
    store.perform(Insert(session()))
    connection = store._queue._database._open()
    assert ("wal",) == connection.execute("PRAGMA journal_mode").fetchone()
    assert (level,) == connection.execute("PRAGMA synchronous").fetchone()
    store.close()


@pytest.mark.parametrize("beside_service", [False, True])
def test_a_store_beside_a_service_writes_the_log_into_the_file_early(path: Path, *, beside_service: bool) -> None:
    """So that no refresh has to: it would take longer."""
    store = open_store(f"sqlite:///{path}?synchronous=NORMAL", beside_service=beside_service)
    store.perform(Insert(session()))
    before = path.stat().st_size
    for number in range(2, 402):  # about 900 pages
        store.perform(Insert(session(number, subject=f"user-{number}")))
    assert beside_service is (path.stat().st_size > before)
    store.close()


def test_another_way_to_sync_is_refused(path: Path) -> None:
    """*OFF* is no choice."""
    off: Any = "OFF"
    for kind in (SqliteStore, AsyncSqliteStore):
        with pytest.raises(ConfigurationError, match="FULL"):
            kind(path, synchronous=off)


@pytest.mark.parametrize(
    "url", ["sqlite:", "sqlite://", "sqlite:///", "sqlite://app.db", "mysql:///x", "", "app.db", "memory"]
)
def test_another_url_is_refused(url: str) -> None:
    """A text that is not a store's URL is a configuration error, and the message says what to write."""
    for opening in (open_store, open_async_store):
        with pytest.raises(ConfigurationError, match=re.escape("memory:, sqlite:///app.db")):
            opening(url)


def test_a_refused_url_is_not_shown() -> None:
    """A URL may hold a password: no message has it."""
    with pytest.raises(ConfigurationError) as caught:
        open_store("mysql://root:hunter2@localhost/app")
    assert "hunter2" not in str(caught.value)


def test_a_url_names_a_file() -> None:
    """Three slashes for a relative path, four for an absolute one."""
    stores = [open_store("sqlite:///app.db"), open_store("sqlite:////var/lib/app.db")]
    assert [Path("app.db"), Path("/var/lib/app.db")] == [getattr(store, "path", None) for store in stores]


def test_nothing_is_opened_before_it_is_needed(path: Path) -> None:
    """A store that is only made leaves no file."""
    SqliteStore(path)
    AsyncSqliteStore(path)
    assert not path.exists()


def modes(path: Path) -> dict[str, int]:
    return {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}


@pytest.fixture
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_usual_umask")
def test_a_new_file_is_its_owners(path: Path) -> None:
    """Only the owner may read the database and the files that SQLite puts beside it, from the first moment on."""
    store = SqliteStore(path)
    store.perform(Insert(session()))
    assert {"app.db": 0o600, "app.db-wal": 0o600, "app.db-shm": 0o600} == modes(path)
    store.close()


@pytest.mark.usefixtures("_usual_umask")
def test_a_link_to_a_new_file_is_followed(tmp_path: Path) -> None:
    """A link that leads to no file yet is made good, and the file is its owner's."""
    (tmp_path / "data").mkdir()
    link, path = tmp_path / "app.db", tmp_path / "data" / "real.db"
    link.symlink_to(path)
    store = SqliteStore(link)
    store.perform(Insert(session()))
    assert {0o600} == set(modes(path).values())
    store.close()


@pytest.mark.usefixtures("_usual_umask")
def test_the_mode_of_a_file_that_is_there_is_left_alone(path: Path) -> None:
    """If the file may already be read by others, that stays so."""
    path.touch(0o640)
    path.chmod(0o640)
    store = SqliteStore(path)
    store.perform(Insert(session()))
    store.close()
    store.perform(Insert(session(2)))
    assert {"app.db": 0o640, "app.db-wal": 0o640, "app.db-shm": 0o640} == modes(path)
    store.close()


def test_opening_takes_no_lock_from_others(path: Path) -> None:
    """A store that opens a file leaves other connections of this process the locks they have on it (§2.2)."""
    store = SqliteStore(path)
    store.perform(Insert(session()))
    store.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        store._queue._database._prepare = lambda _: None
        store._queue._database._open()
        command = [sys.executable, "-c", LOCKED, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert ("", "database is locked\n") == (done.stderr, done.stdout)
        store.close()


LOCKED = """
import sqlite3, sys

try:
    sqlite3.connect(sys.argv[1], timeout=0).execute("SELECT * FROM daypass_sessions")
    print("readable")
except sqlite3.OperationalError as error:
    print(error)
"""


FIRST_VERSION = """
    CREATE TABLE sessions (
        id BLOB NOT NULL PRIMARY KEY, subject TEXT NOT NULL, client_id TEXT NOT NULL, generation INTEGER NOT NULL,
        branch BLOB NOT NULL, rotated_at INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
        ended_at INTEGER, end_reason TEXT, device_name TEXT, user_agent TEXT, address TEXT
    ) WITHOUT ROWID;
    CREATE INDEX sessions_subject ON sessions (subject);
    CREATE TABLE signing_keys (
        kid TEXT NOT NULL PRIMARY KEY, algorithm TEXT NOT NULL, wrapped TEXT NOT NULL, created_at INTEGER NOT NULL
    );
    CREATE TABLE accounts (
        subject TEXT NOT NULL PRIMARY KEY, email TEXT NOT NULL, username TEXT, password_hash TEXT NOT NULL,
        created_at INTEGER NOT NULL, disabled_at INTEGER, folded_email TEXT NOT NULL UNIQUE, folded_username TEXT UNIQUE
    );
    PRAGMA user_version = 1;
"""


def layout(path: Path) -> set[str]:
    """Return what a file's tables and indexes are made by, whatever the spaces and quotes."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return {"".join(sql.replace('"', "").split()) for (sql,) in rows}


def test_a_file_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    """Data from before the tables had prefixes is kept: sessions, keys and users; refreshes continue."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_VERSION)
        row = (bytes(15) + b"\1", "user-1", "daypass", 0, b"branch-0", NEVER_ROTATED, START, START + 3_600_000)
        connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL, NULL)", row)
        connection.execute("INSERT INTO signing_keys VALUES ('kid-1', 'ES256', 'wrapped-1', ?)", (START + 1,))
        connection.execute("INSERT INTO accounts VALUES ('1', 'a@b', NULL, 'hash', 0, NULL, 'a@b', NULL)")
        connection.commit()
    store = SqliteStore(path)
    assert session() == store.perform(Find(session().id))
    assert (key(1),) == store.perform(ReadKeys())
    assert "hash" == store.perform_account(LoadAccount("1")).password_hash  # type: ignore[union-attr]  # fails just as well
    assert store.perform(advance(session(), START + 1)).moved
    assert schema.SQLITE_VERSION == store.perform(Migrate())
    store.close()
    new = SqliteStore(path.with_name("new.db"))
    new.perform(Probe())
    new.close()
    assert layout(path.with_name("new.db")) == layout(path)


def test_a_file_of_the_second_version_is_brought_up_to_date(path: Path) -> None:
    """Its sessions go on, with no scope of their own."""
    row = (bytes(15) + b"\1", "user-1", "daypass", 0, b"branch-0", NEVER_ROTATED, START, START + 3_600_000)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(old_schemas.SQLITE_2)
        connection.execute(
            "INSERT INTO daypass_sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL, NULL)", row
        )
    store = SqliteStore(path)
    assert session(1) == store.perform(Find(session(1).id))
    store.perform(Insert(session(2, scope="read write")))
    assert session(2, scope="read write") == store.perform(Find(session(2).id))
    assert schema.SQLITE_VERSION == store.perform(Migrate())
    store.close()


def test_node_of_the_version_before_works_beside_a_new_one(path: Path) -> None:
    """After the upgrade an older Daypass opens the file as before, and each sees what the other has written."""
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(old_schemas.SQLITE_4)
    values = {"id": bytes(15) + b"\1", "branch": b"branch-1", "now": START}
    old.execute(old_schemas.STATEMENTS["start a session"], values)
    new = SqliteStore(path)
    new.perform(Insert(session(2)))
    assert (3,) == old.execute("SELECT version FROM daypass_schema").fetchone()  # the oldest version that may go on
    assert 2 == len(old.execute(old_schemas.STATEMENTS["list"]).fetchall())
    for statement in ("refresh", "probe", "sweep"):
        assert 1 == old.execute(old_schemas.STATEMENTS[statement], values).rowcount
    assert session(1, generation=1, branch=b"branch-1", rotated_at=START) == new.perform(Find(session(1).id))
    old.execute(old_schemas.STATEMENTS["end"], values)
    assert (Ending(session(1).id, START),) == new.perform(ReadEndings(0)).endings
    new.perform(End(session(2).id, START, EndReason.LOGOUT))
    assert 2 == len(old.execute(old_schemas.STATEMENTS["read endings"]).fetchall())
    own = session(3, idle_ttl=600_000, ends_at=START + 3_000_000, expires_at=START + 600_000, extras='{"p":0}')
    new.perform(Insert(own))
    later = values | {"id": bytes(15) + b"\3", "now": START + 1000}
    assert 1 == old.execute(old_schemas.STATEMENTS["refresh"], later).rowcount  # gives it an hour, as it does all
    refreshed = replace(own, generation=1, branch=b"branch-1", rotated_at=START + 1000, expires_at=START + 601_000)
    assert refreshed == new.perform(Find(own.id))
    assert not new.perform(advance(refreshed, START + 601_000)).moved
    old.close()
    new.close()


def test_devices_that_an_older_version_has_noted_are_kept(path: Path) -> None:
    """Tables without the time of a user's last login count it from the upgrade on."""
    SqliteStore(path).perform(Insert(session(1)))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("""
            DROP INDEX daypass_subjects_seen;
            ALTER TABLE daypass_subjects DROP COLUMN seen_at;
            ALTER TABLE daypass_sessions DROP COLUMN key_thumbprint;
            DROP TABLE daypass_events;
            DROP TABLE daypass_marks;
            DROP INDEX daypass_accounts_scoped;
            ALTER TABLE daypass_accounts DROP COLUMN scope;
            INSERT INTO daypass_subjects VALUES ('user-1', 1, x'0101010101010101');
            UPDATE daypass_schema SET current = 5;
        """)
    store = SqliteStore(path)
    now = time.time_ns() // 1_000_000
    assert schema.SQLITE_VERSION == store.perform(Migrate())
    store.perform(sweep(now))
    assert not store.perform(Admit(session(2), maximum=9, device=b"another!")).known_device
    store.perform(sweep(max(START, now) + 7_210_000))
    assert store.perform(Admit(session(3), maximum=9, device=b"athird!!")).known_device
    store.close()


def test_session_takes_at_most_250_bytes(path: Path) -> None:
    """With its indexes, a subject of 36 characters, and nothing that only some sessions have."""
    store = SqliteStore(path, synchronous="NORMAL")
    store.perform(Insert(session()))
    empty = path.stat().st_size
    ids = random.Random(1)
    every = [session(ids.getrandbits(128), subject=f"user-{number:031}") for number in range(3000)]
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(sql.INSERT, map(sql.session_parameters, every))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    assert 250 >= (path.stat().st_size - empty) / len(every)


def test_an_application_s_own_tables_and_version_are_left_alone(path: Path) -> None:
    """A file that an application has put to its own use serves both; even a table called sessions stays as it is."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE sessions (mine TEXT)")
        connection.execute("PRAGMA user_version = 7")
    store = SqliteStore(path)
    store.perform(Insert(session()))
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert (7,) == connection.execute("PRAGMA user_version").fetchone()
        assert [] == connection.execute("SELECT mine FROM sessions").fetchall()


def test_the_schema_of_a_newer_version_is_left_alone(path: Path) -> None:
    """A file that a newer Daypass has made is a mistake of set-up: upgrade, it says, and changes nothing."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE daypass_schema AS SELECT 1000000 AS version")
    before = path.read_bytes()[:96]
    store = SqliteStore(path)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="upgrade"):
            store.perform(Insert(session()))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert [("daypass_schema",)] == connection.execute("SELECT name FROM sqlite_schema").fetchall()
        assert (1000000,) == connection.execute("SELECT version FROM daypass_schema").fetchone()
    assert before[:16] == path.read_bytes()[:16]


async def test_the_schema_of_a_newer_version_is_reported_to_all_callers(path: Path) -> None:
    """Of many who ask at once none is left waiting."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE daypass_schema AS SELECT 1000000 AS version")
    store = AsyncSqliteStore(path)
    answers = await asyncio.gather(*(store.perform(Find(session(n).id)) for n in range(20)), return_exceptions=True)
    assert {ConfigurationError} == {type(answer) for answer in answers}
    await store.close()


# ---- several processes


def test_processes_share_a_new_file(path: Path) -> None:
    """Processes that start at once all make the tables without an error, and of their refreshes exactly one rotates."""
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(another(processes.refresh_at_once, path))[1] for _ in range(4)]
        assert ["ready"] * 4 == [told(pipe) for pipe in others]
        for pipe in others:
            pipe.send("go")
        assert ["started"] * 4 == [told(pipe) for pipe in others]
        auth = processes.issuer(path, lambda: START)
        tokens = auth.start(User("user-1"))
        for pipe in others:
            pipe.send(tokens.refresh_token)
        answers = [told(pipe) for pipe in others]
        assert 5 == len(auth.sessions("user-1"))
        auth.close()
    assert ["repeated", "repeated", "repeated", "rotated"] == sorted(code for codes, _ in answers for code in codes)
    assert 1 == len({refresh_token for _, refresh_token in answers})


@pytest.mark.parametrize("attempt", range(5))
def test_stores_that_open_a_new_file_at_once_do_not_trip(path: Path, attempt: int) -> None:
    """Of many connections that make a file's tables and switch its journal at once none fails, however they meet."""
    stores = [SqliteStore(path) for _ in range(12)]
    start = threading.Barrier(len(stores))

    def insert(number: int) -> None:
        start.wait(PATIENCE)
        stores[number].perform(Insert(session(number)))
        stores[number].close()

    with ThreadPoolExecutor(len(stores)) as threads:
        list(threads.map(insert, range(len(stores))))
    assert 12 == len(stores[0].perform(ListSessions("user-1", START)))
    stores[0].close()


@pytest.mark.parametrize("work", [processes.refresh_for_ever, processes.refresh_many_for_ever], ids=["sync", "async"])
def test_answers_to_a_killed_process_are_kept(path: Path, work: Callable[[Path, Connection], None]) -> None:
    """A process that is killed in the middle of writing loses nothing that was answered, and blocks no other."""
    answered: dict[str, int] = {}
    for _ in range(2):
        with another(work, path) as (process, pipe):
            until = time.monotonic() + PATIENCE
            while len(answered) < 40 and time.monotonic() < until:
                what, session_id = told(pipe)
                answered[session_id] = int(what == "advanced")
            process.kill()
            with contextlib.suppress(EOFError, ConnectionResetError):
                while pipe.poll(PATIENCE):
                    what, session_id = pipe.recv()
                    answered[session_id] = int(what == "advanced")
    store = SqliteStore(path)
    found = {session_id: store.perform(Find(session_id)) for session_id in answered}
    assert 40 <= len(answered)
    assert [] == [
        each for each, least in answered.items() if (there := found[each]) is None or there.generation < least
    ]
    store.perform(Insert(session()))
    store.close()


FORKING = """
import os, sys
from pathlib import Path
from daypass.rotation import NEVER_ROTATED
from daypass.account_steps import LoadAccount
from daypass.session import EndReason
from daypass.store_steps import End, Ending, Find, Insert, ListSessions, Migrate, Probe, ReadEndings, ReadKeys
from daypass.stores.sqlite import SqliteStore
from daypass.testing import START, session

store = SqliteStore(Path(sys.argv[1]))
store.perform(Insert(session(1)))
children = []
for number in range(2, 6):
    child = os.fork()
    if child == 0:
        store.perform(Insert(session(number)))
        found = store.perform(Find(session(1).id))
        store.close()
        store.perform(Find(session(1).id))
        sys.exit(0 if found == session(1) else 1)
    children.append(child)
    store.perform(Insert(session(number + 10)))
statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
for number in range(20, 30):
    store.perform(Insert(session(number)))
print(statuses, len(store.perform(ListSessions("user-1", START))))
store.close()
"""

PARENT_FIRST = """
import os, sys
from pathlib import Path
from daypass.store_steps import Insert, ListSessions
from daypass.stores.sqlite import SqliteStore
from daypass.testing import START, session

store = SqliteStore(Path(sys.argv[1]))
store.perform(Insert(session(1)))
ready, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    store.perform(Insert(session(2)))
    os.write(ready[1], b".")
    os.read(done[0], 1)
    for number in range(3, 10):
        store.perform(Insert(session(number)))
    os._exit(0)
os.read(ready[0], 1)
store.perform(Insert(session(20)))
store.close()
SqliteStore(Path(sys.argv[1])).perform(Insert(session(21)))
os.write(done[1], b".")
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print([status], len(store.perform(ListSessions("user-1", START))))
store.close()
"""

FORKING_ASYNC = """
import asyncio, os, sys
from pathlib import Path
from daypass.store_steps import Insert, ListSessions
from daypass.stores.sqlite import AsyncSqliteStore
from daypass.testing import START, session

store = AsyncSqliteStore(Path(sys.argv[1]))

async def insert(*numbers):
    await asyncio.gather(*(store.perform(Insert(session(number))) for number in numbers))

async def count():
    found = await store.perform(ListSessions("user-1", START))
    await store.close()
    return len(found)

asyncio.run(insert(1, 2, 3))
child = os.fork()
asyncio.run(insert(*((4, 5, 6) if child == 0 else (7, 8, 9))))
if child == 0:
    asyncio.run(store.close())
    sys.exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print([status], asyncio.run(count()))
"""


FORKING_WITHIN_A_TURN = """
import asyncio, os, sys
from pathlib import Path
from daypass.store_steps import Insert, ListSessions
from daypass.stores.sqlite import AsyncSqliteStore
from daypass.testing import START, session

store = AsyncSqliteStore(Path(sys.argv[1]))

async def insert(number):
    await store.perform(Insert(session(number)))

async def fork():
    asking = asyncio.ensure_future(insert(1))
    await asyncio.sleep(0)
    child = os.fork()
    if child == 0:
        asyncio.events._set_running_loop(None)
        asyncio.run(insert(2))
        asyncio.run(store.close())
        os._exit(0)
    await asking
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

async def count():
    found = await store.perform(ListSessions("user-1", START))
    await store.close()
    return len(found)

print([asyncio.run(fork())], asyncio.run(count()))
"""


def run_forking(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that forks; Python 3.12 and later warn of a fork beside threads, which is what it is about."""
    command = [sys.executable, "-Wignore:This process:DeprecationWarning", "-c", script, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (FORKING, "[0, 0, 0, 0] 19\n"),
        (FORKING_ASYNC, "[0] 9\n"),
        (PARENT_FIRST, "[0] 11\n"),
        (FORKING_WITHIN_A_TURN, "[0] 2\n"),
    ],
    ids=["sync", "async", "parent first", "within a turn"],
)
def test_a_store_survives_a_fork(path: Path, script: str, says: str) -> None:
    """A server that forks its workers after the store was used loses nothing, on either side (sqlite.org, §2.6)."""
    done = run_forking(script, path)
    assert ("", says) == (done.stderr, done.stdout)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert ("ok",) == connection.execute("PRAGMA integrity_check").fetchone()


THREADS_AND_FORK = """
import os, sys, threading, time
from pathlib import Path
from daypass.store_steps import Insert
from daypass.stores.sqlite import SqliteStore
from daypass.testing import session

store = SqliteStore(Path(sys.argv[1]))
going = True

def insert(start):
    number = start
    while going:
        number += 1
        store.perform(Insert(session(number)))

threads = [threading.Thread(target=insert, args=(n * 1_000_000,)) for n in range(1, 4)]
for thread in threads:
    thread.start()
statuses = []
for number in range(5):
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        store.perform(Insert(session(900_000_000 + number)))
        os._exit(0)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
going = False
for thread in threads:
    thread.join()
print(statuses)
"""


def test_a_fork_while_others_write_leaves_nobody_waiting(path: Path) -> None:
    """A child that is forked while another thread holds the database lock can take the lock."""
    done = run_forking(THREADS_AND_FORK, path)
    assert ("", "[0, 0, 0, 0, 0]\n") == (done.stderr, done.stdout)


# ---- group commit and the event loop


async def test_waiting_steps_are_committed_together(path: Path) -> None:
    """Two hundred steps at once take a few transactions, and each gets its own answer."""
    store = Traced(path)
    await store.perform(Insert(session(0)))
    store.commits = 0
    await asyncio.gather(*(store.perform(Insert(session(n))) for n in range(1, 201)))
    answers = await asyncio.gather(*(store.perform(advance(session(n), START + 1)) for n in range(1, 201)))
    assert [session(n).id for n in range(1, 201)] == [a.session.id for a in answers if a.session and a.moved]
    assert 40 > store.commits  # four hundred steps
    await store.close()


async def test_one_turn_of_the_loop_is_one_commit(path: Path) -> None:
    """What tasks request in the same turn of the loop is one transaction, not two."""
    store = Traced(path)
    await store.perform(Insert(session(0)))
    store.commits = 0
    for turn in range(10):
        await asyncio.gather(*(store.perform(Insert(session(turn * 16 + n))) for n in range(1, 17)))
    assert 10 == store.commits
    await store.close()


async def test_a_failing_step_does_not_affect_others(path: Path) -> None:
    """A step that fails does not affect those that share its transaction."""
    store = AsyncSqliteStore(path)
    steps = [Insert(session(n, generation=2**64 if n == 5 else 0)) for n in range(10)]
    answers = await asyncio.gather(*map(store.perform, steps), return_exceptions=True)
    assert [None] * 5 + [OverflowError] + [None] * 4 == [answer and type(answer) for answer in answers]
    assert 9 == await count(store)
    await store.close()


async def test_the_event_loop_is_never_blocked(path: Path) -> None:
    """While another process has locked the file, the event loop continues; the step is answered afterwards."""
    store = AsyncSqliteStore(path)
    await store.perform(Insert(session()))
    with another(processes.hold_the_lock, path) as (_, pipe):
        assert "held" == await asyncio.to_thread(told, pipe)
        step = asyncio.ensure_future(store.perform(advance(session(), START + 1)))
        ticks = 0
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            await asyncio.sleep(0.001)
            ticks += 1
        assert not step.done()
        assert 10 < ticks  # a blocked loop would have had one
        pipe.send("give it back")
        assert (await asyncio.wait_for(step, PATIENCE)).moved
        assert "given back" == await asyncio.to_thread(told, pipe)
    await store.close()


async def test_a_step_is_committed_although_its_caller_went_away(path: Path) -> None:
    """A step whose caller was cancelled is still performed, and does not disturb the others."""
    store = AsyncSqliteStore(path)
    await store.perform(Insert(session(0)))
    with another(processes.hold_the_lock, path) as (_, pipe):
        assert "held" == await asyncio.to_thread(told, pipe)
        steps = [asyncio.ensure_future(store.perform(Insert(session(n)))) for n in range(1, 6)]
        await asyncio.sleep(0.01)
        for step in steps[::2]:
            step.cancel()
        pipe.send("give it back")
        answers = await asyncio.gather(*steps, return_exceptions=True)
        assert "given back" == await asyncio.to_thread(told, pipe)
    assert [asyncio.CancelledError, None] * 2 + [asyncio.CancelledError] == [each and type(each) for each in answers]
    assert 6 == await count(store)
    await store.close()


async def test_a_step_is_committed_although_its_caller_went_away_at_once(path: Path) -> None:
    """Nor does it matter that the caller is cancelled in the turn of the loop in which it asked."""
    store = AsyncSqliteStore(path)
    asking = [asyncio.ensure_future(store.perform(Insert(session(n)))) for n in range(3)]
    asyncio.get_running_loop().call_soon(asking[1].cancel)  # after they have asked, before it is handed over
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [None, asyncio.CancelledError, None] == [each and type(each) for each in answers]
    assert 3 == await count(store)
    await store.close()


async def test_closing_commits_what_was_asked_for_in_the_same_turn(path: Path) -> None:
    """A store that is closed right after a request has performed it."""
    store = AsyncSqliteStore(path)
    asking = store.perform(Insert(session()))
    task = asyncio.ensure_future(asking)
    await asyncio.sleep(0)  # it has asked, and nothing is handed over yet
    await store.close()
    assert store._queue._worker is None
    await task
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert (1,) == connection.execute("SELECT count(*) FROM daypass_sessions").fetchone()


def test_a_loop_that_stops_at_once_loses_nothing(path: Path) -> None:
    """Steps that a stopped loop did not hand over are committed when the store is next used or closed."""
    store = AsyncSqliteStore(path)

    async def ask(number: int) -> asyncio.Task[None]:
        task = asyncio.ensure_future(store.perform(Insert(session(number))))
        await asyncio.sleep(0)
        return task

    loops = []
    for number in range(3):
        loop = asyncio.new_event_loop()
        task = loop.run_until_complete(ask(number))
        loop.close()
        assert not task.done()
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # that it is never done is the point
        loops.append(weakref.ref(loop))
        del loop, task
    asyncio.run(store.close())
    assert {} == store._queue._gathered
    assert 3 == asyncio.run(count(store))
    asyncio.run(store.close())
    gc.collect()
    assert [None] * 3 == [loop() for loop in loops]


def test_a_store_outlives_an_event_loop(path: Path) -> None:
    """A store may be used by one event loop after another, with or without being closed between."""
    store = AsyncSqliteStore(path)
    for number in range(4):
        asyncio.run(store.perform(Insert(session(number))))
        if number % 2:
            asyncio.run(store.close())
    assert 4 == asyncio.run(count(store))
    asyncio.run(store.close())


async def test_closing_while_others_ask_loses_nobody(path: Path) -> None:
    """A caller that asks while several others close the store is answered."""
    store = AsyncSqliteStore(path)
    for number in range(0, 60, 3):
        steps = [store.perform(Insert(session(number + n))) for n in range(3)]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(steps[0], store.close(), steps[1], store.close(), steps[2])
    assert 60 == await count(store)
    await store.close()


def test_threads_share_a_store_and_its_commits(path: Path) -> None:
    """Threads that write at once are all answered, and their commits are fewer than their steps."""
    store = SqliteStore(path)
    commits = 0

    def count(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    store.perform(Insert(session(0)))
    store._queue._database._open().set_trace_callback(count)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(16) as threads:
        other.execute("BEGIN IMMEDIATE")  # all of them will be waiting
        answers = [threads.submit(store.perform, Insert(session(n))) for n in range(1, 17)]
        while len(store._queue._waiting) < 15:
            time.sleep(0.001)
        other.execute("ROLLBACK")
        assert [None] * 16 == [answer.result(PATIENCE) for answer in answers]
    assert 3 > commits
    assert 17 == len(store.perform(ListSessions("user-1", START)))
    store.close()


# ---- faults


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite give up on a lock at once: it is the standard library's timeout, not ours."""
    connect = sqlite3.connect

    def connect_at_once(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **{**options, "timeout": 0.05})
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_at_once)


@pytest.mark.usefixtures("impatient")
def test_a_locked_file_is_contended(path: Path) -> None:
    """If others keep a lock for too long, the error says so; nothing was changed, and later steps work."""
    store = SqliteStore(path)
    store.perform(Insert(session()))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreContended, match=f"the SQLite database {path} was locked by others for too long"):
            store.perform(advance(session(), START + 1))
        assert session() == store.perform(Find(session().id))  # readers do not wait
        other.execute("ROLLBACK")
    assert store.perform(advance(session(), START + 1)).moved
    store.close()


@pytest.mark.usefixtures("impatient")
async def test_a_locked_file_is_contended_for_all_who_wait(path: Path) -> None:
    """The same with many tasks: each gets the error."""
    store = AsyncSqliteStore(path)
    await store.perform(Insert(session(0)))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answers = await asyncio.gather(
            *(store.perform(Insert(session(n))) for n in range(1, 9)), return_exceptions=True
        )
        assert {StoreContended} == {type(answer) for answer in answers}
        other.execute("ROLLBACK")
    await asyncio.gather(*(store.perform(Insert(session(n))) for n in range(1, 9)))
    await store.close()


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """Give a folder that any user of the machine may enter."""
    folder = Path(tempfile.mkdtemp(prefix="daypass-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_a_file_that_may_not_be_written_is_unavailable(open_to_all: Path) -> None:
    """Without the right to write nothing is changed; with the right, the same store works again."""
    path = open_to_all / "app.db"
    store = SqliteStore(path)
    store.perform(Insert(session(1)))
    store.close()
    path.chmod(0o444)
    open_to_all.chmod(0o555)
    with another(processes.without_rights, path) as (_, pipe):
        assert "StoreUnavailable" == told(pipe)
        open_to_all.chmod(0o777)
        path.chmod(0o666)
        pipe.send("again")
        assert "written" == told(pipe)
        pipe.send("end")
    assert 2 == len(store.perform(ListSessions("user-1", START)))
    store.close()


def test_a_full_disk_is_unavailable(path: Path) -> None:
    """Answered writes are there, refused ones are not, and a probe says so; with room again everything works."""
    with another(processes.on_a_full_disk, path) as (_, pipe):
        error, written, readable, probed, ended = told(pipe)
    assert ("StoreUnavailable", [True, True, False], [False, True], True) == (error, readable, probed, ended)
    store = SqliteStore(path)
    assert written == len(store.perform(ListSessions("user-1", START)))  # one was ended, one was added
    store.close()


def test_a_full_database_is_unavailable(path: Path) -> None:
    """A file that SQLite may not let grow refuses new sessions, keeps the old, and takes more when it may."""
    store = SqliteStore(path)
    refreshed = session(0, generation=2, rotated_at=START)  # its row has the size that it keeps
    store.perform(Insert(refreshed))
    connection = store._queue._database._open()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    written = 0

    def write_on() -> None:
        nonlocal written
        for number in range(1, 10_000):
            store.perform(Insert(session(number)))
            written = number

    with pytest.raises(StoreUnavailable, match="full"):
        write_on()
    assert written + 1 == len(store.perform(ListSessions("user-1", START)))
    assert store.perform(advance(refreshed, START + 1)).moved  # another refresh needs no room
    connection.execute("PRAGMA max_page_count = 1000000")
    store.perform(Insert(session(written + 1)))
    store.close()


def folder(path: Path) -> None:
    path.mkdir()


def missing_folder(path: Path) -> None:
    path.parent.rmdir()


def text(path: Path) -> None:
    path.write_text("this is no database, and long enough that nobody takes it for an empty one\n" * 100)


@pytest.mark.parametrize("spoil", [folder, missing_folder, text])
async def test_a_file_that_is_not_a_database_is_unavailable(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """A folder, a missing one, a file of another kind: unavailable; when it is put right the same stores go on."""
    parent = tmp_path / "data"
    parent.mkdir()
    path = parent / "app.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    store, async_store = SqliteStore(path), AsyncSqliteStore(path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"^the SQLite database {path} cannot be used: .+"):
            store.perform(Insert(session(1)))
        answers = await asyncio.gather(
            *(async_store.perform(Find(session(n).id)) for n in range(3)), return_exceptions=True
        )
        assert {StoreUnavailable} == {type(answer) for answer in answers}
    assert before == (path.read_bytes() if path.is_file() else None)
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    parent.mkdir(exist_ok=True)
    store.perform(Insert(session(1)))
    assert session(1) == await async_store.perform(Find(session(1).id))
    store.close()
    await async_store.close()


def test_an_interrupt_leaves_no_half_transaction(path: Path) -> None:
    """An interrupted transaction is rolled back, and the store continues."""
    store = SqliteStore(path)
    store.perform(Insert(session(0)))

    def interrupted(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM daypass_sessions")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store._queue.perform(interrupted, writes=True)
    assert session(0) == store.perform(Find(session(0).id))
    store.close()


def test_an_interrupt_leaves_nobody_waiting(path: Path) -> None:
    """A step that an interrupted thread would have performed fails, and its caller may try again."""
    store = SqliteStore(path)
    store.perform(Insert(session(0)))
    outcomes: list[str] = []

    def insert() -> None:
        try:
            store.perform(Insert(session(1)))
        except StoreUnavailable:
            outcomes.append("unavailable")

    with store._queue._turn:
        other = threading.Thread(target=insert)
        other.start()
        while not store._queue._waiting:
            time.sleep(0.001)
        store._queue._waiting.popleft()  # and here the interrupt comes
    other.join(PATIENCE)
    assert ["unavailable"] == outcomes
    store.perform(Insert(session(1)))
    store.close()


def test_no_connection_is_left_open(path: Path) -> None:
    """A store that is closed holds no file any more."""
    store = SqliteStore(path)
    store.perform(Insert(session(0)))
    asynchronous = AsyncSqliteStore(path)
    asyncio.run(asynchronous.perform(Find(session(0).id)))
    asyncio.run(asynchronous.close())
    store.close()
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [] == [link for link in links if str(link.readlink()).startswith(str(path))]
