"""Daypass in Starlette, over real HTTP."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from daypass.web.asgi import auth_routes, bearer, well_known_routes

from .live import Application, Mounted, told


def refusal(_code: str) -> bytes:
    return b"Unauthorized"


class TestStarlette(Mounted):
    refusal = refusal
    makers = (auth_routes, well_known_routes, bearer)

    def mount(self, application: Application, prefix: str = "/auth", **options: Any) -> ASGIApp:
        auth = application.auth
        require = bearer(auth)

        async def profile(request: Request) -> JSONResponse:
            return JSONResponse(told(await require(request)))

        routes = [
            Mount(prefix, routes=auth_routes(auth, authenticate=application.check, **options)),
            *well_known_routes(auth),
            Route("/profile", profile),
        ]
        return Starlette(routes=routes, lifespan=application.lifespan)
