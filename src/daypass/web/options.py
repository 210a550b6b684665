"""The options of an application, the same in every framework."""

from collections.abc import Collection
from typing import TypedDict

from daypass.web.cookies import SameSite
from daypass.web.limits import Limiter, RateLimits
from daypass.web.proxies import ProxyHeader


class Options(TypedDict, total=False):
    """How the endpoints are served.

    Attributes:
        same_site: of the cookie; ``Strict``, or ``Lax`` for server-rendered pages.
        cookie_name: of the refresh token's cookie, without ``__Host-``; two applications on one host need two names.
            By default ``daypass``, over plain HTTP on loopback with the port: ``daypass-8000``.
        allowed_origins: other origins whose pages may use the endpoints, such as ``https://app.example.com``.
        allow_insecure: accept plain HTTP from other machines.
        oauth_path: where the OAuth endpoints are mounted, below the issuer; ``/oauth``. For the metadata.
        trusted_proxies: addresses, networks, or ``unix``: proxies that are trusted to say who sent a request, and how.
        proxy_header: what these proxies write: ``X-Forwarded`` or ``Forwarded`` (RFC 7239); the other is ignored.
        rate_limits: how many failed logins and how many refreshes are allowed: a `daypass.web.limits.RateLimits`; a
            `daypass.web.limits.Limiter` that several issuers share; or None for no limits. By default those of
            `RateLimits`, but logins are limited by address only with ``trusted_proxies``.
        concurrent_logins: how many passwords are checked at the same time, or None for no limit. Further logins wait
            for up to two seconds, and then get 503 with ``Retry-After``. By default the number of processors, at least
            2; or 32 if ``authenticate`` is async.
    """

    same_site: SameSite
    cookie_name: str | None
    allowed_origins: Collection[str]
    allow_insecure: bool
    oauth_path: str
    trusted_proxies: Collection[str]
    proxy_header: ProxyHeader
    rate_limits: RateLimits | Limiter | None
    concurrent_logins: int | None


OPTIONS = tuple(Options.__annotations__)
"""The known names."""
