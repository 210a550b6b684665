"""Device Bound Session Credentials (DBSC) on the server: challenges, registrations and proofs. No I/O.

The specification is a working draft of the W3C, and so is this: experimental.

**Challenges** are not stored: each is a time, a random part, and their MAC with what the challenge is for. One for a
registration is good for one session, for five minutes. One for a proof is good for one registration.

**A login that another site led to**, as a provider's page does: the browser then registers without cookies. The header
of the login's response has the session's id as ``authorization``, which the browser repeats. So the session is
known, and the browser gets a registration, but no token.

**A registration** is not stored either. It is what the browser calls the session's identifier: the session, how its
cookies are set, and the public key, with their MAC. The session is bound to the key by the first proof, so a
registration whose response was lost has changed nothing.

**Replay.** A challenge is accepted once in each process, and at most for half an hour. The memory is bounded, as for
DPoP.
"""

import base64
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from daypass.dpop import Once
from daypass.duration import MINUTE
from daypass.errors import ConfigurationError, ProofRejected
from daypass.proof import KnownKey, Proof, open_proof
from daypass.session_extras import KeyUse

TYPE = "dbsc+jwt"
ALGORITHMS = ("ES256", "RS256")
"""How browsers sign."""

REGISTRATION_SPAN = 5 * MINUTE
"""How long after its login a session can be registered."""

CHALLENGE_SPAN = 30 * MINUTE
"""How long a challenge for a proof is accepted."""

SHORTEST_ACCESS_TTL = 2 * MINUTE
"""Chromium makes at most six signatures for a site in nine minutes."""

LONGEST_REGISTRATION = 2048
"""Characters."""

_SKEW = MINUTE
_AT_HAND = 4096
_TIME_SIZE, _RANDOM_SIZE, _MAC_SIZE = 6, 6, 16
_CHALLENGE_SIZE = _TIME_SIZE + _RANDOM_SIZE + _MAC_SIZE
_MODES = ("Strict", "Lax")
_REGISTRATION = re.compile(
    rf"([0-9a-f]{{32}})\.({'|'.join(_MODES)})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{{22}})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Registration:
    """A browser's registration of a session: its ``session_identifier``.

    Attributes:
        text: as the browser knows it.
        session_id: the session.
        same_site: of the session's cookies.
        key: the browser's public key.
        authentic: whether this server made it. If not, it may be one made with an older secret, which is good enough
            for a session that is bound to its key already.
    """

    text: str
    session_id: str
    same_site: str
    key: KnownKey
    authentic: bool


class DeviceBound:
    """How browsers bind their sessions to a key of the device: the argument ``device_bound`` of an issuer.

    Args:
        path: where the session endpoints are mounted; for logins at your own endpoints.
        exclude: paths for which a browser need not prove its key, such as ``["/assets"]``, with all paths below them.
        algorithms: the algorithms that may sign proofs.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(
        self, *, path: str = "/auth", exclude: Sequence[str] = (), algorithms: Sequence[str] = ALGORITHMS
    ) -> None:
        if isinstance(exclude, str) or not all(_is_path(each) for each in (path, *exclude)):
            raise ConfigurationError("path and exclude of DeviceBound need paths such as '/auth' and ['/assets']")
        if isinstance(algorithms, str) or not algorithms or set(algorithms) - set(ALGORITHMS):
            raise ConfigurationError(f"algorithms of DeviceBound has to be a list of some of {', '.join(ALGORITHMS)}")
        self.path, self.exclude, self.algorithms = path.rstrip("/"), tuple(exclude), tuple(algorithms)
        self._secret = secrets.token_bytes(32)
        self._seen = Once()
        self._parsed = lru_cache(maxsize=_AT_HAND)(self._parse)

    def share_secret(self, secret: bytes) -> None:
        """Use ``secret``, so that all nodes of an issuer accept each other's challenges and registrations."""
        self._secret = secret
        self._parsed.cache_clear()

    # ---- registering

    def registration_challenge(self, session_id: str, same_site: str, now: int, entropy: bytes) -> str:
        """Return the challenge for registering a new session."""
        return self._challenge(f"register {same_site} {session_id}", now, entropy)

    def register(self, text: str, session_id: str | None, now: int) -> Registration:
        """Return the registration of a session with the key of a proof.

        Args:
            text: the proof, which contains its key.
            session_id: the session of the request's refresh token; None without one: then the proof says which
                session, and the challenge shows that its sender saw the response to the login.
            now: milliseconds since the epoch.

        Raises:
            ProofRejected: it is invalid, or its challenge was for another session, or a while ago.
        """
        proof, claims = open_proof(text, TYPE, KeyUse.DBSC, self.algorithms)
        if session_id is None:
            session_id = str(claims.get("authorization"))
        for same_site in _MODES:
            made = self._made_at(claims.get("jti"), f"register {same_site} {session_id}")
            if made is not None and -_SKEW <= now - made <= REGISTRATION_SPAN:
                return self._registration(session_id, same_site, proof)
        raise ProofRejected("the challenge of this registration is not one for this session, or has expired")

    def _registration(self, session_id: str, same_site: str, proof: Proof) -> Registration:
        key = _encoded(json.dumps(dict(proof.key.jwk), separators=(",", ":")).encode())
        stated = f"{session_id}.{same_site}.{key}"
        text = f"{stated}.{_encoded(self._mac('registration', stated.encode()))}"
        return Registration(text, session_id, same_site, _known(key), authentic=True)

    def registration(self, text: str) -> Registration | None:
        """Return the registration in a ``session_identifier``; None for any other text."""
        return self._parsed(text) if len(text) <= LONGEST_REGISTRATION else None

    def _parse(self, text: str) -> Registration | None:
        parts = _REGISTRATION.fullmatch(text)
        if parts is None:
            return None
        session_id, same_site, key, mac = parts.groups()
        try:
            known = _known(key)
        except (ValueError, ConfigurationError, RecursionError):
            return None
        expected = _encoded(self._mac("registration", f"{session_id}.{same_site}.{key}".encode()))
        return Registration(text, session_id, same_site, known, hmac.compare_digest(expected, mac))

    # ---- proving

    def challenge(self, registration: Registration, now: int, entropy: bytes) -> str:
        """Return a challenge for the next proof."""
        return self._challenge(f"prove {registration.text}", now, entropy)

    def prove(self, text: str, registration: Registration, now: int) -> Proof:
        """Return the contents of a proof by the key of a registration.

        Raises:
            ProofRejected: it is invalid, or its challenge is not one for this registration, or too old, or used.
        """
        proof, claims = open_proof(text, TYPE, KeyUse.DBSC, self.algorithms, registration.key)
        challenge = claims.get("jti")
        made = self._made_at(challenge, f"prove {registration.text}")
        if made is None or not -_SKEW <= now - made <= CHALLENGE_SPAN:
            raise ProofRejected("the challenge is not one for this session, or has expired")
        if not self._seen.add(str(challenge).encode(), made + CHALLENGE_SPAN, now):
            raise ProofRejected("the challenge was used before")
        return proof

    # ---- parts of the above

    def _challenge(self, purpose: str, now: int, entropy: bytes) -> str:
        random = hmac.digest(self._secret, b"dbsc random " + entropy, "sha256")[:_RANDOM_SIZE]
        stated = now.to_bytes(_TIME_SIZE) + random
        return _encoded(stated + self._mac(purpose, stated))

    def _made_at(self, challenge: object, purpose: str) -> int | None:
        """Return when a challenge was made; None if it was not made here, for this purpose."""
        try:
            raw = _decoded(challenge) if isinstance(challenge, str) else b""
        except ValueError:
            return None
        stated, mac = raw[:-_MAC_SIZE], raw[-_MAC_SIZE:]
        if len(raw) != _CHALLENGE_SIZE or not hmac.compare_digest(self._mac(purpose, stated), mac):
            return None
        return int.from_bytes(stated[:_TIME_SIZE])

    def _mac(self, purpose: str, stated: bytes) -> bytes:
        return hmac.digest(self._secret, f"dbsc {purpose} ".encode() + stated, "sha256")[:_MAC_SIZE]


def device_bound_of(device_bound: object, access_ttl: int) -> DeviceBound | None:
    """Return the requirements from the argument ``device_bound``: True means `DeviceBound` with its defaults.

    Raises:
        ConfigurationError: it is something else, or access tokens live too short for it.
    """
    if not isinstance(device_bound, DeviceBound):
        if type(device_bound) is not bool:
            raise ConfigurationError(f"invalid device_bound {device_bound!r}: write True, or DeviceBound(…)")
        if not device_bound:
            return None
        device_bound = DeviceBound()
    if access_ttl < SHORTEST_ACCESS_TTL:
        raise ConfigurationError("device_bound needs an access_ttl of at least 2m: browsers sign no proofs more often")
    return device_bound


def _known(key: str) -> KnownKey:
    """Return the key in a registration."""
    return KnownKey.of(json.loads(_decoded(key)), KeyUse.DBSC)


def _is_path(text: object) -> bool:
    return isinstance(text, str) and text.startswith("/") and text.isascii() and text.isprintable() and '"' not in text


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii", "strict") + b"=" * (-len(text) % 4))
