"""What guards a route in Starlette and in FastAPI: a token, its scope, its user; in HTTP and in WebSockets."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any, assert_type

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi import WebSocket as FastAPIWebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocket

from daypass import AccessToken, AsyncDaypass, AsyncRemoteVerifier, ConfigurationError, Daypass, RemoteVerifier, User
from daypass.duration import MINUTE
from daypass.testing import Clock
from daypass.web import fastapi, starlette

from ..servers.application import serving
from .world import ALICE, ISSUER, SECRET

READER = replace(ALICE, scope="read")
WRITER = replace(ALICE, subject="user-3", username="writer", scope="read write")


class World:
    """An issuer whose users may read, or write as well; a test may take them away."""

    def __init__(self) -> None:
        self.people = {user.subject: user for user in (READER, WRITER)}
        self.clock = Clock()
        self.auth = AsyncDaypass(
            "memory:",
            issuer=ISSUER,
            secret=SECRET,
            load_user=lambda subject: self.people.get(subject),
            clock=self.clock,
        )

    def load(self, subject: str) -> User | None:
        return self.people.get(subject)


def in_starlette(world: World) -> ASGIApp:
    auth = world.auth

    def route(path: str, guard: starlette.Guard[Any]) -> Route:
        async def endpoint(request: Request) -> JSONResponse:
            found = await guard(request)
            return JSONResponse({"found": getattr(found, "username", None)})

        return Route(path, endpoint)

    async def live(websocket: WebSocket) -> None:
        token = await starlette.bearer(auth, "write")(websocket)
        await websocket.accept()
        await websocket.send_text(token.subject)
        await websocket.close()

    return Starlette(
        routes=[
            route("/token", starlette.bearer(auth)),
            route("/write", starlette.bearer(auth, scope="write")),
            route("/maybe", starlette.bearer(auth, optional=True)),
            route("/maybe-write", starlette.bearer(auth, "write", optional=True)),
            route("/user", starlette.current_user(auth)),
            route("/user-write", starlette.current_user(auth, "write")),
            route("/maybe-user", starlette.current_user(auth, optional=True)),
            route("/recent", starlette.bearer(auth, max_age="5m")),
            route("/user-strong", starlette.current_user(auth, acr="mfa phr")),
            WebSocketRoute("/live", live),
        ]
    )


def fast(world: World) -> ASGIApp:
    auth = world.auth
    app = FastAPI()

    def route(path: str, guard: fastapi.Guard[Any]) -> None:
        @app.get(path)
        async def endpoint(found: Annotated[Any, Depends(guard)]) -> dict[str, object]:
            return {"found": getattr(found, "username", None)}

    route("/token", fastapi.bearer(auth))
    route("/write", fastapi.bearer(auth, scope="write"))
    route("/maybe", fastapi.bearer(auth, optional=True))
    route("/maybe-write", fastapi.bearer(auth, "write", optional=True))
    route("/user", fastapi.current_user(auth))
    route("/user-write", fastapi.current_user(auth, "write"))
    route("/maybe-user", fastapi.current_user(auth, optional=True))

    route("/recent", fastapi.bearer(auth, max_age="5m"))
    route("/user-strong", fastapi.current_user(auth, acr="mfa phr"))

    @app.websocket("/live")
    async def live(
        websocket: FastAPIWebSocket, token: Annotated[AccessToken, Depends(fastapi.bearer(auth, "write"))]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(token.subject)
        await websocket.close()

    @app.get("/security")
    async def security(token: Annotated[AccessToken, Security(fastapi.bearer(auth), scopes=["write"])]) -> None:
        """Is guarded as FastAPI itself writes it."""

    guarded = APIRouter(dependencies=[Depends(fastapi.bearer(auth, scope="read write"))])

    @guarded.get("/behind")
    async def behind() -> None:
        """Is guarded by its router."""

    app.include_router(guarded)
    return app


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=[in_starlette, fast], ids=["starlette", "fastapi"])
def client(request: pytest.FixtureRequest, world: World) -> Iterator[httpx2.Client]:
    with serving(request.param(world)) as address, httpx2.Client(base_url=address) as client:
        yield client


async def bearing(world: World, user: User) -> dict[str, str]:
    return {"authorization": f"Bearer {(await world.auth.start(user)).access_token}"}


def ask(client: httpx2.Client, path: str, headers: dict[str, str] | None = None) -> tuple[int, object]:
    """Return the status, and what the route was given or what the challenge says."""
    answer = client.get(path, headers=headers or {})
    if answer.status_code == 200:
        return 200, answer.json()["found"]
    return answer.status_code, answer.headers.get("www-authenticate")


INSUFFICIENT = 'Bearer realm="daypass", error="insufficient_scope", scope="write"'


async def test_a_scope_is_required(client: httpx2.Client, world: World) -> None:
    """A token whose scope does not allow it is a 403 that says what it needs (RFC 6750 §3.1)."""
    reader, writer = await bearing(world, READER), await bearing(world, WRITER)
    for path in ("/write", "/maybe-write", "/user-write"):
        assert (403, INSUFFICIENT) == ask(client, path, reader)
        assert (200, ask(client, "/token", writer)[1]) == ask(client, path, writer)
    assert (401, 'Bearer realm="daypass"') == ask(client, "/write")


async def test_recent_or_stronger_login_is_required(client: httpx2.Client, world: World) -> None:
    """A login that is too old or too weak is a 401 that says what is needed (RFC 9470), until it is confirmed."""
    tokens = await world.auth.start(READER)
    headers = {"authorization": f"Bearer {tokens.access_token}"}
    world.clock.advance(5 * MINUTE)
    assert 200 == ask(client, "/recent", headers)[0]
    world.clock.advance(1)
    needed = (
        'Bearer realm="daypass", error="insufficient_user_authentication", error_description="a {} is required", {}'
    )
    assert (401, needed.format("more recent authentication", 'max_age="300"')) == ask(client, "/recent", headers)
    level = needed.format("different authentication level", 'acr_values="mfa phr"')
    assert (401, level) == ask(client, "/user-strong", headers)
    confirmed = await world.auth.confirm(tokens.session.id, amr=["hwk"], acr="phr")
    headers = {"authorization": f"Bearer {confirmed.access_token}"}
    assert 200 == ask(client, "/recent", headers)[0] == ask(client, "/user-strong", headers)[0]


async def test_an_optional_token(client: httpx2.Client, world: World) -> None:
    """If a token is optional, none gives None; a bad one is refused, and a good one counts."""
    for path in ("/maybe", "/maybe-write", "/maybe-user"):
        assert (200, None) == ask(client, path)
        status, challenge = ask(client, path, {"authorization": "Bearer garbage"})
        assert 401 == status
        assert 'error="invalid_token"' in str(challenge)
        assert 200 == ask(client, path, await bearing(world, WRITER))[0]


async def test_the_user(client: httpx2.Client, world: World) -> None:
    """The user is as the application knows them now; one who is gone or disabled is a 401."""
    headers = await bearing(world, READER)
    assert (200, "alice") == ask(client, "/user", headers) == ask(client, "/maybe-user", headers)
    world.people[READER.subject] = replace(READER, username="renamed")
    assert (200, "renamed") == ask(client, "/user", headers)
    world.people[READER.subject] = replace(READER, disabled=True)
    refused = ask(client, "/user", headers)
    del world.people[READER.subject]
    assert refused == ask(client, "/user", headers) == ask(client, "/maybe-user", headers)
    assert 401 == refused[0]
    assert "gone or disabled" in str(refused[1])


async def opened(app: ASGIApp, headers: dict[str, str]) -> list[Message]:
    """Open a WebSocket, as an ASGI server without extensions does; return what the application sends."""
    sent: list[Message] = []
    coming: list[Message] = [{"type": "websocket.connect"}]

    async def receive() -> Message:
        return coming.pop(0) if coming else {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/live",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "query_string": b"",
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("build", [in_starlette, fast])
async def test_a_websocket(build: Callable[[World], ASGIApp], world: World) -> None:
    """A WebSocket is opened for a token that may, and refused with 401 or 403 before it is opened for any other."""
    app = build(world)
    accepted, text, *_ = await opened(app, await bearing(world, WRITER))
    assert ("websocket.accept", WRITER.subject) == (accepted["type"], text["text"])
    for headers, status in ((await bearing(world, READER), 403), ({}, 401)):
        refused, *_ = await opened(app, headers)
        assert ("websocket.http.response.start", status) == (refused["type"], refused["status"])
        assert b"www-authenticate" in dict(refused["headers"])


# ---- in FastAPI's own ways


@pytest.fixture
def fast_client(world: World) -> Iterator[httpx2.Client]:
    with serving(fast(world)) as address, httpx2.Client(base_url=address) as client:
        yield client


async def test_security_and_routers(fast_client: httpx2.Client, world: World) -> None:
    """The scopes of ``Security(…, scopes=[…])`` are required, and a guard of a router guards all its routes."""
    reader, writer = await bearing(world, READER), await bearing(world, WRITER)
    for path in ("/security", "/behind"):
        assert [401, 403, 200] == [fast_client.get(path, headers=each).status_code for each in ({}, reader, writer)]


def test_openapi_shows_scopes(fast_client: httpx2.Client) -> None:
    """Each guarded route says in OpenAPI that it wants a token, and with which scope."""
    paths = fast_client.get("/openapi.json").json()["paths"]
    shown = {path: operations["get"]["security"] for path, operations in paths.items()}
    assert [{"bearer": []}] == shown["/token"] == shown["/user"]
    assert [{"bearer": ["write"]}] == shown["/write"] == shown["/user-write"] == shown["/security"]
    assert [{"bearer": ["read", "write"]}] == shown["/behind"]


def test_a_refusal_has_our_shape(fast_client: httpx2.Client) -> None:
    """A refusal in FastAPI has, as its detail, what the endpoints answer."""
    detail = {"message": "Authentication failed", "error": "invalid_token"}
    assert {"detail": detail} == fast_client.get("/write").json()


# ---- how it is made


def test_a_sync_issuer_is_refused() -> None:
    """A sync issuer or verifier, and an invalid scope, are refused; a verifier has no users."""
    sync = Daypass("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: None)
    for make in (starlette.bearer, fastapi.bearer):
        for auth in (sync, RemoteVerifier(ISSUER), None):
            with pytest.raises(ConfigurationError, match="needs AsyncDaypass"):
                make(auth)  # type: ignore[call-overload]  # the test is about this
        with pytest.raises(ConfigurationError, match="scope"):
            make(World().auth, scope='"')
        for step_up, message in (
            ({"max_age": "soon"}, "max_age: invalid duration"),
            ({"max_age": 0}, "max_age must be at least one second"),
            ({"acr": 'a"'}, "invalid acr"),
            ({"acr": ["mfa"]}, "invalid acr"),
            ({"maxage": "5m"}, "did you mean 'max_age'"),
        ):
            with pytest.raises(ConfigurationError, match=message):
                make(World().auth, **step_up)
    for find in (starlette.current_user, fastapi.current_user):
        with pytest.raises(ConfigurationError, match="needs AsyncDaypass"):
            find(AsyncRemoteVerifier(ISSUER))  # type: ignore[call-overload]  # the test is about this


def test_types(world: World) -> None:
    """The type of the result follows from what is required; mypy checks this."""
    assert_type(starlette.bearer(world.auth), starlette.Guard[AccessToken])
    assert_type(starlette.bearer(world.auth, optional=True), starlette.Guard[AccessToken | None])
    assert_type(fastapi.current_user(world.auth, "read"), fastapi.Guard[User])
    assert_type(fastapi.current_user(world.auth, "read", optional=True), fastapi.Guard[User | None])
    assert_type(starlette.bearer(AsyncRemoteVerifier(ISSUER)), starlette.Guard[AccessToken])
