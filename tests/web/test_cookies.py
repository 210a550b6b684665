"""The cookie: how it is set, where it is read, and from where it may be used."""

from typing import Any

import pytest

from daypass import ConfigurationError
from daypass.duration import DAY, SECOND
from daypass.web.cookies import CookiePolicy, SameSite
from daypass.web.options import Options

from .world import HOST, PASSWORD, VARY, Asked, body_of, cookie_value, headers_named

LOGIN = {"username": "alice", "password": PASSWORD}
CREDENTIALED = ("/login", "/refresh", "/logout")
CROSS_SITE = body_of("cross_site_request", "This may not be asked for by a page of another origin")


# ---- how it is set


def test_over_https() -> None:
    """Over HTTPS the cookie has the ``__Host-`` prefix and every attribute that keeps it where it belongs."""
    response = Asked().ask("POST", "/login", LOGIN)
    token = cookie_value(response)
    expected = f"__Host-daypass={token}; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict"
    assert [expected] == headers_named(response, "set-cookie")


def test_over_loopback() -> None:
    """Over plain HTTP on loopback the cookie is one that jars send back there: no prefix, no ``Secure``."""
    response = Asked().ask("POST", "/login", LOGIN, scheme="http", host="127.0.0.1:8000")
    token = cookie_value(response)
    expected = f"daypass={token}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"
    assert [expected] == headers_named(response, "set-cookie")


@pytest.mark.parametrize("same_site", ["Strict", "Lax"])
def test_same_site(same_site: SameSite) -> None:
    """Pages that are rendered on the server may choose ``Lax``, in each cookie that is set or removed."""
    asked = Asked(options=Options(same_site=same_site))
    _, refresh_token = asked.login()
    for path in ("/refresh", "/logout"):
        (header,) = headers_named(asked.ask("POST", path, cookie=refresh_token), "set-cookie")
        assert f"SameSite={same_site}" == header.split("; ")[-1]


@pytest.mark.parametrize(
    ("idle", "absolute", "expected"),
    [
        ("30d", "180d", 30 * DAY),
        ("90s", "90s", 90 * SECOND),
        ("90s", "90500ms", 90 * SECOND),
        ("400d", "400d", 400 * DAY),
        ("401d", "500d", 400 * DAY),
        ("10000d", "10000d", 400 * DAY),
    ],
)
def test_lives_as_long_as_the_session(idle: str, absolute: str, expected: int) -> None:
    """At login the cookie lives as long as the session will if it is not refreshed, and 400 days at the most."""
    asked = Asked(access_ttl="60s", idle_ttl=idle, absolute_ttl=absolute)
    (header,) = headers_named(asked.ask("POST", "/login", LOGIN), "set-cookie")
    assert f"Max-Age={expected // SECOND}" == header.split("; ")[2]


def test_never_outlives_the_absolute_end() -> None:
    """A refresh shortly before the absolute end gives a cookie for what is left, in whole seconds, rounded down."""
    asked = Asked(idle_ttl="6d", absolute_ttl="10d")
    _, refresh_token = asked.login()
    asked.clock.advance(5 * DAY)
    second = cookie_value(asked.ask("POST", "/refresh", cookie=refresh_token))
    asked.clock.advance(4 * DAY + 500)
    (header,) = headers_named(asked.ask("POST", "/refresh", cookie=second), "set-cookie")
    assert f"Max-Age={86_400 - 1}" == header.split("; ")[2]


def test_set_once() -> None:
    """No answer sets two cookies."""
    asked = Asked()
    _, refresh_token = asked.login()
    answers = [
        asked.ask("POST", path, cookie=refresh_token) for path in ("/refresh", "/refresh", "/logout", "/refresh")
    ]
    assert [1, 1, 1, 0] == [len(headers_named(answered, "set-cookie")) for answered in answers]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"same_site": "None"}, "neither 'Strict' nor 'Lax'"),
        ({"allowed_origins": "https://app.example.com"}, "a list of origins"),
        ({"allowed_origins": ["https://app.example.com/"]}, "without a path"),
        ({"allowed_origins": ["app.example.com"]}, "is no origin"),
        ({"allowed_origins": ["*"]}, "is no origin"),
        ({"allowed_origins": ["null"]}, "is no origin"),
        ({"allowed_origins": ["https://"]}, "is no origin"),
        ({"allowed_origins": ["HTTPS://App.Example.com"]}, "is no origin"),
        ({"allowed_origins": ["https://[::1"]}, "is no origin"),
    ],
)
def test_a_policy_that_cannot_work(arguments: dict[str, Any], told: str) -> None:
    """A policy that no browser would understand, or no origin would ever match, is refused where it is written."""
    with pytest.raises(ConfigurationError, match=told.replace("*", r"\*")):
        CookiePolicy(**arguments)


# ---- where it is read


@pytest.mark.parametrize(
    "template",
    [
        "__Host-daypass={}",
        "theme=dark; __Host-daypass={}; lang=de",
        "a=b;__Host-daypass={};c",
        '__Host-daypass="{}"',
        "__Host-daypass={}; __Host-daypass=other",
        "x__Host-daypass=other; __host-daypass=other; __Host-daypass={}",
    ],
)
def test_found_among_others(template: str) -> None:
    """The cookie is found among others, quoted or not; of two with its name the first counts (RFC 6265 §5.4)."""
    asked = Asked()
    _, refresh_token = asked.login()
    assert 200 == asked.ask("POST", "/refresh", headers={"cookie": template.format(refresh_token)}).status


@pytest.mark.parametrize(
    ("scheme", "host", "name"),
    [("https", HOST, "daypass"), ("http", "localhost", "__Host-daypass"), ("https", HOST, "__HOST-DAYPASS")],
)
def test_only_its_own_name(scheme: str, host: str, name: str) -> None:
    """A cookie of the other name is not looked at: over HTTPS nothing that a plain-HTTP page could have set counts."""
    asked = Asked()
    _, refresh_token = asked.login()
    cookie = {"cookie": f"{name}={refresh_token}"}
    assert 401 == asked.ask("POST", "/refresh", scheme=scheme, host=host, headers=cookie).status
    assert asked.lives(refresh_token)


# ---- the transport


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST",
        "app.localhost:3000",
        "127.0.0.1",
        "127.8.9.10:80",
        "[::1]",
        "[::1]:8000",
    ],
)
def test_plain_http_on_loopback(host: str) -> None:
    """Plain HTTP is served on loopback, by whichever of its names."""
    assert 200 == Asked().ask("POST", "/login", LOGIN, scheme="http", host=host).status


@pytest.mark.parametrize(
    "host",
    [
        "api.example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "10.0.0.1",
        "0.0.0.0",  # noqa: S104 - what a client might send, and nothing that is listened on
        "[2001:db8::1]:8000",
        "",
        ":8000",
        "[::1",
        "[nonsense]",
        "::1::",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/login"),
        ("POST", "/refresh"),
        ("POST", "/logout"),
        ("GET", "/me"),
        ("GET", "/sessions"),
        ("DELETE", "/sessions"),
        ("DELETE", "/sessions/" + 32 * "0"),
    ],
)
def test_plain_http_elsewhere(host: str, method: str, path: str) -> None:
    """Plain HTTP from elsewhere is refused by every endpoint, whatever host it names, and nothing is changed."""
    asked = Asked()
    access, refresh_token = asked.login()
    response = asked.ask(method, path, LOGIN, scheme="http", host=host, cookie=refresh_token, token=access)
    assert 403 == response.status
    told = "Use HTTPS; behind a proxy that ends TLS, pass on how the request was made"
    assert body_of("insecure_transport", told) == response.body
    assert [] == headers_named(response, "set-cookie")
    assert 1 == len(asked.auth.sessions("user-1"))
    assert asked.lives(refresh_token)


def test_plain_http_by_choice() -> None:
    """An operator may say that plain HTTP is right; the cookie is then the one for plain HTTP."""
    asked = Asked(options=Options(allow_insecure=True))
    response = asked.ask("POST", "/login", LOGIN, scheme="http", host="intranet:8000")
    assert "daypass" == headers_named(response, "set-cookie")[0].partition("=")[0]


# ---- the site that asks

OWN = f"https://{HOST}"
APP = "https://app.example.com"


@pytest.mark.parametrize("path", CREDENTIALED)
@pytest.mark.parametrize(
    ("site", "origin", "allowed"),
    [
        ("same-origin", OWN, True),
        ("same-origin", None, True),
        ("none", None, True),  # typed by the user into the address bar
        (None, None, True),  # no browser
        (None, OWN, True),  # a browser from before 2023
        (None, APP, False),
        (None, "https://evil.example", False),
        (None, "null", False),
        (None, "", False),
        (None, f"http://{HOST}", False),
        (None, f"{OWN}:8443", False),
        (None, f"{OWN}.evil.example", False),
        ("same-site", None, False),
        ("same-site", OWN, False),
        ("same-site", APP, False),
        ("cross-site", None, False),
        ("cross-site", OWN, False),
        ("cross-site", "https://evil.example", False),
        ("cross-site", "null", False),
        ("", OWN, False),
        ("nonsense", OWN, False),
    ],
)
def test_who_may_ask(path: str, site: str | None, origin: str | None, *, allowed: bool) -> None:
    """A page of another origin can use none of the endpoints that the cookie opens, and such a try changes nothing."""
    asked = Asked()
    _, refresh_token = asked.login()
    sent = {"sec-fetch-site": site, "origin": origin}
    headers = {name: value for name, value in sent.items() if value is not None}
    response = asked.ask("POST", path, LOGIN, cookie=refresh_token, headers=headers)
    assert allowed == (response.status in (200, 204))
    if not allowed:
        assert (403, CROSS_SITE) == (response.status, response.body)
        assert [] == headers_named(response, "set-cookie")
        assert 1 == len(asked.auth.sessions("user-1"))
        assert asked.lives(refresh_token)


@pytest.mark.parametrize("path", CREDENTIALED)
@pytest.mark.parametrize(
    ("site", "origin", "allowed"),
    [
        ("same-site", APP, True),
        ("cross-site", APP, True),
        (None, APP, True),
        ("same-origin", OWN, True),
        (None, OWN, True),
        ("same-site", f"{APP}:8443", False),
        ("same-site", "http://app.example.com", False),
        ("same-site", "https://other.example.com", False),
        ("cross-site", "https://evil.example", False),
        ("cross-site", None, False),
        ("cross-site", f"{APP}, https://evil.example", False),
    ],
)
def test_allowed_origins(path: str, site: str | None, origin: str | None, *, allowed: bool) -> None:
    """A page of an allowed origin may ask, from whatever site; one of any other origin still may not."""
    asked = Asked(options=Options(allowed_origins=[APP]))
    _, refresh_token = asked.login()
    sent = {"sec-fetch-site": site, "origin": origin}
    headers = {name: value for name, value in sent.items() if value is not None}
    response = asked.ask("POST", path, LOGIN, cookie=refresh_token, headers=headers)
    assert allowed == (response.status in (200, 204))


@pytest.mark.parametrize("path", CREDENTIALED)
def test_vary(path: str) -> None:
    """An answer that depends on who asks says so to caches, refused or not."""
    asked = Asked()
    for headers in ({}, {"sec-fetch-site": "cross-site"}):
        assert VARY in asked.ask("POST", path, LOGIN, headers=headers).headers
