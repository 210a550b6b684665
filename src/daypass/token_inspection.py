"""Explains a token to an operator: what it is, whose, and whether and why it is valid. It never shows usable secrets.

A refresh token is judged by the rotation rule without being presented: nothing in the store changes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from daypass import refresh_token, secret_file
from daypass.access_token import MAXIMUM_LENGTH
from daypass.clock import iso_time
from daypass.duration import SECOND
from daypass.errors import TokenMalformed
from daypass.flows import bindings
from daypass.keys import REFRESH, REGISTRY, TYPE, KeyRecord, MasterSecret, SigningKey
from daypass.refresh_token import RefreshKey
from daypass.rotation import Relation, relate
from daypass.secret import Secret
from daypass.session import Session
from daypass.store_steps import Find, ReadKeys
from daypass.stores import Store

_SHOWN_CLAIMS = ("iss", "aud", "sub", "client_id", "username", "email", "scope", "acr", "amr", "act")
_TIMES = {"iat": "issued_at", "exp": "expires_at", "auth_time": "authenticated_at"}
_PLACES = {
    Relation.SUCCESSOR: "the newest: the next refresh presents it",
    Relation.SAME: "presented last: within the grace period it gets the same answer again",
    Relation.FUTURE: "newer than the store: the store was restored from a backup, or lost a write",
    Relation.PAST: "replaced: within the grace period it is answered with token_stale, later it revokes the session",
    Relation.LONG_PAST: "replaced long ago: it revokes the session",
}
_OF_CLIENT = "dpc_"


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of inspecting a token.

    Attributes:
        kind: the kind of token.
        valid: whether it is accepted now; None if that was not, or cannot be, checked.
        reason: why it is refused, or what could not be checked.
        facts: the token's contents; no part of it can be used to log in.
    """

    kind: str
    valid: bool | None = None
    reason: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Return all of it, for printing."""
        return {"kind": self.kind, "valid": self.valid, "reason": self.reason, **self.facts}


def read(text: str, now: int) -> Inspection:
    """Explain a token without a store: signatures, keys and sessions are not checked."""
    return _explain(text, now, None, None)


def inspect(text: str, now: int, store: Store, secret: Secret | None) -> Inspection:
    """Explain a token, checked against a store.

    Args:
        text: the token.
        now: milliseconds since the epoch.
        store: the store of the service.
        secret: the secret of the service; None for the one beside an embedded store, if it exists.

    Raises:
        ConfigurationError: the secret is not the one that wraps the keys in the store.
        StoreError: the store cannot be used now.
    """
    path = getattr(store, "path", None)
    beside = None if path is None else path.with_name(f"{path.name}.secret")
    if secret is None and beside is not None and beside.exists():
        secret = secret_file.read(beside)
    return _explain(text, now, store, None if secret is None else MasterSecret.of(secret))


def _explain(text: str, now: int, store: Store | None, master: MasterSecret | None) -> Inspection:
    if text.startswith(refresh_token.PREFIX):
        return _refresh(text, now, store, master)
    if text.startswith(_OF_CLIENT):
        return Inspection("secret of an OAuth client", None, "it is not a token; replace it if others have seen it")
    if text.count(".") == 2 and len(text) <= MAXIMUM_LENGTH:
        return _signed(text, now, store, master)
    return _refused("unknown", "this is neither an access token nor a refresh token of Daypass")


# ---- refresh tokens


def _refresh(text: str, now: int, store: Store | None, master: MasterSecret | None) -> Inspection:
    kind = "refresh token"
    try:
        key_id, token = refresh_token.unverified(text)
    except TokenMalformed:
        return _refused(kind, "it is damaged: cut off, or changed")
    facts: dict[str, Any] = {"session": token.session_id, "generation": token.generation, "key": key_id}
    if store is None:
        return Inspection(kind, None, "it was read, not checked", facts)
    session = store.perform(Find(token.session_id))
    facts |= _facts_of(session)
    record = next((each for each in store.perform(ReadKeys()) if each.kid == key_id), None)
    if record is None:
        return _refused(kind, "it was made with a key that is not in the store", facts)
    if master is not None and not _is_authentic(text, record, master, session):
        return _refused(kind, "its signature does not fit: it is forged or damaged", facts)
    refusal = _refusal_of(session, now)
    if session is None or refusal is not None:
        return _refused(kind, refusal, facts)
    relation = relate(session, token)
    facts["position"] = _PLACES[relation]
    if relation in (Relation.PAST, Relation.LONG_PAST):
        return _refused(kind, "a newer refresh token of this session has been used", facts)
    if master is None:
        return Inspection(kind, None, "its signature was not checked: give the secret (DAYPASS_SECRET)", facts)
    return Inspection(kind, valid=True, facts=facts)


def _is_authentic(text: str, record: KeyRecord, master: MasterSecret, session: Session | None) -> bool:
    key = master.unwrap(record)
    if not isinstance(key, RefreshKey):
        return False
    if session is None:  # the client that it is bound to is unknown
        return True
    for client in bindings(session.client_id):
        try:
            refresh_token.decode(text, [key], client)
        except TokenMalformed:
            continue
        return True
    return False


# ---- access tokens


def _signed(text: str, now: int, store: Store | None, master: MasterSecret | None) -> Inspection:
    try:
        signed = jws.extract_compact(text.encode("ascii"), registry=REGISTRY)
        header, claims = signed.headers(), json.loads(signed.payload.decode())
        facts = _claims(claims) | {"algorithm": str(header.get("alg")), "key": str(header.get("kid"))}
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return _refused("unknown", "this is not a JSON Web Token")
    if str(header.get("typ")).lower().removeprefix("application/") != TYPE:
        return _refused("JSON Web Token", "it is no access token (RFC 9068): its typ is not at+jwt", facts)
    kind = "access token"
    if type(claims.get("exp")) is not int or not isinstance(claims.get("sid"), str):
        return _refused(kind, "it lacks a required claim", facts)
    expired = f"it expired at {facts['expires_at']}" if now >= claims["exp"] * SECOND else None
    if store is None:
        return Inspection(
            kind, valid=False if expired else None, reason=expired or "it was read, not checked", facts=facts
        )
    session = store.perform(Find(claims["sid"]))
    record = next((each for each in store.perform(ReadKeys()) if each.kid == header.get("kid")), None)
    if record is None or record.algorithm == REFRESH:
        return _refused(kind, "it was signed with a key that is not in the store", facts)
    if master is not None:
        key = master.unwrap(record)
        fits = isinstance(key, SigningKey) and header.get("alg") == key.algorithm
        if not fits or not jws.validate_compact(signed, key.key, registry=REGISTRY):  # type: ignore[union-attr]
            return _refused(kind, "its signature does not fit: it is forged or damaged", facts)
    refusal = expired or _refusal_of(session, now)
    if refusal is not None:
        return _refused(kind, refusal, facts)
    if master is None:
        return Inspection(kind, None, "its signature was not checked: give the secret (DAYPASS_SECRET)", facts)
    return Inspection(kind, valid=True, facts=facts)


def _claims(claims: dict[str, Any]) -> dict[str, Any]:
    found = {name: claims[name] for name in _SHOWN_CLAIMS if name in claims}
    found["session"] = claims.get("sid")
    for name, called in _TIMES.items():
        if type(claims.get(name)) is int:
            found[called] = iso_time(claims[name] * SECOND)
    return found


# ---- shared by both


def _facts_of(session: Session | None) -> dict[str, Any]:
    if session is None:
        return {}
    device = session.device
    return {
        "subject": session.subject,
        "client_id": session.client_id,
        "scope": session.scope,
        "created_at": iso_time(session.created_at),
        "last_used_at": iso_time(session.last_used_at),
        "session_expires_at": iso_time(session.expires_at),
        "device": device.name or device.user_agent,
        "address": device.address,
    }


def _refusal_of(session: Session | None, now: int) -> str | None:
    if session is None:
        return "its session is not in the store: it is over and was removed, or this is another store"
    if session.ended_at is not None:
        return f"its session was ended at {iso_time(session.ended_at)} ({session.end_reason})"
    return f"its session expired at {iso_time(session.expires_at)}" if now >= session.expires_at else None


def _refused(kind: str, reason: str | None, facts: Mapping[str, Any] | None = None) -> Inspection:
    return Inspection(kind, valid=False, reason=reason, facts=facts or {})
