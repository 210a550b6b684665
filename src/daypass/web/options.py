"""The options of an application, the same in every framework."""

from collections.abc import Collection
from typing import TypedDict

from daypass.web.cookies import SameSite
from daypass.web.limits import Limiter, RateLimits
from daypass.web.proxies import ProxyHeader


class Options(TypedDict, total=False):
    """How the endpoints are served.

    Attributes:
        same_site: of the cookie; ``Strict``, or ``Lax`` for pages that are rendered on the server.
        allowed_origins: other origins whose pages may use the endpoints, such as ``https://app.example.com``.
        allow_insecure: accept plain HTTP from elsewhere than loopback.
        oauth_path: where the OAuth endpoints are mounted, below the issuer; ``/oauth``. For the metadata.
        trusted_proxies: addresses, networks, or ``unix``: proxies that are trusted to say who sent a request, and how.
        proxy_header: what these proxies write: ``X-Forwarded`` or ``Forwarded`` (RFC 7239); the other is ignored.
        rate_limits: how many logins and refreshes are allowed: a `daypass.web.limits.RateLimits`, or a
            `daypass.web.limits.Limiter` that several issuers share.
    """

    same_site: SameSite
    allowed_origins: Collection[str]
    allow_insecure: bool
    oauth_path: str
    trusted_proxies: Collection[str]
    proxy_header: ProxyHeader
    rate_limits: RateLimits | Limiter | None


OPTIONS = tuple(Options.__annotations__)
"""The names there are."""
