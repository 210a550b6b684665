"""CORS: what a page of another origin may read, and what it may send."""

import pytest

from daypass.web.message import Response
from daypass.web.options import Options

from .world import HOST, PASSWORD, Asked, access_token, headers_named

APP = "https://app.example.com"
OTHER = "https://other.example.com"
LOGIN = {"username": "alice", "password": PASSWORD}
FOREIGN = ["https://evil.example", "null", "", "*", f"{APP}.evil.example", f"{APP}:8443", "http://app.example.com"]
FOREIGN += [f"{APP}/", f"{APP}, https://evil.example", APP.upper(), f"https://{HOST}"]
PATHS = {
    "/login": "POST",
    "/refresh": "POST",
    "/logout": "POST",
    "/me": "GET, HEAD",
    "/sessions": "GET, DELETE, HEAD",
    "/sessions/" + 32 * "0": "DELETE",
}


def allowing() -> Asked:
    return Asked(options=Options(allowed_origins=[APP, OTHER]))


def cors(response: Response) -> dict[str, str]:
    """Return what the response says of other origins, each once."""
    found = [(name, value) for name, value in response.headers if name.startswith("access-control-")]
    assert len(found) == len(dict(found))
    return {name.removeprefix("access-control-"): value for name, value in found}


@pytest.mark.parametrize(("path", "methods"), PATHS.items())
@pytest.mark.parametrize("origin", [APP, OTHER])
def test_preflight(path: str, methods: str, origin: str) -> None:
    """A page of an allowed origin learns what it may send: 204, cacheable for ten minutes."""
    asking = {"origin": origin, "access-control-request-method": "POST"}
    response = allowing().ask("OPTIONS", path, headers=asking)
    told = {
        "allow-origin": origin,
        "allow-credentials": "true",
        "allow-methods": methods,
        "allow-headers": "authorization, content-type, dpop, x-daypass-passive",
        "max-age": "600",
    }
    assert (204, b"", told) == (response.status, response.body, cors(response))
    vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    assert ([vary], [f"{methods}, OPTIONS"]) == (headers_named(response, "vary"), headers_named(response, "allow"))


@pytest.mark.parametrize("path", [*PATHS, "/daypass.js", "/.well-known/jwks.json"])
@pytest.mark.parametrize("origin", [*FOREIGN, None])
def test_preflight_of_a_stranger(path: str, origin: str | None) -> None:
    """Any other origin gets no CORS header, however similar it is, and caches learn that the answer varies."""
    asking = {"access-control-request-method": "POST"} | ({} if origin is None else {"origin": origin})
    response = allowing().ask("OPTIONS", path, headers=asking)
    assert (204, {}) == (response.status, cors(response))
    assert "Origin" in headers_named(response, "vary")[0]


@pytest.mark.parametrize("path", PATHS)
def test_an_allowed_page_may_read(path: str) -> None:
    """It may read every answer, good or bad, and the headers that our clients look at."""
    asked = allowing()
    access = access_token(asked.ask("POST", "/login", LOGIN))
    told = {
        "allow-origin": APP,
        "allow-credentials": "true",
        "expose-headers": "DPoP-Nonce, Retry-After, WWW-Authenticate",
    }
    for method in (*PATHS[path].split(", "), "PUT"):
        for token in (access, "garbage"):
            response = asked.ask(method, path, LOGIN, token=token, headers={"origin": APP})
            assert told == cors(response)
            assert 1 == len(headers_named(response, "vary"))
            assert "Origin" in headers_named(response, "vary")[0]
    refused = asked.ask("GET", path, headers={"origin": APP, "cookie": 20_000 * "a"})
    assert (431, told) == (refused.status, cors(refused))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_may_read_nothing(path: str, origin: str) -> None:
    """No answer names any other origin, and none says ``*``; each says that it depends on who asks."""
    asked = allowing()
    access = access_token(asked.ask("POST", "/login", LOGIN))
    for method in (*PATHS[path].split(", "), "PUT"):
        response = asked.ask(method, path, LOGIN, token=access, headers={"origin": origin})
        assert {} == cors(response)
        assert "Origin" in headers_named(response, "vary")[0]


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
def test_without_allowed_origins(method: str) -> None:
    """Where no origin was named, none is let through, one's own name neither."""
    for origin in (APP, f"https://{HOST}", "null"):
        assert {} == cors(Asked().ask(method, "/login", LOGIN, headers={"origin": origin}))


@pytest.mark.parametrize("path", ["/daypass.js", "/.well-known/jwks.json"])
@pytest.mark.parametrize("origin", [APP, "https://evil.example", None])
def test_public_files_are_for_every_origin(path: str, origin: str | None) -> None:
    """All origins may load code and public keys, without credentials."""
    response = allowing().ask("GET", path, headers={} if origin is None else {"origin": origin})
    assert (200, {"allow-origin": "*"}) == (response.status, cors(response))
