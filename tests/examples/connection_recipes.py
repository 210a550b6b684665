"""Runs the recipes of docs/connection-recipes.md, each against a server of its kind.

Each client connects, gets something, still gets something after its first access token has expired, and is told when
its session ends. What came of each is printed, as JSON. It is another process than that of the tests, because gRPC does
not like forks, which other tests do: ``python -m tests.examples.connection_recipes``.
"""

import asyncio
import json
import queue
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import grpc
import httpx
import socketio
from django.urls import path
from fastapi import Depends, FastAPI, Header, Request, WebSocket
from fastapi.responses import StreamingResponse
from flask import Flask
from websockets.asyncio.client import connect

from daypass import AccessToken, AsyncDaypass, Daypass, LoginRequired, User
from daypass.client.httpx import DaypassAuth
from daypass.web import fastapi, flask

from ..docs.test_examples import blocks
from ..servers import application, wsgi
from ..web.django.project import Wsgi

PAGE = Path(__file__).parents[2] / "docs" / "connection-recipes.md"
ANN = User("ann", username="ann")
ACCESS_TTL = 5
CREDENTIALS = {"username": "ann", "password": "x"}
SHORTER = {"sleep(60)": "sleep(1)", "good_for=120": "good_for=2.5", "good_for=30": "good_for=2.5"}
"""What the recipes do each minute is done each second here."""

DAYPASS: dict[str, Any] = {"issuer": "https://api.example.com", "access_ttl": ACCESS_TTL, "secret": 48 * "s"}


def recipes() -> dict[str, Any]:
    """Return what the page's recipes define."""
    program = "\n".join(blocks(PAGE))
    for shown, shorter in SHORTER.items():
        program = program.replace(shown, shorter)
    names: dict[str, Any] = {"__name__": "recipes"}
    exec(compile(program, str(PAGE), "exec"), names)  # noqa: S102 - the test is about this
    return names


class Servers:
    """The services of the recipes' clients, and what they may do there."""

    def __init__(self, names: dict[str, Any], stack: ExitStack) -> None:
        self.names = names
        self.auth = AsyncDaypass("memory:", load_user=lambda _: ANN, **DAYPASS)
        self.sync_auth = Daypass("memory:", load_user=lambda _: ANN, **DAYPASS)
        self.news: queue.Queue[str] = queue.Queue()
        self.address = stack.enter_context(application.serving(self._app(), websockets=True, grace=0))
        self.flask_address = stack.enter_context(wsgi.serving(self._flask()))

    def _app(self) -> Any:
        require = fastapi.bearer(self.auth)
        app = FastAPI()
        app.include_router(fastapi.auth_router(self.auth, authenticate=lambda *_: ANN), prefix="/auth")

        @app.websocket("/notes")
        async def notes(websocket: WebSocket) -> None:
            async with require.watch(websocket) as watched:
                sending = asyncio.create_task(counting(watched.send_text))
                try:
                    async for _ in watched.iter_text():
                        pass
                finally:
                    sending.cancel()

        @app.get("/events")
        async def events(
            request: Request,
            _token: Annotated[AccessToken, Depends(require)],
            last_event_id: Annotated[str, Header()] = "0",
        ) -> StreamingResponse:
            watched = self.auth.watch(request.headers["authorization"].partition(" ")[2])
            return StreamingResponse(watched.until_end(numbered(int(last_event_id))), media_type="text/event-stream")

        return socketio.ASGIApp(self.names["notes_server"](self.auth), app)

    def _flask(self) -> Flask:
        app = Flask("recipes")
        app.register_blueprint(flask.auth_blueprint(self.sync_auth, authenticate=lambda *_: ANN), url_prefix="/auth")
        self.names["add_notes"](app, self.sync_auth)
        self.names["add_events"](app, self.sync_auth, self.news)
        return app


async def counting(send: Callable[[str], Awaitable[object]]) -> None:
    for number in range(1000):
        await send(str(number))
        await asyncio.sleep(0.2)


async def numbered(last: int) -> AsyncIterator[str]:
    for number in range(last + 1, 1000):
        yield f"id: {number}\ndata: {number}\n\n"
        await asyncio.sleep(0.2)


class Listener:
    """What a client shows, and when."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.started = time.monotonic()

    def show(self, text: Any) -> None:
        self.shown.append(str(text))

    async def until_late(self) -> None:
        """Wait until something has come after the first access token had expired."""
        await asyncio.sleep(max(0.0, self.started + ACCESS_TTL + 1.5 - time.monotonic()))
        before = len(self.shown)
        async with asyncio.timeout(20):
            while len(self.shown) == before:  # noqa: ASYNC110 - what prints it has no event to wait for
                await asyncio.sleep(0.05)


async def logged_in(address: str) -> tuple[DaypassAuth, httpx.AsyncClient]:
    auth = DaypassAuth(f"{address}/auth")
    client = httpx.AsyncClient(auth=auth)
    await auth.alogin(client, **CREDENTIALS)
    return auth, client


async def ended(task: "asyncio.Task[Any]") -> BaseException | None:
    """Return what a client's task ended with."""
    async with asyncio.timeout(20):
        await asyncio.wait((task,))
    return task.exception()


async def httpx_ws(servers: Servers) -> None:
    auth, client = await logged_in(servers.address)
    listener = Listener()
    url = f"{servers.address}/notes"
    following = asyncio.create_task(servers.names["follow_websocket"](url, auth, listener.show))
    await listener.until_late()
    assert any("daypass.accepted" in text for text in listener.shown), listener.shown
    numbers = [int(text) for text in listener.shown if text.isdecimal()]
    assert list(range(len(numbers))) == numbers, numbers  # one connection
    await servers.auth.end_all("ann")
    assert 4403 == await asyncio.wait_for(following, 20)
    await client.aclose()


async def httpx_sse(servers: Servers) -> None:
    auth, client = await logged_in(servers.address)
    listener = Listener()
    following = asyncio.create_task(servers.names["follow_events"](f"{servers.address}/events", auth, listener.show))
    await listener.until_late()
    numbers = [int(text) for text in listener.shown]
    assert list(range(1, len(numbers) + 1)) == numbers, numbers  # none lost, none doubled
    await servers.auth.end_all("ann")
    assert isinstance(error := await ended(following), LoginRequired), error
    await client.aclose()


async def socket_io(servers: Servers) -> None:
    auth, http = await logged_in(servers.address)
    client = await servers.names["notes_client"](servers.address, auth)
    gone = asyncio.Event()
    client.on("disconnect", lambda *_: gone.set())
    listener = Listener()
    assert "ann: one" == await client.call("note", "one", timeout=10)
    await asyncio.sleep(max(0.0, listener.started + ACCESS_TTL + 1.5 - time.monotonic()))
    assert "ann: two" == await client.call("note", "two", timeout=10)
    assert not gone.is_set()
    await servers.auth.end_all("ann")
    async with asyncio.timeout(20):
        await gone.wait()
    await client.shutdown()
    stranger = socketio.AsyncClient(reconnection=False)
    try:
        await stranger.connect(servers.address, auth={"token": "garbage"})
    except socketio.exceptions.ConnectionError:
        pass
    else:
        raise AssertionError("a bad token was accepted")
    await http.aclose()


async def g_rpc(servers: Servers) -> None:
    auth, http = await logged_in(servers.address)

    async def notes() -> AsyncIterator[bytes]:
        for number in range(1000):
            yield str(number).encode()
            await asyncio.sleep(0.2)

    async def follow(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        async for note in servers.names["follow_notes"](notes(), servers.auth, context):
            yield note

    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(follow)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Notes", {"Follow": handler}),))
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    await server.start()
    credentials = servers.names["channel_credentials"](auth, grpc.local_channel_credentials())
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        call = channel.unary_stream("/Notes/Follow")
        seen = []
        try:
            async for note in call(b""):
                seen.append(note)  # noqa: PERF401 - what came before the error counts
        except grpc.aio.AioRpcError as error:
            assert (grpc.StatusCode.UNAUTHENTICATED, "token_expired") == (error.code(), error.details())  # noqa: PT017
        assert seen[:3] == [b"0", b"1", b"2"], seen
        again = call(b"")
        assert b"0" == await again.read()
        await servers.auth.end_all("ann")
        try:
            while await again.read() is not grpc.aio.EOF:
                pass
            raise AssertionError("the stream ended well")
        except grpc.aio.AioRpcError as error:
            assert "session_revoked" == error.details(), error.details()  # noqa: PT017
    await server.stop(None)
    await http.aclose()


async def flask_sock(servers: Servers) -> None:
    auth, client = await logged_in(servers.flask_address)
    url = f"{servers.flask_address.replace('http', 'ws', 1)}/notes"

    def token() -> str:
        return json.dumps({"type": "daypass.token", "accessToken": auth.token(good_for=2.5)}, separators=(",", ":"))

    async with connect(url, proxy=None) as by_message:
        await by_message.send(await asyncio.to_thread(token))
        await by_message.send("one")
        assert "ann: one" == await by_message.recv()
        await asyncio.sleep(ACCESS_TTL / 2)
        await by_message.send(await asyncio.to_thread(token))
        assert "daypass.accepted" in str(await by_message.recv())
        await asyncio.sleep(ACCESS_TTL / 2 + 0.6)
        await by_message.send("two")
        assert "ann: two" == await by_message.recv()
        headers = {"Authorization": f"Bearer {await auth.atoken(good_for=1)}"}
        async with connect(url, proxy=None, additional_headers=headers) as by_header:
            await by_header.send("three")
            assert "ann: three" == await by_header.recv()
            await asyncio.to_thread(servers.sync_auth.end_all, "ann")
            for connection in (by_message, by_header):
                async with asyncio.timeout(20):
                    await connection.wait_closed()
                assert 4403 == connection.close_code, connection.close_code
    async with connect(url, proxy=None, additional_headers={"Authorization": "Bearer garbage"}) as refused:
        await refused.wait_closed()
        assert 4401 == refused.close_code, refused.close_code
    await client.aclose()


async def flask_sse(servers: Servers) -> None:
    _, client = await logged_in(servers.flask_address)
    servers.news.put("hello")
    async with client.stream("GET", f"{servers.flask_address}/events", timeout=20) as response:
        lines = response.aiter_lines()
        assert "data: hello" == await anext(lines)
        await asyncio.to_thread(servers.sync_auth.end_all, "ann")
        rest = [line async for line in lines]  # ends, and cleanly
    assert {"", ":"} >= set(rest), rest
    assert 401 == (await client.get(f"{servers.flask_address}/events", auth=None)).status_code
    await client.aclose()


async def django_sse(servers: Servers) -> None:
    auth, client = await logged_in(servers.flask_address)
    servers.news.put("hello")
    view = servers.names["events_view"](servers.sync_auth, servers.news)
    headers = {"Authorization": f"Bearer {await auth.atoken()}"}
    with wsgi.serving(Wsgi([path("events", view)])) as address:
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=20) as plain:
            async with plain.stream("GET", "/events") as response:
                lines = response.aiter_lines()
                assert "data: hello" == await anext(lines)
                await asyncio.to_thread(servers.sync_auth.end_all, "ann")
                assert {"", ":"} >= {line async for line in lines}  # ends, and cleanly
            assert 401 == (await plain.get("/events")).status_code
    await client.aclose()


RECIPES = (httpx_ws, httpx_sse, socket_io, g_rpc, flask_sock, flask_sse, django_sse)


async def outcome(recipe: Callable[[Servers], Awaitable[None]], servers: Servers) -> str:
    """Run one recipe; return ``held``, or what went wrong."""
    try:
        await recipe(servers)
    except Exception:
        return traceback.format_exc()
    return "held"


async def main() -> dict[str, str]:
    names = recipes()
    with ExitStack() as stack:
        servers = [Servers(names, stack) for _ in RECIPES]
        outcomes = await asyncio.gather(*map(outcome, RECIPES, servers))
    return {recipe.__name__: found for recipe, found in zip(RECIPES, outcomes, strict=True)}


if __name__ == "__main__":
    json.dump(asyncio.run(main()), sys.stdout)
