"""Daypass in FastAPI: the routes, described in OpenAPI, and the dependency that requires an access token.

app.include_router(auth_router(auth, authenticate=check_password), prefix="/auth")
app.include_router(well_known_router(auth))

@app.get("/me")
async def me(token: Annotated[AccessToken, Depends(bearer(auth))]): ...
"""

import inspect
import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar, Unpack, overload

try:
    from fastapi import APIRouter, Depends, HTTPException, Security
    from fastapi.openapi.models import APIKey, HTTPBase, HTTPBearer
    from fastapi.openapi.models import SecurityBase as SecurityBaseModel
    from fastapi.requests import HTTPConnection, Request
    from fastapi.responses import Response as PlainResponse
    from fastapi.security import SecurityScopes
    from fastapi.security.base import SecurityBase
except ModuleNotFoundError as missing:
    raise ImportError('daypass.web.fastapi needs FastAPI: pip install "daypass[fastapi]"') from missing

from daypass import scope as scopes
from daypass.access_token import AccessToken
from daypass.errors import ConfigurationError
from daypass.issuer import AsyncCheck, AsyncDaypass, Check
from daypass.session import Tokens
from daypass.session_options import SessionOptions
from daypass.user import User
from daypass.web import openapi, starlette
from daypass.web.application import Application, async_application
from daypass.web.clients import Registry
from daypass.web.guard import AsyncVerifying
from daypass.web.message import Response
from daypass.web.oauth import METADATA_PATH
from daypass.web.options import Options
from daypass.web.own_login import LoginRefused
from daypass.web.routes import Route
from daypass.web.step_up import StepUp

__all__ = [
    "REFUSALS",
    "Guard",
    "auth_router",
    "bearer",
    "current_user",
    "log_in",
    "log_out",
    "oauth_router",
    "well_known_router",
]

FoundT = TypeVar("FoundT")

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


class Scheme(SecurityBase):
    """Shows in OpenAPI that a route needs a token or a cookie; others check it."""

    def __init__(self, name: str, model: SecurityBaseModel) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self) -> None:
        """Do nothing."""


SCHEMES = {
    openapi.BEARER: Scheme(openapi.BEARER, HTTPBearer.model_validate(openapi.SECURITY_SCHEMES[openapi.BEARER])),
    openapi.COOKIE: Scheme(openapi.COOKIE, APIKey.model_validate(openapi.SECURITY_SCHEMES[openapi.COOKIE])),
    openapi.CLIENT: Scheme(openapi.CLIENT, HTTPBase.model_validate(openapi.SECURITY_SCHEMES[openapi.CLIENT])),
}

REFUSALS: dict[int | str, dict[str, Any]] = dict(openapi.refusals().items())
"""The refusals of a guarded route, for ``responses=`` of the route or its router."""


class _Uncalled:
    """Raises an error when FastAPI looks at a guard that was not called with the issuer."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def __signature__(self) -> inspect.Signature:
        raise ConfigurationError(f"write Depends({self._name}(auth)), with your issuer, and not Depends({self._name})")

    def __call__(self) -> None:
        """Do nothing: FastAPI takes only what can be called."""


class Guard(starlette.Guard[FoundT], SecurityBase):
    """A `daypass.web.starlette.Guard` as a dependency; OpenAPI shows it with its scope.

    A refused request raises an ``HTTPException``; its detail is what the endpoints answer, a message and an error.
    """

    model = SCHEMES[openapi.BEARER].model
    scheme_name = openapi.BEARER

    def __init__(
        self,
        auth: object,
        scope: str | None = None,
        *,
        optional: bool = False,
        user: bool = False,
        **step_up: Unpack[StepUp],
    ) -> None:
        super().__init__(auth, scope, optional=optional, user=user, **step_up)
        parameters: dict[str, Any] = {"request": HTTPConnection, "security_scopes": SecurityScopes}
        if self._scope is not None:  # FastAPI shows a scope only at a dependency of its own, which takes it time
            shown = Security(SCHEMES[openapi.BEARER], scopes=scopes.words(self._scope))
            parameters["_shown"] = Annotated[None, shown]
        self.__signature__ = inspect.Signature(
            [inspect.Parameter(name, _KEYWORD, annotation=kind) for name, kind in parameters.items()]
        )

    async def __call__(
        self, request: HTTPConnection, security_scopes: SecurityScopes | None = None, _shown: None = None
    ) -> FoundT:
        """Return the access token, or the user; scopes of ``Security(…, scopes=[…])`` are required too."""
        return await self._checked(request, "" if security_scopes is None else security_scopes.scope_str)

    def _refusal(self, response: Response) -> HTTPException:
        return _exception(response)


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
    auth: Annotated[AsyncVerifying | Application[AsyncDaypass], Depends(_Uncalled("bearer"))],
    scope: str | None = None,
    *,
    optional: bool = False,
    **step_up: Unpack[StepUp],
) -> Guard[Any]:
    """Return the dependency that requires an access token and gives it to the route: ``Depends(bearer(auth))``.

    It can guard a whole router: ``APIRouter(dependencies=[Depends(bearer(auth, scope="admin"))])``. The arguments and
    errors are those of `daypass.web.starlette.bearer`.
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
    auth: Annotated[AsyncDaypass | Application[AsyncDaypass], Depends(_Uncalled("current_user"))],
    scope: str | None = None,
    *,
    optional: bool = False,
    **step_up: Unpack[StepUp],
) -> Guard[Any]:
    """Return the dependency that requires an access token and gives its user: ``Depends(current_user(auth))``.

    The arguments and errors are those of `daypass.web.starlette.current_user`.
    """
    return Guard(auth, scope, optional=optional, user=True, **step_up)


async def log_in(
    auth: AsyncDaypass | Application[AsyncDaypass],
    request: Request,
    response: PlainResponse,
    user: User,
    *,
    scope: str | None = None,
    device_name: str | None = None,
    cross_site: bool = False,
    **session: Unpack[SessionOptions],
) -> Tokens:
    """Log the browser in from a route of your own; see `daypass.web.starlette.log_in`.

    ``response`` is the route's parameter (``response: Response``), or what the route returns.
    """
    options: dict[str, Any] = {"scope": scope, "device_name": device_name, "cross_site": cross_site, **session}
    try:
        return await starlette.log_in_or_refuse(auth, request, response, user, **options)
    except LoginRefused as error:
        raise _exception(error.response) from None


async def log_out(
    auth: AsyncDaypass | Application[AsyncDaypass],
    request: Request,
    response: PlainResponse,
    *,
    everywhere: bool = False,
) -> None:
    """Log the browser out from a route of your own; see `daypass.web.starlette.log_out`."""
    try:
        await starlette.log_out_or_refuse(auth, request, response, everywhere=everywhere)
    except LoginRefused as error:
        raise _exception(error.response) from None


def _exception(response: Response) -> HTTPException:
    return HTTPException(response.status, json.loads(response.body), headers=starlette.own_headers(response))


def auth_router(
    auth: AsyncDaypass | Application[AsyncDaypass],
    *,
    authenticate: Check | AsyncCheck | None = None,
    **options: Unpack[Options],
) -> APIRouter:
    """Return the router of the session endpoints, to be included with ``prefix="/auth"``.

    The arguments and errors are those of `daypass.web.starlette.auth_routes`.
    """
    application = async_application(auth, options, authenticate=authenticate)
    return _router(application.auth, application.auth_routes, openapi.AUTH)


def oauth_router(
    auth: AsyncDaypass | Application[AsyncDaypass],
    *,
    clients: Registry = (),
    **options: Unpack[Options],
) -> APIRouter:
    """Return the router of the OAuth endpoints, to be included with ``prefix="/oauth"``.

    The arguments and errors are those of `daypass.web.starlette.oauth_routes`.
    """
    application = async_application(auth, options, clients=clients)
    return _router(application.auth, application.mounted_oauth_routes(), openapi.OAUTH)


def well_known_router(
    auth: AsyncDaypass | Application[AsyncDaypass],
    *,
    clients: Registry = (),
    **options: Unpack[Options],
) -> APIRouter:
    """Return the router at the root of the host: the public signing keys, and the metadata for OAuth clients.

    The arguments and errors are those of `daypass.web.starlette.well_known_routes`.
    """
    application = async_application(auth, options, clients=clients)
    return _router(application.auth, application.well_known_routes, {**openapi.WELL_KNOWN, **openapi.METADATA})


def _router(auth: AsyncDaypass, routes: Iterable[Route], described: openapi.Operations) -> APIRouter:
    router = APIRouter()
    for route in routes:
        endpoint = starlette.served(auth, route)
        path = METADATA_PATH if route.path.startswith(METADATA_PATH) else route.path  # whatever the issuer's own path
        shown = [method for method in route.methods if (method, path) in described]
        for method in shown:
            router.add_api_route(route.path, endpoint, methods=[method], **_description(described[method, path]))
        hidden = [method for method in route.methods if method not in shown]
        router.add_api_route(route.path, endpoint, methods=hidden, include_in_schema=False)
        router.add_api_route(f"{route.path}/", starlette.absent, methods=starlette.METHODS, include_in_schema=False)
    return router


def _description(operation: openapi.Operation) -> dict[str, Any]:
    """Return the description of an operation for FastAPI, which adds the security schemes itself."""
    extra = openapi.inlined(operation)
    security = extra.pop("security", [])
    anonymous = [each for each in security if not each]
    return {
        "operation_id": extra.pop("operationId"),
        "tags": extra.pop("tags"),
        "status_code": min(map(int, extra["responses"])),
        "response_class": PlainResponse,
        "dependencies": [Depends(SCHEMES[name]) for each in security for name in each],
        "openapi_extra": extra | ({"security": anonymous} if anonymous else {}),
    }
