"""Daypass in FastAPI, over real HTTP."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from daypass import AccessToken
from daypass.web.clients import Client
from daypass.web.fastapi import REFUSALS, auth_router, bearer, oauth_router, well_known_router

from .live import Application, Mounted, told
from .world import body_of


def refusal(code: str) -> bytes:
    return b'{"detail":' + body_of(code) + b"}"


def build(
    application: Application, prefix: str = "/auth", *, clients: tuple[Client, ...] = (), **options: Any
) -> FastAPI:
    auth = application.auth
    app = FastAPI(lifespan=application.lifespan)
    app.include_router(auth_router(auth, authenticate=application.check, **options), prefix=prefix)
    app.include_router(well_known_router(auth, clients=clients))
    if clients:
        app.include_router(oauth_router(auth, clients=clients), prefix="/oauth")

    @app.get("/profile", responses=REFUSALS)
    async def profile(token: Annotated[AccessToken, Depends(bearer(auth))]) -> dict[str, Any]:
        return told(token)

    return app


class TestFastAPI(Mounted):
    refusal = refusal
    makers = (auth_router, well_known_router, bearer)

    def mount(self, application: Application, prefix: str = "/auth", **options: Any) -> ASGIApp:
        return build(application, prefix, **options)
