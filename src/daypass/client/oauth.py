"""Sessions with any OAuth 2 token endpoint: ``grant_type=refresh_token`` or ``client_credentials`` (RFC 6749). Pure.

Give the endpoints, or let them be discovered from the issuer. A logout revokes the refresh token (RFC 7009) if there is
an endpoint for it. `daypass.client.providers` knows the endpoints and the behaviour of well-known services.

Only ``invalid_grant``, and the codes in ``ends``, end a session. A wrong client setup, such as ``invalid_client``,
raises `ConfigurationError`. Any other error response counts as an outage. Both keep the session.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, NoReturn
from urllib.parse import SplitResult, urlsplit

from daypass.client.client_authentication import ClientAuthentication, Method
from daypass.client.clock import wall_ms
from daypass.client.discovery import Metadata, discover
from daypass.client.dpop import is_dpop
from daypass.client.endpoints import NOTHING_TO_PRESENT
from daypass.client.messages import (
    NOT_LOOKED_AT,
    Answer,
    Cookie,
    Grant,
    Message,
    Outcome,
    Refreshed,
    Rejected,
    Unavailable,
)
from daypass.client.origin import checked_origin, is_loopback, plain_url
from daypass.client.parsing import grace_in_milliseconds, is_token, jwt_lifetime, lifetime_in_milliseconds, seconds
from daypass.client.server_message import code_of, fields_of, said
from daypass.client.strategy import StrategyFlow
from daypass.client.tokens import Tokens
from daypass.duration import Duration, milliseconds
from daypass.errors import ConfigurationError

__all__ = [
    "OAuth",
]

ENDS = frozenset({"invalid_grant"})
"""The codes that end a session, whatever the provider."""

MISTAKES = frozenset(
    {"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target",
     "invalid_request", "incorrect_client_credentials", "invalid_client_id", "invalid_client_secret",
     "bad_client_secret", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET"}
)  # fmt: skip
"""The codes of a wrong client setup: RFC 6749 §5.2, RFC 8707 §2, and the words of GitHub, Slack, Zoho and HubSpot."""

IDLE_TTL = "14d"
"""The default for how long an unused refresh token lives."""

_TEMPORARY = (408, 425, 429)
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_RESERVED = frozenset({"grant_type", "refresh_token", "client_id", "client_secret", "client_assertion", "scope"})


class OAuth:
    """A token endpoint, for ``DaypassAuth(url, strategy=OAuth(…))``.

    Begin the session with `DaypassAuth.start`: give it tokens that you already have, or only a refresh token. With
    ``grant="client_credentials"`` you need no start: the client gets its tokens by itself.

    Args:
        client_id: the id that the authorization server gave to the client.
        token_endpoint: its URL; give either this or ``issuer``.
        issuer: the authorization server's URL, exactly as in its metadata. Its endpoints are requested once, at the
            first refresh (RFC 8414, OpenID Connect Discovery).
        revocation_endpoint: the URL for a logout (RFC 7009), if it is not discovered. Without one, a logout ends the
            session here but not on the server.
        client_secret: the secret of a confidential client; ``None`` for a public one.
        private_key: for a client that signs its requests (``private_key_jwt``): PEM text, or a JWK as a mapping.
        method: how the client authenticates (RFC 8414 §2); by default one that fits and that the metadata supports.
        scope: the scope to ask for at each refresh; by default what was granted.
        resource: the URLs of the APIs that the token is for (RFC 8707). One, or several.
        parameters: more parameters of each token request, such as ``{"audience": "https://api.example.com"}``.
        grant: ``"refresh_token"``, or ``"client_credentials"`` for a service that acts for itself (RFC 6749 §4.4).
        ends: values of ``error`` that end the session, besides ``invalid_grant``.
        repeats: whether a used refresh token may be sent once more after a lost response. ``False`` for a server with
            single-use refresh tokens.
        token_types: the ``token_type`` of tokens that are sent as ``Bearer``.
        authorization_endpoint: where a browser asks the user, for the first tokens, if it is not discovered.
        device_authorization_endpoint: where a device gets a code for the user (RFC 8628).
        authorization_parameters: parameters of the authorization request only: ``{"access_type": "offline"}``.
        redirect_uri: the redirect URL on this machine, if the provider requires the whole URL to be registered:
            ``http://localhost:8912/callback``. By default ``http://127.0.0.1`` with any free port (RFC 8252).
        idle_ttl: how long an unused refresh token stays valid; ``None`` if it does not expire from disuse. A vault's
            ``keep`` uses it. ``idle_ttl="60d"``
        allow_http: allow plain HTTP to other hosts than loopback.
        clock: milliseconds since the epoch, for signed requests.

    Raises:
        ConfigurationError: an argument is missing or invalid.
    """

    def __init__(
        self,
        *,
        client_id: str,
        token_endpoint: str | None = None,
        issuer: str | None = None,
        revocation_endpoint: str | None = None,
        client_secret: str | None = None,
        private_key: str | Mapping[str, Any] | None = None,
        method: Method | None = None,
        scope: str | None = None,
        resource: str | Iterable[str] = (),
        parameters: Mapping[str, str] | None = None,
        grant: Literal["refresh_token", "client_credentials"] = "refresh_token",
        ends: Iterable[str] = (),
        repeats: bool = False,
        token_types: Iterable[str] = ("Bearer",),
        authorization_endpoint: str | None = None,
        device_authorization_endpoint: str | None = None,
        authorization_parameters: Mapping[str, str] | None = None,
        redirect_uri: str | None = None,
        idle_ttl: Duration | None = IDLE_TTL,
        allow_http: bool = False,
        clock: Callable[[], int] = wall_ms,
    ) -> None:
        if (token_endpoint is None) == (issuer is None):
            raise ConfigurationError("give OAuth one of token_endpoint=… and issuer=…")
        if grant not in ("refresh_token", "client_credentials"):
            raise ConfigurationError(f'invalid grant {grant!r}: expected "refresh_token" or "client_credentials"')
        if isinstance(ends, str) or isinstance(token_types, str):
            raise ConfigurationError('ends and token_types are collections of text: write ends=["bad_refresh_token"]')
        if not isinstance(scope, str | None):
            raise ConfigurationError("scope is text, with spaces between its words: scope='read write'")
        if taken := _RESERVED.intersection(parameters or ()):
            raise ConfigurationError(f"parameters cannot set {', '.join(sorted(taken))}: OAuth sets them itself")
        resources = (resource,) if isinstance(resource, str) else tuple(resource)
        endpoints = (revocation_endpoint, authorization_endpoint, device_authorization_endpoint)
        for url in filter(None, (token_endpoint, issuer, *endpoints)):
            checked_origin(url, allow_http=allow_http)
        if redirect_uri is not None:
            checked_redirect_uri(redirect_uri)
        self._client = ClientAuthentication(client_id, client_secret, private_key, method, clock)
        self._issuer, self._token_endpoint = issuer, token_endpoint
        self._given = endpoints
        self._metadata = None if token_endpoint is None else Metadata(token_endpoint, *endpoints)
        self._grant = grant
        self._ends = ENDS.union(ends)
        self._token_types = frozenset(each.casefold() for each in (*token_types, "DPoP"))
        self._allow_http = allow_http
        self.scope = scope
        self.parameters: dict[str, Any] = dict(parameters or {}) | ({"resource": list(resources)} if resources else {})
        self.authorization_parameters = dict(authorization_parameters or {})
        self.redirect_uri = redirect_uri
        self.idle_ttl = None if idle_ttl is None else milliseconds(idle_ttl)
        self.repeats = repeats

    def __repr__(self) -> str:
        where = self._issuer or (self._metadata and self._metadata.token)
        return f"<OAuth {where} client_id={self.client_id}>"

    @property
    def client_id(self) -> str:
        """The client's id."""
        return self._client.client_id

    @property
    def begins_by_refreshing(self) -> bool:
        """Whether a refresh can get the first tokens without a login: with client credentials."""
        return self._grant == "client_credentials"

    def login(self, credentials: Mapping[str, str]) -> StrategyFlow[Grant]:
        """Refuse: a user's password must not be given to an OAuth client (RFC 9700 §2.4).

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            "OAuth has no login with a password (RFC 9700 §2.4): run daypass login --oauth ISSUER, or give the tokens "
            "of a grant to start(access_token=…, refresh_token=…, expires_in=…); a refresh token alone is enough"
        )

    def refresh(self, tokens: Tokens) -> StrategyFlow[Outcome]:
        """Refresh at the token endpoint, after the discovery if it is needed.

        Raises:
            ConfigurationError: retrying will not help; the session is kept.
        """
        form: dict[str, str] = {"grant_type": self._grant} | ({} if self.scope is None else {"scope": self.scope})
        if self._grant == "refresh_token":
            if tokens.refresh_token is None:
                return NOTHING_TO_PRESENT
            form["refresh_token"] = tokens.refresh_token
        metadata = yield from self.discover()
        if isinstance(metadata, Unavailable):
            return metadata
        if tokens.key is not None:
            metadata.require_dpop()
        return (yield from self.request_tokens(metadata, form, secrets=(tokens.refresh_token or "",)))

    def logout(self, tokens: Tokens) -> StrategyFlow[bool]:
        """Revoke the refresh token (RFC 7009 §2.1)."""
        if tokens.refresh_token is None:
            return False
        try:
            metadata = yield from self.discover()
        except ConfigurationError:
            return False
        if isinstance(metadata, Unavailable) or metadata.revocation is None:
            return False
        form = {"token": tokens.refresh_token, "token_type_hint": "refresh_token"}
        answer: Answer = yield self.message(metadata, metadata.revocation, form)
        return answer.status in (200, 204)

    def server(self, url: str) -> str:
        """Return the URL of the issuer or token endpoint, and the client: a refresh token is only for that client."""
        return f"{plain_url(self._issuer or self._token_endpoint or url)} (client {self.client_id})"

    def cookie_to_keep_back(self, message: Message, answer: Answer) -> Cookie | None:
        """Return ``None``: OAuth uses no cookies."""
        return None

    def discover(self) -> StrategyFlow[Metadata | Unavailable]:
        """Return the server's endpoints; they are requested once.

        Raises:
            ConfigurationError: as `daypass.client.discovery.discover`.
        """
        if self._metadata is None:
            found = yield from discover(str(self._issuer), allow_http=self._allow_http)
            if isinstance(found, Unavailable):
                return found
            self._metadata = found.with_endpoints(*self._given)
        return self._metadata

    def message(self, metadata: Metadata, url: str, form: Mapping[str, Any]) -> Message:
        """Return a request with this client's authentication."""
        return self._client.message(url, form, metadata.methods, metadata.issuer or metadata.token)

    def request_tokens(
        self, metadata: Metadata, form: Mapping[str, str], secrets: Iterable[str]
    ) -> StrategyFlow[Outcome]:
        """Send a token request with the common parameters, and judge the response; raises the same as `judge`."""
        answer: Answer = yield self.message(metadata, metadata.token, {**self.parameters, **form})
        return self.judge(answer, secrets)

    def judge(self, answer: Answer, secrets: Iterable[str]) -> Outcome:
        """Return what a response of the token endpoint means for this client; raises the same as `judge`."""
        known = (*filter(None, secrets), *self._client.secrets)
        return judge(answer, ends=self._ends, token_types=self._token_types, secrets=known)


def checked_redirect_uri(text: str) -> SplitResult:
    """Return the parts of a redirect URI on this machine (RFC 8252 §7.3).

    Raises:
        ConfigurationError: it is not on loopback, or has no port, or is not plain HTTP.
    """
    try:
        url = urlsplit(text)
        on_loopback = is_loopback(url.hostname or "") and url.port is not None
    except (ValueError, AttributeError, TypeError):
        on_loopback = False
    if not on_loopback or url.scheme != "http" or url.query or url.fragment:
        raise ConfigurationError(
            f"invalid redirect_uri {text!r}: expected one on this machine, as it is registered at the provider: "
            "http://localhost:8912/callback"
        )
    return url


def judge(
    answer: Answer,
    *,
    ends: Collection[str] = ENDS,
    token_types: Collection[str] = ("bearer",),
    secrets: Iterable[str] = (),
) -> Outcome:
    """Return what the response of a token endpoint means (RFC 6749 §5.1 and §5.2).

    An ``error`` counts with any status, because GitHub, Slack and Zoho send it with 200. Only a 5xx and a 429 count as
    an outage without a look at the body.

    Args:
        answer: JSON, or a form.
        ends: the codes that end the session.
        token_types: the types of tokens to use, in lower case.
        secrets: texts that no reason may contain.

    Raises:
        ConfigurationError: the server says that the client is set up wrongly.
    """
    status, body, known = answer.status, fields_of(answer), tuple(secrets)
    temporary = status >= 500 or status in _TEMPORARY
    if 200 <= status <= 299 and not body.get("error"):
        return _granted(body, answer, token_types)
    code = code_of(body, known)
    reason = " ".join(filter(None, (str(status), code)))
    if (text := said(answer, known)) and text != code:
        reason += f": {text}"
    if code in ends and not temporary:
        return Rejected(f"the refresh was rejected ({reason})")
    if code in MISTAKES and not temporary:
        _refuse(reason)
    retry_after, unused = seconds(answer.retry_after, answer.date), status in NOT_LOOKED_AT
    return Unavailable(f"the refresh was answered with {reason}", retry_after, unused=unused)


def _refuse(reason: str) -> NoReturn:
    raise ConfigurationError(f"the token endpoint refused this client ({reason}): check the arguments of OAuth")


def _granted(body: Mapping[str, Any], answer: Answer, token_types: Collection[str]) -> Outcome:
    access_token, refresh_token = body.get("access_token"), body.get("refresh_token")
    kind = body.get("token_type", "Bearer")
    if not is_token(access_token):
        return Unavailable("the answer to the refresh had no access token")
    if not isinstance(kind, str) or kind.casefold() not in token_types:  # RFC 6749 §7.1: the client must not use it
        wanted = ", ".join(sorted(token_types))
        return Unavailable(f"the answer to the refresh had an access token of another type than {wanted}")
    expires_in = body.get("expires_in")
    if isinstance(expires_in, str) and _NUMBER.fullmatch(expires_in):
        expires_in = int(expires_in)
    lifetime = lifetime_in_milliseconds(expires_in) or jwt_lifetime(access_token, answer.date)
    kept = refresh_token if is_token(refresh_token) else None
    return Refreshed(
        Grant(access_token, lifetime, kept, grace=grace_in_milliseconds(answer.grace), bound=is_dpop(kind))
    )
