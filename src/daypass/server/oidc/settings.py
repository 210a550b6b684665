"""Makes the options of the provider from the service's settings."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from daypass import secret_file
from daypass.duration import MINUTE, milliseconds
from daypass.errors import ConfigurationError
from daypass.jwk_set import checked_url
from daypass.server.oidc.endpoint_paths import CALLBACK
from daypass.server.oidc.options import ClientAuth, OidcOptions, origin_of
from daypass.server.oidc.return_target import is_return
from daypass.server.oidc.user_claims import UserRules

CLIENT_AUTHS: dict[str, ClientAuth] = {"basic": "client_secret_basic", "post": "client_secret_post"}


class Given(Protocol):
    """The settings that are read here."""

    issuer: str
    allowed_origins: list[str]
    oidc_issuer: str | None
    oidc_client_id: str | None
    oidc_client_secret: Any
    oidc_client_secret_file: str | None
    oidc_client_auth: str
    oidc_scopes: list[str]
    oidc_redirect_uri: str | None
    oidc_return_to: str
    oidc_session_ttl: str
    oidc_userinfo: bool
    oidc_username_claim: str
    oidc_scope_claim: str | None
    oidc_groups_claim: str
    oidc_allowed_groups: list[str]
    oidc_allowed_domains: list[str]


def options_of(settings: Given) -> OidcOptions | None:
    """Return the options that ``settings`` describe; None without a provider.

    Raises:
        ConfigurationError: settings are missing, or contradict each other.
    """
    if settings.oidc_issuer is None:
        if settings.oidc_client_id is not None:
            raise ConfigurationError("oidc_client_id is given without oidc_issuer: write both")
        return None
    if importlib.util.find_spec("authlib") is None or importlib.util.find_spec("httpx2") is None:
        raise ConfigurationError("oidc_issuer needs Authlib: pip install 'daypass[oidc]'")
    if settings.oidc_client_id is None:
        raise ConfigurationError("oidc_issuer needs oidc_client_id: the name of this service at the provider")
    if "openid" not in settings.oidc_scopes:
        raise ConfigurationError("oidc_scopes must have openid: without it the provider sends no ID token")
    redirect_uri = settings.oidc_redirect_uri or f"{settings.issuer.rstrip('/')}/auth{CALLBACK}"
    if not is_return(settings.oidc_return_to, (origin_of(redirect_uri), *settings.allowed_origins)):
        raise ConfigurationError(
            f"invalid oidc_return_to {settings.oidc_return_to!r}: write a path such as /app, or a URL of one of the "
            "allowed_origins"
        )
    secret = _secret(settings)
    return OidcOptions(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=secret,
        client_auth="none" if secret is None else CLIENT_AUTHS[settings.oidc_client_auth],
        scopes=tuple(settings.oidc_scopes),
        redirect_uri=redirect_uri,
        return_to=settings.oidc_return_to,
        session_ttl=milliseconds(settings.oidc_session_ttl),
        userinfo=settings.oidc_userinfo,
        rules=UserRules(
            settings.oidc_username_claim,
            settings.oidc_scope_claim,
            settings.oidc_groups_claim,
            frozenset(settings.oidc_allowed_groups),
            frozenset(domain.lower() for domain in settings.oidc_allowed_domains),
        ),
    )


def _secret(settings: Given) -> str | None:
    if settings.oidc_client_secret is None:
        file = settings.oidc_client_secret_file
        return None if file is None else secret_file.read_text(Path(file))
    if settings.oidc_client_secret_file is not None:
        raise ConfigurationError("oidc_client_secret and oidc_client_secret_file are both given: remove one of them")
    secret: str = settings.oidc_client_secret.get_secret_value()
    return secret


def checked_issuer(url: str) -> str:
    """Check the provider's issuer URL."""
    checked_url("oidc_issuer", url)
    if urlsplit(url).query or url.endswith("/.well-known/openid-configuration"):
        raise ConfigurationError(f"invalid oidc_issuer {url!r}: write it without /.well-known/… and without a query")
    return url


def checked_redirect_uri(url: str) -> str:
    """Check the callback's URL."""
    checked_url("oidc_redirect_uri", url)
    if not urlsplit(url).path.endswith(CALLBACK) or urlsplit(url).query:
        raise ConfigurationError(f"invalid oidc_redirect_uri {url!r}: write https://app.example.com/auth{CALLBACK}")
    return url


def checked_client_auth(text: str) -> str:
    """Check how the service authenticates at the provider."""
    if text not in CLIENT_AUTHS:
        raise ConfigurationError(f"invalid oidc_client_auth {text!r}: write basic or post")
    return text


def checked_session_ttl(text: str) -> str:
    """Check how long a session lasts."""
    if milliseconds(text) < MINUTE:
        raise ConfigurationError(f"invalid oidc_session_ttl {text!r}: write at least a minute, such as 12h")
    return text


def checked_secret_file(path: str) -> str:
    """Check that a file holds the secret of the client."""
    checked_secret(secret_file.read_text(Path(path)))
    return path


def checked_secret(secret: str) -> str:
    """Check the secret of the client."""
    if not secret or not secret.isascii() or not secret.isprintable():
        raise ConfigurationError(
            "the client secret of OpenID Connect must be printable ASCII, as the provider shows it"
        )
    return secret


def checked_domains(words: Sequence[str]) -> Sequence[str]:
    """Check the domains that may log in."""
    for word in words:
        if "@" in word or "." not in word or "/" in word:
            raise ConfigurationError(f"invalid domain {word!r} in oidc_allowed_domains: write example.com")
    return words
