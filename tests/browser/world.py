"""The server that daypass.js is tested against: it records its requests, and fails in the ways a test asks for."""

import asyncio
import json
import time
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

MODULES = "/auth/daypass"  # prefix of the scripts' paths; only some browsers request them again
CHALLENGE = 'Bearer realm="daypass", error="invalid_token"'


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the server saw it.

    Attributes:
        token: the index, from 0, of the issued access token in the request; None if it has no such token.
    """

    method: str
    path: str
    status: int
    token: int | None = None


@dataclass(frozen=True, slots=True)
class Instead:
    """The response to a refresh that is not performed."""

    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


class World(Application):
    """The application of the axios tests, with more ways to fail.

    Attributes:
        issued: all access tokens issued so far, oldest first.
        refused: access tokens that the API refuses before they expire.
        instead: the responses to the next refreshes, which are not performed.
        delay: the most seconds that a refresh takes; set to 0 meanwhile, it goes on at once.
        silent: if true, refreshes get no response.
        unreachable: if true, all connections are cut.
        pages: more responses, by path.
        client: what its page sends requests with.
        files: the page and its scripts, by path.
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
        """Serve, and record each request below ``/api`` and ``/auth`` with its status and its token."""
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
            with suppress(OSError):  # the page was closed
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
            """Wait until the page disconnects."""
        ends_at = time.monotonic() + self.delay
        while self.delay and time.monotonic() < ends_at:  # noqa: ASYNC110  # a test sets it in another thread
            await asyncio.sleep(0.02)
        if self.instead:
            instead = self.instead.pop(0)
            await Response(instead.body, instead.status, instead.headers, "application/json")(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def revoke(self) -> None:
        """Refuse all access tokens issued so far."""
        self.refused.update(self.issued)

    def set_offline(self, tab: Page, *, offline: bool) -> None:
        """Put a tab's browser offline, or online again.

        WebDriver has no command for that. For WebKit the server cuts all connections, and the pages get the event.
        """
        context: object = tab.context
        if not isinstance(context, webkit.Context):
            tab.context.set_offline(offline)
            return
        self.unreachable = offline
        for each in context.pages:
            each.evaluate("(type) => { dispatchEvent(new Event(type)) }", "offline" if offline else "online")

    def seen(self) -> list[Asked]:
        """Return the requests since the last call, without those for scripts: WebKit repeats them."""
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
        """Log Alice in with the page's client, and forget the requests so far."""
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
    """Send one request with the page's client; return its status and data, or the error's name, message and code."""
    return page.evaluate("([path, options]) => ask(path, options)", [path, options])


def log_in(page: Page, name: str = "alice", password: str = PASSWORD) -> Any:
    """Log in with the page's client; return the user, or the error as `ask` does."""
    credentials = {"username": name, "password": password}
    return page.evaluate("(credentials) => client.login(credentials)", credentials)


def log_out(page: Page, **options: bool) -> Any:
    """Log out with the page's client; return the error as `ask` does, or None."""
    return page.evaluate("(options) => client.logout(options)", options)


def shows(page: Page, text: str) -> None:
    """Wait until the page shows this status and user, such as `in alice` or `out nobody`."""
    page.wait_for_function("(text) => document.getElementById('shown').textContent === text", arg=text)


def happened(page: Page, name: str) -> list[dict[str, Any]]:
    """Return the session's events of this name that the page received."""
    found: list[dict[str, Any]] = page.evaluate("(name) => happened(name)", name)
    return found
