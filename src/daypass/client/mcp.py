"""Keep a client of the official ``mcp`` SDK logged in: `DaypassAuth` is the ``auth`` of its HTTP client.

    auth = DaypassAuth("https://mcp.example.com/mcp", storage=FileStorage("mcp.json"))
    async with auth.http_client() as http:
        async with Client(streamable_http_client("https://mcp.example.com/mcp", http_client=http)) as client:
            await client.call_tool("add", {"a": 1, "b": 2})

The SDK does the login: it discovers the authorization server, registers the client and asks the user. Give
`DaypassAuth` the arguments that the SDK's ``OAuthClientProvider`` needs. After that Daypass refreshes: once for all
requests, tasks and processes that share the storage.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from daypass.client import httpx as for_httpx
from daypass.client.client_authentication import METHODS, Method
from daypass.client.event_loop import in_thread
from daypass.client.messages import Answer, Cookie, Grant, Message, Outcome, Unavailable
from daypass.client.oauth import OAuth
from daypass.client.origin import checked_origin
from daypass.client.parsing import json_object, jwt_lifetime, lifetime_in_milliseconds, seconds
from daypass.client.storage import MemoryStorage, Storage
from daypass.client.strategy import StrategyFlow
from daypass.client.tokens import Tokens
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable

if TYPE_CHECKING:
    import httpx2
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

__all__ = ["DaypassAuth", "McpOAuth", "TokenStorage"]

_SERVER_ERROR = -32000
"""JSON-RPC 2.0 §5.1: for errors that an implementation defines."""

_KNOWN = ("client_id", "client_secret", "method", "issuer", "token_endpoint", "revocation_endpoint", "resource")


class McpOAuth:
    """The authorization server of an MCP server; the strategy of this module's `DaypassAuth`.

    A login stores the client and its authorization server with the tokens. So a refresh token is sent only to the
    server that issued it. For tokens from elsewhere, the MCP server is asked once for its server (RFC 9728).

    Args:
        url: the URL of the MCP server.
        client_id: the id of a client that was registered by hand.
        client_secret: the secret of a confidential client.
        method: how that client authenticates. SDK servers only know ``client_secret_post``.
        issuer: the authorization server; by default, the one that the MCP server names.
        allow_http: allow plain HTTP to other hosts than loopback.
    """

    begins_by_refreshing = False

    def __init__(
        self,
        url: str,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        method: Method = "client_secret_post",
        issuer: str | None = None,
        allow_http: bool = False,
    ) -> None:
        if client_id is None and client_secret is not None:
            raise ConfigurationError("client_secret without client_id: give both")
        method_given = None if client_secret is None else method
        given = {"client_id": client_id, "client_secret": client_secret, "method": method_given, "issuer": issuer}
        self.given = {name: value for name, value in given.items() if value is not None}
        self._url = url
        self._allow_http = allow_http
        self._issuer: str | None = None
        self._servers: dict[tuple[tuple[str, str], ...], OAuth] = {}

    def login(self, credentials: Mapping[str, str]) -> StrategyFlow[Grant]:
        """Refuse: a user's password must not be given to an OAuth client.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError("an MCP server has no login with a password: give DaypassAuth client_metadata=… and "
                                 "the two handlers, or tokens to start(…)")  # fmt: skip

    def refresh(self, tokens: Tokens) -> StrategyFlow[Outcome]:
        """Refresh at the token endpoint; raises the same as `OAuth.refresh`."""
        server = yield from self._server(tokens)
        if isinstance(server, Unavailable):
            return server
        return (yield from server.refresh(tokens))

    def logout(self, tokens: Tokens) -> StrategyFlow[bool]:
        """Revoke the refresh token, if the authorization server supports it."""
        try:
            server = yield from self._server(tokens)
        except ConfigurationError:
            return False
        return False if isinstance(server, Unavailable) else (yield from server.logout(tokens))

    def server(self, url: str) -> str:
        """Return the URL of the MCP server."""
        return url

    def cookie_to_keep_back(self, message: Message, answer: Answer) -> Cookie | None:
        """Return ``None``: this strategy uses no cookies."""
        return None

    def _server(self, tokens: Tokens) -> StrategyFlow[OAuth | Unavailable]:
        known = {**(tokens.context or {}), **self.given}
        if "client_id" not in known:
            raise ConfigurationError("no client id is kept with these tokens: give DaypassAuth client_id=…")
        if "token_endpoint" not in known and "issuer" not in known:
            issuer = yield from self._authorization_server()
            if isinstance(issuer, Unavailable):
                return issuer
            known["issuer"] = issuer
        key = tuple(sorted((name, value) for name, value in known.items() if name in _KNOWN))
        if key not in self._servers:
            self._servers = {key: self._oauth(known)}
        return self._servers[key]

    def _oauth(self, known: Mapping[str, str]) -> OAuth:
        endpoint, method = known.get("token_endpoint"), known.get("method")
        return OAuth(
            client_id=known["client_id"],
            client_secret=known.get("client_secret"),
            method=method if method in METHODS else None,
            token_endpoint=endpoint,
            issuer=known["issuer"] if endpoint is None else None,
            revocation_endpoint=known.get("revocation_endpoint"),
            resource=known.get("resource", self._url),
            # If the server has forgotten a client that registered itself, a new login registers it again.
            ends=() if "client_id" in self.given else ("invalid_client",),
            allow_http=self._allow_http,
        )

    def _authorization_server(self) -> StrategyFlow[str | Unavailable]:
        """Return the first server that the MCP server's metadata names (RFC 9728)."""
        url, asked = urlsplit(self._url), []
        start, path = f"{url.scheme}://{url.netloc}/.well-known/oauth-protected-resource", url.path.rstrip("/")
        for place in dict.fromkeys((f"{start}{path}", start)):
            if self._issuer is not None:
                break
            answer: Answer = yield Message(place, method="GET")
            if answer.status >= 500 or answer.status in (408, 425, 429):
                return Unavailable(f"GET {place} answered {answer.status}", seconds(answer.retry_after, answer.date))
            servers = (json_object(answer.body) or {}).get("authorization_servers") if answer.status == 200 else None
            if isinstance(servers, list) and servers and isinstance(servers[0], str):
                checked_origin(servers[0], allow_http=self._allow_http)
                self._issuer = servers[0]
            asked.append(f"GET {place} answered {answer.status}")
        if self._issuer is None:
            raise ConfigurationError(f"{' and '.join(asked)}: no authorization server is named there; give issuer=…")
        return self._issuer


class DaypassAuth(for_httpx.DaypassAuth):
    """Keeps one user logged in to one MCP server, as the ``auth`` of the SDK's HTTP client.

    With the arguments for a login, a request without a session asks the user first. Without them, as in a worker, it
    raises `LoginRequired`.

    Args:
        url: the URL of the MCP server, such as ``https://mcp.example.com/mcp``.
        storage: where to keep the session and the client's registration; by default in memory.
        client_metadata: the SDK's ``OAuthClientMetadata``, for the registration.
        redirect_handler: called with the URL that the user has to visit.
        callback_handler: returns the SDK's ``AuthorizationCodeResult`` of the redirect.
        client_metadata_url: a URL that is the client's id, for servers that accept those.
        client_id: the id of a client that was registered by hand; then nothing is registered.
        client_secret: the secret of a confidential client.
        method: how that client authenticates: ``client_secret_post``, ``client_secret_basic``.
        issuer: the authorization server of tokens that are given to `start`, if the MCP server does not name it.
        allow_http: allow plain HTTP to other hosts than loopback.
        **options: more arguments of `daypass.client.auth.SessionAuth`.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        storage: Storage | None = None,
        client_metadata: OAuthClientMetadata | None = None,
        redirect_handler: Callable[[str], Any] | None = None,
        callback_handler: Callable[[], Any] | None = None,
        client_metadata_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        method: Method = "client_secret_post",
        issuer: str | None = None,
        allow_http: bool = False,
        **options: Any,
    ) -> None:
        if options.get("dpop"):
            raise ConfigurationError("dpop=True is not possible with the MCP SDK: it logs in without DPoP proofs")
        asks = (client_metadata is not None, redirect_handler is not None, callback_handler is not None)
        if any(asks) and not all(asks):
            raise ConfigurationError("a login needs client_metadata, redirect_handler and callback_handler: give all")
        self.oauth = McpOAuth(
            url,
            client_id=client_id,
            client_secret=client_secret,
            method=method,
            issuer=issuer,
            allow_http=allow_http,
        )
        storage = storage or MemoryStorage()
        super().__init__(url, strategy=self.oauth, storage=storage, allow_http=allow_http, **options)
        self._url = url
        self._login = (client_metadata, redirect_handler, callback_handler, client_metadata_url) if all(asks) else None
        self._login_lock: Any = None

    def http_client(self, **options: Any) -> httpx2.AsyncClient:
        """Return an HTTP client for the SDK's transports that sends the access token.

        With this client, an error of Daypass such as `RefreshUnavailable` only fails one call. With a client of your
        own and ``auth=auth``, it ends the SDK's whole connection, as any exception of an HTTP client does.

        Args:
            **options: arguments of ``httpx2.AsyncClient``. The default timeouts are those of the SDK.
        """
        from httpx2 import Timeout

        return _client_class()(**{"timeout": Timeout(30, read=300), **options, "auth": self})

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Send one request of an async client, after a login if one is needed; called by the client."""
        flow = super().async_auth_flow(request)
        try:
            try:
                outgoing = await anext(flow)
            except LoginRequired:
                if self._login is None:
                    raise
                flow = self._after_login(request)
                outgoing = await anext(flow)
            while True:
                outgoing = await flow.asend((yield outgoing))
        except StopAsyncIteration:
            return
        finally:
            await flow.aclose()

    async def _after_login(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Send a request with the SDK's provider, which logs in; requests that wait share one login."""
        from anyio import Lock  # the SDK needs it too

        self._login_lock = self._login_lock or Lock()
        async with self._login_lock:
            flow = super().async_auth_flow(request) if self.logged_in else self._provider().async_auth_flow(request)
            try:
                outgoing = await anext(flow)
                while True:
                    outgoing = await flow.asend((yield outgoing))
            except StopAsyncIteration:
                return
            finally:
                await flow.aclose()

    def _provider(self) -> OAuthClientProvider:
        from mcp.client.auth import OAuthClientProvider

        metadata, redirect_handler, callback_handler, metadata_url = self._login or (None, None, None, None)
        assert metadata is not None  # noqa: S101 - `async_auth_flow` has seen it
        storage = TokenStorage(self)
        provider = OAuthClientProvider(
            self._url, metadata.model_copy(), storage, redirect_handler, callback_handler, metadata_url
        )
        storage.provider = provider
        return provider


@cache
def _client_class() -> type[httpx2.AsyncClient]:
    import httpx2

    class Client(httpx2.AsyncClient):
        """Responds to a request with a JSON-RPC error if it could not be sent."""

        async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            try:
                return await super().send(request, **options)
            except (LoginRequired, RefreshUnavailable, ConfigurationError) as error:
                status = 503 if isinstance(error, RefreshUnavailable) else 401
                message = {"jsonrpc": "2.0", "id": None, "error": {"code": _SERVER_ERROR, "message": str(error)}}
                return httpx2.Response(status, json=message, request=request)

    return Client


class TokenStorage:
    """An SDK ``TokenStorage`` for the session of a `DaypassAuth`: setting tokens begins its session.

    You can give it to your own ``OAuthClientProvider`` that logs the user in:
    ``OAuthClientProvider(url, metadata, TokenStorage(auth), redirect, callback)``.

    Args:
        auth: the auth whose session it is.

    Attributes:
        provider: the SDK's provider that uses it, if known: its authorization server is kept with the tokens.
    """

    def __init__(self, auth: DaypassAuth) -> None:
        self.provider: OAuthClientProvider | None = None
        self._auth = auth
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """Return the session's tokens; ``None`` without a session."""
        from mcp.shared.auth import OAuthToken

        tokens = await self._tokens()
        if tokens is None:
            return None
        left = self._auth.expires_in
        return OAuthToken(
            access_token=tokens.access_token,
            expires_in=None if left is None else int(left),
            refresh_token=tokens.refresh_token,
            scope=(tokens.context or {}).get("scope"),
        )

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Begin a session with these tokens."""
        lifetime = lifetime_in_milliseconds(tokens.expires_in) or jwt_lifetime(tokens.access_token)
        context = {name: value for name, value in self._context(tokens).items() if value}
        grant = Grant(tokens.access_token, lifetime, tokens.refresh_token, context=context)
        await in_thread(self._auth.context.session.begin, grant)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the client's information, as given to `DaypassAuth` or as registered."""
        from mcp.shared.auth import OAuthClientInformationFull

        tokens = await self._tokens()
        known = {**((tokens and tokens.context) or {}), **self._auth.oauth.given}
        if self._client is not None or "client_id" not in known:
            return self._client
        secret = known.get("client_secret")
        method = known.get("method") or "none"
        return OAuthClientInformationFull(
            client_id=known["client_id"],
            client_secret=secret,
            token_endpoint_auth_method=method,
            issuer=known.get("issuer"),
        )

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep the client's information; it is stored with the tokens."""
        self._client = client_info

    async def _tokens(self) -> Tokens | None:
        return (await in_thread(self._auth.context.session.state)).tokens

    def _context(self, tokens: OAuthToken) -> dict[str, str | None]:
        client, context = self._client, None if self.provider is None else self.provider.context
        found: dict[str, str | None] = {"scope": tokens.scope}
        if client is not None:
            found |= {
                "client_id": client.client_id,
                "client_secret": client.client_secret,
                "method": client.token_endpoint_auth_method,
                "issuer": client.issuer,
            }
        if context is not None and (metadata := context.oauth_metadata) is not None:
            revocation = metadata.revocation_endpoint
            found |= {
                "issuer": str(metadata.issuer),
                "token_endpoint": str(metadata.token_endpoint),
                "revocation_endpoint": None if revocation is None else str(revocation),
                "resource": context.get_resource_url(),
            }
        return found
