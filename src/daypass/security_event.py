"""Security event tokens (RFC 8417): an issuer tells other services that a session has ended. Pure.

The event is CAEP's ``session-revoked``; its subject is the session's id, the ``sid`` of access tokens.
"""

import json
from collections.abc import Callable
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from daypass.duration import SECOND
from daypass.ending_log import EVERYONE, Known
from daypass.errors import KeyUnknown, TokenMalformed
from daypass.keys import REGISTRY, SigningKey

TYPE = "secevent+jwt"
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
ALL_REVOKED = "urn:daypass:event:all-sessions-revoked"
"""The sessions of all users that began until ``event_timestamp`` have ended; CAEP has no such event."""

UNTIL = "access_tokens_expire_at"
"""A member of our own in ``session-revoked``, seconds since the epoch: from then on it need not be remembered."""


def write_event(key: SigningKey, issuer: str, audience: str, ending: Known, now: int, jti: str) -> str:
    """Return the signed event.

    Args:
        key: the key that signs.
        issuer: the issuer of the event.
        audience: the id of the client that it is for.
        ending: the ending to report.
        now: milliseconds since the epoch.
        jti: a fresh random identifier.
    """
    content: dict[str, Any] = {"event_timestamp": ending.ended_at // SECOND}
    claims: dict[str, Any] = {"iss": issuer, "aud": audience, "iat": now // SECOND, "jti": jti}
    if ending.session_id == EVERYONE:
        claims["events"] = {ALL_REVOKED: content}
    else:
        claims["sub_id"] = {"format": "complex", "session": {"format": "opaque", "id": ending.session_id}}
        claims["events"] = {SESSION_REVOKED: content | {UNTIL: -(-ending.until // SECOND)}}
    header = {"typ": TYPE, "alg": key.algorithm, "kid": key.kid}
    return jwt.encode(header, claims, key.key, registry=REGISTRY)


def read_event(text: str, find_key: Callable[[str], SigningKey | None], issuer: str, audience: str) -> Known | None:
    """Return the ending that an event is about; None for an event of another kind.

    Raises:
        KeyUnknown: it is signed with a key that is not known here.
        TokenMalformed: it is not an event of this issuer for this audience.
    """
    try:
        signed = jws.extract_compact(text.encode("ascii"), registry=REGISTRY)
        header = signed.headers()
        key = find_key(header["kid"])
        if key is None:
            raise KeyUnknown("an event signed with a key that is not known here")
        if header.get("typ") != TYPE or header.get("alg") != key.algorithm or "crit" in header:
            raise TokenMalformed("not a security event")
        if not jws.validate_compact(signed, key.key, registry=REGISTRY):
            raise TokenMalformed("the signature of an event does not fit")
        claims = json.loads(signed.payload.decode())
        if (claims["iss"], claims["aud"]) != (issuer, audience):
            raise TokenMalformed("an event of another issuer or for another service")
        return _ending_in(claims)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise TokenMalformed("not a security event") from None


def _ending_in(claims: dict[str, Any]) -> Known | None:
    events = claims["events"]
    if ALL_REVOKED in events:
        return Known(EVERYONE, int(events[ALL_REVOKED]["event_timestamp"]) * SECOND)
    if SESSION_REVOKED not in events:
        return None
    content = events[SESSION_REVOKED]
    session_id = str(claims["sub_id"]["session"]["id"])
    return Known(session_id, int(content["event_timestamp"]) * SECOND, int(content[UNTIL]) * SECOND)
