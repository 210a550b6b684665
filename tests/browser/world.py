"""The application that the tests of daypass.js talk to: it has bad days on demand, and remembers what it saw."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from playwright.sync_api import BrowserContext, Page
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daypass.duration import Duration

from . import webkit
from .conftest import PASSWORD, Application

MODULES = "/auth/daypass"  # how the paths of scripts begin, which some browsers ask for again, and some do not
CHALLENGE = 'Bearer realm="daypass", error="invalid_token"'


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the server saw it.

    Attributes:
        token: which of the access tokens that the server gave out it bore, counted from 0; None for none of them.
    """

    method: str
    path: str
    status: int
    token: int | None = None


@dataclass(frozen=True, slots=True)
class Instead:
    """What a refresh is answered with instead of what it should be; the refresh itself is not done."""

    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


class World(Application):
    """The application of the axios tests, with more that can go wrong.

    Attributes:
        issued: every access token given out, oldest first.
        refused: those that the API refuses although they are young: revoked early.
        instead: answers to the next refreshes.
        delay: seconds that a refresh takes.
        silent: no refresh is answered: each takes until the page gives up.
        unreachable: every connection is cut.
        pages: responses by path, besides its own.
        client: what its page sends requests by.
        files: that page and its scripts, by path.
    """

    def __init__(self, store: str, axios: Path, **lifetimes: Duration) -> None:
        super().__init__(store, axios, **lifetimes)
        self.issued: list[str] = []
        self.refused: set[str] = set()
        self.instead: list[Instead] = []
        self.delay = 0.0
        self.silent = False
        self.unreachable = False
        self.pages: dict[str, Response] = {}
        self.client = "fetch"
        self.files: dict[str, Path] = {}
        self.log: list[Asked] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and note each request below ``/api`` and ``/auth`` with its answer and its token."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        path = scope["path"]
        token = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ").removeprefix("DPoP ")
        number = self.issued.index(token) if token in self.issued else None
        if self.unreachable:
            send.__self__.transport.abort()  # type: ignore[attr-defined]  # the method is that of uvicorn's cycle
            return
        body = bytearray()

        async def note(message: Message) -> None:
            asked = path.startswith(("/api", "/auth/")) and not path.startswith(MODULES)
            if message["type"] == "http.response.start" and asked:
                self.log.append(Asked(scope["method"], path, message["status"], number))
            if message["type"] == "http.response.body" and path in ("/auth/login", "/auth/refresh"):
                body.extend(message.get("body", b""))
                with suppress(ValueError, KeyError):
                    self.issued.append(json.loads(body)["accessToken"])
            with suppress(OSError):  # a page that has gone
                await send(message)

        await self._answer(scope, token)(scope, receive, note)

    def _answer(self, scope: Scope, token: str) -> ASGIApp:
        path, query = scope["path"], parse_qs(scope["query_string"].decode())
        if path in self.pages:
            return self.pages[path]
        if path in self.files:
            return FileResponse(self.files[path])
        if path == "/api/public":
            return JSONResponse({"public": True})
        if path == "/api/stream":
            return StreamingResponse(_endless(), media_type="text/event-stream")
        if path == "/api/never":
            return JSONResponse({"error": "never"}, 401, {"www-authenticate": query.get("challenge", [CHALLENGE])[0]})
        if path == "/api/redirect":
            return RedirectResponse(query["to"][0], int(query.get("status", ["307"])[0]))
        if path.startswith("/api") and token in self.refused:
            return JSONResponse({"error": "invalid_token"}, 401, {"www-authenticate": CHALLENGE})
        if path == "/auth/refresh":
            return self._refresh
        return super().__call__

    async def _refresh(self, scope: Scope, receive: Receive, send: Send) -> None:
        while self.silent and (await receive())["type"] != "http.disconnect":
            """The request's body has come; the next is that the page gives up."""
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.instead:
            instead = self.instead.pop(0)
            await Response(instead.body, instead.status, instead.headers, "application/json")(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def revoke(self) -> None:
        """Refuse from now on every access token that was given out."""
        self.refused.update(self.issued)

    def set_offline(self, tab: Page, *, offline: bool) -> None:
        """Take the network from a tab and all others of its browser, or give it back.

        WebDriver has no command for that. In WebKit the server cuts all connections, and pages are sent the event.
        """
        context: object = tab.context
        if not isinstance(context, webkit.Context):
            tab.context.set_offline(offline)
            return
        self.unreachable = offline
        for each in context.pages:
            each.evaluate("(type) => { dispatchEvent(new Event(type)) }", "offline" if offline else "online")

    def seen(self) -> list[Asked]:
        """Return what was asked since this was last called, except for scripts, which WebKit asks for again."""
        taken, self.log = self.log, []
        return [each for each in taken if not each.path.endswith(".js")]

    def open(self, context: BrowserContext, query: str = "", *, wait: bool = True) -> Page:
        """Return a new tab with the client's page, with a query such as `&idle`."""
        page = context.new_page()
        page.goto(f"{self.address}/session?client={self.client}{query}")
        if wait:
            page.wait_for_function("window.loaded")
        return page

    def log_in(self, page: Page) -> None:
        """Log Alice in, by the page's client, and forget what was asked for it."""
        assert "alice" == log_in(page)["username"]
        self.seen()


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b"data: 1\n\n"
        await asyncio.sleep(0.1)


def refreshes(seen: list[Asked]) -> list[int]:
    """Return the statuses of the refreshes."""
    return [asked.status for asked in seen if asked.path == "/auth/refresh"]


def ask(page: Page, path: str = "/api/items", **options: Any) -> Any:
    """Have the page's client send one request; return what it sees: status and data, or an error's name and more."""
    return page.evaluate("([path, options]) => ask(path, options)", [path, options])


def log_in(page: Page, name: str = "alice", password: str = PASSWORD) -> Any:
    """Log in by the page's client; return the user, or an error's name and more."""
    credentials = {"username": name, "password": password}
    return page.evaluate("(credentials) => client.login(credentials)", credentials)


def log_out(page: Page, **options: bool) -> Any:
    """Log out by the page's client; return an error's name and more, if there is one."""
    return page.evaluate("(options) => client.logout(options)", options)


def shows(page: Page, text: str) -> None:
    """Wait until the page shows this of its user, such as `in alice` or `out nobody`."""
    page.wait_for_function("(text) => document.getElementById('shown').textContent === text", arg=text)


def happened(page: Page, name: str) -> list[dict[str, Any]]:
    """Return the session's events of that name, as the page received them."""
    found: list[dict[str, Any]] = page.evaluate("(name) => happened(name)", name)
    return found
