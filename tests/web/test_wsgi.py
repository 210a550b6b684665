"""Daypass in bare WSGI, over real HTTP, and how a request and a body are read from an environ."""

import io
import json
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx2
import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import run_wsgi_app

from daypass.errors import StoreError, TokenRejected
from daypass.web.bearer import bearer_token, unauthorized, unavailable
from daypass.web.clients import Client
from daypass.web.message import MAXIMUM_BODY, Response, answer, failure
from daypass.web.wsgi import auth_app, oauth_app, read_body, read_request, send, well_known_app

from ..servers.wsgi import serving
from .live import LOGIN, told
from .live_wsgi import MountedInWsgi, SyncApplication
from .world import ALICE, body_of

GONE = failure(400, "invalid_request", "The body is shorter than its Content-Length")


def profile_of(application: SyncApplication) -> WSGIApplication:
    auth = application.auth

    def profile(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/profile":
            return send(failure(404, "not_found"), environ, start_response)
        try:
            token = auth.run(bearer_token(read_request(environ)))
        except TokenRejected as error:
            return send(unauthorized(error), environ, start_response)
        except StoreError as error:
            return send(unavailable(error), environ, start_response)
        return send(answer(200, told(token)), environ, start_response)

    return profile


class TestWsgi(MountedInWsgi):
    refusal = body_of
    makers = (
        auth_app,
        lambda auth: oauth_app(auth, clients=[Client("app")]),
        lambda auth: well_known_app(answer_nothing, auth),
    )

    def mount(self, application: SyncApplication, prefix: str = "/auth", **options: Any) -> WSGIApplication:
        mounted = {prefix: validator(auth_app(application.auth, authenticate=application.check, **options))}
        return well_known_app(DispatcherMiddleware(profile_of(application), mounted), application.auth)


def answer_nothing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return send(Response(204), environ, start_response)


def test_an_unknown_path_is_404() -> None:
    """A path that is not one of the endpoints is a 404 of ours; one below a parameter too."""
    application = SyncApplication()
    with serving(auth_app(application.auth)) as address:
        for path in ("", "/", "/nowhere", "/login/", "/sessions/a/b", "/sessions/"):
            found = httpx2.post(address + path)
            assert (404, "not_found") == (found.status_code, found.json()["error"])
        refused = httpx2.get(f"{address}/login")
        assert (405, "POST, OPTIONS") == (refused.status_code, refused.headers["allow"])


def test_oauth() -> None:
    """The OAuth endpoints and their metadata are mounted in the same way."""
    application, clients = SyncApplication(), [Client("app")]
    oauth = DispatcherMiddleware(answer_nothing, {"/oauth": oauth_app(application.auth, clients=clients)})
    token = application.auth.start(ALICE, client_id="app").refresh_token
    with serving(well_known_app(oauth, application.auth, clients=clients)) as address:
        assert "token_endpoint" in httpx2.get(f"{address}/.well-known/oauth-authorization-server").json()
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}
        refreshed = httpx2.post(f"{address}/oauth/token", data=form)
        assert (200, "Bearer") == (refreshed.status_code, refreshed.json()["token_type"])
        assert 204 == httpx2.get(f"{address}/else").status_code


# ---- a request in an environ


def environ_of(body: bytes = b"", /, **entries: Any) -> WSGIEnvironment:
    environ: WSGIEnvironment = {"wsgi.input": io.BytesIO(body)}
    setup_testing_defaults(environ)
    return environ | entries


def test_headers() -> None:
    """Headers have lower-case names; keys that are not headers, and an empty content type, are left out."""
    environ = environ_of(
        HTTP_X_REQUEST_ID="7",
        HTTP_COOKIE="a=1; b=2",
        CONTENT_TYPE="text/plain",
        CONTENT_LENGTH="",
        HTTP_CONTENT_LENGTH="5",
        QUERY_STRING="a=%20b",
        REMOTE_ADDR="192.0.2.7",
        REQUEST_METHOD="POST",
    )
    request = read_request(environ, b"body", "id")
    expected = {"host": "127.0.0.1", "x-request-id": "7", "cookie": "a=1; b=2", "content-type": "text/plain"}
    assert expected == request.headers
    assert ("POST", "a=%20b", "192.0.2.7", b"body") == (request.method, request.query, request.address, request.body)
    assert ("http", "id") == (request.scheme, request.session_id)


@pytest.mark.parametrize(
    ("entries", "host"),
    [
        ({"HTTP_HOST": "shop.example.com:8443"}, "shop.example.com:8443"),
        ({"HTTP_HOST": ""}, ""),
        ({"SERVER_NAME": "shop", "SERVER_PORT": "8000"}, "shop:8000"),
        ({"SERVER_NAME": "shop", "SERVER_PORT": "80"}, "shop"),
        ({"SERVER_NAME": "shop", "SERVER_PORT": "443"}, "shop:443"),
        ({"SERVER_NAME": "shop", "SERVER_PORT": "443", "wsgi.url_scheme": "https"}, "shop"),
        ({"SERVER_NAME": "shop", "SERVER_PORT": "80", "wsgi.url_scheme": "https"}, "shop:80"),
    ],
    ids=str,
)
def test_the_host(entries: dict[str, str], host: str) -> None:
    """The host is what the client said, with its port; where it said nothing, the server's own."""
    environ = environ_of()
    del environ["HTTP_HOST"]
    assert host == read_request(environ | entries).host


def test_nobody_knows_the_address() -> None:
    """On a socket without addresses the address is None."""
    assert [None, None] == [read_request(environ).address for environ in (environ_of(), environ_of(REMOTE_ADDR=""))]


# ---- a body


@pytest.mark.parametrize(
    ("sent", "entries", "expected"),
    [
        (b"body", {"CONTENT_LENGTH": "4"}, b"body"),
        (b"body and the next request", {"CONTENT_LENGTH": "4"}, b"body"),
        (b"body", {}, b""),
        (b"body", {"CONTENT_LENGTH": ""}, b""),
        (b"body", {"CONTENT_LENGTH": "0"}, b""),
        (b"body", {"wsgi.input_terminated": True}, b"body"),
        (b"body", {"wsgi.input_terminated": True, "CONTENT_LENGTH": "4"}, b"body"),
        (b"body", {"wsgi.input_terminated": True, "CONTENT_LENGTH": "3"}, GONE),
        (b"bo", {"CONTENT_LENGTH": "4"}, GONE),
        (b"bo", {"CONTENT_LENGTH": "4", "wsgi.input_terminated": True}, GONE),
        (MAXIMUM_BODY * b"x", {"CONTENT_LENGTH": str(MAXIMUM_BODY)}, MAXIMUM_BODY * b"x"),
        (MAXIMUM_BODY * b"x", {"wsgi.input_terminated": True}, MAXIMUM_BODY * b"x"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_body(sent: bytes, entries: dict[str, Any], expected: bytes | Response) -> None:
    """A body is complete, as its client announced it, or it is refused; without a length it is empty."""
    assert expected == read_body(environ_of(sent, **entries))


class Endless(io.RawIOBase):
    """A body without an end, which counts how much of it is read."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0
        self.taken += min(size, 1000)
        return min(size, 1000) * b"x"


@pytest.mark.parametrize(
    "entries",
    [
        {"wsgi.input_terminated": True},
        {"CONTENT_LENGTH": str(MAXIMUM_BODY + 1)},
        {"CONTENT_LENGTH": 5000 * "9"},
        {"CONTENT_LENGTH": "10", "wsgi.input_terminated": True},
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_body_without_an_end(entries: dict[str, Any]) -> None:
    """At most the maximum is read, whatever the length says."""
    endless = Endless()
    refused = read_body(environ_of() | entries | {"wsgi.input": endless})
    assert isinstance(refused, Response)
    assert 413 == refused.status
    assert endless.taken <= MAXIMUM_BODY + 1


@pytest.mark.parametrize("length", ["-1", "+4", "4.0", "four", "4,4", "\u0664", " 4"])
def test_an_invalid_length_is_refused(length: str) -> None:
    """A length that is not a number is refused, and nothing is read."""
    endless = Endless()
    refused = read_body(environ_of() | {"CONTENT_LENGTH": length, "wsgi.input": endless})
    assert isinstance(refused, Response)
    assert (400, 0, "invalid_request") == (refused.status, endless.taken, json.loads(refused.body)["error"])


def test_a_body_that_breaks_off() -> None:
    """What a server raises for a client that went away is a 400, and no error."""

    class Broken(io.RawIOBase):
        def read(self, _: int = -1) -> bytes:
            raise ConnectionResetError("gone")

    assert GONE == read_body(environ_of() | {"CONTENT_LENGTH": "4", "wsgi.input": Broken()})


def test_a_body_refused_changes_nothing() -> None:
    """A login whose body was cut off checks no password and starts no session."""
    application = SyncApplication()
    body = json.dumps(LOGIN).encode()
    environ = environ_of(body, CONTENT_LENGTH=str(len(body) + 1), REQUEST_METHOD="POST", PATH_INFO="/login")
    environ |= {"CONTENT_TYPE": "application/json"}
    _, status, _ = run_wsgi_app(auth_app(application.auth, authenticate=application.check), environ)
    assert ("400 Bad Request", set(), []) == (status, application.threads, application.codes())
