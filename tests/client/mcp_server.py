"""A real MCP server of the official SDK with its authorization server, as strict or as unpleasant as a test wants."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl

from daypass.testing.loopback import Loopback


@dataclass
class McpWorld(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """The authorization server's state; a refresh token is good for one use, and a second use ends the grant.

    Attributes:
        lifetime: seconds that an access token lives.
        grace: whether the same refresh token again gets the same successor.
        statuses: the answers to the token requests to come, before any is looked at; 200 lets one through.
        lose: so many answers of the token endpoint get lost after the work was done.
        counts: ``registered``, ``logins``, ``refreshes``, ``repeated``, ``reused``.
        live: access tokens, and when they die.
    """

    lifetime: float = 900
    grace: bool = False
    statuses: list[int] = field(default_factory=list)
    lose: int = 0
    url: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    live: dict[str, float] = field(default_factory=dict)
    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def expire(self) -> None:
        """Make every access token dead, early."""
        self.live.clear()

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.counts["registered"] += 1
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        code = secrets.token_hex()
        self.codes[code] = AuthorizationCode(
            code=code,
            scopes=[],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=True,
        )
        back: str = construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)
        return back

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        self.counts["logins"] += 1
        sid = secrets.token_hex(4)
        self.lines[sid] = [secrets.token_hex()]
        return self._tokens(sid)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        sid = next((sid for sid, line in self.lines.items() if refresh_token in line and sid not in self.ended), None)
        if sid is None:
            return None
        return RefreshToken(token=refresh_token, client_id=client.client_id, scopes=[], subject=sid)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        sid = str(refresh_token.subject)
        line = self.lines[sid]
        if self.grace and line[-2:-1] == [refresh_token.token]:
            self.counts["repeated"] += 1
            return self._tokens(sid)
        if line[-1] != refresh_token.token:
            self.counts["reused"] += 1
            self.ended.add(sid)
            raise TokenError("invalid_grant")
        self.counts["refreshes"] += 1
        line.append(secrets.token_hex())
        return self._tokens(sid)

    async def load_access_token(self, token: str) -> AccessToken | None:
        if time.time() < self.live.get(token, 0):
            return AccessToken(token=token, client_id="any", scopes=[])
        return None

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.live.clear()

    def end_grants(self) -> None:
        """End every grant, as its user would at the provider."""
        self.live.clear()
        self.ended.update(self.lines)

    def _tokens(self, sid: str) -> OAuthToken:
        access_token = secrets.token_hex()
        self.live[access_token] = time.time() + self.lifetime
        return OAuthToken(
            access_token=access_token, expires_in=int(self.lifetime), refresh_token=self.lines[sid][-1], scope=""
        )

    def bad_weather(self, app: Any) -> Any:
        """Return ``app`` with a token endpoint that is down, or loses its answers."""

        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["path"] != "/token":
                await app(scope, receive, send)
            elif self.statuses and (status := self.statuses.pop(0)) != 200:
                await send({"type": "http.response.start", "status": status, "headers": []})
                await send({"type": "http.response.body", "body": b""})
            elif self.lose:
                self.lose -= 1
                await app(scope, receive, _nowhere)
                headers = [(b"content-length", b"99")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": b"{", "more_body": True})
            else:
                await app(scope, receive, send)

        return wrapped


async def _nowhere(message: Any) -> None:
    pass


@contextmanager
def mcp_world() -> Iterator[McpWorld]:
    """Serve an MCP server with one tool, ``add``, at ``/mcp``."""
    world, loopback = McpWorld(), Loopback(lifespan="on")
    world.url = f"{loopback.url}/mcp"
    server = MCPServer(
        "sums",
        auth_server_provider=world,
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(loopback.url),
            resource_server_url=AnyHttpUrl(world.url),
            client_registration_options=ClientRegistrationOptions(enabled=True),
            validate_token_resource=False,
        ),
    )

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    loopback.app = world.bad_weather(server.streamable_http_app())
    loopback.start()
    try:
        yield world
    finally:
        loopback.stop()
