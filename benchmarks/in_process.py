"""What Daypass costs inside one process, without a socket: a refresh, and checking the token of a request.

The refresh goes through the whole ASGI application, with sixteen sessions in memory and ``grace_period=0``, so that
each one is a rotation. Its floor is the bare ES256 signature.

The floor of a guard is an application without it that also reads the ``Authorization`` header, as the framework's own
documentation does it, and does nothing with it. No server is around either.
"""

import asyncio
import io
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from wsgiref.types import WSGIApplication

import django
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import Depends, FastAPI, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from flask import Flask, request
from measure import head, microseconds, row

from daypass import AccessToken, AsyncDaypass, Daypass, User
from daypass.keys import SigningKey
from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.web.asgi import auth_app
from daypass.web.django import bearer as django_bearer
from daypass.web.fastapi import bearer as fastapi_bearer
from daypass.web.flask import bearer as flask_bearer

USER = User("7", "ann", "ann@example.com")
ISSUER = "http://127.0.0.1:1"
SESSIONS = 16
ROUNDS = 40
CALLS = 96


async def load_user(_: str) -> User:
    return USER


def scope_of(path: str, *headers: tuple[bytes, bytes], method: str = "POST") -> dict[str, Any]:
    """Return the ASGI scope of a request on loopback."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 1),
        "client": ("127.0.0.1", 2),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:1"), (b"content-length", b"0"), *headers],
        "state": {},
    }


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def refreshing() -> Callable[[], Awaitable[None]]:
    """Return what refreshes the next of the sessions."""
    auth = AsyncDaypass(AsyncMemoryStore(), issuer=ISSUER, load_user=load_user, grace_period=0, secret="0" * 32)
    app = auth_app(auth, rate_limits=None)
    cookies = [f"daypass-1={(await auth.start(USER)).refresh_token}".encode() for _ in range(SESSIONS)]
    turns = itertools.cycle(range(SESSIONS))

    async def refresh() -> None:
        turn = next(turns)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200
                cookies[turn] = dict(message["headers"])[b"set-cookie"].partition(b";")[0]

        await app(scope_of("/refresh", (b"cookie", cookies[turn])), receive, send)

    return refresh


async def cpu(call: Callable[[], Awaitable[object]]) -> float:
    """Return the CPU time of one call, in µs."""
    started = time.process_time()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - started) / CALLS * 1e6


async def refresh_rows() -> None:
    refresh, private = await refreshing(), SigningKey.generate("ES256").key.private_key
    assert isinstance(private, EllipticCurvePrivateKey)

    async def signature() -> None:
        private.sign(b"x" * 500, ECDSA(SHA256()))

    pairs = [(await cpu(refresh), await cpu(signature)) for _ in range(ROUNDS)]
    ours, bare = (min(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    row("a refresh, in memory", f"{ours:.0f}", f"{bare:.0f}", f"{ratio:.2f}", "≤ 6.2 bare signatures", met=ratio <= 6.2)


async def fastapi_row() -> None:
    auth = AsyncDaypass(AsyncMemoryStore(), issuer=ISSUER, load_user=load_user, secret="0" * 32)
    app = FastAPI()

    async def header(request: Request) -> str:
        return request.headers.get("authorization", "")

    @app.get("/header")
    async def _header(_: Annotated[str, Depends(header)]) -> str:
        return "ok"

    @app.get("/scheme")
    async def _scheme(_: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
        return "ok"

    @app.get("/me")
    async def _me(_: Annotated[AccessToken, Depends(fastapi_bearer(auth))]) -> str:
        return "ok"

    sent = (b"authorization", f"Bearer {(await auth.start(USER)).access_token}".encode())

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    def asks(path: str) -> Callable[[], Awaitable[None]]:
        return lambda: app(scope_of(path, sent, method="GET"), receive, send)

    routes = ("/me", "/scheme", "/header")
    taken = [[await cpu(asks(route)) for route in routes] for _ in range(ROUNDS)]
    share_row("FastAPI, over its HTTPBearer", [(ours, scheme) for ours, scheme, _ in taken])
    share_row("FastAPI, over a bare dependency", [(ours, header) for ours, _, header in taken], decides=False)
    await auth.close()


def flask_row() -> None:
    auth = Daypass(MemoryStore(), issuer=ISSUER, load_user=lambda _: USER, secret="0" * 32)
    app, require = Flask(__name__), flask_bearer(auth)

    @app.get("/open")
    def _open() -> str:
        request.headers.get("Authorization")
        return "ok"

    @app.get("/me")
    def _me() -> str:
        require()
        return "ok"

    share_row("Flask", wsgi_pairs(app, auth))


def django_row() -> None:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])
    django.setup()
    auth = Daypass(MemoryStore(), issuer=ISSUER, load_user=lambda _: USER, secret="0" * 32)
    require = django_bearer(auth)

    def _open(request: HttpRequest) -> HttpResponse:
        request.headers.get("Authorization")
        return HttpResponse("ok")

    def _me(request: HttpRequest) -> HttpResponse:
        require(request)
        return HttpResponse("ok")

    urlpatterns.extend((path("open", _open), path("me", _me)))
    share_row("Django", wsgi_pairs(WSGIHandler(), auth))


urlpatterns: list[Any] = []
"""The routes of `django_row`, where Django looks for them."""


def wsgi_pairs(app: WSGIApplication, auth: Daypass) -> list[tuple[float, float]]:
    """Return the µs of a request to ``/me`` and of one to ``/open``, in each round."""
    sent = f"Bearer {auth.start(USER).access_token}"

    def asks(path: str) -> Callable[[], object]:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "1",
            "HTTP_HOST": "127.0.0.1:1",
            "HTTP_AUTHORIZATION": sent,
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
        }

        def answered(status: str, *_: object) -> Any:
            assert status.startswith("200")

        return lambda: list(app(dict(environ), answered))

    ours, bare = asks("/me"), asks("/open")
    pairs = [(microseconds(ours), microseconds(bare)) for _ in range(ROUNDS)]
    auth.close()
    return pairs


def share_row(name: str, pairs: list[tuple[float, float]], *, decides: bool = True) -> None:
    ours, bare = (statistics.median(each) for each in zip(*pairs, strict=True))
    share = statistics.median((one - other) / one for one, other in pairs)
    budget, met = ("≤ 3 % of it", share <= 0.03) if decides else ("", None)
    row(f"a known token, {name}", f"{ours:.1f}", f"{bare:.1f}", f"{share:.1%}", budget, met=met)


def main() -> None:
    head("In one process (µs of CPU)")
    asyncio.run(refresh_rows())
    asyncio.run(fastapi_row())
    flask_row()
    django_row()


if __name__ == "__main__":
    main()
