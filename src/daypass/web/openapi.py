"""The OpenAPI description (version 3.1) of the endpoints. Pure data, for every framework."""

import copy
from collections.abc import Mapping
from typing import Any

from daypass import cookie_names
from daypass.web.message import MAXIMUM_BODY

Schema = Mapping[str, Any]
Operation = Mapping[str, Any]
Operations = Mapping[tuple[str, str], Operation]
"""By method and path, the path below the place where it is mounted."""

_REF = "#/components/schemas/"
_OPTIONAL_TEXT: Schema = {"type": ["string", "null"]}
_SHORT: Schema = {"maxLength": 1024, "pattern": "^[^\\u0000]*$"}
_THERE: Schema = {"type": "string", "minLength": 1}
_TIME: Schema = {"type": "string", "format": "date-time"}
_CLIENT: Mapping[str, Schema] = {"client_id": {"type": "string"}, "client_secret": {"type": "string"}}
_METADATA_URLS = ("issuer", "token_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint")
_METADATA_LISTS = (
    "response_types_supported",
    "grant_types_supported",
    "token_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_methods_supported",
)


def _object(title: str, description: str, properties: Mapping[str, Schema], *required: str, **more: Any) -> Schema:
    return {
        "type": "object",
        "title": title,
        "description": description,
        "properties": properties,
        "required": list(required),
        **more,
    }


SCHEMAS: Mapping[str, Schema] = {
    "Confirmation": _object(
        "Confirmation",
        "The password of the user who is logged in; and an address or a name, if the user has neither.",
        {
            "password": {**_THERE, **_SHORT},
            "email": {**_OPTIONAL_TEXT, **_SHORT},
            "username": {**_OPTIONAL_TEXT, **_SHORT},
        },
        "password",
    ),
    "Login": {
        **_object(
            "Login",
            "An address or a name, and the password.",
            {
                "email": {**_OPTIONAL_TEXT, **_SHORT},
                "username": {**_OPTIONAL_TEXT, **_SHORT},
                "password": {**_THERE, **_SHORT},
                "tokenDelivery": {
                    "enum": ["cookie", "body"],
                    "default": "cookie",
                    "description": "How the refresh token travels; body is for clients without cookies.",
                },
                "deviceName": {**_OPTIONAL_TEXT, **_SHORT},
                "remember": {
                    "type": "boolean",
                    "default": True,
                    "description": "False ends the session when the browser is closed, or after a short time unused.",
                },
            },
            "password",
            examples=[{"email": "ann@example.com", "password": "correct horse battery"}],
        ),
        "anyOf": [{"required": [name], "properties": {name: _THERE}} for name in ("email", "username")],
    },
    "RefreshToken": _object(
        "RefreshToken",
        "What a client without cookies sends.",
        {"refreshToken": {"type": ["string", "null"], "examples": ["dpr_…"]}},
    ),
    "Logout": _object(
        "Logout",
        "Both fields may be left out.",
        {
            "refreshToken": {"type": ["string", "null"], "description": "Of a client without cookies."},
            "everywhere": {"type": "boolean", "default": False, "description": "Log out on every device."},
        },
        examples=[{"everywhere": True}],
    ),
    "Tokens": _object(
        "Tokens",
        "The refresh token is in the cookie unless the body was asked for; where there is none, the one that was "
        "presented is kept.",
        {
            "accessToken": {"type": "string"},
            "tokenType": {"enum": ["Bearer", "DPoP"]},
            "expiresIn": {"type": "integer", "minimum": 1, "description": "Seconds."},
            "refreshToken": {"type": "string", "pattern": "^dpr_"},
            "refreshExpiresIn": {
                "type": "integer",
                "minimum": 0,
                "description": "Seconds until the session ends if it is not refreshed.",
            },
            "persistent": {
                "type": "boolean",
                "description": "Whether to keep it after a restart; only with refreshToken.",
            },
        },
        "accessToken",
        "tokenType",
        "expiresIn",
    ),
    "CurrentUser": _object(
        "CurrentUser",
        "The access token's user.",
        {
            "subject": {"type": "string"},
            "username": _OPTIONAL_TEXT,
            "email": _OPTIONAL_TEXT,
            "sessionId": {"type": "string"},
            "claims": {"type": "object", "additionalProperties": True, "description": "The application's own."},
        },
        "subject",
        "username",
        "email",
        "sessionId",
        "claims",
    ),
    "Sessions": _object(
        "Sessions",
        "The user's devices, the newest login first.",
        {
            "sessions": {
                "type": "array",
                "items": _object(
                    "Session",
                    "One of the user's devices.",
                    {
                        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                        "deviceName": _OPTIONAL_TEXT,
                        "userAgent": _OPTIONAL_TEXT,
                        "address": _OPTIONAL_TEXT,
                        "createdAt": _TIME,
                        "lastUsedAt": _TIME,
                        "expiresAt": _TIME,
                        "current": {"type": "boolean"},
                        "persistent": {"type": "boolean", "description": "Whether the login asked to be remembered."},
                        "bound": {"type": "boolean", "description": "Whether the session is bound to a key."},
                        "actor": {
                            **_OPTIONAL_TEXT,
                            "description": "The subject who acts as the user in this session, such as a supporter.",
                        },
                    },
                    "id",
                    "deviceName",
                    "userAgent",
                    "address",
                    "createdAt",
                    "lastUsedAt",
                    "expiresAt",
                    "current",
                    "persistent",
                    "bound",
                    "actor",
                ),
            },
            "next": {"type": "string", "description": "Send it as `after` for the next page; missing on the last one."},
        },
        "sessions",
    ),
    "KeySet": _object(
        "KeySet",
        "A JWK Set (RFC 7517 §5).",
        {"keys": {"type": "array", "items": {"type": "object", "required": ["kty", "kid"]}}},
        "keys",
    ),
    "RefreshForm": _object(
        "RefreshForm",
        "What an OAuth client sends to refresh (RFC 6749 §6).",
        {
            "grant_type": {"const": "refresh_token"},
            "refresh_token": {"type": "string", "minLength": 1},
            "scope": {"type": "string"},
            **_CLIENT,
        },
        "grant_type",
        "refresh_token",
    ),
    "TokenForm": _object(
        "TokenForm",
        "What an OAuth client sends to revoke a token (RFC 7009 §2.1), or to introspect it (RFC 7662 §2.1).",
        {"token": {"type": "string", "minLength": 1}, "token_type_hint": {"type": "string"}, **_CLIENT},
        "token",
    ),
    "OAuthTokens": _object(
        "OAuthTokens",
        "What an OAuth client is given (RFC 6749 §5.1); without a refresh token it keeps its own.",
        {
            "access_token": {"type": "string"},
            "token_type": {"enum": ["Bearer", "DPoP"]},
            "expires_in": {"type": "integer", "minimum": 1, "description": "Seconds."},
            "refresh_token": {"type": "string", "pattern": "^dpr_"},
            "scope": {"type": "string"},
        },
        "access_token",
        "token_type",
        "expires_in",
    ),
    "Introspection": _object(
        "Introspection",
        "What a token says (RFC 7662 §2.2); of one that opens nothing no more than that.",
        {
            "active": {"type": "boolean"},
            **{name: {"type": "string"} for name in ("scope", "client_id", "username", "token_type", "sub", "aud")},
            **{name: {"type": "string"} for name in ("iss", "jti", "sid")},
            **{name: {"type": "integer"} for name in ("exp", "iat")},
        },
        "active",
    ),
    "Metadata": _object(
        "Metadata",
        "What an authorization server tells of itself (RFC 8414 §2).",
        {
            **{name: {"type": "string", "format": "uri"} for name in _METADATA_URLS},
            **{name: {"type": "array", "items": {"type": "string"}} for name in (*_METADATA_LISTS, "scopes_supported")},
        },
        *_METADATA_URLS,
        *_METADATA_LISTS,
    ),
    "OAuthFailure": _object(
        "OAuthFailure",
        "The shape of an OAuth endpoint's failures (RFC 6749 §5.2).",
        {"error": {"type": "string"}, "error_description": {"type": "string"}},
        "error",
        "error_description",
    ),
    "Failure": _object(
        "Failure",
        "The one shape of every failure.",
        {"message": {"type": "string"}, "error": {"type": "string"}},
        "message",
        "error",
    ),
}

BEARER = "bearer"
COOKIE = "cookie"
CLIENT = "client"
SECURITY_SCHEMES: Mapping[str, Mapping[str, str]] = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token, from login or refresh.",
    },
    COOKIE: {
        "type": "apiKey",
        "in": "cookie",
        "name": cookie_names.SECURE_DEFAULT,
        "description": "The refresh token. Over plain HTTP, which is for loopback, the name is `daypass`.",
    },
    CLIENT: {
        "type": "http",
        "scheme": "basic",
        "description": "An OAuth client's id and secret (RFC 6749 §2.3.1); they may stand in the body instead.",
    },
}

_FAILURES: Mapping[int, tuple[str, str, str]] = {
    400: ("The body makes no sense.", "invalid_request", "The body is not JSON"),
    401: ("No access token, or a bad one.", "invalid_token", "Authentication failed"),
    403: ("Plain HTTP, or a page of another origin.", "cross_site_request", "This may not be asked for by a page …"),
    404: ("Session not found.", "not_found", "Session not found"),
    409: ("A newer refresh token was given out moments ago; the cookie is kept.", "token_stale", "A newer …"),
    413: (f"The body has more than {MAXIMUM_BODY} bytes.", "content_too_large", "The body is too large …"),
    415: ("The body is no JSON.", "unsupported_media_type", "Send the body as application/json"),
    429: ("Too many requests.", "too_many_requests", "Try again later"),
    431: ("The headers are too large.", "request_header_fields_too_large", "Send less"),
    503: ("The store is down; nothing was decided, and no cookie changes.", "temporarily_unavailable", "Try again …"),
}
_ALWAYS = (413, 429, 431, 503)

_SECONDS: Schema = {"type": "integer", "minimum": 0}
_HEADERS: Mapping[int, tuple[str, ...]] = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
_ALL_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "WWW-Authenticate": {
        "description": "The challenge (RFC 6750 §3).",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer "},
    },
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": _SECONDS},
    "Set-Cookie": {"description": "The refresh token, or nothing where it is cleared.", "schema": {"type": "string"}},
    "Cache-Control": {"required": True, "schema": {"type": "string"}},
    "Clear-Site-Data": {
        "description": "If the cookie is cleared: pages loaded ahead of a click are forgotten.",
        "schema": {"type": "string"},
    },
    "ETag": {"required": True, "schema": {"type": "string"}},
}


def _headers(*names: str) -> dict[str, Any]:
    return {name: _ALL_HEADERS[name] for name in names}


def _failure(status: int) -> dict[str, Any]:
    description, error, message = _FAILURES[status]
    content = {"schema": {"$ref": f"{_REF}Failure"}, "example": {"message": message, "error": error}}
    headers = _headers(*_HEADERS.get(status, ()))
    return {"description": description, "content": {"application/json": content}} | (
        {"headers": headers} if headers else {}
    )


def _operation(
    name: str,
    summary: str,
    done: tuple[int, str, str | None],
    failures: tuple[int, ...],
    *,
    headers: tuple[str, ...] = (),
    body: tuple[str, bool] | None = None,
    security: tuple[str, ...] = (),
    kind: str = "application/json",
    **more: Any,
) -> Operation:
    status, description, schema = done
    response: dict[str, Any] = {"description": description}
    if headers:
        response["headers"] = _headers(*headers)
    if schema is not None:
        response["content"] = {kind: {"schema": {"$ref": f"{_REF}{schema}"}}}
    failed = {str(each): _failure(each) for each in sorted({*failures, *_ALWAYS})}
    operation: dict[str, Any] = {"operationId": name, "summary": summary, "tags": ["auth"], **more}
    if body is not None:
        content = {"application/json": {"schema": {"$ref": f"{_REF}{body[0]}"}}}
        operation["requestBody"] = {"content": content, "required": body[1]}
    if security:
        operation["security"] = [{each: []} if each else {} for each in security]
    return operation | {"responses": {str(status): response} | failed}


AUTH: Operations = {
    ("POST", "/login"): _operation(
        "login",
        "Log in",
        (200, "The user is logged in.", "Tokens"),
        (400, 401, 403, 404, 415),
        headers=("Set-Cookie", "Cache-Control"),
        body=("Login", True),
    ),
    ("POST", "/confirm"): _operation(
        "confirm",
        "Confirm the login by the password",
        (200, "An access token with a new `auth_time`.", "Tokens"),
        (400, 401, 403, 404, 415),
        headers=("Set-Cookie", "Cache-Control"),
        body=("Confirmation", True),
        security=(BEARER,),
    ),
    ("POST", "/refresh"): _operation(
        "refresh",
        "Get a new access token",
        (200, "The next tokens.", "Tokens"),
        (400, 401, 403, 409),
        headers=("Set-Cookie", "Cache-Control"),
        body=("RefreshToken", False),
        security=(COOKIE, ""),
    ),
    ("POST", "/logout"): _operation(
        "logout",
        "Log out",
        (204, "There is no session any more.", None),
        (400, 401, 403, 415),
        headers=("Set-Cookie", "Cache-Control", "Clear-Site-Data"),
        body=("Logout", False),
        security=(COOKIE, ""),
    ),
    ("GET", "/me"): _operation(
        "me",
        "The access token's user",
        (200, "The user, as the access token has it.", "CurrentUser"),
        (401, 403),
        headers=("Cache-Control",),
        security=(BEARER,),
    ),
    ("GET", "/sessions"): _operation(
        "sessions",
        "The user's devices",
        (200, "The live sessions; times are rounded to 15 minutes.", "Sessions"),
        (400, 401, 403),
        headers=("Cache-Control",),
        security=(BEARER,),
        parameters=[
            {
                "name": "limit",
                "in": "query",
                "description": "Sessions on a page.",
                "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 100},
            },
            {
                "name": "after",
                "in": "query",
                "description": "The `next` of the page before.",
                "schema": {"type": "string", "pattern": r"^[0-9]{1,15}\.[0-9a-f]{32}$"},
            },
        ],
    ),
    ("DELETE", "/sessions"): _operation(
        "end_all",
        "Log out everywhere",
        (204, "All sessions have ended, this one too unless it is kept.", None),
        (400, 401, 403),
        headers=("Set-Cookie", "Cache-Control", "Clear-Site-Data"),
        security=(BEARER,),
        parameters=[
            {
                "name": "keep",
                "in": "query",
                "description": "`current` keeps the session of the access token.",
                "schema": {"enum": ["current"]},
            }
        ],
    ),
    ("DELETE", "/sessions/{session_id}"): _operation(
        "end_session",
        "Log out one device",
        (204, "That session has ended.", None),
        (401, 403, 404),
        headers=("Set-Cookie", "Clear-Site-Data"),
        security=(BEARER,),
        parameters=[
            {
                "name": "session_id",
                "in": "path",
                "required": True,
                "description": "As it stands in the list of sessions.",
                "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            }
        ],
    ),
}

WELL_KNOWN: Operations = {
    ("GET", "/.well-known/jwks.json"): _operation(
        "jwks",
        "The public signing keys",
        (200, "The keys that access tokens are verified with.", "KeySet"),
        (),
        headers=("Cache-Control",),
        kind="application/jwk-set+json",
    ),
}


def _oauth(name: str, summary: str, done: str, form: str, answer: str | None, security: tuple[str, ...]) -> Operation:
    failed = {
        str(status): {
            "description": description,
            "content": {"application/json": {"schema": {"$ref": f"{_REF}OAuthFailure"}, "example": {"error": error}}},
        }
        for status, description, error in (
            (400, "The request makes no sense, or the token gets nothing.", "invalid_grant"),
            (401, "The client is not the one that it says it is.", "invalid_client"),
            (429, "Too many requests; nothing was decided.", "too_many_requests"),
            (503, "Not now; nothing was decided.", "temporarily_unavailable"),
        )
    }
    for status in ("429", "503"):
        failed[status]["headers"] = _headers("Retry-After")
    done_response: dict[str, Any] = {"description": done}
    if answer is not None:
        done_response["content"] = {"application/json": {"schema": {"$ref": f"{_REF}{answer}"}}}
    content = {"application/x-www-form-urlencoded": {"schema": {"$ref": f"{_REF}{form}"}}}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["oauth"],
        "requestBody": {"content": content, "required": True},
        "security": [{each: []} if each else {} for each in security],
        "responses": {"200": done_response} | failed | {str(each): _failure(each) for each in (413, 431)},
    }


OAUTH: Operations = {
    ("POST", "/token"): _oauth(
        "token",
        "Get a new access token, as an OAuth client",
        "The next tokens.",
        "RefreshForm",
        "OAuthTokens",
        (CLIENT, ""),
    ),
    ("POST", "/revoke"): _oauth(
        "revoke", "End a token's session", "Session not found any more.", "TokenForm", None, (CLIENT, "")
    ),
    ("POST", "/introspect"): _oauth(
        "introspect", "What a token is worth", "What it says.", "TokenForm", "Introspection", (CLIENT, "")
    ),
}

METADATA: Operations = {
    ("GET", "/.well-known/oauth-authorization-server"): _operation(
        "metadata",
        "The authorization server's metadata",
        (200, "What an OAuth client has to know.", "Metadata"),
        (),
        headers=("Cache-Control",),
    ),
}


def refusals() -> dict[int, dict[str, Any]]:
    """Return the responses of a route that requires an access token; ``detail`` has what `refused` returns."""
    found: dict[int, dict[str, Any]] = {}
    for status, description, error, needs in (
        (401, "No access token, or a bad one.", "invalid_token", "WWW-Authenticate"),
        (403, "The access token's scope does not allow this.", "insufficient_scope", "WWW-Authenticate"),
        (503, "The access token cannot be checked now.", "temporarily_unavailable", "Retry-After"),
    ):
        detail = {"type": "object", "properties": {"detail": SCHEMAS["Failure"]}, "required": ["detail"]}
        example = {"detail": {"message": "Authentication failed", "error": error}}
        content = {"application/json": {"schema": detail, "example": example}}
        found[status] = {"description": description, "headers": _headers(needs), "content": content}
    return copy.deepcopy(found)


def document(title: str, version: str, mounted: Mapping[str, Operations]) -> dict[str, Any]:
    """Return the OpenAPI document of an application with only these operations, each below its prefix."""
    paths: dict[str, dict[str, Any]] = {}
    for prefix, operations in mounted.items():
        for (method, path), operation in operations.items():
            paths.setdefault(prefix + path, {})[method.lower()] = copy.deepcopy(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": SECURITY_SCHEMES},
    }


def inlined(operation: Operation) -> dict[str, Any]:
    """Return an operation with its schemas inlined, for a document whose components we do not control."""

    def resolved(part: Any) -> Any:
        if isinstance(part, Mapping):
            reference = part.get("$ref")
            if isinstance(reference, str):
                return resolved(SCHEMAS[reference.removeprefix(_REF)])
            return {name: resolved(value) for name, value in part.items()}
        return [resolved(each) for each in part] if isinstance(part, list) else part

    found: dict[str, Any] = resolved(operation)
    return found
