"""Everything that an issuer serves, as routes; an adapter mounts them and only translates."""

from collections.abc import Callable
from typing import Any, Unpack

from daypass.issuer import AsyncDaypass, Daypass
from daypass.web.cookies import CookiePolicy
from daypass.web.door import Door
from daypass.web.endpoints import Endpoints
from daypass.web.options import Options
from daypass.web.routes import Operation, Route

JWKS_PATH = "/.well-known/jwks.json"


class Site:
    """The routes of one issuer.

    Args:
        auth: the issuer.
        authenticate: returns the `daypass.User` with a name (or address) and a password, or None; the issuer's own
            unless one is given.
        options: how they are served.

    Attributes:
        auth_routes: the first-party endpoints, to be mounted at ``/auth``.
        policy: how cookies are set and used.
        door: what all requests come in by.
        well_known_routes: what stands at the root of the issuer: the public signing keys.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(
        self,
        auth: Daypass | AsyncDaypass,
        authenticate: Callable[[str, str], Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        policy = CookiePolicy(
            options.get("same_site", "Strict"),
            options.get("allowed_origins", ()),
            options.get("allow_insecure", False),
        )
        self.policy = policy
        self.door = door = Door(policy.allowed_origins)
        endpoints = Endpoints(auth.flows, policy, authenticate or auth.authenticate)

        def route(path: str, **operations: Operation) -> Route:
            return Route(path, operations, door)

        self.auth_routes = (
            route("/login", POST=endpoints.login),
            route("/refresh", POST=endpoints.refresh),
            route("/logout", POST=endpoints.logout),
            route("/me", GET=endpoints.me),
            route("/sessions", GET=endpoints.sessions, DELETE=endpoints.end_all),
            route("/sessions/{session_id}", DELETE=endpoints.end_session),
            route("/daypass.js", GET=endpoints.module),
        )
        self.well_known_routes = (route(JWKS_PATH, GET=endpoints.jwks),)
