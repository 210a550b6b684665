"""PostgreSQL: one round trip per refresh, heap-only updates, tables of each version, notifications."""

import asyncio
import contextlib
import multiprocessing
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daypass import ConfigurationError, StoreUnavailable
from daypass.account_steps import FindAccount
from daypass.cli import main
from daypass.databases.postgres.settings import POOL_SIZE
from daypass.errors import StoreContended
from daypass.rotation import NEVER_ROTATED, Expectation
from daypass.session import Device, EndReason
from daypass.store_steps import (
    AddKey,
    Advance,
    End,
    EndAll,
    Ending,
    Find,
    Insert,
    ListSessions,
    Migrate,
    Probe,
    ReadEndings,
    Swap,
)
from daypass.stores import open_async_store, open_store, schema
from daypass.stores.dialect import POSTGRES
from daypass.stores.postgres import AsyncPostgresStore, PostgresStore, queries
from daypass.testing import START, advance, key, session
from tests.servers import postgres
from tests.servers.relay import Relay, refusal

from . import old_schemas
from . import postgres_processes as processes

PATIENCE = 30.0


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(postgres_url)
    yield store
    store.close()


@pytest.fixture
def bare_url(postgres_at: Callable[..., str]) -> str:
    """Give the URL of a schema without tables."""
    return postgres.empty(postgres_at())


@contextlib.contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def through(relay: Relay, url: str) -> str:
    """Return ``url`` by way of ``relay``."""
    before, _, after = url.partition("127.0.0.1:")
    return f"{before}127.0.0.1:{relay.port}/{after.partition('/')[2]}"


@contextlib.contextmanager
def relayed(url: str, **arguments: Any) -> Iterator[tuple[Relay, str]]:
    """Give a relay in front of the server, and the URL by way of it."""
    relay = Relay(urlsplit(url).port or 5432, **arguments)
    try:
        yield relay, through(relay, url)
    finally:
        relay.close()


# ---- costs


def verdicts() -> Sequence[tuple[str, list[Any], Any]]:
    """Return for each verdict the stored session and the steps that it takes."""
    fresh = session()
    moved = advance(fresh, START + 1)
    ended = replace(fresh, ended_at=START + 1, end_reason=EndReason.REUSE)
    return (
        ("rotate", [], moved),
        ("another stands there", [moved], advance(fresh, START + 2)),
        ("there is none", [], advance(session(2), START + 1)),
        ("swap", [], Swap(fresh, session(generation=7))),
        ("revoke", [], Swap(fresh, ended)),
        ("log out", [], End(fresh.id, START, EndReason.LOGOUT)),
        ("log out everywhere", [], EndAll("user-1", START, EndReason.ENDED)),
        ("list", [], ListSessions("user-1", START)),
    )


@pytest.mark.parametrize(("before", "step"), [each[1:] for each in verdicts()], ids=[each[0] for each in verdicts()])
def test_each_step_is_one_flight(postgres_url: str, before: list[Any], step: Any) -> None:
    """A step goes to the server once, and its answer comes back once, whatever the answer is.

    Once for each statement and connection, psycopg sends another message before: it prepares what comes often.
    """
    with relayed(postgres_url) as (relay, url):
        store = PostgresStore(url)
        for each in (Insert(session()), *before):
            store.perform(each)
        flights = []
        for _ in range(12):
            before_it = relay.flights
            store.perform(step)
            flights.append(relay.flights - before_it)
        assert [1] * 11 + [2] == sorted(flights)
        store.close()


def test_each_step_of_a_task_is_one_flight(postgres_url: str) -> None:
    """The same holds for the async store."""

    async def flights(relay: Relay, store: AsyncPostgresStore) -> list[int]:
        await store.perform(Insert(session()))
        counted = []
        for number in range(3):
            before = relay.flights
            await store.perform(advance(session(generation=number, branch=b"branch-n"), START + 1 + number))
            counted.append(relay.flights - before)
        await store.close()
        return counted

    with relayed(postgres_url) as (relay, url):
        assert [1, 1, 1] == asyncio.run(flights(relay, AsyncPostgresStore(url)))


def test_a_refresh_touches_no_index(bare_url: str) -> None:
    """Refreshed rows are written beside the old ones, except if a page is full."""
    store = PostgresStore(bare_url)
    store.perform(Migrate())
    found = [session(number * 2**100, subject=f"user-{number}") for number in range(500)]
    for each in found:
        store.perform(Insert(each))
    moved = found
    for round_ in range(1, 5):
        steps = [advance(each, START + round_) for each in moved]
        moved = [store.perform(step).session for step in steps]  # type: ignore[misc]  # all are there
    store.close()  # which is when the server counts them
    counted = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'daypass_sessions'::regclass"
    with connected(bare_url) as connection:
        updates, hot = _settled(lambda: connection.execute(counted).fetchone(), lambda row: row[0] >= 2000)
    assert hot >= 0.9 * updates


def _settled(read: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    """Return the value that is read once it is enough, or the last one."""
    until = time.monotonic() + PATIENCE
    while not enough(row := read()) and time.monotonic() < until:
        time.sleep(0.05)
    return row


NUMBERS = st.integers(START - 3, START + 3)


@given(
    stored=st.builds(
        session,
        generation=st.integers(0, 2),
        branch=st.sampled_from((b"branch-0", b"branch-1")),
        rotated_at=NUMBERS,
        created_at=NUMBERS,
        expires_at=NUMBERS,
        ended_at=st.none() | st.just(START),
    ).map(lambda each: replace(each, end_reason=EndReason.ENDED if each.ended_at else None)),
    step=st.builds(
        Advance,
        session_id=st.just(session().id),
        expected=st.builds(Expectation, st.integers(0, 2), st.sampled_from((b"branch-0", b"branch-1")), NUMBERS),
        generation=st.integers(1, 3),
        branch=st.just(b"branch-2"),
        now=NUMBERS,
        idle_ttl=st.integers(1, 4),
        absolute_ttl=st.integers(1, 4),
    ),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_statement_is_the_predicate(store: PostgresStore, postgres_url: str, stored: Any, step: Any) -> None:
    """`Advance` does here what `Advance.moved` says, for every stored and every expected position."""
    with connected(postgres_url) as connection:
        connection.execute("DELETE FROM daypass_sessions")
    store.perform(Insert(stored))
    moved = step.moved(stored)
    answer = store.perform(step)
    assert (moved or stored, moved is not None) == (answer.session, answer.moved)
    assert (moved or stored) == store.perform(Find(stored.id))


def test_a_loser_gets_the_row_of_the_winner(store: PostgresStore, postgres_url: str) -> None:
    """Who waits for another's write to the same session is answered with what that one wrote."""
    store.perform(Insert(session()))
    with connected(postgres_url) as other:
        other.execute("BEGIN")
        other.execute("UPDATE daypass_sessions SET generation = 1, branch = 'branch-w', rotated_at = 77")
        answers: list[Any] = []
        waiting = threading.Thread(target=lambda: answers.append(store.perform(advance(session(), START + 1))))
        waiting.start()
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%daypass_sess%'"
        _settled(lambda: other.execute(blocked).fetchone(), lambda row: row[0] >= 1)
        other.execute("COMMIT")
        waiting.join(PATIENCE)
    assert [(False, 1, b"branch-w", 77)] == [
        (each.moved, each.session.generation, each.session.branch, each.session.rotated_at) for each in answers
    ]


# ---- tables


def test_without_tables_it_says_what_to_do(bare_url: str) -> None:
    """A database without tables is a configuration error; the message has the command, and no password."""
    url = bare_url.replace("daypass@", "daypass:hunter2@")
    for perform in (PostgresStore(url).perform, lambda step: asyncio.run(AsyncPostgresStore(url).perform(step))):
        with pytest.raises(ConfigurationError, match="daypass store migrate --store 'postgresql://daypass@") as caught:
            perform(Find(session().id))
        assert "hunter2" not in str(caught.value)


def test_the_command_makes_the_tables(bare_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``daypass store migrate`` makes the tables, prints the version, and may be repeated."""
    assert [0, 0] == [main(["store", "migrate", "--store", bare_url]) for _ in range(2)]
    assert f"The store has schema {schema.POSTGRES_VERSION}\n" * 2 == capsys.readouterr().out
    store = PostgresStore(bare_url)
    store.perform(Probe())
    store.close()


def test_the_command_knows_all_stores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It serves for the other stores as well."""
    assert 0 == main(["store", "migrate", "--store", f"sqlite:///{tmp_path / 'app.db'}"])
    assert f"The store has schema {schema.SQLITE_VERSION}\n" == capsys.readouterr().out
    assert 1 == main(["store", "migrate", "--store", "memory:"])
    assert "memory: is empty" in capsys.readouterr().err


@contextlib.contextmanager
def another(work: Callable[[str, Connection], None], url: str) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """Give a process that does ``work``, and a pipe to it; it is gone afterwards."""
    ours, theirs = multiprocessing.Pipe()
    command = [sys.executable, processes.__file__, work.__name__, url, str(theirs.fileno())]
    with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        try:
            yield process, ours
        finally:
            process.kill()


def test_all_nodes_may_make_the_tables_at_once(bare_url: str) -> None:
    """Of processes that start together over an empty database one makes the tables, and all find them."""
    with contextlib.ExitStack() as stack:
        pipes = [stack.enter_context(another(processes.migrate_at_once, bare_url))[1] for _ in range(4)]
        for pipe in pipes:
            assert pipe.poll(PATIENCE)
            pipe.recv()
        for pipe in pipes:
            pipe.send("go")
        assert all(pipe.poll(PATIENCE) for pipe in pipes)
        assert [schema.POSTGRES_VERSION] * 4 == [pipe.recv() for pipe in pipes]


def test_an_upgrade_is_made_once(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further version is reached in one transaction, by one of the nodes; old nodes continue beside it."""
    old = PostgresStore(bare_url)
    old.perform(Migrate())
    old.perform(Insert(session()))
    upgrade = (
        "ALTER TABLE daypass_sessions ADD COLUMN later TEXT",
        "UPDATE daypass_schema SET version = version + 1, compatible_from = 1",
    )
    version = schema.POSTGRES_VERSION
    with monkeypatch.context() as patch:
        patch.setattr(queries, "POSTGRES", replace(POSTGRES, version=version + 1, upgrades={version: upgrade}))
        new = PostgresStore(bare_url)
        with pytest.raises(ConfigurationError, match="store migrate"):
            new.perform(Find(session().id))
        answers: list[int] = []
        nodes = [threading.Thread(target=lambda: answers.append(new.perform(Migrate()))) for _ in range(4)]
        for node in nodes:
            node.start()
        for node in nodes:
            node.join(PATIENCE)
        assert [version + 1] * 4 == answers
        assert session() == new.perform(Find(session().id))
        new.close()
    assert session() == old.perform(Find(session().id))
    old.close()
    assert session() == old.perform(Find(session().id))
    old.close()


def test_tables_of_the_first_version_are_brought_up_to_date(bare_url: str) -> None:
    """Their sessions go on, with no scope of their own."""
    with connected(bare_url) as connection:
        connection.execute(old_schemas.POSTGRES_1)
        connection.execute(
            "INSERT INTO daypass_sessions (id, subject, client_id, generation, branch, rotated_at, created_at, "
            "expires_at) VALUES (%s, 'user-1', 'daypass', 0, 'branch-0', %s, %s, %s)",
            (bytes(15) + b"\1", NEVER_ROTATED, START, START + 3_600_000),
        )
    store = PostgresStore(bare_url)
    with pytest.raises(ConfigurationError, match="store migrate"):
        store.perform(Find(session().id))
    assert schema.POSTGRES_VERSION == store.perform(Migrate())
    assert session() == store.perform(Find(session().id))
    store.close()


def test_node_of_the_version_before_works_beside_a_new_one(bare_url: str) -> None:
    """After the upgrade an older Daypass works as before, and each sees what the other has written."""
    values = {"id": bytes(15) + b"\1", "branch": b"branch-1", "now": START}
    with connected(bare_url) as old:

        def perform(name: str) -> Any:
            return old.execute(re.sub(r":([a-z]+)", r"%(\1)s", old_schemas.STATEMENTS[name]), values)

        old.execute(old_schemas.POSTGRES_3)
        perform("start a session")
        new = PostgresStore(bare_url)
        new.perform(Migrate())
        new.perform(Insert(session(2)))
        (row,) = old.execute("SELECT version, compatible_from FROM daypass_schema").fetchall()
        assert row[0] >= 3 >= row[1]  # the statements of an older Daypass
        assert 2 == perform("list").rowcount
        for statement in ("refresh", "probe", "sweep"):
            assert 1 == perform(statement).rowcount
        assert session(1, generation=1, branch=b"branch-1", rotated_at=START) == new.perform(Find(session(1).id))
        perform("end")
        assert (Ending(session(1).id, START),) == new.perform(ReadEndings(0)).endings
        new.perform(End(session(2).id, START, EndReason.LOGOUT))
        assert 2 == perform("read endings").rowcount
        own = session(3, idle_ttl=600_000, ends_at=START + 3_000_000, expires_at=START + 600_000, extras='{"p":0}')
        new.perform(Insert(own))
        values |= {"id": bytes(15) + b"\3", "now": START + 1000}
        assert 1 == perform("refresh").rowcount  # gives it an hour, as it does all
        refreshed = replace(own, generation=1, branch=b"branch-1", rotated_at=START + 1000, expires_at=START + 601_000)
        assert refreshed == new.perform(Find(own.id))
        assert not new.perform(advance(refreshed, START + 601_000)).moved
        new.close()


def test_tables_that_are_too_new_are_refused(bare_url: str) -> None:
    """A newer version that leaves this one behind is a mistake of set-up, and nothing is done with its tables."""
    store = PostgresStore(bare_url)
    store.perform(Migrate())
    with connected(bare_url) as connection:
        connection.execute("UPDATE daypass_schema SET version = 99, compatible_from = 98")
    with pytest.raises(ConfigurationError, match="needs a Daypass that knows schema 98, and this one knows"):
        store.perform(Find(session().id))
    assert 99 == store.perform(Migrate())
    store.close()


def test_a_migration_that_fails_leaves_nothing(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are made in one transaction: all of them, or none."""
    store = PostgresStore(bare_url)
    with monkeypatch.context() as patch:
        broken = (*POSTGRES.tables, "SELECT no_such_thing()")
        patch.setattr(queries, "POSTGRES", replace(POSTGRES, tables=broken))
        with pytest.raises(StoreUnavailable):
            store.perform(Migrate())
    with connected(bare_url) as connection:
        assert (None,) == connection.execute("SELECT to_regclass('daypass_sessions')").fetchone()
    assert schema.POSTGRES_VERSION == store.perform(Migrate())
    store.close()


# ---- announcements


@pytest.mark.parametrize(
    "step",
    [
        End(session().id, START, EndReason.LOGOUT),
        EndAll("user-1", START, EndReason.ENDED),
        Swap(session(), replace(session(), ended_at=START, end_reason=EndReason.REUSE)),
    ],
    ids=["End", "EndAll", "Swap"],
)
def test_ended_sessions_are_announced(store: PostgresStore, postgres_url: str, step: Any) -> None:
    """Every subscriber is notified at once, in other processes too, and only of what ended a session."""
    store.perform(Insert(session()))
    subscription = PostgresStore(postgres_url).subscribe()
    other = open_async_store(postgres_url)

    async def tell() -> list[bool]:
        assert isinstance(other, AsyncPostgresStore)
        hearing = await other.subscribe()
        waiting = asyncio.create_task(hearing.wait(10))
        await asyncio.to_thread(store.perform, step)
        told = [await waiting]
        await asyncio.to_thread(store.perform, step)
        told.append(await hearing.wait(0.1))
        await hearing.close()
        await other.close()
        return told

    assert [True, False] == asyncio.run(tell())
    assert [True, False] == [subscription.wait(10), subscription.wait(0.1)]
    subscription.close()


def test_a_rotation_is_not_announced(store: PostgresStore) -> None:
    """Only endings are."""
    store.perform(Insert(session()))
    subscription = store.subscribe()
    store.perform(advance(session(), START + 1))
    store.perform(Swap(session(2), session(2, generation=3)))
    assert not subscription.wait(0.1)
    subscription.close()


def test_closing_a_subscription_ends_its_waiting(store: PostgresStore, postgres_url: str) -> None:
    """A waiting subscriber gets False, from another thread or another task."""
    subscription = store.subscribe()
    told: list[bool] = []
    waiting = threading.Thread(target=lambda: told.append(subscription.wait(PATIENCE)))
    waiting.start()
    time.sleep(0.05)
    subscription.close()
    waiting.join(PATIENCE)
    assert [False] == told

    async def closed() -> bool:
        hearing = await AsyncPostgresStore(postgres_url).subscribe()
        waiting = asyncio.create_task(hearing.wait(PATIENCE))
        await asyncio.sleep(0.05)
        await hearing.close()
        return await waiting

    assert asyncio.run(closed()) is False


def test_a_subscription_without_notifications_is_replaced_by_polling(postgres_url: str) -> None:
    """Where a pooler swallows announcements the store says so, and is polled."""
    with relayed(postgres_url, passes=lambda kind, _: kind != b"A") as (_, url):
        store = PostgresStore(url)
        with pytest.raises(StoreUnavailable, match="polled"):
            store.subscribe()
        store.close()

        async def subscribe() -> None:
            store = AsyncPostgresStore(url)
            try:
                await store.subscribe()
            finally:
                await store.close()

        with pytest.raises(StoreUnavailable, match="polled"):
            asyncio.run(subscribe())


# ---- poolers


def test_a_pooler_that_takes_no_options_gets_none(postgres_url: str) -> None:
    """Who refuses what a connection begins with is asked again without."""

    def startup(data: bytes) -> bytes | None:
        if b"statement_timeout" in data:
            return refusal("FATAL", "08P01", "unsupported startup parameter: options")
        return None

    with relayed(postgres_url, startup=startup) as (_, url):
        store = PostgresStore(url)
        store.perform(Insert(session()))
        assert session() == store.perform(Find(session().id))
        store.close()


def test_a_lost_prepared_statement_is_sent_again(store: PostgresStore) -> None:
    """Where a prepared statement is gone, the step is performed without one, and so are those that follow."""
    store.perform(Insert(session()))
    store.perform(Find(session().id))
    (connection,) = store._pool().idle._connections
    for _ in range(9):
        assert session() == store.perform(Find(session().id))
    connection.pgconn.exec_(b"DEALLOCATE ALL")  # unseen by psycopg, as a pooler does it
    assert session() == store.perform(Find(session().id))
    connection.pgconn.exec_(b"DEALLOCATE ALL")
    for generation in range(1, 3):
        before = session(generation=generation - 1, branch=b"branch-n" if generation > 1 else b"branch-0")
        assert store.perform(advance(before, START + generation)).moved


def test_nothing_is_prepared_or_set_for_a_pooler(postgres_url: str) -> None:
    """With ``pgbouncer=true`` a connection begins plainly, and prepares nothing."""
    begun: list[bytes] = []

    def startup(data: bytes) -> None:
        begun.append(data)

    with relayed(postgres_url, startup=startup) as (_, url):
        store = PostgresStore(f"{url}&pgbouncer=true")
        store.perform(Insert(session()))
        store.perform(End(session().id, START, EndReason.LOGOUT))
        with pytest.raises(StoreUnavailable, match="polled"):
            store.subscribe()
        store.close()
    assert [] == [each for each in begun if b"statement_timeout" in each or b"daypass_\x00" in each]
    assert not any(b"P\x00" in each and b"daypass_" in each.split(b"\x00")[0] for each in begun)


# ---- URLs


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@host:port/db",
        "postgresql://user:hun@ter2@host/db",
        "postgresql://user:hunter2@host/db?nonsense=1",
        "postgresql://user:hunter2@host/db?pool_size=none",
        "postgresql://user:hunter2@host/db?pool_size=0",
        "postgresql://user:hunter2@host/db?timeout=soon",
        "postgresql://user:hunter2@host/db?timeout=0s",
        "postgresql://user:hunter2@host/db?pgbouncer=perhaps",
        "postgres://user:hunter2@[::1/db",
    ],
)
def test_a_wrong_url_is_refused_and_not_shown(url: str) -> None:
    """The message says what is wrong with it, and contains no part of a password."""
    for opening in (open_store, open_async_store):
        with pytest.raises(ConfigurationError) as caught:
            opening(url)
        assert "ter2" not in f"{caught.value!r}"
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:hunter2@db.example.com:5433/app", "postgresql://ann@db.example.com:5433/app"),
        (
            "postgres://ann:hun%40ter2@one:1,two:2/app?target_session_attrs=read-write",
            "postgresql://ann@one:1,two:2/app",
        ),
        ("postgresql://db/app?password=hunter2&user=ann", "postgresql://ann@db/app"),
        ("postgresql:///app?host=/run/postgresql", "postgresql:///app?host=/run/postgresql"),
    ],
)
def test_a_store_shows_where_it_is_and_no_password(url: str, shown: str) -> None:
    """``repr`` names the database."""
    for opening in (open_store, open_async_store):
        text = repr(opening(url))
        assert text.endswith(f"{shown}>")
        assert "ter2" not in text


def test_the_url_says_how(postgres_url: str) -> None:
    """Pool size, timeout and pooler may be in the URL, which wins over the arguments."""
    store = PostgresStore(f"{postgres_url}&pool_size=3&timeout=250ms&pgbouncer=true", pool_size=7, timeout="9s")
    found = store._settings
    assert (3, 0.25, False) == (found.pool_size, found.timeout, found.prepares)
    assert (10, 5.0, True) == (
        POOL_SIZE,
        (plain := PostgresStore(postgres_url)._settings).timeout,
        plain.prepares,
    )


@pytest.mark.parametrize("opening", ["open_store", "open_async_store"])
def test_without_a_driver_it_says_what_to_install(opening: str) -> None:
    """The driver is imported when a URL needs it; if it is missing, the message has the command."""
    script = f"""
import sys; sys.modules["psycopg"] = None
from daypass import stores, ConfigurationError
try:
    stores.{opening}("postgresql://localhost/app")
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert 'pip install "daypass[postgres]"' in done.stdout


# ---- text


def test_text_that_postgresql_cannot_store(store: PostgresStore) -> None:
    """A NUL in a user agent is replaced; a name with one finds no user; in a subject it is an error."""
    store.perform(Insert(session(device=Device("a\0b", "c\0", "\0"))))
    found = store.perform(Find(session().id))
    assert found is not None
    assert Device("a\ufffdb", "c\ufffd", "\ufffd") == found.device
    assert store.perform_account(FindAccount("user\0")) is None
    with pytest.raises(ConfigurationError, match="NUL"):
        store.perform(Insert(session(2, subject="a\0b")))


def test_others_who_are_in_the_way_for_too_long(postgres_url: str) -> None:
    """A caller that waits for a lock until its time is up gets `StoreContended`."""
    store = PostgresStore(f"{postgres_url}&timeout=500ms")
    store.perform(Insert(session()))
    with connected(postgres_url) as other, other.transaction():
        other.execute("UPDATE daypass_sessions SET generation = 1")
        with pytest.raises(StoreContended):
            store.perform(advance(session(), START + 1))
    store.perform(AddKey(key(1)))
    store.close()


def test_a_driver_that_would_wait_forever_is_refused() -> None:
    """Psycopg before 3.3 does not look at a deadline while it waits."""
    program = "import psycopg; psycopg.__version__ = '3.2.13'; import daypass.stores.postgres"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ConfigurationError: psycopg 3.2.13 would wait for a frozen server forever" in done.stderr
