"""Users of the team's own: a webhook, whose server may be down, slow or lying; and a table found by SQL."""

# ruff: noqa: S608 - statements of a test, put together from its own names

import asyncio
import base64
import hashlib
import hmac
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import argon2
import httpx2
import psycopg
import pytest

from daypass import ConfigurationError
from daypass.errors import StoreUnavailable
from daypass.server import settings
from daypass.server.user_query import UserQuery
from daypass.server.webhook import Webhook
from tests.servers import postgres

from .processes import PASSWORD, SECRET, running

SIGNING = "the-secret-that-signs-requests-to-the-webhook"
ALICE = {"subject": "4711", "username": "alice", "email": "alice@example.com", "claims": {"team": "blue"}}
LOGIN = {"username": "alice", "password": PASSWORD}


class TeamServer(ThreadingHTTPServer):
    """The team's service, which checks each signature and answers as a test wants."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.asked: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], tuple[int, bytes]] = self.honest
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/users"

    def honest(self, asked: dict[str, Any]) -> tuple[int, bytes]:
        known = asked["data"] in ({"identifier": "alice", "password": PASSWORD}, {"subject": "4711"})
        return 200, json.dumps({"user": ALICE if known else None}).encode()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: TeamServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
        signature = base64.b64encode(hmac.digest(SIGNING.encode(), signed, hashlib.sha256)).decode()
        assert f"v1,{signature}" == self.headers["webhook-signature"]
        assert abs(time.time() - int(self.headers["webhook-timestamp"])) < 60
        self.server.asked.append(json.loads(body))
        status, answer = self.server.answer(self.server.asked[-1])
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        if 300 <= status < 400:
            self.send_header("location", self.server.url)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def team() -> Iterator[TeamServer]:
    with TeamServer() as server:
        yield server


def slow(_: dict[str, Any]) -> tuple[int, bytes]:
    time.sleep(2)
    return 200, b'{"user": null}'


LIES: dict[str, Callable[[dict[str, Any]], tuple[int, bytes]]] = {
    "slow": slow,
    "an error": lambda _: (500, b'{"user": null}'),
    "not found": lambda _: (404, b'{"user": null}'),
    "unauthorized": lambda _: (401, b'{"user": null}'),
    "a redirect": lambda _: (302, b'{"user": null}'),
    "no JSON": lambda _: (200, b"<html>"),
    "no object": lambda _: (200, b"null"),
    "no user": lambda _: (200, b"{}"),
    "a user without a subject": lambda _: (200, b'{"user": {}}'),
    "an unknown field": lambda _: (200, b'{"user": {"subject": "4711", "admin": true}}'),
    "a reserved claim": lambda _: (200, b'{"user": {"subject": "4711", "claims": {"sub": "1"}}}'),
    "disabled in words": lambda _: (200, b'{"user": {"subject": "4711", "disabled": "no"}}'),
    "too much": lambda _: (200, b'{"user": "' + 70_000 * b"x" + b'"}'),
}


def test_a_webhook_says_who_logs_in_and_its_faults_log_nobody_out(team: TeamServer, tmp_path: Path) -> None:
    """Down, slow or lying it is a 503, at logins and at refreshes; only a plain no ends a session."""
    given = {
        "DAYPASS_SECRET": SECRET,
        "DAYPASS_USERS_WEBHOOK": team.url,
        "DAYPASS_USERS_WEBHOOK_SECRET": SIGNING,
        "DAYPASS_USERS_TIMEOUT": "1500ms",
        "DAYPASS_USERS_CACHE": "0s",
    }
    with running(folder=tmp_path, given=given) as service, service.client() as client:
        login = service.login(client)
        assert (200, "alice@example.com") == (login.status_code, claims(login)["email"])
        assert "blue" == claims(login)["team"]
        with service.client() as stranger:
            assert 401 == service.login(stranger, password="wrong password").status_code

        def refused() -> list[int]:
            answers = [client.post("/auth/refresh"), client.post("/auth/login", json=LOGIN)]
            assert not any("set-cookie" in answer.headers for answer in answers)
            return [answer.status_code for answer in answers]

        for name, lie in LIES.items():
            team.answer = lie
            assert [503, 503] == refused(), name
        port = team.server_port
        team.__exit__()
        assert [503, 503] == refused(), "down"
        with TeamServer(port) as back:
            assert 200 == client.post("/auth/refresh").status_code
            back.answer = lambda _: (200, b'{"user": null}')
            assert 401 == client.post("/auth/refresh").status_code
        assert 0 == service.end()
        assert PASSWORD not in service.stderr
        assert SIGNING not in service.stderr


def claims(answer: httpx2.Response) -> dict[str, Any]:
    payload = answer.json()["accessToken"].split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return found


async def test_a_webhook_is_asked_again_once_and_its_answers_are_used_for_seconds(team: TeamServer) -> None:
    """A 502 and a lost connection are tried a second time; a user who was loaded is not asked for at each refresh."""
    now = 100.0
    webhook = Webhook(team.url, SIGNING, timeout=5, cache=5, monotonic=lambda: now)
    answers = iter([(502, b""), team.honest({"data": {"subject": "4711"}})])
    team.answer = lambda _: next(answers)
    assert "alice" == (await webhook.load("4711")).username  # type: ignore[union-attr]
    now += 4.9
    assert "alice" == (await webhook.load("4711")).username  # type: ignore[union-attr]
    assert 2 == len(team.asked)
    now += 0.2
    team.answer = lambda _: (200, json.dumps({"user": ALICE | {"subject": "1"}}).encode())
    with pytest.raises(StoreUnavailable, match="another user"):
        await webhook.load("4711")
    await webhook.close()


# ---- a table


QUERY = "SELECT id AS subject, mail AS email, hash AS password_hash, locked AS disabled, role AS scope FROM people"
LOGIN_QUERY = f"{QUERY} WHERE lower(mail) = lower(:identifier)"
SUBJECT_QUERY = f"{QUERY} WHERE id = CAST(:subject AS INTEGER)"


class People:
    """A table of people of the team's own, in SQLite or PostgreSQL; ``url`` is what the service gets."""

    def __init__(self, url: str, owner: str, boolean: str) -> None:
        self.url = url
        self._owner = owner
        self.change(
            f"CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT, hash TEXT, locked {boolean} NOT NULL, role TEXT)"
        )
        hashed = argon2.PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD)
        self.change(
            f"INSERT INTO people VALUES (7, 'ada@example.com', '{hashed}', FALSE, 'read'), "
            "(8, 'bob@example.com', 'md5:0', FALSE, NULL), (9, '100%%@example.com', 'md5:0', FALSE, NULL)"
        )

    def change(self, statement: str) -> None:
        if self._owner.startswith("postgres"):
            with psycopg.connect(self._owner, autocommit=True) as connection:
                connection.execute(statement.encode())
            return
        with closing(sqlite3.connect(self._owner)) as database, database:
            database.execute(statement)


@pytest.fixture(params=["sqlite", "postgres"])
def people(request: pytest.FixtureRequest, tmp_path: Path) -> People:
    """Return a database with a table of people of the team's own."""
    if request.param == "sqlite":
        return People(f"sqlite:///{tmp_path}/people.db", f"{tmp_path}/people.db", "INTEGER")
    url = postgres.empty(request.getfixturevalue("postgres_at")(postgres.VERSIONS[-1]))  # its schema is an option
    return People(url, url, "BOOLEAN")


async def test_users_of_a_table(people: People) -> None:
    """Found as the two queries say, at a login and at a refresh; what the table says counts at once."""
    source = UserQuery(people.url, LOGIN_QUERY, SUBJECT_QUERY, timeout=5)
    ada = await source.check("ADA@example.com", PASSWORD)
    assert ada is not None
    assert ("7", "ada@example.com", "read", False) == (ada.subject, ada.email, ada.scope, ada.disabled)
    assert ada == await source.load("7")
    assert [None, None, None] == [
        await source.check("ada@example.com", "wrong password"),
        await source.check("nobody", PASSWORD),
        await source.check("bob@example.com", "md5:0"),
    ]
    people.change("UPDATE people SET locked = TRUE WHERE id = 7")
    assert (await source.load("7")).disabled is True  # type: ignore[union-attr]
    people.change("DELETE FROM people WHERE id = 7")
    assert await source.load("7") is None
    people.change("ALTER TABLE people RENAME TO away")
    for asking in (source.load("7"), source.check("ada@example.com", PASSWORD)):
        with pytest.raises(StoreUnavailable, match="the users' database cannot be asked"):
            await asking
    await source.close()


async def test_a_query_that_finds_two_users_or_another_one_is_refused(people: People) -> None:
    """Nobody gets somebody else's session because a query is wrong; signs of SQL in it are kept as they are."""
    every = f"{QUERY} WHERE mail LIKE '%@example.com' AND :identifier <> '%s'"
    source = UserQuery(people.url, every, f"{QUERY} WHERE id = 8 AND :subject <> ''", timeout=5)
    with pytest.raises(StoreUnavailable, match="found two users"):
        await source.check("ada@example.com", PASSWORD)
    with pytest.raises(StoreUnavailable, match="another user"):
        await source.load("7")
    await source.close()


async def test_a_database_of_users_that_is_slow_frozen_or_gone_decides_nothing() -> None:
    """PostgreSQL: a 503 in time, and no thread that waits on; afterwards it goes on by itself, on new connections."""
    server = postgres.PostgresServer(postgres.VERSIONS[-1])
    server.start()
    try:
        people = People(server.url(), server.url(), "BOOLEAN")
        slow = f"{QUERY} WHERE id = CAST(:subject AS INTEGER) AND pg_sleep(CAST(id AS float)) IS NOT NULL"
        source = UserQuery(people.url, LOGIN_QUERY, slow, timeout=0.5)
        with pytest.raises(StoreUnavailable, match="QueryCanceled"):
            await source.load("7")
        source = UserQuery(people.url, LOGIN_QUERY, SUBJECT_QUERY, timeout=0.5)
        assert await source.load("7") is not None
        with server.frozen():
            with pytest.raises(StoreUnavailable, match="TimeoutError"):
                await source.load("7")
            waiting = [each for each in threading.enumerate() if each.name.startswith("asyncio_")]
            assert await asyncio.wait_for(asyncio.gather(*(asyncio.to_thread(len, "") for _ in waiting)), 5)
        people.change("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        assert await source.load("7") is not None
        server.stop()
        with pytest.raises(StoreUnavailable, match="OperationalError"):
            await source.load("7")
        server.start()
        assert await source.load("7") is not None
        await source.close()
    finally:
        server.remove()


def test_a_service_has_its_users_in_postgres(tmp_path: Path, postgres_at: Callable[[int], str]) -> None:
    """Logins, refreshes, and a user who is locked meanwhile; the store is another database."""
    url = postgres.empty(postgres_at(postgres.VERSIONS[-1]))
    people = People(url, url, "BOOLEAN")
    (tmp_path / "daypass.toml").write_text(
        f'users_database = "{url}"\nusers_login_query = "{LOGIN_QUERY}"\nusers_subject_query = "{SUBJECT_QUERY}"\n'
    )
    with running(folder=tmp_path, given={"DAYPASS_SECRET": SECRET}) as service, service.client() as client:
        assert 401 == service.login(client, username="ada@example.com", password="wrong password").status_code
        login = service.login(client, username="ada@example.com")
        assert (200, "7", "read") == (login.status_code, claims(login)["sub"], claims(login)["scope"])
        assert 200 == client.post("/auth/refresh").status_code
        people.change("ALTER TABLE people RENAME TO away")
        assert 503 == client.post("/auth/refresh").status_code
        people.change("ALTER TABLE away RENAME TO people")
        assert 200 == client.post("/auth/refresh").status_code
        people.change("UPDATE people SET locked = TRUE WHERE id = 7")
        assert 401 == client.post("/auth/refresh").status_code


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"users_login_query": LOGIN_QUERY}, "users_login_query and users_subject_query belong together: give both"),
        (
            {"users_login_query": "SELECT 1", "users_subject_query": SUBJECT_QUERY},
            "users_login_query must use :identifier, and no other parameter",
        ),
        ({"users_webhook": "https://app.example.com/users"}, "users_webhook needs a secret, which signs its requests"),
        ({"users_webhook": "app.example.com"}, "invalid URL 'app.example.com': write https://app.example.com/path"),
    ],
)
def test_settings_that_cannot_work(given: dict[str, str], told: str) -> None:
    """They are refused before anything is made."""
    with pytest.raises(ConfigurationError, match=told):
        settings.read(given)
