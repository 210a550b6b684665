"""Counts and logs the requests to the service, and gives each an id. It reads no token, cookie, query or body."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daypass.server import logs
from daypass.server.logs import new_request_id, request_id
from daypass.tally import Tally

_METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"))
_SESSION = "/auth/sessions/"
_OPERATORS = "/admin"
_NOT_COUNTED = frozenset(("/healthz", "/readyz", "/metrics"))

OTHER_METHOD = "_OTHER"
OTHER = "other"
"""The route of all paths that are not known by name."""


class Routes:
    """The names of the requests that are counted; they have no part that a client can choose.

    Args:
        paths: the paths that have a name; all others are `OTHER`.
    """

    def __init__(self, paths: frozenset[str]) -> None:
        self._paths = paths

    def counts(self, scope: Scope) -> bool:
        """Return whether a request is counted: health checks are not."""
        return scope["type"] == "http" and scope["path"] not in _NOT_COUNTED

    def of(self, path: str) -> str:
        """Return the route of a path."""
        if path in self._paths:
            return path
        return f"{_SESSION}{{session_id}}" if path.startswith(_SESSION) else OTHER


def method_of(scope: Scope) -> str:
    """Return the method of a request; one that HTTP does not know is `OTHER_METHOD`."""
    method: str = scope["method"]
    return method if method in _METHODS else OTHER_METHOD


class Observing:
    """Middleware around the service's application.

    Args:
        app: the application.
        tally: the counters.
        routes: the names of the requests.
    """

    def __init__(self, app: ASGIApp, tally: Tally, routes: Routes) -> None:
        self._app = app
        self._tally = tally
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and count and log it."""
        if not self._routes.counts(scope):
            await self._app(scope, receive, send)
            return
        given = None
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                given = value.decode("latin-1")
        own_id = new_request_id(given)
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
            method, route = method_of(scope), self._routes.of(scope["path"])
            self._tally.count_request(method, route, status, seconds)
            if logs.requests is not None:
                logs.requests.add(method, route, status, seconds, own_id)
            request_id.reset(token)
