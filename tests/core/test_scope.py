"""Scopes: words in any order, and what they allow a token to do."""

import pytest

from daypass import AccessToken, ConfigurationError, Daypass, ScopeInsufficient, ScopeRejected, TokenMalformed, User
from daypass import scope as scopes
from daypass.duration import MINUTE
from daypass.testing import Clock

ISSUER = "https://api.example.com"


@pytest.mark.parametrize(
    ("written", "kept"), [("read", "read"), ("b a  b", "b a"), ("a:b/c https://x.example/y", None), (None, None)]
)
def test_a_scope_is_words_each_once(written: str | None, kept: str | None) -> None:
    """A repeated word counts once, and the order stays as written."""
    assert (kept or written) == scopes.checked(written)


@pytest.mark.parametrize("wrong", ["", " ", 'a"b', "a\\b", "\u00e9", "a\nb\x00", 7, "x" * 1025])
def test_an_invalid_scope_is_refused(wrong: object) -> None:
    """RFC 6749 §3.3 says which characters are allowed; a client gets another error than a developer."""
    with pytest.raises(ConfigurationError):
        scopes.checked(wrong)
    if isinstance(wrong, str):
        with pytest.raises(ScopeRejected):
            scopes.asked(wrong)


def issuer(clock: Clock, scope: str | None = None) -> Daypass:
    return Daypass("memory:", issuer=ISSUER, load_user=lambda subject: User(subject, scope=scope), clock=clock)


@pytest.mark.parametrize(
    ("granted", "may", "asked", "borne"),
    [
        (None, None, None, None),
        ("read write", None, None, "read write"),
        (None, "read write", None, "read write"),
        ("read write", "write admin", None, "write"),
        ("read write", None, "write", "write"),
        (None, "read write", "read", "read"),
        ("read write", "write", "read", None),
        ("read write", "", None, None),
    ],
)
def test_a_token_has_the_scope_that_all_allow(
    granted: str | None, may: str | None, asked: str | None, borne: str | None
) -> None:
    """Of what the session was granted, what its user may do now, and what was requested: what all three have."""
    auth = issuer(Clock(), may)
    first = auth.start(User("user-1", scope=may), scope=granted)
    refreshed = auth.refresh(first.refresh_token, scope=asked)
    assert borne == auth.verify(refreshed.access_token).scope == (refreshed.scope or None)


def test_a_narrowed_refresh_narrows_no_later_one() -> None:
    """The refresh token keeps the scope that the session was granted (RFC 6749 §6)."""
    clock = Clock()
    auth = issuer(clock)
    tokens = auth.refresh(auth.start(User("user-1"), scope="read write").refresh_token, scope="read")
    clock.now += MINUTE
    assert "read write" == auth.refresh(tokens.refresh_token).scope


@pytest.mark.parametrize(("granted", "may"), [("read", None), (None, "read"), (None, None)])
def test_more_than_was_granted_is_refused_and_changes_nothing(granted: str | None, may: str | None) -> None:
    """The session is unchanged, and the same refresh token still works for what was granted."""
    auth = issuer(Clock(), may)
    first = auth.start(User("user-1", scope=may), scope=granted)
    before = auth.sessions("user-1")
    with pytest.raises(ScopeRejected):
        auth.refresh(first.refresh_token, scope="read admin")
    assert before == auth.sessions("user-1")
    assert auth.refresh(first.refresh_token).replaces


def test_a_refresh_token_is_bound_to_its_client() -> None:
    """With another client it is refused, and its session is unchanged; the same for logout."""
    auth = issuer(Clock())
    theirs = auth.start(User("user-1"), client_id="reader").refresh_token
    ours = auth.start(User("user-1")).refresh_token
    first = auth.start(User("user-1"), client_id="app").refresh_token
    for token, client_id in ((theirs, None), (theirs, "writer"), (ours, "reader"), (first, None), (ours, "app")):
        with pytest.raises(TokenMalformed):
            auth.refresh(token, client_id=client_id)
        assert not auth.logout(token, client_id=client_id)
    assert auth.refresh(theirs, client_id="reader").session.client_id == "reader"
    assert auth.refresh(ours, client_id="".join(["day", "pass"])).session.client_id == "daypass"
    assert auth.logout(theirs, client_id="reader")


def test_a_token_is_required_to_have_a_scope() -> None:
    """All words are required, in any order; a token without a scope has none of them."""
    auth = issuer(Clock())

    def verified(scope: str | None) -> AccessToken:
        return auth.verify(auth.start(User("user-1"), scope=scope).access_token)

    verified("write read").require("read write")
    for token in (verified("read"), verified(None)):
        with pytest.raises(ScopeInsufficient) as caught:
            token.require("read write")
        assert "read write" == caught.value.scope
