"""Pages of another origin than the issuer's, in real browsers: which ones can keep a session."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse
from starlette.routing import Mount, Route

from daypass import AsyncDaypass, Event, EventCode
from daypass.testing import Clock
from daypass.web.limits import RateLimits
from daypass.web.starlette import auth_routes

from ..servers.application import serving
from .conftest import ALICE, PASSWORD
from .hosts import fresh_host
from .marks import only
from .world import ask, log_in, log_out, shows

CREDENTIALS = {"username": "alice", "password": PASSWORD}

servers_part = only("fetch", why="the server's part")


@dataclass
class Apart:
    """An issuer on one origin, and pages on others.

    Attributes:
        client: what the pages send requests with.
        api: the URL of the session endpoints.
        pages: an origin of the same site, and one of another site; both are allowed.
        foreign: an origin of the same site that is not allowed.
    """

    client: str
    api: str
    pages: tuple[str, str]
    foreign: str
    clock: Clock
    events: list[Event]

    def open(self, context: BrowserContext, origin: str) -> Page:
        page = context.new_page()
        page.goto(f"{origin}/session?client={self.client}&api={self.api}")
        page.wait_for_function("window.loaded")
        return page

    def codes(self) -> list[EventCode]:
        return [event.code for event in self.events]


@pytest.fixture
def pages(files: dict[str, Path]) -> Starlette:
    """Return an application that serves the client's page."""
    return Starlette(routes=[Route(path, _file(file)) for path, file in files.items()])


def _file(path: Path) -> Any:
    return lambda _: FileResponse(path)


@pytest.fixture
def apart(client: str, pages: Starlette, host: str) -> Iterator[Apart]:
    """Yield an issuer, and pages on other ports of its host (same site) and on another host (another site)."""
    clock, events = Clock(), list[Event]()
    auth = AsyncDaypass(
        "memory:",
        issuer="http://127.0.0.1",
        load_user=lambda _: ALICE,
        authenticate=lambda name, password: ALICE if password == PASSWORD else None,
        clock=clock,
        on_event=events.append,
    )
    with (
        serving(pages, host=host) as allowed,
        serving(pages, host=host) as foreign,
        serving(pages, host=fresh_host()) as elsewhere,
    ):
        origins = (allowed, elsewhere)
        rates = RateLimits(login_per_account="3/hour")
        app = Starlette(routes=[Mount("/auth", routes=auth_routes(auth, allowed_origins=origins, rate_limits=rates))])
        with serving(app, host=host) as issuer:
            yield Apart(client, f"{issuer}/auth", origins, foreign, clock, events)


def tried(page: Page, expression: str, *arguments: Any) -> Any:
    outcome = f"({expression}).then((value) => ({{ value }}), (error) => ({{ error: error.name }}))"
    return page.evaluate(f"([...given]) => {outcome}", list(arguments))


def test_another_origin_of_the_same_site(context: BrowserContext, apart: Apart) -> None:
    """On another origin of the same site: login, request, refresh, a new tab, logout."""
    page = apart.open(context, apart.pages[0])
    assert "alice" == log_in(page)["username"]
    me = f"{apart.api}/me"
    assert 200 == ask(page, me)["status"]
    apart.clock.advance(60_000)
    assert tried(page, "session.refresh()").get("error") is None
    page = apart.open(context, apart.pages[0])
    shows(page, "in alice")
    assert 200 == ask(page, me)["status"]
    log_out(page)
    shows(page, "out nobody")
    assert "LoginRequired" == ask(page, me)["error"]
    assert [EventCode.STARTED, EventCode.ROTATED] == apart.codes()[:2]
    assert EventCode.LOGGED_OUT == apart.codes()[-1]


@servers_part
@pytest.mark.parametrize("credentials", [True, False])
def test_cors_middleware_around_the_endpoints(
    context: BrowserContext, pages: Starlette, host: str, *, credentials: bool
) -> None:
    """`CORSMiddleware` as in docs/http.md lets a page log in and refresh; without credentials it blocks both."""
    auth = AsyncDaypass("memory:", issuer="http://127.0.0.1", load_user=lambda _: ALICE, authenticate=lambda *_: ALICE)
    with serving(pages, host=host) as allowed:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=[allowed],
            allow_credentials=credentials,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "WWW-Authenticate"],
        )
        mount = Mount("/auth", routes=auth_routes(auth, allowed_origins=[allowed]))
        with serving(Starlette(routes=[mount], middleware=[cors]), host=host) as issuer:
            apart = Apart("fetch", f"{issuer}/auth", (allowed, allowed), allowed, Clock(), [])
            tab = apart.open(context, allowed)
            assert credentials == ("username" in log_in(tab))
            if credentials:
                assert tried(tab, "session.refresh()").get("error") is None
                assert 200 == ask(tab, f"{issuer}/auth/me")["status"]


def test_another_site(context: BrowserContext, apart: Apart) -> None:
    """On a page of another site `login` throws `CookieRejected`: the message says why, and what to do."""
    page = apart.open(context, apart.pages[1])
    said = log_in(page)
    assert ("CookieRejected", "cookie_rejected") == (said["error"], said["code"])
    assert f"{apart.api.removesuffix('/auth')} for a page of {apart.pages[1]}" in said["message"]
    shows(page, "out nobody")
    assert {EventCode.STARTED} == set(apart.codes())


@servers_part
def test_origin_that_is_not_allowed(context: BrowserContext, apart: Apart) -> None:
    """A page of any other origin can neither log in nor use the cookie of a user who is logged in."""
    log_in(apart.open(context, apart.pages[0]))
    before = apart.codes()
    page = apart.open(context, apart.foreign)
    json = "{ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(given[1]) }"
    assert {"error": "TypeError"} == tried(page, f"fetch(given[0], {json})", f"{apart.api}/login", CREDENTIALS)
    simple = "fetch(given[0], { method: 'POST', credentials: 'include' }).then((answer) => answer.text())"
    for path in ("refresh", "logout"):
        assert {"error": "TypeError"} == tried(page, simple, f"{apart.api}/{path}")
    assert before == apart.codes()


@servers_part
def test_refusals_are_readable_by_allowed_origins(context: BrowserContext, apart: Apart) -> None:
    """A page of an allowed origin can read the status, `Retry-After` and the challenge of an error."""
    page = apart.open(context, apart.pages[0])
    login = """fetch(given[0], {
      method: "POST", credentials: "include",
      headers: { "content-type": "application/json" }, body: JSON.stringify(given[1]),
    }).then((answer) => [answer.status, answer.headers.get("retry-after"), answer.headers.get("www-authenticate")])"""
    wrong = CREDENTIALS | {"password": "wrong"}
    answers = [tried(page, login, f"{apart.api}/login", wrong)["value"] for _ in range(4)]
    assert [[401, None, 'Bearer realm="daypass"']] * 3 + [[429, "3601", None]] == answers
