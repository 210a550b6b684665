"""Real browsers that run no scripts, on pages that a server renders behind `daypass.web.asgi_pages.Pages`.

Time goes on by the application's clock, so that no slow machine lets a token expire in between; the browser, which has
a clock of its own, then still sends the old access token. That it keeps no expired one is seen with tokens of two
seconds.
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
    """What the site answered: a page is made of it."""

    status: int
    headers: dict[str, str]


class Site:
    """Pages that a server renders, and what it saw; its clock is the real one and what a test adds.

    Attributes:
        addresses: where it is served, all of it at each.
        tokens: which tokens each image was asked for with: those of both cookies.
        sent: the names of the cookies that came with the last request for a page.
        last: its last answer to a navigation.
        together: how many of the images had been asked for before the first of them was looked at.
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
            **lifetimes,  # type: ignore[arg-type]  # spans, and nothing else, are handed through
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
        """Show ten images, half of them from each address; the access token expires when half the page is sent."""
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
        """Serve, and note what was asked and answered; images wait until all of them have been asked for."""
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
        """Let every access token expire, and the grace period go by."""
        self.ahead += 60_000

    def take(self) -> list[Seen]:
        """Return what was asked and answered since this was last called."""
        taken, self.requests = self.requests, []
        return taken

    def count(self, code: EventCode) -> int:
        return [event.code for event in self.events].count(code)


@pytest.fixture
def lifetimes() -> dict[str, Duration]:
    """Return the spans of the policy; a test may ask for others."""
    return {"access_ttl": "50s", "grace_period": "30s"}


@pytest.fixture
def site(lifetimes: dict[str, Duration]) -> Iterator[Site]:
    """Return the site, served on two ports: a browser's cookies go to both, and six connections at a time to each."""
    site = Site(**lifetimes)
    with serving_on_ports(site, 2, grace=1) as addresses:
        site.addresses = addresses
        yield site


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Page:
    """Return the site's first page, logged in by its form; nothing was asked of the server since."""
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
    """Click on a link or a button, and wait for the page that comes of it."""
    role: Any = "link" if name in ("Home", "News", "Album") else "button"
    with page.expect_navigation():
        page.get_by_role(role, name=name).click()


def open_page(page: Page, site: Site, path: str) -> None:
    """Open a page by its address."""
    page.goto(f"{site.addresses[0]}{path}")


def unavailable(site: Site, page: Page) -> None:
    """Require that the last answer was a 503 that is a page, and says when to try again."""
    headers = site.last.headers
    expected = (503, "1", "text/html; charset=utf-8")
    assert expected == (site.last.status, headers["retry-after"], headers["content-type"])
    assert "" != page.locator("p").inner_text()


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def jar(context: BrowserContext) -> dict[str, str]:
    return {without_port([str(cookie["name"])])[0]: str(cookie["value"]) for cookie in context.cookies()}


def stranger(site: Site, cookies: dict[str, str]) -> httpx2.Client:
    """Return somebody else's client, with copied cookies, which those that it is sent replace."""
    client = httpx2.Client(base_url=site.addresses[0])
    for name, value in cookies.items():
        client.cookies.set(name, value, domain="127.0.0.1")
    return client


def test_the_login_form(context: BrowserContext, site: Site) -> None:
    """A form logs in, a wrong password sets no cookie, and no script has run for any of it."""
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
    """The access token expires between two clicks: the page is simply served, in one request, and new cookies are set.

    The next click costs no refresh.
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
    """When the access token expires, the browser itself drops its cookie; the next click is served as ever."""
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
    """Ten images of one page arrive together with an expired token: each is shown, and the session rotates once."""
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
    """A logout clears both cookies and ends the session, after an expiry, too: copies of the cookies open nothing."""
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
    """A thief uses a copied cookie: the owner's next click finds it, and both of them see the login page."""
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
    """Return a fresh profile of a browser that keeps pages in memory for Back, as users' browsers do."""
    context = engines.running(engine, "everyday").new_context()
    yield context
    context.close()


@pytest.mark.cannot(webkit="Back shows the page from memory, in spite of `no-store` and `Clear-Site-Data`.")
def test_back_after_a_logout_shows_nobody(back_forward_cache: BrowserContext, site: Site) -> None:
    """After a logout Back shows no page of the user who left; before it, Back shows the user's pages."""
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
