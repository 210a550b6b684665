"""An OAuth 2 authorization server made with Authlib: code grant with PKCE, device grant, refresh, revocation."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant, DeviceCredentialDict
from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

CLIENT_ID = "shell"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class PublicClient(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """A native application (RFC 8252): no secret, any port of loopback."""

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.startswith("http://127.0.0.1:") and redirect_uri.endswith("/callback")

    def check_client_secret(self, client_secret: str) -> bool:
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return bool(method == "none")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return True


@dataclass
class Server:
    """What the server has seen, and how it answers.

    Attributes:
        url: where it is.
        denies: whether the user refuses.
        polls: how often a device asked; the user approves after the first time.
        iss: the ``iss`` in redirects (RFC 9207).
        scopes: what was asked for.
        given: all tokens that were given out, revoked or not.
    """

    url: str = ""
    denies: bool = False
    iss: str | None = None
    scopes: list[str | None] = field(default_factory=list)
    codes: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    given: list[dict[str, Any]] = field(default_factory=list)
    devices: dict[str, Any] = field(default_factory=dict)
    polls: int = 0


@contextmanager
def authlib_server() -> Iterator[Server]:
    """Serve it on loopback."""
    state = Server()
    server = make_server("127.0.0.1", 0, _application(state), threaded=True)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Code(dict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        return self.get(name)

    def get_redirect_uri(self) -> Any:
        return self["redirect_uri"]

    def get_scope(self) -> Any:
        return self["scope"]


def _application(state: Server) -> Flask:
    app = Flask(__name__)
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True

    def save_token(token: dict[str, Any], _: Any) -> None:
        state.tokens[token["access_token"]] = dict(token)
        state.given.append(dict(token))

    server = AuthorizationServer(app, query_client=lambda _: PublicClient(), save_token=save_token)

    class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

        def save_authorization_code(self, code: str, request: Any) -> None:
            payload = request.payload
            state.scopes.append(payload.scope)
            state.codes[code] = _Code(
                redirect_uri=payload.redirect_uri,
                scope=payload.scope,
                code_challenge=payload.data.get("code_challenge"),
                code_challenge_method=payload.data.get("code_challenge_method"),
            )

        def query_authorization_code(self, code: str, client: Any) -> Any:
            return state.codes.get(code)

        def delete_authorization_code(self, authorization_code: Any) -> None:
            state.codes.clear()

        def authenticate_user(self, authorization_code: Any) -> str:
            return "ada"

    class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ("none",)
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, refresh_token: str) -> Any:
            found = [each for each in state.tokens.values() if each.get("refresh_token") == refresh_token]
            return _Credential(found[0]) if found else None

        def authenticate_user(self, refresh_token: Any) -> str:
            return "ada"

        def revoke_old_credential(self, refresh_token: Any) -> None:
            state.tokens.pop(refresh_token["access_token"], None)

    class Device(DeviceCodeGrant):  # type: ignore[misc]
        def query_device_credential(self, device_code: str) -> Any:
            return state.devices.get(device_code)

        def query_user_grant(self, user_code: str) -> Any:
            state.polls += 1
            return ("ada", not state.denies) if state.polls > 1 or state.denies else None

        def should_slow_down(self, credential: Any) -> bool:
            return False

    class DeviceEndpoint(DeviceAuthorizationEndpoint):  # type: ignore[misc]
        INTERVAL = 1

        def get_verification_uri(self) -> str:
            return f"{state.url}/device"

        def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
            state.scopes.append(scope)
            data = dict(data)
            expires_at = time.time() + data.pop("expires_in")
            device = DeviceCredentialDict(client_id=client_id, scope=scope, expires_at=expires_at, **data)
            state.devices[data["device_code"]] = device

    class Revocation(RevocationEndpoint):  # type: ignore[misc]
        CLIENT_AUTH_METHODS = ("none",)

        def query_token(self, token_string: str, token_type_hint: str) -> Any:
            found = [each for each in state.tokens.values() if each.get("refresh_token") == token_string]
            return _Credential(found[0]) if found else None

        def revoke_token(self, token: Any, request: Any) -> None:
            state.tokens.pop(token["access_token"], None)

    server.register_grant(CodeGrant, [CodeChallenge(required=True)])
    server.register_grant(RefreshGrant)
    server.register_grant(Device)
    server.register_endpoint(DeviceEndpoint)
    server.register_endpoint(Revocation)

    @app.get("/.well-known/oauth-authorization-server")
    def metadata() -> Response:
        here = state.url
        return jsonify(
            issuer=here,
            authorization_endpoint=f"{here}/authorize",
            token_endpoint=f"{here}/token",
            device_authorization_endpoint=f"{here}/device_authorization",
            revocation_endpoint=f"{here}/revoke",
            token_endpoint_auth_methods_supported=["none"],
        )

    @app.get("/authorize")
    def authorize() -> Any:
        grant = server.get_consent_grant(end_user="ada")
        response = server.create_authorization_response(grant=grant, grant_user=None if state.denies else "ada")
        if state.iss is not None:
            response.headers["location"] += f"&iss={state.iss}"
        return response

    @app.post("/token")
    def token() -> Any:
        return server.create_token_response()

    @app.post("/device_authorization")
    def device_authorization() -> Any:
        return server.create_endpoint_response("device_authorization")

    @app.post("/revoke")
    def revoke() -> Any:
        return server.create_endpoint_response("revocation")

    @app.get("/me")
    def me() -> Any:
        good = request.headers.get("authorization", "").removeprefix("Bearer ") in state.tokens
        return jsonify(user="ada") if good else Response(status=401)

    return app


class _Credential(dict[str, Any]):
    def check_client(self, client: Any) -> bool:
        return True

    def get_scope(self) -> Any:
        return self.get("scope", "")

    def get_user(self) -> str:
        return "ada"
