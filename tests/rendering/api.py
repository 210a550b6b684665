"""A Python API with the session endpoints, as servers that render pages have it behind them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from daypass import AsyncDaypass, Event, EventCode, User
from daypass.duration import Duration
from daypass.web.starlette import auth_routes, bearer

ALICE = User("user-1", "alice", "alice@example.com")
BOB = User("user-2", "bob", "bob@example.com")
PASSWORD = "correct horse battery"
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none", "accept": "text/html"}


class Api:
    """The API and its session endpoints; its clock is the real one and what a test adds.

    Attributes:
        refreshes: how many refreshes were asked for.
        forwarded: the headers of the last request to a session endpoint.
        instead: statuses that the next refreshes are answered with; 0 does the refresh and loses the answer.
        seen: the last `Authorization` that the API has seen.
        refused: one that it refuses although its token is good.
        delay: seconds that a refresh takes.
    """

    def __init__(self, *, access_ttl: Duration = "50s", **options: Any) -> None:
        self.ahead = 0
        self.refreshes = 0
        self.forwarded: dict[str, str] = {}
        self.instead: list[int] = []
        self.seen = ""
        self.refused = ""
        self.delay = 0.0
        self.events: list[Event] = []
        people = {user.username: user for user in (ALICE, BOB)}
        self.auth = AsyncDaypass(
            "memory:",
            issuer="http://127.0.0.1",
            load_user={user.subject: user for user in people.values()}.get,
            authenticate=lambda name, password: people.get(name) if password == PASSWORD else None,
            on_event=self.events.append,
            clock=lambda: time.time_ns() // 1_000_000 + self.ahead,
            access_ttl=access_ttl,
            grace_period="30s",
        )
        self._require = bearer(self.auth)

        @asynccontextmanager
        async def lifespan(_: Starlette) -> Any:
            async with self.auth:
                yield

        routes = [
            Route("/api/notes", self._notes),
            Route("/api/profile", self._profile),
            Mount("/auth", routes=auth_routes(self.auth, same_site="Lax", **options)),
        ]
        self._app = Starlette(routes=routes, lifespan=lifespan)

    async def _notes(self, request: Request) -> Response:
        token = await self._require(request)
        self.seen = request.headers["authorization"]
        if self.seen == self.refused:
            return JSONResponse({}, 401, {"www-authenticate": "Bearer"})
        return JSONResponse({"user": token.username, "notes": [f"{token.username}: buy milk"]})

    async def _profile(self, request: Request) -> Response:
        token = await self._require(request)
        return JSONResponse({"name": token.username, "email": token.email})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; a refresh may be answered with something else, or late."""
        if scope["type"] == "http" and scope["path"].startswith("/auth"):
            self.forwarded = {name.decode(): value.decode() for name, value in scope["headers"]}
        if scope["type"] == "http" and scope["path"] == "/auth/refresh":
            self.refreshes += 1
            await asyncio.sleep(self.delay)
            if self.instead:
                status = self.instead.pop(0)
                if not status:
                    await self._app(scope, receive, _nowhere)
                await JSONResponse({"error": "token_stale"} if status == 409 else {}, status or 502)(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)

    def expire(self) -> None:
        """Let every access token expire, and the grace period go by."""
        self.ahead += 60_000

    def asked(self) -> int:
        """Return how many refreshes were asked for since this was last called."""
        count, self.refreshes = self.refreshes, 0
        return count

    def count(self, code: EventCode) -> int:
        return [event.code for event in self.events].count(code)


async def _nowhere(_: Message) -> None:
    """Drop what was to be sent."""


@contextmanager
def browsing(address: str, name: str | None = "alice") -> Iterator[httpx2.Client]:
    """Return a browser, logged in through the site."""
    with httpx2.Client(base_url=address, headers=NAVIGATION, timeout=30) as browser:
        if name is not None:
            answer = browser.post("/auth/login", json={"username": name, "password": PASSWORD})
            assert 200 == answer.status_code
        yield browser
