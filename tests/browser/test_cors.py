"""Pages of another origin than the issuer's, in real browsers: which can use it, and which cannot."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from daypass import AsyncDaypass, Event, EventCode
from daypass.testing import Clock
from daypass.web.limits import RateLimits
from daypass.web.starlette import auth_routes

from ..servers.application import serving
from .conftest import ALICE, PASSWORD

PAGE = """<!doctype html><link rel="icon" href="data:,"><script type="module">
  const api = new URLSearchParams(location.search).get("api");
  const { createSession } = await import(`${api}/daypass.js`);
  window.session = createSession({ url: api });
  window.tried = (promise) => promise.then((value) => ({ value }), (error) => ({ error: error.name }));
  window.loaded = true;
</script>"""
CREDENTIALS = {"username": "alice", "password": PASSWORD}

pytestmark = pytest.mark.clients("fetch")


@dataclass
class Apart:
    """An issuer on one origin, and pages on others.

    Attributes:
        api: where the issuer's endpoints are.
        pages: an origin of the same site, and one of another site; both are allowed.
        foreign: an origin of the same site that nobody has allowed.
    """

    api: str
    pages: tuple[str, str]
    foreign: str
    clock: Clock
    events: list[Event]

    def open(self, context: BrowserContext, origin: str) -> Page:
        page = context.new_page()
        page.goto(f"{origin}/?api={self.api}")
        page.wait_for_function("window.loaded")
        return page

    def codes(self) -> list[EventCode]:
        return [event.code for event in self.events]


@pytest.fixture
def apart() -> Iterator[Apart]:
    """Give an issuer at 127.0.0.1, and pages at other ports of it and at localhost, which is another site."""

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(PAGE)

    clock, events = Clock(), list[Event]()
    auth = AsyncDaypass(
        "memory:",
        issuer="http://127.0.0.1",
        load_user=lambda _: ALICE,
        authenticate=lambda name, password: ALICE if password == PASSWORD else None,
        clock=clock,
        on_event=events.append,
    )
    pages = Starlette(routes=[Route("/", page)])
    with serving(pages) as allowed, serving(pages) as foreign:
        origins = (allowed, allowed.replace("127.0.0.1", "localhost"))
        rates = RateLimits(login_per_account="3/hour")
        app = Starlette(routes=[Mount("/auth", routes=auth_routes(auth, allowed_origins=origins, rate_limits=rates))])
        with serving(app) as issuer:
            yield Apart(f"{issuer}/auth", origins, foreign, clock, events)


def tried(page: Page, expression: str, *arguments: Any) -> Any:
    return page.evaluate(f"([...given]) => tried({expression})", list(arguments))


ME = "session.fetch(given[0]).then((answer) => answer.status)"


def test_another_origin_of_the_same_site(context: BrowserContext, apart: Apart) -> None:
    """A page of another origin logs in, calls, refreshes, comes back after a reload, and logs out."""
    page = apart.open(context, apart.pages[0])
    assert "alice" == tried(page, "session.login(given[0])", CREDENTIALS)["value"]["username"]
    me = f"{apart.api}/me"
    assert {"value": 200} == tried(page, ME, me)
    apart.clock.advance(60_000)
    assert tried(page, "session.refresh()").get("error") is None
    page = apart.open(context, apart.pages[0])
    assert "alice" == tried(page, "session.ready")["value"]["username"]
    assert {"value": 200} == tried(page, ME, me)
    tried(page, "session.logout()")
    page.wait_for_function("session.user === null")
    assert {"error": "LoginRequired"} == tried(page, ME, me)
    assert [EventCode.STARTED, EventCode.ROTATED] == apart.codes()[:2]
    assert EventCode.LOGGED_OUT == apart.codes()[-1]


@pytest.mark.parametrize("credentials", [True, False])
def test_cors_middleware_around_the_endpoints(context: BrowserContext, *, credentials: bool) -> None:
    """`CORSMiddleware` as in docs/http.md lets a page log in and refresh; without credentials it blocks both."""

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(PAGE)

    auth = AsyncDaypass("memory:", issuer="http://127.0.0.1", load_user=lambda _: ALICE, authenticate=lambda *_: ALICE)
    with serving(Starlette(routes=[Route("/", page)])) as pages:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=[pages],
            allow_credentials=credentials,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "WWW-Authenticate"],
        )
        mount = Mount("/auth", routes=auth_routes(auth, allowed_origins=[pages]))
        with serving(Starlette(routes=[mount], middleware=[cors])) as issuer:
            apart = Apart(f"{issuer}/auth", (pages, pages), pages, Clock(), [])
            tab = apart.open(context, pages)
            login = tried(tab, "session.login(given[0])", CREDENTIALS)
            assert credentials == ("value" in login)
            if credentials:
                assert tried(tab, "session.refresh()").get("error") is None
                assert {"value": 200} == tried(tab, ME, f"{issuer}/auth/me")


def test_another_site(context: BrowserContext, apart: Apart) -> None:
    """A page of another site is told at login that the browser keeps no cookie for it, and what to do."""
    page = apart.open(context, apart.pages[1])
    assert {"error": "CookieRejected"} == tried(page, "session.login(given[0])", CREDENTIALS)
    said = page.evaluate("(given) => session.login(given).catch(({ code, message }) => [code, message])", CREDENTIALS)
    assert "cookie_rejected" == said[0]
    assert f"{apart.api.removesuffix('/auth')} for a page of {apart.pages[1]}" in said[1]
    assert page.evaluate("session.status") == "out"
    assert {EventCode.STARTED} == set(apart.codes())


def test_an_origin_that_nobody_has_allowed(context: BrowserContext, apart: Apart) -> None:
    """A page of any other origin can neither log in nor use the cookie of a user who is logged in."""
    tried(apart.open(context, apart.pages[0]), "session.login(given[0])", CREDENTIALS)
    before = apart.codes()
    page = apart.open(context, apart.foreign)
    json = "{ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(given[1]) }"
    assert {"error": "TypeError"} == tried(page, f"fetch(given[0], {json})", f"{apart.api}/login", CREDENTIALS)
    simple = "fetch(given[0], { method: 'POST', credentials: 'include' }).then((answer) => answer.text())"
    for path in ("refresh", "logout"):
        assert {"error": "TypeError"} == tried(page, simple, f"{apart.api}/{path}")
    assert before == apart.codes()


def test_what_a_page_may_read_of_a_refusal(context: BrowserContext, apart: Apart) -> None:
    """A page of an allowed origin sees why it was refused, and when to come again."""
    page = apart.open(context, apart.pages[0])
    login = """fetch(given[0], {
      method: "POST", credentials: "include",
      headers: { "content-type": "application/json" }, body: JSON.stringify(given[1]),
    }).then((answer) => [answer.status, answer.headers.get("retry-after"), answer.headers.get("www-authenticate")])"""
    wrong = CREDENTIALS | {"password": "wrong"}
    answers = [tried(page, login, f"{apart.api}/login", wrong)["value"] for _ in range(4)]
    assert [[401, None, 'Bearer realm="daypass"']] * 3 + [[429, "3601", None]] == answers
