"""What pages of other sites can make a browser do: ASVS 5.0 chapter 3.5, RFC 10017 §6.1.3.3.

Every endpoint of the site is asked, whichever there are: one that is added later is asked too.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from daypass import EventCode
from daypass.web.front_end import CONTENT_TYPES
from daypass.web.message import Request, Response
from daypass.web.options import Options

from ..web.live import LOGIN
from ..web.world import BOB, HOST, Asked, headers_named

FOREIGN: list[Mapping[str, str]] = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site", "origin": "https://blog.example.com"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "same-origin, cross-site"},
    {"sec-fetch-site": "SAME-ORIGIN", "origin": "https://evil.example"},
    {"sec-fetch-site": ""},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://api.example.com"},
    {"origin": "https://api.example.com.evil.example"},
    {"origin": "https://api.example.com:8443"},
    {"origin": "https://API.example.com"},
    {"origin": "https://api.example.com, https://evil.example"},
    {"origin": "https://api.example.com/"},
]
"""What a browser says of a page that is not of the issuer's own origin, and what only an attacker would say."""

LOOK_ALIKES = [
    "https://app.example.com.evil.example",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://evil-app.example.com",
    "https://app.example.comx",
    "null",
]


def every_operation(asked: Asked) -> list[tuple[str, str]]:
    """Return each method of each path of the site, except what a proxy requests for another application."""
    found = [(method, path) for path, route in asked.routes.items() for method in route.methods if path != "/verify"]
    assert len(found) > 15
    return found


def ask(asked: Asked, method: str, path: str, **arguments: Any) -> Response:
    return asked.ask(method, path.replace("{session_id}", 32 * "0"), **arguments)


def unchanged(response: Response) -> bool:
    return [] == headers_named(response, "set-cookie") and b'"accessToken":' not in response.body


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda sent: " ".join(sent.values()) or "-")
def test_no_page_of_another_origin_does_anything_by_the_cookie(headers: Mapping[str, str]) -> None:
    """Whichever endpoint it asks, however: no token is answered, no cookie set, no session started, moved or ended."""
    asked = Asked()
    _, cookie = asked.login()
    asked.events.clear()
    for method, path in every_operation(asked):
        for body, kind in ((b"", "text/plain"), (json.dumps(LOGIN).encode(), "application/json")):
            sent = {**headers, "content-type": kind}
            assert unchanged(ask(asked, method, path, body=body, headers=sent, cookie=cookie))
    assert [] == asked.events
    assert asked.lives(cookie)


def test_nothing_is_changed_by_a_method_that_is_safe() -> None:
    """GET, HEAD and OPTIONS change nothing and set no cookie, with the cookie and from the issuer's own page too."""
    asked = Asked()
    access, cookie = asked.login()
    asked.events.clear()
    for method, path in every_operation(asked):
        if method in ("GET", "HEAD", "OPTIONS"):
            for headers in (
                {"sec-fetch-site": "same-origin"},
                {"x-http-method-override": "POST"},
                {"x-method": "POST"},
            ):
                assert unchanged(ask(asked, method, path, headers=headers, cookie=cookie, token=access))
    assert [] == asked.events


def test_no_form_can_log_anybody_in() -> None:
    """A form, or a script without a preflight, cannot log a victim in to the attacker's session."""
    asked = Asked()
    kinds = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""]
    smuggled = ["text/plain; application/json", "text/plain, application/json", "application/json, text/plain"]
    for kind in kinds + smuggled:
        answer = asked.ask("POST", "/login", body=json.dumps(LOGIN).encode(), headers={"content-type": kind})
        assert 415 == answer.status
    assert [] == asked.tried


@pytest.mark.parametrize("look_alike", LOOK_ALIKES)
def test_an_allowed_origin_allows_no_other(look_alike: str) -> None:
    """An origin is allowed as it is written: no subdomain, suffix, port, scheme or ``null`` comes in with it."""
    asked = Asked(options=Options(allowed_origins=["https://app.example.com"]))
    _, cookie = asked.login()
    for site in ("cross-site", "same-site"):
        foreign = {"origin": look_alike, "sec-fetch-site": site}
        for path in ("/login", "/refresh", "/logout"):
            assert 403 == asked.ask("POST", path, LOGIN, cookie=cookie, headers=foreign).status
    assert [EventCode.STARTED] == [event.code for event in asked.events]


def test_an_access_token_counts_in_its_header_alone() -> None:
    """No endpoint takes an access token from a cookie, query or body, where other pages or logs would have it."""
    asked = Asked()
    access, _ = asked.login()
    form = {"content-type": "application/x-www-form-urlencoded"}
    for method, path in (
        ("GET", "/me"),
        ("GET", "/sessions"),
        ("DELETE", "/sessions"),
        ("DELETE", f"/sessions/{'0' * 32}"),
    ):
        assert 401 == asked.ask(method, path, cookie=access).status
        assert (
            401 == asked.ask(method, path, headers={"cookie": f"access_token={access}; __Host-daypass={access}"}).status
        )
        assert 401 == asked.ask(method, path, body=f"access_token={access}".encode(), headers=form).status
        assert (
            401
            == asked.ask(method, path, headers={"x-access-token": access, "x-authorization": f"Bearer {access}"}).status
        )


def test_no_script_on_another_page_reads_anything() -> None:
    """No answer with a user's data is a script: a JSON object, said to be JSON; files are the same for all."""
    asked = Asked()
    access, cookie = asked.login()
    for method, path in every_operation(asked):
        answer = ask(asked, method, path, cookie=cookie, token=access, headers={"sec-fetch-site": "same-origin"})
        kind = dict(answer.headers).get("content-type", "")
        if path.removeprefix("/") in CONTENT_TYPES:
            assert answer.body == ask(asked, method, path).body
        elif answer.body:
            assert answer.body.startswith(b"{")
            assert kind in ("application/json", "application/jwk-set+json")
        else:
            assert "javascript" not in kind


def test_a_callback_is_not_a_thing_here() -> None:
    """There is no JSONP: a ``callback`` in the query is refused, or changes no byte of any answer."""
    asked = Asked()
    access, _ = asked.login(BOB)
    bearing = {"authorization": f"Bearer {access}"}

    def answered(path: str, query: str) -> Response:
        request = Request("https", HOST, bearing, query=query)
        return asked.auth.run(asked.routes[path].answer(request, asked.auth.new_call()))

    for path in [path for method, path in every_operation(asked) if method == "GET"]:
        called = answered(path, "callback=steal&jsonp=steal")
        assert called == answered(path, "") or (400, "/sessions") == (called.status, path)
