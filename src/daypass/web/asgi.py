"""Daypass in Starlette: the routes, and what requires an access token.

routes = [Mount("/auth", routes=auth_routes(auth, authenticate=check_password)), *well_known_routes(auth)]
require = bearer(auth)

async def profile(request: Request) -> Response:
    token = await require(request)
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Unpack

try:
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect
    from starlette.requests import Request as StarletteRequest
    from starlette.responses import Response as StarletteResponse
    from starlette.routing import Route
except ModuleNotFoundError as missing:
    raise ImportError('daypass.web.asgi needs Starlette: pip install "daypass[starlette]"') from missing

from daypass.access_token import AccessToken
from daypass.errors import ConfigurationError, StoreError, TokenRejected
from daypass.issuer import AsyncCheck, AsyncDaypass, Check
from daypass.web import routes
from daypass.web.bearer import bearer_text, unauthorized, unavailable
from daypass.web.clients import Registry
from daypass.web.message import MAXIMUM_BODY, Request, Response, too_large
from daypass.web.options import Options
from daypass.web.site import Site

Endpoint = Callable[[StarletteRequest], Awaitable[StarletteResponse]]


def auth_routes(
    auth: AsyncDaypass, *, authenticate: Check | AsyncCheck | None = None, **options: Unpack[Options]
) -> list[Route]:
    """Return the routes of the first-party endpoints, to be mounted at ``/auth``.

    Args:
        auth: the issuer.
        authenticate: returns the `daypass.User` with a name (or address) and a password, None when they are wrong;
            may be async, and is called in a thread when it is not. The issuer's own unless one is given.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument cannot work.
    """
    require_async(auth)
    return _mounted(auth, Site(auth, authenticate, **options).auth_routes)


def oauth_routes(auth: AsyncDaypass, *, clients: Registry, **options: Unpack[Options]) -> list[Route]:
    """Return the routes of the OAuth endpoints, to be mounted at ``/oauth``.

    Args:
        auth: the issuer.
        clients: the `daypass.web.clients.Client` objects there are, or a function that returns the one with an id, or
            None; it may be async, and is called in a thread when it is not.
        options: how they are served; see `daypass.web.options.Options`.

    Raises:
        ConfigurationError: an argument cannot work.
    """
    require_async(auth)
    return _mounted(auth, Site(auth, clients=clients, **options).oauth_routes)


def well_known_routes(auth: AsyncDaypass, *, clients: Registry = (), **options: Unpack[Options]) -> list[Route]:
    """Return the routes that stand at the root of the host: the public signing keys, and the metadata for clients.

    Args:
        auth: the issuer.
        clients: the same as for `oauth_routes`, where that is mounted.
        options: how they are served; ``oauth_path`` says where the OAuth endpoints are mounted if not at ``/oauth``.

    Raises:
        ConfigurationError: an argument cannot work.
    """
    require_async(auth)
    return _mounted(auth, Site(auth, clients=clients, **options).well_known_routes)


def _mounted(auth: AsyncDaypass, all_routes: Iterable[routes.Route]) -> list[Route]:
    return [Route(route.path, served(auth, route), methods=list(route.methods)) for route in all_routes]


class bearer:  # noqa: N801 - it is called like the function it stands for
    """Requires an access token: ``await bearer(auth)(request)`` returns it.

    Raises:
        ConfigurationError: ``auth`` is no `AsyncDaypass`; when it is made.
        HTTPException: 401 with the challenge of RFC 6750 §3 when there is none or it was refused; 503 when the signing
            keys cannot be read.
    """

    def __init__(self, auth: AsyncDaypass) -> None:
        require_async(auth)
        self._auth = auth

    async def __call__(self, request: StarletteRequest) -> AccessToken:
        """Return what the request's access token says."""
        try:
            return await self._auth.verify(_bearer_token(request))
        except TokenRejected as error:
            raise self._refusal(unauthorized(error)) from None
        except StoreError as error:
            raise self._refusal(unavailable(error)) from None

    def _refusal(self, response: Response) -> HTTPException:
        return HTTPException(response.status, headers=own_headers(response))


def served(auth: AsyncDaypass, route: routes.Route) -> Endpoint:
    """Return the ASGI endpoint of a route; for those who write an adapter."""

    async def serve(request: StarletteRequest) -> StarletteResponse:
        try:
            body = await _read(request)
        except ClientDisconnect:  # nobody is there to read an answer, and nothing was done
            return StarletteResponse(status_code=400)
        if body is None:
            return _returned(too_large())
        return _returned(await auth.run(route.answer(_translate(request, body), auth.moment())))

    return serve


def own_headers(response: Response) -> dict[str, str]:
    """Return the headers that say more than the body's type."""
    return {name: value for name, value in response.headers if name in ("www-authenticate", "retry-after")}


def require_async(auth: object) -> None:
    """Refuse an issuer that would block the event loop."""
    if not isinstance(auth, AsyncDaypass):
        raise ConfigurationError(
            "an ASGI application needs AsyncDaypass, not Daypass, which would block its event loop"
        )


async def _read(request: StarletteRequest) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAXIMUM_BODY:
            return None
    return bytes(body)


def _bearer_token(request: StarletteRequest) -> str:
    """Return what `daypass.web.bearer.bearer_token` verifies, for every request there is: without a flow."""
    sent = [value for name, value in request.scope["headers"] if name == b"authorization"]
    return bearer_text(b", ".join(sent).decode("latin-1"))


def _translate(request: StarletteRequest, body: bytes) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
        headers[name] = value
    client = request.scope.get("client")
    return Request(
        scheme=request.scope["scheme"],
        host=headers.get("host", ""),
        headers=headers,
        body=body,
        address=client[0] if client else None,
        session_id=request.path_params.get("session_id"),
        method=request.method,
        query=request.scope["query_string"].decode("latin-1"),
    )


def _returned(response: Response) -> StarletteResponse:
    returned = StarletteResponse(response.body, response.status)
    returned.raw_headers.extend((name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers)
    return returned
