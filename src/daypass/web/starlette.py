"""Daypass in Starlette: the routes, and the guards that require an access token.

routes = [Mount("/auth", routes=auth_routes(auth, authenticate=check_password)), *well_known_routes(auth)]
require = bearer(auth)

async def profile(request: Request) -> Response:
    token = await require(request)
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar, Unpack, overload

try:
    from starlette.exceptions import HTTPException, WebSocketException
    from starlette.requests import ClientDisconnect, HTTPConnection
    from starlette.requests import Request as StarletteRequest
    from starlette.responses import Response as StarletteResponse
    from starlette.routing import Route
    from starlette.websockets import WebSocket
except ModuleNotFoundError as missing:
    raise ImportError('daypass.web.starlette needs Starlette: pip install "daypass[starlette]"') from missing

from daypass.access_token import AccessToken
from daypass.issuer import AsyncCheck, AsyncDaypass, Check
from daypass.session import Tokens
from daypass.session_options import SessionOptions
from daypass.user import User
from daypass.web import asgi, guard, routes
from daypass.web.application import Application, async_application
from daypass.web.asgi import Message, Receive, Scope, Send, authorization_of, encoded, read_request, respond
from daypass.web.bearer import refused
from daypass.web.clients import Registry
from daypass.web.guard import AsyncVerifying
from daypass.web.message import MAXIMUM_BODY, Response, failure, too_large
from daypass.web.options import Options
from daypass.web.own_login import LoginRefused
from daypass.web.page_headers import Headers
from daypass.web.proofs import NONCE
from daypass.web.step_up import StepUp
from daypass.web.websocket import Closed, Connection, Disconnected

__all__ = [
    "Guard",
    "WatchedWebSocket",
    "auth_routes",
    "bearer",
    "current_user",
    "log_in",
    "log_out",
    "oauth_routes",
    "well_known_routes",
]

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Endpoint = Callable[[StarletteRequest], Awaitable[StarletteResponse]]

FoundT = TypeVar("FoundT")


def auth_routes(
    auth: AsyncDaypass | Application[AsyncDaypass],
    *,
    authenticate: Check | AsyncCheck | None = None,
    **options: Unpack[Options],
) -> list[Route]:
    """Return the routes of the session endpoints, to be mounted at ``/auth``.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        authenticate: returns the `daypass.User` with a name (or address) and a password, None if they are wrong;
            may be async; otherwise it is called in a thread. The issuer's own by default.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = async_application(auth, options, authenticate=authenticate)
    return mounted(application.auth, application.auth_routes)


def oauth_routes(
    auth: AsyncDaypass | Application[AsyncDaypass],
    *,
    clients: Registry = (),
    **options: Unpack[Options],
) -> list[Route]:
    """Return the routes of the OAuth endpoints, to be mounted at ``/oauth``.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        clients: the `daypass.web.clients.Client` objects there are, or a function that returns the one with an id, or
            None; it may be async; otherwise it is called in a thread.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = async_application(auth, options, clients=clients)
    return mounted(application.auth, application.mounted_oauth_routes())


def well_known_routes(
    auth: AsyncDaypass | Application[AsyncDaypass],
    *,
    clients: Registry = (),
    **options: Unpack[Options],
) -> list[Route]:
    """Return the routes at the root of the host: the public signing keys, and the metadata for OAuth clients.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        clients: the same as for `oauth_routes`, if that is mounted.
        options: how they are served; ``oauth_path`` says where the OAuth endpoints are mounted if not at ``/oauth``.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = async_application(auth, options, clients=clients)
    return mounted(application.auth, application.well_known_routes)


def mounted(auth: AsyncDaypass, all_routes: Iterable[routes.Route]) -> list[Route]:
    """Return Starlette's routes for ours."""
    found = tuple(all_routes)
    theirs = [Route(route.path, _Endpoint(auth, route), methods=list(route.methods)) for route in found]
    return theirs + [Route(f"{route.path}/", absent, methods=METHODS) for route in found]


async def absent(_: StarletteRequest) -> StarletteResponse:
    """Answer 404 to a path with a slash at its end.

    Starlette would redirect it, with the scheme of the connection from the proxy. So a client would send its password
    again over plain HTTP.
    """
    return _returned(failure(404, "not_found", "There is nothing here; leave out the slash at the end"))


async def _gone(message: Message) -> None:
    """Send nothing: the client has disconnected."""


class WatchedWebSocket(WebSocket):
    """A WebSocket that was accepted and ends with its session; from `Guard.watch`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.scope, connection.receive, connection.send)
        self._connection = connection

    @property
    def token(self) -> AccessToken:
        """The newest access token."""
        return self._connection.token

    @property
    def resume(self) -> Any:
        """What the client sent as ``resume`` with its first access token; None if it sent nothing."""
        return self._connection.resume


class Guard(guard.AsyncGuard[FoundT]):
    """Requires an access token of a request or a WebSocket: ``await guard(request)``."""

    async def __call__(self, request: HTTPConnection) -> FoundT:
        """Return the access token, or the user.

        Raises:
            HTTPException: 401 with the challenge of RFC 6750 §3 when there is no access token or it was refused; 403
                when its scope does not allow this; 503 when it cannot be checked now.
        """
        return await self._checked(request)

    @asynccontextmanager
    async def watch(self, websocket: WebSocket, *, subprotocol: str | None = None) -> AsyncIterator[WatchedWebSocket]:
        """Accept a WebSocket that ends with its session: ``async with require.watch(websocket) as watched``.

        The access token comes in the ``Authorization`` header or in the first message; `daypass.web.websocket` says
        how. Code inside it is cancelled when the session ends, or when the access token has expired and the client
        sent no newer one; then the WebSocket is closed with 4403 or 4401.

        Args:
            websocket: not accepted yet.
            subprotocol: what to accept it with, if the client offers it.

        Raises:
            HTTPException: 401, 403 or 503 for a token in the header; the WebSocket is not accepted.
            WebSocketException: Starlette closes the WebSocket by it.
        """
        scope, receive, send = websocket.scope, websocket.receive, websocket.send
        try:
            async with Connection(self, scope, receive, send, subprotocol) as connection:
                watched = WatchedWebSocket(connection)
                await watched.accept()
                yield watched
        except guard.REFUSED as error:
            raise self._refusal(refused(error)) from None
        except Closed as closed:
            raise WebSocketException(closed.code, closed.reason) from None
        except Disconnected:
            websocket.send = _gone  # type: ignore[method-assign]  # Starlette closes it, and would fail
            raise WebSocketException(1000) from None  # unlike WebSocketDisconnect it is not logged as an error

    async def _checked(self, request: HTTPConnection, further: str = "") -> FoundT:
        scope = request.scope
        asked = None if self._dpop is None else lambda: read_request(scope)
        try:
            return self.found(await self.admit(authorization_of(scope), further, asked))
        except guard.REFUSED as error:
            raise self._refusal(refused(error)) from None

    def _refusal(self, response: Response) -> HTTPException:
        return HTTPException(response.status, headers=own_headers(response))


@overload
def bearer(
    auth: AsyncVerifying | Application[AsyncDaypass],
    scope: str | None = None,
    *,
    optional: Literal[False] = False,
    **step_up: Unpack[StepUp],
) -> Guard[AccessToken]: ...


@overload
def bearer(
    auth: AsyncVerifying | Application[AsyncDaypass],
    scope: str | None = None,
    *,
    optional: bool,
    **step_up: Unpack[StepUp],
) -> Guard[AccessToken | None]: ...


def bearer(
    auth: AsyncVerifying | Application[AsyncDaypass],
    scope: str | None = None,
    *,
    optional: bool = False,
    **step_up: Unpack[StepUp],
) -> Guard[Any]:
    """Return a `Guard`: ``token = await require(request)``, for a WebSocket too.

    Args:
        auth: an `AsyncDaypass`, or a `daypass.AsyncRemoteVerifier` if the issuer is another service.
        scope: the scope that is required, words with spaces between them (RFC 6749 §3.3).
        optional: return None if no access token was sent; an invalid one is still refused.
        step_up: ``max_age="5m"``: how recently, ``acr="mfa"``: how the user must have been authenticated. Otherwise 401
            with ``insufficient_user_authentication`` (RFC 9470).

    Raises:
        ConfigurationError: ``auth`` would block the event loop, or ``scope`` is not a scope.
    """
    return Guard(auth, scope, optional=optional, **step_up)


@overload
def current_user(
    auth: AsyncDaypass | Application[AsyncDaypass],
    scope: str | None = None,
    *,
    optional: Literal[False] = False,
    **step_up: Unpack[StepUp],
) -> Guard[User]: ...


@overload
def current_user(
    auth: AsyncDaypass | Application[AsyncDaypass],
    scope: str | None = None,
    *,
    optional: bool,
    **step_up: Unpack[StepUp],
) -> Guard[User | None]: ...


def current_user(
    auth: AsyncDaypass | Application[AsyncDaypass],
    scope: str | None = None,
    *,
    optional: bool = False,
    **step_up: Unpack[StepUp],
) -> Guard[Any]:
    """Return a `Guard` that requires an access token and gives its user, as ``load_user`` returns them now.

    Arguments and errors: see `bearer`; verifiers do not know users. A user who is gone or disabled gets 401.
    """
    return Guard(auth, scope, optional=optional, user=True, **step_up)


async def log_in(
    auth: AsyncDaypass | Application[AsyncDaypass],
    request: StarletteRequest,
    response: StarletteResponse,
    user: User,
    *,
    scope: str | None = None,
    device_name: str | None = None,
    cross_site: bool = False,
    **session: Unpack[SessionOptions],
) -> Tokens:
    """Log the browser in from an endpoint of your own, after you authenticated the user; ``response`` sets the cookie.

    Give the `Application` if your mounts have options. If `daypass.web.asgi_pages.Pages` runs around the endpoint, it
    sets the cookies. For the options, such as ``persistent=False``, see `daypass.web.own_login.log_in`.

    Returns:
        The tokens of the new session; send ``access_token`` and ``expires_in`` to a page with JavaScript.

    Raises:
        HTTPException: 401 if the user is disabled; 403 if a page of another site caused the request, or it came by
            plain HTTP; 503 if the store is down. Nothing was started.
    """
    options: dict[str, Any] = {"scope": scope, "device_name": device_name, "cross_site": cross_site, **session}
    try:
        return await log_in_or_refuse(auth, request, response, user, **options)
    except LoginRefused as error:
        raise _exception(error.response) from None


async def log_out(
    auth: AsyncDaypass | Application[AsyncDaypass],
    request: StarletteRequest,
    response: StarletteResponse,
    *,
    everywhere: bool = False,
) -> None:
    """End the session of the browser's cookie from an endpoint of your own, and remove the cookie by ``response``.

    ``everywhere`` ends all sessions of the user, on every device.

    Raises:
        HTTPException: 401 if ``everywhere`` was asked for without a live session; 403 if a page of another site caused
            the request, or it came by plain HTTP; 503 if the store is down. The session continues.
    """
    try:
        await log_out_or_refuse(auth, request, response, everywhere=everywhere)
    except LoginRefused as error:
        raise _exception(error.response) from None


async def log_in_or_refuse(
    auth: Any, request: StarletteRequest, response: StarletteResponse, user: User, **options: Any
) -> Tokens:
    """Do what `log_in` does, but raise `LoginRefused`; for authors of adapters."""
    tokens, headers = await asgi.log_in_or_refuse(auth, request.scope, user, **options)
    _put(response, headers)
    return tokens


async def log_out_or_refuse(auth: Any, request: StarletteRequest, response: StarletteResponse, **options: Any) -> None:
    """Do what `log_out` does, but raise `LoginRefused`."""
    _put(response, await asgi.log_out_or_refuse(auth, request.scope, **options))


def _put(response: StarletteResponse, headers: Headers) -> None:
    for name, value in headers:
        if name == "set-cookie":
            response.headers.append(name, value)
        else:
            response.headers.setdefault(name, value)


def _exception(response: Response) -> HTTPException:
    """Return Starlette's error with a refusal's status, message and headers."""
    return HTTPException(response.status, json.loads(response.body)["message"], own_headers(response))


class _Endpoint:
    """A route as an ASGI application, so that Starlette does not create its own request and response."""

    def __init__(self, auth: AsyncDaypass, route: routes.Route) -> None:
        self._auth = auth
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(self._auth, self._route, scope, receive, send, scope["path_params"].get("session_id"))


def served(auth: AsyncDaypass, route: routes.Route) -> Endpoint:
    """Return a Starlette endpoint of a route, which FastAPI needs: a function of a request."""

    async def serve(request: StarletteRequest) -> StarletteResponse:
        try:
            body = await _read(request)
        except ClientDisconnect:  # the client is gone, and nothing was done
            return StarletteResponse(status_code=400)
        if body is None:
            return _returned(route.refuse(read_request(request.scope), too_large()))
        asked = read_request(request.scope, body, request.path_params.get("session_id"))
        return _returned(await auth.run(route.answer(asked, auth.new_call())))

    return serve


def own_headers(response: Response) -> dict[str, str]:
    """Return the headers of a refusal that a framework's own error response must keep."""
    return {name: value for name, value in response.headers if name in ("www-authenticate", "retry-after", NONCE)}


async def _read(request: StarletteRequest) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAXIMUM_BODY:
            return None
    return bytes(body)


def _returned(response: Response) -> StarletteResponse:
    returned = StarletteResponse(response.body, response.status)
    returned.raw_headers.extend(encoded(response.headers))
    return returned
