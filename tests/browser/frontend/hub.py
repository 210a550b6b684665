"""A server of SignalR's JSON protocol, as far as one method needs it."""

import json
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from daypass import AsyncDaypass, TokenRejected
from daypass.web.starlette import bearer

END = "\x1e"
INVOCATION, COMPLETION, PING, CLOSE = 1, 3, 6, 7
"""Types of messages."""


class Hub:
    """A hub with the method ``Whoami``; it closes connections when their token expires or their session ends.

    Attributes:
        connected: how many connections there have been.
    """

    def __init__(self, auth: AsyncDaypass) -> None:
        self.connected = 0
        self._auth = auth
        self._require = bearer(auth)
        self.routes = [
            Route("/hub/negotiate", self._negotiate, methods=["POST"]),
            WebSocketRoute("/hub", self._connect),
        ]

    async def _negotiate(self, request: Request) -> Response:
        await self._require(request)
        transports = [{"transport": "WebSockets", "transferFormats": ["Text"]}]
        name = secrets.token_urlsafe()
        return JSONResponse(
            {"connectionId": name, "connectionToken": name, "negotiateVersion": 1, "availableTransports": transports}
        )

    async def _connect(self, socket: WebSocket) -> None:
        await socket.accept()
        assert "json" == json.loads((await socket.receive_text()).removesuffix(END))["protocol"]
        await socket.send_text("{}" + END)
        self.connected += 1
        watched = self._auth.watch(socket.query_params["access_token"])
        closing: dict[str, Any] = {"type": CLOSE, "allowReconnect": True}
        try:
            async for text in watched.until_end(socket.iter_text()):
                for each in text.split(END)[:-1]:
                    await self._answer(socket, json.loads(each), watched.token.username)
        except TokenRejected as error:
            closing["error"] = error.code
        await socket.send_text(json.dumps(closing) + END)
        await socket.close()

    async def _answer(self, socket: WebSocket, message: dict[str, Any], name: str | None) -> None:
        if message["type"] == PING:
            await socket.send_text(json.dumps({"type": PING}) + END)
        if message["type"] == INVOCATION:
            done = {"type": COMPLETION, "invocationId": message["invocationId"], "result": name}
            await socket.send_text(json.dumps(done) + END)
