"""The options of a session at login: whether it survives closing the browser, its own times, claims and user."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from daypass.duration import Duration, milliseconds
from daypass.errors import ConfigurationError
from daypass.policy import Policy
from daypass.proof import Proof, thumbprint_of
from daypass.session import Session
from daypass.session_extras import USER, Extras, KeyUse, read_extras
from daypass.unknown_options import refuse_unknown
from daypass.user import RESERVED_CLAIMS, User

MAXIMUM_CLAIMS = 2048
"""Bytes of a session's own claims as JSON; each of its access tokens has them."""


class SessionOptions(TypedDict, total=False):
    """The options of a session at login.

    Attributes:
        persistent: False is "do not remember me": the cookie lasts until the browser closes, and the session ends after
            the policy's ``session_idle_ttl`` without a refresh.
        idle_ttl: ends the session after this time without a refresh, if the policy's time is longer.
        absolute_ttl: ends the session this long after its login, if the policy's time is longer.
        key: the public key (a JWK) that the session is bound to: its client proves by DPoP (RFC 9449) that it has it.
        claims: for each access token of the session, in addition to those of the user; JSON values, at most
            `MAXIMUM_CLAIMS` bytes. If both have a claim of the same name, the session's counts.
        keep_user: True keeps the user as they are at this login: ``load_user`` is not asked at the session's refreshes.
            For users who are known only to the provider that authenticated them.
        authenticated_at: when the user was authenticated, if that was before this login, as at a provider with single
            sign-on; milliseconds since the epoch. It is the ``auth_time`` of access tokens.
    """

    persistent: bool
    idle_ttl: Duration
    absolute_ttl: Duration
    claims: Mapping[str, Any]
    key: Mapping[str, Any]
    keep_user: bool
    authenticated_at: int


def apply(session: Session, options: SessionOptions, policy: Policy, user: User) -> Session:
    """Return a new ``session`` of ``user`` with ``options`` applied, and the expiry that follows.

    Raises:
        ConfigurationError: an option is unknown or invalid; the message says what to write instead.
    """
    refuse_unknown(options, SessionOptions.__annotations__, "session option")
    persistent, keep_user = options.get("persistent", True), options.get("keep_user", False)
    for name, flag in (("persistent", persistent), ("keep_user", keep_user)):
        if type(flag) is not bool:
            raise ConfigurationError(f"invalid {name} {flag!r}: write True or False")
    idle_ttl = _span(options, "idle_ttl", policy.idle_ttl)
    absolute_ttl = _span(options, "absolute_ttl", policy.absolute_ttl)
    if not persistent:
        idle_ttl = min(idle_ttl, policy.session_idle_ttl)
    if idle_ttl <= policy.grace_period:
        raise ConfigurationError("idle_ttl of a session has to be longer than grace_period")
    proof = Proof.of(options["key"], KeyUse.DPOP) if "key" in options else None
    extras = Extras(
        persistent,
        _authenticated_at(options, session.created_at),
        claims=checked_claims(options.get("claims", {})),
        key=None if proof is None else proof.key,
        user=_kept(user) if keep_user else None,
    )
    return replace(
        session,
        expires_at=session.created_at + min(idle_ttl, absolute_ttl),
        idle_ttl=idle_ttl if idle_ttl < policy.idle_ttl else None,
        ends_at=session.created_at + absolute_ttl if absolute_ttl < policy.absolute_ttl else None,
        extras=extras.text,
        key_thumbprint=thumbprint_of(proof),
    )


def kept_user(session: Session) -> User | None:
    """Return the user that a session keeps; None if the application is to be asked."""
    if session.extras is None or read_extras(session.extras).user is None:
        return None
    return User(session.subject, **json.loads(session.extras)[USER])


def _kept(user: User) -> dict[str, Any]:
    parts = {"username": user.username, "email": user.email, "scope": user.scope, "claims": dict(user.claims)}
    kept = {name: value for name, value in parts.items() if value not in (None, {})}
    if len(json.dumps(kept)) > MAXIMUM_CLAIMS:
        raise ConfigurationError(f"a user that a session keeps can have {MAXIMUM_CLAIMS} bytes as JSON")
    return kept


def _authenticated_at(options: SessionOptions, created_at: int) -> int | None:
    at = options.get("authenticated_at", created_at)
    if type(at) is not int or at <= 0:
        raise ConfigurationError(
            f"invalid authenticated_at {at!r}: write milliseconds since the epoch, as a whole number"
        )
    return at if at < created_at else None


def _span(options: SessionOptions, name: str, longest: int) -> int:
    if name not in options:
        return longest
    try:
        span = milliseconds(options[name])  # type: ignore[literal-required]  # one of the two names above
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    if not 0 < span <= longest:
        raise ConfigurationError(f"{name} of a session has to be above zero and at most {name} of the issuer")
    return span


def checked_claims(claims: object) -> Mapping[str, Any]:
    """Return a session's own claims if its access tokens can contain them.

    Raises:
        ConfigurationError: they are not JSON, are too long, or have a name that Daypass sets.
    """
    if not isinstance(claims, Mapping) or not all(isinstance(name, str) for name in claims):
        raise ConfigurationError("claims has to be a mapping of names to JSON values")
    taken = RESERVED_CLAIMS.intersection(claims)
    if taken:
        raise ConfigurationError(f"claims may not set {', '.join(sorted(taken))}, which Daypass sets")
    if not isinstance(claims.get("act", {}), Mapping):
        raise ConfigurationError("the claim act has to be a mapping, such as {'sub': '1'} (RFC 8693 §4.1)")
    amr = claims.get("amr", [])
    if not isinstance(amr, list | tuple) or not all(isinstance(each, str) for each in amr):
        raise ConfigurationError("the claim amr has to be a list of texts, such as ['pwd', 'otp'] (RFC 8176)")
    acr = claims.get("acr", "none")
    if not isinstance(acr, str) or acr.split() != [acr]:
        raise ConfigurationError("the claim acr has to be one class, as text without spaces, such as 'mfa'")
    try:
        text = json.dumps(dict(claims), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"claims has to be made of JSON values: {error}") from None
    if len(text) > MAXIMUM_CLAIMS:
        raise ConfigurationError(f"claims are too long: {len(text)} bytes as JSON, at most {MAXIMUM_CLAIMS}")
    plain: Mapping[str, Any] = json.loads(text)
    return plain


def confirmed(session: Session, amr: Sequence[str], acr: str | None, now: int) -> Session:
    """Return ``session`` as it is after its user was authenticated again, at ``now``.

    Raises:
        ConfigurationError: ``amr`` or ``acr`` is invalid.
    """
    if isinstance(amr, str) or not amr:
        raise ConfigurationError("amr has to be a list of at least one method: ['pwd'], ['hwk', 'user'] (RFC 8176)")
    extras = read_extras(session.extras)
    claims = {name: value for name, value in extras.claims.items() if name not in ("amr", "acr")}
    claims |= checked_claims({"amr": list(amr)} | ({} if acr is None else {"acr": acr}))
    return replace(session, extras=replace(extras, authenticated_at=now, claims=claims).text)
