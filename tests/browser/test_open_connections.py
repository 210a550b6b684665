"""WebSockets and event streams of daypass.js in real browsers. The server watches each connection's session."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from daypass.duration import Duration

from ..servers.application import serving
from .marks import marks
from .world import World

pytestmark = marks("fetch", why="the session opens it")


class Live(World):
    """The application with a feed by WebSocket and one by server-sent events. Both number their messages.

    Attributes:
        connections: the transports of all WebSockets so far.
        inbox: the numbers of the received messages, in order.
        tokens: the identifiers of the access tokens that WebSockets have used.
    """

    def __init__(self, store: str, axios: Path, **lifetimes: Duration) -> None:
        super().__init__(store, axios, **lifetimes)
        self.connections: list[Any] = []
        self.inbox: list[int] = []
        self.tokens: set[str] = set()
        assert isinstance(self._app, Starlette)
        self._app.routes.append(WebSocketRoute("/api/feed", self._feed))
        self._app.routes.append(Route("/api/events", self._events))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            self.connections.append(send.__self__.transport)  # type: ignore[attr-defined]  # a method of uvicorn's
        await super().__call__(scope, receive, send)

    async def _feed(self, websocket: WebSocket) -> None:
        async with self._require.watch(websocket) as watched:

            async def count() -> None:
                number = watched.resume or 0
                while True:
                    number += 1
                    self.tokens.add(watched.token.id)
                    await watched.send_json({"number": number})
                    await asyncio.sleep(0.03)

            counting = asyncio.create_task(count())
            try:
                async for text in watched.iter_text():
                    number = json.loads(text)["number"]
                    if number not in self.inbox:
                        self.inbox.append(number)
                    await watched.send_json({"acknowledged": number})
            finally:
                counting.cancel()

    async def _events(self, request: Request) -> Response:
        await self._require(request)
        first = int(request.headers.get("last-event-id", "0")) + 1

        async def five() -> AsyncIterator[str]:
            yield "retry: 20\n\n"
            for number in range(first, first + 5):
                yield f"id: {number}\nevent: {'note' if number % 2 else 'message'}\ndata: é{number}\n\n"

        return StreamingResponse(five(), media_type="text/event-stream")


@pytest.fixture
def live(tmp_path: Path, client: str, files: dict[str, Path], axios: Path, host: str) -> Iterator[Live]:
    live = Live(f"sqlite:///{tmp_path / 'app.db'}", axios, access_ttl="4s", grace_period="30s")
    live.client, live.files = client, files
    with serving(live, grace=1, websockets=True, host=host) as address:
        live.address = address
        yield live


FOLLOW = """async () => {
    window.got = [];
    window.told = [];
    const outbox = new Map();
    let last = 0;
    window.socket = await session.socket("/api/feed", { resume: () => got.at(-1) });
    const send = (number) => socket.send(JSON.stringify({ number }));
    window.put = () => { outbox.set(++last, 1); if (socket.readyState === socket.OPEN) send(last); };
    socket.onmessage = ({ data }) => {
        const { number, acknowledged } = JSON.parse(data);
        number ? got.push(number) : outbox.delete(acknowledged);
    };
    for (const type of ["open", "reconnecting", "reconnected"]) socket.addEventListener(type, () => told.push(type));
    for (const type of ["open", "reconnected"]) socket.addEventListener(type, () => [...outbox.keys()].forEach(send));
    socket.onerror = ({ error }) => told.push(error.code);
    socket.onclose = ({ code }) => told.push(code);
    window.putting = setInterval(put, 40);
}"""


def test_socket_loses_and_repeats_no_message(context: BrowserContext, live: Live) -> None:
    """Each numbered message arrives once, over expiries and a cut connection; a logout in another tab closes it."""
    tab = live.open(context)
    live.log_in(tab)
    tab.evaluate(FOLLOW)
    tab.wait_for_function("got.length > 130")
    before = len(live.tokens)
    assert (1, ["open"]) == (len(live.connections), tab.evaluate("told"))
    assert before >= 2, "no newer access token was sent on the open connection"
    live.connections[0].abort()
    tab.wait_for_function("told.includes('reconnected')")
    tab.wait_for_function("(before) => got.length > before + 30", arg=tab.evaluate("got.length"))
    tab.evaluate("clearInterval(putting)")
    other = live.open(context)
    other.wait_for_function("session.status === 'in'")
    other.evaluate("session.logout()")
    tab.wait_for_function("socket.readyState === socket.CLOSED")
    told = tab.evaluate("told")
    assert (["open", "reconnecting", "reconnected"], ["login_required", 4403]) == (told[:3], told[-2:])
    assert len(live.connections) == 1 + told.count("reconnected")
    got = tab.evaluate("got")
    assert list(range(1, len(got) + 1)) == got
    assert list(range(1, len(live.inbox) + 1)) == live.inbox
    assert len(live.inbox) > 40


def test_event_stream_goes_on_where_it_was(context: BrowserContext, live: Live) -> None:
    """Events of each type arrive once and in order, over many responses and an expiry; a logout ends the stream."""
    tab = live.open(context)
    live.log_in(tab)
    tab.evaluate("""async () => {
        window.got = [];
        window.stream = await session.events("/api/events");
        for (const type of ["message", "note"]) stream.addEventListener(type, ({ data }) => got.push(data));
        stream.onerror = ({ error }) => { window.why = error?.code; };
    }""")
    tab.wait_for_function("got.length >= 20")
    live.revoke()
    tab.evaluate("sleepFor(1_050)")
    tab.wait_for_function("(before) => got.length > before + 10", arg=tab.evaluate("got.length"))
    tab.evaluate("session.logout()")
    tab.wait_for_function("stream.readyState === stream.CLOSED")
    got = tab.evaluate("got")
    assert [f"é{number}" for number in range(1, len(got) + 1)] == got
    assert "login_required" == tab.evaluate("why")
