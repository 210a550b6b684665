"""WebSockets that end with their session: opening, renewing and closing. ASGI, for every framework.

A client that can set headers sends its access token in ``Authorization``. A browser cannot: it sends the token in its
first message, ``{"type":"daypass.token","accessToken":"…"}``, or offers the subprotocol ``daypass.token.…``. All send a
newer one in such a message before the old one expires. The application does not see these messages, and each is
answered with ``{"type":"daypass.accepted","expiresIn":…}``. The first one may have a ``resume``: where the client wants
to continue.

app = Watched(app, auth)  # around any ASGI application, such as Django Channels
"""

import asyncio
import json
import logging
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, Unpack

from daypass.access_token import AccessToken
from daypass.duration import SECOND
from daypass.errors import (
    AuthenticationInsufficient,
    DaypassError,
    ScopeInsufficient,
    SessionRevoked,
    StoreError,
    TokenRejected,
)
from daypass.issuer import AsyncDaypass
from daypass.watching import AsyncWatch
from daypass.web import guard
from daypass.web.application import Application
from daypass.web.asgi import (
    ASGIApplication,
    Guard,
    Message,
    Receive,
    Refused,
    Scope,
    Send,
    authorization_of,
    bearer,
    read_request,
)
from daypass.web.bearer import TokenMissing, needed, refused
from daypass.web.guard import AsyncVerifying
from daypass.web.proofs import HEADER, dpop_text
from daypass.web.step_up import StepUp

__all__ = ["ENDED", "EXPIRED", "FORBIDDEN", "TRY_AGAIN", "Closed", "Connection", "Watched"]

EXPIRED = 4401
"""Close code: the access token has expired or was refused. A client that gets a new one may connect again."""

ENDED = 4403
"""Close code: the session has ended; the user must log in again."""

FORBIDDEN = 1008
"""Close code: the access token does not allow this (RFC 6455 §7.4.1), by its scope or by the login behind it."""

TRY_AGAIN = 1013
"""Close code: the access token cannot be checked now."""

LONGEST_REASON = 123
"""Bytes that a close frame has for its reason (RFC 6455 §5.5)."""

TOKEN_WITHIN = 10.0
"""Seconds that a client has for its first message."""

LEAVES_WITHIN = 5.0
"""Seconds that an application in `Watched` has after its WebSocket was closed."""

_log = logging.getLogger("daypass")

_TOKEN = "daypass.token"  # noqa: S105 - the type of a message
_BEGINNING = '{"type":"daypass.token"'
_OFFERED = f"{_TOKEN}."
"""The prefix of the subprotocol with the access token; clients also offer `_TOKEN`, which is the one chosen."""


class Closed(DaypassError):
    """A WebSocket that was accepted and must be closed.

    Attributes:
        code: the close code: `EXPIRED`, `ENDED`, `FORBIDDEN` or `TRY_AGAIN`.
        reason: a word for the close frame.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the WebSocket was closed with {code} ({reason})")
        self.code = code
        self.reason = reason


class Disconnected(DaypassError):
    """The client disconnected before it sent an access token."""


class Connection:
    """One WebSocket: accepted with an access token, watched, and closed with its session.

    Use it with ``async with``. `receive` and `send` replace those of the server.

    Args:
        require: the guard that checks access tokens.
        scope: the connection, of type ``websocket``.
        receive: the server's.
        send: the server's.
        subprotocol: the subprotocol to accept, if the client offers it.

    Attributes:
        scope: the connection.
        resume: what the client sent as ``resume`` with its first access token, any JSON; None if it sent nothing.
    """

    def __init__(
        self, require: guard.AsyncGuard[Any], scope: Scope, receive: Receive, send: Send, subprotocol: str | None = None
    ) -> None:
        self._require = require
        self.scope = scope
        self._receive = receive
        self._send = send
        self._subprotocol = subprotocol if subprotocol in scope.get("subprotocols", ()) else None
        self.resume: Any = None
        self._bound_to: str | None = None
        self._watch: AsyncWatch
        self._connects = True

    @property
    def token(self) -> AccessToken:
        """The newest access token."""
        return self._watch.token

    async def __aenter__(self) -> Self:
        """Accept the WebSocket, check the access token and begin to watch.

        Raises:
            TokenRejected, ScopeInsufficient, StoreError: of a token in the ``Authorization`` header; nothing was
                accepted yet, so answer by HTTP.
            Closed: of a token in a subprotocol or the first message; close the WebSocket by it.
            Disconnected: the client disconnected.
        """
        text = None
        if authorization := authorization_of(self.scope):
            text = dpop_text(authorization) if self._require.accepts_proofs else None
            text = text or self._require.text_of(authorization)
            opened_by, _ = await self._require.admit(authorization, asked=lambda: read_request(self.scope))
            self._bound_to = None if opened_by is None else opened_by.key_thumbprint
        await self._receive()  # "websocket.connect", which comes first
        offered = None if text is not None else self._offered_text()
        await self._send({"type": "websocket.accept", "subprotocol": self._subprotocol, "headers": []})
        if text is None:
            text, proof = (offered, "") if offered else await self._first_text()
            try:
                token = await self._admit(text, proof)
            except guard.REFUSED as error:
                raise closed_by(error) from None
            await self._accept(token)
        self._watch = self._watching(text)
        try:
            await self._watch.__aenter__()
        except guard.REFUSED as error:
            raise closed_by(error) from None
        return self

    def _watching(self, text: str) -> AsyncWatch:
        return self._require.watching(text)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching.

        Raises:
            Closed: the session has ended, or the access token has expired or does not allow what was asked for.
        """
        try:
            await self._watch.__aexit__(kind, error, trace)
        except TokenRejected as ended:
            raise closed_by(ended) from None
        if isinstance(error, guard.REFUSED):  # as by ``token.require(…)``
            raise closed_by(error) from None

    async def receive(self) -> Message:
        """Return the next message of the application.

        Raises:
            Closed: the client sent an access token that was refused.
        """
        if self._connects:
            self._connects = False
            return {"type": "websocket.connect"}
        while True:
            message = await self._receive()
            content = _token_message(message)
            if content is None:
                return message
            await self._renew(content["accessToken"])

    async def send(self, message: Message) -> None:
        """Send a message of the application; drop its ``websocket.accept``, because that was done."""
        if message["type"] != "websocket.accept":
            await self._send(message)

    async def _admit(self, text: str, proof: str) -> AccessToken:
        """Return a valid access token; one that is bound to a key needs a proof for this connection."""
        token = await self._require.verify(text)
        if token.key_thumbprint is not None and self._require.accepts_proofs:
            request = read_request(self.scope)
            proven = replace(request, headers={**request.headers, HEADER: proof})
            await self._require.prove(token, text, lambda: proven)
            self._bound_to = token.key_thumbprint
        return self._allowed(token)

    def _allowed(self, token: AccessToken) -> AccessToken:
        """Return a token that may be used here; a newer one by the key that opened the connection needs no proof."""
        proven = token.key_thumbprint is not None and token.key_thumbprint == self._bound_to
        return self._require.allow(token, "", proven=proven)

    async def _accept(self, token: AccessToken) -> None:
        """Tell the client that its access token was accepted, and for how many seconds it is valid."""
        left = max(0, token.expires_at - self._require.now()) / SECOND
        answer = json.dumps({"type": "daypass.accepted", "expiresIn": left}, separators=(",", ":"))
        await self._send({"type": "websocket.send", "text": answer})

    def _offered_text(self) -> str | None:
        """Return the access token in the subprotocols, if any; then choose another subprotocol."""
        offered = self.scope.get("subprotocols", ())
        text = next((each for each in offered if each.startswith(_OFFERED)), None)
        if text is not None and self._subprotocol is None and _TOKEN in offered:
            self._subprotocol = _TOKEN
        return text and text.removeprefix(_OFFERED)

    async def _first_text(self) -> tuple[str, str]:
        """Return the access token and the proof, perhaps empty, of the client's first message."""
        try:
            async with asyncio.timeout(TOKEN_WITHIN):
                message = await self._receive()
        except TimeoutError:
            raise closed_by(TokenMissing("no access token was sent")) from None
        if message["type"] == "websocket.disconnect":
            raise Disconnected("the client went away before it sent an access token")
        content = _token_message(message)
        if content is None:
            raise closed_by(TokenMissing("no access token was sent"))
        self.resume = content.get("resume")
        return str(content["accessToken"]), str(content.get("proof", ""))

    async def _renew(self, text: str) -> None:
        try:
            token = self._allowed(await self._watch.renew(text))
        except StoreError:
            return  # the previous one is still valid, and the client will try again
        except guard.REFUSED as error:
            raise closed_by(error) from None
        await self._accept(token)


def closed_by(error: DaypassError) -> Closed:
    """Return the close code and reason for an error of the access token."""
    match error:
        case SessionRevoked():
            return Closed(ENDED, error.code)
        case ScopeInsufficient():
            return Closed(FORBIDDEN, error.code)
        case AuthenticationInsufficient():
            reason = error.code + needed(error)
            return Closed(FORBIDDEN, reason if len(reason) <= LONGEST_REASON else error.code)
        case StoreError():
            return Closed(TRY_AGAIN, error.code)
        case TokenRejected():
            return Closed(EXPIRED, error.code)
    raise error


class _Polite(Connection):
    """A connection whose application gets ``websocket.disconnect`` after the connection was closed.

    Args:
        limit: of the application's task; set when the connection ends.
    """

    def __init__(self, limit: asyncio.Timeout, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[Closed] = self._loop.create_future()
        self._coming: asyncio.Future[Message] | None = None
        self._closing: asyncio.Future[None] | None = None
        self.is_open = True

    def _watching(self, text: str) -> AsyncWatch:
        return self._require.watching(text, lambda reason: self._end(closed_by(reason)))

    def _end(self, closed: Closed) -> None:
        if self._over.done():
            return
        self._over.set_result(closed)
        self._limit.reschedule(self._loop.time() + LEAVES_WITHIN)
        if self.is_open:
            self.is_open = False
            message = {"type": "websocket.close", "code": closed.code, "reason": closed.reason}
            self._closing = asyncio.ensure_future(self._send(message))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching, and wait until the WebSocket is closed."""
        if self._coming is not None:
            self._coming.cancel()
        await super().__aexit__(kind, error, trace)
        if self._closing is not None:
            await self._closing

    async def receive(self) -> Message:
        """Return the next message of the application; ``websocket.disconnect`` at the end of the session."""
        if self._connects:
            return await super().receive()
        while not self._over.done():
            if self._coming is None:
                self._coming = asyncio.ensure_future(self._receive())
            await asyncio.wait((self._coming, self._over), return_when=asyncio.FIRST_COMPLETED)
            if self._over.done():
                break
            message, self._coming = self._coming.result(), None
            content = _token_message(message)
            if content is None:
                self.is_open = self.is_open and message["type"] != "websocket.disconnect"
                return message
            try:
                await self._renew(content["accessToken"])
            except Closed as error:
                self._end(error)
        closed = self._over.result()
        return {"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason}

    async def send(self, message: Message) -> None:
        """Send a message of the application; nothing after the end."""
        if not self._over.done():
            self.is_open = self.is_open and message["type"] != "websocket.close"
            await super().send(message)


class Watched:
    """An ASGI application whose WebSockets need an access token, and end with their session.

    The application finds the access token, a `daypass.AccessToken`, in ``scope["daypass.connection"].token``. When the
    session ends, the WebSocket is closed and the application gets ``websocket.disconnect`` with the close code, so that
    it can clean up; it has `LEAVES_WITHIN` seconds for that. Requests that are not WebSockets go to it as they are.

    Args:
        app: the application.
        auth: an `AsyncDaypass`, its application, or a `daypass.AsyncRemoteVerifier`.
        scope: the scope that is required, words with spaces between them (RFC 6749 §3.3).
        subprotocol: the subprotocol to accept, if the client offers it.
        step_up: ``max_age="5m"``: how recently the user was authenticated; ``acr="mfa"``: in which way.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(
        self,
        app: ASGIApplication,
        auth: AsyncVerifying | Application[AsyncDaypass],
        *,
        scope: str | None = None,
        subprotocol: str | None = None,
        **step_up: Unpack[StepUp],
    ) -> None:
        self._app = app
        self._require: Guard[AccessToken] = bearer(auth, scope, **step_up)
        self._subprotocol = subprotocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(None) as limit:
                opened = _Polite(limit, self._require, scope, receive, send, self._subprotocol)
                async with opened as connection:
                    await self._app({**scope, "daypass.connection": connection}, connection.receive, connection.send)
        except guard.REFUSED as error:
            await Refused(refused(error)).send(scope, send)
        except Closed as closed:
            if opened.is_open:
                await send({"type": "websocket.close", "code": closed.code, "reason": closed.reason})
        except Disconnected:
            return
        except TimeoutError:
            if not limit.expired():
                raise
            _log.warning("an application went on after its WebSocket had been closed, and was cancelled")


def _token_message(message: Message) -> dict[str, Any] | None:
    """Return the message that sends an access token; None if it is a message of the application."""
    text = message.get("text")
    if not text or not text.startswith(_BEGINNING):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    is_token = isinstance(found, dict) and found.get("type") == _TOKEN and isinstance(found.get("accessToken"), str)
    return found if is_token else None
