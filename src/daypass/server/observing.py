"""Counts and logs the requests to the service, and gives each an id. It reads no token, cookie, query or body."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daypass.server.logs import new_request_id, request_id
from daypass.tally import Tally

_log = logging.getLogger("daypass.requests")

_SESSION = "/auth/sessions/"
_OTHER = "other"
_NOT_COUNTED = frozenset(("/healthz", "/readyz", "/metrics"))


class Observing:
    """Middleware around the service's application.

    Args:
        app: the application.
        tally: the counters.
        routes: the paths that are counted by name; all others count as ``other``, because clients choose them.
    """

    def __init__(self, app: ASGIApp, tally: Tally, routes: frozenset[str]) -> None:
        self._app = app
        self._tally = tally
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and count and log it."""
        if scope["type"] != "http" or scope["path"] in _NOT_COUNTED:
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
        own_id = new_request_id(None if given is None else given.decode("latin-1"))
        header = (b"x-request-id", own_id.encode())
        token, began, status = request_id.set(own_id), time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - began
            route = self._route_of(scope["path"])
            self._tally.count_request(route, status, seconds)
            if _log.isEnabledFor(logging.INFO):
                fields = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 2)}
                _log.info("%s %s %d", scope["method"], route, status, extra={"fields": fields})
            request_id.reset(token)

    def _route_of(self, path: str) -> str:
        if path in self._routes:
            return path
        return f"{_SESSION}{{session_id}}" if path.startswith(_SESSION) else _OTHER
