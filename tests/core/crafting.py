"""Access tokens made by hand: right ones, and what an attacker would make of them."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from joserfc.jws import JWSRegistry

from daypass.access_token import Names
from daypass.keys import ALGORITHMS, KeyRing, SigningKey
from daypass.testing import START
from daypass.verifier import Verifier

NAMES = Names("https://issuer.example", "https://api.example", "daypass")
KEYS = {algorithm: SigningKey.generate(algorithm) for algorithm in ALGORITHMS}
KEY = KEYS["ES256"]
STRANGER = SigningKey.generate("ES256")  # only the attacker knows it
HEADER: Mapping[str, Any] = {"typ": "at+jwt", "alg": "ES256", "kid": KEY.kid}
CLAIMS: Mapping[str, Any] = {
    "iss": NAMES.issuer,
    "aud": NAMES.audience,
    "sub": "user-1",
    "client_id": "daypass",
    "iat": START // 1000,
    "exp": START // 1000 + 900,
    "jti": "0" * 32,
    "sid": "1" * 32,
    "auth_time": START // 1000,
}


def verifier(**arguments: Any) -> Verifier:
    """Return a verifier that knows the four keys."""
    return Verifier(NAMES, KeyRing(list(KEYS.values()), "ES256").find, **arguments)


def b64(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def raw(text: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sign(header: Any, payload: Any, key: SigningKey = KEY, algorithm: str | None = None) -> str:
    """Return a token that is signed with ``key``, whatever its header says; bytes are taken as they are."""
    head = b64(header if isinstance(header, bytes) else json.dumps(header).encode())
    body = b64(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    signature = JWSRegistry.algorithms[algorithm or key.algorithm].sign(f"{head}.{body}".encode(), key.key)
    return f"{head}.{body}.{b64(signature)}"


def token(header: Mapping[str, Any] | None = None, without: tuple[str, ...] = (), **claims: Any) -> str:
    """Return a token that is valid except for the given changes."""
    kept = {name: value for name, value in {**CLAIMS, **claims}.items() if name not in without}
    return sign({**HEADER, **(header or {})}, kept)
