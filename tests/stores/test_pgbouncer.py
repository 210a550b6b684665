"""PostgreSQL behind a real pgbouncer that gives each transaction another connection."""

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from daypass import StoreError, StoreUnavailable
from daypass.store_steps import Find, Insert, Migrate
from daypass.stores.postgres import AsyncPostgresStore, PostgresStore
from daypass.testing import START, AsyncStoreContract, StoreContract, advance, session
from tests.servers import pgbouncer
from tests.servers.postgres import CLEAR, PostgresServer

TIMEOUT = 3.0


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Give a server that may be restarted."""
    server = PostgresServer()
    server.start()
    store = PostgresStore(server.url())
    store.perform(Migrate())
    store.close()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def pooled(server: PostgresServer) -> Iterator[str]:
    """Give the URL of the pooler."""
    with pgbouncer.before(server) as url:
        yield f"{url}&timeout={TIMEOUT}"


@pytest.fixture
def url(pooled: str, server: PostgresServer) -> str:
    """Give the URL of empty tables by way of the pooler."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(CLEAR)
    return pooled


class TestPgbouncer(StoreContract):
    @pytest.fixture
    def store(self, url: str) -> Iterator[PostgresStore]:
        store = PostgresStore(url)
        yield store
        store.close()


class TestAsyncPgbouncer(AsyncStoreContract):
    @pytest.fixture
    def async_store(self, url: str) -> AsyncPostgresStore:
        return AsyncPostgresStore(url)


def test_tables_are_made_through_a_pooler(url: str) -> None:
    """Also where each transaction has another connection."""
    store = PostgresStore(url)
    assert store.perform(Migrate()) == store.perform(Migrate())
    store.close()


def test_pooler_is_recognised_without_an_option(url: str) -> None:
    """Without ``pgbouncer=true`` the first refusals are learnt from, and no step fails."""
    store = PostgresStore(url.replace("pgbouncer=true&", ""))
    store.perform(Insert(session()))
    for generation in range(1, 30):
        before = session(generation=generation - 1, branch=b"branch-n" if generation > 1 else b"branch-0")
        assert store.perform(advance(before, START + generation)).moved
    store.close()


def test_announcements_are_polled_for(url: str) -> None:
    """A pooler has no LISTEN: the store says so, and its users poll."""
    with pytest.raises(StoreUnavailable, match="polled"):
        PostgresStore(url).subscribe()


def test_every_caller_is_served_soon_after_a_restart(url: str, server: PostgresServer) -> None:
    """Under load, with more callers than connections, no caller waits longer than the timeout plus two seconds."""
    store = PostgresStore(url)
    store.perform(Insert(session()))
    over = threading.Event()
    served: dict[int, float] = {}
    back_at = float("inf")

    def call(number: int) -> None:
        while not over.is_set():
            began = time.monotonic()
            try:
                store.perform(Find(session().id))
            except StoreError:
                over.wait(0.05)
            else:
                if began > back_at:
                    served.setdefault(number, time.monotonic() - back_at)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(16)]
    for each in callers:
        each.start()
    time.sleep(0.3)
    server.stop()
    time.sleep(1.5)
    server.start()
    back_at = time.monotonic()
    until = back_at + TIMEOUT + 2
    while len(served) < len(callers) and time.monotonic() < until:
        time.sleep(0.05)
    over.set()
    for each in callers:
        each.join()
    store.close()
    assert set(range(16)) == set(served)
