"""Tokens of another library: each starts one session, once, whatever is lost, repeated or sent to several nodes."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daypass import (
    AsyncDaypass,
    ConfigurationError,
    Daypass,
    Event,
    EventCode,
    SessionRevoked,
    StoreUnavailable,
    TokenExpired,
    TokenMalformed,
    TokenReused,
    TokenStale,
    User,
)
from daypass.migrate import OldToken, OldTokens, user_of
from daypass.testing import START, Clock

pytestmark = pytest.mark.anyio

SECOND, DAY = 1000, 86_400_000
ISSUER = "https://issuer.example"
SECRET = "a" * 32


class Library:
    """An older library: it knows which of its tokens are good."""

    def __init__(self) -> None:
        self.good = {"ann's": OldToken("1", "ann", START // SECOND - 60, START // SECOND + 30 * DAY // SECOND)}

    def tokens(self, *, access: bool = False) -> OldTokens:
        return OldTokens("library", self.good.get, self.good.get if access else None)


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., Daypass]


@pytest.fixture
def make(tmp_path: Path, library: Library, clock: Clock) -> Iterator[Make]:
    """Give what makes a node; all share one SQLite file."""
    nodes: list[Daypass] = []

    def node(**options: object) -> Daypass:
        arguments = {"secret": SECRET, "migrate": library.tokens(), "clock": clock} | options
        made = Daypass(f"sqlite:///{tmp_path}/app.db", issuer=ISSUER, load_user=User, **arguments)  # type: ignore[arg-type]  # the tests' own names
        nodes.append(made)
        return made

    yield node
    for each in nodes:
        each.close()


def test_an_old_token_starts_a_session_that_goes_on(make: Make, clock: Clock) -> None:
    """Its user gets Daypass's tokens; the session began when the old token was issued, not now."""
    auth = make()
    tokens = auth.refresh("ann's")
    assert ("ann", START - 60 * SECOND) == (tokens.session.subject, tokens.session.created_at)
    assert START - 60 * SECOND == auth.verify(tokens.access_token).auth_time
    clock.advance(DAY)
    assert tokens.session.id == auth.refresh(tokens.refresh_token).session.id


def test_the_start_of_a_session_is_reported_once(make: Make) -> None:
    """The event says that an old token has started it."""
    events: list[Event] = []
    auth = make(on_event=events.append)
    for _ in range(3):
        auth.refresh("ann's")
    assert ["migrated"] == [event.reason for event in events if event.code is EventCode.STARTED]


def test_two_nodes_and_a_lost_answer_meet_in_one_session(make: Make) -> None:
    """The old token gets the same refresh token within the grace period, from any node."""
    nodes = [make() for _ in range(4)]
    got: list[str] = []
    threads = [threading.Thread(target=lambda n=node: got.append(n.refresh("ann's").refresh_token)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (4, 1) == (len(got), len(set(got)))
    assert 1 == len(nodes[0].sessions("ann"))


def test_an_answer_lost_overnight_logs_nobody_out(make: Make, clock: Clock) -> None:
    """The old token gets another successor as long as none was used."""
    auth = make()
    auth.refresh("ann's")
    clock.advance(DAY)
    second = auth.refresh("ann's")
    clock.advance(DAY)
    assert auth.refresh(second.refresh_token).session.id == second.session.id


def test_an_old_token_right_after_its_successor_was_used_is_stale(make: Make, clock: Clock) -> None:
    """A request that was in progress gets the answer that there is a newer token; no session ends."""
    auth = make()
    first = auth.refresh("ann's")
    clock.advance(60 * SECOND)
    second = auth.refresh(first.refresh_token)
    with pytest.raises(TokenStale):
        auth.refresh("ann's")
    clock.advance(60 * SECOND)
    auth.refresh(second.refresh_token)


def test_a_stolen_old_token_is_found(make: Make, clock: Clock) -> None:
    """Presented after its successor was used, it is reuse: two parties hold the session, and it is revoked."""
    auth = make()
    first = auth.refresh("ann's")
    clock.advance(60 * SECOND)
    second = auth.refresh(first.refresh_token)
    clock.advance(60 * SECOND)
    with pytest.raises(TokenReused):
        auth.refresh("ann's")
    with pytest.raises(TokenReused):
        auth.refresh(second.refresh_token)


def test_strict_mode_starts_one_session_too(make: Make, clock: Clock) -> None:
    """Without a grace period the second presentation draws another successor of the same session."""
    auth = make(grace_period=0)
    first = auth.refresh("ann's")
    clock.advance(1)
    assert first.session.id == auth.refresh("ann's").session.id


def test_a_logout_with_an_old_token_is_final(make: Make) -> None:
    """It ends the session before it began; the old token starts none later."""
    auth = make()
    assert auth.logout("ann's")
    with pytest.raises(SessionRevoked):
        auth.refresh("ann's")


def test_an_old_token_older_than_a_session_may_idle_is_refused(make: Make, clock: Clock, library: Library) -> None:
    """Until then its session is remembered, so no old token starts a second one after the first was removed."""
    auth = make(idle_ttl="1d")
    auth.refresh("ann's")
    clock.advance(DAY + 10 * SECOND)
    auth.purge()
    with pytest.raises(TokenMalformed):
        auth.refresh("ann's")
    assert () == auth.sessions("ann")


def test_an_old_token_that_has_expired_is_refused(make: Make, clock: Clock, library: Library) -> None:
    """By its own time, whatever the library says."""
    library.good["short"] = OldToken("2", "ann", START // SECOND, START // SECOND + 5)
    clock.advance(5 * SECOND)
    with pytest.raises(TokenMalformed):
        make().refresh("short")


@pytest.mark.parametrize("own", [None, 40], ids=["by the idle time", "by its own time"])
def test_an_old_token_is_accepted_until_its_last_millisecond(
    make: Make, clock: Clock, library: Library, own: int | None
) -> None:
    """A session may idle for a day, and the old token was issued half a second into one; its own end is earlier."""
    issued_at = START // SECOND + 0.5
    expires_at = None if own is None else issued_at + own
    for number in range(2):
        library.good[f"{number}"] = OldToken(f"{number}", "ann", issued_at, expires_at)
    auth = make(idle_ttl="1d")
    clock.now = START + 500 + (DAY if own is None else own * SECOND) - 1
    assert "ann" == auth.refresh("0").session.subject
    clock.advance(1)
    with pytest.raises(TokenMalformed, match="longer ago"):
        auth.refresh("1")


def test_a_session_begins_no_later_than_now(make: Make, library: Library) -> None:
    """The clock of the older library may be ahead; its times have fractions of a second."""
    library.good |= {
        "early": OldToken("2", "ann", START // SECOND + 9),
        "late": OldToken("3", "ann", START / 1000 - 1.5),
    }
    auth = make()
    assert [START, START - 1500] == [auth.refresh(each).session.created_at for each in ("early", "late")]


def test_a_cookie_until_the_browser_closes_stays_one(make: Make, library: Library) -> None:
    """The session says so, and has the expiry of such a session; other old tokens start one that is remembered."""
    library.good["closing"] = replace(library.good["ann's"], id="2", persistent=False)
    auth = make(session_idle_ttl="1h")
    assert [True, False] == [auth.refresh(each).session.persistent for each in ("ann's", "closing")]


def test_an_old_token_shows_no_secret(library: Library) -> None:
    """Neither the token nor its claims are in its ``repr``; and it cannot be changed."""
    old = replace(library.good["ann's"], id="s3cret", claims={"note": "s3cret"})
    assert "s3cret" not in repr(old)
    for each, name in ((old, "subject"), (library.tokens(), "name")):
        with pytest.raises(FrozenInstanceError):
            setattr(each, name, "other")


def test_end_everyone_ends_those_who_have_not_moved(make: Make, clock: Clock) -> None:
    """An old token that was issued before starts no session any more."""
    clock.advance(999)  # the end of everyone lasts until the second has passed
    auth = make(clock=lambda: clock.now)
    auth.end_everyone()
    with pytest.raises(SessionRevoked):
        auth.refresh("ann's")


def test_a_new_secret_beside_the_old_one_changes_nothing(make: Make) -> None:
    """While the secret is being replaced, nodes with one and with both find the same session."""
    before = make().refresh("ann's")
    after = make(secret=["b" * 32, SECRET]).refresh("ann's")
    assert before.session.id == after.session.id


@pytest.mark.parametrize("client_id", ["app", "shop"])
def test_a_token_of_another_client_is_refused(make: Make, library: Library, client_id: str) -> None:
    """An OAuth client's old token starts a session only for that client."""
    library.good["theirs"] = replace(library.good["ann's"], id="3", client_id=client_id, scope="read")
    auth = make()
    with pytest.raises(TokenMalformed):
        auth.refresh("theirs")
    tokens = auth.refresh("theirs", client_id=client_id)
    assert (client_id, "read") == (tokens.session.client_id, tokens.scope)
    with pytest.raises(TokenMalformed):
        auth.refresh(tokens.refresh_token)


def test_a_token_of_the_application_is_refused_for_an_oauth_client(make: Make) -> None:
    """However its name sorts: a token without a client is one of the issuer's own."""
    auth = make()
    for client_id in ("aaa", "zzz"):
        with pytest.raises(TokenMalformed, match="another client"):
            auth.refresh("ann's", client_id=client_id)
    tokens = auth.refresh("ann's", client_id="".join(["day", "pass"]))
    assert "daypass" == auth.refresh(tokens.refresh_token).session.client_id


def test_a_bad_old_token_is_refused(make: Make) -> None:
    """What the library does not know starts nothing; no library, no old tokens."""
    for auth in (make(), make(migrate=())):
        for text in ("nobody's", None, b"ann's"):
            with pytest.raises(TokenMalformed):
                auth.refresh(text)  # type: ignore[arg-type]  # on purpose


def test_several_libraries_are_asked_in_turn(make: Make, library: Library) -> None:
    """The first that knows a token starts its session; the same id in another library is another session."""
    nobody = OldTokens("nobody", lambda text: None, lambda text: None)
    other = OldTokens("other", library.good.get)
    auth = make(migrate=[nobody, other, library.tokens(access=True)])
    session = auth.refresh("ann's").session
    assert session.id != make().refresh("ann's").session.id
    assert session.id == make(migrate=[other]).refresh("ann's").session.id
    assert "ann" == auth.verify("ann's").subject


def test_a_library_that_fails_logs_nobody_out(make: Make) -> None:
    """Its database is down: nothing was decided, and no token is in the error."""

    def fails(text: str) -> None:
        raise OSError(f"cannot look up {text}")

    with pytest.raises(StoreUnavailable) as caught:
        make(migrate=OldTokens("library", fails)).refresh("ann's")
    assert "ann's" not in str(caught.value)


def test_an_error_of_daypass_in_a_library_is_raised_as_it_is(make: Make) -> None:
    """The library may use Daypass's own errors; one that refuses is no failure."""

    def refuses(text: str) -> None:
        raise TokenMalformed("by an older key")

    with pytest.raises(TokenMalformed, match="by an older key"):
        make(migrate=OldTokens("library", refuses)).refresh("ann's")


def test_a_reader_of_old_tokens_has_to_return_one(make: Make) -> None:
    """A mistake in the application is reported as such."""
    with pytest.raises(ConfigurationError, match="returned a str, not an OldToken"):
        make(migrate=OldTokens("library", lambda text: text)).refresh("ann's")
    with pytest.raises(ConfigurationError, match=r"write migrate=simplejwt\(\)"):
        make(migrate=[len])


def test_an_old_access_token_opens_until_it_expires(make: Make, clock: Clock, library: Library) -> None:
    """If that is wanted; else it is refused."""
    with pytest.raises(TokenMalformed):
        make().verify("ann's")
    library.good["ann's"] = replace(library.good["ann's"], expires_at=START // SECOND + 60, claims={"role": "editor"})
    auth = make(migrate=library.tokens(access=True))
    token = auth.verify("ann's")
    assert ("ann", "editor") == (token.subject, token.claims["role"])
    clock.advance(60 * SECOND)
    with pytest.raises(TokenExpired):
        auth.verify("ann's")


def test_an_old_access_token_that_never_expires(make: Make, clock: Clock, library: Library) -> None:
    """It is accepted until the last second of the year 9999, and is one of the issuer's own client."""
    library.good |= {"ann's": replace(library.good["ann's"], expires_at=None, issued_at=START // SECOND - 0.25)}
    library.good |= {"shop's": replace(library.good["ann's"], id="2", client_id="shop", scope="read")}
    auth = make(migrate=library.tokens(access=True))
    token = auth.verify("ann's")
    assert datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp() * SECOND == token.expires_at
    assert (START - 250, START - 250, START - 250) == (token.issued_at, token.auth_time, token.session_started_at)
    assert ("daypass", None) == (token.client_id, token.scope)
    assert ("shop", "read") == ((other := auth.verify("shop's")).client_id, other.scope)


def test_an_old_access_token_ends_with_its_session(make: Make, library: Library) -> None:
    """Where one token is both, a logout ends it."""
    auth = make(migrate=library.tokens(access=True))
    auth.verify("ann's")
    auth.logout("ann's")
    with pytest.raises(SessionRevoked):
        auth.verify("ann's")


def test_the_way_back_uses_nothing_up(make: Make, clock: Clock) -> None:
    """The user of a refresh token is found without rotating it, so that the old library can issue its own."""
    auth = make()
    tokens = auth.refresh("ann's")
    clock.advance(60 * SECOND)
    assert [User("ann")] * 2 == [user_of(auth, tokens.refresh_token) for _ in range(2)]
    assert user_of(auth, "nobody's") is None
    auth.logout(tokens.refresh_token)
    assert user_of(auth, tokens.refresh_token) is None


async def test_async_issuers_accept_old_tokens(tmp_path: Path, clock: Clock, library: Library) -> None:
    """The library may be async there."""

    async def read(text: str) -> OldToken | None:
        return library.good.get(text)

    async def load(subject: str) -> User:
        return User(subject)

    url = f"sqlite:///{tmp_path}/app.db"
    tokens = OldTokens("library", read, read)
    async with AsyncDaypass(url, issuer=ISSUER, load_user=load, secret=SECRET, migrate=tokens, clock=clock) as auth:
        assert "ann" == (await auth.refresh("ann's")).session.subject
        assert "ann" == (await auth.verify("ann's")).subject
