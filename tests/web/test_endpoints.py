"""The responses of each endpoint: statuses, headers and bodies, exactly as on the wire."""

import json
import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from daypass import Daypass, EventCode, User
from daypass.duration import DAY, MINUTE, SECOND
from daypass.testing import START
from daypass.web.cookies import CookiePolicy
from daypass.web.endpoints import MAXIMUM_PAGE, Endpoints
from daypass.web.limits import RateLimits
from daypass.web.message import Request, Response
from daypass.web.options import Options

from .world import (
    ALICE,
    BOB,
    CHALLENGE,
    CLEARED,
    CLEARS,
    GRACE,
    HOST,
    ISSUER,
    JSON,
    NO_STORE,
    PASSWORD,
    SECRET,
    VARY,
    Asked,
    access_token,
    body_of,
    cookie_value,
    headers_named,
    json_of,
)

LOGIN = {"email": ALICE.email, "password": PASSWORD}
REJECTED = Response(401, (JSON, NO_STORE, CHALLENGE, VARY), body_of("invalid_grant"))
UNAVAILABLE = Response(
    503, (JSON, NO_STORE, ("retry-after", "1"), VARY), body_of("temporarily_unavailable", "Try again in a moment")
)
STALE = Response(409, (JSON, NO_STORE, VARY), body_of("token_stale", "A newer refresh token was given out"))


# ---- POST /login


@pytest.mark.parametrize("name", [{"email": "alice@example.com"}, {"username": "alice"}])
def test_login(name: dict[str, str]) -> None:
    """A login by address or by name is answered with an access token, its kind and its life, and a cookie."""
    response = Asked().ask("POST", "/login", name | {"password": PASSWORD})
    expected = {
        "accessToken": access_token(response),
        "tokenType": "Bearer",
        "expiresIn": 900,
        "refreshExpiresIn": 2_592_000,
    }
    cookie = f"__Host-daypass={cookie_value(response)}; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict"
    assert (JSON, NO_STORE, GRACE, ("set-cookie", cookie), VARY) == response.headers
    assert (200, expected) == (response.status, json_of(response))


def test_login_without_cookies() -> None:
    """A client may have the refresh token in the body; then no cookie is set."""
    response = Asked().ask("POST", "/login", LOGIN | {"tokenDelivery": "body"})
    content = json_of(response)
    assert (200, (JSON, NO_STORE, GRACE, VARY)) == (response.status, response.headers)
    assert {"accessToken", "tokenType", "expiresIn", "refreshToken", "refreshExpiresIn", "persistent"} == content.keys()
    assert content["refreshToken"].startswith("dpr_")


@pytest.mark.parametrize(
    ("identifier", "password"), [("alice@example.com", "wrong password"), ("nobody@example.com", PASSWORD)]
)
def test_wrong_credentials(identifier: str, password: str) -> None:
    """A wrong password and an unknown user get the same answer, and no session is started."""
    asked = Asked()
    response = asked.ask("POST", "/login", {"email": identifier, "password": password})
    assert Response(401, (JSON, NO_STORE, CHALLENGE, VARY), body_of("invalid_credentials")) == response
    assert [EventCode.LOGIN_FAILED] == [event.code for event in asked.events]


def test_a_login_is_a_new_session() -> None:
    """A login never continues the session of a cookie that comes with it."""
    asked = Asked()
    _, first = asked.login()
    _, second = asked.login(cookie=first)
    assert first != second
    assert [EventCode.STARTED, EventCode.STARTED, EventCode.LOGGED_OUT] == [event.code for event in asked.events]
    assert asked.lives(second)


@pytest.mark.parametrize("before", [ALICE, BOB], ids=["same_user", "another_user"])
def test_a_login_replaces_the_session_of_its_jar(before: User) -> None:
    """The session whose cookie a login replaces is ended, whichever user had it: only a thief has its token now."""
    asked = Asked()
    _, elsewhere = asked.login(before)
    _, replaced = asked.login(before)
    _, mine = asked.login(cookie=replaced)
    assert [False, True, True] == [asked.lives(token) for token in (replaced, mine, elsewhere)]


@pytest.mark.parametrize("attempt", [{"password": "wrong password"}, {"tokenDelivery": "body"}], ids=["failed", "body"])
def test_a_login_that_replaces_no_cookie(attempt: dict[str, str]) -> None:
    """A login that fails, or that returns its token in the body, does not touch the cookie's session."""
    asked = Asked()
    _, refresh_token = asked.login()
    asked.ask("POST", "/login", LOGIN | attempt, cookie=refresh_token)
    assert asked.lives(refresh_token)


def test_a_login_with_a_cookie_of_nobody() -> None:
    """A dead, forged or older cookie that comes with a login changes nothing about it, and ends no session."""
    asked = Asked()
    _, bobs = asked.login(BOB)
    for cookie in ("", "garbage", "dpr_" + 76 * "A", bobs[:-1] + ("A" if bobs[-1] != "A" else "B")):
        asked.login(cookie=cookie)
    assert asked.lives(bobs)
    assert 4 == len(asked.auth.sessions("user-1"))


# ---- who is first


@pytest.mark.parametrize("last", ["login", "refresh"])
def test_a_rejected_refresh_never_clears_a_new_logins_cookie(last: str) -> None:
    """A refresh of a dead session races a login in another tab: whichever answer comes last, the user is logged in."""
    asked = Asked()
    _, dead = asked.login()
    asked.auth.logout(dead)
    jar = {"__Host-daypass": dead}
    rejected = asked.ask("POST", "/refresh", cookie=dead)
    login = asked.ask("POST", "/login", LOGIN, cookie=dead)
    assert (401, 200) == (rejected.status, login.status)
    for answer in (rejected, login) if last == "login" else (login, rejected):
        for header in headers_named(answer, "set-cookie"):
            (morsel,) = SimpleCookie(header).values()
            jar[morsel.key] = morsel.value
    assert asked.lives(jar["__Host-daypass"])


def test_a_failed_login_changes_no_cookie() -> None:
    """A user who is logged in and mistypes a password stays logged in."""
    asked = Asked()
    _, refresh_token = asked.login()
    response = asked.ask("POST", "/login", LOGIN | {"password": "wrong password"}, cookie=refresh_token)
    assert [] == headers_named(response, "set-cookie")
    assert asked.lives(refresh_token)


def test_the_device() -> None:
    """A login stores the device as its user will recognise it: name, browser, address; long values are cut."""
    asked = Asked()
    response = asked.ask("POST", "/login", LOGIN | {"deviceName": 150 * "n"}, headers={"user-agent": 300 * "a"})
    listed = json_of(asked.ask("GET", "/sessions", token=access_token(response)))["sessions"][0]
    assert (100 * "n", 200 * "a", "192.0.2.7") == (listed["deviceName"], listed["userAgent"], listed["address"])


def test_no_login_of_its_own() -> None:
    """An issuer without ``authenticate`` has no login, and says so."""
    auth = Daypass("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: None)
    request = Request("https", HOST, {"content-type": "application/json"}, json.dumps(LOGIN).encode())
    response = auth.run(Endpoints(auth.flows, CookiePolicy(), None).login(request, auth.new_call()))
    assert (404, "not_found") == (response.status, json_of(response)["error"])


NOT_JSON = body_of("invalid_request", "The body is not JSON")
NO_OBJECT = body_of("invalid_request", "The body is not a JSON object")
INCOMPLETE = body_of("invalid_request", "Send email (or username) and password, as text")
WRONG_TYPE = body_of("unsupported_media_type", "Send the body as application/json")
WRONG_DELIVERY = body_of("invalid_request", "tokenDelivery is either cookie or body")


def no_text(name: str) -> bytes:
    return body_of("invalid_request", f"{name} must be text of at most 1024 characters")


@pytest.mark.parametrize(
    ("content_type", "body", "status", "expected"),
    [
        (None, json.dumps(LOGIN).encode(), 415, WRONG_TYPE),
        ("", json.dumps(LOGIN).encode(), 415, WRONG_TYPE),
        ("text/plain", json.dumps(LOGIN).encode(), 415, WRONG_TYPE),
        ("application/x-www-form-urlencoded", b"email=alice@example.com&password=x", 415, WRONG_TYPE),
        ("application/jsonp", json.dumps(LOGIN).encode(), 415, WRONG_TYPE),
        ("application/json", b"", 400, NOT_JSON),
        ("application/json", b"{", 400, NOT_JSON),
        ("application/json", b'{"email": "alice@example.com", "password": }', 400, NOT_JSON),
        ("application/json", b'{"email": "\xff"}', 400, NOT_JSON),
        ("application/json", 60_000 * b"[", 400, NOT_JSON),
        ("application/json", 10_000 * b'{"a":', 400, NOT_JSON),
        ("application/json", b'{"password": ' + 5_000 * b"9" + b"}", 400, NOT_JSON),
        ("application/json", b"null", 400, NO_OBJECT),
        ("application/json", b"[]", 400, NO_OBJECT),
        ("application/json", b'"alice"', 400, NO_OBJECT),
        ("application/json", b"NaN", 400, NO_OBJECT),
    ],
)
def test_login_of_no_json_object(content_type: str | None, body: bytes, status: int, expected: bytes) -> None:
    """A body that is not a JSON object, or has another content type, is refused before anything else."""
    asked = Asked()
    headers = {} if content_type is None else {"content-type": content_type}
    response = asked.ask("POST", "/login", body=body, headers=headers)
    assert Response(status, (JSON, NO_STORE, VARY), expected) == response
    assert ([], []) == (asked.events, asked.tried)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, INCOMPLETE),
        ({"email": "alice@example.com"}, INCOMPLETE),
        ({"password": PASSWORD}, INCOMPLETE),
        ({"email": "", "username": "", "password": PASSWORD}, INCOMPLETE),
        ({"email": None, "password": PASSWORD}, INCOMPLETE),
        (LOGIN | {"password": ""}, INCOMPLETE),
        (LOGIN | {"password": None}, INCOMPLETE),
        (LOGIN | {"email": 5}, no_text("email")),
        (LOGIN | {"email": ["alice@example.com"]}, no_text("email")),
        (LOGIN | {"email": {"$ne": ""}}, no_text("email")),
        ({"username": True, "password": PASSWORD}, no_text("username")),
        (LOGIN | {"password": 12345678}, no_text("password")),
        (LOGIN | {"email": 1025 * "a"}, no_text("email")),
        (LOGIN | {"password": 1025 * "a"}, no_text("password")),
        (LOGIN | {"email": "\ud800"}, no_text("email")),
        ({"username": "\udfff", "password": PASSWORD}, no_text("username")),
        (LOGIN | {"password": "half a pair \ud83d"}, no_text("password")),
        (LOGIN | {"deviceName": "\ud800"}, no_text("deviceName")),
        (LOGIN | {"email": "alice\0@example.com"}, no_text("email")),
        (LOGIN | {"deviceName": 5}, no_text("deviceName")),
        (LOGIN | {"tokenDelivery": "Body"}, WRONG_DELIVERY),
        (LOGIN | {"tokenDelivery": ["body"]}, WRONG_DELIVERY),
        (LOGIN | {"tokenDelivery": None}, WRONG_DELIVERY),
    ],
)
def test_login_of_other_fields(content: dict[str, object], expected: bytes) -> None:
    """A field that is missing, no text, too long, or text that no store could keep is refused; nothing is started."""
    asked = Asked()
    response = asked.ask("POST", "/login", content)
    assert Response(400, (JSON, NO_STORE, VARY), expected) == response
    assert ([], []) == (asked.events, asked.tried)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_content_type_as_people_write_it(content_type: str) -> None:
    """The content type counts whatever its case and its parameters."""
    body = json.dumps(LOGIN).encode()
    assert 200 == Asked().ask("POST", "/login", body=body, headers={"content-type": content_type}).status


# ---- POST /refresh


def test_refresh() -> None:
    """A refresh is answered like a login, with the rotated cookie."""
    asked = Asked()
    access, refresh_token = asked.login()
    response = asked.ask("POST", "/refresh", cookie=refresh_token)
    following = cookie_value(response)
    expected = {
        "accessToken": access_token(response),
        "tokenType": "Bearer",
        "expiresIn": 900,
        "refreshExpiresIn": 2_592_000,
    }
    cookie = f"__Host-daypass={following}; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict"
    assert (JSON, NO_STORE, GRACE, ("set-cookie", cookie), VARY) == response.headers
    assert (200, expected) == (response.status, json_of(response))
    assert access != access_token(response)
    assert refresh_token != following


ANY_BODY = [
    (None, b""),
    ("application/json", b""),
    ("application/json", b"{}"),
    ("application/json", b"null"),
    ("application/json", b"[]"),
    ("application/json", b"{"),
    ("application/json", b'{"refreshToken": null}'),
    ("application/json", b'{"refreshToken": ""}'),
    ("application/json", b'{"refreshToken": 5}'),
    ("application/json", b'{"refreshToken": ["x"]}'),
    ("application/json", b'{"something": "else"}'),
    ("application/x-www-form-urlencoded", b"refreshToken=x"),
    ("text/plain", b'{"refreshToken": "x"}'),
    (None, b"\xff\x00"),
]


@pytest.mark.parametrize(("content_type", "body"), ANY_BODY)
def test_refresh_with_any_body(content_type: str | None, body: bytes) -> None:
    """A client with the cookie may send any body, or none: nothing in it can keep it from its tokens."""
    asked = Asked()
    _, refresh_token = asked.login()
    headers = {} if content_type is None else {"content-type": content_type}
    assert 200 == asked.ask("POST", "/refresh", body=body, headers=headers, cookie=refresh_token).status


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", NOT_JSON),
        (b'{"refreshToken": "\xff"}', NOT_JSON),
        (b"[]", NO_OBJECT),
        (b'{"refreshToken": 5}', body_of("invalid_request", "refreshToken has to be text")),
        (b'{"refreshToken": {}}', body_of("invalid_request", "refreshToken has to be text")),
    ],
)
@pytest.mark.parametrize("path", ["/refresh", "/logout"])
def test_a_body_that_makes_no_sense(path: str, body: bytes, expected: bytes) -> None:
    """A client without the cookie gets an error for an invalid body: that is a mistake, and not a logout."""
    response = Asked().ask("POST", path, body=body, headers={"content-type": "application/json"})
    assert Response(400, (JSON, NO_STORE, VARY), expected) == response


@pytest.mark.parametrize(("content_type", "body"), [each for each in ANY_BODY if each[1] in (b"", b"{}", b"\xff\x00")])
def test_refresh_without_a_token(content_type: str | None, body: bytes) -> None:
    """Without a refresh token a refresh is rejected like any other."""
    headers = {} if content_type is None else {"content-type": content_type}
    assert REJECTED == Asked().ask("POST", "/refresh", body=body, headers=headers)


def test_refresh_in_the_body() -> None:
    """A client without cookies sends its token in the body, gets the next one there, and never a cookie."""
    asked = Asked()
    _, refresh_token = asked.login_in_body()
    response = asked.ask("POST", "/refresh", {"refreshToken": refresh_token})
    assert (200, (JSON, NO_STORE, GRACE, VARY)) == (response.status, response.headers)
    assert {"accessToken", "tokenType", "expiresIn", "refreshToken", "refreshExpiresIn", "persistent"} == json_of(
        response
    ).keys()
    assert refresh_token != json_of(response)["refreshToken"]
    assert asked.auth.policy.idle_ttl // SECOND == json_of(response)["refreshExpiresIn"]


def test_a_cookie_never_becomes_a_body() -> None:
    """What came in the cookie goes back in the cookie: no script of a page can talk it into a body."""
    asked = Asked()
    _, refresh_token = asked.login()
    for content in ({"tokenDelivery": "body"}, {"refreshToken": ""}, {"refreshToken": None, "tokenDelivery": "body"}):
        response = asked.ask("POST", "/refresh", content, cookie=refresh_token)
        assert {"accessToken", "tokenType", "expiresIn", "refreshExpiresIn"} == json_of(response).keys()
        assert b"dpr_" not in response.body


def test_the_body_beats_the_cookie() -> None:
    """Where both are sent the body counts: the cookie's session is not touched, nor is the cookie."""
    asked = Asked()
    _, in_cookie = asked.login(BOB)
    _, in_body = asked.login_in_body()
    response = asked.ask("POST", "/refresh", {"refreshToken": in_body}, cookie=in_cookie)
    assert [] == headers_named(response, "set-cookie")
    me = asked.ask("GET", "/me", token=access_token(response))
    assert "user-1" == json_of(me)["subject"]
    assert [EventCode.ROTATED] == [event.code for event in asked.events if event.generation_distance]


def test_a_bad_body_beats_the_cookie_too() -> None:
    """A rejected token in the body clears no cookie: the cookie was not judged."""
    asked = Asked()
    _, in_cookie = asked.login()
    assert REJECTED == asked.ask("POST", "/refresh", {"refreshToken": "garbage"}, cookie=in_cookie)
    assert asked.lives(in_cookie)


def test_a_lost_answer() -> None:
    """A refresh whose answer was lost is repeated with the same cookie and gets the same next one."""
    asked = Asked()
    _, refresh_token = asked.login()
    first, second = (asked.ask("POST", "/refresh", cookie=refresh_token) for _ in range(2))
    assert cookie_value(first) == cookie_value(second)


def test_stale() -> None:
    """A token that was replaced moments ago gets 409, and loses nothing: no challenge, no cookie change."""
    asked = Asked()
    _, first = asked.login()
    second = cookie_value(asked.ask("POST", "/refresh", cookie=first))
    asked.end_grace()
    third = cookie_value(asked.ask("POST", "/refresh", cookie=second))
    assert STALE == asked.ask("POST", "/refresh", cookie=first)
    assert STALE == asked.ask("POST", "/refresh", {"refreshToken": first})
    assert asked.lives(third)


# ---- a refresh token that is rejected

Rejection = Callable[[Asked], str]


def garbage(_: Asked) -> str:
    return "garbage"


def non_ascii(_: Asked) -> str:
    return "dpr_" + 76 * "\xe9"


def oversized(_: Asked) -> str:
    return "dpr_" + 16_000 * "A"


def truncated(asked: Asked) -> str:
    return asked.login()[1][:-1]


def prolonged(asked: Asked) -> str:
    return asked.login()[1] + "A"


def forged(asked: Asked) -> str:
    token = asked.login()[1]
    return token[:-1] + ("A" if token[-1] != "A" else "B")


def an_access_token(asked: Asked) -> str:
    return asked.login()[0]


def of_another_issuer(_: Asked) -> str:
    return Asked(secret=SECRET[::-1]).login()[1]


def of_another_store(_: Asked) -> str:
    return Asked().login()[1]


def expired(asked: Asked) -> str:
    token = asked.login()[1]
    asked.clock.advance(30 * DAY)
    return token


def of_an_absolute_age(asked: Asked) -> str:
    token = asked.login()[1]
    for _ in range(9):
        asked.clock.advance(20 * DAY - 1)
        token = cookie_value(asked.ask("POST", "/refresh", cookie=token))
    asked.clock.advance(9)
    return token


def logged_out(asked: Asked) -> str:
    token = asked.login()[1]
    asked.ask("POST", "/logout", cookie=token)
    return token


def ended_by_its_user(asked: Asked) -> str:
    access, token = asked.login()
    asked.ask("DELETE", "/sessions", token=access)
    return token


def reused(asked: Asked) -> str:
    first = asked.login()[1]
    second = cookie_value(asked.ask("POST", "/refresh", cookie=first))
    asked.end_grace()
    asked.ask("POST", "/refresh", cookie=second)
    asked.end_grace()
    return first


def revoked_for_reuse(asked: Asked) -> str:
    token = reused(asked)
    assert 401 == asked.ask("POST", "/refresh", cookie=token).status
    return token


def of_a_user_who_is_gone(asked: Asked) -> str:
    token = asked.login()[1]
    del asked.people["user-1"]
    return token


def of_a_disabled_user(asked: Asked) -> str:
    token = asked.login()[1]
    asked.people["user-1"] = replace(ALICE, disabled=True)
    return token


REJECTIONS = (
    garbage,
    non_ascii,
    oversized,
    truncated,
    prolonged,
    forged,
    an_access_token,
    of_another_issuer,
    of_another_store,
    expired,
    of_an_absolute_age,
    logged_out,
    ended_by_its_user,
    reused,
    revoked_for_reuse,
    of_a_user_who_is_gone,
    of_a_disabled_user,
)


@pytest.mark.parametrize("rejection", REJECTIONS)
def test_rejected_tokens_look_alike(rejection: Rejection) -> None:
    """Whatever was wrong with a refresh token, the answer is the same to the byte, and no cookie is touched."""
    asked = Asked()
    assert REJECTED == asked.ask("POST", "/refresh", cookie=rejection(asked))


@pytest.mark.parametrize("rejection", REJECTIONS)
def test_rejected_tokens_look_alike_in_the_body(rejection: Rejection) -> None:
    """The same for clients without cookies."""
    asked = Asked()
    assert REJECTED == asked.ask("POST", "/refresh", {"refreshToken": rejection(asked)})


@pytest.mark.parametrize("rejection", [truncated, prolonged, forged])
def test_a_bad_copy_harms_nobody(rejection: Rejection) -> None:
    """Without an authentic token of a session, a client can neither refresh it nor end it."""
    asked = Asked()
    bad = rejection(asked)
    asked.ask("POST", "/refresh", cookie=bad)
    assert 204 == asked.ask("POST", "/logout", cookie=bad).status
    assert 1 == len(asked.auth.sessions("user-1"))


# ---- a store that is down


@contextmanager
def out_of_reach(asked: Asked, path: Path):  # type: ignore[no-untyped-def]  # a context manager of nothing
    """Put a folder in the place of the database, and the database back afterwards."""
    away = path.with_suffix(".away")
    asked.auth.close()
    path.rename(away)
    path.mkdir()
    try:
        yield
    finally:
        path.rmdir()
        away.rename(path)


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", "/login", LOGIN),
        ("POST", "/refresh", None),
        ("POST", "/logout", None),
        ("POST", "/logout", {"everywhere": True}),
        ("GET", "/sessions", None),
        ("DELETE", "/sessions", None),
        ("DELETE", "/sessions/" + 32 * "0", None),
    ],
)
def test_a_store_that_is_down(method: str, path: str, content: object, tmp_path: Path) -> None:
    """While the store is down, the answer is 503 with ``Retry-After``, no cookie change; the session continues."""
    database = tmp_path / "sessions.db"
    asked = Asked(f"sqlite:///{database}")
    access, refresh_token = asked.login()
    with out_of_reach(asked, database):
        assert UNAVAILABLE == asked.ask(method, path, content, cookie=refresh_token, token=access)
    assert 1 == len(asked.auth.sessions("user-1"))
    assert asked.lives(refresh_token)
    asked.auth.close()


def test_keys_that_cannot_be_read(tmp_path: Path) -> None:
    """While the signing keys cannot be read no access token is judged: 503, and not the 401 that ends sessions."""
    database = tmp_path / "sessions.db"
    asked = Asked(f"sqlite:///{database}")
    access, _ = asked.login()
    restarted = Asked(f"sqlite:///{database}")
    with out_of_reach(asked, database):
        assert UNAVAILABLE == restarted.ask("GET", "/me", token=access)
    assert 200 == restarted.ask("GET", "/me", token=access).status
    restarted.auth.close()


# ---- POST /logout


def test_logout() -> None:
    """A logout ends the session and clears the cookie: 204, and neither token opens anything any more."""
    asked = Asked()
    access, refresh_token = asked.login()
    response = asked.ask("POST", "/logout", cookie=refresh_token)
    assert Response(204, (NO_STORE, CLEARED, CLEARS, VARY)) == response
    assert REJECTED == asked.ask("POST", "/refresh", cookie=refresh_token)
    assert 401 == asked.ask("GET", "/me", token=access).status


def test_logout_in_the_body() -> None:
    """A client without cookies logs out by its token in the body, and no cookie is touched."""
    asked = Asked()
    _, in_cookie = asked.login(BOB)
    _, in_body = asked.login_in_body()
    response = asked.ask("POST", "/logout", {"refreshToken": in_body}, cookie=in_cookie)
    assert Response(204, (NO_STORE, VARY)) == response
    assert () == asked.auth.sessions("user-1")
    assert asked.lives(in_cookie)


@pytest.mark.parametrize("cookie", [None, "garbage", "dpr_" + 76 * "A"])
def test_logout_of_no_session(cookie: str | None) -> None:
    """Where there was no session to end a logout is answered in the same way."""
    assert Response(204, (NO_STORE, CLEARED, CLEARS, VARY)) == Asked().ask("POST", "/logout", cookie=cookie)


def test_logout_twice() -> None:
    """A second logout is answered like the first."""
    asked = Asked()
    _, refresh_token = asked.login()
    first, second = (asked.ask("POST", "/logout", cookie=refresh_token) for _ in range(2))
    assert first == second


def test_logout_by_an_old_token() -> None:
    """Every token of the session may end it, however old the token is."""
    asked = Asked()
    _, first = asked.login()
    second = cookie_value(asked.ask("POST", "/refresh", cookie=first))
    asked.end_grace()
    asked.ask("POST", "/refresh", cookie=second)
    asked.clock.advance(DAY)
    asked.ask("POST", "/logout", cookie=first)
    assert () == asked.auth.sessions("user-1")


EVERYWHERE = {"everywhere": True}
NOBODY = Response(
    401,
    (JSON, NO_STORE, CHALLENGE, VARY),
    body_of("invalid_grant", "Nobody is logged in here; no session was ended"),
)


def test_logout_everywhere() -> None:
    """It ends all sessions of the user, those of OAuth clients too, and of no other user; the cookie is removed."""
    asked = Asked()
    _, bob = asked.login(BOB)
    others = [asked.login()[1] for _ in range(2)]
    asked.auth.start(ALICE, client_id="app")
    access, mine = asked.login()
    assert Response(204, (NO_STORE, CLEARED, CLEARS, VARY)) == asked.ask("POST", "/logout", EVERYWHERE, cookie=mine)
    assert () == asked.auth.sessions("user-1")
    for token in (*others, mine):
        assert REJECTED == asked.ask("POST", "/refresh", cookie=token)
    assert 401 == asked.ask("GET", "/me", token=access).status
    assert asked.lives(bob)


def test_logout_everywhere_in_the_body() -> None:
    """A client without cookies sends its token in the body; a cookie, perhaps another user's, is not touched."""
    asked = Asked()
    _, bob = asked.login(BOB)
    asked.login()
    _, mine = asked.login_in_body()
    response = asked.ask("POST", "/logout", EVERYWHERE | {"refreshToken": mine}, cookie=bob)
    assert Response(204, (NO_STORE, VARY)) == response
    assert () == asked.auth.sessions("user-1")
    assert asked.lives(bob)


def test_logout_everywhere_by_an_old_token() -> None:
    """An owner whom a thief left behind has an old token, and may end all sessions by it while its session is live."""
    asked = Asked()
    asked.login()
    old = reused(asked)
    assert 204 == asked.ask("POST", "/logout", EVERYWHERE, cookie=old).status
    assert () == asked.auth.sessions("user-1")


@pytest.mark.parametrize("token", ["", "garbage", "dpr_" + 76 * "A", "ended", "expired"])
def test_logout_everywhere_without_a_live_session(token: str) -> None:
    """Without a live session the user is unknown: 401, and no session or cookie is touched."""
    asked = Asked()
    if token == "ended":
        token = logged_out(asked)
    elif token == "expired":
        token = asked.login()[1]
        asked.clock.advance(asked.auth.policy.idle_ttl)
    _, other = asked.login()
    assert NOBODY == asked.ask("POST", "/logout", EVERYWHERE, cookie=token or None)
    assert asked.lives(other)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"everywhere": 1}', "application/json", 400),
        (b'{"everywhere": "true"}', "application/json", 400),
        (b'{"everywhere": null}', "application/json", 400),
        (b'{"everywhere": true', "application/json", 400),
        (b'{"everywhere": true}', "text/plain", 415),
        (b"everywhere=true", "application/x-www-form-urlencoded", 415),
    ],
)
def test_everywhere_is_never_misread(body: bytes, kind: str, status: int) -> None:
    """A body that says ``everywhere`` in another way is refused, and ends no session: neither one nor all."""
    asked = Asked()
    _, mine = asked.login()
    response = asked.ask("POST", "/logout", body=body, headers={"content-type": kind}, cookie=mine)
    assert (status, []) == (response.status, headers_named(response, "set-cookie"))
    assert asked.lives(mine)


def test_not_everywhere() -> None:
    """``{"everywhere": false}`` ends only this session."""
    asked = Asked()
    _, other = asked.login()
    _, mine = asked.login()
    assert 204 == asked.ask("POST", "/logout", {"everywhere": False}, cookie=mine).status
    assert REJECTED == asked.ask("POST", "/refresh", cookie=mine)
    assert asked.lives(other)


# ---- GET /me


def test_me() -> None:
    """The access token's user: who, by which name and address, in which session, and what the application added."""
    asked = Asked()
    access, _ = asked.login()
    (session,) = asked.auth.sessions("user-1")
    response = asked.ask("GET", "/me", token=access)
    expected = {
        "subject": "user-1",
        "username": "alice",
        "email": "alice@example.com",
        "sessionId": session.id,
        "claims": {"plan": "pro"},
    }
    assert (200, (JSON, NO_STORE, VARY)) == (response.status, response.headers)
    assert expected == json_of(response)


def challenge(description: str) -> tuple[str, str]:
    told = f'Bearer realm="daypass", error="invalid_token", error_description="{description}"'
    return "www-authenticate", told


PROTECTED = [("GET", "/me"), ("GET", "/sessions"), ("DELETE", "/sessions"), ("DELETE", "/sessions/" + 32 * "0")]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YWxpY2U6eA==", "garbage"])
def test_without_an_access_token(method: str, path: str, header: str | None) -> None:
    """If no access token is sent, the challenge has no error (RFC 6750 §3.1)."""
    response = Asked().ask(method, path, headers={} if header is None else {"authorization": header})
    assert Response(401, (JSON, NO_STORE, CHALLENGE, VARY), body_of("invalid_token")) == response


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize("text", ["garbage", "a.b.c", "Bearer x", "\xe9", "..", 16_400 * "a", '"', "dpr_" + 76 * "A"])
def test_a_bad_access_token(method: str, path: str, text: str) -> None:
    """A refused access token gets a challenge with an error, in the grammar of RFC 6750 §3."""
    asked = Asked()
    asked.login()
    response = asked.ask(method, path, token=text)
    (told,) = headers_named(response, "www-authenticate")
    assert re.fullmatch(r'Bearer realm="daypass", error="invalid_token", error_description="[ !#-\[\]-~]+"', told)
    assert Response(401, (JSON, NO_STORE, ("www-authenticate", told), VARY), body_of("invalid_token")) == response
    assert 1 == len(asked.auth.sessions("user-1"))


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_an_expired_access_token(method: str, path: str) -> None:
    """An access token opens everything until its last moment and nothing from ``exp`` on."""
    asked = Asked()
    access, _ = asked.login()
    asked.clock.advance(15 * MINUTE - 1)
    assert 200 == asked.ask("GET", "/me", token=access).status
    asked.clock.advance(1)
    headers = (JSON, NO_STORE, challenge("the access token has expired"), VARY)
    assert Response(401, headers, body_of("invalid_token")) == asked.ask(method, path, token=access)
    assert 1 == len(asked.auth.sessions("user-1"))


def test_an_access_token_of_an_ended_session() -> None:
    """An access token of a session that was ended here opens nothing from then on."""
    asked = Asked()
    access, refresh_token = asked.login()
    assert 200 == asked.ask("GET", "/me", token=access).status
    asked.ask("POST", "/logout", cookie=refresh_token)
    headers = (JSON, NO_STORE, challenge("the access token's session has ended"), VARY)
    assert Response(401, headers, body_of("invalid_token")) == asked.ask("GET", "/me", token=access)


def test_a_refresh_token_is_no_access_token() -> None:
    """A refresh token opens nothing but refresh and logout."""
    asked = Asked()
    _, refresh_token = asked.login()
    assert 401 == asked.ask("GET", "/me", token=refresh_token).status


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_in_any_case(scheme: str) -> None:
    """The scheme's name counts whatever its case (RFC 9110 §11.1)."""
    asked = Asked()
    access, _ = asked.login()
    assert 200 == asked.ask("GET", "/me", headers={"authorization": f"{scheme} {access}"}).status


# ---- GET and DELETE /sessions


def test_sessions() -> None:
    """A user sees only their own devices, the newest login first, and which one is this."""
    asked = Asked()
    asked.login(headers={"user-agent": "phone"})
    asked.login(BOB)
    asked.clock.advance(SECOND)
    access, refresh_token = asked.login(headers={"user-agent": "desk"})
    asked.clock.advance(1_500)
    asked.ask("POST", "/refresh", cookie=refresh_token)
    response = asked.ask("GET", "/sessions", token=access)
    desk, phone = json_of(response)["sessions"]
    expected = {
        "id": asked.auth.sessions("user-1")[0].id,
        "deviceName": None,
        "userAgent": "desk",
        "address": "192.0.2.7",
        "createdAt": "2027-01-15T08:00:00.000Z",
        "lastUsedAt": "2027-01-15T08:00:00.000Z",
        "expiresAt": "2027-02-14T08:30:00.000Z",
        "current": True,
        "persistent": True,
        "bound": False,
        "actor": None,
    }
    assert START == 1_800_000_000_000
    assert (200, (JSON, NO_STORE, VARY)) == (response.status, response.headers)
    assert expected == desk
    assert ("phone", False, phone["createdAt"]) == (phone["userAgent"], phone["current"], phone["lastUsedAt"])


def test_sessions_come_in_pages() -> None:
    """A user with many sessions gets them a page at a time, each once, the newest first; ``next`` leads on."""
    asked = Asked()
    for _ in range(MAXIMUM_PAGE + 5):
        access, _ = asked.login(ALICE)
    first = json_of(asked.ask("GET", "/sessions", token=access))
    rest = json_of(asked.ask("GET", f"/sessions?after={first['next']}", token=access))
    assert (MAXIMUM_PAGE, 5, False) == (len(first["sessions"]), len(rest["sessions"]), "next" in rest)
    expected = [session.id for session in asked.auth.sessions("user-1")]
    assert expected == [each["id"] for each in (*first["sessions"], *rest["sessions"])]
    few = json_of(asked.ask("GET", f"/sessions?limit=2&after={first['next']}", token=access))
    assert few["sessions"] == rest["sessions"][:2]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=", "limit=x", "limit=1&limit=2", "after=", "after=1", "after=x.y", "limits=5",
     f"after=1.{31 * '0'}", f"after=-1.{32 * '0'}", f"after={20 * '9'}.{32 * '0'}"],
)  # fmt: skip
def test_a_page_of_sessions_that_makes_no_sense(query: str) -> None:
    """An unknown parameter, a page too long or a made-up cursor is refused with what to send."""
    asked = Asked()
    response = asked.ask("GET", f"/sessions?{query}", token=asked.login()[0])
    told = "Send limit=1 to 100, after=the next of the page before, or nothing"
    assert (400, body_of("invalid_request", told)) == (response.status, response.body)


def test_sessions_of_the_far_future() -> None:
    """A session that lives longer than the calendar reaches is listed, too."""
    asked = Asked(idle_ttl="4000000d", absolute_ttl="4000000d")
    access, _ = asked.login()
    assert 200 == asked.ask("GET", "/sessions", token=access).status


def test_end_one_session() -> None:
    """A user ends one of their devices: 204, and only that one is logged out."""
    asked = Asked()
    _, lost = asked.login()
    (session,) = asked.auth.sessions("user-1")
    access, kept = asked.login()
    response = asked.ask("DELETE", f"/sessions/{session.id}", token=access)
    assert (204, b"", []) == (response.status, response.body, headers_named(response, "set-cookie"))
    assert [REJECTED, True] == [asked.ask("POST", "/refresh", cookie=lost), asked.lives(kept)]


@pytest.mark.parametrize("session_id", [32 * "0", "", "x", 32 * "G", 32 * "A", 33 * "0", 32 * "\u0660", "../sessions"])
def test_end_no_session(session_id: str) -> None:
    """A session that does not exist, or an id that can be none, is not found, and nothing is ended."""
    asked = Asked()
    access, _ = asked.login()
    response = asked.ask("DELETE", f"/sessions/{session_id}", token=access)
    assert Response(404, (JSON, NO_STORE, VARY), body_of("not_found", "Session not found")) == response
    assert 1 == len(asked.auth.sessions("user-1"))


def test_end_the_session_of_another() -> None:
    """Another user's session is not found, as if it did not exist, and continues."""
    asked = Asked()
    _, bobs = asked.login(BOB)
    (session,) = asked.auth.sessions("user-2")
    access, _ = asked.login()
    assert 404 == asked.ask("DELETE", f"/sessions/{session.id}", token=access).status
    assert asked.lives(bobs)


def test_end_this_session() -> None:
    """A user who ends the session of this device loses its cookie; cookies of other sessions are not touched."""
    asked = Asked()
    _, bobs = asked.login(BOB)
    for cookie, expected in (
        (None, (NO_STORE, VARY)),
        (bobs, (NO_STORE, VARY)),
        ("own", (NO_STORE, CLEARED, CLEARS, VARY)),
    ):
        access, own = asked.login()
        session_id = asked.auth.verify(access).session_id
        response = asked.ask(
            "DELETE", f"/sessions/{session_id}", token=access, cookie=own if cookie == "own" else cookie
        )
        assert Response(204, expected) == response
        assert not asked.lives(own)
    assert asked.lives(bobs)


def test_end_the_others() -> None:
    """With ``keep=current`` all devices but this one are logged out, and its cookie stays."""
    asked = Asked()
    _, bobs = asked.login(BOB)
    others = [asked.login()[1] for _ in range(2)]
    access, mine = asked.login()
    response = asked.ask("DELETE", "/sessions?keep=current", token=access, cookie=mine)
    assert Response(204, (NO_STORE, VARY)) == response
    assert [True, True, False, False] == [asked.lives(token) for token in (bobs, mine, *others)]


@pytest.mark.parametrize(
    "query", ["keep=all", "keep=", "keep=current&keep=current", "keep=current&x=1", "x", "keep=Current"]
)
def test_an_unknown_query_ends_nothing(query: str) -> None:
    """A question that is not understood ends nothing, least of all everything."""
    asked = Asked()
    access, mine = asked.login()
    response = asked.ask("DELETE", f"/sessions?{query}", token=access, cookie=mine)
    told = "Ask for all, or with keep=current for all but this one"
    assert Response(400, (JSON, NO_STORE, VARY), body_of("invalid_request", told)) == response
    assert asked.lives(mine)


def test_end_all_with_the_cookie_of_another() -> None:
    """If another user has logged in in the same browser since, ending one's own sessions leaves their cookie."""
    asked = Asked()
    access, _ = asked.login()
    _, bobs = asked.login(BOB)
    assert Response(204, (NO_STORE, VARY)) == asked.ask("DELETE", "/sessions", token=access, cookie=bobs)
    assert asked.lives(bobs)


def test_end_all_sessions() -> None:
    """A user ends all of their devices, this one too: 204, its cookie cleared, and nobody else is logged out."""
    asked = Asked()
    _, bobs = asked.login(BOB)
    tokens = [asked.login() for _ in range(3)]
    response = asked.ask("DELETE", "/sessions", token=tokens[0][0], cookie=tokens[0][1])
    assert Response(204, (NO_STORE, CLEARED, CLEARS, VARY)) == response
    assert [False, False, False] == [asked.lives(refresh_token) for _, refresh_token in tokens]
    assert asked.lives(bobs)


# ---- the public keys


def test_the_public_keys() -> None:
    """The keys are public and cacheable, and contain no private part."""
    asked = Asked()
    asked.login()
    request = Request("http", "anywhere.example", {})
    response = asked.auth.run(asked.routes["/.well-known/jwks.json"].answer(request, asked.auth.new_call()))
    (key,) = json_of(response)["keys"]
    assert 200 == response.status
    assert ("content-type", "application/jwk-set+json") == response.headers[0]
    assert ["public, max-age=300"] == headers_named(response, "cache-control")
    assert ("EC", "P-256", "ES256", "sig") == (key["kty"], key["crv"], key["alg"], key["use"])
    assert {"kty", "crv", "x", "y", "kid", "alg", "use"} == key.keys()


# ---- what never leaves


def test_nothing_shows_a_token() -> None:
    """Neither a request, nor a response, nor the issuer shows a token or a secret when it is printed."""
    asked = Asked()
    access, refresh_token = asked.login()
    request = Request("https", HOST, {"cookie": f"__Host-daypass={refresh_token}"}, refresh_token.encode())
    response = asked.ask("POST", "/refresh", cookie=refresh_token)
    shown = f"{request!r} {response!r} {asked.auth!r} {asked.events!r}"
    assert [] == [hidden for hidden in (access, refresh_token, access_token(response), SECRET) if hidden in shown]
    assert "dpr_" not in shown


# ---- confirm


def test_password_confirms_the_login() -> None:
    """The access token's ``auth_time`` is now; session and cookie stay as they are."""
    asked = Asked()
    access, refresh = asked.login()
    asked.clock.advance(10 * MINUTE)
    response = asked.ask("POST", "/confirm", {"password": PASSWORD}, token=access)
    assert (200, []) == (response.status, headers_named(response, "set-cookie"))
    assert {"accessToken", "tokenType", "expiresIn", "refreshExpiresIn"} == json_of(response).keys()
    token = asked.auth.verify(access_token(response))
    assert (asked.clock.now, ["pwd"]) == (token.auth_time, token.claims["amr"])
    assert asked.auth.verify(access).session_id == token.session_id
    assert asked.lives(refresh)


def test_confirmation_renews_the_cookie_of_pages() -> None:
    """A browser whose cookie has an older access token of the session gets the new one; another session's stays."""
    asked = Asked()
    access, _ = asked.login()
    other, _ = asked.login(BOB)
    for cookie, expected in ((access, ["__Host-daypass-access"]), (other, []), ("garbage", [])):
        headers = {"cookie": f"__Host-daypass-access={cookie}"}
        response = asked.ask("POST", "/confirm", {"password": PASSWORD}, token=access, headers=headers)
        set_cookies = headers_named(response, "set-cookie")
        assert expected == [header.partition("=")[0] for header in set_cookies]
        assert all(access_token(response) in header for header in set_cookies)


def test_confirmation_that_is_refused_changes_nothing() -> None:
    """A wrong password, another user's, no password, no token, or an administrator's session."""
    asked = Asked()
    access, _ = asked.login()
    other, _ = asked.login(BOB)
    acting = asked.auth.impersonate(other, ALICE, reason="ticket").access_token
    started = asked.auth.verify(access).auth_time
    asked.clock.advance(10 * MINUTE)
    for status, content, token in (
        (401, {"password": "wrong"}, access),
        (401, {"password": PASSWORD, "email": BOB.email}, access),
        (401, {"password": PASSWORD}, None),
        (403, {"password": PASSWORD}, acting),
        (400, {}, access),
        (400, {"password": 1}, access),
    ):
        assert status == asked.ask("POST", "/confirm", content, token=token).status
    assert {started} == {session.authenticated_at for session in asked.auth.sessions(ALICE.subject)}


def test_confirmation_counts_as_a_login() -> None:
    """A thief who has only an access token cannot go on guessing the password."""
    asked = Asked(options=Options(rate_limits=RateLimits(login_per_account="3/minute")))
    access, _ = asked.login()
    answers = [asked.ask("POST", "/confirm", {"password": "wrong"}, token=access).status for _ in range(4)]
    assert 429 == answers[-1]


# ---- passive refreshes


@pytest.mark.parametrize(("value", "moves"), [("1", False), ("true", False), ("0", True), (None, True)])
def test_header_says_that_no_user_caused_a_refresh(value: str | None, *, moves: bool) -> None:
    """The cookie and the session keep their end; an access token is still given."""
    asked = Asked()
    _, refresh = asked.login()
    (before,) = asked.auth.sessions(ALICE.subject)
    asked.clock.advance(DAY)
    headers = {} if value is None else {"x-daypass-passive": value}
    response = asked.ask("POST", "/refresh", cookie=refresh, headers=headers)
    assert access_token(response)
    (after,) = asked.auth.sessions(ALICE.subject)
    assert (DAY if moves else 0) == after.expires_at - before.expires_at
    (cookie,) = headers_named(response, "set-cookie")
    assert f"Max-Age={(30 if moves else 29) * DAY // SECOND};" in cookie


def test_long_user_agent_is_cut() -> None:
    """What a client says of itself takes 200 characters in the store at most, after a refresh too."""
    asked = Asked()
    _, refresh = asked.login()
    asked.ask("POST", "/refresh", cookie=refresh, headers={"user-agent": "x" * 5000}, address="192.0.2.99")
    (session,) = asked.auth.sessions(ALICE.subject)
    assert ("x" * 200, "192.0.2.99") == (session.device.user_agent, session.device.address)


# ---- session limits


def test_login_that_is_one_too_many_is_refused() -> None:
    """403 with its own code, no cookie, and the existing session continues."""
    asked = Asked(max_sessions=1, when_full="refuse")
    _, refresh = asked.login()
    response = asked.ask("POST", "/login", {"email": ALICE.email, "password": PASSWORD})
    assert (403, "session_limit", []) == (
        response.status,
        json_of(response)["error"],
        headers_named(response, "set-cookie"),
    )
    assert asked.lives(refresh)
