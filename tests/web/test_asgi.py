"""Daypass in ASGI without a framework, over real HTTP."""

import json
from typing import Any

import httpx2
import pytest

from daypass.web.asgi import (
    ASGIApplication,
    Receive,
    Refused,
    Scope,
    Send,
    auth_app,
    bearer,
    dispatch,
    send_response,
    well_known_app,
)
from daypass.web.message import answer, failure

from ..servers.application import serving
from .live import LOGIN, Application, Mounted, told
from .world import body_of


def with_lifespan(app: ASGIApplication, application: Application) -> ASGIApplication:
    """Return ``app`` with the issuer's upkeep, as an application without a framework begins and ends it."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        assert "lifespan.startup" == (await receive())["type"]
        async with application.auth:
            await send({"type": "lifespan.startup.complete"})
            assert "lifespan.shutdown" == (await receive())["type"]
        await send({"type": "lifespan.shutdown.complete"})

    return serve


def built(application: Application, prefix: str = "/auth", **options: Any) -> ASGIApplication:
    auth = application.auth
    require = bearer(auth)

    async def own(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/profile":
            await send_response(failure(404, "not_found", "not here"), scope, send)
            return
        try:
            await send_response(answer(200, told(await require(scope))), scope, send)
        except Refused as refused:
            await refused.send(scope, send)

    app = well_known_app(own, auth)
    return dispatch(app, {prefix: auth_app(auth, authenticate=application.check, **options)})


def refusal(code: str) -> bytes:
    return body_of(code)


class TestASGI(Mounted):
    refusal = refusal
    makers = (auth_app, lambda auth: well_known_app(auth, auth), bearer)

    def mount(self, application: Application, prefix: str = "/auth", **options: Any) -> ASGIApplication:
        return with_lifespan(built(application, prefix, **options), application)


def test_other_paths_go_to_the_application() -> None:
    """Other paths go to the application; unknown ones below the endpoints get 404; a HEAD gets only the length."""
    application = Application()
    with serving(with_lifespan(built(application), application)) as address, httpx2.Client(base_url=address) as client:
        assert (404, "not here") == ((found := client.get("/authors")).status_code, found.json()["message"])
        assert (404, "There is nothing here") == ((found := client.get("/auth/x")).status_code, found.json()["message"])
        assert 404 == client.get("/auth").status_code
        head = client.head("/.well-known/jwks.json")
        assert (200, b"") == (head.status_code, head.content)
        assert len(client.get("/.well-known/jwks.json").content) == int(head.headers["content-length"])


async def login_at(app: ASGIApplication, path: str, root_path: str = "") -> int:
    """Log in as an ASGI server asks, with a path of any style; return the status."""
    sent: list[Any] = []
    body = json.dumps(LOGIN).encode()
    headers = [(b"Host", b"localhost"), (b"Content-Type", b"application/json")]

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "root_path": root_path, "headers": headers}
    await app(scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize(("path", "root"), [("/login", ""), ("/auth/login", "/auth"), ("/login", "/auth")])
async def test_paths_of_mounts(path: str, root: str) -> None:
    """A mounted application finds its routes whether the framework leaves the mount's path in ``path`` or not."""
    application = Application()
    app = auth_app(application.auth, authenticate=application.check)
    assert 200 == await login_at(app, path, root)
    assert 404 == await login_at(app, f"{path}/", root)


async def test_a_mount_below_a_root_path() -> None:
    """`dispatch` works below a ``root_path`` of the server's."""
    application = Application()
    app = dispatch(auth_app(application.auth), {"/auth": auth_app(application.auth, authenticate=application.check)})
    assert 200 == await login_at(app, "/api/auth/login", "/api")
    assert 200 == await login_at(app, "/auth/login")


async def test_a_client_that_goes_away() -> None:
    """Nothing is done, and nothing sent, for a client that went away before its body was complete."""
    application = Application()
    app = auth_app(application.auth, authenticate=application.check)
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/login", "headers": [], "query_string": b""}
    await app(scope, receive, send)
    assert [] == application.events


async def test_a_websocket_is_refused() -> None:
    """A WebSocket to an endpoint is refused before it is opened."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await auth_app(Application().auth)({"type": "websocket", "path": "/login", "headers": []}, receive, send)
    assert [{"type": "websocket.close", "code": 1000, "reason": ""}] == sent


async def test_the_lifespan_is_not_served() -> None:
    """An application of only the endpoints says that it has no lifespan, as ASGI requires."""
    with pytest.raises(NotImplementedError, match="lifespan is not served here"):
        await auth_app(Application().auth)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]  # not called
