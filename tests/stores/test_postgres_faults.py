"""PostgreSQL when things go wrong: frozen, killed, read-only, full, cut off; and callers that go away."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import uvloop

from daypass import ConfigurationError, Daypass, StoreUnavailable, User
from daypass.session import EndReason
from daypass.store_steps import End, Find, Insert, Migrate, Probe, StoreStep
from daypass.stores.postgres import AsyncPostgresStore, PostgresStore
from daypass.testing import START, advance, session
from tests.servers import postgres
from tests.servers.postgres import PostgresServer

from . import postgres_processes as processes
from .test_postgres import another, relayed

SOON = 3.5
"""Seconds within which a step with a timeout of half a second has to end; connecting is given two seconds."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Give a server that may be stopped, and is up again after each test; its disk is synced as usual."""
    server = PostgresServer(settings={"max_connections": "12", "superuser_reserved_connections": "0"})
    server.start()
    migrate(server.url())
    yield server
    server.remove()


@pytest.fixture
def url(server: PostgresServer) -> str:
    """Give the URL of its tables, which are empty."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("DELETE FROM daypass_sessions")
    return server.url(timeout="500ms")


def migrate(url: str) -> None:
    store = PostgresStore(url)
    store.perform(Migrate())
    store.close()


class Performing:
    """A store of either kind, performing in this thread; the async one has its own event loop."""

    def __init__(self, store: PostgresStore | AsyncPostgresStore, loop: Any = asyncio.new_event_loop) -> None:
        self.store = store
        self._runner = asyncio.Runner(loop_factory=loop)

    def perform(self, step: StoreStep[Any]) -> Any:
        """Perform ``step`` and return its answer."""
        if isinstance(self.store, PostgresStore):
            return self.store.perform(step)
        return self._runner.run(self.store.perform(step))

    def close(self) -> None:
        """Close the store."""
        if isinstance(self.store, PostgresStore):
            self.store.close()
        else:
            self._runner.run(self.store.close())

    def end(self) -> None:
        """Close the store and the event loop."""
        self.close()
        self._runner.close()


@pytest.fixture(params=["sync", "asyncio", "uvloop"])
def store(request: pytest.FixtureRequest, url: str) -> Iterator[Performing]:
    if request.param == "sync":
        performing = Performing(PostgresStore(url))
    else:
        loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
        performing = Performing(AsyncPostgresStore(url), loops[request.param])
    performing.perform(Insert(session()))
    yield performing
    performing.end()


def fails(store: Performing, reason: str) -> None:
    """Expect a step to come to an end soon, and to say that the store cannot be used, and why."""
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match=reason):
        store.perform(Find(session().id))
    assert time.monotonic() - started < SOON


def connections(url: str) -> int:
    """Return how many connections of Daypass the server has."""
    with psycopg.connect(url.partition("?")[0], autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'daypass'").fetchone()
    assert row is not None
    count: int = row[0]
    return count


def at_most(number: int, url: str) -> bool:
    """Return whether no more connections than this are left, now or soon: the server needs a moment to notice."""
    until = time.monotonic() + 20
    while (left := connections(url)) > number and time.monotonic() < until:
        time.sleep(0.02)
    return left <= number


def none_left(url: str) -> bool:
    """Return whether all connections are closed, now or soon."""
    return at_most(0, url)


def terminate(url: str) -> int:
    """End all connections of Daypass to the server, as an administrator; return how many there were."""
    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'daypass' AND datname = current_database()"
        )
        return len(ended.fetchall())


# ---- the server


def test_a_frozen_server_is_waited_for_no_longer_than_the_timeout(store: Performing, server: PostgresServer) -> None:
    """On an existing connection and on a new one; when the server continues, so does the store."""
    with server.frozen():
        fails(store, "did not answer in time")
        fails(store, "did not answer in time")
    assert session() == store.perform(Find(session().id))


def test_a_network_that_swallows_everything(url: str) -> None:
    """If nothing comes back, not even a refusal, a step ends by its timeout."""
    with relayed(url) as (relay, far):
        store = Performing(PostgresStore(far))
        store.perform(Insert(session()))
        relay.silent = True
        fails(store, "did not answer in time")
        fails(store, "did not answer in time")
        relay.silent = False
        assert session() == store.perform(Find(session().id))
        store.end()


def test_a_restart_fails_no_later_step(store: Performing, server: PostgresServer) -> None:
    """While it is down it is said so at once; the first step after that succeeds, on whatever connection."""
    server.stop()
    fails(store, "nobody listens")
    server.start()
    assert session() == store.perform(Find(session().id))
    server.stop()
    server.start()
    assert session() == store.perform(Find(session().id))


def test_connections_that_an_administrator_ends_are_replaced(store: Performing, url: str) -> None:
    """Not one step fails for it, neither the reads nor the writes."""
    for now in range(1, 4):
        assert terminate(url.partition("?")[0]) >= 1
        moved = store.perform(advance(session(generation=now - 1, branch=b"branch-n"), START + now))
        assert moved.session is not None
        terminate(url.partition("?")[0])
        store.perform(Insert(session(now + 1)))


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_a_connection_that_is_reset_in_the_middle(runner: Callable[[Any], Any], server: PostgresServer) -> None:
    """The server's last message comes together with the end of the connection: no caller waits for the deadline."""

    async def ask() -> None:
        store = AsyncPostgresStore(server.url(timeout="60s"))
        await store.perform(Probe())
        pid = backend(server)
        os.kill(pid, signal.SIGSTOP)
        asking = asyncio.ensure_future(store.perform(Probe()))
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGQUIT)  # as when another of the server's processes has crashed
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.3)  # noqa: ASYNC251 - the event loop is busy, and both have come when it looks again
        async with asyncio.timeout(20):
            with contextlib.suppress(StoreUnavailable):
                await asking
        await store.close()

    runner(ask())
    until = time.monotonic() + 20
    while True:  # until it has recovered
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(server.url()).close()
            return
        assert time.monotonic() < until
        time.sleep(0.05)


def backend(server: PostgresServer) -> int:
    """Return the one process of the server that serves Daypass."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        row = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'daypass'").fetchone()
    assert row is not None
    pid: int = row[0]
    return pid


def test_out_of_connections(store: Performing, url: str, server: PostgresServer) -> None:
    """If the server has no connection left, the error says so; later the store works again."""
    terminate(url.partition("?")[0])
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(psycopg.connect(server.url()))
        fails(store, "no connection left")
    time.sleep(0.1)
    assert session() == store.perform(Find(session().id))


def test_a_pool_whose_connections_are_all_in_use(url: str) -> None:
    """A caller gets a connection in its turn, or an error in time; there are never more than allowed."""
    store = PostgresStore(f"{url}&pool_size=1")
    store.perform(Insert(session()))
    pool = store._pool()
    assert pool._turns.acquire(5)
    with pytest.raises(StoreUnavailable, match="all 1 connections of the pool were busy"):
        store.perform(Find(session().id))
    with ThreadPoolExecutor(4) as callers:
        waiting = [callers.submit(store.perform, Find(session().id)) for _ in range(4)]
        time.sleep(0.1)
        pool._turns.release()
        assert [session()] * 4 == [each.result() for each in waiting]
    assert 1 == connections(url)
    store.close()


def test_a_standby_takes_over(url: str) -> None:
    """A read-only server is left for a writable one; until there is one, the error says so."""
    primary = PostgresServer(settings={})
    primary.start()
    try:
        migrate(primary.url())
        standby = PostgresServer(settings={}, copy_of=primary)
        try:
            standby.start()
            both = f"postgresql://daypass@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
            store = PostgresStore(f"{both}?target_session_attrs=read-write&timeout=2s")
            lone = PostgresStore(standby.url(timeout="2s"))
            with pytest.raises(StoreUnavailable, match="read-only"):
                lone.perform(Insert(session()))
            store.perform(Insert(session()))
            caught_up(primary, standby)
            primary.kill()
            with pytest.raises(StoreUnavailable, match="read-only"):
                store.perform(Find(session().id))
            standby.promote()
            assert store.perform(advance(session(), START + 1)).moved
            lone.perform(Insert(session(2)))
            for each in (store, lone):
                each.close()
        finally:
            standby.remove()
    finally:
        primary.remove()


def caught_up(primary: PostgresServer, standby: PostgresServer) -> None:
    """Wait until the standby has what the primary has."""
    with psycopg.connect(primary.url()) as there, psycopg.connect(standby.url(), autocommit=True) as here:
        position = there.execute("SELECT pg_current_wal_lsn()").fetchone()
        until = time.monotonic() + 10
        while here.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", position).fetchone() != (True,):
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_primary_that_becomes_read_only(store: Performing, url: str) -> None:
    """The error says so; its connections are closed, so that the next ones notice when it is writable again."""
    with psycopg.connect(url.partition("?")[0], autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        admin.execute("SELECT pg_reload_conf()")
        time.sleep(0.1)
        with pytest.raises(StoreUnavailable, match="read-only"):
            store.perform(Probe())
        admin.execute("SET default_transaction_read_only = off")
        admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
        admin.execute("SELECT pg_reload_conf()")
        time.sleep(0.1)
    store.perform(Probe())


FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON daypass_sessions EXECUTE FUNCTION full_disk()
"""


def test_a_disk_that_is_full(store: Performing, url: str) -> None:
    """What the server says of a full disk (here a trigger says so) is said; what can be read still is, and then all."""
    with psycopg.connect(url.partition("?")[0], autocommit=True) as admin:
        admin.execute(FULL)
        for step in (Insert(session(2)), advance(session(), START + 1)):
            with pytest.raises(StoreUnavailable, match="its disk is full"):
                store.perform(step)
        assert session() == store.perform(Find(session().id))
        admin.execute("DROP FUNCTION full_disk CASCADE")
    assert store.perform(advance(session(), START + 1)).moved


@pytest.mark.parametrize("victim", ["server", "node"])
def test_answered_steps_survive(victim: str) -> None:
    """If the server or a node is killed in the middle of traffic, no answered step is lost; a node recovers alone."""
    server = PostgresServer(settings={})
    server.start()
    migrate(server.url())
    try:
        for _ in range(3):
            inserted, advanced = traffic(server, victim)
            store = PostgresStore(server.url())
            assert inserted
            assert [] == [each for each in inserted if store.perform(Find(each)) is None]
            found = [store.perform(Find(each)) for each in advanced]
            assert [1] * len(advanced) == [each.generation for each in found if each is not None]
            store.close()
    finally:
        server.remove()


def traffic(server: PostgresServer, victim: str) -> tuple[list[str], list[str]]:
    """Return what a node said was inserted and advanced before the kill, and after it where the node lives on."""
    told: list[tuple[str, str]] = []
    with another(processes.refresh_for_ever, server.url(timeout="2s")) as (process, pipe):

        def listen(count: int) -> None:
            while count and pipe.poll(20):
                told.append(pipe.recv())
                count -= 1

        listen(300)
        if victim == "server":
            server.kill()
            server.start()
            listen(len(told) + 300)
        process.kill()
        with contextlib.suppress(EOFError, OSError):
            while pipe.poll(0.2):
                told.append(pipe.recv())
    return [each for what, each in told if what == "inserted"], [each for what, each in told if what == "advanced"]


def test_a_wrong_password_is_not_repeated(server: PostgresServer) -> None:
    """A refused login is one short error, without a secret."""
    store = PostgresStore(server.url("nowhere").replace("daypass@", "daypass:hunter2@"))
    with pytest.raises(StoreUnavailable, match="no such database") as caught:
        store.perform(Find(session().id))
    assert "hunter2" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_a_host_without_an_address() -> None:
    """If the name cannot be resolved, the store is unavailable."""
    for perform in (
        PostgresStore("postgresql://nowhere.invalid/app?timeout=2s").perform,
        lambda step: asyncio.run(AsyncPostgresStore("postgresql://nowhere.invalid/app?timeout=2s").perform(step)),
    ):
        with pytest.raises(StoreUnavailable, match="no address"):
            perform(Find(session().id))


def test_an_issuer_says_that_it_is_not_now(url: str, server: PostgresServer) -> None:
    """A refresh while the server is down ends nothing: the same token is good again when it is back."""
    auth = Daypass(PostgresStore(url), issuer="https://issuer.example", secret="s" * 32, load_user=User)
    tokens = auth.start(User("7"))
    server.stop()
    with pytest.raises(StoreUnavailable):
        auth.refresh(tokens.refresh_token)
    server.start()
    assert auth.refresh(tokens.refresh_token).session.generation == 1
    auth.close()


# ---- the callers


def test_closing_gives_all_back(store: Performing, url: str) -> None:
    """No connection is left on the server; performing a step opens one again."""
    assert connections(url) >= 1
    store.close()
    assert none_left(url)
    store.perform(Probe())
    assert 1 == connections(url)


def test_a_cancelled_task_leaves_a_good_connection(url: str) -> None:
    """A caller that is cancelled, waiting for a connection or for an answer, leaves every connection usable."""

    async def cancel_many() -> tuple[bool, list[Any]]:
        store = AsyncPostgresStore(f"{url}&pool_size=3")
        await store.perform(Insert(session()))
        for delay in (0, 0, 0.0005, 0.001, 0.002) * 6:
            tasks = [asyncio.create_task(store.perform(advance(session(2), START))) for _ in range(8)]
            await asyncio.sleep(delay)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        answers = await asyncio.gather(*(store.perform(Find(session().id)) for _ in range(12)))
        bounded = await asyncio.to_thread(at_most, 3, url)
        await store.close()
        return bounded, answers

    bounded, answers = asyncio.run(cancel_many())
    assert bounded
    assert [session()] * 12 == answers
    assert none_left(url)


def test_an_event_loop_that_ends_in_the_middle(url: str) -> None:
    """One after another uses the store and ends, without closing it, with steps on their way; the next has its own."""
    store = AsyncPostgresStore(url)

    async def leave() -> None:
        await store.perform(Insert(session()))
        for _ in range(5):
            asyncio.ensure_future(store.perform(Find(session().id)))  # noqa: RUF006 - nothing waits for it
        await asyncio.sleep(0)

    for _ in range(4):
        asyncio.run(leave())
        assert connections(url) <= 10
    asyncio.run(store.close())
    gc.collect()
    assert none_left(url)


def test_event_loops_at_once(url: str) -> None:
    """Each event loop has its own connections, and any of them may close the store."""
    store = AsyncPostgresStore(f"{url}&pool_size=2")
    loops = 3
    met = threading.Barrier(loops)

    async def work(number: int) -> list[Any]:
        every = [session(number * 100 + each) for each in range(10)]
        await asyncio.gather(*(store.perform(Insert(each)) for each in every))
        found = await asyncio.gather(*(store.perform(Find(each.id)) for each in every))
        await asyncio.to_thread(met.wait, 20)
        await store.close()
        return [every == found]

    with ThreadPoolExecutor(loops) as threads:
        assert [[True]] * loops == list(threads.map(lambda number: asyncio.run(work(number)), range(loops)))
    asyncio.run(store.close())
    assert none_left(url)


def test_both_sides_of_a_fork(url: str) -> None:
    """A child opens its own connections, and does not touch its parent's, in use or not, also when it ends."""
    store = PostgresStore(url)
    store.perform(Insert(session()))
    before = backends(store)
    child = os.fork()
    if not child:
        status = 1
        with contextlib.suppress(BaseException):
            found = store.perform(Find(session().id))
            store.close()
            gc.collect()
            status = 0 if found == session() else 2
        os._exit(status)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert session() == store.perform(Find(session().id))
    assert before == backends(store)
    store.close()


def backends(store: PostgresStore) -> list[int]:
    """Return which processes of the server the store is connected to."""
    return [connection.info.backend_pid for connection in store._pool().idle._connections]


def test_an_interrupted_thread_leaves_nothing(url: str) -> None:
    """Ctrl-C in the middle of a step ends it; the next one has another connection and its own answer."""
    store = PostgresStore(f"{url}&pool_size=1&timeout=20s")
    store.perform(Insert(session()))
    with psycopg.connect(url.partition("?")[0]) as other:
        other.execute("UPDATE daypass_sessions SET generation = 1")
        here = threading.get_ident()
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
        threading.Timer(0.2, signal.pthread_kill, [here, signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            store.perform(advance(session(), START + 1))
        signal.signal(signal.SIGINT, before)
        other.rollback()
    assert session().id == getattr(store.perform(Find(session().id)), "id", None)
    store.close()


def test_one_who_may_not_do_that(url: str) -> None:
    """A right that is missing is said, and no statement."""
    with psycopg.connect(url.partition("?")[0], autocommit=True) as admin:
        admin.execute("CREATE ROLE reader LOGIN; GRANT SELECT ON daypass_schema TO reader")
    try:
        store = PostgresStore(url.replace("daypass@", "reader@"))
        with pytest.raises(StoreUnavailable, match="may not do that"):
            store.perform(Insert(session()))
        store.close()
    finally:
        with psycopg.connect(url.partition("?")[0], autocommit=True) as admin:
            admin.execute("DROP OWNED BY reader; DROP ROLE reader")


def test_something_else_that_listens_there() -> None:
    """If the other program ends the connection or says nothing, the store is unavailable."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        store = Performing(PostgresStore(f"postgresql://127.0.0.1:{listening.getsockname()[1]}/app?timeout=500ms"))
        fails(store, "did not answer in time")


def test_a_database_without_tables_is_no_outage(server: PostgresServer) -> None:
    """Tables that are missing are a mistake of set-up, which waiting does not cure."""
    with pytest.raises(ConfigurationError, match="daypass store migrate"):
        PostgresStore(postgres.empty(server.url())).perform(Find(session().id))


# ---- announcements


def test_subscription_outlasts_the_timeout_of_a_step(url: str) -> None:
    """A timeout is for the steps of a store: a subscription waits for as long as it is asked to."""
    url = f"{url}{'&' if '?' in url else '?'}timeout=500ms"
    subscription = PostgresStore(url).subscribe()
    assert not subscription.wait(1.2)
    subscription.close()

    async def wait() -> bool:
        awaited = await AsyncPostgresStore(url).subscribe()
        try:
            return await awaited.wait(1.2)
        finally:
            await awaited.close()

    assert not asyncio.run(wait())


def test_a_subscription_reports_that_its_connection_is_lost(url: str) -> None:
    """A waiting subscriber gets an error at once, and may subscribe again."""
    store = PostgresStore(url)
    subscription = store.subscribe()
    ending = threading.Timer(0.1, terminate, [url.partition("?")[0]])
    ending.start()
    with pytest.raises(StoreUnavailable, match="no longer arrive"):
        subscription.wait(30)
    subscription.close()
    ending.join()

    async def lost() -> None:
        hearing = await AsyncPostgresStore(url).subscribe()
        asyncio.get_running_loop().call_later(0.1, terminate, url.partition("?")[0])
        with pytest.raises(StoreUnavailable, match="no longer arrive"):
            await hearing.wait(30)
        await hearing.close()

    asyncio.run(lost())
    store.subscribe().close()
    store.close()


def test_sessions_end_where_nothing_can_be_announced(url: str) -> None:
    """If the server has no NOTIFY, or does not permit it, sessions still end."""
    with psycopg.connect(url.partition("?")[0], autocommit=True) as connection:
        connection.execute("CREATE ROLE silent LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO silent")
        connection.execute("REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC")
    try:
        quiet = PostgresStore(url.replace("daypass@", "silent@"))
        store = PostgresStore(url)
        store.perform(Insert(session(1)))
        store.perform(Insert(session(2)))
        for number in (1, 2):
            assert quiet.perform(End(session(number).id, START, EndReason.LOGOUT)) is not None
        with pytest.raises(StoreUnavailable):
            quiet.subscribe()
        quiet.close()
        store.close()
    finally:
        with psycopg.connect(url.partition("?")[0], autocommit=True) as connection:
            connection.execute("GRANT EXECUTE ON FUNCTION pg_notify TO PUBLIC; DROP OWNED BY silent; DROP ROLE silent")
