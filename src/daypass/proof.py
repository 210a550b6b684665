"""Proofs that a client has a private key: signed JWTs that name their public key, and the stored form of that key.
Pure.

DPoP (RFC 9449) and DBSC have different claims but the same form: a JWS with its own type, signed with one of a few
asymmetric algorithms. `daypass.dpop` and `daypass.dbsc` check the claims.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, import_key

from daypass.errors import ConfigurationError, ProofRejected
from daypass.session_extras import BoundKey, KeyUse
from daypass.value import value

ALGORITHMS = ("ES256", "Ed25519", "ES384", "RS256", "PS256")
"""How a proof may be signed; never by a shared secret (RFC 9449 §4.3)."""

LONGEST = 8192
"""Characters of a proof."""

_KINDS: Mapping[str, tuple[str, str | None]] = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "Ed25519": ("OKP", "Ed25519"),
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
}
_MEMBERS: Mapping[str, tuple[str, ...]] = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("e", "n")}
_RSA_BITS = range(2048, 4097)
_EXPONENT_BITS = 64
"""Of an RSA key at most: a verification gets slower with each, and everyone's exponent is 65537."""

_CURVES = frozenset(curve for _, curve in _KINDS.values() if curve)
_REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS)
_TEXT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_KEYS_AT_HAND = 4096


@dataclass(frozen=True, slots=True)
class Proof:
    """The fact that the sender of a request has proven to have a key.

    Attributes:
        thumbprint: of the key (RFC 7638), in base64url.
        key: the public key, and how it was proven.
    """

    thumbprint: str
    key: BoundKey = field(hash=False)

    @classmethod
    def of(cls, jwk: object, use: KeyUse) -> "Proof":
        """Return the result of a proof by the key ``jwk``.

        Raises:
            ConfigurationError: it is not a public key that can verify a proof.
        """
        return _proof(public_key(jwk), use)


def thumbprint_of(proof: Proof | None) -> str | None:
    """Return the thumbprint of the proven key; None without one."""
    return None if proof is None else proof.thumbprint


def public_key(jwk: object) -> Key:
    """Return a public key after checking it.

    Raises:
        ConfigurationError: it is not a key, has a private part, or is too weak.
    """
    try:
        members = dict(jwk)  # type: ignore[call-overload]  # anything but a mapping is refused
        kind = members.get("kty")
        wanted = {name: members[name] for name in ("kty", *_MEMBERS[kind])}
        fits = kind != "RSA" or _fits(wanted)
        key = import_key(wanted) if fits else None
        private = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"} & members.keys()
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        raise ConfigurationError("invalid key: write a public JWK of kty EC, OKP or RSA (RFC 7517)") from None
    if private:
        raise ConfigurationError("invalid key: this JWK has a private part; only the public part may leave the client")
    if key is None or (isinstance(key, ECKey | OKPKey) and wanted["crv"] not in _CURVES):
        raise ConfigurationError(
            "invalid key: write one on P-256, P-384 or Ed25519, or of RSA with 2048 to 4096 bits and the exponent AQAB"
        )
    return key


@value(frozen=True, slots=True)
class KnownKey:
    """A public key, ready to verify proofs that do not contain it."""

    key: Key
    proof: Proof

    @classmethod
    def of(cls, jwk: object, use: KeyUse) -> "KnownKey":
        """Return the key ``jwk``.

        Raises:
            ConfigurationError: it is not a public key that can verify a proof.
        """
        key = public_key(jwk)
        return cls(key, _proof(key, use))


@value(frozen=True, slots=True)
class _Header:
    """The header of a proof, checked; clients send the same one each time."""

    algorithm: str
    verify: Callable[[bytes, bytes, Any], bool]
    type: str
    signer: KnownKey | None


@lru_cache(maxsize=_KEYS_AT_HAND)
def _header(segment: str, use: KeyUse) -> _Header:
    header = json.loads(_decoded(segment).decode())
    if "crit" in header:
        raise ProofRejected("a proof with a critical header that is not known here")
    signer = KnownKey.of(header["jwk"], use) if "jwk" in header else None
    kind, algorithm = str(header["typ"]).lower().removeprefix("application/"), str(header["alg"])
    if signer is not None:
        _require_kind(signer, algorithm)
    return _Header(algorithm, _REGISTRY.get_alg(algorithm).verify, kind, signer)


def open_proof(
    text: str, kind: str, use: KeyUse, algorithms: Sequence[str] = ALGORITHMS, known: KnownKey | None = None
) -> tuple[Proof, Mapping[str, Any]]:
    """Return the key of a proof, and its claims, unchecked.

    Args:
        text: as the client sent it.
        kind: the type that its header must name.
        use: the protocol.
        algorithms: the allowed algorithms.
        known: the key that it has to be by; None if it contains its own.

    Raises:
        ProofRejected: it is not such a proof, or its signature is wrong.
    """
    parts = _TEXT.fullmatch(text) if type(text) is str and len(text) <= LONGEST else None
    if parts is None:
        raise ProofRejected("the proof is not a signed JWT")
    try:
        header = _header(parts[1], use)
        signer = known or header.signer
        if signer is None:
            raise ProofRejected("the proof does not have its public key in jwk")
        if header.type != kind or header.algorithm not in algorithms:
            raise ProofRejected(
                f"the proof has to have the type {kind} and one of the algorithms {', '.join(algorithms)}"
            )
        if known is not None:
            _require_kind(known, header.algorithm)
        signed = text.rpartition(".")[0].encode()
        if not header.verify(signed, _decoded(parts[3]), signer.key):
            raise ProofRejected("the signature of the proof does not fit")
        claims = json.loads(_decoded(parts[2]).decode())
    except (JoseError, ConfigurationError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ProofRejected("the proof is not a signed JWT with a public key") from None
    if not isinstance(claims, dict):
        raise ProofRejected("the claims of the proof are not a JSON object")
    return signer.proof, claims


def _fits(rsa: Mapping[str, str]) -> bool:
    """Return whether an RSA key is neither weak nor slow; this is known before any library works with it."""
    modulus, exponent = (int.from_bytes(_decoded(rsa[name])).bit_length() for name in ("n", "e"))
    return modulus in _RSA_BITS and exponent <= _EXPONENT_BITS


def _proof(key: Key, use: KeyUse) -> Proof:
    members: Mapping[str, Any] = key.as_dict(private=False)
    kept = {name: str(members[name]) for name in sorted(("kty", *_MEMBERS[key.key_type]))}
    return Proof(key.thumbprint(), BoundKey(use, kept))


def _require_kind(signer: KnownKey, algorithm: str) -> None:
    """Refuse a key of the wrong kind for its algorithm (RFC 8725 §3.1)."""
    kind, curve = _KINDS[algorithm]
    jwk = signer.proof.key.jwk
    if jwk["kty"] != kind or (curve is not None and jwk["crv"] != curve):
        raise ProofRejected("the proof's key is not of the kind that its algorithm is for")


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
