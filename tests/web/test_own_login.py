"""``log_in`` and ``log_out`` in endpoints of an application's own, over real HTTP, in each framework."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request, Response
from flask import Flask, jsonify
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from daypass import AsyncDaypass, Daypass, User
from daypass.web import Application, asgi, fastapi, flask, starlette, wsgi
from daypass.web.asgi_pages import Pages
from daypass.web.own_login import LoginRefused

from ..cookie_names import refresh_cookie, without_port
from ..servers import application as asgi_server
from ..servers import wsgi as wsgi_server
from .world import ALICE, ISSUER, PEOPLE, SECRET

GONE = User("gone", disabled=True)
EVERYWHERE = "everywhere"
CROSS = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}


OPTIONS: dict[str, Any] = {"device_name": "phone", "persistent": False}
"""What a login says of its session, in each framework."""


def issuer(kind: type[Any], **arguments: Any) -> Any:
    users = {user.subject: user for user in PEOPLE.values()}
    return kind("memory:", issuer=ISSUER, secret=SECRET, load_user=users.get, **arguments)


def user_of(path: str) -> User:
    return GONE if path.endswith("gone") else ALICE


def content(tokens: Any) -> dict[str, Any]:
    return {"accessToken": tokens.access_token, "expiresIn": tokens.expires_in}


def starlette_site(auth: Any) -> Any:
    async def sign_up(request: StarletteRequest) -> JSONResponse:
        response = JSONResponse({})
        tokens = await starlette.log_in(auth, request, response, user_of(request.url.path), **OPTIONS)
        response.body = json.dumps(content(tokens)).encode()
        response.headers["content-length"] = str(len(response.body))
        return response

    async def leave(request: StarletteRequest) -> JSONResponse:
        response = JSONResponse({})
        await starlette.log_out(auth, request, response, everywhere=EVERYWHERE in request.url.query)
        return response

    both = ["GET", "POST"]
    routes = [Route(path, sign_up, methods=both) for path in ("/sign-up", "/sign-up/gone")]
    return Starlette(routes=[*routes, Route("/leave", leave, methods=both)])


def fastapi_site(auth: Any) -> Any:
    app = FastAPI()

    @app.api_route("/sign-up", methods=["GET", "POST"])
    @app.api_route("/sign-up/gone", methods=["GET", "POST"])
    async def sign_up(request: Request, response: Response) -> dict[str, Any]:
        return content(await fastapi.log_in(auth, request, response, user_of(request.url.path), **OPTIONS))

    @app.api_route("/leave", methods=["GET", "POST"])
    async def leave(request: Request, response: Response) -> dict[str, Any]:
        await fastapi.log_out(auth, request, response, everywhere=EVERYWHERE in request.url.query)
        return {}

    return app


def asgi_site(auth: Any) -> Any:
    async def app(scope: Any, _: Any, send: Any) -> None:
        headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
        body: dict[str, Any] = {}
        try:
            if scope["path"] == "/leave":
                await asgi.log_out(auth, scope, headers, everywhere=EVERYWHERE.encode() in scope["query_string"])
            else:
                user = user_of(scope["path"])
                body = content(await asgi.log_in(auth, scope, headers, user, **OPTIONS))
        except LoginRefused as error:
            await asgi.send_response(error.response, scope, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    return app


def flask_site(auth: Any) -> Any:
    app = Flask(__name__)

    @app.route("/sign-up", methods=["GET", "POST"])
    @app.route("/sign-up/gone", methods=["GET", "POST"])
    def sign_up() -> Any:
        response = jsonify()
        tokens = flask.log_in(auth, flask_request, response, user_of(flask_request.path), **OPTIONS)
        response.data = json.dumps(content(tokens))
        return response

    @app.route("/leave", methods=["GET", "POST"])
    def leave() -> Any:
        response = jsonify()
        flask.log_out(auth, flask_request, response, everywhere=EVERYWHERE in flask_request.args)
        return response

    return app


def wsgi_site(auth: Any) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        headers = [("content-type", "application/json")]
        body: dict[str, Any] = {}
        try:
            if environ["PATH_INFO"] == "/leave":
                wsgi.log_out(auth, environ, headers, everywhere=EVERYWHERE in environ["QUERY_STRING"])
            else:
                user = user_of(environ["PATH_INFO"])
                body = content(wsgi.log_in(auth, environ, headers, user, **OPTIONS))
        except LoginRefused as error:
            return wsgi.send(error.response, environ, start_response)
        start_response("200 OK", headers)
        return [json.dumps(body).encode()]

    return app


Site = tuple[type[Any], Callable[[Any], Any], Callable[[Any], AbstractContextManager[str]]]
SITES: dict[str, Site] = {
    "starlette": (AsyncDaypass, starlette_site, asgi_server.serving),
    "fastapi": (AsyncDaypass, fastapi_site, asgi_server.serving),
    "asgi": (AsyncDaypass, asgi_site, asgi_server.serving),
    "flask": (Daypass, flask_site, wsgi_server.serving),
    "wsgi": (Daypass, wsgi_site, wsgi_server.serving),
}


@contextmanager
def served(name: str, *, as_application: bool = True) -> Iterator[tuple[Any, httpx2.Client]]:
    kind, site, serve = SITES[name]
    auth = issuer(kind)
    given = Application(auth, cookie_name="shop") if as_application else auth
    with serve(site(given)) as address, httpx2.Client(base_url=address) as client:
        yield auth, client


@pytest.mark.parametrize("name", SITES)
def test_an_endpoint_of_its_own_logs_in_and_out(name: str) -> None:
    """The cookie is the application's, the answer is not stored, and a logout removes the cookie."""
    with served(name) as (_, client):
        answer = client.post("/sign-up")
        assert (200, ["shop"]) == (answer.status_code, list(answer.cookies))
        assert {"accessToken", "expiresIn"} == answer.json().keys()
        assert "no-store" == answer.headers["cache-control"]
        first = dict(client.cookies)
        client.post("/sign-up")
        assert first != dict(client.cookies)
        assert 200 == client.post("/leave").status_code
        assert {} == dict(client.cookies)
        assert 200 == client.post("/leave").status_code


@pytest.mark.parametrize("name", SITES)
def test_login_that_is_not_remembered_goes_with_the_browser(name: str) -> None:
    """With ``persistent=False`` the cookie has no ``Max-Age``."""
    with served(name) as (_, client):
        answer = client.post("/sign-up")
        assert "shop=" in answer.headers["set-cookie"]
        assert "max-age" not in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("name", SITES)
def test_an_endpoint_of_its_own_logs_out_everywhere(name: str) -> None:
    """``log_out(…, everywhere=True)`` ends the user's other sessions too; without a login it is refused."""
    with served(name) as (_, client):
        client.post("/sign-up")
        elsewhere = dict(client.cookies)
        client.cookies.clear()
        client.post("/sign-up")
        assert (200, {}) == (client.post("/leave?everywhere").status_code, dict(client.cookies))
        client.cookies.update(elsewhere)
        assert 401 == client.post("/leave?everywhere").status_code
        client.cookies.clear()
        assert 401 == client.post("/leave?everywhere").status_code


@pytest.mark.parametrize("name", SITES)
def test_another_sites_form_logs_nobody_in(name: str) -> None:
    """A form of another site neither logs in nor out (login CSRF): 403, no cookie, no session. A link may."""
    with served(name) as (_, client):
        refused = client.post("/sign-up", headers=CROSS)
        assert (403, {}) == (refused.status_code, dict(refused.cookies))
        assert 200 == client.get("/sign-up", headers=CROSS | {"sec-fetch-mode": "navigate"}).status_code
        assert 403 == client.post("/leave", headers=CROSS).status_code
        assert 403 == client.get("/leave", headers=CROSS).status_code
        assert ["shop"] == list(client.cookies)


@pytest.mark.parametrize("name", SITES)
def test_what_is_refused_sets_no_cookie(name: str) -> None:
    """A disabled user gets 401, plain HTTP from another machine 403; nothing is started."""
    with served(name) as (_, client):
        for answer, status in (
            (client.post("/sign-up/gone"), 401),
            (client.post("/sign-up", headers={"host": "api.example.com"}), 403),
        ):
            assert (status, {}) == (answer.status_code, dict(answer.cookies))


@pytest.mark.parametrize("name", SITES)
def test_an_issuer_alone_will_do(name: str) -> None:
    """An issuer in place of the application has the default options."""
    with served(name, as_application=False) as (_, client):
        assert ["daypass"] == without_port(client.post("/sign-up").cookies)


def test_the_session_that_a_login_replaces_is_ended() -> None:
    """The session that the browser had before ends, and the new one has its device."""
    auth = issuer(Daypass)
    with wsgi_server.serving(wsgi_site(auth)) as address, httpx2.Client(base_url=address) as client:
        client.post("/sign-up")
        client.post("/sign-up", headers={"user-agent": "browser"})
        (session,) = auth.sessions(ALICE.subject)
        assert ("phone", "browser", "127.0.0.1") == (
            session.device.name,
            session.device.user_agent,
            session.device.address,
        )
        assert auth.refresh(refresh_cookie(client.cookies)).session.id == session.id


def test_pages_around_the_endpoint_set_the_cookies() -> None:
    """Where `Pages` runs around the endpoint, a login sets both cookies, and a logout removes both."""
    auth = issuer(AsyncDaypass)
    with asgi_server.serving(Pages(starlette_site(auth), auth)) as address, httpx2.Client(base_url=address) as client:
        client.post("/sign-up")
        assert ["daypass", "daypass-access"] == without_port(client.cookies)
        client.post("/leave")
        assert {} == dict(client.cookies)
        assert 401 == client.post("/leave?everywhere").status_code
        client.post("/sign-up")
        assert (200, {}) == (client.post("/leave?everywhere").status_code, dict(client.cookies))


# ---- authenticate


def test_authenticate_gets_the_other_fields() -> None:
    """An ``authenticate`` with a parameter ``fields`` gets what else the login's body has: a second factor, say."""
    seen: list[Any] = []

    def authenticate(_name: str, _password: str, fields: dict[str, Any] | None = None) -> User | None:
        seen.append(fields)
        return ALICE if fields and fields.get("totp") == "123456" else None

    auth = issuer(Daypass, authenticate=authenticate)
    with wsgi_server.serving(wsgi.auth_app(auth)) as address, httpx2.Client(base_url=address) as client:
        body = {"username": "alice", "password": "x", "deviceName": "phone", "tokenDelivery": "cookie"}
        assert 401 == client.post("/login", json=body | {"totp": "000000"}).status_code
        assert 200 == client.post("/login", json=body | {"totp": "123456", "remember": True}).status_code
    assert [{"totp": "000000"}, {"totp": "123456", "remember": True}] == seen


def test_an_authenticate_with_two_parameters_gets_two() -> None:
    """A third parameter of another name, with a default, is not filled."""

    def authenticate(name: str, _password: str, database: str = "mine") -> User | None:
        return ALICE if (name, database) == ("alice", "mine") else None

    auth = issuer(Daypass, authenticate=authenticate)
    with wsgi_server.serving(wsgi.auth_app(auth)) as address:
        body = {"username": "alice", "password": "x", "fields": {"a": 1}}
        assert 200 == httpx2.post(f"{address}/login", json=body).status_code
