"""Sessions by any OAuth 2 token endpoint: ``grant_type=refresh_token`` (RFC 6749 §6). Pure.

Public and confidential clients (RFC 6749 §2.3.1); the endpoints as they are given, or discovered (RFC 8414); logout by
revocation where there is an endpoint for it (RFC 7009). Only ``invalid_grant`` ends a session: every other error, and
every answer that is no OAuth error at all, is somebody's mistake or a gateway's, and the session is kept.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote_plus, urlsplit

from daypass.client.endpoints import NOTHING_TO_PRESENT
from daypass.client.messages import Answer, Cookie, Grant, Message, Outcome, Refreshed, Rejected, Unavailable
from daypass.client.origin import origins_of
from daypass.client.parsing import is_token, json_object, jwt_lifetime, lifetime_in_milliseconds, seconds
from daypass.client.strategy import StrategyFlow
from daypass.client.tokens import Tokens
from daypass.errors import ConfigurationError

Method = Literal["none", "client_secret_basic", "client_secret_post"]
_METHODS = ("none", "client_secret_basic", "client_secret_post")

_ERRORS = frozenset(
    {"invalid_request", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
     "temporarily_unavailable", "server_error"}
)  # fmt: skip
"""What an error of ours repeats of a server's answer: one of these words, and nothing else."""


class OAuth:
    """A token endpoint, for ``DaypassAuth(url, strategy=OAuth(…))``; the session is begun by `DaypassAuth.start`.

    Args:
        client_id: who the client is to the authorization server.
        token_endpoint: its URL; or else
        issuer: the authorization server's, which tells its endpoints (RFC 8414 §3); asked once, at the first refresh.
        revocation_endpoint: the URL for a logout (RFC 7009), where it is not discovered; without one, a logout is ours
            alone.
        client_secret: of a confidential client; ``None`` for a public one.
        method: how a confidential client shows who it is (RFC 8414 §2); unless given, ``client_secret_basic``, or what
            the issuer's metadata supports.
        scope: to ask for at each refresh; by default what was granted.
        allow_http: let tokens travel over plain HTTP to more than loopback.

    Raises:
        ConfigurationError: an argument is missing, or none that could work.
    """

    begins_by_refreshing = False

    def __init__(
        self,
        *,
        client_id: str,
        token_endpoint: str | None = None,
        issuer: str | None = None,
        revocation_endpoint: str | None = None,
        client_secret: str | None = None,
        method: Method | None = None,
        scope: str | None = None,
        allow_http: bool = False,
    ) -> None:
        if (token_endpoint is None) == (issuer is None):
            raise ConfigurationError("give OAuth one of token_endpoint=… and issuer=…")
        if not client_id:
            raise ConfigurationError("client_id is the text that the authorization server knows the client by")
        if method is not None and method not in _METHODS:
            raise ConfigurationError(f"method is one of {', '.join(_METHODS)}; not {method!r}")
        if (method == "none") != (client_secret is None) and method is not None:
            raise ConfigurationError('a client_secret goes with client_secret_basic or _post, and none with "none"')
        for url in filter(None, (token_endpoint, issuer, revocation_endpoint)):
            origins_of(url, allow_http=allow_http)
        self._client = client_id
        self._secret = client_secret
        self._method = method
        self._scope = scope
        self._allow_http = allow_http
        self._token = token_endpoint
        self._revocation = revocation_endpoint
        self._issuer = issuer

    def __repr__(self) -> str:
        return f"<OAuth {self._token or self._issuer} client_id={self._client}>"

    def login(self, credentials: Mapping[str, str]) -> StrategyFlow[Grant]:
        """Refuse: no user's password goes to an OAuth client (RFC 9700 §2.4).

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            "there is no login by password here (RFC 9700 §2.4); get tokens by the authorization code grant or the "
            "device grant, and give them to start(access_token=…, refresh_token=…, expires_in=…)"
        )

    def refresh(self, tokens: Tokens) -> StrategyFlow[Outcome]:
        """Send ``grant_type=refresh_token`` (RFC 6749 §6), after the discovery where that is still to be done."""
        if tokens.refresh_token is None:
            return NOTHING_TO_PRESENT
        if (missing := (yield from self._discover())) is not None:
            return missing
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        if self._scope is not None:
            form["scope"] = self._scope
        answer: Answer = yield self._authenticated(str(self._token), form)
        return judge_token_answer(answer)

    def logout(self, tokens: Tokens) -> StrategyFlow[bool]:
        """Revoke the refresh token (RFC 7009 §2.1)."""
        if tokens.refresh_token is None or (yield from self._discover()) is not None or self._revocation is None:
            return False
        form = {"token": tokens.refresh_token, "token_type_hint": "refresh_token"}
        answer: Answer = yield self._authenticated(self._revocation, form)
        return answer.status == 200

    def cookie_to_keep_back(self, message: Message, answer: Answer) -> Cookie | None:
        """Return none: no token of OAuth's travels in a cookie."""
        return None

    def _authenticated(self, url: str, form: dict[str, str]) -> Message:
        """Return the request with the client's credentials (RFC 6749 §2.3.1)."""
        if self._secret is None:
            return Message(url, form={**form, "client_id": self._client})
        if self._method == "client_secret_post":
            return Message(url, form={**form, "client_id": self._client, "client_secret": self._secret})
        pair = f"{quote_plus(self._client)}:{quote_plus(self._secret)}"
        return Message(url, form=form, authorization=f"Basic {b64encode(pair.encode()).decode()}")

    def _discover(self) -> StrategyFlow[Unavailable | None]:
        """Learn the endpoints, once; return what hindered it."""
        if self._token is not None:
            return None
        issuer = str(self._issuer)
        answer: Answer = yield Message(metadata_url(issuer), method="GET")
        metadata = json_object(answer.body) or {}
        if answer.status != 200 or metadata.get("issuer") != issuer:  # RFC 8414 §3.3: it has to be the same
            return Unavailable(f"no metadata of the issuer's at its well-known place ({answer.status})")
        token = self._trusted(metadata.get("token_endpoint"))
        if token is None:
            return Unavailable("the issuer's metadata names no token endpoint that tokens may be sent to")
        self._revocation = self._revocation or self._trusted(metadata.get("revocation_endpoint"))
        self._method = self._method or _supported(metadata)
        self._token = token
        return None

    def _trusted(self, url: object) -> str | None:
        try:
            origins_of(str(url), allow_http=self._allow_http)
        except ConfigurationError:
            return None
        return str(url)


def metadata_url(issuer: str) -> str:
    """Return where an issuer's metadata is: the well-known path comes before its own (RFC 8414 §3.1)."""
    url = urlsplit(issuer)
    return f"{url.scheme}://{url.netloc}/.well-known/oauth-authorization-server{url.path.rstrip('/')}"


def judge_token_answer(answer: Answer) -> Outcome:
    """Return what the answer of a token endpoint means (RFC 6749 §5.1 and §5.2)."""
    body = json_object(answer.body) or {}
    error = body.get("error")
    if 200 <= answer.status <= 299:
        return _granted(body, answer)
    if answer.status in (400, 401) and error == "invalid_grant":
        return Rejected(f"the refresh was rejected ({answer.status} invalid_grant)")
    told = f" {error}" if isinstance(error, str) and error in _ERRORS else ""
    retry_after = seconds(answer.retry_after, answer.date)
    return Unavailable(f"the refresh was answered with {answer.status}{told}", retry_after)


def _granted(body: dict[str, Any], answer: Answer) -> Outcome:
    access_token, refresh_token = body.get("access_token"), body.get("refresh_token")
    kind = body.get("token_type", "Bearer")
    if not is_token(access_token):
        return Unavailable("the answer to the refresh held no access token")
    if not isinstance(kind, str) or kind.lower() != "bearer":  # RFC 6749 §7.1: it is not to be used
        return Unavailable("the answer to the refresh held an access token that is no bearer token")
    expires_in = body.get("expires_in")
    if isinstance(expires_in, str) and expires_in.isascii() and expires_in.isdigit():
        expires_in = int(expires_in[:20])
    lifetime = lifetime_in_milliseconds(expires_in) or jwt_lifetime(access_token, answer.date)
    return Refreshed(Grant(access_token, lifetime, refresh_token if is_token(refresh_token) else None))


def _supported(metadata: dict[str, Any]) -> Method:
    supported = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    only_post = isinstance(supported, list) and "client_secret_basic" not in supported
    return "client_secret_post" if only_post and "client_secret_post" in supported else "client_secret_basic"
