"""The refresh token's text form: which texts are tokens, which are not, and what cannot be read from one."""

import base64
import hashlib
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daypass.errors import KeyUnknown, TokenMalformed
from daypass.keys import MasterSecret
from daypass.refresh_token import (
    BRANCH_SIZE,
    KEY_ID_SIZE,
    PREFIX,
    SECRET_SIZE,
    RefreshKey,
    RefreshToken,
    decode,
    encode,
    session_id,
    successor,
    unverified,
)
from daypass.testing import START, session

KEY = RefreshKey(b"key1", b"m" * 32)
OTHER = RefreshKey(b"key2", b"M" * 32)
SAME_ID = RefreshKey(b"key1", b"?" * 32)
TOKEN = RefreshToken(bytes(range(16)), 7, b"branch-7", b"branch-6")
TEXT = encode(TOKEN, KEY)
ALPHABET = string.ascii_letters + string.digits + "-_"

refresh_tokens = st.builds(
    RefreshToken,
    secret=st.binary(min_size=16, max_size=16),
    generation=st.integers(min_value=0, max_value=2**32 - 1),
    branch=st.binary(min_size=8, max_size=8),
    parent=st.binary(min_size=8, max_size=8),
)


def reversioned(version: int) -> str:
    """Return a token of another version with a MAC that is right."""
    import hmac

    body = bytes([version]) + base64.urlsafe_b64decode(TEXT[4:])[1:41]
    return PREFIX + base64.urlsafe_b64encode(body + hmac.digest(KEY.mac_key, body, "sha256")[:16]).decode()


# ---- tokens


@given(refresh_tokens)
def test_an_encoded_token_is_decoded(token: RefreshToken) -> None:
    """Every token comes back as it was, from 80 characters that secret scanners find."""
    text = encode(token, KEY)
    assert token == decode(text, [KEY])
    assert 80 == len(text)
    assert set(text.removeprefix("dpr_")) <= set(ALPHABET)


@given(refresh_tokens, refresh_tokens)
def test_one_token_has_one_text(one: RefreshToken, other: RefreshToken) -> None:
    """Equal tokens have equal texts, and different ones different."""
    assert (one == other) == (encode(one, KEY) == encode(other, KEY))
    assert encode(one, KEY) == encode(replace(one), KEY)


# ---- texts that are not tokens


@pytest.mark.parametrize("position", range(len(TEXT)))
def test_every_changed_character_is_found(position: int) -> None:
    """Whichever single character is replaced, by whatever, the text is no token any more."""
    for character in ALPHABET + "+/=. \n\x00\u00e9":
        if character != TEXT[position]:
            with pytest.raises(TokenMalformed):
                decode(TEXT[:position] + character + TEXT[position + 1 :], [KEY])


@pytest.mark.parametrize(
    "text",
    [
        *(TEXT[:length] for length in range(len(TEXT))),
        *(TEXT[start:] for start in (1, 4, 5, 79)),
        TEXT + "A",
        TEXT + "AAAA",
        TEXT + "=",
        TEXT + "\n",
        "\n" + TEXT,
        " " + TEXT,
        TEXT + " ",
        TEXT + TEXT,
        TEXT[:-1] + "=",
        TEXT[:-2] + "==",
        TEXT[:20] + "\n" + TEXT[20:],
        TEXT[:20] + TEXT[21:],
        TEXT + "A" * 10_000_000,
        PREFIX,
        PREFIX + "A" * 76,
        PREFIX + "_" * 76,
        "A" * 80,
        "\x00" * 80,
        PREFIX + "\u0661" * 76,  # digits, of another script
        PREFIX + "\uff21" * 76,  # letters, of full width
        PREFIX + "\ud800" * 76,  # no text at all
        "dpr-" + TEXT[4:],
        "DPR_" + TEXT[4:],
        "dps_" + TEXT[4:],
        "ghp_" + TEXT[4:],
        TEXT.swapcase(),
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
        "null",
        "{}",
    ],
    ids=lambda text: ascii(text[:12]) + f" {len(text)}",
)
def test_text_that_is_not_a_token_is_refused(text: str) -> None:
    """Truncated, oversized, empty, garbage, of another kind or alphabet: malformed, and no other error."""
    with pytest.raises(TokenMalformed):
        decode(text, [KEY])


@given(st.text())
def test_any_text_is_refused(text: str) -> None:
    """Random text is malformed, with and without the prefix."""
    for each in (text, PREFIX + text, PREFIX + text.ljust(76)[:76]):
        with pytest.raises(TokenMalformed):
            decode(each, [KEY])


@given(st.binary(min_size=57, max_size=57))
def test_any_bytes_are_refused(raw: bytes) -> None:
    """The right shape is not enough: a token needs the key."""
    with pytest.raises(TokenMalformed):
        decode(PREFIX + base64.urlsafe_b64encode(raw).decode(), [KEY])


@pytest.mark.parametrize("plain", ["+", "/"], ids=["plus for minus", "slash for underscore"])
def test_the_other_base64_alphabet_is_refused(plain: str) -> None:
    """A token uses only - and _, so one token has exactly one text."""
    safe = {"+": "-", "/": "_"}[plain]
    text = next(
        text for n in range(1000) if safe in (text := encode(replace(TOKEN, generation=n), KEY)).removeprefix(PREFIX)
    )
    with pytest.raises(TokenMalformed):
        decode(PREFIX + text.removeprefix(PREFIX).replace(safe, plain), [KEY])


@pytest.mark.parametrize("keys", [[], [OTHER], [SAME_ID], [OTHER, SAME_ID]])
def test_a_token_of_another_key_is_refused(keys: list[RefreshKey]) -> None:
    """A token of none of our keys is malformed, even if its key has the same id as one of ours."""
    with pytest.raises(TokenMalformed):
        decode(TEXT, keys)


def test_a_key_id_that_was_exchanged_is_refused() -> None:
    """The key id is authenticated too: a token can't be passed to another of the keys."""
    raw = base64.urlsafe_b64decode(TEXT[4:])
    exchanged = PREFIX + base64.urlsafe_b64encode(raw[:1] + OTHER.id + raw[5:]).decode()
    with pytest.raises(TokenMalformed):
        decode(exchanged, [KEY, OTHER])


@pytest.mark.parametrize("version", [0, 2, 3, 127, 128, 255])
def test_an_unknown_version_is_refused(version: int) -> None:
    """A token of another version is refused, even with a valid MAC."""
    assert TOKEN == decode(reversioned(1), [KEY])
    with pytest.raises(TokenMalformed):
        decode(reversioned(version), [KEY])


# ---- keys


def test_an_old_key_still_reads_and_the_newest_writes() -> None:
    """After a change of keys, tokens of the old key are read; without a key the error is `KeyUnknown`."""
    old, new = (MasterSecret.of(letter * 32).refresh_key for letter in "on")
    held = encode(successor(bytes(16), session()), old)
    token = decode(held, [new, old])
    following = encode(successor(token.secret, session(generation=1)), new)
    assert token == decode(held, [old])
    for text, key in ((following, old), (held, new)):
        with pytest.raises(KeyUnknown):
            decode(text, [key])


# ---- the form and the derivation of version 0.1, which must not change


def test_the_text_of_0_1_stays_the_same() -> None:
    """A token and its successor have the text that version 0.1 gave them, so both versions may share a store."""
    text = "dpr_AWtleTEAAQIDBAUGBwgJCgsMDQ4PAAAAB2JyYW5jaC03YnJhbmNoLTYRmefSV54H3_xj70FZOTMf"
    following = "dpr_AWtleTEAAQIDBAUGBwgJCgsMDQ4PAAAACC_nK2dGparuYnJhbmNoLTfsMhEs5U6oNn2wkgHOFr-l"
    position = session(generation=7, branch=b"branch-7", rotated_at=1_800_000_000_000)
    assert (text, following) == (TEXT, encode(successor(TOKEN.secret, position), KEY))


def test_parts_have_the_sizes_of_the_text() -> None:
    """What other modules draw and derive by these sizes fills the token, without padding."""
    sizes = (1, KEY_ID_SIZE, SECRET_SIZE, 4, BRANCH_SIZE, BRANCH_SIZE, 16)
    assert ((1, 4, 16, 4, 8, 8, 16), 57) == (sizes, sum(sizes))


def test_an_operator_reads_a_token_without_its_key() -> None:
    """The key's id and the fields are read as they are; a MAC is not looked at."""
    assert ("6b657931", TOKEN) == unverified(TEXT) == unverified(f"{TEXT[:-4]}AAAA")


@pytest.mark.parametrize("text", ["", TEXT[:-1], f"{TEXT}A", TEXT[4:], reversioned(0), reversioned(2)])
def test_an_operator_cannot_read_another_text(text: str) -> None:
    """A text of another form or version is refused."""
    with pytest.raises(TokenMalformed):
        unverified(text)


def test_a_token_and_a_key_are_values() -> None:
    """Equal ones count once in a set; a key cannot be changed, and a token takes no other attribute."""
    assert {(TOKEN, KEY)} == {(replace(TOKEN), replace(KEY)), (TOKEN, KEY)}
    for each, name in ((KEY, "id"), (TOKEN, "other")):
        with pytest.raises(AttributeError):
            setattr(each, name, b"")


def test_a_key_is_used_from_the_beginning_unless_said_otherwise() -> None:
    """The default is the epoch."""
    assert 0 == KEY.used_from


# ---- derivation


def test_a_successor_is_the_same_each_time() -> None:
    """It is derived, not drawn, and from no key: the same position has the same successor, on every node."""
    position = session(generation=7, branch=b"branch-7", rotated_at=START)
    following = successor(TOKEN.secret, position)
    assert following == successor(TOKEN.secret, position)
    assert (8, b"branch-7", TOKEN.secret) == (following.generation, following.parent, following.secret)


@pytest.mark.parametrize(
    ("fields", "secret"),
    [
        ({"rotated_at": START + 1}, TOKEN.secret),
        ({"generation": 8}, TOKEN.secret),
        ({"branch": b"branch-x"}, TOKEN.secret),
        ({}, bytes(16)),
    ],
    ids=["rotated_at", "generation", "branch", "session"],
)
def test_a_successor_is_of_its_position_alone(fields: dict[str, Any], secret: bytes) -> None:
    """Another rotation time, generation, branch or session: another branch."""
    position = session(generation=7, branch=b"branch-7", rotated_at=START)
    assert successor(TOKEN.secret, position).branch != successor(secret, replace(position, **fields)).branch


def test_the_first_token_is_the_successor_of_the_login() -> None:
    """A login hands out generation 1, whose parent is the stored branch."""
    token = successor(b"s" * 16, session(branch=b"branch-0"))
    assert (1, b"branch-0", b"s" * 16) == (token.generation, token.parent, token.secret)


# ---- secrecy


def test_a_session_id_is_a_hash_of_the_secret() -> None:
    """The store has the first half of SHA-256 of the session's secret, which cannot be computed back."""
    assert hashlib.sha256(TOKEN.secret).hexdigest()[:32] == session_id(TOKEN.secret) == TOKEN.session_id


def test_what_the_store_holds_makes_no_token() -> None:
    """A token put together from everything in the store, with the session's id for its secret, is another session's."""
    stored = session(generation=7, branch=b"branch-7", id=TOKEN.session_id)
    forged = RefreshToken(bytes.fromhex(stored.id), 8, b"whatever", stored.branch)
    assert stored.id != forged.session_id  # and that even with the key


def test_a_repr_contains_no_secret() -> None:
    """Neither a token nor a key shows its secret in its ``repr``, in any spelling."""
    for secret, shown in (
        (TOKEN.secret, repr(TOKEN)),
        (TOKEN.branch, repr(TOKEN)),
        (TOKEN.parent, repr(TOKEN)),
        (KEY.mac_key, repr(KEY)),
    ):
        for spelling in (repr(secret), repr(secret)[2:-1], secret.hex(), base64.b64encode(secret).decode()):
            assert spelling not in shown


@pytest.mark.parametrize("text", [TEXT[:-1] + "!", TEXT, reversioned(9)])
def test_an_error_contains_no_token(text: str) -> None:
    """No message of an error contains the refused text, nor does any of its causes."""
    with pytest.raises(TokenMalformed) as caught:
        decode(text, [OTHER])
    assert TEXT[4:20] not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
