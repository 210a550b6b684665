"""Users of the team's own: a webhook, whose server may be down, slow or lying; and a table found by SQL."""

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
import pytest

from daypass import ConfigurationError
from daypass.errors import StoreUnavailable
from daypass.server import settings
from daypass.server.user_query import UserQuery
from daypass.server.webhook import Webhook

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


SCHEMA = """
CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT, hash TEXT, locked INTEGER NOT NULL DEFAULT 0, role TEXT)
"""
QUERY = "SELECT id AS subject, mail AS email, hash AS password_hash, locked AS disabled, role AS scope FROM people"
LOGIN_QUERY = f"{QUERY} WHERE lower(mail) = lower(:identifier)"
SUBJECT_QUERY = f"{QUERY} WHERE id = CAST(:subject AS INTEGER)"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Return a database with a table of people of the team's own."""
    path = tmp_path / "people.db"
    hashed = argon2.PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD)
    with closing(sqlite3.connect(path)) as database:
        database.execute(SCHEMA)
        database.execute("INSERT INTO people VALUES (7, 'ada@example.com', ?, 0, 'read')", [hashed])
        database.execute("INSERT INTO people VALUES (8, 'bob@example.com', 'md5:0', 0, NULL)")
        database.commit()
    return path


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


async def test_users_of_a_table(people: Path) -> None:
    """Found as the two queries say, at a login and at a refresh; what the table says counts at once."""
    source = UserQuery(f"sqlite:///{people}", LOGIN_QUERY, SUBJECT_QUERY, timeout=1)
    ada = await source.check("ADA@example.com", PASSWORD)
    assert ada is not None
    assert ("7", "ada@example.com", "read", False) == (ada.subject, ada.email, ada.scope, ada.disabled)
    assert ada == await source.load("7")
    assert [None, None, None] == [
        await source.check("ada@example.com", "wrong password"),
        await source.check("nobody", PASSWORD),
        await source.check("bob@example.com", "md5:0"),
    ]
    change(people, "UPDATE people SET locked = 1 WHERE id = 7")
    assert (await source.load("7")).disabled is True  # type: ignore[union-attr]
    change(people, "DELETE FROM people WHERE id = 7")
    assert await source.load("7") is None
    change(people, "ALTER TABLE people RENAME TO away")
    for asking in (source.load("7"), source.check("ada@example.com", PASSWORD)):
        with pytest.raises(StoreUnavailable, match="the users' database cannot be asked"):
            await asking
    await source.close()


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
