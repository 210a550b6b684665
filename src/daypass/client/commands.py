"""The commands ``daypass login``, ``token``, ``request`` and ``logout``: one user's sessions, shared by all shells.

`daypass.client.shell_sessions` keeps them. Any number of processes may use a session at once: they share one refresh.
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
from daypass.client.origin import OwnOrigins, checked_origin, origin_of, uses_proxy
from daypass.client.shell_sessions import ShellSession
from daypass.client.storage import MemoryStorage
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable

if TYPE_CHECKING:
    import httpx2

    from daypass.client.httpx import DaypassAuth

TIMEOUT = 30.0
"""Timeout of each step of a request of ``daypass request``, in seconds."""

_REDIRECTS = 10
_LONGEST_ACCOUNT = 255


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to ``daypass request``.

    Attributes:
        status: the HTTP status.
        reason: the reason phrase of the status.
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
    dpop: bool = False,
) -> bool:
    """Log in at the session endpoints of ``url``, keep the session, and make it the current one.

    Args:
        url: the URL of the session endpoints.
        password: the user's password.
        email: the user's email address; give either this or ``username``.
        username: the user's name.
        account: a name, if you keep several sessions at one URL.
        keyring: keep the session in the system's keyring.
        dpop: bind the session to a new key (RFC 9449).

    Returns:
        Whether no replaced session is left on the server: a session with the same URL and account is ended.

    Raises:
        CredentialsRejected: the server refused the credentials.
        RefreshUnavailable: the server did not answer, or could not decide now.
        ConfigurationError: tokens may not be sent to the URL, or there is no login.
        OSError: the session cannot be stored.

    After any error, the session before is kept.
    """
    url = url.rstrip("/")
    checked_origin(url, allow_http=False)
    session = ShellSession(url, _checked_account(account), keyring)

    def begin(auth: DaypassAuth, client: httpx2.Client) -> None:
        auth.login(client, password=password, email=email, username=username)

    return _begin(session, begin, dpop=dpop)


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
    dpop: bool = False,
) -> bool:
    """Log in at an OAuth 2 server, keep the session, and make it the current one.

    Args:
        issuer: the server.
        client_id: the client's id; put the secret of a confidential client in ``DAYPASS_CLIENT_SECRET``.
        show: shows the URL of the login page, and the code to type there, if any.
        url: the URL of the application that gets the token; by default the issuer.
        scope: the scope to ask for.
        device: log in with a browser on any device (RFC 8628), not on this machine.
        account: as for `login`.
        keyring: as for `login`.
        dpop: as for `login`.

    Returns:
        The same as `login`.

    Raises:
        Exception: the same as `login`.
    """
    from daypass.client import oauth_login  # imported here, because Authlib is an extra

    url = (url or issuer).rstrip("/")
    checked_origin(url, allow_http=False)
    session = ShellSession(url, _checked_account(account), keyring, {"issuer": issuer, "client_id": client_id})
    asking = session.oauth_client(scope)
    assert asking is not None  # noqa: S101 - this session is by OAuth

    def begin(auth: DaypassAuth, client: httpx2.Client) -> None:
        auth.begin(client, lambda send, key: oauth_login.first_grant(asking, show, device=device, send=send, key=key))

    return _begin(session, begin, dpop=dpop)


def token(url: str | None = None, account: str | None = None) -> str:
    """Return an access token that does not expire at once, by default of the current session.

    Raises:
        LoginRequired: there is no session, or it has ended.
        RefreshUnavailable: the access token has expired and cannot be refreshed now.
        ConfigurationError: it is bound to a key, so it is of no use alone.
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
    """Send a request with the access token of a session, by default the current one.

    Args:
        method: the HTTP method.
        target: the URL to request, or a path on the session's origin.
        url: the URL of the session.
        account: the account, if there are several sessions at one URL.
        headers: such as ``Accept: text/plain``.
        body: the request body.

    Raises:
        LoginRequired: there is no session, or it has ended.
        RefreshUnavailable: the access token has expired and cannot be refreshed now, or no response came.
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
    """End a session, by default the current one; return whether it is known to have ended on the server.

    Args:
        url: the URL of the session.
        account: the account, if there are several sessions at that URL.
        everywhere: end all sessions of its user, on every device.

    Raises:
        LoginRequired: there is no session.
        ConfigurationError: the server cannot end the sessions of all devices.
    """
    session = shell_sessions.find(url, account)
    auth = _auth(session)
    with _client(*session.urls) as client:
        return auth.logout(client, everywhere=everywhere)


def _begin(session: ShellSession, begin: Callable[[DaypassAuth, httpx2.Client], None], *, dpop: bool) -> bool:
    """Begin a session, remember it, end the one it replaces; return whether that one is known to have ended."""
    before, storage, new = shell_sessions.replaced_by(session), session.storage(), MemoryStorage()
    with _client(*session.urls) as client:
        with _plain_errors(session.url):
            begin(
                session.auth(new, dpop=dpop), client
            )  # do not overwrite the session before: it may be of another OAuth 2 server
        with storage.changing():
            storage.save(new.load())
        shell_sessions.remember(session)
        return before is None or _end(*before, client)


def _end(session: ShellSession, text: str, client: httpx2.Client) -> bool:
    storage = MemoryStorage()
    storage.save(text)
    try:
        return session.auth(storage).logout(client)
    except ConfigurationError:  # the stored text is not a session
        return False


def _client(*urls: str, **options: Any) -> httpx2.Client:
    """Open a client that uses the proxies of the environment, except for those of ``urls`` on this machine."""
    import httpx2  # imported here: a token that is still valid needs no HTTP library

    direct = {f"all://{httpx2.URL(url).netloc.decode()}": None for url in urls if not uses_proxy(url)}
    return httpx2.Client(timeout=TIMEOUT, mounts=direct, **options)


@contextmanager
def _plain_errors(url: str) -> Iterator[None]:
    """Raise a plain error if no response came; the library's own text may contain what was sent."""
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
