"""The application that `daypass serve` runs: the endpoints, the public keys and a health check."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Unpack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from daypass.errors import StoreError
from daypass.issuer import AsyncDaypass
from daypass.server.configuration import Configuration
from daypass.server.users import Users
from daypass.store_steps import Probe, ReadKeys
from daypass.stores import AsyncStore, open_async_store
from daypass.web import Application
from daypass.web.clients import Client
from daypass.web.login_slots import processors
from daypass.web.openapi import AUTH, METADATA, OAUTH, WELL_KNOWN, document
from daypass.web.options import Options
from daypass.web.starlette import auth_routes, oauth_routes, well_known_routes

HEALTHY_SECONDS = 1
"""After a probe of the store that succeeded, `/healthz` does not make another."""


def open_service(configuration: Configuration) -> Starlette:
    """Open the store, and return the application that ``configuration`` describes.

    Raises:
        ConfigurationError: a setting cannot work; nothing was made or changed.
        StoreError: the store cannot be used; nothing was made or changed.
    """
    store = open_async_store(configuration.store)
    users = Users(store)
    try:
        asyncio.run(_look_at(store))
        auth = AsyncDaypass(
            store,
            issuer=configuration.issuer,
            secret=configuration.secret,
            load_user=users.load,
            authenticate=users.check,
            **configuration.lifetimes,
        )
        asyncio.run(auth.jwks())
    except BaseException:
        asyncio.run(store.close())
        raise
    return build_app(auth, store, clients=configuration.clients, **configuration.options)


async def _look_at(store: AsyncStore) -> None:
    """Check that an existing database can be used, before a secret is made beside it.

    Raises:
        StoreError: it cannot.
    """
    path = getattr(store, "path", None)
    if path is not None and path.exists():
        await store.perform(ReadKeys())


def build_app(
    auth: AsyncDaypass, store: AsyncStore, *, clients: tuple[Client, ...] = (), **options: Unpack[Options]
) -> Starlette:
    """Return the application around ``auth``; it closes the store when it ends."""
    healthy_until = 0.0

    async def health(_: Request) -> JSONResponse:
        nonlocal healthy_until
        now = asyncio.get_running_loop().time()
        if now >= healthy_until:  # a probe writes, and anyone may ask
            try:
                await store.perform(Probe())
            except StoreError as error:
                return JSONResponse({"status": "store unavailable"}, error.status, {"retry-after": "1"})
            healthy_until = now + HEALTHY_SECONDS
        return JSONResponse({"status": "ok"})

    options.setdefault("concurrent_logins", processors())  # `Users.check` is async, and hashes in threads
    application = Application(auth, clients=clients, **options)
    mounted = {"/auth": AUTH, "": WELL_KNOWN}
    if clients:
        mounted |= {"/oauth": OAUTH, "": {**WELL_KNOWN, **METADATA}}
    description = document("Daypass", version("daypass"), mounted)

    async def describe(_: Request) -> JSONResponse:
        return JSONResponse(description)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with auth:
            yield

    routes = [
        Mount("/auth", routes=auth_routes(application)),
        *([Mount("/oauth", routes=oauth_routes(application))] if clients else []),
        *well_known_routes(application),
        Route("/openapi.json", describe, methods=["GET"]),
        Route("/healthz", health, methods=["GET"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _refuse, 500: _refuse})
    app.router.redirect_slashes = False
    return app


def _refuse(_: Request, error: Exception) -> JSONResponse:
    """Answer other failures, such as a wrong path or method, in the shape that all failures have."""
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse({"message": status.phrase, "error": status.name.lower()}, status, headers)
