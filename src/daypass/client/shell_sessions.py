"""The list of the shell's sessions, by URL and account: where each is stored, and which one is current.

The list is in the file ``current``. Each session's tokens are in a separate file, or in the system's keyring.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from platformdirs import user_state_path

from daypass.client.auth import SessionAuth
from daypass.client.storage import FileStorage, KeyringStorage, Storage
from daypass.errors import ConfigurationError, LoginRequired

if TYPE_CHECKING:
    from daypass.client.httpx import DaypassAuth
    from daypass.client.library import Library
    from daypass.client.oauth import OAuth

SECRET = "DAYPASS_CLIENT_SECRET"  # noqa: S105 - the name of a variable


class _HttpxWhenNeeded:
    """The `Library` of httpx, which is imported when something is sent."""

    def __getattr__(self, name: str) -> Any:
        from daypass.client.httpx import DaypassAuth

        return getattr(DaypassAuth.library, name)


class _TokenAuth(SessionAuth):
    library: ClassVar[Library] = _HttpxWhenNeeded()


@dataclass(frozen=True, slots=True)
class ShellSession:
    """One session of this user's shells.

    Attributes:
        url: the URL of the session endpoints; with ``oauth``, of the application that gets the token.
        account: a name to have several sessions at one URL; empty by default.
        keyring: whether its tokens are in the system's keyring.
        oauth: the issuer and the client's id, for an OAuth session.
    """

    url: str
    account: str = ""
    keyring: bool = False
    oauth: dict[str, str] | None = field(default=None)

    @property
    def key(self) -> str:
        """Its key in the file."""
        return f"{self.url}#{self.account}" if self.account else self.url

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of its requests and refreshes."""
        return (self.url, self.oauth["issuer"]) if self.oauth else (self.url,)

    @property
    def login(self) -> str:
        """The shell command to log in to it."""
        who = f"--oauth {self.oauth['issuer']}" if self.oauth else "--email you@example.com"
        return f"daypass login {self.url} {who}{f' --account {self.account}' if self.account else ''}"

    def storage(self) -> Storage:
        """Return the storage of its tokens."""
        if self.keyring:
            return KeyringStorage("daypass", self.key)
        return FileStorage(_folder() / f"{sha256(self.key.encode()).hexdigest()[:32]}.json")

    def auth(self, storage: Storage, *, dpop: bool = False) -> DaypassAuth:
        """Return the client's session with the tokens that ``storage`` has; ``dpop`` binds a new login to a key."""
        from daypass.client.httpx import DaypassAuth

        return DaypassAuth(self.url, strategy=self.oauth_client(), storage=storage, dpop=dpop)

    def token(self) -> str:
        """Return its access token, refreshed first if needed; an HTTP library is only imported for a refresh.

        Raises:
            LoginRequired: there is no session, or it has ended.
            RefreshUnavailable: the access token has expired and cannot be refreshed now.
            ConfigurationError: it is bound to a key.
        """
        auth = _TokenAuth(self.url, strategy=self.oauth_client(), storage=self.storage())
        text = auth.token()
        if auth.bound:
            raise ConfigurationError(
                f"the session at {self.url} is bound to a key: its access token is of no use without a proof. "
                "Write: daypass request GET URL"
            )
        return text

    def oauth_client(self, scope: str | None = None) -> OAuth | None:
        """Return the strategy of an OAuth session."""
        if self.oauth is None:
            return None
        from daypass.client.oauth import OAuth

        issuer, client_id = self.oauth["issuer"], self.oauth["client_id"]
        return OAuth(issuer=issuer, client_id=client_id, client_secret=os.environ.get(SECRET), scope=scope)


def find(url: str | None, account: str | None) -> ShellSession:
    """Return the session at ``url`` with that account; by default the current one's.

    Raises:
        LoginRequired: neither was given, and there is no current session.
    """
    known = _load()
    current_url, _, current_account = str(known.get("current") or "").partition("#")
    if url is None and not current_url:
        raise LoginRequired("Not logged in. Run: daypass login URL --email you@example.com")
    if account is None:
        account = current_account if url is None else ""
    session = ShellSession(current_url if url is None else url.rstrip("/"), account)
    return _completed(session, known)


def remember(session: ShellSession) -> None:
    """Make ``session`` the current one."""
    storage = FileStorage(_folder() / "current")
    with storage.changing():
        known, key = _load(), session.key
        others = [each for each in known.get("keyring", []) if each != key]
        oauth = {name: value for name, value in known.get("oauth", {}).items() if name != key}
        storage.save(
            json.dumps(
                {
                    "current": key,
                    "keyring": [*others, key] if session.keyring else others,
                    "oauth": oauth | ({key: session.oauth} if session.oauth else {}),
                }
            )
        )


def replaced_by(session: ShellSession) -> tuple[ShellSession, str] | None:
    """Return the session that ``session`` will replace and the text of its tokens; ``None`` if it replaces nothing."""
    before = _completed(session, _load())
    text = before.storage().load()
    return None if text is None else (before, text)


def _completed(session: ShellSession, known: dict[str, Any]) -> ShellSession:
    oauth = known.get("oauth", {}).get(session.key)
    return ShellSession(session.url, session.account, session.key in known.get("keyring", []), oauth)


def _folder() -> Path:
    return user_state_path("daypass") / "sessions"


def _load() -> dict[str, Any]:
    text = FileStorage(_folder() / "current").load()
    try:
        known = json.loads(text or "{}")
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise ConfigurationError(f"{_folder() / 'current'} is damaged: remove it and log in again")
    return known
