"""What checking an access token costs: the first time against the bare signature check, and again."""

import base64
import itertools
import json
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jws import JWSRegistry, serialize_compact
from measure import head, in_turns, row

from daypass.access_token import Names, issue
from daypass.dbsc import DeviceBound
from daypass.dpop import DPoP, token_hash
from daypass.keys import ALGORITHMS, SigningKey
from daypass.session import Session
from daypass.user import User
from daypass.verifier import Verifier

NOW = 1_800_000_000_000
PROOFS = 1000
NAMES = Names("https://api.example.com", "https://api.example.com", "daypass")
SESSION = Session("ab" * 16, "7", "daypass", 1, b"12345678", NOW, NOW, NOW + 10**9)


def main() -> None:
    head("Checking an access token (µs)")
    key = SigningKey.generate("ES256")
    numbers = itertools.count()
    token = issue(key, NAMES, SESSION, User("7", "ann", "ann@example.com"), NOW, 900, "0" * 32)
    verifier, forgetful = Verifier(NAMES, lambda _: key), Verifier(NAMES, lambda _: key, cache_size=0)

    def first() -> None:
        forgetful.check(token, NOW + next(numbers) % 1000)

    figures = in_turns({"first": first, "bare": bare_check(key, token), "again": lambda: verifier.check(token, NOW)})
    ratio = figures["first"] / figures["bare"]
    row(
        "ES256, the first time",
        f"{figures['first']:.1f}",
        f"{figures['bare']:.1f}",
        f"{ratio:.2f}",
        "≤ 1.3 bare checks",
        met=ratio <= 1.3,
    )
    row("ES256, again", f"{figures['again']:.2f}", "", "", "≤ 0.2 µs", met=figures["again"] <= 0.2)
    figures = in_turns(proof_check(token))
    ratio = figures["proof"] / figures["bare"]
    row(
        "DPoP proof, ES256",
        f"{figures['proof']:.1f}",
        f"{figures['bare']:.1f}",
        f"{ratio:.2f}",
        "≤ 1.4 bare checks",
        met=ratio <= 1.4,
    )
    figures = in_turns(browser_proof_check())
    row(
        "DBSC proof, ES256",
        f"{figures['proof']:.1f}",
        f"{figures['bare']:.1f}",
        f"{figures['proof'] / figures['bare']:.2f}",
        "≤ 1.4 bare checks",
    )
    for algorithm in ALGORITHMS:
        row(f"{algorithm}, the first time", f"{first_check(algorithm):.1f}", "", "", "")


def proof_check(token: str) -> dict[str, Callable[[], object]]:
    """Return what checks a DPoP proof of a client that is known, and the bare signature check of such a proof."""
    key, url, registry = (
        SigningKey.generate("ES256"),
        "https://api.example.com/profile",
        JWSRegistry(algorithms=["ES256"]),
    )
    claims = {"htm": "GET", "htu": url, "iat": NOW // 1000, "ath": token_hash(token)}
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": dict(key.public or {})}

    def signed(number: int) -> str:
        return serialize_compact(header, json.dumps(claims | {"jti": f"{number:022}"}), key.key, registry=registry)

    proofs = [signed(number) for number in range(PROOFS)]
    numbers = itertools.count()
    server = DPoP()

    def proof() -> None:
        nonlocal server
        number = next(numbers) % PROOFS
        if number == 0:  # the server has seen them all
            server = DPoP()
        server.check(proofs[number], "GET", url, NOW, access_token=token)

    return {"proof": proof, "bare": bare_check(key, proofs[0])}


def browser_proof_check() -> dict[str, Callable[[], object]]:
    """Return what checks a browser's proof by the key of its registration, and the bare check of its signature."""
    key, registry, secret = SigningKey.generate("ES256"), JWSRegistry(algorithms=["ES256"]), bytes(32)

    def server_with_secret() -> DeviceBound:
        made = DeviceBound()
        made.share_secret(secret)
        return made

    def signed(challenge: str, **header: object) -> str:
        head = {"typ": "dbsc+jwt", "alg": "ES256"} | header
        return serialize_compact(head, json.dumps({"jti": challenge}), key.key, registry=registry)

    server = server_with_secret()
    asked = server.registration_challenge(SESSION.id, "Strict", NOW, b"")
    registration = server.register(signed(asked, jwk=dict(key.public or {})), SESSION.id, NOW)
    proofs = [signed(server.challenge(registration, NOW, str(number).encode())) for number in range(PROOFS)]
    numbers = itertools.count()

    def proof() -> None:
        nonlocal server
        number = next(numbers) % PROOFS
        if number == 0:  # the server has seen them all
            server = server_with_secret()
        found = server.registration(registration.text)
        assert found is not None
        server.prove(proofs[number], found, NOW)

    return {"proof": proof, "bare": bare_check(key, proofs[0])}


def first_check(algorithm: str) -> float:
    """Return the µs of checking a token of this algorithm that is not remembered."""
    key = SigningKey.generate(algorithm)
    token = issue(key, NAMES, SESSION, User("7"), NOW, 900, "0" * 32)
    verifier = Verifier(NAMES, lambda _: key, cache_size=0)
    return in_turns({"check": lambda: verifier.check(token, NOW)})["check"]


def bare_check(key: SigningKey, token: str):  # type: ignore[no-untyped-def]
    """Return the ECDSA check alone, of a signature that has been taken apart already."""
    public = key.key.public_key
    assert isinstance(public, EllipticCurvePublicKey)
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    message = signed.encode()
    return lambda: public.verify(der, message, ECDSA(SHA256()))


if __name__ == "__main__":
    main()
