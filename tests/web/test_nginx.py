"""A real nginx asks ``/auth/verify`` before an application that knows nothing of Daypass.

The configuration is the one that docs/forward-auth.md shows. Where nginx is not installed these tests are skipped; with
``CI=true`` they fail.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from daypass import EventCode, User
from daypass.duration import MINUTE
from daypass.web.options import Options
from daypass.web.starlette import auth_routes

from ..cookie_names import refresh_cookie, without_port
from ..servers.application import serving
from .failing import AsyncFailing
from .live import LOGIN, Application
from .nginx import proxying
from .world import ALICE, PEOPLE

SAID = {"x-auth-subject": "user-1", "x-auth-username": "alice", "x-auth-email": "alice@example.com"}


async def echo(request: Request) -> JSONResponse:
    """Answer what reached the application."""
    said = {name: value for name, value in request.headers.items() if name.startswith(("x-auth", "x_auth"))}
    body = await request.body()
    return JSONResponse({"said": said, "bytes": len(body)})


class World:
    """An issuer, an application behind nginx, and a browser's jar."""

    def __init__(self) -> None:
        self.store = AsyncFailing()
        self.issuer = Application(self.store)
        options = Options(same_site="Lax", trusted_proxies=["127.0.0.1"], proxy_header="X-Forwarded")
        self.app = Starlette(
            routes=[Mount("/auth", routes=auth_routes(self.issuer.auth, authenticate=self.issuer.check, **options))],
            lifespan=self.issuer.lifespan,
        )
        self.behind = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])
        self.address = ""


@pytest.fixture
def scope() -> str | None:
    """Return what nginx asks for; a test may have it ask for some."""
    return None


@pytest.fixture
def world(tmp_path: Path, scope: str | None) -> Iterator[World]:
    world = World()
    with (
        serving(world.app) as daypass,
        serving(world.behind) as application,
        proxying(tmp_path, daypass, application, scope=scope) as address,
    ):
        world.address = address
        yield world


@pytest.fixture
def browser(world: World) -> Iterator[httpx2.Client]:
    """Return a client with a cookie jar, logged in."""
    with httpx2.Client(base_url=world.address, timeout=30) as client:
        assert 200 == client.post("/auth/login", json=LOGIN).status_code
        yield client


def said(answer: httpx2.Response) -> dict[str, Any]:
    assert 200 == answer.status_code
    told: dict[str, Any] = json.loads(answer.content)["said"]
    return told


def test_the_user_reaches_the_application(world: World, browser: httpx2.Client) -> None:
    """An application behind nginx is told whose the request is, and both cookies come through to the browser."""
    answer = browser.get("/page")
    assert SAID.items() <= said(answer).items()
    assert ["daypass", "daypass-access"] == without_port(answer.cookies)
    assert ["private"] == answer.headers.get_list("cache-control")
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


def test_a_client_cannot_say_who_it_is(world: World, browser: httpx2.Client) -> None:
    """Headers that a client sends in place of nginx's do not reach the application, named so or with underscores."""
    forged = {f"x-auth-{name}": "admin" for name in ("subject", "username", "email", "session", "scope")}
    forged |= {name.replace("-", "_"): value for name, value in forged.items()}
    told = said(browser.get("/page", headers=forged))
    assert "admin" not in told.values()
    assert SAID.items() <= told.items()
    assert 303 == httpx2.get(f"{world.address}/page", headers=forged).status_code


def test_a_name_that_would_break_out(world: World, browser: httpx2.Client) -> None:
    """A user name with a line break, or of another alphabet, arrives percent-encoded in its own header."""
    evil = User("user-1", "Zoë\r\nX-Auth-Subject: admin", "100%41@example.com", scope="read write")
    before = dict(PEOPLE)
    try:
        PEOPLE.update(dict.fromkeys(PEOPLE, evil))
        told = said(browser.get("/page"))
    finally:
        PEOPLE.update(before)
    assert ("user-1", "Zo%C3%AB%0D%0AX-Auth-Subject:%20admin") == (told["x-auth-subject"], told["x-auth-username"])
    assert ("100%2541@example.com", "read write") == (told["x-auth-email"], told["x-auth-scope"])


def test_nobody_is_sent_to_log_in(world: World, browser: httpx2.Client) -> None:
    """Who is not logged in, or no longer, is sent to the page for that; dead cookies are cleared on the way."""
    assert (303, "/auth/login-page") == (
        (answer := httpx2.get(f"{world.address}/page")).status_code,
        answer.headers["location"],
    )
    browser.get("/page")
    cookies = dict(browser.cookies)
    browser.post("/auth/logout")
    answer = httpx2.get(f"{world.address}/page", cookies=cookies)
    assert 303 == answer.status_code
    cleared = answer.headers.get_list("set-cookie")
    assert ["daypass-access=; Path=/; Max-Age=0", "daypass=; Path=/; Max-Age=0"] == [
        header.partition("; HttpOnly")[0].replace(f"-{urlsplit(world.address).port}", "") for header in cleared
    ]


def test_a_page_of_another_site(browser: httpx2.Client) -> None:
    """A POST that a page of another site causes is refused, by the method that nginx tells; a link is not."""
    browser.get("/page")
    elsewhere = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    assert 403 == browser.post("/page", headers=elsewhere).status_code
    assert 200 == browser.get("/page", headers=elsewhere).status_code


def test_a_client_cannot_say_where_it_is(browser: httpx2.Client) -> None:
    """A name of the host that the client makes up is not believed, so that no foreign origin counts as our own."""
    forged = {"origin": "http://localhost:666", "x-forwarded-host": "localhost:666"}
    assert 403 == browser.post("/auth/login", json=LOGIN, headers=forged).status_code


def test_an_api_client(world: World, browser: httpx2.Client) -> None:
    """A client with an Authorization header is known by it, and no cookie is set."""
    token = browser.post("/auth/refresh").json()["accessToken"]
    answer = httpx2.get(f"{world.address}/page", headers={"authorization": f"Bearer {token}"})
    assert SAID.items() <= said(answer).items()
    assert "set-cookie" not in answer.headers
    assert 303 == httpx2.get(f"{world.address}/page", headers={"authorization": "Bearer x"}).status_code


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


def test_only_nginx_asks(browser: httpx2.Client) -> None:
    """Nobody reaches ``/auth/verify`` through nginx, so nobody is shown a token in a header."""
    assert 404 == browser.get("/auth/verify", headers={"proxy-set-cookie": "split"}).status_code


@pytest.mark.parametrize("scope", ["own"])
def test_a_scope(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nginx asks for a scope, as the page says, a token without it is refused, and one with it passes."""
    for granted, status in (("read", 403), ("read own", 200), (None, 403)):
        monkeypatch.setitem(PEOPLE, str(LOGIN["email"]), replace(ALICE, scope=granted))
        with httpx2.Client(base_url=world.address, timeout=30) as client:
            token = client.post("/auth/login", json=LOGIN).json()["accessToken"]
            assert status == client.get("/page", headers={"authorization": f"Bearer {token}"}).status_code
    assert 303 == httpx2.get(f"{world.address}/page").status_code
