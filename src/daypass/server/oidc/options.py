"""How the service uses its OpenID Connect provider."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from daypass.server.oidc.user_claims import UserRules

ClientAuth = Literal["client_secret_basic", "client_secret_post", "none"]


@dataclass(frozen=True, slots=True)
class OidcOptions:
    """The provider, and what is made of its users.

    Attributes:
        issuer: the provider's own name for itself, exactly.
        client_id: the service's name at the provider.
        client_secret: its secret there; None for a public client.
        client_auth: how it sends the secret.
        scopes: what it asks for.
        redirect_uri: the callback, as it is registered at the provider.
        return_to: where a browser goes after a login or a logout that names no other place.
        session_ttl: milliseconds until a session ends and the provider is asked again.
        userinfo: whether claims are also read from the provider's userinfo endpoint.
        rules: who may log in, and which user that is.
    """

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    client_auth: ClientAuth
    scopes: tuple[str, ...]
    redirect_uri: str
    return_to: str
    session_ttl: int
    userinfo: bool
    rules: UserRules

    @property
    def origin(self) -> str:
        """The origin that browsers use the service at."""
        return origin_of(self.redirect_uri)


def origin_of(url: str) -> str:
    """Return the origin of a URL that was checked."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
