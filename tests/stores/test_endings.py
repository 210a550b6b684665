"""Revoked sessions on real servers: a verifier in any process refuses what another one has ended."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import uvloop

from daypass import User
from daypass.store_steps import Migrate
from daypass.stores.postgres import PostgresStore
from tests.servers import postgres

from ..servers import redis as servers
from .verifying import PATIENCE, Elsewhere, Tasks, Threads, elsewhere, four_ends

Verifier = Threads | Elsewhere


def eventually(holds: Callable[[], object]) -> None:
    """Wait until a condition holds that becomes true without a call."""
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.01)


class Postgres:
    """A PostgreSQL server, and its failures."""

    def __init__(self) -> None:
        self._server = postgres.PostgresServer(settings={})
        self._server.start()
        self.url = self._server.url(timeout="2s")
        store = PostgresStore(self.url)
        store.perform(Migrate())
        store.close()

    def deafen(self) -> int:
        """End the connections that listen; return how many."""
        return self._count("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")

    def connections(self) -> int:
        """Return how many connections of Daypass there are."""
        return self._count("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'daypass'")

    def _count(self, query: str) -> int:
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def kill(self) -> None:
        """Kill the server."""
        self._server.kill()

    def start(self) -> None:
        """Start it again."""
        self._server.start()

    def remove(self) -> None:
        """Remove it."""
        self._server.remove()


class Redis:
    """A Redis server, or a cluster, and its failures."""

    def __init__(self, url: str, *every: servers.Server, options: str = "?timeout=2") -> None:
        self.url = url + options
        self._every = every

    def deafen(self) -> int:
        return sum(self._each(lambda client: client.client_kill_filter(_type="pubsub")))

    def connections(self) -> int:
        """Return how many connections of clients there are, without this one."""
        return sum(self._each(lambda client: len(client.client_list(_type="normal")) - 1)) + sum(
            self._each(lambda client: len(client.client_list(_type="pubsub")))
        )

    def _each(self, ask: Callable[[Any], Any]) -> list[int]:
        answers = []
        for server in self._every:
            with server.client as client:
                answers.append(int(ask(client)))
        return answers

    def kill(self) -> None:
        for server in self._every:
            server.kill()

    def start(self) -> None:
        for server in self._every:
            server.start()


Place = Postgres | Redis


@pytest.fixture(scope="module")
def places() -> Iterator[Callable[[str], Place]]:
    """Give what returns the servers of a kind, which are started when they are first asked for."""
    with contextlib.ExitStack() as stack:
        made: dict[str, Place] = {}

        def make(kind: str) -> Place:
            if kind == "postgres":
                place = Postgres()
                stack.callback(place.remove)
                return place
            if kind == "redis":
                server = stack.enter_context(servers.Server("appendonly yes", "appendfsync always"))
                return Redis(server.url, server)
            cluster = stack.enter_context(servers.Cluster())
            return Redis(cluster.url, *cluster.servers)

        def get(kind: str) -> Place:
            if kind not in made:
                made[kind] = make(kind)
            return made[kind]

        yield get


@pytest.fixture(params=["postgres", "redis", "cluster"])
def place(request: pytest.FixtureRequest, places: Callable[[str], Place]) -> Place:
    return places(request.param)


@contextlib.contextmanager
def verifiers(url: str) -> Iterator[list[Verifier]]:
    """Give those who verify: threads, tasks on either event loop, and another process."""
    with contextlib.ExitStack() as stack:
        here = [Threads(url), Tasks(url), Tasks(url, uvloop.new_event_loop)]
        for each in here:
            stack.callback(each.close)
        yield [*here, stack.enter_context(elsewhere(url))]


def issuer(colour: str, url: str) -> Threads:
    return Threads(url) if colour == "threads" else Tasks(url)


@pytest.mark.parametrize("colour", ["threads", "tasks"])
def test_a_session_that_one_process_ends_is_refused_by_all(place: Place, colour: str) -> None:
    """By logout, by the user, all at once or because a token was reused; other sessions continue.

    All of them were listening, and none had to poll; when they are closed no connection is left.
    """
    ending = issuer(colour, place.url)
    with contextlib.closing(ending), verifiers(place.url) as every:
        stays = ending.ask("start", User("another")).access_token
        assert not any(each.refuses(stays) for each in every)
        for each in every:
            eventually(lambda each=each: each.listens)  # type: ignore[misc]
        for tokens, end in four_ends(ending):
            assert not any(each.refuses(tokens.access_token) for each in every)
            end()
            assert ending.refuses(tokens.access_token)
            for each in every:
                eventually(lambda each=each, tokens=tokens: each.refuses(tokens.access_token))  # type: ignore[misc]
        assert not any(each.refuses(stays) for each in every)
        assert [[]] * len(every) == [each.told for each in every]
    eventually(lambda: place.connections() == 0)


def test_a_connection_that_is_lost(place: Place) -> None:
    """An event says that it polls, and sessions that end meanwhile are refused; then it listens again."""
    ending = issuer("threads", place.url)
    with contextlib.closing(ending), verifiers(place.url) as every:
        tokens = [ending.ask("start", User("1")) for _ in range(2)]
        assert not any(each.refuses(tokens[0].access_token) for each in every)
        for each in every:
            eventually(lambda each=each: each.listens)  # type: ignore[misc]
        assert len(every) <= place.deafen()
        ending.ask("logout", tokens[0].refresh_token)
        for each in every:
            eventually(lambda each=each: each.refuses(tokens[0].access_token))  # type: ignore[misc]
            eventually(lambda each=each: ["polling", "listening"] == each.told)  # type: ignore[misc]
        ending.ask("logout", tokens[1].refresh_token)
        for each in every:
            eventually(lambda each=each: each.refuses(tokens[1].access_token))  # type: ignore[misc]
    eventually(lambda: place.connections() == 0)


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_server_that_is_killed(places: Callable[[str], Place], kind: str) -> None:
    """While the server is down, checks continue, and an event says that it cannot learn of ended sessions.

    When it is back, ended sessions are refused, before they listen again and afterwards.
    """
    place = places(kind)
    ending = issuer("tasks", place.url)
    with contextlib.closing(ending), verifiers(place.url) as every:
        tokens = [ending.ask("start", User("1")) for _ in range(3)]
        assert not any(each.refuses(tokens[0].access_token) for each in every)
        for each in every:
            eventually(lambda each=each: each.listens)  # type: ignore[misc]
        ending.ask("logout", tokens[2].refresh_token)
        place.kill()
        for each in every:
            eventually(lambda each=each: "cut_off" in each.told)  # type: ignore[misc]
        assert not any(each.refuses(tokens[0].access_token) for each in every)
        place.start()
        ending.ask("logout", tokens[0].refresh_token)
        for each in every:
            for number in (0, 2):
                eventually(lambda each=each, n=number: each.refuses(tokens[n].access_token))  # type: ignore[misc]
            eventually(lambda each=each: "listening" == each.told[-1])  # type: ignore[misc]
        ending.ask("logout", tokens[1].refresh_token)
        for each in every:
            eventually(lambda each=each: each.refuses(tokens[1].access_token))  # type: ignore[misc]
    eventually(lambda: place.connections() == 0)


def test_where_announcements_cannot_be_heard(places: Callable[[str], Place]) -> None:
    """As behind a pooler: the first event says that it polls, and ended sessions are refused."""
    place = places("postgres")
    ending = issuer("threads", place.url)
    with contextlib.closing(ending), verifiers(f"{place.url}&pgbouncer=true") as every:
        for tokens, end in four_ends(ending):
            assert not any(each.refuses(tokens.access_token) for each in every)
            end()
            for each in every:
                eventually(lambda each=each, tokens=tokens: each.refuses(tokens.access_token))  # type: ignore[misc]
        assert [["polling"]] * len(every) == [each.told for each in every]
        assert not any(each.listens for each in every)
    eventually(lambda: place.connections() == 0)
