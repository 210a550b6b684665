"""Pages without scripts, rendered by a server behind `daypass.web.asgi_pages.Pages`, in real browsers.

The tests put the application's clock forward, so on a slow machine no token expires in between. The browser's clock
does not change, so it still sends the expired access token. Only `test_real_expiry` waits until the browser drops it.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from html import escape
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daypass import AsyncDaypass, CredentialsRejected, Event, EventCode
from daypass.duration import Duration
from daypass.web.asgi_pages import Pages
from daypass.web.browser_login import BrowserLogin

from ..cookie_names import without_port
from ..servers.application import serving_on_ports
from ..web.failing import AsyncFailing
from .conftest import ALICE, PASSWORD, Seen
from .engines import Engines

HEAD = "<!doctype html><meta charset=utf-8><script>document.title = 'scripts run'</script>"
LOGIN = (
    "<form method=post action=/login><input name=name><input name=password type=password><button>Log in</button></form>"
)
LINKS = """<a href=/>Home</a> <a href=/news>News</a> <a href=/album>Album</a>
<form method=post action=/logout><button>Log out</button></form>
<form method=post action=/upload enctype=multipart/form-data>
<input name=title><input name=file type=file><button>Send</button></form>"""
IMAGES = 10
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><rect width="40" height="30"/></svg>'
COOKIES = {"daypass", "daypass-access"}
NO_SCRIPTS = (b"content-security-policy", b"script-src 'none'")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the site."""

    status: int
    headers: dict[str, str]


class Site:
    """Pages that a server renders. It records its requests; a test can put its clock forward.

    Attributes:
        addresses: its two addresses; each serves the whole site.
        tokens: the cookies of each request for an image.
        sent: the names of the cookies of the last request for a page.
        last: the last response to a navigation.
        together: how many images had been requested before the first was served.
    """

    def __init__(self, **lifetimes: Duration) -> None:
        self.ahead = 0
        self.addresses: list[str] = []
        self.requests: list[Seen] = []
        self.sent: set[str] = set()
        self.last = Answer(0, {})
        self.events: list[Event] = []
        self.uploads: list[tuple[str, str, bytes]] = []
        self.tokens: list[dict[str, str]] = []
        self.together = 0
        self.store = AsyncFailing()
        self.auth = AsyncDaypass(
            self.store,
            issuer="http://127.0.0.1",
            load_user=lambda subject: ALICE if subject == ALICE.subject else None,
            authenticate=lambda name, password: ALICE if (name, password) == (ALICE.username, PASSWORD) else None,
            on_event=self.events.append,
            clock=lambda: time.time_ns() // 1_000_000 + self.ahead,
            **lifetimes,  # type: ignore[arg-type]  # only durations are passed through
        )
        self._all_asked = asyncio.Event()
        routes = [
            Route("/", self._page),
            Route("/news", self._page),
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/upload", self._upload, methods=["POST"]),
            Route("/album", self._album),
            Route("/image/{number}", self._image),
        ]

        @asynccontextmanager
        async def lifespan(_: Starlette) -> Any:
            async with self.auth:
                yield

        self._app: ASGIApp = Pages(Starlette(routes=routes, lifespan=lifespan), self.auth, cookie_name="daypass")

    async def _page(self, request: Request) -> Response:
        login: BrowserLogin = request.scope["daypass"]
        if login.token is None:
            return RedirectResponse("/login", 303)
        return HTMLResponse(f"{HEAD}<h1>{request.url.path}: {escape(str(login.token.username))}</h1>{LINKS}")

    async def _login(self, request: Request) -> Response:
        if request.method == "GET":
            return HTMLResponse(f"{HEAD}<h1>Log in</h1>{LOGIN}")
        form = await request.form()
        try:
            tokens = await self.auth.login(str(form["name"]), str(form["password"]))
        except CredentialsRejected:
            return HTMLResponse(f"{HEAD}<h1>Wrong name or password</h1>{LOGIN}", 401)
        request.scope["daypass"].log_in(tokens)
        return RedirectResponse("/", 303)

    async def _logout(self, request: Request) -> Response:
        request.scope["daypass"].log_out()
        return RedirectResponse("/", 303)

    async def _upload(self, request: Request) -> Response:
        login: BrowserLogin = request.scope["daypass"]
        if login.token is None:
            return RedirectResponse("/login", 303)
        async with request.form() as form:
            file = form["file"]
            assert isinstance(file, UploadFile)
            content = await file.read()
            self.uploads.append((str(form["title"]), str(file.filename), content))
        return HTMLResponse(f"{HEAD}<h1>{login.token.username} sent {len(content)} bytes</h1>{LINKS}")

    async def _album(self, request: Request) -> Response:
        """Return a page of ten images, five from each address; the access token expires in the middle of the page."""
        login: BrowserLogin = request.scope["daypass"]
        if login.token is None:
            return RedirectResponse("/login", 303)

        async def chunks() -> AsyncIterator[str]:
            yield f"{HEAD}<h1>Album</h1>"
            self.expire()
            for number in range(IMAGES):
                yield f"<img src={self.addresses[number % len(self.addresses)]}/image/{number}>"
            yield LINKS

        return StreamingResponse(chunks(), media_type="text/html")

    async def _image(self, request: Request) -> Response:
        if request.scope["daypass"].token is None:
            return Response("Log in", 401)
        return Response(PICTURE, media_type="image/svg+xml")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and record each request with its status. Images wait until all of them have been requested."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        cookie = SimpleCookie(dict(scope["headers"]).get(b"cookie", b"").decode())
        cookies = {without_port([name])[0]: morsel.value for name, morsel in cookie.items()}
        if path.startswith("/image/"):
            self.tokens.append(cookies)
            if len(self.tokens) == IMAGES:
                self._all_asked.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_asked.wait(), 20)
            self.together = self.together or len(self.tokens)

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and path != "/favicon.ico":
                self.requests.append((scope["method"], path, message["status"]))
                if not path.startswith("/image/"):
                    self.sent = set(cookies)
                    headers = {name.decode(): value.decode() for name, value in message["headers"]}
                    self.last = Answer(message["status"], headers)
                message["headers"] = [*message["headers"], NO_SCRIPTS]
            await send(message)

        await self._app(scope, receive, note)

    def expire(self) -> None:
        """Put the clock forward, past the lifetime of the access tokens and the grace period."""
        self.ahead += 60_000

    def take(self) -> list[Seen]:
        """Return the requests since the last call."""
        taken, self.requests = self.requests, []
        return taken

    def count(self, code: EventCode) -> int:
        return [event.code for event in self.events].count(code)


@pytest.fixture
def lifetimes() -> dict[str, Duration]:
    """Return the lifetimes of the tokens; a test may override them."""
    return {"access_ttl": "50s", "grace_period": "30s"}


@pytest.fixture
def site(lifetimes: dict[str, Duration], host: str) -> Iterator[Site]:
    """Return the site, served on two ports: a browser sends its cookies to both, and opens six connections to each."""
    site = Site(**lifetimes)
    with serving_on_ports(site, 2, grace=1, host=host) as addresses:
        site.addresses = addresses
        yield site


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Page:
    """Return the site's first page after a login by its form, and forget the requests so far."""
    page = context.new_page()
    page.goto(site.addresses[0])
    log_in(page, PASSWORD)
    assert "/: alice" == heading(page)
    site.take()
    return page


def log_in(page: Page, password: str) -> None:
    page.fill("[name=name]", str(ALICE.username))
    page.fill("[name=password]", password)
    click(page, "Log in")


def click(page: Page, name: str) -> None:
    """Click a link or a button, and wait for the next page."""
    role: Any = "link" if name in ("Home", "News", "Album") else "button"
    with page.expect_navigation():
        page.get_by_role(role, name=name).click()


def open_page(page: Page, site: Site, path: str) -> None:
    """Open a page by its address."""
    page.goto(f"{site.addresses[0]}{path}")


def unavailable(site: Site, page: Page) -> None:
    """Assert that the last response was an HTML page with 503 and `Retry-After`."""
    headers = site.last.headers
    expected = (503, "1", "text/html; charset=utf-8")
    assert expected == (site.last.status, headers["retry-after"], headers["content-type"])
    assert "" != page.locator("p").inner_text()


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def jar(context: BrowserContext) -> dict[str, str]:
    return {without_port([str(cookie["name"])])[0]: str(cookie["value"]) for cookie in context.cookies()}


def stranger(site: Site, cookies: dict[str, str]) -> httpx2.Client:
    """Return another client with copied cookies. New cookies that it receives replace them."""
    client = httpx2.Client(base_url=site.addresses[0])
    for name, value in cookies.items():
        client.cookies.set(name, value, domain=client.base_url.host)
    return client


def test_the_login_form(context: BrowserContext, site: Site) -> None:
    """A form logs in; a wrong password sets no cookie; no script runs."""
    page = context.new_page()
    page.goto(site.addresses[0])
    log_in(page, "wrong")
    assert ("Wrong name or password", {}) == (heading(page), jar(context))
    log_in(page, PASSWORD)
    assert ("/: alice", COOKIES) == (heading(page), set(jar(context)))
    assert all(cookie["httpOnly"] and cookie["sameSite"] == "Lax" for cookie in context.cookies())
    assert "" == page.title()
    first = [("GET", "/", 303), ("GET", "/login", 200)]
    assert [*first, ("POST", "/login", 401), ("POST", "/login", 303), ("GET", "/", 200)] == site.take()


def test_expiry_between_two_clicks(page: Page, context: BrowserContext, site: Site) -> None:
    """If the access token expires between two clicks, one request returns the page and sets new cookies.

    The next click needs no refresh.
    """
    for rotated, name in enumerate(("News", "Home", "News"), 1):
        before = jar(context)
        site.expire()
        click(page, name)
        assert 200 == site.last.status
        path = {"News": "/news", "Home": "/"}[name]
        assert (f"{path}: alice", [("GET", path, 200)]) == (heading(page), site.take())
        after = jar(context)
        assert COOKIES == set(after)
        assert not set(before.values()) & set(after.values())
        click(page, "News")
        assert (rotated, after) == (site.count(EventCode.ROTATED), jar(context))
        site.take()
    assert 1 == site.count(EventCode.STARTED)


@pytest.mark.parametrize("lifetimes", [{"access_ttl": "2s", "grace_period": "500ms"}])
def test_real_expiry(page: Page, context: BrowserContext, site: Site) -> None:
    """When the access token expires, the browser drops its cookie. The next click still shows the page."""
    for _ in range(2):
        rotated, refresh = site.count(EventCode.ROTATED), jar(context)["daypass"]
        page.wait_for_timeout(2_100)
        click(page, "News")
        assert {"daypass"} == site.sent
        assert 200 == site.last.status
        assert ("/news: alice", [("GET", "/news", 200)]) == (heading(page), site.take())
        assert rotated + 1 == site.count(EventCode.ROTATED)
        assert refresh != jar(context)["daypass"]


def test_ten_images_at_once(page: Page, context: BrowserContext, site: Site) -> None:
    """Ten images are requested at once with an expired token: all are shown, and the session rotates once."""
    before = jar(context)
    click(page, "Album")
    assert 200 == site.last.status
    assert IMAGES == page.locator("img").count()
    assert IMAGES == site.together
    assert [before] * IMAGES == site.tokens
    seen = site.take()
    assert ("GET", "/album", 200) == seen[0]
    assert {("GET", f"/image/{number}", 200) for number in range(IMAGES)} == set(seen[1:])
    assert 1 + IMAGES == len(seen)
    boxes = [image.bounding_box() for image in page.locator("img").all()]
    assert [(40, 30)] * IMAGES == [(box["width"], box["height"]) for box in boxes if box is not None]
    assert (1, IMAGES - 1) == (site.count(EventCode.ROTATED), site.count(EventCode.REPEATED))
    after = jar(context)
    assert not set(before.values()) & set(after.values())
    click(page, "News")
    assert ("/news: alice", 1) == (heading(page), site.count(EventCode.ROTATED))
    site.expire()
    click(page, "Home")
    assert ("/: alice", 2) == (heading(page), site.count(EventCode.ROTATED))


def test_an_upload_after_expiry(page: Page, site: Site, tmp_path: Path) -> None:
    """A form with a file, sent after the access token has expired, arrives once, with every byte."""
    content = b"".join(hashlib.sha256(bytes([number % 251, number // 251])).digest() for number in range(30_000))
    file = tmp_path / "holiday.bin"
    file.write_bytes(content)
    page.fill("[name=title]", "On the beach — 1 & 2")
    page.set_input_files("[name=file]", file)
    site.expire()
    click(page, "Send")
    assert 200 == site.last.status
    assert f"alice sent {len(content)} bytes" == heading(page)
    assert [("POST", "/upload", 200)] == site.take()
    assert [("On the beach — 1 & 2", "holiday.bin", content)] == site.uploads
    assert 1 == site.count(EventCode.ROTATED)


@pytest.mark.parametrize("expired", [False, True])
def test_logout(page: Page, context: BrowserContext, site: Site, *, expired: bool) -> None:
    """A logout, also after an expiry, clears both cookies and ends the session: copies of the cookies are refused."""
    copied = jar(context)
    if expired:
        site.expire()
    click(page, "Log out")
    assert ("Log in", {}) == (heading(page), jar(context))
    assert [("POST", "/logout", 303), ("GET", "/", 303), ("GET", "/login", 200)] == site.take()
    assert 1 == site.count(EventCode.LOGGED_OUT)
    for cookies in (copied, {"daypass": copied["daypass"]}, {"daypass-access": copied["daypass-access"]}):
        with stranger(site, cookies) as client:
            assert (303, "/login") == ((answer := client.get("/news")).status_code, answer.headers["location"])
    open_page(page, site, "/news")
    assert "Log in" == heading(page)


def test_theft(page: Page, context: BrowserContext, site: Site) -> None:
    """A thief uses a copied cookie: the owner's next click ends the session, and both get the login page."""
    with stranger(site, {"daypass": jar(context)["daypass"]}) as thief:
        for rotated in (1, 2):
            assert "/news: alice" in thief.get("/news").text
            assert rotated == site.count(EventCode.ROTATED)
            site.expire()
        site.take()
        click(page, "News")
        assert ("Log in", {}) == (heading(page), jar(context))
        assert [("GET", "/news", 303), ("GET", "/login", 200)] == site.take()
        assert 1 == site.count(EventCode.REUSED)
        assert (303, "/login") == ((answer := thief.get("/news")).status_code, answer.headers["location"])
    log_in(page, PASSWORD)
    assert ("/: alice", COOKIES) == (heading(page), set(jar(context)))


def test_the_store_is_down(page: Page, context: BrowserContext, site: Site) -> None:
    """While the store is down, a page that needs a refresh, and a logout, get 503; the user stays logged in."""
    cookies = jar(context)
    site.store.down = True
    click(page, "News")
    assert (200, "/news: alice") == (site.last.status, heading(page))
    click(page, "Log out")
    unavailable(site, page)
    open_page(page, site, "/news")
    assert (cookies, 200) == (jar(context), site.last.status)
    site.expire()
    site.take()
    click(page, "Home")
    unavailable(site, page)
    open_page(page, site, "/news")
    unavailable(site, page)
    assert ([("GET", "/", 503), ("GET", "/news", 503)], cookies) == (site.take(), jar(context))
    site.store.down = False
    open_page(page, site, "/news")
    assert (200, "/news: alice") == (site.last.status, heading(page))
    assert COOKIES == set(jar(context))
    assert not set(cookies.values()) & set(jar(context).values())
    assert [1, 1, 0] == [site.count(code) for code in (EventCode.STARTED, EventCode.ROTATED, EventCode.LOGGED_OUT)]


# ---- Back after a logout


@pytest.fixture
def back_forward_cache(engines: Engines, engine: str) -> Iterator[BrowserContext]:
    """Return a new profile of a browser with a back/forward cache."""
    with engines.profile(engine, "everyday", again=True) as context:
        yield context


@pytest.mark.cannot(webkit="Back shows the page from memory, in spite of `no-store` and `Clear-Site-Data`.")
def test_back_after_a_logout_shows_nobody(back_forward_cache: BrowserContext, site: Site) -> None:
    """After a logout Back shows the login, not the user's pages. Before it, Back shows the user's pages."""
    page = back_forward_cache.new_page()
    page.goto(site.addresses[0])
    log_in(page, PASSWORD)
    for name in ("News", "Home", "News"):
        click(page, name)
    page.evaluate("setTimeout(() => history.back())")
    page.wait_for_function("document.querySelector('h1').innerText === '/: alice'")
    click(page, "Log out")
    assert "Log in" == heading(page)
    for _ in range(2):
        page.evaluate("setTimeout(() => history.back())")
        page.wait_for_timeout(1000)
        assert "Log in" == heading(page)
