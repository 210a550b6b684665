"""Secrets that keys are derived from: parsing them, and checking their strength."""

from collections.abc import Sequence

from daypass.errors import ConfigurationError

MINIMUM_SECRET = 32

Secret = str | bytes | Sequence[str | bytes]
"""A secret of at least 32 bytes (text counts as UTF-8), or several of them, newest first."""


def secrets_in(secret: Secret) -> list[bytes]:
    """Return the bytes of each secret, newest first.

    Raises:
        ConfigurationError: there is no secret, or one is shorter than 32 bytes.
    """
    given = secret if isinstance(secret, list | tuple) else [secret]
    if not given:
        raise ConfigurationError("secret is an empty list: give at least one; make one with: openssl rand -base64 32")
    return [_checked(each) for each in given]


def _checked(secret: object) -> bytes:
    if not isinstance(secret, str | bytes):
        raise ConfigurationError("secret has to be text or bytes, or a list of them, newest first")
    try:
        raw = secret.encode() if isinstance(secret, str) else secret
    except UnicodeEncodeError:  # an environment variable that is not UTF-8
        raise ConfigurationError("secret is not valid UTF-8; make one with: openssl rand -base64 32") from None
    if len(raw) < MINIMUM_SECRET:
        raise ConfigurationError(
            f"secret has {len(raw)} bytes and needs at least {MINIMUM_SECRET}; make one with: openssl rand -base64 32"
        )
    return raw
