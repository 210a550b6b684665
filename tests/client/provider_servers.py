"""Token endpoints that answer as well-known providers document theirs, on loopback."""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daypass.client import providers
from daypass.client.oauth import OAuth

Answers = tuple[int, dict[str, Any]]
SECRET = "s3cr3t-of-the-client"


@dataclass(frozen=True)
class Manner:
    """How one provider's token endpoint behaves.

    Attributes:
        make: makes the strategy, for a server at this URL.
        path: where its token endpoint is.
        granted: the answer to a good refresh token, and to the next one.
        dead: the answers that mean that the user has to log in again.
        client: how the client authenticates.
        rotates: whether each refresh gives another refresh token.
        busy: an answer that says to come back later.
        misconfigured: an answer that says that the client is set up wrongly.
        discovery: where its metadata is, and what it has besides the token endpoint.
        revocation: where a logout is sent to.
        unasked_form: whether it answers with a form unless it is asked for JSON.
    """

    make: Callable[[str], OAuth]
    path: str
    granted: dict[str, Any]
    dead: tuple[Answers, ...]
    client: Literal["basic", "post"]
    rotates: bool = False
    busy: Answers = (429, {})
    misconfigured: Answers = (401, {"error": "invalid_client"})
    discovery: str | None = None
    issuer_path: str = ""
    revocation: str | None = None
    unasked_form: bool = False


def _invalid_grant(description: str, status: int = 400) -> Answers:
    return status, {"error": "invalid_grant", "error_description": description}


BEARER = {"token_type": "Bearer", "expires_in": 3600}
MANNERS = {
    "auth0": Manner(
        make=lambda url: providers.auth0("app", SECRET, url=url, parameters={"audience": "https://api.example"}),
        path="/oauth/token",
        granted=BEARER | {"expires_in": 86400, "scope": "openid offline_access", "id_token": "e30.e30.c2ln"},
        dead=(_invalid_grant("Unknown or invalid refresh token.", 403),),
        client="basic",
        rotates=True,
        busy=(429, {"error": "too_many_requests", "error_description": "Global limit has been reached"}),
        misconfigured=(401, {"error": "access_denied", "error_description": "Unauthorized"}),
        discovery="/.well-known/openid-configuration",
        issuer_path="/",
        revocation="/oauth/revoke",
    ),
    "github": Manner(
        make=lambda url: providers.github("app", SECRET, url=url),
        path="/login/oauth/access_token",
        granted={"token_type": "bearer", "expires_in": 28800, "refresh_token_expires_in": 15811200, "scope": ""},
        dead=((200, {
            "error": "bad_refresh_token",
            "error_description": "The refresh token passed is incorrect or expired.",
            "error_uri": "https://docs.github.com",
        }),),
        client="post",
        rotates=True,
        misconfigured=(200, {
            "error": "incorrect_client_credentials",
            "error_description": "The client_id and/or client_secret passed are incorrect.",
        }),
        unasked_form=True,
    ),
    "google": Manner(
        make=lambda url: providers.google(
            "app", SECRET, token_endpoint=f"{url}/token", revocation_endpoint=f"{url}/revoke"
        ),
        path="/token",
        granted=BEARER | {"expires_in": 3920, "scope": "https://www.googleapis.com/auth/drive.metadata.readonly"},
        dead=(_invalid_grant("Token has been expired or revoked."),),
        client="post",
        revocation="/revoke",
    ),
    "hubspot": Manner(
        make=lambda url: providers.hubspot("app", SECRET, token_endpoint=f"{url}/oauth/v3/token"),
        path="/oauth/v3/token",
        granted={"token_type": "bearer", "expires_in": 1800},
        dead=(
            (400, {"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token", "correlationId": "a"}),
            _invalid_grant("refresh token is invalid, expired or revoked"),
        ),
        client="post",
        misconfigured=(400, {"status": "BAD_CLIENT_ID", "message": "missing or unknown client id"}),
    ),
    "keycloak": Manner(
        make=lambda url: providers.keycloak("app", SECRET, url=url, realm="main"),
        path="/realms/main/protocol/openid-connect/token",
        granted=BEARER | {"expires_in": 300, "refresh_expires_in": 1800, "not-before-policy": 0, "session_state": "a"},
        dead=(_invalid_grant("Token is not active"), _invalid_grant("Session not active")),
        client="basic",
        rotates=True,
        misconfigured=(
            401, {"error": "unauthorized_client", "error_description": "Invalid client or Invalid client credentials"}
        ),
        discovery="/realms/main/.well-known/openid-configuration",
        issuer_path="/realms/main",
        revocation="/realms/main/protocol/openid-connect/revoke",
    ),
    "microsoft": Manner(
        make=lambda url: providers.microsoft(
            "app", SECRET, token_endpoint=f"{url}/common/oauth2/v2.0/token", scope="User.Read offline_access"
        ),
        path="/common/oauth2/v2.0/token",
        granted=BEARER | {"expires_in": 3599, "ext_expires_in": 3599, "scope": "User.Read"},
        dead=(
            (400, {
                "error": "interaction_required",
                "error_description": "AADSTS50076: you must use multi-factor authentication to access",
                "error_codes": [50076],
                "suberror": "basic_action",
            }),
            _invalid_grant("AADSTS700082: The refresh token has expired due to inactivity."),
        ),
        client="post",
        rotates=True,
        misconfigured=(
            401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
        ),
    ),
    "quickbooks": Manner(
        make=lambda url: providers.quickbooks(
            "app", SECRET, token_endpoint=f"{url}/oauth2/v1/tokens/bearer", revocation_endpoint=f"{url}/revoke"
        ),
        path="/oauth2/v1/tokens/bearer",
        granted={"token_type": "bearer", "expires_in": 3600, "x_refresh_token_expires_in": 8726400},
        dead=(_invalid_grant("Incorrect or invalid refresh token"),),
        client="basic",
        rotates=True,
        revocation="/revoke",
    ),
    "salesforce": Manner(
        make=lambda url: providers.salesforce("app", SECRET, url=url),
        path="/services/oauth2/token",
        granted={
            "token_type": "Bearer",
            "instance_url": "https://example.my.salesforce.com",
            "id": "https://login.salesforce.com/id/00Dx/005x",
            "issued_at": "1278448384422",
            "signature": "c2ln",
        },
        dead=(
            _invalid_grant("expired access/refresh token"),
            (400, {"error": "inactive_user", "error_description": "user is inactive"}),
        ),
        client="post",
        misconfigured=(400, {"error": "invalid_client_id", "error_description": "client identifier invalid"}),
        revocation="/services/oauth2/revoke",
    ),
    "slack": Manner(
        make=lambda url: providers.slack("app", SECRET, token_endpoint=f"{url}/api/oauth.v2.access"),
        path="/api/oauth.v2.access",
        granted={"ok": True, "token_type": "bot", "expires_in": 43200, "app_id": "A", "bot_user_id": "U", "scope": "x"},
        dead=((200, {"ok": False, "error": "invalid_refresh_token"}),),
        client="basic",
        rotates=True,
        busy=(429, {"ok": False, "error": "ratelimited"}),
        misconfigured=(200, {"ok": False, "error": "bad_client_secret"}),
    ),
    "xero": Manner(
        make=lambda url: providers.xero(
            "app", SECRET, token_endpoint=f"{url}/connect/token", revocation_endpoint=f"{url}/connect/revocation"
        ),
        path="/connect/token",
        granted=BEARER | {"expires_in": 1800, "scope": "accounting.transactions offline_access"},
        dead=((400, {"error": "invalid_grant"}),),
        client="basic",
        rotates=True,
        misconfigured=(400, {"error": "invalid_client"}),
        revocation="/connect/revocation",
    ),
    "zoho": Manner(
        make=lambda url: providers.zoho("app", SECRET, url=url),
        path="/oauth/v2/token",
        granted=BEARER | {"api_domain": "https://www.zohoapis.com", "scope": "ZohoCRM.modules.ALL"},
        dead=((200, {"error": "invalid_code"}),),
        client="post",
        busy=(400, {
            "error": "Access Denied",
            "error_description": "You have made too many requests continuously. Please try again after some time.",
            "status": "failure",
        }),
        misconfigured=(200, {"error": "invalid_client"}),
        revocation="/oauth/v2/token/revoke",
    ),
}  # fmt: skip


@dataclass
class ProviderServer:
    """A server that behaves in one of these manners; ``answers`` come first, before any good one."""

    manner: Manner
    answers: list[Answers] = field(default_factory=list)
    refresh_token: str = "refresh-0"
    access_token: str = ""
    forms: list[dict[str, Any]] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        manner, path = self.manner, request.url.path
        if path == manner.discovery:
            here = f"http://{request.headers['host']}"
            return JSONResponse({
                "issuer": f"{here}{manner.issuer_path}",
                "token_endpoint": f"{here}{manner.path}",
                "revocation_endpoint": f"{here}{manner.revocation}",
            })  # fmt: skip
        if path == "/me":
            good = request.headers.get("authorization") == f"Bearer {self.access_token}"
            return JSONResponse({}, 200 if good else 401)
        if path == manner.revocation:
            self.revoked.append(str((await request.form())["token"]))
            return Response(status_code=200)
        if path != manner.path or request.method != "POST":
            return Response("<html>not found</html>", 404, media_type="text/html")
        status, body = await self._token(request)
        if manner.unasked_form and "application/json" not in request.headers.get("accept", ""):
            return Response(urlencode(body), status, media_type="application/x-www-form-urlencoded")
        return JSONResponse(body, status)

    async def _token(self, request: Request) -> Answers:
        async with request.form() as form:
            fields = {name: form.getlist(name) for name in form}
        self.forms.append({name: values[0] if len(values) == 1 else values for name, values in fields.items()})
        if self.answers:
            return self.answers.pop(0)
        if not self._is_client(request) or self.forms[-1].get("grant_type") != "refresh_token":
            return 400, {"error": "the test's client is wrong"}
        if self.forms[-1].get("refresh_token") != self.refresh_token:
            return self.manner.dead[0]
        self.access_token = f"access-{len(self.forms)}"
        body = {"access_token": self.access_token, **self.manner.granted}
        if self.manner.rotates:
            self.refresh_token = f"refresh-{len(self.forms)}"
            body["refresh_token"] = self.refresh_token
        return 200, body

    def _is_client(self, request: Request) -> bool:
        if self.manner.client == "post":
            return (self.forms[-1].get("client_id"), self.forms[-1].get("client_secret")) == ("app", SECRET)
        given = request.headers.get("authorization", "").removeprefix("Basic ")
        return b64decode(given).decode() == f"app:{SECRET}"
