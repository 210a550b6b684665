"""The application that `daypass serve` runs: the endpoints, the public keys and the health checks."""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Unpack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from daypass.errors import StoreUnavailable
from daypass.issuer import AsyncDaypass
from daypass.server.admin.page import admin_routes
from daypass.server.configuration import Configuration
from daypass.server.observing import Observing, Routes
from daypass.server.oidc.description import OIDC
from daypass.server.oidc.options import OidcOptions
from daypass.server.readiness import Readiness
from daypass.server.user_source import UserSource
from daypass.server.users import Users
from daypass.store_steps import ReadKeys
from daypass.stores import AsyncStore, open_async_store
from daypass.web import Application
from daypass.web.clients import Client
from daypass.web.login_slots import processors
from daypass.web.openapi import AUTH, METADATA, OAUTH, WELL_KNOWN, document
from daypass.web.options import Options
from daypass.web.starlette import auth_routes, oauth_routes, well_known_routes

_log = logging.getLogger("daypass")


async def open_service(configuration: Configuration, readiness: Readiness) -> Starlette:
    """Open the store, and return the application that ``configuration`` describes.

    If a database server cannot be reached, the application answers 503 until it can.

    Raises:
        ConfigurationError: a setting is invalid; nothing was created or changed.
        StoreError: the SQLite file cannot be used; nothing was created or changed.
    """
    store = open_async_store(configuration.store)
    users = configuration.users or Users(store)
    try:
        await _look_at(store)
        auth = AsyncDaypass(
            store,
            issuer=configuration.issuer,
            secret=configuration.secret,
            load_user=users.load,
            authenticate=users.check,
            audit_ttl=configuration.audit_ttl,
            device_bound=configuration.device_bound,
            dpop=configuration.dpop or False,
            **configuration.lifetimes,
        )
        auth.flows.with_accounts = configuration.users is None
        await _read_keys(auth, store)
    except BaseException:
        await store.close()
        raise
    return build_app(
        auth,
        store,
        users=users,
        clients=configuration.clients,
        readiness=readiness,
        metrics_token=configuration.metrics_token,
        otlp_endpoint=configuration.otlp_endpoint,
        admin=configuration.admin,
        oidc=configuration.oidc,
        own_users=configuration.users is not None,
        **configuration.options,
    )


async def _look_at(store: AsyncStore) -> None:
    """Check that an existing database can be used, before a secret is created beside it.

    Raises:
        StoreError: it cannot be used.
    """
    path = getattr(store, "path", None)
    if path is not None and path.exists():
        await store.perform(ReadKeys())


async def _read_keys(auth: AsyncDaypass, store: AsyncStore) -> None:
    """Read the keys, or create the first ones; a server that is unreachable now may be reachable later."""
    try:
        await auth.jwks()
    except StoreUnavailable as error:
        if hasattr(store, "path"):  # a file does not become usable by itself
            raise
        _log.warning("waiting for the store: %s", error)


def build_app(
    auth: AsyncDaypass,
    store: AsyncStore,
    *,
    clients: tuple[Client, ...] = (),
    users: UserSource | None = None,
    readiness: Readiness | None = None,
    metrics_token: str | None = None,
    otlp_endpoint: str | None = None,
    admin: str = "auto",
    oidc: OidcOptions | None = None,
    own_users: bool = False,
    **options: Unpack[Options],
) -> Starlette:
    """Return the application around ``auth``; at the end it closes the store and the source of users."""
    readiness = readiness or Readiness()

    async def live(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> JSONResponse:
        reason = await readiness.reason(auth, store)
        if reason is None:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": reason}, 503, {"retry-after": "1"})

    if users is None or users.hashes:
        options.setdefault("concurrent_logins", processors())  # the check is async, and hashes in threads
    application = Application(auth, clients=clients, **options)
    mounted = {"/auth": AUTH, "": WELL_KNOWN}
    if clients:
        mounted |= {"/oauth": OAUTH, "": {**WELL_KNOWN, **METADATA}}
    further: list[Route] = []
    if oidc is not None:
        from daypass.server.oidc import mounted_routes

        mounted["/auth"] = {**AUTH, **OIDC}
        further = mounted_routes(application, oidc, own_users=own_users)
    description = document("Daypass", version("daypass"), mounted)

    async def describe(_: Request) -> JSONResponse:
        return JSONResponse(description)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with auth:
            yield
        if users is not None:
            await users.close()
        if telemetry is not None:
            await telemetry.close()

    routes = [
        Mount("/auth", routes=[*auth_routes(application), *further]),
        *([Mount("/oauth", routes=oauth_routes(application))] if clients else []),
        *well_known_routes(application),
        Route("/openapi.json", describe, methods=["GET"]),
        Route("/healthz", live, methods=["GET"]),
        Route("/readyz", ready, methods=["GET"]),
    ]
    process = secrets.token_hex(4)
    if metrics_token is not None:
        from daypass.server.metrics import MetricsEndpoint

        routes.append(Route("/metrics", MetricsEndpoint(auth, metrics_token, process).answer, methods=["GET"]))
    built_in = users is None or isinstance(users, Users)
    operators = admin_routes(application, admin, built_in=built_in, audited=auth.is_audited, provider=oidc is not None)
    routes += operators
    counted = Routes(frozenset(description["paths"]) | {route.path for route in operators})
    middleware = [Middleware(Observing, auth.tally, counted)]
    telemetry = None
    if otlp_endpoint is not None:
        from daypass.server.telemetry import Telemetry, Tracing

        telemetry = Telemetry(auth, otlp_endpoint, process)
        if telemetry.tracer is not None:
            middleware.insert(0, Middleware(Tracing, telemetry.tracer, counted))
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=middleware,
        exception_handlers={HTTPException: _refuse, 500: _refuse},
    )
    app.router.redirect_slashes = False
    app.state.reason = partial(readiness.reason, auth, store)
    return app


def _refuse(_: Request, error: Exception) -> JSONResponse:
    """Answer other failures, such as a wrong path or method, with the JSON shape of all failures."""
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse({"message": status.phrase, "error": status.name.lower()}, status, headers)
