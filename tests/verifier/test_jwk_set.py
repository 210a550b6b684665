"""Which published keys are used, and for how long. Pure."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey

from daypass import ConfigurationError
from daypass.duration import SECOND
from daypass.jwk_set import FRESH, FRESH_AT_LEAST, FRESH_AT_MOST, default_url, fresh_for, keys_in, metadata_url
from daypass.keys import SigningKey

GOOD = {algorithm: dict(SigningKey.generate(algorithm).public or {}) for algorithm in ("ES256", "Ed25519", "RS256")}
EC = GOOD["ES256"]
SECRET_EC = ECKey.generate_key("P-256", {"kid": "1", "alg": "ES256"}).as_dict(private=True)


def found(*keys: object) -> dict[str, str]:
    """Return the used keys of a set, with one good key that is always there, as names and algorithms."""
    ring = keys_in(json.dumps({"keys": [*keys, EC]}).encode())
    return {kid: key.algorithm for kid, key in ring.items() if kid != EC["kid"]}


@pytest.mark.parametrize("algorithm", ["Ed25519", "RS256"])
def test_each_kind_of_key(algorithm: str) -> None:
    """Each kind is used with the one algorithm that follows from its type, stated or not (RFC 8725 §3.1)."""
    jwk = GOOD[algorithm]
    assert {jwk["kid"]: algorithm} == found(jwk)
    unstated = {name: value for name, value in jwk.items() if name not in ("alg", "use")}
    assert {jwk["kid"]: algorithm} == found(unstated)


@pytest.mark.parametrize(
    "jwk",
    [
        OctKey.generate_key(256, {"kid": "1", "alg": "HS256"}).as_dict(private=True),
        SECRET_EC,
        EC | {"kid": "1", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "1", "n": 171 * "z", "e": "AQAB"},
        ECKey.generate_key("P-384", {"kid": "1"}).as_dict(private=False),
        EC | {"kid": "1", "alg": "HS256"},
        EC | {"kid": "1", "alg": "none"},
        EC | {"kid": "1", "use": "enc"},
        EC | {"kid": "1", "key_ops": ["sign"]},
        EC | {"kid": "1", "key_ops": "verify"},
        EC | {"kid": "1", "x": EC["y"]},
        EC | {"kid": "1", "x": "!"},
        EC | {"kid": "1", "x": 1},
        EC | {"kid": ""},
        EC | {"kid": 1},
        {name: value for name, value in EC.items() if name != "kid"},
        EC | {"kid": "1", "kty": ["EC"]},
        EC | {"kid": "1", "kty": "RSA"},
        {"kty": "RSA", "kid": "1", "n": "AQ", "e": "AQAB"},
        {},
        [],
        None,
        "key",
        7,
    ],
)
def test_unusable_keys_are_left_out(jwk: Mapping[str, Any]) -> None:
    """A symmetric key, a private part, a weak key, another use, garbage: left out; the other keys are used."""
    assert {} == found(jwk)


def test_nothing_but_what_is_public_is_taken() -> None:
    """Of a key no member is taken that verifying does not need: no certificate, no address."""
    jwk = GOOD["RS256"]
    (key,) = keys_in(
        json.dumps({"keys": [jwk | {"x5u": "https://a.example", "x5c": ["AA"], "note": 1}]}).encode()
    ).values()
    assert {"kty", "kid", "alg", "use", "n", "e"} == set(key.public or {})


def test_two_keys_of_one_name() -> None:
    """Of two keys with one name it is the first, always."""
    one, other = EC | {"kid": "1"}, dict(SigningKey.generate("ES256").public or {}) | {"kid": "1"}
    (key,) = keys_in(json.dumps({"keys": [one, other]}).encode()).values()
    assert one["x"] == (key.public or {})["x"]


def test_a_set_without_a_key() -> None:
    """A set in which nothing can be used is an error that says what to do."""
    with pytest.raises(ConfigurationError, match="HS256"):
        keys_in(json.dumps({"keys": [SECRET_EC]}).encode())


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("public, max-age=300", 300 * SECOND),
        ("MAX-AGE=90", 90 * SECOND),
        ("max-age=0, must-revalidate", FRESH_AT_LEAST),
        ("max-age=999999999", FRESH_AT_MOST),
        ("no-store", FRESH),
        ("s-maxage=90", FRESH),
        ("max-age=-1", FRESH),
        ("", FRESH),
    ],
)
def test_how_long_a_set_is_fresh(header: str, expected: int) -> None:
    """The issuer says how long, within bounds: it can neither be made to be asked each time, nor never again."""
    assert expected == fresh_for(header)


def test_where_things_are() -> None:
    """An issuer with a path has its metadata before the path (RFC 8414 §3.1), its keys behind it."""
    assert "https://a.example/.well-known/oauth-authorization-server/b" == metadata_url("https://a.example/b/")
    assert "https://a.example/b/.well-known/jwks.json" == default_url("https://a.example/b/")
