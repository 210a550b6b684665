"""A session, the device it lives on, and the tokens that a login or a refresh returns.

Times are milliseconds since the epoch, UTC.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from daypass.rotation import NEVER_ROTATED
from daypass.session_extras import BoundKey, KeyUse, act_part, read_extras
from daypass.user import User

BEARER, DPOP = "Bearer", "DPoP"
"""How an access token is sent (RFC 6750 §2.1, RFC 9449 §7.1)."""


@dataclass(frozen=True, slots=True)
class Device:
    """The device of a session, as the user recognises it in a list of devices; each part may be unknown."""

    name: str | None = None
    user_agent: str | None = None
    address: str | None = None

    def fingerprint(self, subject: str) -> bytes:
        """Return 8 bytes that identify this device of a user, empty if nothing is known of it.

        Numbers in a user agent are ignored, because each browser update changes them. The address is ignored too.
        """
        if self.name is None and self.user_agent is None:
            return b""
        agent = re.sub(r"[0-9._]+", "", self.user_agent or "")
        return hashlib.sha256("\0".join((subject, self.name or "", agent)).encode()).digest()[:8]


NOWHERE = Device()
"""A device of which nothing is known."""


class EndReason(StrEnum):
    """Why a session was ended."""

    LOGOUT = "logout"
    ENDED = "ended"
    REUSE = "reuse"
    USER_GONE = "user_gone"
    EVERYONE = "everyone"


@dataclass(frozen=True, slots=True)
class Session:
    """One login on one device, as the store holds it: one row for its whole life.

    Attributes:
        id: 32 hexadecimal digits, the hash of the session's secret; also the ``sid`` claim.
        subject: the user.
        client_id: the client that started it (RFC 6749 §2.2).
        generation: of the last refresh token that was presented; 0 at login.
        branch: of the same token, 8 bytes.
        rotated_at: when that token was first presented; `rotation.NEVER_ROTATED` at login.
        created_at: the login.
        expires_at: when it expires unless it is refreshed before.
        ended_at: when it was ended, None while it is live.
        end_reason: why it was ended.
        device: the device; user agent and address are those of the last refresh that rotated.
        scope: what it was granted at login, words with spaces between them (RFC 6749 §3.3); None for everything that
            its user may do.
        idle_ttl: how long it lives without a refresh, in milliseconds, if that is shorter than in the policy.
        ends_at: when it ends even if it is refreshed, if that is before the policy's time.
        extras: what only some sessions have, as text; see `daypass.session_extras`.
        key_thumbprint: of the public key that the session is bound to (RFC 7638); None for one that is not bound.
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
    device: Device = NOWHERE
    scope: str | None = None
    idle_ttl: int | None = None
    ends_at: int | None = None
    extras: str | None = field(default=None, repr=False)
    key_thumbprint: str | None = None

    @property
    def last_used_at(self) -> int:
        """When the session was last refreshed, or its login if it never was."""
        return self.created_at if self.rotated_at == NEVER_ROTATED else self.rotated_at

    @property
    def persistent(self) -> bool:
        """Whether the session survives closing the browser."""
        return read_extras(self.extras).persistent

    @property
    def claims(self) -> Mapping[str, Any]:
        """The session's own claims, which are in each of its access tokens."""
        return read_extras(self.extras).claims

    @property
    def bound_key(self) -> BoundKey | None:
        """The key that the session is bound to; None for one that is not bound."""
        return read_extras(self.extras).key

    @property
    def device_bound(self) -> bool:
        """Whether the session is bound to a key that its browser proves by itself (DBSC)."""
        return self.bound_key is not None and self.bound_key.use is KeyUse.DBSC

    @property
    def actor(self) -> str | None:
        """The subject who acts as the session's user, None if it is the user (RFC 8693 §4.1)."""
        return act_part(self.claims, "sub")

    @property
    def actor_session_id(self) -> str | None:
        """The actor's own session; when it ends, this one ends too."""
        return act_part(self.claims, "sid")

    @property
    def authenticated_at(self) -> int:
        """When the user was last authenticated in this session: at the login, or at a later step-up."""
        return read_extras(self.extras).authenticated_at or self.created_at

    def within_own_times(self) -> "Session":
        """Return the session with the expiry that its own times allow: older versions of Daypass ignore these."""
        if self.ends_at is None and self.idle_ttl is None:
            return self
        ends = [self.expires_at] if self.ends_at is None else [self.expires_at, self.ends_at]
        if self.idle_ttl is not None:
            ends.append(max(self.created_at, self.rotated_at) + self.idle_ttl)
        return self if min(ends) == self.expires_at else replace(self, expires_at=min(ends))

    def used_from(self, device: Device) -> "Session":
        """Return the session as it is after a refresh from ``device``; unknown parts of the device stay."""
        agent, address = device.user_agent or self.device.user_agent, device.address or self.device.address
        if (agent, address) == (self.device.user_agent, self.device.address):
            return self
        return replace(self, device=replace(self.device, user_agent=agent, address=address))

    def is_live(self, now: int) -> bool:
        """Return whether the session is neither ended nor expired."""
        return self.ended_at is None and now < self.expires_at

    def ended_by_all(self, everyone_at: int) -> "Session":
        """Return the session as it is after every session created until ``everyone_at`` was ended."""
        if self.ended_at is not None or self.created_at > everyone_at:
            return self
        return replace(self, ended_at=everyone_at, end_reason=EndReason.EVERYONE)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The result of confirming a login: a new access token; the refresh token stays as it is.

    Attributes:
        access_token: the signed JWT, with the new ``auth_time`` and ``amr``.
        expires_in: its lifetime, in seconds.
        session: the session, as it is now.
        token_type: ``Bearer``, or ``DPoP`` for an access token that is bound to a key.
    """

    access_token: str = field(repr=False)
    expires_in: int
    session: Session
    token_type: str = BEARER


@dataclass(frozen=True, slots=True)
class Tokens:
    """The result of a login or a refresh: both tokens, the session and the user.

    Attributes:
        access_token: the signed JWT, to be sent as ``Authorization: Bearer …``.
        refresh_token: the token that gets the next pair; only for the client's safest place.
        expires_in: the access token's lifetime, in seconds (RFC 6749 §5.1).
        session: the session, as it is now.
        user: the user, as just loaded.
        replaces: whether to send the refresh token to the client. Rarely False, after a refresh: then it is the one
            that was presented, and the client keeps what it has by now (see *hold* in `daypass.rotation`).
        scope: what the access token may do, words with spaces between them; None if it has no scope.
        token_type: how the access token is sent: ``Bearer``, or ``DPoP`` for one that is bound to a key (RFC 9449 §5).
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    session: Session
    user: User = field(repr=False)
    replaces: bool = True
    scope: str | None = None
    token_type: str = BEARER
