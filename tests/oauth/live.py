"""An issuer with OAuth clients on a real socket, as an application would serve it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from daypass import AsyncDaypass, Event
from daypass.session_options import SessionOptions
from daypass.testing import Clock
from daypass.web import fastapi
from daypass.web.starlette import auth_routes, bearer, oauth_routes, well_known_routes

from ..servers.application import serving
from ..web.world import ALICE, PASSWORD, PEOPLE, SECRET
from .world import CLIENTS


class Served:
    """The application: it starts sessions for OAuth clients in its own way, and has one page.

    Its issuer is the address at which it is served, so it is put together when that is known.
    """

    def __init__(self, framework: str = "starlette", *, dpop: bool = False) -> None:
        self.framework = framework
        self.dpop = dpop
        self.clock = Clock()
        self.events: list[Event] = []
        self.address = ""
        self._app: ASGIApp | None = None

    def put_together(self, address: str) -> None:
        self.address = address
        auth = self._auth = AsyncDaypass(
            "memory:",
            issuer=address,
            secret=SECRET,
            load_user={user.subject: user for user in PEOPLE.values()}.get,
            authenticate=lambda name, password: PEOPLE.get(name) if password == PASSWORD else None,
            on_event=self.events.append,
            clock=self.clock,
            dpop=self.dpop,
        )
        require = bearer(auth)

        async def begin(request: Request) -> JSONResponse:
            wanted = request.query_params
            own_key: SessionOptions = {"key": json.loads(body)} if (body := await request.body()) else {}
            tokens = await auth.start(ALICE, client_id=wanted["client_id"], scope=wanted.get("scope"), **own_key)
            return JSONResponse({"access_token": tokens.access_token, "refresh_token": tokens.refresh_token})

        async def profile(request: Request) -> JSONResponse:
            token = await require(request)
            return JSONResponse({"user": token.subject, "client": token.client_id, "scope": token.scope})

        own: list[BaseRoute] = [Route("/begin", begin, methods=["POST"]), Route("/profile", profile, methods=["GET"])]
        if self.framework == "fastapi":
            app: Any = FastAPI(routes=own)
            app.include_router(fastapi.auth_router(auth), prefix="/auth")
            app.include_router(fastapi.oauth_router(auth, clients=CLIENTS), prefix="/oauth")
            app.include_router(fastapi.well_known_router(auth, clients=CLIENTS))
        else:
            mounts = [
                Mount("/auth", routes=auth_routes(auth)),
                Mount("/oauth", routes=oauth_routes(auth, clients=CLIENTS)),
            ]
            app = Starlette(routes=[*own, *mounts, *well_known_routes(auth, clients=CLIENTS)])
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._auth.close()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            assert self._app is not None
            await self._app(scope, receive, send)

    def begin(self, client_id: str = "reader", scope: str = "read write") -> "Begun":
        """Start a session for a client; return its tokens."""
        answer = httpx2.post(f"{self.address}/begin", params={"client_id": client_id, "scope": scope}).json()
        return Begun(**answer)

    def opens(self, access_token: str) -> int:
        """Return with which status an access token opens the application's page."""
        headers = {"authorization": f"Bearer {access_token}"}
        return httpx2.get(f"{self.address}/profile", headers=headers).status_code


@dataclass(frozen=True)
class Begun:
    """A session's first tokens."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@contextmanager
def served(framework: str = "starlette", *, dpop: bool = False) -> Iterator[Served]:
    application = Served(framework, dpop=dpop)
    with serving(application) as address:
        application.put_together(address)
        yield application
