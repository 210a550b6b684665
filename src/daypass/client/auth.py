"""The base of `DaypassAuth` in every HTTP library: one user's session, login and logout."""

import random
import sys
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Literal

from daypass.client.body import KEPT_AT_MOST
from daypass.client.clock import monotonic_ms, wall_ms
from daypass.client.dpop import Proofs, checked_key, new_key, with_key
from daypass.client.event_loop import in_thread
from daypass.client.events import ClientEvent, Reporter
from daypass.client.flow import State, token_flow
from daypass.client.library import Library
from daypass.client.messages import Answer, Grant, Message
from daypass.client.origin import OwnOrigins, origin_of, plain_url
from daypass.client.parsing import is_token, jwt_claims, jwt_lifetime, lifetime_in_milliseconds
from daypass.client.refresher import Refresher
from daypass.client.replay import ReplayContext, ShouldRefresh, is_unauthorized
from daypass.client.sender import Sender
from daypass.client.session import NOTHING_YET, ClientSession
from daypass.client.storage import Storage
from daypass.client.strategy import EndsEverywhere, Strategy, StrategyFlow
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens
from daypass.drive import arun, run
from daypass.errors import ConfigurationError


class SessionAuth:
    """Keeps one user logged in; the base class of the ``DaypassAuth`` of each HTTP library.

    A request to an own origin carries the access token, whatever ``Authorization`` it had. A request to any other
    origin is not changed. A refresh does not show in the user's request: not in its history, timeouts or errors.

    A request may raise, besides the errors of its client:

    - `LoginRequired`: nobody is logged in, the session has ended, or another user has logged in since the request
      began.
    - `RefreshUnavailable`: the access token has expired and cannot be refreshed now. The session is kept: try later.
    - `ConfigurationError`: the storage keeps a session of another server; nothing was sent.

    Args:
        url: the URL of the session endpoints, such as ``https://api.example.com/auth``; ``/login``, ``/refresh`` and
            ``/logout`` are below it. Its origin is the own origin. With another ``strategy``: the URL of the
            application that gets the access token.
        strategy: how to log in, refresh and log out. By default `daypass.client.endpoints.Endpoints`; or
            `daypass.client.oauth.OAuth`; or a function that takes the refresh token, or ``None``, and returns an
            access token (see `daypass.client.function.FunctionStrategy`).
            ``strategy=OAuth(client_id="app", token_endpoint="https://id.example.com/token")``
        delivery: for `Endpoints`: how the refresh token comes. ``"body"`` asks for it in the response body, and uses
            the cookie if the server sets only that; ``"cookie"`` does not ask.
        cookie_name: for `Endpoints`: the refresh cookie's name, if the server is not Daypass and sets several cookies.
            ``cookie_name="refresh"``
        client: sends refreshes until a login or `attach` binds another client; by default Daypass opens its own.
            ``client=httpx2.Client(verify="ca.pem")``
        storage: where the session is kept between runs and shared with other processes; by default in memory. It is
            for one server. ``storage=FileStorage("session.json")``
        origins: other origins that get the access token. ``origins=["https://files.example.com"]``
        should_refresh: which responses refuse the access token: a set of statuses, ``should_refresh={401, 419}``, or a
            function of the status and the ``WWW-Authenticate`` headers,
            ``should_refresh=lambda status, headers: status == 403``. By default: 401, if its challenge says that a
            newer token may help.
        on_tokens: called with the new `daypass.client.tokens.Tokens` after each login and refresh, to keep them
            elsewhere. ``on_tokens=lambda tokens: vault.put(tokens.refresh_token)``
        on_logged_out: called with the reason, once, when the session has ended without a logout.
            ``on_logged_out=lambda reason: show_login()``
        on_event: called with each `daypass.client.events.ClientEvent`. ``on_event=lambda event: print(event.kind)``
        allow_http: allow plain HTTP to other hosts than loopback. ``allow_http=True``
        dpop: bind each new login to a key of its own (DPoP, RFC 9449): without the key, which `storage` keeps with the
            tokens, copied tokens are useless. The server has to support it. ``dpop=True``
        keep_at_most: how many bytes to keep of a body that can be read only once (a generator), to send it again. A
            longer body is never sent twice: after a 401 the token is refreshed and the caller gets the 401.
            ``keep_at_most=10_000_000``
        timing: deadlines, pauses and other durations. ``timing=Timing(ahead=0.5)``
        clock: milliseconds on a monotonic clock; for tests.
        wall_clock: milliseconds since the epoch; only for a storage that outlives a restart of the machine, and for
            DPoP proofs.
        jitter: draws a number from 0 to 1; for tests.

    Callbacks run in the thread or task where the event happens, and must not block.

    Raises:
        ConfigurationError: tokens may not be sent to ``url`` or an origin; another argument is invalid; or the storage
            holds a session of another server, or something that is not a session. The storage is not changed.
        Exception: an error of the storage: it cannot be read.
    """

    library: ClassVar[Library]
    """Sends Daypass's own messages through a client; each adapter has its own."""

    def __init__(
        self,
        url: str,
        *,
        strategy: Strategy | Callable[[str | None], Any] | None = None,
        delivery: Literal["body", "cookie"] = "body",
        cookie_name: str | None = None,
        client: Any = None,
        storage: Storage | None = None,
        origins: Iterable[str] = (),
        should_refresh: Collection[int] | ShouldRefresh | None = None,
        on_tokens: Callable[[Tokens], object] | None = None,
        on_logged_out: Callable[[str], object] | None = None,
        on_event: Callable[[ClientEvent], object] | None = None,
        allow_http: bool = False,
        dpop: bool = False,
        keep_at_most: int = KEPT_AT_MOST,
        timing: Timing | None = None,
        clock: Callable[[], int] = monotonic_ms,
        wall_clock: Callable[[], int] = wall_ms,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if sys.platform == "emscripten":
            raise ConfigurationError("the client needs threads, and Pyodide has none: use daypass.js in a browser")
        if client is not None:
            self.library.check(client, is_async=None)
        _check_callable("on_tokens", on_tokens)
        _check_callable("on_logged_out", on_logged_out)
        _check_callable("on_event", on_event)
        _check_size("keep_at_most", keep_at_most)
        _check_storage(storage)
        _check_timing(timing)
        if isinstance(origins, str):
            raise ConfigurationError("origins is a list of URLs: origins=['https://api.example.com']")
        self.own_origins = OwnOrigins((url, *origins), allow_http=allow_http)
        self.keep_at_most = keep_at_most
        self._strategy = _strategy(strategy, delivery, cookie_name)
        _check_dpop(dpop, self._strategy)
        self._dpop = dpop
        proofs = Proofs(wall_clock)
        self._session = ClientSession(
            timing=timing or Timing(),
            clock=clock,
            wall_clock=wall_clock,
            jitter=jitter,
            reporter=Reporter(clock, on_event, on_logged_out),
            storage=storage,
            server=server_of(self._strategy, url.rstrip("/")),
            on_tokens=on_tokens,
            begins_by_refreshing=self._strategy.begins_by_refreshing,
        )
        self._sender = Sender(url.rstrip("/"), self._strategy, self.library, proofs)
        self._refresher = Refresher(self._session, self._strategy, self._sender, binds=dpop)
        self.context = ReplayContext(self._session, self._refresher, _rule(should_refresh), proofs)
        if client is not None:
            self._bind(client)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._sender.url} {'logged in' if self.logged_in else 'logged out'}>"

    @property
    def logged_in(self) -> bool:
        """Whether somebody is logged in, as far as this client knows."""
        return self._session.tokens is not None

    @property
    def bound(self) -> bool:
        """Whether the access token is bound to a key, so that requests need a proof (DPoP)."""
        tokens = self._session.tokens
        return tokens is not None and tokens.bound

    @property
    def expires_in(self) -> float | None:
        """Seconds until the access token expires (negative if it has expired); ``None`` if that is not known."""
        tokens = self._session.tokens
        if tokens is None or tokens.expires_at is None:
            return None
        return (tokens.expires_at - self._session.clock()) / 1000

    @property
    def claims(self) -> Mapping[str, Any]:
        """The claims of the access token if it is a JWT, not verified. Empty if nobody is logged in."""
        tokens = self._session.tokens
        return {} if tokens is None else jwt_claims(tokens.access_token)

    @property
    def user(self) -> str | None:
        """Who is logged in: the ``sub`` claim of the access token; ``None`` if there is no such claim."""
        subject = self.claims.get("sub")
        return subject if isinstance(subject, str) else None

    def start(
        self,
        *,
        access_token: str | None = None,
        refresh_token: str | None = None,
        expires_in: float | None = None,
        key: Mapping[str, Any] | None = None,
    ) -> None:
        """Start a session with tokens from elsewhere, such as OAuth's authorization code grant. Counts as a login.

        Args:
            access_token: without it, the first request waits for a refresh: ``auth.start(refresh_token=saved)``.
            refresh_token: without it, the session ends when the access token expires.
            expires_in: seconds until the access token expires; by default read from the token if it is a JWT.
            key: the private key that the tokens are bound to by DPoP, a JWK (RFC 7517). Without it, and with
                ``dpop=True``, a new key is made: the access token is a bearer token, and the next one is bound.

        Raises:
            ConfigurationError: no token was given, or one or the key is invalid. The session before is kept.
            Exception: an error of the storage: it cannot be written. The session before is kept.
        """
        if access_token is None and refresh_token is None:
            raise ConfigurationError("start needs an access_token, a refresh_token or both")
        for name, token in (("access_token", access_token), ("refresh_token", refresh_token)):
            if token is not None and not is_token(token):
                raise ConfigurationError(f"{name} is text in visible ASCII characters, as the server gave it")
        proven_by = self._new_key() if key is None else checked_key(key)
        if access_token is None:
            self._session.begin(Grant("", NOTHING_YET.lifetime, refresh_token, key=proven_by))
            return
        lifetime = lifetime_in_milliseconds(expires_in) or jwt_lifetime(access_token)
        self._session.begin(Grant(access_token, lifetime, refresh_token, bound=key is not None, key=proven_by))

    def begin(self, client: Any, ask: Callable[[Callable[[Message], Answer], str | None], Grant]) -> None:
        """Begin a session with the tokens that ``ask`` gets. Counts as a login; for the shell's own logins.

        Args:
            client: a sync client of this library.
            ask: called with what sends a message, and with the new key of the session, ``None`` without ``dpop``.

        Raises:
            Exception: what ``ask`` raises, or an error of the storage. The session before is kept.
        """
        key = self._new_key()
        self._session.begin(ask(lambda message: self._sender.send(client, message, key=key), key))

    def token(self, *, good_for: float = 0) -> str:
        """Return an access token that has not expired, after a refresh if one is needed; blocks meanwhile.

        If it is `bound` to a key it is of no use alone: write `headers`, which makes a proof too.

        Args:
            good_for: minimum seconds until it expires: ``auth.token(good_for=60)``. If the server's tokens live
                shorter, you get a new one.

        Raises:
            LoginRequired: nobody is logged in, or the session has ended.
            RefreshUnavailable: a new access token is needed and cannot be fetched now.
        """
        return self._tokens(good_for).access_token

    async def atoken(self, *, good_for: float = 0) -> str:
        """Await an access token; the async version of `token`, raises the same."""
        return (await self._atokens(good_for)).access_token

    def headers(self, method: str, url: str, *, good_for: float = 0) -> dict[str, str]:
        """Return the headers that authorize one request which another client sends: the token, and its proof if bound.

        Args:
            method: the method of the request.
            url: its URL, on an own origin.
            good_for: minimum seconds until the access token expires.

        Raises:
            ConfigurationError: the URL is on another origin, which gets no token.
            LoginRequired: as `token`.
            RefreshUnavailable: as `token`.
        """
        self._require_own(url)
        return self._headers(self._tokens(good_for), method, url)

    async def aheaders(self, method: str, url: str, *, good_for: float = 0) -> dict[str, str]:
        """Await the headers for one request; the async version of `headers`, raises the same."""
        self._require_own(url)
        return self._headers(await self._atokens(good_for), method, url)

    def login(
        self, client: Any, *, password: str, email: str | None = None, username: str | None = None, **extra: str
    ) -> None:
        """Log in through ``client``, and `attach` it.

        Args:
            client: a sync client of this library.
            password: the user's password.
            email: the user's email address; give either this or ``username``.
            username: the user's name.
            **extra: more fields of the login request, such as ``otp="123456"``.

        Raises:
            CredentialsRejected: the server refused the credentials (400, 401, 403, 422).
            RefreshUnavailable: the server could not decide now (5xx, 429, an invalid response).
            ConfigurationError: not exactly one of ``email`` and ``username``; there is no login at the URL; the client
                cannot be attached; or the server refused the form of the request, such as plain HTTP or a request from
                another site: the message is the server's.
            Exception: an error of the storage (it cannot be written) or of the library (no response came).

        After any error, the session before is kept.
        """
        self.library.check(client, is_async=False)
        self.use_in(client)
        flow = self._strategy.login(_credentials(password, email, username, extra))
        sent_at, key = self._session.clock(), self._new_key()
        grant = with_key(run(flow, lambda request: self._sender.send(client, _message(request), key=key)), key)
        self._bind(client)
        self._session.begin(grant, sent_at)

    async def alogin(
        self, client: Any, *, password: str, email: str | None = None, username: str | None = None, **extra: str
    ) -> None:
        """Log in through ``client``, an async one; the async version of `login`, raises the same."""
        self.library.check(client, is_async=True)
        self.use_in(client)
        flow = self._strategy.login(_credentials(password, email, username, extra))
        sent_at, key = self._session.clock(), self._new_key()
        send = self._sender.send_async
        grant = with_key(await arun(flow, lambda request: send(client, _message(request), key=key)), key)
        self._bind(client)
        if self._session.stored is not None:
            await in_thread(self._session.begin, grant, sent_at)
        else:
            self._session.begin(grant, sent_at)

    def logout(self, client: Any, *, everywhere: bool = False) -> bool:
        """End the session: at once here and in the storage, even if the server cannot be reached; then on the server.

        Args:
            client: sends the logout request.
            everywhere: end all sessions of the user, on every device.

        Returns:
            Whether the session, or all of them, are known to have ended on the server too. ``False``: the server could
            not be reached, or, with ``everywhere``, did not know the session. Sessions left there live until they
            expire.

        Raises:
            ConfigurationError: the server cannot end the sessions of all devices. No session was ended.
        """
        self.library.check(client, is_async=False)
        flow = self._logout_flow(everywhere=everywhere)
        tokens = self._session.end("logout")
        with suppress(*self.library.transport_errors):
            if tokens is not None:
                key = tokens.key
                return run(flow(tokens), lambda request: self._sender.send(client, _message(request), key=key))
        return tokens is None and not everywhere

    async def alogout(self, client: Any, *, everywhere: bool = False) -> bool:
        """End the session through an async client; the async version of `logout`."""
        self.library.check(client, is_async=True)
        flow, end = self._logout_flow(everywhere=everywhere), self._session.end
        tokens = await in_thread(end, "logout") if self._session.stored is not None else end("logout")
        with suppress(*self.library.transport_errors):
            if tokens is not None:
                send, key = self._sender.send_async, tokens.key
                return await arun(flow(tokens), lambda request: send(client, _message(request), key=key))
        return tokens is None and not everywhere

    def attach(self, client: Any) -> Any:
        """Make ``client`` send the access token, send refreshes through it, and return it.

        `login` and `alogin` do this too. Call it for a session without a login here: one from a storage, or from
        `start`. An async client is bound to the event loop that is running now.

        Raises:
            ConfigurationError: it is not a client of this library, or it already has another auth.
        """
        self.library.check(client, is_async=None)
        self.use_in(client)
        self._bind(client)
        return client

    def use_in(self, client: Any) -> None:
        """Make ``client`` send the access token.

        Raises:
            ConfigurationError: it already has another auth.
        """
        if client.auth is not None and not isinstance(client.auth, SessionAuth):
            kind = type(client.auth).__name__
            raise ConfigurationError(f"this client has an auth of its own ({kind}): write client.auth = None first")
        client.auth = self

    def _bind(self, client: Any) -> None:
        self._sender.bind(client)

    def _new_key(self) -> str | None:
        return new_key() if self._dpop else None

    def _tokens(self, good_for: float) -> Tokens:
        def refreshed(step: Any) -> State:
            return self._refresher.wait(self._refresher.start(step.version, blocks=True))

        return run(self._token_flow(self._refresher.wait(None), good_for), refreshed)

    async def _atokens(self, good_for: float) -> Tokens:
        async def refreshed(step: Any) -> State:
            return await self._refresher.wait_async(self._refresher.start(step.version, blocks=False))

        state = await self._refresher.wait_async(None)
        return await arun(self._token_flow(state, good_for), refreshed)

    def _require_own(self, url: str) -> None:
        if origin_of(url) not in self.own_origins:
            raise ConfigurationError(f"the token is for {self._sender.url}, and is not sent to another origin")

    def _headers(self, tokens: Tokens, method: str, url: str) -> dict[str, str]:
        sent = {"Authorization": tokens.authorization}
        if (key := tokens.proof_key) is not None:
            sent["DPoP"] = self.context.proofs.of(key, method, url, tokens.access_token)
        return sent

    def _token_flow(self, state: State, good_for: float) -> Generator[Any, State, Tokens]:
        return token_flow(state, int(good_for * 1000), self._session.timing)

    def _logout_flow(self, *, everywhere: bool) -> Callable[[Tokens], StrategyFlow[bool]]:
        if not everywhere:
            return self._strategy.logout
        if isinstance(self._strategy, EndsEverywhere):
            return self._strategy.logout_everywhere
        kind = type(self._strategy).__name__
        raise ConfigurationError(f"{kind} cannot end the sessions of all devices: write logout(client)")


def _message(request: Any) -> Message:
    """Return the message that a strategy sends at login or logout, where it never asks for a call."""
    return request  # type: ignore[no-any-return]  # what a strategy yields is untyped


def _rule(given: Collection[int] | ShouldRefresh | None) -> ShouldRefresh:
    if given is None:
        return is_unauthorized
    if callable(given):
        return given
    try:
        statuses = frozenset(given)
    except TypeError:
        statuses = frozenset()
    if not statuses or not statuses <= frozenset(range(400, 600)):
        raise ConfigurationError("should_refresh is statuses from 400 to 599, such as {401, 419}, or a function")
    return lambda status, challenges: is_unauthorized(status, challenges) if status == 401 else status in statuses


def _strategy(given: Any, delivery: Any, cookie_name: Any) -> Strategy:
    if given is None:
        from daypass.client.endpoints import Endpoints  # imported here: only needed without a strategy

        return Endpoints(delivery=delivery, cookie_name=cookie_name)
    if delivery != "body" or cookie_name is not None:
        raise ConfigurationError("delivery and cookie_name are for the strategy that is made of them: give them to it")
    if isinstance(given, type) or not hasattr(given, "begins_by_refreshing"):
        from daypass.client.function import FunctionStrategy  # imported here: few programs need it

        return FunctionStrategy(given)
    return given  # type: ignore[no-any-return]  # a protocol, recognised by its attribute


def server_of(strategy: Strategy, url: str) -> str:
    """Return the name of the server of the refresh token: the strategy's, or else the URL."""
    return strategy.server(url) if hasattr(strategy, "server") else plain_url(url)


def _check_callable(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name} is a function to call, or None; not {type(value).__name__}")


def _check_dpop(dpop: object, strategy: Strategy) -> None:
    if not isinstance(dpop, bool):
        raise ConfigurationError(f"invalid dpop {dpop!r}: write True or False")
    if dpop and not getattr(strategy, "proves", True):
        raise ConfigurationError("dpop=True needs a strategy such as OAuth: a function requests its tokens without it")


def _check_storage(storage: object) -> None:
    if not isinstance(storage, Storage | None):
        wrong = type(storage).__name__
        raise ConfigurationError(f"storage is a daypass.client.storage.Storage, or None; not {wrong}")


def _check_timing(timing: object) -> None:
    if not isinstance(timing, Timing | None):
        raise ConfigurationError(f"timing is a daypass.client.timing.Timing, or None; not {type(timing).__name__}")


def _check_size(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigurationError(f"{name} is a number of bytes, an int; not {type(value).__name__}")
    if value < 0:
        raise ConfigurationError(f"{name} is 0 or more bytes, not {value}")


def _credentials(password: str, email: str | None, username: str | None, extra: dict[str, str]) -> dict[str, str]:
    if (email is not None and username is not None) or (email is None and username is None and not extra):
        raise ConfigurationError("log in with one of email=… and username=…")
    names = {"email": email, "username": username}
    return {**{name: value for name, value in names.items() if value is not None}, "password": password, **extra}
