"""The text form of the refresh token, without the rotation rule: no I/O, no clock, no randomness here.

A refresh token is 57 bytes in base64url behind ``dpr_``, 80 characters in all:

    version 1 · key id 4 · session secret 16 · generation 4 · branch 8 · parent branch 8 · MAC 16

57 is a multiple of three, so the text has no padding and no spare bits: one token has one text. The MAC is HMAC-SHA-256
over everything before it, cut to 16 bytes (RFC 2104 §5), under a key that only the issuer has. The prefix lets secret
scanners find a leaked token, and distinguishes it from an access token, which has dots.

A token of a client other than the issuer's own is bound to that client (RFC 6749 §6): the client's id goes into the
MAC. If another client presents the token, it is invalid, and detecting that needs no query.
"""

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from daypass.errors import KeyUnknown, TokenMalformed
from daypass.rotation import Position
from daypass.value import value

PREFIX = "dpr_"
SECRET_SIZE = 16
BRANCH_SIZE = 8
KEY_ID_SIZE = 4

_TEXT = re.compile(PREFIX + "[A-Za-z0-9_-]{76}", re.ASCII)
_VERSION = 1
_BODY = struct.Struct(">B4s16sI8s8s")
_MAC_SIZE = 16
_PRF_INPUT = struct.Struct(">6sI8sQ")


@dataclass(frozen=True)
class RefreshKey:
    """The key that authenticates refresh tokens.

    Attributes:
        id: 4 bytes, part of every token.
        mac_key: 32 bytes.
        used_from: when new tokens begin to use it, in milliseconds since the epoch.
    """

    id: bytes
    mac_key: bytes = field(repr=False)
    used_from: int = 0

    def mac(self, message: bytes) -> bytes:
        """Return the MAC of a message."""
        mac = self._keyed.copy()
        mac.update(message)
        return mac.finalize()[:_MAC_SIZE]

    @cached_property
    def _keyed(self) -> HMAC:
        """An HMAC that has read the key and no message: copying it costs a third of making one."""
        return HMAC(self.mac_key, SHA256())


@value(frozen=True, slots=True)
class RefreshToken:
    """The fields of a refresh token; see `daypass.rotation` for what they mean.

    Attributes:
        secret: the session's secret, 16 bytes; only the client's token has it.
        generation: how many times the session was rotated when this was issued.
        branch: 8 bytes.
        parent: the branch of its predecessor, 8 bytes.
        client_id: the client that it is bound to; empty for the issuer's own.
    """

    secret: bytes = field(repr=False)
    generation: int
    branch: bytes = field(repr=False)
    parent: bytes = field(repr=False)
    client_id: str = ""

    @property
    def session_id(self) -> str:
        """The id of the token's session, 32 hexadecimal digits."""
        return session_id(self.secret)


def session_id(secret: bytes) -> str:
    """Return the id of the session with this secret: it can be shown, and does not reveal the secret."""
    return hashlib.sha256(secret).digest()[:16].hex()


def encode(token: RefreshToken, key: RefreshKey) -> str:
    """Return the text of ``token``, authenticated under ``key``; it contains the key's id."""
    body = _BODY.pack(_VERSION, key.id, token.secret, token.generation, token.branch, token.parent)
    return PREFIX + base64.urlsafe_b64encode(body + key.mac(body + token.client_id.encode())).decode()


def decode(text: str, keys: Sequence[RefreshKey], client_id: str = "") -> RefreshToken:
    """Return the fields of the token in ``text``.

    Raises:
        KeyUnknown: it names none of ``keys``.
        TokenMalformed: it was not made with one of them for this client.
    """
    if type(text) is not str or _TEXT.fullmatch(text) is None:
        raise TokenMalformed("not a refresh token")
    raw = base64.urlsafe_b64decode(text[len(PREFIX) :])
    body, mac = raw[: _BODY.size], raw[_BODY.size :]
    version, key_id, secret, generation, branch, parent = _BODY.unpack(body)
    if version != _VERSION:
        raise TokenMalformed("a refresh token of an unknown version")
    for key in keys:
        if key.id == key_id:
            if hmac.compare_digest(mac, key.mac(body + client_id.encode())):
                return RefreshToken(secret, generation, branch, parent, client_id)
            raise TokenMalformed("a refresh token that this issuer did not make")
    raise KeyUnknown("a refresh token made with a key that this issuer does not have")


def unverified(text: str) -> tuple[str, RefreshToken]:
    """Return the id of the key that a token names, and the token's fields; they may be forged.

    Raises:
        TokenMalformed: it does not have the form of a refresh token.
    """
    if _TEXT.fullmatch(text) is None:
        raise TokenMalformed("not a refresh token")
    raw = base64.urlsafe_b64decode(text[len(PREFIX) :])
    version, key_id, secret, generation, branch, parent = _BODY.unpack(raw[: _BODY.size])
    if version != _VERSION:
        raise TokenMalformed("a refresh token of an unknown version")
    return key_id.hex(), RefreshToken(secret, generation, branch, parent)


def successor(secret: bytes, session: Position, client_id: str = "") -> RefreshToken:
    """Return the token that follows the stored position of a session: the same one each time.

    Its branch is derived from the session's own secret, which no server stores. So a request and its repetition get the
    same successor from any node, even if the issuer's keys change in between.
    """
    generation = session.generation + 1
    bound = _PRF_INPUT.pack(b"branch", generation, session.branch, session.rotated_at)
    mac = HMAC(secret, SHA256())
    mac.update(bound)
    branch = mac.finalize()[:BRANCH_SIZE]
    return RefreshToken(secret, generation, branch, session.branch, client_id)
