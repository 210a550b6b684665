"""Users: those of the application, and the accounts of the ready-made service."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from daypass import scope as scopes
from daypass.errors import ConfigurationError

RESERVED_CLAIMS = frozenset(
    (
        "iss",
        "aud",
        "sub",
        "client_id",
        "iat",
        "exp",
        "nbf",
        "jti",
        "sid",
        "auth_time",
        "scope",
        "username",
        "email",
        "sid_iat",
        "cnf",
    )
)
"""The claims of an access token that Daypass sets itself."""

MAXIMUM_SUBJECT = 255
"""Characters of a subject (OpenID Connect Core §2)."""


def fold_name(name: str) -> str:
    """Return the common form of all spellings of one user name or email address.

    Case, Unicode's compatibility forms and outer spaces make no difference (NFKC, case folded, UAX #15 and #21).
    Account look-ups and the rate limits of logins both use this.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def name_keys(name: str) -> tuple[str, ...]:
    """Return the forms under which an account with this name may be stored, to be tried in turn: 0.2's, then 0.1's."""
    return tuple(dict.fromkeys((fold_name(name), name.casefold())))


def _require_json(subject: str, username: str | None, email: str | None, claims: Mapping[str, Any]) -> None:
    """Refuse a value that cannot be stored, or that others could not read in a token."""
    try:
        names = "".join((subject, username or "", email or ""))
        names.encode()
        if "\0" in names:  # which PostgreSQL cannot store
            raise ValueError("a name has a NUL character")
        if claims:
            json.dumps(dict(claims), allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"a User has to be made of text and JSON values: {error}") from None


def _no_claims() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class User:
    """A user, as the application knows them; `authenticate` and `load_user` return one.

    Attributes:
        subject: identifies the user forever (RFC 7519 §4.1.2): a primary key, not an address.
        username: the ``username`` claim of the access token, if there is one.
        email: the ``email`` claim, if there is one.
        claims: further claims for the access token, as JSON values; they can't replace one that Daypass sets.
        disabled: whether the user may no longer log in or refresh.
        scope: what the user may do now, words with spaces between them (RFC 6749 §3.3). Access tokens have it, narrowed
            to what their session was granted. None leaves it to the session.

    Raises:
        ConfigurationError: a part is invalid, a claim is not JSON, or Daypass sets that claim itself.
    """

    subject: str
    username: str | None = None
    email: str | None = None
    claims: Mapping[str, Any] = field(default_factory=_no_claims)
    disabled: bool = False
    scope: str | None = None

    def __post_init__(self) -> None:
        if self.scope != "":  # an empty scope allows nothing
            object.__setattr__(self, "scope", scopes.checked(self.scope))
        if type(self.subject) is not str or not 0 < len(self.subject) <= MAXIMUM_SUBJECT:
            raise ConfigurationError("a User's subject has to be text of 1 to 255 characters: subject=str(user.id)")
        if not all(name is None or isinstance(name, str) for name in (self.username, self.email)):
            raise ConfigurationError("a User's username and email have to be text or None")
        _require_json(self.subject, self.username, self.email, self.claims)
        if not RESERVED_CLAIMS.isdisjoint(self.claims):
            taken = ", ".join(sorted(RESERVED_CLAIMS.intersection(self.claims)))
            raise ConfigurationError(f"a User's claims may not set {taken}, which Daypass sets; choose another name")


@dataclass(frozen=True, slots=True)
class Account:
    """A built-in user of the ready-made service, as the store holds it.

    Attributes:
        subject: identifies the account forever.
        email: the address; unique, whatever its case.
        username: the name; unique, whatever its case, and without an ``@``.
        password_hash: by Argon2id, in its standard text form.
        created_at: milliseconds since the epoch.
        disabled_at: since when the user may not log in, None while they may.
        scope: what the user may do, as in `User`; None leaves it to the session.
    """

    subject: str
    email: str
    username: str | None
    password_hash: str = field(repr=False)
    created_at: int
    disabled_at: int | None = None
    scope: str | None = None

    @property
    def user(self) -> User:
        """The user that it describes."""
        disabled = self.disabled_at is not None
        return User(self.subject, self.username, self.email, disabled=disabled, scope=self.scope)
