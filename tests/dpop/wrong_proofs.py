"""Proofs that no server may accept. What they say is right; how they are made is wrong."""

import base64
import hmac
import json
import warnings
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey, Key, RSAKey

_SIGNING = jws.JWSRegistry(algorithms=["ES256", "ES512", "RS256"])
_OTHER = ECKey.generate_key("P-256")
_ES512 = ECKey.generate_key("P-521")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _SHORT_RSA = RSAKey.generate_key(1024)
_RSA = RSAKey.generate_key(2048)

JUNK = "A" * 86
"""What has the form of a signature by ES256."""


def wrong_proofs(kind: str, claims: Mapping[str, Any], key: Key) -> dict[str, str]:
    """Return wrong proofs by what is wrong with them.

    Args:
        kind: the type of a good proof.
        claims: of a good proof.
        key: of its signer, on P-256.
    """
    assert isinstance(key, ECKey)
    jwk: Mapping[str, Any] = key.as_dict(private=False)
    said = json.dumps(claims).encode()

    def head(changes: Mapping[str, Any]) -> bytes:
        return json.dumps({"typ": kind, "alg": "ES256", "jwk": jwk, **changes}).encode()

    def made(changes: Mapping[str, Any], by: Key | bytes = key, content: bytes = said) -> str:
        return _signed(head(changes), content, by)

    def unsigned(changes: Mapping[str, Any], signature: str = JUNK) -> str:
        return f"{_encoded(head(changes))}.{_encoded(said)}.{signature}"

    good = made({})
    pem = key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    shared = {"kty": "oct", "k": _encoded(b"s" * 32)}
    return {
        "empty": "",
        "no JWT": "x",
        "no signature": good.rpartition(".")[0] + ".",
        "encrypted": "a.b.c.d.e",
        "two at once": f"{good}, {good}",
        "huge": good + "A" * 8192,
        "beyond ASCII": f"{good}é",
        "signature of another": good[:-86] + JUNK,
        "signed by another key": made({}, _OTHER),
        "another type": made({"typ": "JWT"}),
        "alg none": unsigned({"alg": "none"}, ""),
        "alg none, with a signature": unsigned({"alg": "none"}),
        "HS256 with the public key in PEM": made({"alg": "HS256"}, pem),
        "HS256 with the public key in JSON": made({"alg": "HS256"}, json.dumps(jwk).encode()),
        "HS256 with a key of its own": made({"alg": "HS256", "jwk": shared}, b"s" * 32),
        "unknown algorithm": unsigned({"alg": "ES9000"}),
        "algorithm of another key": unsigned({"alg": "RS256"}),
        "list of algorithms": unsigned({"alg": ["ES256"]}),
        "private key": made({"jwk": key.as_dict(private=True)}),
        "RSA of 1024 bits": made({"alg": "RS256", "jwk": _SHORT_RSA.as_dict(private=False)}, _SHORT_RSA),
        "RSA with a huge exponent": unsigned({"alg": "RS256", "jwk": _slow_rsa()}, "A" * 342),
        "RSA with an even exponent": unsigned({"alg": "RS256", "jwk": _slow_rsa() | {"e": "AQAA"}}, "A" * 342),
        "P-521": made({"alg": "ES512", "jwk": _ES512.as_dict(private=False)}, _ES512),
        "point that is not on the curve": unsigned({"jwk": {**jwk, "x": jwk["y"], "y": jwk["x"]}}),
        "point beyond the field": unsigned({"jwk": {**jwk, "x": "_" * 43}}),
        "half a key": unsigned({"jwk": {"kty": "EC", "crv": "P-256", "x": jwk["x"]}}),
        "numbers for text": unsigned({"jwk": {"kty": "EC", "crv": "P-256", "x": 1, "y": 2}}),
        "list for a key": unsigned({"jwk": [jwk]}),
        "kind of key in a list": unsigned({"jwk": {**jwk, "kty": ["EC"]}}),
        "critical extension": made({"crit": ["exp"], "exp": 1}),
        "header that is a list": _signed(b"[]", said, key),
        "header that is no JSON": _signed(b"{", said, key),
        "header that is not UTF-8": _signed(b'{"typ":"\xff"}', said, key),
        "deep header": _signed(b'{"x":' + b"[" * 5000, said, key),
        "claims that are a list": made({}, content=b"[]"),
        "claims that are no JSON": made({}, content=b"{"),
        "claims that are not UTF-8": made({}, content=b"\xff\xfe"),
        "deep claims": made({}, content=b'{"x":' + b"[" * 5000),
        "a number of 5000 digits": made({}, content=b'{"jti":' + b"9" * 5000 + b"}"),
    }


def _signed(header: bytes, claims: bytes, key: Key | bytes) -> str:
    """Return a JWS over any bytes, with the algorithm that is the key's own; HS256 for a shared secret."""
    text = f"{_encoded(header)}.{_encoded(claims)}"
    if isinstance(key, bytes):
        return f"{text}.{_encoded(hmac.digest(key, text.encode(), 'sha256'))}"
    algorithm = "RS256" if isinstance(key, RSAKey) else "ES512" if key is _ES512 else "ES256"
    return f"{text}.{_encoded(_SIGNING.get_alg(algorithm).sign(text.encode(), key))}"


def _slow_rsa() -> dict[str, str]:
    """Return an RSA key whose exponent makes each verification a hundred times slower."""
    jwk = _RSA.as_dict(private=False)
    return {"kty": "RSA", "n": str(jwk["n"]), "e": _encoded(b"\x7f" * 256)}


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
