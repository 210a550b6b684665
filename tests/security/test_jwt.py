"""Forged access tokens beyond those of `tests/core/test_access_token.py`: RFC 8725, and ASVS 5.0 chapter 9."""

import base64
import json
import socket
from typing import Any

import pytest

from daypass import AsyncDaypass, Daypass, TokenMalformed, User
from daypass.errors import KeyUnknown
from daypass.keys import ALGORITHMS, KeyRing, SigningKey
from daypass.testing import START

from ..core.crafting import CLAIMS, HEADER, KEY, KEYS, NAMES, b64, sign, token, verifier

ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-8-sig"]


def refused(text: str) -> TokenMalformed:
    with pytest.raises(TokenMalformed) as caught:
        verifier().check(text, START)
    return caught.value


def refuse(auth: Daypass, text: str) -> None:
    with pytest.raises(TokenMalformed):
        auth.verify(text)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_in_another_encoding_is_refused(encoding: str) -> None:
    """Header and claims are UTF-8 and nothing else, although the key signed it so (RFC 8725 §3.7)."""
    refused(sign(json.dumps(HEADER).encode(encoding), CLAIMS))
    refused(sign(HEADER, json.dumps(CLAIMS).encode(encoding)))


def test_a_key_name_is_looked_up_and_nothing_else() -> None:
    """A ``kid`` is compared with the known keys' names as it is written: no query, path or URL is made of it."""
    injected = ["' OR '1'='1", "1; DROP TABLE daypass_keys", "../../dev/null", "http://evil.example/k", "*", "\0", ""]
    similar = [f"{KEY.kid} ", f" {KEY.kid}", KEY.kid.swapcase(), f"{KEY.kid}\0", KEY.kid[:-1], "\ud800"]
    for kid in injected + similar:
        assert isinstance(refused(token({"kid": kid})), KeyUnknown)


@pytest.mark.parametrize("kid", ["' OR '1'='1", "../../../../dev/null", "\ud800"])
def test_a_strange_key_name_is_no_failure_of_the_store(kid: str, tmp_path: Any) -> None:
    """An issuer that looks for an unknown key in its store refuses such a token as it refuses any other."""
    store = f"sqlite:///{tmp_path}/app.db"
    with Daypass(store, issuer=NAMES.issuer, load_user=lambda _: None, secret=32 * "s") as auth:
        refuse(auth, token({"kid": kid}))


def test_no_hint_at_a_key_is_followed() -> None:
    """``jku``, ``x5u``, ``jwk`` and ``x5c`` are ignored: no request is sent, and the attacker's key is not used."""
    stranger = SigningKey.generate("ES256")
    public = KeyRing([stranger], "ES256").jwks()["keys"][0]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/jwks.json"
        for hint in ({"jku": url}, {"x5u": url}, {"jwk": public}, {"x5c": ["MIIB"], "x5t": "AA"}):
            for kid in (stranger.kid, KEY.kid):
                refused(sign({**HEADER, **hint, "kid": kid}, CLAIMS, stranger))
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_of_a_repeated_member_the_last_one_counts() -> None:
    """Of two claims of one name the last counts, in every check and for the application (RFC 7519 §4)."""
    twice = json.dumps(CLAIMS)[:-1]
    checked = verifier().check(sign(HEADER, f'{twice},"sub":"user-2"}}'.encode()), START)
    assert ("user-2", "user-2") == (checked.subject, checked.claims["sub"])
    refused(sign(HEADER, f'{twice},"aud":"https://other.example"}}'.encode()))
    refused(sign(HEADER, f'{twice},"exp":"never"}}'.encode()))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-0.0", "1e3", "9" * 5000])
def test_an_invalid_number_is_refused_as_a_time(number: str) -> None:
    """What Python's JSON would take for a number and no other language would is no expiry."""
    claims = json.dumps(CLAIMS).replace(str(CLAIMS["exp"]), number)
    refused(sign(HEADER, claims.encode()))


def test_a_nested_token_is_refused() -> None:
    """A right token as the payload of a signed one, with ``cty``, is not unwrapped (RFC 7519 §5.2)."""
    for header in (HEADER, {**HEADER, "cty": "JWT"}, {**HEADER, "cty": "at+jwt"}):
        refused(sign(header, token().encode()))
        refused(sign(header, json.dumps(token()).encode()))


@pytest.mark.parametrize("header", [{"zip": "DEF"}, {"enc": "A128GCM"}, {"b64": False}, {"p2c": 2**31, "p2s": "AA"}])
def test_a_signed_token_asks_for_no_other_work(header: dict[str, Any]) -> None:
    """A header that demands decompression, decryption or iterations is refused, although the key signed it."""
    refused(token(header))


OTHER_KINDS = ["JWT", "id_token", "logout+jwt", "secevent+jwt", "dpop+jwt", "token-introspection+jwt"]
NEARLY = ["at+jwt;x=1", " at+jwt", "at+jwt\0", "application/application/at+jwt", "text/at+jwt", ["at+jwt"], None]


@pytest.mark.parametrize("typ", [*OTHER_KINDS, *NEARLY])
def test_one_kind_of_token_alone_opens_anything(typ: object) -> None:
    """Whatever other kind of JWT the same key might sign, none is taken for an access token (RFC 8725 §3.12)."""
    refused(sign({**HEADER, "typ": typ}, CLAIMS))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_that_is_not_there(algorithm: str) -> None:
    """Empty, missing, of another token, or of the right length and nothing: refused by every algorithm."""
    key = KEYS[algorithm]
    header = {**HEADER, "kid": key.kid, "alg": algorithm}
    head, body, signature = sign(header, CLAIMS, key).split(".")
    other = sign(header, {**CLAIMS, "sub": "user-2"}, key).split(".")[2]
    for forged in ("", b64(bytes(len(base64.urlsafe_b64decode(signature + "==")))), other, signature[:-4], "A"):
        refused(f"{head}.{body}.{forged}")
    refused(f"{head}.{body}")


def test_what_was_refused_does_not_come_back_from_memory() -> None:
    """A forged token that differs from a cached one only in its signature is refused, before and after."""
    checking = verifier()
    right = token()
    checking.check(right, START)
    head, body, _ = right.split(".")
    with pytest.raises(TokenMalformed):
        checking.check(f"{head}.{body}.{b64(bytes(64))}", START)
    assert "user-1" == checking.check(right, START).subject


def test_another_issuer_with_the_same_secret_is_another_issuer() -> None:
    """Two services of one operator that share a master secret and a name do not take each other's tokens."""
    user = User("user-1")
    services = [
        Daypass("memory:", issuer=issuer, audience=audience, secret=32 * "s", load_user=lambda _: user)
        for issuer, audience in (
            ("https://a.example", "https://api.example"),
            ("https://b.example", "https://api.example"),
            ("https://a.example", "https://other.example"),
        )
    ]
    issued = [service.start(user) for service in services]
    for service in services:
        for other, tokens in zip(services, issued, strict=True):
            if other is not service:
                refuse(service, tokens.access_token)
    for service in services:
        service.close()


@pytest.mark.anyio
async def test_forgeries_are_refused_by_both_issuers_alike() -> None:
    """`AsyncDaypass` refuses what `Daypass` does: unsigned, another's, of another kind, a refresh token, garbage."""
    user = User("user-1")
    sync = Daypass("memory:", issuer=NAMES.issuer, secret=32 * "s", load_user=lambda _: user)
    async with AsyncDaypass("memory:", issuer=NAMES.issuer, secret=32 * "s", load_user=lambda _: user) as auth:
        head = b64(b'{"typ":"at+jwt","alg":"none"}')
        refresh = (await auth.start(user)).refresh_token
        assert refresh is not None
        for forged in (f"{head}.{b64(json.dumps(CLAIMS).encode())}.", token(), refresh, "", "a.b.c", "\0", "é"):
            with pytest.raises(TokenMalformed):
                await auth.verify(forged)
            refuse(sync, forged)
    sync.close()
