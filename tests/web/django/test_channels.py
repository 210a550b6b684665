"""Django Channels in `Watched`: consumers end with their session, and clean up."""

import asyncio
import queue
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
from websockets.sync.client import connect

from daypass.duration import MINUTE
from daypass.web.websocket import ENDED, EXPIRED, FORBIDDEN, Watched

from ...servers.application import serving
from ..test_websocket import (
    WITHIN,
    Issuer,
    asked,
    authenticate,
    closed_after,
    closed_with,
    logout,
    opened,
    refresh,
    refused,
    start,
)
from .project import Asgi

Left = queue.Queue[int]


def consumer(left: Left) -> type[Any]:
    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
            await self.send(text_data=f"{self.scope['daypass.connection'].token.subject}: {text_data}")

        async def disconnect(self, code: int) -> None:
            left.put(code)

    return Echo


def sync_consumer(left: Left) -> type[Any]:
    class Echo(WebsocketConsumer):
        def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
            self.send(text_data=f"{self.scope['daypass.connection'].token.subject}: {text_data}")

        def disconnect(self, code: int) -> None:
            left.put(code)

    return Echo


@pytest.fixture(params=[consumer, sync_consumer], ids=["async", "sync"])
def make(request: pytest.FixtureRequest) -> Callable[[Left], type[Any]]:
    found: Callable[[Left], type[Any]] = request.param
    return found


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def left() -> Left:
    return queue.Queue()


@pytest.fixture
def address(issuer: Issuer, make: Callable[[Left], type[Any]], left: Left) -> Iterator[str]:
    routes = URLRouter([path("", make(left).as_asgi())])
    websocket = Watched(routes, issuer.auth, scope="notes:read", max_age="30m")
    with serving(ProtocolTypeRouter({"http": Asgi([]), "websocket": websocket}), websockets=True) as address:
        assert 404 == httpx2.get(address).status_code
        yield address.replace("http", "ws", 1)


@pytest.mark.parametrize("by_message", [False, True], ids=["by header", "by first message"])
def test_a_consumer_ends_with_its_session(issuer: Issuer, address: str, left: Left, *, by_message: bool) -> None:
    """The WebSocket is closed, and the consumer's ``disconnect`` is called with the close code."""
    tokens = start(issuer)
    with opened(address, tokens.access_token, by_message=by_message) as connection:
        assert "ann: one" == asked(connection, "one")
        logout(issuer, tokens)
        assert (ENDED, "session_revoked") == closed_with(connection)
    assert ENDED == left.get(timeout=WITHIN)


def test_a_consumer_goes_on_with_a_newer_access_token(issuer: Issuer, address: str, left: Left) -> None:
    """A newer access token never reaches the consumer; when the last has expired, its ``disconnect`` is called."""
    tokens = start(issuer)
    with opened(address, tokens.access_token) as connection:
        issuer.clock.advance(10 * MINUTE)
        authenticate(connection, refresh(issuer, tokens).access_token)
        issuer.clock.advance(10 * MINUTE)
        assert "ann: still here" == asked(connection, "still here")
        issuer.clock.advance(5 * MINUTE)
        assert (EXPIRED, "token_expired") == closed_with(connection)
    assert EXPIRED == left.get(timeout=WITHIN)


def test_a_consumer_is_not_reached_without_a_good_access_token(issuer: Issuer, address: str, left: Left) -> None:
    """A refused token is a 401 in the handshake, and a WebSocket that is closed if it comes in the first message."""
    tokens = start(issuer)
    assert 401 == refused(address, "garbage").status_code
    assert (EXPIRED, "token_malformed") == closed_after(address, "garbage")
    issuer.clock.advance(31 * MINUTE)
    old = refresh(issuer, tokens).access_token
    assert (FORBIDDEN, 'insufficient_user_authentication, max_age="1800"') == closed_after(address, old)
    assert left.empty()


def test_a_client_that_leaves_is_told_to_the_consumer(issuer: Issuer, address: str, left: Left) -> None:
    """The code that the client has closed with reaches ``disconnect``."""
    with opened(address, start(issuer).access_token) as connection:
        asked(connection, "one")
        connection.close(4000)
    assert 4000 == left.get(timeout=WITHIN)


def test_many_messages_arrive_in_order(issuer: Issuer, address: str) -> None:
    """Whatever is sent at once is echoed whole, with renewals in between."""
    access_token = start(issuer).access_token
    with opened(address, access_token) as connection:
        for number in range(50):
            connection.send(str(number))
        assert [f"ann: {number}" for number in range(50)] == [connection.recv(WITHIN) for _ in range(50)]
        authenticate(connection, access_token)
        assert "ann: last" == asked(connection, "last")


def test_a_busy_application_cannot_keep_its_websocket_open(issuer: Issuer) -> None:
    """A WebSocket is closed at the end of its session although its application does not read; it is cancelled later."""
    ended: queue.Queue[str] = queue.Queue()

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.put("cancelled")
            raise

    tokens = start(issuer)
    with serving(Watched(busy, issuer.auth), websockets=True) as address:
        with connect(
            address.replace("http", "ws", 1),
            additional_headers={"Authorization": f"Bearer {tokens.access_token}"},
            proxy=None,
        ) as connection:
            logout(issuer, tokens)
            assert (ENDED, "session_revoked") == closed_with(connection)
        assert "cancelled" == ended.get(timeout=WITHIN + 5)
