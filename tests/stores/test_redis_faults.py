"""Redis that fails: down, frozen, full, read-only, killed; a refresh is refused or good, and never lost."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from daypass import Daypass, StoreUnavailable, User
from daypass.session import EndReason
from daypass.store_steps import End, EndAll, Endings, Find, Insert, ListSessions, Probe, ReadEndings, StoreStep, Swap
from daypass.stores.redis import AsyncRedisStore, RedisStore
from daypass.testing import START, Clock, advance, session, sweep

from ..servers import redis as servers

TIMEOUT = 0.6
"""The timeout of these stores, in seconds."""


@pytest.fixture
def server() -> Iterator[servers.Server]:
    """Give a server to do harm to."""
    with servers.Server() as server:
        yield server


class Both:
    """Both kinds of store on the same servers."""

    def __init__(self, url: str) -> None:
        self._store = RedisStore(url, timeout=TIMEOUT)
        self._async_store = AsyncRedisStore(url, timeout=TIMEOUT)
        self._runner = asyncio.Runner()

    def perform(self, step: StoreStep[Any]) -> list[Any]:
        """Return the answers of both, or the errors."""
        performing: list[Callable[[], Any]] = [
            lambda: self._store.perform(step),
            lambda: self._runner.run(self._async_store.perform(step)),
        ]
        return [_outcome(each) for each in performing]

    def close(self) -> None:
        self._store.close()
        self._runner.close()


def _outcome(perform: Callable[[], Any]) -> Any:
    try:
        return perform()
    except StoreUnavailable as error:
        return f"{error} {error.__cause__ or ''}"


@pytest.fixture
def both(server: servers.Server) -> Iterator[Both]:
    """Give both kinds of store on the server, with one session in it."""
    both = Both(server.url)
    both.perform(Insert(session()))
    yield both
    both.close()


def all_say(text: str, outcomes: list[Any]) -> bool:
    return all(isinstance(each, str) and text in each for each in outcomes)


def test_a_server_that_is_down_is_reported_and_comes_back(server: servers.Server, both: Both) -> None:
    """A caller gets an error within the deadline; when the server is back, the same stores work again."""
    server.kill()
    started = time.monotonic()
    assert all_say("it cannot be reached", both.perform(Find(session().id)))
    assert time.monotonic() - started < 2 * TIMEOUT + 0.5
    server.start()
    assert [None, None] == both.perform(Insert(session(2)))
    assert [session(2)] * 2 == both.perform(Find(session(2).id))


def test_a_restart_between_two_steps_is_not_noticed(server: servers.Server, both: Both) -> None:
    """A connection that was lost meanwhile is no reason to fail, nor is a server that has forgotten the scripts."""
    server.restart()
    assert [None, None] == both.perform(Insert(session(3)))
    server.restart()
    assert [(), ()] == both.perform(EndAll("user-1", START, EndReason.ENDED))


def test_a_frozen_server_keeps_nobody_beyond_the_deadline(server: servers.Server, both: Both) -> None:
    """Every kind of step, on old and new connections, ends in time; later no caller gets an old answer."""
    every: list[StoreStep[Any]] = [
        Find(session().id),
        advance(session(), START + 1),
        ListSessions("user-1", START),
        ReadEndings(START),
        sweep(START),
        Probe(),
    ]
    with server.frozen():
        for step in every:
            started = time.monotonic()
            outcomes = both.perform(step)
            assert all(isinstance(each, str) for each in outcomes)
            assert time.monotonic() - started < 2 * (TIMEOUT + 0.4)
    assert [None, None] == both.perform(Find(session(9).id))
    found = both.perform(Find(session().id))
    assert found[0] == found[1]
    assert found[0].id == session().id


def test_callers_of_a_frozen_server_get_an_error_in_time(server: servers.Server) -> None:
    """Those too who still wait for a connection; and then all of them are answered."""
    store = AsyncRedisStore(server.url, timeout=TIMEOUT, max_connections=2)

    async def ask() -> list[Any]:
        return await asyncio.gather(*(store.perform(Find(session(n).id)) for n in range(50)), return_exceptions=True)

    async def main() -> None:
        await ask()
        with server.frozen():
            started = time.monotonic()
            outcomes = await ask()
            assert {StoreUnavailable} == {type(each) for each in outcomes}
            assert time.monotonic() - started < TIMEOUT + 0.5
        assert [None] * 50 == await ask()

    asyncio.run(main())


def configure(server: servers.Server, **values: Any) -> None:
    with server.client as client:
        for name, value in values.items():
            client.config_set(name.replace("_", "-"), value)


def test_a_full_server_refuses_and_loses_nothing(server: servers.Server, both: Both) -> None:
    """A write is refused as a whole, nothing is evicted, reads continue; with room again everything works."""
    configure(server, maxmemory=1, maxmemory_policy="noeviction")
    writing: list[StoreStep[Any]] = [
        Insert(session(2)),
        advance(session(), START + 1),
        End(session().id, START, EndReason.LOGOUT),
        Probe(),
    ]
    for step in writing:
        assert all_say("it is full", both.perform(step))
    assert [session()] * 2 == both.perform(Find(session().id))
    assert [Endings(()), Endings(())] == both.perform(ReadEndings(START - 1))
    configure(server, maxmemory=0)
    assert [None, None] == both.perform(Probe())
    assert session() == both.perform(Find(session().id))[0]


def test_a_server_that_evicts_sessions_is_warned_of(server: servers.Server, caplog: pytest.LogCaptureFixture) -> None:
    """Once for each store and process; a server that evicts nothing, or nothing of ours, causes no warning."""
    for memory, policy in ((10**8, "noeviction"), (10**8, "volatile-lru"), (0, "allkeys-lru")):
        configure(server, maxmemory=memory, maxmemory_policy=policy)
        both = Both(server.url)
        both.perform(Insert(session()))
        both.close()
        assert [] == caplog.messages
    configure(server, maxmemory=10**8, maxmemory_policy="allkeys-lru")
    both = Both(server.url)
    for _ in range(2):
        both.perform(Insert(session()))
    both.close()
    assert 2 == len(caplog.messages)
    assert all("(allkeys-lru): set maxmemory-policy noeviction" in each for each in caplog.messages)


def test_missing_rights_of_the_redis_user_are_reported(server: servers.Server) -> None:
    """Nothing is decided then, and the message says that the rights are missing."""
    with server.client as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">swordfish", "~*", "&*", "+@all", "-hgetall", "-scan")
    both = Both(server.url.replace("//", "//app:swordfish@"))
    both.perform(Insert(session()))
    assert all_say("its user may not run a command of a script (ACL)", both.perform(Find(session().id)))
    assert all_say("its user may not run 'scan' (ACL)", both.perform(sweep(START, regardless=True)))
    both.close()


def test_a_replica_refuses_what_writes(server: servers.Server, both: Both) -> None:
    """A server that became a replica decides nothing, and is used again as soon as it is a master."""
    with servers.Server() as other:
        with server.client as client:
            client.replicaof("127.0.0.1", other.port)
            servers.until(lambda: client.info("replication")["master_link_status"] == "up", "the replica to follow")
        every: list[StoreStep[Any]] = [
            advance(session(), START + 1),
            End(session().id, START, EndReason.LOGOUT),
            EndAll("user-1", START, EndReason.ENDED),
            Swap(session(), session(generation=1)),
            Insert(session(2)),
            ReadEndings(START),
            Probe(),
        ]
        for step in every:  # although some of them find nothing there to be written
            assert all_say("it is a replica", both.perform(step))
        with server.client as client:
            client.replicaof("NO", "ONE")
        assert [None, None] == both.perform(Insert(session(2)))


def test_a_server_that_cannot_save_takes_no_writes(server: servers.Server, both: Both) -> None:
    """As Redis is configured when it keeps snapshots and the last one failed."""
    configure(server, save="3600 1")
    (server.folder / "dump.rdb").mkdir()
    with server.client as client:
        client.bgsave()
        servers.until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "the snapshot to fail")
    assert all_say("it cannot save", both.perform(Insert(session(2))))
    configure(server, save="")
    assert [None, None] == both.perform(Insert(session(2)))


def test_a_server_with_too_many_clients_is_reported(server: servers.Server) -> None:
    """A caller that gets no connection gets an error that says so; when others have left, the same stores work."""
    both = Both(server.url)
    configure(server, maxclients=3)
    others = [redis.Connection(port=server.port, protocol=2) for _ in range(3)]
    for each in others:
        each.connect()
    assert all_say("cannot be used", both.perform(Find(session().id)))
    for each in others:
        each.disconnect()
    time.sleep(0.1)
    assert [None, None] == both.perform(Find(session().id))
    both.close()


def test_a_wrong_password_is_reported_without_it(server: servers.Server) -> None:
    """The error says at once that it was refused, and does not contain it."""
    configure(server, requirepass="swordfish")
    for url in (server.url, server.url.replace("//", "//:hunter2@")):
        both = Both(url)
        for outcome in both.perform(Find(session().id)):
            assert "password" in outcome
            assert "hunter2" not in outcome
        both.close()
    both = Both(server.url.replace("//", "//:swordfish@"))
    assert [None, None] == both.perform(Find(session().id))
    both.close()


def test_a_busy_server_is_reported(server: servers.Server, both: Both) -> None:
    """While another program's script runs for too long, callers get an error; afterwards they are served."""
    configure(server, lua_time_limit=50)
    hog = redis.Connection(port=server.port, protocol=2)
    hog.connect()
    hog.send_command("EVAL", "while true do end", 0)
    time.sleep(0.2)
    assert all_say("it is busy", both.perform(Find(session().id)))
    with server.client as client:
        client.script_kill()
        servers.until(client.ping, "the script to end")
    hog.disconnect()
    assert [session()] * 2 == both.perform(Find(session().id))


# ---- killed


def issuer(store: RedisStore, clock: Clock, events: list[str]) -> Daypass:
    return Daypass(
        store,
        issuer="https://issuer.example",
        load_user=User,
        secret="s" * 32,
        clock=clock,
        on_event=lambda event: events.append(event.code.value),
    )


def test_answered_steps_survive_a_kill() -> None:
    """With ``appendfsync always`` no answered login or refresh is lost, however often the server is killed."""
    clock, events = Clock(), list[str]()
    with servers.Server("appendonly yes", "appendfsync always") as server:
        store = RedisStore(server.url)
        auth = issuer(store, clock, events)
        tokens = [auth.start(User(f"user-{n}")).refresh_token for n in range(5)]
        for _ in range(4):
            clock.advance(60_000)
            tokens = [auth.refresh(token).refresh_token for token in tokens]
            tokens.append(auth.start(User("another")).refresh_token)
            server.restart()
        clock.advance(60_000)
        events.clear()
        for token in tokens:
            auth.refresh(token)
        assert ["rotated"] * 9 == events
        auth.close()
        store.close()


def test_lost_seconds_log_nobody_out() -> None:
    """A server that lost its last writes heals: a client that refreshed meanwhile continues with its token."""
    clock, events = Clock(), list[str]()
    with servers.Server("appendonly yes", "appendfsync no") as server:
        store = RedisStore(server.url)
        auth = issuer(store, clock, events)
        tokens = [auth.start(User(f"user-{n}")).refresh_token for n in range(5)]
        clock.advance(60_000)
        tokens = [auth.refresh(token).refresh_token for token in tokens]
        time.sleep(0.1)
        file = next(server.folder.rglob("*.aof"))
        kept = file.read_bytes()
        for _ in range(3):
            clock.advance(60_000)
            tokens = [auth.refresh(token).refresh_token for token in tokens]
        late = auth.start(User("late")).refresh_token
        server.kill()
        file.write_bytes(kept)  # as after a crash of the machine: what was not synced is lost
        server.start()
        clock.advance(60_000)
        events.clear()
        for _ in range(3):
            tokens = [auth.refresh(token).refresh_token for token in tokens]
            clock.advance(60_000)
        assert ["healed"] * 5 + ["rotated"] * 10 == events
        with pytest.raises(Exception, match="the session is not known"):
            auth.refresh(late)  # the price: a login of the lost second is unknown
        auth.close()
        store.close()


def test_a_failover_logs_nobody_out() -> None:
    """When the master dies, the sentinels make the replica master, and refreshes work again within seconds."""
    clock, events = Clock(), list[str]()
    with servers.Sentinels() as group:
        store = RedisStore(group.url, timeout=2)
        async_store = AsyncRedisStore(group.url, timeout=2)
        auth = issuer(store, clock, events)
        subscription = store.subscribe()
        tokens = [auth.start(User(f"user-{n}")).refresh_token for n in range(5)]
        with asyncio.Runner() as runner:
            runner.run(async_store.perform(Find(session().id)))
            with group.master.client as client:
                client.wait(1, 1000)
            group.master.kill()
            with pytest.raises(StoreUnavailable):
                subscription.wait(30)
            clock.advance(60_000)
            events.clear()
            tokens = [refreshed_within(20, auth, token) for token in tokens]
            assert ["rotated"] * 5 == [event for event in events if event != "unavailable"]
            assert runner.run(async_store.perform(Find(session().id))) is None
            store.subscribe().close()
        auth.close()
        store.close()


def refreshed_within(seconds: float, auth: Daypass, token: str) -> str:
    until = time.monotonic() + seconds
    while True:
        try:
            return auth.refresh(token).refresh_token
        except StoreUnavailable:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_a_cluster_that_lost_a_server_serves_the_rest_of_it_again() -> None:
    """While a server of a cluster is down its sessions are unavailable; once it is back, all go on as they were."""
    lines = ("appendonly yes", "appendfsync always", "cluster-require-full-coverage no")
    every = [session(n * 2**120 + 1) for n in range(0, 256, 16)]
    with servers.Cluster(*lines) as cluster:
        both = Both(cluster.url)
        for each in every:
            both.perform(Insert(each))
        cluster.servers[0].kill()
        outcomes = [outcome for each in every for outcome in both.perform(Find(each.id))]
        assert {True, False} == {isinstance(outcome, str) for outcome in outcomes}
        cluster.servers[0].start()
        until = time.monotonic() + 15
        while any(isinstance(outcome, str) for each in every for outcome in both.perform(Find(each.id))):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert [[each] * 2 for each in every] == [both.perform(Find(each.id)) for each in every]
        both.close()


def test_a_frozen_server_of_a_cluster_delays_no_step_beyond_the_deadline() -> None:
    """Its sessions are unavailable in time, those of the other servers are found, and afterwards all are."""
    every = [session(n * 2**120 + 1) for n in range(0, 256, 16)]
    with servers.Cluster("cluster-require-full-coverage no") as cluster:
        both = Both(cluster.url)
        for each in every:
            both.perform(Insert(each))
        found = 0
        with cluster.servers[0].frozen():
            for each in every:
                started = time.monotonic()
                outcomes = both.perform(Find(each.id))
                assert time.monotonic() - started < 2 * (TIMEOUT + 0.5)
                found += [each, each] == outcomes
            assert 0 < found < len(every)
            for step in (ReadEndings(START), ListSessions("user-1", START), Probe()):
                started = time.monotonic()
                assert all(isinstance(each, str) for each in both.perform(step))
                assert time.monotonic() - started < 2 * (TIMEOUT + 0.5)
        until = time.monotonic() + 15
        while [[each] * 2 for each in every] != [both.perform(Find(each.id)) for each in every]:
            assert time.monotonic() < until
            time.sleep(0.1)
        both.close()


def test_killed_connections_fail_no_refresh(server: servers.Server) -> None:
    """An administrator may end connections at any time: the step is sent again."""
    clock, events, wrong = Clock(), list[str](), list[Exception]()
    store = RedisStore(server.url)
    auth = issuer(store, clock, events)
    done = threading.Event()

    def refresh(token: str) -> None:
        try:
            while not done.is_set():
                token = auth.refresh(token).refresh_token
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=refresh, args=(auth.start(User(f"user-{n}")).refresh_token,)) for n in range(4)]
    for thread in threads:
        thread.start()
    with server.client as client:
        for _ in range(30):
            client.client_kill_filter(_type="normal", skipme=True)
            clock.advance(40_000)
            time.sleep(0.05)
    done.set()
    for thread in threads:
        thread.join()
    assert [] == wrong
    assert events.count("rotated") > 30
    auth.close()
    store.close()


@pytest.mark.parametrize("where", ["one server", "sentinels", "a cluster"])
def test_a_late_answer_reaches_no_other_caller(where: str) -> None:
    """After a time-out the next step asks on another connection, so it never reads the answer to the step before."""
    group = {"one server": servers.Server, "sentinels": servers.Sentinels, "a cluster": servers.Cluster}[where]()
    with group:
        frozen = {"one server": [group], "sentinels": [getattr(group, "master", None)]}.get(
            where, getattr(group, "servers", [])
        )
        store = RedisStore(group.url, timeout=TIMEOUT, max_connections=1)
        async_store = AsyncRedisStore(group.url, timeout=TIMEOUT, max_connections=1)
        every = [session(number, subject=f"user-{number}") for number in (1, 2)]
        with asyncio.Runner() as runner:
            performing: list[Callable[[Any], Any]] = [
                store.perform,
                lambda step: runner.run(async_store.perform(step)),
            ]
            for perform in performing:
                for each in every:
                    perform(Insert(each))
                for _ in range(5):
                    with contextlib.ExitStack() as stack:
                        for server in frozen:
                            stack.enter_context(server.frozen())
                        with pytest.raises(StoreUnavailable):
                            perform(Find(every[0].id))
                    answer = _outcome(lambda perform=perform: perform(Find(every[1].id)))  # type: ignore[misc]
                    assert answer == every[1] or isinstance(answer, str)
            runner.run(async_store.close())
        store.close()
