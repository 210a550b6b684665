"""Daypass in FastAPI: the routes, described in OpenAPI, and the dependency that requires an access token.

app.include_router(auth_router(auth, authenticate=check_password), prefix="/auth")
app.include_router(well_known_router(auth))

@app.get("/me")
async def me(token: Annotated[AccessToken, Depends(bearer(auth))]): ...
"""

import inspect
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar, Unpack, overload

try:
    from fastapi import APIRouter, Depends, HTTPException, Security
    from fastapi.openapi.models import HTTPBearer
    from fastapi.openapi.models import SecurityBase as SecurityBaseModel
    from fastapi.requests import HTTPConnection
    from fastapi.security import SecurityScopes
    from fastapi.security.base import SecurityBase
    from pydantic import BaseModel, Field
except ModuleNotFoundError as missing:
    raise ImportError('daypass.web.fastapi needs FastAPI: pip install "daypass[fastapi]"') from missing

from daypass import scope as scopes
from daypass.access_token import AccessToken
from daypass.issuer import AsyncCheck, AsyncDaypass, Check
from daypass.model import User
from daypass.web import asgi
from daypass.web.message import Response
from daypass.web.options import Options
from daypass.web.routes import Route
from daypass.web.site import Site

FoundT = TypeVar("FoundT")

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


class LoginBody(BaseModel):
    """What a login sends: an address or a name, and the password."""

    email: str | None = None
    username: str | None = None
    password: str
    token_delivery: str = Field("cookie", alias="tokenDelivery", pattern="^(cookie|body)$")
    device_name: str | None = Field(None, alias="deviceName")


class RefreshBody(BaseModel):
    """What a client without cookies sends."""

    refresh_token: str | None = Field(None, alias="refreshToken")


class TokenAnswer(BaseModel):
    """What a login or a refresh gives; the refresh token is in the cookie unless the body was asked for."""

    access_token: str = Field(alias="accessToken")
    token_type: str = Field(alias="tokenType")
    expires_in: int = Field(alias="expiresIn", description="seconds")
    refresh_token: str | None = Field(None, alias="refreshToken")


class UserAnswer(BaseModel):
    """The access token's user."""

    subject: str
    username: str | None
    email: str | None
    session_id: str = Field(alias="sessionId")
    claims: dict[str, Any]


class SessionAnswer(BaseModel):
    """One of the user's devices; times by RFC 3339, in UTC."""

    id: str
    device_name: str | None = Field(alias="deviceName")
    user_agent: str | None = Field(alias="userAgent")
    address: str | None
    created_at: str = Field(alias="createdAt")
    last_used_at: str = Field(alias="lastUsedAt")
    expires_at: str = Field(alias="expiresAt")
    current: bool


class SessionsAnswer(BaseModel):
    """The user's devices, the newest login first."""

    sessions: list[SessionAnswer]


class Failure(BaseModel):
    """The one shape of every failure."""

    message: str
    error: str


class KeySet(BaseModel):
    """A JWK Set (RFC 7517 §5)."""

    keys: list[dict[str, Any]]


class Scheme(SecurityBase):
    """Says in OpenAPI that a route needs something, which is checked elsewhere."""

    def __init__(self, name: str, model: SecurityBaseModel) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self) -> None:
        """Do nothing."""


BEARER = Scheme("bearer", HTTPBearer(bearerFormat="JWT", description="An access token, from login or refresh."))


class Guard(asgi.Guard[FoundT]):
    """A `daypass.web.asgi.Guard` as a dependency, which OpenAPI shows with the scope that it requires.

    What it refuses is an ``HTTPException`` whose detail is what the endpoints answer: a message and an error.
    """

    def __init__(
        self,
        auth: asgi.AsyncVerifying,
        find: Callable[[AccessToken], Awaitable[FoundT]],
        scope: str | None,
        *,
        optional: bool,
    ) -> None:
        super().__init__(auth, find, scope, optional=optional)
        shown = Security(BEARER, scopes=scopes.words(self._scope))
        self.__signature__ = inspect.Signature(
            [
                inspect.Parameter("request", _KEYWORD, annotation=HTTPConnection),
                inspect.Parameter("security_scopes", _KEYWORD, annotation=SecurityScopes),
                inspect.Parameter("_shown", _KEYWORD, annotation=Annotated[None, shown]),
            ]
        )

    async def __call__(
        self, request: HTTPConnection, security_scopes: SecurityScopes | None = None, _shown: None = None
    ) -> FoundT:
        """Return what the route is given; what ``Security(…, scopes=[…])`` asks for is required, too."""
        further = "" if security_scopes is None else security_scopes.scope_str
        return await self._admit(request, " ".join(filter(None, (self._scope, further))) or None)

    def _refusal(self, response: Response) -> HTTPException:
        return HTTPException(response.status, json.loads(response.body), headers=asgi.own_headers(response))


@overload
def bearer(
    auth: asgi.AsyncVerifying, scope: str | None = None, *, optional: Literal[False] = False
) -> Guard[AccessToken]: ...


@overload
def bearer(auth: asgi.AsyncVerifying, scope: str | None = None, *, optional: bool) -> Guard[AccessToken | None]: ...


def bearer(auth: asgi.AsyncVerifying, scope: str | None = None, *, optional: bool = False) -> Guard[Any]:
    """Return the dependency that requires an access token and gives it to the route: ``Depends(bearer(auth))``.

    It guards a whole router, too: ``APIRouter(dependencies=[Depends(bearer(auth, scope="admin"))])``. The arguments and
    errors are those of `daypass.web.asgi.bearer`.
    """
    return Guard(auth, asgi.itself, scope, optional=optional)


@overload
def current_user(auth: AsyncDaypass, scope: str | None = None, *, optional: Literal[False] = False) -> Guard[User]: ...


@overload
def current_user(auth: AsyncDaypass, scope: str | None = None, *, optional: bool) -> Guard[User | None]: ...


def current_user(auth: AsyncDaypass, scope: str | None = None, *, optional: bool = False) -> Guard[Any]:
    """Return the dependency that requires an access token and gives its user: ``Depends(current_user(auth))``.

    The arguments and errors are those of `daypass.web.asgi.current_user`.
    """
    return Guard(auth, asgi.loading(auth), scope, optional=optional)


def auth_router(
    auth: AsyncDaypass, *, authenticate: Check | AsyncCheck | None = None, **options: Unpack[Options]
) -> APIRouter:
    """Return the router of the first-party endpoints, to be included with ``prefix="/auth"``.

    The arguments and errors are those of `daypass.web.asgi.auth_routes`.
    """
    asgi.require_async(auth)
    return _router(auth, Site(auth, authenticate, **options).auth_routes)


def well_known_router(auth: AsyncDaypass, **options: Unpack[Options]) -> APIRouter:
    """Return the router of what stands at the root of the issuer: the public signing keys."""
    asgi.require_async(auth)
    return _router(auth, Site(auth, **options).well_known_routes)


def _router(auth: AsyncDaypass, routes: Iterable[Route]) -> APIRouter:
    router = APIRouter(tags=["auth"])
    for route in routes:
        endpoint = asgi.served(auth, route)
        described = {method: _DESCRIPTIONS.get((method, route.path)) for method in route.methods}
        for method, description in described.items():
            if description is not None:
                router.add_api_route(route.path, endpoint, methods=[method], **description)
        others = [method for method, description in described.items() if description is None]
        router.add_api_route(route.path, endpoint, methods=others, include_in_schema=False)
    return router


def _failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Failure} for status in (*statuses, 503)}


def _body(model: type[BaseModel], *, required: bool) -> dict[str, Any]:
    schema = model.model_json_schema()
    return {"requestBody": {"content": {"application/json": {"schema": schema}}, "required": required}}


_DESCRIPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/login"): {
        "operation_id": "login",
        "summary": "Log in",
        "response_model": TokenAnswer,
        "responses": _failures(400, 401, 403, 413, 415),
        "openapi_extra": _body(LoginBody, required=True),
    },
    ("POST", "/refresh"): {
        "operation_id": "refresh",
        "summary": "Get a new access token",
        "response_model": TokenAnswer,
        "responses": _failures(400, 401, 403, 409, 413),
        "openapi_extra": _body(RefreshBody, required=False),
    },
    ("POST", "/logout"): {
        "operation_id": "logout",
        "summary": "Log out",
        "status_code": 204,
        "response_model": None,
        "responses": _failures(400, 403, 413),
        "openapi_extra": _body(RefreshBody, required=False),
    },
    ("GET", "/me"): {
        "operation_id": "me",
        "summary": "The access token's user",
        "response_model": UserAnswer,
        "responses": _failures(401, 403),
        "dependencies": [Depends(BEARER)],
    },
    ("GET", "/sessions"): {
        "operation_id": "sessions",
        "summary": "The user's devices",
        "response_model": SessionsAnswer,
        "responses": _failures(401, 403),
        "dependencies": [Depends(BEARER)],
    },
    ("DELETE", "/sessions"): {
        "operation_id": "end_all",
        "summary": "Log out everywhere",
        "status_code": 204,
        "response_model": None,
        "responses": _failures(401, 403),
        "dependencies": [Depends(BEARER)],
    },
    ("DELETE", "/sessions/{session_id}"): {
        "operation_id": "end_session",
        "summary": "Log out one device",
        "status_code": 204,
        "response_model": None,
        "responses": _failures(401, 403, 404),
        "openapi_extra": {
            "parameters": [{"name": "session_id", "in": "path", "required": True, "schema": {"type": "string"}}]
        },
        "dependencies": [Depends(BEARER)],
    },
    ("GET", "/.well-known/jwks.json"): {
        "operation_id": "jwks",
        "summary": "The public signing keys",
        "response_model": KeySet,
        "responses": {503: {"model": Failure}},
    },
}
