"""The values that pass between the rooms: policy, user, session, tokens, event.

All are frozen. Times and spans are whole milliseconds (times since the epoch, UTC) wherever a name does not say
otherwise.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from daypass import scope as scopes
from daypass.errors import ConfigurationError
from daypass.rotation import NEVER_ROTATED

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", re.ASCII)

Duration = timedelta | int | float | str
"""A span of time as people write it: a `timedelta`, a number of seconds, or text such as ``90s``, ``15m``, ``30d``."""


def milliseconds(duration: Duration) -> int:
    """Return ``duration`` in whole milliseconds.

    Raises:
        ConfigurationError: it is no span of time, or a negative one.
    """
    if isinstance(duration, timedelta):
        value = duration / timedelta(milliseconds=1)
    elif isinstance(duration, str):
        match = _DURATION.fullmatch(duration.strip())
        if match is None:
            raise ConfigurationError(f"{duration!r} is no duration; write a number and a unit: 90s, 15m, 12h or 30d")
        value = float(match[1]) * _UNITS[match[2]]
    elif isinstance(duration, bool) or type(duration) not in (int, float):
        raise ConfigurationError(f"{duration!r} is no duration; give a timedelta, seconds, or text such as '15m'")
    else:
        value = duration * SECOND
    if not 0 <= value < 2**53:
        raise ConfigurationError(f"{duration!r} is no possible duration; it has to be zero or more, and finite")
    return round(value)


@dataclass(frozen=True, slots=True)
class Policy:
    """How long things last, in milliseconds; `Policy.of` takes them as people write them.

    A session ends at the earlier of last refresh plus ``idle_ttl`` and login plus ``absolute_ttl``. A key is followed
    by a new one when it was used for ``key_ttl``; 0 leaves that to whoever runs the issuer.

    Raises:
        ConfigurationError: the spans contradict each other.
    """

    access_ttl: int = 15 * MINUTE
    idle_ttl: int = 30 * DAY
    absolute_ttl: int = 180 * DAY
    grace_period: int = 30 * SECOND
    leeway: int = 0
    key_ttl: int = 90 * DAY

    def __post_init__(self) -> None:
        if self.access_ttl < SECOND:
            raise ConfigurationError("access_ttl has to be at least one second; the usual value is 15m")
        if self.idle_ttl < self.access_ttl:
            raise ConfigurationError(
                "idle_ttl has to be at least access_ttl, or a session ends before its first refresh"
            )
        if self.absolute_ttl < self.idle_ttl:
            raise ConfigurationError("absolute_ttl has to be at least idle_ttl, which it bounds")
        if self.grace_period >= self.idle_ttl:
            raise ConfigurationError("grace_period has to be shorter than idle_ttl; the usual value is 30s")
        if self.leeway > MINUTE:
            raise ConfigurationError("leeway may be one minute at the most; set the clocks right instead")
        if 0 < self.key_ttl < HOUR:
            raise ConfigurationError("key_ttl has to be at least one hour, or 0 for never; the usual value is 90d")

    def end_of(self, session: "Session") -> int:
        """Return when ``session`` ends unless it is refreshed before."""
        return min(session.expires_at, session.created_at + self.absolute_ttl)

    @classmethod
    def of(cls, **durations: Duration) -> "Policy":
        """Return the policy with these spans, each as people write them, and the defaults for the rest.

        Raises:
            ConfigurationError: a span is no duration, or they contradict each other.
        """
        return cls(**{name: milliseconds(duration) for name, duration in durations.items()})


RESERVED_CLAIMS = frozenset(
    ("iss", "aud", "sub", "client_id", "iat", "exp", "nbf", "jti", "sid", "auth_time", "scope", "username", "email")
)
"""The claims of an access token that Daypass sets itself."""


MAXIMUM_SUBJECT = 255
"""Characters of a subject (OpenID Connect Core §2)."""


def _require_json(subject: str, username: str | None, email: str | None, claims: Mapping[str, Any]) -> None:
    """Refuse what could not be stored, or not be read by others once it is in a token."""
    try:
        names = "".join((subject, username or "", email or ""))
        names.encode()
        if "\0" in names:  # which no text in PostgreSQL has
            raise ValueError("a name has a NUL character")
        if claims:
            json.dumps(dict(claims), allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"a User has to be made of text and JSON values: {error}") from None


def _no_claims() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class User:
    """Who logs in, as the application knows them; what `authenticate` and `load_user` return.

    Attributes:
        subject: what identifies the user for ever (RFC 7519 §4.1.2): a primary key rather than an address.
        username: the ``username`` claim of the access token, if there is one.
        email: the ``email`` claim, likewise.
        claims: further claims for the access token, as JSON values; they can't replace one that Daypass sets.
        disabled: whether the user may no longer log in or refresh.
        scope: what the user may do, words with spaces between them (RFC 6749 §3.3), as it is at this moment; access
            tokens bear it, narrowed by what their session was granted. None leaves it to the session.

    Raises:
        ConfigurationError: a part is not what it has to be, a claim is not JSON, or is one that Daypass sets.
    """

    subject: str
    username: str | None = None
    email: str | None = None
    claims: Mapping[str, Any] = field(default_factory=_no_claims)
    disabled: bool = False
    scope: str | None = None

    def __post_init__(self) -> None:
        if self.scope != "":  # which stands for nothing at all
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
class Device:
    """Where a session lives, as the user will recognise it in a list of devices; each part may be unknown."""

    name: str | None = None
    user_agent: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A built-in user of the ready-made service, as the store holds it.

    Attributes:
        subject: what identifies it for ever.
        email: its address; unique, whatever its case.
        username: its name; unique, whatever its case, and without an ``@``.
        password_hash: by Argon2id, in its standard text form.
        created_at: milliseconds since the epoch.
        disabled_at: since when it may not log in, None while it may.
    """

    subject: str
    email: str
    username: str | None
    password_hash: str = field(repr=False)
    created_at: int
    disabled_at: int | None = None


class EndReason(StrEnum):
    """Why a session was ended."""

    LOGOUT = "logout"
    ENDED = "ended"
    REUSE = "reuse"
    USER_GONE = "user_gone"


@dataclass(frozen=True, slots=True)
class Session:
    """One login on one device: what the store holds of it, one row for ever.

    Attributes:
        id: 32 hexadecimal digits, the hash of the session's secret; also the ``sid`` claim.
        subject: whose session it is.
        client_id: the client it was started by (RFC 6749 §2.2).
        generation: of the last refresh token that was presented; 0 at login.
        branch: of the same token, 8 bytes.
        rotated_at: when that token was first presented; `rotation.NEVER_ROTATED` at login.
        created_at: the login.
        expires_at: when it ends by itself unless it is refreshed before.
        ended_at: when it was ended, None while it lives.
        end_reason: why it was ended.
        device: where it lives.
        scope: what it was granted at login, words with spaces between them (RFC 6749 §3.3); None for all that its user
            may do.
    """

    id: str
    subject: str
    client_id: str
    generation: int
    branch: bytes = field(repr=False)
    rotated_at: int
    created_at: int
    expires_at: int
    ended_at: int | None = None
    end_reason: EndReason | None = None
    device: Device = Device()
    scope: str | None = None

    @property
    def last_used_at(self) -> int:
        """When the session was last refreshed, or its login when it never was."""
        return self.created_at if self.rotated_at == NEVER_ROTATED else self.rotated_at

    def is_live(self, now: int) -> bool:
        """Tell whether the session is neither ended nor expired."""
        return self.ended_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login or a refresh gives: the two tokens, and whose they are.

    Attributes:
        access_token: the signed JWT, to be sent as ``Authorization: Bearer …``.
        refresh_token: what gets the next pair; for the client's safest place alone.
        expires_in: the access token's lifetime, in seconds (RFC 6749 §5.1).
        session: as it is after this.
        user: as loaded for this.
        replaces: whether the refresh token is to be handed on to the client. Seldom not, after a refresh: it is the one
            that was presented, and the client keeps what it has by now (see *hold* in `daypass.rotation`).
        scope: what the access token may do, words with spaces between them; None where nothing is said of it.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    session: Session
    user: User = field(repr=False)
    replaces: bool = True
    scope: str | None = None


class EventCode(StrEnum):
    """What an event tells: the seven verdicts of the rotation rule, the rest of a session's life, and of the store.

    The last three are about how a verifier learns of sessions that other processes end: the store announces them
    (``listening``), it is asked twice a second because it could no longer be listened to (``polling``), or it cannot
    even be asked (``cut_off``).
    """

    STARTED = "started"
    ROTATED = "rotated"
    HELD = "held"
    REPEATED = "repeated"
    BRANCHED = "branched"
    HEALED = "healed"
    STALE = "stale"
    REUSED = "reused"
    REJECTED = "rejected"
    LOGGED_OUT = "logged_out"
    ENDED = "ended"
    LOGIN_FAILED = "login_failed"
    UNAVAILABLE = "unavailable"
    LIMITED = "limited"
    LISTENING = "listening"
    POLLING = "polling"
    CUT_OFF = "cut_off"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a session, for audit logs; it never holds a token.

    Attributes:
        code: what happened.
        at: when.
        session_id: to which session, where one is known.
        subject: whose it is, where known.
        reason: for ``rejected`` the code of the error, for ``ended`` the `EndReason`, for ``limited`` (a request that
            was answered with 429) the limit, for ``unavailable`` (one that was answered with 503), ``polling`` and
            ``cut_off`` what the store said.
        generation_distance: the presented token's generation less the stored one, for the seven verdicts.
        age: milliseconds since the last rotation, for the seven verdicts; None for a session never rotated.
    """

    code: EventCode
    at: int
    session_id: str | None = None
    subject: str | None = None
    reason: str | None = None
    generation_distance: int | None = None
    age: int | None = None
