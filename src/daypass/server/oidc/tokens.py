"""Verifies the tokens that a provider signs: ID tokens and logout tokens. Pure.

Authlib checks the claims of an ID token, joserfc the signature. What neither can know is here: which algorithms are
accepted, which key may be used with which, and what makes a logout token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.claims import JWTClaims
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from daypass.duration import MINUTE, SECOND
from daypass.errors import DaypassError
from daypass.user import MAXIMUM_SUBJECT

ALGORITHMS: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
"""The accepted algorithms, and the kind of key that each needs. ``none``, and MACs by the client's secret, are not."""

LEEWAY = 60
"""Seconds that the clocks of the provider and of this machine may differ."""

LOGOUT_AGE = 5 * MINUTE // SECOND
"""Seconds for which a logout token without ``exp`` is accepted."""

LONGEST = 16_384
"""Characters of a token."""

_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_ID_TYPES = (None, "jwt")
_LOGOUT_TYPES = (None, "jwt", "logout+jwt")
_MAXIMUM_KEYS = 100
_RSA_BITS = 2048


class TokenInvalid(DaypassError):
    """A token of the provider is refused; the message says why, and does not contain it."""


class KeyMissing(TokenInvalid):
    """The token names a key that is not among those known."""


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """What a logout token says (OpenID Connect Back-Channel Logout §2.4).

    Attributes:
        jti: its identifier.
        issued_at: seconds since the epoch, by the provider's clock.
        until: seconds since the epoch; it is not accepted any more from then on.
        subject: the user whose logins have ended; None if only ``sid`` is given.
        sid: the provider's session that has ended; None for all of the user's.
    """

    jti: str
    issued_at: int
    until: int
    subject: str | None
    sid: str | None


class ProviderKeys:
    """The public keys of a provider.

    Args:
        jwks: the JWK Set as it was fetched. Keys that cannot be used are ignored.

    Raises:
        TokenInvalid: it is not a JWK Set.
    """

    def __init__(self, jwks: object) -> None:
        listed = jwks.get("keys") if isinstance(jwks, dict) else None
        if not isinstance(listed, list) or len(listed) > _MAXIMUM_KEYS:
            raise TokenInvalid("the provider's keys are not a JWK Set")
        self._jwks = [jwk for jwk in listed if isinstance(jwk, dict) and jwk.get("use", "sig") == "sig"]

    def find(self, kid: object, algorithm: str) -> Key:
        """Return the key with a name that fits an algorithm; without a name, the only one that fits.

        Raises:
            KeyMissing: no key fits; the provider may have published it since.
        """
        fitting = [jwk for jwk in self._jwks if kid in (None, jwk.get("kid")) and _fits(jwk, algorithm)]
        keys = [key for key in map(_imported, fitting) if key is not None]
        if len(keys) != 1:
            raise KeyMissing(f"the token's key is not one of the provider's ({algorithm})")
        return keys[0]


def read_id_token(
    text: str,
    keys: ProviderKeys,
    algorithms: Sequence[str],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str | None,
    now: int,
) -> dict[str, Any]:
    """Return the claims of an ID token (OpenID Connect Core §3.1.3.7).

    Args:
        text: the token.
        keys: the provider's.
        algorithms: those that the provider says that it uses.
        issuer: the provider.
        client_id: for whom the token must be.
        nonce: of the login that it answers.
        access_token: that came with it; ``at_hash`` must fit, if there is one.
        now: seconds since the epoch.

    Raises:
        TokenInvalid: it is refused.
    """
    token = _verified(text, keys, algorithms, _ID_TYPES)
    parameters = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
    _validate(CodeIDToken(token.claims, token.header, _expected(issuer, client_id), parameters), now)
    subject = token.claims["sub"]
    if not 0 < len(subject) <= MAXIMUM_SUBJECT or not subject.isprintable():
        raise TokenInvalid("invalid claim: sub")
    return dict(token.claims)


def read_logout_token(
    text: str, keys: ProviderKeys, algorithms: Sequence[str], *, issuer: str, client_id: str, now: int
) -> LogoutToken:
    """Return what a logout token says (OpenID Connect Back-Channel Logout §2.6).

    Arguments are those of `read_id_token`.

    Raises:
        TokenInvalid: it is refused.
    """
    token = _verified(text, keys, algorithms, _LOGOUT_TYPES)
    claims = token.claims
    essential = {name: {"essential": True} for name in ("iat", "jti", "events")}
    _validate(JWTClaims(claims, token.header, _expected(issuer, client_id) | essential), now)
    events = claims["events"]
    if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT_EVENT), dict):
        raise TokenInvalid("the token does not say that it is for a logout")
    if "nonce" in claims:
        raise TokenInvalid("a logout token has no nonce: this is another token")
    subject, sid = (claims.get(name) for name in ("sub", "sid"))
    given = [value for value in (subject, sid) if value is not None]
    if not given or not all(isinstance(value, str) and value for value in given):
        raise TokenInvalid("a logout token needs sub or sid, as text")
    issued_at = int(claims["iat"])
    until = int(claims.get("exp", issued_at + LOGOUT_AGE)) + LEEWAY
    if until <= now:
        raise TokenInvalid("invalid claim: iat")
    return LogoutToken(claims["jti"], issued_at, until, subject, sid)


def _expected(issuer: str, client_id: str) -> dict[str, Any]:
    return {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}}


def _validate(claims: Any, now: int) -> None:
    try:
        claims.validate(now=now, leeway=LEEWAY)
    except JoseError as error:
        raise TokenInvalid(f"invalid claim: {getattr(error, 'claim', None) or error.error}") from None
    except (ValueError, TypeError, AttributeError):
        raise TokenInvalid("a claim has the wrong type") from None


def _verified(text: str, keys: ProviderKeys, algorithms: Sequence[str], types: Sequence[str | None]) -> jwt.Token:
    """Return a token whose signature is the provider's."""
    try:
        if len(text) > LONGEST:
            raise TokenInvalid(f"the token has more than {LONGEST} characters")
        header = jws.extract_compact(text.encode(), registry=_REGISTRY).headers()
        algorithm, kind = str(header.get("alg")), header.get("typ")
        if algorithm not in ALGORITHMS or algorithm not in algorithms:
            raise TokenInvalid("the token is signed by an algorithm that is not accepted")
        if "crit" in header or (kind.lower() if isinstance(kind, str) else kind) not in types:
            raise TokenInvalid("the token is of another kind")
        return jwt.decode(text, keys.find(header.get("kid"), algorithm), registry=_REGISTRY)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise TokenInvalid("the token's signature is not the provider's") from None


_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)


def _fits(jwk: Mapping[str, Any], algorithm: str) -> bool:
    kind, curve = ALGORITHMS[algorithm]
    return jwk.get("kty") == kind and curve in (None, jwk.get("crv")) and jwk.get("alg", algorithm) == algorithm


def _imported(jwk: Mapping[str, Any]) -> Key | None:
    """Return a key of a JWK Set, without its private members; None if it cannot be used."""
    members = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    try:
        key = import_key(members)
        bits = getattr(key.public_key, "key_size", _RSA_BITS)  # creates the key, so an invalid one raises
    except (JoseError, ValueError, TypeError):
        return None
    return None if jwk["kty"] == "RSA" and bits < _RSA_BITS else key
