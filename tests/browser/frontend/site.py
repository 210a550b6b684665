"""The site of the built pages: session endpoints, and an API in REST, tRPC, GraphQL and WebSockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from daypass import AsyncDaypass, User
from daypass.web.starlette import auth_routes, bearer

PASSWORD = "correct horse battery"
USERS = {name: User(f"user-{name}", name, f"{name}@example.com") for name in ("alice", "ben")}

Seen = tuple[str, int]
"""A request as the server saw it: its path, and the status of its response."""


class Site:
    """The application. A test can put its clock forward.

    Attributes:
        page: the name of the built page that every path serves.
        script: JavaScript that runs before the page's own.
        html: the content of the root element that the server rendered.
        items: the items that the API returns.
        delay: seconds that a refresh takes.
        asked: the number of refreshes so far.
        down: if true, refreshes get 503.
    """

    def __init__(self, store: str, built: Path) -> None:
        self.address = ""
        self.page = ""
        self.script = ""
        self.html = ""
        self.items = ["milk", "bread"]
        self.delay = 0.0
        self.asked = 0
        self.down = False
        self.ahead = 0
        self.log: list[Seen] = []
        by_subject = {user.subject: user for user in USERS.values()}
        self.auth = AsyncDaypass(
            store,
            issuer="http://127.0.0.1",
            load_user=by_subject.get,
            authenticate=lambda name, password: USERS.get(name) if password == PASSWORD else None,
            clock=lambda: time.time_ns() // 1_000_000 + self.ahead,
            access_ttl="50s",
            grace_period="30s",
        )
        self.subscriptions = 0
        self._require = bearer(self.auth)

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            async with self.auth:
                yield

        self._app = Starlette(
            routes=[
                Mount("/auth", routes=auth_routes(self.auth)),
                Mount("/built", StaticFiles(directory=built)),
                Route("/favicon.ico", lambda _: Response(status_code=204)),
                Route("/api/public", lambda _: PlainTextResponse("public")),
                Route("/api/items", self._items),
                Route("/api/notes", self._notes),
                Route("/api/trpc/me", self._trpc),
                Route("/api/graphql", self._graphql, methods=["POST"]),
                WebSocketRoute("/api/live", self._live),
                WebSocketRoute("/api/subscriptions", self._subscriptions),
                Route("/{path:path}", self._page),
            ],
            lifespan=lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == "/auth/refresh":
            self.asked += 1
            await asyncio.sleep(self.delay)

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and path.startswith(("/api/", "/auth/")):
                self.log.append((path, message["status"]))
            await send(message)

        refused = self.down and path == "/auth/refresh"
        await (JSONResponse({"error": "unavailable"}, 503) if refused else self._app)(scope, receive, note)

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Notes</title>'
            # a test can put the page's clock forward
            "<script>const wall = Date.now.bind(Date); window.skipped = 0; Date.now = () => wall() + skipped</script>"
            f"<script>{self.script}</script>"
            f'<div id="root">{self.html}</div><div id="app"></div>'
            f'<script type="module" src="/built/{self.page}.js"></script>'
        )

    async def _items(self, request: Request) -> Response:
        token = await self._require(request)
        return JSONResponse({"user": token.username, "items": self.items})

    async def _notes(self, request: Request) -> Response:
        token = await self._require(request)
        return JSONResponse([f"{item} of {token.username}" for item in self.items])

    async def _trpc(self, request: Request) -> Response:
        token = await self._require(request)
        return JSONResponse([{"result": {"data": token.username}}])

    async def _graphql(self, request: Request) -> Response:
        token = await self._require(request)
        return JSONResponse({"data": {"me": token.username}})

    async def _live(self, socket: WebSocket) -> None:
        async with self._require.watch(socket) as watched:
            await watched.send_text(f"Hello, {watched.token.username}")
            await watched.receive()

    async def _subscriptions(self, socket: WebSocket) -> None:
        """Speak the protocol of graphql-ws: one subscription with two results, which ends with the connection."""
        async with self._require.watch(socket, subprotocol="graphql-transport-ws") as watched:
            await watched.receive_json()  # "connection_init"
            await watched.send_json({"type": "connection_ack"})
            asked = await watched.receive_json()
            for number in range(2):
                data = {"hello": f"{number} {watched.token.username}"}
                await watched.send_json({"id": asked["id"], "type": "next", "payload": {"data": data}})
            self.subscriptions += 1
            await watched.receive()

    def expire(self, *pages: Page) -> None:
        """Put the server's clock past all lifetimes, and the pages' clocks only two seconds forward."""
        self.ahead += 60_000
        for page in pages:
            page.evaluate("skipped += 2000")

    def take(self) -> list[Seen]:
        """Return the requests since the last call."""
        taken, self.log = self.log, []
        return taken


def refreshes(seen: list[Seen]) -> list[int]:
    """Return the statuses of the refreshes."""
    return [status for path, status in seen if path == "/auth/refresh"]
