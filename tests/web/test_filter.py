"""Requests that are refused before anything else: headers and queries that no honest client sends."""

import pytest

from daypass.web.filter import MAXIMUM_AUTHORIZATION, MAXIMUM_COOKIES, MAXIMUM_QUERY, MOST_COOKIES

from .world import JSON, NO_STORE, PASSWORD, Asked, body_of

LOGIN = {"username": "alice", "password": PASSWORD}
PATHS = [
    ("POST", "/login"),
    ("POST", "/refresh"),
    ("POST", "/logout"),
    ("GET", "/me"),
    ("DELETE", "/sessions"),
    ("OPTIONS", "/login"),
    ("GET", "/.well-known/jwks.json"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (
            {"cookie": "a=" + (MAXIMUM_COOKIES - 1) * "x"},
            f"cookie is too long: send at most {MAXIMUM_COOKIES} characters",
        ),
        ({"cookie": MOST_COOKIES * "a=b;" + "c=d"}, f"Too many cookies: send at most {MOST_COOKIES}"),
        ({"cookie": "__Host-daypass={};" + MOST_COOKIES * "a;"}, f"Too many cookies: send at most {MOST_COOKIES}"),
        (
            {"authorization": "Bearer " + MAXIMUM_AUTHORIZATION * "x"},
            f"authorization is too long: send at most {MAXIMUM_AUTHORIZATION} characters",
        ),
    ],
    ids=["long_cookie", "many_cookies", "many_cookies_and_ours", "authorization"],
)
def test_headers_too_large(method: str, path: str, headers: dict[str, str], told: str) -> None:
    """A header of absurd length, or cookies of absurd number, are refused with 431, and nothing was done."""
    asked = Asked()
    _, refresh_token = asked.login()
    asked.events.clear()
    asked.tried.clear()
    sent = {name: value.replace("{}", refresh_token) for name, value in headers.items()}
    response = asked.ask(method, path, LOGIN, headers=sent)
    assert (431, (JSON, NO_STORE)) == (response.status, response.headers)
    assert body_of("request_header_fields_too_large", told) == response.body
    assert ([], []) == (asked.events, asked.tried)
    assert asked.lives(refresh_token)


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_query_too_long(method: str, path: str) -> None:
    """So is a query that is too long to look at, with 414."""
    asked = Asked()
    response = asked.ask(method, f"{path}?{(MAXIMUM_QUERY + 1) * 'x'}", LOGIN)
    assert (414, [], []) == (response.status, asked.events, asked.tried)


def test_large_cookies_and_tokens_are_accepted() -> None:
    """What a browser with many cookies, or an application with large claims, sends is looked at."""
    asked = Asked()
    _, refresh_token = asked.login()
    others = ";".join(f"c{number}=x" for number in range(MOST_COOKIES - 1))
    assert 200 == asked.ask("POST", "/refresh", headers={"cookie": f"{others}; __Host-daypass={refresh_token}"}).status
    long = f"__Host-daypass={refresh_token}; a="
    cookie = long + (MAXIMUM_COOKIES - len(long)) * "x"
    assert 200 == asked.ask("POST", f"/refresh?{MAXIMUM_QUERY * 'x'}", headers={"cookie": cookie}).status
    authorization = "Bearer ".ljust(MAXIMUM_AUTHORIZATION, "x")
    assert 401 == asked.ask("GET", "/me", headers={"authorization": authorization}).status
