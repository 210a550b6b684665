"""What ``daypass login``, ``token``, ``request`` and ``logout`` do: one user's sessions, kept for every shell.

Each session is kept by its URL, in the folder that this system has for such things, or in its keyring. The one logged
in last is the current one. Any number of processes may use it at once: they share one refresh, as `FileStorage` has it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
from platformdirs import user_state_path

from daypass.client.httpx import DaypassAuth
from daypass.client.origin import OwnOrigins, checked_origin, origin_of
from daypass.client.storage import FileStorage, KeyringStorage, Storage
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable

TIMEOUT = 30.0
"""Seconds for a request of ``daypass request``, at each step of it."""

_REDIRECTS = 10


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
    url: str, password: str, *, email: str | None = None, username: str | None = None, keyring: bool = False
) -> None:
    """Log in at the session endpoints of ``url``, keep the session, and make it the current one.

    Raises:
        CredentialsRejected: the server refused them.
        RefreshUnavailable: it did not answer, or could not decide now.
        ConfigurationError: the URL is none that tokens may be sent to, or there is no login.
        OSError: the session cannot be kept.

    After any of them, what was kept before is still kept.
    """
    url = url.rstrip("/")
    checked_origin(url, allow_http=False)
    auth = DaypassAuth(url, storage=_storage(url, keyring=keyring))
    with httpx2.Client(timeout=TIMEOUT) as client, _plain_errors():
        auth.login(client, password=password, email=email, username=username)
    _remember(url, keyring=keyring)


def token(url: str | None = None) -> str:
    """Return an access token of the current session, or of that at ``url``, which is good for a while.

    Raises:
        LoginRequired: there is no session, or it is over.
        RefreshUnavailable: the access token is dead, and could not be replaced now.
    """
    return _auth(url).token()


def request(
    method: str, target: str, *, url: str | None = None, headers: Iterable[str] = (), body: bytes | None = None
) -> Answered:
    """Send a request with the access token of the current session, or of that at ``url``.

    Args:
        method: of the request.
        target: its URL, or a path on the session's origin.
        url: which session.
        headers: such as ``Accept: text/plain``.
        body: of the request.

    Raises:
        LoginRequired: there is no session, or it is over.
        RefreshUnavailable: the access token is dead and could not be replaced now, or no answer came.
        ConfigurationError: ``target`` is on another origin, which gets no token; or a header is none.
    """
    auth = _auth(url)
    where = urljoin(_current(url)[0], target)
    if origin_of(where) not in OwnOrigins([_current(url)[0]], allow_http=False):
        raise ConfigurationError(f"the session is for {_current(url)[0]}; its token is not sent to another origin")
    with httpx2.Client(timeout=TIMEOUT, follow_redirects=True, max_redirects=_REDIRECTS) as client, _plain_errors():
        response = auth.attach(client).request(method.upper(), where, headers=_headers(headers), content=body)
    return Answered(response.status_code, response.reason_phrase, response.content)


def logout(url: str | None = None) -> bool:
    """End the current session, or that at ``url``; return whether the server could be told.

    Raises:
        LoginRequired: there is no session.
    """
    auth = _auth(url)
    with httpx2.Client(timeout=TIMEOUT) as client:
        return auth.logout(client)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Say plainly that no answer came; the library's own text may quote what was sent."""
    try:
        yield
    except httpx2.TransportError as error:
        raise RefreshUnavailable(f"the server did not answer ({type(error).__name__})") from None
    except (httpx2.InvalidURL, httpx2.TooManyRedirects) as error:
        raise ConfigurationError(f"the request could not be sent ({type(error).__name__})") from None


def _auth(url: str | None) -> DaypassAuth:
    where, keyring = _current(url)
    auth = DaypassAuth(where, storage=_storage(where, keyring=keyring))
    if not auth.logged_in:
        raise LoginRequired(f"there is no session at {where}: write daypass login {where}")
    return auth


def _storage(url: str, *, keyring: bool) -> Storage:
    if keyring:
        return KeyringStorage("daypass", url)
    return FileStorage(_folder() / f"{sha256(url.encode()).hexdigest()[:32]}.json")


def _folder() -> Path:
    return user_state_path("daypass") / "sessions"


def _current(url: str | None) -> tuple[str, bool]:
    """Return the URL of a session, and whether the keyring has it."""
    known = _known()
    wanted = url.rstrip("/") if url is not None else known.get("current")
    if wanted is None:
        raise LoginRequired("there is no session here: write daypass login URL")
    return wanted, wanted in known.get("keyring", [])


def _known() -> dict[str, Any]:
    text = FileStorage(_folder() / "current").load()
    try:
        known = json.loads(text or "{}")
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise ConfigurationError(f"{_folder() / 'current'} is not as it was written; remove it and log in again")
    return known


def _remember(url: str, *, keyring: bool) -> None:
    storage = FileStorage(_folder() / "current")
    with storage.changing():
        known = _known()
        others = [each for each in known.get("keyring", []) if each != url]
        storage.save(json.dumps({"current": url, "keyring": [*others, url] if keyring else others}))


def _headers(lines: Iterable[str]) -> list[tuple[str, str]]:
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip().isascii() or not name.strip() or os.linesep in line:
            raise ConfigurationError("a header is written 'Name: value'")
        headers.append((name.strip(), value.strip()))
    return headers
