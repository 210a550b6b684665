"""Encrypts ("seals") the text of a shared storage: AES-256-GCM, with keys from one or more secrets. Pure except nonces.

A sealed text is ``v1.KEY.BOX``: the format, the id of the secret, and the nonce and the ciphertext in base64url. It can
only be opened for the place it was sealed for: each place has its own key and is part of the associated data. So a row
cannot be moved to another place, and one key has as many random nonces as its place has writes (NIST SP 800-38D §8.3
allows 2^32 of them).
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from daypass.errors import ConfigurationError
from daypass.secret import Secret, secrets_in

_VERSION = "v1"
_NONCE = 12
_KEY_ID = 8


class Sealing:
    """Seals and opens texts.

    Args:
        secret: at least 32 bytes, or several secrets, newest first: the newest seals, all of them open. Do not use the
            server's ``DAYPASS_SECRET``; the same bytes would give different keys here.
        token_bytes: draws random bytes.

    Attributes:
        key_id: the id of the newest secret in sealed texts; it is not secret.

    Raises:
        ConfigurationError: there is no secret, or one is shorter than 32 bytes.
    """

    def __init__(self, secret: Secret, *, token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        keys = [_Key.of(each) for each in secrets_in(secret)]
        self._newest = keys[0]
        self._keys = {key.id: key for key in keys}
        self._token_bytes = token_bytes
        self.key_id = self._newest.id

    def __repr__(self) -> str:
        return f"<Sealing {' '.join(self._keys)}>"

    def seal(self, text: str, place: str) -> str:
        """Return ``text`` sealed for ``place`` with the newest secret."""
        header, nonce = f"{_VERSION}.{self.key_id}", self._token_bytes(_NONCE)
        box = nonce + self._newest.cipher(place).encrypt(nonce, text.encode(), _bound(header, place))
        return f"{header}.{urlsafe_b64encode(box).decode()}"

    def open(self, sealed: str, place: str) -> str:
        """Return the text in ``sealed``.

        Raises:
            ConfigurationError: it was sealed with another secret, was changed, or was sealed for another place.
        """
        header, _, text = sealed.rpartition(".")
        key = self._keys.get(key_id_of(sealed) or "")
        if key is None:
            raise ConfigurationError(_not_ours(sealed, place))
        try:
            box = urlsafe_b64decode(text)
            return key.cipher(place).decrypt(box[:_NONCE], box[_NONCE:], _bound(header, place)).decode()
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"what is kept for {place} was damaged, or belongs to another connection; it was not used: "
                "restore it from a backup, or log in again"
            ) from None

    def is_newest(self, sealed: str) -> bool:
        """Return whether ``sealed`` was sealed with the newest secret."""
        return key_id_of(sealed) == self.key_id


def key_id_of(sealed: str) -> str | None:
    """Return the id of the secret that a text was sealed with; ``None`` if it is not a sealed text."""
    version, _, rest = sealed.partition(".")
    key_id, dot, _ = rest.partition(".")
    return key_id if dot and version == _VERSION else None


@dataclass(frozen=True, slots=True)
class _Key:
    """The values that are derived from one secret.

    Attributes:
        id: the id of the secret.
        root: the keys of all places are derived from it.
    """

    id: str
    root: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes) -> "_Key":
        return cls(_derive(secret, "sealing key id", _KEY_ID).hex(), _derive(secret, "sealing", 32))

    def cipher(self, place: str) -> AESGCM:
        return AESGCM(HKDFExpand(SHA256(), 32, info=place.encode()).derive(self.root))


def _derive(secret: bytes, purpose: str, size: int) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=f"daypass v1 {purpose}".encode()).derive(secret)


def _bound(header: str, place: str) -> bytes:
    return f"{header}.{place}".encode()


def _not_ours(sealed: str, place: str) -> str:
    key_id = key_id_of(sealed)
    if key_id is None:
        return f"what is kept for {place} is not in a format that this version of Daypass reads"
    return (
        f"what is kept for {place} is sealed under another secret (key {key_id}): give that one too, after the new "
        "one: secret=[new, old]"
    )
