"""Stay logged in with ``httpx2`` and ``httpx``, sync and async: `DaypassAuth` is their `auth`.

    auth = DaypassAuth("https://api.example.com/auth")
    with httpx2.Client(base_url="https://api.example.com", auth=auth) as client:
        auth.login(client, email="user@example.com", password="…")
        client.get("/me")

One `DaypassAuth` is one session, for any number of clients, threads, tasks and event loops. With an `AsyncClient` it
is `await auth.alogin(client, …)` and `await auth.alogout(client)`; everything else is the same.
"""

from __future__ import annotations

import random
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from daypass.client.courier import Courier
from daypass.client.events import EventKind
from daypass.client.flow import Held, Refresh, Send, Timing, request_flow
from daypass.client.libraries import check_client, classes, default_library
from daypass.client.replay import KEPT_AT_MOST, Body, body_of
from daypass.client.session import ClientSession, logout_message, monotonic_ms
from daypass.client.wire import (
    Answer,
    Message,
    is_rejection,
    login_message,
    mistake,
    read_grant,
    refreshing_can_help,
    seconds,
)
from daypass.errors import ConfigurationError, CredentialsRejected, RefreshUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable

    import httpx
    import httpx2

    from daypass.client.courier import AsyncClient, SyncClient
    from daypass.client.events import ClientEvent
    from daypass.client.flow import Standing, Step
    from daypass.client.wire import Grant

    _Flow: TypeAlias = Generator[Step, Standing, None]

    class _Auth(httpx2.Auth, httpx.Auth):  # type: ignore[misc]  # the same methods over each library's own classes
        pass
else:
    _Auth = type("_Auth", classes("Auth"), {})

__all__ = ["DaypassAuth"]

_TRANSPORT_ERRORS = classes("TransportError")

Origin: TypeAlias = tuple[str, str, int | None]
"""Scheme, host and port, the port ``None`` where it is the scheme's own."""


class DaypassAuth(_Auth):
    """Keeps one user logged in, as the ``auth`` of any client of ``httpx2`` or ``httpx``.

    A request to an own origin carries the access token, whatever ``Authorization`` it had; send it with ``auth=None``
    to have it go as it is. A request to any other origin is left alone. A refresh never shows in the user's request:
    not in its history, its time-outs or its errors, though it goes through the client that logged in and so is seen by
    that client's event hooks.

    A request may raise, besides what its client raises:

    - `LoginRequired`: there is no session, or it has been ended. Nothing was sent.
    - `RefreshUnavailable`: the access token is dead and could not be replaced now. The session is kept: try later.

    Args:
        url: of the session endpoints, such as ``https://api.example.com/auth``; ``/login``, ``/refresh`` and
            ``/logout`` are below it. Its origin is the own origin.
        delivery: how the refresh token comes. ``"body"`` asks for it in the answer, and goes by the cookie all the
            same where the server sets only that; ``"cookie"`` does not ask.
        client: to send refreshes through until a login binds another; with none, one of our own.
        origins: other origins that get the access token, such as ``https://files.example.com``.
        on_logged_out: called with the reason, once, when the session is found to be over without a logout. It is called
            from whichever thread or task the refresh runs in, and must not block.
        on_event: called with each `daypass.client.events.ClientEvent`, in the same way.
        cookie_name: the refresh cookie's name, where the server is not Daypass's own and sets several cookies.
        allow_http: let tokens travel over plain HTTP to more than loopback.
        keep_at_most: bytes of a body that can be read only once (a generator) which are kept to be sent again. A
            longer one is never sent twice: after a 401 its caller gets the 401, and a client that has been refreshed.
        timing: every span of time it goes by.
        clock: milliseconds on a monotonic clock.
        jitter: draws a number from 0 to 1.

    Raises:
        ConfigurationError: ``url`` or an origin is not one to which tokens may be sent, or another argument is none
            that could work later.
    """

    def __init__(
        self,
        url: str,
        *,
        delivery: Literal["body", "cookie"] = "body",
        client: SyncClient | AsyncClient | None = None,
        origins: Iterable[str] = (),
        on_logged_out: Callable[[str], object] | None = None,
        on_event: Callable[[ClientEvent], object] | None = None,
        cookie_name: str | None = None,
        allow_http: bool = False,
        keep_at_most: int = KEPT_AT_MOST,
        timing: Timing | None = None,
        clock: Callable[[], int] = monotonic_ms,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if delivery not in ("body", "cookie"):
            raise ConfigurationError(f'delivery is "body" or "cookie", not {delivery!r}')
        if client is not None:
            check_client(client)
        _check_callable("on_logged_out", on_logged_out)
        _check_callable("on_event", on_event)
        _check_cookie_name(cookie_name)
        _check_size("keep_at_most", keep_at_most)
        self._own = frozenset(_origin(each, allow_http=allow_http) for each in (url, *origins))
        self._in_body = delivery == "body"
        self._keep_at_most = keep_at_most
        self._session = ClientSession(
            timing=timing or Timing(),
            clock=clock,
            jitter=jitter,
            cookie_name=cookie_name,
            on_event=on_event,
            on_logged_out=on_logged_out,
        )
        self._courier = Courier(url.rstrip("/"), self._session, client)

    def __repr__(self) -> str:
        return f"<DaypassAuth {self._courier.url} {'logged in' if self.logged_in else 'logged out'}>"

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

    def login(
        self, client: SyncClient, *, password: str, email: str | None = None, username: str | None = None
    ) -> None:
        """Log in through ``client``, and let refreshes go through it from now on.

        Args:
            client: of httpx2 or httpx; its own ``auth`` plays no part.
            password: the user's.
            email: who logs in; or else
            username: who logs in.

        Raises:
            CredentialsRejected: the server refused them (400, 401, 403, 422).
            RefreshUnavailable: it could not decide now (5xx, 429, an answer that makes no sense).
            ConfigurationError: not exactly one of ``email`` and ``username``; there is no login at the URL; or the
                server refused how it was asked, as with plain HTTP or from another site: the message is its own.
            httpx2.TransportError: or httpx's: no answer came.

        After any of them, what was held before is still held.
        """
        check_client(client, is_async=False)
        message = login_message(_credentials(password, email, username), in_body=self._in_body)
        grant = _granted(self._courier.send(client, message), message, self._session.cookie_name)
        self._courier.bind(client)
        self._session.begin(grant)

    async def alogin(
        self, client: AsyncClient, *, password: str, email: str | None = None, username: str | None = None
    ) -> None:
        """Log in through ``client``, an async one; the twin of `login`, and raises the same."""
        check_client(client, is_async=True)
        message = login_message(_credentials(password, email, username), in_body=self._in_body)
        grant = _granted(await self._courier.send_async(client, message), message, self._session.cookie_name)
        self._courier.bind_async(client)
        self._session.begin(grant)

    def logout(self, client: SyncClient) -> bool:
        """End the session: here at once, whatever becomes of the message; and on the server.

        Returns:
            Whether the session is known to be over on the server too. ``False``: it could not be told, and the session
            lives there until it expires.
        """
        check_client(client, is_async=False)
        held = self._session.end("logout")
        with suppress(*_TRANSPORT_ERRORS):
            return held is None or _ended(self._courier.send(client, logout_message(held)))
        return False

    async def alogout(self, client: AsyncClient) -> bool:
        """End the session, through an async client; the twin of `logout`."""
        check_client(client, is_async=True)
        held = self._session.end("logout")
        with suppress(*_TRANSPORT_ERRORS):
            return held is None or _ended(await self._courier.send_async(client, logout_message(held)))
        return False

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Not used: the sync and the async flow each do I/O of their own."""
        raise NotImplementedError

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Take one request of a sync client through; called by the client.

        Raises:
            LoginRequired: there is no session, or it was found to be over.
            RefreshUnavailable: the access token is dead, and could not be replaced now.
        """
        if not self._is_own(request.url):
            yield request
            return
        body = body_of(request, self._keep_at_most, is_async=False)
        flow = request_flow(self._session.standing(repeatable=body.sure), self._session.timing)
        step = self._advance(flow, None)
        while step is not None:
            response = yield _dressed(request, step.held)
            if not self._refused(response, step.held):
                break
            response.read()  # gives its connection back, which the refresh may need
            step = self._advance(flow, self._unauthorized(body))
            request = self._replay(response, body) if step else None
            if request is None:
                break
        body.forget()

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Take one request of an async client through; the twin of `sync_auth_flow`, and raises the same."""
        if not self._is_own(request.url):
            yield request
            return
        body = body_of(request, self._keep_at_most, is_async=True)
        flow = request_flow(self._session.standing(repeatable=body.sure), self._session.timing)
        step = await self._advance_async(flow, None)
        while step is not None:
            response = yield _dressed(request, step.held)
            if not self._refused(response, step.held):
                break
            await response.aread()  # gives its connection back, which the refresh may need
            step = await self._advance_async(flow, self._unauthorized(body))
            request = self._replay(response, body) if step else None
            if request is None:
                break
        body.forget()

    def _advance(self, flow: _Flow, reply: Standing | None) -> Send | None:
        """Take ``flow`` to its next `Send`, through the refreshes before it; ``None`` at its end."""
        session, launch = self._session, self._courier.launch
        try:
            step = next(flow) if reply is None else flow.send(reply)
            while isinstance(step, Refresh):
                step = flow.send(session.wait(session.refresh(step.version, launch)))
        except StopIteration:
            return None
        if step.refresh_behind:
            session.refresh_behind(step.held.version, launch)
        return step

    async def _advance_async(self, flow: _Flow, reply: Standing | None) -> Send | None:
        """The twin of `_advance`."""
        session, launch = self._session, self._courier.launch_async
        try:
            step = next(flow) if reply is None else flow.send(reply)
            while isinstance(step, Refresh):
                step = flow.send(await session.wait_async(session.refresh(step.version, launch)))
        except StopIteration:
            return None
        if step.refresh_behind:
            session.refresh_behind(step.held.version, launch)
        return step

    def _is_own(self, url: Any) -> bool:
        return (url.scheme, url.host, url.port) in self._own

    def _refused(self, response: Any, held: Held) -> bool:
        """Tell whether ``response`` refuses the very token that was sent, in a way that a newer one may mend.

        A redirect may have led elsewhere: the token went along only where the origin stayed the same.
        """
        if response.status_code != 401:
            return False
        request = response.request
        return (
            request.headers.get("authorization") == held.authorization
            and self._is_own(request.url)
            and refreshing_can_help(response.headers.get_list("www-authenticate"))
        )

    def _unauthorized(self, body: Body) -> Standing:
        self._session.tell(EventKind.UNAUTHORIZED)
        return self._session.standing(repeatable=body.repeatable)

    def _replay(self, response: Any, body: Body) -> Any | None:
        """Return the request that was refused, ready to be sent again; ``None`` where its body no longer can be.

        After a redirect that is the redirected one: what led to it was done, and is not done twice.
        """
        if not body.rewind():
            return None
        self._session.tell(EventKind.REPLAYED)
        return response.request


def _dressed(request: Any, held: Held) -> Any:
    request.headers["Authorization"] = held.authorization
    return request


def _check_callable(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name} is a function to call, or None; not {type(value).__name__}")


def _check_cookie_name(name: object) -> None:
    if name is not None and not (isinstance(name, str) and name):
        wrong = "empty text" if name == "" else type(name).__name__
        raise ConfigurationError(f'cookie_name is the name of a cookie, such as "refresh", or None; not {wrong}')


def _check_size(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigurationError(f"{name} is a number of bytes, an int; not {type(value).__name__}")
    if value < 0:
        raise ConfigurationError(f"{name} is 0 or more bytes, not {value}")


def _credentials(password: str, email: str | None, username: str | None) -> dict[str, str]:
    if (email is None) == (username is None):
        raise ConfigurationError("log in with one of email=… and username=…")
    name = {"email": email} if email is not None else {"username": username or ""}
    return {**name, "password": password}


def _granted(answer: Answer, message: Message, cookie_name: str | None) -> Grant:
    """Return what a login granted, or raise as `DaypassAuth.login` has it."""
    status = answer.status
    if 200 <= status <= 299:
        grant = read_grant(answer, cookie_name)
        if grant is None:
            raise RefreshUnavailable("the answer to the login held no access token")
        return grant
    secrets = (str(value) for key, value in (message.json or {}).items() if key != "tokenDelivery")
    if reason := mistake(answer, secrets):
        raise ConfigurationError(f"the server did not look at the login: {reason}")
    if status in (400, 401, 403, 422):
        raise CredentialsRejected(f"the login was rejected ({status})")
    if status in (404, 405) or 300 <= status <= 399:
        raise ConfigurationError(f"there is no login there ({status}): give DaypassAuth the URL that /login is below")
    raise RefreshUnavailable(f"the login was answered with {status}", retry_after=seconds(answer.retry_after))


def _ended(answer: Answer) -> bool:
    return 200 <= answer.status <= 299 or is_rejection(answer)


def _origin(text: str, *, allow_http: bool) -> Origin:
    """Return the origin of a URL that tokens may be sent to."""
    url = default_library().URL(text)
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise ConfigurationError("give a URL such as https://api.example.com/auth: no user, no query, no fragment")
    if url.scheme == "http" and not allow_http and not _is_loopback(url.host):
        raise ConfigurationError(f"tokens do not travel over plain HTTP to {url.host}: write https, or allow_http=True")
    return url.scheme, url.host, url.port


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
