"""Which DPoP proofs are accepted, and each once (RFC 9449 §4.3, §8, §11)."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from daypass import (
    AsyncRemoteVerifier,
    ConfigurationError,
    Daypass,
    DPoP,
    NonceRequired,
    ProofRejected,
    RemoteVerifier,
)
from daypass.dpop import NONCE_SPAN, Once
from daypass.proof import Proof, public_key
from daypass.session_extras import KeyUse
from daypass.stores.memory import AsyncMemoryStore, MemoryStore

from .signing import Signer

NOW = 1_800_000_000_000
URL = "https://api.example.com/auth/refresh"

_RFC_HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQy"
    "VVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
RFC_TOKEN_REQUEST = (
    f"{_RFC_HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2"
    "VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
"""RFC 9449, figure 1."""

RFC_RESOURCE_REQUEST = (
    f"{_RFC_HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm"
    "90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9"
    "RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
"""RFC 9449, figure 12."""

RFC_ACCESS_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_the_examples_of_the_rfc_are_accepted() -> None:
    """The proofs of figures 1 and 12 are good for their requests, and their key has the thumbprint of section 6.1."""
    dpop = DPoP()
    proof = dpop.check(RFC_TOKEN_REQUEST, "POST", "https://server.example.com/token", 1_562_262_616_000)
    assert RFC_THUMBPRINT == proof.thumbprint
    url, now = "https://resource.example.org/protectedresource", 1_562_262_618_000
    bound: dict[str, Any] = {"access_token": RFC_ACCESS_TOKEN, "key_thumbprint": RFC_THUMBPRINT}
    assert RFC_THUMBPRINT == dpop.check(RFC_RESOURCE_REQUEST, "GET", url, now, **bound).thumbprint


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ECKey.generate_key("P-256")),
        ("ES384", ECKey.generate_key("P-384")),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
        ("RS256", RSAKey.generate_key(2048)),
        ("PS256", RSAKey.generate_key(2048)),
    ],
)
def test_each_algorithm_is_accepted(algorithm: str, key: Any) -> None:
    """A proof by each of the algorithms is accepted, and gives the public key without anything else."""
    signer = Signer(key)
    text = signer.proof("POST", URL, header={"alg": algorithm, "jwk": signer.jwk | {"use": "sig"}}, iat=NOW // 1000)
    proof = DPoP().check(text, "POST", URL, NOW)
    assert signer.thumbprint == proof.thumbprint
    assert {"kty", "crv", "x", "y", "e", "n"} >= proof.key.jwk.keys()


def _good(**changes: Any) -> dict[str, Any]:
    return {"iat": NOW // 1000} | changes


_SIGNER = Signer()
_OTHER = Signer()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a signed JWT"),
        ("a.b.c", "not a signed JWT"),
        ("x" * 9000, "not a signed JWT"),
        (f"{RFC_TOKEN_REQUEST}, {RFC_TOKEN_REQUEST}", "not a signed JWT"),
        (_SIGNER.proof("GET", URL, **_good()), "another request"),
        (_SIGNER.proof("POST", URL + "/", **_good()), "another request"),
        (_SIGNER.proof("POST", "http://api.example.com/auth/refresh", **_good()), "another request"),
        (_SIGNER.proof("POST", "https://api.example.com:444/auth/refresh", **_good()), "another request"),
        (_SIGNER.proof("POST", "https://ann@api.example.com/auth/refresh", **_good()), "another request"),
        (_SIGNER.proof("POST", URL, **_good(htu=7)), "another request"),
        (_SIGNER.proof("POST", URL, **_good(htm=None)), "another request"),
        (_SIGNER.proof("POST", URL, **_good(jti=None)), "no jti"),
        (_SIGNER.proof("POST", URL, **_good(jti="x" * 600)), "no jti"),
        (_SIGNER.proof("POST", URL, iat=None), "no iat"),
        (_SIGNER.proof("POST", URL, iat="1"), "no iat"),
        (_SIGNER.proof("POST", URL, iat=True), "no iat"),
        (_SIGNER.proof("POST", URL, iat=10**400), "no iat"),
        (_SIGNER.proof("POST", URL, header={"typ": "JWT"}, **_good()), "type dpop"),
        (_SIGNER.proof("POST", URL, header={"jwk": None}, **_good()), "public key"),
        (_SIGNER.proof("POST", URL, header={"jwk": _OTHER.jwk}, **_good()), "signature"),
        (_SIGNER.proof("POST", URL, header={"jwk": _SIGNER.key.as_dict(private=True)}, **_good()), "public key"),
        (_SIGNER.proof("POST", URL, header={"jwk": RSAKey.generate_key(2048).as_dict(private=False)}), "kind"),
    ],
)
def test_a_proof_that_is_wrong_is_refused(text: str, why: str) -> None:
    """Whatever is wrong with a proof: it is refused, and the reason is said without the proof."""
    with pytest.raises(ProofRejected, match=why) as refused:
        DPoP().check(text, "POST", URL, NOW)
    assert not isinstance(refused.value, NonceRequired)
    assert not text or text not in str(refused.value)


def test_a_symmetric_key_or_none_signs_no_proof() -> None:
    """Neither ``none`` nor an HMAC makes a proof, whatever key the header has."""

    def encoded(part: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")

    secret = OctKey.generate_key(256).as_dict(private=True)
    for header in ({"alg": "none", "jwk": _SIGNER.jwk}, {"alg": "HS256", "jwk": secret}, {"alg": "HS256"}):
        text = f"{encoded({'typ': 'dpop+jwt'} | header)}.{encoded({'iat': NOW // 1000})}.AAAA"
        with pytest.raises(ProofRejected):
            DPoP().check(text, "POST", URL, NOW)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "HTTPS://API.example.com:443/auth/refresh",
        "https://api.example.com/auth/refresh?page=1#top",
        "https://api.example.com/auth/%72efresh",
    ],
)
def test_a_url_may_be_spelt_in_another_way(url: str) -> None:
    """Case of the host, a default port, query, fragment and needless percent-encoding make no difference."""
    text = _SIGNER.proof("POST", url, **_good())
    assert _SIGNER.thumbprint == DPoP().check(text, "POST", URL, NOW).thumbprint


def test_a_proof_is_accepted_once() -> None:
    """The same proof is refused the second time, as long as it would be good; another client's jti does not matter."""
    dpop = DPoP()
    text = _SIGNER.proof("POST", URL, **_good(jti="one"))
    dpop.check(text, "POST", URL, NOW)
    for later in (0, 59_000):
        with pytest.raises(ProofRejected, match="used before"):
            dpop.check(text, "POST", URL, NOW + later)
    dpop.check(_OTHER.proof("POST", URL, **_good(jti="one")), "POST", URL, NOW)


@pytest.mark.parametrize("off", [-3600, -61, 61, 3600])
def test_a_wrong_clock_is_helped_by_a_nonce(off: int) -> None:
    """A client whose clock is wrong is given a nonce; with that its proofs are good, each once."""
    dpop = DPoP()
    with pytest.raises(NonceRequired) as refused:
        dpop.check(_SIGNER.proof("POST", URL, iat=NOW // 1000 + off), "POST", URL, NOW)
    text = _SIGNER.proof("POST", URL, iat=NOW // 1000 + off, nonce=refused.value.nonce)
    dpop.check(text, "POST", URL, NOW + 1000)
    with pytest.raises(ProofRejected, match="used before"):
        dpop.check(text, "POST", URL, NOW + NONCE_SPAN)
    with pytest.raises(NonceRequired):
        dpop.check(text, "POST", URL, NOW + 2 * NONCE_SPAN)


def test_a_required_nonce_has_to_be_of_this_server() -> None:
    """With ``require_nonce`` each proof needs a nonce, which every node with the same secret accepts, and no other."""
    node, same, stranger = (DPoP(require_nonce=True, secret=secret * 32) for secret in (b"a", b"a", b"b"))
    with pytest.raises(NonceRequired) as refused:
        node.check(_SIGNER.proof("POST", URL, **_good()), "POST", URL, NOW)

    def proof() -> str:
        return _SIGNER.proof("POST", URL, **_good(nonce=refused.value.nonce))

    same.check(proof(), "POST", URL, NOW)
    with pytest.raises(NonceRequired):
        stranger.check(proof(), "POST", URL, NOW)
    for nonce in ("", "\N{SNOWMAN}", 7, refused.value.nonce[:-1]):
        with pytest.raises(NonceRequired):
            node.check(_SIGNER.proof("POST", URL, **_good(nonce=nonce)), "POST", URL, NOW)


def test_a_proof_belongs_to_its_access_token() -> None:
    """For a resource a proof needs the hash of the access token, and the key that this is bound to."""
    dpop = DPoP()
    good: dict[str, Any] = {"access_token": "one", "key_thumbprint": _SIGNER.thumbprint}
    dpop.check(_SIGNER.proof("GET", URL, "one", **_good()), "GET", URL, NOW, **good)
    for signer, token in ((_SIGNER, "two"), (_SIGNER, None), (_OTHER, "one")):
        with pytest.raises(ProofRejected):
            dpop.check(signer.proof("GET", URL, token, **_good()), "GET", URL, NOW, **good)


def test_remembered_proofs_are_bounded() -> None:
    """The number of remembered proofs has a maximum; the oldest go first."""
    once = Once(3)
    assert [True] * 5 == [once.add(bytes([number]), NOW + number, NOW) for number in range(5)]
    assert not once.add(b"\4", NOW + 9, NOW)
    assert once.add(b"\0", NOW + 9, NOW)
    assert once.add(b"\4", NOW + 20, NOW + 10)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: DPoP(replay_cache="redis"), "invalid replay_cache 'redis'"),  # type: ignore[arg-type]
        (lambda: DPoP(replay_cache=None), "invalid replay_cache None"),  # type: ignore[arg-type]
        (lambda: RemoteVerifier(URL, dpop=DPoP(replay_cache="store")), "needs an issuer"),
        (lambda: RemoteVerifier(URL, dpop=DPoP(replay_cache=AsyncMemoryStore())), "open_store"),
        (lambda: AsyncRemoteVerifier(URL, dpop=DPoP(replay_cache=MemoryStore())), "open_async_store"),
    ],
)
def test_a_replay_cache_that_cannot_be_used_is_refused(make: Callable[[], object], why: str) -> None:
    """What is no store, a store of the wrong kind, and a missing one are refused; the message says what to write."""
    with pytest.raises(ConfigurationError, match=why):
        make()


def test_a_store_that_keeps_no_marks_is_refused() -> None:
    """An own store without ``perform_operator`` cannot remember proofs; that is said at once."""

    class Own:
        perform = MemoryStore.perform
        close = MemoryStore.close

    arguments: dict[str, Any] = {"issuer": URL, "load_user": lambda _: None, "secret": "s" * 32}
    with pytest.raises(ConfigurationError, match="Own keeps no marks"):
        Daypass(Own(), dpop=DPoP(replay_cache="store"), **arguments)
    dpop = DPoP(replay_cache=MemoryStore())
    with pytest.raises(ConfigurationError, match="accept"):
        dpop.check(_SIGNER.proof("POST", URL, **_good()), "POST", URL, NOW)


def test_strangers_do_not_push_out_the_proofs_of_others() -> None:
    """Logins are remembered apart."""
    dpop = DPoP()
    text = _SIGNER.proof("POST", URL, **_good())
    dpop.check(text, "POST", URL, NOW)
    dpop.check(text, "POST", URL, NOW, stranger=True)
    with pytest.raises(ProofRejected):
        dpop.check(text, "POST", URL, NOW)


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        {},
        {"kty": "EC"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": ["EC"]},
        ECKey.generate_key("P-521").as_dict(private=False),
        ECKey.generate_key("secp256k1").as_dict(private=False),
        {"kty": "RSA", "e": "AQAB", "n": "t" * 171},
        ECKey.generate_key("P-256").as_dict(private=True),
    ],
)
def test_a_key_that_will_not_do_is_refused(jwk: Any) -> None:
    """No key, half a key, a secret or private one, a weak one: the message says what to write, and not the key."""
    with pytest.raises(ConfigurationError, match="invalid key") as refused:
        public_key(jwk)
    assert "secret" not in str(refused.value)


def test_a_proof_of_a_key_has_its_thumbprint() -> None:
    """The thumbprint is that of RFC 7638."""
    assert _SIGNER.thumbprint == Proof.of(_SIGNER.jwk, KeyUse.DPOP).thumbprint


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_age": 0},
        {"max_age": "1h"},
        {"algorithms": ()},
        {"algorithms": ["HS256"]},
        {"algorithms": "ES256"},
        {"secret": b"short"},
    ],
)
def test_options_that_cannot_work_are_refused(arguments: dict[str, Any]) -> None:
    """Each option that cannot work is refused by its name."""
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        DPoP(**arguments)
