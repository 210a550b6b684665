"""WebSockets that need an access token, stay open by newer ones, and end with their session; on real sockets."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from daypass import AsyncDaypass, User
from daypass.duration import MINUTE
from daypass.testing import Clock
from daypass.web import asgi, fastapi, starlette
from daypass.web.websocket import ENDED, EXPIRED, FORBIDDEN, Watched

from ..servers.application import serving

ANN = User("ann", scope="notes:read")
WITHIN = 10.0
"""Seconds that a slow machine has for what takes one."""


class Issuer:
    """An issuer whose clock a test moves, in an application that echoes."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.auth = AsyncDaypass(
            "memory:",
            issuer="https://api.example.com",
            secret="a master secret of thirty-two bytes and more",
            load_user=lambda _: ANN,
            clock=self.clock,
        )


def starlette_app(auth: AsyncDaypass, **required: Any) -> Any:
    require = starlette.bearer(auth, **required)

    async def echo(websocket: Any) -> None:
        async with require.watch(websocket, subprotocol="notes") as watched:
            async for text in watched.iter_text():
                if text == "resume":
                    await answer_resume(watched.send_text, watched.resume)
                else:
                    await answer(watched.send_text, watched.token, text)

    return Starlette(routes=[WebSocketRoute("/", echo)])


def fastapi_app(auth: AsyncDaypass, **required: Any) -> Any:
    require = fastapi.bearer(auth, **required)
    app = FastAPI()

    @app.websocket("/")
    async def echo(websocket: WebSocket) -> None:
        async with require.watch(websocket, subprotocol="notes") as watched:
            async for text in watched.iter_text():
                if text == "resume":
                    await answer_resume(watched.send_text, watched.resume)
                else:
                    await answer(watched.send_text, watched.token, text)

    return app


def asgi_app(auth: AsyncDaypass, **required: Any) -> Any:
    async def echo(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        assert "websocket.connect" == (await receive())["type"]
        await send({"type": "websocket.accept"})

        async def send_text(text: str) -> None:
            await send({"type": "websocket.send", "text": text})

        connection = scope["daypass.connection"]
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["text"] == "resume":
                await answer_resume(send_text, connection.resume)
            else:
                await answer(send_text, connection.token, message["text"])

    return Watched(echo, auth, subprotocol="notes", **required)


async def answer(send: Callable[[str], Any], token: Any, text: str) -> None:
    if text == "write":
        token.require("notes:write")
    await send(f"{token.subject}: {text}")


async def answer_resume(send: Callable[[str], Any], resume: Any) -> None:
    await send(f"from {json.dumps(resume)}")


APPS = {"starlette": starlette_app, "fastapi": fastapi_app, "asgi": asgi_app}


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@contextmanager
def served(issuer: Issuer, framework: str, **required: Any) -> Iterator[str]:
    app = APPS[framework](issuer.auth, **required)
    with serving(app, websockets=True) as address:
        yield address.replace("http", "ws", 1)


@pytest.fixture(params=APPS)
def address(request: pytest.FixtureRequest, issuer: Issuer) -> Iterator[str]:
    with served(issuer, request.param) as address:
        yield address


@contextmanager
def opened(address: str, token: str, *, by_message: bool = False) -> Iterator[ClientConnection]:
    headers = {} if by_message else {"Authorization": f"Bearer {token}"}
    with connect(address, subprotocols=[Subprotocol("notes")], additional_headers=headers, proxy=None) as connection:
        if by_message:
            authenticate(connection, token)
        yield connection


def send_token(connection: ClientConnection, token: str, **more: Any) -> None:
    connection.send(json.dumps({"type": "daypass.token", "accessToken": token, **more}, separators=(",", ":")))


def refused(address: str, token: str) -> Response:
    """Return the answer to a handshake that is refused."""
    with pytest.raises(InvalidStatus) as invalid, opened(address, token):
        pytest.fail("it was accepted")
    return invalid.value.response


def closed_after(address: str, token: str) -> tuple[int, str]:
    """Return how a WebSocket is closed after its first message."""
    with connect(address, proxy=None) as connection:
        send_token(connection, token)
        return closed_with(connection)


def authenticate(connection: ClientConnection, token: str, **more: Any) -> None:
    send_token(connection, token, **more)
    assert {"type": "daypass.accepted", "expiresIn": 15 * 60} == json.loads(connection.recv(WITHIN))


def asked(connection: ClientConnection, text: str) -> str:
    connection.send(text)
    return str(connection.recv(WITHIN))


def closed_with(connection: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        connection.recv(WITHIN)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def start(issuer: Issuer) -> Any:
    """Start a session, from another event loop than the server's."""
    return asyncio.run(issuer.auth.start(ANN))


def refresh(issuer: Issuer, tokens: Any) -> Any:
    return asyncio.run(issuer.auth.refresh(tokens.refresh_token))


def logout(issuer: Issuer, tokens: Any) -> None:
    asyncio.run(issuer.auth.logout(tokens.refresh_token))


@pytest.mark.parametrize("by_message", [False, True], ids=["by header", "by first message"])
def test_a_websocket_is_open_until_its_session_ends(issuer: Issuer, address: str, *, by_message: bool) -> None:
    """With an access token in the header or the first message a WebSocket is open; the end of its session closes it."""
    tokens = start(issuer)
    with opened(address, tokens.access_token, by_message=by_message) as connection:
        assert "notes" == connection.subprotocol
        assert ["ann: one", "ann: two"] == [asked(connection, "one"), asked(connection, "two")]
        logout(issuer, tokens)
        assert (ENDED, "session_revoked") == closed_with(connection)


def test_a_newer_access_token_keeps_a_websocket_open(issuer: Issuer, address: str) -> None:
    """A newer access token is accepted in the stream, without the application; without one the WebSocket expires."""
    tokens = start(issuer)
    with opened(address, tokens.access_token) as connection:
        issuer.clock.advance(10 * MINUTE)
        newer = refresh(issuer, tokens)
        authenticate(connection, newer.access_token)
        issuer.clock.advance(10 * MINUTE)
        assert "ann: still here" == asked(connection, "still here")
        issuer.clock.advance(5 * MINUTE)
        assert (EXPIRED, "token_expired") == closed_with(connection)


@pytest.mark.parametrize("resume", [41, "a", {"seen": [1]}])
def test_a_client_says_where_to_go_on(issuer: Issuer, address: str, resume: Any) -> None:
    """What a client sends as ``resume`` with its first access token reaches the application; a later one does not."""
    tokens = start(issuer)
    with connect(address, proxy=None) as connection:
        authenticate(connection, tokens.access_token, resume=resume)
        authenticate(connection, tokens.access_token, resume="later")
        assert f"from {json.dumps(resume)}" == asked(connection, "resume")
    with opened(address, tokens.access_token) as connection:
        assert "from null" == asked(connection, "resume")


@pytest.mark.parametrize("own", [["notes"], []], ids=["a subprotocol of the application", "none"])
def test_an_access_token_in_a_subprotocol(issuer: Issuer, address: str, own: list[str]) -> None:
    """An access token may come as a subprotocol, without a first message; the answer never repeats it."""
    tokens = start(issuer)
    offered = [Subprotocol(each) for each in (*own, "daypass.token", f"daypass.token.{tokens.access_token}")]
    with connect(address, subprotocols=offered, proxy=None) as connection:
        assert (own[0] if own else "daypass.token") == connection.subprotocol
        assert {"type": "daypass.accepted", "expiresIn": 15 * 60} == json.loads(connection.recv(WITHIN))
        assert "ann: one" == asked(connection, "one")
        logout(issuer, tokens)
        assert (ENDED, "session_revoked") == closed_with(connection)
    with connect(address, subprotocols=offered, proxy=None) as connection:
        assert (ENDED, "session_revoked") == closed_with(connection)


@pytest.mark.parametrize("text", ["garbage", None], ids=["garbage", "another session"])
def test_an_access_token_that_is_refused_closes_a_websocket(issuer: Issuer, address: str, text: str | None) -> None:
    """A newer access token that is refused, or that belongs to another session, closes the WebSocket."""
    tokens, others = start(issuer), start(issuer)
    with opened(address, tokens.access_token) as connection:
        content = {"type": "daypass.token", "accessToken": text or others.access_token}
        connection.send(json.dumps(content, separators=(",", ":")))
        assert (EXPIRED, "token_malformed") == closed_with(connection)


@pytest.mark.parametrize("token", ["garbage", ""])
def test_a_handshake_with_a_refused_access_token_is_refused(issuer: Issuer, address: str, token: str) -> None:
    """A header without a good access token gets 401, with its challenge, and no WebSocket."""
    headers = {"Authorization": f"Bearer {token}"}
    with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers, proxy=None):
        pytest.fail("it was accepted")
    assert 401 == refused.value.response.status_code
    assert refused.value.response.headers["www-authenticate"].startswith('Bearer realm="daypass"')


@pytest.mark.parametrize("first", ["hello", '{"type":"daypass.token"}', b"\x00"])
def test_a_first_message_without_an_access_token_closes_a_websocket(issuer: Issuer, address: str, first: Any) -> None:
    """Nothing reaches the application before an access token does."""
    with connect(address, proxy=None) as connection:
        connection.send(first)
        assert (EXPIRED, "token_missing") == closed_with(connection)


@pytest.mark.parametrize("framework", APPS)
@pytest.mark.parametrize("by_message", [False, True], ids=["by header", "by first message"])
def test_a_scope_that_the_access_token_lacks_is_refused(issuer: Issuer, framework: str, *, by_message: bool) -> None:
    """A guard's scope is required at the opening: by 403 in the handshake, or by closing the WebSocket."""
    tokens = start(issuer)
    with served(issuer, framework, scope="notes:write") as address:
        if by_message:
            assert (FORBIDDEN, "insufficient_scope") == closed_after(address, tokens.access_token)
        else:
            assert 403 == refused(address, tokens.access_token).status_code


@pytest.mark.parametrize("framework", APPS)
def test_a_login_that_is_too_old_opens_no_websocket(issuer: Issuer, framework: str) -> None:
    """A guard's ``max_age`` is required of each access token that comes: 401 in the handshake, or 1008 after it."""
    needed = (FORBIDDEN, 'insufficient_user_authentication, max_age="300"')
    with served(issuer, framework, max_age="5m") as address:
        tokens = start(issuer)
        issuer.clock.advance(4 * MINUTE)
        with opened(address, tokens.access_token) as connection:
            assert "ann: one" == asked(connection, "one")
            issuer.clock.advance(2 * MINUTE)
            newer = refresh(issuer, tokens).access_token
            send_token(connection, newer)
            assert needed == closed_with(connection)
        answer = refused(address, newer)
        assert (401, True) == (answer.status_code, 'max_age="300"' in answer.headers["www-authenticate"])
        assert needed == closed_after(address, newer)
        confirmed = asyncio.run(issuer.auth.confirm(tokens.session.id, amr=["pwd"]))
        with opened(address, confirmed.access_token, by_message=True) as connection:
            assert "ann: two" == asked(connection, "two")


def test_a_scope_may_be_required_of_a_message(issuer: Issuer, address: str) -> None:
    """What the application requires of the token of an open WebSocket closes it if the token does not allow it."""
    with opened(address, start(issuer).access_token) as connection:
        assert "ann: read" == asked(connection, "read")
        connection.send("write")
        assert (FORBIDDEN, "insufficient_scope") == closed_with(connection)


def test_messages_of_the_application_are_left_alone(issuer: Issuer, address: str) -> None:
    """JSON of the application's own, and text that only looks like a token message, reach the application."""
    with opened(address, start(issuer).access_token, by_message=True) as connection:
        for text in (
            '{"type":"note"}',
            '{"type":"daypass.tokens"}',
            '{"type":"daypass.token"',
            '{"a":"daypass.token"}',
        ):
            assert f"ann: {text}" == asked(connection, text)


def test_a_client_that_goes_away_is_no_error(issuer: Issuer, address: str, caplog: pytest.LogCaptureFixture) -> None:
    """A WebSocket that its client closes, before its first message or after it, is not logged as an error."""
    with connect(address, proxy=None):
        pass
    with connect(address, proxy=None) as connection:
        connection.socket.shutdown(socket.SHUT_RDWR)
    with opened(address, start(issuer).access_token, by_message=True) as connection:
        asked(connection, "one")
    tokens = start(issuer)
    with opened(address, tokens.access_token) as connection:
        assert "ann: two" == asked(connection, "two")
    assert [] == [record.message for record in caplog.records if record.levelname == "ERROR"]
