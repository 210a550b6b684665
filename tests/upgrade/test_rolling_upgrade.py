"""A rolling upgrade: a real node of version 0.1 and one of this version, side by side on one store."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from daypass import Daypass, TokenExpired, TokenReused, User
from daypass.duration import SECOND
from daypass.errors import SessionRevoked
from daypass.store_steps import Migrate

from ..servers import postgres
from ..servers import redis as redis_servers
from .old_version import unpacked

OPTIONS: Mapping[str, Any] = {
    "issuer": "https://api.example.com",
    "secret": "a master secret of thirty-two bytes and more",
    "access_ttl": "10s",
    "idle_ttl": "200s",
    "absolute_ttl": "280s",
    "grace_period": "1s",
}
"""What both nodes have. Even the latest end is within the five minutes by which clocks may differ."""

SESSION_IDLE_TTL = 60 * SECOND
PAUSE = 2 * SECOND
"""Longer than the grace period."""

KINDS: dict[str, dict[str, Any]] = {
    "remembered": {},
    "not remembered": {"persistent": False},
    "own times": {"idle_ttl": "30s", "absolute_ttl": "100s"},
    "own claims": {"claims": {"org": "acme", "amr": ["otp"]}},
}
"""What a login at a new node says of its session."""


class OldNode:
    """A process of version 0.1; a context manager."""

    def __init__(self, modules: Path, url: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(modules)}
        command = [sys.executable, str(Path(__file__).with_name("node.py")), url, json.dumps(dict(OPTIONS))]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def ask(self, now: int, method: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps([now, method, arguments])}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=30)


class Pair:
    """A node of each version on one store, and the time that both have."""

    def __init__(self, modules: Path, url: str) -> None:
        self.now = time.time_ns() // 1_000_000
        self._old = OldNode(modules, url)
        assert [] == self.old("sessions", "nobody")  # so its tables are there
        options: Any = {**OPTIONS, "session_idle_ttl": SESSION_IDLE_TTL // SECOND}
        self.new = Daypass(url, load_user=lambda subject: User(subject, "ann"), clock=lambda: self.now, **options)
        self.new.run(_migrate())
        self.limited = Daypass(
            url, load_user=lambda subject: User(subject, "ann"), clock=lambda: self.now, max_sessions=2, **options
        )

    def old(self, method: str, *arguments: Any) -> Any:
        """Return what the node of version 0.1 says."""
        return self._old.ask(self.now, method, *arguments)

    def wait(self, milliseconds: int = PAUSE) -> None:
        self.now += milliseconds

    def close(self) -> None:
        self._old.close()
        self.limited.close()
        self.new.close()


def _migrate() -> Any:
    return (yield from Migrate())


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("version-0.1"))


@contextmanager
def store_at(kind: str, folder: Path, postgres_at: Callable[[], str], redis_server: Callable[[], str]) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'app.db'}"
    elif kind == "postgres":
        yield postgres.empty(postgres_at())
    else:
        with redis_servers.prefix(url := redis_server()) as prefix:
            yield f"{url}{'&' if '?' in url else '?'}prefix={prefix}"


@pytest.fixture(scope="module", params=["sqlite", "postgres", "redis"])
def shared(request: pytest.FixtureRequest, modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        servers = (lambda: request.getfixturevalue("postgres_at")(), lambda: request.getfixturevalue("redis_server"))
        url = stack.enter_context(store_at(request.param, folder, *servers))
        pair = Pair(modules, url)
        stack.callback(pair.close)
        yield pair


@pytest.fixture
def pair(shared: Pair) -> Pair:
    """Give the nodes, at the present."""
    shared.now = time.time_ns() // 1_000_000
    return shared


def user() -> User:
    return User(uuid4().hex, username="ann")


def soon(check: Callable[[], bool]) -> bool:
    """Return whether a condition becomes true within what is one second on an idle machine."""
    until = time.monotonic() + 10
    while not (found := check()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_of_a_new_node_goes_on_at_both(pair: Pair, kind: str) -> None:
    """Whichever node the balancer chooses, each refresh is answered, and both accept its access token."""
    tokens = pair.new.start(user(), **KINDS[kind])
    text, subject = tokens.refresh_token, tokens.session.subject
    for _ in range(4):
        pair.wait()
        told = pair.old("refresh", text)
        assert subject == pair.new.verify(told["access_token"]).subject
        pair.wait()
        newer = pair.new.refresh(told["refresh_token"])
        assert subject == pair.old("verify", newer.access_token)["sub"]
        text = newer.refresh_token
    assert (8, tokens.session.extras) == (newer.session.generation, newer.session.extras)
    assert tokens.session.claims.items() <= pair.new.verify(newer.access_token).claims.items()


def test_a_session_of_an_old_node_goes_on_at_both(pair: Pair) -> None:
    """A session that version 0.1 has started is refreshed by a new node, and then again by the old one."""
    told = pair.old("start", user().subject)
    for _ in range(4):
        pair.wait()
        newer = pair.new.refresh(told["refresh_token"])
        assert newer.session.persistent
        pair.wait()
        told = pair.old("refresh", newer.refresh_token)
    assert (told["id"], 8) == (newer.session.id, told["generation"])


def test_a_lost_answer_is_given_again_by_the_other_node(pair: Pair) -> None:
    """A refresh whose answer was lost is sent to the other node, and gets the same successor."""
    first = pair.new.start(user(), persistent=False).refresh_token
    second = pair.new.refresh(first).refresh_token
    assert second == pair.old("refresh", first)["refresh_token"]
    pair.wait()
    third = pair.old("refresh", second)["refresh_token"]
    assert third == pair.new.refresh(second).refresh_token


def test_own_times_hold_at_new_nodes(pair: Pair) -> None:
    """An old node gives each session the policy's time; a new one still ends it by its own time."""
    tokens = pair.new.start(user(), persistent=False)
    pair.wait()
    told = pair.old("refresh", tokens.refresh_token)
    assert pair.now + 200 * SECOND == told["expires_at"]
    (listed,) = pair.new.sessions(tokens.session.subject)
    assert pair.now + SESSION_IDLE_TTL == listed.expires_at
    pair.wait(SESSION_IDLE_TTL)
    with pytest.raises(TokenExpired):
        pair.new.refresh(told["refresh_token"])
    assert () == pair.new.sessions(tokens.session.subject)
    short = pair.new.start(user(), idle_ttl="30s", absolute_ttl="50s")
    text = short.refresh_token
    for _ in range(2):
        pair.wait(20 * SECOND)
        text = pair.old("refresh", text)["refresh_token"]
    assert short.session.ends_at == pair.new.sessions(short.session.subject)[0].expires_at
    pair.wait(10 * SECOND)
    with pytest.raises(TokenExpired):
        pair.new.refresh(text)


def test_claims_and_step_up_are_new_nodes_alone(pair: Pair) -> None:
    """An old node's access tokens have no claims of the session, and the login's first time; the row keeps both."""
    tokens = pair.new.start(user(), claims={"org": "acme"})
    pair.wait()
    confirmed = pair.new.confirm(tokens.session.id, amr=["otp"], acr="mfa")
    pair.wait()
    told = pair.old("refresh", tokens.refresh_token)
    claims = pair.old("verify", told["access_token"])
    assert (tokens.session.created_at // SECOND, False) == (claims["auth_time"], "org" in claims or "acr" in claims)
    pair.wait()
    newer = pair.new.verify(pair.new.refresh(told["refresh_token"]).access_token)
    assert pair.new.verify(confirmed.access_token).auth_time == newer.auth_time
    assert ("acme", "mfa") == (newer.claims["org"], newer.claims["acr"])


def test_passive_refreshes_move_no_end_at_new_nodes(pair: Pair) -> None:
    """What a passive refresh has kept is not lost by an active one at an old node, and the other way round."""
    tokens = pair.new.start(user())
    pair.wait()
    passive = pair.new.refresh(tokens.refresh_token, passive=True)
    assert tokens.session.expires_at == passive.session.expires_at
    pair.wait()
    told = pair.old("refresh", passive.refresh_token)
    assert pair.now + 200 * SECOND == told["expires_at"]
    pair.wait()
    assert told["expires_at"] == pair.new.refresh(told["refresh_token"], passive=True).session.expires_at


def test_an_old_node_refuses_who_acts_as_a_user(pair: Pair) -> None:
    """An old node would leave out the actor: it does not accept the refresh token, and the session continues."""
    admin = pair.new.start(user())
    acting = pair.new.impersonate(admin.access_token, user(), reason="ticket")
    pair.wait()
    assert {"error": "TokenMalformed"} == pair.old("refresh", acting.refresh_token)
    assert pair.old("logout", acting.refresh_token) is False
    newer = pair.new.refresh(acting.refresh_token)
    assert admin.session.subject == pair.new.verify(newer.access_token).actor


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_that_one_node_ends_is_refused_by_the_other(pair: Pair, kind: str) -> None:
    """A logout at either node ends sessions of both, and their access tokens at both within a second."""
    first, second = (pair.new.start(user(), **KINDS[kind]) for _ in range(2))
    of_old = pair.old("start", second.session.subject)
    for each in (first, second):
        assert "sub" in pair.old("verify", each.access_token)
    assert pair.old("logout", first.refresh_token)
    with pytest.raises(SessionRevoked):
        pair.new.refresh(first.refresh_token)
    assert 2 == pair.new.end_all(second.session.subject)
    assert {"error": "SessionRevoked"} == pair.old("refresh", of_old["refresh_token"])
    assert [] == pair.old("sessions", second.session.subject)
    for access_token in (second.access_token, of_old["access_token"]):
        assert soon(lambda text=access_token: pair.old("verify", text) == {"error": "SessionRevoked"})  # type: ignore[misc]
    assert soon(lambda: refused(pair, first.access_token))


def refused(pair: Pair, access_token: str) -> bool:
    try:
        pair.new.verify(access_token)
    except SessionRevoked:
        return True
    return False


def test_a_thief_is_found_whichever_nodes_are_asked(pair: Pair) -> None:
    """A stolen token that comes after its successor was used ends the session, at either node."""
    for kind in KINDS.values():
        stolen = pair.new.start(user(), **kind).refresh_token
        pair.wait()
        text = pair.old("refresh", stolen)["refresh_token"]
        pair.wait()
        text = pair.new.refresh(text).refresh_token
        pair.wait()
        assert {"error": "TokenReused"} == pair.old("refresh", stolen)
        with pytest.raises(TokenReused):
            pair.new.refresh(text)


def test_keys_of_either_node_are_read_by_the_other(pair: Pair) -> None:
    """A key that a new node publishes signs tokens that the old one accepts, and no refresh token is lost by it."""
    tokens = pair.new.start(user())
    told = pair.old("start", user().subject)
    pair.new.rotate_keys(at_once=True)
    pair.wait(10 * SECOND)
    assert "sub" in pair.old("verify", pair.new.refresh(told["refresh_token"]).access_token)
    later = pair.old("refresh", tokens.refresh_token)
    assert tokens.session.subject == pair.new.verify(later["access_token"]).subject


def test_removing_ended_sessions_keeps_live_ones(pair: Pair) -> None:
    """Either node removes ended sessions, and no live session of either node."""
    alive = [pair.new.start(user(), **kind).refresh_token for kind in KINDS.values()]
    alive.append(pair.old("start", user().subject)["refresh_token"])
    pair.old("purge")
    pair.new.purge()
    pair.wait()
    assert all("id" in pair.old("refresh", text) for text in alive)


def test_limits_of_new_nodes_count_sessions_of_old_ones(pair: Pair) -> None:
    """A new node that limits sessions ends the oldest, whichever node has started it."""
    ann = user()
    told = [pair.old("start", ann.subject)]
    pair.wait()
    told.append(pair.old("start", ann.subject))
    pair.wait()
    pair.limited.start(ann)
    assert [{"error": "SessionRevoked"}, told[1]["id"]] == [
        pair.old("refresh", told[0]["refresh_token"]),
        pair.old("refresh", told[1]["refresh_token"])["id"],
    ]
