"""Everything that an issuer serves, as routes; an adapter mounts them and only translates."""

from collections.abc import Callable
from typing import Any, Unpack

from daypass.errors import ConfigurationError
from daypass.issuer import AsyncDaypass, Daypass
from daypass.web.clients import Clients, Registry
from daypass.web.cookies import CookiePolicy
from daypass.web.endpoints import Endpoints
from daypass.web.filter import Filter
from daypass.web.limits import Limiter, RateLimits
from daypass.web.oauth import JWKS_PATH, OAuth, issuer_path, metadata_path
from daypass.web.options import Options
from daypass.web.pages import Pages
from daypass.web.proxies import Proxies
from daypass.web.routes import Operation, Route
from daypass.web.verify import Verify


class Site:
    """The routes of one issuer.

    Args:
        auth: the issuer.
        authenticate: returns the `daypass.User` with a name (or address) and a password, or None; the issuer's own
            unless one is given.
        clients: the OAuth clients, or a function that finds one by its id; without any there are no OAuth endpoints.
        options: how they are served.

    Attributes:
        auth_routes: the first-party endpoints, to be mounted at ``/auth``.
        oauth_routes: the OAuth endpoints, to be mounted at ``/oauth``; none without clients.
        well_known_routes: what stands at the root of the host: the public signing keys, and with clients the metadata
            of the OAuth endpoints. An issuer with a path has its metadata below the well-known path (RFC 8414 §3.1),
            and its keys at the host's root and below its own.
        policy: how cookies are set and used.
        filter: checks every request, and adds CORS headers to every response.
        limiter: what counts logins and refreshes, by whatever route; None where nothing does.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(
        self,
        auth: Daypass | AsyncDaypass,
        authenticate: Callable[[str, str], Any] | None = None,
        clients: Registry = (),
        **options: Unpack[Options],
    ) -> None:
        policy = CookiePolicy(
            options.get("same_site", "Strict"),
            options.get("allowed_origins", ()),
            options.get("allow_insecure", False),
        )
        self.policy = policy
        proxies = Proxies(options.get("trusted_proxies", ()), options.get("proxy_header"))
        self.filter = filter_ = Filter(policy.allowed_origins, proxies)
        rates = options.get("rate_limits")
        if not isinstance(rates, RateLimits | Limiter | None):
            raise ConfigurationError("rate_limits has to be RateLimits(…), a Limiter, or None")
        self.limiter = limiter = Limiter(rates) if isinstance(rates, RateLimits) else rates
        endpoints = Endpoints(auth.flows, policy, authenticate or auth.authenticate, limiter)

        def route(path: str, **operations: Operation) -> Route:
            return Route(path, operations, filter_)

        self.auth_routes = (
            route("/login", POST=endpoints.login),
            route("/refresh", POST=endpoints.refresh),
            route("/logout", POST=endpoints.logout),
            route("/me", GET=endpoints.me),
            route("/sessions", GET=endpoints.sessions, DELETE=endpoints.end_all),
            route("/sessions/{session_id}", DELETE=endpoints.end_session),
            route("/daypass.js", GET=endpoints.module),
            route("/verify", GET=Verify(Pages(auth.flows, policy, filter_, limiter=limiter), policy).answer),
        )
        issuer = auth.names.issuer
        own_jwks = (route(issuer_path(issuer) + JWKS_PATH, GET=endpoints.jwks),) if issuer_path(issuer) else ()
        self.well_known_routes: tuple[Route, ...] = (route(JWKS_PATH, GET=endpoints.jwks), *own_jwks)
        self.oauth_routes: tuple[Route, ...] = ()
        if clients:
            path = _mount_path(options.get("oauth_path", "/oauth"))
            oauth = OAuth(auth.flows, policy, Clients(clients), path, limiter)
            self.oauth_routes = (
                route("/token", POST=oauth.token),
                route("/revoke", POST=oauth.revoke),
                route("/introspect", POST=oauth.introspect),
            )
            self.well_known_routes = (*self.well_known_routes, route(metadata_path(issuer), GET=oauth.metadata))


def _mount_path(path: str) -> str:
    if path and not path.startswith("/"):
        raise ConfigurationError(f"oauth_path={path!r} has to begin with a slash: /oauth")
    return path.rstrip("/")
