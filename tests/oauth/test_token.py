"""``POST /token``: a refresh by any OAuth client (RFC 6749 §5 and §6)."""

from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daypass import EventCode
from daypass.duration import DAY, HOUR, SECOND
from daypass.stores.sqlite import SqliteStore
from daypass.web.options import Options

from ..web.world import ALICE, json_of
from .world import APP, NO_STORE, READER_SECRET, World, basic, error_of


def _as_basic(pair: bytes) -> str:
    return "Basic " + b64encode(pair).decode()


@pytest.fixture(scope="module")
def world_of_all() -> World:
    """Return a world for many requests that change nothing."""
    return World(options=Options(rate_limits=None))


def test_a_refresh(world: World) -> None:
    """Success has exactly the shape of RFC 6749 §5.1, and must not be cached."""
    first = world.start()
    response = world.refreshes("reader", first.refresh_token)
    content = json_of(response)
    assert {"access_token", "token_type", "expires_in", "refresh_token"} == set(content)
    assert (200, "Bearer", 900, {*NO_STORE, ("daypass-grace", "30")}) == (
        response.status,
        content["token_type"],
        content["expires_in"],
        set(response.headers),
    )
    token = world.verify(content["access_token"])
    assert ("reader", ALICE.subject, first.session.id) == (token.client_id, token.subject, token.session_id)
    world.end_grace()
    assert 200 == world.refreshes("reader", content["refresh_token"]).status


def test_refresh_of_an_oauth_client_keeps_a_session_s_own_times(world: World) -> None:
    """A client's session with shorter times than the policy ends at its own time."""
    first = world.start("reader", persistent=False, absolute_ttl="1d", claims={"org": "acme"})
    world.clock.advance(12 * HOUR - 1)
    content = json_of(world.refreshes("reader", first.refresh_token))
    assert "acme" == world.verify(content["access_token"]).claims["org"]
    world.clock.advance(12 * HOUR - 1)
    content = json_of(world.refreshes("reader", content["refresh_token"]))
    assert 1 == content["expires_in"]
    world.clock.advance(2)
    assert (400, "invalid_grant") == error_of(world.refreshes("reader", content["refresh_token"]))


@pytest.mark.parametrize("client_id", ["reader", "writer", "app", "daypass"])
def test_every_kind_of_client_refreshes(world: World, client_id: str) -> None:
    """Confidential or public, and the issuer's own client, whose sessions were begun by the first-party endpoints."""
    first = world.start(None if client_id == "daypass" else client_id)
    assert 200 == world.refreshes(client_id, first.refresh_token).status


@pytest.mark.parametrize(
    ("granted", "may", "asked", "borne"),
    [
        ("read write", None, None, "read write"),
        ("read write admin", None, None, "read write"),
        ("read write", None, "write", "write"),
        (None, None, None, None),
        (None, "read admin", None, "read"),
        ("read", "", None, ""),
    ],
)
def test_the_scope_of_the_answer(
    world: World, granted: str | None, may: str | None, asked: str | None, borne: str | None
) -> None:
    """Of what was granted, the user may do, was requested, and the client may have: what all four have.

    The answer has it if any of the four says something; a client's limit only takes away.
    """
    first = world.start(scope=granted)
    world.people[ALICE.subject] = replace(ALICE, scope=may)
    form = {} if asked is None else {"scope": asked}
    content = json_of(world.refreshes("reader", first.refresh_token, **form))
    assert borne == content.get("scope")
    assert (borne or None) == world.verify(content["access_token"]).scope


def test_a_narrowed_refresh_narrows_no_later_one(world: World) -> None:
    """The refresh token keeps its scope (RFC 6749 §6)."""
    narrowed = json_of(world.refreshes("reader", world.start(scope="read write").refresh_token, scope="read"))
    world.end_grace()
    assert "read write" == json_of(world.refreshes("reader", narrowed["refresh_token"]))["scope"]


@pytest.mark.parametrize("asked", ["read admin", "extra", "re\tad", 'a"b', "caf\u00e9", "x" * 1025])
def test_more_scope_than_there_is(world: World, asked: str) -> None:
    """More than was granted or the client may have, or an invalid scope: ``invalid_scope``, nothing changed."""
    first = world.start(scope="read write extra")
    assert (400, "invalid_scope") == error_of(world.refreshes("reader", first.refresh_token, scope=asked))
    assert [EventCode.STARTED] == [event.code for event in world.events]
    assert 200 == world.refreshes("reader", first.refresh_token).status


def test_a_scope_without_a_value_is_left_out(world: World) -> None:
    """A parameter without a value counts as left out (RFC 6749 §3.2)."""
    assert 200 == world.refreshes("reader", world.start().refresh_token, scope="").status


# ---- the refresh token


def test_a_refresh_token_that_gets_nothing(world: World) -> None:
    """Garbage, another client's token, one of an ended or an expired session, of a user who is gone: all look alike."""
    ended, gone, old = world.start(), world.start(user=world.people["user-2"]), world.start()
    assert 200 == world.asks("reader", "/revoke", token=ended.refresh_token).status
    del world.people["user-2"]
    answers = [
        world.refreshes("reader", token)
        for token in ("garbage", world.start("writer").refresh_token, ended.refresh_token, gone.refresh_token)
    ]
    answers.append(world.refreshes("reader", world.start().access_token))
    world.clock.advance(30 * DAY)
    answers.append(world.refreshes("reader", old.refresh_token))
    assert {(400, "invalid_grant")} == {error_of(response) for response in answers}
    assert 1 == len({response.body for response in answers})


def test_a_wrong_client_costs_no_query(colour: type) -> None:
    """A token in another client's hands is refused by its MAC: its session is neither asked for nor changed."""
    world = World(colour=colour)
    theirs = world.start("writer")
    assert (400, "invalid_grant") == error_of(world.refreshes("reader", theirs.refresh_token))
    rejected = world.events[-1]
    assert (EventCode.REJECTED, "token_malformed", None) == (rejected.code, rejected.reason, rejected.session_id)
    assert 200 == world.refreshes("writer", theirs.refresh_token).status


def test_a_lost_answer_costs_nothing(world: World) -> None:
    """The same refresh again gets the same refresh token again: a retry, a second process."""
    first = world.start().refresh_token
    once, again = (json_of(world.refreshes("reader", first)) for _ in range(2))
    assert once["refresh_token"] == again["refresh_token"]


def test_held_back(world: World) -> None:
    """A client whose older refresh token came late gets none, and keeps the one it has (RFC 6749 §6)."""
    first = world.start()
    second = json_of(world.refreshes("reader", first.refresh_token))["refresh_token"]
    world.end_grace()
    other = json_of(world.refreshes("reader", first.refresh_token))["refresh_token"]  # the answer before was lost
    held = json_of(world.refreshes("reader", second))  # or late
    assert (EventCode.HELD, {"access_token", "token_type", "expires_in"}) == (world.events[-1].code, set(held))
    assert world.verify(held["access_token"]).session_id == first.session.id
    assert other == json_of(world.refreshes("reader", other))["refresh_token"]


def stale(world: World) -> str:
    """Return a token that was replaced twice within the grace period."""
    first = world.start().refresh_token
    second = json_of(world.refreshes("reader", first))["refresh_token"]
    world.end_grace()
    third = json_of(world.refreshes("reader", second))["refresh_token"]
    world.end_grace()
    assert 200 == world.refreshes("reader", third).status
    return str(second)


def test_a_stale_token_logs_nobody_out(world: World) -> None:
    """An honest client whose twin has a newer token is asked to retry; its session has not ended.

    Nothing is changed, and after the grace period the same token is reuse, as at every other endpoint.
    """
    token = stale(world)
    before = world.session_ids()
    response = world.refreshes("reader", token)
    assert (503, "temporarily_unavailable") == error_of(response)
    assert ("retry-after", "1") in response.headers
    assert (EventCode.STALE, before) == (world.events[-1].code, world.session_ids())
    world.end_grace()
    assert (400, "invalid_grant") == error_of(world.refreshes("reader", token))
    assert (EventCode.REUSED, []) == (world.events[-1].code, world.session_ids())


def test_a_store_that_is_down(tmp_path: Path) -> None:
    """503 by the shape of RFC 6749 §5.2, with ``Retry-After``; nothing was decided, and later all is as it was."""
    path = tmp_path / "sessions.db"
    world = World(store=SqliteStore(path))
    first = world.start()
    path.rename(tmp_path / "away.db")
    path.mkdir()
    world.auth._store.close()
    for response in (
        world.refreshes("reader", first.refresh_token),
        world.asks("reader", "/revoke", token=first.refresh_token),
        world.asks("service", "/introspect", token=first.access_token),
    ):
        assert (503, "temporarily_unavailable") == error_of(response)
        assert ("retry-after", "1") in response.headers
        assert EventCode.UNAVAILABLE is world.events[-1].code
    path.rmdir()
    (tmp_path / "away.db").rename(path)
    assert 200 == world.refreshes("reader", first.refresh_token).status


# ---- the request


@given(
    body=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)),
    authorization=st.one_of(st.none(), st.text(max_size=60), st.binary(max_size=60).map(_as_basic)),
    fields=st.dictionaries(st.sampled_from(["grant_type", "refresh_token", "token", "client_id", "scope"]), st.text()),
    path=st.sampled_from(["/token", "/revoke", "/introspect"]),
)
def test_whatever_is_sent(
    world_of_all: World, body: bytes, authorization: str | None, fields: dict[str, str], path: str
) -> None:
    """Any input gets an error of RFC 6749 §5.2, or is treated as an invalid token; nothing crashes."""
    headers = {} if authorization is None else {"authorization": authorization}
    for sent in (body, urlencode(fields), urlencode({**fields, "client_id": "app"})):
        response = world_of_all.ask(path, sent, headers=headers)
        if response.status != 200:
            assert error_of(response)[0] in (400, 401)
        else:
            assert (path, b"") == ("/revoke", response.body)


@pytest.mark.parametrize("grant_type", ["authorization_code", "password", "client_credentials", "REFRESH_TOKEN", "x"])
def test_no_other_grant(world: World, grant_type: str) -> None:
    """``refresh_token`` is the only grant."""
    response = world.asks("reader", "/token", grant_type=grant_type, refresh_token=world.start().refresh_token)
    assert (400, "unsupported_grant_type") == error_of(response)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "grant_type=refresh_token",
        "grant_type=refresh_token&refresh_token=",
        "refresh_token=x",
        "grant_type=refresh_token&grant_type=refresh_token&refresh_token=x",
        "grant_type=refresh_token&refresh_token=x&refresh_token=x",
        "grant_type=refresh_token&refresh_token=x&scope=read&scope=read",
        "grant_type=refresh_token&refresh_token=x&client_id=reader&client_id=reader",
        b"grant_type=refresh_token&refresh_token=\xff",
        "grant_type=refresh_token&refresh_token=%ff",
        "&".join(f"p{number}=1" for number in range(200)),
    ],
)
def test_a_body_that_makes_no_sense(world: World, body: bytes | str) -> None:
    """Something missing, something twice (RFC 6749 §3.2), something that is no text: ``invalid_request``."""
    headers = {"authorization": basic("reader", READER_SECRET or "")}
    assert (400, "invalid_request") == error_of(world.ask("/token", body, headers=headers))
    assert [] == world.events


def test_parameters_that_nobody_knows(world: World) -> None:
    """They are ignored, however often they come (RFC 6749 §3.2, RFC 8707 §2)."""
    form = [("grant_type", "refresh_token"), ("refresh_token", world.start("app").refresh_token), ("client_id", "app")]
    body = urlencode([*form, ("resource", "https://a.example"), ("resource", "https://b.example")])
    assert 200 == world.ask("/token", body).status


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "multipart/form-data; boundary=x"])
def test_a_body_of_another_type(world: World, content_type: str) -> None:
    """Only a form is read."""
    body = urlencode(
        {"grant_type": "refresh_token", "refresh_token": world.start("app").refresh_token, "client_id": "app"}
    )
    response = world.ask("/token", body, headers={"content-type": content_type})
    assert (400, "invalid_request") == error_of(response)
    right = "Application/X-WWW-Form-URLEncoded; charset=UTF-8"
    assert 200 == world.ask("/token", body, headers={"content-type": right}).status


def test_nothing_is_taken_from_the_address(world: World) -> None:
    """A token in the URL, where logs would have it, is not read."""
    assert (401, "invalid_client") == error_of(world.ask("/token"))


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect"])
def test_plain_http(path: str) -> None:
    """Tokens and secrets over plain HTTP are refused, save on loopback or where the operator says so."""
    world, allowing = World(), World(options={"allow_insecure": True})
    form = urlencode({"grant_type": "refresh_token", "token": "x", "client_id": APP.id})
    assert (400, "invalid_request") == error_of(world.ask(path, form, scheme="http"))
    assert b"HTTPS" in world.ask(path, form, scheme="http").body
    assert b"HTTPS" not in allowing.ask(path, form, scheme="http").body


def test_a_get_is_refused(world: World) -> None:
    """No link or image refreshes, revokes or introspects."""
    assert [405, 405, 405] == [world.ask(path, method="GET").status for path in ("/token", "/revoke", "/introspect")]


def test_strict_mode() -> None:
    """Without a grace period no refresh is answered twice."""
    world = World(grace_period=0)
    first = world.start().refresh_token
    second = json_of(world.refreshes("reader", first))["refresh_token"]
    world.clock.advance(SECOND)
    assert 200 == world.refreshes("reader", second).status
    world.clock.advance(SECOND)
    assert (400, "invalid_grant") == error_of(world.refreshes("reader", first))
    assert [] == world.session_ids()
