"""Daypass in FastAPI: the routes, described in OpenAPI, and the dependency that requires an access token.

app.include_router(auth_router(auth, authenticate=check_password), prefix="/auth")
app.include_router(well_known_router(auth))

@app.get("/me")
async def me(token: Annotated[AccessToken, Depends(bearer(auth))]): ...
"""

import json
from collections.abc import Iterable
from typing import Any, Unpack

try:
    from fastapi import APIRouter, Depends, HTTPException
    from fastapi import Response as EmptyResponse
    from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
    from fastapi.security.base import SecurityBase
    from pydantic import BaseModel, Field
except ModuleNotFoundError as missing:
    raise ImportError('daypass.web.fastapi needs FastAPI: pip install "daypass[fastapi]"') from missing

from daypass.issuer import AsyncCheck, AsyncDaypass, Check
from daypass.web import asgi
from daypass.web.clients import Registry
from daypass.web.message import Response
from daypass.web.oauth import METADATA_PATH
from daypass.web.options import Options
from daypass.web.routes import Route
from daypass.web.site import Site

SCHEME = "bearer"
MODEL = HTTPBearerModel(bearerFormat="JWT", description="An access token from login or refresh")


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


class RefreshForm(BaseModel):
    """What an OAuth client sends to refresh (RFC 6749 §6); one with a secret may send it by HTTP Basic instead."""

    grant_type: str = Field(pattern="^refresh_token$")
    refresh_token: str
    scope: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class TokenForm(BaseModel):
    """What an OAuth client sends to revoke a token (RFC 7009 §2.1), or to introspect it (RFC 7662 §2.1)."""

    token: str
    token_type_hint: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class OAuthTokenAnswer(BaseModel):
    """What an OAuth client is given (RFC 6749 §5.1)."""

    access_token: str
    token_type: str
    expires_in: int = Field(description="seconds")
    refresh_token: str | None = Field(None, description="to be used from now on; without it, the client keeps its own")
    scope: str | None = None


class OAuthFailure(BaseModel):
    """The shape of an OAuth endpoint's failures (RFC 6749 §5.2)."""

    error: str
    error_description: str | None = None


class Introspection(BaseModel):
    """What a token says (RFC 7662 §2.2); of one that opens nothing no more than that."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    username: str | None = None
    token_type: str | None = None
    exp: int | None = None
    iat: int | None = None
    sub: str | None = None
    aud: str | None = None
    iss: str | None = None
    jti: str | None = None
    sid: str | None = None


class Metadata(BaseModel):
    """What an authorization server tells of itself (RFC 8414 §2)."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: list[str]
    introspection_endpoint: str
    introspection_endpoint_auth_methods_supported: list[str]
    scopes_supported: list[str] | None = None


class bearer(asgi.bearer, SecurityBase):  # noqa: N801 - it is called like the function it stands for
    """The dependency that requires an access token and gives it to the route: ``Depends(bearer(auth))``.

    Raises:
        ConfigurationError: ``auth`` is no `AsyncDaypass`; when it is made.
        HTTPException: 401 with the challenge of RFC 6750 §3 when there is none or it was refused; 503 when the signing
            keys cannot be read. Its detail has the shape of `Failure`.
    """

    def __init__(self, auth: AsyncDaypass) -> None:
        super().__init__(auth)
        self.model = MODEL
        self.scheme_name = SCHEME

    def _refusal(self, response: Response) -> HTTPException:
        return HTTPException(response.status, json.loads(response.body), headers=asgi.own_headers(response))


class _Described(SecurityBase):
    """Says in OpenAPI that a route needs an access token, whose endpoint checks it itself."""

    model = MODEL
    scheme_name = SCHEME

    def __call__(self) -> None:
        """Do nothing."""


def auth_router(
    auth: AsyncDaypass, *, authenticate: Check | AsyncCheck | None = None, **options: Unpack[Options]
) -> APIRouter:
    """Return the router of the first-party endpoints, to be included with ``prefix="/auth"``.

    The arguments and errors are those of `daypass.web.asgi.auth_routes`.
    """
    asgi.require_async(auth)
    return _router(auth, Site(auth, authenticate, **options).auth_routes)


def oauth_router(auth: AsyncDaypass, *, clients: Registry, **options: Unpack[Options]) -> APIRouter:
    """Return the router of the OAuth endpoints, to be included with ``prefix="/oauth"``.

    The arguments and errors are those of `daypass.web.asgi.oauth_routes`.
    """
    asgi.require_async(auth)
    return _router(auth, Site(auth, clients=clients, **options).oauth_routes, tag="oauth")


def well_known_router(auth: AsyncDaypass, *, clients: Registry = (), **options: Unpack[Options]) -> APIRouter:
    """Return the router of what stands at the root of the host: the public signing keys, and the metadata for clients.

    The arguments and errors are those of `daypass.web.asgi.well_known_routes`.
    """
    asgi.require_async(auth)
    return _router(auth, Site(auth, clients=clients, **options).well_known_routes)


def _router(auth: AsyncDaypass, routes: Iterable[Route], tag: str = "auth") -> APIRouter:
    router = APIRouter(tags=[tag])
    for route in routes:
        endpoint = asgi.served(auth, route)
        path = METADATA_PATH if route.path.startswith(METADATA_PATH) else route.path  # whatever the issuer's own path
        described = {method: _DESCRIPTIONS.get((method, path)) for method in route.methods}
        for method, description in described.items():
            if description is not None:
                router.add_api_route(route.path, endpoint, methods=[method], **description)
        others = [method for method, description in described.items() if description is None]
        router.add_api_route(route.path, endpoint, methods=others, include_in_schema=False)
    return router


def _failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Failure} for status in (*statuses, 503)}


def _oauth_failures() -> dict[int | str, dict[str, Any]]:
    return {status: {"model": OAuthFailure} for status in (400, 401, 413, 503)}


def _body(model: type[BaseModel], *, required: bool, media_type: str = "application/json") -> dict[str, Any]:
    schema = model.model_json_schema()
    return {"requestBody": {"content": {media_type: {"schema": schema}}, "required": required}}


def _form(model: type[BaseModel]) -> dict[str, Any]:
    return _body(model, required=True, media_type="application/x-www-form-urlencoded")


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
        "dependencies": [Depends(_Described())],
    },
    ("GET", "/sessions"): {
        "operation_id": "sessions",
        "summary": "The user's devices",
        "response_model": SessionsAnswer,
        "responses": _failures(401, 403),
        "dependencies": [Depends(_Described())],
    },
    ("DELETE", "/sessions"): {
        "operation_id": "end_all",
        "summary": "Log out everywhere",
        "status_code": 204,
        "response_model": None,
        "responses": _failures(401, 403),
        "dependencies": [Depends(_Described())],
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
        "dependencies": [Depends(_Described())],
    },
    ("GET", "/.well-known/jwks.json"): {
        "operation_id": "jwks",
        "summary": "The public signing keys",
        "response_model": KeySet,
        "responses": {503: {"model": Failure}},
    },
    ("GET", METADATA_PATH): {
        "operation_id": "metadata",
        "summary": "The authorization server's metadata",
        "response_model": Metadata,
    },
    ("POST", "/token"): {
        "operation_id": "token",
        "summary": "Get a new access token, as an OAuth client",
        "response_model": OAuthTokenAnswer,
        "responses": _oauth_failures(),
        "openapi_extra": _form(RefreshForm),
    },
    ("POST", "/revoke"): {
        "operation_id": "revoke",
        "summary": "End a token's session",
        "response_model": None,
        "response_class": EmptyResponse,
        "responses": _oauth_failures(),
        "openapi_extra": _form(TokenForm),
    },
    ("POST", "/introspect"): {
        "operation_id": "introspect",
        "summary": "What a token is worth",
        "response_model": Introspection,
        "responses": _oauth_failures(),
        "openapi_extra": _form(TokenForm),
    },
}
