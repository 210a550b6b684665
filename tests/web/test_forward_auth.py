"""Real reverse proxies ask ``/auth/verify`` in front of an application without Daypass.

The configurations are those of docs/forward-auth.md. A proxy that is not installed is skipped; with ``CI=true`` that
fails.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from daypass import EventCode, User
from daypass.duration import MINUTE
from daypass.proof import Proof
from daypass.session_extras import KeyUse
from daypass.web.options import Options
from daypass.web.starlette import auth_routes

from ..cookie_names import refresh_cookie
from ..servers.application import serving
from .failing import AsyncFailing
from .live import LOGIN, Application
from .reverse_proxies import PROXIES, ReverseProxy
from .world import ALICE, PEOPLE

SAID = {"x-auth-subject": "user-1", "x-auth-username": "alice", "x-auth-email": "alice@example.com"}


class World:
    """An issuer, an application behind a proxy, and what reached it."""

    def __init__(self) -> None:
        self.store = AsyncFailing()
        self.issuer = Application(self.store)
        options = Options(same_site="Lax", trusted_proxies=["127.0.0.1"], proxy_header="X-Forwarded")
        self.app = Starlette(
            routes=[Mount("/auth", routes=auth_routes(self.issuer.auth, authenticate=self.issuer.check, **options))],
        )
        self.reached: list[str] = []
        self.behind = Starlette(routes=[Route("/{path:path}", self.echo, methods=["GET", "POST"])])
        self.address = ""

    async def echo(self, request: Request) -> JSONResponse:
        """Answer what reached the application; an absent header and an empty one are the same."""
        self.reached.append(request.url.path)
        said = {name: value for name, value in request.headers.items() if value and _is_identity(name)}
        body = await request.body()
        return JSONResponse({"said": said, "bytes": len(body), "path": request.url.path})


def _is_identity(name: str) -> bool:
    return name.replace("_", "-").startswith("x-auth")


class Replaced:
    """An ASGI application on a server that stays: each test puts its own in."""

    def __init__(self) -> None:
        self.app: ASGIApp = Response(status_code=503)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@dataclass(frozen=True)
class Behind:
    """The two servers behind every proxy, and their addresses."""

    daypass: Replaced
    application: Replaced
    addresses: tuple[str, str]


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    daypass, application = Replaced(), Replaced()
    with serving(daypass) as first, serving(application) as second:
        yield Behind(daypass, application, (first, second))


@pytest.fixture(scope="module", params=list(PROXIES.values()), ids=list(PROXIES))
def proxy(request: pytest.FixtureRequest) -> ReverseProxy:
    found: ReverseProxy = request.param
    return found


@pytest.fixture(scope="module")
def running(proxy: ReverseProxy, behind: Behind) -> Iterator[str]:
    """Return the address of the proxy, which serves all tests that require nothing but a login."""
    with proxy.running(*behind.addresses) as address:
        yield address


@pytest.fixture
def world(request: pytest.FixtureRequest, proxy: ReverseProxy, behind: Behind) -> Iterator[World]:
    """Return the world of a test; its parameter, if any, is what the proxy requires."""
    world = World()
    behind.daypass.app, behind.application.app = world.app, world.behind
    with ExitStack() as own:
        query = getattr(request, "param", None)
        address = own.enter_context(proxy.running(*behind.addresses, query)) if query else None
        world.address = address or request.getfixturevalue("running")
        yield world
    asyncio.run(world.issuer.auth.close())


@pytest.fixture
def browser(world: World) -> Iterator[httpx2.Client]:
    """Return a client with a cookie jar, logged in."""
    hooks = {"response": [shows_no_token]}
    with httpx2.Client(base_url=world.address, timeout=30, event_hooks=hooks) as client:
        assert 200 == client.post("/auth/login", json=LOGIN).status_code
        yield client


def shows_no_token(response: httpx2.Response) -> None:
    """Check that the proxy passes no token on."""
    assert [] == [name for name, value in response.headers.items() if value and name.startswith("x-auth")]


def said(answer: httpx2.Response) -> dict[str, Any]:
    assert 200 == answer.status_code
    told: dict[str, Any] = json.loads(answer.content)["said"]
    return told


def test_the_user_reaches_the_application(world: World, proxy: ReverseProxy, browser: httpx2.Client) -> None:
    """The application gets the user, and the browser gets both cookies."""
    answer = browser.get("/page")
    assert SAID.items() <= said(answer).items()
    assert 2 == len(answer.cookies)
    assert 2 == len(answer.headers.get_list("set-cookie"))
    assert (["private"] if proxy.forbids_caching else []) == answer.headers.get_list("cache-control")
    again = browser.get("/page")
    assert SAID.items() <= said(again).items()
    assert {} == dict(again.cookies)
    assert "cache-control" not in again.headers
    assert [EventCode.STARTED, EventCode.ROTATED] == world.issuer.codes()


def test_expiry(world: World, browser: httpx2.Client) -> None:
    """The access token expires again and again, and every page is answered: both cookies move on each time."""
    for _ in range(5):
        before = dict(browser.cookies)
        assert SAID.items() <= said(browser.get("/page")).items()
        assert refresh_cookie(before) != refresh_cookie(browser.cookies)
        world.issuer.clock.advance(16 * MINUTE)
    assert 5 == world.issuer.codes().count(EventCode.ROTATED)


def test_an_upload_that_meets_the_expiry(world: World, browser: httpx2.Client) -> None:
    """A POST of 20 MB whose access token has expired arrives whole, and once."""
    browser.get("/page")
    world.issuer.clock.advance(16 * MINUTE)
    answer = browser.post("/upload", content=20_000_000 * b"x")
    assert (200, 20_000_000) == (answer.status_code, answer.json()["bytes"])


def test_ten_at_once(world: World, browser: httpx2.Client) -> None:
    """Ten requests of one page meet the expiry at once: one rotation, ten answers, one successor."""
    browser.get("/page")
    world.issuer.clock.advance(16 * MINUTE)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())

    async def ask() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(base_url=world.address, timeout=30) as client:
            asked = [client.get(f"/image-{number}", headers={"cookie": cookie}) for number in range(10)]
            return list(await asyncio.gather(*asked))

    answers = asyncio.run(ask())
    assert {200} == {answer.status_code for answer in answers}
    assert 1 == len({refresh_cookie(answer.cookies) for answer in answers})
    assert {"rotated": 2, "repeated": 9} == {
        code: count
        for code in ("rotated", "repeated", "reused")
        if (count := world.issuer.codes().count(EventCode(code)))
    }


IDENTITY = ("subject", "username", "email", "session", "scope")


def test_a_client_cannot_say_who_it_is(world: World, proxy: ReverseProxy, browser: httpx2.Client) -> None:
    """A client's own X-Auth-… headers do not reach the application, not even those that the proxy does not set."""
    forged = {f"X-Auth-{name}": "admin" for name in (*IDENTITY, "set-cookie-1")}
    told = said(browser.get("/page", headers=forged))
    assert "admin" not in {told.get(f"x-auth-{name}") for name in IDENTITY}
    assert SAID.items() <= told.items()
    assert proxy.unauthenticated == httpx2.get(f"{world.address}/page", headers=forged).status_code


@pytest.mark.parametrize("name", IDENTITY)
def test_a_lookalike_of_a_header_does_not_reach_the_application(browser: httpx2.Client, name: str) -> None:
    """A client's X_Auth_…, which WSGI and CGI read as X-Auth-…, is refused or dropped."""
    answer = browser.get("/page", headers={f"X_Auth_{name}": "admin"})
    assert 400 == answer.status_code or "admin" not in said(answer).values()


@pytest.mark.parametrize("connection", ["close", "keep-alive", "Upgrade"])
def test_a_client_cannot_take_a_header_away(browser: httpx2.Client, connection: str) -> None:
    """``Connection: close, X-Auth-Subject, …`` removes none of the headers that the proxy sets (RFC 9110 §7.6.1)."""
    names = ", ".join(f"X-Auth-{name}" for name in IDENTITY)
    answer = browser.get("/page", headers={"connection": f"{connection}, {names}", "upgrade": "x"})
    assert SAID.items() <= said(answer).items()


def test_absent_values_are_empty(browser: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without name, address and scope: the application gets these headers empty or not at all."""
    become(User("user-1"), monkeypatch)
    told = said(browser.get("/page", headers={f"x-auth-{name}": "admin" for name in IDENTITY}))
    assert {"x-auth-subject", "x-auth-session"} == set(told)
    assert "user-1" == told["x-auth-subject"]


def become(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change what the issuer's user is, as an application's database may."""
    for name in PEOPLE:
        monkeypatch.setitem(PEOPLE, name, user)


WEBSOCKET = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_a_websocket_from_another_host_is_refused(world: World, browser: httpx2.Client) -> None:
    """A page of a sister host, whose requests bring the cookie, opens no WebSocket; the site's own page does."""
    browser.get("/page")
    reached = len(world.reached)
    for site, origin in (("same-site", "http://sister.example"), ("cross-site", "https://evil.example")):
        for headers in ({"origin": origin}, {"origin": origin, "sec-fetch-site": site, "sec-fetch-mode": "websocket"}):
            assert 403 == browser.get("/socket", headers=WEBSOCKET | headers).status_code
    assert reached == len(world.reached)
    assert 200 == browser.get("/socket", headers=WEBSOCKET | {"origin": world.address}).status_code
    assert "/socket" == world.reached[-1]


def test_a_name_that_would_break_out(browser: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user name with a line break, or of another alphabet, arrives percent-encoded in its own header."""
    evil = User("user-1", "Zoë\r\nX-Auth-Subject: admin", "100%41@example.com", scope="read write")
    become(evil, monkeypatch)
    told = said(browser.get("/page"))
    assert ("user-1", "Zo%C3%AB%0D%0AX-Auth-Subject:%20admin") == (told["x-auth-subject"], told["x-auth-username"])
    assert ("100%2541@example.com", "read write") == (told["x-auth-email"], told["x-auth-scope"])


def test_a_user_who_is_not_logged_in(world: World, proxy: ReverseProxy, browser: httpx2.Client) -> None:
    """Without a session, or after logout, the application is not reached; dead cookies are cleared on the way."""
    assert proxy.unauthenticated == httpx2.get(f"{world.address}/page").status_code
    browser.get("/page")
    cookies = dict(browser.cookies)
    browser.post("/auth/logout")
    reached = len(world.reached)
    answer = httpx2.get(f"{world.address}/page", cookies=cookies)
    assert proxy.unauthenticated == answer.status_code
    assert reached == len(world.reached)
    cleared = [header.partition("; HttpOnly")[0] for header in answer.headers.get_list("set-cookie")]
    assert [f"{name}=; Path=/; Max-Age=0" for name in sorted(cookies, reverse=True)] == cleared
    if proxy.unauthenticated == 303:
        assert "/auth/login-page" == answer.headers["location"]
    else:
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_page_of_another_site(browser: httpx2.Client) -> None:
    """A POST that a page of another site causes is refused, by the method that the proxy sends; a link is not."""
    browser.get("/page")
    elsewhere = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    assert 403 == browser.post("/page", headers=elsewhere).status_code
    assert 200 == browser.get("/page", headers=elsewhere).status_code


def test_a_client_cannot_say_where_it_is(browser: httpx2.Client) -> None:
    """A host, a scheme or a method that the client makes up is not believed, so no foreign origin counts as our own."""
    browser.get("/page")
    origin = {"origin": "http://localhost:666", "sec-fetch-site": "cross-site"}
    forged = origin | {
        "x-forwarded-host": "localhost:666",
        "x-forwarded-proto": "http",
        "x-forwarded-method": "GET",
        "forwarded": "host=localhost:666",
    }
    assert 403 == browser.post("/auth/login", json=LOGIN, headers=forged).status_code
    assert 403 == browser.post("/page", headers=forged).status_code


def test_an_api_client(world: World, proxy: ReverseProxy, browser: httpx2.Client) -> None:
    """A client with an Authorization header is known by it, and no cookie is set."""
    token = browser.post("/auth/refresh").json()["accessToken"]
    answer = httpx2.get(f"{world.address}/page", headers={"authorization": f"Bearer {token}"})
    assert SAID.items() <= said(answer).items()
    assert "set-cookie" not in answer.headers
    refused = httpx2.get(f"{world.address}/page", headers={"authorization": "Bearer x"})
    assert proxy.unauthenticated == refused.status_code


def test_the_store_is_down(world: World, browser: httpx2.Client) -> None:
    """While the store is down, whose access token is good is served; others get 503 and keep their cookies."""
    browser.get("/page")
    world.store.down = True
    assert 200 == browser.get("/page").status_code
    world.issuer.clock.advance(14 * MINUTE)
    assert 200 == browser.get("/page").status_code
    world.issuer.clock.advance(2 * MINUTE)
    answer = browser.get("/page")
    assert (503, "1", False) == (answer.status_code, answer.headers["retry-after"], "set-cookie" in answer.headers)
    world.store.down = False
    assert 200 == browser.get("/page").status_code


def test_a_session_that_is_bound_to_its_browser(world: World, proxy: ReverseProxy, browser: httpx2.Client) -> None:
    """If another site's link led to the page, the browser loads it again; if it could not prove its key, it waits.

    Anyone else with these cookies has to log in.
    """
    session_id = said(browser.get("/page"))["x-auth-session"]
    proof = Proof.of(ECKey.generate_key("P-256").as_dict(private=False), KeyUse.DBSC)
    auth = world.issuer.auth
    asyncio.run(auth.run(auth.flows.bind(session_id, proof, auth.new_call())))
    world.issuer.clock.advance(16 * MINUTE)
    led = {"sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site"}
    skipped = {"secure-session-skipped": f'unreachable;session_identifier="{session_id}"'}
    for headers, expected in (
        (led, (503, "1", "0")),
        (skipped, (503, "1", None)),
        ({}, (proxy.unauthenticated, None, None)),
    ):
        answer = browser.get("/page", headers=headers)
        seen = (answer.status_code, answer.headers.get("retry-after"), answer.headers.get("refresh"))
        assert (expected, False) == (seen, "set-cookie" in answer.headers)


def test_only_the_proxy_asks(browser: httpx2.Client) -> None:
    """No client reaches ``/auth/verify`` through the proxy, so none is shown a token in a header."""
    answer = browser.get("/auth/verify", headers={"proxy-set-cookie": "split"})
    assert answer.status_code in (401, 403, 404) or "/auth/verify" == answer.json()["path"]


def test_daypass_is_down(proxy: ReverseProxy) -> None:
    """While Daypass cannot be reached, the proxy refuses every request."""
    world = World()
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with serving(world.behind) as application, proxy.running(nowhere, application) as address:
        assert httpx2.get(f"{address}/page", timeout=30).status_code >= 500
    assert [] == world.reached


@pytest.mark.parametrize("world", ["scope=own&max_age=5m"], indirect=True)
def test_a_scope_and_a_recent_login(world: World, proxy: ReverseProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the proxy asks for a scope and a recent login, as the page says, a token without either is refused.

    The client learns what is needed. After the password was confirmed, the browser's cookie passes.
    """
    for granted, status in (("read", 403), (None, 403), ("read own", 200)):
        become(replace(ALICE, scope=granted), monkeypatch)
        with httpx2.Client(base_url=world.address, timeout=30) as client:
            token = client.post("/auth/login", json=LOGIN).json()["accessToken"]
            assert status == client.get("/page", headers={"authorization": f"Bearer {token}"}).status_code
    assert proxy.unauthenticated == httpx2.get(f"{world.address}/page").status_code
    with httpx2.Client(base_url=world.address, timeout=30) as browser:
        token = browser.post("/auth/login", json=LOGIN).json()["accessToken"]
        assert 200 == browser.get("/page").status_code
        world.issuer.clock.advance(6 * MINUTE)
        reached, answer = len(world.reached), browser.get("/page")
        assert (proxy.unauthenticated, reached) == (answer.status_code, len(world.reached))
        if proxy.unauthenticated == 303:
            assert "/auth/confirm-page" == answer.headers["location"]
        else:
            assert 'error="insufficient_user_authentication"' in answer.headers["www-authenticate"]
            assert 'max_age="300"' in answer.headers["www-authenticate"]
        password = {"password": LOGIN["password"]}
        confirmed = browser.post("/auth/confirm", json=password, headers={"authorization": f"Bearer {token}"})
        assert (200, 1) == (confirmed.status_code, len(confirmed.headers.get_list("set-cookie")))
        assert 200 == browser.get("/page").status_code
