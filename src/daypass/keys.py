"""Keys: the master secret, the signing keys and the refresh keys, in their published and their wrapped form.

An operator keeps only the master secret. HKDF (RFC 5869) derives from it the key that wraps all others at rest: each is
stored as an encrypted JWK (RFC 7517 §7), so the store alone cannot sign anything.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeyParameters, OctKey, OKPKey, RSAKey, import_key

from daypass.errors import ConfigurationError
from daypass.refresh_token import KEY_ID_SIZE, RefreshKey
from daypass.secret import Secret, secrets_in
from daypass.value import value

Algorithm = Literal["ES256", "Ed25519", "RS256", "HS256"]
"""The algorithms an access token may be signed with (RFC 7518 §3.1, RFC 9864 §2.2)."""

ALGORITHMS: tuple[str, ...] = get_args(Algorithm)
REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS)
TYPE = "at+jwt"
"""The type in the header of an access token (RFC 9068 §2.1)."""

REFRESH = "refresh"
"""Replaces the algorithm of keys that authenticate refresh tokens."""


@value(frozen=True, slots=True)
class MasterSecret:
    """The master secrets, newest first: the newest wraps, all of them unwrap.

    Attributes:
        refresh_key: the first refresh key of a new store: the same for all nodes with this newest secret.
        nonce_key: makes nonces.
        old_token_key: derives the sessions of old tokens. It comes from the oldest secret, so that adding a new one
            changes nothing.
    """

    refresh_key: RefreshKey
    nonce_key: bytes = field(repr=False)
    old_token_key: bytes = field(repr=False)
    _wrapping_keys: tuple[OctKey, ...] = field(repr=False)

    @classmethod
    def of(cls, secret: Secret) -> "MasterSecret":
        """Derive everything from ``secret``.

        Raises:
            ConfigurationError: there is no secret, or one is shorter than 32 bytes.
        """
        raw = secrets_in(secret)
        nonce_key, old_token_key = _derive(raw[0], "nonce", 32), _derive(raw[-1], "old tokens", 32)
        return cls(_refresh_key(raw[0]), nonce_key, old_token_key, tuple(map(_wrapping_key, raw)))

    def wrap(self, key: "SigningKey | RefreshKey") -> str:
        """Return ``key`` as a JWE under the newest secret (RFC 7516, RFC 7517 §7)."""
        wrapping = self._wrapping_keys[0]
        header = {"alg": "dir", "enc": "A256GCM", "kid": wrapping.kid, "cty": "jwk+json"}
        return jwe.encrypt_compact(header, json.dumps(_jwk(key)), wrapping)

    def wraps(self, wrapped: str) -> bool:
        """Return whether ``wrapped`` is wrapped under the newest secret."""
        return _open(wrapped, self._wrapping_keys[0]) is not None

    def unwrap(self, record: "KeyRecord") -> "SigningKey | RefreshKey":
        """Return the key in ``record``.

        Raises:
            ConfigurationError: it was wrapped under another secret.
        """
        for wrapping in self._wrapping_keys:
            if (content := _open(record.wrapped, wrapping)) is not None:
                jwk = json.loads(content)
                if record.algorithm == REFRESH:
                    key = OctKey.import_key(jwk)
                    return RefreshKey(bytes.fromhex(str(key.kid)), key.raw_value, record.used_from)
                return SigningKey(import_key(jwk), record.used_from)
        raise ConfigurationError(
            "a key in the store was wrapped under another secret; give that one too, after the new one: "
            "secret=[new, old]"
        )


@dataclass(frozen=True)
class SigningKey:
    """A key that signs access tokens; its JWK has ``kid`` and ``alg``.

    Attributes:
        key: the JWK.
        used_from: when it begins to sign, in milliseconds since the epoch.
    """

    key: Key = field(repr=False)
    used_from: int = 0

    @classmethod
    def generate(cls, algorithm: str) -> "SigningKey":
        """Make a new key for ``algorithm``; its ``kid`` is the thumbprint (RFC 7638).

        Raises:
            ConfigurationError: the algorithm is not one of `ALGORITHMS`.
        """
        parameters: KeyParameters = {"alg": algorithm, "use": "sig"}
        key: Key
        match algorithm:
            case "ES256":
                key = ECKey.generate_key("P-256", parameters)
            case "Ed25519":
                key = OKPKey.generate_key("Ed25519", parameters)
            case "RS256":
                key = RSAKey.generate_key(2048, parameters)
            case "HS256":
                key = OctKey.generate_key(256, parameters)
            case _:
                raise ConfigurationError(f"algorithm {algorithm!r} is not one of {', '.join(ALGORITHMS)}")
        key.ensure_kid()
        if str(key.kid).startswith("-"):  # a command line would take it for an option
            return cls.generate(algorithm)
        return cls(key)

    @property
    def kid(self) -> str:
        """The key's name in a token's header."""
        return str(self.key.kid)

    @property
    def algorithm(self) -> str:
        """The one algorithm that the key may be used with (RFC 8725 §3.1)."""
        return str(self.key.alg)

    @property
    def public(self) -> Mapping[str, Any] | None:
        """The key as a public JWK, None for a symmetric one, which has no public part."""
        if isinstance(self.key, OctKey):
            return None
        return self.key.as_dict(private=False)

    def sign(self, claims: bytes) -> str:
        """Return an access token: a JWS in its compact form (RFC 7515 §7.1) with these claims, which are JSON."""
        signed = self._header + base64.urlsafe_b64encode(claims).rstrip(b"=")
        signature = base64.urlsafe_b64encode(self._signature(signed, self.key)).rstrip(b"=")
        return f"{signed.decode()}.{signature.decode()}"

    @cached_property
    def _header(self) -> bytes:
        """The header of every token, encoded, with its dot; joserfc has checked it and the key."""
        header = {"typ": TYPE, "alg": self.algorithm, "kid": self.kid}
        return jws.serialize_compact(header, b"", self.key, registry=REGISTRY).encode().partition(b".")[0] + b"."

    @cached_property
    def _signature(self) -> Callable[[bytes, Any], bytes]:
        return REGISTRY.get_alg(self.algorithm).sign

    def fits(self, signed: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is this key's signature of ``signed``."""
        return self._verification(signed, signature, self.key)

    @cached_property
    def _verification(self) -> Callable[[bytes, bytes, Any], bool]:
        return REGISTRY.get_alg(self.algorithm).verify


@value(frozen=True, slots=True)
class KeyRecord:
    """A key as the store holds it.

    Attributes:
        kid: its name.
        algorithm: its algorithm; `REFRESH` for a key that authenticates refresh tokens.
        wrapped: the encrypted JWK.
        created_at: milliseconds since the epoch.
        used_from: when tokens begin to be made with it; it is published before.
    """

    kid: str
    algorithm: str
    wrapped: str = field(repr=False)
    created_at: int
    used_from: int


class KeyRing:
    """The keys in use. Of each kind, the newest whose time has come makes tokens; all of them verify.

    Args:
        signing_keys: those for access tokens, of any algorithm, newest first.
        algorithm: the algorithm that signs access tokens.
        refresh_keys: those for refresh tokens, newest first.
    """

    def __init__(
        self, signing_keys: Sequence[SigningKey], algorithm: str, refresh_keys: Sequence[RefreshKey] = ()
    ) -> None:
        self.refresh_keys = tuple(refresh_keys)
        self._by_kid = MappingProxyType({key.kid: key for key in signing_keys})
        self._signing_keys = tuple(key for key in signing_keys if key.algorithm == algorithm)

    @property
    def kids(self) -> frozenset[str]:
        """The names of the signing keys."""
        return frozenset(self._by_kid)

    @property
    def is_complete(self) -> bool:
        """Whether there is a key of each kind."""
        return bool(self._signing_keys and self.refresh_keys)

    def signing_key(self, now: int) -> SigningKey:
        """Return the key that signs at ``now``; only for a ring that is complete."""
        return in_use(self._signing_keys, now)

    def refresh_key(self, now: int) -> RefreshKey:
        """Return the key that authenticates new refresh tokens at ``now``; only for a ring that is complete."""
        return in_use(self.refresh_keys, now)

    def find(self, kid: str) -> SigningKey | None:
        """Return the signing key with that name."""
        return self._by_kid.get(kid)

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JWK Set (RFC 7517 §5)."""
        return {"keys": [dict(key.public) for key in self._by_kid.values() if key.public is not None]}


KeyT = TypeVar("KeyT", SigningKey, RefreshKey, KeyRecord)


def new_refresh_key() -> RefreshKey:
    """Return a new random key for refresh tokens."""
    return _refresh_key(OctKey.generate_key(256).raw_value)


def in_use(keys: Sequence[KeyT], now: int) -> KeyT:
    """Return the key that makes tokens at ``now``, of ``keys`` of one kind, newest first: the newest whose time has
    come.

    If clocks differ, no key's time may have come; then it is the oldest.
    """
    for key in keys:
        if key.used_from <= now:
            return key
    return keys[-1]


def _jwk(key: SigningKey | RefreshKey) -> Mapping[str, Any]:
    if isinstance(key, RefreshKey):
        return OctKey.import_key(key.mac_key, {"kid": key.id.hex()}).as_dict(private=True)
    return key.key.as_dict(private=True)


def _open(wrapped: str, wrapping: OctKey) -> bytes | None:
    try:
        return jwe.decrypt_compact(wrapped, wrapping).plaintext
    except (JoseError, ValueError):
        return None


def _derive(secret: bytes, purpose: str, size: int) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=f"daypass v1 {purpose}".encode()).derive(secret)


def _refresh_key(secret: bytes) -> RefreshKey:
    return RefreshKey(
        id=_derive(secret, "refresh key id", KEY_ID_SIZE),
        mac_key=_derive(secret, "refresh token mac", 32),
    )


def _wrapping_key(secret: bytes) -> OctKey:
    kid = _derive(secret, "wrapping key id", 8).hex()
    return OctKey.import_key(_derive(secret, "wrapping key", 32), {"kid": kid})
