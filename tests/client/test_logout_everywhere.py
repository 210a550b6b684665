"""``logout(client, everywhere=True)`` in every library: the sessions of all devices end, on Daypass's own server."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from daypass import AsyncDaypass, ConfigurationError, User
from daypass.client.endpoints import Endpoints
from daypass.client.httpx import DaypassAuth
from daypass.client.oauth import OAuth
from daypass.testing.client_subjects import (
    AioHttp,
    AsyncHttpx,
    AsyncHttpx2,
    AsyncNiquests,
    AsyncOurs,
    Httpx,
    Httpx2,
    Niquests,
    Requests,
    Urllib3,
)
from daypass.testing.strict_server import PASSWORD
from daypass.web.starlette import auth_routes, bearer

from ..servers.application import serving
from .test_commands import PROGRAM

SUBJECTS = [Httpx2, Httpx, AsyncHttpx2, AsyncHttpx, Requests, Niquests, AsyncNiquests, Urllib3, AioHttp]
ADA = User("1", "ada")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the address of a server of Daypass's."""
    auth = AsyncDaypass(
        "memory:",
        issuer="http://127.0.0.1",
        load_user=lambda _: ADA,
        authenticate=lambda _, password: ADA if password == PASSWORD else None,
    )
    require = bearer(auth)

    async def me(request: Request) -> Response:
        return JSONResponse({"user": (await require(request)).username})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        async with auth:
            yield

    routes = [Route("/me", me), Mount("/auth", routes=auth_routes(auth))]
    with serving(Starlette(routes=routes, lifespan=lifespan), grace=1) as address:
        yield address


@pytest.fixture
def phone(address: str) -> str:
    """Return the refresh token of another device."""
    return str(login(address)["refreshToken"])


def login(address: str) -> Any:
    credentials = {"username": "ada", "password": PASSWORD, "tokenDelivery": "body"}
    return httpx2.post(f"{address}/auth/login", json=credentials).json()


def refresh(address: str, token: str) -> int:
    return httpx2.post(f"{address}/auth/refresh", json={"refreshToken": token}).status_code


def logout(user: Any, *, everywhere: bool) -> bool:
    if isinstance(user, AsyncOurs):
        return bool(user._run(user.auth.alogout(user.client, everywhere=everywhere)))
    return bool(user.auth.logout(user.client, everywhere=everywhere))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_logout_everywhere(subject: Any, address: str, phone: str) -> None:
    """A logout ends only its own session; one with ``everywhere`` ends that of the other device, too."""
    user = subject(address)
    user.login()
    assert logout(user, everywhere=False)
    assert 200 == refresh(address, phone)
    assert not logout(user, everywhere=True), "without a session nobody knows whose sessions to end"
    user.login()
    assert 200 == user.request("GET", "/me")
    assert logout(user, everywhere=True)
    assert 401 == refresh(address, phone)
    user.close()


def test_logout_everywhere_by_a_cookie(address: str, phone: str) -> None:
    """A session whose refresh token is a cookie can do it, too."""
    auth = DaypassAuth(f"{address}/auth", strategy=Endpoints(delivery="cookie"))
    with httpx2.Client() as client:
        auth.login(client, username="ada", password=PASSWORD)
        assert auth.logout(client, everywhere=True)
    assert 401 == refresh(address, phone)


def test_session_that_had_ended(address: str, phone: str) -> None:
    """If the server does not know the session any longer, no session is ended and the result is False."""
    auth = DaypassAuth(f"{address}/auth")
    with httpx2.Client() as client:
        auth.login(client, username="ada", password=PASSWORD)
        tokens = auth.context.session.tokens
        assert tokens is not None
        httpx2.post(f"{address}/auth/logout", json={"refreshToken": tokens.refresh_token})
        assert not auth.logout(client, everywhere=True)
    assert 200 == refresh(address, phone)


@pytest.mark.parametrize("kind", ["OAuth", "FunctionStrategy"])
def test_server_that_cannot(kind: str, address: str) -> None:
    """If the server has no such logout the error says so, and the session continues."""
    grant = login(address)
    auth = (
        DaypassAuth(address, strategy=OAuth(token_endpoint=f"{address}/oauth/token", client_id="app"))
        if kind == "OAuth"
        else DaypassAuth(address, strategy=lambda _: grant["accessToken"])
    )
    auth.start(access_token=grant["accessToken"], refresh_token=grant["refreshToken"])
    with httpx2.Client(auth=auth) as client:
        with pytest.raises(ConfigurationError, match=f"{kind} cannot end the sessions of all devices"):
            auth.logout(client, everywhere=True)
        assert 200 == client.get(f"{address}/me").status_code


def test_command(address: str, phone: str, tmp_path: Path) -> None:
    """`daypass logout --everywhere` says whether it was done; then there is no session here either."""
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}

    def daypass(*arguments: str) -> tuple[int, str]:
        command = [*PROGRAM, *arguments]
        done = subprocess.run(command, input=PASSWORD, env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    assert 0 == daypass("login", f"{address}/auth", "--username", "ada")[0]
    assert (0, "Logged out on every device\n") == daypass("logout", "--everywhere")
    assert 401 == refresh(address, phone)
    assert 1 == daypass("logout", "--everywhere")[0]
