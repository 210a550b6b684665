"""What ends stays ended, and what fails leaves nothing behind: also when the caller has gone meanwhile."""

import asyncio
import copy
import json
import pickle
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from daypass import (
    AsyncDaypass,
    ConfigurationError,
    CredentialsRejected,
    Daypass,
    Event,
    SessionRevoked,
    StoreUnavailable,
    TokenExpired,
    TokenMalformed,
    User,
)
from daypass.duration import MINUTE
from daypass.store_steps import ReadKeys, StoreStep
from daypass.stores.memory import MemoryStore
from daypass.stores.sqlite import SqliteStore
from daypass.testing import START, Clock

pytestmark = pytest.mark.anyio

ADA = User("user-1", "ada")
W = 30_000
DAY = 86_400_000


def issuer(store: Any, **arguments: Any) -> Daypass:
    given: dict[str, Any] = {"issuer": "https://issuer.example", "secret": "s" * 32, "load_user": lambda _: ADA}
    return Daypass(store, **given | arguments)


@pytest.mark.parametrize("ending", ["logout", "end_session", "end_all"])
async def test_a_caller_that_goes_away_does_not_stop_an_ending(tmp_path: Path, ending: str) -> None:
    """A logout whose caller is cancelled is still reported, and its access tokens are refused."""
    events: list[str] = []
    async with AsyncDaypass(
        f"sqlite:///{tmp_path}/app.db",
        issuer="https://issuer.example",
        load_user=lambda _: ADA,
        on_event=lambda event: events.append(event.code),
    ) as auth:
        tokens = await auth.start(ADA)
        calls: dict[str, Coroutine[Any, Any, object]] = {
            "logout": auth.logout(tokens.refresh_token),
            "end_session": auth.end_session("user-1", tokens.session.id),
            "end_all": auth.end_all("user-1"),
        }
        caller = asyncio.ensure_future(calls.pop(ending))
        for other in calls.values():
            other.close()
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        for _ in range(200):
            if len(events) == 2:
                break
            await asyncio.sleep(0.01)
        assert ["started", "logged_out" if ending == "logout" else "ended"] == events
        with pytest.raises(SessionRevoked):
            await auth.verify(tokens.access_token)


def test_an_access_token_never_outlives_its_session() -> None:
    """Shortly before the session's end a token lives only until then, and says so."""
    clock = Clock()
    auth = issuer("memory:", clock=clock, idle_ttl="30d", absolute_ttl="30d")
    tokens = auth.start(ADA)
    clock.advance(30 * DAY - 60_000)
    last = auth.refresh(tokens.refresh_token)
    assert 60 == last.expires_in
    clock.advance(60_000)
    with pytest.raises(TokenExpired):
        auth.verify(last.access_token)


@pytest.mark.parametrize(
    ("user", "error"),
    [
        (User("user-1", claims={"x": "y" * 20_000}), ConfigurationError),
        (User("user-1", disabled=True), CredentialsRejected),
        ("user-1", ConfigurationError),
        (None, ConfigurationError),
    ],
    ids=["claims that are too long", "disabled", "no User", "None"],
)
def test_a_start_that_fails_leaves_no_session(user: Any, error: type[Exception]) -> None:
    """A token that no process could verify is not returned, and no session is stored."""
    auth = issuer("memory:")
    with pytest.raises(error):
        auth.start(user)
    assert () == auth.sessions("user-1")


@pytest.mark.parametrize(
    "claims", [{"x": float("nan")}, {"x": object()}, {"x": "\ud800"}, {1: {2, 3}}], ids=["NaN", "object", "text", "set"]
)
def test_claims_have_to_be_json(claims: Any) -> None:
    """What other verifiers could not read is refused where it is made."""
    with pytest.raises(ConfigurationError, match="text and JSON values"):
        User("user-1", claims=claims)


@pytest.mark.parametrize(
    "names", [{"subject": "1\0"}, {"subject": "1", "username": "\0"}, {"subject": "1", "email": "a\0@b"}]
)
def test_names_have_to_be_what_every_store_keeps(names: dict[str, Any]) -> None:
    """A NUL character, which PostgreSQL has no place for, is refused whatever the store."""
    with pytest.raises(ConfigurationError, match="NUL"):
        User(**names)


def test_verified_claims_cannot_be_changed() -> None:
    """However deep: a list that one request changed would be there in the next request with the same token."""
    auth = issuer("memory:")
    text = auth.start(User("user-1", claims={"roles": ["reader"], "teams": {"a": [{"b": 1}]}})).access_token
    claims: Any = auth.verify(text).claims
    changes: list[Callable[[], object]] = [
        lambda: claims.update(admin=True),
        lambda: claims.__setitem__("admin", "yes"),
        lambda: claims.__delitem__("sub"),
        lambda: claims.__ior__({"admin": True}),
        lambda: claims["roles"].append("admin"),
        lambda: claims["roles"].__iadd__(["admin"]),
        lambda: claims["roles"].__setitem__(0, "admin"),
        lambda: claims["teams"].setdefault("admin", []),
        lambda: claims["teams"]["a"][0].clear(),
        lambda: claims["teams"]["a"][0].pop("b"),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="read-only"):
            change()
    again = auth.verify(text).claims
    assert (["reader"], {"a": [{"b": 1}]}) == (again["roles"], again["teams"])


def test_verified_claims_are_json_and_can_be_copied() -> None:
    """They compare and serialise like plain values, and a copy can be changed."""
    auth = issuer("memory:")
    own = {"roles": ["reader"], "teams": {"a": [{"b": 1}]}}
    claims = auth.verify(auth.start(User("user-1", claims=own)).access_token).claims
    assert own == {name: claims[name] for name in own}
    assert json.loads(json.dumps(claims)) == claims
    copies: list[dict[str, Any]] = [dict(claims), dict(copy.deepcopy(claims)), pickle.loads(pickle.dumps(claims))]  # noqa: S301 - our own
    for copied in copies:
        copied["admin"] = True
        assert claims == {name: value for name, value in copied.items() if name != "admin"}
    deep: Any = copy.deepcopy(claims)
    deep["roles"].append("admin")
    assert ["reader"] == claims["roles"]


def test_a_secret_is_replaced_in_three_steps(tmp_path: Path) -> None:
    """With [old, new], then [new, old], then [new], a session continues throughout, also on nodes one step behind."""
    clock, old, new = Clock(), "o" * 32, "n" * 32
    store = SqliteStore(tmp_path / "app.db")
    behind = issuer(store, secret=old, clock=clock)
    token = behind.start(ADA).refresh_token
    for secret in ([old, new], [new, old], new):
        node = issuer(store, secret=secret, clock=clock)
        for presented_to in (node, behind, node):
            clock.advance(W + 1)
            tokens = presented_to.refresh(token)
            token = tokens.refresh_token
            assert "user-1" == node.verify(tokens.access_token).subject == behind.verify(tokens.access_token).subject
        clock.advance(3 * MINUTE)  # as long as it takes until each node has read the keys again
        token = node.refresh(token).refresh_token
        behind = node
    store.close()


class _Slow(MemoryStore):
    """A store that counts the readings of the keys, and can be down."""

    reads, down = 0, False

    def perform(self, step: StoreStep[Any]) -> Any:
        if isinstance(step, ReadKeys):
            self.reads += 1
            if self.down:
                raise StoreUnavailable("down")
        return super().perform(step)


@pytest.mark.parametrize("down", [False, True])
def test_forged_key_names_cost_few_reads(*, down: bool) -> None:
    """Many forged tokens share reads of the keys, 20 a second at most, also while the store is down."""
    store, clock = _Slow(), Clock()
    auth = issuer(store, clock=clock)
    auth.start(ADA)
    forged = issuer("memory:").start(ADA).access_token
    before, store.down = store.reads, down
    clock.advance(5_000)

    def ask(_: int) -> None:
        with pytest.raises((TokenMalformed, StoreUnavailable)):
            auth.verify(forged)

    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(100)))
    assert before < store.reads <= before + 2 + 20 * (time.monotonic() - began)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"clock": lambda: 1.5}, "whole milliseconds"),
        ({"audience": ["a", "b"]}, "audience has to be text"),
        ({"client_id": 5}, "client_id has to be text"),
        ({"authenticate": 5}, "authenticate has to be a function"),
        ({"on_event": 5}, "on_event has to be a function"),
        ({"issuer": 5}, "invalid issuer"),
        ({"issuer": "https://user:pw@a"}, "invalid issuer"),
        ({"issuer": "https://a/\n"}, "invalid issuer"),
        ({"access_ttl": None}, "invalid duration"),
        ({"access_ttl": b"5s"}, "invalid duration"),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, dict) else "",
)
def test_a_wrong_argument_is_refused_at_once(arguments: dict[str, Any], says: str) -> None:
    """An argument that could only fail later is refused where it is given, in words."""
    with pytest.raises(ConfigurationError, match=says):
        issuer("memory:", **arguments)


@pytest.mark.parametrize("store", [5, None, "sqlite:///:memory:", "sqlite:///", "sqlite:///\0"], ids=repr)
def test_an_object_that_is_not_a_store_is_refused_at_once(store: Any) -> None:
    """An object that is not a store is refused with a message, and nothing is created."""
    with pytest.raises(ConfigurationError):
        issuer(store)


@pytest.mark.parametrize("text", [None, 5, b"dpr_", ""], ids=repr)
def test_none_and_other_objects_are_malformed(text: Any) -> None:
    """What a missing cookie gives, None, is refused like any other text that is no token."""
    auth = issuer("memory:", clock=Clock(START))
    with pytest.raises(TokenMalformed):
        auth.refresh(text)
    with pytest.raises(TokenMalformed):
        auth.verify(text)
    assert auth.logout(text) is False


# ---- ending everyone


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_everyone_is_logged_out(colour: str, tmp_path: Path) -> None:
    """All sessions that began before get nothing more, on all nodes within a second; logins afterwards are good."""
    events: list[tuple[str, str | None]] = []
    clock, url = Clock(START + 500), f"sqlite:///{tmp_path}/app.db"
    secret = "s" * 32

    def on_event(event: Event) -> None:
        events.append((event.code, event.reason))

    with issuer(url, secret=secret, clock=clock, on_event=on_event) as one, issuer(url, secret=secret) as other:
        other._clock = clock
        old = [one.start(user) for user in (ADA, User("user-2"))]
        assert "user-1" == other.verify(old[0].access_token).subject
        if colour == "sync":
            one.end_everyone()
        else:
            given: Any = {"issuer": "https://issuer.example", "secret": secret, "load_user": User, "clock": clock}
            async with AsyncDaypass(url, **given, on_event=on_event) as third:
                await third.end_everyone()
        assert ("ended_everyone", "everyone") in events
        clock.advance(500)
        new = one.start(ADA)
        for _ in range(100):
            if other._upkeep.verifier._everyone_at:
                break
            await asyncio.sleep(0.01)
        for tokens in old:
            with pytest.raises(SessionRevoked):
                other.verify(tokens.access_token)
            with pytest.raises(SessionRevoked):
                other.refresh(tokens.refresh_token)
        assert (new.session.id,) == tuple(session.id for session in other.sessions("user-1"))
        assert "user-1" == other.verify(new.access_token).subject
        assert "user-1" == other.refresh(new.refresh_token).user.subject
        with issuer(url, secret=secret, clock=clock) as late, pytest.raises(SessionRevoked):
            late.verify(old[0].access_token)


def test_ending_everyone_returns_when_logins_are_good_again() -> None:
    """On the machine's own clock: a login right after it is not ended by it."""
    auth = issuer("memory:")
    old = auth.start(ADA)
    auth.end_everyone()
    new = auth.start(ADA)
    assert "user-1" == auth.refresh(new.refresh_token).user.subject == auth.verify(new.access_token).subject
    with pytest.raises(SessionRevoked):
        auth.verify(old.access_token)


# ---- another lifetime, another clock


class NoUpkeep(Daypass):
    """An issuer whose upkeep a test does itself."""

    def _begin(self) -> None:
        """Begin nothing."""

    def catch_up(self) -> None:
        self.run(self._upkeep.catch_up(self._clock()))


def quiet(store: Any, clock: Clock, **arguments: Any) -> NoUpkeep:
    given: dict[str, Any] = {"issuer": "https://issuer.example", "secret": "s" * 32, "load_user": lambda _: ADA}
    return NoUpkeep(store, clock=clock, **given | arguments)


def test_an_ended_sessions_token_stays_refused_when_access_ttl_was_shortened() -> None:
    """Whatever life its old token has: from 24 hours to 15 minutes, a verifier forgets no ending too early."""
    clock, store = Clock(), MemoryStore()
    tokens = quiet(store, clock, access_ttl="24h").start(ADA)
    auth = quiet(store, clock, access_ttl="15m")
    auth.end_session("user-1", tokens.session.id)
    for _ in range(4 * 24):
        with pytest.raises((SessionRevoked, TokenExpired)):
            auth.verify(tokens.access_token)
        clock.advance(20 * MINUTE)
        auth.catch_up()


def test_a_longer_access_ttl_on_other_nodes() -> None:
    """A node with 15 minutes takes a token of a node with 24 hours for 15 minutes; a refresh gets the next one."""
    clock, store = Clock(), MemoryStore()
    long, short = quiet(store, clock, access_ttl="24h"), quiet(store, clock, access_ttl="15m", leeway="1s")
    tokens = long.start(ADA)
    clock.advance(15 * MINUTE)
    assert "user-1" == short.verify(tokens.access_token).subject
    clock.advance(1_000)
    with pytest.raises(TokenExpired):
        short.verify(tokens.access_token)
    assert "user-1" == long.verify(tokens.access_token).subject
    assert "user-1" == short.verify(long.refresh(tokens.refresh_token).access_token).subject


@pytest.mark.parametrize("crowd", [0, 2_000], ids=["few", "many"])
def test_an_ending_survives_a_clock_that_was_ahead(crowd: int) -> None:
    """A clock that is a day ahead for one turn forgets endings; when it is right again, they are read again."""
    clock, store = Clock(), MemoryStore()
    auth = quiet(store, clock)
    tokens = auth.start(ADA)
    auth.verify(tokens.access_token)
    auth.catch_up()
    auth.end_session("user-1", tokens.session.id)
    clock.advance(DAY)
    for number in range(crowd):
        auth._upkeep.refuse(f"{number}", clock.now)
    if not crowd:
        auth.catch_up()
    clock.advance(-DAY + 1_000)
    auth.catch_up()
    with pytest.raises(SessionRevoked):
        auth.verify(tokens.access_token)
