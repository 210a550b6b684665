"""Access tokens: what an issued one contains, when it is accepted, and every way to forge one."""

import itertools
import json
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwe
from joserfc.jwk import OctKey

from daypass.access_token import MAXIMUM_LENGTH, AccessToken, issue, lifetime
from daypass.errors import (
    AuthenticationInsufficient,
    ConfigurationError,
    KeyUnknown,
    ScopeInsufficient,
    SessionRevoked,
    TokenExpired,
    TokenMalformed,
)
from daypass.keys import ALGORITHMS, KeyRing, MasterSecret, SigningKey
from daypass.policy import Policy
from daypass.refresh_token import decode, encode, successor
from daypass.session_extras import Extras
from daypass.testing import START, session
from daypass.user import RESERVED_CLAIMS, User
from daypass.verifier import Verifier

from .crafting import CLAIMS, HEADER, KEY, KEYS, NAMES, STRANGER, b64, raw, sign, token, verifier

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
USER = User("user-1", "ada", "ada@example.com", {"role": "admin", "teams": [1, 2]})
RIGHT = token()
HEAD, BODY, SIGNATURE = RIGHT.split(".")
EXPIRES = START + 900_000


def refused(text: str) -> TokenMalformed:
    """Return the error with which ``text`` is refused, also by a verifier that knows the header of a good token.

    The error contains no part of the text.
    """
    fresh, knowing = verifier(), verifier()
    knowing.check(RIGHT, START)
    for checking in (fresh, fresh, knowing):
        with pytest.raises(TokenMalformed) as caught:
            checking.check(text, START)
    told = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert [] == [part for part in text.split(".") if len(part) > 20 and part in told]
    return caught.value


# ---- issuing


def test_a_token_of_16384_characters_is_the_longest() -> None:
    """Every verifier accepts it. One more, and nothing is issued: the error says how long the token would be."""
    issued, refused = set(), set()
    for size in range(11_880, 11_910):
        user = User("user-1", claims={"pad": "x" * size})
        try:
            text = issue(KEY, NAMES, session(), user, START, 900, "j" * 32)
        except ConfigurationError as error:
            refused.add(next(int(word) for word in str(error).split() if word.isdigit()))
        else:
            issued.add(len(text))
            assert "user-1" == verifier().check(text, START).subject
    assert (16_384, 16_385) == (max(issued), min(refused))


@pytest.mark.parametrize("name", sorted(RESERVED_CLAIMS | {"scope", "sub", "exp"}))
def test_a_users_claims_never_replace_a_reserved_one(name: str) -> None:
    """Not even where `User` did not see them: whether Daypass sets the claim or leaves it out, it decides."""
    own: dict[str, Any] = {}
    user = User("user-1", claims=own)
    own[name] = "theirs"
    text = issue(KEY, NAMES, session(), user, START, 900, "j" * 32)
    assert "theirs" != json.loads(raw(text.split(".")[1])).get(name)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_issued_token_says_all_that_it_has_to(algorithm: str) -> None:
    """Header and claims are those of RFC 9068 §2 with sid, username and email, and nothing else."""
    text = issue(KEYS[algorithm], NAMES, session(), USER, START + 1_999, 900, "j" * 32)
    head, body, _ = text.split(".")
    assert {"typ": "at+jwt", "alg": algorithm, "kid": KEYS[algorithm].kid} == json.loads(raw(head))
    assert {
        "iss": "https://issuer.example",
        "aud": "https://api.example",
        "sub": "user-1",
        "client_id": "daypass",
        "iat": START // 1000 + 1,
        "exp": START // 1000 + 1 + 900,
        "jti": "j" * 32,
        "sid": f"{1:032x}",
        "auth_time": START // 1000,
        "username": "ada",
        "email": "ada@example.com",
        "role": "admin",
        "teams": [1, 2],
    } == json.loads(raw(body))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_issued_token_is_verified(algorithm: str) -> None:
    """The verifier returns what was issued, with its times in milliseconds."""
    text = issue(KEYS[algorithm], NAMES, session(), USER, START, 900, "j" * 32)
    verified = verifier().check(text, START)
    assert json.loads(raw(text.split(".")[1])) == dict(verified.claims)
    assert (
        AccessToken(
            subject="user-1",
            session_id=f"{1:032x}",
            client_id="daypass",
            issuer="https://issuer.example",
            audience=("https://api.example",),
            id="j" * 32,
            issued_at=START,
            expires_at=EXPIRES,
            auth_time=START,
            username="ada",
            email="ada@example.com",
            scope=None,
            session_started_at=START,
            actor_session_id=None,
            _claims=verified.claims,
        )
        == verified
    )


@pytest.mark.parametrize(
    ("left", "seconds"), [(900_000, 900), (899_999, 899), (60_000, 60), (2_999, 2), (1_000, 1), (999, 1), (-5_000, 1)]
)
def test_a_token_lives_no_longer_than_its_session(left: int, seconds: int) -> None:
    """It lives as long as the policy says, or for the rest of its session in whole seconds, and at least one."""
    ending = session(expires_at=START + left, created_at=START - 1_000)
    assert seconds == lifetime(Policy(), ending, START)
    assert 900 == lifetime(Policy(), session(), START)


def test_a_later_authentication_is_in_the_token_beside_the_start_of_its_session() -> None:
    """``auth_time`` is then that of the step-up, and ``sid_iat`` says when the session was started."""
    later = Extras(authenticated_at=START + 61_999).text
    text = issue(KEY, NAMES, session(extras=later, created_at=START + 1_999), USER, START + 70_000, 900, "j" * 32)
    claims = json.loads(raw(text.split(".")[1]))
    assert (START // 1000 + 61, START // 1000 + 1) == (claims["auth_time"], claims["sid_iat"])
    verified = verifier().check(text, START + 70_000)
    assert (START + 61_000, START + 1_000) == (verified.auth_time, verified.session_started_at)


@pytest.mark.parametrize(
    ("age", "max_age", "acr", "accepted"),
    [
        (60_000, None, None, True),
        (-1_000, 0, None, True),  # by a clock that is behind
        (60_000, 60_000, None, True),
        (60_001, 60_000, None, False),
        (2_000, 1_999, None, False),
        (59_000, 60_000, None, True),
        (0, 0, None, True),
        (1, 0, None, False),
        (0, None, "mfa", True),
        (0, None, "pwd mfa", True),
        (0, None, "pwd", False),
        (0, 1_000, "pwd", False),
        (5_000, 1_000, "mfa", False),
        (5_000, 9_000, "mfa", True),
    ],
)
def test_a_recent_and_strong_authentication_is_required(
    age: int, max_age: int | None, acr: str | None, *, accepted: bool
) -> None:
    """The maximum age is inclusive; one of the classes is enough; the error says in seconds what is needed."""
    user = User("user-1", claims={"acr": "mfa"})
    found = verifier().check(issue(KEY, NAMES, session(), user, START, 900, "j" * 32), START)
    if accepted:
        found.require_authentication(START + age, max_age, acr)
        return
    with pytest.raises(AuthenticationInsufficient) as caught:
        found.require_authentication(START + age, max_age, acr)
    assert (max_age if max_age is None else max_age // 1000, acr) == (caught.value.max_age, caught.value.acr)


def test_who_acts_as_the_user_is_read_from_the_claim() -> None:
    """``act.sub`` is the actor (RFC 8693 §4.1); a token without it has none. A repr shows no claims.

    What was verified cannot be changed.
    """
    acting = User("user-1", claims={"note": "not for logs"})
    found = verifier().check(token(act={"sub": "admin-1", "sid": "f" * 32}), START)
    assert ("admin-1", "f" * 32) == (found.actor, found.actor_session_id)
    plain = verifier().check(issue(KEY, NAMES, session(), acting, START, 900, "j" * 32), START)
    assert plain.actor is None
    assert "not for logs" not in repr(plain)
    with pytest.raises(FrozenInstanceError):
        plain.subject = "admin-1"  # type: ignore[misc]  # on purpose


def test_claims_of_a_session_are_added_to_those_of_its_user() -> None:
    """They replace one of the same name; a session without claims leaves the user's as they are."""
    for own, expected in (
        ({"role": "guest", "amr": ["pwd"]}, {"role": "guest", "amr": ["pwd"]}),
        ({}, {"role": "admin"}),
    ):
        text = issue(KEY, NAMES, session(extras=Extras(claims=own).text), USER, START, 900, "j" * 32)
        claims = verifier().check(text, START).claims
        assert {"teams": [1, 2]} | expected == {each: claims[each] for each in ("teams", *expected)}


def test_a_refusal_names_the_scheme_of_the_token() -> None:
    """Bearer or, for a token that is bound to a key, DPoP: the challenge has to ask for the same again."""
    for thumbprint, scheme in ((None, "Bearer"), ("t" * 43, "DPoP")):
        text = issue(KEY, NAMES, session(), USER, START, 900, "j" * 32, "read", thumbprint)
        found = verifier().check(text, START)
        assert ("read", thumbprint) == (found.scope, found.key_thumbprint)
        with pytest.raises(ScopeInsufficient) as missing:
            found.require("write")
        with pytest.raises(AuthenticationInsufficient) as weak:
            found.require_authentication(START, 0, "phr")
        assert (scheme, scheme) == (missing.value.scheme, weak.value.scheme)


def test_names_in_any_script_are_in_the_token_as_they_are() -> None:
    """As UTF-8 (RFC 7519 §3): escapes would make such a token up to twice as long."""
    text = issue(KEY, NAMES, session(), User("user-1", "\u0410\u0434\u0430"), START, 900, "j" * 32)
    assert "\u0410\u0434\u0430".encode() in raw(text.split(".")[1])
    assert "\u0410\u0434\u0430" == verifier().check(text, START).username


def test_a_user_without_names_has_none_in_the_token() -> None:
    """A claim whose value is not known is left out."""
    text = issue(KEY, NAMES, session(), User("user-1"), START, 900, "j" * 32)
    assert {"username", "email"}.isdisjoint(json.loads(raw(text.split(".")[1])))
    verified = verifier().check(text, START)
    assert (None, None) == (verified.username, verified.email)


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "exp", "iat", "nbf", "jti", "sid", "client_id", "auth_time"])
def test_an_application_cannot_replace_a_claim(claim: str) -> None:
    """The application's own claims can't take the place of one that Daypass sets."""
    with pytest.raises(ConfigurationError, match=claim):
        User("user-1", claims={claim: "mine"})


def test_the_right_token_is_right() -> None:
    """What the forgeries below start from is accepted, and as a media type in full or in capitals too (RFC 7515)."""
    for typ in ("at+jwt", "application/at+jwt", "AT+JWT"):
        assert "user-1" == verifier().check(token({"typ": typ}), START).subject
    for audience in ([NAMES.audience], ["https://other.example", NAMES.audience]):
        assert tuple(audience) == verifier().check(token(aud=audience), START).audience


# ---- when it opens


def test_it_opens_until_the_very_millisecond_of_its_expiry() -> None:
    """``exp == now`` is expired (RFC 7519 §4.1.4), one millisecond before is not; asked first or again."""
    checking = verifier()
    for _ in range(2):
        assert EXPIRES == checking.check(RIGHT, EXPIRES - 1).expires_at
        with pytest.raises(TokenExpired):
            checking.check(RIGHT, EXPIRES)
    with pytest.raises(TokenExpired):
        verifier().check(RIGHT, EXPIRES)


def test_leeway_is_added_and_no_more() -> None:
    """A verifier whose clock may differ lets a token open so much longer."""
    checking = verifier(leeway=5_000)
    checking.check(RIGHT, EXPIRES + 4_999)
    with pytest.raises(TokenExpired):
        checking.check(RIGHT, EXPIRES + 5_000)


def test_leeway_is_bounded() -> None:
    """More than a minute is a mistake of set-up."""
    assert 60_000 == Policy.of(leeway="60s").leeway
    with pytest.raises(ConfigurationError, match="leeway"):
        Policy.of(leeway="61s")


# ---- the cache of verified tokens


def test_a_verified_token_is_remembered_and_looked_at_again() -> None:
    """Checked again, a token costs no signature; its expiry and the end of its session are looked at each time."""
    asked: list[str] = []

    def find(kid: str) -> SigningKey:
        asked.append(kid)
        return KEY

    checking = Verifier(NAMES, find)
    first_time, again = checking.check(RIGHT, START), checking.check(RIGHT, EXPIRES - 1)
    assert (first_time, [KEY.kid]) == (again, asked)
    checking.end(first_time.session_id, START, EXPIRES)
    for now in (START, EXPIRES - 1):
        with pytest.raises(SessionRevoked):
            checking.check(RIGHT, now)
    with pytest.raises(TokenExpired):
        checking.check(RIGHT, EXPIRES)


def test_an_ended_sessions_token_is_refused_at_first_sight() -> None:
    """A token that was never checked before is refused as well when its session has ended; others' are not."""
    checking = verifier()
    checking.end(CLAIMS["sid"], START, EXPIRES)
    with pytest.raises(SessionRevoked):
        checking.check(RIGHT, START)
    assert "2" * 32 == checking.check(token(sid="2" * 32), START).session_id


def test_forgetting_asks_for_the_key_again() -> None:
    """After the keys have changed a token of a key that is gone is refused."""
    keys = {KEY.kid: KEY}
    checking = Verifier(NAMES, keys.get)
    checking.check(RIGHT, START)
    keys.clear()
    checking.check(RIGHT, START)
    checking.forget()
    with pytest.raises(KeyUnknown):
        checking.check(RIGHT, START)


@pytest.mark.parametrize("size", [0, 1, 3])
def test_the_cache_is_bounded(size: int) -> None:
    """The cache has a maximum size; tokens that are not in it are verified again."""
    checking = verifier(cache_size=size)
    tokens = [token(jti=f"{n:032x}") for n in range(5)]
    for _ in range(2):
        for n, text in enumerate(tokens):
            assert f"{n:032x}" == checking.check(text, START).id
            assert size >= len(checking._verified)


def test_refused_tokens_are_not_cached() -> None:
    """Garbage fills no memory, and an expired token leaves it."""
    checking = verifier()
    for text in ("x", RIGHT[:-4], token(iss="other"), token(without=("sub",))):
        with pytest.raises(TokenMalformed):
            checking.check(text, START)
    with pytest.raises(TokenExpired):
        checking.check(RIGHT, EXPIRES)
    assert {} == checking._verified


def test_ended_sessions_are_forgotten_when_their_tokens_have_expired() -> None:
    """The set of ended sessions has only those whose access tokens could still be valid, up to a maximum."""
    checking = verifier()
    for n in range(20_000):
        checking.end(f"{n:032x}", START + n, START + n + 100)
    assert 1100 > len(checking._ended)
    assert f"{19_999:032x}" in checking._ended


def test_threads_may_share_a_verifier() -> None:
    """Many threads that verify, forget and end sessions at the same time get correct answers."""
    checking = verifier(cache_size=4)
    tokens = [token(jti=f"{n:032x}") for n in range(16)]

    def check(n: int) -> str:
        if n % 64 == 0:
            checking.forget()
        checking.end(f"{n:032x}", START, EXPIRES)
        return checking.check(tokens[n % 16], START).id

    with ThreadPoolExecutor(8) as threads:
        assert [f"{n % 16:032x}" for n in range(1000)] == list(threads.map(check, range(1000)))


# ---- forgeries: the algorithm


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, False, 0, [], ["none"], {}])
@pytest.mark.parametrize("signature", ["", SIGNATURE, "AA"], ids=["empty", "of another", "garbage"])
def test_an_unsigned_token_is_refused(algorithm: Any, signature: str) -> None:
    """An unsigned token is refused, however *none* is spelt and whatever is in the signature's place."""
    for kid in (KEY.kid, KEYS["HS256"].kid):
        refused(f"{b64(json.dumps({**HEADER, 'alg': algorithm, 'kid': kid}).encode())}.{BODY}.{signature}")


@pytest.mark.parametrize(
    "algorithm",
    [
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "RS512",
        "PS256",
        "ES384",
        "ES512",
        "ES256K",
        "EdDSA",
        "Ed25519",
        "es256",
        "X",
    ],
)
def test_another_algorithm_is_not_the_keys(algorithm: str) -> None:
    """A header that names any algorithm but the key's own is refused, although the key did sign it."""
    refused(sign({**HEADER, "alg": algorithm}, CLAIMS))


def test_a_token_without_an_algorithm_is_refused() -> None:
    """A header without ``alg`` is refused."""
    refused(sign({"typ": "at+jwt", "kid": KEY.kid}, CLAIMS))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_key_signs_by_its_own_algorithm_alone(algorithm: str) -> None:
    """A true HMAC by another hash under the right key is refused (RFC 8725 §3.1)."""
    key = KEYS["HS256"]
    refused(sign({"typ": "at+jwt", "alg": algorithm, "kid": key.kid}, CLAIMS, key, algorithm))


def public_bytes(key: SigningKey) -> Iterator[bytes]:
    """Yield the public key as an attacker may have it."""
    public: Any = key.key.get_op_key("verify")
    for encoding in (Encoding.PEM, Encoding.DER):
        yield public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    yield public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip()
    jwk = dict(key.public or {})
    yield json.dumps(jwk).encode()
    yield json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()
    for part in ("x", "y", "n"):
        if part in jwk:
            yield raw(str(jwk[part]))


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """A MAC under the public key, in any of its forms, is no signature (RFC 8725 §2.1)."""
    key = KEYS[algorithm]
    for secret in public_bytes(key):
        mac_key = SigningKey(OctKey.import_key(b64(secret), {"alg": "HS256", "kid": key.kid}))
        for named in ("HS256", algorithm):
            refused(sign({"typ": "at+jwt", "alg": named, "kid": key.kid}, CLAIMS, mac_key))


def test_a_key_is_not_used_under_another_ones_name() -> None:
    """A signature by one of our keys under the ``kid`` of another is refused."""
    for named, used in ((a, b) for a in KEYS.values() for b in KEYS.values() if a is not b):
        for algorithm in (named.algorithm, used.algorithm):
            refused(sign({"typ": "at+jwt", "alg": algorithm, "kid": named.kid}, CLAIMS, used))


# ---- forgeries: the header


@pytest.mark.parametrize(
    "typ",
    [
        "JWT",
        "jwt",
        "id+jwt",
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "application/jwt",
        "at+jwt ",
        "at+jwt\n",
        "",
        "at",
        "at jwt",
        "application/application/at+jwt",
        "\N{FULLWIDTH LATIN SMALL LETTER A}t+jwt",
        None,
        5,
        True,
        ["at+jwt"],
        {"at+jwt": 1},
    ],
)
def test_another_type_of_token_is_refused(typ: Any) -> None:
    """Whatever else this issuer's key signs, an ID token say, opens nothing (RFC 9068 §4, RFC 8725 §3.11)."""
    refused(token({"typ": typ}))


def test_a_token_without_a_type_is_refused() -> None:
    """A token without a type is refused."""
    refused(sign({"alg": "ES256", "kid": KEY.kid}, CLAIMS))


@pytest.mark.parametrize(
    "kid",
    ["", "unknown", KEY.kid.swapcase(), KEY.kid + " ", "../../dev/null", "' OR 1=1 --", None, 5, 1.5, [KEY.kid]],
    ids=itertools.count(),
)
def test_a_token_of_an_unknown_key_is_refused(kid: Any) -> None:
    """A ``kid`` that is unknown, or no text, is refused as such, so that an issuer may look for a new key."""
    assert isinstance(refused(token({"kid": kid})), KeyUnknown)


def test_a_token_without_a_key_name_is_refused() -> None:
    """A token that names no key is refused, however many keys would fit."""
    assert isinstance(refused(sign({"typ": "at+jwt", "alg": "ES256"}, CLAIMS)), KeyUnknown)


@pytest.mark.parametrize(
    "injected",
    [
        {"jwk": dict(STRANGER.public or {})},
        {"jwk": {**(STRANGER.public or {}), "kid": KEY.kid}},
        {"jku": "https://attacker.example/jwks.json"},
        {"x5u": "https://attacker.example/cert.pem"},
        {"x5c": ["MIIBszCCAVmgAwIBAgIU"]},
        {"x5t": "AAAA"},
        {"x5t#S256": "AAAA"},
    ],
    ids=lambda injected: next(iter(injected)),
)
@pytest.mark.parametrize("kid", [KEY.kid, STRANGER.kid], ids=["our name", "its name"])
def test_a_token_does_not_bring_its_own_key(injected: dict[str, Any], kid: str) -> None:
    """A key, or where to find one, in the header is not looked at (RFC 8725 §3.10)."""
    refused(sign({**HEADER, "kid": kid, **injected}, CLAIMS, STRANGER))


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["kid"]},
        {"crit": ["alg"]},
        {"crit": ["unknown"], "unknown": 1},
        {"crit": ["unknown"]},
        {"crit": []},
        {"crit": "exp", "exp": 1},
        {"crit": None},
        {"crit": 5},
        {"crit": [["b64"]]},
        {"crit": {"b64": 1}},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"b64": False},
        {"b64": 0},
        {"b64": "false"},
    ],
    ids=json.dumps,
)
def test_nothing_critical_is_understood(header: dict[str, Any]) -> None:
    """A header with ``crit``, or an unencoded payload, is refused although the key signed it (RFC 7515 §4.1.11)."""
    refused(token(header))


def test_an_unencoded_payload_is_refused() -> None:
    """A token with an unencoded payload is refused, although the key signed exactly that (RFC 7797)."""
    from joserfc.jws import JWSRegistry

    head = b64(json.dumps({**HEADER, "b64": False, "crit": ["b64"]}).encode())
    for body in (BODY, json.dumps(CLAIMS)):
        signature = JWSRegistry.algorithms["ES256"].sign(f"{head}.{body}".encode(), KEY.key)
        refused(f"{head}.{body}.{b64(signature)}")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"5",
        b'"alg"',
        b'["alg","kid","typ"]',
        b"{",
        b"\xff\xfe",
        b'{"alg":"ES256"',
        b"{}",
        b"NaN",
        b"\xef\xbb\xbf{}",
        b"[" * 300,
        b'{"a":' * 70,
        b"[" * 40000,
        b'{"alg":' + b"9" * 5000 + b"}",
    ],
    ids=lambda header: ascii(header[:12]),
)
def test_an_invalid_header_is_refused(header: bytes) -> None:
    """Broken, nested without end, of another shape: refused without another error."""
    refused(sign(header, CLAIMS))
    refused(f"{b64(header)}.{BODY}.{SIGNATURE}")


@pytest.mark.parametrize(
    ("header", "signature"),
    [
        ('{{"typ":"at+jwt","kid":"{kid}","alg":"ES256","alg":"none"}}', ""),
        ('{{"typ":"at+jwt","kid":"{kid}","alg":"none","alg":"ES256"}}', ""),
        ('{{"typ":"at+jwt","kid":"{kid}","alg":"none","alg":"ES256"}}', SIGNATURE),
        ('{{"typ":"at+jwt","kid":"{kid}","kid":"{stranger}","alg":"ES256"}}', None),
        ('{{"typ":"at+jwt","kid":"{stranger}","kid":"{kid}","alg":"ES256"}}', None),
        ('{{"typ":"JWT","alg":"ES256","kid":"{kid}","typ":"at+jwt"}}', None),
    ],
    ids=itertools.count(),
)
def test_saying_it_twice_does_not_help(header: str, signature: str | None) -> None:
    """If a header has a parameter twice, the value that is checked is the value that is used."""
    head = header.format(kid=KEY.kid, stranger=STRANGER.kid).encode()
    refused(f"{b64(head)}.{BODY}.{signature}" if signature is not None else sign(head, CLAIMS, STRANGER))


# ---- forgeries: the signature


@pytest.mark.parametrize("part", range(3))
def test_every_changed_character_is_found(part: int) -> None:
    """Whichever single character of whichever part is replaced by another, the token is refused."""
    parts = RIGHT.split(".")
    for position in range(len(parts[part])):
        letter = "A" if parts[part][position] != "A" else "B"
        changed = parts[part][:position] + letter + parts[part][position + 1 :]
        refused(".".join([*parts[:part], changed, *parts[part + 1 :]]))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_is_whole(algorithm: str) -> None:
    """Truncated, empty, longer, zero or another's: refused, for each algorithm."""
    key = KEYS[algorithm]
    text = sign({"typ": "at+jwt", "alg": algorithm, "kid": key.kid}, CLAIMS, key)
    verifier().check(text, START)
    signed, _, signature = text.rpartition(".")
    right = raw(signature)
    other = raw(
        sign({"typ": "at+jwt", "alg": algorithm, "kid": key.kid}, {**CLAIMS, "jti": "x"}, key).rpartition(".")[2]
    )
    wrong = [right[:n] for n in (0, 1, 16, 31, 32, 33, 63, 64, 255) if n < len(right)]
    wrong += [right + b"\x00", b"\x00" + right, right + right, right[::-1], bytes(len(right)), b"\xff" * len(right)]
    wrong += [
        bytes(1),
        bytes(64),
        bytes(256),
        bytes([right[0] ^ 1]) + right[1:],
        right[:-1] + bytes([right[-1] ^ 1]),
        other,
    ]
    for each in wrong:
        refused(f"{signed}.{b64(each)}")


def halves(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_an_ecdsa_signature_is_two_numbers_of_the_right_size() -> None:
    """DER, zero, the order itself or beyond: no signature (CVE-2022-21449 was this)."""
    right = raw(SIGNATURE)
    r, s = int.from_bytes(right[:32], "big"), int.from_bytes(right[32:], "big")
    top = 2**256 - 1
    for pair in (
        *((0, 0), (0, 1), (1, 0), (r, 0), (0, s), (1, 1), (ORDER, ORDER), (ORDER, s), (r, ORDER), (top, top)),
        *((ORDER - 1, ORDER - 1), (s, r), (ORDER - r, s), ((r + ORDER) % 2**256, s), (r, (s + ORDER) % 2**256)),
    ):
        refused(f"{HEAD}.{BODY}.{b64(halves(*pair))}")
    refused(f"{HEAD}.{BODY}.{b64(encode_dss_signature(r, s))}")
    refused(f"{HEAD}.{BODY}.{b64(b'0' + right + b'0')}")


# ---- forgeries: the encoding


def spellings(part: str) -> Iterator[str]:
    """Yield other texts that a careless decoder reads as the same bytes."""
    yield from (part + "=", part + "==", part + "===", part + "====", "=" + part)
    for junk in (" ", "\n", "\r\n", "\t", "\x00", "?", "!", ",", "\u00e9", "\u2028", "\ufeff", "%3D", "+", "/"):
        yield from (part + junk, junk + part, part[:8] + junk + part[8:])
    if len(part) % 4:  # the last character has bits to spare
        alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
        value, spare = alphabet.index(part[-1]), 4 if len(part) % 4 == 2 else 2
        yield from (part[:-1] + alphabet[value | bits] for bits in range(1, 2**spare))
    yield part + "A"


@pytest.mark.parametrize("part", range(3))
def test_a_token_has_one_spelling(part: int) -> None:
    """Padding, white space, spare bits and characters of no alphabet are refused in each part."""
    parts = RIGHT.split(".")
    for spelling in spellings(parts[part]):
        refused(".".join([*parts[:part], spelling, *parts[part + 1 :]]))


def test_the_other_base64_alphabet_is_refused() -> None:
    """A token uses only - and _, not + and /."""
    text = next(text for n in range(1000) if {"-", "_"} <= set((text := token(jti=str(n))).rpartition(".")[2]))
    verifier().check(text, START)
    signed, _, signature = text.rpartition(".")
    for spelling in (signature.replace("-", "+"), signature.replace("_", "/")):
        refused(f"{signed}.{spelling}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "....",
        HEAD,
        f"{HEAD}.",
        f"{HEAD}..",
        f"{HEAD}.{BODY}",
        f"{HEAD}.{BODY}.",
        f"{HEAD}..{SIGNATURE}",
        f".{BODY}.{SIGNATURE}",
        f"..{SIGNATURE}",
        f"{RIGHT}.",
        f".{RIGHT}",
        f"{HEAD}..{BODY}.{SIGNATURE}",
        f"{HEAD}.{BODY}..{SIGNATURE}",
        f"{RIGHT}.{SIGNATURE}",
        f"{RIGHT}.{BODY}.{SIGNATURE}",
        f"{HEAD}.AAAA.AAAA.{BODY}.{SIGNATURE}",
        f"{RIGHT},{RIGHT}",
        f"Bearer {RIGHT}",
        f"{RIGHT}\n",
        f" {RIGHT}",
        f'"{RIGHT}"',
        RIGHT.replace(".", "\u2024"),
        RIGHT.replace(".", "\uff0e"),
        RIGHT + "\x00",
        "\ud800" + RIGHT,
        "\U0001f600",
        "null",
        json.dumps({"payload": BODY, "protected": HEAD, "signature": SIGNATURE}),
        json.dumps({"payload": BODY, "signatures": [{"protected": HEAD, "signature": SIGNATURE}]}),
        "A" * MAXIMUM_LENGTH,
        "A" * (MAXIMUM_LENGTH + 1),
        "." * 10_000_000,
        f"{HEAD}.{'A' * 10_000_000}.{SIGNATURE}",
    ],
    ids=itertools.count(),
)
def test_another_serialization_is_refused(text: str) -> None:
    """Two, four or five parts, empty ones, JSON serialization, other scripts, too much: no token (RFC 7515 §7.1)."""
    refused(text)


def test_a_right_token_that_is_too_long_is_refused() -> None:
    """The limit is one character above the longest accepted token."""
    long = next(text for n in range(11_850, 11_900) if len(text := token(pad="x" * n)) >= MAXIMUM_LENGTH - 1)
    assert len(long) <= MAXIMUM_LENGTH
    verifier().check(long, START)
    refused(token(pad="x" * 13_000))


def test_an_encrypted_token_is_refused() -> None:
    """A JWE is refused, even if its content is a valid token or it is encrypted to our own key."""
    key = OctKey.import_key(raw(str(KEYS["HS256"].key.as_dict(private=True)["k"])))
    refused(jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM", "kid": KEYS["HS256"].kid}, RIGHT, key))
    refused(jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM", "typ": "at+jwt", "kid": KEY.kid}, RIGHT, key))
    refused(MasterSecret.of("s" * 32).wrap(KEY))


# ---- forgeries: the claims


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'["sub"]',
        b'"sub"',
        b"5",
        b"true",
        b"{",
        b"{}",
        b"foo",
        b"\xff\xfe{}",
        b'{"sub":"\xff"}',
        b"{'a':1}",
        json.dumps([CLAIMS]).encode(),
        json.dumps(json.dumps(CLAIMS)).encode(),
        json.dumps(CLAIMS).encode() + b"{}",
        b"[" * 12000,
        b'{"a":' * 2400,
        b"[" * 6000 + b"]" * 6000,
        b'{"exp":' + b"9" * 5000 + b"}",
    ],
    ids=lambda payload: ascii(payload[:12]) + f" {len(payload)}",
)
def test_a_payload_without_claims_is_refused(payload: bytes) -> None:
    """A signed payload that is no JSON object, or one nested without end, is refused without another error."""
    refused(sign(HEADER, payload))


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "https://issuer.example/",
        "https://issuer.example.attacker.example",
        "HTTPS://ISSUER.EXAMPLE",
        "issuer.example",
        None,
        5,
        True,
        [NAMES.issuer],
        {NAMES.issuer: 1},
    ],
)
def test_another_issuer_is_not_ours(issuer: Any) -> None:
    """The issuer is compared as it is written (RFC 8725 §3.8)."""
    refused(token(iss=issuer))


@pytest.mark.parametrize(
    "audience",
    [
        "",
        "https://other.example",
        "https://api.example/",
        "https://api.example.attacker.example",
        "https://api",
        None,
        5,
        True,
        [],
        [""],
        ["https://other.example"],
        [[NAMES.audience]],
        {NAMES.audience: 1},
        [None],
        [5],
        [NAMES.audience, 5],
        [NAMES.audience, {}],
    ],
)
def test_another_audience_is_not_ours(audience: Any) -> None:
    """A token that is not for us opens nothing here, one or several audiences (RFC 8725 §3.9)."""
    refused(token(aud=audience))


@pytest.mark.parametrize("claim", sorted(CLAIMS))
def test_no_claim_may_be_missing(claim: str) -> None:
    """Each claim that RFC 9068 §2.2 demands has to be there, and to be something."""
    refused(token(without=(claim,)))
    refused(sign(HEADER, {**CLAIMS, claim: None}))


@pytest.mark.parametrize("claim", ["sub", "client_id", "jti", "sid"])
@pytest.mark.parametrize("value", [5, 0, True, 1.5, [], ["user-1"], {}, {"user-1": 1}])
def test_a_name_is_text(claim: str, value: Any) -> None:
    """A claim that names something is refused when it is no text."""
    refused(token(**{claim: value}))


@pytest.mark.parametrize("claim", ["exp", "iat", "auth_time"])
@pytest.mark.parametrize(
    "value",
    [
        "1900000000",
        "",
        "never",
        1900000000.0,
        1e300,
        float("nan"),
        float("inf"),
        float("-inf"),
        True,
        False,
        -1,
        -(10**20),
        2**53,
        10**400,
        [],
        [1900000000],
        {},
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_time_is_a_whole_number(claim: str, value: Any) -> None:
    """Text, a fraction, a truth value, a negative or a huge number is no time, the expiry's least of all."""
    refused(token(**{claim: value}))


@pytest.mark.parametrize("nbf", [0, START // 1000 + 60, "soon"])
def test_a_time_that_we_never_set_is_refused(nbf: Any) -> None:
    """Our access tokens never have ``nbf``; to ignore one would be wrong (RFC 7519 §4.1.5)."""
    refused(token(nbf=nbf))


@pytest.mark.parametrize("exp", [0, 1, START // 1000])
def test_a_time_long_ago_is_expired(exp: int) -> None:
    """Zero is a valid time, and it is in the past."""
    with pytest.raises(TokenExpired):
        verifier().check(token(exp=exp), START)


# ---- one kind for the other


def test_no_token_passes_as_one_of_the_other_kind() -> None:
    """An access token is never a refresh token, nor the other way round."""
    key = MasterSecret.of("s" * 32).refresh_key
    refresh_token = encode(successor(bytes(16), session()), key)
    refused(refresh_token)
    for text in (RIGHT, "dpr_" + RIGHT, "dpr_" + RIGHT[:76], "dpr_" + b64(raw(BODY))[:76]):
        with pytest.raises(TokenMalformed):
            decode(text, [key])


def test_an_error_contains_no_token() -> None:
    """No message contains an expired or revoked token; the result of ``verify`` has no signature."""
    checking = verifier()
    verified = checking.check(RIGHT, START)
    with pytest.raises(TokenExpired) as expired:
        checking.check(RIGHT, EXPIRES)
    checking.end(verified.session_id, START, EXPIRES)
    with pytest.raises(SessionRevoked) as ended:
        checking.check(RIGHT, START)
    for told in (repr(expired.value), repr(ended.value), repr(verified)):
        assert [] == [part for part in (HEAD, BODY, SIGNATURE) if part in told]


def test_a_ring_of_one_algorithm_knows_no_other() -> None:
    """A key that is not one of this issuer's is unknown, whatever it signs."""
    checking = Verifier(NAMES, KeyRing([KEYS["Ed25519"]], "Ed25519").find)
    with pytest.raises(KeyUnknown):
        checking.check(RIGHT, START)
