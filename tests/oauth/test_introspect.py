"""``POST /introspect``: what a token is worth (RFC 7662)."""

from dataclasses import replace

import pytest

from daypass import EventCode
from daypass.duration import DAY, MINUTE, SECOND
from daypass.session import EndReason
from daypass.store_steps import End
from daypass.web.clients import Client

from ..web.world import ALICE, ISSUER, json_of
from .test_token import stale
from .world import CLIENTS, SECRETS, World, error_of

INACTIVE = b'{"active":false}'


def asked(world: World, token: str, **form: str) -> bytes:
    response = world.asks("service", "/introspect", token=token, **form)
    assert 200 == response.status
    return response.body


@pytest.fixture
def curious(colour: type, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world with a client that introspects and also has sessions."""
    client, secret = Client.register(client_id="curious", introspects=True)
    monkeypatch.setitem(SECRETS, "curious", secret)
    return World(colour=colour, clients=[*CLIENTS, client])


@pytest.mark.parametrize("client_id", ["reader", "app", "daypass"])
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "of_another_kind"])
def test_an_access_token(world: World, client_id: str, hint: str | None) -> None:
    """A service learns what an access token of any client says, without the application's own claims."""
    tokens = world.start(client_id, scope="read write")
    form = {} if hint is None else {"token_type_hint": hint}
    response = world.asks("service", "/introspect", token=tokens.access_token, **form)
    said = world.verify(tokens.access_token)
    expected = {
        "active": True,
        "token_type": "Bearer",
        "scope": "read write",
        "client_id": client_id,
        "username": ALICE.username,
        "exp": said.expires_at // SECOND,
        "iat": said.issued_at // SECOND,
        "sub": ALICE.subject,
        "aud": ISSUER,
        "iss": ISSUER,
        "jti": said.id,
        "sid": tokens.session.id,
        "auth_time": said.auth_time // SECOND,
    }
    assert expected == json_of(response)
    assert ("cache-control", "no-store") in response.headers


def test_a_service_learns_how_a_user_was_authenticated(world: World) -> None:
    """A service finds how, and how strongly, the user was authenticated (RFC 9470 §6.2)."""
    tokens = world.start("reader", claims={"acr": "mfa", "amr": ["pwd", "otp"], "org": "acme"})
    said = json_of(world.asks("service", "/introspect", token=tokens.access_token))
    assert ("mfa", ["pwd", "otp"], False) == (said["acr"], said["amr"], "org" in said)


def test_an_access_token_that_opens_nothing(world: World) -> None:
    """An expired one, one of an ended session, garbage: the answer says only that it is not active."""
    expired = world.start().access_token
    world.clock.advance(15 * MINUTE)
    ended = world.start()
    assert 200 == world.asks("reader", "/revoke", token=ended.refresh_token).status
    for token in (expired, ended.access_token, "garbage", "a.b.c", world.start().access_token[:-2]):
        assert INACTIVE == asked(world, token)


def test_an_ended_session_is_looked_up(colour: type) -> None:
    """A session that another process ended is inactive at once: the store is asked, not only this process's memory."""
    world = World(colour=colour)
    tokens = world.start()
    world.verify(tokens.access_token)

    world.run(iter(End(tokens.session.id, world.clock(), EndReason.ENDED)))
    assert INACTIVE == asked(world, tokens.access_token)


def test_a_refresh_token(curious: World) -> None:
    """A client may ask about its own refresh token, which does not use it: nothing is written, no event is emitted."""
    tokens = curious.start("curious", scope="read write")
    curious.people[ALICE.subject] = replace(ALICE, scope="read")
    before = len(curious.events)
    for _ in range(2):
        answer = json_of(curious.asks("curious", "/introspect", token=tokens.refresh_token))
        expected = {
            "active": True,
            "scope": "read",
            "client_id": "curious",
            "username": ALICE.username,
            "exp": (curious.clock() + 180 * DAY) // SECOND,  # the latest end, which no refresh moves
            "sub": ALICE.subject,
            "iss": ISSUER,
            "sid": tokens.session.id,
        }
        assert expected == answer
    assert before == len(curious.events)
    assert 200 == curious.refreshes("curious", tokens.refresh_token).status
    assert EventCode.ROTATED is curious.events[-1].code


def test_a_refresh_token_of_another_client(world: World) -> None:
    """Only a refresh token's own client and issuer learn about it."""
    for client_id in ("reader", "daypass"):
        assert INACTIVE == asked(world, world.start(client_id).refresh_token)


def test_a_refresh_token_that_gets_nothing(curious: World) -> None:
    """What a refresh would refuse is not active: the session ended or expired, its user gone, the token replaced.

    Reuse that is only asked about revokes nothing.
    """
    ended, gone = curious.start("curious"), curious.start("curious", user=curious.people["user-2"])
    curious.asks("curious", "/revoke", token=ended.refresh_token)
    del curious.people["user-2"]
    first = curious.start("curious").refresh_token
    newer = json_of(curious.refreshes("curious", first))["refresh_token"]
    curious.end_grace()
    newest = json_of(curious.refreshes("curious", newer))["refresh_token"]
    curious.end_grace()
    curious.refreshes("curious", newest)
    curious.end_grace()
    for token in (ended.refresh_token, gone.refresh_token, first):
        assert INACTIVE == curious.asks("curious", "/introspect", token=token).body
    assert 1 == len(curious.session_ids())
    assert b'"active":true' in curious.asks("curious", "/introspect", token=newest).body
    curious.clock.advance(30 * DAY)
    assert INACTIVE == curious.asks("curious", "/introspect", token=newest).body


def test_a_stale_refresh_token(world: World) -> None:
    """Of two processes, the one with the older token learns that it is not active, and loses nothing."""
    token = stale(world)
    assert INACTIVE == asked(world, token)
    assert 1 == len(world.session_ids())


@pytest.mark.parametrize("client_id", ["reader", "app"])
def test_not_every_client_may(world: World, client_id: str) -> None:
    """A client that may not introspect gets ``unauthorized_client``, whatever token it asks about."""
    for token in (world.start(client_id).access_token, "garbage"):
        assert (400, "unauthorized_client") == error_of(world.asks(client_id, "/introspect", token=token))


def test_who_asks_and_for_what(world: World) -> None:
    """A request without a secret or without a token gets an error."""
    token = world.start().access_token
    assert (401, "invalid_client") == error_of(world.ask("/introspect", f"token={token}&client_id=service"))
    assert (401, "invalid_client") == error_of(world.ask("/introspect", f"token={token}"))
    assert (400, "invalid_request") == error_of(world.asks("service", "/introspect"))
