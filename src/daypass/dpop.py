"""DPoP (RFC 9449) on the server: checks proofs, accepts each only once, and issues nonces. No I/O.

`DPoP.read` checks a proof, `DPoP.use` remembers it, and `DPoP.accept` does both.

**Time.** A proof's ``iat`` may differ from the server's clock by ``max_age``. A client whose clock is wrong is not
locked out: it gets a nonce (``use_dpop_nonce``), and then the nonce shows how old the proof is (RFC 9449 §11.1).

**Nonces** are not stored: each is a MAC of the time under a key that the nodes of one issuer share.

**Replay.** An accepted proof is remembered until it would be too old, by default in the memory of this process. So a
proof is accepted once *in each process*: with n processes behind one address, an intercepted proof may be accepted up
to n times, for the same method, URL and token, until it is too old. The memory is bounded; when it is full, the oldest
proofs are forgotten first. Logins have a separate memory, so strangers cannot push out the proofs of users who are
logged in. With a store, a proof is accepted once by all processes: each proof is one conditional write.
"""

import base64
import hashlib
import hmac
import inspect
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from daypass.duration import MINUTE, SECOND, Duration, milliseconds
from daypass.errors import ConfigurationError, NonceRequired, ProofRejected
from daypass.flow import Flow
from daypass.operator_steps import AddMarkOnce, AsyncOperatorStore, InStore, OperatorStore
from daypass.proof import ALGORITHMS, Proof, open_proof
from daypass.session_extras import KeyUse
from daypass.value import value

ReplayCache = Literal["memory", "store"] | OperatorStore | AsyncOperatorStore
"""Where used proofs are remembered."""

TYPE = "dpop+jwt"
NONCE_SPAN = 5 * MINUTE
"""How long a nonce is accepted at least; at most twice as long."""

MOST_REMEMBERED = 100_000
SHORTEST_SECRET = 32
_KEPT_LONGER = MINUTE
"""How much longer a store keeps a proof, because the clocks of nodes differ."""

_LONGEST_JTI = 512
_SLOT_SIZE = 6
_MAC_SIZE = 12
_PORTS = {"https": 443, "http": 80}


@value(frozen=True, slots=True)
class UnusedProof:
    """A proof that is valid for its request, and must be used up before anything is done.

    Attributes:
        proof: the key that signed it.
        digest: of the thumbprint of the key and the proof's ``jti``.
        until: when it becomes too old, in milliseconds since the epoch.
    """

    proof: Proof
    digest: bytes
    until: int


class DPoP:
    """What a server requires of DPoP proofs: the argument ``dpop`` of an issuer or a remote verifier.

    Args:
        max_age: how far the time in a proof may differ from the server's.
        require_nonce: whether each proof needs a nonce of the server, so that no proof can be made in advance.
        algorithms: the algorithms that may sign proofs.
        secret: the secret for nonces, for verifiers that share an address; an issuer derives it from its own secret.
        replay_cache: where used proofs are remembered. ``"memory"``: each process refuses the proofs that it has
            accepted itself. ``"store"``: all nodes on the issuer's store accept a proof once; each proof is one write.
            Or another store, such as ``open_store("redis://…")``, which a remote verifier needs for that.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(
        self,
        *,
        max_age: Duration = "60s",
        require_nonce: bool = False,
        algorithms: Sequence[str] = ALGORITHMS,
        secret: bytes | None = None,
        replay_cache: ReplayCache = "memory",
    ) -> None:
        self.max_age = milliseconds(max_age)
        if not SECOND <= self.max_age <= NONCE_SPAN:
            raise ConfigurationError("max_age of a DPoP proof has to be from one second to five minutes")
        unknown = set(algorithms) - set(ALGORITHMS)
        if unknown or not algorithms or isinstance(algorithms, str):
            raise ConfigurationError(f"algorithms of DPoP has to be a list of some of {', '.join(ALGORITHMS)}")
        if secret is not None and (type(secret) is not bytes or len(secret) < SHORTEST_SECRET):
            raise ConfigurationError("secret of DPoP has to be at least 32 random bytes")
        if replay_cache not in ("memory", "store") and not hasattr(replay_cache, "perform_operator"):
            raise ConfigurationError(
                f"invalid replay_cache {_shown(replay_cache)}: write 'memory', 'store', or a store: open_store('redis://…')"
            )
        self.replay_cache = replay_cache
        self.require_nonce = require_nonce
        self.algorithms = tuple(algorithms)
        self.nonces = Nonces(secret or secrets.token_bytes(32))
        self._own_secret = secret is not None
        self._known, self._strangers = Once(), Once()

    def share_nonces(self, secret: bytes) -> None:
        """Make nonces with ``secret``, unless one was given, so that all nodes of an issuer accept each other's."""
        if not self._own_secret:
            self.nonces = Nonces(secret)

    def check(
        self,
        text: str,
        method: str,
        url: str,
        now: int,
        *,
        access_token: str | None = None,
        key_thumbprint: str | None = None,
        stranger: bool = False,
    ) -> Proof:
        """Return what `accept` returns, where used proofs are remembered in memory.

        Raises:
            ProofRejected, NonceRequired: as for `read` and `use`.
            ConfigurationError: they are remembered in a store.
        """
        if self.replay_cache != "memory":
            raise ConfigurationError("proofs are remembered in a store: write auth.run(auth.dpop.accept(…))")
        unused = self.read(text, method, url, now, access_token=access_token, key_thumbprint=key_thumbprint)
        return self._use_here(unused, now, stranger=stranger)

    def accept(
        self,
        text: str,
        method: str,
        url: str,
        now: int,
        *,
        access_token: str | None = None,
        key_thumbprint: str | None = None,
    ) -> Flow[Proof]:
        """Check a proof, use it up, and return its key; for the arguments and errors see `read` and `use`."""
        unused = self.read(text, method, url, now, access_token=access_token, key_thumbprint=key_thumbprint)
        return (yield from self.use(unused, now))

    def use(self, unused: UnusedProof, now: int, *, stranger: bool = False) -> Flow[Proof]:
        """Remember a proof, so that it is not accepted again, and return its key.

        Args:
            unused: the proof, as `read` returned it.
            now: milliseconds since the epoch.
            stranger: whether the sender is still unknown, as at a login.

        Raises:
            ProofRejected: it was used before.
            StoreError: whether it was is not known.
        """
        if self.replay_cache == "memory":
            return self._use_here(unused, now, stranger=stranger)
        key, until = unused.digest.hex(), unused.until + _KEPT_LONGER
        step = AddMarkOnce(key, secrets.token_hex(8), until, now)
        added = yield from (step if self.replay_cache == "store" else InStore(self.replay_cache, step))
        return _used(unused, is_new=added)

    def _use_here(self, unused: UnusedProof, now: int, *, stranger: bool) -> Proof:
        """Remember a proof in the memory of this process."""
        once = self._strangers if stranger else self._known
        return _used(unused, is_new=once.add(unused.digest, unused.until, now))

    def read(
        self,
        text: str,
        method: str,
        url: str,
        now: int,
        *,
        access_token: str | None = None,
        key_thumbprint: str | None = None,
    ) -> UnusedProof:
        """Return a proof that is valid for this request (RFC 9449 §4.3), except that it may have been used before.

        Args:
            text: the ``DPoP`` header.
            method: the method of the request.
            url: the URL of the request, as the client wrote it; query and fragment are ignored.
            now: milliseconds since the epoch.
            access_token: the request's access token, for a resource request.
            key_thumbprint: of the key that this token is bound to.

        Raises:
            ProofRejected: it is invalid.
            NonceRequired: it needs a nonce, such as `nonces` issues.
        """
        proof, claims = open_proof(text, TYPE, KeyUse.DPOP, self.algorithms)
        if key_thumbprint is not None and proof.thumbprint != key_thumbprint:
            raise ProofRejected("the proof is by another key than the access token is bound to")
        if claims.get("htm") != method or not _is_same_url(claims.get("htu"), url):
            raise ProofRejected("the proof is for another request: its htm and htu are not this method and URL")
        if access_token is not None and claims.get("ath") != token_hash(access_token):
            raise ProofRejected("the proof is for another access token: its ath is not that of this one")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI:
            raise ProofRejected("the proof has no jti")
        digest = hashlib.sha256(f"{proof.thumbprint} {jti}".encode()).digest()[:16]
        return UnusedProof(proof, digest, self._good_until(claims, now))

    def _good_until(self, claims: Mapping[str, Any], now: int) -> int:
        """Return when a proof becomes too old, by its nonce or otherwise by its own time."""
        issued_at = claims.get("iat")
        if isinstance(issued_at, bool) or not isinstance(issued_at, int | float) or not 0 <= issued_at < 2**40:
            raise ProofRejected("the proof has no iat")
        until = self.nonces.good_until(claims.get("nonce"), now)
        if until is not None:
            return until
        if self.require_nonce:
            raise NonceRequired("the proof needs the nonce that this response has", self.nonces.at(now))
        if abs(issued_at * SECOND - now) > self.max_age:
            raise NonceRequired(
                "the time in the proof is not the server's: use the nonce of this response", self.nonces.at(now)
            )
        return int(issued_at * SECOND) + self.max_age


def dpop_of(dpop: object) -> DPoP | None:
    """Return the requirements from the argument ``dpop``: True means `DPoP` with its defaults, False none.

    Raises:
        ConfigurationError: it is something else.
    """
    if isinstance(dpop, DPoP):
        return dpop
    if type(dpop) is not bool:
        raise ConfigurationError(f"invalid dpop {dpop!r}: write True, or DPoP(…) with its options")
    return DPoP() if dpop else None


def _used(unused: UnusedProof, *, is_new: bool) -> Proof:
    if not is_new:
        raise ProofRejected("the proof was used before")
    return unused.proof


def _shown(given: object) -> str:
    return repr(given) if isinstance(given, str | int | None) else type(given).__name__


def require_replay_cache(dpop: DPoP | None, own_store: object, *, awaits: bool) -> None:
    """Check that an issuer with this store, or a verifier, which has none, can use the replay cache of ``dpop``.

    Args:
        dpop: the requirements for proofs; None if they are not used.
        own_store: the issuer's store, or None.
        awaits: whether stores are async.

    Raises:
        ConfigurationError: it cannot; the message says what to write instead.
    """
    if dpop is None or dpop.replay_cache == "memory":
        return
    store = own_store if dpop.replay_cache == "store" else dpop.replay_cache
    if store is None:
        raise ConfigurationError("replay_cache='store' needs an issuer: write replay_cache=open_store('redis://…')")
    perform = getattr(store, "perform_operator", None)
    if perform is None:
        raise ConfigurationError(f"{type(store).__name__} keeps no marks: write replay_cache='memory'")
    if inspect.iscoroutinefunction(perform) is not awaits:
        needed = "open_async_store" if awaits else "open_store"
        raise ConfigurationError(f"replay_cache needs another store than {type(store).__name__}: use {needed}")


class Nonces:
    """Nonces that need no memory: each is a time slot and its MAC.

    Args:
        secret: nodes with the same secret make and accept the same nonces.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def at(self, now: int) -> str:
        """Return the nonce to use now."""
        return self._of(now // NONCE_SPAN)

    def good_until(self, nonce: object, now: int) -> int | None:
        """Return how long ``nonce`` is accepted; None if it is not accepted now."""
        current = now // NONCE_SPAN
        for slot in (current, current - 1, current + 1):  # the clock of the node that issued it may be ahead
            if isinstance(nonce, str) and hmac.compare_digest(self._of(slot).encode(), nonce.encode(errors="replace")):
                return (slot + 2) * NONCE_SPAN
        return None

    def _of(self, slot: int) -> str:
        when = slot.to_bytes(_SLOT_SIZE, "big")
        mac = hmac.digest(self._secret, b"dpop nonce" + when, "sha256")[:_MAC_SIZE]
        return base64.urlsafe_b64encode(when + mac).decode()


class Once:
    """A bounded memory of what was seen, each entry until its time; threads may share it."""

    def __init__(self, size: int = MOST_REMEMBERED) -> None:
        self._size = size
        self._seen: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def add(self, what: bytes, until: int, now: int) -> bool:
        """Remember ``what``; return False if it is there already."""
        with self._lock:
            if self._seen.get(what, 0) > now:
                return False
            self._seen.pop(what, None)
            for oldest in [*self._first(2)]:
                if self._seen[oldest] <= now or len(self._seen) >= self._size:
                    del self._seen[oldest]
            self._seen[what] = until
        return True

    def _first(self, count: int) -> list[bytes]:
        return [what for what, _ in zip(self._seen, range(count), strict=False)]


def token_hash(access_token: str) -> str:
    """Return the claim ``ath`` for an access token (RFC 9449 §4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).decode().rstrip("=")


def _is_same_url(claimed: object, url: str) -> bool:
    if claimed == url:
        return True
    try:
        return isinstance(claimed, str) and _normal(claimed) == _normal(url)
    except ValueError:
        return False


def _normal(url: str) -> tuple[str, str, int | None, str]:
    """Return the common form of all spellings of a URL, without query and fragment (RFC 9449 §4.3, RFC 3986 §6)."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a URL of a request has no user")
    port = parts.port or _PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port, unquote(parts.path or "/")
