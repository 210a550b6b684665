"""Pages without JavaScript in any application of ASGI: a middleware, for Starlette, FastAPI, Litestar and others.

app = Pages(app, auth)

async def home(request: Request) -> Response:
    login: BrowserLogin = request.scope["daypass"]
    name = login.token.username if login.token else "nobody"
"""

from collections.abc import Iterable
from typing import Unpack

from daypass.issuer import AsyncDaypass
from daypass.web.application import Application, async_application
from daypass.web.asgi import ASGIApplication, Message, Receive, Scope, Send, encoded, read_request
from daypass.web.browser_login import BrowserLogin
from daypass.web.message import Response
from daypass.web.options import Options
from daypass.web.page_headers import Headers, merge_headers
from daypass.web.pages import Render

__all__ = [
    "Pages",
]

RawHeaders = Iterable[tuple[bytes, bytes]]


class Pages:
    """Identifies the user of a page's request, and refreshes during the request if needed.

    ``scope["daypass"]`` is the `BrowserLogin`. If the browser's cookies log it in, the application's request gets an
    ``Authorization`` header with the access token, so that a guard (`daypass.web.starlette.bearer`) or a verifier
    accepts it. Bodies are passed on untouched. A WebSocket is identified by its cookies too; changed cookies are set by
    the response that accepts it.

    Args:
        app: the application to serve.
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        render: see `daypass.web.pages.Pages`.
        options: how cookies are set and used; ``same_site`` is ``Lax`` by default.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(
        self,
        app: ASGIApplication,
        auth: AsyncDaypass | Application[AsyncDaypass],
        *,
        render: Render | None = None,
        **options: Unpack[Options],
    ) -> None:
        application = async_application(auth, options)
        self._app = app
        self._auth = application.auth
        self._pages = application.pages(render)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; the application's exceptions go on to the server."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        response = _HttpResponse(self, send) if scope["type"] == "http" else _WebSocketResponse(self, send)
        response.deniable = "websocket.http.response" in scope.get("extensions", {})
        login = await self._auth.run(self._pages.process_request(read_request(scope), self._auth.new_call()))
        if login.refusal is not None:
            if scope["type"] == "websocket":
                await receive()  # the "connect", which comes first
            await response.refuse(login.refusal)
            return
        response.login = login
        scope = {**scope, "daypass": login}
        if login.authorization is not None:
            scope["headers"] = [*scope["headers"], (b"authorization", login.authorization.encode("latin-1"))]
        await self._app(scope, receive, response.send)

    async def finish(self, login: BrowserLogin) -> Headers:
        """Run `Pages.process_response`; return the headers to add to the response."""
        return await self._auth.run(self._pages.process_response(login, self._auth.new_call()))


class _HttpResponse:
    """The application's response to a request."""

    login: BrowserLogin
    deniable = False
    prefix = "http.response"

    def __init__(self, owner: Pages, send: Send) -> None:
        self._owner = owner
        self._send = send
        self._replaced = False

    async def send(self, message: Message) -> None:
        """Send the application's messages, and our headers with the first."""
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            ours = await self._owner.finish(self.login)
            if self.login.refusal is not None:
                await self.refuse(self.login.refusal)
                return
            message = {**message, "headers": _merged(message.get("headers", ()), ours)}
        await self._send(message)

    async def refuse(self, response: Response) -> None:
        """Send a response of ours, whatever the application sends."""
        self._replaced = True
        headers = (*response.headers, ("content-length", str(len(response.body))))
        await self._send(
            {"type": f"{self.prefix}.start", "status": response.status, "headers": encoded(headers)},
        )
        await self._send({"type": f"{self.prefix}.body", "body": response.body})


class _WebSocketResponse(_HttpResponse):
    """The application's answer to the opening of a WebSocket."""

    prefix = "websocket.http.response"

    async def send(self, message: Message) -> None:
        """Send the application's messages, and set changed cookies with the one that accepts the WebSocket."""
        if self._replaced:
            return
        if message["type"] == "websocket.accept":
            ours = await self._owner.finish(self.login)
            if self.login.refusal is not None:
                await self.refuse(self.login.refusal)
                return
            set_cookies = encoded(header for header in ours if header[0] == "set-cookie")
            message = {**message, "headers": [*message.get("headers", ()), *set_cookies]}
        await self._send(message)

    async def refuse(self, response: Response) -> None:
        """Refuse the WebSocket; if the server cannot send a response, it answers 403."""
        if self.deniable:
            await super().refuse(response)
        else:
            self._replaced = True
            await self._send({"type": "websocket.close", "code": 1008, "reason": ""})


def _merged(theirs: RawHeaders, ours: Headers) -> list[tuple[bytes, bytes]]:
    known = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in theirs)
    return encoded(merge_headers(known, ours))
