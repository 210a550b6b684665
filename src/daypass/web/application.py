"""The application object: an issuer and its options, given once, for every mount, guard and page."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, Unpack

from daypass.errors import ConfigurationError
from daypass.issuer import AsyncDaypass, Daypass
from daypass.issuer.base import is_async_function
from daypass.unknown_options import refuse_unknown
from daypass.web import front_end
from daypass.web.clients import Clients, Registry
from daypass.web.cookies import CookiePolicy
from daypass.web.dbsc import REFRESH, REGISTER, DeviceEndpoints
from daypass.web.endings import EndingsEndpoint
from daypass.web.endpoints import Endpoints
from daypass.web.filter import Filter
from daypass.web.limits import default_limits, shared_limiter
from daypass.web.login_slots import AWAITED, LoginSlots, processors
from daypass.web.oauth import JWKS_PATH, OAuth, issuer_path, metadata_path
from daypass.web.options import OPTIONS, Options
from daypass.web.pages import Pages, Render
from daypass.web.proxies import Proxies
from daypass.web.refusal_log import RefusalLog
from daypass.web.routes import Operation, Route
from daypass.web.verify import Verify

IssuerT = TypeVar("IssuerT", bound=Daypass | AsyncDaypass)


class Application(Generic[IssuerT]):
    """An issuer with all options of its endpoints, guards and pages.

    Give it to every mount (``auth_router``, ``oauth_blueprint``, …), to ``Pages``, ``bearer`` and ``current_user``.
    Options are written once, and all of them count logins and refreshes together.

    Args:
        auth: the issuer.
        authenticate: returns the `daypass.User` with a name (or email address) and a password, None if they are
            wrong; the issuer's own unless given. For an `AsyncDaypass` it may be async; a plain function is called in
            a thread there.
        clients: the OAuth clients, or a function that finds one by its id. Without clients there are no OAuth
            endpoints.
        options: how they are served; see `daypass.web.options.Options`.

    Attributes:
        auth: the issuer.
        auth_routes: the session endpoints, to be mounted at ``/auth``.
        oauth_routes: the OAuth endpoints, to be mounted at ``/oauth``; none without clients.
        well_known_routes: the routes at the root of the host: the public signing keys, and with clients the metadata
            of the OAuth endpoints. An issuer with a path has its metadata below the well-known path (RFC 8414 §3.1),
            and its keys at the host's root and below its own.
        cookie_policy: how the endpoints set and use cookies.
        filter: checks every request, and adds CORS headers to every response.
        endpoints: the session endpoints, as flows.
        limiter: counts logins and refreshes; None if nothing is limited.

    Raises:
        ConfigurationError: an argument is invalid; the message says what to write instead.
    """

    def __init__(
        self,
        auth: IssuerT,
        *,
        authenticate: Callable[[str, str], Any] | None = None,
        clients: Registry = (),
        **options: Unpack[Options],
    ) -> None:
        refuse_unknown(options, (*OPTIONS, "authenticate", "clients"))
        if not isinstance(auth, Daypass | AsyncDaypass):
            raise ConfigurationError(f"an application needs a Daypass or an AsyncDaypass, not a {type(auth).__name__}")
        self.auth: IssuerT = auth
        self._options = options
        self._refusal_log = RefusalLog()
        self.cookie_policy = policy = self._cookie_policy("Strict")
        proxies = Proxies(options.get("trusted_proxies", ()), options.get("proxy_header"))
        self.filter = Filter(policy.allowed_origins, proxies)
        limits = default_limits(knows_clients=bool(proxies.trusted))
        self.limiter = shared_limiter(auth, options.get("rate_limits", limits))
        check = auth.authenticate if authenticate is None else authenticate
        _check_authenticate(check, auth)
        slots = self._login_slots(check)
        self.endpoints = Endpoints(auth.flows, policy, check, self.limiter, slots, auth.dpop, auth.device_bound)
        known = Clients(clients) if clients else None
        self.auth_routes = self._session_routes(known)
        self.oauth_routes, self.well_known_routes = self._client_routes(known)

    def __repr__(self) -> str:
        return f"Application({self.auth!r})"

    def mounted_oauth_routes(self) -> tuple[Route, ...]:
        """Return `oauth_routes` for an adapter that mounts them.

        Raises:
            ConfigurationError: there are no clients, so nothing would be mounted.
        """
        if not self.oauth_routes:
            raise ConfigurationError(
                "there are no OAuth clients: give clients=[Client(…)], or do not mount the OAuth endpoints"
            )
        return self.oauth_routes

    def pages(self, render: Render | None = None) -> Pages:
        """Return what runs before and after an application's pages; their cookies are ``Lax`` by default.

        Args:
            render: called with a status, an error code and a sentence; returns the HTML page for a refusal.
        """
        return self._pages(self._cookie_policy("Lax"), render)

    def _pages(self, policy: CookiePolicy, render: Render | None = None) -> Pages:
        flows, device_bound = self.auth.flows, self.auth.device_bound
        return Pages(flows, policy, self.filter, render=render, limiter=self.limiter, device_bound=device_bound)

    def _login_slots(self, check: Callable[[str, str], Any] | None) -> LoginSlots | None:
        most = self._options.get("concurrent_logins", AWAITED if is_async_function(check) else processors())
        return None if most is None else LoginSlots(most, awaits=isinstance(self.auth, AsyncDaypass))

    def _cookie_policy(self, same_site: Any) -> CookiePolicy:
        options = self._options
        return CookiePolicy(
            options.get("same_site", same_site),
            options.get("allowed_origins", ()),
            options.get("allow_insecure", False),
            options.get("cookie_name"),
            https=self.auth.names.issuer.startswith("https://"),
            old=self.auth.flows.migration.cookies,
            log=self._refusal_log,
        )

    def _route(self, path: str, **operations: Operation) -> Route:
        return Route(path, operations, self.filter)

    def _session_routes(self, clients: Clients | None) -> tuple[Route, ...]:
        endpoints = self.endpoints
        for_proxies = self._pages(self.cookie_policy)
        devices = DeviceEndpoints(self.auth.flows, self.cookie_policy, self.auth.device_bound, self.limiter)
        return (
            self._route("/refresh", POST=endpoints.refresh),  # first, because it is asked for most often
            self._route("/login", POST=endpoints.login),
            self._route("/confirm", POST=endpoints.confirm),
            self._route("/logout", POST=endpoints.logout),
            self._route("/me", GET=endpoints.me),
            self._route("/sessions", GET=endpoints.sessions, DELETE=endpoints.end_all),
            self._route("/sessions/{session_id}", DELETE=endpoints.end_session),
            self._route(REGISTER, POST=devices.register),
            self._route(REFRESH, POST=devices.refresh),
            *(self._route(f"/{name}", GET=front_end.serving(name)) for name in front_end.CONTENT_TYPES),
            self._route("/verify", GET=Verify(for_proxies, self.cookie_policy).answer),
            *(() if clients is None else (self._endings_route(clients),)),
        )

    def _endings_route(self, clients: Clients) -> Route:
        waits = isinstance(self.auth, AsyncDaypass)
        endings = EndingsEndpoint(self.auth.flows, self.cookie_policy, clients, self.limiter, waits=waits)
        return self._route("/endings", GET=endings.answer)

    def _client_routes(self, clients: Clients | None) -> tuple[tuple[Route, ...], tuple[Route, ...]]:
        """Return the OAuth endpoints, and the routes at the root of the host."""
        issuer = self.auth.names.issuer
        paths = dict.fromkeys((JWKS_PATH, issuer_path(issuer) + JWKS_PATH))
        keys = tuple(self._route(path, GET=self.endpoints.jwks) for path in paths)
        mount = _mount_path(self._options.get("oauth_path", "/oauth"))
        if clients is None:
            return (), keys
        oauth = OAuth(self.auth.flows, self.cookie_policy, clients, mount, self.limiter, self.auth.dpop)
        endpoints = (
            self._route("/token", POST=oauth.token),
            self._route("/revoke", POST=oauth.revoke),
            self._route("/introspect", POST=oauth.introspect),
        )
        return endpoints, (*keys, self._route(metadata_path(issuer), GET=oauth.metadata))


def _check_authenticate(check: object, auth: Daypass | AsyncDaypass) -> None:
    if check is not None and not callable(check):
        raise ConfigurationError("authenticate has to be a function of a name and a password, or None")
    if isinstance(auth, Daypass) and is_async_function(check):
        raise ConfigurationError("authenticate is async; use AsyncDaypass, or give a plain function")


def sync_application(auth: object, options: Options, **arguments: Any) -> Application[Daypass]:
    """Return the application of a mount: ``auth`` itself, or one made of an issuer and the mount's options.

    Args:
        auth: an `Application`, or a `Daypass`.
        options: the mount's; none with an `Application`, which has its own.
        arguments: further arguments of `Application` that this mount takes.

    Raises:
        ConfigurationError: an option is unknown or given beside an `Application`, or ``auth`` needs an event loop.
    """
    if not isinstance(issuer_of(auth), Daypass):
        raise ConfigurationError("a WSGI application needs Daypass, not AsyncDaypass, which needs an event loop")
    return application_of(auth, options, **arguments)


def async_application(auth: object, options: Options, **arguments: Any) -> Application[AsyncDaypass]:
    """`application_of` for a mount that must not block the event loop: ``auth`` has an `AsyncDaypass`."""
    if not isinstance(issuer_of(auth), AsyncDaypass):
        raise ConfigurationError(
            "an ASGI application needs AsyncDaypass, not Daypass, which would block its event loop"
        )
    return application_of(auth, options, **arguments)


def application_of(auth: Any, options: Options, **arguments: Any) -> Application[Any]:
    """Return the application of a mount that takes an issuer of either kind."""
    if not isinstance(auth, Application):
        refuse_unknown(options, (*OPTIONS, *arguments))
        return Application(auth, **arguments, **options)
    given = (*options, *(name for name, value in arguments.items() if value))
    if given:
        raise ConfigurationError(f"{given[0]} cannot be given here: give it to Application(…)")
    return auth


def issuer_of(auth: object) -> object:
    """Return the issuer of an application; return anything else as it is."""
    return auth.auth if isinstance(auth, Application) else auth


def _mount_path(path: str) -> str:
    if path and not path.startswith("/"):
        raise ConfigurationError(f"oauth_path={path!r} must begin with a slash, such as '/oauth'")
    return path.rstrip("/")
