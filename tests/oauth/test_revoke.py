"""``POST /revoke``: the end of a session (RFC 7009)."""

import pytest

from daypass import EventCode
from daypass.duration import MINUTE
from daypass.session import EndReason

from ..web.world import BOB, json_of
from .world import World, error_of


@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token", "of_another_kind"])
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
@pytest.mark.parametrize("client_id", ["reader", "app", "daypass"])
def test_a_token_ends_its_session(world: World, client_id: str, kind: str, hint: str | None) -> None:
    """Either token, of any kind of client, whatever the hint says: this session ends, and no other."""
    ended, other = world.start(client_id), world.start(client_id)
    form = {} if hint is None else {"token_type_hint": hint}
    response = world.asks(client_id, "/revoke", token=getattr(ended, kind), **form)
    assert (200, b"") == (response.status, response.body)
    assert [other.session.id] == world.session_ids()
    assert (400, "invalid_grant") == error_of(world.refreshes(client_id, ended.refresh_token))
    assert 200 == world.refreshes(client_id, other.refresh_token).status


def test_the_event_says_what_ended_the_session(world: World) -> None:
    """The event says what ended the session: its client's logout, or a request with an access token."""
    world.asks("reader", "/revoke", token=world.start().refresh_token)
    assert (EventCode.LOGGED_OUT, EndReason.LOGOUT) == (world.events[-1].code, world.events[-1].reason)
    world.asks("reader", "/revoke", token=world.start().access_token)
    assert (EventCode.ENDED, EndReason.ENDED) == (world.events[-1].code, world.events[-1].reason)


def test_an_old_refresh_token_revokes(world: World) -> None:
    """However often the session was rotated since: every authentic token may end it."""
    first = world.start()
    second = json_of(world.refreshes("reader", first.refresh_token))["refresh_token"]
    world.end_grace()
    world.refreshes("reader", second)
    assert 200 == world.asks("reader", "/revoke", token=first.refresh_token).status
    assert [] == world.session_ids()


def test_an_invalid_token_revokes_nothing(world: World) -> None:
    """Garbage, a token that was revoked already, an expired access token: 200, as RFC 7009 §2.2 has it."""
    expired, revoked, live = world.start(), world.start(), world.start()
    world.asks("reader", "/revoke", token=revoked.refresh_token)
    world.clock.advance(15 * MINUTE)
    before = world.session_ids()
    for token in ("garbage", revoked.refresh_token, revoked.access_token, expired.access_token):
        response = world.asks("reader", "/revoke", token=token)
        assert (200, b"", True) == (response.status, response.body, ("cache-control", "no-store") in response.headers)
    assert {live.session.id, expired.session.id} == set(before) == set(world.session_ids())


def test_a_token_of_another_client(world: World) -> None:
    """Nothing is revoked. A refresh token is no token here, an access token says itself whose it is."""
    theirs = world.start("writer", user=BOB)
    assert 200 == world.asks("reader", "/revoke", token=theirs.refresh_token).status
    assert (400, "invalid_grant") == error_of(world.asks("reader", "/revoke", token=theirs.access_token))
    assert [theirs.session.id] == world.session_ids(BOB)
    assert 200 == world.refreshes("writer", theirs.refresh_token).status


def test_who_asks_and_for_what(world: World) -> None:
    """A client that does not authenticate, or sends no token, gets an error; nothing is revoked."""
    tokens = world.start()
    assert (401, "invalid_client") == error_of(world.asks("nobody", "/revoke", token=tokens.refresh_token))
    assert (401, "invalid_client") == error_of(world.ask("/revoke", f"token={tokens.refresh_token}&client_id=reader"))
    assert (400, "invalid_request") == error_of(world.asks("reader", "/revoke"))
    assert [tokens.session.id] == world.session_ids()
