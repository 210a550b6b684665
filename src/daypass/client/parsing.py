"""Reads what servers send: tokens, lifetimes, ``Retry-After``, ``WWW-Authenticate`` and ``Set-Cookie``. Pure."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Any, TypeGuard

from daypass.client.messages import Cookie
from daypass.errors import StepUpRequired

LONGEST_LIFETIME = 10 * 365 * 86_400_000
"""The longest lifetime to use, in milliseconds; a longer one is cut to this."""

LONGEST_RETRY_AFTER = 300.0
"""The longest ``Retry-After`` to follow, in seconds; a longer one is cut to this."""

_TOKEN = re.compile(r"[\x21-\x7e]+")

_COOKIE_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e]+")

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)')  # an unclosed string goes to the end, so each character is read once

_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][\w!#$%&*+.^`|~-]*)(?=\s+[^\s=,]|\s*(?:,|$))")

_STEP_UP = re.compile(r'\berror\s*=\s*"?insufficient_user_authentication\b')
_MAX_AGE = re.compile(r'\bmax_age\s*=\s*"?([0-9]{1,9})\b')
_ACR_VALUES = re.compile(r'\bacr_values\s*=\s*"([^"]*)"')
_NOT_THE_TOKEN = re.compile(
    r'\berror\s*=\s*"?(?:insufficient_scope|insufficient_user_authentication|use_dpop_nonce|invalid_dpop_proof)\b'
)
_ABOUT_THE_PROOF = re.compile(r'\berror\s*=\s*"?(?:use_dpop_nonce|invalid_dpop_proof)\b')


def is_token(value: object) -> TypeGuard[str]:
    """Return whether ``value`` is visible ASCII; anything else in a header would appear in an HTTP library's error."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def json_object(text: bytes) -> dict[str, Any] | None:
    """Read a JSON object; ``None`` if ``text`` is not one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def lifetime_in_milliseconds(value: object) -> int | None:
    """Read a lifetime, a number of seconds; return ``None`` if it is invalid."""
    # JSON can have integers too large for a float; Python's JSON also has NaN, which compares as false.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        return None
    return int(min(value, LONGEST_LIFETIME // 1000) * 1000)


def jwt_lifetime(token: str, date: str | None = None) -> int | None:
    """Return the lifetime of a JWT, in milliseconds; ``None`` if it is not a JWT, or does not say.

    It is ``exp`` minus ``iat``, or else minus the ``date`` of the response: all are from the server's clock, so a wrong
    wall clock on this machine does not matter.
    """
    claims = jwt_claims(token)
    try:
        return lifetime_in_milliseconds(claims["exp"] - claims.get("iat", _epoch(date)))
    except (KeyError, TypeError, OverflowError):
        return None


def jwt_claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT, not verified; empty if it is not a JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        return json_object(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))) or {}
    except ValueError:
        return {}


def seconds(retry_after: str | None, date: str | None = None) -> float | None:
    """Read a ``Retry-After`` header (RFC 9110 §10.2.3), in seconds.

    Args:
        retry_after: a number of seconds, or an HTTP date.
        date: the ``Date`` of the same response. A date is counted from there, so a wrong wall clock on this machine
            does not matter.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER)
    until, now = _epoch(text), _epoch(date)
    return None if until is None or now is None else min(max(0.0, until - now), LONGEST_RETRY_AFTER)


def grace_in_milliseconds(header: str | None) -> int:
    """Read a ``Daypass-Grace`` header, a whole number of seconds; return 0 if there is no such number."""
    text = (header or "").strip()
    return int(text) * 1000 if text.isascii() and text.isdigit() and len(text) < 10 else 0


def refreshing_can_help(challenges: Sequence[str]) -> bool:
    """Return whether a 401 may be about an expired or revoked access token, by its ``WWW-Authenticate`` headers.

    It is not if the server asks for other schemes than Bearer and DPoP, for a wider scope (RFC 6750 §3.1), for a newer
    or stronger login (RFC 9470 §3) or for another proof (RFC 9449 §7.1). A 401 without a challenge counts as one about
    the token.
    """
    schemes = _schemes(challenges)
    about_token = not schemes or not schemes.isdisjoint(("bearer", "dpop"))
    return about_token and not _NOT_THE_TOKEN.search(", ".join(challenges))


def asks_for_proof(challenges: Sequence[str]) -> bool:
    """Return whether a 401 is about the DPoP proof: a nonce is missing, or it was refused (RFC 9449 §7.1, §9)."""
    return _ABOUT_THE_PROOF.search(", ".join(challenges)) is not None


def step_up_in(challenges: Sequence[str]) -> StepUpRequired | None:
    """Return the request for a newer or stronger login in ``WWW-Authenticate`` headers (RFC 9470 §3), None if none."""
    text = ", ".join(challenges)
    if not _STEP_UP.search(text):
        return None
    max_age, classes = _MAX_AGE.search(text), _ACR_VALUES.search(text)
    return StepUpRequired(int(max_age[1]) if max_age else None, tuple(classes[1].split()) if classes else ())


def asks_for_bearer(challenges: Sequence[str]) -> bool:
    """Return whether ``WWW-Authenticate`` headers ask for Bearer, perhaps among others, or ask for nothing."""
    schemes = _schemes(challenges)
    return not schemes or "bearer" in schemes


def _schemes(challenges: Sequence[str]) -> set[str]:
    return {scheme.lower() for scheme in _SCHEME.findall(_QUOTED.sub('""', ", ".join(challenges)))}


def read_cookie(header: str) -> tuple[Cookie | None, bool]:
    """Read one ``Set-Cookie`` header: return the cookie (``None`` if deleted) and whether it is ``HttpOnly``."""
    pair, *attributes = header.split(";")
    name, _, value = (part.strip() for part in pair.partition("="))
    flags = {attribute.strip().lower() for attribute in attributes}
    if not name or not _COOKIE_VALUE.fullmatch(value) or "max-age=0" in flags:
        return None, False
    return Cookie(name, value), "httponly" in flags


def _epoch(date: str | None) -> float | None:
    """Read an HTTP date; return seconds since the epoch."""
    if not date:
        return None
    from email.utils import parsedate_to_datetime  # imported here: it loads sockets and calendars

    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
