"""``GET /auth/verify`` on the level of HTTP: what nginx, Traefik and Caddy send, and what they get."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from daypass import EventCode, User
from daypass.duration import MINUTE
from daypass.web.message import Request, Response
from daypass.web.verify import IDENTITY

from .failing import Failing
from .world import ALICE, CHALLENGE, HOST, PASSWORD, Asked, headers_named

ACCESS, REFRESH = "__Host-daypass-access", "__Host-daypass"


@pytest.fixture
def store() -> Failing:
    return Failing()


@pytest.fixture
def asked(store: Failing) -> Asked:
    return Asked(store)


def verify(asked: Asked, query: str = "", scheme: str = "https", **headers: str) -> Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(scheme, HOST, sent, address="127.0.0.1", query=query)
    return asked.auth.run(asked.routes["/verify"].answer(request, asked.auth.new_call()))


def told(response: Response) -> dict[str, str]:
    """Return the X-Auth headers that have a value."""
    return {name: value for name, value in response.headers if name.startswith("x-auth") and value}


def set_names(response: Response) -> list[str]:
    return [value.partition("=")[0] for value in headers_named(response, "set-cookie")]


def test_a_good_token(asked: Asked) -> None:
    """A good access token, in the header or in the cookie, is answered with its user; the answer is not stored."""
    tokens = asked.auth.login("alice", PASSWORD)
    expected = {
        "x-auth-subject": "user-1",
        "x-auth-username": "alice",
        "x-auth-email": "alice@example.com",
        "x-auth-session": tokens.session.id,
    }
    for response in (
        verify(asked, authorization=f"Bearer {tokens.access_token}"),
        verify(asked, cookie=f"{ACCESS}={tokens.access_token}"),
    ):
        assert (204, b"", expected, []) == (response.status, response.body, told(response), set_names(response))
        assert ["no-store"] == headers_named(response, "cache-control")


def test_the_header_comes_first(asked: Asked) -> None:
    """A bad token in the header is refused, however good the cookies are."""
    tokens = asked.auth.login("alice", PASSWORD)
    response = verify(asked, authorization="Bearer bad", cookie=f"{ACCESS}={tokens.access_token}")
    assert (401, {}) == (response.status, told(response))
    assert 'error="invalid_token"' in headers_named(response, "www-authenticate")[0]


def test_a_request_without_a_login_is_refused(asked: Asked) -> None:
    """Without a login: 401, a challenge without an error, and no header about a user."""
    response = verify(asked)
    assert (401, {}) == (response.status, told(response))
    assert CHALLENGE in response.headers


@pytest.mark.parametrize("how", ["", "split"])
def test_the_answer_refreshes(asked: Asked, how: str) -> None:
    """With only a refresh token the answer sets both cookies: together for Traefik, or each in its own header."""
    tokens = asked.auth.login("alice", PASSWORD)
    asked.clock.advance(15 * MINUTE)
    cookie = f"{ACCESS}={tokens.access_token}; {REFRESH}={tokens.refresh_token}"
    response = verify(asked, cookie=cookie, proxy_set_cookie=how)
    assert (204, "user-1") == (response.status, told(response)["x-auth-subject"])
    lines = [value for name, value in response.headers if name.startswith("x-auth-set-cookie")]
    values = lines if how else headers_named(response, "set-cookie")
    assert [ACCESS, REFRESH] == [value.partition("=")[0] for value in values]
    assert bool(how) is bool(lines)
    assert ([] if how else [ACCESS, REFRESH]) == set_names(response)


def test_cookies_of_an_ended_session_are_cleared(asked: Asked) -> None:
    """Cookies of an ended session get 401, and are cleared."""
    tokens = asked.auth.login("alice", PASSWORD)
    asked.auth.logout(tokens.refresh_token)
    response = verify(asked, cookie=f"{REFRESH}={tokens.refresh_token}")
    assert (401, [ACCESS, REFRESH]) == (response.status, set_names(response))
    assert all("Max-Age=0" in value for value in headers_named(response, "set-cookie"))


def test_stale(asked: Asked) -> None:
    """A request with cookies older than those that its browser has is to be sent again: 503, and none is changed."""
    late = asked.auth.login("alice", PASSWORD)
    newer = asked.auth.refresh(late.refresh_token)
    asked.end_grace()
    asked.auth.refresh(newer.refresh_token)
    response = verify(asked, cookie=f"{REFRESH}={late.refresh_token}")
    assert (503, "token_stale") == (response.status, json.loads(response.body)["error"])
    assert ["1"] == headers_named(response, "retry-after")
    assert [] == set_names(response)


def test_the_store_is_down(asked: Asked, store: Failing) -> None:
    """While the store is down, good access tokens pass; who would have to refresh gets 503 and keeps the cookies."""
    tokens = asked.auth.login("alice", PASSWORD)
    assert 204 == verify(asked, cookie=f"{ACCESS}={tokens.access_token}").status
    store.down = True
    assert 204 == verify(asked, cookie=f"{ACCESS}={tokens.access_token}").status
    response = verify(asked, cookie=f"{REFRESH}={tokens.refresh_token}")
    assert (503, ["1"], []) == (response.status, headers_named(response, "retry-after"), set_names(response))


def test_a_recent_or_strong_login(asked: Asked) -> None:
    """A proxy that requires a newer or stronger login gets 401 with what is needed; cookies are renewed on the way."""
    tokens = asked.auth.start(ALICE, claims={"acr": "mfa"})
    header = f"Bearer {tokens.access_token}"
    for query in ("max_age=5m", "max_age=300", "acr=mfa", "acr=phr+mfa&max_age=5m"):
        assert 204 == verify(asked, query, authorization=header).status
    assert 401 == verify(asked, "acr=phr", authorization=header).status
    asked.clock.advance(16 * MINUTE)
    refused = verify(asked, "max_age=300", cookie=f"{REFRESH}={tokens.refresh_token}")
    assert (401, {}, [ACCESS, REFRESH]) == (refused.status, told(refused), set_names(refused))
    (challenge,) = headers_named(refused, "www-authenticate")
    assert 'error="insufficient_user_authentication"' in challenge
    assert challenge.endswith('max_age="300"')


@pytest.mark.parametrize(
    "query", ["max_age=soon", "max_age=0", "max_age=", "maxage=5m", "max_age=5m&max_age=1h", "acr=", "acr=%22"]
)
def test_a_step_up_that_cannot_work_lets_nobody_in(asked: Asked, query: str) -> None:
    """A wrong requirement of the proxy is a 400, whatever the token is."""
    response = verify(asked, query, authorization=f"Bearer {asked.auth.start(ALICE).access_token}")
    assert (400, {}) == (response.status, told(response))


def test_the_keys_cannot_be_read(store: Failing) -> None:
    """While the keys cannot be read, a token in the header is answered with 503, and an event is emitted."""
    tokens = Asked(store).auth.login("alice", PASSWORD)
    again = Asked(store)
    store.down = True
    assert 503 == verify(again, authorization=f"Bearer {tokens.access_token}").status
    assert EventCode.UNAVAILABLE is again.events[-1].code


def test_scopes(asked: Asked) -> None:
    """A token without the required scope is answered with 403; an invalid scope is a mistake of the proxy."""
    user = User("user-1", scope="read write")
    asked.people["user-1"] = user
    header = f"Bearer {asked.auth.start(user, scope='read').access_token}"
    assert {"x-auth-scope": "read"}.items() <= told(verify(asked, "scope=read", authorization=header)).items()
    response = verify(asked, "scope=read+write", authorization=header)
    assert (403, {}) == (response.status, told(response))
    assert 'error="insufficient_scope", scope="read write"' in headers_named(response, "www-authenticate")[0]
    assert 403 == verify(asked, "scope=read&scope=write", authorization=header).status
    assert 400 == verify(asked, f"scope={quote('é')}", authorization=header).status
    for misspelt in ("scopes=admin", "scope=", "scope", "x=1&scope=read"):  # none of them lets every request in
        assert 400 == verify(asked, misspelt, authorization=header).status
    both = asked.auth.start(user)
    cookie = f"{REFRESH}={both.refresh_token}"
    refused = verify(asked, "scope=admin", cookie=cookie)
    assert (403, [ACCESS, REFRESH]) == (refused.status, set_names(refused))


def test_names_that_would_break_out(asked: Asked) -> None:
    """No name breaks out of its header, or looks like another: all but visible ASCII is percent-encoded."""
    user = User("a b%20\t", "Zoë\r\nX-Auth-Subject: admin", " \x00x@example.com".replace("\x00", "\x7f"))
    asked.people[user.subject] = user
    response = verify(asked, authorization=f"Bearer {asked.auth.start(user).access_token}")
    said = told(response)
    assert ("a%20b%2520%09", "Zo%C3%AB%0D%0AX-Auth-Subject:%20admin") == (
        said["x-auth-subject"],
        said["x-auth-username"],
    )
    assert "%20%7Fx@example.com" == said["x-auth-email"]
    assert all(character.isprintable() for value in said.values() for character in value)


def test_a_page_of_another_site(asked: Asked) -> None:
    """A write with cookies that another site's page causes is refused: by the method that the proxy sends."""
    tokens = asked.auth.login("alice", PASSWORD)
    sent = {"cookie": f"{ACCESS}={tokens.access_token}", "sec_fetch_site": "cross-site"}
    assert [204] * 2 == [verify(asked, **sent, x_forwarded_method=each).status for each in ("GET", "head")]
    assert [403] * 3 == [verify(asked, **sent, x_forwarded_method=each).status for each in ("POST", "delete", "X")]
    header = {"authorization": f"Bearer {tokens.access_token}", "sec_fetch_site": "cross-site"}
    assert 204 == verify(asked, **header, x_forwarded_method="POST").status


@pytest.mark.parametrize("told_nothing", [{}, {"x_forwarded_method": ""}, {"x_forwarded_method": "GET, POST"}])
def test_a_proxy_that_does_not_tell_the_method(asked: Asked, told_nothing: dict[str, str]) -> None:
    """If the proxy sends no method, or two, what another site's page causes with cookies is refused.

    Nothing is refreshed or changed. Requests of our own pages, of no page, or of no browser pass, and so does a token
    in the header.
    """
    tokens = asked.auth.login("alice", PASSWORD)
    evil = {"sec_fetch_site": "cross-site", "origin": "https://evil.example", "sec_fetch_mode": "navigate"}
    cookies = (f"{ACCESS}={tokens.access_token}", f"{REFRESH}={tokens.refresh_token}")
    for cookie in cookies:
        for from_elsewhere in (evil, {"sec_fetch_site": "same-site"}, {"origin": "https://evil.example"}):
            response = verify(asked, cookie=cookie, **from_elsewhere, **told_nothing)
            assert (403, {}, []) == (response.status, told(response), set_names(response))
            assert "cross_site_request" == json.loads(response.body)["error"]
    assert EventCode.ROTATED not in [event.code for event in asked.events]
    for ours in ({"sec_fetch_site": "same-origin", "origin": f"https://{HOST}"}, {"sec_fetch_site": "none"}, {}):
        assert 204 == verify(asked, cookie=cookies[0], **ours, **told_nothing).status
    assert 204 == verify(asked, authorization=f"Bearer {tokens.access_token}", **evil, **told_nothing).status


def answers(asked: Asked, store: Failing) -> Iterator[Response]:
    """Yield an answer of each status."""
    tokens = asked.auth.login("alice", PASSWORD)
    header = f"Bearer {tokens.access_token}"
    yield verify(asked, authorization=header)
    yield verify(asked, authorization="Bearer bad")
    yield verify(asked)
    yield verify(asked, "scope=admin", authorization=header)
    yield verify(asked, "scopes=admin", authorization=header)
    yield verify(asked, x_forwarded_method="POST", cookie=f"{REFRESH}=x", sec_fetch_site="cross-site")
    yield verify(asked, scheme="http", authorization=header)
    store.down = True
    yield verify(asked, cookie=f"{REFRESH}={tokens.refresh_token}")


def test_every_answer_has_every_identity_header(asked: Asked, store: Failing) -> None:
    """Every answer has each ``X-Auth-…`` header once, so no proxy passes on one that a client sent."""
    seen = set()
    for response in answers(asked, store):
        names = [name for name, _ in response.headers if name.startswith("x-auth")]
        assert sorted(IDENTITY) == sorted(names)
        seen.add(response.status)
    assert {204, 400, 401, 403, 503} == seen
    store.down = False
    bare = verify(asked, authorization=f"Bearer {asked.auth.start(User('user-1')).access_token}")
    assert {"x-auth-subject", "x-auth-session"} == set(told(bare))


def test_split_cookies_are_always_there(asked: Asked) -> None:
    """A proxy that asks for split cookies gets both headers in every answer, empty if no cookie changes."""
    tokens = asked.auth.login("alice", PASSWORD)
    for response in (
        verify(asked, cookie=f"{ACCESS}={tokens.access_token}", proxy_set_cookie="split"),
        verify(asked, proxy_set_cookie="split"),
    ):
        lines = [header for header in response.headers if header[0].startswith("x-auth-set-cookie")]
        assert [("x-auth-set-cookie-1", ""), ("x-auth-set-cookie-2", "")] == lines


@pytest.mark.parametrize("name", ["x_auth_subject", "x-auth_scope", "x_auth-set-cookie_1"])
def test_a_header_that_looks_like_an_identity_header_is_refused(asked: Asked, name: str) -> None:
    """``X_Auth_Subject`` is refused: many applications read it as ``X-Auth-Subject``, and not every proxy drops it."""
    tokens = asked.auth.login("alice", PASSWORD)
    sent = {"authorization": f"Bearer {tokens.access_token}"}
    request = Request("https", HOST, sent | {name: "admin"}, address="127.0.0.1")
    response = asked.auth.run(asked.routes["/verify"].answer(request, asked.auth.new_call()))
    assert (400, {}) == (response.status, told(response))
    assert name in json.loads(response.body)["message"]
    assert 204 == verify(asked, **sent, x_auth_subject="admin").status  # which every proxy replaces


@pytest.mark.parametrize(
    "handshake",
    [
        {"upgrade": "WebSocket"},
        {"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ=="},  # nginx drops Upgrade from its subrequest
        {"sec_websocket_version": "13"},  # HTTP/2 has neither Upgrade nor a key (RFC 8441)
        {"sec_fetch_mode": "websocket"},
    ],
)
def test_a_websocket_of_another_site_is_refused(asked: Asked, handshake: dict[str, str]) -> None:
    """A page of a sister host opens no WebSocket with the user's cookies, whatever is left of the handshake."""
    tokens = asked.auth.login("alice", PASSWORD)
    sent = {"cookie": f"{ACCESS}={tokens.access_token}", "x_forwarded_method": "GET", **handshake}
    for site in ({"sec_fetch_site": "same-site"}, {"origin": "https://sister.example.com"}):
        response = verify(asked, **sent, **site)
        assert (403, "cross_site_request") == (response.status, json.loads(response.body)["error"])
    for site in ({"sec_fetch_site": "same-origin"}, {"origin": f"https://{HOST}"}):
        assert 204 == verify(asked, **sent, **site).status


def test_plain_http(asked: Asked) -> None:
    """Plain HTTP from elsewhere than loopback is refused, with a token in the header, too."""
    tokens = asked.auth.start(ALICE)
    assert 403 == verify(asked, scheme="http", authorization=f"Bearer {tokens.access_token}").status
    assert 403 == verify(asked, scheme="http", cookie=f"daypass={tokens.refresh_token}").status
