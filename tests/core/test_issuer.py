"""`Daypass` and `AsyncDaypass` from login to logout, over memory and SQLite; one test for all four."""

import asyncio
import inspect
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from daypass import (
    AsyncDaypass,
    ConfigurationError,
    CredentialsRejected,
    Daypass,
    Device,
    Event,
    EventCode,
    ImpersonationRejected,
    Session,
    SessionLimitReached,
    SessionRevoked,
    StoreUnavailable,
    TokenExpired,
    TokenMalformed,
    TokenRejected,
    TokenReused,
    Tokens,
    TokenStale,
    TokenUnknown,
    User,
)
from daypass.flow import Step
from daypass.refresh_token import RefreshToken, decode
from daypass.steps import Keys
from daypass.store_steps import Find, ReadKeys, StoreStep, Swap
from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.stores.sqlite import AsyncSqliteStore, SqliteStore
from daypass.testing import Clock

ISSUER = "https://issuer.example"
SECRET, OLDER = "s" * 32, "o" * 32
W = 30_000
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ADA = User("user-1", "ada", "ada@example.com")


class OnLoop:
    """An `AsyncDaypass` that is called without ``await``, from any thread; it has its own event loop."""

    def __init__(self, auth: AsyncDaypass, loop: asyncio.AbstractEventLoop) -> None:
        self._auth = auth
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._auth, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute
        return lambda *arguments, **named: asyncio.run_coroutine_threadsafe(
            attribute(*arguments, **named), self._loop
        ).result(30)


@dataclass
class World:
    """What an issuer needs: a clock, users, its events, and a way to open another one on the same store."""

    make: Callable[..., Any]
    clock: Clock = field(default_factory=Clock)
    users: dict[str, User] = field(default_factory=lambda: {"user-1": ADA, "user-2": User("user-2")})
    events: list[Event] = field(default_factory=list)

    def auth(self, **arguments: Any) -> Any:
        """Return another issuer over the same store."""
        given: dict[str, Any] = {
            "issuer": ISSUER,
            "secret": SECRET,
            "load_user": self.users.get,
            "authenticate": self.check,
            "on_event": self.events.append,
            "clock": self.clock,
        }
        return self.make(**given | arguments)

    def check(self, identifier: str, password: str) -> User | None:
        return self.users["user-1"] if (identifier, password) == ("ada", "right") else None

    def told(self) -> list[EventCode]:
        """Return the codes of the events since the last call."""
        codes = [event.code for event in self.events]
        self.events.clear()
        return codes

    def stored(self, auth: Any, session_id: str) -> Session:
        """Return a session as the store has it."""
        found = auth.run(_asking(Find(session_id)))
        assert found is not None
        return found  # type: ignore[no-any-return]  # of whatever colour


def _asking(step: Step[Any]) -> Any:
    return (yield from step)


@pytest.fixture(params=["memory", "sqlite", "async memory", "async sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Give a world for each colour and kind of store."""
    path = tmp_path / "app.db"
    if not request.param.startswith("async"):
        store = MemoryStore() if request.param == "memory" else SqliteStore(path)
        yield World(lambda **arguments: Daypass(store, **arguments))
        store.close()
        return
    async_store = AsyncMemoryStore() if request.param == "async memory" else AsyncSqliteStore(path)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield World(lambda **arguments: OnLoop(AsyncDaypass(async_store, **arguments), loop))
    asyncio.run_coroutine_threadsafe(async_store.close(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def auth(world: World) -> Any:
    return world.auth()


def rejected(kind: type[TokenRejected], auth: Any, text: str) -> None:
    """Assert that a refresh token is refused with this error, and that the error contains no part of it."""
    with pytest.raises(kind) as caught:
        auth.refresh(text)
    assert kind is type(caught.value)
    assert len(text) < 20 or text[4:40] not in repr(caught.value)


# ---- from login to logout


def test_a_session_from_login_to_logout(world: World, auth: Any) -> None:
    """Log in, use the token, refresh, use the new one, log out; then none of the tokens is accepted."""
    tokens = auth.login("ada", "right", device=Device("phone"))
    token = auth.verify(tokens.access_token)
    assert ("user-1", "ada", "ada@example.com", tokens.session.id) == (
        token.subject,
        token.username,
        token.email,
        token.session_id,
    )
    assert (900, ADA, "phone") == (tokens.expires_in, tokens.user, tokens.session.device.name)
    world.clock.advance(60_000)
    refreshed = auth.refresh(tokens.refresh_token)
    assert token.session_id == auth.verify(refreshed.access_token).session_id
    assert (token.auth_time, token.issued_at + 60_000) == (
        (new := auth.verify(refreshed.access_token)).auth_time,
        new.issued_at,
    )
    assert auth.logout(refreshed.refresh_token) is True
    assert auth.logout(refreshed.refresh_token) is False
    for access_token in (tokens.access_token, refreshed.access_token):
        with pytest.raises(SessionRevoked):
            auth.verify(access_token)
    for refresh_token in (tokens.refresh_token, refreshed.refresh_token):
        rejected(SessionRevoked, auth, refresh_token)
    assert ["started", "rotated", "logged_out", "rejected", "rejected"] == world.told()


def test_wrong_credentials_start_nothing(world: World, auth: Any) -> None:
    """A wrong password, an unknown name and a disabled user look alike, and leave no session."""
    for identifier, password in (("ada", "wrong"), ("nobody", "right")):
        with pytest.raises(CredentialsRejected):
            auth.login(identifier, password)
    world.users["user-1"] = replace(ADA, disabled=True)
    with pytest.raises(CredentialsRejected):
        auth.login("ada", "right")
    assert () == auth.sessions("user-1")
    assert ["login_failed"] * 3 == world.told()


def test_a_login_needs_a_function_to_check_with(world: World) -> None:
    """An issuer that was given none says so."""
    with pytest.raises(ConfigurationError, match="authenticate"):
        world.auth(authenticate=None).login("ada", "right")


@pytest.mark.parametrize("text", ["", "x", "dpr_" + "A" * 76, "dpr_", "eyJh.eyJh.AAAA", "\u00e9" * 80, "x" * 1_000_000])
def test_garbage_is_refused_and_changes_nothing(world: World, auth: Any, text: str) -> None:
    """A text that is not a token gets no token, ends no session and is reported as rejected."""
    auth.start(ADA)
    rejected(TokenMalformed, auth, text)
    assert auth.logout(text) is False
    assert 1 == len(auth.sessions("user-1"))
    assert ["started", "rejected"] == world.told()


def test_no_token_passes_as_one_of_the_other_kind(auth: Any) -> None:
    """An access token refreshes nothing, and a refresh token opens nothing."""
    tokens = auth.start(ADA)
    rejected(TokenMalformed, auth, tokens.access_token)
    assert auth.logout(tokens.access_token) is False
    with pytest.raises(TokenMalformed):
        auth.verify(tokens.refresh_token)


def test_a_session_that_is_not_stored_is_unknown(world: World, auth: Any) -> None:
    """A token that we made for a session that the store does not have is refused as unknown."""
    elsewhere = Daypass("memory:", issuer=ISSUER, secret=SECRET, load_user=world.users.get, clock=world.clock)
    rejected(TokenUnknown, auth, elsewhere.start(ADA).refresh_token)
    assert "token_unknown" == world.events[-1].reason


# ---- the seven verdicts


def test_the_verdicts_one_after_another(world: World, auth: Any) -> None:
    """Rotate, repeat, hold, branch, stale, reuse: what each returns, and which event it emits."""
    login = auth.start(ADA)
    session_id = login.session.id
    second = auth.refresh(login.refresh_token).refresh_token
    world.clock.advance(10_000)
    assert second == auth.refresh(login.refresh_token).refresh_token
    world.clock.advance(10_000)
    assert second == auth.refresh(second).refresh_token
    world.clock.advance(10_001)
    branched = auth.refresh(login.refresh_token).refresh_token
    assert second != branched
    world.clock.advance(W)
    assert branched == auth.refresh(branched).refresh_token
    world.clock.advance(1)
    third = auth.refresh(branched).refresh_token
    world.clock.advance(W)
    rejected(TokenStale, auth, second)
    rejected(TokenStale, auth, login.refresh_token)
    assert third == auth.refresh(branched).refresh_token
    world.clock.advance(1)
    rejected(TokenReused, auth, second)
    rejected(TokenReused, auth, third)
    told = [(event.code, event.session_id, event.generation_distance, event.age) for event in world.events]
    assert [
        ("started", session_id, None, None),
        ("rotated", session_id, 1, None),
        ("repeated", session_id, 0, 10_000),
        ("held", session_id, 1, 20_000),
        ("branched", session_id, 0, 30_001),
        ("held", session_id, 1, 30_000),
        ("rotated", session_id, 1, told[6][3]),
        ("stale", session_id, 0, 30_000),
        ("stale", session_id, -1, 30_000),
        ("repeated", session_id, 0, 30_000),
        ("reused", session_id, 0, 30_001),
        ("rejected", session_id, None, None),
    ] == told
    assert {"user-1"} == {event.subject for event in world.events}
    assert () == auth.sessions("user-1")
    with pytest.raises(SessionRevoked):
        auth.verify(login.access_token)


def test_every_verdict_has_the_age(world: World, auth: Any) -> None:
    """A rotation says, as the other verdicts do, how long ago the last one was (`daypass.Event.age`)."""
    second = auth.refresh(auth.start(ADA).refresh_token).refresh_token
    world.clock.advance(W + 5)
    auth.refresh(second)
    assert W + 5 == world.events[-1].age


def test_a_database_that_lost_its_last_writes_logs_nobody_out(world: World, auth: Any) -> None:
    """A token from the future of a restored backup heals the session, and its old access tokens go on."""
    tokens = auth.start(ADA)
    backup = world.stored(auth, tokens.session.id)
    for _ in range(3):
        world.clock.advance(W + 1)
        tokens = auth.refresh(tokens.refresh_token)
    assert auth.run(_asking(Swap(world.stored(auth, backup.id), backup))) is True
    world.events.clear()
    healed = auth.refresh(tokens.refresh_token)
    assert [("healed", 4, None)] == [(each.code, each.generation_distance, each.age) for each in world.events]
    assert 4 == world.stored(auth, backup.id).generation
    world.clock.advance(W + 1)
    auth.refresh(healed.refresh_token)
    assert ["healed", "rotated"] == world.told()


def test_strict_mode_has_no_grace(world: World) -> None:
    """With a grace period of 0 a replaced token is reuse at once, and a repeated one branches."""
    auth = world.auth(grace_period=0)
    login = auth.start(ADA).refresh_token
    world.clock.advance(1)
    second = auth.refresh(login).refresh_token
    world.clock.advance(1)
    third = auth.refresh(second).refresh_token
    world.clock.advance(1)
    assert third != auth.refresh(second).refresh_token
    world.clock.advance(1)
    rejected(TokenReused, auth, login)
    assert ["started", "rotated", "rotated", "branched", "reused"] == world.told()


def test_a_clock_that_went_back_logs_nobody_out(world: World, auth: Any) -> None:
    """A node whose clock is hours behind holds and repeats, and revokes nothing."""
    login = auth.start(ADA).refresh_token
    second = auth.refresh(login).refresh_token
    world.clock.advance(-7_200_000)
    assert second == auth.refresh(second).refresh_token == auth.refresh(login).refresh_token
    world.clock.advance(7_200_000 + W + 1)
    auth.refresh(second)
    assert ["started", "rotated", "held", "repeated", "rotated"] == world.told()


# ---- expiry


def test_a_session_ends_when_it_is_not_used(world: World, auth: Any) -> None:
    """Idle expiry slides with each refresh, and comes at the very millisecond."""
    tokens = auth.start(ADA)
    world.clock.advance(30 * DAY - 1)
    tokens = auth.refresh(tokens.refresh_token)
    world.clock.advance(30 * DAY - 1)
    assert 1 == len(auth.sessions("user-1"))
    world.clock.advance(1)
    assert () == auth.sessions("user-1")
    for _ in range(2):
        rejected(TokenExpired, auth, tokens.refresh_token)
    assert ["started", "rotated", "rejected", "rejected"] == world.told()


def test_a_session_ends_however_much_it_is_used(world: World) -> None:
    """Absolute expiry does not slide, and comes at the very millisecond; a branch does not move it either."""
    auth = world.auth(idle_ttl="30d", absolute_ttl="31d")
    tokens = auth.start(ADA)
    world.clock.advance(30 * DAY - 1)
    used = tokens.refresh_token
    tokens = auth.refresh(used)
    world.clock.advance(W + 1)
    tokens = auth.refresh(used)
    assert tokens.session.created_at + 31 * DAY == tokens.session.expires_at
    world.clock.now = tokens.session.created_at + 31 * DAY - 1
    tokens = auth.refresh(tokens.refresh_token)
    world.clock.advance(1)
    rejected(TokenExpired, auth, tokens.refresh_token)


def test_a_shorter_absolute_expiry_holds_for_sessions_that_are(world: World) -> None:
    """A policy that was made stricter ends old sessions too."""
    tokens = world.auth().start(ADA)
    world.clock.advance(2 * DAY)
    rejected(TokenExpired, world.auth(idle_ttl="1d", absolute_ttl="2d"), tokens.refresh_token)


# ---- what a login says of its session


def test_session_that_is_not_remembered_ends_sooner(world: World) -> None:
    """It ends after ``session_idle_ttl`` without a refresh, through every verdict that moves its expiry."""
    auth = world.auth(session_idle_ttl="1h")
    tokens = auth.start(ADA, persistent=False)
    first = tokens.refresh_token
    for verdict in ("rotated", "rotated", "branched"):
        assert world.clock.now + HOUR == tokens.session.expires_at
        world.clock.advance(HOUR - 1)
        tokens = auth.refresh(first if verdict == "branched" else tokens.refresh_token)
        first = tokens.refresh_token if verdict == "rotated" and tokens.session.generation == 1 else first
        assert tokens.session.persistent is False
        assert auth.verify(tokens.access_token).expires_at <= tokens.session.expires_at
    assert ["started", "rotated", "rotated", "branched"] == world.told()
    (listed,) = auth.sessions("user-1")
    assert (listed.persistent, world.clock.now + HOUR) == (False, listed.expires_at)
    world.clock.advance(HOUR)
    rejected(TokenExpired, auth, tokens.refresh_token)
    assert auth.start(ADA).session.persistent is True
    assert auth.login("ada", "right", persistent=False).session.persistent is False


def test_session_s_own_times_hold(world: World, auth: Any) -> None:
    """A session may have shorter times than the policy, and a stricter policy also applies to it."""
    tokens = auth.start(ADA, idle_ttl="1h", absolute_ttl="90m")
    world.clock.advance(HOUR - 1)
    tokens = auth.refresh(tokens.refresh_token)
    assert tokens.session.created_at + 90 * MINUTE == tokens.session.expires_at
    strict = world.auth(access_ttl="1m", idle_ttl="2m", absolute_ttl="61m", session_idle_ttl="2m")
    world.clock.advance(W + 1)
    tokens = strict.refresh(tokens.refresh_token)
    assert tokens.session.created_at + 61 * MINUTE == tokens.session.expires_at
    world.clock.now = tokens.session.expires_at
    rejected(TokenExpired, strict, tokens.refresh_token)


def test_lost_writes_leave_a_session_its_own_times(world: World, auth: Any) -> None:
    """A session that heals has the expiry that its own times allow."""
    tokens = auth.start(ADA, idle_ttl="1h")
    old = world.stored(auth, tokens.session.id)
    for _ in range(2):
        world.clock.advance(W + 1)
        tokens = auth.refresh(tokens.refresh_token, device=Device(address="10.0.0.9"))
    assert auth.run(_asking(Swap(world.stored(auth, old.id), old)))
    healed = auth.refresh(tokens.refresh_token, device=Device(user_agent="new"))
    assert "healed" == world.told()[-1]
    assert (world.clock.now + HOUR, "new") == (healed.session.expires_at, healed.session.device.user_agent)


def test_session_s_own_claims_are_in_each_access_token(world: World, auth: Any) -> None:
    """They are added to the user's claims, and replace one of the same name."""
    world.users["user-1"] = replace(ADA, claims={"org": "default", "plan": "pro"})
    tokens = auth.start(world.users["user-1"], claims={"org": "acme", "amr": ["pwd", "otp"]})
    for _ in range(2):
        claims = auth.verify(tokens.access_token).claims
        assert ("acme", "pro", ["pwd", "otp"]) == (claims["org"], claims["plan"], claims["amr"])
        world.clock.advance(W + 1)
        tokens = auth.refresh(tokens.refresh_token)
    assert {"org": "acme", "amr": ["pwd", "otp"]} == auth.sessions("user-1")[0].claims
    with pytest.raises(TypeError, match="read-only"):
        tokens.session.claims["org"] = "other"


def test_session_keeps_a_user_whom_the_application_does_not_know(world: World, auth: Any) -> None:
    """Refreshes give the user of the login, with all parts; `load_user`, which would end the session, is not asked."""
    user = User("elsewhere-7", "eve", "eve@example.com", {"team": {"name": "blue"}}, scope="read write")
    began = world.clock.now
    tokens = auth.start(user, keep_user=True, authenticated_at=began - HOUR)
    for _ in range(2):
        token = auth.verify(tokens.access_token)
        assert ("eve", "eve@example.com", "read write") == (token.username, token.email, token.scope)
        assert {"name": "blue"} == token.claims["team"]
        assert (began - HOUR, began) == (token.auth_time, token.session_started_at)
        world.clock.advance(W + 1)
        tokens = auth.refresh(tokens.refresh_token)
        assert user == tokens.user
    with pytest.raises(TokenRejected):
        auth.refresh(auth.start(user).refresh_token)


def test_options_of_a_kept_user_that_cannot_work(auth: Any) -> None:
    """Nothing is started with more than a session can keep, or a time that is not one."""
    for options in (
        {"keep_user": "yes"},
        {"authenticated_at": 1.5},
        {"authenticated_at": 0},
    ):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            auth.start(ADA, **options)
    with pytest.raises(ConfigurationError, match="2048 bytes"):
        auth.start(replace(ADA, claims={"long": "x" * 3000}), keep_user=True)


# ---- step-up


def test_confirmed_login_is_newer_in_the_same_session(world: World, auth: Any) -> None:
    """The access token and those of later refreshes say when and how; the refresh token stays valid."""
    tokens = auth.start(ADA, claims={"org": "acme", "amr": ["pwd"]}, persistent=False)
    world.clock.advance(HOUR)
    confirmed = auth.confirm(tokens.session.id, amr=["hwk", "user"], acr="phr")
    at = world.clock.now
    world.clock.advance(W)
    refreshed = auth.refresh(tokens.refresh_token)
    for access in (confirmed.access_token, refreshed.access_token):
        token = auth.verify(access)
        assert (at, tokens.session.created_at) == (token.auth_time, token.session_started_at)
        assert (["hwk", "user"], "phr", "acme") == tuple(token.claims[each] for each in ("amr", "acr", "org"))
    assert ["started", "confirmed", "rotated"] == world.told()
    assert (at, False) == (refreshed.session.authenticated_at, refreshed.session.persistent)
    auth.confirm(tokens.session.id, amr=["pwd"])
    assert "acr" not in auth.sessions("user-1")[0].claims


def test_everyone_s_end_holds_for_a_confirmed_login(world: World) -> None:
    """A login that was confirmed by a clock that is ahead is ended with all others."""
    auth, ahead = world.auth(), world.auth(clock=lambda: world.clock.now + MINUTE)
    tokens = auth.start(ADA)
    confirmed = ahead.confirm(tokens.session.id, amr=["pwd"])
    assert auth.verify(confirmed.access_token).auth_time > world.clock.now
    auth.end_everyone()
    with pytest.raises(SessionRevoked):
        auth.verify(confirmed.access_token)


def test_confirmations_that_are_refused(world: World, auth: Any) -> None:
    """Refused: a session that has ended or does not exist, an impersonated session, and a call without ``amr``."""
    tokens = auth.start(ADA)
    admin = auth.start(User("user-2"))
    acting = auth.impersonate(admin.access_token, ADA, reason="ticket")
    with pytest.raises(ImpersonationRejected):
        auth.confirm(acting.session.id, amr=["pwd"])
    for amr in ([], "pwd", [1]):
        with pytest.raises(ConfigurationError, match="amr"):
            auth.confirm(tokens.session.id, amr=amr)
    auth.logout(tokens.refresh_token)
    for session_id in (tokens.session.id, "0" * 32):
        with pytest.raises(SessionRevoked):
            auth.confirm(session_id, amr=["pwd"])
    for no_id in (tokens.access_token, tokens.session, tokens.session.id[:-1], None):
        with pytest.raises(ConfigurationError, match=r"token\.session_id"):
            auth.confirm(no_id, amr=["pwd"])
    with pytest.raises(ConfigurationError, match="one class"):
        auth.start(ADA, claims={"acr": "mfa phr"})
    with pytest.raises(ConfigurationError, match=r"a daypass\.Device, not a str"):
        auth.start(ADA, device="phone")
    with pytest.raises(ConfigurationError, match=r"a daypass\.Device, not a str"):
        auth.refresh(tokens.refresh_token, device="phone")
    for no_token in (tokens, None, b"x"):
        with pytest.raises(TokenMalformed, match="an access token is text, not"):
            auth.verify(no_token)
    assert EventCode.CONFIRMED not in world.told()


# ---- session limits, new devices


def test_login_ends_the_oldest_session_where_there_are_too_many(world: World) -> None:
    """The newest stay; the access tokens of the one that was ended are refused at once."""
    auth = world.auth(max_sessions=2)
    logins = []
    for _ in range(3):
        logins.append(auth.start(ADA))
        world.clock.advance(1)
    assert [each.session.id for each in logins[:0:-1]] == [each.id for each in auth.sessions("user-1")]
    with pytest.raises(SessionRevoked):
        auth.verify(logins[0].access_token)
    rejected(SessionRevoked, auth, logins[0].refresh_token)
    assert ["started"] * 3 + ["ended", "rejected"] == world.told()
    acting = auth.impersonate(auth.start(User("user-2")).access_token, ADA, reason="ticket")
    assert acting.session.id in {each.id for each in auth.sessions("user-1")}
    assert 3 == len(auth.sessions("user-1"))


def test_login_is_refused_where_there_are_too_many_sessions(world: World) -> None:
    """Nothing is started, and there is an event; a logout makes room."""
    auth = world.auth(max_sessions=1, when_full="refuse")
    first = auth.start(ADA)
    with pytest.raises(SessionLimitReached):
        auth.login("ada", "right")
    assert [first.session.id] == [each.id for each in auth.sessions("user-1")]
    assert ["started", "login_failed"] == world.told()
    auth.logout(first.refresh_token)
    assert auth.start(ADA).session.id


def test_login_from_a_new_device_is_an_event(world: World) -> None:
    """The first one is no news, nor is an update of the same browser; another browser is, once."""
    auth = world.auth(notice_devices=True)
    firefox, newer, safari = (
        Device(user_agent=f"Mozilla/5.0 (X11; Linux x86_64) {name}")
        for name in ("Firefox/140.0", "Firefox/141.0.2", "Safari/26")
    )
    for device in (firefox, newer, Device(), safari, safari, firefox):
        auth.logout(auth.start(ADA, device=device).refresh_token)
    news = [event for event in world.events if event.code == "new_device"]
    assert [("user-1", safari.user_agent)] == [(event.subject, event.reason) for event in news]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_sessions": 0}, "invalid max_sessions 0: write a number from 1"),
        ({"max_sessions": "3"}, "invalid max_sessions '3'"),
        ({"when_full": "newest"}, "invalid when_full 'newest': write 'end_oldest' or 'refuse'"),
        ({"when_full": "refuse"}, "needs max_sessions"),
        ({"notice_devices": "yes"}, "invalid notice_devices 'yes': write True or False"),
    ],
)
def test_session_limit_that_cannot_work(world: World, arguments: dict[str, Any], message: str) -> None:
    """The error says what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        world.auth(**arguments)


# ---- passive refreshes


def test_passive_refresh_does_not_move_the_idle_clock(world: World) -> None:
    """A timer gets access tokens for as long as the session lives, and does not keep it alive, by any verdict."""
    auth = world.auth(idle_ttl="1h")
    tokens = auth.start(ADA)
    end = tokens.session.expires_at

    def passive(after: int, text: str) -> Tokens:
        world.clock.advance(after)
        given = auth.refresh(text, passive=True)
        assert end == given.session.expires_at == world.stored(auth, given.session.id).expires_at
        assert auth.verify(given.access_token)
        return given  # type: ignore[no-any-return]  # of whatever colour

    first = passive(MINUTE, tokens.refresh_token)
    tokens = passive(10 * MINUTE, first.refresh_token)
    tokens = passive(10 * MINUTE, first.refresh_token)
    passive(10 * MINUTE, tokens.refresh_token)
    assert ["started", "rotated", "rotated", "branched"] == world.told()[:4]
    world.clock.now = end
    rejected(TokenExpired, auth, tokens.refresh_token)


def test_refresh_of_a_user_moves_the_idle_clock_right_after_a_passive_one(world: World) -> None:
    """Also where it is held back or repeated, which writes nothing else, and only the first time."""
    auth = world.auth(idle_ttl="1h")
    for held in (True, False):
        started = auth.start(ADA)
        world.clock.advance(10 * MINUTE)
        passive = auth.refresh(started.refresh_token, passive=True)
        presented = passive.refresh_token if held else started.refresh_token
        for second in (1, 2):
            world.clock.advance(1000)
            tokens = auth.refresh(presented)
            assert started.session.expires_at + 10 * MINUTE <= tokens.session.expires_at
            assert tokens.session.rotated_at == passive.session.rotated_at
            if second == 1:
                first = tokens.session.expires_at
                assert world.clock.now + HOUR == first == world.stored(auth, tokens.session.id).expires_at
        assert first == tokens.session.expires_at
        assert ("held" if held else "repeated") in world.told()


# ---- acting as another user


def test_administrator_acts_as_a_user(world: World, auth: Any) -> None:
    """Each access token says who acts; the session ends after an hour, and the event has the reason."""
    admin = auth.start(User("user-2"))
    world.told()
    tokens = auth.impersonate(admin.access_token, ADA, reason="ticket 4711")
    started, impersonated = world.events
    assert ("started", "impersonated") == (started.code, impersonated.code)
    assert ("user-1", "ticket 4711", "user-2") == (impersonated.subject, impersonated.reason, impersonated.actor)
    for _ in range(2):
        token = auth.verify(tokens.access_token)
        assert ("user-1", "user-2", admin.session.id) == (token.subject, token.actor, token.actor_session_id)
        assert {"sub": "user-2", "sid": admin.session.id} == token.claims["act"]
        world.clock.advance(HOUR // 2 - 1)
        tokens = auth.refresh(tokens.refresh_token)
    (listed,) = auth.sessions("user-1")
    assert ("user-2", False) == (listed.actor, listed.persistent)
    world.clock.now = listed.created_at + HOUR
    rejected(TokenExpired, auth, tokens.refresh_token)


def test_impersonation_ends_with_the_administrator_s_own_session(world: World, auth: Any) -> None:
    """Its access tokens are refused at once, its refresh token at its next use, and it is no longer listed."""
    ends: tuple[Callable[[Tokens], Any], ...] = (
        lambda admin: auth.logout(admin.refresh_token),
        lambda admin: auth.end_session("user-2", admin.session.id),
        lambda _: auth.end_all("user-2"),
    )
    for end in ends:
        admin = auth.start(User("user-2"))
        own = auth.start(ADA)
        tokens = auth.impersonate(admin.access_token, ADA, reason="ticket")
        assert {own.session.id, tokens.session.id} == {each.id for each in auth.sessions("user-1")}
        assert auth.verify(tokens.access_token)
        end(admin)
        with pytest.raises(SessionRevoked):
            auth.verify(tokens.access_token)
        assert [own.session.id] == [each.id for each in auth.sessions("user-1")]
        rejected(SessionRevoked, auth, tokens.refresh_token)
        assert EventCode.ENDED in world.told()
        auth.logout(own.refresh_token)


def test_impersonations_that_are_refused(world: World, auth: Any) -> None:
    """No chain, no other client's token, no ended session, not as oneself, and not without a reason."""
    admin = auth.start(User("user-2"))
    acting = auth.impersonate(admin.access_token, ADA, reason="ticket")
    with pytest.raises(ImpersonationRejected, match="starts no further one"):
        auth.impersonate(acting.access_token, User("user-3"), reason="ticket")
    with pytest.raises(ImpersonationRejected, match="another client"):
        auth.impersonate(auth.start(User("user-2"), client_id="app").access_token, ADA, reason="ticket")
    with pytest.raises(ImpersonationRejected, match="is the user to act as"):
        auth.impersonate(admin.access_token, User("user-2"), reason="ticket")
    with pytest.raises(CredentialsRejected):
        auth.impersonate(admin.access_token, replace(ADA, disabled=True), reason="ticket")
    for arguments, message in (
        ({"reason": " "}, "reason has to be text"),
        ({"reason": "x" * 201}, "1 to 200 characters"),
        ({"reason": "ticket", "absolute_ttl": "61m"}, "from one second to one hour"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            auth.impersonate(admin.access_token, ADA, **arguments)
    auth.end_session("user-2", admin.session.id)
    with pytest.raises(SessionRevoked):
        auth.impersonate(admin.access_token, ADA, reason="ticket")
    assert () == auth.sessions("user-1")


def test_older_version_gives_nothing_for_an_impersonation(world: World, auth: Any) -> None:
    """To a node of 0.1, which would leave out who acts, its refresh token is no token of this issuer."""
    admin = auth.start(User("user-2"))
    tokens = auth.impersonate(admin.access_token, ADA, reason="ticket")
    ring = auth.run(_asking(Keys()))
    with pytest.raises(TokenMalformed):
        decode(tokens.refresh_token, ring.refresh_keys)  # what 0.1 does
    assert admin.session.id == decode(admin.refresh_token, ring.refresh_keys).session_id


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"persistant": False}, "unknown session option 'persistant': did you mean 'persistent'"),
        ({"persistent": 0}, "invalid persistent 0: write True or False"),
        ({"idle_ttl": "31d"}, "idle_ttl of a session has to be above zero and at most idle_ttl of the issuer"),
        ({"idle_ttl": "30s"}, "longer than grace_period"),
        ({"idle_ttl": "soon"}, "idle_ttl: invalid duration 'soon'"),
        ({"absolute_ttl": 0}, "absolute_ttl of a session has to be above zero"),
        ({"absolute_ttl": "181d"}, "at most absolute_ttl of the issuer"),
        ({"claims": {"sub": "2", "exp": 1}}, "claims may not set exp, sub, which Daypass sets"),
        ({"claims": {"org": object()}}, "claims has to be made of JSON values"),
        ({"claims": {"org": float("nan")}}, "claims has to be made of JSON values"),
        ({"claims": {1: "x"}}, "a mapping of names to JSON values"),
        ({"claims": {"org": "x" * 2048}}, "too long: 2059 bytes as JSON, at most 2048"),
        ({"claims": {"act": "admin"}}, "the claim act has to be a mapping"),
        ({"claims": {"amr": "pwd"}}, "the claim amr has to be a list of texts"),
        ({"claims": {"acr": 1}}, "the claim acr has to be one class"),
    ],
)
def test_option_of_a_session_that_cannot_work_starts_nothing(
    world: World, auth: Any, options: dict[str, Any], message: str
) -> None:
    """The error says what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        auth.start(ADA, **options)
    assert ((), []) == (auth.sessions("user-1"), world.told())


def test_an_access_token_expires_by_the_issuers_clock(world: World, auth: Any) -> None:
    """``exp == now`` is expired."""
    tokens = auth.start(ADA)
    world.clock.advance(899_999)
    auth.verify(tokens.access_token)
    world.clock.advance(1)
    with pytest.raises(TokenExpired):
        auth.verify(tokens.access_token)


# ---- ending sessions


def test_any_token_of_a_session_ends_it(world: World, auth: Any) -> None:
    """A refresh token can log out, however old it is."""
    first = auth.start(ADA)
    token = first.refresh_token
    for _ in range(3):
        token = auth.refresh(token).refresh_token
        world.clock.advance(W + 1)
    assert auth.logout(first.refresh_token) is True
    rejected(SessionRevoked, auth, token)


def test_a_user_sees_and_ends_their_sessions(world: World, auth: Any) -> None:
    """Sessions are listed, the newest login first; one can be ended, or all but one; never another user's."""
    started: list[Tokens] = []
    for name in ("phone", "laptop", "tablet", "desk"):
        started.append(auth.start(ADA, device=Device(name), client_id="app"))
        world.clock.advance(1000)
    other = auth.start(User("user-2"))
    assert ["desk", "tablet", "laptop", "phone"] == [each.device.name for each in auth.sessions("user-1")]
    assert {"app"} == {each.client_id for each in auth.sessions("user-1")}
    assert auth.end_session("user-2", started[0].session.id) is False
    assert auth.end_session("user-1", started[0].session.id) is True
    assert auth.end_session("user-1", started[0].session.id) is False
    assert 2 == auth.end_all("user-1", keep=started[1].session.id)
    assert [started[1].session.id] == [each.id for each in auth.sessions("user-1")]
    assert 1 == auth.end_all("user-1")
    assert 0 == auth.end_all("user-1")
    for tokens in started:
        with pytest.raises(SessionRevoked):
            auth.verify(tokens.access_token)
    auth.verify(other.access_token)
    auth.refresh(other.refresh_token)


@pytest.mark.parametrize("session_id", ["", "0" * 32, "no session's id", "\u00e9", "F" * 32, "' OR 1=1"])
def test_ending_an_unknown_session_ends_none(auth: Any, session_id: str) -> None:
    """Text that names no session ends none, and is no error."""
    auth.start(ADA)
    assert auth.end_session("user-1", session_id) is False
    assert 1 == auth.end_all("user-1", keep=session_id)


def test_an_expired_session_is_not_there_to_be_ended(world: World, auth: Any) -> None:
    """`end_session` returns False when the user has no such *live* session, as its docstring says."""
    tokens = auth.start(ADA)
    world.clock.advance(31 * DAY)
    assert auth.end_session("user-1", tokens.session.id) is False


# ---- the user


@pytest.mark.parametrize("gone", [None, replace(ADA, disabled=True)], ids=["deleted", "disabled"])
def test_a_user_who_is_gone_gets_nothing(world: World, auth: Any, gone: User | None) -> None:
    """At the next refresh the session is revoked, and stays so when the user comes back."""
    tokens = auth.start(ADA)
    if gone is None:
        del world.users["user-1"]
    else:
        world.users["user-1"] = gone
    rejected(SessionRevoked, auth, tokens.refresh_token)
    with pytest.raises(SessionRevoked):
        auth.verify(tokens.access_token)
    assert "user_gone" == world.stored(auth, tokens.session.id).end_reason
    world.users["user-1"] = ADA
    rejected(SessionRevoked, auth, tokens.refresh_token)
    assert ["started", "rotated", "ended", "rejected", "rejected"] == world.told()


def test_a_refresh_takes_the_user_as_they_are_now(world: World, auth: Any) -> None:
    """Names and claims in the new access token are today's."""
    tokens = auth.start(ADA)
    world.users["user-1"] = User("user-1", "countess", None, {"role": "admin"})
    token = auth.verify(auth.refresh(tokens.refresh_token).access_token)
    assert ("countess", None, "admin") == (token.username, token.email, token.claims["role"])


@pytest.mark.parametrize("age", [0, W, W + 1], ids=["rotate", "hold or repeat", "branch"])
def test_an_application_that_fails_costs_no_session(world: World, age: int) -> None:
    """What ``load_user`` raises comes out, and the same token can be presented again; each is then the right one."""
    broken = True

    def load(subject: str) -> User | None:
        if broken:
            raise LookupError("the application's database is down")
        return world.users.get(subject)

    auth = world.auth(load_user=load)
    tokens = auth.start(ADA)
    for _ in range(2):
        with pytest.raises(LookupError):
            auth.refresh(tokens.refresh_token)
        world.clock.advance(age)
    broken = False
    following = auth.refresh(tokens.refresh_token)
    world.clock.advance(W + 1)
    auth.verify(auth.refresh(following.refresh_token).access_token)
    assert 1 == len(auth.sessions("user-1"))
    assert {"reused", "stale"}.isdisjoint(world.told())


@pytest.mark.parametrize("answer", ["ada", {"subject": "user-1"}, 1, False])
def test_a_callback_that_returns_no_user_is_a_configuration_error(world: World, answer: Any) -> None:
    """If a callback returns something else, the error says what to return."""
    tokens = world.auth().start(ADA)
    with pytest.raises(ConfigurationError, match=r"load_user returned a .*User or None"):
        world.auth(load_user=lambda subject: answer).refresh(tokens.refresh_token)
    with pytest.raises(ConfigurationError, match="authenticate returned"):
        world.auth(authenticate=lambda name, password: answer).login("ada", "right")


# ---- callbacks of the other colour


async def test_async_callbacks_are_awaited_and_others_run_in_a_thread() -> None:
    """`AsyncDaypass` takes both; one that may block is not called on the event loop."""
    where: dict[str, int] = {}

    def load(subject: str) -> User | None:
        where["load"] = threading.get_ident()
        return ADA

    def check(identifier: str, password: str) -> User | None:
        where["check"] = threading.get_ident()
        return ADA

    async def async_load(subject: str) -> User | None:
        await asyncio.sleep(0)
        where["async_load"] = threading.get_ident()
        return ADA

    class AsyncCheck:
        async def __call__(self, identifier: str, password: str) -> User | None:
            await asyncio.sleep(0)
            where["async_check"] = threading.get_ident()
            return ADA

    told: list[str] = []

    async def listen(event: Event) -> None:
        await asyncio.sleep(0)
        told.append(event.code)

    blocking = AsyncDaypass("memory:", issuer=ISSUER, load_user=load, authenticate=check)
    await blocking.refresh((await blocking.login("ada", "right")).refresh_token)
    awaited = AsyncDaypass("memory:", issuer=ISSUER, load_user=async_load, authenticate=AsyncCheck(), on_event=listen)
    async with awaited as auth:
        await auth.refresh((await auth.login("ada", "right")).refresh_token)
    here = threading.get_ident()
    assert {"load", "check"} == {name for name, thread in where.items() if thread != here}
    assert {"async_load", "async_check"} == {name for name, thread in where.items() if thread == here}
    assert ["started", "rotated"] == told


def test_an_async_callback_is_not_for_daypass() -> None:
    """One that only shows it when it is called is refused then, with nothing left unawaited; the session lives on."""

    async def load(subject: str) -> User | None:
        return ADA

    async def check(identifier: str, password: str) -> User | None:
        return ADA

    store = MemoryStore()
    wrong: Any = {"load_user": lambda subject: load(subject), "authenticate": lambda name, word: check(name, word)}
    broken = Daypass(store, issuer=ISSUER, secret=SECRET, **wrong)
    tokens = broken.start(ADA)
    with pytest.raises(ConfigurationError, match="AsyncDaypass"):
        broken.refresh(tokens.refresh_token)
    with pytest.raises(ConfigurationError, match="AsyncDaypass"):
        broken.login("ada", "right")
    Daypass(store, issuer=ISSUER, secret=SECRET, load_user=lambda subject: ADA).refresh(tokens.refresh_token)


def test_a_listener_that_raises_changes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What ``on_event`` raises is logged, and the user notices nothing."""

    def listen(event: Event) -> None:
        raise ZeroDivisionError

    auth = world.auth(on_event=listen)
    tokens = auth.refresh(auth.login("ada", "right").refresh_token)
    rejected(TokenMalformed, auth, "garbage")
    assert auth.logout(tokens.refresh_token) is True
    failed = [record for record in caplog.records if record.exc_info]
    assert ["on_event failed for started", "on_event failed for rotated"] == [each.getMessage() for each in failed[:2]]
    assert 4 == len(failed)


def test_reuse_is_a_warning_without_a_token(world: World, auth: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the session that was revoked, and no log line or event holds a token."""
    caplog.set_level(logging.DEBUG, "daypass")
    login = auth.start(ADA)
    seen = [login]
    for _ in range(2):
        world.clock.advance(W + 1)
        seen.append(auth.refresh(seen[-1].refresh_token))
    world.clock.advance(W + 1)
    rejected(TokenReused, auth, login.refresh_token)
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    warned = [message for message in messages if "session=None" not in message]  # of a store that another test has left
    assert [f"reused session={login.session.id} subject=user-1 reason=None"] == warned
    everything = caplog.text + repr(world.events) + repr(seen) + repr(auth)
    parts = [part for tokens in seen for part in (*tokens.access_token.split("."), tokens.refresh_token[4:40])]
    assert [] == [part for part in parts if part in everything]


# ---- at once


@pytest.mark.parametrize("ending", ["logout", "end_session", "end_all", "user"])
def test_a_revoked_session_stays_revoked_whichever_call_ends_last(world: World, auth: Any, ending: str) -> None:
    """Refreshes that race the end of their session get tokens before it or are refused, and never bring it back."""
    for _ in range(6):
        world.users["user-1"] = ADA
        tokens = auth.start(ADA)
        start = threading.Barrier(7)

        def refresh(tokens: Tokens = tokens, start: threading.Barrier = start) -> str:
            start.wait(30)
            token = tokens.refresh_token
            try:
                for _ in range(4):
                    token = auth.refresh(token).refresh_token
            except SessionRevoked:
                return "refused"
            return "refreshed"

        def end(tokens: Tokens = tokens, start: threading.Barrier = start) -> str:
            start.wait(30)
            match ending:
                case "logout":
                    auth.logout(tokens.refresh_token)
                case "end_session":
                    auth.end_session("user-1", tokens.session.id)
                case "end_all":
                    auth.end_all("user-1")
                case "user":
                    world.users.pop("user-1")
                    with pytest.raises(SessionRevoked):
                        auth.refresh(tokens.refresh_token)
            return "ended"

        with ThreadPoolExecutor(7) as threads:
            answers = list(
                threads.map(lambda work: work(), [refresh, refresh, refresh, end, refresh, refresh, refresh])
            )
        assert {"ended"} <= set(answers) <= {"ended", "refreshed", "refused"}
        rejected(SessionRevoked, auth, tokens.refresh_token)
        assert () == auth.sessions("user-1")


def test_many_who_present_the_same_token_get_the_same_successor(world: World, auth: Any) -> None:
    """Exactly one of them rotates; the others are answered alike."""
    token = auth.start(ADA).refresh_token
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(auth.refresh, [token] * 12))
    assert 1 == len({answer.refresh_token for answer in answers})
    assert ["repeated"] * 11 + ["rotated", "started"] == sorted(world.told())


def test_many_first_calls_make_one_signing_key(world: World) -> None:
    """Issuers that start at once over an empty store all sign with the same key."""
    issuers = [world.auth() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(lambda auth: auth.start(ADA), issuers))
    assert 1 == len({key["kid"] for auth in issuers for key in auth.jwks()["keys"]})
    for auth in issuers:
        for each in tokens:
            auth.verify(each.access_token)


# ---- keys and secrets


def test_a_restart_keeps_sessions_and_tokens(world: World, auth: Any) -> None:
    """Another issuer over the same store and secret reads every token of the first."""
    tokens = auth.start(ADA)
    again = world.auth()
    again.verify(tokens.access_token)
    auth.verify(again.refresh(tokens.refresh_token).access_token)


def test_a_secret_is_replaced_without_logging_anybody_out(world: World) -> None:
    """With the new secret before the old one, every token stays valid; after that the new secret is enough."""
    old = world.auth(secret=OLDER)
    tokens = old.start(ADA)
    both = world.auth(secret=[SECRET, OLDER])
    both.verify(tokens.access_token)
    following = both.refresh(tokens.refresh_token)
    old.verify(following.access_token)
    world.clock.advance(W + 1)
    new = world.auth(secret=SECRET)
    new.verify(new.refresh(following.refresh_token).access_token)
    new.verify(tokens.access_token)


def test_a_secret_that_is_missing_is_a_mistake_of_set_up(world: World) -> None:
    """Without the secret that the store's keys were wrapped under nothing works, and the message says what to do."""
    world.auth(secret=OLDER).start(ADA)
    with pytest.raises(ConfigurationError, match=r"secret=\[new, old\]"):
        world.auth(secret=SECRET).start(ADA)


def test_nodes_that_do_not_yet_agree_on_the_newest_secret_fork_nothing(world: World) -> None:
    """While a new secret is rolled out, whichever node answers, a session has one successor."""
    one, other = world.auth(secret=[SECRET, OLDER]), world.auth(secret=[OLDER, SECRET])
    token = one.start(ADA).refresh_token
    answers = [one.refresh(token).refresh_token, other.refresh(token).refresh_token]
    world.clock.advance(W + 1)
    following = [fields(one, one.refresh(answer).refresh_token) for answer in answers]
    assert following[0].branch == following[1].branch


def fields(auth: Any, text: str) -> RefreshToken:
    return decode(text, auth._upkeep.ring.refresh_keys)


class Counting(MemoryStore):
    """A store that counts how often it is asked for the signing keys."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def perform(self, step: StoreStep[Any]) -> Any:
        """Perform ``step``."""
        self.reads += isinstance(step, ReadKeys)
        return super().perform(step)


def test_a_token_of_a_key_added_moments_ago_is_verified() -> None:
    """The keys are read for it, however soon after the last read; a token of another issuer is rejected."""
    store, clock = Counting(), Clock()
    arguments: Any = {"issuer": ISSUER, "secret": SECRET, "load_user": lambda subject: ADA, "clock": clock}
    old = Daypass(store, **arguments)
    old.start(ADA)
    new = Daypass(store, **arguments, algorithm="Ed25519").start(ADA)
    stranger = Daypass("memory:", **arguments).start(ADA)
    before = store.reads
    assert "user-1" == old.verify(new.access_token).subject == old.verify(new.access_token).subject
    assert before + 1 == store.reads
    with pytest.raises(TokenMalformed):
        old.verify(stranger.access_token)


# ---- the secret that an embedded store makes for itself


def embedded(path: Path, **arguments: Any) -> Daypass:
    return Daypass(f"sqlite:///{path}", issuer=ISSUER, load_user=lambda subject: ADA, **arguments)


def test_an_embedded_store_makes_its_own_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is made once, beside the database, readable only for its owner, and logged; the next start reads it."""
    path = tmp_path / "app.db"
    with embedded(path) as auth:
        tokens = auth.start(ADA)
    secret = tmp_path / "app.db.secret"
    assert 0o600 == secret.stat().st_mode & 0o777
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [True] == [str(secret) in message and "0600" in message for message in warned]
    assert secret.read_text().strip() not in caplog.text
    caplog.clear()
    with embedded(path) as auth:
        auth.verify(auth.refresh(tokens.refresh_token).access_token)
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert {"app.db", "app.db.secret"} == {each.name for each in tmp_path.iterdir()}


def test_a_secret_that_is_given_makes_no_file(tmp_path: Path) -> None:
    """No file is written beside the database if the operator gives the secret."""
    with embedded(tmp_path / "app.db", secret=SECRET) as auth:
        auth.start(ADA)
    assert ["app.db"] == [each.name for each in tmp_path.iterdir()]


SECRET_OF = """
import logging, sys
from daypass import Daypass
logging.disable()
sys.stdin.readline()
auth = Daypass(sys.argv[1], issuer="https://issuer.example", load_user=lambda subject: None)
print(auth._upkeep._keys._secret.refresh_key.id.hex())
"""


def test_processes_that_start_at_once_have_the_same_secret(tmp_path: Path) -> None:
    """The first process makes it; no process overwrites it, and no temporary file is left."""
    command = [sys.executable, "-c", SECRET_OF, f"sqlite:///{tmp_path}/app.db"]
    others = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in others:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=30)[0] for process in others}
    assert [0] * 4 == [process.returncode for process in others]
    assert 1 == len(answers)
    assert ["app.db.secret"] == [each.name for each in tmp_path.iterdir()]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o601])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The message says how to fix it, and does not contain the secret."""
    secret = tmp_path / "app.db.secret"
    secret.write_text("x" * 40)
    secret.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600") as caught:
        embedded(tmp_path / "app.db")
    assert "x" * 8 not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "empty"), (b"\n \n", "empty"), (b"short\n", "32"), (b"\xff" * 40, "text")]
)
def test_a_secret_file_with_nothing_good_in_it_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """An empty, short or binary file is no secret; it is left as it is."""
    secret = tmp_path / "app.db.secret"
    secret.write_bytes(content)
    secret.chmod(0o600)
    with pytest.raises(ConfigurationError, match=says):
        embedded(tmp_path / "app.db")
    assert content == secret.read_bytes()


def test_a_secret_file_holds_several(tmp_path: Path) -> None:
    """One a line, newest first."""
    path, secret = tmp_path / "app.db", tmp_path / "app.db.secret"
    with embedded(path, secret=OLDER) as auth:
        tokens = auth.start(ADA)
    secret.write_text(f"{SECRET}\n{OLDER}\n")
    secret.chmod(0o600)
    with embedded(path) as auth:
        auth.refresh(tokens.refresh_token)


def test_a_place_where_no_secret_can_be_made_is_refused(tmp_path: Path) -> None:
    """A folder that is not there is a mistake of set-up, at once, and the message says what to give instead."""
    with pytest.raises(ConfigurationError, match="give a secret instead"):
        embedded(tmp_path / "missing" / "app.db")


def test_another_store_needs_a_secret() -> None:
    """A store that many nodes share cannot make one for them."""

    class Elsewhere:
        def perform(self, step: StoreStep[Any]) -> Any:
            raise StoreUnavailable

        def close(self) -> None: ...

    with pytest.raises(ConfigurationError, match="the same on every node"):
        Daypass(Elsewhere(), issuer=ISSUER, load_user=lambda subject: ADA)
    auth = Daypass(Elsewhere(), issuer=ISSUER, load_user=lambda subject: ADA, secret=SECRET)
    with pytest.raises(StoreUnavailable):
        auth.start(ADA)


# ---- mistakes of set-up


@pytest.mark.parametrize(
    "arguments",
    [
        {"issuer": ""},
        {"issuer": "issuer.example"},
        {"issuer": "ftp://issuer.example"},
        {"issuer": "https://"},
        {"issuer": "https://issuer.example?x=1"},
        {"issuer": "https://issuer.example#x"},
        {"algorithm": "none"},
        {"algorithm": "HS512"},
        {"secret": "short"},
        {"secret": []},
        {"load_user": None},
        {"load_user": "users"},
        {"clock": 5},
        {"entropy": b"x"},
        {"access_ttl": 0},
        {"access_ttl": "15 minutes"},
        {"access_ttl": -1},
        {"access_ttl": float("nan")},
        {"access_ttl": True},
        {"access_ttl": "31d"},
        {"idle_ttl": "1s"},
        {"absolute_ttl": "1d"},
        {"grace_period": "30d"},
        {"grace_period": "-1s"},
        {"leeway": "2m"},
        {"store": "postgres"},
        {"store": ""},
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", [Daypass, AsyncDaypass])
def test_a_wrong_configuration_is_refused_at_once(kind: Any, arguments: dict[str, Any]) -> None:
    """The message is one line, says what is wrong, and contains no secret."""
    given: dict[str, Any] = {"store": "memory:", "issuer": ISSUER, "load_user": lambda subject: None, "secret": SECRET}
    with pytest.raises(ConfigurationError) as caught:
        kind(**given | arguments)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_time_and_chance_are_given() -> None:
    """The issuer uses only the clock and the randomness that it was given: the same input has the same result."""

    def tokens() -> tuple[str, str]:
        auth = Daypass(
            "memory:",
            issuer=ISSUER,
            secret=SECRET,
            load_user=lambda subject: ADA,
            clock=Clock(),
            entropy=lambda size: b"e" * size,
        )
        started = auth.start(ADA)
        return started.refresh_token, started.session.id

    assert tokens() == tokens()


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256", "HS256"])
def test_each_algorithm_from_login_to_refresh(algorithm: Any) -> None:
    """Whatever access tokens are signed with, the whole way works, and HS256 publishes nothing."""
    auth = Daypass("memory:", issuer=ISSUER, load_user=lambda subject: ADA, algorithm=algorithm)
    auth.verify(auth.refresh(auth.start(ADA).refresh_token).access_token)
    assert [algorithm] * (algorithm != "HS256") == [key["alg"] for key in auth.jwks()["keys"]]
