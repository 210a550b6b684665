"""Access tokens: signed JWTs by RFC 9068; their contents, and how they are issued."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from daypass import scope as scopes
from daypass.duration import SECOND
from daypass.errors import AuthenticationInsufficient, ConfigurationError, ScopeInsufficient, TokenRejected
from daypass.keys import SigningKey
from daypass.policy import Policy
from daypass.session import BEARER, DPOP, Session
from daypass.session_extras import act_part, read_extras
from daypass.user import User
from daypass.value import value

RefusalT = TypeVar("RefusalT", bound=TokenRejected | ScopeInsufficient)

MAXIMUM_LENGTH = 16_384

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The contents of a verified access token (RFC 9068 §2.2); times in milliseconds since the epoch.

    Attributes:
        subject: the user (``sub``).
        session_id: the session it was issued for (``sid``).
        client_id: the client it was issued to.
        issuer: who issued it (``iss``).
        audience: whom it is for (``aud``).
        id: its own identifier (``jti``).
        issued_at: when it was issued (``iat``).
        expires_at: when it expires (``exp``).
        auth_time: when its user was last authenticated: at the login, or at a later step-up.
        username: the user's name, if any.
        email: the user's address, if any.
        scope: what it may be used for, words with spaces between them (RFC 9068 §2.2.3); None if it has no scope.
        session_started_at: when its session was started.
        key_thumbprint: of the key that it is bound to (``cnf.jkt``, RFC 9449 §6.1): the sender must prove to have that
            key, as `daypass.dpop` checks. None for a bearer token.
        actor_session_id: the session of the person who acts as the user; when it ends, the token is refused.
    """

    subject: str
    session_id: str
    client_id: str
    issuer: str
    audience: tuple[str, ...]
    id: str
    issued_at: int
    expires_at: int
    auth_time: int
    username: str | None
    email: str | None
    scope: str | None
    session_started_at: int
    actor_session_id: str | None
    _claims: Mapping[str, Any] = field(repr=False)
    key_thumbprint: str | None = None

    @property
    def actor(self) -> str | None:
        """The subject who acts as the user, None if it is the user (``act.sub``, RFC 8693 §4.1)."""
        return act_part(self._claims, "sub")

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims of the token, including the application's own.

        They are read-only dicts and lists: ``json.dumps`` writes them, ``==`` compares them with plain ones, and
        ``copy.deepcopy(token.claims)`` can be changed.
        """
        return self._claims

    def require_authentication(self, now: int, max_age: int | None, acr: str | None = None) -> None:
        """Check that the user was authenticated recently and strongly enough (RFC 9470).

        Args:
            now: milliseconds since the epoch.
            max_age: how many milliseconds ago at most; None if that does not matter.
            acr: the accepted authentication context classes, with spaces between them; the claim ``acr`` must be one of
                them.

        Raises:
            AuthenticationInsufficient: the authentication was too old or too weak.
        """
        too_old = max_age is not None and now - self.auth_time > max_age
        if too_old or (acr is not None and self._claims.get("acr") not in acr.split()):
            raise refused_as_sent(self, AuthenticationInsufficient(None if max_age is None else max_age // SECOND, acr))

    def require(self, scope: str) -> None:
        """Check that the token may be used for every word of ``scope``.

        Raises:
            ScopeInsufficient: it may not.
        """
        if not scopes.covers(self.scope, scope):
            raise refused_as_sent(self, ScopeInsufficient(scope))


def refused_as_sent(token: AccessToken, error: RefusalT) -> RefusalT:
    """Return the refusal of a token whose challenge names the scheme that it was sent by: DPoP if it is bound."""
    error.scheme = BEARER if token.key_thumbprint is None else DPOP
    return error


@value(frozen=True, slots=True)
class Names:
    """The issuer of access tokens, their audience, and the client of sessions that name no other."""

    issuer: str
    audience: str
    client_id: str


def lifetime(policy: Policy, session: Session, now: int) -> int:
    """Return for how many seconds an access token lives: as the policy says, but not past the end of its session."""
    return max(1, min(policy.access_ttl, policy.end_of(session) - now) // SECOND)


def issue(
    key: SigningKey,
    names: Names,
    session: Session,
    user: User,
    now: int,
    expires_in: int,
    jti: str,
    scope: str | None = None,
    key_thumbprint: str | None = None,
) -> str:
    """Return a signed access token for ``user`` in ``session`` (RFC 9068 §2).

    Args:
        key: the key that signs.
        names: the issuer and the audience.
        session: the session it belongs to; its own claims are added.
        user: the user; name, address and claims are added.
        now: milliseconds since the epoch.
        expires_in: the lifetime in seconds; see `lifetime`.
        jti: a fresh random identifier.
        scope: what it may be used for; None for a token without a scope.
        key_thumbprint: of the key that it is bound to; None for a bearer token.

    Raises:
        ConfigurationError: the user's claims make it longer than any verifier would accept.
    """
    issued_at = now // SECOND
    extras = read_extras(session.extras)
    reserved = {
        "iss": names.issuer,
        "aud": names.audience,
        "sub": session.subject,
        "client_id": session.client_id,
        "iat": issued_at,
        "exp": issued_at + expires_in,
        "nbf": None,
        "jti": jti,
        "sid": session.id,
        "auth_time": (extras.authenticated_at or session.created_at) // SECOND,
        "sid_iat": session.created_at // SECOND if extras.authenticated_at else None,
        "username": user.username,
        "email": user.email,
        "scope": scope or None,
        "cnf": {"jkt": key_thumbprint} if key_thumbprint else None,
    }
    given = {**user.claims, **extras.claims} if extras.claims else user.claims
    own = {name: value for name, value in given.items() if name not in reserved}  # reserved claims always win
    claims = {name: value for name, value in reserved.items() if value is not None} | own
    text = key.sign(_encode(claims).encode())
    if len(text) > MAXIMUM_LENGTH:
        raise ConfigurationError(f"an access token of {len(text)} characters is too long: put less in a User's claims")
    return text
