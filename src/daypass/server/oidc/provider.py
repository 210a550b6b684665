"""Talks to the provider: its metadata, its keys, the exchange of a code for tokens. Authlib is the OAuth client."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx2
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from daypass.errors import ConfigurationError, DaypassError
from daypass.jwk_set import checked_url
from daypass.server.oidc.options import ClientAuth, OidcOptions
from daypass.server.oidc.tokens import (
    ALGORITHMS,
    KeyMissing,
    LogoutToken,
    ProviderKeys,
    TokenInvalid,
    read_id_token,
    read_logout_token,
)

SECONDS = 10.0
"""For everything that one request of a browser causes at the provider."""

METADATA_FRESH = 3600.0
KEYS_FRESH = 600.0
"""Seconds after which a document is fetched again. If that fails, the old one stays in use."""

BETWEEN_FETCHES = 10.0
"""Seconds between two fetches that tokens with unknown keys cause, because anyone can send such a token."""

MAXIMUM = 262_144
"""Bytes of a response of the provider."""

T = TypeVar("T")


class ProviderUnavailable(DaypassError):
    """The provider cannot be used now, or its settings are wrong; nothing was decided about any user."""


class LoginDenied(DaypassError):
    """The provider did not log the user in, or refused the code of a callback.

    Attributes:
        code: the provider's error code.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What the provider says about a login: the verified claims, and the ID token that has them."""

    claims: Mapping[str, Any]
    id_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Metadata:
    """The parts of a provider's metadata that are used (OpenID Connect Discovery §3)."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    end_session: str | None
    algorithms: tuple[str, ...]
    client_auths: tuple[str, ...]
    sends_issuer: bool


class _Document(Generic[T]):
    """A document that is fetched when it is needed, by one caller at a time."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], fresh: float, monotonic: Callable[[], float]) -> None:
        self._fetch = fetch
        self._fresh = fresh
        self._monotonic = monotonic
        self._found: T | None = None
        self._due = self._allowed = 0.0
        self._lock = asyncio.Lock()

    async def get(self, *, unlike: T | None = None) -> T:
        """Return the document; fetch it first if it is old, or if it is ``unlike`` and that caused no fetch just now.

        Raises:
            ProviderUnavailable: it cannot be fetched, and was never fetched before.
        """
        async with self._lock:
            now = self._monotonic()
            unknown = unlike is not None and self._found is unlike and now >= self._allowed
            if unknown:
                self._allowed = now + BETWEEN_FETCHES
            if self._found is None or unknown or now >= self._due:
                await self._renew(now)
            if self._found is None:
                raise ProviderUnavailable("the provider's document is missing")
            return self._found

    async def _renew(self, now: float) -> None:
        try:
            self._found = await self._fetch()
            self._due = now + self._fresh
        except ProviderUnavailable:
            if self._found is None:
                raise
            self._due = now + BETWEEN_FETCHES


class Provider:
    """The provider of one service.

    Args:
        options: how it is used.
        monotonic: seconds of a monotonic clock.
    """

    def __init__(self, options: OidcOptions, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._tls: ssl.SSLContext | None = None
        self._metadata = _Document(self._fetch_metadata, METADATA_FRESH, monotonic)
        self._keys = _Document(self._fetch_keys, KEYS_FRESH, monotonic)

    def __repr__(self) -> str:
        return f"<Provider {self._options.issuer}>"

    async def login_url(self, state: str, nonce: str, verifier: str, asked: Mapping[str, str]) -> str:
        """Return the URL of the provider's login page.

        Args:
            state: comes back to the callback.
            nonce: comes back in the ID token.
            verifier: of PKCE; only its hash is sent.
            asked: further parameters, such as ``login_hint``.

        Raises:
            ProviderUnavailable: the metadata is not known and cannot be fetched.
        """
        async with self._in_time():
            metadata = await self._metadata.get()
        client = await self._client(metadata)
        async with client:
            url, _ = client.create_authorization_url(
                metadata.authorization, state, verifier, nonce=nonce, scope=" ".join(self._options.scopes), **asked
            )
        return str(url)

    async def check_issuer(self, issuer: str | None) -> None:
        """Check the ``iss`` of a callback (RFC 9207 §2.4).

        Raises:
            TokenInvalid: the callback is of another provider.
            ProviderUnavailable: the metadata is not known and cannot be fetched.
        """
        async with self._in_time():
            metadata = await self._metadata.get()
        if issuer != self._options.issuer and (issuer is not None or metadata.sends_issuer):
            raise TokenInvalid("the callback came from another provider")

    async def log_in(self, code: str, nonce: str, verifier: str, now: int) -> LoggedIn:
        """Exchange the code of a callback, and return what the provider says about the user.

        Args:
            code: from the callback.
            nonce: of this login.
            verifier: of PKCE.
            now: seconds since the epoch.

        Raises:
            LoginDenied: the provider refused the code.
            TokenInvalid: the provider's ID token is refused.
            ProviderUnavailable: the provider cannot be used now.
        """
        async with self._in_time():
            metadata = await self._metadata.get()
            async with await self._client(metadata) as client:
                tokens = await self._exchanged(client, metadata, code, verifier)
                id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
                if not isinstance(id_token, str) or not isinstance(access_token, str):
                    raise ProviderUnavailable(f"{self._name} sent no ID token: oidc_scopes must have openid")
                claims = await self._verified(
                    lambda keys: read_id_token(
                        id_token,
                        keys,
                        metadata.algorithms,
                        issuer=self._options.issuer,
                        client_id=self._options.client_id,
                        nonce=nonce,
                        access_token=access_token,
                        now=now,
                    )
                )
                if self._options.userinfo:
                    claims = await self._with_userinfo(client, metadata, access_token, claims)
        return LoggedIn(claims, id_token)

    async def read_logout(self, text: str, now: int) -> LogoutToken:
        """Return what a logout token says.

        Args:
            text: the token.
            now: seconds since the epoch.

        Raises:
            TokenInvalid: it is refused.
            ProviderUnavailable: the provider's keys are not known and cannot be fetched.
        """
        async with self._in_time():
            metadata = await self._metadata.get()
            names = {"issuer": self._options.issuer, "client_id": self._options.client_id}
            return await self._verified(
                lambda keys: read_logout_token(text, keys, metadata.algorithms, **names, now=now)
            )

    async def logout_url(self, id_token: str | None) -> str | None:
        """Return where a browser logs out at the provider (RP-Initiated Logout §2); None if it has no such place.

        Args:
            id_token: of the login, if known: most providers then ask nothing.

        Raises:
            ProviderUnavailable: the metadata is not known and cannot be fetched.
        """
        async with self._in_time():
            metadata = await self._metadata.get()
        if metadata.end_session is None:
            return None
        options = self._options
        back = options.return_to if "://" in options.return_to else f"{options.origin}{options.return_to}"
        parameters = [("client_id", options.client_id), ("post_logout_redirect_uri", back)]
        if id_token is not None:
            parameters.append(("id_token_hint", id_token))
        return str(add_params_to_uri(metadata.end_session, parameters))

    # ---- parts of the above

    @property
    def _name(self) -> str:
        return f"the OpenID provider {self._options.issuer}"

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(SECONDS):
                yield
        except TimeoutError:
            raise ProviderUnavailable(f"{self._name} did not answer within {SECONDS:g} s") from None

    async def _verified(self, read: Callable[[ProviderKeys], T]) -> T:
        """Read a token; if it names an unknown key, fetch the keys again: the provider may have changed them."""
        keys = await self._keys.get()
        try:
            return read(keys)
        except KeyMissing:
            return read(await self._keys.get(unlike=keys))

    async def _exchanged(
        self, client: AsyncOAuth2Client, metadata: _Metadata, code: str, verifier: str
    ) -> Mapping[str, Any]:
        try:
            tokens: Mapping[str, Any] = await client.fetch_token(
                metadata.token, grant_type="authorization_code", code=code, code_verifier=verifier
            )
        except OAuthError as error:
            if error.error == "invalid_grant":
                raise LoginDenied("this login has expired, or was used before", error.error) from None
            raise ProviderUnavailable(f"{self._name} refused this service ({_code(error.error)})") from None
        except (httpx2.HTTPError, ValueError, TypeError) as error:
            raise self._unreachable(error) from None
        return tokens

    async def _with_userinfo(
        self, client: AsyncOAuth2Client, metadata: _Metadata, access_token: str, claims: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the claims with those of the userinfo endpoint (Core §5.3.2); those of the ID token win."""
        if metadata.userinfo is None:
            raise ProviderUnavailable(f"{self._name} has no userinfo endpoint: set oidc_userinfo to false")
        found = await self._json(client, metadata.userinfo, {"authorization": f"Bearer {access_token}"})
        if found.get("sub") != claims["sub"]:
            raise TokenInvalid("the userinfo is about another user")
        return {**found, **claims}

    async def _fetch_metadata(self) -> _Metadata:
        issuer = self._options.issuer
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        async with httpx2.AsyncClient(verify=await self._trusted(), timeout=SECONDS) as client:
            found = await self._json(client, url)
        if found.get("issuer") != issuer:  # Discovery §4.3: it must be identical
            raise ProviderUnavailable(
                f"{url} names the issuer {found.get('issuer')!r}: write exactly that as oidc_issuer"
            )
        return _Metadata(
            self._url(found, "authorization_endpoint") or self._without("authorization_endpoint"),
            self._url(found, "token_endpoint") or self._without("token_endpoint"),
            self._url(found, "jwks_uri") or self._without("jwks_uri"),
            self._url(found, "userinfo_endpoint"),
            self._url(found, "end_session_endpoint"),
            tuple(
                each for each in _list(found, "id_token_signing_alg_values_supported", "RS256") if each in ALGORITHMS
            ),
            _list(found, "token_endpoint_auth_methods_supported", "client_secret_basic"),
            found.get("authorization_response_iss_parameter_supported") is True,
        )

    def _url(self, metadata: Mapping[str, Any], name: str) -> str | None:
        url = metadata.get(name)
        if url is None:
            return None
        try:
            return checked_url(name, url)
        except ConfigurationError as error:
            raise ProviderUnavailable(f"{self._name}: {error}") from None

    def _without(self, name: str) -> str:
        raise ProviderUnavailable(f"{self._name} has no {name} in its metadata")

    async def _fetch_keys(self) -> ProviderKeys:
        metadata = await self._metadata.get()
        async with httpx2.AsyncClient(verify=await self._trusted(), timeout=SECONDS) as client:
            jwks = await self._json(client, metadata.keys)
        try:
            return ProviderKeys(jwks)
        except TokenInvalid as error:
            raise ProviderUnavailable(f"{self._name}: {error}") from None

    async def _json(self, client: Any, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON object at a URL."""
        asked: dict[str, Any] = {"withhold_token": True} if isinstance(client, AsyncOAuth2Client) else {}
        received = b""
        try:
            async with client.stream("GET", url, headers=headers, **asked) as response:
                if response.status_code != 200:
                    raise ProviderUnavailable(f"{self._name} answered {response.status_code} at {url}")
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > MAXIMUM:
                        raise ProviderUnavailable(f"{self._name} answered more than {MAXIMUM} bytes at {url}")
            found = json.loads(received)
        except (httpx2.HTTPError, ValueError, RecursionError) as error:
            raise self._unreachable(error) from None
        if not isinstance(found, dict):
            raise ProviderUnavailable(f"{self._name} did not answer a JSON object at {url}")
        return found

    def _unreachable(self, error: Exception) -> ProviderUnavailable:
        """Return our error; the text of the other may contain a code or a token, so only its kind is shown."""
        return ProviderUnavailable(f"{self._name} cannot be reached, or answered nonsense ({type(error).__name__})")

    async def _client(self, metadata: _Metadata) -> AsyncOAuth2Client:
        """Return a client for one login: it would keep the user's tokens for the next."""
        auth = self._client_auth(metadata)
        return AsyncOAuth2Client(
            self._options.client_id,
            self._options.client_secret,
            token_endpoint_auth_method=_basic if auth == "client_secret_basic" else auth,
            redirect_uri=self._options.redirect_uri,
            code_challenge_method="S256",
            verify=await self._trusted(),
            timeout=SECONDS,
        )

    def _client_auth(self, metadata: _Metadata) -> ClientAuth:
        options = self._options
        if options.client_secret is None:
            return "none"
        only_post = "client_secret_post" in metadata.client_auths and options.client_auth not in metadata.client_auths
        return "client_secret_post" if only_post else options.client_auth

    async def _trusted(self) -> ssl.SSLContext:
        """Return the certificates that are trusted; reading them takes a while."""
        if self._tls is None:
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context)
        return self._tls


def _basic(client: Any, _method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
    """Add the client's secret as RFC 6749 §2.3.1 says: Authlib leaves out the encoding of both parts."""
    pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
    headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return uri, headers, body


def _list(metadata: Mapping[str, Any], name: str, default: str) -> tuple[str, ...]:
    found = metadata.get(name, [default])
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else (default,)


def _code(error: object) -> str:
    """Return an OAuth error code, which is for people and logs; anything else is not repeated."""
    text = str(error)
    return text if text.isascii() and text.replace("_", "").isalnum() and len(text) <= 64 else "error"
