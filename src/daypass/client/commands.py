"""What ``daypass login``, ``token``, ``request`` and ``logout`` do: one user's sessions, shared by all shells.

`daypass.client.shell_sessions` keeps them. Any number of processes may use one at once: they share one refresh.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from daypass.client import shell_sessions
from daypass.client.flow import NOT_LOGGED_IN
from daypass.client.messages import Answer, Grant, Message
from daypass.client.origin import OwnOrigins, checked_origin, origin_of, uses_proxy
from daypass.client.shell_sessions import ShellSession
from daypass.client.storage import MemoryStorage
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable

if TYPE_CHECKING:
    import httpx2

    from daypass.client.httpx import DaypassAuth

TIMEOUT = 30.0
"""Seconds for a request of ``daypass request``, at each step of it."""

_REDIRECTS = 10
_LONGEST_ACCOUNT = 255


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to ``daypass request``.

    Attributes:
        status: the HTTP status.
        reason: its phrase.
        body: the whole body.
    """

    status: int
    reason: str
    body: bytes


def login(
    url: str,
    password: str,
    *,
    email: str | None = None,
    username: str | None = None,
    account: str = "",
    keyring: bool = False,
) -> bool:
    """Log in at the session endpoints of ``url``, keep the session, and make it the current one.

    Args:
        url: of the session endpoints.
        password: the user's.
        email: who logs in; or else
        username: who logs in.
        account: tells several sessions at one URL apart.
        keyring: keep the session in the system's keyring.

    Returns:
        Whether no replaced session is left on the server: a session with the same URL and account is ended.

    Raises:
        CredentialsRejected: the server refused them.
        RefreshUnavailable: it did not answer, or could not decide now.
        ConfigurationError: the URL is not one that tokens may be sent to, or there is no login.
        OSError: the session cannot be kept.

    After any of them, what was kept before is still kept.
    """
    url = url.rstrip("/")
    checked_origin(url, allow_http=False)
    session = ShellSession(url, _checked_account(account), keyring)

    def begin(auth: DaypassAuth, client: httpx2.Client) -> None:
        auth.login(client, password=password, email=email, username=username)

    return _begin(session, begin)


def login_by_oauth(
    issuer: str,
    client_id: str,
    show: Callable[[str, str | None], object],
    *,
    url: str | None = None,
    scope: str | None = None,
    device: bool = False,
    account: str = "",
    keyring: bool = False,
) -> bool:
    """Log in at an OAuth 2 server, keep the session, and make it the current one.

    Args:
        issuer: the server.
        client_id: of a public client; the secret of a confidential one is in ``DAYPASS_CLIENT_SECRET``.
        show: shows the page to log in at, and the code to type there, if any.
        url: of the application that gets the token; by default the issuer.
        scope: to ask for.
        device: log in with a browser on any device (RFC 8628), not on this machine.
        account: as for `login`.
        keyring: as for `login`.

    Returns:
        As `login`.

    Raises:
        Exception: as `login`.
    """
    from daypass.client import oauth_login  # here, because Authlib is an extra
    from daypass.client.httpx import DaypassAuth

    url = (url or issuer).rstrip("/")
    checked_origin(url, allow_http=False)
    session = ShellSession(url, _checked_account(account), keyring, {"issuer": issuer, "client_id": client_id})
    asking = session.oauth_client(scope)
    assert asking is not None  # noqa: S101 - this session is by OAuth

    def begin(auth: DaypassAuth, client: httpx2.Client) -> None:
        def send(message: Message) -> Answer:
            return DaypassAuth.library.send(client, message.path, message, None)

        _start(auth, oauth_login.first_grant(asking, show, device=device, send=send))

    return _begin(session, begin)


def token(url: str | None = None, account: str | None = None) -> str:
    """Return an access token of a session, valid for a while; by default of the current one.

    Raises:
        LoginRequired: there is no session, or it has ended.
        RefreshUnavailable: the access token has expired, and could not be refreshed now.
    """
    session = shell_sessions.find(url, account)
    with _login_command(session):
        return session.token()


def request(
    method: str,
    target: str,
    *,
    url: str | None = None,
    account: str | None = None,
    headers: Iterable[str] = (),
    body: bytes | None = None,
) -> Answered:
    """Send a request with the access token of a session; by default of the current one.

    Args:
        method: of the request.
        target: its URL, or a path on the session's origin.
        url: which session.
        account: which of several sessions at one URL.
        headers: such as ``Accept: text/plain``.
        body: of the request.

    Raises:
        LoginRequired: there is no session, or it has ended.
        RefreshUnavailable: the access token has expired and could not be refreshed now, or no answer came.
        ConfigurationError: ``target`` is on another origin, which gets no token; or a header is invalid.
    """
    session = shell_sessions.find(url, account)
    auth = _auth(session)
    where = urljoin(session.url, target)
    if origin_of(where) not in OwnOrigins([session.url], allow_http=False):
        raise ConfigurationError(f"the session is for {session.url}; its token is not sent to another origin")
    with (
        _client(where, follow_redirects=True, max_redirects=_REDIRECTS) as client,
        _plain_errors(where),
        _login_command(session),
    ):
        response = auth.attach(client).request(method.upper(), where, headers=_headers(headers), content=body)
    return Answered(response.status_code, response.reason_phrase, response.content)


def logout(url: str | None = None, account: str | None = None, *, everywhere: bool = False) -> bool:
    """End a session, by default the current one; return whether it is known to be ended on the server.

    Args:
        url: which session.
        account: which of several at that URL.
        everywhere: end all sessions of its user, on every device.

    Raises:
        LoginRequired: there is no session.
        ConfigurationError: the server cannot end the sessions of all devices.
    """
    session = shell_sessions.find(url, account)
    auth = _auth(session)
    with _client(*session.urls) as client:
        return auth.logout(client, everywhere=everywhere)


def _begin(session: ShellSession, begin: Callable[[DaypassAuth, httpx2.Client], None]) -> bool:
    """Begin a session, remember it, and end the one that it replaces; return whether that one is known to be over."""
    before, storage, new = shell_sessions.replaced_by(session), session.storage(), MemoryStorage()
    with _client(*session.urls) as client:
        with _plain_errors(session.url):
            begin(session.auth(new), client)  # not over the one before, which may be of another OAuth 2 server
        with storage.changing():
            storage.save(new.load())
        shell_sessions.remember(session)
        return before is None or _end(*before, client)


def _end(session: ShellSession, text: str, client: httpx2.Client) -> bool:
    storage = MemoryStorage()
    storage.save(text)
    try:
        return session.auth(storage).logout(client)
    except ConfigurationError:  # what was kept is no session
        return False


def _start(auth: DaypassAuth, grant: Grant) -> None:
    lifetime = None if grant.lifetime is None else grant.lifetime / 1000
    auth.start(access_token=grant.access_token, refresh_token=grant.refresh_token, expires_in=lifetime)


def _client(*urls: str, **options: Any) -> httpx2.Client:
    """Open a client that uses the proxies of the environment, but for none of ``urls`` on this machine."""
    import httpx2  # here: a token that is good needs no HTTP library

    direct = {f"all://{httpx2.URL(url).netloc.decode()}": None for url in urls if not uses_proxy(url)}
    return httpx2.Client(timeout=TIMEOUT, mounts=direct, **options)


@contextmanager
def _plain_errors(url: str) -> Iterator[None]:
    """Say plainly that no answer came; the library's own text may quote what was sent."""
    import httpx2

    try:
        yield
    except httpx2.TransportError as error:
        raise RefreshUnavailable(f"{url} did not answer ({type(error).__name__})") from None
    except (httpx2.InvalidURL, httpx2.TooManyRedirects) as error:
        raise ConfigurationError(f"the request could not be sent ({type(error).__name__})") from None


def _auth(session: ShellSession) -> DaypassAuth:
    auth = session.auth(session.storage())
    if not auth.logged_in:
        with _login_command(session):
            auth.token()
    return auth


@contextmanager
def _login_command(session: ShellSession) -> Iterator[None]:
    """Add the command to type to a `LoginRequired`."""
    try:
        yield
    except LoginRequired as error:
        reason = str(error).removesuffix("; log in again")
        reason = f"Not logged in at {session.url}" if reason.startswith(NOT_LOGGED_IN) else reason
        raise LoginRequired(f"{reason}. Run: {session.login}") from None


def _checked_account(account: str) -> str:
    if not account.isprintable() or len(account) > _LONGEST_ACCOUNT:
        raise ConfigurationError(f"invalid account: expected at most {_LONGEST_ACCOUNT} printable characters")
    return account


def _headers(lines: Iterable[str]) -> list[tuple[str, str]]:
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip().isascii() or not name.strip() or os.linesep in line:
            raise ConfigurationError("invalid header: expected 'Name: value'")
        headers.append((name.strip(), value.strip()))
    return headers
