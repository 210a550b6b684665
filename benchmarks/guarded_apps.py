"""Applications with a guarded route, ``/me``, and one that only reads the ``Authorization`` header, ``/open``.

In FastAPI, ``/open`` has FastAPI's own `HTTPBearer`, and ``/header`` a dependency that returns the header. ``/token``
returns an access token. They do nothing else, and keep sessions in memory.
"""

from typing import Annotated, Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from flask import Flask, request

from daypass import AccessToken, AsyncDaypass, Daypass, User
from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.web.django import bearer as django_bearer
from daypass.web.fastapi import bearer as fastapi_bearer
from daypass.web.flask import bearer as flask_bearer

USER = User("7", "ann", "ann@example.com")
ISSUER = "http://127.0.0.1:1"


def fastapi_app() -> FastAPI:
    """Return the application in FastAPI."""

    async def load_user(_: str) -> User:
        return USER

    auth = AsyncDaypass(AsyncMemoryStore(), issuer=ISSUER, load_user=load_user, secret="0" * 32)
    app = FastAPI()

    async def header(request: Request) -> str:
        return request.headers.get("authorization", "")

    @app.get("/header")
    async def _header(_: Annotated[str, Depends(header)]) -> str:
        return "ok"

    @app.get("/open")
    async def _open(_: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
        return "ok"

    @app.get("/me")
    async def _me(_: Annotated[AccessToken, Depends(fastapi_bearer(auth))]) -> str:
        return "ok"

    @app.get("/token")
    async def _token() -> PlainTextResponse:
        return PlainTextResponse((await auth.start(USER)).access_token)

    return app


def flask_app() -> Flask:
    """Return the application in Flask."""
    auth = _daypass()
    app, require = Flask(__name__), flask_bearer(auth)

    @app.get("/open")
    def _open() -> str:
        request.headers.get("Authorization")
        return "ok"

    @app.get("/me")
    def _me() -> str:
        require()
        return "ok"

    @app.get("/token")
    def _token() -> str:
        return auth.start(USER).access_token

    return app


def django_app() -> WSGIHandler:
    """Return the application in Django; once in a process."""
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])
    django.setup()
    auth = _daypass()
    require = django_bearer(auth)

    def ok() -> HttpResponse:
        return HttpResponse("ok", headers={"Content-Length": "2"})

    def _open(request: HttpRequest) -> HttpResponse:
        request.headers.get("Authorization")
        return ok()

    def _me(request: HttpRequest) -> HttpResponse:
        require(request)
        return ok()

    def _token(_: HttpRequest) -> HttpResponse:
        return HttpResponse(auth.start(USER).access_token)

    urlpatterns.extend((path("open", _open), path("me", _me), path("token", _token)))
    return WSGIHandler()


urlpatterns: list[Any] = []
"""The routes of `django_app`, where Django looks for them."""


def _daypass() -> Daypass:
    return Daypass(MemoryStore(), issuer=ISSUER, load_user=lambda _: USER, secret="0" * 32)
