"""The flows of sessions at their limits: the last millisecond, the longest text, one more than a page."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from daypass import (
    ConfigurationError,
    CredentialsRejected,
    Daypass,
    Device,
    Event,
    ImpersonationRejected,
    ProofRejected,
    Session,
    SessionRevoked,
    Tokens,
    User,
)
from daypass.account_steps import AddAccount
from daypass.drive import run
from daypass.duration import HOUR, MINUTE, SECOND
from daypass.errors import ScopeRejected, StoreContended, TokenExpired
from daypass.flow import Step
from daypass.flows import Call
from daypass.proof import Proof
from daypass.session_extras import KeyUse
from daypass.steps import Authenticate, Pause
from daypass.store_steps import PAGE, Admit, Amend, Bind, Insert, StoreStep, Swap
from daypass.stores.memory import MemoryStore
from daypass.stores.sqlite import SqliteStore
from daypass.testing import START, Clock
from daypass.token_inspection import inspect
from daypass.user import Account

ADA, ADMIN = User("user-1", "ada"), User("user-2", "root")


class Store(MemoryStore):
    """A store whose steps a test sees, and in which others are always faster."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[type[StoreStep[Any]]] = []
        self.contended: tuple[type[StoreStep[Any]], ...] = ()

    def perform(self, step: StoreStep[Any]) -> Any:
        self.steps.append(type(step))
        return False if isinstance(step, self.contended) else super().perform(step)


class Issuer(Daypass):
    """An issuer of a few users, on a clock of its own."""

    def __init__(self, now: int = START, **options: Any) -> None:
        self.memory, self.time, self.events = Store(), Clock(now), list[Event]()
        self.users = {each.subject: each for each in (ADA, ADMIN)}
        super().__init__(
            self.memory,
            issuer="https://issuer.example",
            secret="s" * 32,
            algorithm="HS256",
            load_user=self.users.get,
            clock=self.time,
            on_event=self.events.append,
            **options,
        )

    def check(self, name: str, password: str) -> User | None:
        return {"ada": ADA, "root": ADMIN}.get(name) if password == "right" else None

    def codes(self) -> list[str]:
        """Return the codes of the events since the last call, except those of keys."""
        codes = [str(each.code) for each in self.events if not each.code.startswith("key_")]
        self.events.clear()
        return codes


@pytest.fixture
def auth() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def early() -> Iterator[Issuer]:
    """Give an issuer on a machine whose clock begins at the epoch."""
    with Issuer(MINUTE) as issuer:
        yield issuer


def proof(use: KeyUse = KeyUse.DPOP) -> Proof:
    return Proof.of(ECKey.generate_key("P-256").as_dict(private=False), use)


def bind(auth: Issuer, tokens: Tokens, key: Proof) -> Session:
    return auth.run(auth.flows.bind(tokens.session.id, key, auth.new_call()))


def acting(auth: Issuer, admin: Tokens, **options: Any) -> Tokens:
    return auth.impersonate(admin.access_token, ADA, **({"reason": "ticket"} | options))


# ---- login


def test_repr_of_a_call_has_no_secret() -> None:
    """A session's secret is made of its random bytes."""
    assert "s3cret" not in repr(Call(START, b"s3cret"))


def test_each_access_token_has_a_long_random_id(auth: Issuer) -> None:
    """16 bytes, and another one each time."""
    tokens = [auth.start(ADA) for _ in range(2)]
    ids = {auth.verify(each.access_token).id for each in tokens}
    assert [32, 32] == [len(each) for each in ids]


def test_login_of_an_unlimited_user_keeps_nothing_but_the_session(auth: Issuer) -> None:
    """What `max_sessions` and `notice_devices` need is written only where one of them is on."""
    auth.start(ADA, device=Device(user_agent="Firefox"))
    assert Insert in auth.memory.steps
    assert Admit not in auth.memory.steps
    with Issuer(max_sessions=1) as limited:
        limited.start(ADA)
        assert Admit in limited.memory.steps


def test_new_device_is_named_as_its_user_named_it() -> None:
    """By its name; without one, by its user agent. The event has the address."""
    with Issuer(notice_devices=True) as auth:
        auth.start(ADA, device=Device(user_agent="Firefox"))
        auth.start(ADA, device=Device("phone", "Safari", "192.0.2.7"))
        (news,) = [each for each in auth.events if each.code == "new_device"]
        assert ("phone", "192.0.2.7") == (news.reason, news.address)


def test_disabled_user_starts_nothing(auth: Issuer) -> None:
    """Also where the application has authenticated the user itself."""
    with pytest.raises(CredentialsRejected, match="disabled"):
        auth.start(replace(ADA, disabled=True))
    assert [] == auth.codes()


# ---- acting as another user


@pytest.mark.parametrize(
    "options",
    [
        {"reason": "x" * 200},
        {"reason": "x"},
        {"absolute_ttl": "1s"},
        {"absolute_ttl": "1h"},
    ],
    ids=["longest reason", "shortest reason", "shortest time", "longest time"],
)
def test_impersonation_at_its_limits(auth: Issuer, options: dict[str, Any]) -> None:
    """The longest reason, and the shortest and longest time, are accepted."""
    assert acting(auth, auth.start(ADMIN), **options).session.actor == "user-2"
    assert auth.impersonate(auth.start(ADA).access_token, ADMIN, reason="ticket").session.actor == "user-1"


@pytest.mark.parametrize(
    "options",
    [{"reason": ""}, {"reason": 5}, {"absolute_ttl": 0.999}, {"absolute_ttl": 3600.001}],
    ids=["no reason", "a number", "too short", "too long"],
)
def test_impersonation_beyond_its_limits(auth: Issuer, options: dict[str, Any]) -> None:
    """It is refused, and nothing is started."""
    admin = auth.start(ADMIN)
    with pytest.raises(ConfigurationError):
        acting(auth, admin, **options)
    assert ["started"] == auth.codes()


def test_impersonation_ends_no_later_than_any_bound(early: Issuer) -> None:
    """The time that was asked for, the administrator's own session, and the issuer's absolute_ttl: the shortest."""

    def lasts(admin: Tokens, issuer: Issuer = early, **options: Any) -> int:
        session = acting(issuer, admin, **options).session
        return issuer.flows.policy.end_of(session) - issuer.time.now

    admin = early.start(ADMIN, absolute_ttl="10m")
    early.time.advance(4 * MINUTE)
    assert 6 * MINUTE == lasts(admin)
    assert 5 * MINUTE == lasts(admin, absolute_ttl="5m")
    assert HOUR == lasts(early.start(ADMIN))
    with Issuer(idle_ttl="20m", absolute_ttl="20m", session_idle_ttl="20m") as short:
        assert 20 * MINUTE == lasts(short.start(ADMIN), short)


def test_impersonation_ends_with_its_administrator_at_a_refresh(auth: Issuer) -> None:
    """The session is ended in the store, with its event, and not only refused."""
    admin = auth.start(ADMIN)
    tokens = acting(auth, admin)
    auth.logout(admin.refresh_token)
    auth.codes()
    with pytest.raises(SessionRevoked, match="actor"):
        auth.refresh(tokens.refresh_token)
    assert ["rotated", "ended", "rejected"] == auth.codes()
    with pytest.raises(SessionRevoked, match="the session has ended"):
        auth.refresh(tokens.refresh_token)


# ---- confirming a login


def confirm_by(auth: Issuer, tokens: Tokens, name: str, password: str) -> Any:
    token, credentials = auth.verify(tokens.access_token), Authenticate(auth.check, name, password)
    return auth.run(auth.flows.confirm_by(credentials, token, auth.new_call()))


def test_login_is_confirmed_by_the_password(auth: Issuer) -> None:
    """The access token keeps its scope, and says that a password was used."""
    tokens = auth.start(ADA, scope="read write")
    auth.time.advance(HOUR // 12)
    token = auth.verify(confirm_by(auth, tokens, "ada", "right").access_token)
    assert ("read write", ["pwd"], auth.time.now) == (token.scope, token.claims["amr"], token.auth_time)
    assert ["started", "confirmed"] == auth.codes()


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("bob", "right")])
def test_login_is_not_confirmed_by_wrong_credentials(auth: Issuer, name: str, password: str) -> None:
    """The session is as before, and there is an event with its id."""
    tokens = auth.start(ADA)
    with pytest.raises(CredentialsRejected):
        confirm_by(auth, tokens, name, password)
    failed = auth.events[-1]
    assert ("login_failed", tokens.session.id, "user-1") == (failed.code, failed.session_id, failed.subject)


def test_login_is_not_confirmed_by_another_user(auth: Issuer) -> None:
    """However their names sort."""
    for user, name in ((ADMIN, "ada"), (ADA, "root")):
        with pytest.raises(CredentialsRejected):
            confirm_by(auth, auth.start(user), name, "right")


@pytest.mark.parametrize("gone", [None, replace(ADA, disabled=True)], ids=["deleted", "disabled"])
def test_login_of_a_user_who_is_gone_is_not_confirmed(auth: Issuer, gone: User | None) -> None:
    """The session may live, but nobody gets an access token for it."""
    tokens = auth.start(ADA)
    auth.users.pop("user-1") if gone is None else auth.users.update({"user-1": gone})
    with pytest.raises(SessionRevoked, match="gone or disabled"):
        auth.confirm(tokens.session.id, amr=["pwd"])


def test_session_is_not_confirmed_at_its_end(auth: Issuer) -> None:
    """A millisecond before, it is."""
    session = auth.start(ADA).session
    auth.time.now = session.expires_at - 1
    assert session.id == auth.confirm(session.id, amr=["pwd"]).session.id
    for later in (1, HOUR):
        auth.time.advance(later)
        with pytest.raises(SessionRevoked):
            auth.confirm(session.id, amr=["pwd"])


# ---- others change the same session


def test_session_that_others_always_change_is_given_up(auth: Issuer) -> None:
    """After a few attempts, with an error that says to try again; nothing was written."""
    tokens = auth.start(ADA)
    auth.refresh(tokens.refresh_token)
    auth.time.advance(31 * SECOND)
    auth.memory.contended = (Amend, Bind, Swap)
    auth.codes()
    calls: tuple[tuple[type[StoreStep[Any]], Callable[[], object]], ...] = (
        (Amend, lambda: auth.confirm(tokens.session.id, amr=["pwd"])),
        (Bind, lambda: bind(auth, tokens, proof())),
        (Swap, lambda: auth.refresh(tokens.refresh_token)),
    )
    for step, call in calls:
        with pytest.raises(StoreContended, match="again and again"):
            call()
        assert 8 == auth.memory.steps.count(step)
    assert [] == auth.codes()
    auth.memory.contended = ()
    assert tokens.session.id == auth.refresh(tokens.refresh_token).session.id


def test_event_says_how_long_ago_the_last_rotation_was(early: Issuer) -> None:
    """In milliseconds; None for the first one."""
    first = early.start(ADA).refresh_token
    early.refresh(first)
    early.time.advance(2 * MINUTE)
    early.refresh(first)
    told = [(each.code, each.age) for each in early.events]
    assert [("rotated", None), ("branched", 2 * MINUTE)] == [
        each for each in told if each[0] in ("rotated", "branched")
    ]


def test_repeated_refresh_writes_nothing(auth: Issuer) -> None:
    """Within the grace period of a rotation, the session keeps the expiry that the rotation gave it."""
    tokens = auth.start(ADA)
    auth.time.advance(HOUR)
    expires_at = auth.refresh(tokens.refresh_token).session.expires_at
    auth.time.advance(SECOND)
    assert expires_at == auth.refresh(tokens.refresh_token).session.expires_at
    assert Swap not in auth.memory.steps


def test_device_of_a_session_is_the_one_that_rotated_last(auth: Issuer) -> None:
    """A token that is presented late once more may be a thief's: its device does not replace the owner's."""
    first = auth.start(ADA, device=Device(user_agent="login")).refresh_token
    auth.refresh(first, device=Device(user_agent="owner"))
    auth.time.advance(MINUTE)
    late = auth.refresh(first, device=Device(user_agent="late"))
    assert ("branched", "owner") == (auth.events[-1].code, late.session.device.user_agent)


# ---- a key


@pytest.mark.parametrize("use", KeyUse)
def test_access_token_is_bound_only_by_dpop(auth: Issuer, use: KeyUse) -> None:
    """DBSC binds the refresh cookie: a browser sends its access token without a proof."""
    tokens, key = auth.start(ADA), proof(use)
    assert key.thumbprint == bind(auth, tokens, key).key_thumbprint
    assert key.thumbprint == bind(auth, tokens, key).key_thumbprint
    with pytest.raises(ProofRejected, match="another key"):
        bind(auth, tokens, proof(use))
    token = auth.run(auth.flows.open(tokens.refresh_token))
    refreshed = auth.run(auth.flows.refresh(token, auth.new_call(), passive=False, proof=key))
    confirmed = auth.confirm(tokens.session.id, amr=["pwd"])
    expected = (key.thumbprint, "DPoP") if use is KeyUse.DPOP else (None, "Bearer")
    for given in (refreshed, confirmed):
        assert expected == (auth.verify(given.access_token).key_thumbprint, given.token_type)


def test_bound_session_is_ended_only_with_its_key_or_its_access_token(auth: Issuer) -> None:
    """Neither a copied refresh token ends it, nor one beside the access token of another session."""
    tokens, key = auth.start(ADA), proof()
    bind(auth, tokens, key)
    token, own = auth.run(auth.flows.open(tokens.refresh_token)), auth.verify(tokens.access_token)
    auth.codes()
    for ending in (auth.flows.logout, auth.flows.logout_everywhere):
        for shown in (None, replace(own, session_id="0" * 32), replace(own, session_id="f" * 32)):
            assert not auth.run(ending(token, auth.new_call(), None, shown))
            assert not auth.run(ending(token, auth.new_call(), proof(), shown))
    assert ["proof_refused"] * 12 == auth.codes()
    assert auth.run(auth.flows.logout_everywhere(token, auth.new_call(), None, own))
    assert ["logged_out"] == auth.codes()
    assert not auth.run(auth.flows.logout_text("no token", auth.new_call()))


# ---- the user


def test_load_user_is_asked_although_the_store_has_an_account(tmp_path: Path) -> None:
    """The store's accounts are the users only of the ready-made service."""
    store = SqliteStore(tmp_path / "app.db")
    store.perform_account(AddAccount(Account("user-1", "ada@example.com", "of-the-store", "-", 0)))
    with Daypass(store, issuer="https://issuer.example", secret="s" * 32, load_user=lambda _: ADA) as auth:
        assert ADA == auth.refresh(auth.start(ADA).refresh_token).user


# ---- a scope


def refresh(auth: Issuer, text: str, scope: str | None, limit: str | None) -> Tokens:
    token = auth.run(auth.flows.open(text))
    return auth.run(auth.flows.refresh(token, auth.new_call(), scope, limit, passive=False))


def test_client_gets_no_more_than_its_limit(auth: Issuer) -> None:
    """Asking for more is refused; asking for nothing gets what the limit allows."""
    tokens = auth.start(ADA, scope="read write")
    assert "read" == refresh(auth, tokens.refresh_token, "read", "read other").scope
    assert "write" == refresh(auth, tokens.refresh_token, None, "write other").scope
    assert refresh(auth, auth.start(ADA).refresh_token, None, "read").scope is None
    with pytest.raises(ScopeRejected, match="this client"):
        refresh(auth, tokens.refresh_token, "read write", "read")
    with pytest.raises(ScopeRejected, match="than was granted"):
        refresh(auth, tokens.refresh_token, "other", "read other")


def test_session_without_a_scope_gets_what_its_user_may(auth: Issuer) -> None:
    """A user who is gone may nothing."""
    auth.users["user-1"] = replace(ADA, scope="read")
    tokens = auth.start(ADA)
    assert "read" == refresh(auth, tokens.refresh_token, "read", None).scope
    with pytest.raises(ScopeRejected):
        refresh(auth, tokens.refresh_token, "write", None)
    del auth.users["user-1"]
    with pytest.raises(ScopeRejected):
        refresh(auth, tokens.refresh_token, "read", None)


# ---- ending


def test_session_is_live_until_its_last_millisecond(auth: Issuer) -> None:
    """`logout` and `end_session` say whether it was, and only then there is an event."""
    ends: tuple[Callable[[Tokens], bool], ...] = (
        lambda tokens: auth.logout(tokens.refresh_token),
        lambda tokens: auth.end_session("user-1", tokens.session.id),
    )
    for end in ends:
        for left, live in ((1, True), (0, False)):
            tokens = auth.start(ADA)
            auth.time.now = tokens.session.expires_at - left
            auth.codes()
            assert live == end(tokens)
            assert live == bool(auth.codes())


def test_session_cannot_be_used_from_its_end_on(auth: Issuer) -> None:
    """At the very millisecond a refresh is refused as expired."""
    tokens = auth.start(ADA)
    auth.time.now = tokens.session.expires_at
    with pytest.raises(TokenExpired):
        auth.refresh(tokens.refresh_token)


def test_logout_everywhere_needs_a_live_session(auth: Issuer) -> None:
    """It ends all sessions of the user, its own last; with a session that has ended it ends nothing."""

    def everywhere(tokens: Tokens) -> bool:
        token = auth.run(auth.flows.open(tokens.refresh_token))
        return auth.run(auth.flows.logout_everywhere(token, auth.new_call()))

    first, second, third = (auth.start(ADA) for _ in range(3))
    auth.logout(third.refresh_token)
    auth.codes()
    assert not everywhere(third)
    assert [] == auth.codes()
    assert everywhere(first)
    ended = [(str(each.code), each.session_id) for each in auth.events]
    assert [("ended", second.session.id), ("logged_out", first.session.id)] == ended


def test_more_sessions_than_a_page_are_ended(auth: Issuer) -> None:
    """All of them, each with its event; a full last page is followed by an empty one."""
    session = auth.start(ADA).session
    auth.end_all("user-1")
    for count in (PAGE, PAGE + 1):
        for number in range(count):
            auth.memory.perform(Insert(replace(session, id=f"{count:016x}{number:016x}")))
        auth.codes()
        assert count == auth.end_all("user-1")
        assert ["ended"] * count == auth.codes()


def test_list_is_filled_although_some_sessions_are_left_out(auth: Issuer) -> None:
    """An impersonation whose administrator has logged out takes no place in a page."""
    own: list[str] = []
    for _ in range(2):
        for _ in range(3):
            own.insert(0, auth.start(ADA).session.id)
            auth.time.advance(1)
        admin = auth.start(ADMIN)
        acting(auth, admin)
        auth.time.advance(1)
        auth.logout(admin.refresh_token)

    def listed(limit: int, after: tuple[int, str] | None = None) -> Any:
        return auth.run(auth.flows.sessions("user-1", auth.new_call(), limit, after))

    for limit in range(1, 8):
        page = listed(limit)
        assert own[:limit] == [each.id for each in page]
        assert own[limit : 2 * limit] == [each.id for each in listed(limit, (page[-1].created_at, page[-1].id))]


def test_long_list_is_filled_too(auth: Issuer) -> None:
    """One session of the first page is left out, so a second one is read."""
    session = auth.start(ADA).session
    for number in range(300):
        auth.memory.perform(Insert(replace(session, id=f"{number:032x}")))
    auth.time.advance(1)
    admin = auth.start(ADMIN)
    acting(auth, admin)
    auth.logout(admin.refresh_token)
    assert 300 == len(auth.run(auth.flows.sessions("user-1", auth.new_call(), 300)))


@pytest.mark.parametrize("gone", [None, replace(ADA, disabled=True)], ids=["deleted", "disabled"])
def test_token_of_a_user_who_is_gone_is_worth_nothing(auth: Issuer, gone: User | None) -> None:
    """Asking what a refresh token is worth changes nothing and emits no event."""
    tokens = auth.start(ADA)
    token = auth.run(auth.flows.open(tokens.refresh_token))
    auth.codes()
    assert (tokens.session, ADA) == auth.run(auth.flows.examine(token, auth.new_call()))
    auth.users.pop("user-1") if gone is None else auth.users.update({"user-1": gone})
    assert auth.run(auth.flows.examine(token, auth.new_call())) is None
    assert [] == auth.codes()


def test_everyone_s_end_lasts_until_the_second_has_passed(auth: Issuer) -> None:
    """It returns as soon as logins are good again: no earlier, and at most a second later."""
    waited: list[int] = []

    def answer(step: Step[Any]) -> Any:
        if isinstance(step, Pause):
            waited.append(step.span)
            return None
        return auth._answer(step)

    for milliseconds, pause in ((0, 1000), (1, 999), (999, 1)):
        auth.time.now = auth.time.now // SECOND * SECOND + SECOND + milliseconds
        old = auth.start(ADA)
        run(auth.flows.end_everyone(auth.new_call()), answer)
        assert pause == waited[-1]
        with pytest.raises(SessionRevoked):
            auth.refresh(old.refresh_token)
        auth.time.advance(pause)
        assert ADA == auth.refresh(auth.start(ADA).refresh_token).user


@pytest.mark.parametrize("client_id", [None, "app"])
@pytest.mark.parametrize("claims", [{}, {"act": {"sub": "user-2"}}], ids=["the user", "somebody else"])
def test_refresh_token_is_explained_as_authentic(auth: Issuer, client_id: str | None, claims: dict[str, Any]) -> None:
    """Whichever client it was issued to, and also if somebody acts as the user; with another signature it is not."""
    text = auth.start(ADA, client_id=client_id, claims=claims).refresh_token
    assert inspect(text, auth.time.now, auth.memory, "s" * 32).valid
    forged = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert not inspect(forged, auth.time.now, auth.memory, "s" * 32).valid


@pytest.mark.parametrize("client_id", ["app", "reader"])
def test_access_token_of_another_client_starts_no_impersonation(auth: Issuer, client_id: str) -> None:
    """However the client's name sorts."""
    with pytest.raises(ImpersonationRejected, match="another client"):
        acting(auth, auth.start(ADMIN, client_id=client_id))


def test_no_chain_of_impersonations(auth: Issuer) -> None:
    """A session that acts as another user starts no further one, and the user has to be a `User`."""
    admin = auth.start(ADMIN)
    with pytest.raises(ImpersonationRejected):
        acting(auth, acting(auth, admin))
    with pytest.raises(ConfigurationError, match=r"needs a daypass\.User, not a str"):
        auth.impersonate(admin.access_token, "user-1", reason="ticket")  # type: ignore[arg-type]  # on purpose
