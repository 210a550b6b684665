"""Checks access tokens by the keys in memory, and caches the tokens that it has verified.

A verifier accepts only what it expects: one of the known keys, that key's one algorithm, the type ``at+jwt``, this
issuer and this audience (RFC 8725 §3). A verified token is cached until it expires, so checking it again costs one
look-up; its expiry and the end of its session are checked each time.
"""

import base64
import json
import threading
from collections.abc import Callable
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from daypass.access_token import MAXIMUM_LENGTH, AccessToken, Names
from daypass.duration import SECOND
from daypass.errors import KeyUnknown, SessionRevoked, TokenExpired, TokenMalformed
from daypass.keys import REGISTRY, TYPE, SigningKey
from daypass.read_only import read_only
from daypass.session_extras import act_part
from daypass.watch_list import Watched, WatchList

_read = json.JSONDecoder().decode

_CROWD = 1024
_HEADERS = 64
"""Headers that are remembered, with their keys."""
_BEGINNING = "eyJ"
"""How every header begins that is issued here: a JSON object in UTF-8, and not in UTF-16 or UTF-32 (RFC 8725 §3.7)."""


class Verifier:
    """Checks access tokens, and caches the tokens that it has verified.

    Args:
        names: the issuer and the audience a token must have.
        find_key: returns the signing key with an id, or None.
        leeway: milliseconds that clocks may differ by; a token is valid that much longer.
        access_ttl: for how many milliseconds a token is valid at most, whatever its ``exp``; None leaves it to ``exp``.
        cache_size: how many verified tokens are cached at most.

    Attributes:
        pruned_at: the latest time for which ended sessions were forgotten. If the clock was ahead and has been set
            back, they must be read again.
    """

    def __init__(
        self,
        names: Names,
        find_key: Callable[[str], SigningKey | None],
        *,
        leeway: int = 0,
        access_ttl: int | None = None,
        cache_size: int = 10_000,
    ) -> None:
        self._names = names
        self._find_key = find_key
        self._leeway = leeway
        self._access_ttl = access_ttl
        self._cache_size = cache_size
        self._verified: dict[str, AccessToken] = {}
        self._headers: dict[str, str] = {}
        self._ended: dict[str | None, int] = {}
        self._everyone_at = 0
        self.pruned_at = 0
        self._crowded = _CROWD
        self._epoch = 0
        self._writing = threading.Lock()
        self._connections = WatchList(leeway)

    def check(self, text: str, now: int) -> AccessToken:
        """Return what the access token in ``text`` says.

        Raises:
            TokenMalformed: it is not an access token of this issuer for this audience.
            TokenExpired: it has expired.
            SessionRevoked: its session was ended, as far as this verifier knows.
        """
        try:
            token = self._verified.get(text)
        except TypeError:  # not hashable, so it cannot be looked up
            raise TokenMalformed(f"an access token is text, not {type(text).__name__}") from None
        if token is None:
            token = self._verify(text)
        if now >= token.expires_at + self._leeway:
            with self._writing:
                self._verified.pop(text, None)
            raise TokenExpired("the access token has expired")
        if token.session_id in self._ended or token.actor_session_id in self._ended:
            raise SessionRevoked("the access token's session has ended")
        return token

    def check_old(self, token: AccessToken, now: int) -> AccessToken:
        """Return an access token that another library has verified, unless it has expired or its session has ended.

        Raises:
            TokenExpired: it has expired.
            SessionRevoked: its session was ended, as far as this verifier knows.
        """
        if now >= token.expires_at + self._leeway:
            raise TokenExpired("the access token has expired")
        if token.session_id in self._ended or token.session_started_at <= self._everyone_at:
            raise SessionRevoked("the access token's session has ended")
        return token

    def watch(self, watched: Watched) -> None:
        """End a connection when its session ends; at once if it has ended since the access token was checked."""
        self._connections.add(watched)
        for session_id in (watched.token.session_id, watched.token.actor_session_id):
            if session_id is not None and session_id in self._ended:
                self._connections.end_session(session_id)
        if watched.token.session_started_at <= self._everyone_at:
            self._connections.end_everyone(self._everyone_at)

    def watch_anew(self) -> WatchList:
        """Forget the watched connections, as after a fork; return the new list of them."""
        self._connections = WatchList(self._leeway)
        return self._connections

    def end(self, session_id: str, now: int, until: int) -> None:
        """Refuse the access tokens of a session from now on; at ``until`` the last of them has expired."""
        with self._writing:
            self._ended[session_id] = until
            if len(self._ended) >= self._crowded:
                self._prune(now)
        self._connections.end_session(session_id)

    def end_everyone(self, at: int) -> None:
        """Refuse the access tokens of all sessions that began at ``at`` or before."""
        if at > self._everyone_at:
            self._everyone_at = at
            self.forget()
            self._connections.end_everyone(at)

    def forget_endings(self, now: int) -> None:
        """Forget the ended sessions whose access tokens have all expired at ``now``."""
        with self._writing:
            self._prune(now)

    def _prune(self, now: int) -> None:
        self.pruned_at = max(self.pruned_at, now)
        self._ended = {ended: until for ended, until in self._ended.items() if until > now}
        self._crowded = max(_CROWD, 2 * len(self._ended))

    def forget(self) -> None:
        """Forget the cached tokens, so that each is verified again: the keys have changed."""
        with self._writing:
            self._verified.clear()
            self._headers.clear()
            self._epoch += 1

    def _verify(self, text: str) -> AccessToken:
        epoch = self._epoch
        token = self._judge(self._open(text))
        if token.session_started_at <= self._everyone_at:
            raise SessionRevoked("the sessions of all users were ended")
        with self._writing:
            while self._verified and len(self._verified) >= self._cache_size:
                del self._verified[next(iter(self._verified))]
            if self._cache_size > 0 and epoch == self._epoch:  # otherwise the keys changed meanwhile
                self._verified[text] = token
        return token

    def _open(self, text: str) -> dict[str, Any]:
        """Return the claims of a token after checking signature, key, algorithm and type."""
        if type(text) is not str:
            raise TokenMalformed(f"an access token is text, not {type(text).__name__}")
        if len(text) > MAXIMUM_LENGTH:
            raise TokenMalformed("too long for an access token")
        if not text.startswith(_BEGINNING):
            raise TokenMalformed("not an access token")
        try:
            kid = self._headers.get(text.partition(".")[0])
            key = None if kid is None else self._find_key(kid)
            payload = self._payload(text) if key is None else _payload(text, key)
            claims = _read(payload.decode())  # never UTF-16 or UTF-32 (RFC 8725 §3.7)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise TokenMalformed("not an access token") from None
        if not isinstance(claims, dict):
            raise TokenMalformed("not an access token")
        return claims

    def _payload(self, text: str) -> bytes:
        """Return the payload of a token after checking its header and its signature; remember the header.

        All tokens of one key have the same header, so that it is parsed once for each key.
        """
        signed = jws.extract_compact(text.encode("ascii"), registry=REGISTRY)
        header = signed.headers()
        key = self._find_key(header["kid"]) if isinstance(header.get("kid"), str) else None
        if key is None:
            raise KeyUnknown("signed with a key that this issuer does not have")
        if header.get("alg") != key.algorithm:
            raise TokenMalformed("signed in another way than this issuer signs")
        if "crit" in header or str(header.get("typ")).lower().removeprefix("application/") != TYPE:
            raise TokenMalformed("a signed token, but no access token")  # RFC 9068 §4, RFC 7515 §4.1.11
        if not jws.validate_compact(signed, key.key, registry=REGISTRY):
            raise TokenMalformed("the signature does not fit")
        if len(self._headers) < _HEADERS:
            self._headers[text.partition(".")[0]] = header["kid"]
        return signed.payload

    def _judge(self, claims: dict[str, Any]) -> AccessToken:
        """Return the token with these claims, if they are ours and complete (RFC 9068 §2.2, §4)."""
        audience = claims.get("aud")
        audiences = (audience,) if type(audience) is str else _texts(audience)
        if claims.get("iss") != self._names.issuer or self._names.audience not in audiences:
            raise TokenMalformed("an access token of another issuer or for another audience")
        if {type(claims.get(name)) for name in ("sub", "client_id", "jti", "sid")} != {str}:
            raise TokenMalformed("an access token without a required claim")
        if "nbf" in claims:  # Daypass never sets it, but must obey it (RFC 7519 §4.1.5)
            raise TokenMalformed("an access token with a claim that this issuer does not set")
        auth_time = claims.get("auth_time")
        times: list[Any] = [claims.get("iat"), claims.get("exp"), auth_time, claims.get("sid_iat", auth_time)]
        if set(map(type, times)) != {int} or min(times) < 0 or max(times) >= 2**53:
            raise TokenMalformed("an access token without a required time")
        if not isinstance(claims.get("scope", ""), str):
            raise TokenMalformed("an access token whose scope is not text")
        issued_at, expires_at, auth_time, started_at = [time * SECOND for time in times]
        return AccessToken(
            subject=claims["sub"],
            session_id=claims["sid"],
            client_id=claims["client_id"],
            issuer=self._names.issuer,
            audience=audiences,
            id=claims["jti"],
            issued_at=issued_at,
            expires_at=expires_at if self._access_ttl is None else min(expires_at, issued_at + self._access_ttl),
            auth_time=auth_time,
            username=claims.get("username"),
            email=claims.get("email"),
            scope=claims.get("scope"),
            session_started_at=started_at,
            actor_session_id=act_part(claims, "sid"),
            _claims=read_only(claims),
            key_thumbprint=_key_thumbprint(claims),
        )


def _payload(text: str, key: SigningKey) -> bytes:
    """Return the payload of a token whose header is known, after checking the signature."""
    signed, _, signature = text.encode("ascii").rpartition(b".")
    if not key.fits(signed, urlsafe_b64decode(signature)):
        raise TokenMalformed("the signature does not fit")
    return base64.urlsafe_b64decode(signed.partition(b".")[2] + b"==")  # as its key has signed it


def _texts(audience: object) -> tuple[str, ...]:
    """Return the audiences of a token that has not exactly one."""
    audiences = tuple(audience) if isinstance(audience, list) else ()
    if not all(isinstance(each, str) for each in audiences):
        raise TokenMalformed("an access token whose audience is not text")
    return audiences


def _key_thumbprint(claims: dict[str, Any]) -> str | None:
    """Return the thumbprint in the claim ``cnf`` (RFC 9449 §6.1); refuse a token that is bound in another way."""
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    thumbprint = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    if not isinstance(thumbprint, str) or not thumbprint:
        raise TokenMalformed("an access token that is bound in a way that is not known here")
    return thumbprint
