"""What an authorization server publishes about itself: RFC 8414, or else OpenID Connect Discovery. Pure."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from daypass.client.messages import Answer, Message, Unavailable
from daypass.client.origin import checked_origin
from daypass.client.parsing import json_object, seconds
from daypass.client.strategy import StrategyFlow
from daypass.errors import ConfigurationError

_TEMPORARY = (408, 425, 429)


@dataclass(frozen=True, slots=True)
class Metadata:
    """The endpoints of an authorization server; ``None`` if it has none, or tokens may not be sent to it.

    Attributes:
        token: the token endpoint.
        revocation: RFC 7009.
        authorization: where a browser asks the user.
        device: where a device gets a code for the user (RFC 8628).
        issuer: the server's name, if known.
        methods: how clients may authenticate; empty if not known.
        dpop: whether it accepts DPoP proofs (RFC 9449 §5.1), if known.
    """

    token: str
    revocation: str | None = None
    authorization: str | None = None
    device: str | None = None
    issuer: str | None = None
    methods: tuple[str, ...] = ()
    dpop: bool | None = None

    def require_dpop(self) -> None:
        """Refuse to send proofs to a server that does not know them: it would give bearer tokens.

        Raises:
            ConfigurationError: its metadata does not say that it accepts DPoP proofs.
        """
        if self.dpop is False:
            raise ConfigurationError(f"the metadata of {self.issuer} does not offer DPoP: write dpop=False")

    def with_endpoints(self, revocation: str | None, authorization: str | None, device: str | None) -> "Metadata":
        """Return a copy with the given endpoints; ``None`` keeps the one that is there."""
        return replace(
            self,
            revocation=revocation or self.revocation,
            authorization=authorization or self.authorization,
            device=device or self.device,
        )


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Return the URLs where an issuer's metadata may be.

    RFC 8414 §3.1 puts its well-known path before the issuer's own path; OpenID Connect Discovery §4 puts it after.
    """
    url = urlsplit(issuer)
    path = url.path.rstrip("/")
    start = f"{url.scheme}://{url.netloc}"
    return f"{start}/.well-known/oauth-authorization-server{path}", f"{start}{path}/.well-known/openid-configuration"


def discover(issuer: str, *, allow_http: bool) -> StrategyFlow[Metadata | Unavailable]:
    """Request the metadata of ``issuer``; return it, or why it is not available now.

    Raises:
        ConfigurationError: retrying will not help: there is no metadata, or it names another issuer, or it has no token
            endpoint.
    """
    answers: list[tuple[str, int]] = []
    other: tuple[str, str] | None = None
    for url in metadata_urls(issuer):
        answer: Answer = yield Message(url, method="GET")
        if answer.status >= 500 or answer.status in _TEMPORARY:
            retry_after = seconds(answer.retry_after, answer.date)
            return Unavailable(f"GET {url} answered {answer.status}", retry_after)
        found = json_object(answer.body) if answer.status == 200 else None
        named = (found or {}).get("issuer")
        if found is not None and named == issuer:  # RFC 8414 §3.3: it must be identical
            return _read(found, url, allow_http=allow_http)
        if isinstance(named, str):
            other = other or (url, named)
        answers.append((url, answer.status))
    if other is not None:
        raise ConfigurationError(
            f"the metadata at {other[0]} names the issuer {other[1]!r}, you gave {issuer!r}: give the issuer exactly "
            "as the metadata names it"
        )
    seen = " and ".join(f"GET {url} answered {status}" for url, status in answers)
    raise ConfigurationError(f"{seen}: no issuer metadata there; check issuer, or give token_endpoint")


def _read(metadata: dict[str, Any], url: str, *, allow_http: bool) -> Metadata:
    def trusted(name: str) -> str | None:
        found = metadata.get(name)
        try:
            checked_origin(str(found), allow_http=allow_http)
        except ConfigurationError:
            return None
        return str(found)

    token = trusted("token_endpoint")
    if token is None:
        raise ConfigurationError(f"the metadata at {url} has no token_endpoint that tokens may be sent to")
    methods = metadata.get("token_endpoint_auth_methods_supported")
    return Metadata(
        token,
        trusted("revocation_endpoint"),
        trusted("authorization_endpoint"),
        trusted("device_authorization_endpoint"),
        str(metadata["issuer"]),
        tuple(filter(lambda each: isinstance(each, str), methods)) if isinstance(methods, list) else (),
        bool(metadata.get("dpop_signing_alg_values_supported")),
    )
