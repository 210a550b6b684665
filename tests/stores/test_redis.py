"""Redis: one round trip, a session in one slot, late index entries are repaired, notifications arrive."""

import asyncio
import contextlib
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.crc import key_slot

from daypass import AsyncDaypass, ConfigurationError, Daypass, StoreUnavailable, TokenReused, TokenStale, User
from daypass.account_steps import AddAccount, FindAccount
from daypass.rotation import NEVER_ROTATED, Expectation
from daypass.session import Device, EndReason, Session
from daypass.store_steps import (
    AddKey,
    Advance,
    Advanced,
    End,
    EndAll,
    EndEveryone,
    Ending,
    Endings,
    Find,
    Insert,
    ListSessions,
    Migrate,
    Probe,
    ReadClock,
    ReadEndings,
    ReadKeys,
    StoreStep,
    Swap,
)
from daypass.stores import Announcing, AsyncAnnouncing, open_async_store, open_store
from daypass.stores.redis import AsyncRedisStore, RedisStore, layout
from daypass.stores.redis.layout import Layout, session_fields
from daypass.testing import START, Clock, account, advance, key, session, sweep

from ..servers import redis as servers
from ..servers.wire import Wire


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    """Give a server of these tests' own."""
    with servers.Server() as server:
        yield server


@pytest.fixture
def client(server: servers.Server) -> Iterator[redis.Redis]:
    """Give a client of the server, which is empty."""
    with server.client as client:
        client.flushall()
        client.script_flush()
        yield client


@pytest.fixture
def store(server: servers.Server, client: redis.Redis) -> Iterator[RedisStore]:
    """Give a store that is empty."""
    store = RedisStore(server.url)
    yield store
    store.close()


def raw(number: int) -> bytes:
    return bytes.fromhex(session(number).id)


def connections(client: redis.Redis) -> int:
    """Return how many other clients the server has."""
    return len(client.client_list()) - 1


# ---- one round trip


W = 5_000


def issuer(store: RedisStore, clock: Clock, events: list[str]) -> Daypass:
    """Return an issuer whose events are kept."""
    return Daypass(
        store,
        issuer="https://issuer.example",
        load_user=User,
        secret="s" * 32,
        clock=clock,
        on_event=lambda event: events.append(event.code.value),
        grace_period=W / 1000,
    )


def test_a_refresh_is_one_round_trip(server: servers.Server, client: redis.Redis) -> None:
    """Counted on the wire: *rotate*, *hold*, *repeat* and *stale* are one, *branch* and *reuse* are two."""
    counted: dict[str, int] = {}
    events: list[str] = []
    clock = Clock()
    with Wire(server.port) as wire:
        store = RedisStore(f"redis://127.0.0.1:{wire.port}")
        auth = issuer(store, clock, events)

        def refresh(text: str) -> str:
            before = wire.round_trips
            events.clear()
            try:
                return auth.refresh(text).refresh_token
            except (TokenReused, TokenStale):
                return text
            finally:
                counted[events[0]] = wire.round_trips - before

        first = auth.start(User("user-1")).refresh_token
        refresh(first)
        store.perform(Swap(session(), session()))  # now the scripts are known to the server
        clock.advance(W + 1)
        refresh(auth.start(User("user-1")).refresh_token)  # and the keys to the issuer
        clock.advance(W + 1)
        tokens = [auth.start(User("user-1")).refresh_token]
        for _ in range(3):
            clock.advance(W + 1)
            tokens.append(refresh(tokens[-1]))
        refresh(tokens[-1])  # held
        refresh(tokens[-2])  # repeated
        refresh(tokens[-3])  # stale
        clock.advance(W + 1)
        refresh(tokens[-2])  # branched: its successor was not used within the grace period
        for _ in range(3):
            clock.advance(W + 1)
            tokens.append(refresh(tokens[-1]))
        refresh(tokens[0])  # reused
        auth.close()
        store.close()
    assert {"rotated": 1, "held": 1, "repeated": 1, "stale": 1, "branched": 2, "reused": 2} == counted


MOMENTS = st.integers(START - 3, START + 3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stored=st.builds(
        session,
        generation=st.integers(0, 2) | st.just(2**53 - 1),
        branch=st.sampled_from([b"branch-0", b"branch-1"]),
        rotated_at=MOMENTS | st.just(NEVER_ROTATED),
        created_at=MOMENTS | st.just(0),
        expires_at=MOMENTS | st.just(2**53 - 1),
        ended_at=st.none() | MOMENTS,
        end_reason=st.just(EndReason.LOGOUT),
        idle_ttl=st.none() | st.integers(1, 5),
        ends_at=st.none() | MOMENTS,
    ),
    expected=st.builds(
        Expectation,
        generation=st.integers(0, 2) | st.just(2**53 - 1),
        branch=st.sampled_from([b"branch-0", b"branch-1"]),
        rotated_before=MOMENTS | st.integers(-5, 5),
    ),
    now=MOMENTS,
    idle_ttl=st.integers(1, 5) | st.just(2**52),
    absolute_ttl=st.integers(1, 5) | st.just(2**52 + 1),
    passive=st.booleans(),
)
def test_the_script_is_the_pure_rule(
    store: RedisStore,
    client: redis.Redis,
    stored: Session,
    expected: Expectation,
    now: int,
    idle_ttl: int,
    absolute_ttl: int,
    passive: bool,  # noqa: FBT001 - Hypothesis gives it by name
) -> None:
    """Whether `Advance` moves a session, and where to, is what the step itself says of it, at the edges too."""
    if stored.ended_at is None:
        stored = replace(stored, end_reason=None)
    stored = stored.within_own_times()
    client.delete(Layout("daypass").session(raw(1)))
    store.perform(Insert(stored))
    step = Advance(stored.id, expected, 7, b"branch-n", now, idle_ttl, absolute_ttl, passive)
    moved = step.moved(stored)
    answer = store.perform(step)
    if moved is None:
        assert Advanced(stored, moved=False) == answer
    else:
        assert Advanced(moved, moved=True, rotated_at=stored.rotated_at) == answer
    assert (moved or stored) == store.perform(Find(stored.id))


def test_lost_scripts_are_sent_again(store: RedisStore, client: redis.Redis) -> None:
    """A server that has lost the scripts, for example by a restart, gets them once."""
    store.perform(Insert(session()))
    store.perform(advance(session(), START + 1))
    client.script_flush()
    moved = store.perform(Find(session().id))
    assert moved is not None
    assert store.perform(advance(moved, START + 2)).moved
    client.script_flush()
    for number in range(2, 300):
        store.perform(Insert(session(number)))
    client.script_flush()
    assert 299 == len(store.perform(EndAll("user-1", START + 3, EndReason.ENDED)))


def test_a_lost_answer_does_not_take_ones_own_name(store: RedisStore) -> None:
    """If a user is added again because the answer was lost, the answer is that it was added; others get a refusal."""
    mine = account(1)
    assert [True, True] == [store.perform_account(AddAccount(mine)) for _ in range(2)]
    assert store.perform_account(AddAccount(replace(mine, password_hash="another"))) is False


# ---- the keys


def test_all_of_a_session_is_in_one_slot() -> None:
    """The keys that a script touches lie in one slot, whatever the id, and the slots are many."""
    names = Layout("daypass")
    ids = [os.urandom(16) for _ in range(500)] + [bytes([byte]) + b"}{" * 7 + b"}" for byte in (0, 123, 125, 255)]
    slots = [(key_slot(names.session(each)), key_slot(names.endings(each[0]))) for each in ids]
    assert all(one == other for one, other in slots)
    assert 200 < len({one for one, _ in slots})
    assert 1 == len({key_slot(names.account("a}{b")), key_slot(names.account("c")), key_slot(names.names)})


def test_a_session_is_small(store: RedisStore, client: redis.Redis) -> None:
    """With a long browser's name too a session is one compact block, and no value in it is cut wrongly."""
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
    for number, text in enumerate((agent, agent + "\u00e9" * 100, "x" * 64, "x" * 65, "", None), start=1):
        each = session(number, device=Device("Ada's laptop", text, "2001:db8::1"), subject=f"user-{'s' * 200}")
        store.perform(Insert(each))
        assert each == store.perform(Find(each.id))
        assert client.object("encoding", Layout("daypass").session(raw(number))) in (b"ziplist", b"listpack")
    assert 6 == len(store.perform(EndAll(f"user-{'s' * 200}", START, EndReason.ENDED)))


def test_nothing_expires_by_the_servers_clock(store: RedisStore, client: redis.Redis) -> None:
    """No key has a time to live: time is passed in, and what may be evicted is nothing."""
    store.perform(Insert(session(1, expires_at=START + 1)))
    store.perform(End(session(1).id, START, EndReason.LOGOUT))
    store.perform(sweep(START))
    keys = list(client.scan_iter())
    assert 6 == len(keys)
    assert {-1} == {client.ttl(key) for key in keys}


def test_a_store_that_is_too_new_is_refused(store: RedisStore, client: redis.Redis) -> None:
    """Data of a later Daypass is touched by no step; an empty server needs nothing to be made."""
    assert layout.VERSION == store.perform(Migrate())
    store.close()
    client.set("daypass:{schema}", 99)
    every: list[StoreStep[Any]] = [Migrate(), Find(session().id), Insert(session())]
    for step in every:
        with pytest.raises(
            ConfigurationError, match=f"needs a Daypass that knows schema 99, and this one knows {layout.VERSION}"
        ):
            store.perform(step)
    assert {b"daypass:{schema}", b"daypass:{schema}:version"} == set(client.scan_iter())


def test_an_older_node_works_beside_this_one(store: RedisStore, client: redis.Redis) -> None:
    """Version 1 compares ``{schema}`` with the version that it knows, so that key stays 1 in all versions."""
    client.set("daypass:{schema}", 1)
    assert layout.VERSION == store.perform(Migrate())
    assert (b"1", b"%d" % layout.VERSION) == (client.get("daypass:{schema}"), client.get("daypass:{schema}:version"))


def test_own_times_hold_whatever_an_older_node_has_written(store: RedisStore, client: redis.Redis) -> None:
    """A node of the version before gives a session the policy's idle time; this one goes by the session's own."""
    own = session(idle_ttl=600_000, ends_at=START + 3_000_000, expires_at=START + 600_000)
    store.perform(Insert(own))
    client.hset(Layout("daypass").session(raw(1)), mapping={"g": 1, "r": START + 1000, "x": START + 3_600_000})
    refreshed = replace(own, generation=1, rotated_at=START + 1000, expires_at=START + 601_000)
    assert refreshed == store.perform(Find(own.id))
    assert not store.perform(advance(refreshed, START + 601_000)).moved
    assert store.perform(advance(refreshed, START + 600_999)).moved


# ---- the index of a user's sessions


def test_a_lagging_index_is_repaired(store: RedisStore, client: redis.Redis) -> None:
    """Members without a session are dropped once they are a minute old; what ended is dropped at once."""
    index = Layout("daypass").index("user-1")
    for number in range(1, 5):
        store.perform(Insert(session(number, created_at=START + number)))
    client.delete(Layout("daypass").session(raw(1)), Layout("daypass").session(raw(2)))
    client.zadd(index, {raw(2): START + 60_000})
    store.perform(End(session(3).id, START + 5, EndReason.LOGOUT))
    listed = store.perform(ListSessions("user-1", START + 60_002))
    assert [session(4).id] == [each.id for each in listed]
    assert {raw(2), raw(4)} == set(client.zrange(index, 0, -1))
    store.perform(ListSessions("user-1", START + 200_000))
    assert [raw(4)] == client.zrange(index, 0, -1)


def test_a_lost_index_is_made_anew(store: RedisStore, client: redis.Redis) -> None:
    """What lives and is missing from its user's index is there again after a sweep."""
    for number in (1, 2):
        store.perform(Insert(session(number)))
    store.perform(End(session(2).id, START, EndReason.LOGOUT))
    client.delete(Layout("daypass").index("user-1"))
    assert () == store.perform(ListSessions("user-1", START))
    store.perform(sweep(START))
    assert (session(1),) == store.perform(ListSessions("user-1", START))


# ---- one user with very many sessions


MANY = 200_000


FILL = """
for number = ARGV[1], ARGV[2] do
  local id, created_at = string.rep('\\0', 12) .. struct.pack('>I4', number), ARGV[3] + math.floor(number / 500)
  redis.call('HSET', KEYS[1] .. id, unpack(ARGV, 4))
  redis.call('HSET', KEYS[1] .. id, 't', string.format('%.0f', created_at))
  redis.call('ZADD', KEYS[2], created_at, id)
end
"""


def fill(client: redis.Redis, count: int) -> None:
    """Give user-1 the sessions 1 to ``count``, of which 500 at a time were created in the same millisecond."""
    names = Layout("daypass")
    keys = (names.session(bytes(16))[:-16], names.index("user-1"))
    for start in range(0, count, 10_000):
        last = min(start + 10_000, count)
        client.eval(FILL, 2, *keys, start + 1, last, START, *session_fields(session()))


def test_a_user_with_200_000_sessions_slows_nobody_down(server: servers.Server, client: redis.Redis) -> None:
    """Pages are small and quick, all sessions are ended batch by batch, and others refresh meanwhile."""
    fill(client, MANY)
    store, other = RedisStore(server.url), RedisStore(server.url)
    page = store.perform(ListSessions("user-1", START, limit=100))
    after = (page[-1].created_at, page[-1].id)
    following = store.perform(ListSessions("user-1", START, limit=100, after=after))
    newest = [session(number).id for number in range(MANY, MANY - 200, -1)]
    assert newest == [each.id for each in (*page, *following)]

    done = threading.Event()

    def end_all() -> list[str]:
        ended: list[str] = []
        while not done.is_set():
            batch = store.perform(EndAll("user-1", START, EndReason.ENDED, limit=1_000))
            ended.extend(batch)
        return ended

    moved, longest, until = session(MANY + 1, subject="another"), 0.0, time.monotonic() + 3
    other.perform(Insert(moved))
    with ThreadPoolExecutor() as pool, contextlib.ExitStack() as stack:
        ending = pool.submit(end_all)
        stack.callback(done.set)
        while time.monotonic() < until:
            started = time.monotonic()
            answer = other.perform(advance(moved, max(START, moved.rotated_at + 1)))
            longest = max(longest, time.monotonic() - started)
            assert answer.moved
            assert answer.session is not None
            moved = answer.session
    ended = ending.result()
    assert 1_000 <= len(ended) == len(set(ended))
    assert client.zcard(Layout("daypass").index("user-1")) == MANY - len(ended)
    assert longest < 1
    store.close()
    other.close()


def test_every_session_of_a_page_boundary_is_listed_once(store: RedisStore, client: redis.Redis) -> None:
    """Pages go on at the right place among sessions of the same moment, also after the last one of a page has ended."""
    fill(client, 2_000)
    listed: list[str] = []
    after: tuple[int, str] | None = None
    while page := store.perform(ListSessions("user-1", START + 10, limit=130, after=after)):
        listed += [each.id for each in page]
        after = (page[-1].created_at, page[-1].id)
        store.perform(End(page[-1].id, START + 10, EndReason.LOGOUT))
        client.zrem(Layout("daypass").index("user-1"), bytes.fromhex(page[-1].id))
    assert [session(number).id for number in range(2_000, 0, -1)] == listed


# ---- the sweep


def test_thousands_are_swept_batch_by_batch(store: RedisStore, client: redis.Redis) -> None:
    """The position is kept in the store, expired sessions are removed completely, and live ones stay unchanged."""
    now = START + 7_200_000
    over = [session(number * 2**104 + 7, subject=f"user-{number % 900}") for number in range(2_900)]
    stay = [session(number * 2**104 + 9, subject="user-9", expires_at=now + 1) for number in range(100)]
    for each in (*over, *stay):
        store.perform(Insert(each))
    removed = batches = 0
    whole = False
    while not whole:
        swept = RedisStore.perform(store, sweep(now, batch=200))
        removed, batches, whole = removed + swept.removed, batches + 1, swept.whole
        assert swept.removed <= 400  # SCAN may give somewhat more than it was asked for
        if batches == 5:
            store.close()  # another node continues where this one stopped
    assert 2_900 == removed
    assert 10 < batches < 40
    assert 100 == len(store.perform(ListSessions("user-9", now)))
    assert 100 + 1 + 3 == client.dbsize()  # and one index, the sweep, the schema's two


def test_endings_do_not_pile_up(store: RedisStore, client: redis.Redis) -> None:
    """A sweep drops endings that are more than a day old; the sessions are still known as ended."""
    day = 86_400_000
    for number in range(1, 4):
        store.perform(Insert(session(number)))
        store.perform(End(session(number).id, START + number * day, EndReason.LOGOUT))
    now = START + 3 * day
    store.perform(sweep(now, absolute_ttl=100 * day))
    assert Endings((Ending(session(3).id, now),)) == store.perform(ReadEndings(START + 2 * day))
    assert [raw(2), raw(3)] == client.zrange(Layout("daypass").endings(0), 0, -1)
    found = store.perform(Find(session(1).id))
    assert found is not None
    assert EndReason.LOGOUT is found.end_reason


def test_an_index_of_nobody_goes(store: RedisStore, client: redis.Redis) -> None:
    """Members of an index that are older than a session may be are dropped by the sweep, and the index with them."""
    store.perform(Migrate())
    client.zadd(Layout("daypass").index("user-1"), {raw(1): START})
    store.perform(sweep(START + 7_200_000 + 999))
    assert client.exists(Layout("daypass").index("user-1"))
    store.perform(sweep(START + 7_200_000 + 1000))
    assert not client.exists(Layout("daypass").index("user-1"))


# ---- subscriptions


@pytest.mark.parametrize("where", ["one server", "a cluster"])
def test_an_ending_is_heard_of(where: str, server: servers.Server, redis_cluster: str) -> None:
    """Every subscriber is notified within a moment when any process ends a session, by any step; of nothing else."""
    url = server.url if where == "one server" else redis_cluster
    with servers.prefix(url) as prefix:
        store, other = RedisStore(url, prefix=prefix), RedisStore(url, prefix=prefix)
        assert isinstance(store, Announcing)
        subscription = store.subscribe()
        for number in (1, 2, 3):
            other.perform(Insert(session(number)))
        assert subscription.wait(0.05) is False
        every: list[StoreStep[Any]] = [
            End(session(1).id, START, EndReason.LOGOUT),
            EndAll("user-1", START, EndReason.ENDED, keep=session(3).id),
        ]
        for step in every:
            other.perform(step)
            assert subscription.wait(5) is True
        while subscription.wait(0.05):
            pass  # one that was announced separately
        assert other.perform(End(session(1).id, START, EndReason.LOGOUT)) is None
        assert subscription.wait(0.05) is False
        subscription.close()
        assert subscription.wait(5) is False
        store.close()
        other.close()


async def test_an_ending_is_heard_of_by_tasks(server: servers.Server, redis_cluster: str) -> None:
    """The same on an event loop; a wait that is cancelled does the subscription no harm."""
    for url in (server.url, redis_cluster):
        with servers.prefix(url) as prefix:
            store = AsyncRedisStore(url, prefix=prefix)
            assert isinstance(store, AsyncAnnouncing)
            subscription = await store.subscribe()
            await store.perform(Insert(session()))
            assert await subscription.wait(0.05) is False
            waiting = asyncio.ensure_future(subscription.wait(30))
            await asyncio.sleep(0.05)
            waiting.cancel()
            await asyncio.wait([waiting])
            waiting = asyncio.ensure_future(subscription.wait(30))
            await store.perform(End(session().id, START, EndReason.LOGOUT))
            assert await asyncio.wait_for(waiting, 5) is True
            waiting = asyncio.ensure_future(subscription.wait(30))
            await asyncio.sleep(0.05)
            await subscription.close()
            assert await asyncio.wait_for(waiting, 5) is False
            await store.close()


async def test_endings_that_come_together_are_notified_once(server: servers.Server, client: redis.Redis) -> None:
    """A hundred that come while no subscriber waits become one notification, so that none pile up."""
    store = AsyncRedisStore(server.url)
    subscription = await store.subscribe()
    for number in range(100):
        await store.perform(Insert(session(number)))
        await store.perform(End(session(number).id, START, EndReason.LOGOUT))
    await asyncio.sleep(0.2)
    assert await subscription.wait(5) is True
    assert await subscription.wait(0.05) is False
    await subscription.close()
    await store.close()


async def test_a_lost_connection_is_reported(server: servers.Server, client: redis.Redis) -> None:
    """A waiting subscriber learns at once that the connection is lost, and may subscribe again."""
    with Wire(server.port) as wire:
        url = f"redis://127.0.0.1:{wire.port}"
        store, async_store = RedisStore(url), AsyncRedisStore(url)
        subscription, async_subscription = store.subscribe(), await async_store.subscribe()
        threading.Timer(0.1, wire.cut).start()
        with pytest.raises(StoreUnavailable):
            await async_subscription.wait(30)
        with pytest.raises(StoreUnavailable):
            subscription.wait(30)
        store.subscribe().close()
        await (await async_store.subscribe()).close()
        store.close()
        await async_store.close()


def test_a_silent_server_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription notices that the server does not answer any more, although the connection is open."""
    monkeypatch.setattr("daypass.stores.redis.subscriptions.SILENCE", 0.3)
    with servers.Server() as server:
        store = RedisStore(server.url)
        subscription = store.subscribe()
        for _ in range(3):
            assert subscription.wait(0.2) is False
        with server.frozen(), pytest.raises(StoreUnavailable, match="no sign of life"):
            any(subscription.wait(0.2) for _ in range(10))
        store.close()


# ---- connections


async def test_the_newer_protocol_of_redis_works_too(server: servers.Server, client: redis.Redis) -> None:
    """With ``protocol=3`` answers and announcements come in other forms."""
    url = f"{server.url}?protocol=3"
    store, async_store = RedisStore(url), AsyncRedisStore(url)
    subscription, async_subscription = store.subscribe(), await async_store.subscribe()
    for number in (1, 2):
        store.perform(Insert(session(number)))
    assert (await async_store.perform(advance(session(1), START + 1))).moved
    assert [2, 1] == [int(each.id, 16) for each in store.perform(ListSessions("user-1", START + 1))]
    clock = await async_store.perform(ReadClock())
    assert clock is not None
    assert abs(clock - time.time() * 1000) < 5_000
    assert (session(2).id, session(1).id) == store.perform(EndAll("user-1", START + 1, EndReason.ENDED))
    assert subscription.wait(5) is True
    assert await async_subscription.wait(5) is True
    assert 2 == store.perform(sweep(START + 8_000_000)).removed
    subscription.close()
    await async_subscription.close()
    store.close()
    await async_store.close()


def test_closing_gives_everything_back(server: servers.Server, client: redis.Redis) -> None:
    """A store that is closed has no connection left, nor has an event loop that ended without closing it."""
    store, async_store = RedisStore(server.url), AsyncRedisStore(server.url)
    store.perform(Find(session().id))
    store.subscribe().close()

    async def use() -> None:
        await asyncio.gather(*(async_store.perform(Find(session(n).id)) for n in range(20)))
        await async_store.subscribe()

    asyncio.run(use())
    asyncio.run(use())
    store.close()
    servers.until(lambda: connections(client) == 0, "the connections to be closed")
    assert store.perform(Find(session().id)) is None
    assert 1 == connections(client)
    store.close()


def test_several_event_loops_share_a_store(server: servers.Server, client: redis.Redis) -> None:
    """Loops in several threads at once each have their own connections, and get their own answers."""
    store = AsyncRedisStore(server.url)
    found: list[bool] = []

    async def use(number: int) -> None:
        for n in range(30):
            mine = session(number * 100 + n)
            await store.perform(Insert(mine))
            found.append(mine == await store.perform(Find(mine.id)))

    threads = [threading.Thread(target=lambda n=n: asyncio.run(use(n))) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [True] * 120 == found
    servers.until(lambda: connections(client) == 0, "the connections to be closed")


async def test_a_cancelled_tasks_answer_reaches_no_other_task(server: servers.Server, client: redis.Redis) -> None:
    """Cancelled at any moment: the next one gets its own answer, and connections do not pile up."""
    store = AsyncRedisStore(server.url, max_connections=4)
    every = [session(number) for number in range(1, 9)]
    for each in every:
        await store.perform(Insert(each))
    for turn in range(60):
        tasks = [asyncio.ensure_future(store.perform(Find(each.id))) for each in every]
        for _ in range(turn % 12):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.wait(tasks)
        assert every[1::2] == [task.result() for task in tasks[1::2]]
    assert every == list(await asyncio.gather(*(store.perform(Find(each.id)) for each in every)))
    servers.until(lambda: connections(client) <= 4, "the torn connections to be closed")
    await store.close()


async def test_those_who_wait_have_their_turn(server: servers.Server, client: redis.Redis) -> None:
    """More callers than connections: all are answered, with at most the allowed number of connections."""
    store = AsyncRedisStore(server.url, max_connections=3)
    answers = await asyncio.gather(*(store.perform(Find(session(n).id)) for n in range(1000)))
    assert [None] * 1000 == answers
    assert 1 <= connections(client) <= 3
    await store.close()


async def test_one_connection_is_enough(server: servers.Server, client: redis.Redis) -> None:
    """One step after another and many at once are answered by a single connection."""
    store = AsyncRedisStore(server.url, max_connections=1)
    for number in range(1, 20):
        await store.perform(Insert(session(number)))
    found = await asyncio.gather(*(store.perform(Find(session(number).id)) for number in range(1, 20)))
    assert [session(number) for number in range(1, 20)] == found
    assert 1 == connections(client)
    await store.close()


async def test_who_asks_at_once_is_answered_at_once(server: servers.Server, client: redis.Redis) -> None:
    """What tasks request in one turn of the loop shares its round trips; an error of one does not affect another."""
    with Wire(server.port) as wire:
        store = AsyncRedisStore(f"redis://127.0.0.1:{wire.port}")
        every = [session(number) for number in range(1, 17)]
        await asyncio.gather(*(store.perform(Insert(each)) for each in every))
        await store.perform(advance(every[0], START + 1))
        client.set(Layout("daypass").session(raw(99)), "no session")
        before = wire.round_trips
        asked: list[Awaitable[Any]] = [
            *(store.perform(advance(each, START + 2)) for each in every),
            store.perform(Find(session(99).id)),
        ]
        *answers, wrong = await asyncio.gather(*asked, return_exceptions=True)
        assert 2 >= wire.round_trips - before
        assert [False] + [True] * 15 == [isinstance(each, Advanced) and each.moved for each in answers]
        assert isinstance(wrong, StoreUnavailable)
        await store.close()


async def test_closing_while_others_ask_loses_nobody(server: servers.Server, client: redis.Redis) -> None:
    """A caller that asks while the store is being closed is answered, and nothing is left open."""
    store = AsyncRedisStore(server.url)
    for number in range(0, 60, 3):
        steps = [store.perform(Insert(session(number + n))) for n in range(3)]
        await asyncio.gather(steps[0], store.close(), steps[1], store.close(), steps[2])
    found = await store.perform(ListSessions("user-1", START))
    assert 60 == len(found)
    await store.close()
    servers.until(lambda: connections(client) == 0, "the connections to be closed")


def test_a_child_uses_no_socket_of_its_parent(server: servers.Server, client: redis.Redis) -> None:
    """After a fork both processes continue, each on its own connections, and neither gets the other's answers."""
    store = RedisStore(server.url)
    store.perform(Insert(session(1)))
    before = {each["id"] for each in client.client_list()}
    child = os.fork()
    if child == 0:
        status = 1
        try:
            right = all(store.perform(Find(session(1).id)) == session(1) for _ in range(200))
            others = {each["id"] for each in client.client_list()} - before
            store.close()
            status = 0 if right and others else 2
        finally:
            os._exit(status)
    for _ in range(200):
        assert store.perform(Find(session(2).id)) is None
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert session(1) == store.perform(Find(session(1).id))
    store.close()


# ---- URLs


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://ann:hunter2@localhost:7000/3", "localhost:7000"),
        ("rediss://:hunter2@example.com", "example.com:6379"),
        ("unix://:hunter2@/run/redis.sock?db=1", "/run/redis.sock"),
        ("redis://[::1]:7000", "[::1]:7000"),
        (
            "redis+sentinel://ann:hunter2@one:1,two/main/2?sentinel_password=hunter2",
            "one:1,two:26379/main",
        ),
        ("redis+cluster://ann:hunter2@one:1,two:2?prefix=app&timeout=2", "one:1,two:2"),
        ("valkey://:hunter2@localhost", "localhost:6379"),
        ("valkeys+cluster://:hunter2@one,two:2", "one:6379,two:2"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    """It is not in a repr of the store, in its attributes or in an error; the host is."""
    for store in (open_store(url), open_async_store(url)):
        assert shown in repr(store)
        assert isinstance(store, RedisStore | AsyncRedisStore)
        assert "hunter2" not in f"{store!r} {vars(store)!r} {store._settings!r}"


@pytest.mark.parametrize(
    "url",
    [
        "redis:",
        "redis:///x",
        "redis://ann:hunter2@host:port",
        "redis://ann:hunter2@host:99999999",
        "redis://ann:hunter2@one,two",
        "redis://:hunter2@host/0?no_such_option=1",
        "redis://:hunter2@host/0?decode_responses=1",
        "redis://:hunter2@host/0?socket_read_size=x",
        "redis://:hunter2@host/0?timeout=soon",
        "redis://:hunter2@host/0?protocol=4",
        "redis://:hunter2@host/0?ssl_ca_certs=/only/with/tls",
        "redis://:hunter2@host/0?socket_timeout=1",
        "redis://:hun/ter2@host",
        "redis://:hun#ter2@host",
        "redis://:hun?ter2@host",
        "valkeyss://:hunter2@host",
        "redis://:hunter2@host/0?timeout=0",
        "redis://:hunter2@host/0?max_connections=0",
        "redis://:hunter2@host/0?prefix=a%7Bb",
        "redis+sentinel://:hunter2@host:1",
        "redis+cluster://:hunter2@host:1/3",
        "redis+tower://:hunter2@host",
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    """A wrong configuration is reported at once, without the secret parts of the URL."""
    for opening in (open_store, open_async_store):
        with pytest.raises(ConfigurationError) as caught:
            opening(url)
        assert not re.search("hun.?ter2|ter2@", f"{caught.value!r} {caught.value.__cause__!r}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?timout=5", "unknown option in a Redis URL 'timout': did you mean 'timeout'"),
        ("?db=x", "invalid value of the option 'db' in a Redis URL"),
        ("?protocol=x", "invalid value of the option 'protocol' in a Redis URL"),
        ("?max_connections=many", "invalid max_connections 'many': expected a whole number, 1 or more"),
        ("?timeout=0", "invalid timeout '0': it must be above zero"),
        ("/app", "the Redis URL does not end in the number of a database"),
    ],
)
def test_a_mistake_in_an_option_is_named(options: str, message: str) -> None:
    """The message says which option it is and what to write."""
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        RedisStore(f"redis://host{options}")


@pytest.mark.parametrize(
    "option", ["ssl_ca_certs=/nowhere", "ssl_keyfile=", "ssl_cert_reqs=maybe", "ssl_check_hostname=2"]
)
def test_a_mistake_in_an_option_of_tls_is_named(option: str) -> None:
    """When the store is made, not when the first user logs in."""
    with pytest.raises(ConfigurationError, match=f"invalid value of the option '{option.partition('=')[0]}'"):
        RedisStore(f"rediss://host?{option}")


@pytest.mark.parametrize("written", ["?timeout=5", "?timeout=5s", "?timeout=5000ms"])
def test_a_timeout_is_written_as_everywhere(written: str) -> None:
    """A number of seconds, or a number and a unit; in Python too."""
    for store in (RedisStore(f"redis://host{written}"), RedisStore("redis://host", timeout="5s")):
        assert 5.0 == store._settings.timeout


def test_a_wrong_argument_is_no_type_error() -> None:
    """Whatever is given as URL, timeout or number of connections, the message says what is wrong."""
    wrong: list[Callable[[Any], RedisStore]] = [
        RedisStore,
        lambda value: RedisStore("redis://host", timeout=value),
        lambda value: RedisStore("redis://host", max_connections=value),
        lambda value: RedisStore("redis://host", prefix=value),
    ]
    for make in wrong:
        for value in (object(), b"5", [], True, ""):
            with pytest.raises(ConfigurationError):
                make(value)


async def test_a_valkey_url_opens_the_same_store(server: servers.Server, client: redis.Redis) -> None:
    """Servers of Valkey speak the protocol of Redis."""
    url = server.url.replace("redis:", "valkey:")
    store, async_store = open_store(url), open_async_store(url)
    store.perform(Insert(session()))
    assert session() == await async_store.perform(Find(session().id))
    store.close()
    await async_store.close()


def test_a_url_may_say_everything(server: servers.Server, client: redis.Redis) -> None:
    """Prefix, patience and connections come with the URL where only a URL can be given; an argument wins."""
    store = open_store(f"{server.url}?prefix=app&timeout=2.5&max_connections=1")
    assert isinstance(store, RedisStore)
    store.perform(Insert(session()))
    assert all(key.startswith(b"app:") for key in client.scan_iter())
    assert (2.5, 1) == (store._settings.timeout, store._settings.max_connections)
    assert 7.0 == RedisStore(f"{server.url}?timeout=2.5", timeout=7.0)._settings.timeout
    store.close()


def test_a_missing_driver_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-py the message says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for opening in (open_store, open_async_store):
        with pytest.raises(ConfigurationError, match=r"pip install .daypass\[redis\]."):
            opening("redis://localhost")


async def test_an_issuer_works_on_it(server: servers.Server, client: redis.Redis) -> None:
    """Login, refresh and logout through the whole core, its keys in Redis."""
    auth = AsyncDaypass(server.url, issuer="https://issuer.example", load_user=User, secret="s" * 32)
    tokens = await auth.start(User("user-1"))
    tokens = await auth.refresh(tokens.refresh_token)
    assert 1 == len(await auth.sessions("user-1"))
    await auth.logout(tokens.refresh_token)
    assert [] == list(await auth.sessions("user-1"))
    await auth.close()


def test_the_rights_that_the_docs_name_are_enough() -> None:
    """A user of Redis with just those rights can do every kind of step, subscribe included."""
    page = (Path(__file__).parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")
    found = re.search(r"`(~daypass:[^`]+)`", page)
    assert found is not None
    with servers.Server() as server, server.client as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">swordfish", *found[1].split())
        store = RedisStore(server.url.replace("//", "//app:swordfish@"))
        subscription = store.subscribe()
        every: list[StoreStep[Any]] = [
            Insert(session()),
            advance(session(), START + 1),
            ListSessions("user-1", START),
            AddKey(key()),
            ReadKeys(),
            Probe(),
            sweep(START),
            ReadEndings(START),
            ReadClock(),
            EndEveryone(START - 1000),
        ]
        for step in every:
            store.perform(step)
        assert store.perform_account(AddAccount(account()))
        assert account() == store.perform_account(FindAccount("user1"))
        assert (session().id,) == store.perform(EndAll("user-1", START, EndReason.ENDED))
        assert subscription.wait(5) is True
        subscription.close()
        store.close()
