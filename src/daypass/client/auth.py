"""What `DaypassAuth` is in every HTTP library: one user's session, and the way into it and out of it."""

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, ClassVar, Literal

from daypass.client.body import KEPT_AT_MOST, UNREPEATABLE
from daypass.client.clock import monotonic_ms, wall_ms
from daypass.client.courier import Courier, Library
from daypass.client.endpoints import Endpoints
from daypass.client.events import ClientEvent
from daypass.client.function import FunctionStrategy
from daypass.client.messages import Grant, Message
from daypass.client.origin import Origin, origins_of
from daypass.client.parsing import is_token, jwt_lifetime, lifetime_in_milliseconds
from daypass.client.passage import Passage
from daypass.client.session import NOTHING_YET, ClientSession
from daypass.client.storage import Storage
from daypass.client.strategy import Strategy, StrategyFlow
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens
from daypass.drive import arun, run
from daypass.errors import ConfigurationError


class SessionAuth:
    """Keeps one user logged in; each HTTP library has a ``DaypassAuth`` of its own that is one of these.

    A request to an own origin carries the access token, whatever ``Authorization`` it had; a request to any other
    origin is left alone. A refresh never shows in the user's request: not in its history, its time-outs or its errors.

    A request may raise, besides what its client raises:

    - `LoginRequired`: there is no session, or it has been ended. Nothing was sent.
    - `RefreshUnavailable`: the access token is dead and could not be replaced now. The session is kept: try later.

    Args:
        url: of the session endpoints, such as ``https://api.example.com/auth``; ``/login``, ``/refresh`` and
            ``/logout`` are below it. Its origin is the own origin. With another ``strategy``: of the application that
            gets the access token.
        strategy: how to log in, refresh and log out: `daypass.client.endpoints.Endpoints` unless given,
            `daypass.client.oauth.OAuth`, or a function that is called with the refresh token, or ``None``, and returns
            an access token (see `daypass.client.function.FunctionStrategy`).
        delivery: of `Endpoints`: how the refresh token comes. ``"body"`` asks for it in the answer, and goes by the
            cookie all the same where the server sets only that; ``"cookie"`` does not ask.
        cookie_name: of `Endpoints`: the refresh cookie's name, where the server is not Daypass's own and sets several.
        client: to send refreshes through until a login or `attach` binds another; with none, one of our own.
        storage: where the session is kept between runs and shared with other processes; unless given, it is kept in
            memory and is this object's alone.
        origins: other origins that get the access token, such as ``https://files.example.com``.
        on_logged_out: called with the reason, once, when the session is found to be over without a logout. It is called
            from whichever thread the refresh runs in, and must not block.
        on_event: called with each `daypass.client.events.ClientEvent`, in the same way.
        allow_http: let tokens travel over plain HTTP to more than loopback.
        keep_at_most: bytes of a body that can be read only once (a generator) which are kept to be sent again. A
            longer one is never sent twice: after a 401 its caller gets the 401, and a client that has been refreshed.
        timing: every span of time it goes by.
        clock: milliseconds on a monotonic clock.
        wall_clock: milliseconds since the epoch; for a storage that outlives a reboot, and for nothing else.
        jitter: draws a number from 0 to 1.

    Raises:
        ConfigurationError: ``url`` or an origin is not one to which tokens may be sent, another argument is none that
            could work later, or what the storage keeps is no session.
        OSError: the storage cannot be read.
    """

    _library: ClassVar[Library]

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
        on_logged_out: Callable[[str], object] | None = None,
        on_event: Callable[[ClientEvent], object] | None = None,
        allow_http: bool = False,
        keep_at_most: int = KEPT_AT_MOST,
        timing: Timing | None = None,
        clock: Callable[[], int] = monotonic_ms,
        wall_clock: Callable[[], int] = wall_ms,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if client is not None:
            self._library.check(client, is_async=None)
        _check_callable("on_logged_out", on_logged_out)
        _check_callable("on_event", on_event)
        _check_size("keep_at_most", keep_at_most)
        _check_storage(storage)
        none: frozenset[Origin] = frozenset()
        self._own = none.union(*(origins_of(each, allow_http=allow_http) for each in (url, *origins)))
        self._keep_at_most = keep_at_most
        self._session = ClientSession(
            strategy=_strategy(strategy, delivery, cookie_name),
            timing=timing or Timing(),
            clock=clock,
            wall_clock=wall_clock,
            jitter=jitter,
            storage=storage,
            on_event=on_event,
            on_logged_out=on_logged_out,
        )
        self._courier = Courier(url.rstrip("/"), self._session, self._library)
        if client is not None:
            self._bind(client)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._courier.url} {'logged in' if self.logged_in else 'logged out'}>"

    @property
    def logged_in(self) -> bool:
        """Whether there is a session, as far as this client knows."""
        return self._session.held is not None

    @property
    def expires_in(self) -> float | None:
        """Seconds until the access token expires (below 0: since it did); ``None`` without one, or if not known."""
        held = self._session.held
        if held is None or held.expires_at is None:
            return None
        return (held.expires_at - self._session.clock()) / 1000

    def start(
        self,
        *,
        access_token: str | None = None,
        refresh_token: str | None = None,
        expires_in: float | None = None,
    ) -> None:
        """Go on with tokens that were got elsewhere, such as by OAuth's authorization code grant.

        Args:
            access_token: with none, the first request waits for a refresh.
            refresh_token: with none, the session ends with the access token.
            expires_in: seconds that the access token lives from now; unless given, a JWT says it itself.

        Raises:
            ConfigurationError: there is neither, or one that could not be sent; what was held before is still held.
            OSError: the storage cannot be written; the same.
        """
        if access_token is None and refresh_token is None:
            raise ConfigurationError("start needs an access_token, a refresh_token or both")
        for name, token in (("access_token", access_token), ("refresh_token", refresh_token)):
            if token is not None and not is_token(token):
                raise ConfigurationError(f"{name} is text in visible ASCII characters, as the server gave it")
        if access_token is None:
            self._session.begin(Grant("", NOTHING_YET.lifetime, refresh_token))
            return
        lifetime = lifetime_in_milliseconds(expires_in) or jwt_lifetime(access_token)
        self._session.begin(Grant(access_token, lifetime, refresh_token))

    def token(self) -> str:
        """Return an access token that is not expired, after a refresh where one has to come first; blocks meanwhile.

        Raises:
            LoginRequired: there is no session, or it was found to be over.
            RefreshUnavailable: the access token is dead, and could not be replaced now.
        """
        passage = Passage(self._session, self._courier, UNREPEATABLE)
        return passage.set_out().removeprefix("Bearer ")

    async def atoken(self) -> str:
        """The twin of `token` for a task, and raises the same."""
        passage = Passage(self._session, self._courier, UNREPEATABLE)
        return (await passage.set_out_async()).removeprefix("Bearer ")

    def login(
        self, client: Any, *, password: str, email: str | None = None, username: str | None = None, **extra: str
    ) -> None:
        """Log in through ``client``, and let refreshes go through it from now on.

        Args:
            client: a sync one of this library; its own auth plays no part.
            password: the user's.
            email: who logs in; or else
            username: who logs in.
            **extra: more fields of the login request, such as ``otp="123456"``.

        Raises:
            CredentialsRejected: the server refused them (400, 401, 403, 422).
            RefreshUnavailable: it could not decide now (5xx, 429, an answer that makes no sense).
            ConfigurationError: not exactly one of ``email`` and ``username``; there is no login at the URL; or the
                server refused how it was asked, as with plain HTTP or from another site: the message is its own.
            OSError: the storage cannot be written.
            Exception: the library's own, where no answer came.

        After any of them, what was held before is still held.
        """
        self._library.check(client, is_async=False)
        asking = self._session.strategy.login(_credentials(password, email, username, extra))
        grant = run(asking, lambda ask: self._courier.send(client, _message(ask)))
        self._bind(client)
        self._session.begin(grant)

    async def alogin(
        self, client: Any, *, password: str, email: str | None = None, username: str | None = None, **extra: str
    ) -> None:
        """Log in through ``client``, an async one; the twin of `login`, and raises the same."""
        self._library.check(client, is_async=True)
        asking = self._session.strategy.login(_credentials(password, email, username, extra))
        grant = await arun(asking, lambda ask: self._courier.send_async(client, _message(ask)))
        self._bind(client)
        if self._session.is_stored:
            await asyncio.to_thread(self._session.begin, grant)
        else:
            self._session.begin(grant)

    def logout(self, client: Any) -> bool:
        """End the session: here and in the storage at once, whatever becomes of the message; and on the server.

        Returns:
            Whether the session is known to be over on the server too. ``False``: it could not be told, and the session
            lives there until it expires.
        """
        self._library.check(client, is_async=False)
        held = self._session.end("logout")
        with suppress(*self._library.transport_errors):
            return held is None or run(self._parting(held), lambda ask: self._courier.send(client, _message(ask)))
        return False

    async def alogout(self, client: Any) -> bool:
        """End the session, through an async client; the twin of `logout`."""
        self._library.check(client, is_async=True)
        end = self._session.end
        held = await asyncio.to_thread(end, "logout") if self._session.is_stored else end("logout")
        with suppress(*self._library.transport_errors):
            return held is None or await arun(
                self._parting(held), lambda ask: self._courier.send_async(client, _message(ask))
            )
        return False

    def attach(self, client: Any) -> Any:
        """Let refreshes go through ``client`` from now on, as a login does, and return it.

        For a session that needs no login here: one out of a storage, or begun by `start`. An async client is bound to
        the event loop that runs now.

        Raises:
            ConfigurationError: it is no client of this library.
        """
        self._library.check(client, is_async=None)
        self._bind(client)
        return client

    def _bind(self, client: Any) -> None:
        self._courier.bind(client)

    def _parting(self, held: Tokens) -> StrategyFlow[bool]:
        return self._session.strategy.logout(held)


def _message(ask: Any) -> Message:
    """Return what a strategy asks for at login and logout, which is never a call."""
    return ask  # type: ignore[no-any-return]  # what a strategy yields is untyped


def _strategy(given: Any, delivery: Any, cookie_name: Any) -> Strategy:
    if given is None:
        return Endpoints(delivery=delivery, cookie_name=cookie_name)
    if delivery != "body" or cookie_name is not None:
        raise ConfigurationError("delivery and cookie_name are for the strategy that is made of them: give them to it")
    if isinstance(given, type) or not hasattr(given, "begins_by_refreshing"):
        return FunctionStrategy(given)
    return given  # type: ignore[no-any-return]  # a protocol, told by what it has


def _check_callable(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name} is a function to call, or None; not {type(value).__name__}")


def _check_storage(storage: object) -> None:
    if not isinstance(storage, Storage | None):
        wrong = type(storage).__name__
        raise ConfigurationError(f"storage is a daypass.client.storage.Storage, or None; not {wrong}")


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
