"""Sealed texts: they open in their own place, under a secret that is given, unchanged; and nowhere else."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from daypass.client.sealing import Sealing, key_id_of
from daypass.errors import ConfigurationError
from daypass.keys import MasterSecret

NEW = "the new secret, of more than thirty-two bytes"
OLD = "the old secret, of more than thirty-two bytes"
TEXT = '{"refreshToken": "r3fresh-t0ken", "name": "Zoë"}'
PLACE = "xero/tenant-42"


def test_a_sealed_text_opens_in_its_place() -> None:
    """A text that was sealed for a place opens only there; the sealed text does not show it."""
    sealed = Sealing(NEW).seal(TEXT, PLACE)
    assert TEXT == Sealing(NEW.encode()).open(sealed, PLACE)
    assert "r3fresh" not in sealed
    assert b"r3fresh" not in urlsafe_b64decode(sealed.rpartition(".")[2])


def test_the_same_text_is_sealed_differently_each_time() -> None:
    """Two sealed texts say nothing about whether their contents are equal."""
    sealing = Sealing(NEW)
    assert sealing.seal(TEXT, PLACE) != sealing.seal(TEXT, PLACE)


def test_a_text_that_was_moved_is_refused() -> None:
    """A row that was copied to another connection does not open there, and the message says what to do."""
    sealing = Sealing(NEW)
    with pytest.raises(ConfigurationError, match="xero/tenant-43 was damaged, or belongs to another connection"):
        sealing.open(sealing.seal(TEXT, PLACE), "xero/tenant-43")


@pytest.mark.parametrize("where", range(0, 40, 3))
def test_a_changed_text_is_refused(where: int) -> None:
    """Every byte of nonce, ciphertext and tag is authenticated."""
    sealing = Sealing(NEW)
    header, _, text = sealing.seal(TEXT, PLACE).rpartition(".")
    box = bytearray(urlsafe_b64decode(text))
    box[where] ^= 1
    with pytest.raises(ConfigurationError, match="damaged"):
        sealing.open(f"{header}.{urlsafe_b64encode(box).decode()}", PLACE)


@pytest.mark.parametrize("text", ["", "v1", "v1.", "v2.0011223344556677.AAAA", "plain text", '{"daypass": 1}'])
def test_a_text_of_another_kind_is_refused(text: str) -> None:
    """A text that is not sealed in this format is never taken for an empty storage."""
    with pytest.raises(ConfigurationError, match="not in a format that this version of Daypass reads"):
        Sealing(NEW).open(text, PLACE)


@pytest.mark.parametrize("box", ["", "AAAA", "!!!", "AAAAA"])
def test_a_text_that_was_cut_off_is_refused(box: str) -> None:
    """A shortened text is damaged."""
    sealing = Sealing(NEW)
    with pytest.raises(ConfigurationError, match="damaged"):
        sealing.open(f"v1.{sealing.key_id}.{box}", PLACE)


def test_another_secret_is_named() -> None:
    """A wrong secret says which key is wanted, how to give both, and neither secret."""
    sealed = Sealing(OLD).seal(TEXT, PLACE)
    with pytest.raises(ConfigurationError, match=r"another secret \(key [0-9a-f]{16}\).*secret=\[new, old\]") as caught:
        Sealing(NEW).open(sealed, PLACE)
    assert str(key_id_of(sealed)) in str(caught.value)
    assert "thirty-two" not in str(caught.value)


def test_the_newest_secret_seals_and_all_open() -> None:
    """With two secrets, old texts open, new ones are under the new secret, and it can be seen which is which."""
    both = Sealing([NEW, OLD])
    old, new = Sealing(OLD).seal(TEXT, PLACE), both.seal(TEXT, PLACE)
    assert [TEXT, TEXT] == [both.open(old, PLACE), both.open(new, PLACE)]
    assert [False, True] == [both.is_newest(old), both.is_newest(new)]
    assert TEXT == Sealing(NEW).open(new, PLACE)


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("short", "secret has 5 bytes and needs at least 32"),
        (b"\0" * 31, "secret has 31 bytes"),
        ([], "secret is an empty list"),
        ([NEW, "short"], "secret has 5 bytes"),
        (None, "text or bytes"),
        ({NEW: OLD}, "text or bytes"),
        ("\udce9" * 40, "not valid UTF-8"),
    ],
)
def test_a_weak_secret_is_refused(secret: object, says: str) -> None:
    """The vault's secret is as strong as the server's; the message says how to make one, and not the secret."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        Sealing(secret)  # type: ignore[arg-type]  # the test is about this
    assert "thirty-two" not in str(caught.value)


def test_nothing_shows_the_secret() -> None:
    """No representation shows a secret or a key; the key ids are not those of the server's keys."""
    sealing = Sealing([NEW, OLD])
    assert f"<Sealing {sealing.key_id} {Sealing(OLD).key_id}>" == repr(sealing)
    assert sealing.key_id not in repr(MasterSecret.of(NEW))
    assert "root" not in repr(sealing._newest)
