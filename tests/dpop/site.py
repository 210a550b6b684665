"""An application on a real socket whose sessions may be bound, and what was sent to it."""

import base64
import json
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from daypass import AsyncDaypass, Event, User
from daypass.web import Application
from daypass.web.clients import Client
from daypass.web.starlette import auth_routes, bearer, oauth_routes, well_known_routes

ANN = User("7", username="ann", scope="read")
CLIENTS = [Client("cli", scope="read")]


class Site:
    """An issuer, its API, and every request that came.

    Attributes:
        seen: path, ``Authorization`` and ``DPoP`` of each request.
        elsewhere: where ``/away`` redirects to.
        early: how many requests to refuse as if their access token had expired.
    """

    def __init__(self, **options: Any) -> None:
        self.options: dict[str, Any] = {"dpop": True} | options
        self.events: list[Event] = []
        self.seen: list[tuple[str, str | None, str | None]] = []
        self.elsewhere = ""
        self.early = 0
        self.clients: list[httpx2.Client] = []
        self.url = ""
        self.app: ASGIApp

    def client(self) -> httpx2.Client:
        """Return a new client, which is closed after the test."""
        self.clients.append(httpx2.Client(base_url=self.url, follow_redirects=True))
        return self.clients[-1]

    def build(self, url: str) -> None:
        """Put it together at its address."""
        self.url = url
        self.issuer = AsyncDaypass(
            "memory:",
            issuer=url,
            load_user={"7": ANN}.get,
            authenticate=lambda name, _: ANN,
            on_event=self.events.append,
            **self.options,
        )
        application = Application(self.issuer, clients=CLIENTS)
        require = bearer(application)

        async def me(request: Request) -> Response:
            token = await require(request)
            if self.early:
                self.early -= 1
                challenge = 'DPoP error="invalid_token", algs="ES256"'
                return JSONResponse({}, 401, {"www-authenticate": challenge})
            return JSONResponse({"user": token.subject, "bytes": len(await request.body())})

        async def hop(request: Request) -> Response:
            await require(request)
            return RedirectResponse("/me?by=hop", int(request.path_params["status"]))

        async def away(request: Request) -> Response:
            await require(request)
            return RedirectResponse(f"{self.elsewhere}/me", 307)

        self.app = Starlette(
            routes=[
                Route("/me", me, methods=["GET", "POST"]),
                Route("/hop/{status}", hop, methods=["GET", "POST"]),
                Route("/away", away, methods=["GET", "POST"]),
                Mount("/auth", routes=auth_routes(application)),
                Mount("/oauth", routes=oauth_routes(application)),
                *well_known_routes(application),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["path"], headers.get(b"authorization"), headers.get(b"dpop")))
        await self.app(scope, receive, send)

    @property
    def codes(self) -> list[str]:
        return [str(event.code) for event in self.events]

    def proofs(self, path: str | None = None) -> list[dict[str, Any]]:
        """Return the claims of the proofs that came, or those at one path."""
        return [claims_of(proof) for at, _, proof in self.seen if proof is not None and path in (None, at)]


def claims_of(proof: str, part: int = 1) -> dict[str, Any]:
    """Return the claims of a proof, or with ``part=0`` its header."""
    segment = proof.split(".")[part]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return found
