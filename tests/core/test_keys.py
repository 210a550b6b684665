"""Keys: what comes from the master secret, what a store holds of a signing key, and what the world may see."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from daypass.errors import ConfigurationError
from daypass.keys import ALGORITHMS, REFRESH, KeyRecord, KeyRing, MasterSecret, SigningKey, new_refresh_key

NEW, OLD, OTHER = "new secret ".ljust(32, "n"), "old secret ".ljust(32, "o"), "another ".ljust(32, "a")
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}
REQUIRED = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n"), "oct": ("k", "kty")}

KEYS = {algorithm: SigningKey.generate(algorithm) for algorithm in ALGORITHMS}
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)


# ---- the master secret


def test_the_same_secret_derives_the_same_keys() -> None:
    """On every node and after every restart; text counts as UTF-8."""
    assert MasterSecret.of(NEW).refresh_key == MasterSecret.of([NEW.encode()]).refresh_key
    assert MasterSecret.of("\u00e9" * 16).refresh_key == MasterSecret.of(("\u00e9" * 16).encode()).refresh_key


def test_keys_are_derived_by_hkdf() -> None:
    """The first refresh key is what RFC 5869 makes of the secret, and stays so in every later version."""

    def derived(info: str, size: int) -> bytes:
        return HKDF(SHA256(), size, salt=None, info=info.encode()).derive(NEW.encode())

    key = MasterSecret.of(NEW).refresh_key
    assert derived("daypass v1 refresh key id", 4) == key.id
    assert derived("daypass v1 refresh token mac", 32) == key.mac_key


def test_the_newest_secret_makes_the_first_refresh_key() -> None:
    """Those after it have no part in it, and each secret makes another one."""
    assert MasterSecret.of(NEW).refresh_key == MasterSecret.of([NEW, OLD]).refresh_key
    keys = [MasterSecret.of(secret).refresh_key for secret in (NEW, OLD)]
    assert 4 == len({part for key in keys for part in (key.id, key.mac_key)})


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("", "32"),
        (b"", "32"),
        ("x" * 31, "31 bytes"),
        ("\u00e9" * 15, "30 bytes"),
        ([NEW, "short"], "5 bytes"),
        ([], "empty"),
        ((), "empty"),
        (5, "text or bytes"),
        ([NEW, None], "text or bytes"),
        ([NEW, 32], "text or bytes"),
        ([[NEW]], "text or bytes"),
        (bytearray(32), "text or bytes"),
        ("\ud800" * 32, "UTF-8"),
    ],
    ids=repr,
)
def test_an_invalid_secret_is_refused(secret: Any, says: str) -> None:
    """A short or missing secret, or something else, is a mistake of set-up: the message says what, in one line."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        MasterSecret.of(secret)
    assert "\n" not in str(caught.value)


def test_a_short_secret_is_not_in_the_error() -> None:
    """The message about a secret does not hold it."""
    with pytest.raises(ConfigurationError) as caught:
        MasterSecret.of("hunter2hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_repr_contains_no_secret() -> None:
    """The ``repr`` of the master secret and of a signing key does not contain the secret."""
    master = MasterSecret.of(NEW)
    assert "new secret" not in repr(master)
    assert repr(master.refresh_key.mac_key)[2:-1] not in repr(master)
    for key in KEYS.values():
        for part in PRIVATE & key.key.as_dict(private=True).keys():
            assert str(key.key.as_dict(private=True)[part]) not in repr(key)


# ---- wrapping


def unwrap(master: MasterSecret, wrapped: str) -> SigningKey:
    key = master.unwrap(KeyRecord("kid", "ES256", wrapped, 0, 0))
    assert isinstance(key, SigningKey)
    return key


@algorithms
def test_what_is_wrapped_is_unwrapped(algorithm: str) -> None:
    """A signing key comes back whole, its name and its algorithm with it."""
    master = MasterSecret.of(NEW)
    unwrapped = unwrap(master, master.wrap(KEYS[algorithm]))
    assert KEYS[algorithm].key.as_dict(private=True) == unwrapped.key.as_dict(private=True)
    assert (KEYS[algorithm].kid, algorithm) == (unwrapped.kid, unwrapped.algorithm)


@algorithms
def test_a_wrapped_key_shows_nothing(algorithm: str) -> None:
    """What is in the store contains no part of the key, and never looks the same twice."""
    master = MasterSecret.of(NEW)
    wrapped = master.wrap(KEYS[algorithm])
    everything = b"".join(base64.urlsafe_b64decode(part + "==") for part in wrapped.split("."))
    jwk = KEYS[algorithm].key.as_dict(private=True)
    for part in PRIVATE & jwk.keys():
        assert str(jwk[part]).encode() not in everything
    assert wrapped != master.wrap(KEYS[algorithm])


def test_an_old_secret_still_unwraps() -> None:
    """Keys that were wrapped before the secret changed can be read; the newest wraps."""
    old, both = MasterSecret.of(OLD), MasterSecret.of([NEW, OLD])
    assert KEYS["ES256"].kid == unwrap(both, old.wrap(KEYS["ES256"])).kid
    assert KEYS["ES256"].kid == unwrap(MasterSecret.of(NEW), both.wrap(KEYS["ES256"])).kid
    assert [False, True] == [both.wraps(each.wrap(KEYS["ES256"])) for each in (old, both)]


def test_a_refresh_key_is_wrapped_too() -> None:
    """It is unwrapped to the same key, and the store shows no part of it."""
    master, key = MasterSecret.of(NEW), new_refresh_key()
    wrapped = master.wrap(key)
    assert replace(key, used_from=5) == master.unwrap(KeyRecord(key.id.hex(), REFRESH, wrapped, 0, 5))
    assert wrapped != master.wrap(key)
    assert key != new_refresh_key()


@algorithms
def test_a_wrong_secret_is_a_mistake_of_set_up(algorithm: str) -> None:
    """The message says to give the old secret too; it contains no secret or key."""
    wrapped = MasterSecret.of(OLD).wrap(KEYS[algorithm])
    with pytest.raises(ConfigurationError, match="another secret") as caught:
        unwrap(MasterSecret.of([NEW, OTHER]), wrapped)
    assert "secret=[new, old]" in str(caught.value)
    assert wrapped not in str(caught.value)


@pytest.mark.parametrize("where", range(5))
def test_a_changed_wrapped_key_is_refused(where: int) -> None:
    """A wrapped key that was changed in the store is refused."""
    parts = MasterSecret.of(NEW).wrap(KEYS["ES256"]).split(".")
    parts[where] = "AAAA" + parts[where][4:]
    with pytest.raises(ConfigurationError):
        unwrap(MasterSecret.of(NEW), ".".join(parts))


@pytest.mark.parametrize("wrapped", ["", ".", "....", "no key", "e30.e30.e30", "\u00e9", "a.b.c.d.e"])
def test_garbage_in_the_store_is_refused(wrapped: str) -> None:
    """Text that is not a wrapped key is refused in the same way."""
    with pytest.raises(ConfigurationError):
        unwrap(MasterSecret.of(NEW), wrapped)


# ---- signing keys


@algorithms
def test_a_key_is_named_by_its_thumbprint(algorithm: str) -> None:
    """The ``kid`` is the SHA-256 thumbprint of the key's required members (RFC 7638 §3)."""
    jwk = KEYS[algorithm].key.as_dict(private=True)
    canonical = json.dumps({name: jwk[name] for name in REQUIRED[str(jwk["kty"])]}, separators=(",", ":"))
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).decode().rstrip("=")
    assert thumbprint == KEYS[algorithm].kid == jwk["kid"]


@algorithms
def test_a_key_is_for_one_algorithm(algorithm: str) -> None:
    """Its JWK says which, and that it signs (RFC 7517 §4.2, §4.4)."""
    jwk = KEYS[algorithm].key.as_dict(private=True)
    assert (algorithm, algorithm, "sig") == (KEYS[algorithm].algorithm, jwk["alg"], jwk["use"])


def test_each_key_is_new() -> None:
    """No two keys are alike."""
    assert SigningKey.generate("ES256").kid != SigningKey.generate("ES256").kid


@pytest.mark.parametrize("algorithm", ["none", "None", "", "HS512", "EdDSA", "PS256", "es256", "ES256K"])
def test_another_algorithm_is_refused(algorithm: str) -> None:
    """Four algorithms are allowed; the message names them."""
    with pytest.raises(ConfigurationError, match="ES256, Ed25519, RS256, HS256"):
        SigningKey.generate(algorithm)


def test_what_is_published_has_no_private_part() -> None:
    """The JWK Set has the public part of each asymmetric key, and no symmetric key."""
    keys = KeyRing(list(KEYS.values()), "ES256").jwks()["keys"]
    assert {KEYS[name].kid for name in ("ES256", "Ed25519", "RS256")} == {key["kid"] for key in keys}
    assert [] == [part for key in keys for part in PRIVATE & key.keys()]
    assert all(key["use"] == "sig" and key["alg"] in ALGORITHMS for key in keys)
    assert KEYS["HS256"].public is None
    json.dumps(keys)


def test_the_newest_key_of_the_algorithm_signs() -> None:
    """A newer one signs from its time on, until then the one before it; all of them verify."""
    older, newer = replace(KEYS["ES256"], used_from=100), replace(SigningKey.generate("ES256"), used_from=200)
    ring = KeyRing([KEYS["HS256"], newer, older], "ES256")
    assert [older, older, older, newer] == [ring.signing_key(now) for now in (0, 100, 199, 200)]
    assert [newer, older, None] == [ring.find(kid) for kid in (newer.kid, older.kid, "unknown")]


def test_the_newest_refresh_key_is_used_from_its_time_on() -> None:
    """And all of them read."""
    older, newer = replace(new_refresh_key(), used_from=100), replace(new_refresh_key(), used_from=200)
    ring = KeyRing([KEYS["ES256"]], "ES256", [newer, older])
    assert [older, older, older, newer] == [ring.refresh_key(now) for now in (0, 100, 199, 200)]
    assert {older, newer} == set(ring.refresh_keys)


def test_a_key_that_is_used_at_once_is_used_for_good() -> None:
    """One that was to be used later, and was made before it, never is."""
    waiting, newest = replace(new_refresh_key(), used_from=200), replace(new_refresh_key(), used_from=100)
    ring = KeyRing([KEYS["ES256"]], "ES256", [newest, waiting])
    assert [newest, newest] == [ring.refresh_key(now) for now in (100, 300)]


def test_a_ring_that_lacks_a_key_is_not_complete() -> None:
    """It has to have one that signs, and one for refresh tokens."""
    key = new_refresh_key()
    rings = [KeyRing([KEYS["HS256"]], "ES256", [key]), KeyRing([KEYS["ES256"]], "ES256")]
    assert [False, False] == [ring.is_complete for ring in rings]
    assert KeyRing([KEYS["ES256"]], "ES256", [key]).is_complete
    assert {"keys": []} == KeyRing([KEYS["HS256"]], "HS256").jwks()


def test_no_kid_looks_like_an_option() -> None:
    """``daypass keys remove KID`` works for every key: no ``kid`` begins with a dash, as one in 64 would."""
    kids = [SigningKey.generate("HS256").kid for _ in range(500)]
    assert [] == [kid for kid in kids if kid.startswith("-")]
