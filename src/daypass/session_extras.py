"""The extras that only some sessions have: claims, a non-persistent cookie, another time of authentication, the user.

A store keeps them as one text, and nothing for a session without extras. The text is a JSON object. A newer version may
have written members that this one does not know: they are kept as they are, and those that ``crit`` names must be known
(as in RFC 7515 §4.1.11).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from daypass.errors import StoreUnavailable
from daypass.read_only import read_only

_NOTHING: Mapping[str, Any] = read_only({})
_KNOWN = frozenset(("p", "t", "c", "k", "u", "crit"))
_KEY = "k"
USER = "u"
"""The member with the user that a session keeps."""

_CRITICAL = (_KEY, USER)


class KeyUse(StrEnum):
    """The protocol that proves a session's key."""

    DPOP = "dpop"
    DBSC = "dbsc"


@dataclass(frozen=True, slots=True)
class BoundKey:
    """The public key that a session is bound to.

    Attributes:
        use: the protocol that proves it.
        jwk: the key (RFC 7517), with only the members that its thumbprint is made of.
    """

    use: KeyUse
    jwk: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Extras:
    """The extras of one session.

    Attributes:
        persistent: whether the session survives closing the browser; False makes its cookie one without ``Max-Age``.
        authenticated_at: when its user was last authenticated, if that was not at the login; milliseconds.
        claims: the session's own claims, for each of its access tokens.
        key: the key that the session is bound to. The text marks it as critical: a version that does not know it would
            issue new tokens without a proof, so it must not use such a session. (Version 0.1 reads no extras.)
        user: the members of the user as at the login, for a session that keeps its user. Critical too: older versions
            would not find the user, and end the session.
        others: what a newer version has written, by name.
    """

    persistent: bool = True
    authenticated_at: int | None = None
    claims: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, hash=False)
    key: BoundKey | None = None
    user: Mapping[str, Any] | None = field(default=None, hash=False)
    others: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, hash=False)

    @property
    def text(self) -> str | None:
        """The text that a store keeps, None if there is nothing to keep."""
        members = dict(self.others)
        if not self.persistent:
            members["p"] = 0
        if self.authenticated_at is not None:
            members["t"] = self.authenticated_at
        if self.claims:
            members["c"] = self.claims
        if self.key is not None:
            members[_KEY] = {self.key.use: self.key.jwk}
        if self.user is not None:
            members[USER] = self.user
        critical = {*members.get("crit", ()), *(name for name in _CRITICAL if name in members)}
        if critical:
            members["crit"] = sorted(critical)
        return json.dumps(members, separators=(",", ":")) if members else None


def act_part(claims: Mapping[str, Any], name: str) -> str | None:
    """Return a text member of the claim ``act`` (RFC 8693 §4.1); None if it is missing."""
    actor = claims.get("act")
    part = actor.get(name) if isinstance(actor, dict) else None
    return part if isinstance(part, str) else None


_NONE = Extras()


def read_extras(text: str | None) -> Extras:
    """Return the extras in the text that a store keeps.

    Raises:
        StoreUnavailable: only a newer version of Daypass can use this session; nothing was decided.
    """
    return _NONE if text is None else _read(text)


@lru_cache(maxsize=1024)
def _read(text: str) -> Extras:
    members = read_only(json.loads(text))
    unknown = set(members.get("crit", ())) - _KNOWN
    if unknown:
        raise StoreUnavailable(f"a newer Daypass has made this session ({', '.join(sorted(unknown))}): upgrade Daypass")
    return Extras(
        persistent=bool(members.get("p", True)),
        authenticated_at=members.get("t"),
        claims=members.get("c", _NOTHING),
        key=_bound_key(members.get(_KEY)),
        user=members.get(USER),
        others=read_only({name: value for name, value in members.items() if name not in _KNOWN or name == "crit"}),
    )


def _bound_key(member: Mapping[str, Mapping[str, str]] | None) -> BoundKey | None:
    """Return the key in the text's member for it.

    Raises:
        StoreUnavailable: only a newer version of Daypass knows the protocol that proves it.
    """
    if not member:
        return None
    ((use, jwk),) = member.items()
    try:
        return BoundKey(KeyUse(use), jwk)
    except ValueError:
        raise StoreUnavailable(f"a newer Daypass has bound this session to a key ({use}): upgrade Daypass") from None
