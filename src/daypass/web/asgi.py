"""Daypass in ASGI without a framework: small applications for Litestar, Quart, Sanic, BlackSheep or a bare server.

app = dispatch(well_known_app(app, auth), {"/auth": auth_app(auth, authenticate=check_password)})
require = bearer(auth)

async def app(scope, receive, send):
    token = await require(scope)
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Literal, TypeVar, Unpack, overload

from daypass.access_token import AccessToken
from daypass.errors import DaypassError
from daypass.issuer import AsyncCheck, AsyncDaypass, Check
from daypass.session import Tokens
from daypass.session_options import SessionOptions
from daypass.user import User
from daypass.web import guard, own_login
from daypass.web.application import Application, async_application
from daypass.web.bearer import refused
from daypass.web.clients import Registry
from daypass.web.guard import AsyncVerifying
from daypass.web.message import MAXIMUM_BODY, Request, Response, failure, too_large
from daypass.web.options import Options
from daypass.web.page_headers import Headers
from daypass.web.routes import Route, find_route, route_table
from daypass.web.step_up import StepUp

__all__ = [
    "Guard",
    "Refused",
    "auth_app",
    "bearer",
    "current_user",
    "dispatch",
    "log_in",
    "log_out",
    "oauth_app",
    "read_body",
    "read_request",
    "send_response",
    "well_known_app",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

FoundT = TypeVar("FoundT")

_SCHEMES = {"ws": "http", "wss": "https"}
_BODILESS = (204, 304)


def auth_app(
    auth: AsyncDaypass | Application[AsyncDaypass],
    *,
    authenticate: Check | AsyncCheck | None = None,
    **options: Unpack[Options],
) -> ASGIApplication:
    """Return the application that serves the session endpoints, to be mounted at ``/auth``.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        authenticate: returns the `daypass.User` with a name (or email address) and a password, None if they are
            wrong; may be async; otherwise it is called in a thread. The issuer's own by default.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = async_application(auth, options, authenticate=authenticate)
    return serving(application.auth, application.auth_routes)


def oauth_app(
    auth: AsyncDaypass | Application[AsyncDaypass], *, clients: Registry = (), **options: Unpack[Options]
) -> ASGIApplication:
    """Return the application that serves the OAuth endpoints, to be mounted at ``/oauth``.

    Args:
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        clients: the `daypass.web.clients.Client` objects there are, or a function that returns the one with an id, or
            None; it may be async; otherwise it is called in a thread.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = async_application(auth, options, clients=clients)
    return serving(application.auth, application.mounted_oauth_routes())


def well_known_app(
    app: ASGIApplication,
    auth: AsyncDaypass | Application[AsyncDaypass],
    *,
    clients: Registry = (),
    **options: Unpack[Options],
) -> ASGIApplication:
    """Return the application that serves the public keys and the metadata, and passes everything else to ``app``.

    Args:
        app: the application at the root of the host.
        auth: the issuer, or the `daypass.web.Application` that has it and all options.
        clients: the same as for `oauth_app`, if that is mounted.
        options: how they are served; ``oauth_path`` says where the OAuth endpoints are mounted if not at ``/oauth``.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write.
    """
    application = async_application(auth, options, clients=clients)
    return serving(application.auth, application.well_known_routes, app)


def dispatch(app: ASGIApplication, mounts: Mapping[str, ASGIApplication]) -> ASGIApplication:
    """Return an application that passes requests below each path of ``mounts`` to its application, others to ``app``.

    Args:
        app: the application at the root; it also gets the lifespan of the server.
        mounts: applications by path, such as ``{"/auth": auth_app(auth)}``.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = _path_of(scope) if scope["type"] in ("http", "websocket") else ""
        for prefix, mounted in mounts.items():
            if path.startswith(f"{prefix}/"):
                root = scope.get("root_path", "")
                within = {**scope, "root_path": root + prefix, "path": root + path}
                await mounted(within, receive, send)
                return
        await app(scope, receive, send)

    return serve


def serving(auth: AsyncDaypass, routes: Iterable[Route], others: ASGIApplication | None = None) -> ASGIApplication:
    """Return the ASGI application of some routes; other paths go to ``others``, or get 404."""
    table = route_table(routes)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        found = find_route(table, _path_of(scope)) if scope["type"] == "http" else None
        if found is not None:
            await respond(auth, found[0], scope, receive, send, found[1])
        elif others is not None:
            await others(scope, receive, send)
        elif scope["type"] == "http":
            await send_response(failure(404, "not_found", "There is nothing here"), scope, send)
        elif scope["type"] == "websocket":
            await receive()  # the "connect", which comes first
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            raise NotImplementedError(f"{scope['type']} is not served here: start the issuer with `async with auth`")

    return serve


async def respond(
    auth: AsyncDaypass, route: Route, scope: Scope, receive: Receive, send: Send, session_id: str | None = None
) -> None:
    """Answer one request to a route.

    Args:
        auth: the issuer.
        route: what the request's path belongs to.
        scope: the connection, of type ``http``.
        receive: gives the body.
        send: takes the response; nothing is sent to a client that has gone away.
        session_id: what the path has in place of ``{session_id}``.
    """
    try:
        body = await read_body(receive)
    except ConnectionResetError:
        return
    request = read_request(scope, body or b"", session_id)
    if body is None:
        response = route.refuse(request, too_large())
    else:
        response = await auth.run(route.answer(request, auth.new_call()))
    await send_response(response, scope, send)


def read_request(scope: Scope, body: bytes = b"", session_id: str | None = None) -> Request:
    """Return the request in a scope, of a WebSocket too.

    Args:
        scope: the connection.
        body: what was read of its body.
        session_id: the one parameter that a path may have.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in headers:
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
        headers[name] = value
    if scope["type"] == "websocket":  # over HTTP/2 it has no such header (RFC 8441 §5)
        headers["upgrade"] = "websocket"
    client = scope.get("client")
    scheme = str(scope.get("scheme", "http"))
    return Request(
        scheme=_SCHEMES.get(scheme, scheme),
        host=headers.get("host", ""),
        headers=headers,
        body=body,
        address=client[0] if client else None,
        session_id=session_id,
        method=scope.get("method", "GET"),
        query=scope.get("query_string", b"").decode("latin-1"),
        path=_whole_path(scope),
    )


def _whole_path(scope: Scope) -> str:
    """Return the path with the root path in front, which some servers put there and others do not."""
    path, root = str(scope.get("path", "/")), str(scope.get("root_path", ""))
    return path if path.startswith(root) else root.rstrip("/") + path


async def read_body(receive: Receive) -> bytes | None:
    """Return the body; None if it is longer than `MAXIMUM_BODY`.

    Raises:
        ConnectionResetError: the client disconnected in the middle of it.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client went away before it sent the whole body")
        body += message.get("body", b"")
        if len(body) > MAXIMUM_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def send_response(response: Response, scope: Scope, send: Send) -> None:
    """Send a response; without its body where the request was a HEAD (RFC 9110 §9.3.2).

    It may also refuse a WebSocket that was not accepted; a server that cannot send such a response answers 403.
    """
    prefix = "http.response"
    if scope["type"] == "websocket":
        prefix = f"websocket.{prefix}"
        if prefix not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
    headers = encoded(response.headers)
    if response.status not in _BODILESS:
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": f"{prefix}.start", "status": response.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": b"" if scope.get("method") == "HEAD" else response.body})


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


class Refused(DaypassError):
    """A request that may not pass a guard.

    Attributes:
        response: what to answer: 401 with the challenge of RFC 6750 §3, 403 or 503; its status, headers and JSON body.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(f"the request was refused with {response.status}")
        self.response = response

    async def send(self, scope: Scope, send: Send) -> None:
        """Answer the request with ``response``; for an application without a framework."""
        await send_response(self.response, scope, send)


class Guard(guard.AsyncGuard[FoundT]):
    """Requires an access token of a request or a WebSocket: ``await guard(scope)``."""

    async def __call__(self, scope: Scope) -> FoundT:
        """Return the access token, or the user.

        Raises:
            Refused: there is no access token, it was refused, its scope does not allow this, or it cannot be checked
                now; ``.response`` is what to answer.
        """
        try:
            return self.found(await self.admit(authorization_of(scope), asked=lambda: read_request(scope)))
        except guard.REFUSED as error:
            raise Refused(refused(error)) from None


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
    """Return a `Guard`: ``token = await require(scope)``, with the ASGI scope of a request or a WebSocket.

    Args:
        auth: an `AsyncDaypass`, its application, or a `daypass.AsyncRemoteVerifier` if the issuer is another service.
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
    scope: Scope,
    headers: list[tuple[bytes, bytes]],
    user: User,
    *,
    granted: str | None = None,
    device_name: str | None = None,
    cross_site: bool = False,
    **session: Unpack[SessionOptions],
) -> Tokens:
    """Log the browser in from an application of your own, after you authenticated the user.

    The cookie is added to ``headers``, those of your response. If `daypass.web.asgi_pages.Pages` runs around your
    application, it sets the cookies. ``granted`` is the session's scope; for the other options, such as
    ``persistent=False``, see `daypass.web.own_login.log_in`.

    Raises:
        LoginRefused: nothing was started; answer with ``await send_response(error.response, scope, send)``.
    """
    options: dict[str, Any] = {"scope": granted, "device_name": device_name, "cross_site": cross_site, **session}
    tokens, ours = await log_in_or_refuse(auth, scope, user, **options)
    headers.extend(encoded(ours))
    return tokens


async def log_out(
    auth: AsyncDaypass | Application[AsyncDaypass],
    scope: Scope,
    headers: list[tuple[bytes, bytes]],
    *,
    everywhere: bool = False,
) -> None:
    """End the session of the browser's cookie; what removes the cookie is added to ``headers``.

    ``everywhere`` ends all sessions of the user, on every device; without a live session it is refused with 401.

    Raises:
        LoginRefused: the session continues; answer with ``await send_response(error.response, scope, send)``.
    """
    headers.extend(encoded(await log_out_or_refuse(auth, scope, everywhere=everywhere)))


async def log_in_or_refuse(auth: Any, scope: Scope, user: User, /, **options: Any) -> tuple[Tokens, Headers]:
    """Return the tokens and the headers of a login, or raise `LoginRefused`; for authors of adapters."""
    app = async_application(own_login.application_for(auth), {})
    request, login, call = read_request(scope), scope.get("daypass"), app.auth.new_call()
    return await app.auth.run(own_login.log_in(app, request, user, call, login, **options))


async def log_out_or_refuse(auth: Any, scope: Scope, /, **options: Any) -> Headers:
    """Return the headers of a logout, or raise `LoginRefused`; for authors of adapters."""
    app = async_application(own_login.application_for(auth), {})
    request, login, call = read_request(scope), scope.get("daypass"), app.auth.new_call()
    _, headers = await app.auth.run(own_login.log_out(app, request, call, login, **options))
    return headers


def authorization_of(scope: Scope) -> str:
    """Return the ``Authorization`` header of a connection; of several, all of them, which no guard accepts."""
    return b", ".join([value for name, value in scope["headers"] if name == b"authorization"]).decode("latin-1")


def _path_of(scope: Scope) -> str:
    """Return the path below the place where an application is mounted.

    ASGI says that ``path`` begins with ``root_path``; servers and frameworks that leave it out are understood, too.
    """
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if path.startswith(f"{root}/") else path
